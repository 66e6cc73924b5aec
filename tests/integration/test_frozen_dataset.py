"""A dataset built again from its frozen catalog, elsewhere: the same bytes."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import config_of
from inprocess import build
from tilewright.config.simulated import Simulate, Site
from tilewright.freeze import make_freeze
from tilewright.simulate import make_world
from tilewright.store import read_table

SITE = Site(name="natal", lon=29.98, lat=-30.0, side_m=2000, tiles=["35JQG"])
BOX = [29.974, -30.005, 29.986, -29.995]
WORLD = Simulate(
    seed=7, sites=[SITE], years=[2019], scenes_per_year=4, sensors=["s2_l1c", "s1_grd"], halves=0.5, reprocessed=0.5
)


def config(catalog: Path | str, data: Path) -> dict[str, Any]:
    made = config_of(data, "")
    made["provider"] = {"like": "simulated", "path": str(catalog)}
    return made | {
        "aoi": {"bbox": BOX}, "cells": {"size_m": 480},
        "collections": {
            "s2_l2a": {"bands": ["B02", "B11"]}, "s2_l1c": {"bands": ["B02", "B10"]},
            "s1_grd": {"bands": ["VV", "VH"], "pair": {"nearest_days": 8, "max_nodata": 0.5}},
        },
        "mask": {"max_bad": 0.5, "max_nodata": 1.0},
    }  # fmt: skip


def digests(results: Path) -> dict[str, str]:
    """Of every file but those on the traffic, which are of the run."""
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and not path.name.endswith("traffic.json")
    }


def test_the_frozen_catalog_gives_the_same_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here, there = tmp_path / "here", tmp_path / "elsewhere/deeper"
    for folder in (here, there):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    make_world(WORLD, Path("data"))
    first = build(config("data/catalog.json", Path("data")), here)
    index = read_table(first / "index.parquet")
    assert index["dates"].sum() > 0
    assert all(index[f"{name}_dates"].sum() > 0 for name in ("s2_l1c", "s1_grd"))
    periods = json.loads((first / "statistics.json").read_text())["periods"].values()
    assert all(sum(each[name] for each in periods) > 0 for name in ("superseded", "parts", "unneeded"))
    make_freeze(Path("results/small"), Path("data/frozen.parquet"))
    Path("data/catalog.json").unlink()
    # the same relative paths elsewhere: hrefs are a part of the frozen items
    shutil.move(here / "data", there / "data")
    monkeypatch.chdir(there)
    second = build(config("data/frozen.parquet", Path("data")), there)
    assert digests(second) == digests(first)
    make_freeze(Path("results/small"), Path("data/again.parquet"))
    assert Path("data/again.parquet").read_bytes() == Path("data/frozen.parquet").read_bytes()
