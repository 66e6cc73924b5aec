"""OpenStreetMap through an Overpass API on loopback: the same as from an extract, and no fault passes for data."""

import inspect
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from osmnx import _overpass, settings
from overpass_server import BASE, OverpassServer, elements_of
from overpass_town import BOX, Town, reader, rows, serving, small_town

from osm_cases import Truth, cases, same
from tilewright.store.batch import Batch
from tilewright.vector.features import SourceFacts
from tilewright.vector.osm import OsmObjects
from tilewright.vector.overpass import REACH_DEG, OverpassReader, _osmnx_settings, around_query, piece_query, pieces_of
from tilewright.vector.tags import LABEL_KEYS

pytestmark = pytest.mark.filterwarnings("ignore:This area is .* times your configured Overpass max query:UserWarning")
town, serve = pytest.fixture(small_town), pytest.fixture(serving)
SMALL_M2 = 300.0 * 300.0  # cuts BOX into dozens of pieces


# -- what is found ---------------------------------------------------------------------------------------------------


def test_a_town(town, serve, tmp_path):
    made = reader(serve(town.elements), tmp_path)
    found = [(row[0], row[2], json.loads(row[3]), shapely.from_wkb(row[4])) for row in rows(made)]
    assert sorted(row[:2] for row in found) == [
        ("node", "point"), ("relation", "area"), ("way", "area"), ("way", "area"), ("way", "line")
    ]  # fmt: skip
    shapes = {(kind, next(iter(tags.values()))): shape for _, kind, tags, shape in found}
    assert shapes["area", "water"].area == pytest.approx(0.02**2 - 0.003**2)
    assert shapes["area", "house"].equals_exact(shapely.box(10.015, 47.012, 10.0152, 47.0122), 1e-7, normalize=True)
    road = shapely.get_coordinates(shapes["line", "residential"])
    assert road.tolist() == [[9.99, 47.003], [10.011, 47.011], [10.03, 47.012]]
    assert shapely.get_coordinates(shapes["point", "bakery"]).tolist() == [[10.005, 47.005]]
    extent = shapely.box(*BOX).wkt
    assert made.facts() == SourceFacts(BASE, extent, {"area": 3, "line": 1, "point": 1})
    assert not list((tmp_path / "work").iterdir())


def test_facts_come_last(town, serve, tmp_path):
    with pytest.raises(RuntimeError):
        reader(serve(town.elements), tmp_path).facts()


def test_elements_of_several_pieces_come_once(town, serve, tmp_path):
    server, whole = serve(town.elements), serve(town.elements)
    pieces = rows(reader(server, tmp_path, max_query_m2=SMALL_M2))
    assert server.asked["interpreter"] > 20  # the lake is in most of the answers
    assert pieces == rows(reader(whole, tmp_path))
    assert whole.asked["interpreter"] == 2


def test_the_order_of_answers_does_not_matter(town, serve, tmp_path):
    found = [rows(reader(serve(town.elements, seed=seed), tmp_path, max_query_m2=1e6)) for seed in range(3)]
    assert found[0] and all(each == found[0] for each in found)


def test_nothing_there_is_an_empty_source(serve, tmp_path):
    made = reader(serve([]), tmp_path)
    assert rows(made) == []
    assert made.facts() == SourceFacts(BASE, shapely.box(*BOX).wkt, {"area": 0, "line": 0, "point": 0})


def test_no_boxes_ask_nothing(town, serve, tmp_path):
    server = serve(town.elements)
    made = reader(server, tmp_path, boxes=[])
    assert (rows(made), made.facts().extent, server.asked.total()) == ([], None, 0)


def test_the_sea_comes_from_its_own_file(town, serve, tmp_path):
    squares = [shapely.box(10.01, 47.01, 10.05, 47.05), shapely.box(11, 47, 12, 48)]
    features = [{"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(each)} for each in squares]
    sea = tmp_path / "sea.geojson"
    sea.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    made = reader(serve(town.elements), tmp_path, sea=str(sea))
    (found,) = (row for row in rows(made) if row[0] == "sea")
    assert found[2:4] == ("area", '{"natural":"water","water":"sea"}')
    assert shapely.from_wkb(found[4]).equals(squares[0])
    assert made.facts().counts == {"area": 4, "line": 1, "point": 1}


def test_members_far_away_are_no_features_of_the_box(town, serve, tmp_path):
    """A relation brings all its members, of which some have tags of their own."""
    near, far = town.square(10.003, 47.003, 0.001, landuse="grass"), town.square(11.0, 48.0, 0.01, landuse="meadow")
    lost = town.relation((near, "outer"), (far, "outer"), landuse="farmland")
    ids = {(source_type, number) for source_type, number, *_ in rows(reader(serve(town.elements), tmp_path))}
    assert {("way", near), ("relation", lost)} <= ids and ("way", far) not in ids


# -- the traps of OpenStreetMap's geometry: as from an extract, all of them -----------------------------------------


def truths(made: OverpassReader) -> list[Truth]:
    found = [Truth(*row[:3], json.loads(row[3]), shapely.from_wkb(row[4])) for row in rows(made)]
    return sorted(found, key=lambda each: (each.source_type, each.source_id))


def compare(found: list[Truth], truth: list[Truth]) -> None:
    truth = sorted(truth, key=lambda each: (each.source_type, each.source_id))
    assert [(each.source_type, each.source_id, each.kind, each.tags) for each in found] == [
        (each.source_type, each.source_id, each.kind, each.tags) for each in truth
    ]
    assert all(same(one.geometry, other.geometry) for one, other in zip(found, truth, strict=True))


@pytest.mark.parametrize("case", cases().values(), ids=lambda case: case.name)
def test_case(case, serve, tmp_path):
    made = reader(serve(case.elements), tmp_path, boxes=[case.box])
    compare(truths(made), case.truth)
    assert (made.facts().rejects, made.facts().repaired) == (case.rejects, case.repaired)


@pytest.mark.parametrize("name", ["hole", "several outers", "island in a hole", "old style: tags on the outer way"])
@pytest.mark.parametrize("pieces", [2.5e9, 2e5])
def test_case_that_only_its_edge_touches(name, pieces, serve, tmp_path):
    """Members that lie elsewhere come as well."""
    case = cases()[name]
    west, south = case.place
    made = reader(
        serve(case.elements),
        tmp_path,
        boxes=[(west - 0.005, south - 0.001, west + 0.001, south + 0.001)],
        max_query_m2=pieces,
    )
    compare(truths(made), [each for each in case.truth if each.source_id != case.number * 1000 + 2])


def test_cases_all_together(serve, tmp_path):
    every = list(cases().values())
    elements = [element for case in every for element in case.elements]
    found = truths(reader(serve(elements), tmp_path, boxes=[(9.9, 46.9, 10.6, 47.4)], max_query_m2=2e8))
    compare(found, [truth for case in every for truth in case.truth])


def test_a_cell_in_the_enclosing_polygon(serve, tmp_path):
    case = cases()["enclosing polygon"]
    lon, lat = case.place[0] + 0.01, case.place[1] + 0.02
    compare(truths(reader(serve(case.elements), tmp_path, boxes=[(lon, lat, lon + 0.001, lat + 0.001)])), case.truth)


# -- a real map ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def liechtenstein(shared_data) -> Iterator[tuple[OverpassServer, dict[tuple[str, int], tuple[Any, ...]]]]:
    """Served (of 2013, with multipolygons of the old style), and its features as the extract's reader gives them."""
    path = shared_data / "osm" / "liechtenstein-2013-08-03.osm.pbf"
    with OverpassServer(elements_of(path)) as server:
        yield server, table(OsmObjects(path, "pbf").batches())


def table(batches: Iterator[Batch]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Kind, tags and geometry by type and id."""
    found = {}
    for batch in batches:
        keys = zip(batch.source_type, map(int, batch.source_id), strict=True)
        found.update(zip(keys, zip(batch.kind, batch.tags, batch.geometry, strict=True), strict=True))
    return found


@pytest.mark.parametrize("box", [(9.50, 47.12, 9.54, 47.16), None])
def test_a_real_map_is_that_of_the_extract(liechtenstein, tmp_path, box):
    server, truth = liechtenstein
    if box is None:  # a spot in the largest area
        spot = max((row[2] for row in truth.values() if row[0] == "area"), key=lambda shape: shape.area)
        spot = spot.representative_point()
        box = (spot.x - 1e-4, spot.y - 1e-4, spot.x + 1e-4, spot.y + 1e-4)
    found = table(reader(server, tmp_path, boxes=[box], max_query_m2=5e6).batches())
    ground = shapely.box(*box)
    expected = {key: row for key, row in truth.items() if row[2].intersects(ground)}
    assert expected
    assert {key: row for key, row in found.items() if row[2].intersects(ground)} == expected


# -- areas around a box ----------------------------------------------------------------------------------------------


def forest(town: Town, named: bool, kind: str, size: float = 0.5) -> int:
    """A forest around BOX, far away from it; as a relation it has a hole, elsewhere."""
    tags = {"landuse": "forest"} | ({"name": "Big Forest"} if named else {})
    if kind == "way":
        return town.square(10.01 - size, 47.01 - size, 2 * size, **tags)
    outer, inner = town.square(10.01 - size, 47.01 - size, 2 * size), town.square(10.2, 47.2, 0.05)
    return town.relation((outer, "outer"), (inner, "inner"), **tags)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", ["way", "relation"])
def test_a_box_inside_one_forest_is_forest(town, serve, tmp_path, kind, named):
    number = forest(town, named, kind)
    server = serve(town.elements)
    # what is asked by polygon, as osmnx alone does, does not find it
    (piece,) = pieces_of(BOX, 2.5e9)
    query = piece_query(piece, "[out:json][timeout:180]")
    assert (kind, number) not in {(item["type"], item["id"]) for item in server.answer(query)["elements"]}
    found = {(row[0], row[1]): shapely.from_wkb(row[4]) for row in rows(reader(server, tmp_path))}
    assert found[(kind, number)].contains(shapely.box(*BOX))
    assert len(found) == 6


@pytest.mark.parametrize(
    ("kind", "named", "known"), [("way", False, True), ("relation", True, True), ("relation", False, False)]
)
def test_a_forest_larger_than_the_strip_is_long(town, serve, tmp_path, kind, named, known):
    """What Overpass has no area of cannot be found then: the documented limit."""
    number = forest(town, named, kind, size=REACH_DEG + 0.5)
    assert ((kind, number) in {row[:2] for row in rows(reader(serve(town.elements), tmp_path))}) is known


def test_a_forest_around_a_box_in_pieces(town, serve, tmp_path):
    number = forest(town, False, "relation")
    found = rows(reader(serve(town.elements), tmp_path, max_query_m2=1e6))
    assert [row[1] for row in found if row[:2] == ("relation", number)] == [number]


@pytest.mark.parametrize("south", [-47.02, 0.0, -0.01])
def test_a_forest_around_a_box_elsewhere(town, serve, tmp_path, south):
    other = Town()
    outer = other.square(9.9, south - 0.1, 0.3)
    other.relation((outer, "outer"), landuse="forest")
    found = rows(reader(serve(other.elements), tmp_path, boxes=[(10.0, south, 10.02, south + 0.02)]))
    assert [row[0] for row in found] == ["relation"]


def test_areas_beside_the_box_are_not_asked_for(town, serve, tmp_path):
    """The strip crosses this one's outline, but it does not hold the box."""
    outer = town.square(9.9, 46.5, 0.2)
    beside = town.relation((outer, "outer"), landuse="forest")
    server = serve(town.elements)
    assert ("relation", beside) not in {row[:2] for row in rows(reader(server, tmp_path))}
    assert server.asked["interpreter"] == 2  # there was nothing to fetch


def old_style(town: Town, west: float, south: float, side: float) -> tuple[int, int]:
    """A wood with a hole whose tags are on its outer way; the relation's id and the way's."""
    outer = town.square(west, south, side, natural="wood")
    inner = town.square(west + side / 4, south + side / 4, side / 8)
    return town.relation((outer, "outer"), (inner, "inner")), outer


@pytest.mark.parametrize(("west", "south", "side"), [(10.012, 47.001, 0.004), (9.8, 46.8, 0.5)])
def test_old_multipolygons_keep_their_holes(town, serve, tmp_path, west, south, side):
    """In the box and around it: no search by keys finds them."""
    relation, way = old_style(town, west, south, side)
    found = {row[:2]: shapely.from_wkb(row[4]) for row in rows(reader(serve(town.elements), tmp_path))}
    assert found[("relation", relation)].area == pytest.approx(side**2 * (1 - 1 / 64))
    assert ("way", way) not in found


def test_multipolygons_that_say_something_else_are_not_fetched(town, serve, tmp_path):
    outer = town.square(10.004, 47.004, 0.001)
    park = town.relation((outer, "outer"), boundary="protected_area", name="Park")
    server = serve(town.elements)
    assert ("relation", park) not in {row[:2] for row in rows(reader(server, tmp_path))}
    assert server.asked["interpreter"] == 2


def test_each_box_has_its_surroundings(serve, tmp_path):
    world = Town()
    east, west = world.square(179.0, -17.0, 1.0, natural="wood"), world.square(-180.0, -17.0, 1.0, natural="wood")
    boxes = [(179.9, -16.6, 180.0, -16.5), (-180.0, -16.6, -179.9, -16.5)]
    found = rows(reader(serve(world.elements), tmp_path, boxes=boxes, max_query_m2=1e7))
    assert {row[1] for row in found} == {east, west}


# -- queries ---------------------------------------------------------------------------------------------------------


def test_osmnx_has_the_functions_that_are_used():
    """They are private: a new osmnx that changes them must be noticed here, not by a user."""
    assert list(inspect.signature(_overpass._make_overpass_polygon_coord_strs).parameters) == ["polygon"]
    assert list(inspect.signature(_overpass._create_overpass_features_query).parameters) == [
        "polygon_coord_str",
        "tags",
    ]
    query = _overpass._create_overpass_features_query("1 2 3 4", {"landuse": True})
    assert query.endswith(
        "((node['landuse'](poly:'1 2 3 4');(._;>;););(way['landuse'](poly:'1 2 3 4');(._;>;););"
        "(relation['landuse'](poly:'1 2 3 4');(._;>;);););out;"
    )
    for name in ("overpass_settings", "max_query_area_size"):
        assert hasattr(settings, name)


@pytest.mark.parametrize(
    "box",
    [
        (8.2, 46.8, 9.8, 48.0), (-0.8, -0.5, 0.7, 0.5), (179.0, -17.0, 180.0, -16.0), (-180.0, 65.0, -178.0, 66.0),
        (24.0, 69.0, 27.0, 70.1), (10.0, 47.0, 10.02, 47.02),
    ],
)  # fmt: skip
def test_pieces_cover_the_box(box):
    pieces = []
    for piece in pieces_of(box, 2.5e9):
        query = piece_query(piece, "[out:json][timeout:7]")
        assert query.startswith("[out:json][timeout:7];((node['") and query.endswith(";out;")
        assert query.count(f"(poly:'{piece}')") == query.count("(poly:") == 3 * len(LABEL_KEYS)
        numbers = np.array(piece.split(), float)
        pieces.append(shapely.Polygon(np.column_stack([numbers[1::2], numbers[::2]])))
    covered = shapely.union_all(pieces)
    # the features stage asks for some ten metres more than it needs
    assert covered.buffer(2e-5).covers(shapely.box(*box))
    assert shapely.box(*box).buffer(0.03).covers(covered)
    assert sum(piece.area for piece in pieces) == pytest.approx(covered.area)


def test_the_query_for_surroundings():
    query = around_query(BOX, ["1 2 3 4"], "[out:json][timeout:9]")
    strip = "(poly:'47.0100000 10.0099950 47.0100000 10.0100050 46.0100000 10.0100050 46.0100000 10.0099950')"
    assert query.startswith("[out:json][timeout:9];is_in(47.0100000,10.0100000)->.here;(way(pivot.here)['aeroway'];")
    assert query.count(strip) == len(LABEL_KEYS) + 1
    assert query.endswith("[!'wetland'](poly:'1 2 3 4'););out tags bb;")


def test_osmnx_and_the_process_are_left_as_they_were(town, serve, tmp_path):
    before = {name: getattr(settings, name) for name in dir(settings) if not name.startswith("_")}
    resolver, folder = socket.getaddrinfo, sorted(Path.cwd().iterdir())
    server = serve(town.elements)
    rows(reader(server, tmp_path, date="2019-07-01T00:00:00Z", timeout_s=33, max_query_m2=1e6))
    assert {name: getattr(settings, name) for name in before} == before
    assert socket.getaddrinfo is resolver
    assert sorted(Path.cwd().iterdir()) == folder  # osmnx's cache would be here
    assert all(query.startswith('[out:json][timeout:33][date:"2019-07-01T00:00:00Z"];') for query in server.queries)


def test_readers_in_threads_do_not_mix_their_settings():
    before, made = settings.overpass_settings, []
    other = threading.Thread(target=lambda: made.append(piece_query("1 2 3 4", "[other]")))
    with _osmnx_settings(overpass_settings="[one]"):
        other.start()
        other.join(0.2)
        assert made == [] and settings.overpass_settings == "[one]"
    other.join()
    assert made[0].startswith("[other];") and settings.overpass_settings == before


def test_the_server_is_told_who_asks(town, serve, tmp_path):
    server = serve(town.elements)
    rows(reader(server, tmp_path))
    (agent,) = server.agents
    assert agent.startswith("tilewright/")


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("2019-07-01T00:00:00Z", "2019-07-01T00:00:00Z"), ("2019-07-01", "2019-07-01T00:00:00Z"),
        ("2019-07-01T02:00:00+02:00", "2019-07-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_a_past_map(town, serve, tmp_path, written, asked):
    server = serve(town.elements)
    made = reader(server, tmp_path, date=written)
    rows(made)
    assert made.facts().snapshot == asked
    assert all(f'[date:"{asked}"]' in query for query in server.queries)


# -- the map moves on meanwhile --------------------------------------------------------------------------------------


def test_the_oldest_answer_is_the_snapshot(town, serve, tmp_path):
    bases = [f"2024-05-01T11:{minute}:00Z" for minute in (30, 29, 31, 32)]
    made = reader(serve(town.elements, bases=bases), tmp_path, max_query_m2=1e6)
    rows(made)
    assert made.facts().snapshot == "2024-05-01T11:29:00Z"


def test_a_server_that_tells_no_time(town, serve, tmp_path):
    made = reader(serve(town.elements, bases=[BASE, ""]), tmp_path)
    rows(made)
    assert made.facts().snapshot is None


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("newer_first", [False, True])
def test_of_two_versions_the_newer_is_taken(town, serve, tmp_path, seed, newer_first):
    """The road has another course in the second answer than in the first; the pieces of both have it."""
    (road,) = (item for item in town.elements if "highway" in item.get("tags", {}))
    moved = {**road, "nodes": [road["nodes"][0], 90001, road["nodes"][2]]}
    corner = {"type": "node", "id": 90001, "lat": 47.0155, "lon": 10.0155}
    bases = ["2024-05-01T11:30:00Z", "2024-05-01T11:31:00Z"]
    if newer_first:  # several servers behind one name, of which one lags
        bases.reverse()
    server = serve(town.elements, bases=bases, edits={1: [moved, corner]}, seed=seed)
    found = [shapely.from_wkb(row[4]) for row in rows(reader(server, tmp_path, max_query_m2=1.5e6)) if row[2] == "line"]
    places = [shapely.get_coordinates(line)[1].tolist() for line in found]
    assert places == ([[10.011, 47.011]] if newer_first else [[10.0155, 47.0155]])
