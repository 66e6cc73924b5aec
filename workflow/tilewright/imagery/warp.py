"""Rasters that are on no one's grid onto boxes, bilinearly: which part of the raster each box needs, and its pixels from that."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from affine import Affine

from tilewright.grid import Boxes

# Places are computed for every sixteenth pixel and between them in a straight line: on a swath the difference is below a thousandth
# of a pixel, for a two-hundredth of the work. They are counted from the box's own corner, so that they depend on nothing else.
_STEP: Final = 16
# Ground control points of a Sentinel-1 product reach its edges; a spline is believed no farther than this beyond them (metres).
_REACH: Final = 4000.0
_MOST: Final = 8  # pixels of a raster to a box's pixel, along a side; more is no raster of that resolution
_LEAST_WEIGHT: Final = 0.25
_NOWHERE: Final = -(1 << 40)


class UnplacedError(Exception):
    """A raster of which the file does not tell where it is, or tells nonsense."""


class Placement(Protocol):
    """Where a raster's pixels are."""

    def pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) rows and columns of places in the boxes' CRS; 0 is the outer corner of the first pixel; NaN where it does not tell."""
        ...


class GridPlacement:
    """By an affine transform in some CRS."""

    def __init__(self, transform: Affine, crs: str, epsg: int) -> None:
        """`crs`: WKT of the raster's; `epsg`: of the boxes'."""
        import pyproj

        self._to = pyproj.Transformer.from_crs(epsg, crs, always_xy=True)
        self._back = ~transform

    def pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Placement.pixels`."""
        east, north = self._to.transform(x, y)
        columns, rows = self._back.a * east + self._back.b * north, self._back.d * east + self._back.e * north
        columns, rows = columns + self._back.c, rows + self._back.f
        known = np.isfinite(columns) & np.isfinite(rows)
        return np.where(known, rows, np.nan), np.where(known, columns, np.nan)


class PointPlacement:
    """By ground control points, through GDAL's thin plate spline.

    The spline is fitted in the boxes' UTM, where a swath is nearly straight. Measured between the 210 points of a swath whose
    geometry is known: at most 0.02 to 0.1 pixels off on the ellipsoid, against 1.5 (46° N) to 5 (70° N) fitted in degrees and 0.5
    of a polynomial of order 3; 0.3 pixels over relief of ±300 m in waves of 50 km (the polynomial: 50). Nor is there an
    antimeridian in it.
    """

    def __init__(self, points: np.ndarray, epsg: int) -> None:
        """`points`: (n, 4) row, column, longitude, latitude in EPSG:4326; `epsg`: of the boxes.

        Raises:
            UnplacedError: where the points place nothing.
        """
        import pyproj
        import shapely
        from rasterio.control import GroundControlPoint

        lon, lat = points[:, 2], points[:, 3]
        if not np.isfinite(points).all() or (np.abs(lat) > 90).any():
            raise UnplacedError("has ground control points that are nowhere")
        # Sentinel-1's product specification counts samples: a point is at its pixel's centre, whether or not the file says that pixels are
        # points (which GDAL then has added half a pixel for; real files say areas).
        rows, columns = np.floor(points[:, 0]) + 0.5, np.floor(points[:, 1]) + 0.5
        x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
        if not (np.isfinite(x) & np.isfinite(y)).all():
            raise UnplacedError("has ground control points on the other side of the earth")
        hull = shapely.MultiPoint(np.stack([x, y], axis=-1)).convex_hull
        image = shapely.MultiPoint(np.stack([columns, rows], axis=-1)).convex_hull
        if len(points) < 4 or hull.area == 0 or image.area == 0:
            raise UnplacedError(f"has {len(points)} ground control points, which do not span an area")
        self._near = hull.buffer(_REACH)
        shapely.prepare(self._near)
        self._points = [
            GroundControlPoint(row=row, col=column, x=east, y=north)
            for row, column, east, north in np.stack([rows, columns, x, y], axis=-1).tolist()
        ]

    def pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Placement.pixels`; NaN far outside the points, where a spline may lead anywhere.

        Raises:
            UnplacedError: where GDAL makes no spline of the points.
        """
        import shapely
        from rasterio.errors import RasterioError
        from rasterio.transform import GCPTransformer

        rows, columns = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
        near = shapely.contains_xy(self._near, x, y)
        if near.any():
            try:
                with GCPTransformer(self._points, tps=True) as spline:
                    found = spline.rowcol(x[near], y[near], op=np.positive)
            except RasterioError as error:
                raise UnplacedError(f"has ground control points that no spline goes through ({error})") from error
            if not np.isfinite(found).all():  # as GDAL says it of points that contradict each other
                raise UnplacedError("has ground control points that no spline goes through")
            rows[near], columns[near] = found
        return rows, columns


@dataclass(frozen=True)
class Warp:
    """Boxes laid over a raster that is not on their grid.

    Attributes:
        boxes: the boxes.
        rows, columns: (n,) int64, first pixel of the square window of the raster that holds what each box needs; it may reach
            outside the raster, or lie there wholly.
        side: pixels along a window's side, the same for all.
    """

    boxes: Boxes
    rows: np.ndarray
    columns: np.ndarray
    side: int
    _down: np.ndarray  # (n, k, k) rows, and below columns, of every _STEP-th pixel's centre
    _across: np.ndarray

    def box(self, at: int, power: np.ndarray) -> np.ndarray:
        """(side, side) float32 pixels of the box at place `at`.

        The mean of a place's four neighbours by their nearness, without those that are no data (NaN). No data where the others weigh
        less than a quarter: data thus reach a quarter of a pixel beyond their edge, so that slices of one datatake, each placed by
        its own points, leave no gap between them; and no data pull no value towards 0.

        Args:
            power: (window side, window side) float64 of the box's window.
        """
        # the first of the neighbours is where the centre of a pixel lies at or before the place
        down, across = (_between(of[at], self.boxes.side) - 0.5 for of in (self._down, self._across))
        top, left = np.floor(down), np.floor(across)
        known = np.isfinite(top) & np.isfinite(left)
        row = np.where(known, top - self.rows[at], 0).astype(np.int64)
        column = np.where(known, left - self.columns[at], 0).astype(np.int64)
        low, right = down - top, across - left
        first = row * self.side + column

        def mean(of: np.ndarray) -> np.ndarray:
            flat = of.ravel()
            above = flat.take(first) * (1 - right) + flat.take(first + 1) * right
            below = flat.take(first + self.side) * (1 - right) + flat.take(first + self.side + 1) * right
            return np.asarray(above * (1 - low) + below * low)

        valid = np.isfinite(power)
        if valid.all():
            found = mean(power)
        else:
            # by place, and not by window: what else a window holds must not change a pixel's last digit
            total, weight = mean(np.where(valid, power, 0.0)), mean(valid.astype(np.float64))
            around = valid[row, column] & valid[row, column + 1] & valid[row + 1, column] & valid[row + 1, column + 1]
            with np.errstate(invalid="ignore", divide="ignore"):
                found = np.where(around, total, np.where(weight >= _LEAST_WEIGHT, total / weight, np.nan))
        return np.where(known, found, np.nan).astype(np.float32)


def lay(boxes: Boxes, shape: tuple[int, int], placement: Placement) -> Warp:
    """Lay boxes over a raster of `shape`.

    Raises:
        UnplacedError: where the raster's pixels are not near the boxes' resolution.
    """
    nodes = -(-(boxes.side - 1) // _STEP) + 1
    centre = (np.arange(nodes) * _STEP + 0.5) * boxes.resolution
    count = len(boxes)
    x = np.broadcast_to((boxes.ulx[:, None] + centre)[:, None, :], (count, nodes, nodes))
    y = np.broadcast_to((boxes.uly[:, None] - centre)[:, :, None], (count, nodes, nodes))
    found = placement.pixels(x.ravel(), y.ravel())
    down, across = (of.reshape(count, nodes, nodes) for of in found)
    first, last = zip(*(_range(of) for of in (down, across)), strict=True)
    meets = np.logical_and.reduce([(first[axis] < shape[axis]) & (last[axis] > 0) for axis in (0, 1)])
    length = np.where(meets, np.maximum(last[0] - first[0], last[1] - first[1]), 0)
    side = int(length.max(initial=0)) or 1
    if side > _MOST * boxes.side + _STEP * _MOST:
        raise UnplacedError(f"has {side} pixels where a box has {boxes.side}")
    rows, columns = (np.where(meets, of, _NOWHERE) for of in first)
    return Warp(boxes, rows, columns, side, down, across)


def _range(of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) int64 first pixel, and last + 1, of what boxes need along an axis; nothing where none is known."""
    known = np.isfinite(of)
    least = np.where(known, of, np.inf).min(axis=(1, 2), initial=np.inf)
    most = np.where(known, of, -np.inf).max(axis=(1, 2), initial=-np.inf)
    some = known.any(axis=(1, 2))
    first = np.floor(np.where(some, least, 0.5) - 0.5).astype(np.int64)
    last = np.floor(np.where(some, most, 0.5) - 0.5).astype(np.int64) + 2
    return np.where(some, first, _NOWHERE), np.where(some, last, _NOWHERE)


def _between(nodes: np.ndarray, side: int) -> np.ndarray:
    """(side, side) values between those of every _STEP-th pixel; by sums in a fixed order, which a matrix product has not."""
    at, rest = np.divmod(np.arange(side), _STEP)
    share = rest / _STEP
    after = np.minimum(at + 1, len(nodes) - 1)
    rows = nodes[at] * (1 - share[:, None]) + nodes[after] * share[:, None]
    return np.asarray(rows[:, at] * (1 - share) + rows[:, after] * share)
