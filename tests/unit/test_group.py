"""group: exact sums, the order of dates, and the same bytes for any number of threads."""

import hashlib
import math
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handmade import small_of
from tilewright.config.settings import GroupSettings, Origin
from tilewright.errors import TilewrightError
from tilewright.stages import group
from tilewright.stages.mask import on_grid
from tilewright.store import write_table
from tilewright.store.patches import groups_of
from tilewright.store.zarrzip import StoreReader, StoreWriter

SIZE_M = 240
BANDS = ["B02", "B04", "B11"]
SETTINGS = GroupSettings(
    tile="32TNT", periods=["one", "two"], bands={"s2_l2a": BANDS}, quantities={"s2_l2a": "dn"},
    origins={"s2_l2a": Origin(provider="p", licence="l", attribution="a")},
)  # fmt: skip
DAY = np.datetime64("2019-01-01", "us")


def pixels(cell: str, scene: str, band: str, side: int) -> np.ndarray:
    """What this patch holds, SCL among the bands."""
    digest = hashlib.blake2b(f"{cell}/{scene}/{band}".encode(), digest_size=8).digest()
    most = 12 if band == "SCL" else 3000
    return np.random.default_rng(int.from_bytes(digest, "big")).integers(0, most, (side, side))


def write_patches(path: Path, patches: list[tuple[str, str, int]]) -> None:
    """A patch store of (cell, scene, day)."""
    with StoreWriter(path, {"settings_digest": path.stem, "quantities": {"s2_l2a": "dn"}}) as store:
        dims: dict = {
            "cell_id": np.array([cell for cell, _, _ in patches], object),
            "scene_id": np.array([scene for _, scene, _ in patches], object),
            "time": DAY + np.array([day for _, _, day in patches], "timedelta64[D]"),
            "platform": np.array(["sentinel-2a"] * len(patches), object),
            "parts": np.array([scene for _, scene, _ in patches], object),
            "pair_of": np.array([""] * len(patches), object),
            "orbit_state": np.array(["descending"] * len(patches), object),
            "processing_baseline": np.array(["05.00"] * len(patches), object),
            "relative_orbit": np.arange(len(patches), dtype=np.int32),
            "dn_offset": np.zeros(len(patches), np.int32),
            "bad_fraction": np.zeros(len(patches), np.float32),
            "nodata_fraction": np.zeros(len(patches), np.float32),
        }
        coords = {name: ("patch", values) for name, values in dims.items()}
        counts = [np.bincount(pixels(cell, scene, "SCL", 12).ravel(), minlength=12) for cell, scene, _ in patches]
        coords["scl_count"] = (("patch", "scl_class"), np.array(counts, np.int32).reshape(-1, 12))  # type: ignore[assignment]
        store.small("s2_l2a", small_of(xr.Dataset(coords=coords)))
        for each in groups_of("s2_l2a", BANDS):
            side = each.side(SIZE_M)
            shape = (len(patches), side, side) if each.is_scl else (len(patches), len(each.bands), side, side)
            store.array(each.array, shape, each.dtype, each.chunk_shape(SIZE_M), ("p", "y", "x")[: len(shape)] if each.is_scl else ("p", "b", "y", "x"))  # fmt: skip
            for patch, (cell, scene, _) in enumerate(patches):
                for at, band in enumerate(each.bands):
                    data = pixels(cell, scene, band, side).astype(each.dtype)
                    store.put(each.array, each.index(patch, at), data.reshape(each.chunk_shape(SIZE_M)))


def write_cells(path: Path, cells: list[str]) -> None:
    columns = {"cell_id": cells, "epsg": 32632, "ulx": 0.0, "uly": 5e6, "size_m": SIZE_M, "lon": 9.0, "lat": 47.0}
    write_table(pd.DataFrame(columns), path, {})


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, list[Path]]:
    """Two periods; cell a has scene s2 in both, b has two scenes of one instant, c has none, d only in the second."""
    write_cells(tmp_path / "cells.parquet", ["b", "a", "c", "d"])
    paths = [tmp_path / "one.zarr.zip", tmp_path / "two.zarr.zip"]
    write_patches(paths[0], [("b", "s9", 5), ("b", "s3", 5), ("a", "s2", 2), ("a", "s1", 1)])
    write_patches(paths[1], [("a", "s2", 2), ("d", "s1", 1), ("a", "s0", 0), ("zz", "s1", 1)])
    return tmp_path / "cells.parquet", paths


EXPECTED = {"b": ["s3", "s9"], "a": ["s0", "s1", "s2", "s2"], "d": ["s1"]}


def test_each_cell_has_its_patches_in_time_order(inputs: tuple[Path, list[Path]], tmp_path: Path):
    group.make_group(*inputs, SETTINGS, tmp_path / "series.zarr.zip", threads=2)
    with StoreReader(tmp_path / "series.zarr.zip") as store:
        tree = store.tree(mask_and_scale=False).load()
    about = tree["s2_l2a"]
    assert list(about["cell_id"].values) == list(EXPECTED)
    assert list(about["dates"].values) == [2, 4, 1]
    assert list(about["period"].values[1]) == ["two", "one", "one", "two"]
    for row, (cell, scenes) in enumerate(EXPECTED.items()):
        assert list(about["scene_id"].values[row]) == [*scenes, *[""] * (4 - len(scenes))]
        assert np.isnat(about["time"].values[row]).sum() == 4 - len(scenes)
        for each in groups_of("s2_l2a", BANDS):
            held = tree[each.array].values[row]
            side = each.side(SIZE_M)
            truth = np.zeros((4, len(each.bands), side, side), each.dtype)
            for at, scene in enumerate(scenes):
                truth[at] = [pixels(cell, scene, band, side) for band in each.bands]
            assert np.array_equal(held, truth[:, 0] if each.is_scl else truth)
            if not each.is_scl:
                distinct = [scenes.index(scene) for scene in dict.fromkeys(scenes)]
                classes = np.stack([pixels(cell, scenes[at], "SCL", 12) for at in distinct])
                count, total, squares = naive(truth[distinct], classes)
                node = tree[each.name]
                assert node["band_count"].values[row].tolist() == count
                assert node["band_sum"].values[row].tolist() == total
                assert node["band_sum_of_squares"].values[row].tolist() == squares


def test_the_same_bytes_for_any_number_of_threads(inputs: tuple[Path, list[Path]], tmp_path: Path):
    found = set()
    for threads in (1, 2, 5):
        group.make_group(*inputs, SETTINGS, tmp_path / "series.zarr.zip", threads=threads)
        found.add((tmp_path / "series.zarr.zip").read_bytes())
    assert len(found) == 1


def test_no_patches_make_an_empty_store(tmp_path: Path):
    write_cells(tmp_path / "cells.parquet", ["a"])
    paths = [tmp_path / "one.zarr.zip", tmp_path / "two.zarr.zip"]
    for path in paths:
        write_patches(path, [])
    group.make_group(tmp_path / "cells.parquet", paths, SETTINGS, tmp_path / "series.zarr.zip")
    with StoreReader(tmp_path / "series.zarr.zip") as store:
        tree = store.tree()
        assert tree["s2_l2a"].sizes["cell"] == 0
        assert tree["s2_l2a/r10m"]["reflectance"].shape == (0, 0, 2, 24, 24)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_damaged_patch_is_named_whichever_thread_meets_it(
    threads: int, inputs: tuple[Path, list[Path]], tmp_path: Path
):
    data = bytearray(inputs[1][1].read_bytes())
    data[data.index(b"s2_l2a/r20m/reflectance/c/1/0/0/0") + 60] ^= 1
    inputs[1][1].write_bytes(data)
    with pytest.raises(TilewrightError, match=r"two.zarr.zip: s2_l2a/r20m/reflectance is damaged \(bad CRC"):
        group.make_group(*inputs, SETTINGS, tmp_path / "series.zarr.zip", threads=threads)
    assert not (tmp_path / "series.zarr.zip").exists()


# -- sums -------------------------------------------------------------------------------------------------------------


def naive(series: np.ndarray, classes: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """Count, sum and sum of squares by band, pixel by pixel in Python's integers."""
    count, total, squares = ([0] * series.shape[1] for _ in range(3))
    for pixels_, seen in zip(series, (on_grid(one != 0, series.shape[-1]) for one in classes), strict=True):
        for y, x in np.argwhere(seen & pixels_.any(axis=0)):
            for band, value in enumerate(pixels_[:, y, x].tolist()):
                count[band] += 1
                total[band] += value
                squares[band] += value * value
    return count, total, squares


@st.composite
def series_and_classes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    side, own = draw(st.sampled_from([(6, 3), (6, 6), (3, 6), (4, 6)]))
    dates, bands = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    values = st.sampled_from([0, 0, 1, 700, 65535])
    series = draw(hnp.arrays(np.uint16, (dates, bands, side, side), elements=values))
    classes = draw(
        hnp.arrays(np.uint8, (dates + draw(st.integers(0, 1)), own, own), elements=st.sampled_from([0, 4, 4]))
    )
    return series, classes, draw(hnp.arrays(bool, dates))


@given(series_and_classes())
def test_sums_of_backscatter(of: tuple[np.ndarray, np.ndarray, np.ndarray]):
    """Every pixel of a band that has data counts there, whatever the other bands have; no data is NaN."""
    series, _, counted = of
    levels = np.where(series == 0, np.nan, series / -700).astype(np.float32)
    measured = group._measure_floats(levels, counted)
    for band in range(levels.shape[1]):
        known = [float(value) for value in levels[counted, band].ravel() if not np.isnan(value)]
        assert measured.sums[0, band] == len(known)
        assert measured.sums[1, band] == pytest.approx(math.fsum(known), rel=1e-13)
        assert measured.sums[2, band] == pytest.approx(math.fsum(value * value for value in known), rel=1e-13)
    assert measured.empty.tolist() == [int(np.isnan(date).all(axis=0).sum()) for date in levels]


@given(series_and_classes())
def test_without_classes_the_bands_alone_tell(of: tuple[np.ndarray, np.ndarray, np.ndarray]):
    series, _, counted = of
    everywhere = np.full((len(series), *series.shape[2:]), 4, np.uint8)
    measured = group._measure(series, None, counted)
    assert measured.sums.tolist() == [*map(list, naive(series[counted], everywhere[counted]))]


@given(series_and_classes())
def test_sums_are_exact(of: tuple[np.ndarray, np.ndarray, np.ndarray]):
    series, classes, counted = of
    measured = group._measure(series, classes, counted)
    assert measured.sums.tolist() == [*map(list, naive(series[counted], classes[: len(series)][counted]))]
    assert measured.empty.tolist() == [int((date == 0).all(axis=0).sum()) for date in series]


def test_sums_of_the_brightest_pixels_are_exact():
    series = np.full((3, 1, 264, 264), 65535, np.uint16)
    measured = group._measure(series, np.full((3, 132, 132), 4, np.uint8), np.array([True, True, True]))
    assert measured.sums[:, 0].tolist() == [3 * 264**2, 3 * 264**2 * 65535, 3 * 264**2 * 65535**2]


# -- the pool ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_items_come_in_order_and_few_are_taken_ahead(threads: int):
    taken = 0
    gate = threading.Event()

    def items():
        nonlocal taken
        for at in range(40):
            taken += 1
            yield at

    def make(at: int) -> int:
        if at == 0:
            gate.wait(5)  # the first is the last to be done
        return at * at

    threading.Timer(0.05, gate.set).start()
    for done, made in enumerate(group._in_order(make, items(), threads), 1):
        assert made == (done - 1) ** 2
        assert taken <= done + group._AHEAD * threads
    assert taken == 40


def test_after_an_error_what_was_not_begun_is_left():
    begun = []

    def make(at: int) -> int:
        begun.append(at)
        if at == 3:
            raise RuntimeError("three")
        return at

    made = []
    with pytest.raises(RuntimeError, match="three"):
        made.extend(group._in_order(make, range(1000), 2))
    assert max(begun) <= 3 + group._AHEAD * 2
