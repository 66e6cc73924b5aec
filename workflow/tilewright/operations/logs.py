"""What the stages' logs say: logs/<dataset>/<stage>/<tile>[-<period>].log, the same files wherever a job ran."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tilewright.operations.places import TILE

_ERROR: Final = " ERROR error: "  # how `cli` writes the one line that a user gets
ENDED_WELL: Final = " INFO done: "
# How `cli` writes what a stage has cost, with progress.used
_USED: Final = re.compile(f"{ENDED_WELL}(?P<s>[\\d.]+) s, (?P<cpu_s>[\\d.]+) CPU s, at most (?P<mb>\\d+) MB")
_END: Final = 1 << 14  # bytes of a log's end that are read


@dataclass(frozen=True)
class Job:
    """One job of a stage, as its log's name has it; what a stage has not is "".

    `name`: what else tells it from others: a source, a layout, a zone.
    """

    stage: str
    tile: str = ""
    period: str = ""
    name: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.stage, self.tile, self.period, self.name)))


@dataclass(frozen=True)
class Used:
    """What a job says it has cost: seconds, CPU seconds with its children's, the most memory that it held in MB of 10⁶ bytes."""

    s: float
    cpu_s: float
    mb: float


def job_of(log: Path) -> Job:
    """The job whose log a file is."""
    stage, name = (log.parent.name, log.stem)
    if found := re.fullmatch(f"({TILE.pattern})(?:-(.+))?", name):
        return Job(stage, found[1], "" if stage == "ask" else found[2] or "", found[2] or "" if stage == "ask" else "")
    if stage == "export_tile" and (found := re.fullmatch(f"(.+)-({TILE.pattern})", name)):
        return Job(stage, found[2], name=found[1])
    if stage in ("zone", "source", "export", "legend"):
        return Job(stage, name=name)
    return Job(name)  # of the whole dataset: logs/<dataset>/index.log


def end_of(log: Path) -> str:
    """The last lines of a log; "" where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _END))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def error_in(log: Path) -> str:
    """The error that a stage ended with, in one line; "" where its log has none."""
    return ending_of(log)[1]


def ending_of(log: Path) -> tuple[bool, str]:
    """Whether a stage came to its end, and the error that it ended with, in one line; "" without."""
    for line in reversed(end_of(log).splitlines()):
        if _ERROR in line:
            return True, line.split(_ERROR, 1)[1].strip()
        if ENDED_WELL in line:
            return True, ""
    return False, ""


def used_in(log: Path) -> Used | None:
    """What a stage that ended well says it has cost; None where the log does not say so."""
    found = _USED.search(end_of(log))
    return Used(**{name: float(value) for name, value in found.groupdict().items()}) if found else None
