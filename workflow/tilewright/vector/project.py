"""Geometries from longitude and latitude into a UTM zone."""

from typing import Final

import numpy as np
import pyproj
import shapely

from tilewright.errors import TilewrightError

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
        geometry[far] = _near(geometry[far], meridian, west, east)

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


def _near(geometry: np.ndarray, meridian: int, west: float, east: float) -> np.ndarray:
    def wrapped(lonlat: np.ndarray) -> np.ndarray:
        return np.column_stack([(lonlat[:, 0] - meridian + 180) % 360 + meridian - 180, lonlat[:, 1]])

    dimension = shapely.get_dimensions(geometry)
    near = shapely.transform(geometry, wrapped)
    left, _, right, _ = shapely.bounds(near).T
    cut = (left < west) | (right > east)
    near[cut] = shapely.clip_by_rect(near[cut], west, -90, east, 90)
    for at in np.flatnonzero(shapely.get_type_id(near) == 7):  # a cut that leaves a corner or an edge behind
        parts = shapely.get_parts(near[at])
        near[at] = shapely.union_all(parts[shapely.get_dimensions(parts) == dimension[at]])
    return near
