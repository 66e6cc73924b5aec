"""cells: sample one tile. One row for each cell that is owned, inside the AOI, active, not water and drawn."""

import logging
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from tilewright.config.area import Aoi
from tilewright.config.cell_settings import CellsSettings, Sample, clip_digest, samples_digest
from tilewright.config.cells import Activity, Grids, Reference, Water
from tilewright.draw import draw, lots
from tilewright.errors import TilewrightError
from tilewright.grid import CellTable, Tile, cells_of, inside, load_aoi, placed
from tilewright.grid import tile as tile_named
from tilewright.grid.boxes import cells_boxes
from tilewright.grid.grids import grids_of
from tilewright.grid.rasters import cells_meeting
from tilewright.grid.sample_files import load_samples
from tilewright.grid.samples import cells_around
from tilewright.locations.file import locations_of
from tilewright.store import write_table
from tilewright.store.features import read_arrow
from tilewright.store.geoparquet import with_geometry
from tilewright.vector.project import project

log = logging.getLogger(__name__)

# Two outlines that touch along an edge do not overlap; projecting one of them moves it by less than this.
_EDGE_M: Final = 0.01


class Strategy(Protocol):
    """A way to sample a tile: the cells it may have, before any filter or draw."""

    def __call__(self, tile: Tile, settings: CellsSettings, places: list[Sample]) -> CellTable:
        """Cells that `tile` owns, sorted by (row, col), with the counts of those it does not."""


def lattice(tile: Tile, settings: CellsSettings, places: list[Sample]) -> CellTable:
    """Every cell of the zone's lattice that the tile owns."""
    return cells_of(tile, settings.size_m, settings.stride_m)


def grids(tile: Tile, settings: CellsSettings, places: list[Sample]) -> CellTable:
    """Every cell that the tile owns of lattices from its own corner."""
    chosen = settings.grids or Grids()
    return grids_of(tile, settings.size_m, chosen.offsets_m, chosen.overlaps == "drop")


def samples(tile: Tile, settings: CellsSettings, places: list[Sample]) -> CellTable:
    """A cell around each of the tile's places."""
    numbers = np.array([(each.sample, each.ulx, each.uly) for each in places], np.int64).reshape(-1, 3)
    return cells_around(tile, settings.size_m, *numbers.T)


STRATEGIES: Final[dict[str, Strategy]] = {"lattice": lattice, "grids": grids, "samples": samples}
"""By their names in the config."""


def make_cells(
    tile: str, settings: CellsSettings, output: Path, truth: Path | None = None, locations: Path | None = None
) -> None:
    """Write the tile's cells as GeoParquet, sorted by (row, col); no cells is an empty table, not an error.

    Columns: cell_id, tile, epsg, ulx, uly (upper-left corner, metres), size_m, col, row, grid (number of the lattice from the
    tile's corner, 1 …; 0 for others), sample (number of the place that the cell is around; -1 for others), lon, lat (centre,
    EPSG:4326), sample_id, sample_label (text, null where there is none), reference_date (null where a cell has none of its
    own), draw_order (rank, from 0, in the seeded draw, of samples by their number), geometry (footprint in EPSG:4326). The
    table's metadata has `counts`: `candidates` is the sum of all the others.

    Args:
        tile: the tile's name.
        settings: of the sampling.
        output: the table.
        truth: the normalised source of the label set that `settings.labelled_by` names.
        locations: the file of locations around cities, of strategy samples without places of the user's.

    Raises:
        TilewrightError: an unknown tile; a raster that cannot be read or does not cover a cell; places that are missing or not those
            that the settings were made for.
    """
    table, counts = sampled(tile, settings, truth, locations)
    log.info("tile %s: %s", tile, ", ".join(f"{count} {reason}" for reason, count in counts.items()))
    metadata = {
        "tile": tile,
        "size_m": settings.size_m,
        "strategy": settings.strategy,
        "seed": settings.seed,
        "counts": counts,
    }
    write_table(table, output, metadata)


def sampled(
    tile: str, settings: CellsSettings, truth: Path | None = None, locations: Path | None = None
) -> tuple[pa.Table, dict[str, int]]:
    """The tile's cells, and how many there might be and what became of them: as `make_cells` writes them.

    Raises:
        TilewrightError: see `make_cells`.
    """
    places = _places(tile, settings, locations) if settings.strategy == "samples" else []
    cells = STRATEGIES[settings.strategy](tile_named(tile), settings, places)
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
    lot = lots(settings.seed, cells.cell_id.tolist())
    order = cells.sample.astype(np.uint64) if settings.strategy == "samples" else lot
    cells = keep(rows := _drawn(lot, order, settings), "not_drawn")
    counts["kept"] = len(cells)
    return _table(cells, _rank(order[rows]), {each.sample: each for each in places}, settings), counts


def _places(tile: str, settings: CellsSettings, locations: Path | None) -> list[Sample]:
    """The tile's own places: from the settings, the user's file, or the file of locations around cities.

    Raises:
        TilewrightError: where a file changed since the settings were made, or there are no places at all.
    """
    if settings.samples is not None:
        return settings.samples
    if settings.samples_of is not None:
        table = load_samples(settings.samples_of, settings.size_m)
        if samples_digest(found := table.of(tile)) != settings.samples_digest:
            raise TilewrightError(f"{table.text} changed while the workflow ran: run again")
        return found
    if locations is None:
        raise TilewrightError("cells.strategy: samples needs places: give the file of locations with --locations")
    rows = locations_of(locations, tile)
    at = placed(rows["lon"], rows["lat"], settings.size_m)
    if not (at.tile == tile).all():
        raise TilewrightError(
            f"{locations} was made for cells of another size than {settings.size_m} m: delete it and run again"
        )
    return [
        Sample(sample=number, ulx=ulx, uly=uly, id=None, label=city)
        for number, ulx, uly, city in zip(
            rows["sample"].tolist(), at.ulx.tolist(), at.uly.tolist(), rows["city"], strict=True
        )
    ]


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


def _rank(order: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Place of each cell in the order of its number, from 0; equal ones in the order of the rows."""
    rank = np.empty(len(order), np.int32)
    rank[np.argsort(order, kind="stable")] = np.arange(len(order), dtype=np.int32)
    return rank


def _drawn(lot: NDArray[np.uint64], order: NDArray[np.uint64], settings: CellsSettings) -> NDArray[np.bool_]:
    """Which cells are kept: of a lot below `fraction`, or the first `number` in order; all without either."""
    if settings.fraction is not None and settings.fraction < 1:
        return lot < np.uint64(int(settings.fraction * 2**64))
    return _rank(order) < (len(order) if settings.number is None else settings.number)


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
    found = read_arrow(truth, cells_boxes(cells.columns(), 0))
    if not len(found):
        return np.zeros(len(cells), bool)
    tree = shapely.STRtree(project(shapely.from_wkb(found["geometry"].to_numpy()), cells.tile.epsg))
    left, top, size = cells.ulx.astype(float), cells.uly.astype(float), float(cells.size_m)
    inner = shapely.box(left + _EDGE_M, top - size + _EDGE_M, left + size - _EDGE_M, top - _EDGE_M)
    met = np.zeros(len(cells), bool)
    met[tree.query(inner, predicate="intersects")[0]] = True
    return met


def _table(
    cells: CellTable, draw_order: NDArray[np.int32], places: dict[int, Sample], settings: CellsSettings
) -> pa.Table:
    of = [places.get(number) for number in cells.sample.tolist()]
    if settings.reference is not None:
        keys = np.where(cells.sample >= 0, cells.sample.astype(str), cells.cell_id).tolist()
        dates: list[date | None] = [_shifted(settings.reference, settings.seed, key) for key in keys]
    else:
        dates = [each.date if each else None for each in of]
    columns: dict[str, pa.Array] = {name: pa.array(values) for name, values in cells.columns().items()}
    columns["sample_id"] = pa.array([each.id if each else None for each in of], pa.large_string())
    columns["sample_label"] = pa.array([each.label if each else None for each in of], pa.large_string())
    columns["reference_date"] = pa.array(np.array(dates, "datetime64[us]"))
    columns["draw_order"] = pa.array(draw_order)
    return with_geometry(pa.Table.from_arrays(list(columns.values()), names=list(columns)), cells.polygons())


def _shifted(reference: Reference, seed: int, key: str) -> date:
    """The reference date of a cell: a shift from the seed and the cell's own key, whatever other cells there are."""
    return reference.date - timedelta(draw(seed, "shift", key) % reference.shift_days)
