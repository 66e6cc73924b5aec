"""Geometries of any CRS as files hold them, made plain: two dimensions, one kind each, valid, in EPSG:4326."""

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyproj
import shapely

# A straight edge of a projected CRS bends in degrees: by L² tan(lat) / 8R, 2 cm for a kilometre at 45°. Longer ones get vertices.
_EDGE_M: Final = 1_000
# Twice around the earth: no projection has a place for what is farther out.
_FARTHEST_M: Final = 8e7
# Longitudes may count from anywhere (0 to 360, -360 to 0); metres that are taken for degrees are farther out.
_FARTHEST_DEG: Final = 540.0
_KINDS: Final = ("point", "line", "area")  # by dimension


@dataclass(frozen=True)
class Mended:
    """Geometries, one for each that was given.

    Attributes:
        geometry: (n,) valid geometries in EPSG:4326; areas are Polygons or MultiPolygons. None where `reject` says why.
        kind: (n,) area, line or point; "" of rejects.
        reject: (n,) why there is none: no_geometry, empty, not_finite, no_place (outside what its CRS can tell of the
            earth), no_area, no_length; "" of the others.
        repaired: areas whose rings crossed or touched themselves, or whose parts overlapped, mended by make_valid.
    """

    geometry: np.ndarray
    kind: np.ndarray
    reject: np.ndarray
    repaired: int


def mended(geometry: np.ndarray, crs: pyproj.CRS) -> Mended:
    """Make geometries plain and valid.

    Z and M are dropped. Of a collection its areas are kept, else its lines, else its points. A ring that crosses itself
    becomes the areas that it encloses, parts that overlap are united, and a hole is what lies in its shell. Edges of
    projected CRSs stay straight there: vertices are added. What crosses ±180° is cut there, longitudes beyond are turned back.

    Args:
        geometry: (n,) shapely geometries or None, x and y in the order of `crs` by GIS custom (longitude first).
        crs: their CRS.

    Raises:
        pyproj.exceptions.ProjError: where `crs` has no way to longitude and latitude.
    """
    geometry = np.array(geometry, dtype=object)
    reject = np.full(len(geometry), "", dtype=object)
    reject[shapely.is_missing(geometry)] = "no_geometry"
    reject[shapely.is_empty(geometry)] = "empty"
    _refuse(geometry, reject, "not_finite")
    geometry = shapely.force_2d(geometry)
    for at in np.flatnonzero(shapely.get_type_id(geometry) == shapely.GeometryType.GEOMETRYCOLLECTION):
        geometry[at] = _one_kind(geometry[at])
    geometry, dimension = _with_length(geometry), shapely.get_dimensions(geometry)
    reject[(reject == "") & (dimension == 1) & shapely.is_empty(geometry)] = "no_length"
    if crs.is_projected:
        far = np.abs(shapely.bounds(geometry)).max(axis=1) * _metres(crs) > _FARTHEST_M
        reject[(reject == "") & far] = "no_place"
    geometry[reject != ""] = None
    # Before vertices are added: GEOS would mend areas on the way, and lose half a bow-tie.
    crossing = _make_valid(geometry)
    geometry[:] = _lonlat(geometry, crs)
    _refuse(geometry, reject, "no_place")
    _make_valid(geometry)  # what rounding did
    reject[(reject == "") & (dimension == 2) & ~(shapely.area(geometry) > 0)] = "no_area"
    west, south, east, north = shapely.bounds(geometry).T
    off = (south < -90) | (north > 90) | (west < -_FARTHEST_DEG) | (east > _FARTHEST_DEG)
    reject[(reject == "") & off] = "no_place"
    for at in np.flatnonzero((reject == "") & ((west < -180) | (east > 180))):
        geometry[at] = _turned(geometry[at])
    geometry[reject != ""] = None
    kind = np.array(
        [_KINDS[each] if not why else "" for each, why in zip(dimension, reject, strict=True)], dtype=object
    )
    return Mended(geometry, kind, reject, int((reject[crossing] == "").sum()))


def _refuse(geometry: np.ndarray, reject: np.ndarray, reason: str) -> None:
    """Give the `reason` to those that have a coordinate that is no number."""
    coordinates, index = shapely.get_coordinates(geometry, return_index=True)
    wrong = np.unique(index[~np.isfinite(coordinates).all(axis=1)])
    reject[wrong[reject[wrong] == ""]] = reason
    geometry[wrong] = None


def _one_kind(collection: Any) -> Any:
    parts = shapely.get_parts(collection)
    while (shapely.get_type_id(parts) >= shapely.GeometryType.MULTIPOINT).any():
        parts = shapely.get_parts(parts)
    dimension = shapely.get_dimensions(parts)
    parts = parts[(dimension == dimension.max()) & ~shapely.is_empty(parts)]
    return (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)[int(dimension.max())](parts)


def _make_valid(geometry: np.ndarray) -> np.ndarray:
    """Mend areas in place; which were not valid."""
    bad = np.flatnonzero((shapely.get_dimensions(geometry) == 2) & ~shapely.is_valid(geometry))
    made = shapely.make_valid(geometry[bad], method="structure", keep_collapsed=False)
    geometry[bad] = np.array([*map(_areas, made), None], dtype=object)[:-1]
    return bad


def _with_length(geometry: np.ndarray) -> np.ndarray:
    """Lines without those of their parts that are in one place only."""
    lines = np.flatnonzero((shapely.get_dimensions(geometry) == 1) & ~shapely.is_valid(geometry))
    for at in lines:
        parts = shapely.get_parts(geometry[at])
        geometry[at] = shapely.multilinestrings(parts[shapely.length(parts) > 0])
    return geometry


def _metres(crs: pyproj.CRS) -> float:
    return crs.axis_info[0].unit_conversion_factor or 1.0


def _lonlat(geometry: np.ndarray, crs: pyproj.CRS) -> np.ndarray:
    target = pyproj.CRS.from_epsg(4326)
    if crs.equals(target, ignore_axis_order=True):
        return geometry
    transformer = pyproj.Transformer.from_crs(crs, target, always_xy=True)

    def degrees(xy: np.ndarray) -> np.ndarray:
        return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))

    if not crs.is_projected:
        return shapely.transform(geometry, degrees)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of coordinates far outside, which are refused below
        found = shapely.transform(shapely.segmentize(geometry, _EDGE_M / _metres(crs)), degrees)
    west, _, east, _ = shapely.bounds(found).T
    for at in np.flatnonzero(east - west > 180):  # across ±180°, or indeed around the world
        if jumps(found[at]):
            found[at] = shapely.transform(found[at], lambda lonlat: np.column_stack([lonlat[:, 0] % 360, lonlat[:, 1]]))
    return found


def jumps(geometry: Any) -> bool:
    """Whether an edge of it leads from one side of ±180° to the other: no edge is as long as half the earth."""
    parts = shapely.get_parts(geometry)
    if shapely.get_dimensions(geometry) == 2:
        parts = shapely.get_rings(parts)
    coordinates, index = shapely.get_coordinates(parts, return_index=True)
    return bool(((np.abs(np.diff(coordinates[:, 0])) > 180) & (np.diff(index) == 0)).any())


def _areas(geometry: Any) -> Any:
    """The areas of what make_valid made, None where it left none."""
    if geometry is None or shapely.get_type_id(geometry) in (
        shapely.GeometryType.POLYGON,
        shapely.GeometryType.MULTIPOLYGON,
    ):
        return geometry
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])


def _shifted(geometry: Any, degrees: float) -> Any:
    return shapely.transform(geometry, lambda lonlat: lonlat + np.array([degrees, 0]))


def _turned(geometry: Any) -> Any:
    """A geometry with longitudes beyond ±180°, cut there and turned back."""
    west, _, east, _ = shapely.bounds(geometry)
    parts = []
    for turn in range(int(np.floor((west + 180) / 360)), int(np.ceil((east + 180) / 360))):
        cut = shapely.intersection(geometry, shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90))
        shifted = _shifted(cut, -360 * turn)
        parts += [
            part for part in shapely.get_parts(shapely.get_parts(shifted))
            if shapely.get_dimensions(part) == shapely.get_dimensions(geometry) and not part.is_empty
        ]  # fmt: skip
    return shapely.union_all(parts)
