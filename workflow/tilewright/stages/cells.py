"""cells: sample one tile. One row for each cell that is owned, inside the AOI, active, not water and drawn."""

import hashlib
import logging
from pathlib import Path
from typing import Final, Protocol

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from tilewright.config.area import Aoi
from tilewright.config.cell_settings import CellsSettings, clip_digest
from tilewright.config.cells import Activity, Water
from tilewright.errors import TilewrightError
from tilewright.grid import CellTable, Tile, cells_of, inside, load_aoi
from tilewright.grid import tile as tile_named
from tilewright.grid.boxes import cells_boxes
from tilewright.grid.rasters import cells_meeting
from tilewright.store import write_table
from tilewright.store.features import read_features
from tilewright.vector.project import project

log = logging.getLogger(__name__)

# Two outlines that touch along an edge do not overlap; projecting one of them moves it by less than this.
_EDGE_M: Final = 0.01


class Strategy(Protocol):
    """A way to sample a tile: the cells it may have, before any filter or draw."""

    def __call__(self, tile: Tile, settings: CellsSettings) -> CellTable:
        """Cells that `tile` owns, sorted by (row, col), with the counts of those it does not."""


def lattice(tile: Tile, settings: CellsSettings) -> CellTable:
    """Every cell of the zone's lattice that the tile owns."""
    return cells_of(tile, settings.size_m)


STRATEGIES: Final[dict[str, Strategy]] = {"lattice": lattice}
"""By their names in the config."""


def make_cells(tile: str, settings: CellsSettings, output: Path, truth: Path | None = None) -> None:
    """Write the tile's cells as GeoParquet, sorted by (row, col); no cells is an empty table, not an error.

    Columns: cell_id, tile, epsg, ulx, uly (upper-left corner, metres), size_m, col, row, lon, lat (centre, EPSG:4326),
    reference_date (null where a cell has none of its own), draw_order (rank in the seeded draw, from 0), geometry
    (footprint in EPSG:4326). The table's metadata has `counts`: `candidates` is the sum of all the others.

    Args:
        tile: the tile's name.
        settings: of the sampling.
        output: the table.
        truth: the normalised source of the label set that `settings.labelled_by` names.

    Raises:
        TilewrightError: an unknown tile, or a raster that cannot be read or does not cover a cell.
    """
    cells = STRATEGIES[settings.strategy](tile_named(tile), settings)
    counts = dict(cells.counts)

    def keep(rows: NDArray[np.bool_], reason: str) -> CellTable:
        counts[reason] = len(cells) - int(rows.sum())
        return cells.take(rows)

    cells = keep(inside(_clip(tile, settings), cells), "outside_aoi")
    cells = keep(_active(cells, settings.activity), "inactive")
    cells = keep(~_water(cells, settings.water), "water")
    if settings.labelled_by is not None:
        if truth is None:
            raise TilewrightError(
                f"cells.labelled_by: give the normalised source of {settings.labelled_by} with --truth"
            )
        cells = keep(_labelled(cells, truth), "no_ground_truth")
    draw = draws(settings.seed, cells.cell_id)
    cells = keep(rows := _drawn(draw, settings), "not_drawn")
    counts["kept"] = len(cells)
    log.info("tile %s: %s", tile, ", ".join(f"{count} {reason}" for reason, count in counts.items()))
    table = _table(cells, _rank(draw[rows]))
    metadata = {
        "tile": tile,
        "size_m": settings.size_m,
        "strategy": settings.strategy,
        "seed": settings.seed,
        "counts": counts,
    }
    write_table(table, output, metadata)


def _clip(tile: str, settings: CellsSettings) -> str | None:
    """The AOI in the tile, from the settings or, where it is too long for them, from the AOI's file.

    Raises:
        TilewrightError: where the file changed since the settings were made.
    """
    if settings.clip_file is None:
        return settings.clip
    clip = load_aoi(Aoi(file=settings.clip_file)).clip(tile)
    if clip is None or clip_digest(clip) != settings.clip_digest:
        raise TilewrightError(f"aoi.file: {settings.clip_file} changed while the workflow ran: run again")
    return clip


def draws(seed: int, cell_ids: NDArray[np.str_]) -> NDArray[np.uint64]:
    """Each cell's lot, uniform in 0 … 2**64 - 1, from the seed and its own name only: no other cell moves it."""
    lots = [hashlib.blake2b(f"{seed}:{cell}".encode(), digest_size=8).digest() for cell in cell_ids.tolist()]
    return np.frombuffer(b"".join(lots), ">u8").astype(np.uint64)


def _rank(draw: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Place of each cell in the order of its lot, from 0; equal lots in the order of the rows."""
    rank = np.empty(len(draw), np.int32)
    rank[np.argsort(draw, kind="stable")] = np.arange(len(draw), dtype=np.int32)
    return rank


def _drawn(draw: NDArray[np.uint64], settings: CellsSettings) -> NDArray[np.bool_]:
    """Which cells the seeded draw keeps: a lot below `fraction`, or the `number` smallest lots; all without either."""
    if settings.fraction is not None and settings.fraction < 1:
        return draw < np.uint64(int(settings.fraction * 2**64))
    return _rank(draw) < (len(draw) if settings.number is None else settings.number)


def _active(cells: CellTable, activity: Activity | None) -> NDArray[np.bool_]:
    """Which cells a pixel above the threshold overlaps, in any of the files.

    Nodata is not active. A cell that no file covers wholly and where none shows activity is an error: it would pass
    missing data off as an empty place.
    """
    if activity is None:
        return np.ones(len(cells), bool)
    met, covered = np.zeros((2, len(cells)), bool)
    for file in activity.files:
        meeting = cells_meeting(
            file, "cells.activity.files", cells, lambda values, nodata: (values > activity.threshold) & ~nodata
        )
        met |= meeting.met
        covered |= meeting.covered
    if (unknown := ~met & ~covered).any():
        raise TilewrightError(
            f"cells.activity.files: {', '.join(activity.files)} does not cover {int(unknown.sum())} cells of tile "
            f"{cells.tile.name} (such as {cells.cell_id[unknown][0]}); give a raster that does, or a smaller aoi"
        )
    return met


def _water(cells: CellTable, water: Water | None) -> NDArray[np.bool_]:
    """Which cells are wholly water: covered by the raster, and no pixel of another value (or nodata) overlaps them."""
    if water is None:
        return np.zeros(len(cells), bool)
    meeting = cells_meeting(
        water.file, "cells.water.file", cells, lambda values, nodata: ~np.isin(values, water.values) | nodata
    )
    return meeting.covered & ~meeting.met


def _labelled(cells: CellTable, truth: Path) -> NDArray[np.bool_]:
    """Which cells a feature of a normalised label source meets, by more than an edge."""
    found = read_features(truth, cells_boxes(cells.frame(), 0))
    if found.empty:
        return np.zeros(len(cells), bool)
    tree = shapely.STRtree(project(found.geometry.to_numpy(), cells.tile.epsg))
    frame = cells.frame()
    left, top, size = frame["ulx"].to_numpy(float), frame["uly"].to_numpy(float), frame["size_m"].to_numpy(float)
    inner = shapely.box(left + _EDGE_M, top - size + _EDGE_M, left + size - _EDGE_M, top - _EDGE_M)
    met = np.zeros(len(cells), bool)
    met[tree.query(inner, predicate="intersects")[0]] = True
    return met


def _table(cells: CellTable, draw_order: NDArray[np.int32]) -> gpd.GeoDataFrame:
    frame = cells.frame()
    frame["reference_date"] = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]")
    frame["draw_order"] = draw_order
    return gpd.GeoDataFrame(frame, geometry=cells.polygons(), crs="EPSG:4326")
