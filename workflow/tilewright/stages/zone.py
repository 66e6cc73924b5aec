"""zone: one row for each cell of a UTM zone, gathered from its tiles' files, and a summary of every tile."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from tilewright.config.bands import NONE, UNLABELED
from tilewright.store import read_table, table_metadata, write_table
from tilewright.store.small import Small
from tilewright.store.zarrzip import StoreReader

log = logging.getLogger(__name__)

BAND_SUMS = "sums:"  # columns sums:<collection>_<band>_<count|sum|sum_of_squares>, for the statistics only


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
    """Write `zones/<zone>.parquet`: the rows of all cells of `tiles`, by tile and cell.

    Metadata: a summary of each tile, and what all tiles share (provider, licence, label sets with their ontologies).
    """
    parts, summaries = [], {}
    described: dict[str, Any] = {}
    for tile in tiles:
        part, summary, described = tile_rows(tile)
        parts.append(part)
        summaries[tile.tile] = summary
    rows = pd.concat(parts, ignore_index=True)
    log.info("%d cells of %d tiles", len(rows), len(tiles))
    write_table(gpd.GeoDataFrame(rows, geometry="geometry", crs=4326), output, {"tiles": summaries, **described})


def tile_rows(tile: TileFiles) -> tuple[gpd.GeoDataFrame, dict[str, Any], dict[str, Any]]:
    """The rows of one tile's cells, its summary (counts of cells, scenes, refusals), and what all tiles share."""
    cells = read_table(tile.folder / "cells.parquet")
    rows = cells[["cell_id", "tile", "epsg", "ulx", "uly", "size_m", "col", "row", "lon", "lat", "geometry"]].copy()
    summary: dict[str, Any] = {"cells": table_metadata(tile.folder / "cells.parquet")["counts"]}
    with StoreReader(tile.series) as store:
        root = store.small("")
        described = {key: root.attrs[key] for key in ("provider", "licence", "attribution", "software")}
        _add_series(rows, store, tile)
    if tile.labels:
        with StoreReader(tile.folder / "labels.zarr.zip") as store:
            described["labels"] = _add_labels(rows, store, tile)
        summary["features"] = table_metadata(tile.folder / "features.parquet")["label_sets"]
    summary["periods"] = {period: _period_summary(tile.folder / period) for period in tile.periods}
    return rows, summary, described


def _joined(rows: pd.DataFrame, coords: Small) -> pd.Series:
    """Row of each cell in a store, −1 where the store has none."""
    place = {str(cell): at for at, cell in enumerate(coords["cell_id"])}
    return rows["cell_id"].map(place).fillna(-1).astype("int32")


def _add_series(rows: pd.DataFrame, store: StoreReader, tile: TileFiles) -> None:
    """Columns of the series: where it is, its dates and quality, and the sums that the statistics are made of."""
    names = [name for name in store.groups() if "/" not in name]
    coords = store.small(names[0])
    at = _joined(rows, coords)
    rows["series_path"] = f"tiles/{tile.tile}/series.zarr.zip"
    rows["series_row"] = at
    time, bad = coords["time"], coords["bad_fraction"]
    found = [time[row][~np.isnat(time[row])] if row >= 0 else time[:0].ravel() for row in at]
    rows["dates"] = np.array([len(one) for one in found], np.int32)
    rows["first_date"] = pd.Series(
        [one.min() if len(one) else np.datetime64("NaT", "us") for one in found], dtype="datetime64[us]"
    )
    rows["last_date"] = pd.Series(
        [one.max() if len(one) else np.datetime64("NaT", "us") for one in found], dtype="datetime64[us]"
    )
    mean_bad = [float(bad[row, : len(one)].mean()) if len(one) else np.nan for row, one in zip(at, found, strict=True)]
    rows["mean_bad_fraction"] = np.array(mean_bad, np.float32)
    for group in (name for name in store.groups() if name.split("/")[-1].startswith("r")):
        part = store.small(group, ["band_count", "band_sum", "band_sum_of_squares"])
        for column, band in enumerate(part["band"]):
            for name in ("count", "sum", "sum_of_squares"):
                values = part[f"band_{name}"][:, column] if len(coords["cell_id"]) else np.zeros(1, np.int64)
                rows[f"{BAND_SUMS}{names[0]}_{band}_{name}"] = np.where(at >= 0, values[at], 0)


def _add_labels(rows: pd.DataFrame, store: StoreReader, tile: TileFiles) -> dict[str, Any]:
    """Columns of the labels: where they are, coverage, and the share of the cell's pixels in each class."""
    described = {}
    for name in (group for group in store.groups() if "/" not in group):
        part = store.small(name, ["class_count", "coverage", "labelled"])
        described[name] = dict(part.attrs)
        at = _joined(rows, part)
        rows["labels_path"] = f"tiles/{tile.tile}/labels.zarr.zip"
        rows[f"{name}_row"] = at
        rows[f"{name}_coverage"] = np.where(
            at >= 0, part["coverage"][at] if len(part["cell_id"]) else np.nan, np.nan
        ).astype("float32")
        rows[f"{name}_labelled"] = np.where(
            at >= 0, part["labelled"][at] if len(part["cell_id"]) else np.nan, np.nan
        ).astype("float32")
        count = part["class_count"]
        total = np.maximum(count.sum(axis=-1), 1)
        column = {int(value): at for at, value in enumerate(part["value"])}
        for channel, channel_name in enumerate(part["channel"]):
            for class_name, value in classes_of(part.attrs["ontology"], str(channel_name)):
                share = count[:, channel, column[value]] / total[:, channel] if len(count) else np.zeros(1)
                rows[share_column(name, str(channel_name), class_name)] = np.where(at >= 0, share[at], np.nan).astype(
                    "float32"
                )
    return described


def classes_of(ontology: dict[str, Any], channel: str) -> list[tuple[str, int]]:
    """Names and values of a channel's classes, "none" and "unlabeled" last."""
    own = [(each["name"], int(each["value"])) for each in ontology["categories"] if each["channel"] == channel]
    return [*own, ("none", NONE), ("unlabeled", UNLABELED)]


def share_column(label_set: str, channel: str, class_name: str) -> str:
    """The column that holds the share of a cell's pixels in a class."""
    return f"share_{label_set}_{channel}_{class_name}"


def months_of(times: pd.Series) -> dict[str, int]:
    """How many of `times` lie in each month (2019-07)."""
    return dict(sorted(Counter(pd.to_datetime(times).dt.strftime("%Y-%m")).items()))


def _period_summary(folder: Path) -> dict[str, Any]:
    """Scenes found and used, by month; patches by month; refusals of (cell, scene) by reason, and how many were unneeded."""
    scenes = read_table(folder / "scenes.parquet")
    chosen = read_table(folder / "selection.parquet")
    used = chosen[chosen["status"] == "used"]
    time = scenes.set_index("scene_id")["datetime"]
    reasons = Counter(str(reason).split(":")[0] for reason in chosen.loc[chosen["status"] == "refused", "reason"])
    broken = sorted(
        {f"{row.scene_id}: {row.reason}" for row in chosen.itertuples() if str(row.reason).startswith("broken")}
    )
    return {
        "scenes": len(scenes), "scenes_used": int(used["scene_id"].nunique()), "patches": len(used),
        "unneeded": int((chosen["status"] == "unneeded").sum()), "scenes_by_month": months_of(scenes["datetime"]),
        "patches_by_month": months_of(time.loc[used["scene_id"]]), "refusals": dict(sorted(reasons.items())), "broken": broken,
        "radiometry": dict(sorted(Counter(scenes["radiometry"]).items())),
        "rule": table_metadata(folder / "selection.parquet")["rule"],
    }  # fmt: skip
