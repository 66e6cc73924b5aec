"""A plan beside what then happened: the ratios of one to the other."""

import json
from pathlib import Path
from typing import Any

from harness import ROOT
from tilewright.plan.making import Plan, make_plan
from tilewright.rules import DatasetConfig
from tilewright.store import read_table


def plan_of(config: dict[str, Any], looked_at: int = 12, **told: Any) -> Plan:
    """The plan of a config, made in the working folder."""
    return make_plan(DatasetConfig.load(config, ROOT), looked_at, **{"search": False, "cores": 2, "mbit": None, **told})


def happened(results: Path, cpu_s: float | None = None) -> dict[str, float]:
    """What a finished dataset took.

    Args:
        cpu_s: CPU seconds of the whole run.
    """
    traffic = [json.loads(path.read_text()) for path in results.glob("tiles/*/*/*.traffic.json")]
    scenes = [*results.glob("tiles/*/*/scenes.parquet"), *results.glob("tiles/*/*/companions.parquet")]
    chosen = [read_table(path) for path in results.glob("tiles/*/*/selection.parquet")]
    found = {
        "cells": len(read_table(results / "index.parquet")),
        "scenes": sum(len(read_table(path)) for path in scenes),
        "patches": sum(int((rows["status"] == "used").sum()) for rows in chosen),
        "mask MB": sum(each["bytes_fetched"] for each in traffic if each["stage"] == "mask") / 1e6,
        "crop MB": sum(each["bytes_fetched"] for each in traffic if each["stage"] == "crop") / 1e6,
        "disk MB": sum(path.stat().st_size for path in results.rglob("*") if path.is_file()) / 1e6,
    }
    if cpu_s is not None:
        found["CPU s"] = cpu_s
    return found


def told(plan: Plan) -> dict[str, float]:
    """The same of a plan. Of local JPEG 2000 nobody counts what is read, so it is left out here, too."""
    return {
        "cells": plan.ground.total,
        "scenes": sum(plan.scenes.values()),
        "patches": sum(plan.patches.values()),
        "mask MB": plan.read["mask"][1],
        "crop MB": sum(wire for key, (_, wire) in plan.read.items() if key not in ("mask", "s2_l1c")),
        "disk MB": plan.total("output_mb"),
        "CPU s": plan.cpu_s,
    }


def ratios(plan: Plan, results: Path, cpu_s: float | None = None) -> dict[str, float]:
    """Planned by true, of every figure that is known of both."""
    true = happened(results, cpu_s)
    return {name: round(told(plan)[name] / figure, 3) if figure else 1.0 for name, figure in true.items()}


def within(found: dict[str, float], *names: str, factor: float = 1.5) -> None:
    """Fails where a ratio (of `names`, or any) is further off 1 than `factor`."""
    wrong = {name: found[name] for name in names or found if not 1 / factor <= found[name] <= factor}
    assert not wrong, f"planned by true: {wrong} of {found}"
