"""The values that profiles end in, however they are named; what is asked of schedulers that are not here."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_args

from harness import ROOT

PROFILES = ROOT / "profiles"
# of every cluster's profile
CLUSTER = {
    "scheduler": "greedy", "scheduler_subsample": 32, "rerun_incomplete": True, "keep_going": True, "retries": 2, "latency_wait": 60, "cores": None,
    "default_resources": None, "groups": {},
}  # fmt: skip
SLURM = CLUSTER | {
    "executor": "slurm", "jobs": 200, "slurm_status_command": "squeue", "slurm_init_seconds_before_status_checks": 20,
    "slurm_logdir": Path("logs/slurm"),
}  # fmt: skip


def effective(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    """The settings that Snakemake ends in, called in a folder of the user's own."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    _, found = parse_args(["--snakefile", str(ROOT / "Snakefile"), *arguments])
    return vars(found)


def wanted(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in expected}


def limits(found: dict[str, Any]) -> dict[str, int]:
    return {name: found["resources"][name].value for name in ("searches", "overpass")}


@pytest.mark.parametrize(
    "named",
    [["--profile", str(PROFILES / "slurm")], ["--workflow-profile", str(PROFILES / "slurm")], ["--workflow-profile", "slurm"]],
    ids=["profile", "workflow-profile", "by-name"],
)  # fmt: skip
def test_slurm_is_the_same_however_it_is_named(
    named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = effective(monkeypatch, tmp_path, *named)
    assert wanted(found, SLURM) == SLURM
    assert limits(found) == {"searches": 8, "overpass": 1}
    # the command line has the last word, whichever profile it is
    edited = effective(monkeypatch, tmp_path, *named, "--retries", "0", "--jobs", "7")
    assert wanted(edited, SLURM) == SLURM | {"retries": 0, "jobs": 7}


@pytest.mark.parametrize("how", ["--profile", "--workflow-profile"])
def test_cluster_generic_is_the_same_however_it_is_named(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = effective(monkeypatch, tmp_path, how, str(PROFILES / "cluster-generic"))
    generic = CLUSTER | {"executor": "cluster-generic", "jobs": 100}
    assert wanted(found, generic) == generic
    assert limits(found) == {"searches": 8, "overpass": 1}
    for name in ("submit", "status", "cancel"):
        command = Path(found[f"cluster_generic_{name}_cmd"])
        assert command == PROFILES / "cluster-generic" / name
        assert os.access(command, os.X_OK)


def test_a_laptop_gets_nothing_of_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = effective(monkeypatch, tmp_path)
    free = {"executor": None, "jobs": None, "cores": None, "retries": 0, "default_resources": None, "groups": {}}
    assert wanted(found, CLUSTER | free) == CLUSTER | free | {"latency_wait": 5}


@pytest.mark.parametrize("how", ["--profile", "--workflow-profile"])
def test_tiles_as_submissions_beside_a_cluster_s_profile(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [how, str(PROFILES / "slurm"), "--profile", str(PROFILES / "by-tile")]
    found = effective(monkeypatch, tmp_path, *named)
    grouped = SLURM | {
        "groups": dict.fromkeys(["cells", "ask", "mask", "crop", "group", "features", "labels"], "tile"),
        "group_components": {"tile": 1},
        "cores": 8,
    }
    assert wanted(found, grouped) == grouped
    assert effective(monkeypatch, tmp_path, *named, "--group-components", "tile=5")["group_components"] == {"tile": 5}


JOB = {
    "type": "single", "rule": "crop", "wildcards": {"tile": "32TNT", "period": "2019"}, "threads": 2, "jobid": 7,
    "resources": {"mem_mb": 3001, "runtime": 95, "tmpdir": "/tmp"},
}  # fmt: skip
# of the manuals: what is asked of the scheduler, what it answers, and what its answers mean
SCHEDULERS: dict[str, dict[str, Any]] = {
    "slurm": {
        "submit": ("sbatch", "77;toy", "77"),
        "asked": ["--cpus-per-task 2", "--mem 3001", "--time 95", "--job-name crop-32TNT-2019"],
        "status": [
            ({"squeue": (0, "RUNNING")}, "running"),
            ({"squeue": (0, "PENDING")}, "running"),
            ({"squeue": (0, "COMPLETED")}, "success"),
            ({"squeue": (0, "OUT_OF_MEMORY")}, "failed"),
            ({"squeue": (1, "slurm_load_jobs error: Unable to contact slurm controller")}, "running"),
            ({"squeue": (1, "slurm_load_jobs error: Invalid job id specified")}, "failed"),
            ({"squeue": (0, ""), "sacct": (0, "   COMPLETED ")}, "success"),
            ({"squeue": (0, ""), "sacct": (0, " CANCELLED by 0")}, "failed"),
        ],
        "cancel": "scancel",
    },
    "pbs": {
        "submit": ("qsub", "77.head", "77.head"),
        "asked": ["select=1:ncpus=2:mem=3001mb", "walltime=1:35:00"],
        "status": [
            ({"qstat": (0, "Job Id: 77.head\n    job_state = R")}, "running"),
            ({"qstat": (0, "    job_state = F\n    Exit_status = 0\n")}, "success"),
            ({"qstat": (0, "    job_state = F\n    Exit_status = 271\n")}, "failed"),
            ({"qstat": (153, "qstat: Unknown Job Id 77.head")}, "failed"),
            ({"qstat": (1, "cannot connect to server head")}, "running"),
        ],
        "cancel": "qdel",
    },
    "sge": {
        "submit": ("qsub", "77", "77"),
        "asked": ["-pe smp 2", "h_vmem=1501M,h_rt=5700"],
        "status": [
            ({"qstat": (0, "job_number: 77")}, "running"),
            ({"qstat": (1, "error: commlib error: got select error")}, "running"),
            ({"qstat": (1, "Following jobs do not exist: 77"), "qacct": (1, "error: job id 77 not found")}, "running"),
            ({"qstat": (1, "… do not exist"), "qacct": (0, "failed       0\nexit_status  0 \n")}, "success"),
            ({"qstat": (1, "… do not exist"), "qacct": (0, "failed       0\nexit_status  137\n")}, "failed"),
            ({"qstat": (1, "… do not exist"), "qacct": (0, "failed       100 : killed\nexit_status  0\n")}, "failed"),
        ],
        "cancel": "qdel",
    },
    "lsf": {
        "submit": ("bsub", "Job <77> is submitted to default queue <normal>.", "77"),
        "asked": ["-n 2", "-W 95", "-M 3001MB", "span[hosts=1]"],
        "status": [
            ({"bjobs": (0, "PEND")}, "running"),
            ({"bjobs": (0, "DONE")}, "success"),
            ({"bjobs": (0, "EXIT")}, "failed"),
            ({"bjobs": (255, "Job <77> is not found")}, "failed"),
            ({"bjobs": (255, "LSF is down. Please wait ...")}, "running"),
        ],
        "cancel": "bkill",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_a_scheduler_is_asked_and_its_answers_mean(name: str, tmp_path: Path) -> None:
    case, script = SCHEDULERS[name], tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n# properties = {json.dumps(JOB)}\ntrue\n")
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "TILEWRIGHT_SCHEDULER": name, "TILEWRIGHT_SUBMIT_OPTIONS": "-q long",
    }  # fmt: skip

    def answers(command: str, code: int, text: str) -> None:
        (tmp_path / command).write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/asked\necho "{text}"\nexit {code}\n')
        (tmp_path / command).chmod(0o755)

    def call(action: str, *given: str) -> str:
        done = subprocess.run(
            [PROFILES / "cluster-generic" / action, *given], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    command, printed, job = case["submit"]
    answers(command, 0, printed)
    assert call("submit", str(script)) == job
    asked = (tmp_path / "asked").read_text().strip()
    assert [each for each in case["asked"] if each not in asked] == []
    assert asked.endswith(f"-q long {script}")
    for commands, meaning in case["status"]:
        for each in ("squeue", "sacct", "qstat", "qacct", "bjobs"):
            answers(each, *commands.get(each, (1, "")))
        assert call("status", job) == meaning, commands
    answers(case["cancel"], 0, "")
    call("cancel", job, "78")
    assert (tmp_path / "asked").read_text().strip().endswith(f"/{case['cancel']} {job} 78")
