"""Where pixels of a UTM zone are in a raster of any CRS.

The projection is followed exactly at nodes of the zone's grid, _NODE pixels apart and counted from its origin, and linearly
between. Squares of nodes where that is wrong by more than _TOLERANCE of the raster's pixels (±180°, the ends of a projection)
are followed pixel by pixel. So a place depends on nothing but the pixel.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyproj
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A projection bends by L² tan(lat) / 8R between nodes L apart: half a millimetre for 160 m.
_NODE_M: Final = 160
_TOLERANCE: Final = 1e-3
# Grids that fit each other to the last digit or two still do: so near to an edge is on it.
_EDGE: Final = 1e-6
_FAR: Final = 2.0**40


@dataclass(frozen=True)
class Points:
    """Points in a raster's pixel coordinates, from its upper-left corner; NaN where it has no place for them.

    Attributes:
        row, column: float64 (y, x, point).
    """

    row: Floats
    column: Floats

    @staticmethod
    def whole(value: Floats) -> NDArray[np.int64]:
        """The pixel that a row or column is in; one far outside where it has no place."""
        found = np.floor(value + _EDGE)
        return np.where(np.abs(found) < _FAR, found, -_FAR).astype(np.int64)  # NaN is not below it

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of the pixel that each point is in."""
        return self.whole(self.row), self.whole(self.column)

    def bounds(self, margin: int, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of a raster that hold all points in it, and `margin` more around them."""

        def reach(value: Floats, other: Floats, size: int, its: int) -> slice:
            near = (value >= -margin) & (value <= size + margin) & (other >= -margin) & (other <= its + margin)
            if not near.any():
                return slice(0, 0)
            first, last = float(value[near].min()), float(value[near].max())
            return slice(max(0, int(np.floor(first)) - margin), min(size, int(np.floor(last)) + margin + 1))

        return reach(self.row, self.column, height, width), reach(self.column, self.row, width, height)


class Places:
    """From pixels of a UTM zone, counted from its origin, to a raster's."""

    def __init__(self, epsg: int, step: float, crs: str, transform: Any) -> None:
        """`step`: metres a pixel of the zone; `crs` and `transform` (affine): the raster's.

        Raises:
            ValueError: for a CRS that PROJ cannot place.
        """
        zone = pyproj.CRS.from_epsg(epsg)
        try:
            theirs = pyproj.CRS.from_wkt(crs)
            if theirs.is_compound:
                theirs = theirs.sub_crs_list[0]  # heights do not matter
            same = theirs.equals(zone, ignore_axis_order=True)
            self._transformer = None if same else pyproj.Transformer.from_crs(zone, theirs, always_xy=True)
        except pyproj.exceptions.ProjError as error:
            raise ValueError(str(error)) from error
        self._step = step
        self._node = round(_NODE_M / step)
        self._inverse = ~transform
        # Longitudes are those of the raster, be they from 0 to 360 or beyond ±180.
        self._turn = 360.0 if theirs.is_geographic else None

    def points(self, column: int, row: int, width: int, height: int, n: int) -> Points:
        """Points, n × n in each pixel of a part of the zone's grid: centres for n = 1."""
        along = (np.arange(n) + 0.5) / n
        x = (column + np.arange(width)[:, None] + along).ravel()
        y = (row + np.arange(height)[:, None] + along).ravel()
        columns, rows = self._followed(x, y)
        shape = (height, n, width, n)

        def by_pixel(values: Floats) -> Floats:
            return np.ascontiguousarray(values.reshape(shape).transpose(0, 2, 1, 3).reshape(height, width, n * n))

        return Points(by_pixel(rows), by_pixel(columns))

    def spans(self, column: float, row: float) -> float:
        """How many of the raster's pixels a pixel of the zone spans at a place, along the more of rows and columns."""
        x = np.array([column - 0.5, column + 0.5, column, column])
        y = np.array([row, row, row - 0.5, row + 0.5])
        columns, rows = self._exact(x, y)
        across = abs(columns[1] - columns[0]) + abs(columns[3] - columns[2])
        down = abs(rows[1] - rows[0]) + abs(rows[3] - rows[2])
        return float(max(across, down))

    def _exact(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """The raster's column and row at (x, y) in the zone's pixels."""
        easting, northing = x * self._step, -y * self._step
        if self._transformer is not None:
            easting, northing = self._transformer.transform(easting, northing)
            lost = ~(np.isfinite(easting) & np.isfinite(northing))
            easting, northing = np.where(lost, np.nan, easting), np.where(lost, np.nan, northing)
        return self._in_raster(easting, northing)

    def _in_raster(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        to = self._inverse
        columns, rows = to.a * x + to.b * y + to.c, to.d * x + to.e * y + to.f
        if self._turn is not None and to.b == to.d == 0:
            around = abs(self._turn * to.a)  # columns once around the earth
            columns = columns - around * np.floor((columns + _EDGE) / around)
        return columns, rows

    def _followed(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """The raster's columns and rows (y, x) at the crossings of `x` and `y`."""
        if self._transformer is None:
            return self._exact(*np.meshgrid(x, y))
        node = self._node
        at_x, at_y = np.floor(x / node), np.floor(y / node)
        nodes_x, nodes_y = (np.arange(at[0], at[-1] + 2) for at in (at_x, at_y))
        nodes = self._exact(*np.meshgrid(nodes_x * node, nodes_y * node))
        middles = self._exact(*np.meshgrid((nodes_x[:-1] + 0.5) * node, (nodes_y[:-1] + 0.5) * node))
        part_x, part_y = x / node - at_x, (y / node - at_y)[:, None]
        i, j = (at_x - at_x[0]).astype(np.int64), (at_y - at_y[0]).astype(np.int64)
        exact = np.zeros(middles[0].shape, bool)
        made = []
        for grid, middle in zip(nodes, middles, strict=True):
            expected = (grid[:-1, :-1] + grid[:-1, 1:] + grid[1:, :-1] + grid[1:, 1:]) / 4
            exact |= ~(np.abs(expected - middle) <= _TOLERANCE)
            upper = grid[j][:, i] * (1 - part_x) + grid[j][:, i + 1] * part_x
            lower = grid[j + 1][:, i] * (1 - part_x) + grid[j + 1][:, i + 1] * part_x
            made.append(upper * (1 - part_y) + lower * part_y)
        if exact.any():
            rows, columns = np.nonzero(exact[j][:, i])
            made[0][rows, columns], made[1][rows, columns] = self._exact(x[columns], y[rows])
        return made[0], made[1]
