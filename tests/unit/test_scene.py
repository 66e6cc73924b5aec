"""What STAC items mean, in all the spellings that catalogs have; what cannot be read is refused, never an error."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.catalog import Scene, read_scene, scene_asset, scene_table, scenes_of
from tilewright.catalog.fields import (
    baseline_of,
    datatake_of,
    generated_of,
    item_tile,
    platform_of,
    relative_orbit_of,
    stamp,
)
from tilewright.catalog.outline import footprint_of
from tilewright.config.provider import Access, Fields, ProviderCollection
from tilewright.store import write_table

COLLECTION = ProviderCollection.model_validate(
    {"id": "sentinel-2-l2a", "radiometry": "baseline", "assets": {"B02": "blue", "B03": "green", "SCL": "scl"}}
)
RADAR = ProviderCollection.model_validate(
    {"id": "x", "radiometry": "amplitude", "mask": "pixels", "assets": {"VV": "blue"}, "calibration": {"VV": "green"}}
)
ITEM: dict[str, Any] = {
    "id": "S2A_32TNT_20230815_0_L2A", "collection": "sentinel-2-l2a", "bbox": [9, 46, 10, 47], "links": [],
    "geometry": shapely.geometry.mapping(shapely.box(9, 46, 10, 47)),
    "properties": {
        "datetime": "2023-08-15T10:00:31.024Z", "platform": "sentinel-2a", "proj:epsg": 32632, "grid:code": "MGRS-32TNT",
        "eo:cloud_cover": 3, "s2:processing_baseline": "05.09", "s2:datatake_id": "GS2A_20230815T095031_042547_N05.09",
        "s2:product_uri": "S2A_MSIL2A_20230815T095031_N0509_R079_T32TNT_20230815T155057.SAFE", "created": "2023-08-15T18:00:00Z",
    },
    "assets": {
        key: {"href": f"a/{key}.tif", "proj:shape": [side, side], "proj:transform": [109800 // side, 0, 499980, 0, -109800 // side, 5300040]}
        for key, side in (("blue", 10980), ("green", 10980), ("scl", 5490))
    },
}  # fmt: skip


def read(item: dict[str, Any], key: str = "s2_l2a", collection: ProviderCollection = COLLECTION) -> Scene:
    return read_scene(key, item, collection, Access(), local=True)


def with_properties(**changes: Any) -> dict[str, Any]:
    """ITEM with other properties; None leaves one out, and __ stands for a colon."""
    item = copy.deepcopy(ITEM)
    for name, value in changes.items():
        item["properties"].pop(name.replace("__", ":"), None)
        if value is not None:
            item["properties"][name.replace("__", ":")] = value
    return item


def with_asset(**changes: Any) -> dict[str, Any]:
    item = copy.deepcopy(ITEM)
    for name, value in changes.items():
        item["assets"]["blue"].pop(name.replace("__", ":"), None)
        if value is not None:
            item["assets"]["blue"][name.replace("__", ":")] = value
    return item


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"grid:code": "MGRS-20EPT"}, "20EPT"),
        ({"grid:code": "MGRS-7HFE"}, "07HFE"),
        ({"grid:code": "MGRS-07HFE"}, "07HFE"),
        ({"grid:code": "T07HFE"}, "07HFE"),
        ({"grid:code": "7HFE"}, "07HFE"),
        ({"mgrs:utm_zone": 1, "mgrs:latitude_band": "K", "mgrs:grid_square": "AB"}, "01KAB"),
        ({"mgrs:utm_zone": "01", "mgrs:latitude_band": "K", "mgrs:grid_square": "AB"}, "01KAB"),
        ({"grid:code": "WRS2-001002", "s2:mgrs_tile": "59VPE"}, "59VPE"),
        ({"s2:mgrs_tile": "1GBQ"}, "01GBQ"),
        ({"s2:mgrs_tile": "T01GBQ"}, "01GBQ"),
        ({"mgrs:utm_zone": 1, "mgrs:latitude_band": "K"}, None),
        ({"grid:code": None, "s2:mgrs_tile": None}, None),
        ({"grid:code": "MGRS-32TNT1"}, None),
        ({"grid:code": "MGRS-32TNI"}, None),
        ({"grid:code": 5}, None),
        ({}, None),
    ],
)
def test_the_tile_of_an_item(properties: dict[str, Any], name: str | None):
    assert item_tile({"properties": properties}) == name


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        (["sentinel:*"], {"sentinel:utm_zone": 7, "sentinel:latitude_band": "H", "sentinel:grid_square": "FE"}),
        (["odc:region_code"], {"odc:region_code": "07HFE"}),
        (["s2:product_uri"], {"s2:product_uri": "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE"}),
        (["my:tile", "grid:code"], {"grid:code": "MGRS-7HFE"}),
    ],
)
def test_a_catalogs_own_words_for_the_tile(fields: list[str], properties: dict[str, Any]):
    assert item_tile({"properties": properties}, Fields(tile=fields)) == "07HFE"
    assert item_tile({"properties": {**properties, "my:tile": "32TNT"}}, Fields(tile=["my:tile", *fields])) == "32TNT"


PRODUCT = "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857"


@pytest.mark.parametrize(
    ("properties", "baseline"),
    [
        ({"s2:processing_baseline": "05.12"}, "05.12"),
        ({"processing:version": "05.09"}, "05.09"),
        ({"s2:processing_baseline": 5.1}, "05.10"),
        ({"s2:processing_baseline": "N0509"}, "05.09"),
        ({"s2:processing_baseline": "4.00"}, "04.00"),
        ({"s2:product_uri": f"{PRODUCT}.SAFE"}, "02.12"),
        ({"sentinel:product_id": PRODUCT}, "02.12"),
        ({"title": PRODUCT}, "02.12"),
        ({"s2:processing_baseline": "new", "s2:product_uri": f"{PRODUCT}.SAFE"}, "02.12"),
        ({"s2:tile_id": "S2B_OPER_MSI_L2A_TL_2BPS_20250731T143919_A043879_T20EPT_N05.11"}, "05.11"),
        ({"s2:datatake_id": "GS2B_20250731T131909_043879_N05.11"}, "05.11"),
        ({"processing:version": "003.71"}, ""),
        ({}, ""),
    ],
)
def test_the_processing_baseline(properties: dict[str, Any], baseline: str):
    assert baseline_of({"id": "x", "properties": properties}, Fields()) == baseline


@pytest.mark.parametrize(
    ("name", "properties", "datatake"),
    [
        ("x", {"s2:datatake_id": "GS2A_20230815T095031_042547_N05.09"}, "GS2A_20230815T095031"),
        ("x", {"eopf:datatake_id": "GS2C_20260527T014651_008996_N05.12"}, "GS2C_20260527T014651"),
        ("x", {"s2:product_uri": f"{PRODUCT}.SAFE"}, "GS2A_20190212T192651"),
        ("S2A_MSIL2A_20190101T000001_R116_T59VPE_20201007T214658", {}, "GS2A_20190101T000001"),
        ("S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13", {"s1:datatake_id": "302867"}, "S1A_049F13"),
        ("S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_rtc", {}, "S1A_049F13"),
        (
            "S1A_IW_GRDH_1SDV_20240607T000653_20240607T000718_054210_0697DA_6EE4_COG",
            {"eopf:datatake_id": "432090"},
            "S1A_0697DA",
        ),
        ("x", {"s1:datatake_id": "302867", "platform": "SENTINEL-1A"}, "S1A_049F13"),
        ("x", {"s1:datatake_id": 302867, "platform": "sentinel-1a"}, "S1A_049F13"),
        ("x", {}, "x"),
    ],
)
def test_the_datatake(name: str, properties: dict[str, Any], datatake: str):
    assert datatake_of({"id": name, "properties": properties}, Fields()) == datatake


def test_the_datatake_of_both_levels_is_the_same():
    one = {
        "id": "a",
        "properties": {"s2:product_uri": "S2B_MSIL2A_20250731T131909_N0511_R095_T20EPT_20250731T143919.SAFE"},
    }
    other = {
        "id": "b",
        "properties": {"s2:product_uri": "S2B_MSIL1C_20250731T131909_N0511_R095_T20EPT_20250731T143530.SAFE"},
    }
    assert datatake_of(one, Fields()) == datatake_of(other, Fields()) == "GS2B_20250731T131909"


@pytest.mark.parametrize(
    ("told", "platform"),
    [
        ("Sentinel-2A", "sentinel-2a"),
        ("SENTINEL-1A", "sentinel-1a"),
        ("sentinel_2c", "sentinel-2c"),
        (None, "sentinel-2a"),
        ("", "sentinel-2a"),
    ],
)
def test_the_platform(told: str | None, platform: str):
    assert platform_of(with_properties(platform=told)) == platform


@pytest.mark.parametrize(
    ("told", "orbit"), [(122, 122), ("122", 122), (122.0, 122), (None, 79), ("none", 79), (-1, 79)]
)
def test_the_relative_orbit(told: Any, orbit: int):
    assert relative_orbit_of(with_properties(sat__relative_orbit=told)) == orbit


def test_nothing_known_of_an_item_is_said_so():
    bare = {"id": "x", "properties": {}}
    assert (platform_of(bare), relative_orbit_of(bare), generated_of(bare, Fields())) == ("", -1, "")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("2023-08-15T18:00:00Z", "2023-08-15T18:00:00+00:00"), ("2023-08-15T20:00:00+02:00", "2023-08-15T18:00:00+00:00"),
        ("2023-08-15T18:00:00", "2023-08-15T18:00:00+00:00"), (None, ""), ("soon", "soon"), (5, "5"),
    ],
)  # fmt: skip
def test_times_have_one_spelling(value: Any, told: str):
    assert stamp(value) == told


GRID = (32632, (10, 0, 499980, 0, -10, 5300040), (10980, 10980))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"proj__transform": [10, 0, 499980, 0, -10, 5300040, 0, 0, 1]},  # Earth Search v0, Open Data Cube
        {"proj__transform": None, "proj__bbox": [499980, 5190240, 609780, 5300040]},
        {"proj__code": "EPSG:32632"},
        {"proj__epsg": 32632},
        {"proj__epsg": "32632"},
        {"proj__epsg": None, "proj__code": "epsg:32632"},
    ],
)
def test_where_an_asset_is(change: dict[str, Any]):
    asset = scene_asset(read(with_asset(**change)), "B02")
    assert asset is not None and (asset.epsg, asset.transform, asset.shape) == GRID


def test_the_items_grid_stands_in_for_an_assets():
    item = with_asset(proj__transform=None, proj__shape=None)
    item["properties"] |= {"proj:shape": [10980, 10980], "proj:transform": [10, 0, 499980, 0, -10, 5300040]}
    asset, scl = scene_asset(read(item), "B02"), scene_asset(read(item), "SCL")
    assert asset is not None and (asset.epsg, asset.transform, asset.shape) == GRID
    assert scl is not None and scl.shape == (5490, 5490), "an asset's own comes first"


def test_the_crs_may_be_told_by_the_asset_alone():
    item = with_properties(proj__epsg=None)
    for asset in item["assets"].values():
        asset["proj:code"] = "EPSG:32632"
    assert scene_asset(read(item), "B02") == scene_asset(read(ITEM), "B02")
    assert (
        read(with_properties(proj__epsg=None)).refused
        == "item lists none of the collection's assets with a usable grid"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"proj__transform": None}, {"proj__shape": None}, {"proj__transform": [10, 0]}, {"proj__epsg": "none", "proj__shape": "x"},
        {"proj__transform": [10, 0, 499980, 0, -10, 5300040, 0, 0, 2]}, {"proj__transform": [10, 1, 499980, 0, -10, 5300040]},
        {"proj__transform": [10, 0, float("nan"), 0, -10, 5300040]}, {"proj__transform": [10, 0, 499980, 0, 10, 5300040]},
        {"proj__shape": [0, 0]}, {"proj__shape": [10980]}, {"proj__transform": None, "proj__bbox": [1, 2]}, {"href": None}, {"href": 5},
    ],
)  # fmt: skip
def test_an_asset_that_cannot_be_placed_is_left_out_and_nothing_else(change: dict[str, Any]):
    scene = read(with_asset(**change))
    assert scene.refused == "" and scene_asset(scene, "B02") is None and scene_asset(scene, "B03") is not None


def test_a_scene_survives_the_table():
    scenes = [
        read(ITEM),
        read(with_properties(s2__processing_baseline=None, s2__product_uri=None, s2__datatake_id=None)),
    ]
    assert scenes_of(scene_table(scenes).to_pandas()) == scenes
    assert scene_table([]).schema == scene_table(scenes).schema
    assert scenes[1].refused == "offset unresolved: the item names no processing baseline"


def test_nonsense_that_json_allows_is_stored_all_the_same(tmp_path: Path):
    nonsense = with_properties(eo__cloud_cover=10**400, sat__relative_orbit=10**400, platform="\ud800")
    scenes = [read(nonsense), read({**ITEM, "id": "a\ud800"}), read({**ITEM, "id": "a" * 201})]
    write_table(scene_table(scenes), tmp_path / "scenes.parquet", {})
    assert [scene.refused for scene in scenes] == ["", *["id is not safe to use in paths"] * 2]


def test_the_digest_changes_with_the_content_and_not_with_the_place():
    own = read(ITEM).digest
    moved = copy.deepcopy(ITEM)
    for asset in moved["assets"].values():
        asset["href"] = f"/elsewhere/{asset['href']}"
    assert read(moved).digest == own
    assert read(with_properties(created="2023-08-15T20:00:00+02:00")).digest == own, "another spelling"
    changes = [
        with_properties(updated="2024-01-01T00:00:00Z"), with_properties(s2__processing_baseline="05.10"),
        with_asset(file__checksum="1220ab"), with_asset(proj__shape=[10, 10]), with_properties(tilewright__world="other"),
    ]  # fmt: skip
    assert len({own, *(read(item).digest for item in changes)}) == 1 + len(changes)


def test_the_digest_changes_with_the_asset_that_a_band_is_taken_from():
    """Or a provider's file that is corrected would leave the wrong band's patches in place."""
    other = copy.deepcopy(ITEM)
    other["assets"]["red"] = copy.deepcopy(ITEM["assets"]["green"])
    corrected = COLLECTION.model_copy(update={"assets": {**COLLECTION.assets, "B03": "red"}})
    assert read(other, collection=corrected).digest != read(other).digest
    for name in ("green", "red"):
        other["assets"][name]["href"] = f"a/{name}.xml"
    calibrated = RADAR.model_copy(update={"calibration": {"VV": "red"}})
    assert read(other, "s1_grd", calibrated).digest != read(other, "s1_grd", RADAR).digest


def test_files_that_changed_in_place_are_told_by_their_size(tmp_path: Path):
    item, digests = copy.deepcopy(ITEM), []
    item["assets"]["blue"]["href"] = str(tmp_path / "blue.tif")
    for content in (b"one", b"other"):
        (tmp_path / "blue.tif").write_bytes(content)
        digests.append(read(item).digest)
    assert digests[0] != digests[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["05.09", "x/../y.tif", "EPSG:0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["href", "coordinates", "type", "offset"]), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
PLACES = [
    *(("properties", name) for name in ITEM["properties"] if name != "datetime"),
    *(("properties", name) for name in ("sat:relative_orbit", "sat:orbit_state", "sar:instrument_mode", "proj:shape", "proj:bbox")),
    *(("blue", name) for name in (*ITEM["assets"]["blue"], "proj:bbox", "proj:code", "raster:bands", "bands", "raster:offset")),
    *((name,) for name in ("geometry", "bbox", "assets", "links")),
    ("assets", "blue"),
]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
@settings(deadline=None)
@pytest.mark.parametrize("rule", ["baseline", "raster-offset", "earth-search-l2a", "amplitude"])
def test_nonsense_is_refused_or_left_out_and_never_an_error(rule: str, changes: list[tuple[tuple[str, ...], Any]]):
    item = copy.deepcopy(ITEM)
    for place, value in changes:
        if len(place) == 1:
            item[place[0]] = value
        elif place == ("assets", "blue"):
            item["assets"] = {**ITEM["assets"], "blue": value}
        elif place[0] == "properties":
            item["properties"][place[1]] = value
        elif isinstance(item["assets"], dict) and isinstance(item["assets"].get("blue"), dict):
            item["assets"]["blue"][place[1]] = value
    key = "s1_grd" if rule == "amplitude" else "s2_l2a"
    collection = (RADAR if rule == "amplitude" else COLLECTION).model_copy(update={"radiometry": rule})
    scene = read(item, key, collection)
    assert scene.refused or json.loads(scene.assets)
    assert scene.dn_offset in (0, -1000) and "\n" not in scene.refused
    assert scenes_of(scene_table([scene]).to_pandas())[0].refused == scene.refused


# -- footprints ------------------------------------------------------------------------------------------------------


def outline(geometry: Any = None, bbox: Any = None) -> Any:
    text, why = footprint_of({"geometry": geometry, "bbox": bbox})
    assert bool(text) != bool(why)
    return shapely.from_wkt(text) if text else None


def ring(*points: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*points, points[0]]]}


ACROSS = [
    ring((179, -17), (-179, -17), (-179, -16), (179, -16)),  # the wrong way round the earth
    ring((179, -17), (181, -17), (181, -16), (179, -16)),
    ring((-181, -17), (-179, -17), (-179, -16), (-181, -16)),
    {"type": "MultiPolygon", "coordinates": [  # as GeoJSON wants it
        ring((179, -17), (180, -17), (180, -16), (179, -16))["coordinates"],
        ring((-180, -17), (-179, -17), (-179, -16), (-180, -16))["coordinates"],
    ]},
]  # fmt: skip


@pytest.mark.parametrize("geometry", ACROSS)
def test_a_footprint_across_the_antimeridian_is_cut_there(geometry: dict[str, Any]):
    made = outline(geometry)
    assert sorted(part.bounds for part in made.geoms) == [(-180, -17, -179, -16), (179, -17, 180, -16)]


def test_so_is_a_box():
    assert outline(bbox=[179, -17, -179, -16]).equals(outline(ACROSS[0]))
    assert outline(bbox=[9, 46, 0, 10, 47, 3000]).bounds == (9, 46, 10, 47)


def test_a_footprint_that_crosses_itself_is_mended():
    made = outline(ring((9, 46), (10, 47), (10, 46), (9, 47)))
    assert made.is_valid and made.bounds == (9, 46, 10, 47)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": [9, 46]}, {"type": "Polygon", "coordinates": []}, {"type": "Nonsense"}, "POLYGON", 5,
        ring((9, float("nan")), (10, 47), (10, 46)), ring((9, 46), (10, 46), (11, 46)), ring((900, 46), (901, 47), (900, 47)),
    ],
)  # fmt: skip
def test_what_is_no_outline(geometry: Any):
    assert outline(geometry) is None
