"""Which scenes may show which cells, by their footprints; their pixels have the last word."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

# Straight edges of footprints in degrees leave the true edges by up to L²/8R·tan(latitude): 2 km for a radar slice's 250 km at 60°.
_SLACK_DEG: Final = 0.02


def held_by(footprints: Sequence[BaseGeometry | None], cells: pd.DataFrame, max_nodata: float) -> np.ndarray:
    """(cell, scene) whether a footprint, a little widened, holds as much of a cell as must have data.

    Args:
        footprints: in degrees, cut at the antimeridian; None holds nothing.
        cells: epsg, ulx, uly, size_m.
    """
    outlines = _outlines(cells)
    held = np.zeros((len(cells), len(footprints)), bool)
    for at, footprint in enumerate(footprints):
        if footprint is None or shapely.is_empty(footprint) or not len(cells):
            continue
        wide = _widened(footprint)
        shapely.prepare(wide)
        held[:, at] = shapely.covers(wide, outlines)
        if max_nodata > 0:
            partly = ~held[:, at] & shapely.intersects(wide, outlines)
            share = shapely.area(shapely.intersection(wide, outlines[partly])) / shapely.area(outlines[partly])
            held[partly, at] = share >= 1 - max_nodata
    return held


def _outlines(cells: pd.DataFrame) -> np.ndarray:
    """The cells as polygons in degrees; across the antimeridian longitudes run on."""
    import pyproj

    x = cells["ulx"].to_numpy(float)[:, None] + cells["size_m"].to_numpy(float)[:, None] * (0, 1, 1, 0)
    y = cells["uly"].to_numpy(float)[:, None] - cells["size_m"].to_numpy(float)[:, None] * (0, 0, 1, 1)
    if not len(cells):
        return np.zeros(0, object)
    lon, lat = pyproj.Transformer.from_crs(int(cells["epsg"].iloc[0]), 4326, always_xy=True).transform(x, y)
    lon = (lon - lon[:, :1] + 180) % 360 - 180 + lon[:, :1]
    return np.asarray(shapely.polygons(np.stack([lon, lat], axis=-1)))


def _widened(footprint: BaseGeometry) -> BaseGeometry:
    """Wider by the slack on the ground, and whole across the antimeridian."""
    west, south, east, north = shapely.bounds(footprint)
    if west < -170 or east > 170:
        footprint = shapely.union_all([footprint, translate(footprint, 360), translate(footprint, -360)])
    steepest = min(max(abs(south), abs(north)), 85.0)
    return shapely.buffer(footprint, _SLACK_DEG / np.cos(np.radians(steepest)))
