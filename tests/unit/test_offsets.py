"""The −1000 offset: whatever a catalog says and its pixels hold, reflectance comes out right, or the scene is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely

from rasters import Grid, write_gdal
from tilewright.catalog import Asset, Scene, read_scene, scene_asset
from tilewright.catalog.outline import footprint_of
from tilewright.catalog.radiometry import ENOUGH, Decision, by_baseline, decide, judge, raster_field
from tilewright.catalog.scene import to_look_at
from tilewright.config.provider import Access, ProviderCollection
from tilewright.cropping.values import harmonised
from tilewright.errors import TilewrightError
from tilewright.grid import tile
from tilewright.imagery import ImageryReader
from tilewright.imagery.looks import look, places

BANDS = ("B04", "B08", "B12")
STEP = {"B04": 10, "B08": 10, "B12": 20, "SCL": 20}
SIDE = 400  # pixels of 10 m: four kilometres
COARSE = Grid(SIDE // 2, SIDE // 2, step=20)


def grid(band: str) -> Grid:
    return Grid(SIDE, SIDE) if STEP[band] == 10 else COARSE


def truth(band: str, classes: np.ndarray, seed: int = 3) -> np.ndarray:
    """Harmonised DN of a band where SCL is `classes`: dark where its class is dark, with no data and dark single pixels."""
    rng = np.random.default_rng([seed, STEP[band], len(band), ord(band[-1])])
    shown = classes if STEP[band] == 20 else classes.repeat(2, 0).repeat(2, 1)
    dark, most = {"B04": (4, 420), "B12": (6, 80)}.get(band, (None, 80))
    found = rng.integers(1200, 4000, shown.shape)
    found = np.where(shown == dark, rng.integers(5, most, shown.shape), found)
    if band == "B12":
        found = np.where(shown == 11, rng.integers(900, 2200, shown.shape), found)  # bright snow, as raw as dark snow
    return np.where(shown == 0, 0, found).astype(np.uint16)


def classes_of(*numbers: int) -> np.ndarray:
    """SCL in stripes of those classes."""
    rows = np.array(numbers, np.uint8).repeat(COARSE.rows // len(numbers) + 1)[: COARSE.rows]
    return np.tile(rows[:, None], (1, COARSE.cols))


MIXED = classes_of(0, 4, 5, 6, 8)


def item_in(
    folder: Path,
    classes: np.ndarray,
    raw: bool,
    properties: dict[str, Any],
    raster: dict[str, Any],
    keys: dict[str, str],
) -> dict[str, Any]:
    """Writes files, and tells of them as a STAC item; `raw`: +1000 are in the pixels. `raster`: fields of every reflectance asset."""
    assets = {}
    folder.mkdir(parents=True, exist_ok=True)
    for band in (*BANDS, "SCL"):
        pixels = classes if band == "SCL" else truth(band, classes)
        if raw and band != "SCL":
            pixels = np.where(pixels > 0, pixels + 1000, 0).astype(np.uint16)
        here = grid(band)
        path = write_gdal(
            folder / f"{band}.tif", pixels, here, tiled=True, blockxsize=128, blockysize=128, compress="deflate"
        )
        assets[keys[band]] = {
            "href": str(path), "proj:shape": [here.rows, here.cols], "proj:transform": list(here.transform)[:6],
            **(raster if band != "SCL" else {}),
        }  # fmt: skip
    to_degrees = rasterio.warp.transform_bounds(COARSE.epsg, 4326, *grid("B04").boxes([0], [0], SIDE)[0].boundingbox)
    return {
        "id": "S2A_35WXX_20220701_0_L2A", "bbox": list(to_degrees), "geometry": None, "assets": assets,
        "properties": {"datetime": "2022-07-01T10:00:00Z", "proj:epsg": COARSE.epsg, **properties},
    }  # fmt: skip


KEYS = {"B04": "red", "B08": "nir", "B12": "swir22", "SCL": "scl"}
TWINS = {**{band: f"{name}-jp2" for band, name in KEYS.items()}, "SCL": "scl"}


def settled(item: dict[str, Any], rule: str, keys: dict[str, str] = KEYS) -> Scene:
    collection = ProviderCollection.model_validate({"id": "x", "assets": keys, "radiometry": rule})
    scene = read_scene("s2_l2a", item, collection, Access(), local=True)
    return look(scene, ImageryReader()) if to_look_at(scene) else scene


def check(scene: Scene, classes: np.ndarray, raw: bool) -> None:
    """The scene's files, harmonised as crop does it, are the truth."""
    assert scene.refused == ""
    for band in BANDS:
        asset = scene_asset(scene, band)
        assert asset is not None
        with rasterio.open(asset.href) as file:
            made = harmonised(file.read(1), scene.dn_offset)
        assert np.array_equal(made.pixels, truth(band, classes))
        assert made.flags is None or not made.flags.any()
    assert scene.dn_offset == (-1000 if raw else 0)


ON, OFF, UNSAID = {"earthsearch:boa_offset_applied": True}, {"earthsearch:boa_offset_applied": False}, {}
V0_ON, V0_OFF = {"sentinel:boa_offset_applied": True}, {"sentinel:boa_offset_applied": False}
NONE: dict[str, Any] = {}


def bands(offset: float | None, scale: float = 1e-4) -> dict[str, Any]:
    """raster:bands of raster 1.x."""
    return {"raster:bands": [{"nodata": 0, "scale": scale, **({} if offset is None else {"offset": offset})}]}


FLAT = {"raster:scale": 1e-4, "raster:offset": -0.1}  # raster 2, on the asset
STAC11 = {"bands": [{"name": "x", "raster:scale": 1e-4, "raster:offset": -0.1}]}

# what the catalog says: rule, baseline, flag, raster fields, asset keys; then whether +1000 are in the pixels
RIGHT: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, str], bool]] = [
    # Earth Search sentinel-2-l2a: the flag is believed where true, the raster offset never
    ("earth-search-l2a", "05.11", ON, bands(-0.1), KEYS, False),  # its items of July 2025
    ("earth-search-l2a", "05.09", ON, bands(0), KEYS, False),
    ("earth-search-l2a", "05.09", ON, NONE, KEYS, False),
    ("earth-search-l2a", "02.14", OFF, bands(0), KEYS, False),  # the real scene of 2020
    ("earth-search-l2a", "02.14", OFF, bands(-0.1), KEYS, False),  # a scene of 2020 with an offset all the same (stackstac 241)
    ("earth-search-l2a", "03.01", UNSAID, NONE, KEYS, False),
    ("earth-search-l2a", "", ON, NONE, KEYS, False),
    ("earth-search-l2a", "04.00", OFF, bands(-0.1), KEYS, False),  # applied though false (earth-search 66, 71)
    ("earth-search-l2a", "04.00", OFF, bands(-0.1), KEYS, True),  # truly not applied (earth-search 66)
    ("earth-search-l2a", "04.00", OFF, bands(0), KEYS, True),
    ("earth-search-l2a", "05.11", UNSAID, bands(-0.1), KEYS, False),
    ("earth-search-l2a", "05.11", UNSAID, NONE, KEYS, True),
    ("earth-search-l2a", "05.09", V0_ON, NONE, KEYS, False),
    ("earth-search-l2a", "04.00", V0_OFF, NONE, KEYS, True),
    # ESA's own files in the same items: raw whatever the flag says
    ("earth-search-l2a", "05.11", ON, bands(-0.1), TWINS, True),
    ("earth-search-l2a", "05.11", OFF, bands(-0.1), TWINS, True),
    ("earth-search-l2a", "02.14", ON, bands(0), TWINS, False),
    # ESA's DN elsewhere
    ("baseline", "03.01", NONE, NONE, KEYS, False),
    ("baseline", "04.00", NONE, NONE, KEYS, True),
    ("baseline", "05.12", NONE, NONE, KEYS, True),
    ("baseline", "05.11", ON, NONE, KEYS, True),  # another provider's flag
    ("raster-offset", "05.11", NONE, bands(-0.1), KEYS, True),
    ("raster-offset", "05.12", NONE, FLAT, KEYS, True),
    ("raster-offset", "05.12", NONE, STAC11, KEYS, True),
    ("raster-offset", "02.12", NONE, bands(0), KEYS, False),
    ("raster-offset", "02.12", NONE, NONE, KEYS, False),  # 0 is the raster extension's default
    ("harmonised", "05.11", NONE, bands(-0.1), KEYS, False),
    ("harmonised", "", NONE, NONE, KEYS, False),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "baseline", "flag", "raster", "keys", "raw"), RIGHT)
def test_reflectance_comes_out_right(
    rule: str,
    baseline: str,
    flag: dict[str, Any],
    raster: dict[str, Any],
    keys: dict[str, str],
    raw: bool,
    tmp_path: Path,
):
    told = {"s2:processing_baseline": baseline} if baseline else {}
    scene = settled(item_in(tmp_path, MIXED, raw, {**told, **flag}, raster, keys), rule, keys)
    check(scene, MIXED, raw)
    assert scene.radiometry and (
        baseline in scene.radiometry or "harmonise" in scene.radiometry or "pixels" in scene.radiometry
    )


REFUSED: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, str], np.ndarray, str]] = [
    ("earth-search-l2a", "", OFF, NONE, KEYS, MIXED, "the item names no processing baseline"),
    ("earth-search-l2a", "99.99", UNSAID, NONE, KEYS, MIXED, "baseline 99.99 stands for products of any version"),
    ("earth-search-l2a", "04.00", OFF, NONE, {**TWINS, "B04": "red"}, MIXED, "nir-jp2 is ESA's own file, others are the provider's"),
    ("earth-search-l2a", "04.00", ON, NONE, {**TWINS, "B04": "red"}, MIXED, "nir-jp2 is ESA's own file"),
    ("earth-search-l2a", "04.00", OFF, NONE, KEYS, classes_of(0, 5, 8, 9), "boa_offset_applied is false at baseline 04.00; its pixels do not tell (no class of vegetation, water, snow has 500"),
    ("earth-search-l2a", "04.00", OFF, NONE, KEYS, classes_of(11), "boa_offset_applied is false at baseline 04.00; its pixels do not tell (snow in B12: lower quartile 12"),
    ("baseline", "", NONE, NONE, KEYS, MIXED, "the item names no processing baseline"),
    ("baseline", "99.99", NONE, NONE, KEYS, MIXED, "baseline 99.99"),
    ("raster-offset", "05.11", NONE, bands(0), KEYS, MIXED, "the raster offset of nir is 0, but baseline 05.11 has -0.1"),
    ("raster-offset", "05.11", NONE, NONE, KEYS, MIXED, "the raster offset of nir is 0, but baseline 05.11 has -0.1"),
    ("raster-offset", "02.12", NONE, bands(-0.1), KEYS, MIXED, "the raster offset of nir is -0.1, but baseline 02.12 has 0"),
    ("raster-offset", "05.11", NONE, bands(-0.2), KEYS, MIXED, "the raster offset of nir is -0.2"),
    ("raster-offset", "05.11", NONE, bands(-1000), KEYS, MIXED, "the raster offset of nir is -1000"),
    ("raster-offset", "05.11", NONE, bands(-0.1, 1.0), KEYS, MIXED, "asset nir has scale 1.0 instead of 0.0001"),
    ("raster-offset", "05.11", NONE, {**bands(-0.1), "raster:offset": 0.0}, KEYS, MIXED, "the raster offset of nir is no number"),
    ("raster-offset", "", NONE, bands(-0.1), KEYS, MIXED, "the item names no processing baseline"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "baseline", "flag", "raster", "keys", "classes", "why"), REFUSED)
@pytest.mark.parametrize("raw", [False, True])
def test_what_cannot_be_told_is_refused_with_its_reason(
    rule: str, baseline: str, flag: dict[str, Any], raster: dict[str, Any], keys: dict[str, str], classes: np.ndarray, why: str,
    raw: bool, tmp_path: Path,
):  # fmt: skip
    told = {"s2:processing_baseline": baseline} if baseline else {}
    scene = settled(item_in(tmp_path, classes, raw, {**told, **flag}, raster, keys), rule, keys)
    shown = why.replace("lower quartile 12", "lower quartile 22") if raw else why
    assert scene.refused.startswith(f"offset unresolved: {shown}"), scene.refused
    assert (scene.dn_offset, scene.acquisition) == (0, "")


def test_one_asset_that_differs_leaves_the_scene_unresolved():
    told = {"red": bands(-0.1), "nir": bands(0)}
    assert decide("raster-offset", {}, "05.11", told) == Decision(
        None, "the raster offset of nir is 0, but baseline 05.11 has -0.1"
    )


def test_only_a_true_flag_is_one():
    for word in ("true", 1, "yes", [True]):
        made = decide("earth-search-l2a", {"earthsearch:boa_offset_applied": word}, "05.11", {})
        assert made.offset is None and made.look


@pytest.mark.parametrize(
    ("asset", "offset"),
    [
        ({}, 0.0), (bands(-0.1), -0.1), (FLAT, -0.1), (STAC11, -0.1), ({"raster:bands": []}, 0.0), ({"raster:bands": ["x"]}, 0.0),
        ({"raster:offset": "none"}, None), ({**FLAT, **bands(0)}, None), ({"raster:offset": [1]}, None),
    ],
)  # fmt: skip
def test_where_a_raster_offset_stands(asset: dict[str, Any], offset: float | None):
    assert raster_field(asset, "offset", 0.0) == offset


@pytest.mark.parametrize(
    ("baseline", "offset"),
    [("00.01", 0), ("03.01", 0), ("03.99", 0), ("04.00", -1000), ("05.12", -1000), ("10.00", -1000), ("", None)],
)
def test_the_offset_came_with_baseline_04_00(baseline: str, offset: int | None):
    assert by_baseline(baseline).offset == offset


def dn(low: int, high: int, count: int = 4000) -> np.ndarray:
    return np.random.default_rng(1).integers(low, high, count)


@pytest.mark.parametrize(
    ("seen", "offset"),
    [
        ({"vegetation": dn(150, 600)}, 0),
        ({"vegetation": dn(1150, 1600)}, -1000),
        ({"water": dn(1, 60)}, 0),
        ({"water": dn(990, 1060)}, -1000),
        ({"snow": dn(200, 900)}, 0),
        ({"snow": dn(1200, 1900)}, None),  # fine snow harmonised, coarse snow raw
        ({"water": dn(1150, 1400)}, None),  # sun glint harmonised, or murky water raw
        ({"vegetation": dn(3000, 5000)}, None),  # haze
        ({"vegetation": np.concatenate([dn(1100, 1600), dn(400, 800, 400)])}, None),  # raw pixels are never that dark
        ({"vegetation": dn(150, 600), "water": dn(990, 1060)}, None),
        ({"vegetation": dn(1150, 1600), "water": dn(990, 1060), "snow": dn(1200, 1900)}, -1000),
        ({"vegetation": dn(1150, 1600), "snow": dn(100, 400)}, None),
        ({"vegetation": dn(150, 600), "water": dn(1150, 1400)}, 0),  # what says nothing does not contradict
        ({"vegetation": dn(150, 600, ENOUGH)}, 0),
        ({"vegetation": dn(150, 600, ENOUGH - 1)}, None),
        ({}, None),
    ],
)
def test_what_pixels_say(seen: dict[str, np.ndarray], offset: int | None):
    made = judge(seen)
    assert made.offset == offset and not made.look
    for name, pixels in seen.items():
        assert (f"{name} in B" in made.evidence and str(pixels.size) in made.evidence) == (pixels.size >= ENOUGH)


@pytest.mark.parametrize(
    ("name", "value", "offset"),
    [
        ("vegetation", 699, 0), ("vegetation", 700, None), ("vegetation", 1049, None), ("vegetation", 1050, -1000),
        ("vegetation", 1999, -1000), ("vegetation", 2000, None), ("water", 699, 0), ("water", 949, None), ("water", 950, -1000),
        ("water", 1099, -1000), ("water", 1100, None), ("snow", 699, 0), ("snow", 700, None), ("snow", 1500, None),
    ],
)  # fmt: skip
def test_between_the_windows_pixels_say_nothing(name: str, value: int, offset: int | None):
    assert judge({name: np.full(ENOUGH, value)}).offset == offset


def test_haze_does_not_make_harmonised_pixels_raw(tmp_path: Path):
    """All vegetation is as bright in B04 as raw vegetation; a hundredth of the scene is bare ground in shadow."""
    classes = np.full_like(MIXED, 4)
    shadow = np.zeros(classes.shape, bool)
    shadow[:: classes.shape[0] // 4, ::4] = True
    classes[shadow] = 2
    item = item_in(tmp_path, classes, False, {"s2:processing_baseline": "04.00", **OFF}, NONE, KEYS)
    for band in ("B04", "B12"):
        with rasterio.open(tmp_path / f"{band}.tif", "r+") as file:
            dark = shadow.repeat(file.height // classes.shape[0], 0).repeat(file.width // classes.shape[1], 1)
            low, high = (1150, 1400) if band == "B04" else (1500, 2000)
            haze = np.random.default_rng(1).integers(low, high, dark.shape)
            file.write(np.where(dark, 1100 if band == "B04" else 300, haze).astype(np.uint16), 1)
    scene = settled(item, "earth-search-l2a")
    assert "its pixels contradict each other (vegetation in B04: lower quartile 1" in scene.refused
    assert scene.refused.endswith("; darkest 0.1 % of all in B12: 300)")


def test_a_look_reads_little(tmp_path: Path):
    item = item_in(tmp_path, MIXED, True, {"s2:processing_baseline": "04.00", **OFF}, NONE, KEYS)
    collection = ProviderCollection.model_validate({"id": "x", "assets": KEYS, "radiometry": "earth-search-l2a"})
    reader = ImageryReader()
    scene = look(read_scene("s2_l2a", item, collection, Access(), local=True), reader)
    assert "raw by its pixels (vegetation in B04: lower quartile 1" in scene.radiometry
    assert reader.traffic.assets == 4, "SCL, B04, B12, and of a raw scene B12 all over"


@pytest.mark.parametrize("band", ["SCL", "B04", "B12"])
def test_pixels_that_cannot_be_read_refuse_the_scene_by_name(band: str, tmp_path: Path):
    item = item_in(tmp_path, MIXED, True, {"s2:processing_baseline": "04.00", **OFF}, NONE, KEYS)
    (tmp_path / f"{band}.tif").unlink()
    scene = settled(item, "earth-search-l2a")
    assert scene.refused.startswith("offset unresolved: ") and f"cannot be looked at: {band}" in scene.refused


def test_an_outage_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Down:
        version, traffic = "x", None

        def read(self, *_: Any) -> Any:
            raise TilewrightError("unreachable")

    item = item_in(tmp_path, MIXED, True, {"s2:processing_baseline": "04.00", **OFF}, NONE, KEYS)
    collection = ProviderCollection.model_validate({"id": "x", "assets": KEYS, "radiometry": "earth-search-l2a"})
    with pytest.raises(TilewrightError, match="unreachable"):
        look(read_scene("s2_l2a", item, collection, Access(), local=True), Down())  # type: ignore[arg-type]


@pytest.mark.parametrize("without", ["B04", "B12"])
def test_one_witness_is_enough(without: str, tmp_path: Path):
    item = item_in(tmp_path, MIXED, True, {"s2:processing_baseline": "04.00", **OFF}, NONE, KEYS)
    del item["assets"][KEYS[without]]
    assert settled(item, "earth-search-l2a").dn_offset == -1000


# -- where is looked -------------------------------------------------------------------------------------------------


def whole(name: str) -> Asset:
    """The SCL of a whole tile."""
    here = tile(name)
    return Asset(
        scene_id="x", collection="s2_l2a", band="SCL", href="x", epsg=here.epsg, transform=(20, 0, here.ulx, 0, -20, here.uly),
        shape=(5490, 5490),
    )  # fmt: skip


def outline(name: str, part: tuple[float, float, float, float] = (0, 0, 1, 1)) -> Any:
    """A part of a tile (left, top, right, bottom) in degrees, cut at the antimeridian."""
    here = tile(name)
    left, top, right, bottom = (109800 * share for share in part)
    square = shapely.segmentize(shapely.box(here.ulx + left, here.uly - bottom, here.ulx + right, here.uly - top), 5000)
    degrees = pyproj.Transformer.from_crs(here.epsg, 4326, always_xy=True)
    ring = shapely.transform(square, lambda points: np.column_stack(degrees.transform(points[:, 0], points[:, 1])))
    return shapely.from_wkt(footprint_of({"geometry": shapely.geometry.mapping(ring)})[0])


@pytest.mark.parametrize("name", ["32TNT", "01KAB", "60KXF", "35JQG"])
@pytest.mark.parametrize("part", [(0, 0, 1, 1), (0.4, 0.4, 0.45, 0.44), (0, 0, 0.3, 1), (0.995, 0.2, 1, 0.9)])
def test_boxes_are_spread_over_where_the_data_are(name: str, part: tuple[float, float, float, float]):
    here, footprint = tile(name), outline(name, part)
    assert footprint.geom_type == ("MultiPolygon" if name == "01KAB" and part[2] - part[0] == 1 else "Polygon")
    corners = places(footprint, whole(name))
    assert 3 <= len(corners) <= 25 and len(np.unique(corners, axis=0)) == len(corners)
    assert ((corners - [here.ulx, here.uly]) % 60 == 0).all(), "on every band's grid"
    centres = (corners + np.array([640, -640]) - [here.ulx, here.uly]) * [1, -1] / 109800
    assert (centres > part[:2]).all() and (centres < part[2:]).all()
    spread = np.ptp(corners, axis=0) / 109800
    assert (spread > 0.5 * (np.array(part[2:]) - part[:2]) - 0.03).all()


@pytest.mark.parametrize(
    "elsewhere",
    ["POLYGON EMPTY", "POLYGON ((-70 -60, -69 -60, -69 -59, -70 -60))", "POLYGON ((0 -90, 1 -90, 1 -89, 0 -90))"],
)
def test_a_footprint_that_is_not_that_of_the_pixels_is_not_believed(elsewhere: str):
    assert np.array_equal(places(shapely.from_wkt(elsewhere), whole("32TNT")), places(outline("32TNT"), whole("32TNT")))


# -- the real scenes -------------------------------------------------------------------------------------------------

VADUZ = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "SCL": "scl"}


def vaduz(shared_data: Path) -> list[dict[str, Any]]:
    folder = shared_data / "real" / "vaduz-32TNT"
    items = json.loads((folder / "items.json").read_text())["features"]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = str(folder / asset["href"])
    return items


def stored(scene: Scene, band: str) -> np.ndarray:
    asset = scene_asset(scene, band)
    assert asset is not None
    with rasterio.open(asset.href) as file:
        return file.read(1)


@pytest.mark.parametrize("at", range(5))
def test_the_real_scenes_whose_flag_is_true_and_whose_offset_says_otherwise_come_out_unshifted(
    at: int, shared_data: Path
):
    item = vaduz(shared_data)[at]
    assert item["properties"]["earthsearch:boa_offset_applied"] is True
    assert item["assets"]["red"]["raster:bands"][0]["offset"] == -0.1
    scene = settled(item, "earth-search-l2a", VADUZ)
    assert (scene.refused, scene.dn_offset) == ("", 0)
    assert scene.radiometry == "boa_offset_applied is true, baseline 05.09, the raster offset is not believed"
    for band in ("B02", "B03", "B04", "B08"):
        pixels = stored(scene, band)
        made = harmonised(pixels, scene.dn_offset)
        assert np.array_equal(made.pixels, pixels) and made.flags is None


@pytest.mark.parametrize("at", range(5))
def test_the_pixels_of_the_real_scenes_say_the_same_and_the_opposite_with_1000_more(
    at: int, shared_data: Path, tmp_path: Path
):
    item = vaduz(shared_data)[at]
    item["properties"]["earthsearch:boa_offset_applied"] = False
    as_they_are = settled(item, "earth-search-l2a", VADUZ)
    assert (as_they_are.refused, as_they_are.dn_offset) == ("", 0)
    assert as_they_are.radiometry.startswith(
        "boa_offset_applied is false at baseline 05.09; harmonised by its pixels (vegetation in B04: lower quartile "
    )
    with rasterio.open(item["assets"]["red"]["href"]) as file:
        profile, pixels = file.profile, file.read(1)
    with rasterio.open(tmp_path / "B04.tif", "w", **profile) as file:
        file.write(np.where(pixels > 0, pixels + 1000, 0).astype(np.uint16), 1)
    item["assets"]["red"]["href"] = str(tmp_path / "B04.tif")
    raw = settled(item, "earth-search-l2a", VADUZ)
    assert (raw.refused, raw.dn_offset) == ("", -1000) and "; raw by its pixels (" in raw.radiometry
    assert raw.digest != as_they_are.digest
    assert np.array_equal(harmonised(stored(raw, "B04"), raw.dn_offset).pixels, pixels)


def test_the_real_desert_says_nothing_and_is_refused_where_it_would_have_to(shared_data: Path):
    folder = shared_data / "real" / "desert-29RKH"
    (item,) = json.loads((folder / "items.json").read_text())["features"]
    for asset in item["assets"].values():
        asset["href"] = str(folder / asset["href"])
    assert settled(item, "earth-search-l2a", KEYS).dn_offset == 0, "baseline 02.14"
    item["properties"]["s2:processing_baseline"] = "05.00"
    assert settled(item, "earth-search-l2a", KEYS).refused == (
        "offset unresolved: boa_offset_applied is false at baseline 05.00; "
        "its pixels do not tell (no class of vegetation, water, snow has 500 pixels)"
    )
