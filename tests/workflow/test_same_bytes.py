"""Same config, same catalog, same bytes: whatever the cores, the order of jobs, the other tiles, or a kill on the way."""

import json
import random
from pathlib import Path

import pytest

from conftest import SOUTH_BOX
from harness import Project, write_aoi


def test_one_core_and_four(project: Project, built: Project):
    project.run(cores=4)
    four = project.digests()
    one = Project(project.directory.parent / "one", project.config)
    one.run(cores=1)
    assert four == one.digests() == built.digests()


def test_tiles_in_another_order_and_one_alone(project: Project, built: Project):
    for tile in ("35JQG", "32TQM"):
        for name in ("series.zarr.zip", "labels.zarr.zip"):
            project.run(f"results/small/tiles/{tile}/{name}")
        alone = project.digests(f"tiles/{tile}")
        assert alone and alone == {name: digest for name, digest in built.digests().items() if name in alone}


def test_a_larger_aoi_leaves_a_tile_as_it_was(tmp_path: Path, built: Project):
    project = Project(tmp_path / "work", built.config)
    project.edited(aoi={"file": write_aoi(tmp_path / "aoi.geojson", SOUTH_BOX)})
    project.run()
    small = project.digests("tiles")
    assert small
    assert small == {name: digest for name, digest in built.digests("tiles").items() if name in small}


def test_the_order_of_the_catalog_and_of_the_bands_does_not_matter(
    tmp_path: Path, world: Path, project: Project, built: Project
):
    catalog = json.loads((world / "catalog.json").read_text())
    for item in catalog["features"]:
        for asset in item["assets"].values():
            asset["href"] = str(world / asset["href"])
    random.Random(3).shuffle(catalog["features"])
    (tmp_path / "shuffled.json").write_text(json.dumps(catalog))
    bands = list(reversed(project.config["collections"]["s2_l2a"]["bands"]))
    project.edited(
        provider={"like": "simulated", "path": str(tmp_path / "shuffled.json")},
        collections={"s2_l2a": {"bands": bands}},
    )
    project.run("results/small/tiles/33TTG/series.zarr.zip")
    name = "tiles/33TTG/series.zarr.zip"
    assert project.digests()[name] == built.digests()[name]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_a_random_moment_it_recovers_to_the_same_bytes(seed: int, project: Project, built: Project):
    moment = random.Random(seed)
    kills = 0
    for _ in range(2):
        kills += project.kill_after(moment.uniform(2.5, 11))
        project.unlock()
    assert kills == 2, "the kills came too late to mean anything"
    project.run()
    assert project.digests() == built.digests()
    assert project.run().jobs == {}
