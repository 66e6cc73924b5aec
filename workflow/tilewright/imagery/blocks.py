"""The block reader: each block that any box needs is fetched once, decoded once, and scattered into the boxes."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np

from tilewright.imagery.decode import CorruptBlockError, Decoder
from tilewright.imagery.layout import HEAD_BYTES, CorruptHeaderError, Layout, read_layout
from tilewright.imagery.patience import Evidence, Verdict, patiently
from tilewright.imagery.protocol import Ask
from tilewright.imagery.scatter import Patches, lay
from tilewright.imagery.source import Source, WrongBytesError, judge_of
from tilewright.imagery.traffic import Traffic

T = TypeVar("T")

# Neighbours in the file are one request up to this size: large enough that 40 ms of latency are small beside the
# transfer, small enough that many are in flight at a time.
_RANGE_BYTES: Final = 4 << 20
_GAP_BYTES: Final = 4096  # GDAL's COGs have 8 bytes between blocks; to fetch a little costs less than to ask again


@dataclass(frozen=True)
class BlockAsset:
    """An asset opened for reading by blocks: the boxes wanted are on its grid, or can be made of windows of it.

    Attributes:
        made: makes a box at a place of its window; None where the window is the box.
    """

    ask: Ask
    source: Source
    layout: Layout
    patches: Patches
    made: Callable[[int, np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Span:
    """Blocks that lie side by side in the file: one request.

    Attributes:
        places: of the blocks in the plan.
    """

    places: list[int]
    start: int
    size: int


def open_layout(ask: Ask, source: Source, traffic: Traffic, stop: threading.Event) -> Layout | None:
    """The asset's layout; None where GDAL must read it.

    Raises:
        BrokenAssetError: where the file is gone, or ends before a block that the header promises.
    """
    judge = _also_corrupt(judge_of(ask.asset))

    def look() -> Layout | None:
        head, size = source.head(HEAD_BYTES)
        layout = read_layout(head, size, source.get)
        if layout is not None:
            _check(layout, size)
        return layout

    return patiently(ask.asset, look, judge, traffic, stop, where="at its header")


def _check(layout: Layout, size: int) -> None:
    """Refuse a header that names bytes that a file of `size` bytes has not, or blocks that no compression makes so large.

    Raises:
        CorruptBlockError: naming the block.
    """
    raw = layout.block[0] * layout.block[1] * layout.dtype.itemsize
    # compared so that no sum overflows; LZW makes noise half as large again, the others hardly larger
    odd = (layout.counts < 0) | (layout.counts > 2 * raw + 1024)
    beyond = (layout.counts > 0) & ((layout.offsets <= 0) | (layout.offsets > size - layout.counts))
    if (odd | beyond).any():
        number = int(np.flatnonzero(odd | beyond)[0])
        what = f"block {number} of {layout.counts[number]} bytes at byte {layout.offsets[number]}"
        raise CorruptBlockError(
            f"{what} does not lie in a file of {size} bytes" if beyond[number] else f"{what}: too large"
        )


def lay_out(
    ask: Ask, source: Source, layout: Layout, windows: tuple[np.ndarray, np.ndarray], side: int, dtype: np.dtype,
    made: Callable[[int, np.ndarray], np.ndarray] | None = None,
) -> BlockAsset:  # fmt: skip
    """The asset with its boxes' windows, of `side` pixels of `dtype`, laid over its blocks."""
    rows, cols = windows
    shape = (int(layout.grid.shape[0]), int(layout.grid.shape[1]))
    plan = lay(rows, cols, side, shape, layout.block)
    return BlockAsset(ask, source, layout, Patches(plan, rows, cols, side, shape, dtype), made)


def spans(asset: BlockAsset) -> Iterator[Span]:
    """The requests that bring every wanted block once; blocks that were never written (size 0) are in a span of no bytes."""
    places: list[int] = []
    start = end = 0
    numbers = asset.patches.plan.blocks
    located = zip(asset.layout.offsets[numbers].tolist(), asset.layout.counts[numbers].tolist(), strict=True)
    for place, (offset, count) in enumerate(located):
        near = 0 <= offset - end <= _GAP_BYTES and offset + count - start <= _RANGE_BYTES
        if places and not (near and count and end):
            yield Span(places, start, end - start)
            places = []
        if not places:
            start = offset if count else 0
        places.append(place)
        end = offset + count if count else 0
    if places:
        yield Span(places, start, end - start)


class SpanWork(Generic[T]):
    """One span on its way: fetched in one pool, its blocks decoded in another, results taken in order."""

    def __init__(
        self,
        asset: BlockAsset,
        span: Span,
        finish: Callable[[int, np.ndarray], T],
        decoder: Decoder,
        traffic: Traffic,
        stop: threading.Event,
    ) -> None:
        # What it weighs: classes of a scene are a hundredth of their pixels when packed, and the pixels wait too.
        self.size = max(span.size, asset.patches.plan.pixels(span.places) * asset.ask.dtype.itemsize)
        self._asset = asset
        self._span = span
        self._finish = finish
        self._decoder = decoder
        self._traffic = traffic
        self._stop = stop
        self._judge = _also_corrupt(judge_of(asset.ask.asset))
        self._fetched: Future[list[Future[list[tuple[int, T]]]]] | None = None

    def start(self, fetchers: Executor, decoders: Executor) -> None:
        """Begin to fetch; decoding begins as soon as the bytes are there."""
        self._fetched = fetchers.submit(self._fetch, decoders)

    def results(self) -> Iterator[tuple[int, T]]:
        """The boxes that this span's blocks completed, when they are done.

        Raises:
            BrokenAssetError, TilewrightError: see `Reader.read`.
        """
        assert self._fetched is not None
        for decoded in self._fetched.result():
            yield from decoded.result()

    def _fetch(self, decoders: Executor) -> list[Future[list[tuple[int, T]]]]:
        span = self._span
        if span.size == 0:
            return [decoders.submit(self._decode, place, None) for place in span.places]
        data = self._get(span.start, span.size)
        return [decoders.submit(self._decode, place, self._part(data, place)) for place in span.places]

    def _get(self, start: int, size: int) -> memoryview:
        of = self._asset
        return patiently(
            of.ask.asset, lambda: of.source.get(start, size), self._judge, self._traffic, self._stop,
            where=f"at byte {start}",
        )  # fmt: skip

    def _place(self, place: int) -> tuple[int, int, int]:
        """Number, offset and size of a block."""
        number = int(self._asset.patches.plan.blocks[place])
        return number, int(self._asset.layout.offsets[number]), int(self._asset.layout.counts[number])

    def _part(self, data: memoryview, place: int) -> memoryview:
        _, offset, count = self._place(place)
        return data[offset - self._span.start : offset - self._span.start + count]

    def _decode(self, place: int, data: memoryview | None) -> list[tuple[int, T]]:
        """Decode a block (again from bytes fetched anew, where they are corrupt) and finish the boxes it completes."""
        if self._stop.is_set():
            return []
        layout = self._asset.layout
        number, offset, count = self._place(place)
        row, col = number // layout.across * layout.block[0], number % layout.across * layout.block[1]
        top, bottom, right = self._asset.patches.plan.used(place)
        part = (slice(top - row, bottom - row), slice(0, right - col))
        if data is None:
            pixels = np.full(layout.block_shape(number), layout.fill).astype(layout.dtype)
        else:
            try:
                pixels = self._decoder.decode(layout, number, data, *part)
            except CorruptBlockError:
                self._traffic.add(retries=1)
                pixels = patiently(
                    self._asset.ask.asset, lambda: self._again(number, offset, count), self._judge, self._traffic,
                    self._stop, seen_corrupt=1, where=f"at byte {offset}",
                )  # fmt: skip
        self._traffic.add(blocks=1, bytes_needed=count)
        return [(box, self._finish(box, patch)) for box, patch in self._asset.patches.put(place, pixels, row, col)]

    def _again(self, number: int, offset: int, count: int) -> np.ndarray:
        of = self._asset
        try:
            return self._decoder.decode(of.layout, number, of.source.get(offset, count))
        except CorruptBlockError as error:
            source = of.source.anew()
            head, size = source.head(HEAD_BYTES)
            now = read_layout(head, size, source.get)
            if now is None or (now.offsets[number], now.counts[number]) != (offset, count):
                raise WrongBytesError(
                    f"the file changed while it was read; block {number} was at byte {offset}"
                ) from error
            raise CorruptBlockError(f"block {number} at byte {offset}: {error}") from error


def _also_corrupt(judge: Callable[[Exception], Verdict]) -> Callable[[Exception], Verdict]:
    def judged(error: Exception) -> Verdict:
        corrupt = isinstance(error, (CorruptBlockError, CorruptHeaderError))
        return Verdict(Evidence.CORRUPT, str(error)) if corrupt else judge(error)

    return judged
