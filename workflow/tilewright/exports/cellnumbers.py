"""Numbers of cells, in the spirit of OpenSentinelMap's: one counter for the world, from west to east, then from south to north.

The published numbers count cells of 1920 m in bands of latitude from about 65° S on; how they were rounded is not known, and the
published cells lie on no lattice. Ours count the squares of a lattice of the same fineness in each UTM zone: row after row from the
south, in each row zone after zone from the west. A row has as many numbers as a parallel there has squares, and a few more, so that
every cell has one, whatever the AOI, and no two have the same. They come out near the published ones: 82543044 (tile 43QEU) is said to
lie at 16.8° N, where ours are about 84.6 million, 119316571 (52UCG) at 55.1 to 55.5° N, where ours are about 122.5 million.
"""

from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd

# Rows begin at this northing of the southern zones' grid (false northing 10,000 km): about 65° S, where the published
# numbers begin. Cells further south, in Antarctica, have negative numbers.
_START_NORTH_M: Final = 2_790_000
_EQUATOR_SOUTH_M: Final = 10_000_000
_POLE_M: Final = 9_400_000  # northing of 84° N, where UTM ends, and a little more
_MIDDLE_M: Final = 500_000  # easting of a zone's meridian
# WGS 84, and the scale on the meridian, a little of both more than true: every cell must have a place
_RADIUS_M: Final = 6_378_137 * 1.003
_SPARE_M: Final = 2_000
# Half the width of a zone in degrees: 3, but in the bands of the exceptions, V (56 to 64° N) and X (72 to 84° N), up to 6
_HALF: Final = 3
_HALF_EXCEPTION: Final = 6
_EXCEPTIONS: Final = ((55.5, 64.5), (71.5, 90.0))
_ZONES: Final = 60
_GRID_M: Final = 60


def step_of(index: pd.DataFrame) -> int:
    """The side of the squares by which a dataset's cells are numbered, metres: the lattice's stride, else the 60 m on which all cells lie.

    Args:
        index: of the dataset; all its cells are of one strategy.
    """
    if (index["grid"] > 0).any() or (index["sample"] >= 0).any():
        return _GRID_M
    # a cell's column counts strides from easting 0
    return int(index["ulx"].iloc[0]) // int(index["col"].iloc[0])


def cell_numbers(epsg: np.ndarray, ulx: np.ndarray, uly: np.ndarray, step_m: int) -> np.ndarray:
    """The numbers of squares that begin at multiples of `step_m`: int64.

    Args:
        epsg: UTM zones (326xx, 327xx).
        ulx, uly: upper-left corners, metres in `epsg`; whole multiples of `step_m` from easting 0 and from the equator.

    Raises:
        ValueError: for a square that is `outside`.
    """
    at, place, own, counted = _squares(epsg, ulx, uly, step_m)
    if ((place < 0) | (place >= 2 * own)).any():
        raise ValueError("a cell lies outside its UTM zone")
    return counted[at] + (epsg % 100 - 1) * 2 * own + place


def outside(epsg: np.ndarray, ulx: np.ndarray, uly: np.ndarray, step_m: int) -> np.ndarray:
    """Which squares have no number since they lie beyond their zone: 3 % of the ground has no tile of its own zone. As `cell_numbers`."""
    _, place, own, _ = _squares(epsg, ulx, uly, step_m)
    return (place < 0) | (place >= 2 * own)


def _squares(
    epsg: np.ndarray, ulx: np.ndarray, uly: np.ndarray, step_m: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each square the place of its row, its own in it from the zone's west, half the zone's squares there; the rows' first numbers."""
    south = epsg // 100 == 327
    up = np.where(south, uly - _EQUATOR_SOUTH_M, uly).astype(np.int64)  # of the upper edge above the equator
    row = up // step_m - 1
    column = ulx.astype(np.int64) // step_m
    first, half, counted = _rows(step_m)
    at = row - first
    own = half[at]
    return at, column - (_MIDDLE_M // step_m - own), own, counted


@lru_cache
def _rows(step_m: int) -> tuple[int, np.ndarray, np.ndarray]:
    """The number of the southernmost row, and of each row half the squares of a zone, and the number of its first square."""
    first, last = -_POLE_M // step_m, _POLE_M // step_m
    row = np.arange(first, last + 1)
    edge = np.minimum(np.abs(row), np.abs(row + 1)) * float(step_m)  # the edge that is nearer to the equator is longer
    latitude = np.degrees(edge / _RADIUS_M)
    half = np.full(len(row), float(_HALF))
    for low, high in _EXCEPTIONS:
        # of the north alone, but a row is as wide in the south: where zones are narrow nobody misses the numbers
        half[(row >= 0) & (latitude >= low) & (latitude <= high)] = _HALF_EXCEPTION
    x = _RADIUS_M * np.arctanh(np.cos(np.radians(latitude)) * np.sin(np.radians(half)))
    # whole thousands of metres: no row depends on the last bits of a sine
    squares = (np.ceil((x + _SPARE_M) / 1000).astype(np.int64) * 1000) // step_m + 2
    total = np.concatenate([[0], np.cumsum(2 * _ZONES * squares)[:-1]])
    begin = (_START_NORTH_M - _EQUATOR_SOUTH_M) // step_m - first
    return first, squares, total - total[begin]
