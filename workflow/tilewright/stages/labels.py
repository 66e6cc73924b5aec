"""The stage `labels`: features rasterised onto every cell, by the ontology.

cells.parquet, features.parquet, ontology  →  labels.zarr.zip
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj

from tilewright.config.label_settings import LabelSetSettings, LabelsSettings
from tilewright.errors import TilewrightError
from tilewright.store import read_table, table_metadata
from tilewright.store.small import Small, Variable
from tilewright.store.zarrzip import StoreWriter
from tilewright.vector.burn import Burner
from tilewright.vector.ontology import NONE, UNLABELED, Ontology, load_ontology

FORMAT = "tilewright-labels-1"


def inside_extent(
    epsg: int, ulx: float, uly: float, side: int, step: float, extent: Sequence[float] | None
) -> np.ndarray:
    """Which pixel centres of a cell lie in `extent` (west, south, east, north in degrees; west > east crosses ±180).

    All do where `extent` is unknown (None). Returns bool (y, x), `side` pixels of `step` metres a side.
    """
    whole = np.ones((side, side), dtype=bool)
    if extent is None:
        return whole
    west, south, east, north = extent
    at = (np.arange(side) + 0.5) * step
    x, y = np.meshgrid(ulx + at, uly - at)
    # If the border row and columns are inside, all is: the projected box has no holes.
    rim = np.zeros((side, side), dtype=bool)
    rim[[0, -1], :] = rim[:, [0, -1]] = True
    to_lonlat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        lon, lat = to_lonlat.transform(x, y)
        across = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
        return across & (lat >= south) & (lat <= north)

    return whole if inside(x[rim], y[rim]).all() else inside(x, y)


def make_labels(cells: Path, features: Path, settings: LabelsSettings, output: Path) -> None:
    """Write `output`: per label set a group with `labels` uint8 (cell, channel, y, x), chunk = one cell.

    Beside it `class_count` int32 (cell, channel, value), `labelled` float64 (cell): share of pixels with a class in any
    channel, `coverage` float64 (cell): share of the cell's pixels inside the
    source's extent, NaN where the extent is unknown; coordinates cell_id, channel, value, ulx, uly (metres), epsg. Pixels
    outside the extent are UNLABELED. The group's attributes hold the ontology, licence, snapshot and extent.

    Raises:
        TilewrightError: for a bad ontology, cells of more than one size or not whole pixels, or features that lack a set.
    """
    ontologies = {name: load_ontology(each.ontology) for name, each in sorted(settings.sets.items())}
    table = read_table(cells)
    every = read_table(features, columns=["label_set", "kind", "tags", "geometry"])
    about = table_metadata(features)["label_sets"]
    if lacking := sorted(set(ontologies) - set(about)):
        raise TilewrightError(
            f"labels.{lacking[0]}: {features} has no features of this set: run the rule features again"
        )
    sizes = sorted(set(table["size_m"].tolist())) or [table_metadata(cells).get("size_m", 0)]
    if len(sizes) > 1:
        raise TilewrightError(f"{cells}: cells of {sizes[0]} and {sizes[1]} m in one tile: run the rule cells again")
    attrs: dict[str, Any] = {"format": FORMAT}
    if table.empty:
        attrs["reason"] = "the tile has no cells"
    with StoreWriter(output, attrs) as store:
        for name, ontology in ontologies.items():
            mine = every[every["label_set"] == name]
            _write_set(store, name, settings.sets[name], ontology, table, int(sizes[0]), mine, about[name])


def _write_set(
    store: StoreWriter, name: str, settings: LabelSetSettings, ontology: Ontology, cells: pd.DataFrame, size_m: int,
    features: gpd.GeoDataFrame, about: dict[str, Any],
) -> None:  # fmt: skip
    step = settings.resolution_m
    if size_m % step:
        raise TilewrightError(
            f"labels.{name}.resolution_m: cells of {size_m} m are not whole pixels of {step} m: use 10, 5, 2 or 1"
        )
    side, channels, values = size_m // step, [channel.name for channel in ontology.channels], ontology.values()
    store.array(
        f"{name}/labels", (len(cells), len(channels), side, side), "uint8", (1, len(channels), max(side, 1), max(side, 1)),
        ("cell", "channel", "y", "x"), {"long_name": "class", "resolution_m": step}, fill_value=UNLABELED,
    )  # fmt: skip
    count = np.zeros((len(cells), len(channels), len(values)), dtype=np.int32)
    coverage = np.full(len(cells), np.nan)
    labelled = np.zeros(len(cells))
    burners = {epsg: Burner(ontology, features, epsg, step) for epsg in sorted(set(cells["epsg"].astype(int).tolist()))}
    corners = zip(cells["epsg"].astype(int).tolist(), cells["ulx"].tolist(), cells["uly"].tolist(), strict=True)
    for at, (epsg, ulx, uly) in enumerate(corners):
        labels = burners[epsg].cell(ulx, uly, size_m)
        if about["extent"] is not None:
            inside = inside_extent(epsg, ulx, uly, side, step, about["extent"])
            labels[:, ~inside] = UNLABELED
            coverage[at] = inside.mean()
        store.put(f"{name}/labels", (at, 0, 0, 0), labels[None])
        labelled[at] = (labels < NONE).any(axis=0).mean()
        for channel in range(len(channels)):
            count[at, channel] = np.bincount(labels[channel].ravel(), minlength=256)[values]
    attrs = {
        "ontology": ontology.model_dump(mode="json"), "resolution_m": step,
        "licence": settings.licence, **{key: about[key] for key in ("source", "snapshot", "extent")},
    }  # fmt: skip
    variables = Small(
        data={
            "class_count": Variable(("cell", "channel", "value"), count, {"units": "pixels"}),
            "labelled": Variable(
                ("cell",), labelled, {"long_name": "share of the cell's pixels with a class in any channel"}
            ),
            "coverage": Variable(
                ("cell",),
                coverage,
                {"long_name": "share of the cell inside the source's extent; NaN: extent unknown"},
            ),
        },
        coordinates={
            "cell_id": Variable(("cell",), cells["cell_id"].to_numpy(dtype=object)),
            "channel": Variable(("channel",), np.array(channels, dtype=object)),
            "value": Variable(("value",), np.array(values, dtype=np.uint8)),
            "ulx": Variable(
                ("cell",), cells["ulx"].to_numpy(), {"units": "m", "long_name": "easting of the cell's left edge"}
            ),
            "uly": Variable(
                ("cell",),
                cells["uly"].to_numpy(),
                {"units": "m", "long_name": "northing of the cell's upper edge"},
            ),
            "epsg": Variable(("cell",), cells["epsg"].to_numpy(dtype=np.int32)),
        },
        attrs=attrs,
    )
    store.small(name, variables)
