"""Boxes that are not on the file's grid: as GDAL warps them by nearest neighbour, and whichever boxes are read with them."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from rasters import EPSG, Grid, as_gdal_sees, by_reader, by_stack, cut, noise, write_gdal, write_tifffile
from tilewright.grid import Boxes
from tilewright.imagery import Ask

GRID = Grid(1100, 1300)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.random.default_rng(5).integers(1, 65535, (GRID.rows, GRID.cols), np.uint16)
    made = tmp_path_factory.mktemp("warp") / "B02.tif"
    return write_gdal(made, pixels, GRID, tiled=True, blockxsize=256, blockysize=256, compress="deflate")


def places(step: float, shift: float, epsg: int = EPSG, side: int = 96) -> Boxes:
    """Two dozen boxes over the file and its edges, on a lattice of `step` metres moved by `shift`."""
    rng = np.random.default_rng(3)
    x, y = 500_000 + rng.uniform(-900, 13_000, 24), 7_000_000 - rng.uniform(-900, 11_000, 24)
    if epsg != EPSG:
        x, y = Transformer.from_crs(EPSG, epsg, always_xy=True).transform(x, y)
    return Boxes(epsg, int(step), side, np.round(x / step) * step + shift, np.round(y / step) * step + shift)


def warped(path: Path, boxes: Boxes, at: int) -> np.ndarray:
    options = {"resampling": Resampling.nearest, "width": boxes.side, "height": boxes.side}
    with rasterio.open(path) as file, WarpedVRT(
        file, crs=boxes.epsg, transform=boxes[at].affine, src_nodata=None, add_alpha=True, **options
    ) as vrt:  # fmt: skip
        return vrt.read(1)


@pytest.mark.parametrize(
    ("step", "shift"), [(10, 3), (10, 5), (10, -0.5), (20, 0), (20, 10), (60, 20), (15, 0), (5, 0)]
)
def test_shifted_finer_and_coarser_boxes_are_as_gdal_warps_them(step: int, shift: float, path: Path):
    boxes = places(step, shift)
    ask = Ask(GRID.asset(path), boxes, np.dtype("uint16"))
    found, traffic = by_reader(ask, threads=2)
    assert (traffic.assets, traffic.other_assets) == (0, 1)
    for at, pixels in enumerate(found):
        np.testing.assert_array_equal(pixels, warped(path, boxes, at))
    assert (found == 0).any() and (found > 0).any()


def test_another_zone_does_not_depend_on_what_is_read_together(path: Path):
    boxes = places(10, 0, epsg=32636)
    ask = Ask(GRID.asset(path), boxes, np.dtype("uint16"))
    found, traffic = by_reader(ask, threads=2)
    assert traffic.other_assets == 1
    back = Transformer.from_crs(32636, EPSG, always_xy=True)
    exact = 0
    for at, pixels in enumerate(found):
        alone, _ = by_reader(Ask(ask.asset, boxes.take(np.array([at])), ask.dtype))
        np.testing.assert_array_equal(alone[0], pixels)
        centre = (np.arange(96) + 0.5) * 10
        x, y = back.transform(*np.meshgrid(boxes.ulx[at] + centre, boxes.uly[at] - centre))
        rows, cols = np.floor((GRID.top - y) / 10).astype(int), np.floor((x - GRID.left) / 10).astype(int)
        inside = (rows >= 0) & (rows < GRID.rows) & (cols >= 0) & (cols < GRID.cols)
        truth = np.where(inside, as_gdal_sees(path)[rows.clip(0, GRID.rows - 1), cols.clip(0, GRID.cols - 1)], 0)
        exact += (truth == pixels).sum()
    assert exact / found.size > 0.99, "GDAL may be an eighth of a pixel off, no more"


@pytest.mark.parametrize("nodata", [None, 0, 7])
def test_no_data_values_are_pixels_as_stored(nodata: int | None, tmp_path: Path):
    grid = Grid(200, 240)
    pixels = noise(grid, "uint8")
    pixels[::3] = 7
    path = write_gdal(tmp_path / "scl.tif", pixels, grid, compress="deflate", nodata=nodata)
    rows, cols = zip(*itertools.product((-20, 30, 150), (0, 100, 210)), strict=True)
    on = Ask(grid.asset(path), grid.boxes(rows, cols, 50), pixels.dtype)
    np.testing.assert_array_equal(by_reader(on)[0], cut(pixels, rows, cols, 50))
    np.testing.assert_array_equal(by_stack(on), cut(pixels, rows, cols, 50))
    half = grid.boxes(rows, cols, 50)
    off = Ask(on.asset, Boxes(half.epsg, 10, 50, half.ulx + 4, half.uly - 4), pixels.dtype)
    np.testing.assert_array_equal(by_reader(off)[0], cut(pixels, rows, cols, 50))


def test_boxes_wholly_outside_are_zeros_in_either_way(path: Path):
    far = GRID.boxes([5000, -9000], [0, 90_000], 64)
    for shift in (0, 3):
        boxes = Boxes(far.epsg, 10, 64, far.ulx + shift, far.uly + shift)
        ask = Ask(GRID.asset(path), boxes, np.dtype("uint16"))
        for found in (by_reader(ask)[0], by_stack(ask)):
            assert found.shape == (2, 64, 64) and not found.any()


def test_points_for_pixels_and_rotation_are_understood(tmp_path: Path):
    """PixelIsPoint moves the grid by half a pixel; a turned file is on no one's grid."""
    grid = Grid(200, 240)
    pixels = noise(grid, "uint16")
    point = write_tifffile(tmp_path / "point.tif", pixels, grid, point=True, tile=(64, 64))
    boxes = grid.boxes([0, 30], [0, 50], 64)
    moved = Boxes(boxes.epsg, 10, 64, boxes.ulx - 5, boxes.uly + 5)
    with rasterio.open(point) as file:
        assert (file.transform.c, file.transform.f) == (grid.left - 5, grid.top + 5)
    found, traffic = by_reader(Ask(grid.asset(point), moved, pixels.dtype))
    np.testing.assert_array_equal(found, cut(pixels, [0, 30], [0, 50], 64))
    assert traffic.other_assets == 1
    turned = write_gdal(
        tmp_path / "turned.tif", pixels, grid, transform=grid.transform @ rasterio.Affine.rotation(20), tiled=True
    )
    found, traffic = by_reader(Ask(grid.asset(turned), boxes, pixels.dtype))
    assert traffic.other_assets == 1
    for at, each in enumerate(found):
        np.testing.assert_array_equal(each, warped(turned, boxes, at))
