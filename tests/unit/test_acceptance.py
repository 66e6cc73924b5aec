"""Acceptance: which cells are of the dataset, and what the index, the statistics, the loader and the report make of it."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting import COMPANIONS, SIZE, Page, build, page_of
from tilewright.acceptance import accept
from tilewright.config.acceptance import Accept
from tilewright.config.load import load_config
from tilewright.config.settings import IndexSettings
from tilewright.config.splits import Split
from tilewright.errors import TilewrightError
from tilewright.loader import Dataset, SampleOptions, SampleReader
from tilewright.stages.index import make_index
from tilewright.store import read_table

FOUND = {"scenes": 7, "refused_scenes": {}, "refusals": {"bad": 5, "cloud": 40, "nodata": 12, "snow": 1}}


def rows(dates: dict[str, Any], sample: Any = -1) -> pd.DataFrame:
    table = pd.DataFrame({f"dates_{name}": of for name, of in dates.items() if "_" not in name})
    for name, of in dates.items():
        if "_" in name:
            table[f"s1_grd_dates_{name.removeprefix('s1_')}"] = of
    table["cell_id"] = [f"c{at}" for at in range(len(table))]
    table["sample"] = sample
    return table


def judged(table: pd.DataFrame, companions: tuple[str, ...] = (), seed: int = 1, **rule: Any) -> Any:
    names = sorted(name.removeprefix("dates_") for name in table if name.startswith("dates_"))
    return accept(table, Accept(**rule), seed, dict.fromkeys(names, FOUND), companions)


def test_complete_cells_have_a_date_in_each_period_with_all_companions():
    table = rows({"a": [1, 2, 0, 1], "b": [1, 1, 1, 1], "s1_a": [1, 1, 0, 1], "s1_b": [1, 1, 1, 0]})
    made = judged(table, ("s1_grd",), complete=True)
    assert made.complete.tolist() == made.accepted.tolist() == [True, False, False, False]
    assert made.figures == {
        "complete": 1, "accepted": 1, "lacking": {"a": 1, "s1_grd in a": 1, "s1_grd in b": 1}, "beyond_number": 0,
    }  # fmt: skip
    assert judged(table, ("s1_grd",), complete=True, periods=["b"]).accepted.tolist() == [True, True, True, False]
    loose = judged(table, ("s1_grd",), periods=["b"])
    assert loose.accepted.all() and loose.complete.tolist() == [True, True, True, False], "told, not asked for"


def test_the_first_so_many_in_the_order_of_the_samples_are_taken_and_the_next_takes_a_dropped_ones_place():
    table = rows({"a": [1, 0, 1, 1, 1]}, sample=[40, 10, 30, 20, 50])
    made = judged(table, complete=True, number=2)
    assert made.accepted.tolist() == [False, False, True, True, False] and made.rank.tolist() == [-1, -1, 1, 0, -1]
    assert made.figures["beyond_number"] == 2
    assert judged(table, number=2).rank.tolist() == [-1, 0, -1, 1, -1]


@given(st.integers(1, 30), st.integers(0, 5), st.integers(1, 40), st.data())
def test_the_draw_of_two_cells_depends_on_nothing_else(count: int, seed: int, number: int, data: Any):
    table = rows({"a": data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))})
    table.loc[0, "dates_a"] = 1
    made = judged(table, seed=seed, complete=True, number=number)
    ranked = table["cell_id"].to_numpy()[np.argsort(made.rank, kind="stable")][(made.rank < 0).sum() :]
    assert len(ranked) == min(number, int((table["dates_a"] > 0).sum())) == made.accepted.sum()
    part = data.draw(st.lists(st.booleans(), min_size=count, max_size=count).map(lambda kept: [True, *kept[1:]]))
    fewer = table[part].sample(frac=1, random_state=seed)
    again = judged(fewer, seed=seed, complete=True, number=count)
    order = fewer["cell_id"].to_numpy()[np.argsort(again.rank, kind="stable")][(again.rank < 0).sum() :]
    assert [name for name in order if name in set(ranked)] == [name for name in ranked if name in set(order)]


def test_fewer_than_asked_for_is_told(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        judged(rows({"a": [1, 0]}), complete=True, number=5)
    assert "accept.number: 5 cells were asked for, and 1 are complete" in caplog.text


def test_a_period_without_a_valid_scene_anywhere_is_one_clear_error(caplog: pytest.LogCaptureFixture):
    table = rows({"spring": [1, 1], "winter": [0, 0]})
    with pytest.raises(
        TilewrightError,
        match=r"accept\.complete: period winter: no cell has any valid scene: 7 scenes were found; refused by \(scene, cell\), commonest first: cloud 40, nodata 12, bad 5: loosen",
    ):
        judged(table, complete=True)
    assert judged(table, complete=True, periods=["spring"]).accepted.all()
    assert "period winter: no cell has any valid scene" in caplog.text, "where it is not asked for it is told"
    nothing = {"spring": FOUND, "winter": {**FOUND, "scenes": 0}}
    with pytest.raises(
        TilewrightError, match=r"period winter: no cell has any valid scene: the search found no scene at all"
    ):
        accept(table, Accept(complete=True), 1, nothing, ())


def test_no_complete_cell_is_an_error_with_what_most_lack():
    with pytest.raises(TilewrightError, match=r"none of 3 cells has a date in each period .*\(2 lack b, 1 lack a\)"):
        judged(rows({"a": [0, 1, 1], "b": [1, 0, 0]}), complete=True)


CONFIG = {
    "dataset": "d", "aoi": {"tiles": ["32TNT"]}, "provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02"]}},
    "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accept": {"complete": True, "periods": ["b"]}}, "accept.periods: 'b' is no period; there are a"),
        ({"accept": {"periods": ["a", "a"]}}, "periods: names a period twice"),
        ({"accept": {"number": 0}}, "accept.number"),
        ({"attributes": {"path": "x.gpkg", "columns": []}}, "attributes.columns"),
        ({"split": {"by": "year"}}, "split: years: is missing; `by: year` needs it"),
        ({"split": {"by": "year", "years": {"train": [2019], "test": [2019]}}}, "split.years: 2019 stands twice"),
        ({"split": {"years": {"train": [2019]}}}, "split: years: is of `by: year`, and by is tile"),
        ({"split": {"by": "column"}}, "split: column: is missing"),
        ({"split": {"by": "column", "column": {"name": "x", "train": ["a"], "val": ["a"]}}}, "'a' stands twice"),
        ({"split": {"by": "stratified"}}, "split.label_set: say whose classes are the strata; label sets with classes: none"),
        ({"split": {"by": "stratified", "label_set": "clc"}}, "split.label_set: 'clc' is no label set with classes; there are none"),
        ({"split": {"by": "block", "unit": "block"}}, "split: unit: is of `by: stratified`"),
        ({"split": {"by": "year", "years": {"train": [2019]}, "buffer_m": 5}}, "split: buffer_m: is of"),
        ({"split": {"audit": {"gap_days": 3}}}, "audit.gap_days: is of `by: year`"),
        ({"split": {"by": "year", "years": {"train": [2019]}, "audit": {"distance_m": 3}}}, "audit.distance_m: splits by year have the same ground"),
    ],
)  # fmt: skip
def test_contradictions_are_told_before_anything_runs(changes: dict[str, Any], words: str):
    with pytest.raises(TilewrightError) as caught:
        load_config({**CONFIG, **changes})
    assert words in str(caught.value)


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """14 cells, of which one has no imagery, and the first 10 of the others are taken."""
    folder = build(tmp_path_factory.mktemp("accepted"), root, companions=COMPANIONS)
    settings = IndexSettings(
        dataset="small", seed=1, size_m=SIZE, split=Split(block_m=480),
        accept=Accept(complete=True, periods=["early", "late"], number=10),
    )  # fmt: skip
    with pytest.raises(
        TilewrightError,
        match=r"accept\.complete: none of 14 cells has a date in each period with all its companions",
    ):
        make_index([folder / "zones" / "32N.parquet"], settings, *(folder / name for name in ("index.parquet", "statistics.json", "collection.json")))  # fmt: skip
    folder = build(tmp_path_factory.mktemp("accepted"), root)
    make_index([folder / "zones" / "32N.parquet"], settings, *(folder / name for name in ("index.parquet", "statistics.json", "collection.json")))  # fmt: skip
    return folder


def test_the_index_keeps_all_cells_and_splits_the_accepted(accepted: Path):
    index = read_table(accepted / "index.parquet")
    assert len(index) == 14 and index["accepted"].sum() == 10 and index["complete"].sum() == 13
    assert index["dates_early"].tolist() == [0] + [2] * 13 and index["dates_late"].tolist() == [0] + [1] * 13
    assert sorted(index["accepted_rank"]) == [-1] * 4 + list(range(10))
    assert ((index["split"] == "") == ~index["accepted"]).all()
    assert (index["sample"] == -1).all() and (index["grid"] >= 0).all() and index["sample_id"].isna().all()
    known = json.loads((accepted / "statistics.json").read_text())
    assert (known["cells"]["index"], known["cells"]["total"], known["cells"]["with_imagery"]) == (14, 10, 10)
    assert known["patches"] == 30 == sum(each["patches"] for each in known["splits"].values())
    assert sum(known["cells"]["by_split"].values()) == 10 and known["labels"]["osm"]["cells"] <= 10
    assert known["accept"] == {
        "complete_asked": True, "periods": ["early", "late"], "number": 10, "complete": 13, "accepted": 10, "lacking": {"early": 1, "late": 1},
        "beyond_number": 3,
    }  # fmt: skip
    assert known["bands_over"] == "the split train"


def test_the_loader_takes_accepted_cells(accepted: Path):
    dataset = Dataset(accepted)
    assert len(dataset) == 14 and len(SampleReader(accepted, SampleOptions(labels=[]))) == 10
    kept = dataset.index[dataset.index["accepted"]]
    assert sum(len(dataset.split(name)) for name in set(kept["split"])) == 10
    with pytest.raises(TilewrightError, match=r"no split '' in this dataset; it has test, train, val"):
        dataset.split("")
    others = dataset.index[~dataset.index["accepted"] & (dataset.index["dates"] > 0)]
    assert len(SampleReader(accepted, SampleOptions(labels=[]), rows=others)) == 3, "by name any cell is read"


def test_the_report_tells_it(accepted: Path):
    page = Page(page_of(accepted))
    assert (
        "Of 14 cells 13 are complete: they have a date in early, late, with all its companions. Cells of the dataset: 10."
        in page.text
    )
    assert "Cells that lack a period or a companion (one cell may lack several): early 1, late 1." in page.text
    assert "Beyond the number asked for, in the order of the draw: 3." in page.text
    assert "Audit: no two splits share ground." in page.text and "10 cells" in page.text
