"""Where a tile and an item are in degrees, at the antimeridian too."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tilewright.catalog.outline import footprint_of
from tilewright.grid import Tile

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Box = tuple[float, float, float, float]  # west, south, east, north in degrees

# A tile's side, 110 km in UTM, bends by less than a metre in degrees between corners as close as this.
_CORNERS: Final = 33
# Footprints are written with few decimals: 10 m. A tile's neighbours at this distance cost nothing.
_SLACK_DEG: Final = 1e-4


def lonlat_boxes(tile: Tile) -> list[Box]:
    """The tile's west, south, east, north in degrees; two boxes where it crosses the antimeridian."""
    from pyproj import Transformer

    west, south, east, north = Transformer.from_crs(tile.epsg, 4326, always_xy=True).transform_bounds(*tile.bounds)
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def tile_outline(tile: Tile) -> "BaseGeometry":
    """The tile's true polygon in degrees; longitudes run on beyond ±180 where it crosses the antimeridian."""
    import shapely
    from pyproj import Transformer

    west, south, east, north = tile.bounds
    across, up = np.linspace(west, east, _CORNERS), np.linspace(south, north, _CORNERS)
    x = np.concatenate([across, np.full(_CORNERS, east), across[::-1], np.full(_CORNERS, west)])
    y = np.concatenate([np.full(_CORNERS, south), up, np.full(_CORNERS, north), up[::-1]])
    lon, lat = Transformer.from_crs(tile.epsg, 4326, always_xy=True).transform(x, y)
    return shapely.Polygon(np.column_stack([np.unwrap(lon, period=360), lat])).buffer(_SLACK_DEG)


def may_meet(item: dict[str, Any], outline: "BaseGeometry") -> bool:
    """Whether an item's footprint meets an outline; one without a footprint may."""
    import shapely

    ground, _ = footprint_of(item)
    return not ground or _meets(shapely.from_wkt(ground), outline)


def may_meet_box(item: dict[str, Any], box: Box) -> bool:
    """Whether an API that was asked for `box` may give the item: also where its bbox goes round the globe."""
    import shapely

    if bbox := item.get("bbox"):
        numbers = [float(edge) for edge in bbox]
        west, south, east, north = numbers if len(numbers) == 4 else (*numbers[:2], *numbers[3:5])
        if south > box[3] + _SLACK_DEG or north < box[1] - _SLACK_DEG:
            return False
        if east - west > 180:  # crosses the antimeridian, and is drawn the wrong way (Element84/earth-search#39)
            return True
    return may_meet(item, shapely.box(*box).buffer(_SLACK_DEG))


def _meets(ground: "BaseGeometry", outline: "BaseGeometry") -> bool:
    """Whether two grounds meet, whichever turns round the globe their longitudes are on."""
    from shapely.affinity import translate

    return any(translate(ground, turn).intersects(outline) for turn in (-360.0, 0.0, 360.0))
