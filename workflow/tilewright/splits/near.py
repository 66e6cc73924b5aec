"""Which cells of different groups share ground, or are nearer than a distance: across tiles, across zones, at any size of dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from tilewright.grid.zones import lonlat, ring, to_degrees

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_EQUATOR_SOUTH_M: Final = 10_000_000  # northing of the equator in southern UTM zones
_CHUNK: Final = 20_000  # cells whose neighbours are looked at together: bounds the memory
# Cells of zones further apart than that cannot meet: up to 84°, where tiles end, four zones are 280 km. Svalbard's zones are two apart.
_ZONES_APART: Final = 3
# A straight edge of 9 km of one zone's grid is curved by up to 0.17 m in its neighbour's; in pieces of an eighth by 3 mm.
_PIECES: Final = 8
_EDGE_M: Final = 0.01  # an overlap across zones must be wider than that: more than all errors of the arithmetic
_EARTH_M: Final = 6_378_137.0, 0.006694379990141317  # WGS 84: semi-major axis, squared eccentricity


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows, one < other, in order.

    Attributes:
        one, other: (pair,) positions of rows.
        gap_m: (pair,) how far apart, metres of the UTM grid; 0 where they overlap or touch.
        shared_m2: (pair,) ground in both, square metres of the UTM grid.
    """

    one: Ints
    other: Ints
    gap_m: Floats
    shared_m2: Floats

    def __len__(self) -> int:
        return len(self.one)


def near_pairs(rows: pd.DataFrame, groups: NDArray[np.integer], distance_m: float) -> Pairs:
    """All pairs of cells of different groups that overlap or, where `distance_m` is above 0, are nearer than that.

    Within a zone number (its north and south are one plane) the arithmetic is of whole metres, and exact: cells that touch do not
    overlap. Cells of different zones are compared in the grid of the zone with the lower number, to 1 cm.

    Args:
        rows: with columns epsg, ulx, uly, size_m (metres), lon, lat (centre, degrees).
        groups: (row,) whole numbers; below 0: the cell is in no group and has no pairs.
        distance_m: metres of the UTM grid, which differ from metres on the ground by at most 0.1 %.
    """
    group: Ints = np.asarray(groups).astype(np.int64)
    cells = _Cells(rows)
    grouped = np.flatnonzero(group >= 0)
    zones = {int(zone): grouped[cells.zone[grouped] == zone] for zone in np.unique(cells.zone[grouped])}
    found = [each for at in zones.values() for each in _within(cells, at, group, distance_m)]
    for zone in zones:
        for step in range(1, _ZONES_APART + 1):
            beside = (zone - 1 + step) % 60 + 1
            if beside in zones:
                pair = (zone, beside) if zone < beside else (beside, zone)
                found.append(_across(cells, zones[pair[0]], zones[pair[1]], group, distance_m))
    return _joined(found)


class _Cells:
    """The squares as plain arrays; `centre` in metres of the zone number's plane, whose northing is from the equator."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.epsg = rows["epsg"].to_numpy(np.int64)
        self.zone = self.epsg % 100
        self.size = rows["size_m"].to_numpy(np.float64)
        self.ulx, self.uly = (rows[name].to_numpy(np.float64) for name in ("ulx", "uly"))
        north = self.uly - np.where(self.epsg // 100 == 327, _EQUATOR_SOUTH_M, 0)
        self.centre = np.stack([self.ulx + self.size / 2, north - self.size / 2], axis=1)


def _within(cells: _Cells, at: Ints, group: Ints, distance_m: float) -> Iterator[Pairs]:
    """Of the cells at `at`, all of one zone number."""
    at = at[_mixed(cells.centre[at], group[at], float(cells.size[at].max()) + distance_m)]
    centre, size, of = cells.centre[at], cells.size[at], group[at]
    half = size[:, None] / 2
    tree = shapely.STRtree(shapely.box(*(centre - half).T, *(centre + half).T))
    reach = half + distance_m
    around = shapely.box(*(centre - reach).T, *(centre + reach).T)
    for first in range(0, len(at), _CHUNK):
        one, other = tree.query(around[first : first + _CHUNK])
        one = one + first
        kept = (one < other) & (of[one] != of[other])
        one, other = one[kept], other[kept]
        apart = np.abs(centre[one] - centre[other]) - (size[one] + size[other])[:, None] / 2
        overlap = (apart < 0).all(axis=1)
        gap = np.hypot(*np.maximum(apart, 0).T)
        near = overlap | (gap < distance_m)
        # of squares of one size the shared part is a rectangle; of different sizes one may lie within the other
        sides = np.minimum(-apart[near], np.minimum(size[one[near]], size[other[near]])[:, None])
        yield Pairs(at[one[near]], at[other[near]], gap[near], np.where(overlap[near], sides.prod(axis=1), 0.0))


def _mixed(centre: Floats, group: Ints, reach_m: float) -> NDArray[np.bool_]:
    """Which cells may have one of another group within reach: their bin of that side, or one beside it, holds another group."""
    place = np.floor(centre / reach_m).astype(np.int64)
    place -= place.min(axis=0) - 1
    wide = int(place[:, 1].max()) + 2
    bins, of = np.unique(place[:, 0] * wide + place[:, 1], return_inverse=True)
    least, most = np.full(len(bins), np.iinfo(np.int64).max), np.full(len(bins), -1, np.int64)
    np.minimum.at(least, of, group)
    np.maximum.at(most, of, group)
    low, high = least.copy(), most.copy()
    for step in (right * wide + down for right in (-1, 0, 1) for down in (-1, 0, 1)):
        beside = np.minimum(np.searchsorted(bins, bins + step), len(bins) - 1)
        there = bins[beside] == bins + step
        low[there] = np.minimum(low[there], least[beside[there]])
        high[there] = np.maximum(high[there], most[beside[there]])
    return np.asarray((low != high)[of])


def _across(cells: _Cells, ones: Ints, others: Ints, group: Ints, distance_m: float) -> Pairs:
    """Of cells of two zone numbers."""
    # most datasets lie in one zone, and need not wait for this to be imported
    from scipy.spatial import cKDTree

    reach = 1.002 * (float(cells.size[ones].max() + cells.size[others].max()) * 0.7072 + distance_m) + 1
    places = [_on_earth(cells.rows, at) for at in (ones, others)]
    trees = [cKDTree(each) for each in places]
    near = [np.isfinite(trees[1 - side].query(places[side], distance_upper_bound=reach)[0]) for side in (0, 1)]
    ones, others = ones[near[0]], others[near[1]]
    if not len(ones):
        return _joined([])
    found = cKDTree(places[0][near[0]]).query_ball_tree(cKDTree(places[1][near[1]]), reach)
    count = np.array([len(each) for each in found])
    one = np.repeat(ones, count)
    other = others[np.concatenate([np.array(each, np.int64) for each in found])]
    kept = group[one] != group[other]
    return _measured(cells, one[kept], other[kept], distance_m)


def _on_earth(rows: pd.DataFrame, at: Ints) -> Floats:
    """(cell, 3) the centres in earth-centred metres: their straight distance is at most that on the ground."""
    lon, lat = (np.radians(rows[name].to_numpy(np.float64)[at]) for name in ("lon", "lat"))
    axis, eccentricity = _EARTH_M
    normal = axis / np.sqrt(1 - eccentricity * np.sin(lat) ** 2)
    flat = normal * np.cos(lat)
    return np.stack([flat * np.cos(lon), flat * np.sin(lon), normal * (1 - eccentricity) * np.sin(lat)], axis=1)


def _measured(cells: _Cells, one: Ints, other: Ints, distance_m: float) -> Pairs:
    """Those of the candidates that overlap or are near: the others' outlines are drawn in the ones' grid."""
    outline = np.empty(len(other), object)
    # by the zones of both, and the size of the other: one of each, as a rule
    kind = np.stack([cells.epsg[one], cells.epsg[other], cells.size[other].astype(np.int64)], axis=1)
    for here, there, size_m in np.unique(kind, axis=0).tolist():
        mine = np.flatnonzero((kind == (here, there, size_m)).all(axis=1))
        at, drawn = np.unique(other[mine], return_inverse=True)
        x, y = ring(cells.ulx[at], cells.uly[at], size_m, _PIECES)
        x, y = to_degrees(here).transform(*lonlat(there, x, y), direction="INVERSE")
        outline[mine] = np.asarray(shapely.polygons(np.stack([x, y], axis=-1)))[drawn]
    left, top, size = cells.ulx[one], cells.uly[one], cells.size[one]
    square = shapely.box(left, top - size, left + size, top)
    inner = shapely.box(left + _EDGE_M, top - size + _EDGE_M, left + size - _EDGE_M, top - _EDGE_M)
    overlap = shapely.intersects(inner, outline)
    gap = shapely.distance(square, outline)
    near = overlap | (gap < distance_m)
    shared = np.where(overlap[near], shapely.area(shapely.intersection(square[near], outline[near])), 0.0)
    low, high = np.minimum(one, other), np.maximum(one, other)
    return Pairs(low[near], high[near], gap[near], shared)


def _joined(parts: list[Pairs]) -> Pairs:
    """All pairs in order."""
    one, other = (
        np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, np.int64)]) for name in ("one", "other")
    )
    gap, shared = (
        np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)]) for name in ("gap_m", "shared_m2")
    )
    order = np.lexsort([other, one])
    return Pairs(one[order], other[order], gap[order], shared[order])
