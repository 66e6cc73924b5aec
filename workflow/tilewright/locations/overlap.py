"""Which of the drawn locations are kept: in the order of the draw, each that is not too close to one kept before it.

SSL4EO-S12 §III, step 3: a location closer than 3/4 of a cell's width to an earlier one is refused. The paper compares
within squares of 1° × 1° only, and its authors' code on a plane of degrees; here all neighbours count, on the ellipsoid.
The distance is that of the drawn points, as in the paper, not of the cells that are snapped to the grid around them: a
cell's centre is at most 30 m east or west and 30 m north or south of its point, so that two cells may be 85 m closer.
"""

import itertools
import math
import operator
from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from tilewright.config.cities import Overlap
from tilewright.locations.draw import KM_PER_DEGREE, Candidates

_GEOD = pyproj.Geod(ellps="WGS84")

_LEAST_RADIUS_M = 6_335_439
"""The smallest radius of curvature of the WGS 84 ellipsoid: b²/a, along the meridian at the equator."""

_MOST_BINS = 2**20
"""Bins along an axis: their numbers along three fit in 64 bits. Around the Earth they are 12 m wide."""


@dataclass(frozen=True, eq=False)
class _Space:
    """Locations where a distance is at least the straight line between two points.

    A pair of one square is too close where the line is shorter than `sure`, and is not where it is as long as the rule;
    between them the geodesic decides.
    """

    points: NDArray[np.float64]
    """Metres, (locations, axes)."""
    square: NDArray[np.int64]
    """Locations of different squares are never too close."""
    sure: float
    lonlat: NDArray[np.float64]
    """Degrees, (locations, 2)."""

    def take(self, rows: NDArray[np.intp]) -> "_Space":
        return _Space(self.points[rows], self.square[rows], self.sure, self.lonlat[rows])

    def exact(self, one: int, other: int) -> float:
        """The geodesic between two rows, metres."""
        return float(_GEOD.inv(*self.lonlat[one], *self.lonlat[other])[2])


def rule_m(overlap: Overlap, size_m: int) -> float:
    """The distance in metres below which a location is refused, for cells of `size_m` metres."""
    return overlap.share * size_m


def kept(drawn: Candidates, overlap: Overlap, size_m: int) -> NDArray[np.bool_]:
    """Which candidates are kept. Whether imagery serves a location is not asked: it keeps others away either way.

    Args:
        drawn: in the order of the draw.
        overlap: the rule.
        size_m: width of a cell.
    """
    rule = rule_m(overlap, size_m)
    if rule == 0 or len(drawn) < 2:
        return np.ones(len(drawn), bool)
    return _greedy(_space(drawn, overlap, rule), rule)


def square_degrees(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the 1° × 1° square of each point, as the paper's grid has it: 360 columns, 180 rows."""
    return (np.floor(lon + 180) * 181 + np.floor(lat + 90)).astype(np.int64)


def _space(drawn: Candidates, overlap: Overlap, rule: float) -> _Space:
    lonlat = np.column_stack([drawn.lon, drawn.lat])
    square = square_degrees(drawn.lon, drawn.lat)
    if overlap.metric == "authors":  # the line itself is their distance
        return _Space(lonlat * 1000 * KM_PER_DEGREE, square, rule, lonlat)
    to_space = pyproj.Transformer.from_crs(4979, 4978, always_xy=True)
    points = np.column_stack(to_space.transform(drawn.lon, drawn.lat, np.zeros(len(drawn))))
    # No curve on the ellipsoid is shorter than the line through it, and none of the length s that bends no more than a circle
    # of radius r has ends closer than 2 r sin(s / 2r) (Schur's theorem): 8 µm less than s where s is 1980 m. So the
    # geodesic needs to be computed only where the line is that close below the rule.
    sure = 2 * _LEAST_RADIUS_M * math.sin(rule / 2 / _LEAST_RADIUS_M)
    return _Space(points, square if not overlap.neighbours else np.zeros_like(square), sure, lonlat)


def _greedy(space: _Space, rule: float) -> NDArray[np.bool_]:
    """In the order of the rows: each that is not closer than `rule` to one kept before it, in the same square."""
    from scipy.spatial import cKDTree  # half a second, which stages that only read the file need not pay

    # Most have no neighbour at all: they are kept, and keep nobody away. A hair more than the rule, for rounding.
    tree = cKDTree(space.points, balanced_tree=False)
    nearest = tree.query(space.points, k=2, distance_upper_bound=rule * (1 + 1e-9))[0][:, 1]
    contested = np.flatnonzero(np.isfinite(nearest))
    keep = np.ones(len(space.points), bool)
    keep[contested] = _one_by_one(space.take(contested), rule)
    return keep


def _one_by_one(space: _Space, rule: float) -> NDArray[np.bool_]:
    """As `_greedy`, in plain steps.

    Those kept lie in bins at least as wide as the rule, so that only a point's own bin and those around it can hold one
    that is too close. Work and memory grow with the number of points, however dense they are: few kept ones fit in a bin.
    """
    keep = np.ones(len(space.points), bool)
    if not len(keep):
        return keep
    side = max(rule, float(np.ptp(space.points, axis=0).max()) / _MOST_BINS)
    places = ((space.points - space.points.min(axis=0)) // side).astype(np.int64) + 1
    axes = places.shape[1]
    weights = (_MOST_BINS + 3) ** np.arange(axes)
    homes = (places @ weights).tolist()
    around = [sum(map(operator.mul, step, weights.tolist())) for step in itertools.product((-1, 0, 1), repeat=axes)]
    points, squares = space.points.tolist(), space.square.tolist()
    bins: dict[int, list[int]] = {}

    def refused(at: int) -> bool:
        near = itertools.chain.from_iterable(bins[home] for step in around if (home := homes[at] + step) in bins)
        for other in near:
            line = math.dist(points[at], points[other])
            if line < rule and squares[at] == squares[other] and (line < space.sure or space.exact(at, other) < rule):
                return True
        return False

    for at, home in enumerate(homes):
        if refused(at):
            keep[at] = False
        else:
            bins.setdefault(home, []).append(at)
    return keep
