"""The config: defaults, spans, what the stages are told, and messages that name the key as a user wrote it."""

import copy
import json
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tilewright.config.base import path_safe
from tilewright.config.choice import Span, limits
from tilewright.config.load import load_config, load_providers, ontology_path
from tilewright.config.settings import CropSettings, SearchSettings, parsed, text
from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig

LEAST: dict[str, Any] = {
    "dataset": "x", "aoi": {"tiles": ["35JQG"]}, "provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02"]}},
    "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31"}],
}  # fmt: skip


def edited(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(LEAST), **changes}


def message(mapping: dict[str, Any]) -> str:
    with pytest.raises(TilewrightError) as raised:
        load_config(mapping)
    return str(raised.value)


def test_the_least_config_is_filled_with_the_documented_defaults():
    config = load_config(LEAST)
    assert (config.seed, config.cells.size_m, config.mask.bad, config.mask.max_bad, config.mask.max_nodata) == (
        42,
        1920,
        [0, 1, 3, 8, 9],
        0.25,
        0.0,
    )
    period = config.period("a")
    assert (period.scenes, period.order, period.mask.model_dump(exclude_none=True)) == (2, "shuffled_by_month", {})
    assert (config.labels, config.split.by, config.split.shares.train) == ({}, "tile", 0.8)


def test_the_projects_own_config_is_whole(root: Path):
    config = load_config(yaml.safe_load((root / "config" / "config.yaml").read_text()))
    assert config.dataset == "demo" and load_providers(config, root)["s2_l2a"].kind == "local"


@pytest.mark.parametrize("missing", ["dataset", "aoi", "collections", "periods"])
def test_a_missing_key_is_named(missing: str):
    mapping = edited()
    del mapping[missing]
    assert message(mapping) == f"config: {missing}: is missing; add it (see config/README.md)"


def test_every_fault_is_in_the_one_message_once():
    told = message(edited(seed="x", labls={}, cells={"size": 1}, mask={"bad": [12, 12]}))
    assert "\n" not in told
    for key in ("seed: ", "labls: ", "cells.size: ", "mask.bad.0: ", "mask.bad.1: "):
        assert told.count(key) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"colections": {}}, "config: colections: unknown key; did you mean collections?"),
        ({"mask": {"max_clouds": 1}}, "config: mask.max_clouds: unknown key; did you mean max_cloud?"),
        ({"mask": {"intensity": {"max": 1}}}, "config: mask.intensity.max: unknown key; did you mean max_dn?"),
        ({"split": {"shares": {"trian": 1}}}, "config: split.shares.trian: unknown key; did you mean train?"),
        ({"labels": {"osm": {"source": {"kind": "pbf", "path": "x", "pth": 1}, "ontology": "o"}}}, "config: labels.osm.source.pth: unknown key; did you mean path?"),
        (
            {"labels": {"a": {"ontology": "x", "source": {"kind": "vector", "path": "PG:password=s3cret", "attributes": ["a"], "licence": "b"}}}},
            "config: labels.a.source.path: holds a password: leave it out, and give it in PGPASSWORD or ~/.pgpass",
        ),
        (
            {"labels": {"a": {"ontology": "x", "source": {"kind": "pfb", "path": "a"}}}},
            "config: labels.a.source.kind: 'pfb' is none of pbf, osm_xml, overpass, vector, raster",
        ),
        (
            {"labels": {"a": {"ontology": "x", "source": {"kind": "pbf", "pth": "a", "path": "b", "extent": [0, 5, 1, 4]}}}},
            "config: labels.a.source.extent: south 5.0 is not below north 4.0: write west, south, east, north; labels.a.source.pth: unknown key; did you mean path?",
        ),
        (
            {"labels": {"a": {"source": {"kind": "raster", "path": "b", "licence": "c", "resampling": "cubic"}, "ontology": "x"}}},
            "config: labels.a: source.resampling: cubic would mix classes: use nearest or majority",
        ),
        (
            {"labels": {"a": {"source": {"kind": "raster", "path": "b", "licence": "c"}, "parcels": {}}}},
            "config: labels.a: parcels: need a source of kind vector, not raster",
        ),
        ({"labels": {"a": {"source": {"kind": "pbf", "path": "b"}}}}, "config: labels.a: ontology: is missing; name one of config/ontologies or a file"),
        (
            {"labels": {"a": {"source": {"kind": "pbf", "path": "b"}, "ontology": "x", "resolution_m": 3}}},
            "config: labels.a.resolution_m: 3 does not divide 10: use 10, 5, 2.5, 2, 1.25, 1, 0.625, 0.5",
        ),
        ({"labels": {"a": {"source": "x.pbf", "ontology": "x"}}}, "config: labels.a.source: must be a mapping of keys to values"),
        (
            {"labels": {"a": {"source": {"kind": "overpass", "path": "b"}, "ontology": "x"}}},
            "config: labels.a.source.path: unknown key; known here: kind, url, date, timeout_s, licence, sea",
        ),
        (
            {"labels": {"a": {"source": {"kind": "raster", "path": "b", "licence": "c", "layer": "d"}}}},
            "config: labels.a.source.layer: unknown key; known here: kind, path, band, resampling, nodata, licence",
        ),
        (
            {"labels": {"a": {"source": {"kind": "overpass", "date": "last year"}, "ontology": "x"}}},
            "config: labels.a.source.date: 'last year' is no time; write it as 2019-07-01T00:00:00Z",
        ),
        (
            {"labels": {"a": {"source": {"kind": "raster", "path": "b", "licence": "c"}, "years": {2018: "x"}}}},
            "config: labels.a: years: have the paths: remove source.path",
        ),
        (
            {"labels": {"my osm": {"source": {"kind": "pbf", "path": "b"}, "ontology": "x"}}},
            "config: labels.my osm: 'my osm' becomes part of a path: use letters, digits, - and _ only",
        ),
        ({"cells": {"labelled_by": "b"}}, "config: cells.labelled_by: 'b' is no label set; there are none"),
        (
            {"aoi": {"bbox": [9, 47, 10, 48]}, "labels": {"a": {"source": {"kind": "pbf", "path": "b", "extent": [47, 9, 48, 10]}, "ontology": "x"}}},
            "config: labels.a.source.extent: [47.0, 9.0, 48.0, 10.0] does not meet aoi.bbox [9.0, 47.0, 10.0, 48.0]: write west, south, east, north, or take another source",
        ),
        ({"cells": {"zzz": 1}}, "config: cells.zzz: unknown key; known here: strategy, size_m, stride_m, grids, reference, fraction, number, activity, water, labelled_by"),
        ({"provider": 3}, "config: provider: give the name of a file in config/providers, or {like: <name>, path: <catalog>}"),
        ({"dataset": 2019}, 'config: dataset: write it in quotes, as "2019"'),
        ({"aoi": "32TNT"}, "config: aoi: must be a mapping of keys to values"),
        ({"aoi": {"tiles": ["35JQG"], "points": {"path": "b"}}}, "config: aoi: give exactly one of bbox, file, tiles, land, cities, points, polygons"),
        (
            {"cells": {"strategy": "samples"}},
            "config: cells.strategy: samples makes cells around places: give aoi.cities, aoi.points or aoi.polygons, or take strategy lattice",
        ),
        (
            {"aoi": {"polygons": {"path": "b.gpkg"}}},
            "config: aoi.polygons: names places, which strategy lattice does not look at: set cells.strategy: samples",
        ),
        (
            {"aoi": {"points": {"path": "b.gpkg", "lon": "x"}}, "cells": {"strategy": "samples"}},
            "config: aoi.points: lon and lat are columns of a CSV; a vector file's points are its geometry: leave them out",
        ),
        (
            {"aoi": {"points": {"path": "b.csv", "date": "d"}}, "cells": {"strategy": "samples", "reference": {"date": "2020-12-21"}}},
            "config: cells.reference: aoi.points.date gives each sample its own date already: leave one of them out",
        ),
        (
            {"cells": {"reference": {"date": "2020-12-21"}}},
            "config: cells.reference: no period is around it: give a period `reference` instead of start and end, or leave it out",
        ),
        ({"cells": {"strategy": "grids", "stride_m": 600}}, "config: cells: stride_m is of strategy lattice, and strategy is grids: leave one of them out"),
        ({"cells": {"grids": {}}}, "config: cells: grids are of strategy grids, and strategy is lattice: leave one of them out"),
        ({"cells": {"stride_m": 990}}, "config: cells.stride_m: 990 m is not a multiple of the 20 m pixels that are read; use 980"),
        ({"cells": {"strategy": "grids", "size_m": 1200, "grids": {"offsets_m": [0, 610]}}}, "config: cells.grids.offsets_m: 610 m is not a multiple of the 20 m pixels that are read; use 600"),
        ({"cells": {"strategy": "grids", "size_m": 1200, "grids": {"offsets_m": [1200]}}}, "config: cells: grids.offsets_m: 1200 is not from 0 to below size_m 1200"),
        ({"cells": {"strategy": "grids", "size_m": 1200, "grids": {"offsets_m": [0, 0]}}}, "config: cells: grids.offsets_m: names an offset twice, which would make every cell twice; drop one"),
    ],
)  # fmt: skip
def test_the_message_for_a_slip(changes: dict[str, Any], told: str):
    assert message(edited(**changes)) == told


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2019-07-01T00:00:00Z", "2019-07-01T00:00:00+00:00"), ("2019-07-01", "2019-07-01"),
        ("2019-07-01T02:00:00+02:00", "2019-07-01T02:00:00+02:00"), ("'2019-07-01T00:00:00Z'", "2019-07-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_a_date_needs_no_quotes(written: str, meant: str):
    """YAML reads it as a time."""
    source = yaml.safe_load(f"{{kind: overpass, date: {written}}}")
    config = load_config(edited(labels={"a": {"source": source, "ontology": "x"}}))
    assert config.labels["a"].source.model_dump()["date"] == meant


@pytest.mark.parametrize(
    ("size", "bands", "fit"), [(1910, ["B02"], 1900), (1920, ["B01"], None), (1940, ["B01", "B02"], 1920), (10, ["B02"], 20), (2640, ["B09", "B05"], None)]
)  # fmt: skip
def test_cells_are_whole_pixels_of_all_that_is_read(size: int, bands: list[str], fit: int | None):
    mapping = edited(cells={"size_m": size}, collections={"s2_l2a": {"bands": bands}})
    if fit is None:
        assert load_config(mapping).cells.size_m == size
    else:
        assert f"cells.size_m: {size} m is not a multiple" in message(mapping) and message(mapping).endswith(
            f"use {fit}"
        )


@given(
    st.sampled_from(["month", "quarter", "year"]), st.dates(date(1999, 1, 1), date(2030, 1, 1)), st.integers(0, 1500)
)
def test_a_span_is_cut_into_named_periods_without_gap_or_overlap(every: Any, start: date, days: int):
    end = start + timedelta(days=days)
    periods = Span(every=every, start=start, end=end, scenes=3, order="latest").periods()
    assert periods[0].start == start and periods[-1].end == end
    assert all(two.start - one.end == timedelta(days=1) for one, two in pairwise(periods))
    assert len({period.name for period in periods}) == len(periods)
    longest = {"month": 31, "quarter": 92, "year": 366}[every]
    for period in periods:
        assert (period.end - period.start).days < longest and (period.scenes, period.order) == (3, "latest")
        assert period.start.year == period.end.year == int(period.name[:4])


def test_a_period_overrides_only_what_it_says():
    mapping = edited(
        mask={"max_bad": 0.3, "bad": [0, 3]}, periods=[{**LEAST["periods"][0], "mask": {"min_snow": 0.1, "bad": [8]}}]
    )
    config = load_config(mapping)
    made = limits(config.mask, config.period("a"))
    assert (made.max_bad, made.bad, made.min_snow, made.max_nodata) == (0.3, [8], 0.1, 0.0)


STAGES = ["cells", "search", "mask", "crop", "group", "index"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mask": {"max_bad": 0.1}}, {"crop"}),
        ({"mask": {"bad": [0]}}, {"crop"}),
        ({"mask": {"intensity": {"band": "B02", "percentile": 5, "max_dn": 1000}}}, {"mask", "crop"}),
        ({"collections": {"s2_l2a": {"bands": ["B02", "B03"]}}}, {"crop", "group"}),
        ({"periods": [{**LEAST["periods"][0], "scenes": 1}]}, {"crop"}),
        ({"periods": [{**LEAST["periods"][0], "end": "2019-11-30"}]}, {"search"}),
        ({"periods": [*LEAST["periods"], {"name": "b", "start": "2020-01-01", "end": "2020-12-31"}]}, {"group"}),
        ({"periods": [{**LEAST["periods"][0], "fallback": [{"start": "2018-01-01", "end": "2018-02-01"}]}]}, {"search", "crop"}),
        ({"periods": [{**LEAST["periods"][0], "order": "spread"}]}, {"crop"}),
        ({"mask": {"cloud": [8, 9, 10]}}, {"crop"}),
        ({"mask": {"max_scene_cloud": 0.1}}, {"crop"}),
        ({"cells": {"fraction": 0.5}}, {"cells"}),
        ({"cells": {"size_m": 960}}, {"cells", "index"}),
        ({"split": {"by": "block"}}, {"index"}),
        ({"split": {"audit": {"distance_m": 100}}}, {"index"}),
        ({"accept": {"complete": True, "number": 5}}, {"index"}),
        ({"seed": 1}, {"cells", "crop", "index"}),
        ({"aoi": {"tiles": ["35JQG", "32TQM"]}}, set()),
    ],
)  # fmt: skip
def test_an_edit_is_told_to_the_stages_that_it_concerns_and_no_other(
    changes: dict[str, Any], told: set[str], root: Path
):
    before, after = (DatasetConfig.load(mapping, root) for mapping in (LEAST, edited(**changes)))
    assert {
        stage
        for stage in STAGES
        if before.settings(stage, tile="35JQG", period="a") != after.settings(stage, tile="35JQG", period="a")
    } == told


def test_an_edit_of_the_days_around_a_cells_date_counts_again(root: Path):
    """The others' days are searched; what was counted of other days is of no use."""
    dated = {"cells": {"reference": {"date": "2019-06-01", "shift_days": 30}}}
    around = [{"name": "a", "reference": {"from_days": -5, "to_days": days}} for days in (5, 6)]
    before, after = (DatasetConfig.load(edited(periods=[each], **dated), root) for each in around)
    told = {
        stage
        for stage in STAGES
        if before.settings(stage, tile="35JQG", period="a") != after.settings(stage, tile="35JQG", period="a")
    }
    assert told == {"search", "mask", "crop"}
    searched = parsed(SearchSettings, before.settings("search", tile="35JQG", period="a"))
    assert searched.spans == {"s2_l2a": [(date(2019, 4, 28), date(2019, 6, 6))]}


def test_what_is_new_is_not_told_where_it_says_nothing(root: Path):
    """Or every dataset that there was would be made anew."""
    dataset = DatasetConfig.load(LEAST, root)
    crop, mask, search = (
        json.loads(dataset.settings(stage, tile="35JQG", period="a")) for stage in ("crop", "mask", "search")
    )
    assert sorted(crop) == ["bands", "companions", "limits", "order", "period", "quantities", "scenes", "seed", "tile"]
    assert sorted(crop["limits"]) == [
        "bad", "denominator", "intensity", "max_bad", "max_cloud", "max_nodata", "max_shadow", "max_snow", "min_snow"
    ]  # fmt: skip
    assert sorted(mask) == ["intensity_band", "intensity_percentile", "tile"]
    assert search["spans"] == {"s2_l2a": ["2019-01-01", "2019-12-31"]}


def test_radar_is_searched_around_each_span(root: Path):
    mapping = edited(
        collections={**LEAST["collections"], "s1_grd": {"bands": ["VV"], "pair": {"nearest_days": 2.5}}},
        periods={"seasons": "ssl4eo-s12"},
    )
    dataset = DatasetConfig.load(mapping, root)
    told = parsed(SearchSettings, dataset.settings("search_companions", tile="35JQG", period="spring"))
    assert told.spans == {
        "s1_grd": [(date(2020, 3, 2), date(2020, 4, 7)), (date(2021, 3, 2), date(2021, 4, 7))],
    }
    assert text(parsed(SearchSettings, text(told))) == text(told)


def test_writing_bands_in_another_order_changes_nothing(root: Path):
    one, two = (
        DatasetConfig.load(edited(collections={"s2_l2a": {"bands": bands}}), root).settings(
            "crop", tile="35JQG", period="a"
        )
        for bands in (["B8A", "B02", "B09"], ["B09", "B8A", "B02"])
    )
    assert one == two and parsed(CropSettings, one).bands == {"s2_l2a": ["B02", "B8A", "B09"]}
    assert text(parsed(CropSettings, one)) == one


@pytest.mark.parametrize("document", ["", "{", "[]", '{"tile": "35JQG"}'])
def test_settings_that_are_no_settings_are_one_line(document: str):
    with pytest.raises(TilewrightError, match=r"^--settings: [^\n]*$"):
        parsed(CropSettings, document)


def project_with(folder: Path, **providers: dict[str, Any]) -> Path:
    (folder / "config" / "providers").mkdir(parents=True)
    for name, content in providers.items():
        (folder / "config" / "providers" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


BASE = {
    "kind": "api", "url": "http://127.0.0.1:9", "licence": "l", "attribution": "a",
    "collections": {"s2_l2a": {"id": "s2", "assets": {"B02": "blue", "SCL": "scl"}, "radiometry": "baseline"}},
}  # fmt: skip


def test_providers_build_on_each_other(tmp_path: Path):
    root = project_with(
        tmp_path, base=BASE, middle={"like": "base", "page_size": 7}, top={"like": "middle", "licence": "mine"}
    )
    made = load_providers(load_config(edited(provider="top")), root)["s2_l2a"]
    assert (made.page_size, made.licence, made.url, made.attribution) == (7, "mine", "http://127.0.0.1:9", "a")
    own = load_providers(load_config(edited(provider={"like": "top", "path": "items.json"})), root)["s2_l2a"]
    assert (own.kind, own.url, own.page_size) == ("local", None, 7)


def test_what_the_config_says_of_a_provider_is_merged_into_it(tmp_path: Path):
    mirrored = {**BASE, "access": {"hosts": ["a.example"], "rewrite": {"https://a.example/": "/one/"}}}
    said = {"like": "base", "access": {"rewrite": {"s3://b/": "/two/"}, "hosts": ["c.example"]}}
    made = load_providers(load_config(edited(provider=said)), project_with(tmp_path, base=mirrored))["s2_l2a"].access
    assert made.hosts == ["c.example"]  # a list is replaced
    assert made.rewrite == {"https://a.example/": "/one/", "s3://b/": "/two/"}


RADAR = {"id": "rtc", "assets": {"VV": "vv"}, "radiometry": "power", "mask": "pixels"}


def test_a_collection_may_come_from_another_provider(tmp_path: Path):
    root = project_with(
        tmp_path, base=BASE, other={**BASE, "url": "http://127.0.0.1:10", "collections": {"s1_rtc": RADAR}}
    )
    both = {**LEAST["collections"], "s1_rtc": {"bands": ["VV"], "provider": "other"}}
    made = load_providers(load_config(edited(provider="base", collections=both)), root)
    assert {key: each.url for key, each in made.items()} == {
        "s1_rtc": "http://127.0.0.1:10", "s2_l2a": "http://127.0.0.1:9",
    }  # fmt: skip


GRD = {
    "id": "grd",
    "assets": {"VV": "vv", "VH": "vh"},
    "radiometry": "amplitude",
    "mask": "pixels",
    "calibration": {"VV": "cal"},
}


@pytest.mark.parametrize(
    ("held", "asked", "told"),
    [
        ({}, {}, "collections.s1_grd: not held by the provider; it has s2_l2a; collections.s1_grd.provider names another"),
        ({**GRD, "radiometry": "baseline"}, {}, "`radiometry: baseline`, which is not of this sensor"),
        ({**GRD, "mask": "paired"}, {}, "`mask: paired`; here only `pixels` works"),
        (GRD, {"bands": ["HH"]}, "the provider names no asset for HH"),
        (GRD, {"bands": ["VV", "VH"]}, "sigma0_db needs the calibration of VH, which the provider does not name; use dn"),
        (GRD, {"bands": ["VH"], "quantity": "dn"}, ""),
    ],
)  # fmt: skip
def test_what_a_provider_cannot_give_is_refused(held: dict[str, Any], asked: dict[str, Any], told: str, tmp_path: Path):
    collections = {**BASE["collections"], **({"s1_grd": held} if held else {})}
    root = project_with(tmp_path, base={**BASE, "collections": collections})
    config = load_config(
        edited(provider="base", collections={**LEAST["collections"], "s1_grd": {"bands": ["VV"], **asked}})
    )
    if not told:
        load_providers(config, root)
        return
    with pytest.raises(TilewrightError) as raised:
        load_providers(config, root)
    assert told in str(raised.value)


def test_the_settings_of_a_search_say_nothing_of_how_files_are_opened(tmp_path: Path):
    """A mirror that moves must not ask the catalog again; where files may be is of the search."""
    grd = {**GRD, "calibration": {"VV": "v", "VH": "v"}}
    base = {**BASE, "collections": {**BASE["collections"], "s1_grd": grd}}
    asked = {"s2_l2a": {"bands": ["B02"]}, "s1_grd": {"bands": ["VV"], "pair": {"nearest_days": 1.5}}}

    def settings(**access: Any) -> str:
        said = {**base, "access": {"hosts": ["a.example"], "buckets": {"b": {}}, **access}}
        dataset = DatasetConfig.load(edited(provider=said, collections=asked), tmp_path)
        return dataset.settings("search_companions", tile="35JQG", period="a")

    plain = settings()
    moved = {"rewrite": {"s3://b/": "/mirror/"}, "buckets": {"b": {"region": "eu-central-1", "requester_pays": True}}, "sign": "planetary-computer"}  # fmt: skip
    assert settings(**moved) == plain != settings(hosts=["other.example"])
    spans = yaml.safe_load(plain)["spans"]
    assert spans == {"s1_grd": ["2018-12-30", "2020-01-02"]}  # a companion may be of the days around


def test_providers_in_a_circle_are_refused(tmp_path: Path):
    root = project_with(tmp_path, one={"like": "two"}, two={"like": "one"})
    with pytest.raises(TilewrightError, match="provider: one is like two is like one: a circle"):
        load_providers(load_config(edited(provider="one")), root)


@pytest.mark.parametrize(
    ("provider", "told"), [({**BASE, "url": None}, "url: is needed for kind api"), ({**BASE, "kind": "local"}, "path: is needed for kind local")]
)  # fmt: skip
def test_a_provider_without_a_place(provider: dict[str, Any], told: str, tmp_path: Path):
    with pytest.raises(TilewrightError, match=told):
        load_providers(load_config(edited(provider="mine")), project_with(tmp_path, mine=provider))


SECRET = "holds a password or key, which logs and the report would show"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "http://me:hidden@a.org/stac"}, f"url: {SECRET}"),
        ({"url": "http://hidden@a.org/stac"}, f"url: {SECRET}"),
        ({"url": "http://a.org/stac?lang=${LANG}&key=hidden"}, f"url: {SECRET}"),
        ({"url": "http://a.org/stac?hidden"}, f"url: {SECRET}"),
        ({"url": "a.org/stac"}, "url: is no address: write https://"),
        ({"access": {"rewrite": {"https://a.org/": "https://me:hidden@m.org/"}}}, f"access.rewrite: {SECRET}"),
        ({"access": {"rewrite": {"https://a.org/": "https://m.org/?sig=hidden"}}}, "access.rewrite: what stands for https://a.org/ has a query"),
        ({"access": {"rewrite": {"": "/mirror"}}}, "access.rewrite: an empty prefix"),
        ({"access": {"hosts": ["https://hidden@a.org/x?hidden"]}}, "access.hosts: 'a.org/x' is no host: write it as"),
        ({"access": {"hosts": ["*.a.org"]}}, "access.hosts: '*.a.org' is no host"),
        ({"access": {"hosts": ["ftp://a.org"]}}, "access.hosts: 'ftp://a.org' is no host"),
        ({"access": {"buckets": {"b": {"endpoint": "a.org"}}}}, "access.buckets.b: endpoint: is no address"),
        ({"access": {"buckets": {"b": {"endpoint": "https://hidden@a.org"}}}}, "access.buckets.b: endpoint: can hold no user or key"),
        ({"access": {"buckets": {"b": {"unsigned": True, "requester_pays": True}}}}, "access.buckets.b: unsigned and requester_pays"),
        ({"filter": {"by": "query", "values": ["MGRS-{grid}"]}}, "collections.s2_l2a.filter.values: 'MGRS-{grid}' spells no tile: write {tile}"),
        ({"filter": {"by": "query", "values": ["MGRS"]}}, "collections.s2_l2a.filter.values: 'MGRS' spells no tile"),
        ({"filter": {"by": "cql2", "values": ["MGRS-{tile"]}}, "collections.s2_l2a.filter.values: 'MGRS-{tile' spells no tile"),
        ({"assets": {"B99": "b"}}, "collections.s2_l2a.assets.B99: no band of it; use B01"),
        ({"assets": {"B03": "blue"}}, "collections.s2_l2a.assets: blue cannot be B02 and B03"),
    ],
)  # fmt: skip
def test_a_provider_that_makes_no_sense(changes: dict[str, Any], told: str, tmp_path: Path):
    held = {name: changes.pop(name) for name in ("filter", "assets") if name in changes}
    said = {"like": "base", **changes, "collections": {"s2_l2a": held}}
    with pytest.raises(TilewrightError) as raised:
        load_providers(load_config(edited(provider=said)), project_with(tmp_path, base=BASE))
    assert f"provider base: {told}" in str(raised.value) and "hidden" not in str(raised.value)


def test_passwords_and_keys_are_variables_of_the_environment(tmp_path: Path):
    said = {
        "like": "base", "url": "https://me:${API_PASSWORD}@a.org/stac?key=${API_KEY}",
        "access": {"hosts": ["a.org", "http://[::1]:80"], "rewrite": {"s3://a/": "https://${USER}@m.org/", "s3://b/": "../a#b?"}},
    }  # fmt: skip
    made = load_providers(load_config(edited(provider=said)), project_with(tmp_path, base=BASE))["s2_l2a"]
    assert made.url == said["url"] and made.access.rewrite == said["access"]["rewrite"]


def test_an_ontology_is_a_name_or_a_path(root: Path, tmp_path: Path):
    assert ontology_path("opensentinelmap", root).resolve() == root / "config" / "ontologies" / "opensentinelmap.yaml"
    (tmp_path / "mine.yaml").write_text("a: 1")
    assert ontology_path(str(tmp_path / "mine.yaml"), root) == tmp_path / "mine.yaml"
    with pytest.raises(
        TilewrightError, match=r"^labels.osm.ontology: '/no/such' is neither a file nor one of opensentinelmap"
    ):
        ontology_path("/no/such", root, "labels.osm.ontology")


@pytest.mark.parametrize(
    ("name", "safe"),
    [("S2A_32TQM_20190204_0_L2A", True), ("a.SAFE", True), ("../a", False), ("a/b", False), (".a", False), ("a..b", False), ("", False), ("a b", False), ("a\n", False)],
)  # fmt: skip
def test_names_that_may_become_paths(name: str, safe: bool):
    assert path_safe(name) is safe
