"""zone: one row for each cell of a UTM zone, gathered from its tiles' files, and a summary of every tile."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from tilewright.store import StoreReader, read_table, table_metadata, write_table

log = logging.getLogger(__name__)

SHARE = "share_"  # columns share_<set>_<channel>_<class>: part of the cell's pixels


@dataclass(frozen=True)
class TileFiles:
    """What the stages wrote for one tile."""

    folder: Path
    periods: Sequence[str]
    labels: bool

    @property
    def tile(self) -> str:
        """The tile's name, which is its folder's."""
        return self.folder.name

    @property
    def series(self) -> Path:
        """Its series store."""
        return self.folder / "series.zarr.zip"


def make_zone(tiles: Sequence[TileFiles], output: Path) -> None:
    """Write `zones/<zone>.parquet`: the rows of all cells of `tiles`, by tile and cell; metadata: a summary a tile."""
    parts, summaries = [], {}
    for tile in tiles:
        part, summary = tile_rows(tile)
        parts.append(part)
        summaries[tile.tile] = summary
    rows = pd.concat(parts, ignore_index=True)
    log.info("%d cells of %d tiles", len(rows), len(tiles))
    write_table(gpd.GeoDataFrame(rows, geometry="geometry", crs=4326), output, {"tiles": summaries})


def tile_rows(tile: TileFiles) -> tuple[gpd.GeoDataFrame, dict[str, Any]]:
    """The rows of one tile's cells and its summary (counts of cells, scenes, refusals, scenes by month)."""
    cells = read_table(tile.folder / "cells.parquet")
    rows = cells[["cell_id", "tile", "epsg", "ulx", "uly", "size_m", "col", "row", "lon", "lat", "geometry"]].copy()
    summary: dict[str, Any] = {"cells": table_metadata(tile.folder / "cells.parquet")}
    with StoreReader(tile.series) as store:
        root = store.group("")
        summary |= {key: root.attrs[key] for key in ("provider", "licence", "attribution", "software")}
        _add_series(rows, store, tile)
    if tile.labels:
        with StoreReader(tile.folder / "labels.zarr.zip") as store:
            summary["labels"] = _add_labels(rows, store, tile)
        summary["features"] = table_metadata(tile.folder / "features.parquet")
    summary["periods"] = {period: _period_summary(tile.folder / period) for period in tile.periods}
    return rows, summary


def _joined(rows: pd.DataFrame, coords: xr.Dataset) -> pd.Series:
    """Row of each cell in a store, −1 where the store has none."""
    place = {str(cell): at for at, cell in enumerate(coords["cell_id"].values)}
    return rows["cell_id"].map(place).fillna(-1).astype("int32")


def _add_series(rows: pd.DataFrame, store: StoreReader, tile: TileFiles) -> None:
    """Columns of the series: where it is, its dates and quality, and the sums that the statistics are made of."""
    names = [name for name in store.groups() if "/" not in name]
    coords = store.group(names[0]).load()
    at = _joined(rows, coords)
    rows["series_path"] = f"tiles/{tile.tile}/series.zarr.zip"
    rows["series_row"] = at
    time, bad = coords["time"].values, coords["bad_fraction"].values
    found = [time[row][~np.isnat(time[row])] if row >= 0 else time[:0].ravel() for row in at]
    rows["dates"] = np.array([len(one) for one in found], np.int32)
    rows["first_date"] = pd.Series([one.min() if len(one) else np.datetime64("NaT", "us") for one in found], dtype="datetime64[us]")
    rows["last_date"] = pd.Series([one.max() if len(one) else np.datetime64("NaT", "us") for one in found], dtype="datetime64[us]")
    mean_bad = [float(bad[row, : len(one)].mean()) if len(one) else np.nan for row, one in zip(at, found, strict=True)]
    rows["mean_bad_fraction"] = np.array(mean_bad, np.float32)
    for group in (name for name in store.groups() if name.split("/")[-1].startswith("r")):
        part = store.group(group)[["band_count", "band_sum", "band_sum_of_squares"]].load()
        for column, band in enumerate(part["band"].values):
            for name in ("count", "sum", "sum_of_squares"):
                values = part[f"band_{name}"].values[:, column] if part.sizes["cell"] else np.zeros(1, np.int64)
                rows[f"{names[0]}_{band}_{name}"] = np.where(at >= 0, values[at], 0)


def _add_labels(rows: pd.DataFrame, store: StoreReader, tile: TileFiles) -> dict[str, Any]:
    """Columns of the labels: where they are, coverage, and the share of the cell's pixels in each class."""
    described = {}
    for name in (group for group in store.groups() if "/" not in group):
        part = store.group(name)[["class_count", "coverage"]].load()
        attrs = store.group(name).attrs
        ontology = attrs["ontology"] if isinstance(attrs["ontology"], dict) else json.loads(attrs["ontology"])
        described[name] = {**{key: value for key, value in attrs.items() if key != "ontology"}, "ontology": ontology}
        at = _joined(rows, part)
        rows["labels_path"] = f"tiles/{tile.tile}/labels.zarr.zip"
        rows[f"{name}_row"] = at
        rows[f"{name}_coverage"] = np.where(at >= 0, part["coverage"].values[at] if part.sizes["cell"] else np.nan, np.nan).astype("float32")
        count = part["class_count"].values
        for channel, channel_name in enumerate(part["channel"].values):
            for column, (class_name, _) in enumerate(class_names(ontology, str(channel_name), part["value"].values)):
                if class_name is not None and part.sizes["cell"]:
                    share = count[:, channel, column] / count[:, channel].sum(axis=-1)
                    rows[f"{SHARE}{name}_{channel_name}_{class_name}"] = np.where(at >= 0, share[at], np.nan).astype("float32")
    return described


def class_names(ontology: dict[str, Any], channel: str, values: np.ndarray) -> list[tuple[str | None, int]]:
    """Name of each label value in a channel, None where the channel has no such class."""
    found = next(each for each in ontology["channels"] if each["name"] == channel)
    names = {category["value"]: category["name"] for category in found["categories"]} | {254: "none", 255: "unlabeled"}
    return [(names.get(int(value)), int(value)) for value in values]


def _period_summary(folder: Path) -> dict[str, Any]:
    """Scenes found, refused and used, months of the used patches, and refusals of (cell, scene) by reason."""
    scenes = read_table(folder / "scenes.parquet")
    chosen = read_table(folder / "selection.parquet")
    used = chosen[chosen["status"] == "used"]
    time = scenes.set_index("scene_id")["datetime"]
    months = Counter(pd.to_datetime(time.loc[used["scene_id"]]).dt.strftime("%Y-%m"))
    reasons = Counter(str(reason).split(":")[0] for reason in chosen.loc[chosen["status"] == "refused", "reason"])
    broken = sorted({f"{row.scene_id}: {row.reason}" for row in chosen.itertuples() if str(row.reason).startswith("broken")})
    return {
        "scenes": len(scenes), "scenes_used": int(used["scene_id"].nunique()), "patches": len(used),
        "patches_by_month": dict(sorted(months.items())), "refusals": dict(sorted(reasons.items())), "broken": broken,
        "radiometry": dict(sorted(Counter(scenes["radiometry"]).items())),
        "rule": table_metadata(folder / "selection.parquet")["rule"],
    }  # fmt: skip
