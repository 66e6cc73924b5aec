"""The stage `labels`: features and rasters burned onto every cell, by the ontology.

cells.parquet, features.parquet, ontologies, rasters  →  labels.zarr.zip
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from tilewright.config.bands import NONE, UNLABELED
from tilewright.config.label_settings import LabelSetSettings, LabelsSettings
from tilewright.errors import TilewrightError
from tilewright.progress import Progress
from tilewright.store import read_table, table_metadata
from tilewright.store.small import Small, Variable
from tilewright.store.zarrzip import StoreWriter
from tilewright.vector.extent import inside_extent
from tilewright.vector.ontology import Matcher, Ontology
from tilewright.vector.ontology_file import load_ontology
from tilewright.vector.regions import ignore_masks

log = logging.getLogger(__name__)

FORMAT: Final = "tilewright-labels-2"
# Of what no rule knows, so many kinds are named in messages and attributes.
_SHOWN: Final = 20


@dataclass(frozen=True)
class Array:
    """One array of a label set: its dimensions after `cell`, its type and what it is where nothing is known."""

    dims: tuple[str, ...]
    dtype: str
    blank: float
    about: str


LABELS: Final = Array(("channel", "y", "x"), "uint8", UNLABELED, "class; 254 none, 255 unlabeled")
LAYER: Final = Array(("y", "x"), "float32", np.nan, "value of the raster; NaN: no data")
IGNORE: Final = Array(("level", "channel", "y", "x"), "uint8", 1, "1: no class, or a region too small for the level")
PARCELS: Final = {
    "instance": Array(("y", "x"), "uint32", 0, "id of the parcel that covers most of the pixel; 0: none"),
    "parcel_coverage": Array(("y", "x"), "float32", 0, "share of the pixel that this parcel covers"),
    "distance": Array(("y", "x"), "float32", np.nan, "metres from the pixel's centre to the parcel's nearest edge"),
    "claims": Array(("y", "x"), "uint8", 0, "claimed by parcels of different classes: 1 partly, 2 wholly"),
    "claims_same": Array(("y", "x"), "uint8", 0, "claimed by several parcels of one class: 1 partly, 2 wholly"),
    "targets": Array(("target", "y", "x"), "float32", np.nan, "numbers of the parcel that covers most of the pixel"),
}


@dataclass
class LabelSet:
    """One label set on its way into the store."""

    name: str
    settings: LabelSetSettings
    ontology: Ontology | None
    about: Mapping[str, Any]  # of its source: source, kind, snapshot, extent (WKT)
    unknown: dict[str, int] = field(default_factory=dict)  # classes that no rule knows, and how often

    @property
    def step(self) -> float:
        """Metres of a pixel."""
        return float(self.settings.resolution_m)

    @property
    def extent(self) -> shapely.Geometry | None:
        """The ground that the source covers (EPSG:4326), None where that is unknown."""
        return shapely.from_wkt(self.about["extent"]) if self.about["extent"] else None

    def coordinates(self) -> dict[str, list[Any]]:
        """What stands along the dimensions other than cell, y and x."""
        channels = [channel.name for channel in self.ontology.channels] if self.ontology else []
        levels = list(self.settings.regions.ignore_below) if self.settings.regions else []
        return {"channel": channels, "level": levels, "target": self.settings.values}

    def arrays(self) -> dict[str, Array]:
        """The arrays that it has."""
        if self.ontology is None:
            return {"layer": LAYER}
        made = {"labels": LABELS}
        if parcels := self.settings.parcels:
            wanted = {
                "instance": parcels.instance, "parcel_coverage": parcels.coverage, "distance": parcels.distance,
                "claims": parcels.claims, "claims_same": parcels.claims, "targets": bool(self.settings.values),
            }  # fmt: skip
            made |= {name: array for name, array in PARCELS.items() if wanted[name]}
        if self.settings.regions:
            made["ignore"] = IGNORE
        return made


@dataclass
class Sums:
    """Figures of each cell, gathered while its arrays are written. All are of (cell, …)."""

    class_count: np.ndarray
    labelled: np.ndarray
    coverage: np.ndarray
    claimed: np.ndarray
    layer: np.ndarray

    @classmethod
    def empty(cls, cells: int, channels: int, values: int) -> "Sums":
        """Nothing known yet."""
        return cls(
            np.zeros((cells, channels, values), np.int32), np.zeros(cells), np.full(cells, np.nan), np.zeros((cells, 2)),
            np.full((cells, 3), np.nan),
        )  # fmt: skip


def make_labels(cells: Path, features: Path, settings: LabelsSettings, output: Path) -> None:
    """Write `output`: a group for each label set, with the arrays that ARCHITECTURE.md lists, chunk = one cell.

    Every pixel outside the source's extent is UNLABELED (and blank in the other arrays), and counted in `coverage`.

    Raises:
        TilewrightError: for a bad ontology, cells of more than one size or not whole pixels, features that lack a set, classes
            that no rule knows (unless the set says `unknown: unlabeled`), or a raster that cannot be read.
    """
    table = read_table(cells)
    known = table_metadata(features)["label_sets"]
    sizes = sorted(set(table["size_m"].tolist())) or [table_metadata(cells).get("size_m", 0)]
    if len(sizes) > 1:
        raise TilewrightError(f"{cells}: cells of {sizes[0]} and {sizes[1]} m in one tile: run the rule cells again")
    attrs: dict[str, Any] = {"format": FORMAT}
    if table.empty:
        attrs["reason"] = "the tile has no cells"
    sets = []
    for name, each in sorted(settings.sets.items()):
        if each.raster is None and name not in known:
            raise TilewrightError(f"labels.{name}: {features} has no features of this set: run the rule features again")
        if int(sizes[0]) % each.resolution_m:
            raise TilewrightError(
                f"labels.{name}.resolution_m: cells of {sizes[0]} m are not whole pixels of {each.resolution_m:g} m: use 10, "
                "5, 2.5, 2 or 1"
            )
        ontology = load_ontology(each.ontology, each.kind) if each.ontology else None
        about = known.get(name) or {
            "source": Path(each.raster.path).name if each.raster else None,
            "snapshot": None,
            "extent": None,
        }
        sets.append(LabelSet(name, each, ontology, about))
    with StoreWriter(output, attrs) as store:
        for made in sets:
            _write_set(store, made, table, int(sizes[0]), features)


def _features_of(made: LabelSet, features: Path) -> gpd.GeoDataFrame:
    columns = ["label_set", "source_type", "source_id", "kind", "tags", "geometry"]
    mine = read_table(features, columns=columns, filters=[("label_set", "==", made.name)])
    if made.settings.kind == "vector" and made.ontology is not None:
        made.unknown = _unknown(mine, made.ontology)
    return mine


def _unknown(features: gpd.GeoDataFrame, ontology: Ontology) -> dict[str, int]:
    """Attribute values that no rule of the ontology knows, as `FIELD=value`, with the number of features; most first."""
    matcher, keys = Matcher(ontology), sorted(ontology.keys())
    found: dict[str, int] = {}
    for (document, kind), count in features.groupby(["tags", "kind"], observed=True).size().items():
        if not matcher.knows(document):
            tags = json.loads(document)
            said = ", ".join(f"{key}={tags[key]}" for key in keys if key in tags) or f"no {' or '.join(keys)}"
            key = said if kind == "area" else f"{said} ({kind})"
            found[key] = found.get(key, 0) + int(count)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _refuse_unknown(made: LabelSet) -> None:
    if made.unknown and made.settings.unknown == "error":
        shown = ", ".join(f"{what} ({count})" for what, count in list(made.unknown.items())[:_SHOWN])
        more = f" and {len(made.unknown) - _SHOWN} more" if len(made.unknown) > _SHOWN else ""
        raise TilewrightError(
            f"labels.{made.name}: {made.settings.ontology} has no rule for {shown}{more} (number of features in brackets): "
            f"add rules, or leave them unlabeled with labels.{made.settings.family}.unknown: unlabeled"
        )


def _burned(
    made: LabelSet, features: gpd.GeoDataFrame | None, epsg: int, cells: pd.DataFrame, size_m: int
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(position of the cell in `cells`, its arrays), each cell once."""
    ulx, uly = cells["ulx"].to_numpy(float), cells["uly"].to_numpy(float)
    settings = made.settings
    if settings.raster is not None:
        from tilewright.vector.raster import RasterLabels

        raster = RasterLabels(settings.raster, made.ontology, epsg, made.step, settings.unknown)
        name = "layer" if made.ontology is None else "labels"
        for at, cell in raster.cells(ulx, uly, size_m):
            yield at, {name: cell.pixels[0] if made.ontology is None else cell.pixels, "covered": cell.covered}
        made.unknown = raster.unknown
        return
    assert features is not None and made.ontology is not None
    if settings.parcels is not None:
        from tilewright.vector.parcels import ParcelBurner

        wanted = settings.parcels.distance
        burner = ParcelBurner(made.ontology, features, epsg, made.step, settings.values, wanted)
        for at, parcels in burner.cells(ulx, uly, size_m):
            yield at, {
                "labels": parcels.labels, "instance": parcels.instance, "parcel_coverage": parcels.coverage,
                "distance": parcels.distance, "claims": parcels.claims, "claims_same": parcels.claims_same,
                "targets": parcels.values,
            }  # fmt: skip
        return
    from tilewright.vector.burn import Burner

    for at, labels in Burner(made.ontology, features, epsg, made.step).cells(ulx, uly, size_m):
        yield at, {"labels": labels}


def _write_set(store: StoreWriter, made: LabelSet, cells: pd.DataFrame, size_m: int, features: Path) -> None:
    mine = None
    if made.settings.raster is None:
        mine = _features_of(made, features)
        _refuse_unknown(made)
    side = int(size_m / made.step)
    along, arrays = made.coordinates(), made.arrays()
    step = int(made.step) if made.step.is_integer() else made.step
    shapes: dict[str, tuple[int, ...]] = {}
    for name, array in arrays.items():
        shapes[name] = tuple(side if dim in "yx" else len(along[dim]) for dim in array.dims)
        store.array(
            f"{made.name}/{name}", (len(cells), *shapes[name]), array.dtype, (1, *(max(1, each) for each in shapes[name])),
            ("cell", *array.dims), {"long_name": array.about, "resolution_m": step}, fill_value=array.blank,
        )  # fmt: skip
    values = made.ontology.values() if made.ontology else []
    sums = Sums.empty(len(cells), len(along["channel"]), len(values))
    extent = made.extent
    progress = Progress(log, len(cells), "cells labeled")
    for epsg in sorted(set(cells["epsg"].astype(int).tolist())):
        rows = np.flatnonzero(cells["epsg"].to_numpy() == epsg)
        zone = cells.iloc[rows]
        for position, found in _burned(made, mine, epsg, zone, size_m):
            at, cell = int(rows[position]), zone.iloc[position]
            if "covered" in found:
                sums.coverage[at] = found["covered"].mean()
            if extent is not None:
                inside = inside_extent(epsg, float(cell["ulx"]), float(cell["uly"]), side, made.step, extent)
                sums.coverage[at] = inside.mean()
                if not inside.all():
                    for name, array in arrays.items():
                        if name in found:
                            found[name][..., ~inside] = array.blank
            if (regions := made.settings.regions) is not None:
                limits = [regions.ignore_below[level] for level in along["level"]]
                found["ignore"] = ignore_masks(found["labels"], limits, regions.connectivity)
            for name in arrays:
                store.put(f"{made.name}/{name}", (at,) + (0,) * len(shapes[name]), found[name][None])
            _add(sums, at, found, values)
            progress.step(1)
    if len(cells) and (sums.coverage == 0).all():
        log.warning("labels.%s: the source covers none of the tile's cells: all are unlabeled", made.name)
    store.small(made.name, _small(made, cells, sums, values, step))


def _add(sums: Sums, at: int, found: Mapping[str, np.ndarray], values: list[int]) -> None:
    if "layer" in found:
        layer = found["layer"]
        known = layer[~np.isnan(layer)].astype(np.float64)
        if known.size:
            sums.layer[at] = known.mean(), known.min(), known.max()
        return
    labels = found["labels"]
    sums.labelled[at] = (labels < NONE).any(axis=0).mean()
    for channel in range(len(labels)):
        sums.class_count[at, channel] = np.bincount(labels[channel].ravel(), minlength=256)[values]
    if "claims" in found:
        sums.claimed[at] = (found["claims"] >= 1).mean(), (found["claims"] == 2).mean()


def _small(made: LabelSet, cells: pd.DataFrame, sums: Sums, values: list[int], step: float) -> Small:
    """What is told of each cell beside its pixels, and of the set."""
    about, settings, along = made.about, made.settings, made.coordinates()
    extent = made.extent
    attrs = {
        "ontology": made.ontology.model_dump(mode="json") if made.ontology else None, "resolution_m": step, "kind": settings.kind,
        "licence": settings.licence, "year": settings.year, "family": settings.family, "unknown": made.unknown,
        "source": about["source"], "snapshot": about["snapshot"], "extent": None if extent is None or shapely.is_empty(extent) else shapely.bounds(extent).tolist(),
    }  # fmt: skip
    cell = ("cell",)
    data = {
        "coverage": Variable(
            cell, sums.coverage, {"long_name": "share of the cell that the source covers; NaN: unknown"}
        )
    }
    if made.ontology:
        data["class_count"] = Variable(("cell", "channel", "value"), sums.class_count, {"units": "pixels"})
        data["labelled"] = Variable(cell, sums.labelled, {"long_name": "share of pixels with a class in any channel"})
    else:
        for at, name in enumerate(("mean", "min", "max")):
            data[name] = Variable(cell, sums.layer[:, at], {"long_name": f"{name} of the pixels with data"})
    if settings.parcels and settings.parcels.claims:
        data["claimed"] = Variable(
            ("cell", "claim"),
            sums.claimed,
            {"long_name": "share of pixels that parcels of different classes claim partly or wholly, wholly"},
        )
    coordinates = {
        "cell_id": Variable(cell, cells["cell_id"].to_numpy(dtype=object)),
        "ulx": Variable(cell, cells["ulx"].to_numpy(), {"units": "m", "long_name": "easting of the cell's left edge"}),
        "uly": Variable(
            cell, cells["uly"].to_numpy(), {"units": "m", "long_name": "northing of the cell's upper edge"}
        ),
        "epsg": Variable(cell, cells["epsg"].to_numpy(dtype=np.int32)),
    }
    if values:
        coordinates["value"] = Variable(("value",), np.array(values, dtype=np.uint8))
    for dim, names in along.items():
        if names:
            coordinates[dim] = Variable((dim,), np.array(names, dtype=object))
    return Small(coordinates=coordinates, data=data, attrs=attrs)
