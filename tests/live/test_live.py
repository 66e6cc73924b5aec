"""One real cell from Earth Search, for those who have internet: `pytest -m live`. Everything else here runs against stand-ins.

It asks the real API for a summer's Level-2A scenes of one tile in the Alps, lets the real workflow choose one of them for one cell,
reads a few blocks (some 10 MB) from the open bucket, and compares the patch with what GDAL reads at the same place. Nothing needs
an account or costs anything. Without `-m live` it is skipped; with it, too, where the service cannot be reached.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import requests
import yaml
from rasterio.windows import Window

import tilewright
from harness import ROOT, Project

pytestmark = pytest.mark.live

TILE = "32TNT"
CONFIG = {
    "dataset": "live", "seed": 1, "aoi": {"bbox": [9.71, 47.35, 9.745, 47.375]}, "provider": "earth-search",
    "collections": {"s2_l2a": {"bands": ["B04", "B11"]}}, "cells": {"size_m": 960, "number": 1},
    # 2023: baseline 05.09, whose offset Earth Search has taken off, as its metadata deny in the same breath
    "periods": [{"name": "summer", "start": "2023-06-01", "end": "2023-08-31", "scenes": 1, "order": "clearest"}],
    "mask": {"max_bad": 0.25},
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    url = yaml.safe_load((ROOT / "config/providers/earth-search.yaml").read_text())["url"]
    try:
        requests.get(url, timeout=20).raise_for_status()
    except requests.RequestException as error:
        pytest.skip(f"Earth Search cannot be reached from here ({type(error).__name__})")
    made = Project(tmp_path_factory.mktemp("live") / "work", CONFIG)
    made.run()
    return made


def test_a_real_cell_is_what_gdal_reads_at_its_place(project: Project):
    dataset = tilewright.open(project.results)
    (cell,) = dataset.index.index
    tree = dataset[cell]["s2_l2a"]
    (scene,) = map(str, tree["scene_id"].values)
    row = dataset.index.loc[cell]
    assert row["tile"] == TILE and row["epsg"] == 32632
    assert np.datetime64("2023-06-01") <= tree["time"].values[0] < np.datetime64("2023-09-01")
    found = pd.read_parquet(project.tile(TILE) / "summer/scenes.parquet").set_index("scene_id")
    assert len(found) > 10, "a summer has at least eighteen passes"
    known = found.loc[scene]
    assert known["refused"] == "" and known["radiometry"]
    assets = json.loads(known["item"])["assets"]
    hrefs = {"B04": assets["red"]["href"], "B11": assets["swir16"]["href"]}
    for name, (band, step) in {"r10m": ("B04", 10), "r20m": ("B11", 20)}.items():
        stored = tree[name]["reflectance"].values[0, 0]
        with rasterio.open(hrefs[band]) as file:
            assert file.crs.to_epsg() == 32632 and file.res == (step, step)
            left, top = (row["ulx"] - file.transform.c) / step, (file.transform.f - row["uly"]) / step
            real = file.read(1, window=Window(left, top, 960 // step, 960 // step)).astype(int)
        expected = np.where(real > 0, np.maximum(real + int(known["dn_offset"]), 1), 0)
        np.testing.assert_array_equal(stored, expected)
        # reflectance of meadows and forest in summer: neither shifted by 1000 nor empty
        assert 100 < np.median(stored) < 4000
    assert set(np.unique(tree["scl"]["scl"].values)) <= set(range(12))


def test_the_second_run_does_nothing(project: Project):
    assert project.run().jobs == {}


def test_what_was_found_can_be_frozen(project: Project, tmp_path: Path):
    from tilewright.freeze import make_freeze

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.directory)
        make_freeze(project.results.relative_to(project.directory), tmp_path / "frozen.parquet")
    assert (tmp_path / "frozen.parquet").stat().st_size > 10_000
