"""search: what a catalog of contradictions becomes, which pixels are looked at, and what is said about it."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely

from tilewright.catalog import acquisitions, scene_asset, scenes_of
from tilewright.config.load import load_config, load_providers
from tilewright.config.settings import access_settings, search_settings
from tilewright.config.simulated import Simulate, Site
from tilewright.cropping.values import harmonised
from tilewright.errors import TilewrightError
from tilewright.imagery import ImageryReader
from tilewright.progress import SUMMARY
from tilewright.simulate import make_world
from tilewright.simulate.world import World
from tilewright.stages.search import make_search
from tilewright.store import read_table

SETTINGS = Simulate(
    seed=7, sites=[Site(name="natal", lon=30.0, lat=-30.0, side_m=4000, tiles=["35JQG"])], years=[2022], scenes_per_year=8,
    radiometry="mixed", reprocessed=0.3, halves=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def contradictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose catalog says of some scenes that their offset was not applied: rightly of some, wrongly of others."""
    folder = tmp_path_factory.mktemp("contradictions")
    make_world(SETTINGS, folder)
    return folder


class Watching(ImageryReader):
    """Notes what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_of: list[tuple[str, str, int]] = []

    def read(self, asks: Any, finish: Callable[[int, int, np.ndarray], Any]) -> Iterator[Any]:
        asks = list(asks)
        self.read_of += [(ask.asset.scene_id, ask.asset.band, len(ask.boxes)) for ask in asks]
        return super().read(asks, finish)


class Never(ImageryReader):
    """For searches that need no pixels."""

    def read(self, asks: Any, finish: Any) -> Any:
        raise AssertionError("no pixel needed to be looked at")


def search(
    catalog: Path, root: Path, output: Path, reader: Any = None, keys: tuple[str, ...] = ("s2_l2a",)
) -> list[Any]:
    collections = {
        "s2_l2a": {"bands": ["B02"]},
        "s2_l1c": {"bands": ["B02"]},
        "s1_grd": {"bands": ["VV"], "pair": {"nearest_days": 2}},
    }
    config = load_config(
        {
            "dataset": "x", "aoi": {"tiles": ["35JQG"]}, "provider": {"like": "simulated", "path": str(catalog)},
            "collections": collections, "periods": [{"name": "a", "start": "2022-01-01", "end": "2022-12-31"}],
        }
    )  # fmt: skip
    providers = load_providers(config, root)
    make_search(search_settings(config, providers, "35JQG", "a", keys), output, access_settings(providers), reader)
    return scenes_of(read_table(output))


def test_every_offset_is_right_or_the_scene_is_refused(contradictions: Path, root: Path, tmp_path: Path):
    products = {product.id: product for product in World(SETTINGS).products()}
    scenes = search(contradictions / "catalog.json", root, tmp_path / "scenes.parquet")
    assert [scene.scene_id for scene in scenes] == sorted(
        products, key=lambda name: (products[name].scene.datetime, name)
    )
    told = {0: 0, -1000: 0, None: 0}
    for scene in scenes:
        unresolved = "; its pixels do not tell (" in scene.refused
        assert unresolved or scene.dn_offset == (-1000 if products[scene.scene_id].raw else 0), scene.radiometry
        told[None if unresolved else scene.dn_offset] += 1
    assert min(told.values()) >= 1 and told[0] + told[-1000] > told[None], told


def test_what_serves_shows_the_truth(contradictions: Path, root: Path, tmp_path: Path):
    world = World(SETTINGS)
    scenes = search(contradictions / "catalog.json", root, tmp_path / "scenes.parquet")
    kinds = set()
    for acquisition in acquisitions(scenes):
        made: np.ndarray = np.zeros(())
        for part, asset in zip(acquisition.parts, acquisition.assets("B04"), strict=True):
            assert asset.transform is not None
            box = world.box("35JQG")
            ulx, uly = asset.transform[2] + 60 * box.column, asset.transform[5] - 60 * box.row
            rows, columns = 6 * box.rows, 6 * box.columns
            with rasterio.open(asset.href) as file:
                window = rasterio.windows.Window(6 * box.column, 6 * box.row, columns, rows)
                pixels = harmonised(file.read(1, window=window), part.dn_offset).pixels
            made = np.where(made > 0, made, pixels)
            kinds.add((len(acquisition.parts), part.dn_offset))
        truth = world.window(acquisition.scene_id, "B04", ulx, uly, columns, rows)
        assert np.array_equal(made, truth), acquisition.scene_id
    assert {(1, 0), (1, -1000)} <= kinds


def test_only_what_the_catalog_does_not_tell_is_looked_at(contradictions: Path, root: Path, tmp_path: Path):
    items = json.loads((contradictions / "catalog.json").read_text())["features"]
    unsaid = {
        item["id"] for item in items
        if not item["properties"]["earthsearch:boa_offset_applied"] and item["properties"]["s2:processing_baseline"] >= "04.00"
    }  # fmt: skip
    reader = Watching()
    search(contradictions / "catalog.json", root, tmp_path / "scenes.parquet", reader)
    assert {scene for scene, _, _ in reader.read_of} == unsaid and len(unsaid) < len(items)
    assert {band for _, band, _ in reader.read_of} == {"SCL", "B04", "B12"}
    for _, band, boxes in reader.read_of:
        assert 1 <= boxes <= (4 if band == "B04" else 25)


def test_where_the_catalog_tells_everything_no_pixel_is_read(contradictions: Path, root: Path, tmp_path: Path):
    document = json.loads((contradictions / "catalog.json").read_text())
    for item in document["features"]:
        item["properties"]["earthsearch:boa_offset_applied"] = True
    (tmp_path / "told.json").write_text(json.dumps(document))
    scenes = search(tmp_path / "told.json", root, tmp_path / "scenes.parquet", Never())
    assert {scene.dn_offset for scene in scenes} == {0}


def test_the_order_of_a_catalog_does_not_matter(contradictions: Path, root: Path, tmp_path: Path):
    document = json.loads((contradictions / "catalog.json").read_text())
    document["features"].reverse()
    turned = contradictions / "turned.json"
    turned.write_text(json.dumps(document))
    for name, catalog in (("one", contradictions / "catalog.json"), ("two", turned)):
        search(catalog, root, tmp_path / f"{name}.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_pixels_are_opened_as_the_provider_allows(contradictions: Path, root: Path, tmp_path: Path):
    # with no reader given, the stage's own is told where it may read: all is local here
    own = search(contradictions / "catalog.json", root, tmp_path / "own.parquet")
    vouched = search(contradictions / "catalog.json", root, tmp_path / "vouched.parquet", ImageryReader())
    assert own == vouched


def test_imagery_that_stays_unreachable_fails_the_search_and_names_the_tile(
    contradictions: Path, root: Path, tmp_path: Path
):
    class Down(ImageryReader):
        def read(self, asks: Any, finish: Any) -> Any:
            raise TilewrightError("unreachable")

    with pytest.raises(TilewrightError, match="tile 35JQG: unreachable"):
        search(contradictions / "catalog.json", root, tmp_path / "scenes.parquet", Down())
    assert not (tmp_path / "scenes.parquet").exists()


@pytest.mark.parametrize("left", [0, 1])
def test_imagery_that_is_gone_as_a_whole_fails_the_search(left: int, root: Path, tmp_path: Path):
    """A mirror that is misspelt: what is written here would stay, also when the mirror is mended."""
    make_world(SETTINGS, tmp_path)
    looked_at = [
        each
        for each in search(tmp_path / "catalog.json", root, tmp_path / "whole.parquet")
        if "pixels" in each.radiometry
    ]
    assert len(looked_at) > 2
    for scene in looked_at[left:]:
        (tmp_path / scene.scene_id / "SCL.tif").unlink()
    if left == 0:
        with pytest.raises(
            TilewrightError, match=rf"tile 35JQG: none of {len(looked_at)} scenes .* \(SCL is gone .*access.rewrite"
        ):
            search(tmp_path / "catalog.json", root, tmp_path / "scenes.parquet")
        assert not (tmp_path / "scenes.parquet").exists()
        return
    found = {each.scene_id: each for each in search(tmp_path / "catalog.json", root, tmp_path / "scenes.parquet")}
    assert "cannot be looked at" not in found[looked_at[0].scene_id].radiometry
    assert all("cannot be looked at: SCL is gone" in found[each.scene_id].refused for each in looked_at[left:])


def companion(day: int, key: str, **properties: Any) -> dict[str, Any]:
    """An item of Level-1C or GRD over the tile; its files need not exist."""
    name = f"2022{day:02}01"
    common = {
        "type": "Feature", "stac_version": "1.0.0", "links": [], "geometry": shapely.geometry.mapping(shapely.box(29.5, -31.5, 31.5, -29)),
        "bbox": [29.5, -31.5, 31.5, -29],
    }  # fmt: skip
    if key == "s1_grd":
        return {
            **common, "collection": "sentinel-1-grd", "id": f"S1A_IW_GRDH_1SDV_{name}T040203_{name}T040228_041863_0{day:05X}",
            "properties": {"datetime": f"2022-{day:02}-01T04:02:03Z", "sat:orbit_state": "descending", **properties},
            "assets": {"vv": {"href": "a/iw-vv.tiff"}, "schema-calibration-vv": {"href": "a/calibration-iw-vv.xml"}},
        }  # fmt: skip
    grid = {"proj:epsg": 32735, "proj:shape": [10980, 10980], "proj:transform": [10, 0, 699960, 0, -10, 6700000]}
    return {
        **common, "collection": "sentinel-2-l1c", "id": f"S2A_35JQG_{name}_0_L1C", "assets": {"blue": {"href": "a/B02.jp2", **grid}},
        "properties": {
            "datetime": f"2022-{day:02}-01T08:00:00Z", "grid:code": "MGRS-35JQG", "s2:processing_baseline": "04.00",
            "s2:datatake_id": f"GS2A_{name}T075000_03000{day}_N04.00", **properties,
        },
    }  # fmt: skip


def test_companions_of_several_collections_are_one_table(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    items = [
        companion(2, "s2_l1c"), companion(1, "s2_l1c"), companion(3, "s2_l1c", **{"s2:processing_baseline": None}),
        companion(1, "s1_grd"), companion(2, "s1_grd", **{"sar:instrument_mode": "EW"}),
        {**companion(1, "s1_grd"), "id": f"{companion(1, 's1_grd')['id']}_NEW"},
    ]  # fmt: skip
    del items[2]["properties"]["s2:datatake_id"]
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with caplog.at_level(logging.INFO):
        found = search(tmp_path / "items.json", root, tmp_path / "companions.parquet", Never(), ("s2_l1c", "s1_grd"))
    assert [(one.collection, one.refused) for one in found] == [
        ("s1_grd", f"superseded by {items[5]['id']}"), ("s1_grd", ""), ("s1_grd", "mode EW has other pixels than IW's of 10 m"),
        ("s2_l1c", ""), ("s2_l1c", ""), ("s2_l1c", "offset unresolved: the item names no processing baseline"),
    ]  # fmt: skip
    assert [one.dn_offset for one in found] == [0, 0, 0, -1000, -1000, 0]
    asset = scene_asset(found[1], "VV")
    assert asset is not None and asset.calibration.endswith("a/calibration-iw-vv.xml")
    said = {record.levelno: [] for record in caplog.records}
    for record in caplog.records:
        said[record.levelno].append(record.getMessage())
    assert len(said[logging.WARNING]) == 2 and not any("superseded" in line for line in said[logging.WARNING])
    assert said[SUMMARY] == ["search 35JQG: 6 scenes, 3 refused, 0 looked at"]


def test_radar_is_searched_around_the_period(root: Path, tmp_path: Path):
    early = companion(1, "s1_grd", datetime="2021-12-30T04:02:03Z")
    late = {**companion(2, "s1_grd", datetime="2023-01-02T04:02:03Z"), "id": "S1A_late"}
    beyond = {**companion(2, "s1_grd", datetime="2023-01-03T04:02:03Z"), "id": "S1A_beyond"}
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [early, late, beyond]}))
    found = search(tmp_path / "items.json", root, tmp_path / "companions.parquet", Never(), ("s1_grd",))
    assert [one.scene_id for one in found] == [early["id"], "S1A_late"]


def test_a_year_without_scenes_is_an_empty_table_of_the_same_columns(
    contradictions: Path, root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    item = companion(1, "s1_grd", datetime="2010-01-01T00:00:00Z")
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    assert search(tmp_path / "items.json", root, tmp_path / "none.parquet", Never(), ("s1_grd",)) == []
    assert "tile 35JQG has no scene of s1_grd from 2021-12-30 to 2023-01-02" in caplog.text
    search(contradictions / "catalog.json", root, tmp_path / "some.parquet")
    none, some = read_table(tmp_path / "none.parquet"), read_table(tmp_path / "some.parquet")
    assert list(none.columns) == list(some.columns) and none.empty
