"""The profile for any scheduler, tried on Slurm, with the rules of a tile as one submission and faults on the way."""

import os
import sys
from pathlib import Path

from faults import CANCELLED, KILLED, left, plant
from test_slurm import memory_mb

from harness import ROOT, Project
from tilewright.costs import asked, work_of
from tilewright.rules import DatasetConfig
from toy_slurm import ToySlurm


def test_tiles_as_submissions_through_any_scheduler(
    built: Project, project: Project, slurm: ToySlurm, tmp_path: Path
) -> None:
    planted = tmp_path / "faults"
    faults = {"crop-35JQG-second": KILLED, "zone-32N": CANCELLED}
    path = [plant(planted, faults), slurm.bin, Path(sys.executable).parent, os.environ["PATH"]]
    project.environment["PATH"] = os.pathsep.join(map(str, path))
    profiles = [
        "--workflow-profile", str(ROOT / "profiles/cluster-generic"), "--profile", str(ROOT / "profiles/by-tile"),
        "--group-components", "tile=2", "--seconds-between-status-checks", "2",
    ]  # fmt: skip
    project.run(cores=4, options=tuple(profiles))

    assert left(planted) == []
    assert project.digests() == built.digests()

    jobs = [job for _, job in sorted(slurm.jobs().items())]
    states = sorted((job["JobName"].split("-")[0].split("_")[0], job["JobState"]) for job in jobs)
    # three tiles in two submissions: that of which a tile was killed ran once more, as a whole
    assert states == [
        ("index", "COMPLETED"),
        ("report", "COMPLETED"),
        ("source", "COMPLETED"),
        ("tile", "COMPLETED"),
        ("tile", "COMPLETED"),
        ("tile", "FAILED"),
        *[("zone", "CANCELLED"), *[("zone", "COMPLETED")] * 3],
    ]

    # a submission asks for what runs side by side in it, within the limit of cores; twice as much when it runs again
    config = DatasetConfig.load(project.config, ROOT).config
    stages = ("cells", "mask", "crop", "group", "features", "labels")
    largest = max(asked(stage, work_of(config, stage))["mem_mb"] for stage in stages)
    *first, again = [job for job in jobs if job["JobName"].startswith("tile")]
    for job in first:
        assert job["NumCPUs"] == "4"
        assert largest <= memory_mb(job) <= 4 * largest
    assert [memory_mb(again)] == [2 * memory_mb(job) for job in first if job["JobState"] == "FAILED"]
