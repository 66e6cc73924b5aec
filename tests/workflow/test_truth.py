"""The finished dataset of the simulated world against the world itself, in three UTM zones and both hemispheres."""

from pathlib import Path

import numpy as np
import pytest

import truth
from conftest import NORTH_BOX, SOUTH_BOX, WATERMARKS, WORLD, config_of
from harness import Project, write_aoi
from inprocess import build
from worlds import known


@pytest.fixture(scope="module")
def landscape(built: Project) -> truth.Case:
    return truth.Case(built.results, built.config, known(WORLD))


@pytest.fixture(scope="module")
def marked(watermarks: Path, tmp_path_factory: pytest.TempPathFactory) -> truth.Case:
    folder = tmp_path_factory.mktemp("marked")
    config = config_of(watermarks, write_aoi(folder / "aoi.geojson", NORTH_BOX, SOUTH_BOX))
    # watermarks are as bright as they come: the intensity filter is off
    config = {**config, "mask": {"max_bad": 0.25}}
    return truth.Case(build(config, folder), config, known(WATERMARKS))


@pytest.mark.parametrize("check", truth.LANDSCAPE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_landscape(landscape: truth.Case, check):
    check(landscape)


@pytest.mark.parametrize("check", truth.WATERMARK_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_watermarks(marked: truth.Case, check):
    check(marked)


def test_both_hemispheres_and_three_zones_are_in_it(marked: truth.Case, landscape: truth.Case):
    for case in (marked, landscape):
        assert set(case.dataset().index["epsg"]) == {32632, 32633, 32735}


def test_the_world_tests_something(landscape: truth.Case):
    """The checks above would pass on a world without clouds, snow or refusals."""
    reasons = set()
    for path in landscape.results.rglob("selection.parquet"):
        import pandas as pd

        reasons |= set(pd.read_parquet(path)["reason"])
    assert {"bad", "intensity", ""} <= reasons
    labels = [tree["labels/osm"]["labels"].values for _, tree in landscape.cells()]
    values = set(np.unique(np.concatenate([each.ravel() for each in labels])))
    assert {0, 1, 2, 12, 13, 14, 254, 255} <= values
