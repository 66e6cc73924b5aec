"""The ground that a label source covers: a box or polygons in EPSG:4326, and which pixels of a cell lie on it.

Edges are straight in longitude and latitude; nothing reaches beyond ±180°.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyproj
import shapely

from tilewright.config.base import Box
from tilewright.errors import TilewrightError

_WORLD: Final = shapely.box(-180, -90, 180, 90)
_CHORD_M: Final = 1000.0  # projected outlines are followed in steps of this length
_PIXELS: Final = 1_000_000  # looked at together, at 40 bytes each


def load_extent(extent: Box | str) -> shapely.Geometry:
    """A Polygon or MultiPolygon (EPSG:4326) of west, south, east, north (two parts where west > east), or of a file.

    A file is Osmosis' polygon format (.poly), GeoParquet, or whatever GDAL reads.

    Raises:
        TilewrightError: where the file is missing, cannot be read, names no CRS or has no polygons.
    """
    if not isinstance(extent, str):
        west, south, east, north = extent
        spans = [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]
        return shapely.union_all([shapely.box(left, south, right, north) for left, right in spans if left < right])
    path = Path(extent)
    if not path.is_file():
        raise _refused(path, "does not exist", "paths are relative to where the workflow runs")
    parts = _poly(path) if path.suffix.lower() == ".poly" else _vector(path)
    valid = shapely.make_valid(parts)
    whole = [shapely.intersection(_shifted(valid, turn), _WORLD) for turn in (-360.0, 0.0, 360.0)]
    pieces = shapely.get_parts(shapely.get_parts(np.concatenate(whole)))
    area = shapely.union_all(pieces[shapely.get_type_id(pieces) == shapely.GeometryType.POLYGON])
    if area.is_empty:
        raise _refused(path, "has no area", "give polygons")
    return area


def inside_extent(
    epsg: int, ulx: float, uly: float, side: int, step: float, extent: shapely.Geometry | None
) -> np.ndarray:
    """Which pixel centres of a cell lie in `extent` (EPSG:4326), its border included; all do where it is unknown (None).

    Args:
        epsg: the cell's UTM zone.
        ulx: easting of its left edge, metres.
        uly: northing of its upper edge, metres.
        side: pixels a side.
        step: metres a pixel.
        extent: as `load_extent` makes it.

    Returns:
        bool (y, x).
    """
    if extent is None:
        return np.ones((side, side), dtype=bool)
    shapely.prepare(extent)
    at = (np.arange(side) + 0.5) * step
    x, y = ulx + at, uly - at
    to_degrees = _to_degrees(epsg)
    if side > 1:
        # The polygon through the outermost centres holds all others: mostly it alone decides.
        along, up = np.concatenate([x, x[-1:].repeat(side - 1)]), np.concatenate([y[:1].repeat(side), y[1:]])
        back, down = (
            np.concatenate([x[-2::-1], x[:1].repeat(side - 2)]),
            np.concatenate([y[-1:].repeat(side - 1), y[-2:0:-1]]),
        )
        lon, lat = to_degrees.transform(np.concatenate([along, back]), np.concatenate([up, down]))
        if np.ptp(lon) < 180:  # across the antimeridian it would lead around the earth
            outline = shapely.Polygon(np.column_stack([lon, lat]))
            if shapely.covers(extent, outline):
                return np.ones((side, side), dtype=bool)
            if not shapely.intersects(extent, outline):
                return np.zeros((side, side), dtype=bool)
    inside = np.empty((side, side), dtype=bool)
    rows = max(1, _PIXELS // side)
    for first in range(0, side, rows):
        lon, lat = to_degrees.transform(*np.meshgrid(x, y[first : first + rows]))
        inside[first : first + rows] = shapely.intersects_xy(extent, lon, lat)
    return inside


@lru_cache(maxsize=8)
def _to_degrees(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)


def _shifted(parts: np.ndarray, east: float) -> np.ndarray:
    return np.asarray(shapely.transform(parts, lambda points: points + np.array([east, 0.0])), dtype=object)


def _refused(path: Path, what: str, mend: str) -> TilewrightError:
    return TilewrightError(f"labels.<set>.source.extent: {path} {what}; {mend}")


def _poly(path: Path) -> np.ndarray:
    """Osmosis' format: a name, then sections of `lon lat` lines, each named (with ! for a hole) and ended by END; END."""
    land: Any = shapely.Polygon()
    name: str | None = None
    ring: list[tuple[float, float]] = []
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()][1:]
        for line in filter(None, lines):
            if name is None:
                if line == "END":
                    break
                name, ring = line, []
            elif line == "END":
                part = shapely.make_valid(shapely.Polygon(ring))
                # one after the other, as Osmosis does: what is added after a hole may be an island in it
                land = shapely.difference(land, part) if name.startswith("!") else shapely.union(land, part)
                name = None
            else:
                lon, lat = line.split()[:2]
                ring.append((float(lon), float(lat)))
        if name is not None or land.is_empty:
            raise ValueError("a section without END" if name else "no polygon")
    except (ValueError, shapely.errors.ShapelyError) as error:
        raise _refused(path, f"is no polygon file ({error})", "see 'Osmosis/Polygon Filter File Format'") from error
    return np.array([land])


def _vector(path: Path) -> np.ndarray:
    import geopandas as gpd

    try:
        parquet = path.suffix.lower() in (".parquet", ".geoparquet")
        table: Any = gpd.read_parquet(path) if parquet else gpd.read_file(path, columns=[])
    except Exception as error:  # pyogrio, pyarrow and geopandas each have their own
        raise _refused(
            path, f"cannot be read ({' '.join(str(error).split())})", "give .poly, GeoJSON, GeoPackage, …"
        ) from error
    if not isinstance(table, gpd.GeoDataFrame):
        raise _refused(path, "has no polygons", "give an area")
    shapes = table.geometry[~(table.geometry.isna() | table.geometry.is_empty)]
    if strange := sorted(set(shapes.geom_type) - {"Polygon", "MultiPolygon"}):
        raise _refused(path, f"has {', '.join(strange)} beside or instead of polygons", "keep only polygons")
    if shapes.empty:
        raise _refused(path, "has no polygons", "give an area")
    if shapes.crs is None:
        raise _refused(path, "names no CRS", "set one, such as EPSG:4326")
    if shapes.crs.is_projected:
        shapes = shapes.segmentize(_CHORD_M / shapes.crs.axis_info[0].unit_conversion_factor)
    return np.asarray(shapes.to_crs(4326).to_numpy(), dtype=object)
