"""Footprints: where an item's data are, in degrees, as catalogs give them and as the earth is round."""

from typing import Any

import numpy as np
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

_EAST = shapely.box(180, -90, 540, 90)
_WEST = shapely.box(-180, -90, 180, 90)
_DIGITS = 9  # of degrees: a tenth of a millimetre


def footprint_of(item: dict[str, Any]) -> tuple[str, str]:
    """An item's outline as WKT in EPSG:4326, or an empty text and why there is none.

    From the geometry, else the bbox. Invalid outlines are mended; one that spans more than half the earth is taken to
    cross the antimeridian, which catalogs draw the wrong way round, and is cut there.
    """
    try:
        outline = shape(item["geometry"]) if item.get("geometry") else _of_bbox(item["bbox"])
        outline = _polygons(shapely.make_valid(_unwrapped(shapely.force_2d(outline))))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError):
        return "", "item has no footprint that can be read"
    if outline.is_empty or not all(-360 <= edge <= 360 for edge in outline.bounds):
        return "", "item has no footprint that can be read"
    return shapely.to_wkt(_cut(outline), rounding_precision=_DIGITS), ""


def _of_bbox(bbox: list[float]) -> BaseGeometry:
    """West, south, east, north, or those with heights; a west beyond the east crosses the antimeridian."""
    west, south, east, north = bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4])
    return shapely.box(west, south, east + 360 if west > east else east, north)


def _unwrapped(outline: BaseGeometry) -> BaseGeometry:
    """The outline in longitudes that go on across the antimeridian."""
    west, _, east, _ = outline.bounds
    parts = shapely.get_parts(outline)
    # Parts that lie on one side each were cut at the antimeridian, as GeoJSON wants it.
    if east - west <= 180 or all(part.bounds[2] - part.bounds[0] < 180 for part in parts):
        return outline
    return shapely.transform(outline, _all_east)


def _all_east(points: np.ndarray) -> np.ndarray:
    return np.column_stack([np.where(points[:, 0] < 0, points[:, 0] + 360, points[:, 0]), points[:, 1]])


def _cut(outline: BaseGeometry) -> BaseGeometry:
    """The outline within ±180°, in two where it crosses the antimeridian."""
    if outline.bounds[0] < -180:
        outline = shapely.transform(outline, lambda points: points + np.array([360, 0]))
    if outline.bounds[2] <= 180:
        return outline
    beyond = shapely.transform(outline.intersection(_EAST), lambda points: points - np.array([360, 0]))
    return _polygons(shapely.union_all([outline.intersection(_WEST), beyond]))


def _polygons(outline: BaseGeometry) -> BaseGeometry:
    """Only the areas of an outline: mending and cutting leave lines and points behind."""
    if outline.geom_type in ("Polygon", "MultiPolygon"):
        return outline
    areas = [part for part in shapely.get_parts(outline) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(areas)
