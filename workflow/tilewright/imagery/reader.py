"""The reader of the stages: by blocks where an asset is an ordinary TIFF on the boxes' grid, else through GDAL.

What an asset is decides, not its name. Radar is read the same way, and made of windows of its files. Assets are opened
ahead and ranges fetched ahead, so that latency is waited for once and not once an asset; what is in flight is bounded in
bytes.
"""

import dataclasses
import importlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

import numpy as np

from tilewright.config.provider import CollectionAccess
from tilewright.imagery.access import RefusedError
from tilewright.imagery.blocks import BlockAsset, SpanWork, lay_out, open_layout, spans
from tilewright.imagery.decode import Decoder
from tilewright.imagery.gdal import GdalReader
from tilewright.imagery.patience import refused_error
from tilewright.imagery.protocol import Ask, BrokenAssetError
from tilewright.imagery.radar import RadarReader, Raster, way
from tilewright.imagery.source import Stores
from tilewright.imagery.traffic import Traffic

T = TypeVar("T")

_FETCHERS: Final = 16  # requests at a time, to one server as a rule; they wait, they do not compute
_OPENED_AHEAD: Final = 16  # assets whose headers are fetched before their turn
_IN_FLIGHT: Final = 64 << 20  # bytes fetched, or being fetched, or of pixels made and not yet taken


@dataclass(frozen=True)
class _Turn(Generic[T]):
    """A part of an ask: what it weighs in flight, how to set it off, and its results when their turn has come."""

    at: int
    size: int
    start: Callable[[], None]
    results: Callable[[], Iterator[tuple[int, T]]]


class ImageryReader:
    """Reads any asset; see `Reader`."""

    version = "imagery-1"

    def __init__(self, threads: int = 1, access: Mapping[str, CollectionAccess] | None = None) -> None:
        """Make ready; nothing is opened yet.

        Args:
            threads: how many decode at a time.
            access: how the assets of each collection are opened, and which may be. None: the caller vouches for its assets.
        """
        self.traffic = Traffic()
        self._threads = threads
        self._stores = Stores(self.traffic, access)
        self._decoder = Decoder()

    def read(self, asks: Iterable[Ask], finish: Callable[[int, int, np.ndarray], T]) -> Iterator[tuple[int, int, T]]:
        """See `Reader.read`."""
        stop = threading.Event()
        fetchers = ThreadPoolExecutor(_FETCHERS, "fetch")
        decoders = ThreadPoolExecutor(self._threads, "decode")
        try:
            yield from self._pipeline(asks, finish, fetchers, decoders, stop)
        finally:
            stop.set()
            fetchers.shutdown(cancel_futures=True)
            decoders.shutdown(cancel_futures=True)

    def _pipeline(
        self, asks: Iterable[Ask], finish: Callable[[int, int, np.ndarray], T], fetchers: Executor, decoders: Executor,
        stop: threading.Event,
    ) -> Iterator[tuple[int, int, T]]:  # fmt: skip
        """Answer the asks in order, with later ones' headers and bytes on their way."""
        opening: deque[tuple[int, Future[BlockAsset | GdalReader]]] = deque()
        planned: deque[_Turn[T]] = deque()
        running: deque[_Turn[T]] = deque()
        upcoming = iter(enumerate(asks))
        held = 0

        def turns(at: int, opened: Future[BlockAsset | GdalReader]) -> list[_Turn[T]]:
            return self._turns(at, opened, partial(finish, at), fetchers, decoders, stop)

        while True:
            while len(opening) < _OPENED_AHEAD and (following := next(upcoming, None)):
                _import_for(following[1])
                opening.append((following[0], fetchers.submit(self._open, following[1], stop)))
            while planned or (opening and (opening[0][1].done() or not running)):
                if not planned:
                    planned.extend(turns(*opening.popleft()))
                    continue
                if running and held + planned[0].size > _IN_FLIGHT:
                    break
                running.append(planned.popleft())
                running[-1].start()
                held += running[-1].size
            if not running:
                return
            turn = running.popleft()
            for box, made in turn.results():
                yield turn.at, box, made
            held -= turn.size

    def _open(self, ask: Ask, stop: threading.Event) -> BlockAsset | GdalReader:
        """Look at the asset's header and decide who reads it."""
        try:
            ask = dataclasses.replace(ask, asset=self._stores.opened(ask.asset))
            source, drivers = self._stores.source(ask.asset), self._stores.drivers(ask.asset)
        except RefusedError as error:
            raise refused_error(ask.asset, str(error)) from error
        except ValueError as error:
            raise BrokenAssetError(ask.asset.scene_id, ask.asset.band, "has no usable address") from error
        own = source.anew("other_bytes")
        if ask.quantity == "pixels":
            other = GdalReader(ask, self.traffic, self._threads, stop, own, drivers)
        else:
            other = RadarReader(ask, self.traffic, self._threads, stop, own, drivers, self._stores)
        # a collection of JPEG 2000 has no headers of TIFF to look at
        layout = open_layout(ask, source, self.traffic, stop) if "GTiff" in drivers else None
        if layout is None:
            return other
        if ask.quantity != "pixels":
            how = way(ask, Raster.of(layout), self._stores, stop)
            return lay_out(ask, source, layout, (how.rows, how.columns), how.side, layout.dtype, how.made)
        if not np.can_cast(layout.dtype, ask.dtype, "safe"):
            raise BrokenAssetError(ask.asset.scene_id, ask.asset.band, f"holds {layout.dtype} instead of {ask.dtype}")
        windows = ask.boxes.windows_in(layout.grid)
        return other if windows is None else lay_out(ask, source, layout, windows, ask.boxes.side, ask.dtype)

    def _turns(
        self, at: int, opened: Future[BlockAsset | GdalReader], finish: Callable[[int, np.ndarray], T],
        fetchers: Executor, decoders: Executor, stop: threading.Event,
    ) -> list[_Turn[T]]:  # fmt: skip
        """The parts of an ask, once its asset is open; one that raises where it could not be opened."""

        def nothing() -> None:
            pass

        def finished(boxes: Callable[[], Iterator[tuple[int, np.ndarray]]]) -> Iterator[tuple[int, T]]:
            return ((box, finish(box, pixels)) for box, pixels in boxes())

        try:
            asset = opened.result()
        except Exception:
            return [_Turn(at, 0, nothing, opened.result)]  # type: ignore[arg-type]  # raises when its turn comes
        if isinstance(asset, GdalReader):
            self.traffic.add(other_assets=1)
            return [_Turn(at, 0, nothing, partial(finished, asset.boxes))]
        self.traffic.add(assets=1)
        if (made := asset.made) is not None:
            whole, finish = finish, lambda box, pixels: whole(box, made(box, pixels))
        works = [SpanWork(asset, span, finish, self._decoder, self.traffic, stop) for span in spans(asset)]
        found = [_Turn(at, work.size, partial(work.start, fetchers, decoders), work.results) for work in works]
        return [_Turn(at, 0, nothing, partial(finished, asset.patches.outside)), *found]


def _import_for(ask: Ask) -> None:
    """Import here, in the caller's thread, what opening the asset of `ask` imports in the fetchers'.

    rasterio's compiled modules import one another: of several threads that import them at once some find them half made and
    fail. What is imported once is there for all; most asks need none of it, and it takes a third of a second.
    """
    if ask.quantity != "pixels":
        importlib.import_module("rasterio.control")
        importlib.import_module("pyproj")
