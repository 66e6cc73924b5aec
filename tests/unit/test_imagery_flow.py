"""How the reader goes about it: each block once, in order, lazily, bounded, in threads, and an end that is clean."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, tuples

import tilewright.imagery.blocks as blocks
import tilewright.imagery.reader as reader_module
from rasters import Grid, by_reader, cut, noise, write_gdal
from tilewright.errors import TilewrightError
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader
from tilewright.imagery.layout import read_layout
from tilewright.imagery.scatter import lay
from tilewright.imagery.source import Source

GRID = Grid(600, 700)
Range = tuple[str, int, int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six files with a hundred blocks each, of incompressible noise, so that blocks are of some size."""
    made = tmp_path_factory.mktemp("flow")
    for at in range(6):
        pixels = np.random.default_rng(at).integers(0, 65535, (GRID.rows, GRID.cols), np.uint16)
        write_gdal(made / f"{at}.tif", pixels, GRID, driver="COG", blocksize=128, compress="DEFLATE", overviews="NONE")
        np.save(made / f"{at}.npy", pixels)
    return made


def ask_of(folder: Path, at: int, rows: Any = (0, 50, 300, 500, -30), cols: Any = (0, 60, 300, 560, 690)) -> Ask:
    asset = GRID.asset(folder / f"{at}.tif", scene=f"scene {at}")
    return Ask(asset, GRID.boxes(rows, cols, 96), np.dtype("uint16"))


def truth_of(
    folder: Path, at: int, rows: Any = (0, 50, 300, 500, -30), cols: Any = (0, 60, 300, 560, 690)
) -> np.ndarray:
    return cut(np.load(folder / f"{at}.npy"), rows, cols, 96)


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Range]]:
    """Every range of block bytes that is fetched: file, start, size."""
    seen: list[Range] = []
    real = Source.get

    def get(self: Source, start: int, size: int) -> memoryview:
        seen.append((Path(self._file._path).name, start, size))  # type: ignore[attr-defined]  # a local file
        return real(self, start, size)

    monkeypatch.setattr(Source, "get", get)
    yield seen


def layout_of(path: Path) -> Any:
    raw = path.read_bytes()
    return read_layout(memoryview(raw), len(raw), lambda at, size: memoryview(raw)[at : at + size])


@given(places=lists(tuples(integers(-100, 700), integers(-100, 800)), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_each_block_is_named_once_and_only_where_a_box_is(places: list[tuple[int, int]]):
    rows, cols = np.array(places).T
    plan = lay(rows, cols, 96, (600, 700), (128, 64))
    across = 11
    for at, number in enumerate(plan.blocks):
        row, col = number // across * 128, number % across * 64
        hit = (rows < min(row + 128, 600)) & (rows + 96 > row) & (cols < min(col + 64, 700)) & (cols + 96 > col)
        of = slice(plan.first[at], plan.first[at + 1])
        assert sorted(plan.boxes[of]) == np.flatnonzero(hit).tolist() and hit.any()
        for box, (top, bottom, left, right) in zip(plan.boxes[of], plan.parts[of], strict=True):
            assert (top, left) == (max(row, rows[box]), max(col, cols[box]))
            assert (bottom, right) == (min(row + 128, rows[box] + 96, 600), min(col + 64, cols[box] + 96, 700))
    assert len(set(plan.blocks)) == len(plan.blocks)
    assert plan.touched.sum() == len(plan.boxes) == plan.first[-1]


def test_each_block_is_fetched_once_with_little_beside(folder: Path, ranges: list[Range]):
    rows, cols = zip(*[(row, col) for row in range(100, 400, 40) for col in range(50, 450, 40)], strict=True)
    ask = ask_of(folder, 0, rows, cols)
    found, traffic = by_reader(ask, threads=2)
    np.testing.assert_array_equal(found, truth_of(folder, 0, rows, cols))
    layout = layout_of(folder / "0.tif")
    needed = lay(np.array(rows), np.array(cols), 96, layout.grid.shape, layout.block).blocks
    fetched = Counter(
        number
        for number in needed
        for _, start, size in ranges
        if start <= layout.offsets[number] and layout.offsets[number] + layout.counts[number] <= start + size
    )
    assert fetched == Counter(needed.tolist()), "each needed block is in one range, once"
    assert traffic.blocks == len(needed) and traffic.bytes_needed == layout.counts[needed].sum()
    gaps = sum(size for _, _, size in ranges) - traffic.bytes_needed
    assert gaps <= 8 * len(needed), "nothing but what lies between neighbours"
    assert traffic.bytes_fetched == sum(size for _, _, size in ranges) + 32768, "and one header"
    # blocks of a row lie side by side in the file
    assert len(ranges) == len({number // layout.across for number in needed}) and traffic.requests == len(ranges) + 1


def test_ranges_stay_within_their_size(folder: Path, ranges: list[Range], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "_RANGE_BYTES", 70_000)
    np.testing.assert_array_equal(by_reader(ask_of(folder, 1))[0], truth_of(folder, 1))
    assert max(size for _, _, size in ranges) <= 70_000 and len(ranges) > 6
    monkeypatch.setattr(blocks, "_RANGE_BYTES", 1)  # smaller than any block: one by one
    np.testing.assert_array_equal(by_reader(ask_of(folder, 1))[0], truth_of(folder, 1))
    monkeypatch.setattr(blocks, "_RANGE_BYTES", 1 << 30)
    monkeypatch.setattr(blocks, "_GAP_BYTES", 1 << 30)
    ranges.clear()
    np.testing.assert_array_equal(by_reader(ask_of(folder, 1))[0], truth_of(folder, 1))
    assert len(ranges) == 1


def test_answers_come_in_the_order_of_the_asks(folder: Path):
    order = [3, 0, 5, 0, 1, 4, 2]
    reader = ImageryReader(2)
    seen = list(reader.read([ask_of(folder, at) for at in order], lambda _ask, _box, pixels: pixels))
    assert [ask for ask, _, _ in seen] == [ask for ask in range(7) for _ in range(5)]
    for ask in range(7):
        found = {box: pixels for at, box, pixels in seen if at == ask}
        np.testing.assert_array_equal(np.array([found[box] for box in range(5)]), truth_of(folder, order[ask]))


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("in_flight", [1, 100_000, 1 << 30])
def test_neither_threads_nor_bytes_in_flight_change_anything(
    threads: int, in_flight: int, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reader_module, "_IN_FLIGHT", in_flight)
    reader = ImageryReader(threads)
    found = np.zeros((6, 5, 96, 96), np.uint16)
    for ask, box, pixels in reader.read((ask_of(folder, at) for at in range(6)), lambda _ask, _box, pixels: pixels):
        found[ask, box] = pixels
    np.testing.assert_array_equal(found, np.array([truth_of(folder, at) for at in range(6)]))
    assert reader.traffic.retries == 0


def test_bytes_in_flight_are_bounded_while_nobody_takes_them(
    folder: Path, ranges: list[Range], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reader_module, "_IN_FLIGHT", 300_000)
    reading = ImageryReader(2).read((ask_of(folder, at % 6) for at in range(60)), lambda _ask, _box, _pixels: None)
    next(reading)
    time.sleep(0.3)
    assert sum(size for _, _, size in ranges) <= 300_000 + max(size for _, _, size in ranges)
    taken = len(ranges)
    for _ in zip(range(40), reading, strict=False):
        pass
    assert len(ranges) > taken, "and more come as they are taken"
    reading.close()


def test_asks_are_taken_as_they_are_needed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reader_module, "_IN_FLIGHT", 1)
    drawn: list[int] = []

    def asks() -> Iterator[Ask]:
        at = 0
        while True:  # would never end if it were drained
            drawn.append(at)
            yield ask_of(folder, at % 6)
            at += 1

    reading = ImageryReader(1).read(asks(), lambda _ask, _box, _pixels: None)
    for ask, _, _ in reading:
        assert len(drawn) <= ask + 2 * reader_module._OPENED_AHEAD + 2
        if ask == 40:
            break
    reading.close()


def missing(folder: Path) -> Ask:
    return Ask(GRID.asset(folder / "none.tif", scene="gone"), ask_of(folder, 0).boxes, np.dtype("uint16"))


@pytest.mark.parametrize("at", [0, 1, 4, 9])
def test_a_broken_asset_is_told_after_all_that_was_asked_before_it(at: int, folder: Path):
    asks = [ask_of(folder, each % 6) for each in range(10)]
    asks[at] = missing(folder)
    reader = ImageryReader(2)
    seen: list[tuple[int, int]] = []
    with pytest.raises(BrokenAssetError, match="B02 is gone") as raised:
        for ask, box, pixels in reader.read(asks, lambda _ask, _box, pixels: pixels):
            np.testing.assert_array_equal(pixels, truth_of(folder, ask % 6)[box])
            seen.append((ask, box))
    assert raised.value.scene_id == "gone"
    assert sorted(seen) == [(ask, box) for ask in range(at) for box in range(5)]
    rest = list(reader.read(asks[at + 1 :], lambda _ask, _box, pixels: int(pixels.sum())))
    assert len(rest) == 5 * (9 - at), "the same reader goes on with the rest"


def workers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith(("fetch", "decode"))]


def test_a_reader_closed_early_ends_its_threads(folder: Path):
    for taken in (0, 1, 7):
        reading = ImageryReader(2).read(
            (ask_of(folder, at % 6) for at in range(600)), lambda _ask, _box, pixels: pixels
        )
        for _ in zip(range(taken), reading, strict=False):
            pass
        start = time.monotonic()
        reading.close()
        assert time.monotonic() - start < 5 and not workers()


@pytest.mark.parametrize("raised", [ZeroDivisionError("mine"), TilewrightError("mine"), RuntimeError("mine")])
@pytest.mark.parametrize("at", [0, 3])
def test_an_error_of_the_one_who_finishes_is_passed_on(raised: Exception, at: int, folder: Path):
    def finish(ask: int, box: int, pixels: np.ndarray) -> int:
        if (ask, box) == (at, 2):
            raise raised
        return 1

    with pytest.raises(type(raised), match="mine"):
        list(ImageryReader(2).read((ask_of(folder, each % 6) for each in range(20)), finish))
    assert not workers()


def test_an_error_of_the_asks_is_passed_on(folder: Path):
    def asks() -> Iterator[Ask]:
        yield ask_of(folder, 0)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        list(ImageryReader(2).read(asks(), lambda _ask, _box, _pixels: None))
    assert not workers()


def test_nothing_asked_is_nothing_read(folder: Path):
    reader = ImageryReader(1)
    assert list(reader.read([], lambda _ask, _box, _pixels: None)) == []
    none = ask_of(folder, 0, (), ())
    assert list(reader.read([none, none], lambda _ask, _box, _pixels: None)) == []


def test_pixels_are_the_finishers_own(folder: Path):
    """A buffer that is decoded into again must not show in what was given before."""
    kept: list[np.ndarray] = []
    keep: Callable[[int, int, np.ndarray], None] = lambda _ask, _box, pixels: kept.append(pixels)  # noqa: E731
    list(ImageryReader(1).read([ask_of(folder, 2)], keep))
    assert all(pixels.flags.owndata and pixels.flags.writeable for pixels in kept)
    found = sorted(pixels.sum() for pixels in kept)
    assert found == sorted(each.sum() for each in truth_of(folder, 2))


def test_noise_is_worth_testing_with():
    assert len(np.unique(noise(GRID, "uint16"))) > 10_000


@pytest.mark.parametrize("sparse", [False, True])
def test_pixels_that_nobody_takes_are_bounded_too(sparse: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Classes are packed to a hundredth, blocks that were never written to nothing: their pixels are not."""
    monkeypatch.setattr(reader_module, "_IN_FLIGHT", 500_000)
    pixels = np.full((GRID.rows, GRID.cols), 0 if sparse else 4, np.uint8)
    options: dict[str, Any] = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    path = write_gdal(tmp_path / "SCL.tif", pixels, GRID, SPARSE_OK=str(sparse).upper(), **options)
    rows, cols = zip(*[(row, col) for row in range(0, 500, 96) for col in range(0, 600, 96)], strict=True)
    ask = Ask(GRID.asset(path), GRID.boxes(rows, cols, 96), np.dtype("uint8"))
    made = Counter[int]()

    def finish(ask: int, box: int, pixels: np.ndarray) -> np.ndarray:
        made[ask] += pixels.nbytes
        return pixels

    reading = ImageryReader(2).read((ask for _ in range(100)), finish)
    next(reading)
    time.sleep(0.3)
    assert sum(made.values()) <= 500_000 + 2 * 96 * 96 * len(rows)
    assert sum(1 for _ in reading) == 100 * len(rows) - 1
