"""Sentinel-1 on the cells' grid: where each pixel is, what it is worth in dB, and where there is no data."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from scipy.interpolate import RBFInterpolator

from rasters import Grid, by_reader, write_gdal
from swaths import POWER, Swath, ask, boxes_at, by_gdal, centres, document, write_grd
from tilewright.grid import Boxes
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Mosaic, Prepared, read_mosaics
from tilewright.imagery.warp import PointPlacement

FLAT = Swath()
# between ground control points, where a spline is worst, in the image's middle and near its edges
PLACES = [(8_300, 12_000), (900, 600), (15_800, 24_900), (400, 13_400)]


def around(places: Sequence[tuple[int, int]], half: int = 60) -> list[tuple[int, int, int, int]]:
    return [(row - half, column - half, 2 * half, 2 * half) for row, column in places]


@pytest.mark.parametrize(
    ("swath", "epsg", "most"),
    [
        (FLAT, 32632, 0.2),
        (replace(FLAT, lat=71.0, heading=-20.0), 32632, 0.2),
        (replace(FLAT, lon=12.5, heading=192.0), 32632, 0.2),  # descending, and the next zone's ground
        (replace(FLAT, lon=179.0, lat=-17.0), 32701, 0.2),  # across the antimeridian, from either zone
        (replace(FLAT, lon=179.0, lat=62.0), 32660, 0.2),
        (replace(FLAT, relief=lambda row, column: 400 + 300 * np.sin(row / 8000) * np.cos(column / 8000)), 32632, 0.5),
    ],
    ids=["ascending", "north", "descending", "antimeridian-east", "antimeridian-west", "relief"],
)
def test_every_pixel_is_where_it_is(swath: Swath, epsg: int, most: float, tmp_path: Path):
    """Numbers say their easting, or northing, in metres: what comes back says by how much a pixel is off."""
    boxes = boxes_at(swath, epsg, PLACES)
    x, y = centres(boxes)
    off = []
    for name, of, truth in (("x", 0, x), ("y", 1, y)):
        start = truth.min(axis=(1, 2))  # of each place

        def paint(
            row: np.ndarray, column: np.ndarray, *xy: np.ndarray, of: int = of, start: np.ndarray = start
        ) -> np.ndarray:
            place = int(np.argmin([np.hypot(row[0, 0] - at[0], column[0, 0] - at[1]) for at in PLACES]))
            return xy[of] - start[place] + 5000

        path = write_grd(tmp_path / f"{name}.tif", swath, epsg, around(PLACES), paint)
        found = np.sqrt(by_reader(ask(path, boxes))[0])
        assert np.isfinite(found).all()
        off.append(found - (truth - start[:, None, None] + 5000))
    pixels = np.hypot(*off) / 10
    assert pixels.max() < most, f"{pixels.max():.3f} pixels"


def speckle(row: np.ndarray, column: np.ndarray, *_: np.ndarray) -> np.ndarray:
    """Numbers of any size by place alone, a tenth of them no data, and a block without any."""
    mixed = (row * 7919 + column * 104_729) % 1009
    holes = (mixed % 10 == 3) | ((row % 100 < 20) & (column % 90 < 15))
    return np.where(holes, 0, 1 + mixed * 60)


def by_hand(swath: Swath, boxes: Boxes, image: np.ndarray, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Power by another implementation of splines and a plain loop, and how far the weight of valid neighbours is from a quarter."""
    points = swath.points()
    x, y = Transformer.from_crs(4326, boxes.epsg, always_xy=True).transform(
        [point.x for point in points], [point.y for point in points]
    )
    place = np.array([(point.row + 0.5, point.col + 0.5) for point in points])
    spline = RBFInterpolator(np.stack([x, y], axis=-1) / 1e5, place, kernel="thin_plate_spline")
    wanted = np.stack([of.ravel() for of in centres(boxes)], axis=-1) / 1e5
    found, sure = [], []
    for row, column in spline(wanted) - 0.5 - (top, left):
        up, west = int(np.floor(row)), int(np.floor(column))
        total = weight = 0.0
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (row - up if down else 1 - row + up) * (column - west if right else 1 - column + west)
            number = float(image[up + down, west + right])
            total, weight = total + share * number**2 * (number > 0), weight + share * (number > 0)
        found.append(total / weight if weight >= 0.25 else np.nan)
        sure.append(abs(weight - 0.25))
    shape = (len(boxes), boxes.side, boxes.side)
    return np.array(found).reshape(shape), np.array(sure).reshape(shape)


def test_power_and_no_data_are_as_computed_by_hand(tmp_path: Path):
    """Bilinear in linear power over the valid neighbours; no data where these weigh less than a quarter."""
    at = PLACES[0]
    boxes = boxes_at(FLAT, 32632, [at], 48)
    path = write_grd(tmp_path / "grd.tif", FLAT, 32632, around([at], 200), speckle)
    row, column = np.meshgrid(np.arange(at[0] - 200, at[0] + 200), np.arange(at[1] - 200, at[1] + 200), indexing="ij")
    truth, sure = by_hand(FLAT, boxes, speckle(row, column), at[0] - 200, at[1] - 200)
    found = by_reader(ask(path, boxes))[0]
    known = sure > 1e-4
    assert known.mean() > 0.99
    np.testing.assert_array_equal(np.isnan(found)[known], np.isnan(truth)[known])
    both = np.isfinite(found) & np.isfinite(truth)
    # splines of two libraries agree to 1e-5 pixels; next to a value of 60 000² that is much
    np.testing.assert_allclose(np.sqrt(found[both]), np.sqrt(truth[both]), atol=3)
    assert 0.02 < np.isnan(found).mean() < 0.2, "and not 0.1 + …: no data is not spread"


@pytest.fixture(scope="module")
def grd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grd(tmp_path_factory.mktemp("grd") / "iw-vv.tiff", FLAT, 32632, [(8000, 12_000, 600, 600)], speckle)


# some share blocks, some windows reach out of what is painted; one is out of the swath, one on its edge
MANY = [
    *[(8030 + 60 * at, 12_040 + 80 * (at * 5 % 7)) for at in range(8)],
    (20_000, 40_000),
    (-10, 9000),
    (8450, 12_450),
]


def test_a_box_does_not_depend_on_which_others_are_read_with_it(grd: Path):
    boxes = boxes_at(FLAT, 32632, MANY)
    whole = by_reader(ask(grd, boxes))[0]
    for places in ([3], [8], [9], [0, 9, 10], list(range(11))[::-1]):
        part = by_reader(ask(grd, boxes.take(np.array(places))))[0]
        np.testing.assert_array_equal(part, whole[places])
    assert np.isnan(whole[8]).all() and not np.isnan(whole[:8]).all()


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_and_gdal_change_nothing(grd: Path, threads: int):
    boxes = boxes_at(FLAT, 32632, MANY)
    whole, traffic = by_reader(ask(grd, boxes), threads=threads)
    np.testing.assert_array_equal(whole, by_gdal(ask(grd, boxes)))
    assert traffic.assets == 1 and traffic.other_assets == 0
    assert traffic.blocks <= 2 * 2 + 2, "each block once"


@pytest.mark.parametrize(
    "options",
    [
        {"tiled": False, "blockysize": 1, "compress": "none"},  # as ESA delivers it
        {"compress": "zstd", "blockxsize": 1024, "blockysize": 1024, "nodata": 0},  # as CREODIAS makes COGs of it
        {"compress": "lzw", "point": True}, {"compress": "packbits"},
    ],
    ids=["strips", "zstd", "points", "gdal"],
)  # fmt: skip
def test_files_of_any_structure_give_the_same(options: dict, grd: Path, tmp_path: Path):
    boxes = boxes_at(FLAT, 32632, MANY)
    path = write_grd(tmp_path / "grd.tif", FLAT, 32632, [(8000, 12_000, 600, 600)], speckle, **options)
    found, traffic = by_reader(ask(path, boxes))
    np.testing.assert_array_equal(found, by_reader(ask(grd, boxes))[0])
    assert traffic.other_assets == (options.get("compress") == "packbits")


def test_sigma_nought_in_decibels(tmp_path: Path):
    """A field of known backscatter, stored as a product of that calibration would: within a hundredth of a decibel."""

    def truth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return -12 + 5 * np.sin(x / 900) * np.cos(y / 700)

    lines, pixels = np.arange(-600, 17_500, 660), np.arange(0, 25_540, 40)
    line, pixel = np.meshgrid(lines, pixels, indexing="ij")
    constant = 500 + line / 100 + pixel / 80  # straight between the points: exact wherever it is interpolated
    xml = tmp_path / "calibration-iw-vv.xml"
    xml.write_text(document(lines.tolist(), pixels.tolist(), constant))

    def paint(row: np.ndarray, column: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 10 ** (truth(x, y) / 20) * (500 + row / 100 + column / 80)

    path = write_grd(tmp_path / "iw-vv.tiff", FLAT, 32632, around(PLACES), paint)
    boxes = boxes_at(FLAT, 32632, PLACES)
    found = by_reader(ask(path, boxes, "sigma0", calibration=xml))[0]
    np.testing.assert_allclose(10 * np.log10(found), truth(*centres(boxes)), atol=0.05)
    assert abs((10 * np.log10(found) - truth(*centres(boxes))).mean()) < 0.002
    np.testing.assert_array_equal(found, by_gdal(ask(path, boxes, "sigma0", calibration=xml)))


def test_slices_of_a_datatake_join_without_a_gap(tmp_path: Path):
    """Each slice has points of its own; together they are as the scene is in one piece."""
    places = [(8_300, 12_000 + 90 * at) for at in range(6)]
    patches = [(8200, 11_900, 200, 700)]

    def paint(row: np.ndarray, column: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 3000 + 1000 * np.sin(x / 150) * np.cos(y / 150)

    parts = [
        write_grd(tmp_path / f"{first}.tif", FLAT, 32632, patches, paint, first=first, rows=rows)
        for first, rows in ((0, 8_300), (8_300, 8_400))
    ]
    whole = write_grd(tmp_path / "whole.tif", FLAT, 32632, patches, paint)
    boxes = boxes_at(FLAT, 32632, places)
    mosaic = Mosaic(tuple(ask(path, boxes) for path in parts))
    joined = {}
    for _, box, found in read_mosaics(
        ImageryReader(2), [mosaic], lambda at, part, pixels: Prepared(pixels, None), lambda at, box, one: one.pixels
    ):
        joined[box] = found
    for box, truth in enumerate(by_reader(ask(whole, boxes))[0]):
        assert np.isfinite(truth).all() and np.isfinite(joined[box]).all()
        np.testing.assert_allclose(np.sqrt(joined[box]), np.sqrt(truth), atol=70)  # half a pixel at the seam
    alone = by_reader(mosaic.parts[0])[0]
    assert 0.2 < np.isnan(alone).mean() < 0.8


def test_a_spline_is_believed_only_near_its_points():
    points = np.array([(point.row, point.col, point.x, point.y) for point in FLAT.points()])
    placement = PointPlacement(points, 32632)
    lon, lat = FLAT.place(np.array([-300, -500, 8000, 8000]), np.array([300, 12_000, 25_800, 26_000]))
    x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(lon, lat)
    rows, columns = placement.pixels(x, y)
    np.testing.assert_array_equal(np.isfinite(rows), [True, False, True, False])
    np.testing.assert_allclose((rows[0], columns[2]), (-300, 25_800), atol=1)
    np.testing.assert_array_equal(np.isfinite(rows), np.isfinite(columns))


RTC = Grid(300, 300, left=500_000, top=5_200_000, epsg=32632)


def rtc(path: Path, pixels: np.ndarray, **options: object) -> Path:
    packed = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate", "predictor": 3, **options}
    return write_gdal(path, pixels.astype(np.float32), RTC, **packed)


def test_terrain_corrected_pixels_on_the_grid_are_taken_as_they_are(tmp_path: Path):
    rng = np.random.default_rng(0)
    pixels = rng.gamma(2, 0.05, (300, 300)).astype(np.float32)
    for value in (-32768, 0, -0.01, np.nan, np.inf, 77):
        pixels[rng.random(pixels.shape) < 0.05] = value
    path = rtc(tmp_path / "vv.tif", pixels, nodata=77)
    boxes = RTC.boxes([-10, 40, 270, 500], [0, 100, 270, 0], 64)
    asked = Ask(RTC.asset(path, "VV", collection="s1_rtc"), boxes, POWER, "gamma0")
    found, traffic = by_reader(asked)
    assert (traffic.assets, traffic.other_assets) == (1, 0), "the block reader knows floats' predictor"
    padded = np.full((700, 700), np.nan, np.float32)
    padded[100:400, 100:400] = np.where(np.isfinite(pixels) & (pixels > 0) & (pixels != 77), pixels, np.nan)
    truth = [
        padded[100 + row : 164 + row, 100 + col : 164 + col] for row, col in ((-10, 0), (40, 100), (270, 270), (500, 0))
    ]
    np.testing.assert_array_equal(found, truth)
    np.testing.assert_array_equal(by_gdal(asked), truth)


@pytest.mark.parametrize("epsg", [32632, 32633])
def test_terrain_corrected_pixels_off_the_grid_are_warped_in_power(epsg: int, tmp_path: Path):
    row, col = np.indices((300, 300)) + 0.5
    x, y = 500_000 + col * 10, 5_200_000 - row * 10
    pixels = 10 ** (-1 + 0.5 * np.sin(x / 400) * np.cos(y / 300))
    pixels[200:] = -32768
    path = rtc(tmp_path / "vv.tif", pixels, nodata=-32768)
    east, north = Transformer.from_crs(32632, epsg, always_xy=True).transform(501_500, 5_198_200)
    boxes = Boxes(epsg, 10, 96, np.array([east // 10 * 10 - 483.0]), np.array([north // 10 * 10 + 477.0]))
    found = by_reader(Ask(RTC.asset(path, "VV", collection="s1_rtc"), boxes, POWER, "gamma0"))[0]
    x, y = Transformer.from_crs(epsg, 32632, always_xy=True).transform(*centres(boxes))
    inside = y > 5_200_000 - 2000 - 2.5  # no data reach no farther than a quarter of a pixel
    sure = np.abs(y - (5_200_000 - 2002.5)) > 0.1
    np.testing.assert_array_equal(np.isfinite(found)[sure], inside[sure])
    truth = -10 + 5 * np.sin(x / 400) * np.cos(y / 300)
    whole = y > 5_198_010
    np.testing.assert_allclose(10 * np.log10(found[whole]), truth[whole], atol=0.01)
    assert 0 < np.isnan(found).sum() < found.size / 2


def lone(path: Path, points: Sequence[tuple[float, float, float, float]], **options: object) -> Path:
    """A small image placed by `points`: row, column, longitude, latitude."""
    gcps = [GroundControlPoint(row=row, col=col, x=x, y=y) for row, col, x, y in points]
    given = {"driver": "GTiff", "width": 90, "height": 90, "count": 1, "dtype": "uint16", "crs": "EPSG:4326", **options}
    with rasterio.open(path, "w", **({"gcps": gcps} if gcps else {}), **given) as file:
        file.write(np.full((given["count"], 90, 90), 7, given["dtype"]))
    return path


SQUARE = [(0, 0, 9.0, 47.0), (0, 89, 9.0118, 47.0), (89, 0, 9.0, 46.992), (89, 89, 9.0118, 46.992)]


@pytest.mark.parametrize(
    ("points", "options", "quantity", "words"),
    [
        (SQUARE[:1] * 4, {}, "dn", "4 ground control points, which do not span an area"),
        ([(at, at, 9 + at / 9e4, 47 - at / 9e4) for at in (0, 30, 60, 89)], {}, "dn", "do not span an area"),
        ([*SQUARE[:3], (89, 89, 9.01, 95.0)], {}, "dn", "nowhere"),
        ([(row / 90, col / 90, x, y) for row, col, x, y in SQUARE], {}, "dn", "do not span an area"),
        ([(row * 900, col * 900, x, y) for row, col, x, y in SQUARE], {}, "dn", "pixels where a box has 64"),
        (SQUARE, {"dtype": "float32"}, "dn", "holds float32 instead of uint16"),
        (SQUARE, {"count": 2}, "dn", "holds 2 bands instead of 1"),
        (SQUARE, {}, "gamma0", "holds uint16 instead of float32"),
        (SQUARE, {"dtype": "float32"}, "gamma0", "does not say where its pixels are"),
        ([*SQUARE, (5, 5, 9.0, 47.0)], {}, "dn", "no spline goes through"),
        (SQUARE, {"crs": "EPSG:32632"}, "dn", "no ground control points"),
        (SQUARE, {"crs": "EPSG:4258"}, "dn", "no ground control points"),
        ([], {"crs": "EPSG:32632", "transform": RTC.transform}, "dn", "no ground control points"),
        (SQUARE, {}, "sigma0", "no calibration document"),
    ],
)  # fmt: skip
def test_what_is_no_such_image_breaks_the_scene(
    points: Sequence[tuple[float, float, float, float]], options: dict, quantity: str, words: str, tmp_path: Path
):
    path = lone(tmp_path / "odd.tif", points, **options)
    to = Transformer.from_crs(4326, 32632, always_xy=True)
    x, y = to.transform(9.0, 47.0)
    boxes = Boxes(32632, 10, 64, np.array([x // 10 * 10 - 100]), np.array([y // 10 * 10 + 100]))
    for read in (by_reader, by_gdal):
        with pytest.raises(BrokenAssetError, match=words) as raised:
            read(ask(path, boxes, quantity))
        assert raised.value.scene_id == "S1A"


@pytest.mark.parametrize("text", ["<calibration/>", "<!DOCTYPE a><calibration/>", "not XML", None])
def test_a_broken_calibration_breaks_the_scene(text: str | None, grd: Path, tmp_path: Path):
    xml = tmp_path / "calibration.xml"
    if text is not None:
        xml.write_text(text)
    with pytest.raises(BrokenAssetError, match=r"VV is (gone|corrupt)"):
        by_reader(ask(grd, boxes_at(FLAT, 32632, MANY), "sigma0", calibration=xml))


FRESH = """
import pickle, sys, threading

class Watch:
    by = set()
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] == "rasterio":
            cls.by.add(threading.current_thread().name)

sys.meta_path.insert(0, Watch)
with open(sys.argv[1], "rb") as file:
    asks = pickle.load(file)
from tilewright.imagery import ImageryReader
assert "rasterio" not in sys.modules
for _ in ImageryReader(2).read(asks, lambda *_: None):
    pass
print(*sorted(Watch.by))
"""


def test_rasterio_is_imported_by_one_thread(tmp_path: Path):
    """Of several that import it at once some find its compiled modules half made, and fail: seen in one run of four."""
    path = write_grd(tmp_path / "a.tif", FLAT, 32632, around(PLACES), speckle)
    (tmp_path / "asks").write_bytes(pickle.dumps([ask(path, boxes_at(FLAT, 32632, [place])) for place in PLACES]))
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "asks")], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.split()) == (0, ["MainThread"]), done.stderr[-2000:]
