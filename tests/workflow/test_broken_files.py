"""Broken input files: one clear message or one recorded refusal each, no stack trace, no changed dataset."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from chain import NEXT, PERIOD, TILE, Chain, Items, labels, local, spoiled, with_items


def asset_spoiled(key: str, how: str) -> Callable[[Items, Path], object]:
    def edit(items: Items, folder: Path) -> None:
        asset = items[-1]["assets"][key]
        asset["href"] = spoiled(folder, asset["href"], how)

    return edit


def untold(items: Items, folder: Path) -> None:
    """Neither the flag nor, under cloud everywhere, the pixels say whether the offset is applied."""
    items[-1]["properties"] |= {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "05.09"}
    asset = items[-1]["assets"]["scl"]
    asset["href"] = shutil.copy(asset["href"], str(folder / "cloudy.tif"))
    with rasterio.open(asset["href"], "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.write(np.full((1, *file.shape), 9, np.uint8))


# name: (what is wrong with the newest item, the reason that selection.parquet must give for it in every cell)
SCENES: dict[str, tuple[Callable[[Items, Path], object], str]] = {
    "item without assets": (lambda items, _: items[-1].update(assets={}), "item lists none of the collection's assets with a usable grid"),
    "item with null for assets": (lambda items, _: items[-1].update(assets=None), "item lists none of the collection's assets with a usable grid"),
    "SCL not listed": (lambda items, _: items[-1]["assets"].pop("scl"), "broken: the item lists no usable SCL asset"),
    "SCL without a grid": (lambda items, _: items[-1]["assets"]["scl"].pop("proj:transform"), "broken: the item lists no usable SCL asset"),
    "SCL without a href": (lambda items, _: items[-1]["assets"]["scl"].pop("href"), "broken: the item lists no usable SCL asset"),
    "SCL file missing": (asset_spoiled("scl", "missing"), "broken: SCL is gone"),
    "SCL file truncated": (asset_spoiled("scl", "truncated"), "broken: SCL is corrupt"),
    "SCL file corrupt": (asset_spoiled("scl", "corrupt"), "broken: SCL is corrupt"),
    "band not listed": (lambda items, _: items[-1]["assets"].pop("swir16"), "broken: B11 is not listed by the item"),
    "band file missing": (asset_spoiled("blue", "missing"), "broken: B02 is gone"),
    "band file truncated": (asset_spoiled("swir16", "truncated"), "broken: B11 is corrupt"),
    "band file corrupt": (asset_spoiled("blue", "corrupt"), "broken: B02 is corrupt"),
    "band file of words": (asset_spoiled("blue", "wordy"), "broken: B02 is corrupt"),
    "offset that cannot be told": (untold, "offset unresolved: boa_offset_applied is false at baseline 05.09; its pixels do not tell"),
    "id with a path": (lambda items, _: items[-1].update(id="../../S2B_35JQG"), "id is not safe to use in paths"),
}  # fmt: skip


@pytest.fixture(scope="module")
def without() -> list[bytes]:
    """The patches that a catalog without the newest scene gives, from when a test has made them."""
    return []


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_that_cannot_serve_is_recorded_and_the_next_one_serves(
    name: str, chain: Chain, world: Path, tmp_path: Path, without: list[bytes]
):
    edit, reason = SCENES[name]
    with_items(chain, world, lambda items: edit(items, tmp_path)).well("cells", "search", "mask", "crop")
    rows = chain.selection()
    newest = rows[~rows["scene_id"].isin(["S2B_35JQG_20190929_0_L2A", NEXT]) & (rows["rank"] == 0)]
    assert len(newest) == rows["cell_id"].nunique() > 0
    assert set(newest["status"]) == {"refused"}
    assert {each.split(" (")[0] for each in newest["reason"]} == {reason}
    assert set(rows[rows["status"] == "used"]["scene_id"]) == {NEXT}
    assert chain.project.leftovers() == []
    # the pixels are those of a catalog without that scene
    served = chain.path("year/patches.zarr.zip").read_bytes()
    if not without:
        with_items(chain, world, lambda items: items.pop())
        shutil.rmtree(chain.path("year"))
        chain.well("search", "mask", "crop")
        without.append(chain.path("year/patches.zarr.zip").read_bytes())
    assert without == [served]


def test_an_empty_period_and_a_cloudy_one_are_recorded_and_the_dataset_is_built(chain: Chain):
    chain.project.edited(
        periods=[
            PERIOD, {**PERIOD, "name": "before", "start": "2010-01-01", "end": "2010-12-31"},
            {**PERIOD, "name": "strict", "mask": {"bad": list(range(12)), "max_bad": 0.0}},
        ]
    )  # fmt: skip
    chain.well("cells", "source", "features", "labels")
    for name in ("year", "before", "strict"):
        chain.well("search", "mask", "crop", period=name)
    chain.well("group", "zone", "index")
    statistics = chain.statistics()
    cells = statistics["cells"]["total"]
    assert statistics["cells"]["with_imagery"] == statistics["patches"] == cells > 0
    before, strict = statistics["periods"]["before"], statistics["periods"]["strict"]
    assert (before["scenes"], before["patches"], before["tiles_without_scenes"]) == (0, 0, [TILE])
    assert (strict["scenes"], strict["patches"], strict["tiles_without_scenes"]) == (6, 0, [])
    assert sum(strict["refusals"].values()) == 6 * cells
    assert set(chain.selection("strict")["reason"]) <= {"bad", "nodata"}
    assert chain.project.leftovers() == []


def test_a_dataset_without_a_single_scene_is_built_and_says_so(chain: Chain):
    chain.project.edited(periods=[{**PERIOD, "start": "2010-01-01", "end": "2010-12-31"}])
    chain.well("cells", "search")
    assert f"tile {TILE} has no scene of s2_l2a from 2010-01-01 to 2010-12-31" in chain.told
    chain.well("mask", "crop", "source", "features", "labels", "group", "zone", "index")
    statistics = chain.statistics()
    assert statistics["cells"]["total"] > 0 == statistics["cells"]["with_imagery"] == statistics["patches"]
    assert statistics["periods"]["year"]["tiles_without_scenes"] == [TILE]
    assert chain.project.leftovers() == []


def test_an_aoi_too_small_for_a_cell_ends_at_the_index_with_the_mend(chain: Chain):
    chain.project.edited(aoi={"bbox": [29.98, -30.0, 29.982, -29.998]})
    chain.well("cells", "search", "mask", "crop", "source", "features", "labels", "group", "zone")
    assert chain.run("index") == 1
    assert "the AOI holds no whole cell" in chain.error and "cells.size_m" in chain.error
    assert not any(chain.path(name).exists() for name in ("index.parquet", "statistics.json", "collection.json"))
    assert chain.project.leftovers() == []


CATALOGS: dict[str, tuple[str, bytes, str]] = {
    "words": ("items.json", b"hello", "is not a STAC ItemCollection"),
    "no features": ("items.json", b'{"type": "FeatureCollection"}', "is not a STAC ItemCollection"),
    "a list": ("items.json", b"[1, 2]", "is not a STAC ItemCollection"),
    "null for features": ("items.json", b'{"features": null}', "is not a STAC ItemCollection"),
    "numbers for items": ("items.json", b'{"features": [1]}', "is not a STAC ItemCollection"),
    "no items": ("items.json", b'{"features": []}', "holds no item of collection sentinel-2-l2a (it has: no items at all)"),
    "not text": ("items.json", b"\xff\xfe\x00", "is not a STAC ItemCollection"),
    "other items": (
        "items.json", b'{"features": [{"id": "a", "properties": {}, "geometry": null, "collection": "landsat"}]}', "(it has: landsat)",
    ),
    "an item without time": (
        "items.json",
        b'{"features": [{"id": "a", "properties": {"grid:code": "MGRS-35JQG"}, "geometry": null, "collection": "sentinel-2-l2a"}]}',
        "item a of",
    ),
    "broken parquet": ("items.parquet", b"PAR1 and no more", "is not stac-geoparquet"),
}  # fmt: skip


@pytest.mark.parametrize("name", CATALOGS)
def test_a_broken_catalog_fails_the_search_by_name(name: str, chain: Chain, tmp_path: Path):
    file, content, message = CATALOGS[name]
    (tmp_path / file).write_bytes(content)
    chain.project.edited(**local(tmp_path / file))
    assert chain.run("search") == 1
    assert message in chain.error and str(tmp_path / file) in chain.error
    assert not chain.path("year").exists() or list(chain.path("year").iterdir()) == []


def test_parquet_that_is_no_stac_is_named(chain: Chain, tmp_path: Path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "items.parquet")
    chain.project.edited(**local(tmp_path / "items.parquet"))
    assert chain.run("search") == 1
    assert f"catalog {tmp_path / 'items.parquet'}" in chain.error


def test_a_catalog_named_from_a_folder_above_finds_its_files(
    chain: Chain, world: Path, monkeypatch: pytest.MonkeyPatch
):
    chain.well("cells", "search", "mask", "crop")
    chosen = chain.selection()
    below = chain.project.directory / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    chain.project.edited(**local(os.path.relpath(world / "catalog.json")))
    shutil.rmtree(chain.path("year"))
    chain.well("search", "mask", "crop")
    pd.testing.assert_frame_equal(chain.selection(), chosen)


def test_a_truncated_extract_is_named(chain: Chain, world: Path, tmp_path: Path):
    data = (world / "world.osm.pbf").read_bytes()
    (tmp_path / "half.osm.pbf").write_bytes(data[: len(data) // 2])
    chain.project.edited(**labels(source={"path": str(tmp_path / "half.osm.pbf")}))
    assert chain.run("source") == 1
    assert "half.osm.pbf: cannot be read as pbf" in chain.error and "fetch the extract again" in chain.error
    assert not chain.path("source.parquet").exists() and chain.project.leftovers() == []


def test_an_activity_raster_that_does_not_cover_the_cells_is_no_lack_of_activity(chain: Chain, tmp_path: Path):
    profile = {"driver": "GTiff", "width": 10, "height": 10, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    place = rasterio.transform.from_origin(10, 50, 0.1, 0.1)
    with rasterio.open(tmp_path / "lights.tif", "w", **profile, transform=place) as raster:
        raster.write(np.zeros((1, 10, 10), np.float32))
    chain.project.edited(cells={"size_m": 960, "activity": {"files": [str(tmp_path / "lights.tif")]}})
    assert chain.run("cells") == 1
    assert "lights.tif does not cover" in chain.error and TILE in chain.error
    assert not chain.path("cells.parquet").exists()
