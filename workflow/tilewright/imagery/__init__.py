"""Reading the pixels of cells from scenes' rasters, behind one small protocol."""

from tilewright.imagery.protocol import Ask, BrokenAssetError, Reader
from tilewright.imagery.reader import ImageryReader
from tilewright.imagery.traffic import Traffic

__all__ = ["Ask", "BrokenAssetError", "ImageryReader", "Reader", "Traffic"]
