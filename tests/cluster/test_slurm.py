"""A small dataset through a real Slurm of two nodes, with faults on the way: done at the end, byte by byte as without."""

import os
import re
import sys
from collections import defaultdict
from pathlib import Path

from faults import CANCELLED, DRAINED, KILLED, OVER_MEMORY, left, plant

from harness import ROOT, Project
from tilewright.costs import Known, asked, work_of
from tilewright.rules import DatasetConfig
from toy_slurm import ToySlurm

TILE, ZONE = "35JQG", "35S"
FAULTS = {
    f"mask-{TILE}-first": KILLED,
    f"mask-{TILE}-second": DRAINED,
    f"crop-{TILE}-second": OVER_MEMORY,
    f"labels-{TILE}": CANCELLED,
}


def jobs_by_name(cluster: ToySlurm) -> dict[str, list[dict[str, str]]]:
    """{rule-wildcards: its jobs, in their order}."""
    found = defaultdict(list)
    for _, job in sorted(cluster.jobs().items()):
        found[re.sub(r"^rule_", "", job["Comment"]).replace("_wildcards_", "-").replace("_", "-")].append(job)
    return found


def memory_mb(job: dict[str, str]) -> int:
    """Memory that a job asked for."""
    told = re.search(r"mem=([\d.]+)([MG])", job["TRES"])
    assert told is not None
    return round(float(told[1]) * {"M": 1, "G": 1024}[told[2]])


def minutes(job: dict[str, str]) -> int:
    """Time that a job asked for."""
    hours, rest, _ = job["TimeLimit"].split(":")
    return 60 * int(hours) + int(rest)


def test_faults_on_slurm_change_nothing(built: Project, project: Project, slurm: ToySlurm, tmp_path: Path) -> None:
    planted = tmp_path / "faults"
    path = [plant(planted, FAULTS), slurm.bin, Path(sys.executable).parent, os.environ["PATH"]]
    project.environment["PATH"] = os.pathsep.join(map(str, path))
    profile = ("--workflow-profile", str(ROOT / "profiles/slurm"), "--slurm-init-seconds-before-status-checks", "3")
    project.run(f"results/small/zones/{ZONE}.parquet", cores=8, options=profile)

    assert left(planted) == []
    assert project.digests(f"tiles/{TILE}") == built.digests(f"tiles/{TILE}")
    zone = f"zones/{ZONE}.parquet"
    assert project.digests("zones") == {zone: built.digests("zones")[zone]}

    jobs = jobs_by_name(slurm)
    # light rules did not travel; each fault cost one more submission
    assert {name.split("-")[0] for name in jobs} == {"source", "mask", "crop", "group", "features", "labels", "zone"}
    states = {name: [job["JobState"] for job in each] for name, each in jobs.items()}
    assert {name: each for name, each in states.items() if each != ["COMPLETED"]} == {
        f"mask-{TILE}-first": ["FAILED", "COMPLETED"],
        f"crop-{TILE}-second": ["FAILED", "COMPLETED"],
        f"labels-{TILE}": ["CANCELLED", "COMPLETED"],
    }
    assert "exceeded memory limit" in "".join(log.read_text() for log in (slurm.folder / "log").glob("n*.log"))

    # what Slurm was asked for is what the rules ask for, more of it at the second attempt
    config = DatasetConfig.load(project.config, ROOT).config
    source = Path(project.config["labels"]["osm"]["source"]["path"])
    known = {"source": Known(source_mb=source.stat().st_size / 1e6), "zone": Known(tiles=2)}
    for name, each in jobs.items():
        stage = name.split("-")[0]
        work = work_of(config, stage, *([known[stage]] if stage in known else []))
        expected = [asked(stage, work, attempt) for attempt in range(1, len(each) + 1)]
        found = [{"mem_mb": memory_mb(job), "runtime": minutes(job), "threads": int(job["NumCPUs"])} for job in each]
        assert found == [{key: one[key] for key in found[0]} for one in expected], name

    # nothing began on the drained node any more
    drained = jobs[f"mask-{TILE}-second"][0]["NodeList"]
    assert slurm.client("sinfo", "-h", "-n", drained, "-o", "%T").strip() == "drained"
    assert drained not in {jobs[name][-1]["NodeList"] for name in (f"group-{TILE}", f"zone-{ZONE}")}
