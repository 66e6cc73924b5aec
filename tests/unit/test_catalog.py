"""Finding items: of the tile and the days, in order, each once; and that the form of a local catalog changes nothing."""

import copy
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stac_geoparquet.arrow

from tilewright.catalog import find_items
from tilewright.catalog.places import lonlat_boxes
from tilewright.config.load import load_providers
from tilewright.config.model import Config
from tilewright.config.provider import Provider
from tilewright.config.settings import SearchSettings, access_settings
from tilewright.errors import TilewrightError
from tilewright.grid import tile
from tilewright.stages.search import make_search
from tilewright.store import read_table

YEAR = (date(2019, 1, 1), date(2019, 12, 31))


def items_of(world: Path) -> list[dict[str, Any]]:
    return json.loads((world / "catalog.json").read_text())["features"]


def held(root: Path, path: Path) -> Provider:
    config = Config.model_validate(
        {
            "dataset": "x", "aoi": {"tiles": ["35JQG"]}, "provider": {"like": "simulated", "path": str(path)},
            "collections": {"s2_l2a": {"bands": ["B02"]}}, "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31"}],
        }
    )  # fmt: skip
    return load_providers(config, root)["s2_l2a"]


def search(root: Path, catalog: Path, output: Path) -> Path:
    providers = {"s2_l2a": held(root, catalog)}
    settings = SearchSettings(tile="35JQG", spans={"s2_l2a": YEAR}, providers=providers)
    make_search(settings, output, access_settings(providers))
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
    found = find_items(held(root, tmp_path / "items.json"), "s2_l2a", tile("35JQG"), *YEAR)
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
