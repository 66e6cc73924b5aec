"""Geometry out of the hexadecimal WKB that pyosmium writes, many at a time.

GEOS reads such text number by number through a stream, which takes longer than all else about a way: here lines, which are
nearly all there is, are taken apart by numpy instead.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely

LINE: Final = "0102000000"  # little-endian, LineString; then the number of points, then the points
_HEADER: Final = 18  # characters before the points
_POINT: Final = 32  # characters a point


def from_hex(wkb: Sequence[str], areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) geometries of little-endian WKB in hexadecimal, without SRID or z.

    Args:
        wkb: one text each.
        areas: bool (n,): lines among these are rings of polygons.

    Returns:
        The geometries, None for the rings too short to be one, and whether each is that (bool).
    """
    made = np.full(len(wkb), None, dtype=object)
    lines = np.array([text.startswith(LINE) for text in wkb], dtype=bool)
    for at in np.flatnonzero(~lines).tolist():
        made[at] = bytes.fromhex(wkb[at])
    made = shapely.from_wkb(made)
    places = np.flatnonzero(lines)
    if not len(places):
        return made, np.zeros(len(wkb), dtype=bool)
    points = [wkb[at][_HEADER:] for at in places.tolist()]
    sizes = np.fromiter(map(len, points), dtype=np.int64) // _POINT
    coordinates = np.frombuffer(bytes.fromhex("".join(points)), dtype="<f8").reshape(-1, 2)
    ring = areas[places]
    short = ring & (sizes < 4)  # a ring needs three corners and the first again
    for build, these in ((shapely.linestrings, ~ring), (_polygons, ring & ~short)):
        if these.any():
            index = np.repeat(np.arange(these.sum()), sizes[these])
            made[places[these]] = build(coordinates[np.repeat(these, sizes)], indices=index)
    lost = np.zeros(len(wkb), dtype=bool)
    lost[places[short]] = True
    return made, lost


def _polygons(coordinates: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return np.asarray(shapely.polygons(shapely.linearrings(coordinates, indices=indices)), dtype=object)
