"""Parts of an acquisition as one: by brute force, whatever order and thread the parts arrive in."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, data, integers, lists, sampled_from

from rasters import Grid, write_gdal
from tilewright.grid import Boxes
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Mosaic, Prepared, Traffic, mosaic, read_mosaics

SIDE = 3


class Drawn:
    """A reader of given pixels that finishes boxes in a given order, several at a time, and looks ahead as far as it may."""

    version = "drawn"

    def __init__(
        self, pixels: dict[str, np.ndarray], order: Callable[[int], list[int]], ahead: int, threads: int
    ) -> None:
        self.traffic = Traffic()
        self._pixels = pixels
        self._order = order
        self._ahead = ahead
        self._threads = threads

    def read(
        self, asks: Iterable[Ask], finish: Callable[[int, int, np.ndarray], Any]
    ) -> Iterator[tuple[int, int, Any]]:
        numbered = iter(enumerate(asks))
        with ThreadPoolExecutor(self._threads) as pool:
            while batch := [one for _, one in zip(range(self._ahead), numbered, strict=False)]:
                work = [(at, box, self._of(ask, box)) for at, ask in batch for box in range(len(ask.boxes))]
                begun = {}
                for place in self._order(len(work)):
                    begun[work[place][:2]] = pool.submit(finish, *work[place])
                for at, box, _ in work:
                    yield at, box, begun[at, box].result()

    def _of(self, ask: Ask, box: int) -> np.ndarray:
        return self._pixels[ask.asset.scene_id][int(ask.boxes.ulx[box])].copy()


def asks_of(name: str, parts: int, boxes: int, dtype: str) -> Mosaic:
    """A mosaic whose boxes say by their place which they are, in an order that is not the order of places."""
    at = np.argsort(np.random.default_rng(boxes).random(boxes)).astype(np.float64)
    where = Boxes(32633, 10, SIDE, at, np.zeros(boxes))
    return Mosaic(
        tuple(Ask(Grid(9, 9).asset("x", scene=f"{name}.{part}"), where, np.dtype(dtype)) for part in range(parts))
    )


def empty(pixels: np.ndarray) -> np.ndarray:
    return np.isnan(pixels) if pixels.dtype.kind == "f" else pixels == 0


def brute(parts: list[np.ndarray], prepare: Callable[[int, np.ndarray], Prepared]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, and flags of those that are not empty: slow and plain."""
    ready = [prepare(part, pixels) for part, pixels in enumerate(parts)]
    found, flags = ready[0].pixels.copy(), np.zeros(parts[0].shape, bool)
    for row, col in np.ndindex(found.shape):
        for pixels, raised in ready:
            if not empty(pixels)[row, col]:
                found[row, col] = pixels[row, col]
                flags[row, col] = raised is not None and raised[row, col]
                break
    return found, flags


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(given=data(), dtype=sampled_from(["uint16", "float32"]), threads=integers(1, 4), ahead=integers(1, 9))
def test_as_by_brute_force_in_whatever_order(given: DataObject, dtype: str, threads: int, ahead: int):
    draw = given.draw
    shape = draw(lists(st.tuples(integers(1, 4), integers(0, 5)), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(integers(0, 999)))
    mosaics = [asks_of(str(at), parts, boxes, dtype) for at, (parts, boxes) in enumerate(shape)]
    pixels = {}
    for at, (parts, boxes) in enumerate(shape):
        for part in range(parts):
            made = rng.integers(1, 999, (boxes, SIDE, SIDE)).astype(dtype)
            made[rng.random(made.shape) < draw(sampled_from([0, 0.05, 0.6, 1]))] = np.nan if dtype == "float32" else 0
            pixels[f"{at}.{part}"] = made

    def prepare(at: int, part: int, given: np.ndarray) -> Prepared:
        """The part's own offset, and a flag for odd numbers; none of a third part."""
        moved = np.where(empty(given), given, given + 1000 * part + 7).astype(given.dtype)
        return Prepared(moved, None if part == 2 else np.nan_to_num(given).astype(int) % 2 == 1)

    def finish(at: int, box: int, joined: Prepared) -> Prepared:
        joined.pixels.flat[0] += 0  # its own to keep, and to write to
        return joined

    def order(count: int) -> list[int]:
        return rng.permutation(count).tolist()

    found, places = {}, []
    for at, box, joined in read_mosaics(Drawn(pixels, order, ahead, threads), mosaics, prepare, finish):
        assert (at, box) not in found, "each box once"
        found[at, box] = joined
        places.append(at)
    assert places == sorted(places)
    assert sorted(found) == [(at, box) for at, (_, boxes) in enumerate(shape) for box in range(boxes)]
    for (at, box), joined in found.items():
        which = int(mosaics[at].parts[0].boxes.ulx[box])
        parts = [pixels[f"{at}.{part}"][which] for part in range(shape[at][0])]
        truth, flags = brute(parts, lambda part, given, at=at: prepare(at, part, given))
        np.testing.assert_array_equal(joined.pixels, truth)
        assert joined.pixels.dtype == dtype
        raised = np.zeros(truth.shape, bool) if joined.flags is None else joined.flags
        np.testing.assert_array_equal(raised & ~empty(truth), flags)


def test_a_box_that_the_first_part_fills_waits_for_no_other():
    """The second part is not even prepared where the first is there before; boxes come out before the second part has begun."""
    pixels = {"0.0": np.full((3, SIDE, SIDE), 5, np.uint16), "0.1": np.full((3, SIDE, SIDE), 9, np.uint16)}
    pixels["0.0"][1, 0, 0] = 0
    prepared = []

    def prepare(at: int, part: int, given: np.ndarray) -> Prepared:
        prepared.append(part)
        return Prepared(given, None)

    reader = Drawn(pixels, lambda count: list(range(count)), 1, 1)
    answers = read_mosaics(reader, [asks_of("0", 2, 3, "uint16")], prepare, lambda at, box, joined: joined.pixels)
    next(answers)
    assert 1 not in prepared
    rest = [found for *_, found in answers]
    assert prepared == [0, 0, 0, 1]
    assert sorted(int(found.sum()) for found in rest) == [45, 49]


@pytest.mark.parametrize("part_empty", [True, False])
def test_what_waits_is_bounded_and_emptiness_costs_nothing(part_empty: bool, monkeypatch: pytest.MonkeyPatch):
    """Boxes wholly empty wait as a single number; of those with gaps only as many as are read together."""
    monkeypatch.setattr(mosaic, "_TOGETHER", 10 * SIDE**2 * 2)
    pixels = {"0.0": np.zeros((35, SIDE, SIDE), np.uint16), "0.1": np.ones((35, SIDE, SIDE), np.uint16)}
    if not part_empty:
        pixels["0.0"][:, 1:, :] = 3
    waiting, asked = [], []
    light = mosaic._light

    def counted(prepared: Prepared) -> Prepared:
        found = light(prepared)
        waiting.append(found.pixels.strides == (0, 0))
        return found

    monkeypatch.setattr(mosaic, "_light", counted)

    class Watched(Drawn):
        def read(self, asks: Iterable[Ask], finish: Any) -> Iterator[tuple[int, int, Any]]:
            def seen() -> Iterator[Ask]:
                for ask in asks:
                    asked.append((ask.asset.scene_id, len(ask.boxes)))
                    yield ask

            return super().read(seen(), finish)

    reader = Watched(pixels, lambda count: list(range(count)), 1, 1)
    found = list(
        read_mosaics(
            reader, [asks_of("0", 2, 35, "uint16")], lambda at, part, given: Prepared(given, None),
            lambda at, box, joined: int(joined.pixels.sum()),
        )
    )  # fmt: skip
    assert asked == [(f"0.{part}", boxes) for boxes in (10, 10, 10, 5) for part in (0, 1)]
    assert waiting.count(True) == (35 if part_empty else 0)
    assert sorted(box for _, box, _ in found) == list(range(35))
    assert {total for *_, total in found} == {9 if part_empty else 3 + 18}


def test_single_parts_are_asked_as_they_are():
    one = asks_of("0", 1, 4, "uint16")
    seen = []

    class Watched(Drawn):
        def read(self, asks: Iterable[Ask], finish: Any) -> Iterator[tuple[int, int, Any]]:
            def each() -> Iterator[Ask]:
                for ask in asks:
                    seen.append(ask)
                    yield ask

            return super().read(each(), finish)

    pixels = {"0.0": np.zeros((4, SIDE, SIDE), np.uint16)}
    given = []
    reader = Watched(pixels, lambda count: list(range(count)), 1, 1)
    for _ in read_mosaics(
        reader, [one], lambda at, part, found: (given.append(found), Prepared(found, None))[1],
        lambda at, box, joined: given.append(joined.pixels),
    ):  # fmt: skip
        pass
    assert seen == [one.parts[0]] and seen[0] is one.parts[0]
    assert given[0] is given[1], "nothing is copied"


def test_through_the_reader_with_many_threads(tmp_path: Path):
    """Two halves of a scene that overlap, cut askew, with dark pixels: the same arrays at any number of threads."""
    grid = Grid(700, 700)
    rng = np.random.default_rng(1)
    row, col = np.indices((700, 700))
    halves = []
    for number, inside in enumerate([col + row // 4 < 400, col + row // 4 > 380]):
        pixels = np.where(inside, rng.integers(1000 * number + 1, 1000 * number + 900, inside.shape), 0).astype(
            np.uint16
        )
        pixels[rng.random(pixels.shape) < 0.001] = 0
        path = tmp_path / f"{number}.tif"
        write_gdal(path, pixels, grid, tiled=True, blockxsize=128, blockysize=128, compress="deflate")
        halves.append((pixels, path))
    rows, cols = np.divmod(np.arange(100), 10) * np.array([[67], [67]])
    boxes = grid.boxes(rows.tolist(), cols.tolist(), 80)
    parts = tuple(
        Ask(grid.asset(path, scene=f"part{at}"), boxes, np.dtype("uint16")) for at, (_, path) in enumerate(halves)
    )
    whole = np.where(halves[0][0] > 0, halves[0][0], halves[1][0])
    for threads in (1, 4):
        idents = set()

        def finish(at: int, box: int, joined: Prepared, idents: set[int] = idents) -> np.ndarray:
            idents.add(threading.get_ident())
            return joined.pixels

        found = {}
        for at, box, pixels in read_mosaics(
            ImageryReader(threads),
            [Mosaic(parts), Mosaic(parts[:1])],
            lambda at, part, given: Prepared(given, None),
            finish,
        ):
            found[at, box] = pixels
        assert len(found) == 200
        assert threading.get_ident() not in idents, "finished in the reader's threads"
        for (at, box), pixels in found.items():
            r, c = int(rows[box]), int(cols[box])
            truth = (whole if at == 0 else halves[0][0])[r : r + 80, c : c + 80]
            expected = np.zeros((80, 80), np.uint16)
            expected[: truth.shape[0], : truth.shape[1]] = truth
            np.testing.assert_array_equal(pixels, expected)


def test_a_broken_part_is_named_after_what_was_asked_before(tmp_path: Path):
    grid = Grid(200, 200)
    good = write_gdal(tmp_path / "good.tif", np.full((200, 200), 5, np.uint16), grid)
    boxes = grid.boxes([0, 50], [0, 50], 60)
    asks = [
        Ask(grid.asset(path, scene=name), boxes, np.dtype("uint16"))
        for name, path in (("a", good), ("b", good), ("c", tmp_path / "gone.tif"))
    ]
    seen = []
    with pytest.raises(BrokenAssetError) as raised:
        for at, _, _ in read_mosaics(
            ImageryReader(), [Mosaic((asks[0],)), Mosaic((asks[1], asks[2]))],
            lambda at, part, given: Prepared(given, None), lambda at, box, joined: None,
        ):  # fmt: skip
            seen.append(at)
    assert raised.value.scene_id == "c"
    assert seen[:2] == [0, 0] and set(seen) <= {0, 1}
