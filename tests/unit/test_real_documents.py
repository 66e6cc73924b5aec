"""Every real STAC document at hand, read through the provider files: the same internal scene, or a stated refusal."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tilewright.catalog import scene_asset
from tilewright.catalog.fields import item_tile
from tilewright.catalog.outline import footprint_of
from tilewright.catalog.scene import Scene, read_scene
from tilewright.config.bands import COLLECTION_BANDS, RADAR
from tilewright.config.load import load_config, load_providers
from tilewright.config.provider import Provider, ProviderCollection
from tilewright.grid import tile

PROVIDERS = (
    "earth-search",
    "earth-search-c1",
    "planetary-computer",
    "cdse",
    "digital-earth-africa",
    "local",
    "simulated",
)
ES, PC = "earth-search.aws.element84.com__", "planetarycomputer.microsoft.com__"

# Catalogs that no provider file is for: Earth Search's first collection, and what stactools makes of products on disk.
V0 = {
    "id": "sentinel-s2-l2a-cogs", "radiometry": "earth-search-l2a",
    "fields": {"tile": ["sentinel:*"], "baseline": ["sentinel:processing_baseline"]},
    "assets": {band: band for band in (*COLLECTION_BANDS["s2_l2a"], "SCL")},
}  # fmt: skip
COMMON = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3",
    "B08": "nir", "B8A": "nir08", "B09": "nir09", "B11": "swir16", "B12": "swir22", "SCL": "scl",
}  # fmt: skip
STACTOOLS = {"id": "any", "assets": COMMON, "radiometry": "raster-offset"}
STACTOOLS_S1 = {
    "id": "any", "assets": {"VV": "vv", "VH": "vh", "HH": "hh"}, "radiometry": "amplitude", "mask": "pixels",
    "calibration": {"VV": "schema-calibration-vv", "VH": "schema-calibration-vh"},
}  # fmt: skip
OWN = {
    "kind": "local", "path": "catalog.json", "licence": "-", "attribution": "-",
    "access": {"hosts": ["sentinel-cogs.s3.us-west-2.amazonaws.com"]},
}  # fmt: skip


class Told(NamedTuple):
    """What a document says. `offset` None: not of this sensor. `where`: EPSG, upper-left x and y; None for radar."""

    tile: str | None
    where: tuple[int, int, int] | None
    offset: int
    evidence: str
    baseline: str
    datatake: str
    platform: str
    orbit: int
    orbit_state: str
    bands: str
    generated: str


S2_BANDS = " ".join(sorted((*COLLECTION_BANDS["s2_l2a"], "SCL")))
L1C_BANDS = " ".join(sorted(COLLECTION_BANDS["s2_l1c"]))
EPT = (32720, 600000, 3300040)

# document: who reads it (a provider file, or a collection described here), as which of our collections, and what it says
ITEMS: dict[str, tuple[str | dict[str, Any], str, Told]] = {
    f"{ES}sentinel-2-l2a__S2B_20EPT_20250731_0_L2A": ("earth-search", "s2_l2a", Told(
        "20EPT", EPT, 0, "boa_offset_applied is true, baseline 05.11, the raster offset is not believed",
        "05.11", "GS2B_20250731T131909", "sentinel-2b", 95, "", S2_BANDS, "2025-07-31T14:39:19+00:00")),
    f"{ES}sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A": ("earth-search-c1", "s2_l2a", Told(
        "20EPT", EPT, -1000, "raster offset -0.1, as baseline 05.11 has",
        "05.11", "GS2B_20250731T131909", "sentinel-2b", 95, "", S2_BANDS, "2025-07-31T14:39:19+00:00")),
    f"{ES}sentinel-2-l1c__S2B_20EPT_20250731_0_L1C": ("earth-search", "s2_l1c", Told(
        "20EPT", EPT, -1000, "baseline 05.11 has offset -1000",
        "05.11", "GS2B_20250731T131909", "sentinel-2b", 95, "", L1C_BANDS, "2025-07-31T14:35:30+00:00")),
    f"{ES}sentinel-1-grd__S1A_IW_GRDH_1SSH_20250731T135608_20250731T135637_060328_077F7E": ("earth-search", "s1_grd", Told(
        None, None, 0, "radar amplitude has no offset",
        "", "S1A_077F7E", "sentinel-1a", 56, "ascending", "HH", "2025-07-31T14:46:33+00:00")),
    f"{ES}sentinel-s2-l2a-cogs__S2B_20EPT_20250731_0_L2A": (V0, "s2_l2a", Told(
        "20EPT", EPT, 0, "boa_offset_applied is true, baseline 05.11",
        "05.11", "GS2B_20250731T131909", "sentinel-2b", 95, "", S2_BANDS, "2025-07-31T15:02:11.685000+00:00")),
    f"{PC}sentinel-2-l2a__S2A_MSIL2A_20190101T000001_R116_T59VPE_20201007T214658": ("planetary-computer", "s2_l2a", Told(
        "59VPE", (32659, 600000, 6500040), 0, "baseline 02.12 has no offset",
        "02.12", "GS2A_20190101T000001", "sentinel-2a", 116, "descending", S2_BANDS, "2020-10-07T21:46:58.397000+00:00")),
    "cdse_S2C_MSIL2A_20260527T014651_N0512_R017_T55WFR_20260527T042005": ("cdse", "s2_l2a", Told(
        "55WFR", (32655, 600000, 7600020), -1000, "raster offset -0.1, as baseline 05.12 has",
        "05.12", "GS2C_20260527T014651", "sentinel-2c", 17, "descending", S2_BANDS, "2026-05-27T04:20:05+00:00")),
    "stactools_s2_S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE": (STACTOOLS, "s2_l2a", Told(
        "07HFE", (32707, 600000, 6500020), 0, "raster offset 0, as baseline 02.12 has",
        "02.12", "GS2A_20190212T192651", "sentinel-2a", 13, "descending", S2_BANDS, "2020-10-07T16:08:57.135000+00:00")),
    "stactools_s2_S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE": (
        {**STACTOOLS, "format": "jp2"}, "s2_l2a", Told(
        "01KAB", (32701, 99960, 8200000), -1000, "raster offset -0.1, as baseline 05.09 has",
        "05.09", "GS2A_20230821T221941", "sentinel-2a", 29, "descending", S2_BANDS, "2023-08-22T02:18:25+00:00")),
    "stactools_s1_S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13": (STACTOOLS_S1, "s1_grd", Told(
        None, None, 0, "radar amplitude has no offset",
        "", "S1A_049F13", "sentinel-1a", 59, "ascending", "VH VV", "2021-08-09T20:19:58+00:00")),
}  # fmt: skip

# collection document: provider files and our collections that read it
COLLECTIONS = {
    f"{ES}COLLECTION__sentinel-2-l2a": [("earth-search", "s2_l2a"), ("simulated", "s2_l2a")],
    f"{ES}COLLECTION__sentinel-2-c1-l2a": [("earth-search-c1", "s2_l2a")],
    f"{ES}COLLECTION__sentinel-2-pre-c1-l2a": [],  # the assets of c1, as that file's comment promises
    f"{ES}COLLECTION__sentinel-2-l1c": [("earth-search", "s2_l1c"), ("earth-search-c1", "s2_l1c"), ("simulated", "s2_l1c")],
    f"{ES}COLLECTION__sentinel-1-grd": [("earth-search", "s1_grd"), ("simulated", "s1_grd")],
    f"{PC}COLLECTION__sentinel-2-l2a": [("planetary-computer", "s2_l2a")],
    f"{PC}COLLECTION__sentinel-1-grd": [("planetary-computer", "s1_grd")],
    f"{PC}COLLECTION__sentinel-1-rtc": [("planetary-computer", "s1_rtc"), ("simulated", "s1_rtc")],
}  # fmt: skip
OTHERS = {f"{ES}COLLECTION__{name}" for name in ("cop-dem-glo-30", "cop-dem-glo-90", "landsat-c2-l2", "naip")}


def provider(name: str, root: Path) -> Provider:
    """A provider file, as a config that names it gets it."""
    config = load_config(
        {
            "dataset": "x", "aoi": {"tiles": ["35JQG"]}, "provider": {"like": name},
            "collections": {"s2_l2a": {"bands": ["B02"]}}, "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31"}],
        }
    )  # fmt: skip
    return load_providers(config, root)["s2_l2a"]


def document(name: str, shared_data: Path) -> dict[str, Any]:
    return json.loads((shared_data / "stac" / f"{name}.json").read_text())


def reader_of(who: str | dict[str, Any], key: str, root: Path) -> tuple[Provider, ProviderCollection]:
    made = provider(who, root) if isinstance(who, str) else Provider.model_validate({**OWN, "collections": {key: who}})
    return made, made.collections[key]


def read(name: str, root: Path, shared_data: Path) -> tuple[dict[str, Any], ProviderCollection, Scene]:
    who, key, _ = ITEMS[name]
    source, collection = reader_of(who, key, root)
    item = document(name, shared_data)
    return item, collection, read_scene(key, item, collection, source.access, source.kind == "local")


def test_no_document_is_forgotten(shared_data: Path):
    found = {path.stem for path in (shared_data / "stac").glob("*.json")}
    assert found == set(ITEMS) | set(COLLECTIONS) | OTHERS | {"landing_v1"}


@pytest.mark.parametrize("name", ITEMS)
def test_a_real_item_is_read_into_the_internal_scene(name: str, root: Path, shared_data: Path):
    key, told = ITEMS[name][1:]
    item, collection, scene = read(name, root, shared_data)
    assert scene.refused == ""
    assert (scene.collection, scene.scene_id, scene.acquisition) == (key, item["id"], item["id"])
    where = None
    if key not in RADAR:
        first = scene_asset(scene, "B02")
        assert first is not None and first.epsg is not None and first.transform is not None
        where = (first.epsg, int(first.transform[2]), int(first.transform[5]))
    bands = " ".join(json.loads(scene.assets))
    assert told == Told(
        item_tile(item, collection.fields), where, scene.dn_offset, scene.radiometry, scene.processing_baseline, scene.datatake,
        scene.platform, scene.relative_orbit, scene.orbit_state, bands, scene.generated,
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name, (_, key, _) in ITEMS.items() if key not in RADAR])
def test_every_band_is_on_the_grid_of_its_tile(name: str, root: Path, shared_data: Path):
    key, told = ITEMS[name][1:]
    scene = read(name, root, shared_data)[2]
    here = tile(str(told.tile))
    for band in told.bands.split():
        asset = scene_asset(scene, band)
        assert asset is not None and asset.transform is not None
        step = COLLECTION_BANDS[key].get(band, 20)
        assert (asset.collection, asset.epsg, asset.shape) == (key, here.epsg, (109800 // step,) * 2)
        assert asset.transform[:2] == (step, 0) and asset.transform[3:5] == (0, -step)
        # on the tile's own grid, as our table has it
        assert abs(asset.transform[2] - here.ulx) < 60 and abs(asset.transform[5] - here.uly) < 60


@pytest.mark.parametrize("name", [name for name, (_, key, _) in ITEMS.items() if key in RADAR])
def test_radar_is_placed_by_its_files_alone_and_names_its_calibration(name: str, root: Path, shared_data: Path):
    _, _, scene = read(name, root, shared_data)
    for band in ITEMS[name][2].bands.split():
        asset = scene_asset(scene, band)
        assert asset is not None and (asset.epsg, asset.transform, asset.shape) == (None, None, None)
        assert asset.calibration.endswith(".xml") and f"-{band.lower()}" in asset.calibration


@pytest.mark.parametrize("name", ITEMS)
def test_the_footprint_is_the_items_cut_at_the_antimeridian(name: str, root: Path, shared_data: Path):
    import shapely

    item, _, scene = read(name, root, shared_data)
    outline = shapely.from_wkt(scene.footprint)
    west, south, east, north = item["bbox"]
    assert outline.is_valid and (outline.geom_type == "MultiPolygon") == (west > east)
    if west > east:  # T01KAB lies on both sides of it
        parts = sorted(part.bounds for part in outline.geoms)
        assert parts[0][0] == -180 and parts[-1][2] == 180
        assert (parts[-1][0], parts[0][2]) == pytest.approx((west, east), abs=1e-4)
    else:
        assert outline.bounds == pytest.approx((west, south, east, north), abs=0.2)
    assert footprint_of(item) == (scene.footprint, "")


@pytest.mark.parametrize("name", ITEMS)
def test_the_bbox_stands_in_for_a_missing_geometry(name: str, shared_data: Path):
    import shapely

    item = document(name, shared_data)
    box, why = footprint_of({**item, "geometry": None})
    whole = shapely.from_wkt(footprint_of(item)[0])
    assert why == "" and shapely.from_wkt(box).buffer(0.15).contains(whole)


@pytest.mark.parametrize(
    ("name", "by", "why"),
    [
        # read as if it came from somewhere that it did not: hosts and buckets are the provider's own
        (f"{ES}sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A", ("earth-search", "s2_l2a"), "href of B01: host 'e84-earth-search-sentinel-data.s3"),
        (f"{ES}sentinel-2-l1c__S2B_20EPT_20250731_0_L1C", ("cdse", "s2_l1c"), "item lists none of the collection's assets"),
        (f"{ES}sentinel-2-l2a__S2B_20EPT_20250731_0_L2A", ("local", "s2_l2a"), "item lists none of the collection's assets"),
        (f"{ES}sentinel-2-l1c__S2B_20EPT_20250731_0_L1C", ("earth-search", "s2_l2a"), "href of B01: does not end in .tif or .tiff"),
        ("stactools_s2_S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE", ("earth-search", "s2_l2a"), "href of B01: is a local path"),
        (f"{ES}sentinel-s2-l2a-cogs__S2B_20EPT_20250731_0_L2A", ("planetary-computer", "s2_l2a"), "href of B01: host"),
    ],
)  # fmt: skip
def test_a_real_item_that_is_not_what_the_provider_says_is_refused_for_a_reason(
    name: str, by: tuple[str, str], why: str, root: Path, shared_data: Path
):
    source, collection = reader_of(*by, root)
    scene = read_scene(by[1], document(name, shared_data), collection, source.access, source.kind == "local")
    assert scene.refused.startswith(why), scene.refused
    assert scene.acquisition == ""


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_file_is_one(name: str, root: Path):
    made = provider(name, root)
    for key, collection in made.collections.items():
        assert set(collection.assets) - {"SCL"} <= set(COLLECTION_BANDS[key])
        assert set(collection.calibration) <= set(collection.assets)
        if key not in RADAR:
            assert set(COLLECTION_BANDS[key]) <= set(collection.assets), key


def test_the_provider_files_are_all_known_here(root: Path):
    assert {path.stem for path in (root / "config" / "providers").glob("*.yaml")} == set(PROVIDERS)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_asset_keys_are_those_of_the_collection_documents(name: str, root: Path, shared_data: Path):
    told = document(name, shared_data)
    for who, key in COLLECTIONS[name]:
        collection = provider(who, root).collections[key]
        assert collection.id == told["id"], who
        assert {*collection.assets.values(), *collection.calibration.values()} <= set(told["item_assets"]), who


def test_the_collection_before_the_first_has_the_assets_of_the_first(root: Path, shared_data: Path):
    told = document(f"{ES}COLLECTION__sentinel-2-pre-c1-l2a", shared_data)
    assert set(provider("earth-search-c1", root).collections["s2_l2a"].assets.values()) <= set(told["item_assets"])


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_collections_of_other_sensors_are_nobodys(name: str, root: Path, shared_data: Path):
    theirs = document(name, shared_data)["id"]
    for who in PROVIDERS:
        assert theirs not in {collection.id for collection in provider(who, root).collections.values()}


def test_earth_search_says_that_it_cannot_filter_by_cql2(root: Path, shared_data: Path):
    conforms = document("landing_v1", shared_data)["conformsTo"]
    assert not [one for one in conforms if "filter" in one] and any(
        one.endswith("item-search#query") for one in conforms
    )
    for key in ("s2_l2a", "s2_l1c"):
        asked = provider("earth-search", root).collections[key].filter
        assert asked is not None and asked.by == "query"


# -- providers of which no whole document is at hand: what is published of their items -----------------------------------


def published(properties: dict[str, Any], assets: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    box = [-90.4, 15.1, -87.8, 17.1] if name.startswith("S1") else [57.0, -19.9, 57.5, -19.0]
    return {"id": name, "bbox": box, "geometry": None, "links": [], "properties": properties, "assets": assets}


def test_an_item_of_digital_earth_africa_as_zen3geo_quotes_it(root: Path):
    """Properties: zen3geo's documentation of PySTACAPIItemLister; hrefs: the bucket's paths as sits lists them."""
    properties = {
        "title": "S2B_MSIL2A_20230103T062449_N0509_R091_T40KED_20230103T075000", "proj:epsg": 32740, "platform": "sentinel-2b",
        "eo:cloud_cover": 0.02, "odc:region_code": "40KED", "sentinel:sequence": "0", "sentinel:utm_zone": 40,
        "sentinel:product_id": "S2B_MSIL2A_20230103T062449_N0509_R091_T40KED_20230103T075000", "sentinel:grid_square": "ED",
        "sentinel:latitude_band": "K", "created": "2023-01-03T06:24:53Z", "sentinel:boa_offset_applied": True,
        "sentinel:processing_baseline": "05.09", "proj:shape": [10980, 10980], "datetime": "2023-01-03T06:24:53Z",
        "proj:transform": [10.0, 0.0, 499980.0, 0.0, -10.0, 7900000.0, 0.0, 0.0, 1.0],
    }  # fmt: skip
    folder = "s3://deafrica-sentinel-2/sentinel-s2-l2a-cogs/40/K/ED/2023/1/S2B_40KED_20230103_0_L2A"
    item = published(properties, {"B02": {"href": f"{folder}/B02.tif"}}, "ec16dbf6-9729-5a8f-9d72-5e83a8b9f30d")
    source, collection = reader_of("digital-earth-africa", "s2_l2a", root)
    scene = read_scene("s2_l2a", item, collection, source.access, local=False)
    assert (scene.refused, scene.dn_offset, scene.processing_baseline, scene.datatake, scene.relative_orbit) == (
        "", 0, "05.09", "GS2B_20230103T062449", 91,
    )  # fmt: skip
    assert item_tile(item, collection.fields) == "40KED" and scene.cloud_cover == 0.02
    asset = scene_asset(scene, "B02")
    assert asset is not None and (asset.epsg, asset.transform, asset.shape) == (
        32740, (10, 0, 499980, 0, -10, 7900000), (10980, 10980)
    )  # fmt: skip


def test_a_level_1c_item_of_cdse_as_its_templates_give_it(root: Path):
    """Example item of eu-cdse/eometadatatool, eometadatatool/stac/sentinel-2-l1c."""
    properties = {
        "datetime": "2024-01-16T00:07:41.024000Z", "platform": "sentinel-2a", "grid:code": "MGRS-51CVP", "processing:version": "05.10",
        "eopf:datatake_id": "GS2A_20240116T000741_044743_N05.10", "sat:relative_orbit": 130, "sat:orbit_state": "descending",
        "processing:datetime": "2024-01-16T01:05:05.000000Z", "eo:cloud_cover": 0.0,
    }  # fmt: skip
    product = "S2A_MSIL1C_20240116T000741_N0510_R130_T51CVP_20240116T010505"
    asset = {
        "href": f"s3://eodata/Sentinel-2/MSI/L1C/2024/01/16/{product}.SAFE/GRANULE/L1C_T51CVP_A044743_20240116T000743/IMG_DATA/T51CVP_20240116T000741_B01.jp2",
        "raster:scale": 0.0001, "raster:offset": -0.1, "proj:code": "EPSG:32751", "proj:shape": [1830, 1830],
        "proj:bbox": [399960, 1290220, 509760, 1400020], "proj:transform": [60, 0, 399960, 0, -60, 1400020],
    }  # fmt: skip
    source, collection = reader_of("cdse", "s2_l1c", root)
    scene = read_scene("s2_l1c", published(properties, {"B01": asset}, product), collection, source.access, local=False)
    assert (scene.refused, scene.dn_offset, scene.datatake, scene.processing_baseline) == (
        "", -1000, "GS2A_20240116T000741", "05.10",
    )  # fmt: skip
    del asset["proj:transform"]
    derived = read_scene(
        "s2_l1c", published(properties, {"B01": asset}, product), collection, source.access, local=False
    )
    assert scene_asset(derived, "B01") == scene_asset(scene, "B01"), "the transform follows from bbox and shape"


def test_a_sentinel_1_item_of_cdse_as_its_templates_give_it(root: Path):
    """Example item of eu-cdse/eometadatatool, eometadatatool/stac/sentinel-1-grd-cog: no CRS, GCPs in the file."""
    product = "S1A_IW_GRDH_1SDV_20240607T000653_20240607T000718_054210_0697DA_6EE4_COG"
    folder = f"s3://eodata/Sentinel-1/SAR/IW_GRDH_1S-COG/2024/06/07/{product}.SAFE"
    name = "s1a-iw-grd-vv-20240607t000653-20240607t000718-054210-0697da-001-cog"
    assets = {
        "vv": {"href": f"{folder}/measurement/{name}.tiff", "proj:code": None, "proj:shape": [25537, 16749]},
        "schema-calibration-vv": {"href": f"{folder}/annotation/calibration/calibration-{name}.xml"},
    }
    properties = {
        "datetime": "2024-06-07T00:06:53.347125Z", "platform": "sentinel-1a", "sat:orbit_state": "ascending", "sat:relative_orbit": 63,
        "eopf:datatake_id": "432090", "processing:version": "01.00", "sar:instrument_mode": "IW",
    }  # fmt: skip
    source, collection = reader_of("cdse", "s1_grd", root)
    scene = read_scene("s1_grd", published(properties, assets, product), collection, source.access, local=False)
    asset = scene_asset(scene, "VV")
    assert (scene.refused, scene.datatake, scene.orbit_state) == ("", "S1A_0697DA", "ascending")
    assert asset is not None and asset.epsg is None and asset.calibration == assets["schema-calibration-vv"]["href"]


# -- Earth Search's published mistakes, by the number of their issue (Element84/earth-search) ----------------------------


def earth_search(item: dict[str, Any], key: str, root: Path, provider_name: str = "earth-search") -> Scene:
    source, collection = reader_of(provider_name, key, root)
    return read_scene(key, item, collection, source.access, local=False)


L2A = f"{ES}sentinel-2-l2a__S2B_20EPT_20250731_0_L2A"


def test_earth_search_9_the_flag_is_true_and_the_raster_offset_says_otherwise(root: Path, shared_data: Path):
    item = document(L2A, shared_data)
    assert (
        item["properties"]["earthsearch:boa_offset_applied"]
        and item["assets"]["red"]["raster:bands"][0]["offset"] == -0.1
    )
    assert earth_search(item, "s2_l2a", root).dn_offset == 0


def test_earth_search_66_and_71_the_flag_is_false_and_nothing_is_assumed(root: Path, shared_data: Path):
    item = document(L2A, shared_data)
    item["properties"]["earthsearch:boa_offset_applied"] = False
    scene = earth_search(item, "s2_l2a", root)
    assert scene.refused == "offset unresolved: boa_offset_applied is false at baseline 05.11", (
        "until its pixels are looked at"
    )


def test_earth_search_41_collection_1_is_raw_and_its_raster_offset_right(root: Path, shared_data: Path):
    item = document(f"{ES}sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A", shared_data)
    assert earth_search(item, "s2_l2a", root, "earth-search-c1").dn_offset == -1000


def test_earth_search_68_an_item_that_was_made_anew_under_its_old_id_is_another_content(root: Path, shared_data: Path):
    item = document(f"{ES}sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A", shared_data)
    before = earth_search(item, "s2_l2a", root, "earth-search-c1").digest
    item["assets"]["red"]["file:checksum"] = "1220" + "0" * 64
    assert earth_search(item, "s2_l2a", root, "earth-search-c1").digest != before


def test_earth_search_72_level_1c_of_before_july_2023_names_the_bucket_of_level_2a(root: Path, shared_data: Path):
    item = document(f"{ES}sentinel-2-l1c__S2B_20EPT_20250731_0_L1C", shared_data)
    for asset in item["assets"].values():
        asset["href"] = asset["href"].replace("s3://sentinel-s2-l1c/", "s3://sentinel-s2-l2a/")
    assert earth_search(item, "s2_l1c", root).refused == ""
    source, collection = reader_of("earth-search", "s2_l1c", root)
    scene = read_scene("s2_l1c", item, collection.model_copy(update={"rewrite": {}}), source.access, local=False)
    assert scene.refused == "href of B01: bucket 'sentinel-s2-l2a' is not among the provider's buckets"
