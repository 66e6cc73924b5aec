"""Wrong configs: one message that names the key and the mend, before any job starts.

Seen as `snakemake` sees them: some through a real dry run, the rest through the class that the Snakefile asks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import yaml

from chain import PERIOD, TILE, labels, local, small, text
from harness import ROOT
from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig


def period(**changes: Any) -> dict[str, Any]:
    return {"periods": [{**PERIOD, **changes}]}


def vector(folder: Path, geometry: Any, crs: int | None) -> dict[str, Any]:
    gpd.GeoDataFrame({"a": [1]}, geometry=[geometry], crs=crs).to_file(folder / "aoi.gpkg")
    return {"aoi": {"file": str(folder / "aoi.gpkg")}}


def plain_parquet(folder: Path) -> dict[str, Any]:
    pd.DataFrame({"a": [1]}).to_parquet(folder / "aoi.parquet")
    return {"aoi": {"file": str(folder / "aoi.parquet")}}


def doubled_value(folder: Path) -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "config/ontologies/opensentinelmap.yaml").read_text())
    document["categories"][1]["value"] = document["categories"][0]["value"]
    return labels(ontology=text(folder, yaml.safe_dump(document), "mine.yaml"))


def bandless(folder: Path) -> dict[str, Any]:
    held = {"id": "x", "assets": {"B02": "blue", "SCL": "scl"}, "radiometry": "baseline"}
    whole = {"kind": "local", "path": text(folder, "{}", "items.json"), "licence": "l", "attribution": "a"}
    return {"provider": {**whole, "collections": {"s2_l2a": held}}}


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
    "provider without the collection": (
        {"provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02"]}, "s1_rtc": {"bands": ["VV"]}}},
        ("collections.s1_rtc: not held by the provider; it has s2_l2a", "collections.s1_rtc.provider names another"),
    ),
    "radar alone": ({"collections": {"s1_rtc": {"bands": ["VV"]}}}, ("collections.s2_l2a: is missing", "paired with them")),
    "quantity of another sensor": (
        {"collections": {"s2_l2a": {"bands": ["B02"], "quantity": "gamma0_db"}}}, ("collections.s2_l2a.quantity: gamma0_db is not to be had; use dn",),
    ),
    "pair of the primary": (
        {"collections": {"s2_l2a": {"bands": ["B02"], "pair": {"required": True}}}}, ("collections.s2_l2a.pair.required: says nothing here", "remove it"),
    ),
    "window for what is paired by datatake": (
        {"collections": {"s2_l2a": {"bands": ["B02"]}, "s2_l1c": {"bands": ["B10"], "pair": {"nearest_days": 2}}}},
        ("collections.s2_l1c.pair.nearest_days: says nothing here, as it is paired by its datatake",),
    ),
    "empty rewriting": (local("x", access={"rewrite": {"": "/x"}}), ("access.rewrite: an empty prefix would rewrite everything",)),
    "mirror of a kind that is not opened": (local("x", access={"rewrite": {"s3://b/": "ftp://x/"}}), ("access.rewrite: what stands for s3://b/", "https:// or s3://")),
    "bucket with a scheme": (local("x", access={"buckets": {"s3://b": {}}}), ("access.buckets: 's3://b' is no bucket's name",)),
    "provider like none": ({"provider": {"path": "x.json"}}, ("provider: say what it is like, as in {like: ",)),
    "signing by nobody": (local("x", access={"sign": "me"}), ("access.sign", "planetary-computer")),
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
    "extract of a wrong kind": (labels(source={"kind": "shp"}), ("labels.osm.source.kind: 'shp' is none of pbf, osm_xml",)),
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
