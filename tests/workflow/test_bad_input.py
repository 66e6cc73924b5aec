"""Bad input: one clear message or one recorded refusal each, no stack trace, nothing half-written, no changed dataset.

Wrong configs are seen as `snakemake` sees them: some through a real dry run, the rest through the class that the
Snakefile asks. Broken files are seen through the stages' command line, as the rules call it.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import yaml

from conftest import SOUTH_BOX, config_of
from harness import ROOT, Project
from tilewright.cli import main
from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig

TILE = "35JQG"
NEWEST, NEXT = "S2B_35JQG_20191128_0_L2A", "S2B_35JQG_20190731_0_L2A"  # the one between is all cloud
PERIOD = {"name": "year", "start": "2019-01-01", "end": "2019-12-31", "scenes": 1, "order": "latest"}
Items = list[dict[str, Any]]


def small(world: Path, folder: Path) -> Project:
    """One tile, two bands, one date a cell: the newest clean one."""
    config = config_of(world, "")
    config |= {
        "aoi": {"bbox": list(SOUTH_BOX)}, "collections": {"s2_l2a": {"bands": ["B02", "B11"]}}, "periods": [PERIOD],
        "mask": {"max_bad": 0.25},
    }  # fmt: skip
    return Project(folder, config)


# -- wrong configs ----------------------------------------------------------------------------------------------------


def period(**changes: Any) -> dict[str, Any]:
    return {"periods": [{**PERIOD, **changes}]}


def labels(**changes: Any) -> dict[str, Any]:
    source = {"kind": "pbf", "path": __file__, **changes.pop("source", {})}
    return {"labels": {"osm": {"source": source, "ontology": "opensentinelmap", **changes}}}


def local(path: Path | str, **changes: Any) -> dict[str, Any]:
    return {"provider": {"like": "simulated", "path": str(path), **changes}}


def vector(folder: Path, geometry: Any, crs: int | None) -> dict[str, Any]:
    gpd.GeoDataFrame({"a": [1]}, geometry=[geometry], crs=crs).to_file(folder / "aoi.gpkg")
    return {"aoi": {"file": str(folder / "aoi.gpkg")}}


def text(folder: Path, content: str, name: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def plain_parquet(folder: Path) -> dict[str, Any]:
    pd.DataFrame({"a": [1]}).to_parquet(folder / "aoi.parquet")
    return {"aoi": {"file": str(folder / "aoi.parquet")}}


def doubled_value(folder: Path) -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "config/ontologies/opensentinelmap.yaml").read_text())
    document["categories"][1]["value"] = document["categories"][0]["value"]
    return labels(ontology=text(folder, yaml.safe_dump(document), "mine.yaml"))


def bandless(folder: Path) -> dict[str, Any]:
    held = {"id": "x", "assets": {"B02": "blue", "SCL": "scl"}, "radiometry": "baseline"}
    return local(text(folder, "{}", "items.json"), collections={"s2_l2a": held})


# name: (what is wrong, what the message must say). What is wrong may need files: then a function of a folder.
CONFIGS: dict[str, tuple[dict[str, Any] | Callable[[Path], dict[str, Any]], tuple[str, ...]]] = {
    "unknown key": ({"labls": {}}, ("labls: unknown key", "did you mean labels?")),
    "unknown key like none": ({"frobnicate": 1}, ("frobnicate: unknown key", "known here: dataset, seed")),
    "unknown nested key": ({"cells": {"size": 960}}, ("cells.size: unknown key", "did you mean size_m?")),
    "unknown key of a period": (period(scene=2), ("periods.0.scene: unknown key", "did you mean scenes?")),
    "unknown key of a span": (
        {"periods": {"every": "month", "start": "2019-01-01", "end": "2019-02-01", "odrer": "latest"}},
        ("periods.odrer: unknown key", "did you mean order?"),
    ),
    "unknown deep key": (period(mask={"max_snw": 1}), ("periods.0.mask.max_snw: unknown key", "did you mean max_snow?")),
    "two faults at once": ({"labls": {}, "seed": "x"}, ("labls: unknown key", "seed: ", "'x'")),
    "inverted period": (period(start="2020-01-01"), ("period year: end 2019-12-31 is before start 2020-01-01", "swap")),
    "inverted span": (
        {"periods": {"every": "month", "start": "2019-02-01", "end": "2019-01-01"}}, ("periods: end 2019-01-01 is before", "swap"),
    ),
    "no period": ({"periods": []}, ("periods: is empty; give at least one",)),
    "period named twice": ({"periods": [PERIOD, PERIOD]}, ("periods: year named twice", "own name")),
    "period named by a number": (period(name=2019), ("periods.0.name", 'in quotes, as "2019"')),
    "period name with a path": (period(name="../x"), ("periods.0.name: '../x'", "letters, digits")),
    "no such day": (period(start="2019-13-01"), ("periods.0.start", "2019-13-01")),
    "no scene wanted": (period(scenes=0), ("periods.0.scenes", "not 0")),
    "unknown order": (period(order="best"), ("periods.0.order", "'clearest'", "not 'best'")),
    "cell size": ({"cells": {"size_m": 970}}, ("cells.size_m: 970 m is not a multiple of the 20 m", "use 960")),
    "cell size in words": ({"cells": {"size_m": "big"}}, ("cells.size_m", "not 'big'")),
    "fraction and number": ({"cells": {"fraction": 0.1, "number": 2}}, ("cells: give fraction or number",)),
    "no AOI": ({"aoi": {}}, ("aoi: give exactly one of bbox, file, tiles",)),
    "AOI twice": ({"aoi": {"bbox": [1, 2, 3, 4], "tiles": [TILE]}}, ("aoi: give exactly one of",)),
    "AOI where no tile is": ({"aoi": {"bbox": [-150, 85, -149, 86]}}, ("aoi: no Sentinel-2 tile meets bbox", "move it")),
    "AOI in the sea": ({"aoi": {"bbox": [-160, 0, -159.9, 0.1]}}, ("aoi: bbox", "lies in the sea", "move it")),
    "bbox without width": ({"aoi": {"bbox": [12, 42, 12, 43]}}, ("aoi.bbox: west and east are both 12",)),
    "bbox upside down": ({"aoi": {"bbox": [12, 43, 13, 42]}}, ("aoi.bbox: south 43.0 is not below north 42.0",)),
    "bbox out of range": ({"aoi": {"bbox": [12, 42, 200, 43]}}, ("aoi.bbox: is west, south, east, north in degrees",)),
    "bbox not a number": ({"aoi": {"bbox": [float("nan"), 42, 13, 43]}}, ("aoi.bbox: is west, south, east, north",)),
    "bbox of a line": ({"aoi": {"bbox": [12, 42, 12.000000001, 43]}}, ("aoi: bbox", "has no area")),
    "malformed tile": ({"aoi": {"tiles": ["32tqm"]}}, ("aoi.tiles.0: '32tqm' is not a tile name such as 32TNT",)),
    "tile that does not exist": ({"aoi": {"tiles": ["32TAA"]}}, ("tile 32TAA is not a Sentinel-2 tile", "near it are 32T")),
    "AOI file missing": ({"aoi": {"file": "nowhere.gpkg"}}, ("aoi.file: nowhere.gpkg: no such file",)),
    "AOI file without CRS": (lambda folder: vector(folder, shapely.box(12, 42, 13, 43), None), ("aoi.gpkg names no CRS", "EPSG")),
    "AOI file of points": (lambda folder: vector(folder, shapely.Point(12, 42), 4326), ("aoi.gpkg has Point", "keep only polygons")),
    "AOI file of nothing": (lambda folder: vector(folder, None, 4326), ("aoi.gpkg has no polygons",)),
    "AOI file of words": (lambda folder: {"aoi": {"file": text(folder, "hello", "a.geojson")}}, ("a.geojson cannot be read", "GeoPackage")),
    "AOI parquet without places": (plain_parquet, ("aoi.parquet cannot be read", "GeoParquet")),
    "unknown provider": ({"provider": "earthsearch"}, ("provider: 'earthsearch' is not in config/providers", "earth-search")),
    "provider of a wrong type": ({"provider": ["earth-search"]}, ("provider: give the name of a file",)),
    "unknown key of a provider": (local("x", pth="y"), ("pth: unknown key", "did you mean path?")),
    "provider without a band": (bandless, ("collections.s2_l2a.bands: the provider names no asset for B11", "add it under assets")),
    "provider without the collection": (local("x", collections={}), ("collections.s2_l2a: not held by the provider",)),
    "catalog missing": (local("nowhere.json"), ("provider: catalog nowhere.json: no such file",)),
    "simulation without a world": ({"provider": "simulated"}, ("simulate: is needed with `provider: simulated`",)),
    "unknown band": ({"collections": {"s2_l2a": {"bands": ["B2"]}}}, ("collections.s2_l2a.bands: B2 is not a band", "B01, B02")),
    "band twice": ({"collections": {"s2_l2a": {"bands": ["B02", "B02"]}}}, ("collections.s2_l2a.bands: B02 given twice",)),
    "unknown collection": ({"collections": {"sentinel-2": {"bands": ["B02"]}}}, ("collections.sentinel-2: unknown; use one of s2_l2a",)),
    "class out of range": ({"mask": {"bad": [0, 12]}}, ("mask.bad.1", "not 12")),
    "share in percent": ({"mask": {"max_bad": 25}}, ("mask.max_bad", "not 25")),
    "intensity of an unread band": ({"mask": {"intensity": {"band": "B01"}}}, ("mask.intensity.band: B01 is not read", "B02, B11")),
    "shares that do not sum": ({"split": {"shares": {"train": 0.5, "val": 0.1, "test": 0.1}}}, ("split.shares: train + val + test is 0.7, not 1",)),
    "unknown ontology": (labels(ontology="osm"), ("labels.osm.ontology: 'osm' is neither a file nor one of", "opensentinelmap")),
    "ontology with a value twice": (doubled_value, ("mine.yaml: categories: the value", "given twice")),
    "ontology that is not YAML": (lambda folder: labels(ontology=text(folder, "a: [", "o.yaml")), ("o.yaml: is not an ontology",)),
    "label pixels": (labels(resolution_m=3), ("labels.osm.resolution_m: 3 does not divide 10",)),
    "extract missing": (labels(source={"path": "nowhere.pbf"}), ("labels.osm.source.path: nowhere.pbf: no such file",)),
    "extract of a wrong kind": (labels(source={"kind": "shp"}), ("labels.osm.source.kind", "not 'shp'")),
    "activity raster missing": ({"cells": {"size_m": 960, "activity": {"files": ["no.tif"]}}}, ("cells.activity.files: no.tif: no such file",)),
}  # fmt: skip


def fault_of(config: dict[str, Any]) -> str:
    with pytest.raises(TilewrightError) as raised:
        DatasetConfig.load(config, ROOT).tiles_by_zone()
    return str(raised.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_wrong_config_gets_one_message_that_names_key_and_mend(name: str, world: Path, tmp_path: Path):
    change, parts = CONFIGS[name]
    project = small(world, tmp_path / "work")
    message = fault_of({**project.config, **(change(tmp_path) if callable(change) else change)})
    assert [part for part in parts if part not in message] == [], message


DRY_RUN = [
    "two faults at once",
    "inverted period",
    "AOI in the sea",
    "AOI file without CRS",
    "tile that does not exist",
    "extract missing",
]


@pytest.mark.parametrize("name", DRY_RUN)
def test_snakemake_shows_that_message_once_and_no_stack(name: str, world: Path, tmp_path: Path):
    change, _ = CONFIGS[name]
    project = small(world, tmp_path / "work")
    project.edited(**(change(tmp_path) if callable(change) else change))
    run = project.run(options=("--dry-run",), good=False)
    assert run.code == 1
    assert run.output.count(fault_of(project.config)) == 1, run.output
    assert "Traceback (most recent call last)" not in run.output
    assert not project.results.exists()


@pytest.mark.parametrize(
    ("tile", "message"),
    [("32TQM", "tile 32TQM has no ground in the aoi"), ("35JAA", "tile 35JAA is not a Sentinel-2 tile")],
)
def test_asking_for_a_tile_outside_the_aoi_names_it(tile: str, message: str, world: Path, tmp_path: Path):
    project = small(world, tmp_path / "work")
    run = project.run(f"results/small/tiles/{tile}/series.zarr.zip", options=("--dry-run",), good=False)
    assert run.code == 1
    assert run.output.count(message) == 1, run.output
    assert "Traceback (most recent call last)" not in run.output


# -- broken files -----------------------------------------------------------------------------------------------------


@dataclass
class Chain:
    """The stages of one tile, run one after another by their command line; `told` is what the last one said on stderr."""

    project: Project
    capsys: pytest.CaptureFixture[str]
    tile: str = TILE
    told: str = ""
    outputs: dict[str, Path] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Where a file is, unless `outputs` sends it elsewhere."""
        return self.outputs.get(name, self.project.tile(self.tile) / name)

    def run(self, stage: str, period: str = "year") -> int:
        """Run one stage; its status."""
        config = DatasetConfig.load(self.project.config, ROOT)
        arguments: dict[str, list[str]] = {
            "cells": ["--tile", self.tile, "--output", "cells.parquet"],
            "search": ["--output", f"{period}/scenes.parquet"],
            "mask": ["--cells", "cells.parquet", "--scenes", f"{period}/scenes.parquet", "--output", f"{period}/masks.parquet"],
            "crop": ["--cells", "cells.parquet", "--scenes", f"{period}/scenes.parquet", "--masks", f"{period}/masks.parquet",
                     "--patches", f"{period}/patches.zarr.zip", "--selection", f"{period}/selection.parquet"],
            "features": ["--cells", "cells.parquet", "--output", "features.parquet"],
            "labels": ["--cells", "cells.parquet", "--features", "features.parquet", "--output", "labels.zarr.zip"],
            "group": ["--cells", "cells.parquet", "--patches", *[f"{each}/patches.zarr.zip" for each in config.periods], "--output", "series.zarr.zip"],
            "zone": ["--tiles-folder", str(self.project.tile("")), "--tiles", self.tile, "--periods", *config.periods, "--labels", "--output", "zone.parquet"],
            "index": ["--zones", "zone.parquet", "--output", "index.parquet", "--statistics", "statistics.json", "--collection", "collection.json"],
        }  # fmt: skip
        command = [
            str(self.path(each)) if each.endswith((".parquet", ".zip", ".json")) else each for each in arguments[stage]
        ]
        if stage != "zone":
            command += ["--settings", config.settings(stage, tile=self.tile, period=period)]
        code = main([stage, *command])
        self.told = self.capsys.readouterr().err
        return code

    def well(self, *stages: str, period: str = "year") -> "Chain":
        for stage in stages:
            assert self.run(stage, period) == 0, self.told
        return self

    @property
    def error(self) -> str:
        """The one message of a stage that failed."""
        found = [line for line in self.told.splitlines() if line.startswith("tilewright: error: ")]
        assert len(found) == 1 and "Traceback" not in self.told, self.told
        return found[0].removeprefix("tilewright: error: ")

    def selection(self, period: str = "year") -> pd.DataFrame:
        return pd.read_parquet(self.path(f"{period}/selection.parquet"))

    def statistics(self) -> dict[str, Any]:
        return json.loads(self.path("statistics.json").read_text())


@pytest.fixture
def chain(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Chain:
    return Chain(small(world, tmp_path / "work"), capsys)


def with_items(chain: Chain, world: Path, edit: Callable[[Items], object]) -> Chain:
    """Let the chain read a catalog of the tile's items (oldest first), edited, their hrefs into `world`."""
    items = [item for item in json.loads((world / "catalog.json").read_text())["features"] if item["id"][4:9] == TILE]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = str(world / asset["href"])
    edit(items)
    folder = chain.project.directory.parent
    chain.project.edited(
        **local(text(folder, json.dumps({"type": "FeatureCollection", "features": items}), "items.json"))
    )
    return chain


def spoiled(folder: Path, href: str, how: str) -> str:
    """A damaged copy of a file."""
    copy_of, data = folder / f"{how}-{Path(href).name}", Path(href).read_bytes()
    if how == "truncated":
        copy_of.write_bytes(data[: len(data) // 2])
    elif how == "corrupt":
        start = len(data) // 4
        copy_of.write_bytes(data[:start] + bytes(byte ^ 0xA5 for byte in data[start:]))
    elif how == "wordy":
        copy_of.write_text("<html>not here</html>")
    return str(copy_of)


def asset_spoiled(key: str, how: str) -> Callable[[Items, Path], object]:
    def edit(items: Items, folder: Path) -> None:
        asset = items[-1]["assets"][key]
        asset["href"] = spoiled(folder, asset["href"], how)

    return edit


def unharmonised(items: Items, _: Path) -> None:
    items[-1]["properties"] |= {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "05.09"}


# name: (what is wrong with the newest item, the reason that selection.parquet must give for it in every cell)
SCENES: dict[str, tuple[Callable[[Items, Path], object], str]] = {
    "item without assets": (lambda items, _: items[-1].update(assets={}), "item lists none of the collection's assets"),
    "item with null for assets": (lambda items, _: items[-1].update(assets=None), "item lists none of the collection's assets"),
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
    "offset that cannot be told": (unharmonised, "offset unresolved: boa_offset_applied is not true at baseline 05.09"),
    "id with a path": (lambda items, _: items[-1].update(id="../../S2B_35JQG"), "id is not safe to use in paths"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_that_cannot_serve_is_recorded_and_the_next_one_serves(
    name: str, chain: Chain, world: Path, tmp_path: Path
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
    with_items(chain, world, lambda items: items.pop())
    shutil.rmtree(chain.path("year"))
    chain.well("search", "mask", "crop")
    assert chain.path("year/patches.zarr.zip").read_bytes() == served


def test_an_empty_period_and_a_cloudy_one_are_recorded_and_the_dataset_is_built(chain: Chain):
    chain.project.edited(
        periods=[
            PERIOD, {**PERIOD, "name": "before", "start": "2010-01-01", "end": "2010-12-31"},
            {**PERIOD, "name": "strict", "mask": {"bad": list(range(12)), "max_bad": 0.0}},
        ]
    )  # fmt: skip
    chain.well("cells", "features", "labels")
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
    assert f"tile {TILE} has no scene from 2010-01-01 to 2010-12-31" in chain.told
    chain.well("mask", "crop", "features", "labels", "group", "zone", "index")
    statistics = chain.statistics()
    assert statistics["cells"]["total"] > 0 == statistics["cells"]["with_imagery"] == statistics["patches"]
    assert statistics["periods"]["year"]["tiles_without_scenes"] == [TILE]
    assert chain.project.leftovers() == []


def test_an_aoi_too_small_for_a_cell_ends_at_the_index_with_the_mend(chain: Chain):
    chain.project.edited(aoi={"bbox": [29.98, -30.0, 29.982, -29.998]})
    chain.well("cells", "search", "mask", "crop", "features", "labels", "group", "zone")
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
    chain.well("cells")
    assert chain.run("features") == 1
    assert "half.osm.pbf: cannot be read as pbf" in chain.error and "fetch the extract again" in chain.error
    assert not chain.path("features.parquet").exists() and chain.project.leftovers() == []


def test_an_activity_raster_that_does_not_cover_the_cells_is_no_lack_of_activity(chain: Chain, tmp_path: Path):
    profile = {"driver": "GTiff", "width": 10, "height": 10, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    place = rasterio.transform.from_origin(10, 50, 0.1, 0.1)
    with rasterio.open(tmp_path / "lights.tif", "w", **profile, transform=place) as raster:
        raster.write(np.zeros((1, 10, 10), np.float32))
    chain.project.edited(cells={"size_m": 960, "activity": {"files": [str(tmp_path / "lights.tif")]}})
    assert chain.run("cells") == 1
    assert "lights.tif does not cover" in chain.error and TILE in chain.error
    assert not chain.path("cells.parquet").exists()


# -- damaged results --------------------------------------------------------------------------------------------------


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "wordy":
        path.write_text("no such thing\n" * 100)
    elif how == "chunk":  # a chunk's bytes, which the zip's checksum betrays
        at = data.index(b"s2_l2a/r10m/reflectance/c/0/0/0/0") + 5000
        path.write_bytes(data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 64]) + data[at + 64 :])
    elif how == "metadata":
        at = data.rindex(b'"zarr_format"')  # of the root, which holds all metadata
        path.write_bytes(data[:at] + b"\0" * 13 + data[at + 13 :])
    elif how == "coordinates":  # the cells' names
        at = data.index(b"s2_l2a/cell_id/c/0") + 40
        path.write_bytes(data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 8]) + data[at + 8 :])


STORE_DAMAGE = ["empty", "truncated", "wordy", "chunk", "metadata", "coordinates"]


@pytest.fixture
def cropped(chain: Chain) -> Chain:
    return chain.well("cells", "search", "mask", "crop")


@pytest.mark.parametrize("how", ["gone", *STORE_DAMAGE])
def test_group_names_a_damaged_patch_store(how: str, cropped: Chain):
    damage(cropped.path("year/patches.zarr.zip"), how)
    assert cropped.run("group") == 1
    assert "year/patches.zarr.zip" in cropped.error
    assert not cropped.path("series.zarr.zip").exists() and cropped.project.leftovers() == []


@pytest.mark.parametrize("how", STORE_DAMAGE)
def test_crop_reads_again_what_a_damaged_earlier_store_lost(how: str, cropped: Chain):
    path = cropped.path("year/patches.zarr.zip")
    fresh = path.read_bytes()
    damage(path, how)
    cropped.well("crop")
    assert path.read_bytes() == fresh
    assert cropped.project.leftovers() == []


@pytest.mark.parametrize("how", ["gone", "empty", "truncated", "wordy"])
@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("cells.parquet", "mask"),
        ("year/scenes.parquet", "mask"),
        ("year/scenes.parquet", "crop"),
        ("year/masks.parquet", "crop"),
    ],
)
def test_a_damaged_table_is_named(file: str, stage: str, how: str, cropped: Chain):
    for output in ("year/patches.zarr.zip", "year/selection.parquet"):
        cropped.path(output).unlink()
    damage(cropped.path(file), how)
    before = {path: path.read_bytes() for path in cropped.project.directory.rglob("*") if path.is_file()}
    assert cropped.run(stage) == 1
    assert file in cropped.error
    assert {path: path.read_bytes() for path in cropped.project.directory.rglob("*") if path.is_file()} == before


# -- disks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("only root can mount a small disk to fill")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


OUTPUTS = {
    "cells": ["cells.parquet"], "search": ["year/scenes.parquet"], "mask": ["year/masks.parquet"],
    "crop": ["year/patches.zarr.zip", "year/selection.parquet"], "features": ["features.parquet"], "labels": ["labels.zarr.zip"],
    "group": ["series.zarr.zip"], "zone": ["zone.parquet"], "index": ["index.parquet", "statistics.json", "collection.json"],
}  # fmt: skip


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_nothing_leaves_nothing_half_written(fault: str, chain: Chain, disk: Path):
    chain.well(*OUTPUTS)
    (disk / "rest").write_bytes(b"\0" * (509 * 1024))
    if fault == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for stage, names in OUTPUTS.items():
        chain.outputs = {name: disk / Path(name).name for name in names}
        assert chain.run(stage) == 1, stage
        expected = "No space left" if fault == "full" else "Read-only file system"
        assert expected in chain.error and str(disk) in chain.error, f"{stage}: {chain.error}"
        assert [path.name for path in disk.iterdir()] == ["rest"], stage


def test_a_whole_run_on_a_full_disk_says_so_and_ends_well_with_more_room(world: Path, tmp_path: Path, disk: Path):
    project = small(world, tmp_path / "work")
    project.directory.mkdir()
    (project.directory / "results").symlink_to(disk)
    (disk / "rest").write_bytes(b"\0" * (480 * 1024))
    target = f"results/small/tiles/{TILE}/year/patches.zarr.zip"
    run = project.run(target, good=False)
    assert run.code == 1
    assert len(run.errors) == 1 and "No space left" in run.errors[0], run.output
    assert not list(disk.rglob("*.part")) and not (project.directory / target).exists()
    (disk / "rest").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    assert project.run(target).code == 0
    assert (project.directory / target).stat().st_size > 0
