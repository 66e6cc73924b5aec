"""The ontology file: what is theirs in it, and every way to write it wrong."""

import pytest
import yaml

from tilewright.errors import TilewrightError
from tilewright.vector.ontology import MAX_DILATE_M, load_ontology

PUBLISHED = {  # id: name, precedence, as OlmoEarth read them from the published file
    0: ("wooded", 2), 1: ("agricultural", 5), 2: ("residential", 50), 3: ("industrial", 96), 4: ("commercial", 95),
    5: ("recreation", 99), 6: ("airport", 93), 7: ("quarry", 92), 8: ("military", 90), 9: ("desert_sand", 10),
    10: ("mountain_rock", 1), 11: ("other_natural", 4), 12: ("water", 96), 13: ("road", 97), 14: ("building", 100),
}  # fmt: skip


@pytest.fixture
def document(root):
    return yaml.safe_load((root / "config" / "ontologies" / "opensentinelmap.yaml").read_text())


def complaint(document, tmp_path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(TilewrightError) as error:
        load_ontology(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    return str(error.value)


def category(document, name):
    return next(one for one in document["categories"] if one["name"] == name)


def test_opensentinelmap_is_as_published(root):
    ontology = load_ontology(root / "config" / "ontologies" / "opensentinelmap.yaml")
    assert {one.value: (one.name, one.precedence) for one in ontology.categories} == PUBLISHED
    assert [channel.name for channel in ontology.channels] == ["land_use", "water_and_roads", "buildings"]
    expected = ["land_use"] * 12 + ["water_and_roads"] * 2 + ["buildings"]
    assert [one.channel for one in sorted(ontology.categories, key=lambda one: one.value)] == expected
    assert ontology.values() == [*range(15), 254, 255]
    assert len({one.colour for one in ontology.categories}) == 15


@pytest.mark.parametrize(
    ("tags", "kind", "expected"),
    [
        ({"building": "house"}, "area", {("residential", 30), ("building", 0)}),
        ({"building": "warehouse"}, "area", {("industrial", 0), ("building", 0)}),
        ({"building": "no"}, "area", set()),
        ({"highway": "trunk"}, "line", {("road", 0), ("road", 10)}),
        ({"highway": "residential"}, "line", {("road", 0)}),
        ({"highway": "footway"}, "line", set()),
        ({"highway": "crossing"}, "point", set()),
        ({"aeroway": "runway"}, "line", {("airport", 20)}),
        ({"military": "airfield", "landuse": "military"}, "area", {("airport", 0), ("military", 0)}),
        ({"man_made": "tower"}, "point", {("building", 0)}),
        ({"waterway": "river"}, "line", {("water", 0)}),
        ({"natural": "wood"}, "line", set()),
    ],
)
def test_what_tags_mean(root, tags, kind, expected):
    ontology = load_ontology(root / "config" / "ontologies" / "opensentinelmap.yaml")
    assert {
        (one.name, rule.dilate_m) for one, rule in ontology.rules() if kind in rule.kinds and rule.fits(tags)
    } == expected


def test_duplicate_value(document, tmp_path):
    category(document, "water")["value"] = 0
    assert "categories: the value 0 is given twice" in complaint(document, tmp_path)


def test_duplicate_name(document, tmp_path):
    category(document, "water")["name"] = "road"
    assert "categories: the name road is given twice" in complaint(document, tmp_path)


def test_equal_precedence_in_a_channel(document, tmp_path):
    category(document, "water")["precedence"] = 97
    assert "channel water_and_roads: the precedence 97 is given twice" in complaint(document, tmp_path)


def test_unknown_channel(document, tmp_path):
    category(document, "water")["channel"] = "wet"
    assert "category water: channel 'wet' does not exist; there are land_use" in complaint(document, tmp_path)


def test_channel_without_category(document, tmp_path):
    document["categories"] = [one for one in document["categories"] if one["name"] != "building"]
    assert "channel buildings: no category is in it" in complaint(document, tmp_path)


def test_unknown_category_in_implies_none(document, tmp_path):
    document["channels"][2]["implies_none"].append("swamp")
    assert "channel buildings: implies_none names 'swamp', which is no category" in complaint(document, tmp_path)


def test_own_category_in_implies_none(document, tmp_path):
    document["channels"][2]["implies_none"].append("building")
    assert "implies_none names building, a category of the channel itself" in complaint(document, tmp_path)


def test_dilation_beyond_the_margin(document, tmp_path):
    category(document, "residential")["rules"][1]["dilate_m"] = MAX_DILATE_M + 1
    message = complaint(document, tmp_path)
    assert "category residential, rule 2, dilate_m: " in message
    assert "less than or equal to 500, not 501" in message


@pytest.mark.parametrize("colour", ["red", "#12345", "#GG0000", None])
def test_bad_colour(document, tmp_path, colour):
    category(document, "quarry")["colour"] = colour
    assert "category quarry, colour: " in complaint(document, tmp_path)


@pytest.mark.parametrize("value", [-1, 254, 255])
def test_value_out_of_range(document, tmp_path, value):
    category(document, "quarry")["value"] = value
    assert "category quarry, value: " in complaint(document, tmp_path)


def test_key_that_features_do_not_keep(document, tmp_path):
    category(document, "quarry")["rules"].append({"tags": {"colour": "red"}})
    assert "category quarry, rule 2: tag key 'colour' is not among those that features keep" in complaint(
        document, tmp_path
    )


def test_unquoted_yes(document, tmp_path):
    category(document, "quarry")["rules"].append({"tags": {"building": True}})
    assert "category quarry, rule 2, tags: building has the value True: write text, and quote" in complaint(
        document, tmp_path
    )


def test_exclusion_without_star(document, tmp_path):
    category(document, "quarry")["rules"][0]["exclude"] = {"landuse": ["pit"]}
    assert "category quarry, rule 1: exclude names 'landuse', for which the rule has no '*'" in complaint(
        document, tmp_path
    )


def test_none_rules_have_no_kinds(document, tmp_path):
    document["channels"][0]["none"][0]["kinds"] = ["line"]
    assert "channel land_use, none rule 1, kinds: " in complaint(document, tmp_path)


def test_missing_key_names_its_place(document, tmp_path):
    del category(document, "quarry")["rules"]
    assert "category quarry, rules: " in complaint(document, tmp_path)


def test_key_given_twice(tmp_path):
    assert "key 'landuse' is given twice" in complaint("tags: {landuse: a, landuse: b}\n", tmp_path)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "\x00"])
def test_not_an_ontology(tmp_path, text):
    assert "is not an ontology" in complaint(text, tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(TilewrightError, match=r"nowhere\.yaml: no such ontology file"):
        load_ontology(tmp_path / "nowhere.yaml")
