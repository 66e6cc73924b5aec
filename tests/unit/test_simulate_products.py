"""Level-1C, halves, reprocessings and offsets of the simulated world: files are exactly what `World` says of them."""

import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine

from tilewright.config.simulated import Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate import Watermark, World, decode_watermark, make_world
from tilewright.simulate.cog import Patch
from tilewright.simulate.items import L1C_FILES, footprint, world_digest
from tilewright.simulate.jp2 import write_jp2
from tilewright.simulate.l1c import L1C_BANDS, L1C_RESOLUTION, top_of_atmosphere
from tilewright.simulate.mgrs import frame
from tilewright.simulate.spectra import BANDS

SITE = {"name": "north", "lon": 12.0, "lat": 42.0, "side_m": 2000, "tiles": ["33TTG"]}
HALVED, TWICE = "S2A_33TTG_20190702_0_L2A", "S2A_33TTG_20191030_0_L2A"
OLD = Simulate.model_validate(
    {
        "sites": [SITE], "years": [2019], "scenes_per_year": 3, "sensors": ["s2_l1c"], "halves": [HALVED],
        "reprocessed": [TWICE], "radiometry": "raw",
    }
)  # fmt: skip
NEW = OLD.model_copy(update={"years": [2023], "halves": 0.0, "reprocessed": 0.0})


def _make(settings: Simulate, directory: Path) -> tuple[World, Path, dict[str, dict]]:
    make_world(settings, directory)
    items = json.loads((directory / "catalog.json").read_text())["features"]
    return World(settings), directory, {item["id"]: item for item in items}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, dict[str, dict]]:
    return _make(OLD, tmp_path_factory.mktemp("old") / "w")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, dict[str, dict]]:
    return _make(NEW, tmp_path_factory.mktemp("new") / "w")


def _box(world: World, tile: str, resolution: int) -> tuple[int, int, int, int, float, float]:
    row, column, rows, columns = world.box(tile).pixels(resolution)
    place = world.place(tile)
    return row, column, rows, columns, place.ulx + column * resolution, place.uly - row * resolution


def _stored(directory: Path, name: str, file: str, row: int, column: int, rows: int, columns: int) -> np.ndarray:
    with rasterio.open(directory / name / file) as source:
        return source.read(1, window=rasterio.windows.Window(column, row, columns, rows))


def test_level_1c_is_the_formula_of_level_2a(old: tuple, new: tuple) -> None:
    for world, directory, items in (old, new):
        whole = [product for product in world.products() if product.level == "L1C" and product.part is None]
        assert whole
        for product in whole:
            scene = product.scene
            for band in L1C_BANDS:
                resolution = L1C_RESOLUTION[band]
                row, column, rows, columns, ulx, uly = _box(world, scene.tile, resolution)
                stored = _stored(directory, product.id, f"{band}.jp2", row, column, rows, columns)
                surface = world.window(scene.id, "B09" if band == "B10" else band, ulx, uly, columns, rows)
                scl = world.scl(scene.id, ulx, uly, columns * resolution // 20, rows * resolution // 20) > 0
                factor = 60 // resolution
                valid = scl[::3, ::3].repeat(factor, 0).repeat(factor, 1)
                told = np.where(valid, top_of_atmosphere(band, surface), 0)
                assert (told[valid] >= 1).all()
                np.testing.assert_array_equal(world.l1c_window(product.id, band, ulx, uly, columns, rows), told)
                raw = scene.processing_baseline >= "04.00"
                np.testing.assert_array_equal(stored, np.where(valid, told + 1000 * raw, 0))
                offset = next(
                    asset["raster:bands"][0]["offset"]
                    for asset in items[product.id]["assets"].values()
                    if asset["eo:bands"][0]["name"] == band
                )
                assert offset == (-0.1 if raw else 0)


def test_level_1c_files_are_whole_tiles_in_jpeg_2000(new: tuple) -> None:
    world, directory, items = new
    product = next(product for product in world.products() if product.level == "L1C")
    for key, asset in items[product.id]["assets"].items():
        with rasterio.open(directory / asset["href"]) as source:
            resolution = L1C_RESOLUTION[L1C_FILES[key]]
            assert source.driver == "JP2OpenJPEG" and source.crs.to_epsg() == product.scene.epsg
            assert list(source.shape) == asset["proj:shape"] == [109_800 // resolution] * 2
            assert list(source.transform[:6]) == asset["proj:transform"]
            assert source.block_shapes == [(1024, 1024)]


@pytest.mark.parametrize(
    ("resolution", "row", "column", "shape"),
    [(60, 100, 900, (200, 300)), (10, 10_900, 900, (80, 1500)), (20, 0, 5480, (1100, 10))],
)
def test_jpeg_2000_put_together_is_what_gdal_writes_at_once(
    resolution: int, row: int, column: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    place, side = frame("33TTG"), 109_800 // resolution
    pixels = np.random.default_rng(row).integers(0, 9000, shape).astype(np.uint16)
    write_jp2(tmp_path / "a.jp2", Patch(row, column, pixels), place, resolution)
    image = np.zeros((side, side), np.uint16)
    image[row : row + shape[0], column : column + shape[1]] = pixels
    with rasterio.open(
        tmp_path / "b.jp2", "w", driver="JP2OpenJPEG", width=side, height=side, count=1, dtype="uint16", crs=place.epsg,
        transform=Affine(resolution, 0, place.ulx, 0, -resolution, place.uly), QUALITY=100, REVERSIBLE="YES", RESOLUTIONS=6,
        BLOCKXSIZE=1024, BLOCKYSIZE=1024, GMLJP2="NO",
    ) as whole:  # fmt: skip
        whole.write(image, 1)
    assert (tmp_path / "a.jp2").read_bytes() == (tmp_path / "b.jp2").read_bytes()


def test_real_level_1c_items_have_the_same_fields(new: tuple, shared_data: Path) -> None:
    name = "earth-search.aws.element84.com__sentinel-2-l1c__S2B_20EPT_20250731_0_L1C.json"
    real = json.loads((shared_data / "stac" / name).read_text())
    ours = next(item for item in new[2].values() if item["collection"] == real["collection"])
    absent = {"view:azimuth", "view:incidence_angle", "earthsearch:s3_path", "processing:software"}
    assert set(real["properties"]) - set(ours["properties"]) == absent
    assert set(ours["properties"]) - set(real["properties"]) == {"tilewright:world"}
    assert sorted(ours["assets"]) == sorted(L1C_FILES)
    for key, asset in ours["assets"].items():
        assert set(asset) == set(real["assets"][key])
        assert asset["raster:bands"] == real["assets"][key]["raster:bands"]
        assert asset["eo:bands"] == real["assets"][key]["eo:bands"]


def test_two_halves_are_the_whole_scene(old: tuple) -> None:
    world, directory, items = old
    for level, files in (
        ("L2A", [f"{band}.tif" for band in (*BANDS, "SCL")]),
        ("L1C", [f"{b}.jp2" for b in L1C_BANDS]),
    ):
        parts = [item_id for item_id in items if item_id.startswith("S2A_33TTG_20190702") and item_id.endswith(level)]
        assert parts == [f"S2A_33TTG_20190702_{number}_{level}" for number in (0, 1)]
        for file in files:
            band = file.partition(".")[0]
            resolution = 20 if band == "SCL" else L1C_RESOLUTION[band]
            row, column, rows, columns, ulx, uly = _box(world, "33TTG", resolution)
            north, south = (_stored(directory, part, file, row, column, rows, columns) for part in parts)
            if band == "SCL":
                truth = world.scl(parts[1], ulx, uly, columns, rows)
            else:
                truth = (world.l1c_window if level == "L1C" else world.window)(parts[1], band, ulx, uly, columns, rows)
            np.testing.assert_array_equal(np.where(north > 0, north, south), truth)
            np.testing.assert_array_equal(np.where(south > 0, south, north), truth)
            if band == "SCL":
                assert 0 < ((north > 0) & (south > 0)).sum() < 0.2 * (truth > 0).sum()  # a small overlap
                assert (north[:30] > 0).any() and not (north[-30:] > 0).any() and not (south[:30] > 0).any()
        times = [items[part]["properties"]["datetime"] for part in parts]
        assert times[0] < times[1] and times[0][:16] == times[1][:16]
        assert len({items[part]["properties"]["s2:datatake_id"] for part in parts}) == 1
        shapes = [shapely.geometry.shape(items[part]["geometry"]) for part in parts]
        assert shapes[0].intersection(shapes[1]).area < 0.3 * min(shape.area for shape in shapes)


def test_footprints_of_halves_hold_their_data(old: tuple) -> None:
    world = old[0]
    for product in world.products():
        row, column, rows, columns = world.box("33TTG").pixels(60)
        valid = world.product_valid(product, np.arange(row, row + rows), np.arange(column, column + columns))
        to_utm = pyproj.Transformer.from_crs(4326, product.scene.epsg, always_xy=True)
        outline = shapely.transform(
            footprint(world, product), lambda p, t=to_utm: np.column_stack(t.transform(p[:, 0], p[:, 1]))
        )
        east = product.scene.ulx + 60 * (column + 0.5 + np.argwhere(valid)[:, 1])
        north = product.scene.uly - 60 * (row + 0.5 + np.argwhere(valid)[:, 0])
        assert shapely.contains_xy(outline, east, north).all()
        assert valid.sum() * 3600 <= outline.area <= valid.sum() * 3600 + outline.length * 90


def test_a_reprocessed_scene_is_right_in_its_newer_item_alone(old: tuple) -> None:
    world, directory, items = old
    first, second = TWICE, TWICE.replace("_0_L2A", "_1_L2A")
    told = [items[name]["properties"] for name in (first, second)]
    assert [each["s2:processing_baseline"] for each in told] == ["02.11", "05.00"]
    assert told[0]["s2:generation_time"] < told[1]["s2:generation_time"]
    assert told[0]["s2:datatake_id"].rpartition("_N")[0] == told[1]["s2:datatake_id"].rpartition("_N")[0]
    assert items[first]["geometry"] == items[second]["geometry"]
    # `radiometry: raw` concerns the baseline, not the day.
    assert [each["earthsearch:boa_offset_applied"] for each in told] == [True, False]
    row, column, rows, columns, ulx, uly = _box(world, "33TTG", 10)
    truth = world.window(second, "B04", ulx, uly, columns, rows).astype(int)
    wrong, right = (
        _stored(directory, name, "B04.tif", row, column, rows, columns).astype(int) for name in (first, second)
    )
    valid = world.scl(second, ulx, uly, columns // 2, rows // 2).repeat(2, 0).repeat(2, 1) > 0
    np.testing.assert_array_equal(right, np.where(valid, truth + 1000, 0))
    assert (np.abs(wrong - truth)[valid] >= 300).all()
    assert [name for name in items if "20191030" in name and name.endswith("L1C")] == [TWICE.replace("L2A", "L1C")]


@pytest.mark.parametrize("radiometry", ["harmonised", "raw", "unsaid", "mixed"])
def test_offsets_are_where_the_setting_says(radiometry: str) -> None:
    world = World(NEW.model_copy(update={"radiometry": radiometry, "scenes_per_year": 30, "sensors": []}))
    seen = set()
    for product in world.products():
        scene = product.scene
        row, column, rows, columns, ulx, uly = _box(world, "33TTG", 20)
        stored = world.product_pixels(product, "B8A", np.arange(row, row + rows), np.arange(column, column + columns))
        truth = world.window(scene.id, "B8A", ulx, uly, columns, rows)
        valid = world.scl(scene.id, ulx, uly, columns, rows) > 0
        shift = np.unique(stored[valid].astype(int) - truth[valid])
        assert len(shift) == 1 and not stored[~valid].any()
        seen.add((int(shift[0]), product.flagged))
    kinds = {"harmonised": (0, True), "raw": (1000, False), "unsaid": (0, False)}
    assert seen == (set(kinds.values()) if radiometry == "mixed" else {kinds[radiometry]})


def test_before_baseline_4_nothing_is_raw() -> None:
    settings = OLD.model_copy(update={"halves": 0.0, "reprocessed": 0.0})
    assert {(product.raw, product.flagged) for product in World(settings).products()} == {(False, True)}


def test_shares_choose_some_scenes() -> None:
    settings = Simulate.model_validate(
        {"sites": [SITE], "years": [2019], "scenes_per_year": 60, "halves": 0.3, "reprocessed": 0.3}
    )
    products = World(settings).products()
    halved = {product.scene.id for product in products if product.part is not None}
    twice = {product.scene.id for product in products if product.superseded}
    assert 8 <= len(halved) <= 28 and 8 <= len(twice) <= 28 and not halved & twice
    assert len({product.id for product in products}) == len(products) == 60 + len(halved) + len(twice)


def test_watermarks_tell_the_level_and_the_processing(tmp_path: Path) -> None:
    world, directory, _ = _make(OLD.model_copy(update={"watermark": True, "radiometry": "harmonised"}), tmp_path / "w")
    for product in world.products():
        for band in L1C_BANDS if product.level == "L1C" else BANDS:
            resolution = L1C_RESOLUTION[band]
            row, column, rows, columns, ulx, uly = _box(world, "33TTG", resolution)
            file = f"{band}.{'jp2' if product.level == 'L1C' else 'tif'}"
            # The first valid rows of the northern half, the last ones of the southern half.
            top = row + (rows // 6 if product.part == 0 else rows - rows // 6 - 5 if product.part == 1 else rows // 2)
            pixels = _stored(directory, product.id, file, top, column + columns // 2, 4, 5)
            level = "old" if product.superseded else product.level
            assert decode_watermark(pixels) == Watermark(product.scene.number, band, top, column + columns // 2, level)
            if product.level == "L1C":
                truth = world.l1c_window(
                    product.id, band, ulx + columns // 2 * resolution, uly - (top - row) * resolution, 5, 4
                )
                np.testing.assert_array_equal(pixels, truth)


def test_settings_that_are_not_used_leave_the_world_as_it_was() -> None:
    plain = Simulate.model_validate({"sites": [SITE], "years": [2019]})
    explicit = Simulate.model_validate({**plain.model_dump(), "sensors": [], "halves": 0.0, "radiometry": "harmonised"})
    assert world_digest(plain) == world_digest(explicit)
    assert len({world_digest(plain), world_digest(OLD), world_digest(NEW)}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"halves": ["S2A_33TTG_20190101_0_L2A"]}, "halves: no scene is called S2A_33TTG_20190101_0_L2A"),
        ({"halves": [HALVED], "reprocessed": [HALVED]}, "in halves and in reprocessed"),
        ({"years": [2023], "halves": 0.0, "reprocessed": 0.0, "watermark": True}, "a watermark cannot carry"),
        ({"scenes_per_year": 7, "halves": "swath"}, "cut by the swath's edge"),
    ],
)
def test_impossible_products_are_named(change: dict, message: str) -> None:
    settings = OLD.model_copy(update={"halves": 0.0, "reprocessed": 0.0, **change})
    if change.get("halves") == "swath":
        weather = {scene.weather: scene.id for scene in World(settings.model_copy(update={"halves": 0.0})).scenes()}
        settings = settings.model_copy(update={"halves": [weather["swath"]]})
    with pytest.raises(TilewrightError, match=message):
        World(settings)


def test_assets_of_any_level_can_be_broken(tmp_path: Path) -> None:
    product = TWICE.replace("L2A", "L1C")
    broken = [
        {"scene": product, "asset": "cirrus", "how": "missing"},
        {"scene": product, "asset": "red", "how": "no_asset"},
    ]
    settings = Simulate.model_validate(
        {**OLD.model_dump(), "reprocessed": 0.0, "halves": 0.0, "radiometry": "harmonised", "broken": broken}
    )
    _, directory, items = _make(settings, tmp_path / "w")
    assert "cirrus" in items[product]["assets"] and not (directory / product / "B10.jp2").exists()
    assert "red" not in items[product]["assets"] and not (directory / product / "B04.jp2").exists()
