"""Reading the pixels of cells from scenes' rasters, behind one small protocol."""

from tilewright.imagery.mosaic import Mosaic, Prepared, read_mosaics
from tilewright.imagery.protocol import Ask, BrokenAssetError, Quantity, Reader
from tilewright.imagery.reader import ImageryReader
from tilewright.imagery.traffic import Traffic

__all__ = [
    "Ask",
    "BrokenAssetError",
    "ImageryReader",
    "Mosaic",
    "Prepared",
    "Quantity",
    "Reader",
    "Traffic",
    "read_mosaics",
]
