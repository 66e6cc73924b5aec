"""Cells around places: the square nearest to a point on the 60 m grid that all tiles of a zone share, and its owner."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewright.grid.cells import CellTable
from tilewright.grid.mgrs import EQUATOR_SOUTH_M, Tile, tiles
from tilewright.grid.owners import owners
from tilewright.grid.zones import Floats, central_meridian, lonlat, ring, to_degrees, zone_of

STEP_M: Final = 60
"""Edges of a sample's cell lie on whole multiples of this from easting 0 and from the equator, as those of tiles do."""

NO_TILE: Final = "no_tile"
ANTIMERIDIAN: Final = "antimeridian"

_NEIGHBOURS: Final = 3  # zones tried besides a point's own: around Svalbard the next zone is two numbers away


@dataclass(frozen=True, eq=False)
class Placed:
    """Where the cells of some points lie: arrays of one length, in the order of the points.

    Attributes:
        tile: name of the tile that owns the cell; empty where there is no cell.
        epsg: of the tile's UTM zone; 0 where there is no cell, as the next two.
        ulx, uly: upper-left corner of the cell, metres in that zone.
        reason: empty, or why there is no cell: `no_tile` (no tile contains all of it: the poles) or
            `antimeridian` (it would cross ±180°).
    """

    tile: NDArray[np.str_]
    epsg: NDArray[np.int64]
    ulx: NDArray[np.int64]
    uly: NDArray[np.int64]
    reason: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.tile)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Placed":
        """Those at `rows` (a mask or positions)."""
        return Placed(self.tile[rows], self.epsg[rows], self.ulx[rows], self.uly[rows], self.reason[rows])


def placed(lon: Floats, lat: Floats, size_m: int) -> Placed:
    """The cell of `size_m` metres around each point: its centre is the one nearest to the point, within 30 m each way.

    Each point's cell depends on that point alone. It lies in the point's own UTM zone wherever a tile of that zone contains
    all of it, else in the next zone whose tiles do: 3 % of the ground has no tile of its own zone. The owner is chosen by
    `tilewright.grid.owners`. Unlike cells of the lattice, those of points may overlap one another, and so they may reach over
    a zone's border too.

    Args:
        lon: degrees (EPSG:4326), within ±180.
        lat: degrees, within ±90.
        size_m: side of the cells, metres.
    """
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    epsg, ulx, uly = np.zeros((3, len(lon)), np.int64)
    owner = np.full(len(lon), -1, np.intp)
    crossing = np.zeros(len(lon), bool)
    rest = np.arange(len(lon))
    for zone in _zones(lon, lat).T:
        for hemisphere in (0, 1):  # the point's own, then the other: tiles reach across the equator
            if not len(rest):
                break
            codes = np.where((lat[rest] >= 0) == (hemisphere == 0), 32600, 32700) + zone[rest]
            left, top, found, across = _cells(lon[rest], lat[rest], codes, size_m)
            crossing[rest] |= across
            done = found >= 0
            at = rest[done]
            epsg[at], ulx[at], uly[at], owner[at] = codes[done], left[done], top[done], found[done]
            rest = rest[~done]
    none = owner < 0
    reason = np.where(none, np.where(crossing, ANTIMERIDIAN, NO_TILE), "")
    return Placed(np.where(none, "", tiles().name[owner]), epsg, ulx, uly, reason)


def _zones(lon: Floats, lat: Floats) -> NDArray[np.int64]:
    """UTM zones to try for each point, (points, tries): its own, then those with the nearest central meridians."""
    own = zone_of(lon, lat)
    near = (own[:, None] + np.array([-3, -2, 0, 1])) % 60 + 1  # two to the west, two to the east
    away = np.abs((lon[:, None] - central_meridian(1) - (near - 1) * 6 + 180) % 360 - 180)
    order = np.argsort(away, axis=1, kind="stable")[:, :_NEIGHBOURS]
    return np.concatenate([own[:, None], np.take_along_axis(near, order, axis=1)], axis=1)


def _cells(
    lon: Floats, lat: Floats, epsg: NDArray[np.int64], size_m: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.intp], NDArray[np.bool_]]:
    """The points' cells in given zones: left and upper edges, owners (-1: none), and whether one would cross ±180°."""
    ulx, uly = np.zeros((2, len(lon)), np.int64)
    owner = np.full(len(lon), -1, np.intp)
    crossing = np.zeros(len(lon), bool)
    order = np.argsort(epsg, kind="stable")
    codes, starts = np.unique(epsg[order], return_index=True)
    for code, rows in zip(codes.tolist(), np.split(order, starts[1:]), strict=True):
        x, y = to_degrees(code).transform(lon[rows], lat[rows], direction="INVERSE")
        equator = EQUATOR_SOUTH_M if code // 100 == 327 else 0
        left, top = _snapped(x - size_m / 2), equator + _snapped(y - equator - size_m / 2) + size_m
        found = owners(code, left, top, size_m)
        if code % 100 in (1, 60):
            edges = np.abs(lonlat(code, *ring(left, top, size_m, 2))[0])
            across = (edges > 180).any(axis=1) & (edges < 180).any(axis=1) & (found >= 0)
            crossing[rows] = across
            found[across] = -1
        ulx[rows], uly[rows], owner[rows] = left, top, found
    return ulx, uly, owner, crossing


def _snapped(metres: Floats) -> NDArray[np.int64]:
    """The nearest multiple of the step; half a step goes up."""
    return np.floor(metres / STEP_M + 0.5).astype(np.int64) * STEP_M


def cells_around(
    tile: Tile, size_m: int, sample: NDArray[np.int64], ulx: NDArray[np.int64], uly: NDArray[np.int64]
) -> CellTable:
    """The cells of places in a tile, as a table: one for each place, though several may cover the same ground.

    `col` and `row` count steps of 60 m from easting 0 and from the equator. An id is of the place's number alone.

    Args:
        tile: the owner of all of them.
        size_m: their side, metres.
        sample: numbers of the places; none twice.
        ulx, uly: upper-left corners from `placed`, metres.
    """
    col = ulx // STEP_M
    row = ((uly - size_m) if tile.zone.endswith("N") else EQUATOR_SOUTH_M - uly) // STEP_M
    order = np.lexsort((sample, col, row))
    ids = np.array([f"{tile.name}-s{number}" for number in sample[order].tolist()], dtype=str)
    counts = {"candidates": len(sample)}
    return CellTable(
        tile, size_m, ulx[order], uly[order], col[order], row[order], ids, np.zeros(len(ids), np.int64), sample[order],
        counts,
    )  # fmt: skip
