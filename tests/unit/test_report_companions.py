"""The report of a dataset with companions: their pictures stand under the dates that they are paired with, and their figures too."""

import json
from pathlib import Path

import numpy as np
import pytest

from reporting import COMPANIONS, PAIRED, Page, build, page_of, pixels_of, plane
from tilewright.loader import Dataset
from tilewright.report.companions import shown_of
from tilewright.report.facts import read_facts
from tilewright.report.samples import make_samples
from tilewright.store import read_table, table_metadata
from tilewright.store.patches import groups_of


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    return build(tmp_path_factory.mktemp("paired"), root, companions=COMPANIONS)


@pytest.fixture(scope="module")
def page(paired: Path) -> Page:
    text = page_of(paired)
    assert page_of(paired, name="second.html") == text
    return Page(text)


def test_index_and_zone_gather_each_collection(paired: Path):
    index = read_table(paired / "index.parquet")
    assert index["dates"].tolist() == [0] + [3] * 13
    assert index["s1_grd_dates"].dtype == index["s2_l1c_dates"].dtype == np.int32
    assert index["s1_grd_dates"].tolist() == index["s2_l1c_dates"].tolist() == [0] + [2] * 13
    about = table_metadata(paired / "index.parquet")
    assert {name: each["quantity"] for name, each in about["collections"].items()} == {"s1_grd": "sigma0_db", "s2_l1c": "dn", "s2_l2a": "dn"}  # fmt: skip
    assert {name: each["provider"] for name, each in about["collections"].items()} == {"s1_grd": "there", "s2_l1c": "there", "s2_l2a": "here"}  # fmt: skip
    assert about["tiles"] == ["32TNT"] and about["periods"] == ["early", "late"]
    dataset = Dataset(paired)
    assert dataset.collections == ("s2_l2a", "s2_l1c", "s1_grd")
    cell = index["cell_id"][1]
    assert dataset.series(cell, "s1_grd").primary.tolist() == [0, 2]
    assert dataset.series(cell, "s2_l1c").primary.tolist() == [0, 1]
    assert "Us" in json.loads((paired / "collection.json").read_text())["description"]


def test_statistics_of_each_collection(paired: Path):
    known = json.loads((paired / "statistics.json").read_text())
    assert known["companions"] == {name: {"patches": 26, "cells": 13, "missing": 13} for name in ("s1_grd", "s2_l1c")}
    train = int((read_table(paired / "index.parquet").query("dates > 0")["split"] == "train").sum())
    for collection, bands in COMPANIONS.items():
        for group in groups_of(collection, bands):
            for band in group.bands:
                pixels = plane(collection, group, band).astype(float)
                seen = pixels[~np.isnan(pixels)]
                told = known["bands_train"][f"{collection}_{band}"]
                assert told["pixels"] == 2 * train * seen.size
                assert told["mean"] == pytest.approx(seen.mean()) and told["std"] == pytest.approx(seen.std(), rel=1e-4)
                assert told["unit"] == ("dB" if collection == "s1_grd" else "DN")
    assert known["bands_train"]["s2_l2a_B02"]["unit"] == "DN"
    early, late = known["periods"]["early"], known["periods"]["late"]
    assert early["companions"]["s1_grd"]["missing"] == 13 and late["companions"]["s1_grd"]["missing"] == 0
    assert late["companions"]["s2_l1c"]["missing"] == 13
    assert early["companions"]["s1_grd"]["refusals"] == {"nodata": 2}
    for part in (early, *early["companions"].values()):
        assert part["superseded"] == 1 and part["refused_scenes"] == {"offset unresolved": 1}
        assert part["decisions"]["its pixels do not tell"] == "refused"
    assert early["companions"]["s1_grd"]["radiometry"] == {"its pixels do not tell": 1, "s1_grd is so": 2}
    assert early["companions"]["s1_grd"]["patches_by_month"] == {"2019-03": 13}


def test_pictures_stand_under_their_dates(paired: Path):
    facts = read_facts(paired)
    samples = make_samples(facts)
    dates = [each[:10] for each in PAIRED]
    seen = 0
    for row in samples.rows:
        if facts.index.loc[row.cell_id, "dates"] == 0:
            assert row.companions == []
            continue
        # a date, and the period that chose it
        periods = ["early", "early", "late"]
        assert [frame.title for frame in row.frames[:3]] == [
            f"{day}, {of}" for day, of in zip(dates, periods, strict=True)
        ]
        optical, radar = sorted(row.companions, key=lambda strip: strip[0].title != "s2_l1c")
        assert [bool(frame.image) for frame in radar] == [True, False, True]
        assert [frame.note for frame in radar] == ["−1.2 days, descending", "no s1_grd for 2019-05-06", "+12 hours, ascending"]  # fmt: skip
        assert [bool(frame.image) for frame in optical] == [True, True, False]
        assert [frame.note for frame in optical] == ["same time", "same time", "no s2_l1c for 2020-07-08"]
        drawn = pixels_of(radar[0])
        hole = np.isnan(plane("s1_grd", groups_of("s1_grd", ["VV", "VH"])[0], "VV"))
        assert hole.any() and ((drawn[..., 3] == 0) == hole).all()
        red, green = drawn[..., 0], drawn[..., 1]
        assert red[-1].mean() > red[6].mean() and green[-1].mean() > green[6].mean()
        seen += 1
    assert seen > 5
    shown = shown_of(facts, "s1_grd"), shown_of(facts, "s2_l1c")
    assert [each.bands for each in shown if each] == [("VV", "VH"), ("B04", "B03", "B02")]
    assert "s1_grd in false colour, dB: red VV −9" in samples.caption and "blue VV − VH 6.0 to 6.0" in samples.caption


def test_the_page_tells_of_each_collection(paired: Path, page: Page):
    known = json.loads((paired / "statistics.json").read_text())
    for words in (
        "39 patches", "26 of s1_grd", "26 of s2_l1c", "Paired with it s1_grd from there: VV, VH at 10 m (sigma nought on the ellipsoid, dB)",
        "s1_grd for 13 dates of cells", "early s1_grd 3 1 13 13 nodata: 2", "late s2_l1c 2 0 0 13 nodata: 2",
        "s1_grd as it is s1_grd is so", "s1_grd refused its pixels do not tell 2", "s1_grd 6 2 0 offset unresolved: 2",
        "Imagery: s2_l2a", "Imagery: s2_l1c, s1_grd", "Provider there", "Earth Engine's COPERNICUS/S1_GRD", "Bands of s1_grd: mean",
        "Bands of s2_l1c that were not asked for: B01", "Imagery other than s2_l2a, s2_l1c and s1_grd",
    ):  # fmt: skip
        assert words in page.text, words
    assert "Bands of s1_grd that were not asked for" not in page.text
    assert f" {known['bands_train']['s1_grd_VV']['mean']:,.1f} " in page.text
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_one_polarisation_is_grey_and_a_dataset_without_any_companion_has_a_page(tmp_path: Path, root: Path):
    grey = build(tmp_path / "grey", root, companions={"s1_grd": ["VH"]}, labels=None)
    samples = make_samples(read_facts(grey))
    assert "s1_grd: VH in grey" in samples.caption
    drawn = pixels_of(samples.rows[0].companions[0][0])
    assert (drawn[..., 0] == drawn[..., 2]).all()
    none = build(tmp_path / "none", root, companions={"s1_grd": ["VV"]}, labels=None, blank=14)
    text = Page(page_of(none)).text
    assert "0 of s1_grd" in text and "there is no patch" in text
    alone = build(tmp_path / "alone", root, companions={"s2_l1c": ["B10"]}, labels=None, days=["2020-07-08T10:00:00"])
    text = Page(page_of(alone)).text
    assert "s2_l1c: no date shown has any" in text and "0 of s2_l1c" in text
    cell = Dataset(alone).index.index[-1]
    assert len(Dataset(alone).series(cell, "s2_l1c").time) == 0
    assert Dataset(alone)[cell]["s2_l1c"].sizes["time"] == 0
