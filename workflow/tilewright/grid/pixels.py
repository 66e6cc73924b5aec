"""Pixel arithmetic, written once: the GeoBox of a square footprint and its window in an asset's grid."""

import math
from typing import TYPE_CHECKING, NamedTuple

from tilewright.errors import TilewrightError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


class Window(NamedTuple):
    """Pixels of an asset: first row, first column, and how many."""

    row: int
    col: int
    height: int
    width: int


def cell_geobox(epsg: int, ulx: int, uly: int, size_m: int, resolution: int) -> "GeoBox":
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


def window_in(asset: "GeoBox", cell: "GeoBox") -> Window | None:
    """Where `cell` lies in `asset`, in whole pixels of `asset`.

    The window may reach outside the asset (negative offsets, or beyond its shape): what the asset does not hold is the
    reader's to fill. None where the cell is not on the asset's pixel grid: another CRS, another resolution, rotated, or
    shifted by a part of a pixel.
    """
    if asset.crs != cell.crs:
        return None
    ours, theirs = cell.affine, asset.affine
    if any(abs(value) > 1e-12 * abs(theirs.a) for value in (theirs.b, theirs.d, ours.b, ours.d)):
        return None
    # A relative 1e-9 over the widest raster there is (2**21 pixels) stays far below the part of a pixel tested next.
    if not (math.isclose(ours.a, theirs.a, rel_tol=1e-9) and math.isclose(ours.e, theirs.e, rel_tol=1e-9)):
        return None
    col, row = (ours.c - theirs.c) / theirs.a, (ours.f - theirs.f) / theirs.e
    if abs(col - round(col)) > 1e-3 or abs(row - round(row)) > 1e-3:
        return None
    return Window(round(row), round(col), cell.shape[0], cell.shape[1])
