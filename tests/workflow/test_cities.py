"""A dataset around cities: which tiles there are is itself a result, and a bigger draw costs only the tiles that get more."""

import copy
import shutil
from collections import Counter
from pathlib import Path

import pytest

from conftest import NORTH, SOUTH, config_of
from harness import Project
from tilewright.store import read_table

TILES = {"33TTG", "35JQG"}
# each a mile or so inside its UTM zone, so that each has one tile
CITIES = (
    f"city,lat,lng,population\nLazio,{NORTH.lat},{NORTH.lon + 0.02},90000\nNatal,{SOUTH.lat},{SOUTH.lon - 0.015},80000\n"
    "Elsewhere,0,0,5\n"
)
INDEX = "results/small/index.parquet"


@pytest.fixture(scope="module")
def sampled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished dataset around two cities. Read only."""
    folder = tmp_path_factory.mktemp("cities")
    (folder / "cities.csv").write_text(CITIES)
    config = config_of(world, "")
    del config["labels"]
    cities = {"table": str(folder / "cities.csv"), "most_populous": 2, "sigma_km": 0.4, "locations": 12, "overdraw": 1}
    config["aoi"] = {"cities": {**cities, "overlap": {"share": 0.25}}}
    config["cells"] = {"strategy": "samples", "size_m": 960}
    config["periods"] = config["periods"][:1]
    made = Project(folder / "work", config, warm=True)
    # one tile first: its target alone makes the locations, and nothing of any other tile
    ran = made.run("results/small/tiles/35JQG/cells.parquet").jobs
    assert ran == {"locations": 1, "cells": 1}
    ran = made.run(INDEX).jobs
    assert ran == {"cells": 1, "search": 2, "mask": 2, "crop": 2, "group": 2, "zone": 2, "index": 1}
    return made


def test_every_location_is_in_the_index_of_the_tile_that_owns_it(sampled: Project):
    found, index = read_table(sampled.results / "locations.parquet"), read_table(sampled.results / "index.parquet")
    assert set(found["city"]) == {"Lazio", "Natal"}
    assert sorted(index["sample"]) == sorted(found["sample"]) and len(found) > 6
    both = index.merge(found, on="sample", suffixes=("", "_drawn"))
    assert (both["tile"] == both["tile_drawn"]).all()
    # the cell's centre is the point, moved to the grid: 42 m at most
    assert (both["lat"] - both["lat_drawn"]).abs().max() < 30.1 / 110_500
    assert set(index["tile"]) == TILES and (index["dates_first"] > 0).any()


def test_a_bigger_draw_costs_the_tiles_that_get_more(sampled: Project, tmp_path: Path):
    shutil.copytree(sampled.directory, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy", copy.deepcopy(sampled.config), warm=True)
    before = read_table(project.results / "locations.parquet")["tile"].value_counts()
    cities = {**project.config["aoi"]["cities"], "locations": 14}
    project.edited(aoi={"cities": cities})
    ran = project.run(INDEX).jobs
    after = read_table(project.results / "locations.parquet")["tile"].value_counts()
    assert (after - before).to_dict() == {"33TTG": 1, "35JQG": 0}
    assert ran == {"locations": 1, "cells": 1, "mask": 1, "crop": 1, "group": 1, "zone": 1, "index": 1}
    assert project.run(INDEX).jobs == Counter()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("results/small/tiles/31TCJ/cells.parquet", "tile 31TCJ has none of the locations around cities"),
        ("results/small/zones/31N.parquet", "zone 31N is not in the AOI"),
    ],
)
def test_a_tile_without_a_location_is_told(sampled: Project, target: str, message: str):
    run = sampled.run(target, good=False)
    assert run.code and message in run.output
