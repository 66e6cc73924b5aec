"""The one tile that owns a square of ground, wherever on the 60 m grid it lies."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewright.grid.mgrs import SIDE_M, SQUARE_M, tiles

Ints = NDArray[np.int64]

LARGEST_M: Final = SIDE_M - SQUARE_M - 60
"""Metres: a square of this side or less lies wholly in at least one of two neighbouring tiles."""

_COLUMNS: Final = 10
_ROWS: Final = 100  # MGRS squares of a UTM zone: eastings to 1,000 km, northings to 10,000 km


def owners(epsg: int, ulx: Ints, uly: Ints, size_m: int) -> NDArray[np.intp]:
    """Places in `tiles()` of the tiles that own squares of `size_m` metres; -1 where no tile contains all of a square.

    A square is owned, among the tiles of its zone and hemisphere that contain all of it, by the one whose MGRS square
    holds its centre, else by the one with the nearest centre, else by the first by name. All comparisons are of whole
    numbers (twice the metres), so a tie is a tie on every machine.

    Args:
        epsg: the UTM zone of all the squares.
        ulx: left edges, metres; of the shape of `uly`, as is what is returned.
        uly: upper edges, metres.
        size_m: side of the squares; up to `LARGEST_M` every square among neighbouring tiles has an owner.
    """
    table = tiles()
    x, y = 2 * ulx + size_m, 2 * uly - size_m
    column, row = x // (2 * SQUARE_M), y // (2 * SQUARE_M)
    best = np.full(x.shape, -1, np.intp)
    held = np.zeros(x.shape, bool)
    nearest = np.zeros(x.shape, np.int64)
    for east in (-1, 0, 1):  # a tile that contains a square is of its centre's MGRS square or of one beside that
        for north in (-1, 0, 1):
            other = _tile_of_square(epsg, column + east, row + north)
            left, top = table.ulx[other], table.uly[other]
            contains = (other >= 0) & (ulx >= left) & (ulx + size_m <= left + SIDE_M)
            contains &= (uly <= top) & (uly - size_m >= top - SIDE_M)
            far = (x - 2 * left - SIDE_M) ** 2 + (y - 2 * top + SIDE_M) ** 2
            holds = np.full(x.shape, east == 0 and north == 0)
            nearer = (far < nearest) | ((far == nearest) & (other < best))  # the table is sorted by name
            wins = contains & ((best < 0) | (holds & ~held) | ((holds == held) & nearer))
            best, held, nearest = np.where(wins, other, best), np.where(wins, holds, held), np.where(wins, far, nearest)
    return best


def _tile_of_square(epsg: int, column: Ints, row: Ints) -> NDArray[np.intp]:
    """Places in `tiles()` of the tiles of MGRS squares, whose left and lower edges are given in 100 km; -1: none."""
    places = _tiles_of_squares()[epsg // 100 - 326, epsg % 100]
    within = (row >= 0) & (row < _ROWS) & (column >= 0) & (column < _COLUMNS)
    return np.where(within, places[np.clip(row, 0, _ROWS - 1), np.clip(column, 0, _COLUMNS - 1)], -1)


@lru_cache(maxsize=1)
def _tiles_of_squares() -> NDArray[np.intp]:
    """Place in `tiles()` by hemisphere (0 north), UTM zone, and row and column of the MGRS square in 100 km; -1: none."""
    table = tiles()
    places = np.full((2, 61, _ROWS, _COLUMNS), -1, np.intp)
    # A tile begins up to 59 m outside its square to the west and north.
    column, row = -(-table.ulx // SQUARE_M), table.uly // SQUARE_M - 1
    places[table.epsg // 100 - 326, table.epsg % 100, row, column] = np.arange(len(table))
    return places
