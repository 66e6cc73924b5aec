"""OSM files to areas, lines and points: crafted objects, one trap each, and the real extracts."""

import json
from pathlib import Path

import osmium
import pytest
import shapely
from osmium.osm.mutable import Node, Relation, Way
from osmnx.features import _POLYGON_FEATURES

from tilewright.errors import TilewrightError
from tilewright.vector.osm import Extract, read_pbf
from tilewright.vector.osm_xml import read_osm_xml
from tilewright.vector.tags import LABEL_KEYS, POLYGON_RULES, closed_way_is_area

WORLD = [(-180.0, -90.0, 180.0, 90.0)]
UNIT = 0.001


class World:
    """Objects on a small grid of degrees/1000 around 10 E 47 N, written as an extract."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[float, float], int] = {}
        self.items: list[Node | Way | Relation] = []
        self.tagged: dict[int, dict[str, str]] = {}
        self.absent: set[int] = set()

    def node(self, x: float, y: float, tags: dict[str, str] | None = None) -> int:
        number = self.nodes.setdefault((x, y), len(self.nodes) + 1)
        self.tagged[number] = tags or self.tagged.get(number, {})
        return number

    def way(self, number: int, tags: dict[str, str], *corners: tuple[float, float]) -> int:
        self.items.append(Way(id=number, nodes=[self.node(*corner) for corner in corners], tags=tags))
        return number

    def square(self, number: int, tags: dict[str, str], x: float, y: float, side: float) -> int:
        return self.way(number, tags, (x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y))

    def relation(self, number: int, tags: dict[str, str], *members: tuple[int, str]) -> None:
        kept = [("w", way, role) for way, role in members]
        self.items.append(Relation(id=number, members=kept, tags={"type": "multipolygon", **tags}))

    def write(self, path: Path) -> Path:
        header = osmium.io.Header()
        header.add_box(osmium.osm.Box(10.0, 47.0, 10.1, 47.1))
        header.set("osmosis_replication_timestamp", "2020-05-17T20:00:00Z")
        with osmium.SimpleWriter(str(path), header=header, overwrite=True) as writer:
            for (x, y), number in self.nodes.items():
                if number not in self.absent:
                    place = (10 + x * UNIT, 47 + y * UNIT)
                    writer.add_node(Node(id=number, location=place, tags=self.tagged[number]))
            for kind, add in ((Way, writer.add_way), (Relation, writer.add_relation)):
                for item in sorted((item for item in self.items if isinstance(item, kind)), key=lambda item: item.id):
                    add(item)
        return path


@pytest.fixture
def world() -> World:
    return World()


def read(world: World, tmp_path: Path, boxes=WORLD) -> Extract:
    return read_pbf(world.write(tmp_path / "made.osm.pbf"), boxes)


def shape(extract: Extract, osm_type: str, osm_id: int) -> tuple[str, shapely.Geometry]:
    """Kind, and geometry in grid units, of the one row of an object."""
    table = extract.features
    (row,) = table[(table["osm_type"] == osm_type) & (table["osm_id"] == osm_id)].itertuples()
    return row.kind, shapely.transform(row.geometry, lambda xy: (xy - [10, 47]) / UNIT)


def test_polygon_rules_are_those_of_osmnx():
    theirs = {}
    for key, rule in _POLYGON_FEATURES.items():
        values = frozenset(rule.get("values", ()))
        theirs[key] = (values, frozenset()) if rule["polygon"] == "passlist" else (None, values)
    assert {key: (rule.only, rule.never) for key, rule in POLYGON_RULES.items()} == theirs


@pytest.mark.parametrize(
    ("tags", "area"),
    [
        ({"landuse": "forest"}, True),
        ({"landuse": "forest", "area": "no"}, False),
        ({"highway": "residential"}, False),
        ({"highway": "pedestrian", "area": "yes"}, True),
        ({"highway": "services"}, True),
        ({"junction": "roundabout", "highway": "primary"}, False),
        ({"natural": "coastline"}, False),
        ({"natural": "tree_row"}, False),
        ({"natural": "water"}, True),
        ({"waterway": "river"}, False),
        ({"waterway": "riverbank"}, True),
        ({"aeroway": "taxiway"}, False),
        ({"aeroway": "apron"}, True),
        ({"man_made": "pier"}, True),
        ({"power": "plant"}, True),
        ({"power": "line"}, False),
        ({"golf": "green"}, True),
        ({"name": "x"}, False),
    ],
)
def test_closed_ways(world, tmp_path, tags, area):
    assert closed_way_is_area(tags) is area
    world.square(1, tags, 0, 0, 2)
    if set(tags) & set(LABEL_KEYS):
        kind, geometry = shape(read(world, tmp_path), "way", 1)
        assert (kind, geometry.geom_type) == (("area", "Polygon") if area else ("line", "LineString"))
    else:
        assert read(world, tmp_path).features.empty


def test_hole(world, tmp_path):
    world.relation(
        1, {"natural": "wood"}, (world.square(1, {}, 0, 0, 10), "outer"), (world.square(2, {}, 2, 2, 4), "inner")
    )
    kind, geometry = shape(read(world, tmp_path), "relation", 1)
    assert (kind, geometry.area) == ("area", pytest.approx(84))


def test_empty_member_role(world, tmp_path):
    world.relation(1, {"natural": "wood"}, (world.square(1, {}, 0, 0, 10), ""), (world.square(2, {}, 2, 2, 4), ""))
    assert shape(read(world, tmp_path), "relation", 1)[1].area == pytest.approx(84)


def test_split_outer(world, tmp_path):
    one = world.way(1, {}, (0, 0), (10, 0), (10, 10))
    two = world.way(2, {}, (0, 0), (0, 10), (10, 10))  # runs the other way round
    world.relation(1, {"landuse": "forest"}, (one, "outer"), (two, "outer"))
    geometry = shape(read(world, tmp_path), "relation", 1)[1]
    assert geometry.area == pytest.approx(100)
    assert geometry.bounds == pytest.approx((0, 0, 10, 10), abs=1e-3)


def test_island_in_hole(world, tmp_path):
    world.relation(
        1, {"natural": "water"}, (world.square(1, {}, 0, 0, 10), "outer"), (world.square(2, {}, 2, 2, 6), "inner"),
        (world.square(3, {}, 4, 4, 2), "outer"),
    )  # fmt: skip
    geometry = shape(read(world, tmp_path), "relation", 1)[1]
    assert geometry.area == pytest.approx(100 - 36 + 4)
    assert geometry.contains(shapely.Point(5, 5)) and not geometry.contains(shapely.Point(3, 3))


def test_touching_inners(world, tmp_path):
    world.relation(
        1, {"natural": "wood"}, (world.square(1, {}, 0, 0, 10), "outer"), (world.square(2, {}, 2, 2, 2), "inner"),
        (world.square(3, {}, 4, 2, 2), "inner"),
    )  # fmt: skip
    assert shape(read(world, tmp_path), "relation", 1)[1].area == pytest.approx(92)


def test_boundary_relation(world, tmp_path):
    world.relation(1, {"type": "boundary", "leisure": "nature_reserve"}, (world.square(1, {}, 0, 0, 10), "outer"))
    assert shape(read(world, tmp_path), "relation", 1)[0] == "area"


def test_other_relations_are_no_areas(world, tmp_path):
    world.relation(1, {"type": "route", "highway": "primary"}, (world.square(1, {}, 0, 0, 10), ""))
    extract = read(world, tmp_path)
    assert extract.features.empty and extract.rejects == {}


def test_tags_on_the_outer_way_fill_the_hole(world, tmp_path):
    # The old way to tag; the relation says nothing, so the closed way stands for itself.
    outer = world.square(1, {"landuse": "forest"}, 0, 0, 10)
    world.relation(1, {}, (outer, "outer"), (world.square(2, {}, 2, 2, 4), "inner"))
    extract = read(world, tmp_path)
    assert len(extract.features) == 1
    assert shape(extract, "way", 1)[1].area == pytest.approx(100)


def test_bow_tie_is_mended_and_counted(world, tmp_path):
    world.way(1, {"building": "yes"}, (0, 0), (2, 2), (2, 0), (0, 2), (0, 0))
    extract = read(world, tmp_path)
    kind, geometry = shape(extract, "way", 1)
    assert (kind, geometry.area, extract.repaired) == ("area", pytest.approx(2), 1)
    assert geometry.is_valid


def test_area_without_area_is_dropped_and_counted(world, tmp_path):
    world.way(1, {"building": "yes"}, (0, 0), (2, 2), (0, 0))
    world.way(2, {"building": "yes"}, (0, 0), (1, 0), (2, 0), (0, 0))
    extract = read(world, tmp_path)
    assert extract.features.empty
    assert extract.rejects == {"no_area": 2}


def test_missing_node_is_dropped_and_counted(world, tmp_path):
    world.square(1, {"building": "yes"}, 0, 0, 2)
    world.way(2, {"highway": "track"}, (0, 0), (5, 5))
    world.absent = {world.node(2, 2), world.node(5, 5)}
    extract = read(world, tmp_path)
    assert extract.features.empty
    assert extract.rejects == {"missing_node": 2}


def test_open_ring_and_missing_member_are_counted_apart(world, tmp_path):
    world.relation(1, {"natural": "wood"}, (world.way(1, {}, (0, 0), (10, 0), (10, 10)), "outer"))
    world.relation(2, {"natural": "wood"}, (world.square(2, {}, 0, 0, 9), "outer"), (777, "inner"))
    extract = read(world, tmp_path)
    assert extract.features.empty
    assert extract.rejects == {"missing_member": 1, "open_ring": 1}


def test_nodes_and_tags(world, tmp_path):
    world.node(1, 2, {"man_made": "tower", "name": "Türmle"})
    world.node(3, 3, {"name": "nothing to see"})
    extract = read(world, tmp_path)
    kind, geometry = shape(extract, "node", 1)
    assert kind == "point"
    assert (geometry.x, geometry.y) == (pytest.approx(1, abs=1e-3), pytest.approx(2, abs=1e-3))
    assert extract.features["tags"].tolist() == ['{"man_made":"tower","name":"Türmle"}']


def test_header(world, tmp_path):
    extract = read(world, tmp_path)
    assert (extract.snapshot, extract.box) == ("2020-05-17T20:00:00Z", (10.0, 47.0, 10.1, 47.1))
    path = tmp_path / "bare.osm.pbf"
    with osmium.SimpleWriter(str(path)) as writer:
        writer.add_node(Node(id=1, location=(1, 1), tags={"place": "farm"}))
    bare = read_pbf(path, WORLD)
    assert (bare.snapshot, bare.box, len(bare.features)) == (None, None, 1)


def test_boxes_keep_what_surrounds_them(world, tmp_path):
    world.square(1, {"natural": "wood"}, 0, 0, 100)
    world.square(2, {"building": "yes"}, 2, 2, 1)
    world.square(3, {"building": "yes"}, 90, 90, 1)
    box = (10 + 50 * UNIT, 47 + 50 * UNIT, 10 + 51 * UNIT, 47 + 51 * UNIT)
    assert read(world, tmp_path, [box]).features["osm_id"].tolist() == [1]
    also = (10 + 90.5 * UNIT, 47 + 90.5 * UNIT, 10.2, 47.2)
    assert read(world, tmp_path, [box, also]).features["osm_id"].tolist() == [1, 3]
    assert read(world, tmp_path, [(20.0, 20.0, 21.0, 21.0)]).features.empty


def test_batches_do_not_show(world, tmp_path, monkeypatch):
    for number in range(1, 40):
        world.square(number, {"building": "yes"}, number * 2, number % 7, 1)
        world.node(number, 50, {"man_made": "tower"})
    whole = read(world, tmp_path).features
    monkeypatch.setattr("tilewright.vector.osm._BATCH", 7)
    assert whole.equals(read(world, tmp_path).features)
    keys = list(zip(whole["osm_type"], whole["osm_id"], strict=True))
    assert keys == sorted(keys) and len(keys) == 78


def test_truncated_file(world, tmp_path):
    for number in range(1, 200):
        world.square(number, {"building": "yes"}, number * 2, number % 7, 1)
    path = world.write(tmp_path / "made.osm.pbf")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TilewrightError, match=r"made\.osm\.pbf: cannot be read as pbf .* fetch the extract again"):
        read_pbf(path, WORLD)


@pytest.mark.parametrize("content", [b"", b"<osm></osm>", b"\x00\x00\x00\x0d not at all", b"PK\x03\x04" * 200])
def test_not_a_pbf(tmp_path, content):
    path = tmp_path / "thing.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(TilewrightError, match=r"thing\.osm\.pbf: cannot be read as pbf"):
        read_pbf(path, WORLD)


@pytest.mark.parametrize("reader", [read_pbf, read_osm_xml])
def test_missing_file(tmp_path, reader):
    with pytest.raises(TilewrightError, match=r"nowhere\.osm: no such file"):
        reader(tmp_path / "nowhere.osm", WORLD)


@pytest.mark.parametrize("content", ["", "{}", "<osm version='0.6'><node id='1'", "<html><body/></html>"])
def test_not_osm_xml(tmp_path, content):
    path = tmp_path / "thing.osm"
    path.write_text(content)
    with pytest.raises(TilewrightError, match=r"thing\.osm: cannot be read as osm_xml"):
        read_osm_xml(path, WORLD)


def test_xml_gives_the_same_rows_as_pbf(world, tmp_path):
    world.relation(
        1, {"natural": "wood"}, (world.square(1, {}, 0, 0, 10), "outer"), (world.square(2, {}, 2, 2, 4), "inner")
    )
    world.square(3, {"building": "house", "name": "Nr. 3"}, 20, 0, 1)
    world.square(4, {"highway": "primary", "junction": "roundabout"}, 30, 0, 3)
    world.square(5, {"landuse": "forest", "area": "no"}, 40, 0, 3)
    world.way(6, {"waterway": "stream"}, (0, 20), (5, 21), (9, 25))
    world.way(7, {"building": "yes"}, (50, 0), (52, 2), (52, 0), (50, 2), (50, 0))
    world.node(60, 0, {"man_made": "tower"})
    pbf, xml = read(world, tmp_path), read_osm_xml(world.write(tmp_path / "made.osm"), WORLD)
    for name in ("osm_type", "osm_id", "kind", "tags"):
        assert pbf.features[name].tolist() == xml.features[name].tolist()
    assert all(one.equals(other) for one, other in zip(pbf.features.geometry, xml.features.geometry, strict=True))
    assert pbf.box == xml.box
    box = [(10 + 19.5 * UNIT, 47.0, 10 + 21.5 * UNIT, 47.001)]
    assert read_osm_xml(tmp_path / "made.osm", box).features["osm_id"].tolist() == [3]


def test_xml_counts_what_osmnx_leaves_out(world, tmp_path):
    world.square(1, {"building": "yes"}, 0, 0, 2)
    world.square(2, {"building": "yes"}, 7, 0, 2)
    world.absent = {world.node(2, 2)}
    extract = read_osm_xml(world.write(tmp_path / "made.osm"), WORLD)
    assert (extract.features["osm_id"].tolist(), extract.rejects) == ([2], {"not_built": 1})


def test_xml_with_nothing_to_label(world, tmp_path):
    world.square(1, {"name": "x"}, 0, 0, 2)
    extract = read_osm_xml(world.write(tmp_path / "made.osm"), WORLD)
    assert extract.features.empty and extract.rejects == {}


def test_liechtenstein(shared_data):
    extract = read_pbf(shared_data / "osm" / "liechtenstein-2013-08-03.osm.pbf", WORLD)
    table = extract.features
    assert extract.snapshot == "2013-08-03T19:00:02Z"
    assert extract.box == pytest.approx((9.471078, 47.04774, 9.636217, 47.27128))
    assert not table.duplicated(["osm_type", "osm_id"]).any()
    assert table.geometry.is_valid.all() and not table.geometry.is_empty.any()
    tags = table["tags"].map(json.loads)
    assert 2_000 < tags.map(lambda one: "building" in one).sum() < 4_000
    assert 2_000 < tags.map(lambda one: "highway" in one).sum() < 6_000
    assert set(table["kind"]) == {"area", "line", "point"}
    assert sum(extract.rejects.values()) > 0  # lakes and woods cut by the border


@pytest.mark.parametrize("name", ["small-map.osm", "small-neu-ulm.osm"])
def test_small_real_xml(shared_data, name):
    extract = read_osm_xml(shared_data / "osm" / name, WORLD)
    assert len(extract.features) >= 5
    assert extract.box is not None
    assert extract.features.geometry.is_valid.all()
