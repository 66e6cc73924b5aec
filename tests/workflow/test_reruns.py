"""Pay only for what changed: design's table of edits, each counted in jobs and in pieces of pixels read."""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from conftest import NORTH_BOX, SOUTH_BOX
from harness import ROOT, Project, digests, write_aoi
from inprocess import build

TILES = ["32TQM", "33TTG", "35JQG"]


@pytest.fixture
def done(copied) -> Project:
    """A finished dataset to edit. Its provenance came along, as in a moved folder."""
    return copied()


def pieces(project: Project, period: str, tile: str = "33TTG") -> tuple[int, int]:
    """(read, reused) pieces of pixels in the last crop of a tile and period."""
    found = re.search(r"pieces read (\d+), reused (\d+)", project.log("crop", f"{tile}-{period}"))
    assert found
    return int(found[1]), int(found[2])


def test_nothing_changed_nothing_runs(done: Project):
    assert done.run().jobs == Counter()


def test_touching_sources_as_a_checkout_does_runs_nothing(done: Project):
    sources = [
        path for folder in ("workflow", "config", "resources") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    kept = {path: (path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in [*sources, ROOT / "Snakefile"]}
    try:
        for path in kept:
            os.utime(path)
        assert done.run().jobs == Counter()
    finally:
        for path, times in kept.items():
            os.utime(path, ns=times)


def test_one_more_tile_costs_that_tile_its_zone_and_the_index(done: Project, tmp_path: Path):
    # first the dataset without that tile, as if it had never been
    done.edited(aoi={"file": write_aoi(tmp_path / "north.geojson", NORTH_BOX)})
    shutil.rmtree(done.tile("35JQG"))
    (done.results / "zones/35S.parquet").unlink()
    assert done.run().jobs == {"index": 1, "report": 1}
    before = done.digests("tiles")
    write_aoi(tmp_path / "north.geojson", NORTH_BOX, SOUTH_BOX)
    ran = done.run().jobs
    assert ran == {
        "cells": 1, "search": 2, "mask": 2, "crop": 2, "features": 1, "labels": 1, "group": 1, "zone": 1, "index": 1, "report": 1,
    }  # fmt: skip
    after = done.digests("tiles")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[1] for name in set(after) - set(before)} == {"35JQG"}


def test_one_more_period_searches_and_reads_that_period_only(done: Project):
    done.edited(
        periods=[*done.config["periods"], {"name": "autumn", "start": "2019-09-01", "end": "2019-11-30", "scenes": 1}]
    )
    kept = {name: digest for name, digest in done.digests("tiles").items() if "/first/" in name or "/second/" in name}
    ran = done.run().jobs
    assert ran == {"search": 3, "mask": 3, "crop": 3, "group": 3, "zone": 3, "index": 1, "report": 1}
    after = done.digests("tiles")
    assert {name: after[name] for name in kept} == kept


def test_a_threshold_reads_only_the_difference_and_counts_nothing_again(done: Project):
    done.edited(mask={**done.config["mask"], "max_bad": 0.02})
    ran = done.run().jobs
    assert ran == {"crop": 6, "group": 3, "zone": 3, "index": 1, "report": 1}
    read = [pieces(done, period, tile) for tile in TILES for period in ("first", "second")]
    reused = sum(two for _, two in read)
    assert reused > 0
    assert sum(one for one, _ in read) < reused, "a stricter threshold must reuse more than it reads"
    fresh = build(done.config, done.directory.parent / "fresh")
    assert done.digests("tiles") == digests(fresh, "tiles"), "reused patches must give the bytes of a fresh run"


def test_the_bad_class_list_counts_nothing_again(done: Project):
    done.edited(mask={**done.config["mask"], "bad": [0, 1, 3, 8, 9, 10]})
    would = done.run(options=("--dry-run",)).planned
    assert would == {"crop": 6, "group": 3, "zone": 3, "index": 1, "report": 1}


def test_another_band_reads_that_band_only(done: Project):
    before = pieces(done, "first")
    for path in done.directory.rglob("*.traffic.json"):
        path.unlink()  # as in results of a version that did not write them: they must not stand in the way of a rerun
    assert not done.run().jobs, "what reading cost is no result"
    done.edited(collections={"s2_l2a": {"bands": [*done.config["collections"]["s2_l2a"]["bands"], "B8A"]}})
    ran = done.run().jobs
    assert ran == {"crop": 6, "group": 3, "zone": 3, "index": 1, "report": 1}
    read, reused = pieces(done, "first")
    patches = before[0] // 7  # six bands and SCL
    assert (read, reused) == (patches, patches * 7)


def test_the_ontology_never_touches_imagery(done: Project, tmp_path: Path):
    ontology = tmp_path / "mine.yaml"
    text = (ROOT / "config/ontologies/opensentinelmap.yaml").read_text()
    ontology.write_text(text)
    labels = done.config["labels"]["osm"]
    done.edited(labels={"osm": {**labels, "ontology": str(ontology)}})
    done.run("results/small/tiles/33TTG/labels.zarr.zip")
    ontology.write_text(text.replace("dilate_m: 30", "dilate_m: 50"))
    imagery = {name: digest for name, digest in done.digests("tiles").items() if "labels" not in name}
    ran = done.run().jobs
    assert ran == {"labels": 3, "zone": 3, "index": 1, "report": 1}
    assert {name: digest for name, digest in done.digests("tiles").items() if "labels" not in name} == imagery


def test_the_split_runs_the_index_and_the_report_only(done: Project):
    tiles = done.digests("tiles")
    done.edited(split={"by": "block", "shares": {"train": 0.5, "val": 0.25, "test": 0.25}})
    assert done.run().jobs == {"index": 1, "report": 1}
    assert done.digests("tiles") == tiles
