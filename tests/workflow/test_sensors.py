"""Level-1C and Sentinel-1 beside Level-2A, split and reprocessed scenes, contradictory offsets: whole runs against the world."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import truth
import truth_companions
from conftest import NORTH, NORTH_BOX, config_of
from harness import Project, Run, write_aoi
from tilewright.config.simulated import Simulate
from tilewright.simulate import World, make_world

# From 2022 on products carry the offset: some scenes say so, some say nothing, some say what is not so.
SENSORS = Simulate(
    seed=11, sites=[NORTH.model_copy(update={"side_m": 5000})], years=[2022], scenes_per_year=6,
    sensors=["s2_l1c", "s1_grd", "s1_rtc"], halves=0.4, reprocessed=0.3, radiometry="mixed",
)  # fmt: skip
COMPANIONS = {
    "s2_l1c": {"bands": ["B02", "B10", "B11"]},
    "s1_grd": {"bands": ["VV", "VH"], "pair": {"nearest_days": 6}},
    "s1_rtc": {"bands": ["VV", "VH"], "pair": {"nearest_days": 6}},
}
TILES = 2


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run, dict[str, str]]:
    """A dataset of Level-2A alone that got three more collections; the second run, and the digests before it."""
    folder = tmp_path_factory.mktemp("sensors")
    make_world(SENSORS, folder / "data")
    config = config_of(folder / "data", write_aoi(folder / "aoi.geojson", NORTH_BOX))
    config |= {"labels": {}, "mask": {"max_bad": 0.6}}
    config["periods"] = [{"name": "year", "start": "2022-01-01", "end": "2022-12-31", "scenes": 3}]
    project = Project(folder / "work", config, warm=True)
    project.run()
    before = project.digests()
    project.edited(collections={**config["collections"], **COMPANIONS})
    return project, project.run(), before


@pytest.fixture(scope="module")
def case(grown: tuple[Project, Run, dict[str, str]]) -> truth.Case:
    project = grown[0]
    return truth.Case(project.results, project.config, World(SENSORS))


def test_more_collections_search_and_read_nothing_of_the_others_again(grown: tuple[Project, Run, dict[str, str]]):
    project, run, before = grown
    assert run.jobs == {
        "search_companions": TILES, "crop": TILES, "group": TILES, "zone": TILES, "index": 1, "report": 1,
    }  # fmt: skip
    after = project.digests()
    kept = ("cells.parquet", "scenes.parquet", "masks.parquet")
    assert all(after[name] == digest for name, digest in before.items() if name.endswith(kept))
    for tile in ("32TQM", "33TTG"):
        said = project.log("crop", f"{tile}-year")
        patches = pd.read_parquet(project.tile(tile) / "year" / "selection.parquet")
        used = patches[patches["status"] == "used"].groupby("collection").size()
        bands = {"s2_l1c": 3, "s1_grd": 2, "s1_rtc": 2}
        # a Sentinel-1 scene that serves two dates of a cell is read once
        most = sum(used[key] * number for key, number in bands.items())
        read, reused = (
            int(said.split(f"{word} ")[1].split(";")[0].split(",")[0]) for word in ("pieces read", "reused")
        )
        assert reused == used["s2_l2a"] * 7 and 0 < read <= most


def test_companions_show_what_the_world_shows(case: truth.Case):
    truth_companions.check_l1c(case)
    truth_companions.check_radar(case)


@pytest.mark.parametrize("check", [truth.check_reflectance, truth.check_scl], ids=["reflectance", "scl"])
def test_split_reprocessed_and_contradictory_scenes_show_the_world(case: truth.Case, check):
    check(case)


def test_the_world_tests_something(grown: tuple[Project, Run, dict[str, str]]):
    """The checks above would pass on a world without halves, reprocessings, contradictions or radar."""
    found = pd.concat([pd.read_parquet(path) for path in grown[0].results.rglob("scenes.parquet")])
    assert found["refused"].str.startswith("superseded by ").any()
    parts = found[found["refused"] == ""].groupby("acquisition").size()
    assert (parts == 2).any()
    looked = found[found["radiometry"].str.contains("quartile")]
    assert set(looked["dn_offset"]) == {0, -1000}, found[["radiometry", "dn_offset"]].drop_duplicates().to_string()
    chosen = pd.concat([pd.read_parquet(path) for path in grown[0].results.rglob("selection.parquet")])
    used = chosen[chosen["status"] == "used"]
    assert set(used["collection"]) == {"s2_l2a", *COMPANIONS}
    offsets = found.set_index("scene_id")["dn_offset"]
    assert set(offsets.loc[used.loc[used["collection"] == "s2_l2a", "scene_id"]]) == {0, -1000}


def test_a_mirror_that_moves_reruns_nothing(grown: tuple[Project, Run, dict[str, str]], tmp_path: Path):
    project = grown[0]
    kept = project.config
    elsewhere = {"rewrite": {"https://nowhere.example/": f"{tmp_path}/"}, "buckets": {}}
    project.edited(provider={**kept["provider"], "access": elsewhere})
    try:
        assert project.run().jobs == Counter({"report": 1})  # which shows the config
    finally:
        project.edited(**kept)
