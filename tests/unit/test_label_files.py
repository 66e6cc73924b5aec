"""Files whose change must be seen: what the rules `source` and `features` name as their inputs."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from tilewright.rules import DatasetConfig

ROOT = Path(__file__).resolve().parents[2]
LEAST: dict[str, Any] = {
    "dataset": "d", "seed": 1, "aoi": {"tiles": ["32TNT"]}, "provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02"]}},
    "cells": {"strategy": "lattice", "size_m": 1920},
    "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31", "scenes": 1}],
    "split": {"by": "tile", "shares": {"train": 0.8, "val": 0.1, "test": 0.1}},
}  # fmt: skip


@pytest.fixture
def shapefile(tmp_path: Path) -> Path:
    path = tmp_path / "clc.shp"
    gpd.GeoDataFrame({"CLC18": ["311"]}, geometry=[shapely.box(9, 47, 10, 48)], crs=4326).to_file(path)
    return path


def names(files: list[str]) -> list[str]:
    return sorted(Path(each).name for each in files)


def test_all_files_of_a_shapefile(shapefile: Path):
    # A class that is edited in a GIS changes the .dbf alone.
    source = {"kind": "vector", "path": str(shapefile), "attributes": ["CLC18"], "licence": "made here"}
    dataset = DatasetConfig.load(LEAST | {"labels": {"clc": {"source": source, "ontology": "seasonet-clc"}}}, ROOT)
    assert names(dataset.source_files(dataset.sources["clc"])) == [
        "clc.cpg",
        "clc.dbf",
        "clc.prj",
        "clc.shp",
        "clc.shx",
    ]
    assert dataset.asked == {}


def test_the_sea_beside_an_api(shapefile: Path):
    source = {"kind": "overpass", "sea": str(shapefile)}
    dataset = DatasetConfig.load(LEAST | {"labels": {"osm": {"source": source, "ontology": "opensentinelmap"}}}, ROOT)
    assert names(dataset.source_files(dataset.asked["osm"])) == ["clc.cpg", "clc.dbf", "clc.prj", "clc.shp", "clc.shx"]
    assert dataset.sources == {}


def test_an_answer_is_named_by_what_is_asked():
    def name(**more: Any) -> str:
        source = {"kind": "overpass", "url": "https://a.b/api", **more}
        return DatasetConfig.load(
            LEAST | {"labels": {"osm": {"source": source, "ontology": "opensentinelmap"}}}, ROOT
        ).asked["osm"]

    assert name() == name(timeout_s=7) == name(licence="x") != name(date="2019-07-01T00:00:00Z")
