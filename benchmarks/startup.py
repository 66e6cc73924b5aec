"""What it costs to begin: CPU seconds of the interpreter and of all that each stage imports, before and while it works.

python benchmarks/startup.py             seven runs of each stage, as the workflow calls it, on a small simulated dataset
python benchmarks/startup.py --quick     one run
python benchmarks/startup.py --profile STAGE     the modules that are dear in it, milliseconds by importing each

Bytecode is written and read, as at users'. Figures grow with what else the machine does: the row `import numpy` says by how much.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from table import Check, keep, show, verdicts

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "integration")]

from overpass_server import OverpassServer, elements_of  # noqa: E402  the tests' stand-ins
from stac_server import StacServer  # noqa: E402

from harness import Project  # noqa: E402  the tests' way to run the workflow

RUNS = 7
LIMIT_S = 0.6
LIGHT = ("locations", "cells", "search", "search of an API", "features")
TILE = "35JQG"
BOX = [29.97, -30.024, 29.999, -29.976]
SITE = {"name": "natal", "lon": 30.0, "lat": -30.0, "side_m": 6000, "tiles": [TILE]}

# `python -m tilewright`, whose imports are timed: those that no other import asked for, with all that they import. A stage ends its
# process at once; what was found is told just before.
PROGRAM = """
import os, sys, time
begun = time.process_time()
import json, threading
importer, depth, found, real = sys.modules["_frozen_importlib"], threading.local(), {}, os._exit
def timed(name, import_):
    level, depth.level = getattr(depth, "level", 0), getattr(depth, "level", 0) + 1
    start = time.thread_time()
    try:
        return load(name, import_)
    finally:
        depth.level = level
        found[level, name] = time.thread_time() - start
load, importer._find_and_load = importer._find_and_load, timed
def leave(code):
    times = os.times()
    rows = {"code": code, "interpreter_s": begun, "imports_s": sum(s for (level, _), s in found.items() if level == 0),
            "cpu_s": times.user + times.system, "modules": len(sys.modules), "dear": {name: s for (_, name), s in found.items() if s > 0.005}}
    print(json.dumps(rows))
    sys.stdout.flush()
    real(code)
os._exit = leave
from tilewright.__main__ import run
run()
"""


@dataclass(frozen=True)
class Start:
    """One run of a stage; seconds of CPU, `dear` by module."""

    interpreter_s: float
    imports_s: float
    cpu_s: float
    modules: int
    dear: dict[str, float]

    @property
    def start_s(self) -> float:
        return self.interpreter_s + self.imports_s


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU seconds until each stage works.")
    parser.add_argument("--quick", action="store_true", help="one run of each")
    parser.add_argument("--profile", metavar="STAGE", help="the dear modules of one stage")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        project, commands = dataset(Path(folder), stack)
        if args.profile:
            profile(project, args.profile, commands)
            return 0
        rows = measured(project, commands, 1 if args.quick else RUNS)
    show(
        "CPU seconds until a stage works, medians",
        rows,
        "modules: imported in all; work: the rest of the stage on this small dataset.",
    )
    found = {row["stage"]: row["start_s"] for row in rows}
    checks = [Check(f"start of {stage}", found[stage], LIMIT_S, unit=" s") for stage in LIGHT]
    verdicts("Targets", checks)
    keep(f"startup{'-quick' if args.quick else ''}", {"rows": rows}, checks)
    return 0


def dataset(folder: Path, stack: ExitStack) -> tuple[Project, dict[str, list[str]]]:
    """A small finished dataset, and the command line of each stage there, as the rules have it."""
    world = folder / "world"
    settings = json.dumps({"seed": 7, "sites": [SITE], "years": [2019], "scenes_per_year": 3})
    subprocess.run(
        [sys.executable, "-m", "tilewright", "simulate", "--settings", settings, "--directory", world],
        check=True,
        cwd=folder,
    )
    source = {"source": {"kind": "pbf", "path": str(world / "world.osm.pbf")}, "ontology": "opensentinelmap"}
    config: dict[str, Any] = {
        "dataset": "small", "aoi": {"bbox": BOX}, "provider": {"like": "simulated", "path": str(world / "catalog.json")},
        "collections": {"s2_l2a": {"bands": ["B02", "B11"]}}, "cells": {"size_m": 960}, "mask": {"max_bad": 1.0},
        "periods": [{"name": "year", "start": "2019-01-01", "end": "2019-12-31", "scenes": 1}],
        "labels": {"osm": source}, "export": {"layout": ["webdataset"]},
    }  # fmt: skip
    project = Project(folder / "work", config)
    project.run()
    lines = told(project, "all")
    items = json.loads((world / "catalog.json").read_text())["features"]
    stac, overpass = (
        stack.enter_context(server)
        for server in (StacServer(items, world), OverpassServer(elements_of(world / "world.osm.pbf")))
    )
    api = {"like": "simulated", "kind": "api", "url": stac.url, "access": {"hosts": [f"http://{stac.address}"]}}
    asked = {"source": {"kind": "overpass", "url": overpass.url}, "ontology": "opensentinelmap"}
    online = told(Project(project.directory, {**config, "provider": api, "labels": {"osm": asked}}), "all")
    cities = {
        "dataset": "cities",
        "aoi": {"cities": {"locations": 200}},
        "cells": {"size_m": 960, "strategy": "samples"},
    }
    drawn = told(Project(project.directory, {**config, **cities}), "results/cities/locations.parquet")
    online["search"][online["search"].index("--output") + 1] = "found.parquet"  # what was found here stays, for mask
    lines |= {"search of an API": online["search"], "ask": online["ask"], "locations": drawn["locations"]}
    first = [stage for stage in LIGHT if stage in lines]
    return project, {stage: lines[stage] for stage in [*first, *(stage for stage in lines if stage not in first)]}


def told(project: Project, target: str) -> dict[str, list[str]]:
    """The arguments of the last job of each stage that would run."""
    done = project.run(target, options=("--dry-run", "--forceall", "--printshellcmds"))
    # a command goes on over lines where it holds the config's text
    lines = re.findall(
        r"^Shell command: python -m tilewright (.*?)\n(?=\n|\[|DAG of jobs)",
        done.output + "\n",
        re.MULTILINE | re.DOTALL,
    )
    commands = [shlex.split(line) for line in lines]
    return {command[command.index("--log") + 2]: command for command in commands}


def started(project: Project, arguments: list[str]) -> Start:
    """Run a stage to its end."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=project.directory, env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr[-2000:]}")
    return Start(**{key: value for key, value in json.loads(done.stdout.splitlines()[-1]).items() if key != "code"})


def measured(project: Project, commands: dict[str, list[str]], runs: int) -> list[dict[str, Any]]:
    """A row for each stage; the stages take turns, so that what else the machine does meets all alike."""
    found: dict[str, list[Start]] = {stage: [] for stage in commands}
    numpy: list[float] = []
    for turn in range(runs + 1):
        for stage, arguments in commands.items():
            one = started(project, arguments)
            if turn:  # the first writes the bytecode
                found[stage].append(one)
        code = "import time; import numpy; print(time.process_time())"
        numpy.append(float(subprocess.check_output([sys.executable, "-c", code])))
    rows = [
        {
            "stage": stage, "start_s": statistics.median(one.start_s for one in each), "least_s": min(one.start_s for one in each),
            "limit_s": LIMIT_S if stage in LIGHT else None, "modules": each[0].modules,
            "work_s": statistics.median(one.cpu_s - one.start_s for one in each),
        }
        for stage, each in found.items()
    ]  # fmt: skip
    return [{"stage": "import numpy", "start_s": statistics.median(numpy[1:]), "least_s": min(numpy[1:])}, *rows]


def profile(project: Project, stage: str, commands: dict[str, list[str]]) -> None:
    if stage not in commands:
        raise SystemExit(f"no stage {stage}: {', '.join(commands)}")
    started(project, commands[stage])
    one = started(project, commands[stage])
    dear = sorted(one.dear.items(), key=lambda row: -row[1])
    note = f"{one.modules} modules, {one.start_s:.2f} s of {one.cpu_s:.2f} s"
    show(
        f"{stage}: modules of 5 ms or more, with what they import",
        [{"module": name, "ms": 1000 * s} for name, s in dear],
        note,
    )


if __name__ == "__main__":
    sys.exit(main())
