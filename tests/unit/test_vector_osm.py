"""OSM files to features beside their geometry (test_osm_cases.py): tags, headers, broken files, the sea, the real extracts."""

import json
import shutil
from collections import Counter
from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from osmium.osm.mutable import Node, Way
from osmnx.features import _POLYGON_FEATURES

from osm_cases import Case, cases, write_osm
from tilewright.config.label_sets import OsmFile
from tilewright.errors import TilewrightError
from tilewright.vector import osm, prefilter
from tilewright.vector.hexwkb import from_hex
from tilewright.vector.hidden import HIDING_KEYS
from tilewright.vector.osm import OsmObjects, OsmReader
from tilewright.vector.sea import SEA, sea_batches
from tilewright.vector.tags import KEPT_KEYS, LABEL_KEYS, POLYGON_RULES, closed_way_is_area


def rows(reader) -> list[tuple]:
    """Everything that a reader gives, sorted."""
    return sorted(
        values
        for batch in reader.batches()
        for values in zip(
            batch.source_type, batch.source_id.tolist(), batch.kind, batch.tags, shapely.to_wkb(batch.geometry).tolist(),
            strict=True,
        )
    )  # fmt: skip


def everything(path: Path) -> Path:
    return write_osm([element for case in cases().values() for element in case.elements], path)


def test_polygon_rules_are_those_of_osmnx():
    theirs = {}
    for key, rule in _POLYGON_FEATURES.items():
        values = frozenset(rule.get("values", ()))
        theirs[key] = (values, frozenset()) if rule["polygon"] == "passlist" else (None, values)
    assert {key: (rule.only, rule.never) for key, rule in POLYGON_RULES.items()} == theirs


@pytest.mark.parametrize(
    ("tags", "area"),
    [
        ({"landuse": "forest"}, True), ({"landuse": "forest", "area": "no"}, False), ({"highway": "residential"}, False),
        ({"highway": "pedestrian", "area": "yes"}, True), ({"highway": "services"}, True), ({"natural": "water"}, True),
        ({"junction": "roundabout", "highway": "primary"}, False), ({"natural": "cliff"}, False), ({"name": "x"}, False),
        ({"power": "line"}, False), ({"aeroway": "apron"}, True), ({"barrier": "hedge"}, True), ({"barrier": "fence"}, False),
    ],
)  # fmt: skip
def test_closed_ways(tags, area):
    assert closed_way_is_area(tags) is area


def test_kept_tags(tmp_path):
    this = Case("tags", 1)
    this.way(1, {"highway": "track", "name": "Weg", "tunnel": "culvert", "layer": "-1", "ref": "7"}, (0, 0), (1, 1))
    this.way(2, {"railway": "rail", "razed:railway": "rail", "razed:building": "yes"}, (0, 0), (1, 2))
    this.way(3, {"name": "nothing", "tunnel": "yes"}, (0, 0), (1, 3))
    this.square(4, {"barrier": "hedge", "highway": "track"}, 0, 0, 1)  # barrier is looked at, and let go
    found = rows(OsmObjects(write_osm(this.elements, tmp_path / "a.osm"), "osm_xml"))
    assert [(row[1] - 1000, row[2], row[3]) for row in found] == [
        (1, "line", '{"highway":"track","layer":"-1","tunnel":"culvert"}'),
        (2, "line", '{"railway":"rail","razed:railway":"rail"}'),
        (4, "area", '{"highway":"track"}'),
    ]
    assert set(HIDING_KEYS) | set(LABEL_KEYS) < KEPT_KEYS


def test_header(tmp_path):
    path = tmp_path / "bare.osm.pbf"
    with osmium.SimpleWriter(str(path)) as writer:
        writer.add_node(Node(id=1, location=(1, 1), tags={"place": "farm"}))
    reader = OsmObjects(path, "pbf")
    assert len(rows(reader)) == 1
    assert (reader.facts().snapshot, reader.facts().extent) == (None, None)
    reader = OsmObjects(everything(tmp_path / "a.osm.pbf"), "pbf")
    rows(reader)
    assert shapely.from_wkt(reader.facts().extent).equals(shapely.box(9.9, 46.9, 10.6, 47.4))


@pytest.mark.parametrize("file_format", ["pbf", "osm_xml"])
def test_batches_do_not_show(tmp_path, monkeypatch, file_format):
    path = everything(tmp_path / ("a.osm.pbf" if file_format == "pbf" else "a.osm"))
    whole, one = OsmObjects(path, file_format), OsmObjects(path, file_format)
    expected = rows(whole)
    monkeypatch.setattr(osm, "_BATCH", 3)
    assert max(len(batch.kind) for batch in OsmObjects(path, file_format).batches()) < 10
    assert rows(one) == expected and one.facts() == whole.facts()


def test_objects_without_nodes_or_place(tmp_path):
    path = tmp_path / "a.osm.pbf"
    with osmium.SimpleWriter(str(path)) as writer:
        writer.add_way(Way(id=1, nodes=[], tags={"building": "yes"}))
        writer.add_way(Way(id=2, nodes=[5, 6], tags={"building": "yes"}))
    reader = OsmObjects(path, "pbf")
    assert rows(reader) == []
    assert reader.facts().rejects == {"missing_node": 1, "no_length": 1}


@pytest.mark.skipif(shutil.which("osmium") is None, reason="osmium-tool is not installed")
def test_osmium_tool_changes_nothing(tmp_path, monkeypatch):
    path = everything(tmp_path / "a.osm.pbf")
    alone = OsmObjects(path, "pbf")
    expected = rows(alone)
    ran = []
    monkeypatch.setattr(
        prefilter.subprocess, "run", lambda *a, _run=prefilter.subprocess.run, **k: ran.append(1) or _run(*a, **k)
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert rows(OsmObjects(path, "pbf", scratch)) == expected and not ran  # too small to be worth it
    monkeypatch.setattr(prefilter, "LARGE", 0)
    filtered = OsmObjects(path, "pbf", scratch)
    assert rows(filtered) == expected and ran
    assert filtered.facts() == alone.facts()
    assert list(scratch.iterdir()) == []
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(TilewrightError, match=r"a\.osm\.pbf: cannot be read as pbf"):
        rows(OsmObjects(path, "pbf", scratch))
    assert list(scratch.iterdir()) == []
    monkeypatch.setattr(prefilter.shutil, "which", lambda name: None)
    with pytest.raises(TilewrightError, match=r"a\.osm\.pbf: cannot be read as pbf"):
        rows(OsmObjects(path, "pbf", scratch))


def test_truncated_file(tmp_path):
    path = everything(tmp_path / "made.osm.pbf")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TilewrightError, match=r"made\.osm\.pbf: cannot be read as pbf .* fetch the extract again"):
        rows(OsmObjects(path, "pbf"))


@pytest.mark.parametrize("content", [b"", b"<osm></osm>", b"\x00\x00\x00\x0d not at all", b"PK\x03\x04" * 200])
def test_not_a_pbf(tmp_path, content):
    path = tmp_path / "thing.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(TilewrightError, match=r"thing\.osm\.pbf: cannot be read as pbf"):
        rows(OsmObjects(path, "pbf"))


@pytest.mark.parametrize("content", ["", "{}", "<osm version='0.6'><node id='1'", "<html><body/></html>"])
def test_not_osm_xml(tmp_path, content):
    path = tmp_path / "thing.osm"
    path.write_text(content)
    with pytest.raises(TilewrightError, match=r"thing\.osm: cannot be read as osm_xml"):
        rows(OsmObjects(path, "osm_xml"))


@pytest.mark.parametrize("kind", ["pbf", "osm_xml"])
def test_missing_file(tmp_path, kind):
    with pytest.raises(TilewrightError, match=r"nowhere\.osm: no such file.*labels\.<set>\.source\.path"):
        rows(OsmReader(OsmFile(kind=kind, path=str(tmp_path / "nowhere.osm"))))


def test_history_is_refused(tmp_path):
    path = tmp_path / "a.osh.pbf"
    header = osmium.io.Header()
    header.has_multiple_object_versions = True
    with osmium.SimpleWriter(str(path), header=header) as writer:
        writer.add_node(Node(id=1, version=1, location=(1, 1), tags={"place": "farm"}))
        writer.add_node(Node(id=1, version=2, location=(2, 2), tags={"place": "farm"}))
    with pytest.raises(TilewrightError, match="history with several versions"):
        rows(OsmObjects(path, "pbf"))


def test_objects_that_were_not_uploaded(tmp_path):
    nodes = "".join(f"<node id='{at - 5}' lat='47.{at}' lon='10.{at * at}'/>" for at in range(3))
    refs = "".join(f"<nd ref='{at - 5}'/>" for at in (0, 1, 2, 0))
    way = f"<way id='-1'>{refs}<tag k='building' v='yes'/></way>"
    relation = (
        "<relation id='-7'><member type='way' ref='-1' role='outer'/><tag k='type' v='multipolygon'/>"
        "<tag k='landuse' v='forest'/></relation>"
    )
    path = tmp_path / "josm.osm"
    for objects, what in ((nodes + way, "node -5"), (nodes + relation, "relation -7")):
        path.write_text(f"<osm version='0.6'>{objects}</osm>")
        with pytest.raises(TilewrightError, match=rf"josm\.osm: {what} is drawn but not uploaded.*osmium renumber"):
            rows(OsmObjects(path, "osm_xml"))


def sea_file(path: Path, boxes: list[tuple], crs: str | None = "EPSG:3857") -> str:
    shapes = gpd.GeoSeries([shapely.box(*box) for box in boxes], crs="EPSG:4326")
    shapes = shapes.to_crs(crs) if crs else shapes.set_crs(None, allow_override=True)
    gpd.GeoDataFrame(geometry=shapes).to_file(path)
    return str(path)


def test_sea(tmp_path):
    near, around, far = (10.0, 47.0, 10.1, 47.1), (5.0, 45.0, 15.0, 50.0), (30.0, 10.0, 31.0, 11.0)
    file = sea_file(tmp_path / "sea.gpkg", [far, near, around])
    path = everything(tmp_path / "a.osm.pbf")
    reader = OsmReader(OsmFile(kind="pbf", path=str(path), sea=file))
    found = [row for row in rows(reader) if row[0] == "sea"]
    assert [row[2:4] for row in found] == [("area", '{"natural":"water","water":"sea"}')] * 2
    shapes = [shapely.from_wkb(row[4]) for row in found]
    assert shapes[0].bounds == pytest.approx(near, abs=1e-7)
    assert shapes[1].bounds == pytest.approx(around, abs=1e-7)  # whole
    without = OsmReader(OsmFile(kind="pbf", path=str(path)))
    rows(without)
    assert reader.facts().counts["area"] == without.facts().counts["area"] + 2
    # Two boxes give a polygon once; without boxes all are read.
    assert sum(len(batch.kind) for batch in sea_batches(file, [near, (10.05, 47, 10.2, 47.1)], Counter())) == 2
    assert sum(len(batch.kind) for batch in sea_batches(file, None, Counter())) == 3
    assert json.loads(SEA) == {"natural": "water", "water": "sea"}


def test_sea_that_no_geometry_can_be_made_of_is_counted(tmp_path):
    flat = shapely.Polygon([(8, 40), (9, 41), (8, 40), (8, 40)])
    shapes = gpd.GeoDataFrame(geometry=[shapely.box(8, 40, 12, 44), None, flat], crs=4326)
    shapes.to_file(tmp_path / "sea.gpkg")
    path = everything(tmp_path / "a.osm.pbf")
    reader = OsmReader(OsmFile(kind="pbf", path=str(path), sea=str(tmp_path / "sea.gpkg"), extent=(-180, -90, 180, 90)))
    assert len([row for row in rows(reader) if row[0] == "sea"]) == 1
    assert reader.facts().rejects.get("sea_no_area") == 1


def test_bad_sea(tmp_path):
    with pytest.raises(TilewrightError, match=r"none\.gpkg: no such file.*source\.sea"):
        list(sea_batches(str(tmp_path / "none.gpkg"), None, Counter()))
    with pytest.raises(TilewrightError, match=r"bare\.shp: names no CRS"):
        list(sea_batches(sea_file(tmp_path / "bare.shp", [(0, 0, 1, 1)], None), None, Counter()))
    (tmp_path / "bad.gpkg").write_bytes(b"not a database")
    with pytest.raises(TilewrightError, match=r"bad\.gpkg: cannot be read"):
        list(sea_batches(str(tmp_path / "bad.gpkg"), None, Counter()))
    gpd.GeoDataFrame(geometry=[shapely.Point(1, 1)], crs=4326).to_file(tmp_path / "points.gpkg")
    with pytest.raises(TilewrightError, match=r"points\.gpkg: has points"):
        list(sea_batches(str(tmp_path / "points.gpkg"), None, Counter()))


corner = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@given(st.lists(st.one_of(corner, st.lists(corner, min_size=2, max_size=9)), max_size=12), st.randoms())
def test_hexadecimal_wkb(shapes, random):
    made = [shapely.Point(each) if isinstance(each, tuple) else shapely.LineString(each) for each in shapes]
    rings = np.array([each.geom_type == "LineString" and random.random() < 0.5 for each in made], dtype=bool)
    made = [
        shapely.LineString([*each.coords, each.coords[0]]) if ring else each
        for each, ring in zip(made, rings, strict=True)
    ]
    found, short = from_hex(shapely.to_wkb(made, hex=True, byte_order=1), rings)
    for one, was, ring, lost in zip(found, made, rings, short, strict=True):
        assert lost == (ring and len(was.coords) < 4)
        if not lost:
            assert shapely.to_wkb(one) == shapely.to_wkb(shapely.Polygon(was.coords) if ring else was)


def test_liechtenstein(shared_data):
    reader = OsmObjects(shared_data / "osm" / "liechtenstein-2013-08-03.osm.pbf", "pbf")
    found = rows(reader)
    facts = reader.facts()
    assert facts.snapshot == "2013-08-03T19:00:02Z"
    assert shapely.from_wkt(facts.extent).bounds == pytest.approx((9.471078, 47.04774, 9.636217, 47.27128))
    assert len({row[:2] for row in found}) == len(found) == sum(facts.counts.values())
    assert shapely.is_valid(shapely.from_wkb([row[4] for row in found])).all()
    tags = [json.loads(row[3]) for row in found]
    assert 2_000 < sum("building" in one for one in tags) < 4_000
    assert 2_000 < sum("highway" in one for one in tags) < 6_000
    assert facts.rejects == {"missing_member": 6}  # lakes and woods cut by the border
    # Relations 11 and 31 say nothing: their outer ways 383 and 187 do, and are no areas of their own. The members of 11
    # are not all in the extract, so that its way stands for itself.
    named = {row[:2]: row for row in found}
    assert ("relation", 11) not in named and ("way", 383) in named


@pytest.mark.parametrize("name", ["small-map.osm", "small-neu-ulm.osm"])
def test_small_real_xml(shared_data, name):
    reader = OsmObjects(shared_data / "osm" / name, "osm_xml")
    found = rows(reader)
    assert len(found) >= 5
    assert reader.facts().extent is not None
    assert shapely.is_valid(shapely.from_wkb([row[4] for row in found])).all()
