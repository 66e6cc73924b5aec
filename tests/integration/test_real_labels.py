"""Labels of real cells from the real map of Liechtenstein, against a slow rasterisation and pyosmium's own reading."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import geopandas as gpd
import numpy as np
import osmium
import pandas as pd
import pyproj
import pytest
import shapely
import yaml

import tilewright
from harness import Project
from tilewright.simulate import World
from tilewright.store import table_metadata
from truth import ONTOLOGY, Case, check_labels

UNLABELED = 255
# From west of the extract to the middle of Vaduz.
AOI = [9.455, 47.1, 9.545, 47.158]


@pytest.fixture(scope="module")
def extract(shared_data: Path) -> Path:
    return shared_data / "osm/liechtenstein-2013-08-03.osm.pbf"


@pytest.fixture(scope="module")
def project(shared_data: Path, extract: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    settings = {
        "dataset": "labelled",
        "aoi": {"bbox": AOI},
        "provider": {"like": "earth-search", "path": str(shared_data / "real/vaduz-32TNT/items.json")},
        "collections": {"s2_l2a": {"bands": ["B02"]}},
        "cells": {"size_m": 640},
        "periods": [{"name": "aug", "start": "2023-08-13", "end": "2023-08-13", "scenes": 1}],
        "labels": {"osm": {"source": {"kind": "pbf", "path": str(extract)}, "ontology": "opensentinelmap"}},
    }
    made = Project(tmp_path_factory.mktemp("labels"), settings, warm=True)
    made.run("results/labelled/index.parquet")
    return made


@pytest.fixture(scope="module")
def dataset(project: Project) -> Any:
    return tilewright.open(project.results)


@pytest.fixture(scope="module")
def features(project: Project) -> gpd.GeoDataFrame:
    return gpd.read_parquet(project.tile("32TNT") / "features.parquet")


@pytest.fixture(scope="module")
def box(extract: Path) -> osmium.osm.Box:
    """The box in the extract's header."""
    return osmium.io.Reader(str(extract)).header().box()


@dataclass(frozen=True)
class Shape:
    """A feature as the slow rasterisation takes it."""

    tags: dict[str, str]
    kind: str
    geometry: Any


@dataclass(frozen=True)
class Features:
    """Stands where the simulated world does: it has shapes."""

    table: gpd.GeoDataFrame

    def features(self) -> Iterator[Shape]:
        for row in self.table.itertuples():
            yield Shape(json.loads(row.tags), row.kind, row.geometry)


def test_labels_equal_the_slow_rasterisation(project: Project, features: gpd.GeoDataFrame) -> None:
    check_labels(Case(project.results, project.config, cast(World, Features(features))), most=8)


def test_busy_cells_have_every_kind_of_label(dataset: Any) -> None:
    """The comparison above is of something: classes of all channels in the cells that it takes."""
    ontology = yaml.safe_load(ONTOLOGY.read_text())
    for channel in (each["name"] for each in ontology["channels"]):
        names = [each["name"] for each in ontology["categories"] if each["channel"] == channel]
        shares = dataset.index[[f"share_osm_{channel}_{name}" for name in names]]
        assert shares.to_numpy().max() > 0.05, f"{channel}: {shares.max()}"


def test_features_are_those_that_pyosmium_reads(extract: Path, features: gpd.GeoDataFrame) -> None:
    """Every building, road and place whose bounding box meets the ground read is there, with its shape's length."""
    west, south, east, north = AOI  # the AOI is inside the ground read, cells and margin
    told: dict[tuple[str, int], int] = {}
    file: Any = osmium.FileProcessor(str(extract)).with_locations()
    for item in file:
        if item.is_way() and ("building" in item.tags or "highway" in item.tags):
            places = [(node.location.lon, node.location.lat) for node in item.nodes if node.location.valid()]
            lon, lat = np.array(places).T
            if lon.min() <= east and lon.max() >= west and lat.min() <= north and lat.max() >= south:
                told["way", item.id] = len(places)
        elif (
            item.is_node()
            and "place" in item.tags
            and west <= item.location.lon <= east
            and south <= item.location.lat <= north
        ):
            told["node", item.id] = 1
    found = features.set_index(["source_type", "source_id"])["geometry"]
    assert len(told) > 500 and found.index.is_unique
    assert not [key for key in told if key not in found.index]
    wrong = [key for key, corners in told.items() if shapely.get_num_coordinates(found[key]) != corners]
    assert not wrong, f"{len(wrong)} shapes have other corners than the file's: {wrong[:5]}"


def test_the_table_says_where_it_comes_from_and_what_was_rejected(
    project: Project, extract: Path, box: osmium.osm.Box
) -> None:
    """Rejected: areas by a relation of which a way is not in the extract (it ends at the border), no others.

    Relations without tags of their own are areas of what their outer way is.
    """
    keys = {
        "landuse", "natural", "place", "building", "leisure", "waterway", "highway", "amenity", "aeroway", "military",
    }  # fmt: skip
    ways, relations = {}, {}
    file: Any = osmium.FileProcessor(str(extract))
    for item in file:
        tags = {tag.k for tag in item.tags}
        if item.is_way():
            ways[item.id] = tags
        elif item.is_relation() and item.tags.get("type") in ("multipolygon", "boundary"):
            members = [(member.ref, member.role) for member in item.members if member.type == "w"]
            outer = set().union(*(ways.get(name, set()) for name, role in members if role == "outer"))
            if keys & (outer if tags == {"type"} else tags):
                relations[item.id] = [name for name, _ in members]
    incomplete = [name for name, members in relations.items() if not set(ways).issuperset(members)]
    assert sorted(incomplete) == [10, 11, 31, 77, 78, 100] and len(relations) > 6
    about = table_metadata(project.tile("32TNT") / "features.parquet")["label_sets"]["osm"]
    assert about["rejects"] == {"missing_member": len(incomplete)}
    assert about["snapshot"] == "2013-08-03T19:00:02Z" and about["source"] == extract.name
    header = shapely.box(box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat)
    known = shapely.from_wkt(about["extent"])
    assert header.buffer(1e-9).covers(known) and known.buffer(1e-9).covers(header & shapely.box(*AOI))


def test_coverage_is_the_share_of_pixels_inside_the_extract(dataset: Any, box: osmium.osm.Box) -> None:
    to_lonlat = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    at = np.arange(64) * 10 + 5.0
    shares = []
    for row in dataset.index.itertuples():
        lon, lat = to_lonlat.transform(*np.meshgrid(row.ulx + at, row.uly - at))
        inside = (
            (lon >= box.bottom_left.lon)
            & (lon <= box.top_right.lon)
            & (lat >= box.bottom_left.lat)
            & (lat <= box.top_right.lat)
        )
        shares.append(inside.mean())
        assert row.osm_coverage == np.float32(inside.mean()), row.cell_id
        labels = dataset[row.cell_id]["labels/osm/labels"].values
        assert (labels[:, ~inside] == UNLABELED).all(), f"{row.cell_id}: labels where nothing is known"
    assert 0 in shares and 1 in shares and any(0 < share < 1 for share in shares)


def test_cells_outside_the_extract_are_no_statistics(project: Project, dataset: Any) -> None:
    rows: pd.DataFrame = dataset.index
    told = json.loads((project.results / "statistics.json").read_text())["labels"]["osm"]
    whole = rows[rows["osm_coverage"] == 1]
    assert told["cells"] == len(whole) and told["cells_outside_extent"] == len(rows) - len(whole) > 0
    labels = np.stack([dataset[cell]["labels/osm/labels"].values for cell in whole.index])
    ontology = yaml.safe_load(ONTOLOGY.read_text())
    channels = [each["name"] for each in ontology["channels"]]
    for category in ontology["categories"]:
        pixels = labels[:, channels.index(category["channel"])] == category["value"]
        figures = told["classes"][f"{category['channel']}/{category['name']}"]
        assert figures["pixels"] == pytest.approx(pixels.mean(), rel=1e-6, abs=1e-9), category["name"]
        assert figures["cells"] == pytest.approx(pixels.any(axis=(1, 2)).mean()), category["name"]
    assert sum(told["labelled_share_histogram"]) == len(whole)
