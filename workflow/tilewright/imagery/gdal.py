"""Everything that GDAL reads and the block reader does not: JPEG 2000, unusual TIFF, boxes on another grid."""

import dataclasses
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from odc.geo.geobox import GeoBox

from tilewright.imagery.patience import Evidence, Verdict, local_path, patiently
from tilewright.imagery.protocol import Ask, BrokenAssetError
from tilewright.imagery.rangefile import RangeFiles
from tilewright.imagery.scatter import Patches, lay
from tilewright.imagery.source import Source, judge_of
from tilewright.imagery.stack import batches, stacked
from tilewright.imagery.traffic import Traffic

_HEAD_BYTES: Final = 65536
# Where GDAL asks the server itself, only what it says for certain is evidence. "Does not exist in the file system" is also what GDAL says
# of a host that refuses, and a tile of which 0 bytes came may be an outage half way: both count as passing.
_GONE = re.compile(r"HTTP response code: (404|410)|NoSuchKey|specified key does not exist", re.IGNORECASE)
_CORRUPT = re.compile(r"decod|not recognized as being in|got [1-9]\d* bytes, expected", re.IGNORECASE)
_OUR_FAULT = re.compile(r"Permission denied|Too many open files|Input/output error|Stale|out of memory", re.IGNORECASE)
_ENV: Final = {
    "GDAL_HTTP_TIMEOUT": 60, "GDAL_HTTP_CONNECTTIMEOUT": 20, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": 3, "GDAL_HTTP_RETRY_DELAY": 1,
    # GDAL remembers failures and bytes by URL: without this no later try would ask the server again
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
    "GDAL_CACHEMAX": 128,  # megabytes: each block is read once, so a larger cache is only memory
}  # fmt: skip


class GdalReader:
    """Reads one ask: block by block where the boxes are on the file's grid, else through stackstac."""

    def __init__(
        self, ask: Ask, traffic: Traffic, threads: int, stop: threading.Event, source: Source | None = None
    ) -> None:
        """`source`: of a remote asset's bytes; without it GDAL asks the server itself."""
        self._ask = ask
        self._source = source if local_path(ask.asset) is None else None
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
            patches, block, across = self._laid(grid, windows)
            yield from patches.outside()
            for place, number in enumerate(patches.plan.blocks.tolist()):
                row, col = number // across * block[0], number % across * block[1]
                pixels = self._patiently(partial(self._block, row, col, block), f"at row {row}, column {col}")
                self._traffic.add(blocks=1)
                yield from patches.put(place, pixels, row, col)
        finally:
            self._close()

    def _laid(self, grid: GeoBox, windows: tuple[np.ndarray, np.ndarray]) -> tuple[Patches, tuple[int, int], int]:
        """Boxes over the file's blocks, the blocks' size, and how many are in a row."""
        shape = (int(grid.shape[0]), int(grid.shape[1]))
        rows, columns = self._opened().block_shapes[0]
        block = (min(rows, shape[0]), min(columns, shape[1]))
        side = self._ask.boxes.side
        plan = lay(*windows, side, shape, block)
        return Patches(plan, *windows, side, shape, self._ask.dtype), block, -(-shape[1] // block[1])

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
            self._remote = RangeFiles(*self._source.head(_HEAD_BYTES), self._source.get)
            self._file = rasterio.open("asset", opener=self._remote)
        elif self._file is None:
            self._file = rasterio.open(local_path(self._ask.asset) or self._ask.asset.href)
        return self._file

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
        return stacked(ask, places, 1 if self._source else self._threads)

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
        if not isinstance(error, (rasterio.errors.RasterioError, RuntimeError)):
            return judge_of(asset)(error)
        words = _message(error)
        if self._source is None and _missing(path, words):
            return Verdict(Evidence.GONE, "no such file" if path else "404")
        whole = path is not None or self._source is not None  # what GDAL read was what the disk or the server has
        corrupt = not _OUR_FAULT.search(words) if whole else _CORRUPT.search(words) is not None
        return Verdict(Evidence.CORRUPT if corrupt else Evidence.PASSING, words[:200])


def _missing(path: Path | None, message: str) -> bool:
    return not path.exists() if path is not None else _GONE.search(message) is not None


def _message(error: BaseException) -> str:
    """The messages of an error and its causes, on one line."""
    texts = []
    link: BaseException | None = error
    while link is not None:
        texts.append(" ".join(re.sub(r"\?\S+", "", str(link)).split()))
        link = link.__cause__ or link.__context__
    return " / ".join(texts)
