"""Splits by a column of the index or of a table of one's own."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from splitting import SIZE_M, asked, squares
from tilewright.errors import TilewrightError
from tilewright.splits import audit, split


def rows() -> pd.DataFrame:
    return squares(1, side=3).assign(
        region=["a", "b", "c"] * 3, code=pd.array([1, 2, None] * 3, "Int64"), sample_label=["train", "val", "test"] * 3,
        sample_id=[f"s{at}" for at in range(9)],
    )  # fmt: skip


def by(column: dict[str, Any], **more: Any) -> Any:
    return asked(SIZE_M, by="column", column=column, **more)


def test_values_mean_splits_and_others_are_counted():
    names, outcome = split(rows(), by({"name": "region", "train": ["a"], "test": ["b"]}))
    assert names.tolist() == ["train", "test", ""] * 3
    assert (outcome.by, outcome.unmapped) == ("column", {"c": 3})
    names, outcome = split(rows(), by({"name": "code", "train": [1], "val": ["2"]}))
    assert names.tolist() == ["train", "val", ""] * 3 and outcome.unmapped == {"(no value)": 3}


def test_splits_own_names_need_no_values():
    names, outcome = split(rows(), by({"name": "sample_label"}))
    assert names.tolist() == ["train", "val", "test"] * 3 and not outcome.unmapped
    with pytest.raises(
        TilewrightError, match=r"region has the value 'a' \(3 cells\), which is none of train, val, test"
    ):
        split(rows(), by({"name": "region"}))


def test_a_table_of_ones_own(tmp_path: Path):
    table = pd.DataFrame({"id": [f"s{at}" for at in range(8)], "fold": [0, 1, 2, 0, 1, 2, 0, 1], "other": 1})
    for name in ("own.csv", "own.parquet"):
        path = tmp_path / name
        table.to_csv(path, index=False) if name.endswith("csv") else table.to_parquet(path)
        column = {
            "name": "fold",
            "train": [0],
            "val": [1],
            "test": [2],
            "file": {"path": str(path), "id": "id", "of": "sample_id"},
        }
        names, outcome = split(rows(), by(column))
        assert names.tolist() == ["train", "val", "test"] * 2 + ["train", "val", ""] and outcome.unmapped == {
            "(no value)": 1
        }
    pd.concat([table, table.tail(1).assign(fold=2)]).to_csv(path := tmp_path / "twice.csv", index=False)
    faults = {
        str(path): "says two things of id s7",
        str(tmp_path / "none.csv"): "cannot be read",
    }
    for file, words in faults.items():
        with pytest.raises(TilewrightError, match=words):
            split(rows(), by({**column, "file": {**column["file"], "path": file}}))
    with pytest.raises(
        TilewrightError, match=r"split\.column\.file\.id: .* has no column 'ids'; it has id, fold, other"
    ):
        split(rows(), by({**column, "file": {**column["file"], "path": str(tmp_path / "own.csv"), "id": "ids"}}))


def test_ids_of_a_table_are_read_as_they_are_written(tmp_path: Path):
    """Numbers with zeros before them are names, and so is NA."""
    cells = rows().assign(sample_id=["007", "012", "103", "NA", *map(str, range(5))])
    (tmp_path / "own.csv").write_text("id,fold\n007,2018\n012,\n103,2019\nNA,2018\n7,2019\n")
    file = {"path": str(tmp_path / "own.csv"), "id": "id", "of": "sample_id"}
    names, outcome = split(cells, by({"name": "fold", "train": [2018], "val": [2019], "file": file}))
    assert names.tolist() == ["train", "", "val", "train", *[""] * 5] and outcome.unmapped == {"(no value)": 6}


def test_faults_are_told():
    with pytest.raises(TilewrightError, match=r"split\.column\.name: the index has no column 'regio'; it has .*region"):
        split(rows(), by({"name": "regio", "train": ["a"]}))
    with pytest.raises(TilewrightError, match=r"no cell's region means a split; its values are 'a', 'b', 'c'"):
        split(rows(), by({"name": "region", "train": ["x"]}))


def test_ground_that_two_values_share_fails_and_a_buffer_mends_it():
    table = squares(1, side=4, step_m=960).assign(half=["w", "w", "e", "e"] * 4)
    column = {"name": "half", "train": ["w"], "test": ["e"]}
    names, outcome = split(table, by(column))
    with pytest.raises(TilewrightError, match=r"set split\.buffer_m: 0"):
        audit(table, names, by(column), outcome, [])
    names, outcome = split(table, by(column, buffer_m=0))
    assert names.tolist() == ["train", "", "test", "test"] * 4 and outcome.dropped == {"train": 4}
    assert audit(table, names, by(column, buffer_m=0), outcome, [])["pairs"] == 0
