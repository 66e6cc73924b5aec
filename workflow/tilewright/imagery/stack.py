"""Any raster onto any boxes through stackstac and dask, each chunk read once for a batch of boxes."""

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from tilewright.catalog import Asset
from tilewright.catalog.assets import Transform
from tilewright.grid import Boxes
from tilewright.imagery.patience import local_path
from tilewright.imagery.protocol import Ask

_CHUNK: Final = 1024  # the blocks of Sentinel-2 COGs, so that a chunk is a block
_BATCH: Final = 256  # boxes computed together: bounds the memory, blocks between batches are read again


def batches(boxes: Boxes) -> Iterator[np.ndarray]:
    """Places of boxes to compute together: sorted by place, so that a batch's boxes share blocks."""
    order = np.lexsort((boxes.ulx, -boxes.uly))
    for first in range(0, len(order), _BATCH):
        yield order[first : first + _BATCH]


def stacked(
    ask: Ask, places: np.ndarray, threads: int, drivers: tuple[str, ...] = ("GTiff", "JP2OpenJPEG")
) -> list[np.ndarray]:
    """The boxes at `places`, warped by nearest neighbour where the asset is not on their grid: one dask computation.

    Raises:
        Exception: what rasterio raises.
    """
    import dask
    import stackstac

    asset, boxes = ask.asset, ask.boxes.take(places)
    step = boxes.resolution
    shape, transform = _grid(asset)
    grid = GeoBox(shape, Affine(*transform), asset.epsg)
    windows = boxes.windows_in(grid)
    if windows is not None and _holds(asset, *windows, boxes.side):
        # The asset's own grid: stackstac then reads windows of the file without warping.
        bounds = _bounds(asset)
    else:
        bounds = _fixed_bounds(boxes)
        windows = boxes.windows_in(GeoBox.from_bbox(bounds, boxes.epsg, resolution=step, tight=True))
    assert windows is not None
    opened: list[Any] = []
    cube = stackstac.stack(
        [_item(asset)], assets=[asset.band], epsg=boxes.epsg, resolution=step, bounds=bounds, snap_bounds=False,
        dtype=ask.dtype, fill_value=ask.dtype.type(0), rescale=False, xy_coords=False, chunksize=_CHUNK,
        # Missing is never passed off as empty: stackstac would turn a 404 into no data.
        errors_as_nodata=(), reader=_reader(opened, drivers),
    )  # fmt: skip
    if not cube.sizes["time"]:  # stackstac leaves out what lies beyond the bounds
        return [np.zeros((boxes.side, boxes.side), ask.dtype) for _ in places]
    plane = cube.data[0, 0]
    pieces = [
        plane[row : row + boxes.side, col : col + boxes.side]
        for row, col in zip(*(of.tolist() for of in windows), strict=True)
    ]
    scheduler = "threads" if threads > 1 else "synchronous"
    try:
        return list(dask.compute(*pieces, scheduler=scheduler, num_workers=threads))
    finally:
        for each in reversed(opened):
            each.close()


def _fixed_bounds(boxes: Boxes) -> tuple[float, float, float, float]:
    """Bounds that hold the boxes and start where a chunk does that is counted from the CRS's origin.

    GDAL warps a chunk by interpolating between points of it: which pixel is nearest depends on where the chunk begins, and
    must not depend on which boxes are read together.
    """
    step, reach = boxes.resolution, boxes.side * boxes.resolution
    chunk = _CHUNK * step
    east, north = float(boxes.ulx[0]) % step, float(boxes.uly[0]) % step  # the boxes' own pixels, off whole steps

    def snapped(least: float, most: float, part: float) -> tuple[float, float]:
        return math.floor((least - part) / chunk) * chunk + part, math.ceil((most - part) / chunk) * chunk + part

    left, right = snapped(float(boxes.ulx.min()), float(boxes.ulx.max()) + reach, east)
    bottom, top = snapped(float(boxes.uly.min()) - reach, float(boxes.uly.max()), north)
    return left, bottom, right, top


def _reader(opened: list[Any], drivers: tuple[str, ...]) -> Any:
    """A reader for stackstac without its own masks, which turn stored no-data values into 0: pixels as stored, 0 outside.

    What it opens goes into `opened`: datasets that an exception's traceback keeps must be closed by hand.
    """
    from rasterio.vrt import WarpedVRT
    from stackstac.rio_reader import AutoParallelRioReader, SelfCleaningDatasetReader, ThreadLocalRioDataset

    class AsStored(AutoParallelRioReader):
        def _open(self) -> Any:
            wanted = self.spec.vrt_params
            with self.gdal_env.open:
                file = SelfCleaningDatasetReader(self.url, driver=drivers, sharing=False)
            opened.append(file)
            own = {"crs": file.crs.to_epsg(), "transform": file.transform, "height": file.height, "width": file.width}
            if own == wanted:
                return ThreadLocalRioDataset(self.gdal_env, file)
            with self.gdal_env.open_vrt:
                warped = WarpedVRT(
                    file, sharing=False, resampling=self.resampling, src_nodata=None, add_alpha=True, **wanted
                )
            opened.append(warped)
            return ThreadLocalRioDataset(self.gdal_env, file, vrt=warped)

        def read(self, window: Any, **_: Any) -> np.ndarray:
            return np.asarray(self.dataset.read(window, indexes=1, out_dtype=self.dtype))

    return AsStored


def _grid(asset: Asset) -> tuple[tuple[int, int], Transform]:
    """Shape and transform of an asset that is on a grid."""
    assert asset.shape is not None and asset.transform is not None, "what has no grid is not stacked"
    return asset.shape, asset.transform


def _holds(asset: Asset, rows: np.ndarray, cols: np.ndarray, side: int) -> bool:
    """Whether every box lies within the asset."""
    (height, width), _ = _grid(asset)
    inside = (rows >= 0) & (cols >= 0) & (rows + side <= height) & (cols + side <= width)
    return bool(inside.all())


def _bounds(asset: Asset) -> tuple[float, float, float, float]:
    (rows, columns), (a, _, left, _, e, top) = _grid(asset)
    return left, top + e * rows, left + a * columns, top


def _item(asset: Asset) -> dict[str, Any]:
    """The least STAC item that stackstac needs, made from what scenes.parquet froze."""
    west, south, east, north = _bounds(asset)
    shape, transform = _grid(asset)
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": asset.scene_id, "collection": "tilewright",
        "geometry": None, "bbox": [west, south, east, north], "links": [], "stac_extensions": [],
        "properties": {"datetime": "2000-01-01T00:00:00Z", "proj:epsg": asset.epsg},
        "assets": {
            asset.band: {
                "href": str(local_path(asset) or asset.href), "proj:epsg": asset.epsg, "proj:shape": list(shape),
                "proj:transform": list(transform), "type": "image/tiff; application=geotiff",
            }
        },
    }  # fmt: skip
