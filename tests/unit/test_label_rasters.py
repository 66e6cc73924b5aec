"""Raster labels: against constructed truth, against GDAL's warper, and against themselves read in other company."""

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject, transform_bounds

from tilewright.config.bands import NONE, UNLABELED
from tilewright.config.label_sets import RasterFile
from tilewright.errors import TilewrightError
from tilewright.vector.ontology import Ontology
from tilewright.vector.raster import RasterCell, RasterLabels

EPSG = 32633
ULX, ULY = 500_160, 5_200_320  # multiples of 20, not of the nodes between which places are interpolated
KNOWN = {10: 0, 20: 1, 30: 2}  # value of the raster → label

WORLDCOVER = Ontology.model_validate({
    "name": "worldcover", "version": 1,
    "channels": [{"name": "cover"}, {"name": "water", "none": [{"pixels": [10]}]}],
    "categories": [
        {"name": "tree", "channel": "cover", "value": 0, "precedence": 1, "colour": "#006400", "rules": [{"pixels": 10}]},
        {"name": "shrub", "channel": "cover", "value": 1, "precedence": 3, "colour": "#ffbb22", "rules": [{"pixels": [20]}]},
        {"name": "grass", "channel": "cover", "value": 2, "precedence": 2, "colour": "#ffff4c", "rules": [{"pixels": [30, 31]}]},
        {"name": "water", "channel": "water", "value": 3, "precedence": 1, "colour": "#0064c8", "rules": [{"pixels": [80]}]},
    ],
})  # fmt: skip


def write(
    path: Path, values: np.ndarray, transform: Affine, crs: Any = EPSG, nodata: float | None = None, **options: Any
) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", width=values.shape[1], height=values.shape[0], count=1, dtype=values.dtype.name,
        crs=crs, transform=transform, nodata=nodata, **options,
    ) as file:  # fmt: skip
        file.write(values, 1)
    return path


def at(step: float, ulx: float = ULX, uly: float = ULY) -> Affine:
    return Affine(step, 0, ulx, 0, -step, uly)


def labels(
    path: Path, resampling: str = "nearest", ontology: Ontology | None = WORLDCOVER, step: float = 10, epsg: int = EPSG,
    unknown: Any = "error", **source: Any,
) -> RasterLabels:  # fmt: skip
    file = RasterFile(kind="raster", path=str(path), resampling=resampling, licence="made here", **source)
    return RasterLabels(file, ontology, epsg, step, unknown)


def one(raster: RasterLabels, ulx: float = ULX, uly: float = ULY, size_m: int = 640) -> RasterCell:
    ((position, cell),) = raster.cells(np.array([ulx]), np.array([uly]), size_m)
    assert position == 0
    return cell


def classes(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([10, 20, 30], np.uint8), shape)


def test_nearest_on_the_same_grid_is_the_raster_through_the_class_map(tmp_path: Path) -> None:
    values = classes((70, 80))
    values[3, 4], values[5, 6] = 80, 31
    path = write(tmp_path / "a.tif", values, at(10, ULX - 50, ULY + 30))
    cell = one(labels(path))
    want = values[3:67, 5:69]
    assert cell.pixels.dtype == np.uint8 and cell.pixels.shape == (2, 64, 64)
    mapped = np.vectorize({**KNOWN, 31: 2, 80: UNLABELED}.get)(want)
    np.testing.assert_array_equal(cell.pixels[0], mapped)
    np.testing.assert_array_equal(cell.pixels[1], np.where(want == 10, NONE, np.where(want == 80, 3, UNLABELED)))
    assert cell.covered.all()


def test_a_point_on_an_edge_is_in_the_lower_right_pixel(tmp_path: Path) -> None:
    values = classes((128, 128))
    cell = one(labels(write(tmp_path / "a.tif", values, at(5))))
    np.testing.assert_array_equal(cell.pixels[0], np.vectorize(KNOWN.get)(values[1::2, 1::2]))


@pytest.mark.parametrize("fine", [5, 2.5, 2, 1, 0.5])
def test_majority_is_what_covers_most_exactly_where_pixels_nest(tmp_path: Path, fine: float) -> None:
    times = int(10 / fine)
    values = classes((16 * times, 16 * times), seed=times)
    values[: times // 2 + 1, :times] = 30
    path = write(tmp_path / "a.tif", values, at(fine))
    cell = one(labels(path, "majority"), size_m=160)
    blocks = values.reshape(16, times, 16, times).transpose(0, 2, 1, 3).reshape(16, 16, -1)
    count = {value: (blocks == value).sum(axis=-1) for value in (20, 30, 10)}  # by precedence, which decides ties
    want, best = np.full((16, 16), UNLABELED), np.zeros((16, 16), int)
    ties = 0
    for value, each in count.items():
        ties += int((each == best).sum()) if value == 10 else 0
        want = np.where(each > best, KNOWN[value], want)
        best = np.maximum(each, best)
    np.testing.assert_array_equal(cell.pixels[0], want)
    assert times > 4 or ties > 0


@pytest.mark.parametrize("coarse", [10, 20, 30, 1000])
def test_majority_of_a_coarser_raster_is_nearest(tmp_path: Path, coarse: int) -> None:
    values = classes((80, 80))
    path = write(tmp_path / "a.tif", values, at(coarse, ULX - 7.3, ULY + 3.1))
    np.testing.assert_array_equal(one(labels(path, "majority")).pixels, one(labels(path)).pixels)


@given(st.lists(st.sampled_from([10, 20, 30, 0]), min_size=16, max_size=16))
@settings(max_examples=40, deadline=None)
def test_majority_of_one_pixel(tmp_path_factory: pytest.TempPathFactory, given_values: list[int]) -> None:
    path = tmp_path_factory.mktemp("one") / "a.tif"
    write(path, np.array(given_values, np.uint8).reshape(4, 4), at(2.5), nodata=0)
    cell = one(labels(path, "majority"), size_m=10)
    count = {label: given_values.count(value) for value, label in ((20, 1), (30, 2), (10, 0), (0, UNLABELED))}
    covered = given_values.count(0) <= 8
    assert cell.covered[0, 0] == covered
    assert cell.pixels[0, 0, 0] == (max(count, key=lambda label: count[label]) if covered else UNLABELED)


def lonlat_raster(tmp_path: Path, pixel: float = 8.3333e-05, kind: str = "uint8") -> tuple[Path, np.ndarray, Affine]:
    west, south, east, north = transform_bounds(EPSG, 4326, ULX - 200, ULY - 2200, ULX + 2200, ULY + 200)
    shape = (int((north - south) / pixel), int((east - west) / pixel))
    transform = Affine(pixel, 0, west, 0, -pixel, north)
    if kind == "uint8":
        blocks = classes((-(-shape[0] // 4), -(-shape[1] // 4)))
        values = np.kron(blocks, np.ones((4, 4), np.uint8))[: shape[0], : shape[1]]
    else:
        y, x = np.mgrid[: shape[0], : shape[1]]
        values = (500 + 80 * np.sin(y / 25) + 60 * np.cos(x / 17)).astype(kind)
    return write(tmp_path / f"lonlat-{kind}.tif", values, transform, 4326), values, transform


@pytest.mark.parametrize("crs", [4326, 3035, 3857, 32632])
@pytest.mark.parametrize("step", [10, 2.5])
def test_nearest_from_another_crs_is_exact_and_gdals(tmp_path: Path, crs: int, step: float) -> None:
    path, values, transform = lonlat_raster(tmp_path)
    if crs != 4326:
        left, bottom, right, top = transform_bounds(EPSG, crs, ULX - 200, ULY - 2200, ULX + 2200, ULY + 200)
        values, transform = classes((240, 240)), Affine((right - left) / 240, 0, left, 0, (bottom - top) / 240, top)
        path = write(tmp_path / "other.tif", values, transform, crs)
    side = int(1920 / step)
    cell = one(labels(path, step=step), size_m=1920)
    assert cell.covered.all()
    along = (np.arange(side) + 0.5) * step
    x, y = pyproj.Transformer.from_crs(EPSG, crs, always_xy=True).transform(*np.meshgrid(ULX + along, ULY - along))
    column, row = ~transform * (x, y)
    exact = np.vectorize(KNOWN.get)(values[np.floor(row).astype(int), np.floor(column).astype(int)])
    # Places are interpolated within a millimetre: where a centre is that near to an edge either pixel is right.
    from_edge = np.minimum(np.abs(column - column.round()), np.abs(row - row.round()))
    assert (cell.pixels[0] == exact)[from_edge > 5e-4].all() and (from_edge > 5e-4).mean() > 0.99
    theirs = np.zeros((side, side), np.uint8)
    reproject(values, theirs, src_transform=transform, src_crs=crs, dst_transform=at(step), dst_crs=EPSG)
    # GDAL's own interpolation is within an eighth of a pixel, and here within 2 % of one.
    same = cell.pixels[0] == np.vectorize({**KNOWN, 0: UNLABELED}.get)(theirs)
    assert same[from_edge > 0.02].all()


def test_majority_from_another_crs_is_nearly_gdals_mode_of_finer_pixels(tmp_path: Path) -> None:
    path, values, transform = lonlat_raster(tmp_path)
    cell = one(labels(path, "majority"), size_m=1920)
    fine = np.zeros((1920, 1920), np.uint8)  # one metre, by GDAL: near enough to the exact areas
    reproject(values, fine, src_transform=transform, src_crs=4326, dst_transform=at(1), dst_crs=EPSG)
    blocks = fine.reshape(192, 10, 192, 10).transpose(0, 2, 1, 3).reshape(192, 192, 100)
    share = np.stack([(blocks == value).mean(axis=-1) for value in KNOWN])
    clear = np.sort(share, axis=0)[-1] - np.sort(share, axis=0)[-2] > 0.3
    assert clear.mean() > 0.7
    np.testing.assert_array_equal(cell.pixels[0][clear], share.argmax(axis=0)[clear])


@pytest.mark.parametrize("resampling", ["nearest", "majority", "bilinear", "cubic", "average", "min", "max"])
@pytest.mark.parametrize("step", [10, 2.5])
def test_a_cell_alone_is_the_cell_in_company(tmp_path: Path, resampling: str, step: float) -> None:
    path, *_ = lonlat_raster(tmp_path, kind="float32")
    raster = labels(path, resampling, None, step=step)
    x, y = np.meshgrid(ULX + np.arange(4) * 480, ULY - np.arange(4) * 480)
    order = np.random.default_rng(1).permutation(16)
    ulx, uly = x.ravel()[order], y.ravel()[order]
    together = dict(raster.cells(ulx, uly, 480))
    assert sorted(together) == list(range(16))
    whole = one(raster, size_m=1920)
    for position, cell in together.items():
        alone = one(labels(path, resampling, None, step=step), ulx[position], uly[position], 480)
        assert alone.pixels.tobytes() == cell.pixels.tobytes() and alone.covered.tobytes() == cell.covered.tobytes()
        if resampling in ("nearest", "bilinear", "cubic"):  # points per pixel are those of a cell's centre
            row, column = int((ULY - uly[position]) / step), int((ulx[position] - ULX) / step)
            side = int(480 / step)
            np.testing.assert_array_equal(whole.pixels[:, row : row + side, column : column + side], cell.pixels)


@pytest.mark.parametrize("resampling", ["bilinear", "cubic"])
def test_interpolation_is_gdals(tmp_path: Path, resampling: str) -> None:
    """A coarser raster: GDAL widens its kernels where the raster is finer, we do not."""
    path, values, transform = lonlat_raster(tmp_path, 3e-4, "float32")
    cell = one(labels(path, resampling, None), size_m=1920)
    theirs = np.zeros((192, 192), np.float32)
    reproject(
        values, theirs, src_transform=transform, src_crs=4326, dst_transform=at(10), dst_crs=EPSG,
        resampling=Resampling[resampling], XSCALE=1, YSCALE=1,
    )  # fmt: skip
    assert cell.pixels.dtype == np.float32 and cell.covered.all()
    np.testing.assert_allclose(cell.pixels[0], theirs, atol=0.02)  # of numbers that change by up to 15 a pixel


@pytest.mark.parametrize("resampling", ["bilinear", "cubic"])
def test_interpolation_of_a_plane_is_the_plane(tmp_path: Path, resampling: str) -> None:
    y, x = np.mgrid[:40, :40]
    path = write(tmp_path / "a.tif", (3.0 * x + 7.0 * y).astype(np.float32), at(30, ULX - 90, ULY + 90))
    cell = one(labels(path, resampling, None))
    centre = (np.arange(64) * 10 + 5 + 90) / 30 - 0.5
    np.testing.assert_allclose(cell.pixels[0], 3 * centre[None] + 7 * centre[:, None], rtol=1e-6)


@pytest.mark.parametrize(("resampling", "of"), [("average", np.nanmean), ("min", np.nanmin), ("max", np.nanmax)])
def test_statistics_of_finer_pixels_leave_out_no_data(tmp_path: Path, resampling: str, of: Any) -> None:
    values = np.random.default_rng(3).normal(0, 100, (80, 80)).astype(np.float32)
    values[:5, :5] = -9999  # a whole pixel
    values[0, 10:12] = np.nan  # a part of one
    path = write(tmp_path / "a.tif", values, at(2), nodata=-9999)
    cell = one(labels(path, resampling, None), size_m=160)
    known = np.where(values == -9999, np.nan, values).astype(float)
    blocks = known.reshape(16, 5, 16, 5).transpose(0, 2, 1, 3).reshape(16, 16, 25)
    blocks[0, 0] = 0
    want = of(blocks, axis=-1)
    want[0, 0] = np.nan
    np.testing.assert_allclose(cell.pixels[0], want, rtol=1e-6)
    assert not cell.covered[0, 0] and cell.covered.sum() == 255


def test_commonest_number_of_a_layer_and_the_lowest_of_equals(tmp_path: Path) -> None:
    values = np.array([[7, 7, 3, 3], [7, 1, 3, 3], [5, 5, 2, 2], [4, 4, 9, 9]], np.int16)
    cell = one(labels(write(tmp_path / "a.tif", values, at(5)), "majority", None), size_m=20)
    assert cell.pixels[0].tolist() == [[7, 3], [4, 2]]


def test_interpolation_beside_no_data_takes_what_there_is(tmp_path: Path) -> None:
    values = np.full((8, 8), 50, np.int16)
    values[2, 2] = -1
    path = write(tmp_path / "a.tif", values, at(20), nodata=-1)
    for resampling in ("bilinear", "cubic"):
        cell = one(labels(path, resampling, None), size_m=160)
        want = np.full((16, 16), 50, np.float32)
        want[4:6, 4:6] = np.nan
        np.testing.assert_array_equal(cell.pixels[0], want)
        np.testing.assert_array_equal(cell.covered, ~np.isnan(want))


def test_ground_outside_the_raster_is_not_covered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", classes((20, 30)), at(10, ULX + 100, ULY - 50))
    cell = one(labels(path))
    inside = np.zeros((64, 64), bool)
    inside[5:25, 10:40] = True
    np.testing.assert_array_equal(cell.covered, inside)
    assert (cell.pixels[0][~inside] == UNLABELED).all() and (cell.pixels[0][inside] != UNLABELED).all()
    far = one(labels(path), ULX + 50_000, ULY)
    assert not far.covered.any() and (far.pixels == UNLABELED).all()
    assert np.isnan(one(labels(path, ontology=None), ULX + 50_000, ULY).pixels).all()


def test_no_data_is_told_apart_from_classes_without_a_label(tmp_path: Path) -> None:
    values = classes((64, 64))
    values[0, 0], values[1, 1] = 255, 99
    path = write(tmp_path / "a.tif", values, at(10), nodata=255)
    raster = labels(path, unknown="unlabeled")
    cell = one(raster)
    assert cell.pixels[0, 0, 0] == cell.pixels[0, 1, 1] == UNLABELED
    assert not cell.covered[0, 0] and cell.covered[1, 1] and cell.covered.sum() == 64 * 64 - 1
    assert raster.unknown == {"value=99": 1}
    named = labels(path, nodata=99)
    with pytest.raises(TilewrightError, match=r"the values 255 \(1\)"):  # now 255 is a value like any other
        one(named)


def test_a_mask_beside_the_band_is_no_data(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", classes((64, 64)), at(10))
    mask = np.full((64, 64), 255, np.uint8)
    mask[7, 9] = 0
    with rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    np.testing.assert_array_equal(one(labels(path)).covered, mask != 0)


@pytest.mark.parametrize("resampling", ["nearest", "majority"])
def test_unknown_values_are_an_error_with_counts_or_counted(tmp_path: Path, resampling: str) -> None:
    values = np.kron(classes((64, 64)), np.ones((2, 2), np.uint8))
    values[:2, :6], values[126:, :2] = 41, 42
    path = write(tmp_path / "a.tif", values, at(5))
    with pytest.raises(TilewrightError, match=r"no rule for the values 41 \(3\), 42 \(1\) \(pixels") as caught:
        one(labels(path, resampling))
    assert "a.tif" in str(caught.value) and "unknown: unlabeled" in str(caught.value)
    lenient = labels(path, resampling, unknown="unlabeled")
    cell = one(lenient)
    assert (cell.pixels[0] == UNLABELED).sum() == 4 and cell.covered.all()
    assert lenient.unknown == {"value=41": 3, "value=42": 1}
    # outside the cells nobody asks
    one(labels(path, resampling), ULX + 320, ULY, 320)


def test_classes_in_a_raster_of_floats(tmp_path: Path) -> None:
    values = classes((64, 64)).astype(np.float32)
    values[0, 0], values[0, 1] = np.nan, 10.5
    path = write(tmp_path / "a.tif", values, at(10))
    raster = labels(path, unknown="unlabeled")
    cell = one(raster)
    np.testing.assert_array_equal(cell.pixels[0, 1:], np.vectorize(KNOWN.get)(values[1:].astype(int)))
    assert not cell.covered[0, 0] and raster.unknown == {"value=10.5": 1}


@pytest.mark.parametrize(
    ("west", "label"), [(-180.0, "around the world from -180"), (0.0, "from 0 to 360"), (179.9, "beyond 180")]
)
def test_across_the_antimeridian(tmp_path: Path, west: float, label: str) -> None:
    """Zone 60, 1.9 km around 180° at 17° south (Fiji): values are the raster's whole columns east of 179.9°."""
    pixel = 0.001
    width = 200 if west == 179.9 else 360_000
    columns = (np.round((west - 179.9) / pixel).astype(int) + np.arange(width)) % 360_000
    values = np.where(columns < 200, columns + 1, 0).astype(np.uint16)
    path = write(
        tmp_path / "a.tif", np.tile(values, (40, 1)), Affine(pixel, 0, west, 0, -pixel, -16.98), 4326, nodata=0, compress="deflate"
    )  # fmt: skip
    x, y = pyproj.Transformer.from_crs(4326, 32760, always_xy=True).transform(180.0, -17.0)
    ulx, uly = x // 20 * 20 - 960, y // 20 * 20 + 960
    cell = one(labels(path, ontology=None, epsg=32760), ulx, uly, 1920)
    east, north = np.meshgrid(ulx + np.arange(192) * 10 + 5, uly - np.arange(192) * 10 - 5)
    longitude, _ = pyproj.Transformer.from_crs(32760, 4326, always_xy=True).transform(east, north)
    want = np.floor((longitude % 360 - 179.9) / pixel) + 1
    assert cell.covered.all() and want.min() < 100 < 105 < want.max()
    assert (cell.pixels[0] != want).mean() < 1e-3


def test_rotated_rasters(tmp_path: Path) -> None:
    values = classes((120, 120))
    transform = Affine.translation(ULX + 300, ULY + 300) * Affine.rotation(-40) * Affine.scale(9, -9)
    path = write(tmp_path / "a.tif", values, transform)
    cell = one(labels(path))
    east, north = np.meshgrid(ULX + np.arange(64) * 10 + 5, ULY - np.arange(64) * 10 - 5)
    column, row = (np.floor(each).astype(int) for each in ~transform * (east, north))
    inside = (column >= 0) & (column < 120) & (row >= 0) & (row < 120)
    assert 0.2 < inside.mean() < 1
    np.testing.assert_array_equal(cell.covered, inside)
    np.testing.assert_array_equal(cell.pixels[0][inside], np.vectorize(KNOWN.get)(values[row[inside], column[inside]]))


def test_bad_files_are_one_clear_error(tmp_path: Path) -> None:
    def refused(words: str, path: Path, **source: Any) -> None:
        with pytest.raises(TilewrightError, match=words) as caught:
            one(labels(path, **source))
        assert path.name in str(caught.value)

    values = classes((64, 64))
    refused("no such file", tmp_path / "none.tif")
    (tmp_path / "text.tif").write_text("no raster")
    refused("cannot be read", tmp_path / "text.tif")
    path = write(tmp_path / "a.tif", values, at(10))
    refused("has 1 band, no 2: mend labels.<set>.source.band", path, band=2)
    refused("nodata: -9999 cannot be in a band of uint8", path, nodata=-9999)
    refused("names no CRS", write(tmp_path / "b.tif", values, at(10), None))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        refused("where its pixels are", write(tmp_path / "c.tif", values, Affine.identity(), EPSG))
    refused("of complex64", write(tmp_path / "d.tif", values.astype(np.complex64), at(10)))
    refused("no place on the earth", write(tmp_path / "e.tif", values, at(10), 'LOCAL_CS["plan",UNIT["metre",1]]'))
    whole = write(
        tmp_path / "f.tif", classes((640, 640)), at(10), tiled=True, blockxsize=256, blockysize=256, compress="deflate"
    )
    (tmp_path / "g.tif").write_bytes(whole.read_bytes()[:3000])
    refused("cannot be read", tmp_path / "g.tif")


def test_every_block_of_a_tiled_file_is_read_where_it_belongs(tmp_path: Path) -> None:
    values = classes((600, 600), seed=5)
    path = write(tmp_path / "a.tif", values, at(10), tiled=True, blockxsize=128, blockysize=128, compress="deflate")
    x, y = np.meshgrid(ULX + np.arange(4) * 1280, ULY - np.arange(4) * 1280)
    found = dict(labels(path).cells(x.ravel(), y.ravel(), 1280))
    mapped = np.full((600, 600), UNLABELED)
    for value, label in KNOWN.items():
        mapped[values == value] = label
    for position, cell in found.items():
        row, column = position // 4 * 128, position % 4 * 128
        np.testing.assert_array_equal(cell.pixels[0], mapped[row : row + 128, column : column + 128])
