"""zone: one row for each cell of a UTM zone, gathered from its tiles' files, and a summary of every tile."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa

from tilewright.acceptance import period_column
from tilewright.config.bands import COLLECTION_BANDS, NONE, PRIMARY, UNLABELED
from tilewright.errors import TilewrightError
from tilewright.periods import period_summary
from tilewright.store import read_table, table_metadata, write_table
from tilewright.store.small import Small
from tilewright.store.zarrzip import StoreReader

log = logging.getLogger(__name__)

BAND_SUMS = "sums:"  # columns sums:<collection>_<band>_<count|sum|sum_of_squares>, for the statistics only
# Columns days:<collection>, for splits by year only: a list of the days (since 1970-01-01, UTC) of the cell's dates, and
# days:<collection>:primary, of a companion the days of the primary's dates that it is the companion of.
DAYS = "days:"
INTERNAL = (BAND_SUMS, DAYS)
"""How columns begin that are not in the index."""

_OF_CELLS: Final = (
    "cell_id", "tile", "epsg", "ulx", "uly", "size_m", "col", "row", "grid", "lon", "lat", "geometry", "sample", "sample_id",
    "sample_label", "reference_date",
)  # fmt: skip
_OF_A_COLLECTION: Final = (
    "quantity",
    "provider",
    "licence",
    "attribution",
    "comment",
)  # what a series store says of it
# Attributes of a label set that may differ from tile to tile; "unknown": classes that no rule knows, and how often.
_OF_A_TILE: Final = ("extent", "snapshot", "unknown")


@dataclass(frozen=True)
class TileFiles:
    """What the stages wrote for one tile; `companions`: whether collections are paired with the primary."""

    folder: Path
    periods: Sequence[str]
    labels: bool
    companions: bool = False

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

    Metadata: a summary of each tile, and what all tiles share (collections with quantity, provider, licence, attribution and
    their bands by group, label sets with their ontologies).
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
    rows = cells[list(_OF_CELLS)].copy()
    for name in ("sample_id", "sample_label"):
        rows[name] = rows[name].astype(pd.StringDtype("pyarrow"))  # a column of nothing comes back without a type
    summary: dict[str, Any] = {"cells": table_metadata(tile.folder / "cells.parquet")["counts"]}
    with StoreReader(tile.series) as store:
        described: dict[str, Any] = {"software": store.small("").attrs["software"], "collections": {}}
        for name in _collections(store):
            coords = store.small(name)
            described["collections"][name] = {
                key: str(coords.attrs[key]) for key in _OF_A_COLLECTION if key in coords.attrs
            }
            described["collections"][name]["bands"] = _add_series(rows, store, tile, name, coords)
            rows = rows.copy()  # in one piece: of a frame of a hundred pieces pandas warns
    if tile.labels:
        with StoreReader(tile.folder / "labels.zarr.zip") as store:
            columns, described["labels"], summary["labels"] = _label_columns(rows, store, tile)
        rows = gpd.GeoDataFrame(pd.concat([rows, columns], axis=1), geometry="geometry", crs=4326)
        summary["features"] = _features_summary(tile.folder / "features.parquet")
    summary["periods"] = {period: period_summary(tile.folder / period, tile.companions) for period in tile.periods}
    return rows, summary, described


def _collections(store: StoreReader) -> list[str]:
    """Those of a series store, the primary first."""
    names = {name for name in store.groups() if "/" not in name}
    return [key for key in dict.fromkeys([PRIMARY, *COLLECTION_BANDS]) if key in names]


def _joined(rows: pd.DataFrame, coords: Small) -> pd.Series:
    """Row of each cell in a store, −1 where the store has none."""
    place = {str(cell): at for at, cell in enumerate(coords["cell_id"])}
    return rows["cell_id"].map(place).fillna(-1).astype("int32")


def _add_series(
    rows: pd.DataFrame, store: StoreReader, tile: TileFiles, name: str, coords: Small
) -> dict[str, list[str]]:
    """Columns of a collection's series: where it is, its dates and quality, and the sums that the statistics are made of.

    Returns the bands of each of its groups, as {"r10m": ["B02", …]}.

    The cells of all collections are the primary's, in the same order; of the others only the number of dates is in the index.
    """
    at = _joined(rows, coords)
    if name == PRIMARY:
        rows["series_path"] = f"tiles/{tile.tile}/series.zarr.zip"
        rows["series_row"] = at
        _add_dates(rows, coords, at)
    else:
        if not (at == rows["series_row"]).all():
            raise TilewrightError(
                f"{tile.series}: {name} has other cells than {PRIMARY}; delete the file and run again"
            )
        rows[f"{name}_dates"] = np.append(coords["dates"], 0)[at].astype(np.int32)
    for period in tile.periods:
        found = (coords["period"] == period).sum(axis=1)
        rows[period_column(name, period)] = np.append(found, 0)[at].astype(np.int32)
    _add_days(rows, store, name, coords, at)
    bands: dict[str, list[str]] = {}
    for group in (each for each in store.groups() if each.startswith(f"{name}/r")):
        part = store.small(group, ["band_count", "band_sum", "band_sum_of_squares"])
        bands[group.partition("/")[2]] = list(map(str, part["band"]))
        for column, band in enumerate(part["band"]):
            for figure in ("count", "sum", "sum_of_squares"):
                values = part[f"band_{figure}"][:, column] if len(coords["cell_id"]) else np.zeros(1, np.int64)
                rows[f"{BAND_SUMS}{name}_{band}_{figure}"] = np.where(at >= 0, values[at], 0)
    return bands


def _add_dates(rows: pd.DataFrame, coords: Small, at: pd.Series) -> None:
    """Columns of the primary's dates."""
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


def _add_days(rows: pd.DataFrame, store: StoreReader, name: str, coords: Small, at: pd.Series) -> None:
    """Columns of the days of a collection's dates, and of the primary's dates that these belong to."""
    time = coords["time"]
    rows[f"{DAYS}{name}"] = _day_lists(time, ~np.isnat(time), at)
    if name != PRIMARY:
        primary = store.small(PRIMARY)
        of = dict(zip(primary["scene_id"].ravel().tolist(), primary["time"].ravel(), strict=True))
        pairs = coords["pair_of"].ravel().tolist()
        own = np.array([of[pair] if pair else np.datetime64("NaT", "us") for pair in pairs], "datetime64[us]")
        rows[f"{DAYS}{name}:primary"] = _day_lists(own.reshape(time.shape), ~np.isnat(time), at)


def _day_lists(time: np.ndarray, there: np.ndarray, at: pd.Series) -> pd.Series:
    """(cell,) lists of days from (row of the store, date) times; empty where `at` is −1."""
    days = time.astype("datetime64[D]").astype(np.int64).astype(np.int32)
    lists = [days[row][there[row]] if row >= 0 else days[:0].ravel() for row in at]
    return pd.Series(lists, index=at.index, dtype=pd.ArrowDtype(pa.list_(pa.int32())))


def _of_cells(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """float32 values of the cells at rows `at` of a store; NaN for −1."""
    return np.append(values.astype(float), np.nan)[at].astype("float32")


def _label_columns(
    cells: pd.DataFrame, store: StoreReader, tile: TileFiles
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Columns of the label sets; what is the same in all tiles of each set; and what is this tile's own."""
    columns: dict[str, Any] = {"labels_path": f"tiles/{tile.tile}/labels.zarr.zip"}
    described, own = {}, {}
    for name in (group for group in store.groups() if "/" not in group):
        part = store.small(name, ["coverage"])
        own[name] = {key: part.attrs.get(key) for key in _OF_A_TILE}
        described[name] = {key: value for key, value in part.attrs.items() if key not in _OF_A_TILE}
        at = _joined(cells, part)
        columns[f"{name}_row"] = at
        columns[f"{name}_coverage"] = _of_cells(part["coverage"], at)
        columns[f"{name}_year"] = pd.array([part.attrs.get("year")] * len(cells), dtype="Int16")
        if part.attrs["ontology"] is None:
            layer = store.small(name, ["mean", "min", "max"])
            columns |= {f"{name}_{figure}": _of_cells(layer[figure], at) for figure in ("mean", "min", "max")}
        else:
            columns |= _class_columns(store, name, part.attrs["ontology"], at)
    return pd.DataFrame(columns, index=cells.index), described, own


def _class_columns(store: StoreReader, name: str, ontology: dict[str, Any], at: pd.Series) -> dict[str, Any]:
    """Which classes each cell has, and the share of its pixels in each; parcels' claims."""
    part = store.small(name, ["class_count", "labelled"])
    count, values = part["class_count"], part["value"].astype(np.uint8)
    present = (count > 0).any(axis=1) & (values < NONE)
    columns: dict[str, Any] = {
        f"{name}_labelled": _of_cells(part["labelled"], at),
        f"{name}_classes": pd.Series(
            [values[present[row]] if row >= 0 else None for row in at],
            index=at.index, dtype=pd.ArrowDtype(pa.list_(pa.uint8())),
        ),
    }  # fmt: skip
    # a tile without cells has no chunk of it, and no rows that would need the columns
    if store.encoded(f"{name}/claimed", (0, 0)) is not None:
        claimed = store.small(name, ["claimed"])["claimed"]
        for place, how in enumerate(("partly", "wholly")):
            columns[f"{name}_claimed_{how}"] = _of_cells(claimed[:, place], at)
    total = np.maximum(count.sum(axis=-1), 1)
    column = {int(value): place for place, value in enumerate(values)}
    for channel, channel_name in enumerate(map(str, part["channel"])):
        for class_name, value in classes_of(ontology, channel_name):
            share = count[:, channel, column[value]] / total[:, channel]
            columns[share_column(name, channel_name, class_name)] = _of_cells(share, at)
    return columns


def classes_of(ontology: dict[str, Any], channel: str) -> list[tuple[str, int]]:
    """Names and values of a channel's classes, "none" and "unlabeled" last."""
    own = [(each["name"], int(each["value"])) for each in ontology["categories"] if each["channel"] == channel]
    return [*own, ("none", NONE), ("unlabeled", UNLABELED)]


def share_column(label_set: str, channel: str, class_name: str) -> str:
    """The column that holds the share of a cell's pixels in a class."""
    return f"share_{label_set}_{channel}_{class_name}"


def _features_summary(path: Path) -> dict[str, Any]:
    """What features.parquet says of each set's source, without the extent's outline, which may have many corners."""
    about = table_metadata(path)["label_sets"]
    return {name: {key: value for key, value in each.items() if key != "extent"} for name, each in about.items()}
