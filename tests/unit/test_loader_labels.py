"""Every kind of label array through the loader: layers, parcels' and regions' arrays, yearly sets joined to dates."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handmade
import labelsets
from labelsets import ABOUT, CELLS, SIDE, arrays_of
from tilewright.errors import TilewrightError
from tilewright.loader import Dataset
from tilewright.loader.labels import LabelPart, families, joined, label_parts
from tilewright.loader.resample import nearest
from tilewright.loader.sample import SampleOptions, SampleReader
from tilewright.store import read_table

YEARS = (2020, 2021)
PARCEL_ARRAYS = ("instance", "parcel_coverage", "distance", "claims", "claims_same", "targets")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelsets.write_dataset(tmp_path_factory.mktemp("labels"))


def reader(folder: Path, **options: Any) -> SampleReader:
    return SampleReader(folder, SampleOptions(**options))


def test_a_cell_has_all_arrays_of_its_sets_lazily(folder: Path):
    dataset = Dataset(folder)
    assert dataset.label_sets == tuple(ABOUT)
    for tile in range(2):
        for name in ABOUT:
            written = arrays_of(tile, name)
            for cell in range(CELLS):
                group = dataset[handmade.cell_id(tile, cell)][f"labels/{name}"].to_dataset()
                assert set(written) <= set(group.data_vars)
                assert "cell" not in group.dims
                for each, array in written.items():
                    assert not group[each].variable._in_memory
                    np.testing.assert_array_equal(group[each].values, array[cell])
                    assert group[each].dtype == array.dtype
    cell = dataset[handmade.cell_id(0, 0)]
    assert cell["labels/land"]["level"].values.tolist() == ["easy", "medium", "hard"]
    assert cell["labels/lpis-2020"]["target"].values.tolist() == ["yield", "age"]
    assert cell["labels/lpis-2020"].attrs["year"] == 2020


@pytest.mark.parametrize("step", [None, 10, 20])
def test_sets_of_every_kind_in_a_sample(folder: Path, step: int | None):
    samples = reader(folder, resolution_m=step, label_arrays=[*PARCEL_ARRAYS, "ignore"])
    for at in range(len(samples)):
        sample = samples.sample(at)
        tile, cell = handmade.TILES.index(sample["cell"]["tile"]), int(sample["cell"]["cell_id"][-1])
        assert list(sample["labels"]) == list(ABOUT) and "label_valid" not in sample
        assert {name: set(each) for name, each in sample["label_arrays"].items()} == {
            "land": {"ignore"}, "lpis-2020": set(PARCEL_ARRAYS), "lpis-2021": set(PARCEL_ARRAYS),
        }  # fmt: skip
        for name in ABOUT:
            for each, array in arrays_of(tile, name).items():
                truth = array[cell] if step is None else nearest(array[cell], handmade.SIZE_M // step)
                main = each in ("labels", "layer")
                found = sample["labels"][name] if main else sample["label_arrays"][name][each]
                assert found.dtype == array.dtype
                np.testing.assert_array_equal(found, truth[None] if each == "layer" else truth)


def test_further_arrays_are_left_out_unless_asked_for(folder: Path):
    sample = reader(folder).sample(0)
    assert "label_arrays" not in sample and list(sample["labels"]) == list(ABOUT)


def later(years: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second and later dates of every cell be that many years later."""
    from tilewright.loader.series import SeriesReader

    read = SeriesReader.read

    def moved(self: SeriesReader, *given: Any) -> Any:
        series = read(self, *given)
        time = series.time.astype("datetime64[us]")
        time[1:] += np.timedelta64(365 * years, "D")
        return dataclasses.replace(series, time=time.astype(np.int64))

    monkeypatch.setattr(SeriesReader, "read", moved)


@pytest.mark.parametrize("years", [0, -1, -5])
@pytest.mark.parametrize("dates", [None, 6])
def test_a_family_is_joined_by_the_year_of_each_date(
    folder: Path, monkeypatch: pytest.MonkeyPatch, years: int, dates: int | None
):
    later(years, folder, monkeypatch)
    samples = reader(folder, labels=["lpis", "land"], label_arrays=[*PARCEL_ARRAYS, "ignore"], dates=dates)
    blank = {"labels": 255, "distance": np.nan, "targets": np.nan}
    seen = set()
    for at in range(len(samples)):
        sample = samples.sample(at)
        tile, cell = handmade.TILES.index(sample["cell"]["tile"]), int(sample["cell"]["cell_id"][-1])
        np.testing.assert_array_equal(sample["labels"]["land"], arrays_of(tile, "land")["labels"][cell])
        found = {"labels": sample["labels"]["lpis"], **sample["label_arrays"]["lpis"]}
        assert found["labels"].shape == (len(sample["time"]), 1, SIDE, SIDE)
        for date, (time, valid) in enumerate(zip(sample["time"], sample["valid"], strict=True)):
            year = int(str(np.datetime64(int(time), "us"))[:4]) if valid else None
            seen.add(year)
            assert sample["label_valid"]["lpis"][date] == (year in YEARS)
            for name, array in arrays_of(tile, f"lpis-{year}" if year in YEARS else "lpis-2020").items():
                truth = array[cell] if year in YEARS else np.full_like(array[cell], blank.get(name, 0))
                assert found[name].dtype == array.dtype
                np.testing.assert_array_equal(found[name][date], truth)
    assert {0: 2021, -1: 2020, -5: 2016}[years] in seen and 2021 in seen


def test_families_are_known_of_a_dataset_on_a_server(folder: Path):
    import io

    from tilewright.loader.dataset import _metadata

    local = Dataset(folder)
    assert local.described["labels"]["lpis-2020"]["family"] == "lpis"
    assert _metadata(io.BytesIO((folder / "index.parquet").read_bytes())) == local.described


def test_one_year_of_a_family_is_a_set_like_any_other(folder: Path):
    sample = reader(folder, labels=["lpis-2020"]).sample(0)
    assert sample["labels"]["lpis-2020"].shape == (1, SIDE, SIDE) and "label_valid" not in sample


def test_only_years_that_dates_are_of_are_read():
    part = LabelPart("f", ("f-2019", "f-2021"), (2019, 2021))
    asked: list[str] = []

    def read(name: str) -> dict[str, np.ndarray]:
        asked.append(name)
        return {"labels": np.full((1, 2, 2), int(name[2:]) % 100, "uint8")}

    # the last microsecond of 2019 and the first of 2020 are of different years
    time = np.array(["2021-06-01", "2019-12-31T23:59:59.999999", "2020-01-01"], "datetime64[us]").astype(np.int64)
    found, there = joined(part, time, read, lambda: read("f-2019"))
    assert found["labels"][:, 0, 0, 0].tolist() == [21, 19, 255] and there.tolist() == [True, True, False]
    asked.clear()
    found, there = joined(part, time[:1], read, lambda: {})
    assert asked == ["f-2021"]
    assert joined(part, time[:0], read, lambda: read("f-2019"))[0]["labels"].shape == (0, 1, 2, 2)


def test_families_are_what_the_config_gives_years():
    sets = {
        "a-2019": {"family": "a", "year": 2019}, "a-2018": {"family": "a", "year": 2018},
        "b": {"family": "b", "year": 2020}, "c-2020": {"family": "c-2020", "year": 2020}, "old": {},
    }  # fmt: skip
    assert families(sets) == {"a": {2018: "a-2018", 2019: "a-2019"}}
    parts = label_parts(["b", "a", "a-2019"], tuple(sets), families(sets))
    assert parts == (
        LabelPart("b", ("b",), None), LabelPart("a", ("a-2018", "a-2019"), (2018, 2019)), LabelPart("a-2019", ("a-2019",), None)
    )  # fmt: skip
    assert [part.name for part in label_parts(None, tuple(sets), families(sets))] == list(sets)


def test_an_index_that_says_nothing_of_its_sets_has_no_families(folder: Path, tmp_path: Path):
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    read_table(copy / "index.parquet").to_parquet(copy / "index.parquet")
    dataset = Dataset(copy)
    assert dataset.label_families == {} and dataset.label_sets == tuple(ABOUT)
    assert Dataset(folder).label_families == {"lpis": {2020: "lpis-2020", 2021: "lpis-2021"}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": ["lpi"]}, "labels: no label set 'lpi' in this dataset; it has dem, land, lpis-2020, lpis-2021, and lpis by year"),
        ({"label_arrays": ["instances"]}, "label_arrays: none of the label sets .* has 'instances'; they have claims, claims_same, "),
        ({"label_arrays": ["labels"]}, "label_arrays: none of .* has 'labels'"),
        ({"label_arrays": ["instance"], "labels": ["dem"]}, "none of the label sets dem has 'instance'; they have labels only"),
        ({"label_arrays": ["instance"], "labels": []}, r"none of the label sets \(none\) has 'instance'"),
        ({"label_arrays": "instance"}, "label_arrays: 'instance' is not a list of different names"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(folder: Path, given: dict[str, Any], words: str):
    with pytest.raises(TilewrightError, match=words):
        reader(folder, **given)


def test_a_cell_without_one_year_is_named(folder: Path):
    dataset = Dataset(folder)
    dataset.index.loc[handmade.cell_id(0, 1), "lpis-2021_row"] = -1
    with pytest.raises(TilewrightError, match="labels: cell 32TNT-1 has no labels lpis-2021"):
        SampleReader(dataset, SampleOptions(labels=["lpis"]))


def test_a_store_that_lacks_an_array_is_of_another_run(folder: Path, tmp_path: Path):
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    sets = {name: {"arrays": arrays_of(1, name), "about": about} for name, about in ABOUT.items()}
    del sets["lpis-2020"]["arrays"]["claims"]
    ids = [handmade.cell_id(1, cell) for cell in range(CELLS)]
    labelsets.write_store(copy / f"tiles/{handmade.TILES[1]}/labels.zarr.zip", sets, ids, handmade.SIZE_M)
    samples = reader(copy, label_arrays=["claims"])
    samples.sample(0)
    with pytest.raises(
        TilewrightError, match=r"32TNU/labels\.zarr\.zip has no array claims of labels lpis-2020: .* another run"
    ):
        samples.sample(len(samples) - 1)
