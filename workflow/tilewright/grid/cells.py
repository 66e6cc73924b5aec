"""Cells: a table of squares, and the lattice of them, anchored at easting 0 and the equator of each UTM zone."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.errors import TilewrightError
from tilewright.grid.mgrs import EQUATOR_SOUTH_M, Tile, tiles
from tilewright.grid.owners import LARGEST_M, owners
from tilewright.grid.zones import lonlat, ring, wholly_in_zone

Ints = NDArray[np.int64]

DEGREE_DIGITS = 7
"""Degrees are rounded to 1e-7 (about 1 cm), so that they do not differ with the build of PROJ."""


@dataclass(frozen=True, eq=False)
class CellTable:
    """Cells of one tile, sorted by (row, col): arrays of one length.

    Attributes:
        ulx, uly: upper-left corners, metres in the tile's UTM zone.
        col, row: steps from where the strategy begins to count, see what makes the table.
        cell_id: unique in a dataset, whose cells are all of one strategy and size.
        grid: number of the lattice, 1 …, of those from the tile's corner; 0 for others.
        sample: number of the place that a cell was made around; -1 for others.
        counts: what became of all cells that there might be: `candidates`, and those that are not here by reason.
    """

    tile: Tile
    size_m: int
    ulx: Ints
    uly: Ints
    col: Ints
    row: Ints
    cell_id: NDArray[np.str_]
    grid: Ints
    sample: Ints
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.col)

    @cached_property
    def centre(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes (EPSG:4326) of the centres, rounded to 1e-7°."""
        half = self.size_m / 2
        lon, lat = lonlat(self.tile.epsg, self.ulx + half, self.uly - half)
        return _wrapped(lon).round(DEGREE_DIGITS), lat.round(DEGREE_DIGITS)

    def polygons(self) -> NDArray[np.object_]:
        """Footprints as shapely polygons in EPSG:4326: the corners and the middles of the edges, rounded to 1e-7°.

        No strategy makes a cell that crosses ±180°.
        """
        import shapely

        lon, lat = lonlat(self.tile.epsg, *ring(self.ulx, self.uly, self.size_m, 2))
        return np.asarray(shapely.polygons(np.stack([_wrapped(lon), lat], axis=-1).round(DEGREE_DIGITS)), dtype=object)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "CellTable":
        """The cells at `rows` (a mask or positions), with the same counts."""
        return replace(
            self, ulx=self.ulx[rows], uly=self.uly[rows], col=self.col[rows], row=self.row[rows],
            cell_id=self.cell_id[rows], grid=self.grid[rows], sample=self.sample[rows],
        )  # fmt: skip

    def columns(self) -> dict[str, NDArray[Any]]:
        """By name, a value for each cell: cell_id, tile, epsg, ulx, uly, size_m, col, row, grid, sample, lon, lat (of the centre)."""
        lon, lat = self.centre
        whole = {
            "ulx": self.ulx,
            "uly": self.uly,
            "size_m": np.full(len(self), self.size_m),
            "col": self.col,
            "row": self.row,
            "grid": self.grid,
        }
        columns = {"cell_id": self.cell_id.astype(object), "tile": np.full(len(self), self.tile.name, object)}
        numbers = {
            key: value.astype(np.int32) for key, value in {"epsg": np.full(len(self), self.tile.epsg), **whole}.items()
        }
        return {**columns, **numbers, "sample": self.sample, "lon": lon, "lat": lat}


def _wrapped(lon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes of cells within ±180: a tile of the first or last zone reaches beyond, and a place there may have its cell."""
    return lon - 360 * np.sign(lon) * (np.abs(lon) > 180)


def cells_of(tile: Tile, size_m: int, stride_m: int | None = None) -> CellTable:
    """All cells of the lattice that `tile` owns: squares of `size_m` metres, one every `stride_m` metres (default: `size_m`).

    `col` counts strides from easting 0 eastwards; `row` from the equator towards the pole. A cell is owned by one tile
    (`tilewright.grid.owners`); one that is not wholly in the zone (`tilewright.grid.zones`) by none. Both are counted in
    `counts`; a zone-border cell is counted by the tile that would own it.

    Raises:
        TilewrightError: where no cell of that size fits in what neighbouring tiles share.
    """
    refuse_size(size_m)
    stride = size_m if stride_m is None else stride_m
    west, south, east, north = tile.bounds
    col = np.arange(-(-west // stride), (east - size_m) // stride + 1)
    near, far = (south, north) if tile.zone.endswith("N") else (EQUATOR_SOUTH_M - north, EQUATOR_SOUTH_M - south)
    row = np.arange(max(0, -(-near // stride)), (far - size_m) // stride + 1)
    rows, cols = (each.ravel() for each in np.meshgrid(row, col, indexing="ij"))
    ulx = cols * stride
    uly = rows * stride + size_m if tile.zone.endswith("N") else EQUATOR_SOUTH_M - rows * stride
    mine, inside = owned(tile, ulx, uly, size_m)
    counts = {
        "candidates": len(mine),
        "owned_by_other_tile": int((~mine).sum()),
        "zone_border": int((mine & ~inside).sum()),
    }
    ulx, uly, cols, rows = (each[inside] for each in (ulx, uly, cols, rows))
    ids = [f"{tile.name}-{col}-{row}" for col, row in zip(cols.tolist(), rows.tolist(), strict=True)]
    none = np.zeros(len(ids), np.int64)
    return CellTable(tile, size_m, ulx, uly, cols, rows, np.array(ids, dtype=str), none, none - 1, counts)


def refuse_size(size_m: int) -> None:
    """Raises TilewrightError where a cell of that size need not fit wholly in any of the tiles around it."""
    if not 0 < size_m <= LARGEST_M:
        raise TilewrightError(f"cells.size_m: {size_m} m does not fit in the 9.7 km that tiles share: use 20 to 9000")


def owned(tile: Tile, ulx: Ints, uly: Ints, size_m: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which squares `tile` owns, and which of those lie wholly in its zone."""
    mine = owners(tile.epsg, ulx, uly, size_m) == np.searchsorted(tiles().name, tile.name)
    inside = mine.copy()
    inside[mine] = wholly_in_zone(tile.epsg, ulx[mine], uly[mine], size_m)
    return mine, inside
