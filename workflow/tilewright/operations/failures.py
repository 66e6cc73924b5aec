"""The end of a run: which jobs failed, why, and what to do about each. From Snakemake's own log of the run and the stages' logs."""

import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tilewright.operations.logs import Job, end_of, ending_of, error_in, job_of

SHOWN: Final = 20  # failures that are told one by one
_SKEW_S: Final = 60  # by which the clocks of machines may differ
_HINT: Final = " (check log file(s) for error details)"
_ALONE: Final = re.compile(r"^Error in rule (\w+):\n((?: {4}.*\n)+)", re.MULTILINE)
_GROUP: Final = re.compile(r"^(?: {4}message: (.*)\n)?(?: {4}log: (.*)\n)? {4}jobs:\n((?: {8}.*\n)+)", re.MULTILINE)
_MEMBER: Final = re.compile(r"^ {8}rule (\w+):\n((?: {12}.*\n)+)", re.MULTILINE)
_FINISHED: Final = re.compile(r"^Finished jobid: (\d+) ", re.MULTILINE)
_STEPS: Final = re.compile(r"^(\d+) of (\d+) steps ", re.MULTILINE)
# A command may have several lines: those of `report` and `export` give the config as text.
_ENDED: Final = re.compile(
    r"--log (\S+) (?:(?!--log )[\s\S])*?(?:returned non-zero exit status (\d+)|died with <Signals\.SIG(\w+))"
)
# What Slurm, PBS, LSF and the kernel write of a job that they end, in the job's log or in what the executor tells of it.
_ENDINGS: Final = (
    (re.compile(r"oom.?kill|out.of.memory|exceeded (?:job |step )?memory limit|TERM_MEMLIMIT", re.IGNORECASE), "memory"),
    (re.compile(r"due to time limit|'TIMEOUT'|walltime .*exceeded|TERM_RUNLIMIT", re.IGNORECASE), "time"),
    (re.compile(r"due to node failure|NODE_FAIL", re.IGNORECASE), "node"),
    (re.compile(r"CANCELLED|PREEMPTED|TERM_OWNER|TERM_ADMIN"), "cancelled"),
)  # fmt: skip
_OF_STATUS: Final = {
    "137": "killed",
    "KILL": "killed",
    "143": "cancelled",
    "TERM": "cancelled",
    "130": "cancelled",
    "INT": "cancelled",
}
_MENDS: Final = {
    "memory": "ran out of memory; ask for more: --set-resources {rule}:mem_mb=…, or --retries 2, by which each attempt asks for more",
    "killed": "was killed (SIGKILL), as a rule by a machine that is out of memory; on this machine run fewer jobs at a time (--cores, or "
    "--resources mem_mb=…), on a cluster ask for more: --set-resources {rule}:mem_mb=…",
    "time": "ran out of time; ask for more: --set-resources {rule}:runtime=… (minutes), or --retries 2, by which each attempt asks for more",
    "node": "was lost with its machine; run again",
    "cancelled": "was stopped from outside; run again",
    "": "ended without an error of its own; its log, or Snakemake's output above, tells more",
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """One job that failed for good in a run.

    Attributes:
        why: the stage's own error with its mend, or how its process ended and what to do.
        logs: its log, and its executor's where that is known.
        cluster_job: its number there; "" of one that ran here.
    """

    job: Job
    why: str
    logs: tuple[str, ...]
    cluster_job: str = ""


def failures(log: str, since: float) -> list[Failure]:
    """The jobs that failed and were not made good by a later attempt, in the order in which they failed.

    Args:
        log: text of Snakemake's log of the run.
        since: when the run began (seconds since the epoch): a stage's log that is older is of an earlier one.
    """
    finished = {found[1]: found.start() for found in _FINISHED.finditer(log)}
    ended = {found[1]: found[2] or found[3] for found in _ENDED.finditer(log)}
    last: dict[str, tuple[int, str, dict[str, str]]] = {}
    for at, rule, told in sorted([*_alone(log), *_in_groups(log, since)], key=lambda each: each[0]):
        last.pop(told.get("jobid", ""), None)
        last[told.get("jobid", "")] = at, rule, told
    return [
        _failure(rule, told, ended, since) for number, (at, rule, told) in last.items() if finished.get(number, -1) < at
    ]


def _alone(log: str) -> Iterator[tuple[int, str, dict[str, str]]]:
    """(place in the log, rule, what is told) of each job that failed by itself."""
    for found in _ALONE.finditer(log):
        yield found.start(), found[1], _told(found[2])


def _in_groups(log: str, since: float) -> Iterator[tuple[int, str, dict[str, str]]]:
    """As `_alone`, of each job of a group that failed; Snakemake lists them all, also those that ended well or did not begin."""
    for found in _GROUP.finditer(log):
        members = [(each[1], _told(each[2])) for each in _MEMBER.finditer(found[3])]
        guilty = [
            each for each in members if (own := _own(each[1])) and _is_new(own, since) and ending_of(own) != (True, "")
        ]
        for rule, told in guilty or members[:1]:
            logs = [text.removesuffix(_HINT) for text in (told.get("log", ""), found[2] or "") if text]
            yield found.start(), rule, {**told, "message": found[1] or "", "log": ", ".join(logs)}


def _told(lines: str) -> dict[str, str]:
    return dict(line.strip().split(": ", 1) for line in lines.splitlines() if ": " in line)


def _own(told: dict[str, str]) -> Path | None:
    """The log of the stage itself."""
    first = told.get("log", "").removesuffix(_HINT).split(", ")[0]
    return Path(first) if first else None


def _is_new(log: Path, since: float) -> bool:
    """Whether a log is of this run."""
    return log.is_file() and log.stat().st_mtime > since - _SKEW_S


def _failure(rule: str, told: dict[str, str], ended: dict[str, str], since: float) -> Failure:
    """One failed job, of what Snakemake told of it and how processes ended: {log of a stage: exit status or signal}."""
    logs = [path for path in told.get("log", "").removesuffix(_HINT).split(", ") if path and not path.endswith(".json")]
    own, number = _own(told), told.get("external_jobid", "")
    job = job_of(own) if own is not None else Job(rule)
    if own is not None and _is_new(own, since) and (error := error_in(own)):
        return Failure(job, error, tuple(logs), number)
    words = "\n".join([told.get("message", ""), *(end_of(Path(path)) for path in logs[1:])])
    ending = next((name for pattern, name in _ENDINGS if pattern.search(words)), "")
    if not ending:
        here = {**ended, **{found[1]: found[2] or found[3] for found in _ENDED.finditer(words)}}
        ending = _OF_STATUS.get(here.get(logs[0], "") if logs else "", "")
    return Failure(job, _MENDS[ending].format(rule=rule), tuple(logs), number)


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
        lines += [f"  {stage} {named}{more}: {why}", *(f"      log: {path}" for path in same[0].logs)]
        lines += [*([f"      job {same[0].cluster_job} of the cluster"] if same[0].cluster_job else []), ""]
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
