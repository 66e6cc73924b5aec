"""The ontology file: what is theirs in it, what objects it means, and the schema that editors check it by."""

import copy
import json

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ontologies import ONTOLOGIES, WRITTEN, of, one
from tilewright.vector.hidden import HIDING_KEYS, LIFECYCLE, visible
from tilewright.vector.ontology import MARGIN_M, MAX_DILATE_M, MAX_GUARD_M, Matcher, Ontology
from tilewright.vector.ontology_file import load_ontology, ontology_schema
from tilewright.vector.tags import DETAIL_KEYS, LABEL_KEYS, described

PUBLISHED = {  # id: name, precedence, as OlmoEarth read them from the published file
    0: ("wooded", 2), 1: ("agricultural", 5), 2: ("residential", 50), 3: ("industrial", 96), 4: ("commercial", 95),
    5: ("recreation", 99), 6: ("airport", 93), 7: ("quarry", 92), 8: ("military", 90), 9: ("desert_sand", 10),
    10: ("mountain_rock", 1), 11: ("other_natural", 4), 12: ("water", 96), 13: ("road", 97), 14: ("building", 100),
}  # fmt: skip
SEASONET = (
    111, 112, 121, 122, 123, 124, 131, 132, 133, 141, 142, 211, 221, 222, 231, 311, 312, 313, 321, 322, 324, 331, 332, 333,
    411, 412, 421, 423, 511, 512, 521, 522, 523,
)  # fmt: skip


@pytest.fixture
def document():
    return copy.deepcopy(WRITTEN)


def category(document, name):
    return next(one for one in document["categories"] if one["name"] == name)


# What the ontologies of the repository say


def test_opensentinelmap_is_as_published():
    ontology = load_ontology(ONTOLOGIES / "opensentinelmap.yaml", "pbf")
    assert {one.value: (one.name, one.precedence) for one in ontology.categories} == PUBLISHED
    assert [channel.name for channel in ontology.channels] == ["land_use", "water_and_roads", "buildings"]
    expected = ["land_use"] * 12 + ["water_and_roads"] * 2 + ["buildings"]
    assert [one.channel for one in sorted(ontology.categories, key=lambda one: one.value)] == expected
    assert ontology.values() == [*range(15), 254, 255]
    assert len({one.colour for one in ontology.categories}) == 15
    assert (ontology.dilate, ontology.drop_hidden, ontology.max_dilate_m()) == ("disk", False, 30)  # the paper's mode


@pytest.mark.parametrize(
    ("tags", "kind", "expected"),
    [
        ({"building": "house"}, "area", {("residential", 30), ("building", 0)}),
        ({"building": "warehouse"}, "area", {("industrial", 0), ("building", 0)}),
        ({"building": "no"}, "area", set()),
        ({"highway": "trunk"}, "line", {("road", 0), ("road", 10)}),
        ({"highway": "residential", "tunnel": "yes"}, "line", {("road", 0)}),
        ({"highway": "footway"}, "line", set()),
        ({"highway": "crossing"}, "point", set()),
        ({"aeroway": "runway"}, "line", {("airport", 20)}),
        ({"military": "airfield", "landuse": "military"}, "area", {("airport", 0), ("military", 0)}),
        ({"man_made": "tower"}, "point", {("building", 0)}),
        ({"waterway": "river"}, "line", {("water", 0)}),
        ({"natural": "wood"}, "line", set()),
    ],
)
def test_what_tags_mean(tags, kind, expected):
    matcher = Matcher(load_ontology(ONTOLOGIES / "opensentinelmap.yaml"))
    found = [matcher.rules[at] for at in matcher.of(json.dumps(tags), kind) if at < len(matcher.rules)]
    assert {(one.name, rule.dilate_m) for one, rule in found} == expected


@pytest.mark.parametrize("landuse", ["farmyard", "allotments", "greenhouse_horticulture", "plant_nursery"])
def test_where_sheds_stand_is_no_evidence_of_no_building(landuse):
    matcher = Matcher(load_ontology(ONTOLOGIES / "opensentinelmap.yaml"))
    for at in matcher.of(json.dumps({"landuse": landuse}), "area"):
        one, rule = matcher.rules[at]
        assert one.evidence(rule) == []
        assert one.doubts(rule) == ["water_and_roads", "buildings"]


def test_evidence_of_none_in_opensentinelmap():
    ontology = load_ontology(ONTOLOGIES / "opensentinelmap.yaml")
    no_water = [each.name for each in ontology.categories if "water_and_roads" in each.implies_none]
    assert set(no_water) == {PUBLISHED[value][0] for value in range(12)} - {"airport", "military"}
    no_building = {each.name for each in ontology.categories if "buildings" in each.implies_none}
    assert no_building == {"wooded", "agricultural", "desert_sand", "mountain_rock", "other_natural", "water"}
    meadow = next(rule for each, rule in ontology.rules() if rule.fits({"landuse": "meadow"}))
    assert category(ontology.model_dump(), "agricultural")["implies_none"] == ["water_and_roads", "buildings"]
    assert meadow.implies_none is None


def test_seasonet_has_the_33_classes():
    ontology = load_ontology(ONTOLOGIES / "seasonet-clc.yaml", "vector")
    matcher = Matcher(ontology)
    for value, code in enumerate(SEASONET, 1):
        (at,) = matcher.of(json.dumps({"CLC18": str(code)}), "area")
        one, rule = matcher.rules[at]
        assert (one.value, one.burn, rule.dilate_m) == (value, "coverage", 0)
        assert one.title.startswith(f"{code} ")
    assert ontology.values() == [*range(1, 34), 254, 255]
    assert len({one.colour for one in ontology.categories}) == 33
    for code in ("334", "335"):
        assert matcher.of(json.dumps({"CLC18": code}), "area") == ()
        assert matcher.knows(json.dumps({"CLC18": code}))
    assert not matcher.knows(json.dumps({"CLC18": "244"}))


def test_worldcover_keeps_its_numbers():
    table = load_ontology(ONTOLOGIES / "worldcover.yaml", "raster").pixel_table()
    assert table == {value: (value,) for value in (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)}


def test_parcels_example_leaves_no_crop_out():
    matcher = Matcher(load_ontology(ONTOLOGIES / "parcels-example.yaml", "vector"))

    def best(crop: str) -> str | None:
        found = [matcher.rules[at][0] for at in matcher.of(json.dumps({"EC_hcat_n": crop}), "area")]
        return max(found, key=lambda one: one.precedence).name if found else None

    assert [best(crop) for crop in ("winter_barley", "hops", "not_known_and_other")] == ["barley", "other_crop", None]
    assert matcher.knows('{"EC_hcat_n":"not_known_and_other"}')


# What objects an ontology means


@pytest.mark.parametrize(
    "tags",
    [
        {"highway": "primary", "tunnel": "yes"},
        {"highway": "service", "tunnel": "building_passage"},
        {"waterway": "stream", "tunnel": "culvert"},
        {"waterway": "stream", "culvert": "yes"},
        {"building": "yes", "layer": "-1"},
        {"amenity": "parking", "layer": "-2;-1"},
        {"amenity": "parking", "parking": "underground"},
        {"power": "substation", "location": "underground"},
        {"highway": "proposed"},
        {"highway": "construction", "construction": "primary"},
        {"railway": "abandoned"},
        {"railway": "rail", "razed:railway": "rail"},
        {"landuse": "quarry", "disused": "yes"},
        {"landuse": "residential", "construction": "yes"},
        {"building": "yes", "demolished:building": "yes"},
        {"building": "house", "demolished": "yes"},
        {"building": "construction"},
    ],
)
def test_hidden(tags):
    assert not set(visible(tags)) & set(LABEL_KEYS)


@pytest.mark.parametrize(
    "tags",
    [
        {"highway": "primary", "tunnel": "no"},
        {"highway": "primary", "layer": "1"},
        {"highway": "primary", "layer": "-1;1"},
        {"highway": "primary", "layer": "below"},
        {"waterway": "river", "layer": "-1"},  # a bridge above it
        {"landuse": "construction", "construction": "residential"},  # a building site is real ground
        {"landuse": "construction", "construction": "yes"},
        {"highway": "track", "abandoned:railway": "rail"},  # what was there
        {"building": "apartments", "was:building": "industrial"},
        {"building": "house", "disused": "yes"},  # empty, but it stands
        {"building": "yes", "abandoned:building": "yes"},
        {"building": "abandoned"},
        {"highway": "residential", "proposed": "primary"},
        {"highway": "primary", "construction": "minor"},
        {"building": "house", "demolished": "no"},
        {"historic": "ruins", "ruins": "yes"},
    ],
)
def test_visible(tags):
    key = next(iter(tags))
    assert visible(tags)[key] == tags[key]


def test_other_tags_of_a_hidden_one_count():
    assert visible({"highway": "proposed", "landuse": "farmland"}) == {"landuse": "farmland"}
    assert visible({"building": "yes", "shop": "bakery", "disused:shop": "yes"}).keys() == {"building", "disused:shop"}


def test_features_keep_what_hides():
    assert set(HIDING_KEYS) <= {*LABEL_KEYS, *DETAIL_KEYS}
    assert not set(LIFECYCLE) & set(LABEL_KEYS)
    kept = json.loads(described((("railway", "rail"), ("razed:railway", "rail"), ("razed:highway", "x")))[0])
    assert kept == {"railway": "rail", "razed:railway": "rail"}
    assert visible(kept).keys() == {"razed:railway"}


def test_hidden_objects_are_dropped_unless_told(document):
    tunnel = json.dumps({"highway": "primary", "tunnel": "yes"})
    assert Matcher(Ontology.model_validate(document)).of(tunnel, "line")
    document["drop_hidden"] = True
    category(document, "road")["rules"][0]["exclude"]["highway"] = ["footway"]
    matcher = Matcher(Ontology.model_validate(document))
    assert matcher.of(tunnel, "line") == ()
    assert matcher.of(json.dumps({"highway": "primary"}), "line")
    assert matcher.seen(tunnel) == {}


def test_attributes_are_never_hidden():
    matcher = Matcher(Ontology.model_validate(of(one("a", "x", 1))))
    assert matcher.of(json.dumps({"class": "a", "tunnel": "yes", "disused": "yes"}), "area") == (0,)


def test_star_and_requires():
    rules = [
        {"tags": {"natural": "wood", "landuse": "*"}, "exclude": {"landuse": "meadow"}, "requires": {"leaf_type": "*"}}
    ]
    rule = Ontology.model_validate(of(one("a", "x", 1, rules=rules))).categories[0].rules[0]
    assert rule.fits({"natural": "wood", "leaf_type": "mixed"})
    assert rule.fits({"landuse": "forest", "leaf_type": "mixed"})
    assert not rule.fits({"landuse": "meadow", "leaf_type": "mixed"})
    assert not rule.fits({"landuse": "no", "leaf_type": "mixed"})
    assert not rule.fits({"natural": "wood", "leaf_type": "no"})
    assert not rule.fits({"natural": "wood"})


def test_star_of_attributes_is_any_value():
    rules = [{"attributes": {"class": "*"}}]
    assert Ontology.model_validate(of(one("a", "x", 1, rules=rules))).categories[0].rules[0].fits({"class": "no"})


KEYS = st.sampled_from(["landuse", "natural", "highway", "building", "tunnel", "layer", "construction"])
VALUES = st.sampled_from(["yes", "no", "wood", "forest", "construction", "house", "trunk", "-1", "footway"])


@settings(deadline=None)
@given(
    tags=st.dictionaries(KEYS, VALUES, max_size=5), kind=st.sampled_from(["area", "line", "point"]), hide=st.booleans()
)
def test_matcher_agrees_with_the_rules(tags, kind, hide):
    written = copy.deepcopy(WRITTEN)
    category(written, "road")["rules"][0]["exclude"]["highway"] = ["footway"]
    written["channels"][0]["none"] = [{"tags": {"natural": "*", "landuse": "forest"}, "exclude": {"natural": "wood"}}]
    category(written, "wooded")["rules"][0]["requires"] = {"building": ["*", "no"]}
    ontology = Ontology.model_validate({**written, "drop_hidden": hide})
    seen = visible(tags) if hide else tags
    expected = [at for at, (_, rule) in enumerate(ontology.rules()) if kind in rule.kinds and rule.fits(seen)]
    rules = sum(1 for _ in ontology.rules())
    if kind == "area" and ontology.channels[0].none[0].fits(seen):
        expected.append(rules)
    matcher = Matcher(ontology)
    assert matcher.of(json.dumps(tags), kind) == matcher.of(json.dumps(tags), kind) == tuple(expected)
    assert {matcher.nones[0][0]} == {0}
    assert matcher.knows(json.dumps(tags)) or not expected


@settings(deadline=None)
@given(tags=st.dictionaries(st.sampled_from([*LABEL_KEYS, *HIDING_KEYS, "razed:highway"]), VALUES, max_size=6))
def test_hiding_only_takes_away(tags):
    seen = visible(tags)
    assert seen.items() <= tags.items()
    assert visible({key: value for key, value in tags.items() if key in LABEL_KEYS and value != "construction"}) == {
        key: value for key, value in tags.items() if key in LABEL_KEYS and value != "construction"
    }


def test_implied_categories_through_others():
    deep = one("oak", "species", 1, implies=["forest"])
    middle = one("forest", "cover", 2, implies=["nature"])
    ontology = Ontology.model_validate(of(deep, middle, one("nature", "top", 3, rules=[])))
    assert [each.name for each in ontology.implied(ontology.categories[0])] == ["forest", "nature"]
    assert ontology.implied(ontology.categories[2]) == []


def test_pixels_in_several_channels():
    trees = one("trees", "cover", 1, rules=[{"pixels": [10, 11]}], implies=["green"])
    houses = one("houses", "built", 2, rules=[{"pixels": 50}])
    written = of(trees, houses, one("green", "top", 3, rules=[]), unlabeled=[{"pixels": [0, 99]}])
    written["channels"][1]["none"] = [{"pixels": [10, 11]}]
    ontology = Ontology.model_validate(written)
    assert ontology.pixel_table() == {
        0: (255, 255, 255), 10: (1, 254, 3), 11: (1, 254, 3), 50: (255, 2, 255), 99: (255, 255, 255)
    }  # fmt: skip
    assert (ontology.kind, ontology.keys(), ontology.max_dilate_m()) == ("pixels", set(), 0)
    with pytest.raises(ValueError, match="is of pixels"):
        Matcher(ontology)
    with pytest.raises(ValueError, match="is of attributes"):
        Ontology.model_validate(of(one("a", "x", 1))).pixel_table()


def test_keys_are_all_that_rules_look_at():
    rules = [{"attributes": {"a": "1"}, "requires": {"b": "2"}}]
    written = of(one("x", "c", 1, rules=rules), unlabeled=[{"attributes": {"d": "4"}}])
    written["channels"][0]["none"] = [{"attributes": {"e": "5"}}]
    assert Ontology.model_validate(written).keys() == {"a", "b", "d", "e"}


def test_margin_holds_the_furthest_reach():
    assert MARGIN_M >= MAX_DILATE_M + MAX_GUARD_M + 2 * 10 * 2**0.5


def test_numbers_are_texts():
    rules = [{"attributes": {"class": [111, "112"]}}]
    rule = Ontology.model_validate(of(one("x", "c", 1, rules=rules))).categories[0].rules[0]
    assert rule.matches == {"class": ["111", "112"]}


# The JSON schema


def test_schema_is_not_stale():
    assert json.loads((ONTOLOGIES / "schema.json").read_text()) == json.loads(json.dumps(ontology_schema()))


@pytest.mark.parametrize("path", sorted(ONTOLOGIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_ontologies_suit_their_schema(path):
    schema = json.loads((ONTOLOGIES / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    assert path.read_text().splitlines()[0] == "# yaml-language-server: $schema=schema.json"
    load_ontology(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 254}, {"colour": "red"}, {"burn": "some"}, {"rules": [{}]}, {"rules": [{"tags": {"a": True}}]}, {"extra": 1},
        {"rules": [{"tags": {"natural": "wood"}, "attributes": {"a": "b"}}]}, {"rules": [{"tags": {"natural": []}}]},
        {"rules": [{"tags": {"natural": "wood"}, "dilate_m": 501}]}, {"rules": [{"pixels": 1.5}]}, {"name": "A b"},
    ],
)  # fmt: skip
def test_schema_and_models_refuse_alike(document, wrong):
    schema = ontology_schema()
    jsonschema.validate(document, schema)
    document["categories"][0] |= wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    with pytest.raises(ValueError):
        Ontology.model_validate(document)


def test_schema_describes_every_key():
    schema = ontology_schema()
    plain = {"name", "channel", "version", "channels", "categories", "colour", "value"}
    for model in (schema, *schema["$defs"].values()):
        for key, about in model["properties"].items():
            assert key in plain or about.get("description"), key
