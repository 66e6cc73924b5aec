"""The stack reader: any raster onto any boxes through stackstac and dask, each chunk read once for a batch of boxes."""

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlparse

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from tilewright.catalog import Asset
from tilewright.errors import TilewrightError
from tilewright.grid import Window, window_in
from tilewright.imagery.protocol import BrokenAssetError

T = TypeVar("T")

_CHUNK: Final = 1024  # the blocks of Sentinel-2 COGs, so that a chunk is a block
_BATCH: Final = 256  # boxes computed together: bounds the memory, blocks between batches are read again
_TRIES: Final = 5
_WAIT_S: Final = 2.0  # doubled at each try, with jitter
# Only what a server or its bytes say for certain is evidence. "Does not exist in the file system" is also what GDAL says
# of a host that refuses, and a tile of which 0 bytes came may be an outage half way: both count as passing.
_GONE = re.compile(r"HTTP response code: (404|410)|NoSuchKey|specified key does not exist", re.IGNORECASE)
_CORRUPT = re.compile(r"decod|not recognized as being in|got [1-9]\d* bytes, expected", re.IGNORECASE)
_LOCAL_FAULT = re.compile(r"Permission denied|Too many open files|Input/output error|Stale", re.IGNORECASE)
_REMOTE_ENV: Final = {
    "GDAL_HTTP_TIMEOUT": 60, "GDAL_HTTP_CONNECTTIMEOUT": 20, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": 3, "GDAL_HTTP_RETRY_DELAY": 1,
    # GDAL remembers failures and bytes by URL: without this no later try would ask the server again
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
}  # fmt: skip


class StackReader:
    """Reads through stackstac (which warps by nearest neighbour where an asset is not on the boxes' grid)."""

    version = "stack-1"

    def __init__(self, threads: int = 1) -> None:
        """`threads`: how many read at a time."""
        self._threads = threads

    def read(self, asset: Asset, boxes: Sequence[GeoBox]) -> Iterator[tuple[int, np.ndarray]]:
        """See `Reader.read`. All boxes share one CRS and one resolution."""
        if not boxes:
            return
        dtype = np.dtype("uint8" if asset.band == "SCL" else "uint16")
        self._patiently(asset, partial(_check_type, asset, dtype))
        # Sorted by place, a batch's boxes share blocks.
        places = sorted(range(len(boxes)), key=lambda at: (-boxes[at].boundingbox.top, boxes[at].boundingbox.left))
        for first in range(0, len(places), _BATCH):
            batch = places[first : first + _BATCH]
            wanted = [boxes[at] for at in batch]
            arrays = self._patiently(asset, partial(_compute, asset, wanted, dtype, self._threads))
            yield from zip(batch, arrays, strict=True)

    def _patiently(self, asset: Asset, work: Callable[[], T]) -> T:
        """Run `work`; tell permanent evidence from what may pass, and give the latter time."""
        import rasterio

        seen_corrupt = 0
        for attempt in range(1, _TRIES + 1):
            try:
                with rasterio.Env(**_REMOTE_ENV):
                    return work()
            except (rasterio.errors.RasterioError, RuntimeError, OSError) as error:
                message = _message(error)
                if _missing(asset, message):
                    raise BrokenAssetError(
                        asset.scene_id, asset.band, "is gone (no such file)" if _is_local(asset) else "is gone (404)"
                    ) from error
                if _corrupt(asset, message):
                    seen_corrupt += 1
                    if seen_corrupt == 2:  # corrupt again on a refetch: no passing fault
                        raise BrokenAssetError(asset.scene_id, asset.band, "is corrupt") from error
                    if _is_local(asset):
                        continue
                if attempt == _TRIES:
                    raise TilewrightError(
                        f"scene {asset.scene_id}, asset {asset.band}: {asset.href} could not be read in {_TRIES} tries "
                        f"({message[:200]}); nothing was written: run again when the provider answers"
                    ) from error
                time.sleep(_WAIT_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable: the last try returns or raises")


def _message(error: BaseException) -> str:
    """The messages of an error and its causes, on one line."""
    texts = []
    link: BaseException | None = error
    while link is not None:
        texts.append(" ".join(str(link).split()))
        link = link.__cause__ or link.__context__
    return " / ".join(texts)


def _is_local(asset: Asset) -> bool:
    return urlparse(asset.href).scheme in ("", "file")


def _missing(asset: Asset, message: str) -> bool:
    if _is_local(asset):
        return not Path(urlparse(asset.href).path).exists()
    return _GONE.search(message) is not None


def _corrupt(asset: Asset, message: str) -> bool:
    return _LOCAL_FAULT.search(message) is None if _is_local(asset) else _CORRUPT.search(message) is not None


def _compute(asset: Asset, boxes: list[GeoBox], dtype: np.dtype, threads: int) -> list[np.ndarray]:
    """All boxes' pixels in one dask computation, so that each chunk is read once."""
    import dask
    import stackstac

    first = boxes[0]
    step = first.resolution.x
    epsg = first.crs.epsg if first.crs else None
    grid = GeoBox(asset.shape, Affine(*asset.transform), asset.epsg)
    windows = [window for box in boxes if (window := window_in(grid, box)) and _holds(asset, window)]
    if len(windows) == len(boxes):
        # The asset's own grid: stackstac then reads windows of the file without warping.
        bounds = _bounds(asset)
    else:
        edges = [box.boundingbox for box in boxes]
        bounds = (
            min(edge.left for edge in edges), min(edge.bottom for edge in edges),
            max(edge.right for edge in edges), max(edge.top for edge in edges),
        )  # fmt: skip
        around = GeoBox.from_bbox(bounds, first.crs, resolution=step, tight=True)
        windows = [window for box in boxes if (window := window_in(around, box))]
    cube = stackstac.stack(
        [_item(asset)], assets=[asset.band], epsg=epsg, resolution=step, bounds=bounds, snap_bounds=False,
        dtype=dtype, fill_value=dtype.type(0), rescale=False, xy_coords=False, chunksize=_CHUNK,
        # Missing is never passed off as empty: stackstac would turn a 404 into no data.
        errors_as_nodata=(),
    )  # fmt: skip
    plane = cube.data[0, 0]
    pieces = [plane[at.row : at.row + at.height, at.col : at.col + at.width] for at in windows]
    return list(dask.compute(*pieces, scheduler="threads", num_workers=threads))


def _check_type(asset: Asset, dtype: np.dtype) -> None:
    """Refuse a file whose numbers are not DN (or classes): casting would turn reflectances into zeros without a word."""
    import rasterio

    with rasterio.open(asset.href) as file:
        found = np.dtype(file.dtypes[0])
    if found.kind != "u" or found.itemsize > dtype.itemsize:
        raise BrokenAssetError(asset.scene_id, asset.band, f"holds {found} instead of {dtype}")


def _holds(asset: Asset, window: Window) -> bool:
    rows, columns = asset.shape
    inside = window.row + window.height <= rows and window.col + window.width <= columns
    return window.row >= 0 and window.col >= 0 and inside


def _bounds(asset: Asset) -> tuple[float, float, float, float]:
    a, _, left, _, e, top = asset.transform
    rows, columns = asset.shape
    return left, top + e * rows, left + a * columns, top


def _item(asset: Asset) -> dict[str, Any]:
    """The least STAC item that stackstac needs, made from what scenes.parquet froze."""
    west, south, east, north = _bounds(asset)
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": asset.scene_id, "collection": "tilewright",
        "geometry": None, "bbox": [west, south, east, north], "links": [], "stac_extensions": [],
        "properties": {"datetime": "2000-01-01T00:00:00Z", "proj:epsg": asset.epsg},
        "assets": {
            asset.band: {
                "href": asset.href, "proj:epsg": asset.epsg, "proj:shape": list(asset.shape),
                "proj:transform": list(asset.transform), "type": "image/tiff; application=geotiff",
            }
        },
    }  # fmt: skip
