"""A planet's graph of jobs stays cheap: what Snakemake does a job, all land without naming it, zones, batches."""

import pstats
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, Project
from tilewright.grid.mgrs import land_tiles

TILES = [str(name) for name in land_tiles().name if str(name).startswith("32T")]
# Python's calls a job in `snakemake -n --quiet`, of which 2,800 are Snakemake's for such a graph without log, benchmark, params and
# the like: 3,550 when this was written. 4,200 would be 0.15 ms a job more, or 50 s of a planet.
CALLS_A_JOB = 4200


@pytest.fixture
def planet(tmp_path: Path) -> Project:
    """All land, four periods, a label set: 16 jobs a tile."""
    (tmp_path / "map.osm.pbf").touch()
    return Project(
        tmp_path,
        {
            "dataset": "land",
            "aoi": {"land": True},
            "provider": "earth-search",
            "collections": {"s2_l2a": {"bands": ["B02", "B03", "B04"]}},
            "cells": {"fraction": 0.01},
            "periods": {"start": "2019-01-01", "end": "2019-04-30", "every": "month", "scenes": 1},
            "labels": {"osm": {"source": {"kind": "pbf", "path": "map.osm.pbf"}, "ontology": "opensentinelmap"}},
        },
        warm=True,
    )


def calls(planet: Project, tiles: int) -> int:
    """Python's calls of a dry run of so many tiles, by the profiler."""
    targets = [f"results/land/tiles/{tile}/{name}.zarr.zip" for tile in TILES[:tiles] for name in ("series", "labels")]
    counted = planet.directory / "calls.prof"
    command = replace(planet, warm=False).command(*targets, options=("--dry-run", "--quiet"))
    profiled = [sys.executable, "-m", "cProfile", "-o", str(counted), *command]
    subprocess.run(profiled, cwd=planet.directory, capture_output=True, check=True)
    stats: Any = pstats.Stats(str(counted))
    return int(stats.total_calls)


def test_a_job_costs_snakemake_little(planet: Project):
    few, many = 3, 9
    each = (calls(planet, many) - calls(planet, few)) / (many - few) / 16
    assert each < CALLS_A_JOB


def test_all_land_needs_no_names_and_a_tile_of_it_no_others(planet: Project):
    target = f"results/land/tiles/{TILES[0]}/series.zarr.zip"
    among_all = planet.run(target, options=("--dry-run", "--printshellcmds"))
    assert among_all.planned == {"cells": 1, "search": 4, "mask": 4, "crop": 4, "group": 1}
    planet.edited(aoi={"tiles": [TILES[0]]})
    alone = planet.run(target, options=("--dry-run", "--printshellcmds"))

    def commands(output: str) -> list[str]:
        return sorted(line for line in output.splitlines() if line.startswith("Shell command: "))

    assert len(commands(alone.output)) == 14
    assert commands(alone.output) == commands(among_all.output)


def test_a_tile_of_sea_is_not_of_all_land(planet: Project):
    refused = planet.run("results/land/tiles/01CCV/cells.parquet", options=("--dry-run",), good=False)
    assert "tile 01CCV has no ground in the aoi (all land)" in refused.output


def test_zones_and_batches_are_units(planet: Project):
    planet.edited(aoi={"tiles": ["32TNT", "32TPT", "33TUN", "34TCQ"]})
    zone = planet.run("results/land/zones/32N.parquet", options=("--dry-run",))
    assert zone.planned == {"source": 1, "zone": 1, **dict.fromkeys(["cells", "features", "labels", "group"], 2)} | dict.fromkeys(
        ["search", "mask", "crop"], 8
    )  # fmt: skip
    batches = [
        planet.run("results/land/index.parquet", options=("--dry-run", "--batch", f"index={one}/3")).planned
        for one in (1, 2)
    ]
    assert [each["zone"] for each in batches] == [1, 1]
    assert sorted(each["group"] for each in batches) == [1, 2]


def test_the_benchmark_runs():
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "scale.py"), "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for row in ("one tile of all land", "--batch index=1/3", "a run of 2 tiles", "provenance by db"):
        assert row in done.stdout
