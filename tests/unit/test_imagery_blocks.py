"""The block reader, GDAL's block reads and stackstac give the same arrays, wherever each applies: random files and boxes."""

import itertools
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, data, integers, lists, sampled_from

from rasters import Grid, as_gdal_sees, by_gdal, by_reader, by_stack, cut, noise, write_gdal, write_tifffile
from tilewright.imagery import Ask
from tilewright.imagery.layout import read_layout


def runs(examples: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=slow)


DTYPES = ["uint8", "uint16", "int16", "float32"]
GDAL_PACKS = [
    {}, {"compress": "lzw"}, {"compress": "lzw", "predictor": 2}, {"compress": "deflate"},
    {"compress": "deflate", "predictor": 2}, {"compress": "zstd"}, {"compress": "zstd", "predictor": 2},
    {"compress": "lzw", "predictor": 3}, {"compress": "deflate", "predictor": 3}, {"compress": "zstd", "predictor": 3},
]  # fmt: skip
TIFFFILE_PACKS = [{}, *({"compression": name} for name in ("lzw", "zlib", "deflate", "zstd"))]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def fits(dtype: str, options: dict[str, Any]) -> bool:
    """Predictor 2 is for whole numbers (of floats, GDAL decodes it and the block reader leaves it to GDAL), 3 for floats."""
    return options.get("predictor") != (2 if dtype == "float32" else 3)


def some_boxes(draw: Callable[[Any], Any], grid: Grid) -> tuple[list[int], list[int], int]:
    """Boxes anywhere: sharing blocks, over the edges, far outside."""
    side = draw(integers(1, 90))
    near = st.tuples(integers(-side - 2, grid.rows + 2), integers(-side - 2, grid.cols + 2))
    far = st.tuples(integers(-9000, 9000), integers(-9000, 9000))
    places = draw(lists(near, min_size=1, max_size=12)) + draw(lists(far, max_size=2))
    if draw(st.booleans()):
        places += [(row + 1, col - 1) for row, col in places[:3]]
    return [row for row, _ in places], [col for _, col in places], side


@runs(70)
@given(given=data())
def test_gdals_tiffs(folder: Path, given: DataObject):
    draw = given.draw
    grid = Grid(draw(integers(1, 260)), draw(integers(1, 260)), step=draw(sampled_from([10, 20, 60])))
    dtype, packed = draw(sampled_from(DTYPES)), draw(sampled_from(GDAL_PACKS))
    options = dict(packed, BIGTIFF=draw(sampled_from(["YES", "NO"])))
    if draw(st.booleans()):
        sides = st.sampled_from([16, 32, 48, 64, 128, 256, 1024])
        options |= {"tiled": True, "blockxsize": draw(sides), "blockysize": draw(sides)}
    else:
        options |= {"blockysize": draw(integers(1, 300))}  # strips, the last of them ragged
    if not fits(dtype, options):
        options.pop("predictor")
    if draw(st.booleans()):
        options["nodata"] = draw(sampled_from([0, 7, 255]))
    path = folder / "gdal.tif"
    pixels = noise(grid, dtype, draw(integers(0, 99)))
    write_gdal(path, pixels, grid, **options)
    _agree(draw, path, grid, pixels)


@runs(40)
@given(given=data())
def test_tifffiles_tiffs(folder: Path, given: DataObject):
    draw = given.draw
    grid = Grid(draw(integers(1, 200)), draw(integers(1, 200)))
    dtype, options = draw(sampled_from(DTYPES)), dict(draw(sampled_from(TIFFFILE_PACKS)))
    options |= {"bigtiff": draw(st.booleans())}
    if options.get("compression") and draw(st.booleans()) and dtype != "float32":
        options["predictor"] = True
    if draw(st.booleans()):
        options["tile"] = (16 * draw(integers(1, 9)), 16 * draw(integers(1, 9)))
    else:
        options["rowsperstrip"] = draw(integers(1, 220))
    path = folder / "tifffile.tif"
    pixels = noise(grid, dtype, draw(integers(0, 99)))
    write_tifffile(path, pixels, grid, **options)
    _agree(draw, path, grid, pixels)


def _agree(draw: Callable[[Any], Any], path: Path, grid: Grid, pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(as_gdal_sees(path), pixels)
    rows, cols, side = some_boxes(draw, grid)
    truth = cut(pixels, rows, cols, side)
    ask = Ask(grid.asset(path), grid.boxes(rows, cols, side), pixels.dtype)
    found, traffic = by_reader(ask, threads=draw(integers(1, 4)))
    np.testing.assert_array_equal(found, truth)
    assert (traffic.assets, traffic.other_assets, traffic.retries) == (1, 0, 0), "by blocks"
    np.testing.assert_array_equal(by_gdal(ask), truth)
    if draw(integers(0, 2)) == 0:
        np.testing.assert_array_equal(by_stack(ask), truth)
        with rasterio.open(path) as file:
            window = rasterio.windows.Window(cols[0], rows[0], side, side)
            np.testing.assert_array_equal(file.read(1, window=window, boundless=True, fill_value=0), truth[0])


GRID = Grid(300, 500)


def whole(path: Path, grid: Grid, dtype: str, block_reader: bool) -> np.ndarray:
    """Read boxes that cover more than all of `grid` in both ways; which one served is as it should be."""
    rows, cols = zip(*itertools.product(range(-40, grid.rows, 100), range(-40, grid.cols, 100)), strict=True)
    ask = Ask(grid.asset(path), grid.boxes(rows, cols, 100), np.dtype(dtype))
    truth = cut(as_gdal_sees(path), rows, cols, 100)
    found, traffic = by_reader(ask, threads=2)
    np.testing.assert_array_equal(found, truth)
    assert (traffic.assets, traffic.other_assets) == ((1, 0) if block_reader else (0, 1))
    np.testing.assert_array_equal(by_gdal(ask), truth)
    return found


@pytest.mark.parametrize(
    ("nodata", "dtype"),
    [(None, "uint16"), (0, "uint8"), (7, "uint16"), (-5, "int16"), (float("nan"), "float32"), (-1e20, "float32")],
)
@pytest.mark.parametrize("tiled", [True, False])
def test_blocks_that_were_never_written_hold_the_no_data_value(
    tiled: bool, nodata: float | None, dtype: str, tmp_path: Path
):
    shape = {"tiled": True, "blockxsize": 64, "blockysize": 32} if tiled else {"blockysize": 40}
    given: Any = {"SPARSE_OK": "TRUE", "compress": "deflate", "nodata": nodata, **shape}
    with rasterio.open(
        tmp_path / "sparse.tif", "w", driver="GTiff", width=500, height=300, count=1, dtype=dtype, crs=GRID.epsg,
        transform=GRID.transform, **given,
    ) as file:  # fmt: skip
        part = noise(Grid(100, 200), dtype)
        file.write(part, 1, window=rasterio.windows.Window(70, 30, 200, 100))
    found = whole(tmp_path / "sparse.tif", GRID, dtype, block_reader=True)
    np.testing.assert_array_equal(found.ravel()[-1], 0)  # outside the raster, whatever its no data


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", "-9999"), ("uint8", "1.5"), ("int16", "40000")])
def test_a_no_data_value_that_the_type_does_not_hold_is_gdals_to_read(dtype: str, nodata: str, tmp_path: Path):
    path = tmp_path / "odd.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=500, height=300, count=1, dtype=dtype, crs=GRID.epsg,
        transform=GRID.transform, SPARSE_OK="TRUE", tiled=True, blockxsize=64, blockysize=64, nodata=11,
    ) as file:  # fmt: skip
        file.write(noise(Grid(64, 64), dtype), 1, window=rasterio.windows.Window(64, 64, 64, 64))
    raw = path.read_bytes()
    assert raw.count(b"11\0") == 1
    import tifffile

    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags[42113].overwrite(nodata)
    whole(path, GRID, dtype, block_reader=False)


@pytest.mark.parametrize("driver", ["COG", "GTiff"])
@pytest.mark.parametrize("predictor", ["YES", "NO"])
def test_cloud_optimised_files_with_overviews(driver: str, predictor: str, tmp_path: Path):
    grid = Grid(700, 900)
    pixels = noise(grid, "uint16")
    path = tmp_path / "cog.tif"
    if driver == "COG":
        write_gdal(path, pixels, grid, driver="COG", blocksize=128, compress="DEFLATE", predictor=predictor)
        raw = path.read_bytes()
        layout = read_layout(memoryview(raw), len(raw), lambda at, size: memoryview(raw)[at : at + size])
        assert layout is not None
        at, count = int(layout.offsets[5]), int(layout.counts[5])
        assert int.from_bytes(raw[at - 4 : at], "little") == count, "GDAL leads each block with its size"
    else:
        write_gdal(path, pixels, grid, tiled=True, blockxsize=128, blockysize=128, compress="LZW", nodata=3)
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2, 4])
            file.write_mask(noise(grid, "uint8") > 9)
    with rasterio.open(path) as file:
        assert file.overviews(1)
    whole(path, grid, "uint16", block_reader=True)


def test_a_header_at_the_end_of_the_file_and_one_larger_than_the_first_read(tmp_path: Path):
    grid = Grid(1500, 1600)
    pixels = noise(grid, "uint16")
    path = write_tifffile(tmp_path / "end.tif", pixels, grid, tile=(16, 16), compression="zlib")
    raw = path.read_bytes()
    with rasterio.open(path) as file:
        assert file.block_shapes == [(16, 16)]
    whole(path, grid, "uint16", block_reader=True)
    # rewritten by GDAL in place: the directory moves behind the pixels
    moved = write_gdal(tmp_path / "moved.tif", pixels, grid, tiled=True, blockxsize=64, blockysize=64, compress="LZW")
    with rasterio.open(moved, "r+") as file:
        file.update_tags(words="x" * 5000)
    raw = moved.read_bytes()
    assert int.from_bytes(raw[4:8], "little") > len(raw) // 2
    whole(moved, grid, "uint16", block_reader=True)


def _point(path: Path, pixels: np.ndarray) -> None:
    write_tifffile(path, pixels, GRID, point=True, tile=(64, 64))


OTHERS: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "big endian": lambda path, pixels: write_tifffile(path, pixels, GRID, byteorder=">", tile=(64, 64)),
    "big endian, BigTIFF": lambda path, pixels: write_gdal(path, pixels, GRID, ENDIANNESS="BIG", BIGTIFF="YES"),
    "12 bits": lambda path, pixels: write_gdal(path, pixels & 4095, GRID, NBITS=12),
    "LZMA": lambda path, pixels: write_gdal(path, pixels, GRID, compress="lzma"),
    "PackBits": lambda path, pixels: write_gdal(path, pixels, GRID, compress="packbits"),
    "LERC": lambda path, pixels: write_gdal(path, pixels, GRID, compress="lerc"),
    "JPEG 2000": lambda path, pixels: write_gdal(
        path, pixels, GRID, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", BLOCKXSIZE=128, BLOCKYSIZE=128
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("suffix", ["tif", "jp2"])
def test_what_a_file_is_decides_and_not_its_name(kind: str, suffix: str, tmp_path: Path):
    made = tmp_path / f"made.{'jp2' if kind == 'JPEG 2000' else 'tif'}"
    pixels = noise(GRID, "uint16")
    OTHERS[kind](made, pixels)
    path = tmp_path / f"named.{suffix}"
    made.rename(path)
    found = whole(path, GRID, "uint16", block_reader=False)
    if kind != "12 bits":
        np.testing.assert_array_equal(found, cut(pixels, *_places(GRID), 100))


@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_a_file_of_several_bands_is_no_band(interleave: str, tmp_path: Path):
    from tilewright.imagery import BrokenAssetError

    pixels = noise(GRID, "uint16")
    path = write_gdal(tmp_path / "two.tif", np.stack([pixels, pixels[::-1]]), GRID, interleave=interleave)
    with pytest.raises(BrokenAssetError, match="holds 2 bands instead of 1"):
        by_reader(Ask(GRID.asset(path), GRID.boxes([0], [0], 50), np.dtype("uint16")))


def test_a_predictor_of_what_is_not_compressed_is_ignored_as_gdal_does(tmp_path: Path):
    pixels = noise(GRID, "uint16")
    path = write_gdal(tmp_path / "plain.tif", pixels, GRID, tiled=True, blockxsize=64, blockysize=64)
    raw = bytearray(path.read_bytes())
    at = int.from_bytes(raw[4:8], "little")
    entries = [
        bytes(raw[at + 2 + 12 * i : at + 14 + 12 * i]) for i in range(int.from_bytes(raw[at : at + 2], "little"))
    ]
    # PlanarConfig, whose default is what is said, makes room for Predictor = 2
    entries = [
        struct.pack("<HHIHH", 317, 3, 1, 2, 0) if each[:2] == struct.pack("<H", 284) else each for each in entries
    ]
    raw[at + 2 : at + 2 + 12 * len(entries)] = b"".join(sorted(entries, key=lambda each: struct.unpack("<H", each[:2])))
    path.write_bytes(raw)
    found = whole(path, GRID, "uint16", block_reader=True)
    np.testing.assert_array_equal(found, cut(pixels, *_places(GRID), 100))


def _places(grid: Grid) -> Any:
    return zip(*itertools.product(range(-40, grid.rows, 100), range(-40, grid.cols, 100)), strict=True)


@pytest.mark.parametrize(("predictor", "block_reader"), [(3, True), (2, False)])
def test_floats_with_whole_numbers_predictor_are_gdals(predictor: int, block_reader: bool, tmp_path: Path):
    options = {"compress": "deflate", "tiled": True, "predictor": predictor}
    path = write_gdal(tmp_path / "float.tif", noise(GRID, "float32"), GRID, **options)
    whole(path, GRID, "float32", block_reader=block_reader)


def test_a_tiff_named_jp2_is_read_by_blocks(tmp_path: Path):
    path = write_gdal(tmp_path / "B02.tif", noise(GRID, "uint16"), GRID, compress="deflate", tiled=True)
    whole(path.rename(tmp_path / "B02.jp2"), GRID, "uint16", block_reader=True)


def test_wider_types_are_given_as_asked_and_narrower_ones_are_broken(tmp_path: Path):
    from tilewright.imagery import BrokenAssetError

    pixels = noise(GRID, "uint8")
    path = write_gdal(tmp_path / "small.tif", pixels, GRID, compress="deflate")
    boxes = GRID.boxes([-5, 100], [3, 480], 50)
    wide = Ask(GRID.asset(path), boxes, np.dtype("uint16"))
    np.testing.assert_array_equal(by_reader(wide)[0], cut(pixels, [-5, 100], [3, 480], 50))
    np.testing.assert_array_equal(by_reader(wide)[0], by_gdal(wide))
    for how in (by_reader, by_gdal):
        with pytest.raises(BrokenAssetError, match="holds uint8 instead of int8"):
            how(Ask(GRID.asset(path), boxes, np.dtype("int8")))
