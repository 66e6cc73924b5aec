"""UTM zones: which ground belongs to which zone, and whether a cell lies wholly in its own.

Zones are 6° wide but for Norway (32V takes 3° of 31V) and Svalbard (31X, 33X, 35X, 37X take all of band X), see
DMA TM 8358.1, chapter 3. Here band C reaches down to the South Pole and band X up to the North Pole, because tiles
reach beyond 80°S and 84°N and only overlaps between zones are at stake.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyproj

Floats = NDArray[np.float64]

TOLERANCE_M = 0.01
"""A cell must keep this distance from its zone's border: more than the error of the arithmetic below."""

_STEP_M = 200
"""Longest piece of a cell's edge that is taken as straight. The most curved border is the parallel of 72° (radius
2,070 km on the map): a 200 m chord leaves it by 2.4 mm, below `TOLERANCE_M`."""

_DEGREE_LAT_M = 110_574
_DEGREE_LON_M = 111_319
"""Metres in a degree on WGS 84: of latitude at the equator, and of longitude there; nowhere is cos(lat) times it less."""


class Strip(NamedTuple):
    """The part of a zone between two parallels: degrees."""

    south: float
    north: float
    west: float
    east: float


def central_meridian(zone: int) -> int:
    """Central meridian of UTM zone 1–60, degrees."""
    return zone * 6 - 183


def strips(zone: int) -> tuple[Strip, ...]:
    """The ground of UTM zone 1–60, from south to north; parts that the zone does not have are left out."""
    west, east = zone * 6 - 186.0, zone * 6 - 180.0
    if zone == 31:
        return Strip(-90, 56, 0, 6), Strip(56, 64, 0, 3), Strip(64, 72, 0, 6), Strip(72, 90, 0, 9)
    if zone == 32:
        return Strip(-90, 56, 6, 12), Strip(56, 64, 3, 12), Strip(64, 72, 6, 12)
    if zone in (34, 36):
        return (Strip(-90, 72, west, east),)
    if zone in (33, 35, 37):
        wide = {33: (9.0, 21.0), 35: (21.0, 33.0), 37: (33.0, 42.0)}[zone]
        return Strip(-90, 72, west, east), Strip(72, 90, *wide)
    return (Strip(-90, 90, west, east),)


def zone_of(lon: Floats, lat: Floats) -> NDArray[np.int64]:
    """UTM zone 1–60 of points in EPSG:4326; a point on a border is of the zone to the east, or to the north."""
    east = (lon + 180) % 360 - 180
    zone = (np.floor((east + 180) / 6).astype(np.int64)) + 1
    for odd in range(31, 38):  # the only zones whose ground is not their own 6 degrees everywhere
        for strip in strips(odd):
            within = (lat >= strip.south) & (lat < strip.north) & (east >= strip.west) & (east < strip.east)
            zone = np.where(within, odd, zone)
    return zone


@lru_cache(maxsize=120)
def to_degrees(epsg: int) -> "pyproj.Transformer":
    """From metres in the UTM zone `epsg` to (lon, lat) in EPSG:4326, and back with `direction="INVERSE"`."""
    import pyproj  # here: Snakemake's own process transforms nothing, and it is 10 MB

    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)


def lonlat(epsg: int, x: NDArray[Any], y: NDArray[Any]) -> tuple[Floats, Floats]:
    """Degrees of points in `epsg`; longitudes within 180° of the central meridian, so none jumps at ±180°."""
    lon, lat = to_degrees(epsg).transform(x, y)
    middle = central_meridian(epsg % 100)
    return middle + (lon - middle + 180) % 360 - 180, lat


def ring(ulx: NDArray[np.int64], uly: NDArray[np.int64], size_m: int, pieces: int) -> tuple[Floats, Floats]:
    """Points around squares, clockwise from the upper-left corner: two arrays (squares, 4 × pieces), metres."""
    along = np.arange(pieces) / pieces * size_m
    none, full = np.zeros(pieces), np.full(pieces, float(size_m))
    right = np.concatenate([along, full, full - along, none])
    down = np.concatenate([none, along, full, full - along])
    return ulx[:, None] + right, uly[:, None] - down


def _clear(zone: int, lon: Floats, lat: Floats, margin_m: float) -> NDArray[np.bool_]:
    """Whether everything within `margin_m` metres of the points lies in the zone (False where that cannot be said)."""
    north = margin_m / _DEGREE_LAT_M
    polewards = np.minimum(np.abs(lat) + north, 89.9)
    east = margin_m / (_DEGREE_LON_M * np.cos(np.radians(polewards)))
    clear = np.ones(lon.shape, bool)
    for parallel in (lat - north, lat + north):
        inside = np.zeros(lon.shape, bool)
        for strip in strips(zone):
            within = (parallel >= strip.south) & (parallel < strip.north)
            inside |= within & (lon - east >= strip.west) & (lon + east <= strip.east)
        clear &= inside
    return clear


def wholly_in_zone(epsg: int, ulx: NDArray[np.int64], uly: NDArray[np.int64], size_m: int) -> NDArray[np.bool_]:
    """Whether squares of `size_m` metres (upper-left corners in `epsg`) lie wholly in the zone, 1 cm from its border.

    Meridians bulge away from the central meridian on the map, and a zone always lies on that side of its bounding
    meridians, so a straight edge between two points inside does not leave through them; parallels are met by walking
    the edges in steps (see `_STEP_M`), and the points where borders turn are looked for inside the square.
    """
    zone = epsg % 100
    lon, lat = lonlat(epsg, ulx + size_m / 2, uly - size_m / 2)
    inside = _clear(zone, lon, lat, 0.71 * 1.01 * size_m)  # half the diagonal; a zone's scale differs from 1 by < 1 %
    near = np.flatnonzero(~inside & _clear(zone, lon, lat, 0.0))
    if not len(near):
        return inside
    x, y = ring(ulx[near], uly[near], size_m, -(-size_m // _STEP_M))
    inside[near] = _clear(zone, *lonlat(epsg, x, y), TOLERANCE_M).all(axis=1)
    for corner_x, corner_y in _turns(epsg):
        right, down = corner_x - ulx, uly - corner_y
        within = (np.minimum(right, down) > -TOLERANCE_M) & (np.maximum(right, down) < size_m + TOLERANCE_M)
        inside &= ~within
    return inside


@lru_cache(maxsize=120)
def _turns(epsg: int) -> tuple[tuple[float, float], ...]:
    """Where the zone's border turns between meridian and parallel: points in metres."""
    parts = strips(epsg % 100)
    corners = {(lon, part.south) for part in parts for lon in (part.west, part.east) if part.south > -90}
    corners |= {(lon, part.north) for part in parts for lon in (part.west, part.east) if part.north < 90}
    if epsg // 100 == 327:
        return ()  # all exceptions are in the north
    points = [to_degrees(epsg).transform(lon, lat, direction="INVERSE") for lon, lat in sorted(corners)]
    return tuple(points)
