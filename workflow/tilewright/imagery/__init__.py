"""Reading the pixels of cells from a scene's rasters, behind one small protocol."""

from tilewright.imagery.protocol import GONE, BrokenAssetError, Reader
from tilewright.imagery.stack import StackReader

__all__ = ["GONE", "BrokenAssetError", "Reader", "StackReader"]
