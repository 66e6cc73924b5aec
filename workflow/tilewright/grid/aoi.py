"""The area of interest: which tiles it has, and the part of it that concerns one tile.

Arithmetic is planar in longitude and latitude (EPSG:4326), as in GeoJSON: edges are straight between their vertices.
Areas are cut at ±180°; since no cell crosses its zone's border, none crosses ±180° either.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from tilewright.config.area import Aoi
from tilewright.errors import TilewrightError
from tilewright.grid.cells import CellTable
from tilewright.grid.mgrs import SIDE_M, TileTable, tile, tiles
from tilewright.grid.vector_files import read_shapes
from tilewright.grid.zones import Floats, central_meridian, lonlat, ring, strips

if TYPE_CHECKING:
    import geopandas as gpd

_GRID_DEGREES = 1e-7  # about 1 cm: the precision to which areas are kept
_WORLD = shapely.box(-180, -90, 180, 90)
_PIECES = 32  # of a tile's edge: a 3.4 km chord leaves the most curved parallel (83°) by less than 2 m
_MARGIN_DEGREES = 0.001  # around a tile's envelope: far more than that


@dataclass(frozen=True, eq=False)
class AreaOfInterest:
    """An area, or whole tiles (`geometry` is None); made by `load_aoi`.

    `geometry` is the dissolved area in EPSG:4326; `parts` are the polygons it was dissolved from. A tile's clip is made
    from those: where dissolved edges cross they gain vertices, whose rounding would move an edge far away as well.
    """

    named: tuple[str, ...]
    geometry: shapely.MultiPolygon | None
    parts: NDArray[np.object_]
    text: str
    _windows: dict[str, NDArray[np.object_]] = field(default_factory=dict, repr=False)

    def tiles(self) -> list[str]:
        """Names, sorted, of the tiles whose ground (footprint within its own UTM zone) meets the area.

        Tiles of sea beside tiles with land are kept: the flag is coarse, and an island is not to be lost to it.

        Raises:
            TilewrightError: where there are none, or none with land.
        """
        names = self._names
        if not tiles().land[np.searchsorted(tiles().name, names)].any():
            raise TilewrightError(
                f"aoi: {self.text} lies in the sea: no tile that it meets ({', '.join(names[:3])}) has land, and Sentinel-2 "
                "images land and coasts only; check that it is longitude first, or move it"
            )
        return list(names)

    @cached_property
    def _named(self) -> frozenset[str]:
        return frozenset(self.named)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        if self.geometry is None:
            return self.named
        table = tiles()
        boxes = _envelopes()
        met = np.flatnonzero(shapely.intersects(self.geometry, boxes))
        partly = met[~shapely.covers(self.geometry, boxes[met])]
        # Shrunk by 1 cm so that touching is not meeting: GEOS does not speed up `touches` for prepared areas.
        ground = shapely.buffer(_ground(table, partly), -_GRID_DEGREES, join_style="mitre")
        names = table.name[np.setdiff1d(met, partly[~shapely.intersects(self.geometry, ground)])]
        if not len(names):
            raise self._no_tiles()
        return tuple(names.tolist())

    def _no_tiles(self) -> TilewrightError:
        table = tiles()
        footprints = _footprints(table, np.arange(len(table)))
        across = shapely.intersects(self.geometry, footprints)
        if across.any():
            return TilewrightError(
                f"aoi: {self.text} lies beside a UTM zone's border where only tiles of the next zone reach "
                f"({', '.join(table.name[across][:3])}), and cells do not cross that border: widen or move the aoi"
            )
        return TilewrightError(
            f"aoi: no Sentinel-2 tile meets {self.text}: tiles cover all longitudes from 84° S to 84.6° N; "
            "check that it is longitude first, or move it"
        )

    def clip(self, name: str) -> str | None:
        """The area within the envelope of tile `name`, as WKT in EPSG:4326; None where it is all of the envelope.

        The envelope is the box of longitudes and latitudes around the tile, cut at its UTM zone. The text depends on
        nothing outside it: coordinates are rounded to 1e-7° and the order of parts and vertices is normalised.

        Raises:
            TilewrightError: where no ground of the tile is in the area.
        """
        outside = TilewrightError(
            f"tile {name} has no ground in the aoi ({self.text}): ask for a tile that has, or widen the aoi"
        )
        if self.geometry is None:
            if name not in self._named:
                raise outside
            return None
        tile(name)
        box = _envelopes()[np.searchsorted(tiles().name, name)]
        parts = self._window(name[:3])
        parts = parts[shapely.intersects(parts, box)]
        if shapely.covers(parts, box).any():
            return None
        area = _polygons(shapely.set_precision(shapely.union_all(shapely.intersection(parts, box)), _GRID_DEGREES))
        if area.is_empty:
            raise outside
        return None if area.covers(box) else shapely.to_wkt(shapely.normalize(area), rounding_precision=7)

    def _window(self, zone: str) -> NDArray[np.object_]:
        """The parts around the tiles of a grid zone (`32T`): cut once, so that a tile's clip is cheap in a big area."""
        if zone not in self._windows:
            west, south, east, north = shapely.total_bounds(_envelopes()[np.char.startswith(tiles().name, zone)])
            around = shapely.box(west - 0.1, south - 0.1, east + 0.1, north + 0.1)
            near = self.parts[shapely.intersects(self.parts, around)]
            within = shapely.covers(around, near)
            near[~within] = shapely.intersection(near[~within], around)
            self._windows[zone] = near
        return self._windows[zone]


def load_aoi(aoi: Aoi) -> AreaOfInterest:
    """Read the area of interest.

    Overlapping polygons of a file are dissolved and invalid ones repaired (`make_valid`); edges of a file in a projected
    CRS are followed in steps of at most 1 km; longitudes beyond ±180° are wrapped.

    Raises:
        TilewrightError: an unknown tile; a file that is missing, cannot be read, has no CRS, or has anything but polygons.
    """
    if aoi.tiles is not None:
        names = tuple(sorted({tile(name).name for name in aoi.tiles}))
        return AreaOfInterest(names, None, np.empty(0, object), f"{len(names)} named tiles")
    if aoi.land:
        names = tuple(tiles().name[tiles().land].tolist())
        return AreaOfInterest(names, None, np.empty(0, object), "all land")
    if aoi.bbox is not None:
        west, south, east, north = aoi.bbox
        spans = [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]
        parts = np.array(
            [shapely.box(left, south, right, north) for left, right in spans if left < right], dtype=object
        )
        text = f"bbox {list(aoi.bbox)}"
    else:
        assert aoi.file is not None  # the model lets exactly one key through
        parts = _read(aoi.file)
        text = aoi.file
    area = _polygons(shapely.set_precision(shapely.union_all(parts), _GRID_DEGREES))
    if area.is_empty:
        raise TilewrightError(f"aoi: {text} has no area; give polygons wider than 1 cm")
    shapely.prepare(area)
    return AreaOfInterest((), area, parts, text)


def inside(clip: str | None, cells: CellTable) -> NDArray[np.bool_]:
    """Which cells lie wholly inside `clip` (WKT in EPSG:4326, from `AreaOfInterest.clip`; None is everywhere).

    A cell's footprint is the polygon of its corners and the middles of its edges in longitude and latitude; touching
    the clip's border from within is inside.
    """
    if clip is None:
        return np.ones(len(cells), bool)
    area = shapely.from_wkt(clip)
    shapely.prepare(area)
    return shapely.covers(area, cells.polygons())


def _read(file: str) -> NDArray[np.object_]:
    """The polygons of `file` in EPSG:4326, valid and within ±180°."""
    table = read_shapes(file, "aoi.file")
    shapes = table.geometry[~(table.geometry.isna() | table.geometry.is_empty)]
    if shapes.empty:
        raise TilewrightError(f"aoi.file: {file} has no polygons; give an area")
    if strange := sorted(set(shapes.geom_type) - {"Polygon", "MultiPolygon"}):
        raise TilewrightError(
            f"aoi.file: {file} has {', '.join(strange)} beside or instead of polygons; keep only polygons"
        )
    degrees = _to_degrees(shapes, file)
    west, south, east, north = shapely.total_bounds(degrees)
    if not (west >= -540 and east <= 540 and south >= -90 and north <= 90):
        raise TilewrightError(
            f"aoi.file: {file} reaches {west:g} {south:g} {east:g} {north:g} degrees; its CRS is wrong"
        )
    valid = shapely.make_valid(degrees)
    beyond = ~shapely.covers(_WORLD, valid)
    cut = [shapely.intersection(_shifted(valid[beyond], by), _WORLD) for by in (-360.0, 0.0, 360.0)]
    return shapely.get_parts(_polygons(shapely.GeometryCollection([*valid[~beyond], *np.concatenate(cut)])))


def _shifted(geometries: NDArray[np.object_], east: float) -> NDArray[np.object_]:
    return np.asarray(shapely.transform(geometries, lambda points: points + np.array([east, 0.0])), dtype=object)


def _to_degrees(shapes: "gpd.GeoSeries", file: str) -> NDArray[np.object_]:
    """`shapes` in EPSG:4326; those that cross ±180° go on beyond it instead of jumping."""
    if not shapes.crs.is_projected:
        return shapes.to_crs(4326).to_numpy()
    kilometre = 1000 / shapes.crs.axis_info[0].unit_conversion_factor
    degrees = shapes.segmentize(kilometre).to_crs(4326).to_numpy()

    def unwrap(points: Floats) -> Floats:
        if len(points) and np.isinf(points).any():
            raise TilewrightError(f"aoi.file: {file} reaches beyond where its CRS is defined; give it in EPSG:4326")
        return np.column_stack([np.unwrap(points[:, 0], period=360), points[:, 1]])

    polygons = shapely.get_parts(degrees)
    unwrapped = []
    for polygon in polygons:
        outlines = [unwrap(shapely.get_coordinates(outline)) for outline in (polygon.exterior, *polygon.interiors)]
        if any(abs(outline[-1, 0] - outline[0, 0]) > 180 for outline in outlines):
            raise TilewrightError(f"aoi.file: {file} goes round a pole; give it in EPSG:4326, cut at ±180°")
        west = outlines[0][:, 0].min() - 1e-6  # holes follow their shell to its side of ±180°
        turns = [np.ceil((west - outline[:, 0].min()) / 360) * 360 for outline in outlines[1:]]
        holes = [outline + np.array([turn, 0.0]) for outline, turn in zip(outlines[1:], turns, strict=True)]
        unwrapped.append(shapely.Polygon(outlines[0], holes))
    return np.array(unwrapped, dtype=object)


def _polygons(geometry: shapely.Geometry) -> shapely.MultiPolygon:
    """The polygons of a geometry, without the points and lines that cuts leave."""
    parts = shapely.get_parts(shapely.get_parts(shapely.get_parts(geometry)))
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon" and not part.is_empty])


@lru_cache(maxsize=1)
def _outlines() -> tuple[NDArray[np.intp], Floats, Floats]:
    """All tiles' outlines: for each tile its row in two arrays (shapes, points) of longitude, from the central
    meridian, and latitude. Zones repeat the same shapes, so a thousand or so serve all tiles.
    """  # noqa: D205
    table = tiles()
    keys = np.stack([table.epsg // 100, table.ulx, table.uly], axis=1)
    shapes, row = np.unique(keys, axis=0, return_inverse=True)
    lon, lat = np.empty((2, len(shapes), 4 * _PIECES))
    for hemisphere in (326, 327):
        rows = shapes[:, 0] == hemisphere
        lon[rows], lat[rows] = lonlat(hemisphere * 100 + 1, *ring(shapes[rows, 1], shapes[rows, 2], SIDE_M, _PIECES))
    return row.ravel(), lon - central_meridian(1), lat


@lru_cache(maxsize=1)
def _envelopes() -> NDArray[np.object_]:
    """All tiles' boxes of longitude and latitude, a little wider than the tile, cut at the UTM zone's extremes."""
    row, lon, lat = _outlines()
    zone = tiles().epsg % 100
    extremes = [
        (min(part.west for part in strips(each)), max(part.east for part in strips(each))) for each in range(1, 61)
    ]
    west, east = np.array(extremes)[zone - 1].T
    middle = central_meridian(1) + (zone - 1) * 6
    return shapely.box(
        np.clip((middle + lon.min(axis=1)[row] - _MARGIN_DEGREES).round(3), west, east),
        (lat.min(axis=1)[row] - _MARGIN_DEGREES).round(3),
        np.clip((middle + lon.max(axis=1)[row] + _MARGIN_DEGREES).round(3), west, east),
        (lat.max(axis=1)[row] + _MARGIN_DEGREES).round(3),
    )


def _footprints(table: TileTable, rows: NDArray[np.intp]) -> NDArray[np.object_]:
    """Footprints of the tiles at `rows`; longitudes go on beyond ±180°."""
    shape, lon, lat = _outlines()
    middle = central_meridian(1) + (table.epsg[rows] % 100 - 1) * 6
    points = np.stack([lon[shape[rows]] + middle[:, None], lat[shape[rows]]], axis=-1)
    return np.asarray(shapely.polygons(points), dtype=object)


def _ground(table: TileTable, rows: NDArray[np.intp]) -> NDArray[np.object_]:
    """Footprints of the tiles at `rows`, cut at their own zone's border."""
    zones = np.array(
        [shapely.union_all([shapely.box(p.west, p.south, p.east, p.north) for p in strips(z)]) for z in range(1, 61)]
    )
    return np.asarray(shapely.intersection(_footprints(table, rows), zones[table.epsg[rows] % 100 - 1]), dtype=object)
