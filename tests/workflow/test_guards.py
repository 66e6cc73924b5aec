"""What must not slip through: changed pixels under old ids, sources that hold nothing, forked readers, long AOIs."""

import json
import math
import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

import tilewright
from conftest import NORTH_BOX, config_of
from harness import Project, write_aoi
from inprocess import build
from tilewright.errors import TilewrightError

WEST = (NORTH_BOX[0], 41.99, 11.99, 42.01)


@pytest.fixture
def copy_of_world(world: Path, tmp_path: Path) -> Path:
    """The world's files with a catalog of one tile, to change at will."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    catalog = json.loads((world / "catalog.json").read_text())
    catalog["features"] = [item for item in catalog["features"] if "32TQM" in item["id"]]
    for item in catalog["features"]:
        (folder / item["id"]).symlink_to(world / item["id"])
    (folder / "catalog.json").write_text(json.dumps(catalog))
    shutil.copy(world / "world.osm.pbf", folder)
    return folder


def edited(folder: Path, change: Callable[[dict], None]) -> None:
    catalog = json.loads((folder / "catalog.json").read_text())
    for item in catalog["features"]:
        change(item)
    (folder / "catalog.json").write_text(json.dumps(catalog))


def small(folder: Path, tmp_path: Path) -> dict:
    config = config_of(folder, write_aoi(tmp_path / "aoi.geojson", WEST))
    return {**config, "collections": {"s2_l2a": {"bands": ["B02", "B04"]}}, "periods": config["periods"][:1]}


def test_other_pixels_under_the_same_ids_are_read_again(copy_of_world: Path, watermarks: Path, tmp_path: Path):
    config = {**small(copy_of_world, tmp_path), "mask": {"max_bad": 1.0}}
    build(config, tmp_path / "work")
    for link in copy_of_world.glob("S2*"):
        marked = watermarks / link.name
        if marked.is_dir():
            link.unlink()
            link.symlink_to(marked)
    results = build(config, tmp_path / "work")
    fresh = build(config, tmp_path / "fresh")
    name = "tiles/32TQM/series.zarr.zip"
    assert (results / name).read_bytes() == (fresh / name).read_bytes()


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("files", r"\d of \d are broken, such as .* \(B04 is gone"),
        ("names", r"none of \d scenes lists a usable asset for B04"),
    ],
)
def test_a_catalog_whose_bands_are_all_missing_is_an_error(lost: str, told: str, copy_of_world: Path, tmp_path: Path):
    def lose(item: dict) -> None:
        if lost == "files":
            item["assets"]["red"]["href"] = "nowhere/B04.tif"
        else:
            item["assets"]["rouge"] = item["assets"].pop("red")

    edited(copy_of_world, lose)
    with pytest.raises(TilewrightError, match=f"tile 32TQM, period first: .*{told}"):
        build(small(copy_of_world, tmp_path), tmp_path / "work")
    assert not list((tmp_path / "work").rglob("patches.zarr.zip"))


def test_reflectances_are_not_taken_for_dn(copy_of_world: Path, tmp_path: Path):
    floats = tmp_path / "float.tif"

    def to_float(item: dict) -> None:
        source = copy_of_world / item["assets"]["red"]["href"]
        with rasterio.open(source) as file:
            profile = {**file.profile, "dtype": "float32", "predictor": 3}
        profile.pop("nodata", None)
        with rasterio.open(floats, "w", **profile, SPARSE_OK=True):
            pass
        item["assets"]["red"]["href"] = str(floats)

    edited(copy_of_world, to_float)
    with pytest.raises(TilewrightError, match=r"such as .* \(B04 holds float32 instead of uint16\)"):
        build(small(copy_of_world, tmp_path), tmp_path / "work")


def test_a_scene_that_two_periods_choose_counts_once(copy_of_world: Path, tmp_path: Path):
    config = small(copy_of_world, tmp_path)
    once = build(config, tmp_path / "once")
    twin = {**config["periods"][0], "name": "again"}
    twice = build({**config, "periods": [config["periods"][0], twin]}, tmp_path / "twice")
    one, two = (json.loads((each / "statistics.json").read_text()) for each in (once, twice))
    for band, figures in one["bands_train"].items():
        assert two["bands_train"][band]["pixels"] <= 2 * figures["pixels"]
    cells = tilewright.open(twice)
    of = cells[next(iter(cells))]["s2_l2a"]
    assert {"first", "again"} == set(map(str, of["period"].values))
    tree = tilewright.open(twice / "tiles/32TQM/series.zarr.zip")
    counted = tree["s2_l2a/r10m/band_count"].values
    alone = tilewright.open(once / "tiles/32TQM/series.zarr.zip")["s2_l2a/r10m/band_count"].values
    scenes = [set(map(str, row)) for row in tree["s2_l2a"]["scene_id"].values]
    for row, names in enumerate(scenes):
        assert counted[row].max() <= len(names - {""}) * 96 * 96
    assert alone.shape == counted.shape


def digest_of(of: tuple) -> int:
    dataset, cell = of
    return int(dataset[cell]["s2_l2a/r10m/reflectance"].values.astype(np.int64).sum())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_dataset_serves_many_processes(built: Project, method: str):
    dataset = tilewright.open(built.results)
    cells = [cell for cell in dataset if dataset.index.loc[cell, "dates"] > 0]
    truth = [digest_of((dataset, cell)) for cell in cells]  # the stores are open here when the others begin
    assert len(pickle.dumps(dataset)) < 2_000_000
    with multiprocessing.get_context(method).Pool(3) as pool:
        assert pool.map(digest_of, [(dataset, cell) for cell in cells * 3], chunksize=4) == truth * 3


def test_an_aoi_with_a_long_coast_runs(tmp_path: Path, world: Path):
    lon, lat, radius = 11.975, 42.0, 0.014
    turn = np.linspace(0, 2 * math.pi, 9001)
    ring = np.column_stack([lon + radius * np.cos(turn) * 1.3, lat + radius * np.sin(turn)]).round(9).tolist()
    polygon = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [[*ring[:-1], ring[0]]]},
    }
    file = tmp_path / "coast.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [polygon]}))
    assert file.stat().st_size > 200_000
    project = Project(tmp_path / "work", config_of(world, str(file)), warm=True)
    project.run("results/small/tiles/32TQM/cells.parquet")
    assert len((project.tile("32TQM") / "cells.parquet").read_bytes()) > 1000


def test_the_catalog_may_grow_without_searching_old_periods_again(
    copied: Callable[[], Project], world: Path, tmp_path: Path
):
    project, target = copied(), "results/small/tiles/35JQG/second/patches.zarr.zip"
    grown = tmp_path / "grown"
    shutil.copytree(world, grown, symlinks=True)
    project.edited(provider={"like": "simulated", "path": str(grown / "catalog.json")})
    assert project.run(target).jobs == {"search": 1, "mask": 1, "crop": 1}
    catalog = json.loads((grown / "catalog.json").read_text())
    catalog["features"].append({**catalog["features"][0], "id": "S2A_32TQM_20200101_0_L2A"})
    (grown / "catalog.json").write_text(json.dumps(catalog))
    assert not project.run(target).jobs
