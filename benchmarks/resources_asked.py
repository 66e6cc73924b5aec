"""Asked against used, of a finished dataset: what each rule asks a scheduler for beside the most that its jobs used.

    python benchmarks/resources_asked.py my.yaml        in the working directory that the dataset was made in

Used is what each stage says of itself at the end of its log, logs/<dataset>/<stage>/: seconds, CPU seconds, the most memory that it held.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from table import show
from tilewright.costs import STAGES, Known, asked, work_of
from tilewright.costs.sources import known_of
from tilewright.operations.logs import Used, job_of, used_in
from tilewright.rules import DatasetConfig

ROOT: Final = Path(__file__).resolve().parents[1]
LOGS: Final = Path("logs")


def used(dataset: str) -> dict[str, list[Used]]:
    """Rule → what each of its jobs says of itself."""
    found: dict[str, list[Used]] = {}
    for path in [*sorted((LOGS / dataset).rglob("*.log")), *LOGS.glob("simulate.log")]:
        if told := used_in(path):
            found.setdefault(job_of(path).stage, []).append(told)
    return {rule: found[rule] for rule in STAGES if rule in found}


def needs(dataset: DatasetConfig, rule: str) -> dict[str, int]:
    """What the rule asks for at its first attempt; of rules that gather tiles and of label sources the largest."""
    if rule == "source":
        each = [
            asked(rule, work_of(dataset.config, rule, known_of(dataset.of_source(name))))
            for name in set(dataset.sources.values())
        ]
        return max(each, key=lambda told: told["mem_mb"])
    tiles = [len(each) for each in dataset.tiles_by_zone().values()]
    count = max(tiles) if rule == "zone" else sum(tiles) if rule in ("index", "report", "export", "legend") else 1
    return asked(rule, work_of(dataset.config, rule, Known(tiles=count)))


def rows(dataset: DatasetConfig) -> list[dict[str, Any]]:
    """A row for each rule that ran."""
    made = []
    for rule, jobs in used(dataset.name).items():
        told = needs(dataset, rule)
        made.append(
            {
                "rule": rule, "jobs": len(jobs), "mem_mb": told["mem_mb"], "used MB": max(job.mb for job in jobs), "runtime min": told["runtime"],
                "used min": max(job.s for job in jobs) / 60, "threads": told["threads"], "CPU s": max(job.cpu_s for job in jobs), "disk_mb": told["disk_mb"],
            }
        )  # fmt: skip
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=inspect.cleandoc(sys.modules[__name__].__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path)
    dataset = DatasetConfig.load(yaml.safe_load(parser.parse_args().config.read_text()), ROOT)
    show(f"{dataset.name}: asked, and the most that a job used", rows(dataset))
