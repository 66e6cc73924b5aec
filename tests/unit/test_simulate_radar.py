"""Sentinel-1 of the simulated world: its files are what the analytic truth says, placed where it says."""

import hashlib
import itertools
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.warp
import shapely
from rasterio.transform import GCPTransformer

from tilewright.config.simulated import Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate import World, make_world
from tilewright.simulate.radar import Polarisation
from tilewright.simulate.radar_schedule import RadarScene
from truth_companions import check_backscatter, shifts, truth_db

SETTINGS = Simulate.model_validate(
    {
        "sites": [{"name": "north", "lon": 12.0, "lat": 42.0, "side_m": 3000, "tiles": ["33TTG"]}],
        "years": [2019], "scenes_per_year": 3, "sensors": ["s1_grd", "s1_rtc"],
    }
)  # fmt: skip
POLARISATIONS: tuple[Polarisation, ...] = ("VV", "VH")


@pytest.fixture(scope="module")
def world() -> World:
    return World(SETTINGS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("radar") / "world"
    make_world(SETTINGS, directory)
    return directory


@pytest.fixture(scope="module")
def items(made: Path) -> dict[str, dict]:
    return {item["id"]: item for item in json.loads((made / "catalog.json").read_text())["features"]}


def _table(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines, pixels and sigmaNought of a calibration XML."""
    vectors = ElementTree.parse(path).getroot().findall("calibrationVectorList/calibrationVector")
    told = [
        [np.array(vector.findtext(name, "").split(), float) for name in ("pixel", "sigmaNought")] for vector in vectors
    ]
    lines = np.array([float(vector.findtext("line", "")) for vector in vectors])
    return lines, told[0][0], np.array([sigma for _, sigma in told])


def _bilinear(table: tuple[np.ndarray, np.ndarray, np.ndarray], height: int, width: int) -> np.ndarray:
    lines, pixels, sigma = table
    across = np.array([np.interp(np.arange(width), pixels, row) for row in sigma])
    # What each vector weighs at each line: 1 at its own, 0 at the others
    weights = np.array([np.interp(np.arange(height), lines, row) for row in np.eye(len(lines))])
    return weights.T @ across


def test_a_world_without_radar_has_none() -> None:
    assert World(SETTINGS.model_copy(update={"sensors": ["s2_l1c"]})).radar.scenes() == ()


def test_same_settings_same_bytes(made: Path, tmp_path: Path) -> None:
    make_world(SETTINGS, tmp_path / "again")
    files = [path for path in sorted(made.rglob("*")) if path.is_file()]
    for path in files:
        twin = tmp_path / "again" / path.relative_to(made)
        assert hashlib.blake2b(path.read_bytes()).digest() == hashlib.blake2b(twin.read_bytes()).digest(), path
    scenes = World(SETTINGS).radar.scenes()
    assert len(files) == 2 + 3 * 13 + 4 * len(scenes) + 2 * len(scenes)


def test_amplitude_is_the_root_of_sigma0_times_the_table(made: Path, world: World) -> None:
    for scene in world.radar.scenes():
        line, pixel = np.meshgrid(np.arange(scene.lines), np.arange(scene.pixels), indexing="ij")
        lon, lat = world.radar.geolocation(scene.id, line, pixel)
        for polarisation in POLARISATIONS:
            name = f"iw-{polarisation.lower()}"
            with rasterio.open(made / scene.id / f"{name}.tiff") as source:
                dn = source.read(1).astype(float)
                assert (source.crs, source.nodata, source.dtypes) == (None, None, ("uint16",))
                assert source.transform.is_identity and source.tags()["AREA_OR_POINT"] == "Area"
            gain = _bilinear(_table(made / scene.id / f"calibration-{name}.xml"), scene.lines, scene.pixels)
            truth = np.sqrt(world.radar.backscatter(scene.id, polarisation, lon, lat, 4326)) * gain
            has = dn > 0
            assert has.mean() > 0.95 and not has[:, :4].any()
            assert np.abs(dn - truth)[has].max() < 0.5 + 1e-3
            assert np.percentile(dn[has], 1) > 90  # a step of DN is below 0.1 dB
            np.testing.assert_array_equal(has | np.isnan(truth) | (pixel < 9) | (pixel > scene.pixels - 6), True)


def test_tables_vary_along_and_across(made: Path, world: World) -> None:
    scene = world.radar.scenes()[0]
    for polarisation in ("vv", "vh"):
        lines, pixels, sigma = _table(made / scene.id / f"calibration-iw-{polarisation}.xml")
        assert lines[0] < 0 and lines[-1] > scene.lines - 1 and pixels[0] == 0 and pixels[-1] == scene.pixels - 1
        assert (np.ptp(sigma, axis=0) > 0.03 * sigma.mean()).any() and (
            np.ptp(sigma, axis=1) > 0.05 * sigma.mean()
        ).all()


def test_tie_points_place_every_pixel_and_carry_the_relief(made: Path, world: World) -> None:
    """A thin-plate spline through them is good to half a pixel; what cannot follow the relief is not."""
    for scene in world.radar.scenes():
        line, pixel = np.meshgrid(np.arange(0, scene.lines, 9), np.arange(0, scene.pixels, 9), indexing="ij")
        lon, lat = world.radar.geolocation(scene.id, line.ravel(), pixel.ravel())
        with rasterio.open(made / scene.id / "iw-vh.tiff") as source:
            points, crs = source.gcps
        assert crs.to_epsg() == 4326 and len(points) == 210
        # Samples are numbered from 0: these are centres, though GDAL counts from the corner of the first pixel.
        assert (points[0].row, points[0].col) == (0, 0)
        assert (points[-1].row, points[-1].col) == (scene.lines - 1, scene.pixels - 1)
        assert len({round(point.z) for point in points}) > 20
        worst = {}
        for spline in (True, False):
            with GCPTransformer(points, tps=spline) as transformer:
                rows, columns = transformer.rowcol(lon, lat, op=lambda value: value)
            error = np.hypot(np.array(rows) - line.ravel(), np.array(columns) - pixel.ravel())
            worst[spline] = error.max()
        assert worst[True] < 0.3 and worst[False] > 1


def test_ground_and_radar_are_inverse(world: World) -> None:
    rng = np.random.default_rng(0)
    for geometry in world.radar.over("north").geometries.values():
        line, pixel = rng.uniform(0, geometry.lines, 500), rng.uniform(0, geometry.pixels, 500)
        back = geometry.radar(*geometry.ground(line, pixel))
        np.testing.assert_allclose(back, (line, pixel), atol=1e-5)
    up, down = world.radar.over("north").geometries.values()
    # North is up for one and down for the other; both look to their right.
    origin, north, east = (np.array(each, float) for each in ((0, 0), (0, 1000), (1000, 0)))
    for geometry, sign in ((up, 1), (down, -1)):
        at, ahead, right = (np.array(geometry.radar(*each)) for each in (origin, north, east))
        assert sign * (ahead - at)[0] > 80 and sign * (right - at)[1] > 80


def test_terrain_corrected_is_gamma0_on_the_zone_of_the_site(made: Path, world: World) -> None:
    for scene in world.radar.scenes():
        for polarisation in POLARISATIONS:
            with rasterio.open(made / f"{scene.id}_rtc" / f"iw-{polarisation.lower()}.rtc.tiff") as source:
                assert (source.crs.to_epsg(), source.nodata, source.dtypes) == (32633, -32768.0, ("float32",))
                assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and source.res == (10, 10)
                pixels = source.read(1)
                left, top = source.transform.c, source.transform.f
            has = pixels != -32768
            rows, columns = np.nonzero(has)
            east, north = left + 10 * (columns + 0.5), top - 10 * (rows + 0.5)
            truth = world.radar.backscatter(f"{scene.id}_rtc", polarisation, east, north, 32633)
            np.testing.assert_allclose(pixels[has], truth, rtol=2**-11 + 1e-4)
            ellipsoid = world.radar.backscatter(scene.id, polarisation, east, north, 32633)
            assert (10 * np.log10(truth / ellipsoid) > 0.7).all()  # another quantity, and not by rounding


def test_the_scene_covers_the_site_but_for_its_cuts(world: World) -> None:
    side = np.linspace(-1490, 1490, 60)
    plane = world.radar.over("north")
    east, north = plane.away(*np.meshgrid(side, side), 32632)
    whole, cut = 0, 0
    for scene in world.radar.scenes():
        seen = np.isfinite(world.radar.backscatter(scene.id, "VV", east, north, 32632))
        frame = plane.geometries[scene.direction]
        whole += bool(scene.pixels == frame.pixels and seen.all())
        cut += bool(scene.pixels < frame.pixels and 0.3 < seen.mean() < 0.95)
    assert whole + cut == len(world.radar.scenes()) and whole and cut


def test_two_slices_meet_on_the_site(world: World) -> None:
    takes = {scene.datatake: world.radar.slices(scene.id) for scene in world.radar.scenes()}
    assert {len(slices) for slices in takes.values()} == {1, 2}
    for first, second in (slices for slices in takes.values() if len(slices) == 2):
        assert (first.slice_number, second.slice_number, second.total_slices) == (1, 2, 2) and first.end == second.start
        assert second.first_line < first.first_line + first.lines < second.first_line + 20
        shared = np.arange(second.first_line, first.first_line + first.lines)
        at = [world.radar.geolocation(each.id, shared - each.first_line, 0 * shared + 210) for each in (first, second)]
        np.testing.assert_allclose(at[0], at[1], atol=1e-12)
        x, y = world.radar.over("north").plane(*at[0], 4326)
        assert (np.abs(x) < 1500).all() and (np.abs(y) < 1500).all()


def test_passes_are_six_days_apart_near_the_optical_scenes_with_gaps() -> None:
    many = World(SETTINGS.model_copy(update={"scenes_per_year": 73}))
    for direction in ("ascending", "descending"):
        scenes = [scene for scene in many.radar.scenes() if scene.direction == direction]
        days = sorted({scene.start.date().toordinal() for scene in scenes})
        steps = {later - day for day, later in itertools.pairwise(days)}
        assert steps <= {6, 12, 18, 24} and {6, 12} <= steps
        assert len({scene.relative_orbit for scene in scenes}) == 1
        assert {scene.platform for scene in scenes} == {"sentinel-1a", "sentinel-1b"}
    few = World(SETTINGS)
    optical = [scene.datetime.date().toordinal() for scene in few.scenes()]
    for scene in few.radar.scenes():
        assert min(abs(scene.start.date().toordinal() - day) for day in optical) <= 3
    after = World(SETTINGS.model_copy(update={"years": [2023], "scenes_per_year": 73}))
    assert {scene.platform for scene in after.radar.scenes()} == {"sentinel-1a"}
    assert len({scene.id for scene in many.radar.scenes()}) == len(many.radar.scenes())


def test_backscatter_is_smooth_and_of_its_date_orbit_and_polarisation(world: World) -> None:
    """Bilinear reading of pixels 10 m apart is good to a few hundredths of a dB, and any mix-up shows."""
    east, north = world.radar.over("north").away(
        *np.meshgrid(np.linspace(-1400, 1400, 90), np.linspace(-1400, 1400, 90)), 32633
    )

    def level(scene: RadarScene, polarisation: Polarisation, shift: float = 0) -> np.ndarray:
        return 10 * np.log10(world.radar.backscatter(scene.id, polarisation, east + shift, north, 32633))

    whole = [
        scene
        for scene in world.radar.scenes()
        if not np.isnan(world.radar.backscatter(scene.id, "VV", east, north, 32633)).any()
    ]
    one = next(scene for scene in whole if scene.direction == "ascending")
    between = (level(one, "VV", -5) + level(one, "VV", 5)) / 2 - level(one, "VV")
    assert np.nanmax(np.abs(between)) < 0.03
    assert np.nanstd(level(one, "VV")) > 1.5
    for other in whole:
        if other.datatake != one.datatake:
            assert np.nanmedian(np.abs(level(other, "VV") - level(one, "VV"))) > 0.2
    assert np.nanmin(level(one, "VV") - level(one, "VH")) > 1


def test_items_are_shaped_like_the_real_ones(
    items: dict[str, dict], made: Path, world: World, shared_data: Path
) -> None:
    name = "earth-search.aws.element84.com__sentinel-1-grd__S1A_IW_GRDH_1SSH_20250731T135608_20250731T135637_060328_077F7E.json"
    real = json.loads((shared_data / "stac" / name).read_text())
    for scene in world.radar.scenes():
        grd, rtc = items[scene.id], items[f"{scene.id}_rtc"]
        assert grd["collection"] == real["collection"] and rtc["collection"] == "sentinel-1-rtc"
        assert set(real["properties"]) - set(grd["properties"]) == {"processing:software"}
        assert set(grd["properties"]) - set(real["properties"]) == {"tilewright:world"}
        for key, asset in grd["assets"].items():
            like = real["assets"][key[:-2] + "hh"]
            assert asset.get("raster:bands") == like.get("raster:bands") and asset["type"] == like["type"]
            assert (made / asset["href"]).is_file()
        assert sorted(grd["assets"]) == ["schema-calibration-vh", "schema-calibration-vv", "vh", "vv"]
        assert grd["properties"]["s1:datatake_id"] == str(int(scene.id[-6:], 16))
        with rasterio.open(made / rtc["assets"]["vv"]["href"]) as source:
            assert list(source.shape) == rtc["properties"]["proj:shape"]
            assert list(source.transform) == rtc["properties"]["proj:transform"]
            assert source.crs.to_epsg() == rtc["properties"]["proj:epsg"]
        outline = shapely.geometry.shape(grd["geometry"])
        assert outline.is_valid and outline.equals(shapely.geometry.shape(rtc["geometry"]))
        to_degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
        west, south, east, north = (int(edge) for edge in source.bounds)
        lon, lat = to_degrees.transform(*np.meshgrid(np.arange(west, east, 97.0), np.arange(south, north, 97.0)))
        # The outline is that of the data; the points near its edge may go either way.
        inside = shapely.contains_xy(outline.buffer(-1e-4), lon, lat)
        outside = ~shapely.contains_xy(outline.buffer(1e-4), lon, lat)
        alone = np.isfinite(world.radar.backscatter(scene.id, "VV", lon, lat, 4326))
        assert alone[inside].all() and (scene.total_slices > 1 or not alone[outside].any())


def test_radar_assets_can_be_broken(tmp_path: Path) -> None:
    few = {"sites": [{**SETTINGS.sites[0].model_dump(), "side_m": 2000}], "scenes_per_year": 1}
    settings = Simulate.model_validate({**SETTINGS.model_dump(), **few})
    scene = World(settings).radar.scenes()[0]
    broken = [
        {"scene": scene.id, "asset": "vv", "how": "truncated"},
        {"scene": scene.id, "asset": "schema-calibration-vh", "how": "missing"},
        {"scene": f"{scene.id}_rtc", "asset": "vh", "how": "no_asset"},
    ]
    make_world(Simulate.model_validate({**settings.model_dump(), "broken": broken}), tmp_path / "w")
    found = {item["id"]: item for item in json.loads((tmp_path / "w" / "catalog.json").read_text())["features"]}
    with (
        pytest.raises(rasterio.errors.RasterioIOError),
        rasterio.open(tmp_path / "w" / scene.id / "iw-vv.tiff") as source,
    ):
        source.read(1)
    assert "schema-calibration-vh" in found[scene.id]["assets"]
    assert not (tmp_path / "w" / scene.id / "calibration-iw-vh.xml").exists()
    assert sorted(found[f"{scene.id}_rtc"]["assets"]) == ["vv"]


def test_questions_about_nothing_are_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(TilewrightError, match="no radar scene is called S1X"):
        world.radar.backscatter("S1X", "VV", np.zeros(1), np.zeros(1), 4326)
    broken = {"scene": world.radar.scenes()[0].id, "asset": "hh", "how": "missing"}
    with pytest.raises(TilewrightError, match="hh is not an asset; they are schema-calibration-vh"):
        make_world(Simulate.model_validate({**SETTINGS.model_dump(), "broken": [broken]}), tmp_path / "w")


def _read_apart(
    made: Path, scenes: tuple[RadarScene, ...], polarisation: str, box: tuple[int, int], shift: float
) -> np.ndarray:
    """dB of a datatake on 96 x 96 pixels of EPSG:32632 from `box`, read by GDAL's warper; `shift`: tie points moved, in pixels."""
    whole = np.full((96, 96), np.nan)
    for scene in scenes:
        name = f"iw-{polarisation.lower()}"
        with rasterio.open(made / scene.id / f"{name}.tiff") as source:
            dn, (points, crs) = source.read(1).astype(float), source.gcps
        power = (dn / _bilinear(_table(made / scene.id / f"calibration-{name}.xml"), *dn.shape)) ** 2
        power[dn == 0] = np.nan
        moved = [rasterio.control.GroundControlPoint(p.row + 0.5, p.col + 0.5 + shift, p.x, p.y, p.z) for p in points]
        target = np.full((96, 96), np.nan)
        rasterio.warp.reproject(
            power, target, gcps=moved, src_crs=crs, src_nodata=np.nan, dst_nodata=np.nan, dst_crs="EPSG:32632",
            dst_transform=rasterio.transform.from_origin(*box, 10, 10), resampling=rasterio.warp.Resampling.bilinear,
            MAX_GCP_ORDER=-1, tolerance=0,
        )  # fmt: skip
        whole = np.where(np.isnan(whole), target, whole)
    return 10 * np.log10(whole)


def test_the_check_of_radar_stores_passes_a_true_reading_and_names_a_false_one(made: Path, world: World) -> None:
    plane = world.radar.over("north")
    east, north = (float(value[0]) for value in plane.away(np.zeros(1), np.zeros(1), 32632))
    box = int(east // 10 * 10) - 480, int(north // 10 * 10) + 480
    slices = next(world.radar.slices(scene.id) for scene in world.radar.scenes() if scene.total_slices == 2)
    truth = truth_db(world, slices[1].id, "VV", *box, (96, 96), 32632)
    right = _read_apart(made, slices, "VV", box, 0)
    assert max(np.hypot(*np.array(shifts(right, truth)).T)) < 0.2
    check_backscatter(right, truth, True, "it")
    for changed, message in (
        (_read_apart(made, slices, "VV", box, 0.8), "pixels off its place"),
        (_read_apart(made, slices, "VH", box, 0), "it: "),
        (right + 0.3, "it: "),
        (np.where(np.eye(96) > 0, np.nan, right), "96 pixels are missing"),
        (np.roll(right, 1, axis=0), "pixels off its place"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_backscatter(changed, truth, True, "it")
    with pytest.raises(AssertionError, match="there where the generator has none"):
        check_backscatter(right, np.full_like(truth, np.nan), True, "it")
