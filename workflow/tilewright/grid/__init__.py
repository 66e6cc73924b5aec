"""The grid: tiles, zones, the lattice of cells and its owners, pixel windows, the area of interest. No network."""

from tilewright.grid.aoi import AreaOfInterest, inside, load_aoi
from tilewright.grid.cells import CellTable, cells_of
from tilewright.grid.mgrs import SIDE_M, Tile, TileTable, land_tiles, tile, tiles
from tilewright.grid.pixels import Boxes, cell_geobox, pixel_centres
from tilewright.grid.samples import Placed, placed

__all__ = [
    "SIDE_M",
    "AreaOfInterest",
    "Boxes",
    "CellTable",
    "Placed",
    "Tile",
    "TileTable",
    "cell_geobox",
    "cells_of",
    "inside",
    "land_tiles",
    "load_aoi",
    "pixel_centres",
    "placed",
    "tile",
    "tiles",
]
