"""Splits by year: from the zone's files to the loader's samples, companions with their dates, and the audit of time."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting import COMPANIONS, SIZE, Page, build, page_of
from splitting import asked, cells
from tilewright.config.settings import IndexSettings
from tilewright.config.splits import Split
from tilewright.errors import TilewrightError
from tilewright.loader import Dataset, SampleOptions, SampleReader
from tilewright.splits import SplitOutcome, audit, split
from tilewright.stages.index import make_index
from tilewright.store import read_table

YEARS = {"train": [2019], "test": [2020]}


def index(folder: Path, **split_: Any) -> None:
    settings = IndexSettings(dataset="small", seed=1, size_m=SIZE, split=Split(by="year", **split_))
    make_index([folder / "zones" / "32N.parquet"], settings, *(folder / name for name in ("index.parquet", "statistics.json", "collection.json")))  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Cells with two dates in 2019 and one in 2020, the first cell with none; radar beside the first and the last date."""
    folder = build(tmp_path_factory.mktemp("years"), root, companions=COMPANIONS, labels=None)
    index(folder, years=YEARS)
    return folder


def test_the_index_counts_the_dates_of_each_split(built: Path):
    rows = read_table(built / "index.parquet")
    assert set(rows["split"]) == {"by_year"} and rows["accepted"].all()
    assert rows["split_dates_train"].tolist() == [0] + [2] * 13 and rows["split_dates_test"].tolist() == [0] + [1] * 13
    assert rows["s1_grd_split_dates_train"].tolist() == rows["s1_grd_split_dates_test"].tolist() == [0] + [1] * 13
    assert rows["s2_l1c_split_dates_train"].tolist() == [0] + [2] * 13 and not rows["s2_l1c_split_dates_test"].any()
    assert rows["split_dates_test"].dtype == np.int32 and not [
        name for name in rows if name.startswith(("days:", "sums:"))
    ]
    known = json.loads((built / "statistics.json").read_text())
    assert known["splits"] == {"train": {"cells": 13, "patches": 26}, "val": {"cells": 0, "patches": 0}, "test": {"cells": 13, "patches": 13}}  # fmt: skip
    assert known["split"]["years"] == YEARS and known["split"]["audit"]["pairs"] == 0
    text = Page(page_of(built)).text
    assert "Made: by year" in text and "2019 13" in text and "no two splits share a day of one ground" in text


def test_a_sample_has_its_splits_dates_only(built: Path):
    dataset = Dataset(built)
    assert (dataset.years("train"), dataset.years("test"), dataset.years(None)) == ([2019], [2020], None)
    assert len(dataset.split("train")) == 13 and set(dataset.split("test")["split"]) == {"test"}
    for name, wanted in (("train", ["2019-03-04", "2019-05-06"]), ("test", ["2020-07-08"])):
        reader = SampleReader(built, SampleOptions(), split=name)
        sample = reader.sample(2)
        assert sample["time"].astype("datetime64[us]").astype("datetime64[D]").astype(str).tolist() == wanted
        assert sample["cell"]["split"] == name and sample["image"]["r10m"].shape[0] == len(wanted)
    assert len(SampleReader(built, SampleOptions()).sample(0)["time"]) == 3, "without a split all dates"


def test_companions_go_with_their_dates(built: Path):
    both = {"s2_l2a": ["B02"], "s1_grd": None}
    sample = SampleReader(built, SampleOptions(collections=both), split="test").sample(1)
    assert sample["present"]["s1_grd"].tolist() == [True]
    radar = SampleReader(built, SampleOptions(collection="s1_grd"), split="test")
    assert len(radar) == 13 and radar.sample(0)["time"].astype("datetime64[us]").astype("datetime64[D]").astype(str).tolist() == ["2020-07-08"]  # fmt: skip
    complete = SampleReader(built, SampleOptions(collections=both, complete=True), split="train")
    assert complete.sample(0)["time"]["s2_l2a"].astype("datetime64[us]").astype("datetime64[D]").astype(str).tolist() == ["2019-03-04"]  # fmt: skip
    with pytest.raises(TilewrightError, match="none of 13 cells has 1 dates"):
        SampleReader(built, SampleOptions(collection="s2_l1c"), split="test")


def test_pairs_of_seasons_are_of_the_splits_own_dates(built: Path):
    pairs = SampleReader(built, SampleOptions(sampling="season_pair", season="date"), split="train")
    assert len(pairs) == 13 and set(pairs.dates(0).tolist()) == {0, 1}
    with pytest.raises(TilewrightError, match="none of 13 cells has 2 dates"):
        SampleReader(built, SampleOptions(sampling="season_pair"), split="test")


def test_an_unknown_split_and_an_index_that_says_no_years(built: Path, tmp_path: Path):
    with pytest.raises(TilewrightError, match=r"no split 'val' in this dataset; it has train, test"):
        Dataset(built).split("val")
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    read_table(built / "index.parquet").to_parquet(copy / "index.parquet")
    with pytest.raises(TilewrightError, match="does not say which years are of 'train'"):
        SampleReader(copy, SampleOptions(), split="train")


def test_years_without_any_date_are_an_error(built: Path):
    before = (built / "index.parquet").read_bytes()
    with pytest.raises(
        TilewrightError, match=r"split\.years\.val: no accepted cell has a date in 2018; dates are of 2019, 2020"
    ):
        index(built, years={"train": [2019, 2020], "val": [2018]})
    assert (built / "index.parquet").read_bytes() == before


def dated(days: list[list[str]], pairs: list[list[tuple[str, str]]] | None = None, step: int = 1200) -> pd.DataFrame:
    """Cells side by side with these dates; `pairs`: radar's day and the day of the date that it belongs to."""
    rows = cells(32632, 500_000 + step * np.arange(len(days)), 5_000_000, 1200)
    numbers = [np.array(each, "datetime64[D]").astype(int) for each in days]
    rows["days:s2_l2a"] = pd.Series(numbers, dtype=object)
    for name, place in (("days:s1_grd", 0), ("days:s1_grd:primary", 1)):
        of = [
            np.array([pair[place] for pair in each], "datetime64[D]").astype(int) for each in pairs or [[]] * len(days)
        ]
        rows[name] = pd.Series(of, dtype=object)
    return rows


def leaks(rows: pd.DataFrame, gap: int = 0, mode: str = "report") -> dict[str, Any]:
    settings = asked(1200, by="year", years={"train": [2019], "val": [2020]}, audit={"gap_days": gap, "mode": mode})
    names, outcome = split(rows, settings)
    return audit(rows, names, settings, outcome, ["s2_l2a", "s1_grd"])


def test_a_radar_scene_that_serves_two_years_is_a_leak():
    """Years part the primary's dates, but one scene of New Year's Day may be the companion of a date on either side."""
    new_year = [[("2019-12-31", "2019-12-31"), ("2019-12-31", "2020-01-02")]]
    rows = dated([["2019-12-31", "2020-01-02"]], new_year)
    found = leaks(rows)
    assert found["pairs"] == 4 - 2 and found["by_splits"] == {"train/val": 2}
    assert found["example"]["days"] == ["2019-12-31", "2019-12-31"] and "s1_grd" in found["example"]["collections"]
    with pytest.raises(
        TilewrightError,
        match=r"2 pairs of dates of one ground are in two splits .*c000000 in train and c000000 in val.*gap_days",
    ):
        leaks(rows, mode="fail")
    assert leaks(dated([["2019-12-31", "2020-01-02"]]))["pairs"] == 0


def test_a_gap_is_asked_for_on_one_ground_and_on_ground_that_overlaps():
    rows = dated([["2019-12-20"], ["2020-01-05"], ["2020-01-04"]])
    assert leaks(rows, 30)["pairs"] == 0, "cells that touch are different ground"
    near = dated([["2019-12-20"], ["2020-01-05"], ["2020-01-04"]], step=600)
    assert leaks(near, 15)["pairs"] == 0 and leaks(near, 16)["pairs"] == 1, "the third touches the first"
    assert leaks(near, 16)["example"]["cells"] == ["c000000", "c000001"]
    assert leaks(dated([["2019-12-20", "2020-01-05"]]), 16)["pairs"] == 1


@given(st.lists(st.lists(st.integers(-40, 40), min_size=1, max_size=5, unique=True), min_size=1, max_size=5), st.integers(0, 30))  # fmt: skip
def test_leaks_of_time_are_those_counted_by_hand(days: list[list[int]], gap: int):
    start = np.datetime64("2020-01-01")
    rows = dated([[str(start + day) for day in sorted(each)] for each in days], step=800)
    expected = sum(
        1
        for one, mine in enumerate(days)
        for other, theirs in enumerate(days)
        if abs(one - other) <= 1
        for here in mine
        for there in theirs
        if here < 0 <= there and there - here <= gap
    )
    settings = asked(1200, by="year", years={"train": [2019], "val": [2020]}, audit={"gap_days": gap, "mode": "report"})
    outcome = SplitOutcome("year", years={"train": [2019], "val": [2020]})
    found = audit(rows, np.full(len(rows), "by_year", object), settings, outcome, ["s2_l2a"])
    assert found["pairs"] == expected
