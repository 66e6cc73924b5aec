"""Parts of one acquisition as one: where a part is empty, the next part's pixel serves."""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np

from tilewright.imagery.protocol import Ask, Reader

T = TypeVar("T")

_TOGETHER: Final = 64 << 20  # bytes of boxes that wait for further parts at a time


class Prepared(NamedTuple):
    """Pixels of a box, ready to be joined.

    Attributes:
        pixels: (height, width); 0 is empty, of floats NaN and not 0.
        flags: (height, width) bool that go with the pixels; None where none is set. Of an empty pixel a flag means nothing.
    """

    pixels: np.ndarray
    flags: np.ndarray | None


@dataclass(frozen=True)
class Mosaic:
    """What is wanted of one acquisition.

    Attributes:
        parts: one ask each, the first to be believed first; all of the same boxes and the same dtype.
    """

    parts: tuple[Ask, ...]


def read_mosaics(
    reader: Reader,
    mosaics: Iterable[Mosaic],
    prepare: Callable[[int, int, np.ndarray], Prepared],
    finish: Callable[[int, int, Prepared], T],
) -> Iterator[tuple[int, int, T]]:
    """Yield (place in `mosaics`, place in its boxes, what `finish` made) once for every box of every mosaic.

    Mosaics are answered in their order, the boxes of one in any. A box that a part fills waits for no later part. What waits is
    bounded: mosaics of several parts are read some boxes at a time.

    Args:
        prepare: makes a part's pixels comparable; gets the places of mosaic and part, and the pixels, its own to keep. Called in several
            threads, and not for what no longer matters.
        finish: gets the places of mosaic and box, and the joined pixels, its own to keep. Called in several threads.

    Raises:
        BrokenAssetError: naming the part's scene, after everything of the mosaics before was yielded.
        TilewrightError: see `Reader.read`.
    """
    turns: dict[int, _Turn] = {}

    def asks() -> Iterator[Ask]:
        for place, mosaic in enumerate(mosaics):
            for turn, ask in _turns(place, mosaic):
                turns[len(turns) + answered] = turn
                yield ask

    def read(at: int, box: int, pixels: np.ndarray) -> tuple[T] | None:
        turn = turns[at]
        if turn.waiting is None:
            return (finish(turn.mosaic, box, prepare(turn.mosaic, turn.part, pixels)),)
        if turn.waiting.decided(box):
            return None
        joined = turn.waiting.join(box, turn.part, prepare(turn.mosaic, turn.part, pixels))
        return None if joined is None else (finish(turn.mosaic, turn.place(box), joined),)

    answered = 0  # asks that are done and forgotten
    for at, box, made in reader.read(asks(), read):
        while answered < at:
            del turns[answered]
            answered += 1
        if made is not None:
            yield turns[at].mosaic, turns[at].place(box), made[0]


class _Waiting:
    """Boxes whose parts arrive in any order, from any thread."""

    def __init__(self, boxes: int, parts: int) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._arrived: list[dict[int, Prepared]] = [{} for _ in range(boxes)]  # parts that wait for one before
        self._joined: list[Prepared | None] = [None] * boxes
        self._next = [0] * boxes  # the part that the joined ones lack; beyond all where the box is decided

    def decided(self, box: int) -> bool:
        """Whether no further part can matter."""
        return self._next[box] == self._parts

    def join(self, box: int, part: int, prepared: Prepared) -> Prepared | None:
        """The box, where it is decided by this part's coming: by parts that fill it, or by all."""
        prepared = _light(prepared)
        with self._lock:
            if self.decided(box):
                return None
            self._arrived[box][part] = prepared
            while (following := self._arrived[box].pop(self._next[box], None)) is not None:
                before = self._joined[box]
                joined = self._joined[box] = following if before is None else _over(before, following)
                self._next[box] += 1
                if self.decided(box) or not _empty(joined.pixels).any():
                    self._next[box], self._joined[box] = self._parts, None
                    self._arrived[box].clear()
                    return joined if joined.pixels.flags.writeable else Prepared(joined.pixels.copy(), None)
        return None


@dataclass(frozen=True)
class _Turn:
    """What an ask is of: its mosaic, part and boxes, and, of several parts, what they wait in."""

    mosaic: int
    part: int
    places: np.ndarray
    waiting: _Waiting | None

    def place(self, box: int) -> int:
        """The box's place in the mosaic."""
        return int(self.places[box])


def _turns(place: int, mosaic: Mosaic) -> Iterator[tuple[_Turn, Ask]]:
    """The asks of a mosaic, all parts of some boxes after all parts of others."""
    first = mosaic.parts[0]
    boxes = first.boxes
    if len(mosaic.parts) == 1:
        yield _Turn(place, 0, np.arange(len(boxes)), None), first
        return
    # neighbours together: their blocks are then read for few groups
    order = np.lexsort((boxes.ulx, -boxes.uly))
    together = max(1, _TOGETHER // (boxes.side**2 * first.dtype.itemsize))
    for start in range(0, len(order), together):
        places = order[start : start + together]
        waiting = _Waiting(len(places), len(mosaic.parts))
        for part, ask in enumerate(mosaic.parts):
            yield _Turn(place, part, places, waiting), dataclasses.replace(ask, boxes=ask.boxes.take(places))


def _over(upper: Prepared, lower: Prepared) -> Prepared:
    """Two parts joined: the lower one shows where the upper one is empty."""
    shows = _empty(upper.pixels)
    flags = None
    if upper.flags is not None or lower.flags is not None:
        none = np.zeros(shows.shape, bool)
        flags = np.where(
            shows, none if lower.flags is None else lower.flags, none if upper.flags is None else upper.flags
        )
    return Prepared(np.where(shows, lower.pixels, upper.pixels), flags)


def _light(prepared: Prepared) -> Prepared:
    """The same; where it is wholly empty, of a single number, so that waiting costs nothing."""
    if not _empty(prepared.pixels).all():
        return prepared
    kind = prepared.pixels.dtype
    return Prepared(np.broadcast_to(np.array(np.nan if kind.kind == "f" else 0, kind), prepared.pixels.shape), None)


def _empty(pixels: np.ndarray) -> np.ndarray:
    return np.isnan(pixels) if pixels.dtype.kind == "f" else pixels == 0
