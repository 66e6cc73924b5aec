"""The lattice of cells, anchored at easting 0 and the equator of each UTM zone, and the one tile that owns each cell."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilewright.errors import TilewrightError
from tilewright.grid.mgrs import EQUATOR_SOUTH_M, SIDE_M, Tile, tiles
from tilewright.grid.zones import lonlat, ring, wholly_in_zone

if TYPE_CHECKING:
    import pandas as pd

DEGREE_DIGITS = 7
"""Degrees are rounded to 1e-7 (about 1 cm), so that they do not differ with the build of PROJ."""


@dataclass(frozen=True, eq=False)
class CellTable:
    """Cells of one tile, sorted by (row, col): arrays of one length.

    `col` counts cells from easting 0 eastwards; `row` counts them from the equator towards the pole. `counts` says what
    became of the lattice cells that the whole tile contains: `candidates`, of which `owned_by_other_tile` and
    `zone_border` are not here.
    """

    tile: Tile
    size_m: int
    col: NDArray[np.int64]
    row: NDArray[np.int64]
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.col)

    @property
    def ulx(self) -> NDArray[np.int64]:
        """Left edges, metres in the tile's UTM zone."""
        return self.col * self.size_m

    @property
    def uly(self) -> NDArray[np.int64]:
        """Upper edges, metres in the tile's UTM zone."""
        return _upper(self.tile, self.row, self.size_m)

    @cached_property
    def cell_id(self) -> NDArray[np.str_]:
        """Identifiers `{tile}-{col}-{row}`, unique for one size."""
        ids = [f"{self.tile.name}-{col}-{row}" for col, row in zip(self.col.tolist(), self.row.tolist(), strict=True)]
        return np.array(ids, dtype=str)

    @cached_property
    def centre(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes (EPSG:4326) of the centres, rounded to 1e-7°."""
        half = self.size_m / 2
        lon, lat = lonlat(self.tile.epsg, self.ulx + half, self.uly - half)
        return lon.round(DEGREE_DIGITS), lat.round(DEGREE_DIGITS)

    def polygons(self) -> NDArray[np.object_]:
        """Footprints as shapely polygons in EPSG:4326: the corners and the middles of the edges, rounded to 1e-7°.

        A cell never crosses its zone's border, so none crosses ±180°.
        """
        import shapely

        lon, lat = lonlat(self.tile.epsg, *ring(self.ulx, self.uly, self.size_m, 2))
        return np.asarray(shapely.polygons(np.stack([lon, lat], axis=-1).round(DEGREE_DIGITS)), dtype=object)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "CellTable":
        """The cells at `rows` (a mask or positions), with the same counts."""
        return CellTable(self.tile, self.size_m, self.col[rows], self.row[rows], self.counts)

    def frame(self) -> "pd.DataFrame":
        """One row a cell: cell_id, tile, epsg, ulx, uly, size_m, col, row, lon, lat (of the centre)."""
        import pandas as pd

        lon, lat = self.centre
        whole = {
            "ulx": self.ulx,
            "uly": self.uly,
            "size_m": np.full(len(self), self.size_m),
            "col": self.col,
            "row": self.row,
        }
        columns = {"cell_id": self.cell_id.astype(object), "tile": np.full(len(self), self.tile.name, object)}
        numbers = {
            key: value.astype(np.int32) for key, value in {"epsg": np.full(len(self), self.tile.epsg), **whole}.items()
        }
        return pd.DataFrame({**columns, **numbers, "lon": lon, "lat": lat})


def cells_of(tile: Tile, size_m: int) -> CellTable:
    """All cells of `size_m` metres that `tile` owns.

    A cell is owned, among the tiles of its zone (and hemisphere) that contain all of it, by the one whose MGRS square
    holds its centre, else by the one with the nearest centre, else by the first by name. Cells that are not wholly in
    the zone (`tilewright.grid.zones`) have no owner. Both are counted in `counts`; a zone-border cell is counted by the
    tile that would own it.

    Raises:
        TilewrightError: where no cell of that size fits in what neighbouring tiles share.
    """
    if not 0 < size_m <= SIDE_M - 100_000 - 60:
        raise TilewrightError(f"cells.size_m: {size_m} m does not fit in the 9.7 km that tiles share: use 20 to 9000")
    west, south, east, north = tile.bounds
    col = np.arange(-(-west // size_m), east // size_m)
    if tile.zone.endswith("N"):
        row = np.arange(max(0, -(-south // size_m)), north // size_m)
    else:
        row = np.arange(max(0, -((north - EQUATOR_SOUTH_M) // size_m)), (EQUATOR_SOUTH_M - south) // size_m)
    mine = _owned(tile, col * size_m, _upper(tile, row, size_m), size_m)
    rows, cols = (each.ravel() for each in np.meshgrid(row, col, indexing="ij"))
    rows, cols = rows[mine.ravel()], cols[mine.ravel()]
    inside = wholly_in_zone(tile.epsg, cols * size_m, _upper(tile, rows, size_m), size_m)
    counts = {
        "candidates": int(mine.size),
        "owned_by_other_tile": int(mine.size - mine.sum()),
        "zone_border": int((~inside).sum()),
    }
    return CellTable(tile, size_m, cols[inside], rows[inside], counts)


def _upper(tile: Tile, row: NDArray[np.int64], size_m: int) -> NDArray[np.int64]:
    """Upper edges of the lattice rows, metres."""
    return (row + 1) * size_m if tile.zone.endswith("N") else EQUATOR_SOUTH_M - row * size_m


def _owned(tile: Tile, ulx: NDArray[np.int64], uly: NDArray[np.int64], size_m: int) -> NDArray[np.bool_]:
    """Which cells of the tile (columns at `ulx`, rows at `uly`) it owns: array (rows, columns).

    All comparisons are of whole numbers (twice the metres), so a tie is a tie on every machine.
    """

    def claim(other: Tile) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
        """Per cell: the tile contains it; its square holds the centre; squared distance of the centres (× 4)."""
        west, south, east, north = other.bounds
        left, bottom, right, top = other.square
        across = (ulx >= west) & (ulx + size_m <= east)
        down = (uly <= north) & (uly - size_m >= south)
        x, y = 2 * ulx + size_m, 2 * uly - size_m
        holds = ((y >= 2 * bottom) & (y < 2 * top))[:, None] & ((x >= 2 * left) & (x < 2 * right))
        far = ((y - south - north) ** 2)[:, None] + (x - west - east) ** 2
        return down[:, None] & across, holds, far

    _, held, distance = claim(tile)
    lost = np.zeros(held.shape, bool)
    table = tiles()
    rows = table.by_zone[tile.epsg]
    close = (np.abs(table.ulx[rows] - tile.ulx) < SIDE_M) & (np.abs(table.uly[rows] - tile.uly) < SIDE_M)
    for other in (table[int(at)] for at in rows[close]):
        if other.name != tile.name:
            contains, holds, far = claim(other)
            nearer = (far < distance) | ((far == distance) & (other.name < tile.name))
            lost |= contains & ((holds & ~held) | ((holds == held) & nearer))
    return ~lost
