"""GeoTIFFs as bytes, so that a full disk is met where files are written and nowhere else."""

from functools import lru_cache
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from rasterio.io import MemoryFile

# The COG driver's blocks as a rule; of a smaller image, which is one block, no more than it needs: GDAL pads with pixels
# and packs them, which took ten times as long.
_BLOCK: Final = 512
# zlib's level for pixels of more than a byte, whose noise does not pack: 6 takes two times as long for as many bytes
_FAST, _SMALL = 1, 6


def geotiff(
    pixels: np.ndarray, epsg: int, ulx: float, uly: float, resolution_m: float, names: tuple[str, ...] = (), nodata: float | None = None,
    compress: str | None = "deflate", cloud_optimized: bool = False,
) -> bytes:  # fmt: skip
    """One GeoTIFF.

    Args:
        pixels: (band, y, x), or (y, x) for one band.
        ulx, uly: outer corner of the upper-left pixel, metres in `epsg`.
        names: descriptions of the bands.
        nodata: the value that is no data, as a tag.
        compress: of the pixels; None for none.
        cloud_optimized: with the layout of a COG; overviews where it is larger than a block of 512.
    """
    stack = pixels if pixels.ndim == 3 else pixels[None]
    bands, height, width = stack.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": stack.dtype, "count": bands, "height": height, "width": width,
        "crs": _crs(epsg), "transform": Affine(resolution_m, 0, ulx, 0, -resolution_m, uly), "nodata": nodata,
    }  # fmt: skip
    if compress:
        # differences of floats are of their bytes (3), of whole numbers of neighbours (2); of bytes they seldom help
        predictor = 3 if stack.dtype.kind == "f" else 2 if stack.dtype.itemsize > 1 else 1
        profile |= {"compress": compress, "predictor": predictor}
    if cloud_optimized:
        # overviews of images larger than a block; of nearest pixels, since means of classes are none
        block = min(_BLOCK, -(-max(height, width) // 16) * 16)
        profile |= {"driver": "COG", "blocksize": block, "overview_resampling": "nearest"}
        if compress:
            profile["predictor"] = {1: "NO", 2: "STANDARD", 3: "FLOATING_POINT"}[profile["predictor"]]
            profile["level"] = _FAST if stack.dtype.itemsize > 1 else _SMALL
    with MemoryFile() as memory:
        with memory.open(**profile) as image:
            image.write(stack)
            for at, name in enumerate(names, start=1):
                image.set_band_description(at, name)
        return bytes(memory.getbuffer())


@lru_cache
def _crs(epsg: int) -> rasterio.crs.CRS:
    """Kept: PROJ looks it up in its database."""
    return rasterio.crs.CRS.from_epsg(epsg)


def one_environment() -> rasterio.Env:
    """A context in which many files are made: rasterio makes one for each otherwise, which takes up to a third of a small file's time."""
    return rasterio.Env()
