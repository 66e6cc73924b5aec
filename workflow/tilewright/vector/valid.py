"""Valid areas from whatever rings a source has."""

import numpy as np
import shapely


def valid_areas(geometry: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Make polygons valid (Multi)Polygons.

    Mending keeps what an odd number of turns of the rings encloses (the two triangles of a bow-tie), as GEOS's
    make_valid does; lines and points that are left over are dropped.

    Returns:
        The geometries, which of them have no area at all, and how many were mended.
    """
    bad = np.flatnonzero(~shapely.is_valid(geometry))
    if len(bad):
        geometry = geometry.copy()
    for at, mended in zip(bad, shapely.make_valid(geometry[bad]), strict=True):
        parts = shapely.get_parts(shapely.get_parts(mended))
        geometry[at] = shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    lost = shapely.is_empty(geometry)
    return geometry, lost, int((~lost[bad]).sum())
