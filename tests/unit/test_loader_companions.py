"""Several collections on the dates of Level-2A: companions stand where they are paired, and nowhere else."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import paired
from tilewright.errors import TilewrightError
from tilewright.loader import Dataset, iso_times
from tilewright.loader.resample import all_valid, in_power
from tilewright.loader.sample import SampleOptions, SampleReader
from tilewright.loader.times import NO_TIME

ALL: dict[str, Any] = {"s2_l2a": None, "s1_grd": None, "s2_l1c": ["B10"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paired.write(tmp_path_factory.mktemp("paired"))


def reader(folder: Path, rows: object = None, **options: Any) -> SampleReader:
    return SampleReader(folder, SampleOptions(**options), rows=rows)


def cells(samples: SampleReader) -> list[int]:
    return [int(str(each).rpartition("-")[2]) for each in samples.rows.cell_id]


def truth(cell: int, collection: str, group: str, of: int) -> np.ndarray | None:
    """The pixels that belong at the date `of` of a cell; None where there is no companion."""
    there = any(each["of"] == of for each in paired.entries(cell, collection))
    return paired.pixels(cell, collection, group, of) if there else None


def same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_a_series_of_each_collection_has_its_own_dates(folder: Path):
    dataset = Dataset(folder)
    assert dataset.collections == ("s2_l2a", "s2_l1c", "s1_grd")
    for cell in paired.ROWS:
        for collection, groups in paired.BANDS.items():
            series, own = dataset.series(paired.cell_id(cell), collection), paired.entries(cell, collection)
            assert iso_times(series.time) == iso_times(np.array([each["time"] for each in own], "datetime64[us]").astype(np.int64))  # fmt: skip
            assert series.period.tolist() == [each["period"] for each in own]
            assert series.primary.tolist() == [each["of"] for each in own]
            for group in groups:
                assert len(series.arrays[group]) == len(own)
                for date, each in zip(series.arrays[group], own, strict=True):
                    same_bits(date, paired.pixels(cell, collection, group, each["of"]))
            assert ("scl" in series.arrays) == (collection == "s2_l2a")


def test_xarray_has_each_collection_on_its_own_dates(folder: Path):
    tree = Dataset(folder)[paired.cell_id(0)]
    for collection, groups in paired.BANDS.items():
        own = paired.entries(0, collection)
        assert tree[collection]["pair_of"].values.tolist() == [each["pair_of"] for each in own]
        for group in groups:
            array = tree[f"{collection}/{group}"]["backscatter" if collection == "s1_grd" else "reflectance"]
            assert array.sizes["time"] == len(own)
            np.testing.assert_array_equal(array.values, np.stack([paired.pixels(0, collection, group, each["of"]) for each in own]))  # fmt: skip


@pytest.mark.parametrize("dates", [None, 2, 6])
@pytest.mark.parametrize("sampling", ["first", "last", "random"])
def test_companions_stand_at_the_date_that_they_are_paired_with(folder: Path, dates: int | None, sampling: str):
    samples = reader(folder, collections=ALL, dates=dates, sampling=sampling, scale=False, seed=5)
    assert cells(samples) == [0, 1, 3]
    assert samples.bands == {"s2_l2a": paired.BANDS["s2_l2a"], "s1_grd": paired.BANDS["s1_grd"], "s2_l1c": {"r60m": ("B10",)}}  # fmt: skip
    seen = 0
    for position, cell in enumerate(cells(samples)):
        sample, chosen = samples.sample(position, epoch=3), samples.dates(position, epoch=3).tolist()
        length = dates or len(chosen)
        assert sample["valid"].tolist() == [True] * len(chosen) + [False] * (length - len(chosen))
        assert set(sample["image"]) == set(sample["pixel_valid"]) == set(sample["time"]) == set(sample["present"]) == set(ALL)  # fmt: skip
        for collection, groups in samples.bands.items():
            for group, bands in groups.items():
                for at in range(length):
                    take = [paired.BANDS[collection][group].index(band) for band in bands]
                    wanted = truth(cell, collection, group, chosen[at]) if at < len(chosen) else None
                    image, valid = sample["image"][collection][group][at], sample["pixel_valid"][collection][group][at]
                    assert bool(sample["present"][collection][at]) == (wanted is not None)
                    if wanted is None:
                        assert np.isnan(image).all() if collection == "s1_grd" else not image.any()
                        assert not valid.any() and sample["time"][collection][at] == NO_TIME
                        continue
                    seen += collection != "s2_l2a"
                    same_bits(image, wanted[take])
                    own = next(each for each in paired.entries(cell, collection) if each["of"] == chosen[at])
                    assert sample["time"][collection][at] == own["time"].astype(np.int64)
                    whole = ~np.isnan(wanted[take]).any(axis=0) if collection == "s1_grd" else (wanted != 0).any(axis=0)
                    np.testing.assert_array_equal(valid, whole)
                    if collection == "s1_grd":
                        assert sample["orbit"][collection][at] == {"ascending": 1, "descending": -1}[own["orbit_state"]]
        assert set(sample["orbit"]) == {"s1_grd"}
        for at, of in enumerate(chosen):
            np.testing.assert_array_equal(sample["scl"][at], paired.pixels(cell, "s2_l2a", "scl", of))
    assert seen > (5 if dates != 2 else 3)


def test_level_2a_of_a_sample_is_the_same_with_and_without_companions(folder: Path):
    plain, more = reader(folder, dates=3), reader(folder, dates=3, collections={"s1_grd": ["VH"], "s2_l2a": None})
    assert list(more.bands) == ["s2_l2a", "s1_grd"]
    for at in range(len(plain)):
        one, other = plain.sample(at), more.sample(at)
        for group in paired.BANDS["s2_l2a"]:
            same_bits(other["image"]["s2_l2a"][group], one["image"][group])
        same_bits(other["scl"], one["scl"])
        same_bits(other["valid"], one["valid"])
        assert "present" not in one and "orbit" not in one


def test_only_complete_dates(folder: Path, caplog: pytest.LogCaptureFixture):
    radar = reader(folder, collections={"s2_l2a": ["B02"], "s1_grd": None}, complete=True)
    assert cells(radar) == [0, 1]
    assert "1 of 3 cells have fewer than 1 dates of s1_grd and are left out" in caplog.text
    assert [radar.dates(at).tolist() for at in range(2)] == [[0, 1, 2], [1]]
    for at in range(2):
        assert all(each.all() for each in radar.sample(at)["present"].values())
    assert cells(reader(folder, collections={"s2_l2a": None, "s1_grd": None}, complete=True, min_dates=2)) == [0]
    three = reader(folder, collections=ALL, complete=True, dates=2)
    assert [three.dates(at).tolist() for at in range(2)] == [[0, 1], [1]]
    with pytest.raises(TilewrightError, match="complete: none of 1 cells has 2 dates of s1_grd or more"):
        reader(folder, collections={"s2_l2a": None, "s1_grd": None}, complete=True, min_dates=2, rows=["32TNT-1"])  # fmt: skip


def test_season_pairs_of_complete_dates(folder: Path):
    samples = reader(folder, collections={"s2_l2a": ["B02"], "s1_grd": None}, complete=True, sampling="season_pair", season="period")  # fmt: skip
    assert cells(samples) == [0]
    for epoch in range(12):
        pair = samples.dates(0, epoch).tolist()
        assert sorted(paired.DATES[0][at][0] for at in pair) == ["a", "b"] and 3 not in pair
        assert samples.sample(0, epoch)["present"]["s1_grd"].all()


def test_a_scene_that_serves_twice_is_no_season_pair(folder: Path):
    """Two dates of Level-2A, of one scene in two periods, have one radar scene."""
    samples = reader(folder, collection="s1_grd", sampling="season_pair", season="date")
    assert cells(samples) == [0]
    seen = set()
    for epoch in range(20):
        one, other = samples.sample(0, epoch)["time"]
        assert one != other
        seen |= {*samples.dates(0, epoch).tolist()}
    assert seen == {0, 1, 2}
    options: Any = {"collections": {"s2_l2a": None, "s1_grd": None}, "complete": True, "sampling": "season_pair"}
    with pytest.raises(TilewrightError, match="season: no cell has dates of two quarters; use season='date'"):
        reader(folder, season="quarter", **options)
    assert cells(reader(folder, season="date", **options)) == [0]


def test_radar_alone_on_its_own_dates(folder: Path):
    samples = reader(folder, collection="s1_grd", bands=["VH"], dates=4)
    assert cells(samples) == [0, 1]
    for position, cell in enumerate(cells(samples)):
        sample, own = samples.sample(position), paired.entries(cell, "s1_grd")
        assert "scl" not in sample and "present" not in sample
        assert sample["valid"].tolist() == [True] * len(own) + [False] * (4 - len(own))
        for at, each in enumerate(own):
            same_bits(sample["image"]["r10m"][at], paired.pixels(cell, "s1_grd", "r10m", each["of"])[1:])
            assert sample["orbit"][at] == {"ascending": 1, "descending": -1}[each["orbit_state"]]
        assert np.isnan(sample["image"]["r10m"][len(own) :]).all()


@pytest.mark.parametrize("step", [10, 20, 30, 5])
def test_one_grid_averages_power_not_decibels(folder: Path, step: int):
    sample = reader(folder, collections={"s2_l2a": ["B11", "B02"], "s1_grd": None}, resolution_m=step).sample(0)
    side = paired.SIZE_M // step
    assert sample["image"]["s2_l2a"].shape == (4, 2, side, side) and sample["image"]["s1_grd"].shape == (
        4,
        2,
        side,
        side,
    )
    own = paired.pixels(0, "s1_grd", "r10m", 0)
    found, valid = sample["image"]["s1_grd"][0], sample["pixel_valid"]["s1_grd"][0]
    assert (np.isnan(found).any(axis=0) == ~valid).all() and not valid[0, 0] and valid.sum() > valid.size // 2
    if step == 10:
        same_bits(found, own)
    elif step == 20:
        power = (10 ** (own.astype(float) / 10)).reshape(2, side, 2, side, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(found, 10 * np.log10(power), atol=1e-4)
    elif step == 30:  # the centre of three pixels is a pixel's
        same_bits(np.isnan(found), np.isnan(own[:, 1::3, 1::3]))
        np.testing.assert_allclose(found, own[:, 1::3, 1::3], atol=1e-4)
    nearest = reader(folder, collection="s1_grd", resolution_m=20, resampling="nearest").sample(0)
    same_bits(nearest["image"][0], own[:, 1::2, 1::2])


@given(
    arrays("float32", (1, 4, 4), elements=st.floats(-40, 20, width=32)),
    arrays("bool", (1, 4, 4)),
    st.sampled_from([2, 4, 8, 3]),
)
def test_no_data_spoils_what_takes_a_part_of_it_and_nothing_else(decibel: np.ndarray, holes: np.ndarray, to: int):
    pixels = np.where(holes, np.float32(np.nan), decibel)
    found = in_power(pixels, to, decibel=True)
    np.testing.assert_array_equal(np.isnan(found), ~all_valid(~holes, to, "bilinear"))
    whole = in_power(decibel, to, decibel=True)
    np.testing.assert_allclose(found[~np.isnan(found)], whole[~np.isnan(found)], atol=1e-3)
    assert whole.min() >= decibel.min() - 1e-3 and whole.max() <= decibel.max() + 1e-3


def test_amplitudes_are_averaged_in_power():
    np.testing.assert_allclose(
        in_power(np.array([[[3.0, 5.0], [5.0, 3.0]]], "float32"), 1, decibel=False), [[[17**0.5]]]
    )


def test_a_companion_of_no_date_is_not_passed_over(tmp_path: Path):
    paired.write(tmp_path, wrong_pair=True)
    with pytest.raises(
        TilewrightError, match=r"s1_grd of cell 32TNT-0 is paired with S2A_32TNT_20200303_0_L2, which is none"
    ):
        Dataset(tmp_path).series(paired.cell_id(1), "s2_l2a")


def test_a_reader_of_several_collections_may_be_pickled(folder: Path):
    samples = reader(folder, collections=ALL, dates=3)
    again = pickle.loads(pickle.dumps(samples))
    np.testing.assert_array_equal(
        again.sample(0)["image"]["s1_grd"]["r10m"], samples.sample(0)["image"]["s1_grd"]["r10m"]
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"collections": {"s1_grd": None}}, "collections: s2_l2a is missing, on whose dates the others are"),
    ({"collections": {"s2_l2a": None, "s1_rtc": None}}, "collections: no 's1_rtc' in this dataset; it has s2_l2a, s2_l1c, s1_grd"),
    ({"collections": {"s2_l2a": None, "s1_grd": ["HH"]}}, "collections.s1_grd: no band 'HH' in this dataset; it has VV, VH"),
    ({"collections": {"s2_l2a": None, "s1_grd": []}}, "collections.s1_grd: the list is empty"),
    ({"collections": {"s2_l2a": "B02"}}, "collections.s2_l2a: 'B02' is not a list"),
    ({"collections": ["s2_l2a", "s1_grd"]}, "collections: .* is not a mapping"),
    ({"collections": ALL, "bands": ["B02"]}, "collections: says which collections and bands; leave collection and bands out"),
    ({"complete": True}, "complete: is of several collections"),
    ({"collection": "s1_rtc"}, "collection: no 's1_rtc' in this dataset; it has s2_l2a, s2_l1c, s1_grd"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "words"), WRONG, ids=[str(given) for given, _ in WRONG])
def test_a_wrong_argument_is_named(folder: Path, given: dict[str, Any], words: str):
    with pytest.raises(TilewrightError, match=words):
        reader(folder, **given)
