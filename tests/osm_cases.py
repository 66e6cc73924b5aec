"""Objects of OpenStreetMap, one trap each, with the features that they have to become: for every reader of its formats.

Each case has ground of its own, 0.05° apart, and numbers of its own; in its drawing, a unit is 0.001°.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import osmium
import shapely
from osmium.osm.mutable import Node, Relation, Way
from shapely import Geometry, LineString, MultiPolygon, Point, Polygon

UNIT = 0.001
SNAPSHOT = "2020-05-17T20:00:00Z"
Corner = tuple[float, float]
Tags = dict[str, str]
Element = dict[str, Any]  # as Overpass writes them in JSON: type, id, lat, lon, nodes, members, tags


@dataclass(frozen=True)
class Truth:
    """A feature that has to be there; `geometry` in degrees."""

    source_type: str
    source_id: int
    kind: str
    tags: Tags
    geometry: Geometry


@dataclass
class Case:
    """Some objects, drawn by corners in units from the case's place.

    Attributes:
        elements: the objects; a node that was drawn but is `absent` is not among them.
        truth: the features that they become, no others.
        rejects: how many are none, by reason.
    """

    name: str
    number: int
    nodes: dict[Corner, int] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
    truth: list[Truth] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)
    repaired: int = 0

    @property
    def place(self) -> Corner:
        """Where the case's drawing begins, in degrees."""
        return round(10 + 0.05 * (self.number % 10), 2), round(47 + 0.05 * (self.number // 10), 2)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Ground that holds the case and no other."""
        west, south = self.place
        return west - 0.005, south - 0.005, west + 0.04, south + 0.04

    def node(self, corner: Corner, tags: Tags | None = None, *, absent: bool = False, again: bool = False) -> int:
        """The node at a corner; `again`: another one at the same place."""
        if corner in self.nodes and not again:
            return self.nodes[corner]
        number = self.number * 1000 + sum(each["type"] == "node" for each in self.elements) + len(self.rejects) + 1
        number += 500 if absent else 0
        self.nodes[corner] = number
        if not absent:
            lon, lat = self.place[0] + corner[0] * UNIT, self.place[1] + corner[1] * UNIT
            element = {"type": "node", "id": number, "lat": round(lat, 7), "lon": round(lon, 7)}
            self.elements.append({**element, "tags": tags} if tags else element)
        return number

    def way(self, id: int, tags: Tags, *corners: Corner) -> int:
        """A way through corners."""
        return self.way_of(id, tags, [self.node(corner) for corner in corners])

    def way_of(self, id: int, tags: Tags, nodes: list[int]) -> int:
        """A way through nodes."""
        number = self.number * 1000 + id
        self.elements.append({"type": "way", "id": number, "nodes": nodes, **({"tags": tags} if tags else {})})
        return number

    def square(self, id: int, tags: Tags, x: float, y: float, side: float) -> int:
        """A closed way."""
        return self.way(id, tags, (x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y))

    def relation(self, id: int, tags: Tags, *members: tuple[int, str]) -> int:
        """A relation of ways with roles; of type multipolygon unless `tags` say otherwise."""
        number = self.number * 1000 + id
        listed = [{"type": "way", "ref": way, "role": role} for way, role in members]
        said = {"type": "multipolygon", **tags}
        self.elements.append({"type": "relation", "id": number, "members": listed, "tags": said})
        return number

    def becomes(self, source_type: str, id: int, tags: Tags, geometry: Geometry) -> None:
        """Expect a feature; `geometry` in units."""
        kind = {"Point": "point", "LineString": "line"}.get(geometry.geom_type, "area")
        number = id if source_type == "node" else self.number * 1000 + id
        placed = shapely.transform(geometry, lambda xy: xy * UNIT + self.place)
        self.truth.append(Truth(source_type, number, kind, tags, placed))


def corners(x: float, y: float, side: float) -> list[Corner]:
    """Of a square."""
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]


def area(x: float, y: float, side: float, *holes: tuple[float, float, float]) -> Polygon:
    """A square with square holes."""
    return Polygon(corners(x, y, side), [corners(*hole) for hole in holes])


@cache
def cases() -> dict[str, Case]:
    """All cases by name. Read only."""
    made: dict[str, Case] = {}

    def case(name: str) -> Case:
        made[name] = Case(name, len(made) + 1)
        return made[name]

    wood, forest, water, house = {"natural": "wood"}, {"landuse": "forest"}, {"natural": "water"}, {"building": "yes"}

    this = case("hole")
    this.relation(1, wood, (this.square(1, {}, 0, 0, 10), "outer"), (this.square(2, {}, 2, 2, 4), "inner"))
    this.becomes("relation", 1, wood, area(0, 0, 10, (2, 2, 4)))

    this = case("split outer")  # the second part runs the other way round
    one, two = this.way(1, {}, (0, 0), (10, 0), (10, 10)), this.way(2, {}, (0, 0), (0, 10), (10, 10))
    this.relation(1, forest, (one, "outer"), (two, "outer"))
    this.becomes("relation", 1, forest, area(0, 0, 10))

    this = case("several outers")
    this.relation(1, forest, (this.square(1, {}, 0, 0, 3), "outer"), (this.square(2, {}, 5, 0, 3), "outer"))
    this.becomes("relation", 1, forest, MultiPolygon([area(0, 0, 3), area(5, 0, 3)]))

    this = case("island in a hole")
    rings = [(this.square(1, {}, 0, 0, 10), "outer"), (this.square(2, {}, 2, 2, 6), "inner")]
    this.relation(1, water, *rings, (this.square(3, {}, 4, 4, 2), "outer"))
    this.becomes("relation", 1, water, MultiPolygon([area(0, 0, 10, (2, 2, 6)), area(4, 4, 2)]))

    this = case("touching inners")  # two holes with a common edge are one
    rings = [(this.square(1, {}, 0, 0, 10), "outer"), (this.square(2, {}, 2, 2, 2), "inner")]
    this.relation(1, wood, *rings, (this.square(3, {}, 4, 2, 2), "inner"))
    hole = [(2, 2), (4, 2), (6, 2), (6, 4), (4, 4), (2, 4)]
    this.becomes("relation", 1, wood, Polygon(corners(0, 0, 10), [hole]))

    this = case("boundary relation")
    this.relation(1, {"type": "boundary", "leisure": "nature_reserve"}, (this.square(1, {}, 0, 0, 10), "outer"))
    this.becomes("relation", 1, {"leisure": "nature_reserve"}, area(0, 0, 10))

    this = case("empty member roles")
    this.relation(1, wood, (this.square(1, {}, 0, 0, 10), ""), (this.square(2, {}, 2, 2, 4), ""))
    this.becomes("relation", 1, wood, area(0, 0, 10, (2, 2, 4)))

    this = case("missing member")
    this.relation(1, wood, (this.square(1, {}, 0, 0, 10), "outer"), (this.number * 1000 + 999, "inner"))
    this.rejects["missing_member"] += 1

    this = case("open ring")
    this.relation(1, wood, (this.way(1, {}, (0, 0), (10, 0), (10, 10)), "outer"))
    this.rejects["open_ring"] += 1

    this = case("old style: tags on the outer way")  # the hole is kept, and the way is no area of its own
    this.relation(1, {}, (this.square(1, forest, 0, 0, 10), "outer"), (this.square(2, house, 2, 2, 4), "inner"))
    this.becomes("relation", 1, forest, area(0, 0, 10, (2, 2, 4)))
    this.becomes("way", 2, house, area(2, 2, 4))

    this = case("old style: split outer")
    one, two = this.way(1, forest, (0, 0), (10, 0), (10, 10)), this.way(2, {}, (10, 10), (0, 10), (0, 0))
    this.relation(1, {"name": "Eichwald"}, (one, "outer"), (two, "outer"))
    this.becomes("relation", 1, forest, area(0, 0, 10))

    this = case("old style: outers that differ")  # each stands for itself
    rings = [(this.square(1, forest, 0, 0, 4), "outer"), (this.square(2, wood, 5, 0, 4), "outer")]
    this.relation(1, {}, *rings, (this.square(3, {}, 1, 1, 2), "inner"))
    this.becomes("way", 1, forest, area(0, 0, 4))
    this.becomes("way", 2, wood, area(5, 0, 4))

    this = case("old style: missing inner")  # the way is all that there is
    this.relation(1, {}, (this.square(1, forest, 0, 0, 10), "outer"), (this.number * 1000 + 999, "inner"))
    this.becomes("way", 1, forest, area(0, 0, 10))
    this.rejects["missing_member"] += 1

    this = case("outer way with tags beside a tagged relation")  # both are what they say
    this.relation(1, wood, (this.square(1, {"highway": "track"}, 0, 0, 10), "outer"))
    this.becomes("relation", 1, wood, area(0, 0, 10))
    this.becomes("way", 1, {"highway": "track"}, LineString(corners(0, 0, 10)))

    this = case("bow-tie")
    this.way(1, house, (0, 0), (2, 2), (2, 0), (0, 2), (0, 0))
    this.becomes("way", 1, house, MultiPolygon([Polygon([(0, 0), (1, 1), (0, 2)]), Polygon([(2, 0), (2, 2), (1, 1)])]))
    this.repaired = 1

    this = case("missing node")
    this.way_of(
        1, house, [*(this.node(corner) for corner in corners(0, 0, 2)[:3]), this.number * 1000 + 999, this.node((0, 0))]
    )
    this.rejects["missing_node"] += 1

    lines = {
        "roundabout": {"highway": "primary", "junction": "roundabout"}, "closed river": {"waterway": "river"},
        "closed tree row": {"natural": "tree_row"}, "closed coastline": {"natural": "coastline"},
        "closed taxiway": {"aeroway": "taxiway"}, "area=no": {"landuse": "forest", "area": "no"},
    }  # fmt: skip
    for name, tags in lines.items():
        this = case(name)
        this.square(1, tags, 0, 0, 3)
        this.becomes("way", 1, tags, LineString(corners(0, 0, 3)))

    areas = {
        "riverbank": {"waterway": "riverbank"}, "pier": {"man_made": "pier"}, "power plant": {"power": "plant"},
        "golf": {"golf": "fairway"}, "area=yes": {"highway": "pedestrian", "area": "yes"},
    }  # fmt: skip
    for name, tags in areas.items():
        this = case(name)
        this.square(1, tags, 0, 0, 3)
        this.becomes("way", 1, tags, area(0, 0, 3))

    this = case("duplicate nodes")  # one node twice running, and two nodes at one place
    first, second, third = this.node((0, 0)), this.node((2, 0)), this.node((2, 2))
    this.way_of(1, house, [first, second, second, third, this.node((2, 2), again=True), first])
    this.becomes("way", 1, house, Polygon([(0, 0), (2, 0), (2, 2)]))

    this = case("closed way of two places")
    this.way(1, house, (0, 0), (2, 2), (0, 0))
    this.rejects["no_area"] += 1

    this = case("flat ring")
    this.way(1, house, (0, 0), (1, 0), (2, 0), (0, 0))
    this.rejects["no_area"] += 1

    this = case("building relation")  # only ties parts together
    rings = [(this.square(1, house, 0, 0, 4), "outline"), (this.square(2, {"building:part": "yes"}, 1, 1, 2), "part")]
    this.relation(1, {"type": "building", "building": "yes"}, *rings)
    this.becomes("way", 1, house, area(0, 0, 4))
    this.becomes("way", 2, {"building:part": "yes"}, area(1, 1, 2))

    this = case("enclosing polygon")  # of a cell far from all of its corners and edges
    this.square(1, forest, 0, 0, 30)
    this.becomes("way", 1, forest, area(0, 0, 30))

    this = case("point")
    this.becomes("node", this.node((3, 4), {"man_made": "tower", "name": "Türmle"}), {"man_made": "tower"}, Point(3, 4))
    return made


def write_osm(elements: Sequence[Element], path: Path) -> Path:
    """Write elements as .osm or .osm.pbf, by the file's name: nodes, ways, relations, each by number."""
    header = osmium.io.Header()
    header.add_box(osmium.osm.Box(9.9, 46.9, 10.6, 47.4))
    header.set("osmosis_replication_timestamp", SNAPSHOT)
    ordered = sorted(elements, key=lambda each: (("node", "way", "relation").index(each["type"]), each["id"]))
    with osmium.SimpleWriter(str(path), header=header, overwrite=True) as writer:
        for each in ordered:
            tags = each.get("tags", {})
            if each["type"] == "node":
                writer.add_node(Node(id=each["id"], location=(each["lon"], each["lat"]), tags=tags))
            elif each["type"] == "way":
                writer.add_way(Way(id=each["id"], nodes=each["nodes"], tags=tags))
            else:
                members = [(member["type"][0], member["ref"], member["role"]) for member in each["members"]]
                writer.add_relation(Relation(id=each["id"], members=members, tags=tags))
    return path


def same(one: Geometry, other: Geometry) -> bool:
    """Whether two geometries are the same to OpenStreetMap's precision, wherever their rings begin."""
    one, other = (shapely.GeometryCollection(shapely.get_parts(each).tolist()).normalize() for each in (one, other))
    return bool(shapely.equals_exact(one, other, tolerance=2e-7))
