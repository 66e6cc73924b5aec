"""What each stage costs by the work that it has, and what its rule asks for: the measurements behind `tilewright.costs`.

    python benchmarks/resources.py [--only NAME …] [--cores N] [--directory FOLDER]

Runs the real workflow on simulated datasets (`resources_cases.py`) with a stand-in for `python` first on PATH, which measures every
stage by itself as its rule calls it (`resources_shim.py`); then puts beside each job the work that it had and what the models say of
it (`resources_rows.py`). The rows are kept in benchmarks/results/resources.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

import table
from resources_cases import CASES, Case
from resources_shim import install

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "benchmarks/data/resources"
# Two halves of the world's ground, as a vector map says of them.
_COVER: Final = """
import geopandas as gpd, shapely, sys
west, south, east, north = map(float, sys.argv[2:])
middle = (west + east) / 2
halves = [shapely.box(west - 1, south - 1, middle, north + 1), shapely.box(middle, south - 1, east + 1, north + 1)]
gpd.GeoDataFrame({"CLC18": ["211", "312"]}, geometry=halves, crs=4326).to_file(sys.argv[1])
"""


def run(case: Case, folder: Path, cores: int) -> list[dict[str, Any]]:
    """Run the workflow on a case, in its world's folder; a row for each job.

    Raises:
        SystemExit: where the run fails, with the end of what Snakemake said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cover.gpkg").is_file():
        box = [str(each) for each in case.world.box]
        subprocess.run([sys.executable, "-c", _COVER, str(folder / "cover.gpkg"), *box], check=True)
    config, measured = folder / f"{case.name}.yaml", folder / f"{case.name}.jsonl"
    config.write_text(yaml.safe_dump(case.document(), sort_keys=False))
    measured.unlink(missing_ok=True)
    stand_in = install(folder / "bin", measured)
    command = [
        str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--cores", str(cores), "--nocolor", "--configfile", str(config),
    ]  # fmt: skip
    path = os.pathsep.join([str(stand_in), str(Path(sys.executable).parent), os.environ["PATH"]])
    with (folder / f"{case.name}.log").open("w") as log:
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(
            f"{(folder / f'{case.name}.log').read_text()[-4000:]}\n{case.name} failed: {folder / f'{case.name}.log'}"
        )
    script = [
        sys.executable,
        str(Path(__file__).with_name("resources_rows.py")),
        str(measured),
        str(config),
        str(folder),
    ]
    made: list[dict[str, Any]] = json.loads(
        subprocess.run(script, cwd=folder, check=True, stdout=subprocess.PIPE).stdout
    )
    return made


def shown(rows: list[dict[str, Any]]) -> None:
    """Print a table of the jobs beside the models, and of asked against used."""
    table.show(
        "Used, and what the models say",
        [
            {
                "dataset": row["dataset"], "stage": row["stage"], "cells": row["work"]["cells"], "scenes": row["work"]["scenes"],
                "pieces": row["work"]["pieces"], "MB unpacked": row["work"]["read_mb"], "pixels MB": row["work"]["pixels_mb"],
                "CPU s": row["cpu_s"], "model": row["cost"]["cpu_s"], "peak MB": row["peak_mb"], "model MB": row["cost"]["mem_mb"],
                "output MB": row["output_mb"], "model out": row["cost"]["output_mb"], "wire MB": row.get("wire_mb"), "model wire": row["cost"]["wire_mb"] if "wire_mb" in row else None,
            }
            for row in rows
        ],
    )  # fmt: skip


def compared(name: str, rows: list[dict[str, Any]]) -> None:
    """Print what each rule asked for beside the most that its jobs used."""
    made = []
    for rule in dict.fromkeys(row["stage"] for row in rows):
        jobs = [row for row in rows if row["stage"] == rule]
        asked = {key: max(row["asked"][key] for row in jobs) for key in ("mem_mb", "runtime", "disk_mb", "threads")}
        made.append(
            {
                "rule": rule, "jobs": len(jobs), "cells": max(row["work"]["cells"] for row in jobs), "mem_mb": asked["mem_mb"],
                "used MB": max(row["peak_mb"] for row in jobs), "runtime min": asked["runtime"],
                "CPU s": max(row["cpu_s"] for row in jobs), "disk_mb": asked["disk_mb"],
                "written MB": max(row["written_mb"] for row in jobs), "threads": asked["threads"],
            }
        )  # fmt: skip
    table.show(f"{name}: asked, and the most that a job used", made)


def main() -> None:
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(description="What each stage costs, beside the models of tilewright.costs.")
    parser.add_argument(
        "--only", nargs="*", metavar="NAME", default=[], help=f"of {', '.join(case.name for case in CASES)}"
    )
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--directory", type=Path, default=FOLDER)
    parser.add_argument("--again", action="store_true", help="start from nothing")
    told = parser.parse_args()
    rows = []
    for case in CASES:
        if told.only and case.name not in told.only:
            continue
        folder = told.directory / case.world.name
        if told.again:
            shutil.rmtree(folder / f"results/{case.name}", ignore_errors=True)
        print(f"{case.name} …", flush=True)
        found = run(case, folder, told.cores)
        compared(case.name, found)
        rows += found
    shown(rows)
    table.keep("resources", {"rows": rows})


if __name__ == "__main__":
    main()
