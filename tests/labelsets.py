"""Label sets written by hand into labels.zarr.zip: what the stage `labels` makes, its small variables counted from the arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import handmade
from tilewright.config.bands import NONE, UNLABELED
from tilewright.store import read_table, write_table
from tilewright.store.small import Small, Variable
from tilewright.store.zarrzip import StoreWriter

DIMS = {
    "labels": ("channel", "y", "x"), "layer": ("y", "x"), "ignore": ("level", "channel", "y", "x"),
    "targets": ("target", "y", "x"),
}  # fmt: skip


def ontology(channels: Mapping[str, Mapping[str, int]], name: str = "hand") -> dict[str, Any]:
    """As a set's attributes hold it: {channel: {class: value}}, colours made of the values."""
    return {
        "name": name, "version": 1, "channels": [{"name": channel} for channel in channels],
        "categories": [
            {"name": one, "channel": channel, "value": value, "colour": f"#{40 + value * 5 % 200:02x}{(value * 47) % 256:02x}{200 - value * 6 % 200:02x}"}
            for channel, classes in channels.items() for one, value in classes.items()
        ],
    }  # fmt: skip


def write_set(
    store: StoreWriter, name: str, cell_id: Sequence[str], arrays: Mapping[str, np.ndarray], size_m: int,
    about: Mapping[str, Any] | None = None, coverage: np.ndarray | None = None,
) -> None:  # fmt: skip
    """One group. `arrays`: (cell, …) of the store's arrays; `about`: attributes that differ from the plain ones."""
    main = arrays.get("labels", arrays.get("layer"))
    assert main is not None
    attrs: dict[str, Any] = {
        "ontology": None, "resolution_m": size_m / main.shape[-1], "licence": "free", "source": "hand", "snapshot": None,
        "extent": None, "year": None, "family": name, "kind": "vector", "unknown": {}, **(about or {}),
    }  # fmt: skip
    for key, array in arrays.items():
        dims = ("cell", *DIMS.get(key, ("y", "x")))
        chunk = (1, *array.shape[1:])
        store.array(
            f"{name}/{key}", array.shape, str(array.dtype), chunk, dims, {"resolution_m": attrs["resolution_m"]}
        )
        for row in range(len(array)):
            store.put(f"{name}/{key}", (row,) + (0,) * (array.ndim - 1), array[row][None])
    cells = len(cell_id)
    data: dict[str, Variable] = {}
    coordinates = {"cell_id": Variable(("cell",), np.array(cell_id, object))}
    if "layer" in arrays:
        known = ~np.isnan(main)
        data["coverage"] = Variable(("cell",), known.mean(axis=(1, 2)))
        for figure, of in (("mean", np.mean), ("min", np.min), ("max", np.max)):
            values = [float(of(main[row][known[row]])) if known[row].any() else np.nan for row in range(cells)]
            data[figure] = Variable(("cell",), np.array(values))
    else:
        document = attrs["ontology"]
        values = np.array([*sorted(each["value"] for each in document["categories"]), NONE, UNLABELED], np.uint8)
        count = (main[..., None] == values).sum(axis=(2, 3))
        data["class_count"] = Variable(("cell", "channel", "value"), count.astype(np.int32))
        data["labelled"] = Variable(("cell",), (main < NONE).any(axis=1).mean(axis=(1, 2)))
        data["coverage"] = Variable(("cell",), np.full(cells, np.nan) if coverage is None else coverage)
        names = [each["name"] for each in document["channels"]]
        coordinates |= {
            "value": Variable(("value",), values),
            "channel": Variable(("channel",), np.array(names, object)),
        }
    if "claims" in arrays:
        claims = arrays["claims"]
        data["claimed"] = Variable(
            ("cell", "claim"), np.stack([(claims >= 1).mean(axis=(1, 2)), (claims == 2).mean(axis=(1, 2))], axis=1)
        )
    for key, dim, default in (("ignore", "level", ("easy", "medium", "hard")), ("targets", "target", ("yield", "age"))):
        if key in arrays:
            coordinates[dim] = Variable((dim,), np.array(default[: arrays[key].shape[1]], object))
    store.small(name, Small(coordinates=coordinates, data=data, attrs=attrs))


def write_store(path: Path, sets: Mapping[str, Mapping[str, Any]], cell_id: Sequence[str], size_m: int) -> Path:
    """A store; `sets`: keywords of `write_set` by name."""
    with StoreWriter(path, {"format": "tilewright-labels-2"}) as store:
        for name, each in sorted(sets.items()):
            write_set(store, name, cell_id, size_m=size_m, **each)
    return path


SIDE = handmade.SIZE_M // 10
CROPS = ontology({"crop": {"wheat": 1, "maize": 2, "grass": 7}}, "crops")
LAND = ontology({"land": {"wood": 3, "field": 4}, "built": {"house": 9}}, "land")
CELLS = len(handmade.DATES)


def arrays_of(tile: int, name: str) -> dict[str, np.ndarray]:
    """(cell, …) of one set, every value by a draw of its own."""
    draw = np.random.default_rng([tile, *name.encode()])

    def picked(values: list[int], *shape: int, kind: str = "uint8") -> np.ndarray:
        return draw.choice(np.array(values, kind), (CELLS, *shape))

    if name == "dem":
        layer = draw.normal(500, 200, (CELLS, SIDE, SIDE)).astype("float32")
        layer[1, :3] = np.nan
        layer[2] = np.nan
        return {"layer": layer}
    if name == "land":
        fine = SIDE * 4
        labels = picked([3, 4, 254, 255], 2, fine, fine)
        labels[:, 1] = picked([9, 254, 255], fine, fine)
        return {"labels": labels, "ignore": picked([0, 1], 3, 2, fine, fine)}
    return {
        "labels": picked([1, 2, 7, 255], 1, SIDE, SIDE), "instance": draw.integers(0, 2**32, (CELLS, SIDE, SIDE), "uint32"),
        "parcel_coverage": draw.random((CELLS, SIDE, SIDE), "float32"), "distance": draw.random((CELLS, SIDE, SIDE), "float32"),
        "claims": picked([0, 0, 0, 1, 2], SIDE, SIDE), "claims_same": picked([0, 1, 2], SIDE, SIDE),
        "targets": draw.random((CELLS, 2, SIDE, SIDE), "float32"),
    }  # fmt: skip


ABOUT: dict[str, dict[str, Any]] = {
    "dem": {"kind": "raster"},
    "land": {"ontology": LAND},
    **{f"lpis-{year}": {"ontology": CROPS, "family": "lpis", "year": year} for year in (2020, 2021)},
}


def write_dataset(folder: Path) -> Path:
    """The dataset of `handmade` with sets of every kind: a layer, land with regions, parcels of two years."""
    handmade.write(folder)
    index = read_table(folder / "index.parquet")
    index = index.drop(columns=[name for name in index if name.startswith(("osm_", "fine_"))])
    for tile, name in enumerate(handmade.TILES):
        sets = {each: {"arrays": arrays_of(tile, each), "about": about} for each, about in ABOUT.items()}
        ids = [handmade.cell_id(tile, cell) for cell in range(CELLS)]
        write_store(folder / f"tiles/{name}/labels.zarr.zip", sets, ids, handmade.SIZE_M)
    for name, about in ABOUT.items():
        index[f"{name}_row"] = list(range(CELLS)) * 2
        index[f"{name}_coverage"], index[f"{name}_year"] = 1.0, about.get("year")
    described = {name: {"family": name, "year": None, **about} for name, about in ABOUT.items()}
    write_table(index, folder / "index.parquet", {"format": "tilewright-index-1", "labels": described})
    return folder
