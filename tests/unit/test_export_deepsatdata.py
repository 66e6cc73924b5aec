"""The layout deepsatdata: pickles and lists read back with pickle and csv, against the stores and the watermarks."""

import csv
import pickle
import pickletools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everything import Everything, Export, changed
from tilewright.errors import TilewrightError
from tilewright.exports.deepsatdata import LAYOUT
from tilewright.exports.pickles import pickled
from tilewright.exports.protocol import Deviation
from tilewright.exports.source import CellSource
from tilewright.exports.tile import read_whole

L1C = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
STEP = (
    dict.fromkeys(L1C, 20) | dict.fromkeys(["B02", "B03", "B04", "B08"], 10) | dict.fromkeys(["B01", "B09", "B10"], 60)
)
TRUTH = ["labels", "ids", "masks", "ratios", "distances", "full_ass", "part_ass"]
SIDE = 480


@pytest.fixture(scope="module")
def export(everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Export:
    folder = tmp_path_factory.mktemp("dsd")
    return Export(folder, everything.results, everything.settings("deepsatdata", labels="crops")).run()


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = pickle.loads(path.read_bytes())
    return found


def with_truth(everything: Everything) -> pd.DataFrame:
    accepted = everything.accepted()
    return accepted[accepted["crops_labelled"] > 0]


def place(row: Any, year: int, folder: str = "") -> str:
    return f"{folder}{year}/{row['uly']}_{row['ulx']}_{year}.pickle"


def test_there_are_cells_with_and_without_ground_truth(everything: Everything):
    assert 2 <= len(with_truth(everything)) < len(everything.accepted())


def test_series(everything: Everything, export: Export):
    seen = set()
    for cell_id, row in with_truth(everything).iterrows():
        found = list(everything.images(cell_id, "s2_l1c"))
        for year in (2018, 2019):
            scenes = [each for each in found if each[1].year == year]
            path = export.root / place(row, year, f"{row['epsg']}/")
            sample = loaded(path)
            seen.add(path)
            assert list(sample) == [*L1C, "doy", "year", *TRUTH]
            assert sample["year"] == year and type(sample["year"]) is np.int32
            assert (
                sample["doy"].tolist() == [when.dayofyear for _, when, _ in scenes] and sample["doy"].dtype == np.int64
            )
            for band in L1C:
                side = SIDE // STEP[band]
                assert sample[band].shape == (len(scenes), side, side) and sample[band].dtype == np.uint16
                for at, (_, when, pixels) in enumerate(scenes):
                    assert np.array_equal(sample[band][at], pixels[band])
                    everything.check_mark(row, "s2_l1c", when, band, sample[band][at])
    assert seen == set(export.root.rglob("*.pickle")) and len(seen) > 3


def test_ground_truth(everything: Everything, export: Export):
    classes, dtypes = set(), set()
    for cell_id, row in with_truth(everything).iterrows():
        stored = everything.cell(cell_id)["labels/crops"]
        sample = loaded(export.root / place(row, 2018, f"{row['epsg']}/"))
        labels = stored["labels"].values[0]
        # wheat is 0 in the stores, so that all classes are one higher; 255 is background
        assert np.array_equal(sample["labels"], np.where(labels == 255, 0, labels.astype(float) + 1))
        assert np.array_equal(sample["ids"], stored["instance"].values)
        assert np.array_equal(sample["masks"], stored["claims"].values)
        assert np.array_equal(sample["ratios"], stored["parcel_coverage"].values)
        distance = stored["distance"].values
        assert np.array_equal(sample["distances"], np.where(np.isnan(distance), 0, distance))
        assert np.array_equal(sample["full_ass"], sample["masks"] == 2) and np.array_equal(
            sample["part_ass"], sample["masks"] == 1
        )
        assert {sample[key].dtype for key in TRUTH if key != "ids"} == {np.dtype("float32")}
        assert all(sample[key].shape == (SIDE // 10, SIDE // 10) for key in TRUTH)
        large = int(stored["instance"].values.max()) >= 2**24
        assert sample["ids"].dtype == (np.float64 if large else np.float32)
        classes |= set(np.unique(sample["labels"]).tolist())
        dtypes |= set(np.unique(sample["masks"]).tolist())
    assert classes == {0, 1, 2} and {0, 1} <= dtypes


def test_lists(everything: Everything, export: Export):
    rows = list(csv.DictReader((export.root / "saved_timeseries_data_info.csv").open()))
    assert list(rows[0]) == [
        "sample_path",
        "Year",
        "N",
        "W",
        "dy",
        "dx",
        "dt",
        "label_win_i",
        "label_win_j",
        "status",
        "crs",
    ]
    files = sorted(path.relative_to(export.root).as_posix() for path in export.root.rglob("*.pickle"))
    assert sorted(row["sample_path"] for row in rows) == files
    cells = {(int(row["uly"]), int(row["ulx"]), int(row["epsg"])): row for _, row in with_truth(everything).iterrows()}
    corner = {"32TQM": (699_960, 4_700_040), "33TTG": (199_980, 4_700_040)}  # s2 tiling grid
    split = {}
    for row in rows:
        cell = cells[int(row["N"]), int(row["W"]), int(row["crs"])]
        assert (row["dy"], row["dx"], row["dt"], row["status"]) == ("48", "48", "2", "ok")
        west, north = corner[cell["tile"]]
        assert (
            int(row["label_win_i"]) == (north - cell["uly"]) / 10
            and int(row["label_win_j"]) == (cell["ulx"] - west) / 10
        )
        split[row["sample_path"]] = cell["split"]
    for name, of in (("train", "train"), ("eval", "val"), ("test", "test")):
        listed = (export.root / f"paths/{name}_paths.csv").read_text().splitlines()
        assert sorted(listed) == sorted(path for path, own in split.items() if own == of)


def test_one_zone_has_the_published_paths_and_cells_without_truth_are_left_out(everything: Everything, tmp_path: Path):
    made = changed(everything, tmp_path / "set", lambda rows, about: rows.assign(accepted=rows["epsg"] == 32633))
    export = Export(tmp_path, made.results, made.settings("deepsatdata", labels="crops")).run()
    rows = with_truth(made)
    assert set(rows["epsg"]) == {32633}
    wanted = {place(row, year) for _, row in rows.iterrows() for year in (2018, 2019)}
    assert {path.relative_to(export.root).as_posix() for path in export.root.rglob("*.pickle")} == wanted
    # the tile is written again, under other names, where cells of another zone join it
    export.results = everything.results
    export.run()
    assert {path.split("/")[0] for path in export.files() if path.endswith(".pickle")} == {"32632", "32633"}


def test_splits_by_year(everything: Everything, tmp_path: Path):
    def by_year(rows: Any, about: dict[str, Any]) -> Any:
        about["split"] = {"by": "year", "years": {"train": [2018], "val": [2017], "test": [2019]}}
        return rows.assign(split="by_year")

    made = changed(everything, tmp_path / "set", by_year)
    export = Export(tmp_path, made.results, made.settings("deepsatdata", labels="crops")).run()
    lists = {
        name: (export.root / f"paths/{name}_paths.csv").read_text().splitlines() for name in ("train", "eval", "test")
    }
    assert not lists["eval"] and len(lists["train"]) == len(lists["test"]) == len(with_truth(everything))
    assert {path.split("/")[1] for path in lists["train"]} == {"2018"} and {path.split("/")[1] for path in lists["test"]} == {"2019"}  # fmt: skip
    samples = pd.read_parquet(export.root / "samples.parquet")
    assert samples["split"].tolist() == samples["Year"].map({2018: "train", 2019: "test"}).tolist()


def test_no_imagery_anywhere(everything: Everything, tmp_path: Path):
    bare = changed(everything, tmp_path / "set", lambda rows, about: rows.assign(series_row=-1, dates=0))
    with pytest.raises(TilewrightError, match="is of series, and no accepted cell has an image"):
        LAYOUT.check(read_whole(bare.results, bare.settings("deepsatdata", labels="crops")))


def test_days_that_are_there_twice_are_taken_once(
    everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = CellSource.images
    monkeypatch.setattr(
        CellSource, "images", lambda self, *name: [each for each in whole(self, *name) for _ in range(2)][::-1]
    )
    export = Export(tmp_path, everything.results, everything.settings("deepsatdata", labels="crops")).run()
    for path in export.root.rglob("*.pickle"):
        days = loaded(path)["doy"]
        assert len(days) == 2 and days[0] < days[1]


def unlabelled(everything: Everything, folder: Path) -> Everything:
    def plain(rows: Any, about: dict[str, Any]) -> Any:
        about["labels"] = {}
        return rows.drop(
            columns=[name for name in rows if name.startswith(("osm_", "crops_", "share_", "labels_path", "s2_l1c"))]
        )

    made = changed(everything, folder, plain)
    config = {key: value for key, value in everything.config.items() if key != "labels"}
    return made._replace(config=config)


def test_without_labels_and_without_level_1c(everything: Everything, tmp_path: Path):
    made = unlabelled(everything, tmp_path / "set")
    export = Export(tmp_path, made.results, made.settings("deepsatdata"))
    export.tile("33TTG")
    rows = made.accepted()
    rows = rows[rows["tile"] == "33TTG"]
    paths = sorted(export.root.rglob("*.pickle"))
    assert {path.relative_to(export.root).as_posix() for path in paths} == {
        place(row, year, "32633/") for _, row in rows.iterrows() for year in (2018, 2019)
    }
    bands = [band for band in L1C if band != "B10"]
    for cell_id, row in rows.iterrows():
        sample = loaded(export.root / place(row, 2019, "32633/"))
        assert list(sample) == [*bands, "doy", "year"]
        scenes = [each for each in everything.images(cell_id, "s2_l2a") if each[1].year == 2019]
        for band in bands:
            assert np.array_equal(sample[band], np.stack([pixels[band] for _, _, pixels in scenes]))
            everything.check_mark(row, "s2_l2a", scenes[0][1], band, sample[band][0])
    found = {each.subject: each.here for each in LAYOUT.deviations(read_whole(made.results, export.settings))}
    assert found["level"].startswith("Level-2A") and found["labels"] == "none" and "ids" not in found


def test_the_same_bytes_at_another_time(everything: Everything, export: Export, tmp_path: Path):
    again = Export(tmp_path, everything.results, export.settings).run()
    assert again.files() == export.files()


def test_pickles_name_what_every_numpy_has():
    document = {
        "a": np.arange(6, dtype=np.uint16).reshape(2, 3)[:, ::2],
        "year": np.int32(2019),
        "none": np.zeros((0, 2), np.float32),
    }
    data = pickled(document)
    assert max(op.proto for op, _, _ in pickletools.genops(data)) == 4
    words = [str(argument) for op, argument, _ in pickletools.genops(data) if op.name == "SHORT_BINUNICODE"]
    assert {"numpy", "ndarray", "int32", "builtins", "bytearray"} <= set(words)
    assert not [word for word in words if "core" in word or "multiarray" in word]
    found = pickle.loads(data)
    for key, value in document.items():
        assert found[key].dtype == value.dtype and np.array_equal(found[key], value)
    found["a"][0, 0] = 7  # as an array of one's own
    assert pickled(document) == data


def refusal(made: Everything, **export: Any) -> str:
    with pytest.raises(TilewrightError) as error:
        LAYOUT.check(read_whole(made.results, made.settings("deepsatdata", **export)))
    return str(error.value)


def test_what_cannot_be_laid_out_so(everything: Everything, tmp_path: Path):
    assert refusal(everything) == (
        "export.labels: the layout deepsatdata has one layer of labels: say of which set; there are crops, osm"
    )
    assert "set osm has 3 channels (land_use, water_and_roads, buildings): name a set with one" in refusal(
        everything, labels="osm"
    )
    bare = changed(everything, tmp_path / "bare", lambda rows, about: rows.assign(crops_labelled=0.0))
    assert refusal(bare, labels="crops").startswith("labels.crops: no accepted cell has ground truth")

    def doubled(rows: Any, about: dict[str, Any]) -> Any:
        rows.loc[1, ["ulx", "uly", "epsg"]] = rows.loc[0, ["ulx", "uly", "epsg"]]
        return rows

    assert "2 accepted cells share theirs" in refusal(
        changed(everything, tmp_path / "doubled", doubled), labels="crops"
    )


def test_deviations_are_of_this_dataset(everything: Everything):
    whole = read_whole(everything.results, everything.settings("deepsatdata", labels="crops"))
    found: dict[str, Deviation] = {each.subject: each for each in LAYOUT.deviations(whole)}
    assert {"folders", "ids", "masks", "lists"} <= set(found)
    assert {"level", "bands", "labels", "ids, ratios, distances"}.isdisjoint(found)


def test_labels_that_are_no_parcels(everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    reader = type(everything.dataset().reader)
    whole = reader.label_layout
    monkeypatch.setattr(
        reader,
        "label_layout",
        lambda self, *of: {key: each for key, each in whole(self, *of).items() if key == "labels"},
    )
    export = Export(tmp_path, everything.results, everything.settings("deepsatdata", labels="crops")).run()
    sample = loaded(next(export.root.rglob("*.pickle")))
    assert list(sample)[-4:] == ["labels", "masks", "full_ass", "part_ass"]
    assert sample["labels"].any() and not sample["masks"].any() and not sample["full_ass"].any()
    shutil.rmtree(export.root)
