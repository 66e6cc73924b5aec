"""Everything that GDAL reads and the block reader does not: JPEG 2000, unusual TIFF, boxes on another grid."""

import dataclasses
import re
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from odc.geo.geobox import GeoBox

from tilewright.imagery.patience import Evidence, Verdict, local_path, patiently, soon_again
from tilewright.imagery.protocol import Ask, BrokenAssetError
from tilewright.imagery.rangefile import RangeFiles
from tilewright.imagery.scatter import Patches, lay
from tilewright.imagery.source import Source, judge_of
from tilewright.imagery.stack import batches, stacked
from tilewright.imagery.traffic import Traffic

_HEAD_BYTES: Final = 65536
_STARTS: Final = {
    "GTiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JP2OpenJPEG": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
}
_OUR_FAULT = re.compile(r"Permission denied|Too many open files|Input/output error|Stale|out of memory", re.IGNORECASE)
_ENV: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # files beside the asset say nothing about it
    "GDAL_CACHEMAX": 128,  # megabytes: each block is read once, so a larger cache is only memory
}


class NoDriverError(Exception):
    """GDAL as it is installed here lacks a driver: of the file that says nothing."""


class GdalReader:
    """Reads one ask: block by block where the boxes are on the file's grid, else through stackstac."""

    def __init__(
        self, ask: Ask, traffic: Traffic, threads: int, stop: threading.Event, source: Source | None = None,
        drivers: tuple[str, ...] = ("GTiff", "JP2OpenJPEG"),
    ) -> None:  # fmt: skip
        """Make ready; nothing is opened yet.

        Args:
            source: of a remote asset's bytes: GDAL opens local files, and what we hand it, and never asks a server.
            drivers: those that may open the file.
        """
        self._ask = ask
        self._source = source if local_path(ask.asset) is None else None
        self._drivers = drivers
        self._remote: RangeFiles | None = None
        self._traffic = traffic
        self._threads = threads
        self._stop = stop
        self._file: Any = None

    def boxes(self) -> Iterator[tuple[int, np.ndarray]]:
        """(place, pixels) of every box, in any order.

        Raises:
            BrokenAssetError, TilewrightError: see `Reader.read`.
        """
        boxes = self._ask.boxes
        if not len(boxes):
            return
        try:
            grid = self._patiently(self._look)
            windows = boxes.windows_in(grid)
            if windows is None:
                for places in batches(boxes):
                    arrays = self._patiently(partial(self._stacked, places))
                    yield from zip(places.tolist(), arrays, strict=True)
                return
            yield from self._by_blocks(tuple(grid.shape), windows, boxes.side)
        finally:
            self._close()

    def _by_blocks(
        self, shape: tuple[int, ...], windows: tuple[np.ndarray, np.ndarray], side: int, dtype: np.dtype | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(place, pixels) of square windows of a file of `shape`, each of its blocks read once; `dtype`: of what is held meanwhile."""
        height, width = int(shape[0]), int(shape[1])
        rows, columns = self._opened().block_shapes[0]
        block, across = (min(rows, height), min(columns, width)), -(-width // min(columns, width))
        plan = lay(*windows, side, (height, width), block)
        patches = Patches(plan, *windows, side, (height, width), dtype or self._ask.dtype)
        yield from patches.outside()
        for place, number in enumerate(plan.blocks.tolist()):
            row, col = number // across * block[0], number % across * block[1]
            pixels = self._patiently(partial(self._block, row, col, block), f"at row {row}, column {col}")
            self._traffic.add(blocks=1)
            yield from patches.put(place, pixels, row, col)

    def _patiently(self, work: Any, where: str = "") -> Any:
        import rasterio

        def within() -> Any:
            try:
                with rasterio.Env(**_ENV, GDAL_NUM_THREADS=self._threads):
                    found = work()
                if self._remote and self._remote.failed:
                    raise self._remote.failed
                return found
            except Exception as error:
                why = self._remote.failed if self._remote else None
                self._close()  # the next try asks anew
                if why is None or why is error:
                    raise
                raise why from error

        return patiently(self._ask.asset, within, self._judge, self._traffic, self._stop, where=where)

    def _opened(self) -> Any:
        import rasterio

        if self._file is None and self._source is not None:
            head, size = self._source.head(_HEAD_BYTES)
            self._remote = RangeFiles(head, size, partial(self._range, self._source))
            self._file = rasterio.open("asset", opener=self._remote, driver=self._driver(head))
        elif self._file is None:
            path = local_path(self._ask.asset)
            assert path is not None, "a remote asset has a source"
            with path.open("rb") as file:
                start = memoryview(file.read(16))
            self._file = rasterio.open(path.absolute(), driver=self._driver(start))
        return self._file

    def _range(self, source: Source, start: int, size: int) -> memoryview:
        return soon_again(partial(source.get, start, size), judge_of(self._ask.asset), self._traffic, self._stop)

    def _driver(self, start: memoryview) -> str:
        """The driver, of those allowed, for what a file's first bytes say; any of them where they say nothing, to say so.

        Raises:
            NoDriverError: where GDAL lacks it; its own words would be those for a damaged file.
        """
        import rasterio

        found = next((name for name in self._drivers if bytes(start[:16]).startswith(_STARTS[name])), self._drivers[0])
        with rasterio.Env() as environment:
            if found not in environment.drivers():
                raise NoDriverError(
                    f"GDAL has no driver {found} here: install it (conda-forge: libgdal-{found.lower()})"
                )
        return found

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._remote = None

    def _look(self) -> GeoBox:
        """The file's grid; refuses numbers that do not fit, and pixels of no known place, which would be read as none."""
        file, asset = self._opened(), self._ask.asset
        found = np.dtype(file.dtypes[0])
        if file.count != 1:
            raise BrokenAssetError(asset.scene_id, asset.band, f"holds {file.count} bands instead of 1")
        if not np.can_cast(found, self._ask.dtype, "safe"):
            raise BrokenAssetError(asset.scene_id, asset.band, f"holds {found} instead of {self._ask.dtype}")
        if file.crs is None or file.transform.is_identity:
            raise BrokenAssetError(asset.scene_id, asset.band, "does not say where its pixels are")
        return GeoBox(file.shape, file.transform, file.crs.to_wkt())

    def _stacked(self, places: np.ndarray) -> list[np.ndarray]:
        file, asset = self._opened(), self._ask.asset
        # The name of the file that we serve GDAL, or of the asset; and its own grid, whatever its item says.
        own = dataclasses.replace(
            asset, href=file.name, epsg=file.crs.to_epsg() or asset.epsg, transform=tuple(file.transform)[:6], shape=file.shape
        )  # fmt: skip
        ask = dataclasses.replace(self._ask, asset=own)
        # rasterio keeps the files that we serve by thread, and cannot close them from another
        return stacked(ask, places, 1 if self._source else self._threads, self._drivers)

    def _block(self, row: int, col: int, block: tuple[int, int]) -> np.ndarray:
        from rasterio.windows import Window

        file = self._opened()
        height, width = min(block[0], file.height - row), min(block[1], file.width - col)
        return np.asarray(file.read(1, window=Window(col, row, width, height)))

    def _judge(self, error: Exception) -> Verdict:
        """What a failure proves about the asset."""
        import rasterio

        asset = self._ask.asset
        path = local_path(asset)
        if isinstance(error, NoDriverError):
            return Verdict(Evidence.REFUSED, str(error))
        if not isinstance(error, (rasterio.errors.RasterioError, RuntimeError)):
            return judge_of(asset)(error)
        if path is not None and not path.exists():
            return Verdict(Evidence.GONE, "no such file")
        # what GDAL read is what the disk or the server has: each byte of it came whole
        words = _message(error)
        return Verdict(Evidence.PASSING if _OUR_FAULT.search(words) else Evidence.CORRUPT, words[:200])


def _message(error: BaseException) -> str:
    """The messages of an error and its causes, on one line."""
    texts = []
    link: BaseException | None = error
    while link is not None:
        texts.append(" ".join(re.sub(r"\?\S+", "", str(link)).split()))
        link = link.__cause__ or link.__context__
    return " / ".join(texts)
