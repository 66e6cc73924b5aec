"""The simulated world: its files are exactly what `World` says, twice the same, and shaped like the real ones."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.windows import Window

from tilewright.config.simulated import Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate import World, make_world
from tilewright.simulate.items import ASSET_FILES
from tilewright.simulate.spectra import BANDS, RESOLUTION

NORTH = {"name": "north", "lon": 12.0, "lat": 42.0, "side_m": 3000, "tiles": ["32TQM", "33TTG"]}
SOUTH = {"name": "south", "lon": 30.0, "lat": -30.0, "side_m": 2000, "tiles": ["35JQG", "36JTM"]}
SMALL = Simulate.model_validate({"sites": [NORTH, SOUTH], "years": [2019], "scenes_per_year": 3})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("simulate") / "world"
    make_world(SMALL, directory)
    return directory


@pytest.fixture(scope="module")
def world() -> World:
    return World(SMALL)


def _digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.blake2b(path.read_bytes()).hexdigest() for path in files}


def _items(directory: Path) -> dict[str, dict]:
    return {item["id"]: item for item in json.loads((directory / "catalog.json").read_text())["features"]}


def test_same_settings_same_bytes(made: Path, tmp_path: Path) -> None:
    make_world(SMALL, tmp_path / "again")
    first, second = _digests(made), _digests(tmp_path / "again")
    assert len(first) == 2 + 4 * 3 * 13
    assert first == second


def test_another_seed_is_another_world(world: World) -> None:
    other = World(SMALL.model_copy(update={"seed": 8}))
    assert [f.geometry.wkb for f in other.features()] != [f.geometry.wkb for f in world.features()]


@pytest.mark.parametrize("tile", ["32TQM", "33TTG", "35JQG", "36JTM"])
def test_files_hold_the_truth(made: Path, world: World, tile: str) -> None:
    rng = np.random.default_rng(1)
    for scene in (scene for scene in world.scenes() if scene.tile == tile):
        for band in (*BANDS, "SCL"):
            resolution = RESOLUTION.get(band, 20)
            row, column, rows, columns = world.box(tile).pixels(resolution)
            with rasterio.open(made / scene.id / f"{band}.tif") as source:
                area = Window(column - 64, row - 64, columns + 128, rows + 128)
                near = source.read(1, window=area, boundless=True, fill_value=0)
                assert (source.crs.to_epsg(), source.nodata) == (scene.epsg, 0)
                assert source.transform[:6] == (resolution, 0, scene.ulx, 0, -resolution, scene.uly)
            for _ in range(4):
                top, left = int(rng.integers(0, rows + 60)), int(rng.integers(0, columns + 60))
                height, width = (int(side) for side in rng.integers(1, 90, 2))
                expected = near[top : top + height, left : left + width]
                height, width = expected.shape
                ulx, uly = scene.ulx + (column - 64 + left) * resolution, scene.uly - (row - 64 + top) * resolution
                if band == "SCL":
                    truth = world.scl(scene.id, ulx, uly, width, height)
                else:
                    truth = world.window(scene.id, band, ulx, uly, width, height)
                np.testing.assert_array_equal(expected, truth)


def test_no_data_is_no_data_in_every_band(world: World) -> None:
    for scene in world.scenes():
        row, column, rows, columns = world.box(scene.tile).pixels(60)
        corner = scene.ulx + 60 * column, scene.uly - 60 * row
        scl = world.scl(scene.id, *corner, 3 * columns, 3 * rows) > 0
        assert 0 < scl.sum() < scl.size
        some = np.zeros((6 * rows, 6 * columns), bool)
        for band in BANDS:
            factor = RESOLUTION[band] // 10
            pixels = world.window(scene.id, band, *corner, 6 * columns // factor, 6 * rows // factor) > 0
            some |= pixels.repeat(factor, axis=0).repeat(factor, axis=1)
        np.testing.assert_array_equal(some, scl.repeat(2, axis=0).repeat(2, axis=1))


def test_two_zones_show_the_same_ground(world: World) -> None:
    """Ground seen from the other zone, nearest pixel, is the same in nearly all pixels once seasons are apart."""
    site = NORTH
    left, right = "32TQM", "33TTG"
    points = pyproj.Transformer.from_crs("EPSG:4326", 32632, always_xy=True)
    centre = points.transform(site["lon"], site["lat"])
    across = pyproj.Transformer.from_crs(32632, 32633, always_xy=True)
    ground = {tile: world.cover(tile, 10) for tile in (left, right)}
    place = {tile: (world.place(tile), world.box(tile).pixels(10)) for tile in (left, right)}
    east, north = np.meshgrid(centre[0] + np.arange(-800, 800, 37.0), centre[1] + np.arange(-800, 800, 37.0))
    found = {}
    for tile, (x, y) in {left: (east, north), right: across.transform(east, north)}.items():
        frame, (row, column, _, _) = place[tile]
        rows = ((frame.uly - y) // 10).astype(int) - row
        columns = ((x - frame.ulx) // 10).astype(int) - column
        found[tile] = ground[tile].material[rows, columns]
    assert (found[left] == found[right]).mean() > 0.9


def test_overviews_and_blocks_are_those_of_the_real_files(made: Path, world: World) -> None:
    scene = world.scenes()[0]
    for band, blocks, overviews in (
        ("B04", 1024, [2, 4, 8, 16]),
        ("B11", 1024, [2, 4, 8]),
        ("B01", 256, [2, 4]),
        ("SCL", 1024, [2, 4, 8]),
    ):
        path = made / scene.id / f"{band}.tif"
        with rasterio.open(path) as source:
            assert source.block_shapes == [(blocks, blocks)]
            assert source.overviews(1) == overviews
            assert source.profile["compress"] == "deflate"
            assert source.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
            whole = source.read(1)
        row, column, rows, columns = world.box(scene.tile).pixels(RESOLUTION.get(band, 20))
        assert np.count_nonzero(whole) == np.count_nonzero(whole[row : row + rows, column : column + columns]) > 0
        with rasterio.open(path, overview_level=0) as source:
            half = source.read(1)
        pad = np.pad(whole, ((0, whole.shape[0] % 2), (0, whole.shape[1] % 2)))
        parts = np.stack([pad[i::2, j::2] for i in (0, 1) for j in (0, 1)]).astype(np.int64)
        if band == "SCL":
            expected = parts[0]
        else:
            count = np.maximum((parts > 0).sum(axis=0), 1)
            expected = (parts.sum(axis=0) + count // 2) // count
        np.testing.assert_array_equal(half, expected)


def test_directories_come_before_pixels(made: Path, world: World) -> None:
    """COG layout: a reader that fetches the first kilobytes knows where every block is."""
    data = (made / world.scenes()[0].id / "B04.tif").read_bytes()
    position, ends, offsets = int.from_bytes(data[4:8], "little"), [], []
    while position:
        count = int.from_bytes(data[position : position + 2], "little")
        for entry in range(position + 2, position + 2 + 12 * count, 12):
            code, kind, number = (
                data[entry : entry + 2],
                data[entry + 2 : entry + 4],
                int.from_bytes(data[entry + 4 : entry + 8], "little"),
            )
            if int.from_bytes(code, "little") == 324:
                assert int.from_bytes(kind, "little") == 4
                start = int.from_bytes(data[entry + 8 : entry + 12], "little")
                values = np.frombuffer(data[start : start + 4 * number], "<u4") if number > 1 else np.array([start])
                offsets.append(values[values > 0])
        ends.append(position + 2 + 12 * count + 4)
        position = int.from_bytes(data[ends[-1] - 4 : ends[-1]], "little")
    assert len(offsets) == 5
    assert max(ends) < min(level.min() for level in offsets if len(level))
    assert all(
        smaller.max() < larger.min() for larger, smaller in itertools.pairwise(offsets) if len(smaller) and len(larger)
    )


def test_items_are_shaped_like_earth_search(made: Path, world: World) -> None:
    items = _items(made)
    assert list(items) == [scene.id for scene in world.scenes()]
    for scene in world.scenes():
        item, properties = items[scene.id], items[scene.id]["properties"]
        assert item["stac_version"] == "1.0.0" and item["collection"] == "sentinel-2-l2a"
        assert (
            scene.id
            == f"S2{scene.platform[-1].upper()}_{int(scene.tile[:2])}{scene.tile[2:]}_{scene.datetime:%Y%m%d}_0_L2A"
        )
        assert properties["proj:epsg"] == scene.epsg
        assert properties["grid:code"] == f"MGRS-{int(scene.tile[:2])}{scene.tile[2:]}"
        assert properties["earthsearch:boa_offset_applied"] is True
        assert f"_R{scene.relative_orbit:03}_T{scene.tile}_" in properties["s2:product_uri"]
        assert properties["s2:datatake_id"] == scene.datatake
        assert sorted(item["assets"]) == sorted(ASSET_FILES)
        for key, asset in item["assets"].items():
            assert (made / asset["href"]).is_file()
            assert asset["raster:bands"][0].get("offset") == (None if key == "scl" else -0.1)
            with rasterio.open(made / asset["href"]) as source:
                assert list(source.shape) == asset["proj:shape"]
                assert list(source.transform[:6]) == asset["proj:transform"]
        with rasterio.open(made / scene.id / "SCL.tif") as source:
            counts = np.bincount(source.read(1).ravel(), minlength=12)
        assert properties["s2:vegetation_percentage"] == pytest.approx(100 * counts[4] / counts[1:].sum(), abs=1e-5)
        assert properties["eo:cloud_cover"] == pytest.approx(100 * counts[8:11].sum() / counts[1:].sum(), abs=1e-5)


def test_real_items_have_the_same_fields(made: Path, shared_data: Path) -> None:
    real = json.loads(
        (
            shared_data / "stac" / "earth-search.aws.element84.com__sentinel-2-l2a__S2B_20EPT_20250731_0_L2A.json"
        ).read_text()
    )
    ours = next(iter(_items(made).values()))
    absent = {"view:azimuth", "view:incidence_angle", "earthsearch:s3_path", "processing:software"}
    assert set(real["properties"]) - set(ours["properties"]) == absent
    for key in ASSET_FILES:
        assert set(ours["assets"][key]) == set(real["assets"][key]), key
        assert ours["assets"][key]["raster:bands"] == real["assets"][key]["raster:bands"]
        assert ours["assets"][key].get("eo:bands") == real["assets"][key].get("eo:bands")


def test_footprint_is_the_valid_data(world: World) -> None:
    from tilewright.simulate.items import footprint

    for product in world.products():
        scene = product.scene
        row, column, rows, columns = world.box(scene.tile).pixels(60)
        valid = world.product_valid(product, np.arange(row, row + rows), np.arange(column, column + columns))
        to_utm = pyproj.Transformer.from_crs(4326, scene.epsg, always_xy=True)
        outline = shapely.transform(
            footprint(world, product), lambda p, t=to_utm: np.column_stack(t.transform(p[:, 0], p[:, 1]))
        )
        assert outline.is_valid
        # The 60 m pixels that the outline cuts are not valid, so it is larger by at most its length times a pixel.
        assert valid.sum() * 3600 <= outline.area <= valid.sum() * 3600 + outline.length * 60 * 1.5
        east = scene.ulx + 60 * (column + 0.5 + np.argwhere(valid)[:, 1])
        north = scene.uly - 60 * (row + 0.5 + np.argwhere(valid)[:, 0])
        assert shapely.contains_xy(outline, east, north).all()


def test_a_year_has_every_weather() -> None:
    year = World(
        Simulate.model_validate({"sites": [{**NORTH, "tiles": ["33TTG"]}], "years": [2019], "scenes_per_year": 7})
    )
    seen = set()
    for scene in year.scenes():
        row, column, rows, columns = year.box("33TTG").pixels(60)
        corner = scene.ulx + 60 * column, scene.uly - 60 * row
        scl = year.scl(scene.id, *corner, 3 * columns, 3 * rows)
        blue = year.window(scene.id, "B02", *corner, 6 * columns, 6 * rows)
        swir = year.window(scene.id, "B12", *corner, 3 * columns, 3 * rows)
        share = np.bincount(scl.ravel(), minlength=12)[1:] / (scl > 0).sum()
        share = dict(enumerate(share, 1))
        assert scl.max() <= 11
        seen.add(scene.weather)
        match scene.weather:
            case "overcast":
                assert share[8] + share[9] > 0.9
            case "cumulus":
                assert 0.05 < share[8] + share[9] < 0.6 and share[3] > 0.01
            case "snow":
                assert 0.05 < share[11] < 0.95 and scene.datetime.month in (12, 1, 2)
            case "swath":
                assert 0.2 < (scl > 0).mean() < 0.85
            case "hazy":
                assert share[4] + share[5] > 0.5
                assert np.percentile(blue[blue > 0], 5) > 5000
            case "clear":
                assert share[8] + share[9] + share[3] == 0
                water = scl == 6
                assert (swir[water] == 0).any() and (swir[water] > 0).any()
                assert blue[blue > 0].min() > 50
    assert seen == {"clear", "cumulus", "overcast", "swath", "snow", "hazy"}


def test_seasons_are_opposite_south_of_the_equator() -> None:
    sites = [{**NORTH, "tiles": ["33TTG"]}, {**SOUTH, "tiles": ["35JQG"]}]
    snowy = [
        scene
        for scene in World(Simulate.model_validate({"sites": sites, "years": [2019]})).scenes()
        if scene.weather == "snow"
    ]
    months = {scene.site: scene.datetime.month for scene in snowy}
    assert months["north"] in (12, 1, 2) and months["south"] in (6, 7, 8)


def test_revisits_are_multiples_of_five_days() -> None:
    world = World(Simulate.model_validate({"sites": [NORTH], "years": [2019, 2020], "scenes_per_year": 73}))
    for tile in NORTH["tiles"]:
        days = [(scene.datetime.date().toordinal(), scene.platform) for scene in world.scenes() if scene.tile == tile]
        assert {later[0] - day[0] for day, later in itertools.pairwise(days)} <= {5, 10}
        assert len({day % 10 for day, platform in days if platform == "sentinel-2a"}) == 1
    assert len({scene.id for scene in world.scenes()}) == len(world.scenes()) == 2 * 2 * 73


def test_dense_fills_the_tile_and_repeats_the_site() -> None:
    settings = Simulate.model_validate(
        {"sites": [{**NORTH, "tiles": ["33TTG"]}], "years": [2019], "scenes_per_year": 1, "dense": True}
    )
    world = World(settings)
    scene = world.scenes()[0]
    period = world.box("33TTG").rows * 60
    for corner in ((0, 0), (50_000, 70_020), (109_800 - 1200, 109_800 - 1200)):
        red = world.window(scene.id, "B04", scene.ulx + corner[0], scene.uly - corner[1], 120, 120)
        assert (red > 0).all()
        assert (world.scl(scene.id, scene.ulx + corner[0], scene.uly - corner[1], 60, 60) > 0).all()
    here = world.window(scene.id, "B04", scene.ulx + 50_000, scene.uly - 70_020, 120, 120)
    np.testing.assert_array_equal(
        here, world.window(scene.id, "B04", scene.ulx + 50_000 + period, scene.uly - 70_020, 120, 120)
    )


@pytest.mark.parametrize("how", ["missing", "truncated", "corrupt", "no_asset"])
def test_broken_assets(how: str, tmp_path: Path) -> None:
    one = Simulate.model_validate(
        {"sites": [{**NORTH, "side_m": 2000, "tiles": ["33TTG"]}], "years": [2019], "scenes_per_year": 1}
    )
    scene = World(one).scenes()[0]
    make_world(
        one.model_copy(
            update={
                "broken": Simulate.model_validate(
                    {**one.model_dump(), "broken": [{"scene": scene.id, "asset": "red", "how": how}]}
                ).broken
            }
        ),
        tmp_path / "w",
    )
    item, path = _items(tmp_path / "w")[scene.id], tmp_path / "w" / scene.id / "B04.tif"
    assert ("red" in item["assets"]) == (how != "no_asset")
    assert path.exists() == (how in ("truncated", "corrupt"))
    if path.exists():
        with pytest.raises(rasterio.errors.RasterioIOError), rasterio.open(path) as source:
            source.read(1)
    with rasterio.open(path.with_name("B03.tif")) as source:
        assert source.read(1).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": [NORTH, {**NORTH, "name": "twin"}]}, "32TQM is listed twice"),
        ({"sites": [NORTH, {**SOUTH, "name": "north"}]}, "same name"),
        ({"sites": [{**NORTH, "tiles": ["31TDH"]}]}, "does not meet tile 31TDH"),
        ({"sites": [{**NORTH, "tiles": ["33AAA"]}]}, None),
        ({"sites": [{**NORTH, "tiles": ["33TAG"]}]}, "33TAG is not the name"),
        ({"sites": [{**NORTH, "lon": 180.0, "lat": 0.0, "tiles": ["01NAA"]}]}, "antimeridian"),
    ],
)
def test_impossible_worlds_are_named(change: dict, message: str | None) -> None:
    if message is None:
        with pytest.raises(ValueError, match="tiles"):
            Simulate.model_validate(change)
        return
    with pytest.raises(TilewrightError, match=message):
        World(Simulate.model_validate(change))


def test_questions_about_nothing_are_named(world: World, tmp_path: Path) -> None:
    scene = world.scenes()[0]
    with pytest.raises(TilewrightError, match="no scene is called"):
        world.window("S2A_33TTG_19990101_0_L2A", "B04", scene.ulx, scene.uly, 1, 1)
    with pytest.raises(TilewrightError, match="B10 is not a band"):
        world.window(scene.id, "B10", scene.ulx, scene.uly, 1, 1)
    with pytest.raises(TilewrightError, match="not a corner of a 20 m pixel"):
        world.window(scene.id, "B11", scene.ulx + 10, scene.uly, 1, 1)
    broken = Simulate.model_validate(
        {**SMALL.model_dump(), "broken": [{"scene": scene.id, "asset": "B04", "how": "missing"}]}
    )
    with pytest.raises(TilewrightError, match="B04 is not an asset"):
        make_world(broken, tmp_path / "w")
    assert not (tmp_path / "w").exists()
