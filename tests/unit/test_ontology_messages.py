"""Every way to write an ontology wrong, and that the message names the place and the mend."""

import copy

import pytest
import yaml

from ontologies import WRITTEN, of, one
from tilewright.errors import TilewrightError
from tilewright.vector.ontology import MAX_DILATE_M, MAX_GUARD_M, Ontology
from tilewright.vector.ontology_file import load_ontology


@pytest.fixture
def document():
    return copy.deepcopy(WRITTEN)


def complaint(document, tmp_path, **options) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(TilewrightError) as error:
        load_ontology(path, **options)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path}: ")


def category(document, name):
    return next(one for one in document["categories"] if one["name"] == name)


def test_duplicate_value(document, tmp_path):
    category(document, "water")["value"] = 0
    assert "categories: the value 0 is given twice, to wooded and water: give each" in complaint(document, tmp_path)


def test_duplicate_category(document, tmp_path):
    category(document, "water")["name"] = "road"
    assert "categories: the name road is given twice" in complaint(document, tmp_path)


def test_duplicate_channel(document, tmp_path):
    document["channels"].append({"name": "buildings"})
    assert "channels: the name buildings is given twice" in complaint(document, tmp_path)


def test_too_many_categories(tmp_path):
    many = of(*(one(f"c{at}", "x", at % 254) for at in range(255)))
    assert complaint(many, tmp_path).startswith("categories: there are 255, but a pixel has one of 256 values")
    assert len(Ontology.model_validate(of(*(one(f"c{at}", "x", at) for at in range(254)))).values()) == 256


def test_equal_precedence_in_a_channel(document, tmp_path):
    category(document, "water")["precedence"] = 97
    message = complaint(document, tmp_path)
    assert (
        "channel water_and_roads: the precedence 97 is given twice, to water and road: which of them wins?" in message
    )


def test_unknown_channel(document, tmp_path):
    category(document, "water")["channel"] = "wet"
    assert "category water: channel 'wet' does not exist; there are land_use" in complaint(document, tmp_path)


@pytest.mark.parametrize("name", ["none", "unlabeled"])
def test_category_called_as_pixels_without_one(document, tmp_path, name):
    category(document, "quarry")["name"] = name
    told = f"category {name}: the name is that of pixels which are {name}: give it another"
    assert told in complaint(document, tmp_path)


def test_unknown_key_is_told_what_it_may_be(document, tmp_path):
    category(document, "residential")["rules"][1]["dilation_m"] = 30
    document["channels"][0]["guard"] = 1
    told = complaint(document, tmp_path)
    assert (
        "category residential, rule 2, dilation_m: is no key that an ontology knows here; did you mean dilate_m?"
        in told
    )
    assert "channel land_use, guard: is no key that an ontology knows here; did you mean guard_m?" in told


def test_channel_without_category(document, tmp_path):
    document["categories"] = [one for one in document["categories"] if one["name"] != "building"]
    assert "channel buildings: no category is in it" in complaint(document, tmp_path)


def test_several_faults_in_one_message(document, tmp_path):
    category(document, "water")["channel"] = "wet"
    category(document, "road")["value"] = 0
    message = complaint(document, tmp_path)
    assert "category water: channel 'wet'" in message
    assert "the value 0 is given twice" in message


def test_implies_none_of_unknown_channel(document, tmp_path):
    category(document, "quarry")["implies_none"].append("swamp")
    assert "category quarry: implies_none names 'swamp', which is no channel; there are" in complaint(
        document, tmp_path
    )


def test_implies_none_of_own_channel(document, tmp_path):
    category(document, "quarry")["implies_none"].append("land_use")
    assert "category quarry: implies_none names land_use, its own channel" in complaint(document, tmp_path)


def test_rule_implies_none_of_more_than_its_category(document, tmp_path):
    category(document, "quarry")["rules"][0]["implies_none"] = ["buildings"]
    message = complaint(document, tmp_path)
    assert "category quarry, rule 1: implies_none names 'buildings', which the category's does not: name it" in message


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        ([one("a", "x", 1, implies=["z"])], "category a: implies names 'z', which is no category; there are a"),
        ([one("a", "x", 1, implies=["a"])], "category a: implies itself"),
        (
            [one("a", "x", 1, implies=["b"]), one("b", "x", 2)],
            "category a: implies b, which is of its own channel x: a pixel has one category of a channel",
        ),
        (
            [one("a", "x", 1, implies=["b"]), one("b", "y", 2, implies=["a"])],
            "categories: implies runs in a circle: a implies b, b implies a: remove one of them",
        ),
        (
            [one("z", "w", 0, implies=["b"]), one("a", "x", 1, implies=["b"]), one("b", "y", 2, implies=["c"]),
             one("c", "z", 3, implies=["a"])],
            "categories: implies runs in a circle: b implies c, c implies a, a implies b: remove one of them",
        ),
        (
            [one("a", "x", 1, implies=["b"]), one("b", "y", 2, implies=["c"]), one("c", "x", 3)],
            "category a: implies c through another, which is of its own channel x",
        ),
        (
            [one("a", "x", 1, implies=["b", "c"]), one("b", "y", 2), one("c", "y", 3)],
            "category a: implies b and c, both of channel y",
        ),
        (
            [one("a", "x", 1, implies=["b"], implies_none=["y"]), one("b", "y", 2)],
            "category a: implies b, and none of its channel y: remove one of the two",
        ),
        (
            [one("a", "x", 1, implies=["b"]), one("b", "y", 2, implies=["c"]), one("c", "z", 3, implies_none=["x"])],
            "category a: implies c, which implies none of category a's own channel x",
        ),
        (
            [one("a", "x", 1, implies=["b"]), one("b", "y", 2, burn="coverage")],
            "category a: implies b, which burns by coverage",
        ),
        ([one("a", "x", 1), one("b", "y", 2, rules=[])], "category b: has no rules, and no category implies it"),
        ([one("a", "x", 1, rules=[])], "categories: none has a rule"),
        (
            [one("a", "x", 1, burn="coverage"), one("b", "x", 2, burn="touched")],
            "channel x: category a burns by coverage, b by touched: write burn: coverage in all",
        ),
        (
            [one("a", "x", 1, burn="coverage", rules=[{"attributes": {"a": "b"}, "dilate_m": 5}])],
            "category a, rule 1: dilate_m does not go with burn: coverage",
        ),
        (
            [one("a", "x", 1, burn="coverage", rules=[{"attributes": {"a": "b"}, "kinds": ["area", "line"]}])],
            "category a, rule 1: kinds area, line do not go with burn: coverage",
        ),
        (
            [one("a", "x", 1, rules=[{"attributes": {"a": "b"}, "dilate": "disk"}])],
            "category a, rule 1: dilate says how, but dilate_m does not say how far",
        ),
        (
            [one("a", "x", 1), one("b", "x", 2, rules=[{"tags": {"natural": "wood"}}])],
            "category b, rule 1: looks at tags, but category a, rule 1 at attributes: an ontology is of one kind",
        ),
        ([one("a", "x", 1, rules=[{"tags": {"a": "b"}, "pixels": 3}])], "category a, rule 1: gives tags and pixels"),
        ([one("a", "x", 1, rules=[{"kinds": ["area"]}])], "category a, rule 1: gives nothing: write one of tags"),
        (
            [one("a", "x", 1, rules=[{"pixels": [1, 2]}]), one("b", "x", 2, rules=[{"pixels": 2}])],
            "channel x: the raster's value 2 is given twice, as a and as b: keep one",
        ),
        (
            [one("a", "x", 1, implies=["c"], rules=[{"pixels": 7}]), one("b", "y", 2, rules=[{"pixels": 7}]),
             one("c", "y", 3, rules=[])],
            "channel y: the raster's value 7 is given twice, as c and as b: keep one",
        ),
        ([one("a", "x", 1, rules=[{"pixels": 1, "dilate_m": 3}])], "category a, rule 1: dilate_m means nothing for pixels"),
        ([one("a", "x", 1, rules=[{"pixels": 1, "requires": {"a": "b"}}])], "category a, rule 1: requires means nothing"),
        ([one("a", "x", 1, burn="touched", rules=[{"pixels": 1}])], "category a: burn means nothing for pixels"),
        ([one("a", "x", 1, rules=[{"pixels": True}])], "category a, rule 1, pixels"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(categories, expected, tmp_path):
    assert expected in complaint(of(*categories), tmp_path)


def test_guard_of_pixels(tmp_path):
    written = of(one("a", "x", 1, rules=[{"pixels": 1}]))
    written["channels"][0]["guard_m"] = 20
    assert "channel x: guard_m means nothing for pixels of a raster" in complaint(written, tmp_path)


@pytest.mark.parametrize("kind", ["pbf", "osm_xml", "overpass", "raster"])
def test_source_of_another_kind(kind, tmp_path):
    wanted = "pixels" if kind == "raster" else "tags"
    message = complaint(of(one("a", "x", 1)), tmp_path, source_kind=kind)
    assert message == (
        f"its rules look at attributes, but a source of kind {kind} has {wanted}: name an ontology of {wanted}"
    )


def test_dilation_beyond_the_margin(document, tmp_path):
    category(document, "residential")["rules"][1]["dilate_m"] = MAX_DILATE_M + 1
    message = complaint(document, tmp_path)
    assert "category residential, rule 2, dilate_m: " in message
    assert "less than or equal to 500, not 501" in message


def test_guard_beyond_the_margin(document, tmp_path):
    document["channels"][1]["guard_m"] = MAX_GUARD_M + 1
    assert "channel water_and_roads, guard_m: Input should be less than or equal to 100" in complaint(
        document, tmp_path
    )


@pytest.mark.parametrize("colour", ["red", "#12345", "#GG0000", None])
def test_bad_colour(document, tmp_path, colour):
    category(document, "quarry")["colour"] = colour
    assert "category quarry, colour: " in complaint(document, tmp_path)


@pytest.mark.parametrize("value", [-1, 254, 255])
def test_value_out_of_range(document, tmp_path, value):
    category(document, "quarry")["value"] = value
    message = complaint(document, tmp_path)
    assert "category quarry, value: " in message
    assert f"not {value}" in message


@pytest.mark.parametrize("where", ["tags", "requires"])
def test_key_that_features_do_not_keep(document, tmp_path, where):
    category(document, "quarry")["rules"].append({"tags": {"landuse": "x"}} | {where: {"colour": "red"}})
    message = complaint(document, tmp_path)
    assert "category quarry, rule 2: tag key 'colour' is not among those that features keep: aeroway, " in message


def test_none_rule_with_such_a_key(document, tmp_path):
    document["channels"][0]["none"].append({"tags": {"colour": "red"}})
    assert "channel land_use, none rule 2: tag key 'colour'" in complaint(document, tmp_path)


def test_tag_that_is_always_hidden(document, tmp_path):
    document["drop_hidden"] = True
    category(document, "road")["rules"][1]["tags"] = {"highway": ["trunk", "proposed"]}
    message = complaint(document, tmp_path)
    assert "category road, rule 2: highway=proposed fits nothing, because hidden objects are dropped" in message
    assert "trunk" not in message


@pytest.mark.parametrize("value", [True, 1.5, None])
def test_value_that_is_no_text(document, tmp_path, value):
    category(document, "quarry")["rules"].append({"tags": {"building": value}})
    message = complaint(document, tmp_path)
    assert f"category quarry, rule 2, tags, building: has the value {value!r}: write text, and quote words" in message


def test_exclusion_without_star(document, tmp_path):
    category(document, "quarry")["rules"][0]["exclude"] = {"landuse": ["pit"]}
    message = complaint(document, tmp_path)
    assert "category quarry, rule 1: exclude names 'landuse', for which the rule has no '*'" in message


def test_none_rules_have_no_kinds(document, tmp_path):
    document["channels"][0]["none"][0]["kinds"] = ["line"]
    message = complaint(document, tmp_path)
    assert "channel land_use, none rule 1, kinds: is no key that an ontology knows here" in message


def test_unlabeled_rule_at_fault(tmp_path):
    written = of(one("a", "x", 1), unlabeled=[{"attributes": {}}])
    assert "unlabeled rule 1, attributes: " in complaint(written, tmp_path)
    written["unlabeled"] = [{"tags": {"landuse": "a"}}]
    assert "unlabeled rule 1: looks at tags, but category a, rule 1 at attributes" in complaint(written, tmp_path)


def test_missing_key_names_its_place(document, tmp_path):
    del category(document, "quarry")["colour"]
    assert "category quarry, colour: Field required" in complaint(document, tmp_path)


def test_key_given_twice(tmp_path):
    assert "key 'landuse' is given twice" in complaint("tags: {landuse: a, landuse: b}\n", tmp_path)


@pytest.mark.parametrize(("text", "number"), [("011", 9), ("1:30", 90), ("0x1f", 31), ("1_000", 1000)])
def test_number_that_yaml_reads_as_another(text, number, tmp_path):
    message = complaint(f"attributes: {{CODE: [{text}]}}\n", tmp_path)
    assert f"{text} would be read as the number {number}: put it in quotes" in message


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "\x00", "{[a]: b}\n", "!!python/object:os.system {}\n"])
def test_not_an_ontology(tmp_path, text):
    assert "is not an ontology" in complaint(text, tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(TilewrightError, match=r"nowhere\.yaml: no such ontology file"):
        load_ontology(tmp_path / "nowhere.yaml")
