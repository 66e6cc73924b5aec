"""Reading the pixels of cells from a scene's rasters, behind one small protocol."""

from tilewright.imagery.protocol import BrokenAssetError, Reader
from tilewright.imagery.stack import StackReader

__all__ = ["BrokenAssetError", "Reader", "StackReader"]
