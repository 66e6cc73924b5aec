"""Same config, same catalog, same bytes: whatever the cores, the order of jobs, or the other tiles. Kills: tests/chaos."""

import json
import random
from pathlib import Path

from conftest import SOUTH_BOX
from harness import Project, digests, write_aoi
from inprocess import build


def test_one_tile_alone_on_one_core_and_the_rest_on_four(project: Project, built: Project):
    """`built` made all tiles on two cores, in Snakemake's own order, each job with a hash seed of its own."""
    project.warm = True
    tile = "tiles/35JQG"
    ran = project.run(f"results/small/{tile}/series.zarr.zip", cores=1).jobs
    assert ran == {"cells": 1, "search": 2, "mask": 2, "crop": 2, "group": 1}
    alone = project.digests(tile)
    assert f"{tile}/series.zarr.zip" in alone
    assert alone == {name: digest for name, digest in built.digests(tile).items() if name in alone}
    project.run(cores=4)
    assert project.digests() == built.digests()


def test_a_larger_aoi_leaves_a_tile_as_it_was(tmp_path: Path, built: Project):
    aoi = write_aoi(tmp_path / "aoi.geojson", SOUTH_BOX)
    small = digests(build({**built.config, "aoi": {"file": aoi}}, tmp_path), "tiles")
    assert small
    assert small == {name: digest for name, digest in built.digests("tiles").items() if name in small}


def test_the_order_of_the_catalog_and_of_the_bands_does_not_matter(tmp_path: Path, world: Path, built: Project):
    catalog = json.loads((world / "catalog.json").read_text())
    for item in catalog["features"]:
        for asset in item["assets"].values():
            asset["href"] = str(world / asset["href"])
    random.Random(3).shuffle(catalog["features"])
    (tmp_path / "shuffled.json").write_text(json.dumps(catalog))
    bands = list(reversed(built.config["collections"]["s2_l2a"]["bands"]))
    shuffled = {
        **built.config,
        "provider": {"like": "simulated", "path": str(tmp_path / "shuffled.json")},
        "collections": {"s2_l2a": {"bands": bands}},
    }
    made, expected = digests(build(shuffled, tmp_path), "tiles"), built.digests("tiles")
    # scenes.parquet says where each file is, and that is written otherwise here
    assert made.keys() == expected.keys()
    assert {name for name in made if made[name] != expected[name]} <= {
        name for name in made if name.endswith("scenes.parquet")
    }
