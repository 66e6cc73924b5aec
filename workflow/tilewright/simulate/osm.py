"""The landscape as OpenStreetMap data: ids, nodes shared by their place, ways, multipolygon relations, a .osm.pbf."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyproj
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from tilewright.config.simulated import Site
from tilewright.errors import TilewrightError
from tilewright.simulate.landscape import local_crs
from tilewright.simulate.shapes import Kind, Shape, polygons

_UNIT = 10_000_000  # OSM stores degrees as whole numbers of 1e-7


@dataclass(frozen=True)
class Feature:
    """One tagged OSM object as written. `geometry` is in EPSG:4326 (lon, lat): Polygon or MultiPolygon, LineString, Point."""

    osm_type: Literal["node", "way", "relation"]
    id: int
    tags: dict[str, str]
    geometry: BaseGeometry
    kind: Kind


@dataclass(frozen=True)
class _Way:
    id: int
    nodes: tuple[int, ...]
    tags: dict[str, str]


@dataclass(frozen=True)
class _Relation:
    id: int
    members: tuple[tuple[int, str], ...]  # way id, role
    tags: dict[str, str]


@dataclass
class OsmData:
    """Collects the objects of all sites; ids count from 1 in the order of the shapes."""

    features: list[Feature] = field(default_factory=list)
    _places: dict[tuple[int, int], int] = field(default_factory=dict)  # node id of a place, in units of 1e-7 degrees
    _nodes: list[tuple[int, int, dict[str, str]]] = field(default_factory=list)
    _ways: list[_Way] = field(default_factory=list)
    _relations: list[_Relation] = field(default_factory=list)
    _boxes: list[tuple[float, float, float, float]] = field(default_factory=list)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees of all sites: the box in the file's header."""
        west, south, east, north = zip(*self._boxes, strict=True)
        return min(west), min(south), max(east), max(north)

    def add_site(self, site: Site, shapes: Sequence[Shape]) -> list[Shape]:
        """Take over a site's shapes; returns them with geometries in lon/lat, exactly as OSM stores them.

        Raises:
            TilewrightError: for a site that crosses the antimeridian.
        """
        to_degrees = pyproj.Transformer.from_crs(local_crs(site), "EPSG:4326", always_xy=True)
        half = site.side_m / 2
        west, south, east, north = to_degrees.transform_bounds(-half, -half, half, half)
        if west > east or east - west > 180:
            raise TilewrightError(f"simulate: site {site.name} crosses the antimeridian: move it so that it does not")
        self._boxes.append((west, south, east, north))

        def rounded(points: np.ndarray) -> np.ndarray:
            lon, lat = to_degrees.transform(points[:, 0], points[:, 1])
            return np.rint(np.column_stack([lon, lat]) * _UNIT) / _UNIT

        geometries = shapely.remove_repeated_points(
            shapely.transform(np.array([shape.geometry for shape in shapes]), rounded)
        )
        placed = []
        # Rounding can break a sliver; what OSM readers would refuse is not part of the world.
        for shape, geometry, valid in zip(shapes, geometries, shapely.is_valid(geometries), strict=True):
            if not valid or (shape.kind == "line" and geometry.length == 0):
                continue
            placed.append(replace(shape, geometry=geometry))
            if shape.tags is not None:
                self._add(shape.kind, geometry, shape.tags)
        return placed

    def _node(self, lon: float, lat: float) -> int:
        place = round(lon * _UNIT), round(lat * _UNIT)
        if place not in self._places:
            self._nodes.append((*place, {}))
            self._places[place] = len(self._nodes)
        return self._places[place]

    def _way(self, coordinates: Iterable[tuple[float, ...]], tags: dict[str, str]) -> int:
        nodes = tuple(self._node(lon, lat) for lon, lat, *_ in coordinates)
        self._ways.append(_Way(len(self._ways) + 1, nodes, tags))
        return len(self._ways)

    def _add(self, kind: Kind, geometry: BaseGeometry, tags: dict[str, str]) -> None:
        if isinstance(geometry, Point):
            self._nodes.append((round(geometry.x * _UNIT), round(geometry.y * _UNIT), tags))
            self.features.append(Feature("node", len(self._nodes), tags, geometry, kind))
        elif isinstance(geometry, LineString):
            self.features.append(Feature("way", self._way(geometry.coords, tags), tags, geometry, kind))
        elif isinstance(geometry, Polygon) and not geometry.interiors:
            self.features.append(Feature("way", self._way(geometry.exterior.coords, tags), tags, geometry, kind))
        else:
            members = []
            for part in polygons(geometry, 0):
                members.append((self._way(part.exterior.coords, {}), "outer"))
                members += [(self._way(ring.coords, {}), "inner") for ring in part.interiors]
            tags = {"type": "multipolygon", **tags}
            self._relations.append(_Relation(len(self._relations) + 1, tuple(members), tags))
            self.features.append(Feature("relation", len(self._relations), tags, geometry, kind))

    def write(self, path: Path) -> None:
        """Write the .osm.pbf: header with the box, then nodes, ways, relations by id."""
        import osmium
        from osmium.osm import Box, Location, mutable

        header = osmium.io.Header()
        header.set("generator", "tilewright simulate")
        west, south, east, north = self.bounds
        header.add_box(Box(Location(west, south), Location(east, north)))
        with osmium.SimpleWriter(str(path), header=header) as writer:
            for number, (lon, lat, tags) in enumerate(self._nodes, 1):
                writer.add_node(mutable.Node(id=number, version=1, location=(lon / _UNIT, lat / _UNIT), tags=tags))
            for way in self._ways:
                writer.add_way(mutable.Way(id=way.id, version=1, nodes=way.nodes, tags=way.tags))
            for relation in self._relations:
                members = [("w", member, role) for member, role in relation.members]
                writer.add_relation(mutable.Relation(id=relation.id, version=1, members=members, tags=relation.tags))
