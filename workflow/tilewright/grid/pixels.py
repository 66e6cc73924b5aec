"""Pixel arithmetic, written once: the GeoBoxes of square footprints and their windows in an asset's grid."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilewright.errors import TilewrightError
from tilewright.grid.zones import lonlat

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def cell_geobox(epsg: int, ulx: float, uly: float, size_m: int, resolution: int) -> "GeoBox":
    """The pixel grid of the square of `size_m` metres whose upper-left corner is (`ulx`, `uly`) in `epsg`.

    Raises:
        TilewrightError: where pixels of `resolution` metres do not fill `size_m` exactly.
    """
    from affine import Affine
    from odc.geo.geobox import GeoBox

    pixels, rest = divmod(size_m, resolution)
    if rest:
        raise TilewrightError(
            f"{size_m} m is not a multiple of {resolution} m pixels: change cells.size_m or the bands"
        )
    return GeoBox((pixels, pixels), Affine(resolution, 0, ulx, 0, -resolution, uly), epsg)


def pixel_centres(
    epsg: int, ulx: np.ndarray, uly: np.ndarray, row: int, col: int, resolution: int
) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (EPSG:4326) of the centre of one pixel of each of some squares.

    SeasoNet's Longitude and Latitude are those of row 60 and column 60 of a patch of 120 pixels of 10 m.

    Args:
        epsg: the UTM zone of all the squares.
        ulx, uly: (n,) outer corners of the upper-left pixels, metres.
        row, col: of the pixel, from 0.
        resolution: metres.
    """
    return lonlat(epsg, ulx + (col + 0.5) * resolution, uly - (row + 0.5) * resolution)


@dataclass(frozen=True)
class Boxes:
    """Squares of one size and resolution in one CRS: the cells of a tile on one of its pixel grids.

    Attributes:
        resolution: metres.
        side: pixels along a side.
        ulx, uly: (n,) outer corners of the upper-left pixels, metres.
    """

    epsg: int
    resolution: int
    side: int
    ulx: np.ndarray
    uly: np.ndarray

    def __len__(self) -> int:
        return len(self.ulx)

    def __getitem__(self, at: int) -> "GeoBox":
        return cell_geobox(
            self.epsg, float(self.ulx[at]), float(self.uly[at]), self.side * self.resolution, self.resolution
        )

    def take(self, places: np.ndarray) -> "Boxes":
        """Those at `places`."""
        return Boxes(self.epsg, self.resolution, self.side, self.ulx[places], self.uly[places])

    def windows_in(self, asset: "GeoBox") -> tuple[np.ndarray, np.ndarray] | None:
        """First row and first column, (n,) int64 each, of every box in whole pixels of `asset`.

        A window may reach outside the asset (negative, or beyond its shape): what the asset does not hold is the reader's
        to fill. None where any box is not on the asset's pixel grid: another CRS, another resolution, rotated, or
        shifted by a part of a pixel.
        """
        if asset.crs is None or asset.crs.epsg != self.epsg:
            return None
        theirs = asset.affine
        if any(abs(value) > 1e-12 * abs(theirs.a) for value in (theirs.b, theirs.d)):
            return None
        # A relative 1e-9 over the widest raster there is (2**21 pixels) stays far below the part of a pixel tested next.
        if not (
            math.isclose(self.resolution, theirs.a, rel_tol=1e-9)
            and math.isclose(-self.resolution, theirs.e, rel_tol=1e-9)
        ):
            return None
        cols, rows = (self.ulx - theirs.c) / theirs.a, (self.uly - theirs.f) / theirs.e
        whole_rows, whole_cols = np.round(rows), np.round(cols)
        if (np.abs(rows - whole_rows) > 1e-3).any() or (np.abs(cols - whole_cols) > 1e-3).any():
            return None
        return whole_rows.astype(np.int64), whole_cols.astype(np.int64)
