"""The OSM extract, read back by an independent reader, is what `World.features` says."""

from pathlib import Path

import osmium
import pytest
import shapely
from shapely import wkb

from tilewright.config.simulated import Simulate
from tilewright.simulate import Feature, World

SETTINGS = Simulate.model_validate(
    {"sites": [{"name": "north", "lon": 12.0, "lat": 42.0, "side_m": 4000, "tiles": ["33TTG"]}]}
)


@pytest.fixture(scope="module")
def world() -> World:
    return World(SETTINGS)


@pytest.fixture(scope="module")
def path(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("osm") / "world.osm.pbf"
    world.osm.write(path)
    return path


def _read(path: Path) -> dict[tuple[str, int], tuple[dict[str, str], shapely.Geometry]]:
    """Tagged objects by (type, id); closed ways as lines, under their way's id, beside areas under ("area", id)."""
    factory = osmium.geom.WKBFactory()
    found: dict[tuple[str, int], tuple[dict[str, str], shapely.Geometry]] = {}
    for thing in osmium.FileProcessor(str(path)).with_areas():
        tags = {tag.k: tag.v for tag in thing.tags}
        if not tags:
            continue
        if thing.is_node():
            found["node", thing.id] = tags, wkb.loads(factory.create_point(thing), hex=True)
        elif thing.is_way():
            found["way", thing.id] = tags, wkb.loads(factory.create_linestring(thing), hex=True)
        elif thing.is_area():
            kind = "way area" if thing.from_way() else "relation"
            found[kind, thing.orig_id()] = tags, wkb.loads(factory.create_multipolygon(thing), hex=True)
    return found


def test_read_back_equals_features(world: World, path: Path) -> None:
    found = _read(path)
    features = world.features()
    assert len({(feature.osm_type, feature.id) for feature in features}) == len(features)
    tagged = {key for key in found if key[0] != "way area"}
    assert tagged == {(feature.osm_type, feature.id) for feature in features}
    for feature in features:
        key = ("way area" if feature.kind == "area" and feature.osm_type == "way" else feature.osm_type, feature.id)
        tags, geometry = found[key]
        # An area that a relation makes has the relation's tags but `type`, which only says that it is one.
        assert (
            tags == {key: value for key, value in feature.tags.items() if (key, value) != ("type", "multipolygon")}
            or tags == feature.tags
        )
        assert shapely.equals_exact(
            shapely.normalize(_multi(feature)), shapely.normalize(_as_multi(geometry)), tolerance=0
        )


def _as_multi(geometry: shapely.Geometry) -> shapely.Geometry:
    return shapely.MultiPolygon([geometry]) if geometry.geom_type == "Polygon" else geometry


def _multi(feature: Feature) -> shapely.Geometry:
    return _as_multi(feature.geometry)


def test_ids_are_sorted_and_the_header_has_the_box(world: World, path: Path) -> None:
    order = {"n": 0, "w": 1, "r": 2}
    seen = [(order[thing.type_str()], thing.id) for thing in osmium.FileProcessor(str(path))]
    assert seen == sorted(set(seen))
    box = osmium.io.Reader(str(path)).header().box()
    west, south, east, north = world.extent
    assert (box.bottom_left.lon, box.bottom_left.lat) == pytest.approx((west, south), abs=1e-6)
    assert (box.top_right.lon, box.top_right.lat) == pytest.approx((east, north), abs=1e-6)
    assert all(
        shapely.box(west, south, east, north).buffer(1e-6).contains(feature.geometry) for feature in world.features()
    )


def test_the_landscape_has_what_labels_need(world: World) -> None:
    features = world.features()
    tags = {(key, value) for feature in features for key, value in feature.tags.items()}
    wanted = {
        ("highway", "motorway"), ("highway", "primary"), ("highway", "residential"), ("highway", "track"), ("highway", "footway"),
        ("waterway", "river"), ("natural", "water"), ("landuse", "forest"), ("landuse", "farmland"), ("landuse", "meadow"),
        ("landuse", "residential"), ("landuse", "industrial"), ("landuse", "quarry"), ("landuse", "cemetery"),
        ("landuse", "railway"), ("railway", "rail"), ("leisure", "park"), ("building", "yes"), ("place", "town"),
    }  # fmt: skip
    assert wanted <= tags
    assert {feature.kind for feature in features} == {"area", "line", "point"}
    holed = [
        feature for feature in features if feature.osm_type == "relation" and feature.tags.get("landuse") == "forest"
    ]
    assert any(part.interiors for feature in holed for part in shapely.get_parts(feature.geometry))
    closed = [feature for feature in features if feature.kind == "line" and feature.geometry.is_closed]
    assert [feature.tags.get("junction") for feature in closed] == ["roundabout"]
    assert all(feature.geometry.is_valid for feature in features)


def test_houses_stand_on_the_edges_of_default_cells(world: World) -> None:
    import numpy as np
    import pyproj

    to_utm = pyproj.Transformer.from_crs(4326, 32633, always_xy=True)
    crossing = 0
    for feature in world.features():
        if "building" in feature.tags:
            lon, lat = np.array(feature.geometry.exterior.coords).T
            east = to_utm.transform(lon, lat)[0]
            crossing += int(east.min() // 1920 != east.max() // 1920)
    assert crossing > 0
