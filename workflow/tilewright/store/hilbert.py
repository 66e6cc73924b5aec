"""The Hilbert curve over the whole earth: rows in its order lie near to each other in a file where they do on the ground.

As geopandas' `hilbert_distance` (a test compares them), whose import takes longer than all else of a stage that asks an API.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LEVEL: Final = 16  # bits of each axis: a step is 0.0055 degrees of longitude, 0.0027 of latitude
_SIDE: Final = 2**_LEVEL - 1


def hilbert(bounds: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Where on the curve the middles of boxes are.

    Args:
        bounds: (row, 4) west, south, east, north in degrees.
    """
    x = _steps((bounds[:, 0] + bounds[:, 2]) / 2.0, 180)
    y = _steps((bounds[:, 1] + bounds[:, 3]) / 2.0, 90)
    along = np.zeros(len(bounds), np.int64)
    for bit in reversed(range(_LEVEL)):
        right, up = x >> bit & 1, y >> bit & 1
        along = along << 2 | 3 * right ^ up
        # the curve in a quarter is the whole, turned so that it begins and ends beside its neighbours
        flipped = (up == 0) & (right == 1)
        x, y = np.where(flipped, _SIDE - x, x), np.where(flipped, _SIDE - y, y)
        x, y = np.where(up == 0, y, x), np.where(up == 0, x, y)
    return along.astype(np.uint32)


def _steps(degrees: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Degrees in ±`limit` as whole steps of the curve's grid."""
    return np.clip((degrees + limit) * (_SIDE / (2 * limit)), 0, _SIDE).astype(np.int64)
