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
            ({"squeue": (1, "slurm_load_jobs error: Invalid job id specified")}, "left"),
            ({"squeue": (0, ""), "sacct": (0, "")}, "left"),
            ({"squeue": (0, ""), "sacct": (0, "   COMPLETED ")}, "success"),
            ({"squeue": (0, ""), "sacct": (0, " CANCELLED by 0")}, "failed"),
            ({"squeue": (0, ""), "sacct": (0, " PREEMPTED ")}, "failed"),
            ({"squeue": (0, "PREEMPTED None")}, "failed"),
            ({"squeue": (0, "NODE_FAIL None")}, "failed"),
            ({"squeue": (0, "LAUNCH_FAILED None")}, "failed"),
            ({"squeue": (0, "PENDING Resources")}, "running"),
            ({"squeue": (0, "PENDING JobHeldUser")}, "running"),
            ({"squeue": (0, "PENDING launch failed requeued held")}, "given up"),
        ],
        "cancel": "scancel",
    },
    "pbs": {
        "submit": ("qsub", "77.head", "77.head"),
        "asked": ["select=1:ncpus=2:mem=3001mb", "walltime=1:35:00", "-S /bin/sh"],
        "status": [
            ({"qstat": (0, "Job Id: 77.head\n    job_state = R")}, "running"),
            ({"qstat": (153, "qstat: Unknown Job Id 77.head")}, "left"),
            ({"qstat": (35, "qstat: 77.head Job has finished, use -x or -H to obtain historical job information")}, "left"),
            ({"qstat": (0, "    job_state = C\n    exit_status = 0\n")}, "left"),
            ({"qstat": (1, "cannot connect to server head")}, "running"),
            ({"qstat": (0, "    job_state = H\n    Hold_Types = u\n")}, "running"),
            ({"qstat": (0, "    job_state = H\n    comment = job held, too many failed attempts to run\n")}, "given up"),
        ],
        "cancel": "qdel",
    },
    "sge": {
        "submit": ("qsub", "77", "77"),
        "asked": ["-pe smp 2", "h_vmem=1501M,h_rt=5700"],
        "status": [
            ({"qstat": (0, "job_number: 77")}, "running"),
            ({"qstat": (1, "error: commlib error: got select error")}, "running"),
            ({"qstat": (1, "Following jobs do not exist: 77")}, "left"),
            ({"qstat": (0, "job_number: 77\nerror reason    1:          can't open output file")}, "given up"),
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
            ({"bjobs": (255, "Job <77> is not found")}, "left"),
            ({"bjobs": (255, "LSF is down. Please wait ...")}, "running"),
        ],
        "cancel": "bkill",
    },
}  # fmt: skip


class Calls:
    """The profile's commands, called in a folder whose scheduler answers what it is told to."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.script, self.case = folder, folder / "job.sh", SCHEDULERS[name]
        self.environment = os.environ | {
            "PATH": f"{folder}:{os.environ['PATH']}", "TILEWRIGHT_SCHEDULER": name, "TILEWRIGHT_SUBMIT_OPTIONS": "-q long",
        }  # fmt: skip

    def answers(self, command: str, code: int, text: str) -> None:
        script = f'#!/bin/sh\necho "$0 $*" >> {self.folder}/asked\necho "{text}"\nexit {code}\n'
        (self.folder / command).write_text(script)
        (self.folder / command).chmod(0o755)

    def call(self, action: str, *given: str) -> str:
        done = subprocess.run(
            [PROFILES / "cluster-generic" / action, *given], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def submit(self, commands: str = "true\n") -> str:
        """The id of a job of these commands, which does not run yet."""
        self.script.write_text(f"#!/bin/sh\n#XYZ -directive\n# properties = {json.dumps(JOB)}\n{commands}")
        command, printed, job = self.case["submit"]
        self.answers(command, 0, printed)
        assert self.call("submit", str(self.script)) == job
        return str(job)

    def status(self, commands: dict[str, tuple[int, str]]) -> str:
        """How the job is, where the scheduler's commands answer so."""
        for each in ("squeue", "sacct", "qstat", "qacct", "bjobs"):
            self.answers(each, *commands.get(each, (1, "")))
        return self.call("status", self.case["submit"][2])

    def leaves(self) -> str:
        """How a job is that is in the queue no more."""
        return self.status(next(commands for commands, meaning in self.case["status"] if meaning == "left"))

    @property
    def asked(self) -> list[str]:
        """The commands that the scheduler was given."""
        return (self.folder / "asked").read_text().splitlines()

    @property
    def ends(self) -> Path:
        return self.folder / "logs/cluster/ends"


@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_a_scheduler_is_asked_and_its_answers_mean(name: str, tmp_path: Path) -> None:
    calls = Calls(tmp_path, name)
    case, cancel = calls.case, f"/{calls.case['cancel']}"
    job = calls.submit()
    assert [each for each in case["asked"] if each not in calls.asked[-1]] == []
    assert calls.asked[-1].endswith(f"-q long {calls.script}")
    calls.answers(case["cancel"], 0, "")
    for commands, meaning in case["status"]:
        # of a job that is in the queue no more its exit code tells, which is not there yet
        expected = {"left": "running", "given up": "failed"}.get(meaning, meaning)
        assert calls.status(commands) == expected, commands
        # what the scheduler holds for ever would run beside the job's next attempt
        assert calls.asked[-1].endswith(f"{cancel} {job}") == (meaning == "given up"), commands
    calls.call("cancel", job, "78")
    assert calls.asked[-1].endswith(f"{cancel} {job} 78")


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(
    ("commands", "state"), [("exit 0 || exit 1\n", "success"), ("false && exit 0 || exit 1\n", "failed")]
)
def test_a_job_that_a_scheduler_has_forgotten(name: str, commands: str, state: str, tmp_path: Path) -> None:
    calls = Calls(tmp_path, name)
    for _ in range(2):  # numbers may begin anew
        calls.submit(commands)
        assert calls.script.read_text().startswith("#!/bin/sh\n#XYZ -directive\n# properties")
        assert calls.leaves() == "running"  # its exit code may be late
        code = subprocess.run(["sh", calls.script], check=False).returncode
        assert code == (state == "failed")
        assert calls.leaves() == state
        assert list(calls.ends.iterdir()) == []


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_job_that_was_killed_is_not_waited_for(name: str, tmp_path: Path) -> None:
    calls = Calls(tmp_path, name)
    job = calls.submit("kill -KILL $$\n")
    assert subprocess.run(["sh", calls.script], check=False).returncode == -9
    assert calls.leaves() == "running"
    since = calls.ends / f"{job}.left"
    since.write_text(str(float(since.read_text()) - 100))
    assert calls.leaves() == "running"
    since.write_text(str(float(since.read_text()) - 100))
    assert calls.leaves() == "failed"
    assert list(calls.ends.iterdir()) == []
