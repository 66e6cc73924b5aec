"""The end of a run: which jobs failed, why, and what to do about each. From Snakemake's own log of the run and the stages' logs."""

import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tilewright.operations.logs import Job, end_of, error_in, job_of

SHOWN: Final = 20  # failures that are told one by one
_SKEW_S: Final = 60  # by which the clocks of machines may differ
_HINT: Final = " (check log file(s) for error details)"
# A job by itself, and one in a group: its rule, then lines "name: value" that are indented deeper.
_BLOCK: Final = re.compile(r"^(?:Error in rule| {8}rule) (\w+):\n((?: {4}.*\n)+)", re.MULTILINE)
_FINISHED: Final = re.compile(r"^Finished jobid: (\d+) ", re.MULTILINE)
_STEPS: Final = re.compile(r"^(\d+) of (\d+) steps ", re.MULTILINE)
_ENDED: Final = re.compile(r"--log (\S+) [^\n]*(?:returned non-zero exit status (\d+)|died with <Signals\.SIG(\w+))")
# What Slurm, PBS, LSF and the kernel write of a job that they end.
_ENDINGS: Final = (
    (re.compile(r"oom.?kill|out.of.memory|exceeded (?:job |step )?memory limit|TERM_MEMLIMIT", re.IGNORECASE), "memory"),
    (re.compile(r"due to time limit|walltime .*exceeded|TERM_RUNLIMIT", re.IGNORECASE), "time"),
    (re.compile(r"due to node failure|NODE_FAIL", re.IGNORECASE), "node"),
    (re.compile(r"CANCELLED AT|TERM_OWNER|TERM_ADMIN"), "cancelled"),
)  # fmt: skip
_KILLED: Final = {
    "137": "memory?",
    "KILL": "memory?",
    "143": "cancelled",
    "TERM": "cancelled",
    "130": "cancelled",
    "INT": "cancelled",
}
_MENDS: Final = {
    "memory": "ran out of memory: {more} (mem_mb), or start with --retries 2, by which each attempt asks for more",
    "memory?": "was killed (SIGKILL), as a rule because the machine ran out of memory: run fewer jobs at a time (--cores, --resources mem_mb=…), "
    "or on a cluster ask for more: {more}",
    "time": "ran out of time: {more} (runtime, in minutes), or start with --retries 2, by which each attempt asks for more",
    "node": "was lost with its machine: run again",
    "cancelled": "was stopped from outside: run again",
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """One job that failed for good in a run.

    Attributes:
        why: the stage's own error with its mend, or how its process ended and what to do.
        logs: its log, and its executor's where it has one.
    """

    job: Job
    why: str
    logs: tuple[str, ...]


def failures(log: str, since: float) -> list[Failure]:
    """The jobs that failed and were not made good by a later attempt, in the order in which they failed.

    Args:
        log: text of Snakemake's log of the run.
        since: when the run began (seconds since the epoch): a stage's log that is older is of an earlier one.
    """
    finished = {found[1]: found.start() for found in _FINISHED.finditer(log)}
    ended = {found[1]: found[2] or found[3] for found in _ENDED.finditer(log)}
    last: dict[str, tuple[int, str, dict[str, str]]] = {}
    for found in _BLOCK.finditer(log):
        told = dict(line.strip().split(": ", 1) for line in found[2].splitlines() if ": " in line)
        last.pop(told.get("jobid", ""), None)
        last[told.get("jobid", "")] = found.start(), found[1], told
    failed = []
    for number, (at, rule, told) in last.items():
        if finished.get(number, -1) < at:
            logs = [
                path
                for path in told.get("log", "").removesuffix(_HINT).split(", ")
                if path and not path.endswith(".json")
            ]
            failed.append(_failure(rule, logs, ended.get(logs[0], "") if logs else "", since))
    return failed


def _failure(rule: str, logs: Sequence[str], status: str, since: float) -> Failure:
    """`logs`: the stage's first; `status`: exit status or signal of its process, "" where it is not known."""
    job, own = (job_of(Path(logs[0])), Path(logs[0])) if logs else (Job(rule), None)
    if own is not None and own.is_file() and own.stat().st_mtime > since - _SKEW_S and (error := error_in(own)):
        return Failure(job, error, tuple(logs))
    told = "\n".join(end_of(Path(path)) for path in logs[1:])
    ending = next((name for pattern, name in _ENDINGS if pattern.search(told)), "")
    if not ending and not status and (found := list(_ENDED.finditer(told))):
        status = found[-1][2] or found[-1][3]
    ending = ending or _KILLED.get(status, "")
    more = f"ask for more with --set-resources {rule}:…, or default-resources of the profile"
    why = (
        _MENDS[ending].format(more=more)
        if ending
        else "ended without an error of its own: its log, or the output above, tells more"
    )
    return Failure(job, why, tuple(logs))


def waiting(log: str, failed: int) -> int:
    """How many jobs of the run were not begun, since they need what failed."""
    told = _STEPS.findall(log)
    return max(0, int(told[-1][1]) - int(told[-1][0]) - failed) if told else 0


def summary(found: Sequence[Failure], left: int, command: Sequence[str], dataset: str) -> str:
    """What a user reads at the end of a run.

    Args:
        left: jobs that wait for those that failed.
        command: how Snakemake was called.
        dataset: folder of the dataset.
    """
    alike: dict[tuple[str, str], list[Failure]] = {}
    for each in found:
        alike.setdefault((each.job.stage, each.why), []).append(each)
    many = len(found) > 1
    lines = [f"{len(found)} job{'s' * many} failed; what could be made without {'them' if many else 'it'} is made.", ""]
    for (stage, why), same in list(alike.items())[:SHOWN]:
        named = ", ".join(str(each.job).removeprefix(f"{stage} ") for each in same[:SHOWN])
        more = f" and {len(same) - SHOWN} more" if len(same) > SHOWN else ""
        lines += [f"  {stage} {named}{more}: {why}", *(f"      log: {path}" for path in same[0].logs), ""]
    rest = [each for same in list(alike.values())[SHOWN:] for each in same]
    if rest:
        stages = ", ".join(f"{count} of {stage}" for stage, count in Counter(each.job.stage for each in rest).items())
        lines += [f"  and {len(rest)} more ({stages}): tilewright status {dataset}", ""]
    waits = f"{left} more steps wait for {'them' if many else 'it'}. " if left else ""
    lines.append(f"{waits}When the above is mended, the same again makes what is missing and nothing else:")
    return "\n".join([*lines, f"  {shlex.join(command)}"])


def tell_failures(logs: Sequence[str], dataset: str) -> None:
    """Say at the end of a run that failed what became of it; called by Snakemake.

    Args:
        logs: Snakemake's own of the run; none where it was told to keep none.
        dataset: folder of the dataset.
    """
    import psutil  # Snakemake depends on it

    text = "".join(Path(path).read_text(errors="replace") for path in logs if Path(path).is_file())
    if found := failures(text, psutil.Process().create_time()):
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        print(f"\n{summary(found, waiting(text, len(found)), command, dataset)}\n", file=sys.stderr, flush=True)


def tell_success(dataset: str) -> None:
    """Say at the end of a run where the dataset is, if it is whole; called by Snakemake."""
    index, report = Path(dataset, "index.parquet"), Path(dataset, "report.html")
    if index.is_file() and report.is_file():
        print(f"\nThe dataset is {dataset}, its report {report}\n", file=sys.stderr, flush=True)
