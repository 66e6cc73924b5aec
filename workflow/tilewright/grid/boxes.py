"""Boxes of longitude and latitude around cells."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyproj

Box = tuple[float, float, float, float]  # west, south, east, north in degrees; west <= east

# Parallels and meridians bend in UTM: the outline is followed at this many points a side, and the degrees below added,
# which exceed what a side bends by between two of them (a tile is 110 km: 0.3 m).
_POINTS: Final = 65
_SLACK_DEG: Final = 1e-4


def cells_boxes(cells: Mapping[str, np.ndarray], margin_m: float) -> list[Box]:
    """Longitude/latitude boxes (two across the antimeridian) around all cells and `margin_m` metres more.

    Args:
        cells: columns epsg, ulx, uly, size_m (metres, upper-left corner).
    """
    west, east, south, north = np.inf, -np.inf, np.inf, -np.inf
    middle: float | None = None  # longitudes are counted from here, so that ±180 is no border
    ulx, uly, size_m = (np.asarray(cells[name], np.int64) for name in ("ulx", "uly", "size_m"))
    zones = np.asarray(cells["epsg"], np.int64)
    for epsg in np.unique(zones).tolist():
        rows = zones == epsg
        left, right = ulx[rows].min() - margin_m, (ulx + size_m)[rows].max() + margin_m
        bottom, top = (uly - size_m)[rows].min() - margin_m, uly[rows].max() + margin_m
        across, up = np.linspace(left, right, _POINTS), np.linspace(bottom, top, _POINTS)
        x = np.concatenate([across, across, np.full(_POINTS, left), np.full(_POINTS, right)])
        y = np.concatenate([np.full(_POINTS, bottom), np.full(_POINTS, top), up, up])
        lon, lat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
        middle = float(lon[0]) if middle is None else middle
        lon = (lon - middle + 180) % 360 + middle - 180
        west, east = min(west, lon.min()), max(east, lon.max())
        south, north = min(south, lat.min()), max(north, lat.max())
    if middle is None:
        return []
    return _split(west - _SLACK_DEG, south - _SLACK_DEG, east + _SLACK_DEG, north + _SLACK_DEG)


def _split(west: float, south: float, east: float, north: float) -> list[Box]:
    if west < -180:
        return [(west + 360, south, 180.0, north), (-180.0, south, east, north)]
    if east > 180:
        return [(west, south, 180.0, north), (-180.0, south, east - 360, north)]
    return [(west, south, east, north)]
