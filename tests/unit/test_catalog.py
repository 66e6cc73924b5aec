"""What STAC items mean: tile, orbit, datatake, offset; and that the form of a local catalog changes nothing."""

import copy
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stac_geoparquet.arrow
from hypothesis import given
from hypothesis import strategies as st

from tilewright.catalog import find_items, read_scene, scene_asset
from tilewright.catalog.find import lonlat_boxes
from tilewright.catalog.radiometry import dn_offset
from tilewright.catalog.scene import item_tile
from tilewright.config.bands import S2_L2A
from tilewright.config.load import load_provider
from tilewright.config.model import Config
from tilewright.config.provider import Provider, ProviderCollection
from tilewright.config.settings import SearchSettings
from tilewright.errors import TilewrightError
from tilewright.grid import tile
from tilewright.stages.search import make_search
from tilewright.store import read_table

OWN = {band: band for band in (*S2_L2A, "SCL")}
SIZED = {band: f"{band}_{step}m" for band, step in {**S2_L2A, "SCL": 20}.items()}
COMMON = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3", "B08": "nir",
    "B8A": "nir08", "B09": "nir09", "B11": "swir16", "B12": "swir22", "SCL": "scl",
}  # fmt: skip


# file (of the real items): assets, radiometry, then tile, orbit, baseline, datatake, platform, offset, EPSG
REAL: dict[str, tuple[dict[str, str], str, tuple[Any, ...]]] = {
    "earth-search.aws.element84.com__sentinel-2-l2a__S2B_20EPT_20250731_0_L2A": (
        COMMON, "earth-search-l2a", ("20EPT", 95, "05.11", "GS2B_20250731T131909_043879", "sentinel-2b", 0, 32720),
    ),
    "earth-search.aws.element84.com__sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A": (
        COMMON, "baseline", ("20EPT", 95, "05.11", "GS2B_20250731T131909_043879", "sentinel-2b", -1000, 32720),
    ),
    "planetarycomputer.microsoft.com__sentinel-2-l2a__S2A_MSIL2A_20190101T000001_R116_T59VPE_20201007T214658": (
        OWN, "baseline", ("59VPE", 116, "02.12", "GS2A_20190101T000001_018417", "sentinel-2a", 0, 32659),
    ),
    "cdse_S2C_MSIL2A_20260527T014651_N0512_R017_T55WFR_20260527T042005": (
        SIZED, "baseline", ("55WFR", 17, "05.12", "GS2C_20260527T014651_008996", "sentinel-2c", -1000, 32655),
    ),
    "stactools_s2_S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE": (
        COMMON, "baseline", ("07HFE", 13, "02.12", "GS2A_20190212T192651_019029", "sentinel-2a", 0, 32707),
    ),
    "stactools_s2_S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE": (
        COMMON, "baseline", ("01KAB", 29, "05.09", "GS2A_20230821T221941_042640", "sentinel-2a", -1000, 32701),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_items_say_what_they_are(name: str, shared_data: Path):
    assets, radiometry, told = REAL[name]
    item = json.loads((shared_data / "stac" / f"{name}.json").read_text())
    collection = ProviderCollection.model_validate({"id": "any", "assets": assets, "radiometry": radiometry})
    scene = read_scene("s2_l2a", item, collection)
    found = scene_asset(scene, "B02")
    assert found is not None
    assert (
        item_tile(item), scene.relative_orbit, scene.processing_baseline, scene.datatake, scene.platform, scene.dn_offset, found.epsg,
    ) == told  # fmt: skip
    assert scene.refused == "" and scene.scene_id == item["id"] and 0 <= scene.cloud_cover <= 100
    for band, step in {**S2_L2A, "SCL": 20}.items():
        asset = scene_asset(scene, band)
        assert asset is not None and (asset.resolution, asset.shape) == (step, (109800 // step,) * 2), band
        # on the tile's own grid, as our table has it
        assert abs(asset.transform[2] - tile(told[0]).ulx) < 60 and abs(asset.transform[5] - tile(told[0]).uly) < 60


def test_the_first_earth_search_names_neither_baseline_nor_tile_and_is_refused(shared_data: Path):
    item = json.loads(
        (
            shared_data / "stac" / "earth-search.aws.element84.com__sentinel-s2-l2a-cogs__S2B_20EPT_20250731_0_L2A.json"
        ).read_text()
    )
    collection = ProviderCollection(id="sentinel-s2-l2a-cogs", assets=OWN, radiometry="earth-search-l2a")
    assert read_scene("s2_l2a", item, collection).refused == "offset unresolved: the item names no processing baseline"


APPLIED, NOT_APPLIED = {"earthsearch:boa_offset_applied": True}, {"earthsearch:boa_offset_applied": False}


@pytest.mark.parametrize(
    ("rule", "properties", "baseline", "offset"),
    [
        ("harmonised", {}, "05.11", 0),
        ("harmonised", {}, "", 0),
        ("baseline", {}, "02.12", 0),
        ("baseline", {}, "03.01", 0),
        ("baseline", {}, "04.00", -1000),
        ("baseline", {}, "05.11", -1000),
        ("baseline", APPLIED, "05.11", -1000),  # another provider's flag
        ("baseline", {}, "", None),
        ("earth-search-l2a", APPLIED, "05.11", 0),
        ("earth-search-l2a", APPLIED, "02.12", 0),
        ("earth-search-l2a", NOT_APPLIED, "02.12", 0),
        ("earth-search-l2a", {}, "03.01", 0),
        ("earth-search-l2a", NOT_APPLIED, "04.00", None),
        ("earth-search-l2a", {}, "05.11", None),
        ("earth-search-l2a", {"earthsearch:boa_offset_applied": "true"}, "05.11", None),  # a word is no flag
        ("earth-search-l2a", APPLIED, "", None),
    ],
)
def test_the_offset_and_its_evidence(rule: Any, properties: dict[str, Any], baseline: str, offset: int | None):
    found, evidence = dn_offset(rule, properties, baseline)
    assert found == offset
    assert evidence if rule == "harmonised" else (baseline in evidence and evidence)


@given(
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(["baseline", "earth-search-l2a"]),
    st.sampled_from([{}, APPLIED, NOT_APPLIED]),
)
def test_no_offset_is_ever_guessed(major: int, minor: int, rule: Any, properties: dict[str, Any]):
    offset, _ = dn_offset(rule, properties, f"{major:02}.{minor:02}")
    raw = rule == "baseline" or properties is not APPLIED
    assert offset == (0 if major < 4 or not raw else -1000 if rule == "baseline" else None)


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"grid:code": "MGRS-20EPT"}, "20EPT"),
        ({"grid:code": "MGRS-7HFE"}, "07HFE"),
        ({"grid:code": "MGRS-07HFE"}, "07HFE"),
        ({"mgrs:utm_zone": 1, "mgrs:latitude_band": "K", "mgrs:grid_square": "AB"}, "01KAB"),
        ({"mgrs:utm_zone": "01", "mgrs:latitude_band": "K", "mgrs:grid_square": "AB"}, "01KAB"),
        ({"grid:code": "WRS2-001002", "s2:mgrs_tile": "59VPE"}, "59VPE"),
        ({"s2:mgrs_tile": "1GBQ"}, "01GBQ"),
        ({"grid:code": None, "s2:mgrs_tile": None}, None),
        ({}, None),
    ],
)
def test_the_tile_of_an_item(properties: dict[str, Any], name: str | None):
    assert item_tile({"properties": properties}) == name


def items_of(world: Path) -> list[dict[str, Any]]:
    return json.loads((world / "catalog.json").read_text())["features"]


def held(root: Path, path: Path) -> Provider:
    config = Config.model_validate(
        {
            "dataset": "x", "aoi": {"tiles": ["35JQG"]}, "provider": {"like": "simulated", "path": str(path)},
            "collections": {"s2_l2a": {"bands": ["B02"]}}, "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31"}],
        }
    )  # fmt: skip
    return load_provider(config, root)


def search(root: Path, catalog: Path, output: Path) -> Path:
    make_search(
        SearchSettings(tile="35JQG", start=date(2019, 1, 1), end=date(2019, 12, 31), provider=held(root, catalog)),
        output,
    )
    return output


def as_geoparquet(items: list[dict[str, Any]], path: Path) -> Path:
    table = pa.Table.from_batches(stac_geoparquet.arrow.parse_stac_items_to_arrow(items))
    pq.write_table(table, path)
    return path


def test_json_and_geoparquet_give_the_same_scenes(world: Path, root: Path, tmp_path: Path):
    items = items_of(world)
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    one = read_table(search(root, tmp_path / "items.json", tmp_path / "json.parquet"))
    two = read_table(search(root, as_geoparquet(items, tmp_path / "items.parquet"), tmp_path / "geo.parquet"))
    assert len(one) == 6
    # the raw item is kept as each catalog spells it; what is read from it must not differ
    assert one.drop(columns="item").equals(two.drop(columns="item"))


def test_items_that_lack_what_others_have_are_read_from_both(world: Path, root: Path, tmp_path: Path):
    items = [item for item in items_of(world) if item["id"][4:9] == "35JQG"]
    del (
        items[0]["properties"]["eo:cloud_cover"],
        items[1]["assets"]["blue"],
        items[2]["properties"]["earthsearch:boa_offset_applied"],
    )
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    one = read_table(search(root, tmp_path / "items.json", tmp_path / "json.parquet"))
    two = read_table(search(root, as_geoparquet(items, tmp_path / "items.parquet"), tmp_path / "geo.parquet"))
    assert one.drop(columns="item").equals(two.drop(columns="item"))
    assert one["cloud_cover"].isna().tolist() == [True] + [False] * 5
    assert ["B02" in json.loads(assets) for assets in one["assets"]] == [True, False, True, True, True, True]


@pytest.mark.parametrize(
    "nothing",
    ["eo:cloud_cover", "sat:relative_orbit", "proj:code", "s2:product_uri", "s2:processing_baseline", "platform"],
)
def test_a_null_property_is_an_absent_one(nothing: str, world: Path, root: Path, tmp_path: Path):
    tables = []
    for spelling in ("absent", "null"):
        items = items_of(world)
        for item in items:
            item["properties"].pop(nothing, None)
            item["properties"] |= {nothing: None} if spelling == "null" else {}
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        tables.append(search(root, tmp_path / "items.json", tmp_path / f"{spelling}.parquet").read_bytes())
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"proj:transform": None}, "null"),
        ({"proj:shape": None}, "null"),
        ({"proj:transform": [10, 0]}, "short"),
        ({"proj:epsg": "none"}, "words"),
    ],
)
def test_an_asset_that_cannot_be_placed_is_left_out_and_nothing_else(
    change: dict[str, Any], why: str, world: Path, root: Path
):
    collection = held(root, world / "catalog.json").collections["s2_l2a"]
    item = items_of(world)[0]
    item["assets"]["blue"] |= change
    scene = read_scene("s2_l2a", item, collection)
    assert scene_asset(scene, "B02") is None and scene_asset(scene, "B03") is not None, why


def test_items_come_by_time_once_and_of_the_tile_and_days_only(world: Path, root: Path, tmp_path: Path):
    items = items_of(world)
    shuffled = [*reversed(items), *items[::2]]
    late = copy.deepcopy(next(item for item in items if item["id"][4:9] == "35JQG"))
    late["id"], late["properties"]["datetime"] = "at-the-end", "2019-12-31T23:59:59.999Z"
    beyond = copy.deepcopy(late)
    beyond["id"], beyond["properties"]["datetime"] = "beyond", "2020-01-01T00:00:00Z"
    abroad = copy.deepcopy(late)
    abroad["id"], abroad["properties"]["datetime"] = "abroad", "2020-01-01T01:30:00+02:00"  # still 2019 in UTC
    (tmp_path / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": [*shuffled, beyond, abroad, late]})
    )
    found = find_items(
        held(root, tmp_path / "items.json"), "s2_l2a", tile("35JQG"), date(2019, 1, 1), date(2019, 12, 31)
    )
    ids = [item["id"] for item in found]
    assert len(ids) == len(set(ids)) == 8
    assert ids[-2:] == ["abroad", "at-the-end"] and "beyond" not in ids
    times = [datetime.fromisoformat(item["properties"]["datetime"]) for item in found]
    assert times == sorted(times)


@pytest.mark.parametrize("name", ["01KAB", "60KXF"])
def test_a_tile_at_the_antimeridian_is_searched_on_both_sides_or_one(name: str):
    boxes = lonlat_boxes(tile(name))
    for west, south, east, north in boxes:
        assert -180 <= west < east <= 180 and -90 < south < north < 90
    assert sum(east - west for west, _, east, _ in boxes) < 2


def test_an_unreadable_item_is_named(world: Path, root: Path, tmp_path: Path):
    items = items_of(world)
    items[3]["properties"]["datetime"] = "yesterday"
    items[3]["properties"]["grid:code"] = "MGRS-35JQG"
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with pytest.raises(TilewrightError, match=f"item {items[3]['id']} of .*items.json: names no tile and time"):
        search(root, tmp_path / "items.json", tmp_path / "scenes.parquet")
    assert not (tmp_path / "scenes.parquet").exists()
