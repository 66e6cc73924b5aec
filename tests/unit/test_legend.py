"""The legend page: every object counted once, under what became of it, and nothing from a file can break the page."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.errors import TilewrightError
from tilewright.store import write_table
from tilewright.vector.legend import cover, sizes, words, write_legend
from tilewright.vector.ontology import Ontology, Rule

ONTOLOGIES = Path(__file__).parents[2] / "config" / "ontologies"
HOSTILE = "<script>alert(1)</script>"
ONTOLOGY = {
    "name": "mine",
    "version": 3,
    "channels": [{"name": "land", "none": [{"tags": {"landuse": "cemetery"}}]}, {"name": "ways"}],
    "unlabeled": [{"tags": {"landuse": "brownfield"}}],
    "categories": [
        {
            "name": "wood", "channel": "land", "value": 1, "precedence": 1, "colour": "#00aa00", "title": "Woods & trees",
            "implies_none": ["ways"], "rules": [{"tags": {"natural": "wood"}}, {"tags": {"landuse": "forest"}}],
        },
        {
            "name": "road", "channel": "ways", "value": 2, "precedence": 1, "colour": "#222222",
            "rules": [{"tags": {"highway": "*"}, "exclude": {"highway": "path"}, "kinds": ["area", "line"], "dilate_m": 10}],
        },
        {"name": "pond", "channel": "land", "value": 3, "precedence": 2, "colour": "#0000ff",
         "rules": [{"tags": {"water": "pond"}}]},
    ],
}  # fmt: skip


class Page(HTMLParser):
    """Rows of tables as texts, and all that a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data.strip()

    def row(self, first: str, kind: str) -> list[str]:
        """The row of a tag."""
        return next(row for row in self.rows if row[:2] == [first, kind])


def square(west: float, south: float, side: float = 0.01) -> shapely.Polygon:
    return shapely.box(west, south, west + side, south + side)


def features(*objects: tuple[str, int, str, dict, shapely.Geometry], label_set: str | None = "osm") -> gpd.GeoDataFrame:
    table = gpd.GeoDataFrame(
        {
            "source_type": [each[0] for each in objects],
            "source_id": np.array([each[1] for each in objects], np.int64),
            "kind": [each[2] for each in objects],
            "tags": [json.dumps(each[3], sort_keys=True, separators=(",", ":")) for each in objects],
        },
        geometry=[each[4] for each in objects],
        crs=4326,
    )
    if label_set is not None:
        table.insert(0, "label_set", label_set)
    return table


OBJECTS = (
    ("way", 1, "area", {"natural": "wood"}, square(9.5, 47.0)),
    ("way", 2, "area", {"landuse": "meadow", "tunnel": "no"}, square(9.6, 47.0, 0.02)),
    ("way", 3, "area", {"landuse": "village_green", "natural": HOSTILE}, square(9.7, 47.0)),
    ("way", 4, "line", {"highway": "trunk"}, shapely.LineString([(9.5, 47.0), (9.5, 47.1)])),
    ("way", 5, "line", {"highway": "path"}, shapely.LineString([(9.5, 47.0), (9.6, 47.0)])),
    ("way", 6, "line", {"highway": "trunk", "tunnel": "yes"}, shapely.LineString([(9.5, 47.0), (9.6, 47.0)])),
    ("node", 4, "point", {"natural": "wood"}, shapely.Point(9.5, 47.0)),
    ("way", 7, "area", {"landuse": "cemetery"}, square(9.8, 47.0)),
    ("way", 8, "area", {"landuse": "brownfield"}, square(9.9, 47.0)),
    ("way", 9, "area", {"natural": "wood", "highway": "proposed"}, square(9.5, 47.2)),
)


@pytest.fixture
def ontology(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(ONTOLOGY))
    return path


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "features.parquet"
    write_table(features(*OBJECTS), path, {"label_sets": {"osm": {}}})
    return path


def read_csv(path: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return {(row["key"], row["value"], row["kind"]): row for row in csv.DictReader(lines)}


def area(geometry: shapely.Geometry) -> float:
    return abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(geometry)[0]) / 1e6


def test_what_became_of_each_tag(ontology, table, tmp_path):
    write_legend(ontology, [table], "osm", tmp_path / "legend.html")
    rows = read_csv(tmp_path / "legend.csv")
    assert list(rows)[:3] == [  # by area that fell
        ("landuse", "meadow", "area"), ("landuse", "village_green", "area"), ("natural", HOSTILE, "area")
    ]  # fmt: skip
    assert {key[0] for key in rows} == {"natural", "landuse", "highway"}  # `tunnel` only tells more about an object
    meadow = rows["landuse", "meadow", "area"]
    assert (meadow["objects"], meadow["fell_objects"], meadow["fits"]) == ("1", "1", "")
    assert float(meadow["fell_area_km2"]) == pytest.approx(area(OBJECTS[1][4]), rel=1e-4)
    wood = rows["natural", "wood", "area"]
    assert (wood["objects"], wood["fell_objects"], wood["hidden_objects"], wood["fits"]) == ("2", "0", "0", "wood: 2")
    assert (
        rows["natural", "wood", "point"]["fell_objects"],
        rows["natural", "wood", "point"]["fits_as_other_kind"],
    ) == (
        "1",
        "wood (as area)",
    )
    trunk = rows["highway", "trunk", "line"]
    assert (trunk["objects"], trunk["fell_objects"], trunk["hidden_objects"], trunk["fits"]) == (
        "2",
        "0",
        "1",
        "road: 1",
    )
    assert float(trunk["hidden_length_km"]) == pytest.approx(7.6, abs=0.1)
    path = rows["highway", "path", "line"]
    assert float(path["fell_length_km"]) == pytest.approx(7.6, abs=0.1)
    assert rows["highway", "proposed", "area"]["hidden_objects"] == "1"
    assert rows["landuse", "cemetery", "area"]["fits"] == "none of land: 1"
    assert rows["landuse", "brownfield", "area"]["fits"] == "known, no label: 1"


def test_page_shows_legend_and_tags(ontology, table, tmp_path):
    write_legend(ontology, [table], None, tmp_path / "legend.html")
    text = (tmp_path / "legend.html").read_text(encoding="utf-8")
    page = Page(text)
    (road,) = (row for row in page.rows if "road" in row)
    assert road[1:] == ["2", "road", "1", "centre", "highway = anything but path · areas and lines · widened by 10 m (auto)",
                        "1", "", "11.117"]  # fmt: skip
    (pond,) = (row for row in page.rows if "pond" in row)
    assert pond[-3:] == ["0", "", ""]
    assert "background:#222222" in text
    assert "Woods &amp; trees" in text
    assert "None: areas of wood, undilated and shrunk by a pixel; not within 10 m of a category." in text
    assert page.row("landuse=meadow", "area")[2] == "1"
    assert page.row("areas", "6")[4] == "2"  # objects that no rule fits
    assert page.row("lines", "3")[-1] == "1"  # hidden


def test_page_stands_alone_and_escapes(ontology, table, tmp_path):
    write_legend(ontology, [table], "osm", tmp_path / "legend.html")
    text = (tmp_path / "legend.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert page.links == []
    assert "http" not in text.replace("http-equiv", "")
    assert page.row(f"natural={HOSTILE}", "area")


def test_same_bytes_twice_in_any_order(ontology, tmp_path):
    for name, objects in (("a", OBJECTS), ("b", OBJECTS[::-1])):
        write_table(features(*objects), tmp_path / f"{name}.parquet", {"label_sets": {"osm": {}}})
        write_legend(ontology, [tmp_path / f"{name}.parquet"], "osm", tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_object_of_several_tiles_counts_once(ontology, tmp_path):
    for name, objects in (("all", OBJECTS), ("one", OBJECTS[:6]), ("two", OBJECTS[3:])):
        write_table(features(*objects), tmp_path / f"{name}.parquet", {"label_sets": {"osm": {}}}, row_group=2)
    write_legend(ontology, [tmp_path / "all.parquet"], "osm", tmp_path / "a.html")
    write_legend(ontology, [tmp_path / "one.parquet", tmp_path / "two.parquet"], "osm", tmp_path / "b.html")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert "From 2 files" in (tmp_path / "b.html").read_text()


def test_only_the_label_set_counts(ontology, tmp_path):
    table = pd.concat([features(*OBJECTS[:2], label_set="osm"), features(*OBJECTS[2:], label_set="other")])
    write_table(table, tmp_path / "features.parquet", {"label_sets": {"osm": {}, "other": {}}})
    write_legend(ontology, [tmp_path / "features.parquet"], "osm", tmp_path / "legend.html")
    assert set(read_csv(tmp_path / "legend.csv")) == {("natural", "wood", "area"), ("landuse", "meadow", "area")}
    with pytest.raises(TilewrightError, match=r"features\.parquet: has the label sets osm, other: name the one"):
        write_legend(ontology, [tmp_path / "features.parquet"], None, tmp_path / "legend.html")
    with pytest.raises(TilewrightError, match=r"features\.parquet: has no label set 'x', but osm, other"):
        write_legend(ontology, [tmp_path / "features.parquet"], "x", tmp_path / "legend.html")


def test_normalised_source_has_no_label_sets(ontology, tmp_path):
    write_table(features(*OBJECTS, label_set=None), tmp_path / "source.parquet", {"source": "x.osm.pbf"})
    write_legend(ontology, [tmp_path / "source.parquet"], None, tmp_path / "legend.html")
    assert len(read_csv(tmp_path / "legend.csv")) == 10


def test_missing_table(ontology, tmp_path):
    with pytest.raises(TilewrightError, match=r"nowhere\.parquet is missing"):
        write_legend(ontology, [tmp_path / "nowhere.parquet"], "osm", tmp_path / "legend.html")
    assert not (tmp_path / "legend.html").exists()


def test_empty_table(ontology, tmp_path):
    write_table(features(*OBJECTS)[:0], tmp_path / "features.parquet", {"label_sets": {"osm": {}}})
    write_legend(ontology, [tmp_path / "features.parquet"], "osm", tmp_path / "legend.html")
    assert read_csv(tmp_path / "legend.csv") == {}


def test_attributes_count_only_where_rules_look(tmp_path):
    row = ("row", 1, "area", {"CLC18": "334", "ID": "7"}, square(9.5, 47.0))
    other = ("row", 2, "area", {"CLC18": "999", "ID": "8"}, square(9.6, 47.0))
    write_table(features(row, other), tmp_path / "features.parquet", {"label_sets": {"osm": {}}})
    write_legend(ONTOLOGIES / "seasonet-clc.yaml", [tmp_path / "features.parquet"], "osm", tmp_path / "legend.html")
    rows = read_csv(tmp_path / "legend.csv")
    assert {key: (row["fell_objects"], row["fits"]) for key, row in rows.items()} == {
        ("CLC18", "999", "area"): ("1", ""), ("CLC18", "334", "area"): ("0", "known, no label: 1")
    }  # fmt: skip


def test_ontology_of_pixels_has_a_legend_alone(table, tmp_path):
    write_legend(ONTOLOGIES / "worldcover.yaml", [], None, tmp_path / "legend.html")
    text = (tmp_path / "legend.html").read_text()
    assert "What fell through" not in text
    assert ["", "95", "mangrovesMangroves", "0", "", "value 95"] in Page(text).rows
    # the rule hands over the tiles' tables, which hold no raster
    write_legend(ONTOLOGIES / "worldcover.yaml", [table], "cover", tmp_path / "again.html")
    assert "for the labels “cover”" in (again := (tmp_path / "again.html").read_text())
    assert Page(again).rows == Page(text).rows and "What fell through" not in again


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"tags": {"a": ["b", "c"], "d": "*"}}, "a = b or c or d = anything"),
        ({"tags": {"a": "b"}, "requires": {"e": ["f", "g", "h"]}}, "a = b · with e = f, g or h"),
        ({"tags": {"a": "b"}, "dilate_m": 2.5, "dilate": "buffer", "kinds": ["point"]},
         "a = b · points · widened by 2.5 m (buffer)"),
        ({"tags": {"a": "b"}, "implies_none": []}, "a = b · no evidence of none"),
        ({"tags": {"a": "b"}, "implies_none": ["x", "y"]}, "a = b · evidence of no x or y"),
    ],
)  # fmt: skip
def test_rules_in_words(rule, expected):
    assert words(Rule.model_validate(rule), Ontology.model_validate(ONTOLOGY)) == expected


def test_sizes_are_those_on_the_ellipsoid():
    ring = shapely.box(9.5, 47.0, 9.6, 47.1)
    holed = shapely.Polygon(ring.exterior, [square(9.52, 47.02).exterior])
    lines = shapely.MultiLineString([[(9.5, 47.0), (9.5, 47.1), (9.6, 47.1)], [(0, 0), (0.1, 0)]])
    far = shapely.MultiPolygon([square(-70, -60), square(25, 70)])
    area_km2, length_km = sizes(np.array([holed, lines, shapely.Point(1, 2), far], dtype=object))
    geod = pyproj.Geod(ellps="WGS84")
    assert area_km2[[1, 2]].tolist() == [0, 0]
    assert length_km[[0, 2, 3]].tolist() == [0, 0, 0]
    assert area_km2[0] == pytest.approx(area(ring) - area(square(9.52, 47.02)), rel=1e-4)
    assert area_km2[3] == pytest.approx(sum(area(part) for part in far.geoms), rel=1e-4)
    assert length_km[1] == pytest.approx(geod.geometry_length(lines) / 1000, rel=1e-9)
    assert [len(each) for each in sizes(np.empty(0, dtype=object))] == [0, 0]


TAGS = st.dictionaries(
    st.sampled_from(["natural", "landuse", "highway", "tunnel", "water"]),
    st.sampled_from(["wood", "forest", "yes", "path", "pond", "no", "proposed", "cemetery", "brownfield"]), max_size=4,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(TAGS, st.sampled_from(["area", "line", "point"])), max_size=12), st.integers(1, 5))
def test_nothing_is_lost(objects, size):
    shapes = {"area": square(9, 47), "line": shapely.LineString([(9, 47), (9, 48)]), "point": shapely.Point(9, 47)}
    table = features(*(("way", at, kind, tags, shapes[kind]) for at, (tags, kind) in enumerate(objects)))
    found = cover(Ontology.model_validate(ONTOLOGY), (table[at : at + size] for at in range(0, len(table), size)))
    for kind in shapes:
        assert found.all[kind].objects == sum(each == kind for _, each in objects)
        assert found.fell[kind].objects + found.hidden[kind].objects <= found.all[kind].objects
    for row in found.rows.values():
        assert row.all.objects == sum(tags.get(row.key) == row.value and kind == row.kind for tags, kind in objects)
        labelled = row.all.objects - row.fell.objects - row.hidden.objects
        assert max(row.fits.values(), default=0) <= labelled <= sum(row.fits.values())
