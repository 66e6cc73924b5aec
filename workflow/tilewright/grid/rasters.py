"""Which cells meet which pixels of a raster in any CRS: exact, and read in strips, never whole."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from tilewright.errors import TilewrightError
from tilewright.grid.cells import CellTable
from tilewright.grid.zones import ring

Bools = NDArray[np.bool_]

_STRIP = 64  # cells read at once: neighbours in a row of the lattice
_SHRINK_PX = 1e-4  # of a pixel off each cell, so that pixels that only touch it (up to rounding) do not count
_EDGE_PIECES = 4  # a cell's edge in the raster's CRS: a chord of a quarter of 9 km leaves it by less than a metre


@dataclass(frozen=True, eq=False)
class Meeting:
    """For each cell: whether a wanted pixel overlaps it, and whether the raster covers all of it."""

    met: Bools
    covered: Bools


def cells_meeting(file: str, key: str, cells: CellTable, wanted: Callable[[NDArray[Any], Bools], Bools]) -> Meeting:
    """Find the cells that a wanted pixel of the first band of `file` overlaps, be it by a corner.

    Args:
        file: a raster that GDAL reads, in any CRS.
        key: the config key that names it, for errors.
        cells: the cells; none crosses ±180° (see `tilewright.grid.zones`).
        wanted: from the pixels' values and whether each is nodata (or NaN) to whether each is wanted.

    Raises:
        TilewrightError: naming key and file where it cannot be read or has no CRS.
    """
    import rioxarray

    try:
        raster = rioxarray.open_rasterio(file, cache=False)
    except Exception as error:  # rasterio's and xarray's own
        raise TilewrightError(f"{key}: {file} cannot be read ({error}); give a GeoTIFF") from error
    if isinstance(raster, list) or not hasattr(raster, "rio"):
        raise TilewrightError(f"{key}: {file} has subdatasets; give a plain GeoTIFF")
    with raster:
        if raster.rio.crs is None:
            raise TilewrightError(f"{key}: {file} names no CRS; set it with gdal_edit.py -a_srs")
        outlines = _pixel_outlines(cells, raster.rio.crs.to_wkt(), ~raster.rio.transform())
        height, width = raster.shape[-2:]
        covered = shapely.covers(shapely.box(0, 0, width, height), outlines) & ~shapely.is_empty(outlines)
        met = np.zeros(len(cells), bool)
        for start in range(0, len(cells), _STRIP):
            strip = outlines[start : start + _STRIP]
            left, top, right, bottom = shapely.total_bounds(strip)
            if np.isnan(left):
                continue
            cols = slice(max(0, int(np.floor(left))), min(width, int(np.ceil(right))))
            rows = slice(max(0, int(np.floor(top))), min(height, int(np.ceil(bottom))))
            if cols.start >= cols.stop or rows.start >= rows.stop:
                continue
            try:
                values = raster[0, rows, cols].values
            except Exception as error:  # a block that does not decode
                raise TilewrightError(f"{key}: {file} is damaged ({error}); fetch it again") from error
            met[start : start + _STRIP] = _overlap(
                strip, wanted(values, _nodata(values, raster.rio.nodata)), rows.start, cols.start
            )
    return Meeting(met, covered)


def _pixel_outlines(cells: CellTable, crs: str, to_pixels: Any) -> NDArray[np.object_]:
    """The cells' footprints in the raster's pixel coordinates (column, row from its upper-left corner).

    Empty where the raster's CRS has no place for a cell.
    """
    transformer = pyproj.Transformer.from_crs(cells.tile.epsg, crs, always_xy=True)
    x, y = transformer.transform(*ring(cells.ulx, cells.uly, cells.size_m, _EDGE_PIECES))
    col = to_pixels.a * x + to_pixels.b * y + to_pixels.c
    row = to_pixels.d * x + to_pixels.e * y + to_pixels.f
    points = np.stack([col, row], axis=-1)
    defined = np.isfinite(points).all(axis=(1, 2))
    outlines = np.full(len(cells), shapely.Polygon(), dtype=object)
    outlines[defined] = shapely.buffer(shapely.polygons(points[defined]), -_SHRINK_PX, join_style="mitre")
    return outlines


def _nodata(values: NDArray[Any], nodata: float | None) -> Bools:
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    return missing if nodata is None else missing | (values == nodata)


def _overlap(outlines: NDArray[np.object_], wanted: Bools, row: int, col: int) -> Bools:
    """Which outlines a wanted pixel overlaps; `wanted` begins at (`row`, `col`) of the raster."""
    found = np.zeros(len(outlines), bool)
    for at, (left, top, right, bottom) in enumerate(shapely.bounds(outlines)):
        if np.isnan(left):
            continue
        first_row, first_col = max(row, int(np.floor(top))), max(col, int(np.floor(left)))
        part = wanted[
            first_row - row : max(0, int(np.ceil(bottom)) - row), first_col - col : max(0, int(np.ceil(right)) - col)
        ]
        y, x = np.nonzero(part)
        if not len(x):
            continue
        x, y = x + first_col, y + first_row
        outline = outlines[at]
        shapely.prepare(outline)
        # Most answers come from one pixel's centre; the exact test is for cells that wanted pixels only graze.
        found[at] = bool(shapely.contains_xy(outline, x + 0.5, y + 0.5).any()) or bool(
            shapely.intersects(outline, shapely.box(x, y, x + 1, y + 1)).any()
        )
    return found
