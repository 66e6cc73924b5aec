"""Geometries from longitude and latitude into a UTM zone."""

from typing import Final

import numpy as np
import pyproj
import shapely

from tilewright.errors import TilewrightError
from tilewright.vector.mend import jumps

# The projection is exact to a millimetre within this many degrees of the zone's meridian; what lies beyond is cut off.
_REACH_DEG: Final = 30.0


def project(geometry: np.ndarray, epsg: int) -> np.ndarray:
    """Lon/lat geometries in the UTM zone `epsg`, vertex by vertex: an edge is straight between its projected ends.

    Longitudes are taken on the side of the antimeridian that is nearer to the zone. What reaches further than 30° from the
    zone's meridian is cut there; what lies wholly beyond is empty.

    Args:
        geometry: (feature,) geometries in EPSG:4326, none missing.
        epsg: a UTM zone.

    Returns:
        (feature,) geometries in metres, of the same dimensions.

    Raises:
        TilewrightError: for coordinates that are no place on earth.
        ValueError: where `epsg` is no UTM zone.
    """
    crs = pyproj.CRS.from_epsg(epsg)
    zone = crs.utm_zone
    if zone is None:
        raise ValueError(f"EPSG:{epsg} is no UTM zone")
    meridian = int(zone[:-1]) * 6 - 183
    west, east = meridian - _REACH_DEG, meridian + _REACH_DEG
    transformer = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    geometry = np.array(geometry, dtype=object)
    left, _, right, _ = shapely.bounds(geometry).reshape(-1, 4).T
    far = ~((left >= west) & (right <= east)) & ~shapely.is_empty(geometry)
    if far.any():  # few: nearly all features lie near to the zone's meridian as they are
        geometry[far] = _near(geometry[far], west, east)

    def to_metres(lonlat: np.ndarray) -> np.ndarray:
        return np.column_stack(transformer.transform(lonlat[:, 0], lonlat[:, 1]))

    projected = shapely.transform(geometry, to_metres)
    if not np.isfinite(shapely.get_coordinates(projected)).all():
        wrong = next(each for each, made in zip(geometry, projected, strict=True)
                     if not np.isfinite(shapely.get_coordinates(made)).all())  # fmt: skip
        raise TilewrightError(
            f"features: a geometry around lon, lat {', '.join(f'{edge:g}' for edge in wrong.bounds)} is no place on earth: "
            "mend its coordinates or name the source's CRS"
        )
    return projected


def _near(geometry: np.ndarray, west: float, east: float) -> np.ndarray:
    """The part of each geometry between the longitudes `west` and `east`, which may lie beyond ±180."""
    dimension = shapely.get_dimensions(geometry)
    whole = _joined(geometry)
    near = np.full(len(geometry), None, dtype=object)
    for turn in (-360.0, 0.0, 360.0):
        left, _, right, _ = shapely.bounds(whole).T + turn
        meets = np.flatnonzero((left <= east) & (right >= west))
        pieces = _shifted(whole[meets], turn)
        cut = (left[meets] < west) | (right[meets] > east)
        pieces[cut] = shapely.clip_by_rect(pieces[cut], west, -90, east, 90)
        for at in np.flatnonzero(shapely.get_type_id(pieces) == 7):  # a cut that leaves a corner or an edge behind
            parts = shapely.get_parts(pieces[at])
            pieces[at] = shapely.union_all(parts[shapely.get_dimensions(parts) == dimension[meets[at]]])
        second = ~shapely.is_missing(near[meets])
        # What was parted at ±180° is one again, without an edge there.
        pieces[second] = shapely.union(near[meets[second]], pieces[second])
        near[meets] = pieces
    near[shapely.is_missing(near)] = shapely.GeometryCollection()
    return near


def _joined(geometry: np.ndarray) -> np.ndarray:
    """Geometries that lie around ±180° and have an edge from one side to the other, with longitudes from 0 to 360."""
    joined = geometry.copy()
    left, _, right, _ = shapely.bounds(geometry).T
    for at in np.flatnonzero((left < _REACH_DEG - 180) & (right > 180 - _REACH_DEG)):
        around = np.abs(shapely.get_coordinates(geometry[at])[:, 0]).min() > 180 - _REACH_DEG
        if around and jumps(geometry[at]):
            made = shapely.transform(geometry[at], lambda lonlat: np.column_stack([lonlat[:, 0] % 360, lonlat[:, 1]]))
            # what goes around the earth along ±180° would be nothing
            joined[at] = made if np.ptp(shapely.bounds(made)[::2]) > 0 else geometry[at]
    return joined


def _shifted(geometry: np.ndarray, east: float) -> np.ndarray:
    return np.asarray(shapely.transform(geometry, lambda lonlat: lonlat + np.array([east, 0.0])), dtype=object)
