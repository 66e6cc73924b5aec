"""Exact distances from points to the edges of polygons."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import shapely

# So many point-segment pairs are computed at once; numpy's overhead and the processor's caches meet about there.
_PAIRS: Final = 32_768
# Rounding of coordinates near 1e7 m is 2e-9 m: a segment that is this much too far to be the nearest may be left out.
_SLACK_M: Final = 1e-6


class Edges:
    """The edges, inner rings' too, of some areas."""

    def __init__(self, areas: np.ndarray) -> None:
        """`areas`: (n,) Polygons or MultiPolygons, metres."""
        parts, area = shapely.get_parts(areas, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        corners, ring = shapely.get_coordinates(rings, return_index=True)
        along = np.flatnonzero(ring[1:] == ring[:-1])
        start, stop = corners[along], corners[along + 1]
        (dx, dy) = (stop - start).T
        length = dx * dx + dy * dy
        # A repeated vertex is a segment without length: a point, whatever it is divided by.
        self._segments = np.stack([start[:, 0], start[:, 1], dx, dy, np.where(length > 0, length, 1.0)])
        self._first = np.searchsorted(area[part[ring[along]]], np.arange(len(areas) + 1))

    def distance(self, area: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Metres, float64 (n,), from points to the nearest edge of the area with that number, inside or outside of it.

        A point's distance is the same, to the bit, whichever points are asked for beside it.
        """
        nearest = np.empty(len(x))
        segments = self._segments[:, self._first[area] : self._first[area + 1]]
        todo = [(np.arange(len(x)), segments)]
        while todo:
            points, near = todo.pop()
            if len(points) * near.shape[1] <= _PAIRS or (np.ptp(x[points]) == 0 and np.ptp(y[points]) == 0):
                nearest[points] = _squares(x[points], y[points], near).min(axis=0)
            else:
                todo.extend(_parted(points, x[points], y[points], near))
        return np.sqrt(nearest)


def _squares(x: np.ndarray, y: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Squares of the distances between segments and points: (segment, point)."""
    ax, ay, dx, dy, length = segments[:, :, None]
    across, up = x - ax, y - ay
    part = across * dx
    part += up * dy
    part /= length
    np.clip(part, 0, 1, out=part)
    across -= part * dx
    up -= part * dy
    across *= across
    up *= up
    across += up
    return across


def _parted(
    points: np.ndarray, x: np.ndarray, y: np.ndarray, segments: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The points in quarters of their box, each with the segments that can be the nearest to any of them."""
    middle_x, middle_y = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    quarter = (x > middle_x) * 2 + (y > middle_y)
    for each in range(4):
        mine = quarter == each
        if not mine.any():
            continue
        left, right, bottom, top = x[mine].min(), x[mine].max(), y[mine].min(), y[mine].max()
        centre = np.array([(left + right) / 2]), np.array([(bottom + top) / 2])
        reach = np.hypot(right - left, top - bottom) / 2
        far = np.sqrt(_squares(*centre, segments)[:, 0])
        # What is nearest to a point is at most twice the reach farther from the centre than what is nearest to the centre.
        yield points[mine], segments[:, far <= far.min() + 2 * reach + _SLACK_M]
