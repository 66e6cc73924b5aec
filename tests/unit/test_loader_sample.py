"""Samples without torch: every option against what was written by hand, and every wrong argument named."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import handmade
from tilewright.errors import TilewrightError
from tilewright.loader import Dataset, iso_times
from tilewright.loader.resample import all_valid, bilinear, nearest
from tilewright.loader.sample import SampleOptions, SampleReader
from tilewright.loader.times import NO_TIME

WITH_IMAGERY = [cell for cell, dates in enumerate(handmade.DATES) if dates]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.write(tmp_path_factory.mktemp("handmade"))


def reader(folder: Path, split: str | None = None, rows: object = None, **options: Any) -> SampleReader:
    return SampleReader(folder, SampleOptions(**options), split=split, rows=rows)


def valid_of(tile: int, cell: int, group: str) -> np.ndarray:
    """The rule by its words: SCL is not class 0, and not all of the bands are zero."""
    stored, seen = handmade.dn(tile, cell, group), handmade.scl(tile, cell) != 0
    side = stored.shape[-1]
    found = np.zeros((len(stored), side, side), bool)
    for date, y, x in np.ndindex(*found.shape):
        step = handmade.STEP[group]
        # the SCL pixels that the pixel covers, or the one that it lies in
        rows = slice(y * step // 20, max(y * step // 20 + 1, (y + 1) * step // 20))
        columns = slice(x * step // 20, max(x * step // 20 + 1, (x + 1) * step // 20))
        found[date, y, x] = seen[date, rows, columns].all() and (stored[date, :, y, x] != 0).any()
    return found


def places(samples: SampleReader) -> list[tuple[int, int]]:
    """(tile, cell) of each sample."""
    return [
        (handmade.TILES.index(samples.rows.word("tile", at)), int(str(samples.rows.cell_id[at]).rpartition("-")[2]))
        for at in range(len(samples))
    ]


def test_a_sample_is_what_was_written(folder: Path):
    samples = reader(folder)
    assert places(samples) == [(tile, cell) for tile in range(2) for cell in WITH_IMAGERY]
    assert samples.bands == handmade.BANDS
    for at, (tile, cell) in enumerate(places(samples)):
        sample = samples.sample(at)
        for group in handmade.BANDS:
            stored = handmade.dn(tile, cell, group)
            assert sample["image"][group].dtype == np.float32
            np.testing.assert_array_equal(sample["image"][group], stored.astype("float32") * np.float32(1e-4))
            np.testing.assert_array_equal(sample["pixel_valid"][group], valid_of(tile, cell, group))
        np.testing.assert_array_equal(sample["scl"], handmade.scl(tile, cell))
        np.testing.assert_array_equal(sample["time"], handmade.times(cell).astype(np.int64))
        assert iso_times(sample["time"])[0] == f"{handmade.times(cell)[0].astype('datetime64[s]')}Z"
        assert sample["valid"].tolist() == [True] * handmade.DATES[cell]
        for name in handmade.LABELS:
            np.testing.assert_array_equal(sample["labels"][name], handmade.labels(tile, cell, name))
        row = Dataset(folder).index.loc[handmade.cell_id(tile, cell)]
        assert sample["cell"] == {name: row[name] for name in sample["cell"]}
        assert set(sample["cell"]) == {"cell_id", "tile", "split", "epsg", "ulx", "uly", "lon", "lat", "size_m"}


def test_some_pixels_are_not_valid_and_a_dark_pixel_is():
    found = valid_of(0, 0, "r10m")
    assert not found[0, 1, 2] and found[0, 2, 1] and not found[1, :6, :2].any() and found[1, 6, 0]
    assert not valid_of(0, 0, "r60m")[1, 0, 0] and not valid_of(0, 0, "r60m")[0, 2, 1]


def test_bands_in_the_order_asked_for(folder: Path):
    samples = reader(folder, bands=["B08", "B09", "B02"], labels=[], scale=False)
    assert samples.bands == {"r10m": ("B08", "B02"), "r60m": ("B09",)}
    sample = samples.sample(0)
    assert sample["labels"] == {} and set(sample["image"]) == {"r10m", "r60m"}
    np.testing.assert_array_equal(sample["image"]["r10m"], handmade.dn(0, 0, "r10m")[:, [2, 0]])
    assert sample["image"]["r10m"].dtype == np.uint16
    # a pixel is valid by all stored bands, also those that are not asked for
    np.testing.assert_array_equal(sample["pixel_valid"]["r10m"], valid_of(0, 0, "r10m"))


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("step", [10, 20, 60, 40])
def test_one_grid(folder: Path, step: int, resampling: str):
    wanted = ["B09", "B08", "B05", "B02"]
    side = handmade.SIZE_M // step
    samples = reader(folder, bands=wanted, resolution_m=step, resampling=resampling)
    assert samples.bands == {"image": tuple(wanted)}
    sample = samples.sample(0)
    home = {band: (group, bands.index(band)) for group, bands in handmade.BANDS.items() for band in bands}
    for at, band in enumerate(wanted):
        group, place = home[band]
        plane = handmade.dn(0, 0, group)[:, place]
        onto = bilinear(plane, side) if resampling == "bilinear" else nearest(plane, side)
        np.testing.assert_array_equal(sample["image"][:, at], onto.astype("float32") * np.float32(1e-4))
    truth = [all_valid(valid_of(0, 0, group), side, resampling) for group in handmade.BANDS]  # type: ignore[arg-type]
    np.testing.assert_array_equal(sample["pixel_valid"], np.logical_and.reduce(truth))
    np.testing.assert_array_equal(sample["scl"], nearest(handmade.scl(0, 0), side))
    for name in handmade.LABELS:
        np.testing.assert_array_equal(sample["labels"][name], nearest(handmade.labels(0, 0, name), side))


def test_one_grid_in_mission_order_and_in_dn(folder: Path):
    samples = reader(folder, resolution_m=20, resampling="nearest", scale=False)
    assert samples.bands == {"image": ("B02", "B03", "B05", "B08", "B09", "B11")}
    image = samples.sample(0)["image"]
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[:, 5], handmade.dn(0, 0, "r20m")[:, 1])
    assert reader(folder, resolution_m=20, scale=False).sample(0)["image"].dtype == np.float32  # halves of DN


@pytest.mark.parametrize("dates", [1, 3, 6])
@pytest.mark.parametrize("grid", [None, 20])
def test_a_fixed_number_of_dates_is_padded(folder: Path, dates: int, grid: int | None):
    samples = reader(folder, dates=dates, resolution_m=grid)
    whole = reader(folder, resolution_m=grid)
    for at, (_, cell) in enumerate(places(samples)):
        sample, truth = samples.sample(at), whole.sample(at)
        own = min(dates, handmade.DATES[cell])
        assert sample["valid"].tolist() == [True] * own + [False] * (dates - own)
        assert (sample["time"][own:] == NO_TIME).all() and iso_times(sample["time"][own:]) == [""] * (dates - own)
        pairs = [(sample["scl"], truth["scl"]), (sample["time"], truth["time"])]
        for name in ("image", "pixel_valid"):
            of = (
                [(sample[name], truth[name])]
                if grid
                else [(sample[name][key], truth[name][key]) for key in truth[name]]
            )
            assert all(len(found) == dates and not found[own:].any() for found, _ in of)
            pairs += of
        assert not sample["scl"][own:].any()
        for found, full in pairs:
            np.testing.assert_array_equal(found[:own], full[:own])


def test_random_dates_are_of_seed_epoch_and_cell(folder: Path):
    ids = [handmade.cell_id(1, 0), handmade.cell_id(0, 0)]
    one, other = (
        reader(folder, dates=2, sampling="random", seed=3),
        reader(folder, rows=ids, dates=2, sampling="random", seed=3),
    )
    at = [list(one.rows.cell_id).index(each) for each in ids]
    drawn = {}
    for epoch in range(20):
        for here, there in enumerate(at):
            found = one.dates(there, epoch).tolist()
            assert found == other.dates(here, epoch).tolist() == one.dates(there, epoch).tolist()
            drawn[(here, epoch)] = tuple(found)
    assert len({dates for (here, _), dates in drawn.items() if here == 0}) == 6
    assert [drawn[(0, each)] for each in range(20)] != [drawn[(1, each)] for each in range(20)]
    assert any(
        reader(folder, dates=2, sampling="random", seed=4).dates(at[0], epoch).tolist() != list(drawn[(0, epoch)])
        for epoch in range(20)
    )
    sample = one.sample(at[0], epoch=5)
    np.testing.assert_array_equal(sample["time"], handmade.times(0)[list(drawn[(0, 5)])].astype(np.int64))
    np.testing.assert_array_equal(sample["scl"], handmade.scl(1, 0)[list(drawn[(0, 5)])])


@pytest.mark.parametrize("season", ["date", "period", "quarter"])
def test_a_season_pair_is_two_views_of_one_cell(folder: Path, season: str):
    samples = reader(folder, sampling="season_pair", season=season, scale=False)
    # cells of one date have no pair; the last cell's two dates are of one period and of one quarter
    assert [cell for _, cell in places(samples)] == [0, 3, *([4] if season == "date" else [])] * 2
    quarter = {0: 0, 1: 0, 2: 2, 3: 0}
    seen = set()
    for epoch in range(30):
        for at, (tile, cell) in enumerate(places(samples)):
            sample, pair = samples.sample(at, epoch), samples.dates(at, epoch).tolist()
            assert len(pair) == 2 and sample["valid"].all()
            if season == "period":
                assert handmade.PERIODS[pair[0]] != handmade.PERIODS[pair[1]]
            elif season == "quarter":
                assert quarter[pair[0]] != quarter[pair[1]]
            else:
                assert pair[0] != pair[1]
            np.testing.assert_array_equal(sample["image"]["r10m"], handmade.dn(tile, cell, "r10m")[pair])
            np.testing.assert_array_equal(sample["time"], handmade.times(cell)[pair].astype(np.int64))
            seen.add((cell, *pair))
    assert (0, 2, 0) in seen and (0, 0, 2) in seen  # either view comes first


def test_a_scene_that_two_periods_chose_is_no_pair(folder: Path):
    dataset = Dataset(folder)
    twice = handmade.cell_id(0, 4)
    dataset.index.loc[twice, "last_date"] = dataset.index.loc[twice, "first_date"]
    samples = SampleReader(dataset, SampleOptions(sampling="season_pair", season="date"))
    assert places(samples) == [(0, 0), (0, 3), (1, 0), (1, 3), (1, 4)]
    with pytest.raises(TilewrightError, match="sampling: a season_pair needs cells with two dates"):
        SampleReader(dataset, SampleOptions(sampling="season_pair", season="date"), rows=[twice])


OTHERS: list[dict[str, Any]] = [
    {"bands": {**handmade.BANDS, "r10m": ("B08", "B03", "B02")}},
    {"bands": {**handmade.BANDS, "r20m": ("B05", "B12")}},
    {"scale": 2e-4},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
@pytest.mark.parametrize("tile", [0, 1])
def test_a_store_of_other_bands_than_the_first_is_refused(tmp_path: Path, other: dict[str, Any], tile: int):
    handmade.write(tmp_path)
    handmade.write_series(tmp_path / f"tiles/{handmade.TILES[tile]}/series.zarr.zip", tile, {}, **other)
    samples = reader(tmp_path, bands=["B02", "B05"])
    first, second = handmade.cell_id(0, 0), list(samples.rows.cell_id).index(handmade.cell_id(1, 0))
    assert samples.rows.cell_id[0] == first
    samples.sample(0)
    with pytest.raises(TilewrightError, match=r"r[12]0m, where B.* index\.parquet is of another run; run the rule index") as caught:  # fmt: skip
        samples.sample(second)
    assert f"{handmade.TILES[1]}/series.zarr.zip" in str(caught.value)


def test_groups_that_are_not_asked_for_may_differ(tmp_path: Path):
    handmade.write(tmp_path)
    store = tmp_path / f"tiles/{handmade.TILES[1]}/series.zarr.zip"
    handmade.write_series(store, 1, {}, {**handmade.BANDS, "r60m": ("B01",)})
    samples = reader(tmp_path, bands=["B02"], scale=False)
    np.testing.assert_array_equal(samples.sample(4)["image"]["r10m"], handmade.dn(1, 0, "r10m")[:, :1])


def test_labels_of_another_run_are_refused(tmp_path: Path):
    handmade.write(tmp_path)
    handmade.write_labels(tmp_path / f"tiles/{handmade.TILES[0]}/labels.zarr.zip", 0, [0, 1, 2, 4, 3])
    samples = reader(tmp_path)
    samples.sample(0)
    with pytest.raises(
        TilewrightError, match=r"labels\.zarr\.zip has another cell than 32TNT-3 at row 3: .* another run"
    ):
        samples.sample(2)


def test_season_pairs_are_of_quarters_unless_asked_otherwise(folder: Path, caplog: pytest.LogCaptureFixture):
    samples = reader(folder, sampling="season_pair")
    assert places(samples) == [(0, 0), (0, 3), (1, 0), (1, 3)]
    assert "2 of 6 cells have dates of one quarter only and are left out" in caplog.text
    # by the first and last date of the index where they tell: the store of the tile in which they do not is the one opened
    dataset = Dataset(folder)
    dataset.index.loc[dataset.index["tile"] == handmade.TILES[1], "last_date"] = pd.Timestamp("2021-07-04")
    chosen = SampleReader(dataset, SampleOptions(sampling="season_pair"))
    assert places(chosen) == [(0, 0), (0, 3), (1, 0), (1, 3), (1, 4)]
    assert list(dataset.reader._open) == [f"tiles/{handmade.TILES[0]}/series.zarr.zip"]


def test_numpys_whole_numbers_are_whole_numbers(folder: Path):
    given = {"dates": np.int64(2), "seed": np.uint8(3), "min_dates": np.int32(2), "resolution_m": np.int16(20)}
    options = SampleOptions(sampling="random", **given)  # type: ignore[arg-type]
    assert options == SampleOptions(sampling="random", dates=2, seed=3, min_dates=2, resolution_m=20)
    assert all(type(getattr(options, name)) is int for name in given)
    one, other = SampleReader(folder, options), reader(folder, sampling="random", dates=2, seed=3, min_dates=2)
    assert [one.dates(0, each).tolist() for each in range(9)] == [other.dates(0, each).tolist() for each in range(9)]


def test_cells_left_out_are_counted_aloud(folder: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO"):
        reader(folder, min_dates=3)
    told = [(each.levelname, each.message) for each in caplog.records]
    assert told == [
        ("WARNING", "the dataset: 2 of 10 cells have no imagery and are left out"),
        ("INFO", "the dataset: 4 of 10 cells have fewer than 3 dates and are left out"),
    ]


def test_rows_and_splits(folder: Path):
    index = Dataset(folder).index
    assert [cell for _, cell in places(reader(folder, split="val"))] == [3, 3]
    ids = [handmade.cell_id(1, 4), handmade.cell_id(0, 1), handmade.cell_id(1, 4)]
    assert places(reader(folder, rows=ids)) == [(1, 4), (0, 1), (1, 4)]
    assert places(reader(folder, rows=index[index["dates"] > 2])) == [(0, 0), (0, 3), (1, 0), (1, 3)]
    assert places(reader(folder, rows=index["cell_id"][:2])) == [(0, 0), (0, 1)]
    assert places(reader(folder, min_dates=3)) == [(0, 0), (0, 3), (1, 0), (1, 3)]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"split": "training"}, "split: no split 'training' in this dataset; it has test, train, val"),
    ({"split": "train", "rows": []}, "split and rows: give one of them"),
    ({"rows": ["32TNT-0", "nowhere"]}, "rows: cell nowhere is not in this dataset's index"),
    ({"rows": "32TNT-0"}, "rows: give a part of the index or a list of cell ids, not str"),
    ({"rows": 3}, "rows: give a part of the index or a list of cell ids, not int"),
    ({"rows": pd.DataFrame({"tile": ["32TNT"]})}, "rows: a table must be a part of the index"),
    ({"rows": []}, "rows: empty"),
    ({"rows": ["32TNT-2"]}, "rows: none of 1 cells has 1 dates or more"),
    ({"min_dates": 9}, "none of 10 cells has 9 dates or more: lower min_dates"),
    ({"min_dates": 0}, "min_dates: 0 is not a whole number above 0"),
    ({"collection": "s1_grd"}, "collection: no 's1_grd' in this dataset; it has s2_l2a"),
    ({"bands": ["B02", "B04"]}, "bands: no band 'B04' in this dataset; it has B02, B03, B05, B08, B09, B11"),
    ({"bands": "B02"}, "bands: 'B02' is not a list"),
    ({"bands": ["B02", "B02"]}, "bands: .* is not a list of different names"),
    ({"bands": []}, "bands: the list is empty"),
    ({"labels": ["osmium"]}, "labels: no label set 'osmium' in this dataset; it has osm, fine"),
    ({"labels": "osm"}, "labels: 'osm' is not a list"),
    ({"resolution_m": 50}, "resolution_m: cells of 240 m are not whole pixels of 50 m"),
    ({"resolution_m": 0}, "resolution_m: 0 is not a whole number above 0"),
    ({"resolution_m": 10.0}, "resolution_m: 10.0 is not a whole number above 0"),
    ({"resampling": "cubic"}, "resampling: 'cubic' is none of bilinear, nearest"),
    ({"dates": True}, "dates: True is not a whole number above 0"),
    ({"seed": np.float64(1)}, "seed: .* is not a whole number"),
    ({"dates": 0}, "dates: 0 is not a whole number above 0"),
    ({"dates": "all"}, "dates: 'all' is not a whole number above 0"),
    ({"sampling": "any"}, "sampling: 'any' is none of first, last, even, random, season_pair"),
    ({"sampling": "season_pair", "dates": 3}, "dates: a season_pair has 2 dates, not 3"),
    ({"sampling": "season_pair", "season": "month"}, "season: 'month' is none of date, period, quarter"),
    ({"sampling": "season_pair", "season": "period", "rows": ["32TNT-4"]}, "season: no cell has dates of two periods"),
    ({"seed": "7"}, "seed: '7' is not a whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "words"), WRONG, ids=[str(given) for given, _ in WRONG])
def test_a_wrong_argument_is_named(folder: Path, given: dict[str, Any], words: str):
    with pytest.raises(TilewrightError, match=words) as caught:
        reader(folder, **given)
    assert "\n" not in str(caught.value)


def test_a_cell_without_labels_is_named(folder: Path):
    dataset = Dataset(folder)
    dataset.index.loc[handmade.cell_id(0, 1), "osm_row"] = -1
    with pytest.raises(TilewrightError, match="labels: cell 32TNT-1 has no labels osm"):
        SampleReader(dataset, SampleOptions())
    assert len(SampleReader(dataset, SampleOptions(labels=["fine"]))) == 8


def test_without_torch_the_error_says_how_to_get_it():
    program = "import sys; sys.modules['torch'] = None\nimport tilewright.loader\nimport tilewright.torch"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode and ended.stderr.strip().endswith(
        "ImportError: tilewright.torch needs PyTorch: pip install torch"
    )
