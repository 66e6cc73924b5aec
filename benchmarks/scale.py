"""What Snakemake itself costs on a planet: dry runs, nothing to do, and runs of stages that do nothing.

    python benchmarks/scale.py              all rows, about an hour of CPU; `make bench-scale`
    python benchmarks/scale.py --quick      a slice of a few tiles, a minute

The rules are the real ones. Where jobs run, a `python` that comes first on PATH leaves empty files under the names that it is given,
so that what is measured is Snakemake. Its CPU is its own, apart from that of the jobs' processes. `snakemake -n --quiet` is the dry run
that is judged: it builds and checks the whole graph and lists no job; what listing every job costs is told beside it.
Rows are kept in benchmarks/results/scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

import table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from tilewright.grid.mgrs import land_tiles, tile  # noqa: E402

ZONE_TILES: Final = 722  # our limits are for so many; no zone has more than 438 with land, as the row before shows
PERIODS: Final = [
    {"name": f"y{year}", "start": f"{year}-01-01", "end": f"{year}-12-31", "scenes": 1}
    for year in (2019, 2020, 2021, 2022)
]
_JOBS_OF_PERIOD: Final = 3  # search, mask, crop
_JOBS_OF_TILE: Final = 4  # cells, features, labels, group

# Snakemake with an account of its own CPU and that of its children at its end, which wait4 would add up.
_COUNTED: Final = """\
import atexit, json, resource, sys
def account(path=sys.argv.pop(1)):
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    from tilewright.progress import most_mb
    json.dump({"cpu_s": own.ru_utime + own.ru_stime, "jobs_cpu_s": others.ru_utime + others.ru_stime, "mb": most_mb()}, open(path, "w"))
atexit.register(account)
from snakemake.cli import main
main()
"""
_STAGE: Final = """\
#!/bin/sh
# A stage that does nothing: empty files under the names that it is given.
while [ $# -gt 0 ]; do
    case $1 in --output|--patches|--selection|--traffic|--statistics|--collection) : > "$2" ;; esac
    shift
done
"""


@dataclass(frozen=True)
class Cost:
    """Of one call of snakemake: CPU seconds of its own and of its jobs' processes, most MB that it held."""

    cpu_s: float
    jobs_cpu_s: float
    mb: float
    output: str


@dataclass(frozen=True)
class Place:
    """A working directory with a config of some tiles and periods, named after what is measured."""

    folder: Path
    name: str

    @classmethod
    def made(cls, base: Path, name: str, aoi: dict[str, Any], periods: int) -> Place:
        folder = base / name
        (folder / "bin").mkdir(parents=True)
        stage = folder / "bin" / "python"
        stage.write_text(_STAGE)
        stage.chmod(0o755)
        (folder / "map.osm.pbf").touch()
        labels = {"source": {"kind": "pbf", "path": "map.osm.pbf"}, "ontology": "opensentinelmap"}
        config = {
            "dataset": name, "aoi": aoi, "provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02", "B03", "B04", "B08"]}},
            "cells": {"size_m": 1920, "fraction": 0.01}, "periods": PERIODS[:periods], "labels": {"osm": labels}, "split": {"by": "tile"},
        }  # fmt: skip
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return cls(folder, name)

    def snakemake(self, *options: str, targets: Sequence[str] = ()) -> Cost:
        """Call it; targets are below the dataset's folder."""
        account = self.folder / "account.json"
        command = [sys.executable, "-c", _COUNTED, str(account), "--snakefile", str(ROOT / "Snakefile"), *options]
        command += ["--configfile", "config.yaml", "--", *(f"results/{self.name}/{each}" for each in targets)]
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=self.folder, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{self.name}: snakemake {' '.join(options)} failed\n{done.stdout[-4000:]}")
        return Cost(**json.loads(account.read_text()), output=done.stdout)

    def provenance(self) -> tuple[int, float]:
        """Files in .snakemake and their MB."""
        sizes = [path.stat().st_size for path in (self.folder / ".snakemake").rglob("*") if path.is_file()]
        return len(sizes), sum(sizes) / 1e6


def jobs_of(tiles: int, periods: int) -> int:
    return tiles * (_JOBS_OF_TILE + periods * _JOBS_OF_PERIOD)


class Bench:
    """The rows, and the checks of our limits."""

    def __init__(self, base: Path, quick: bool) -> None:
        self.base, self.quick = base, quick
        self.rows: list[dict[str, Any]] = []
        self.checks: list[table.Check] = []
        names = land_tiles().name.tolist()
        self.names = sorted(names, key=lambda name: (tile(name).zone != "47N", tile(name).zone, name))
        start = Place.made(base, "start", self.tiles(1), 1).snakemake("--version")
        self.start_s = start.cpu_s
        self.add("snakemake --version", start)

    def tiles(self, count: int) -> dict[str, Any]:
        """An AOI of so many tiles with land, those of the largest zone first."""
        return {"tiles": self.names[:count]}

    def add(self, what: str, cost: Cost, jobs: int = 0, **more: Any) -> None:
        each = (cost.cpu_s - self.start_s) / jobs * 1000 if jobs else None
        row = {
            "what": what, "jobs": jobs or None, "Snakemake's CPU s": cost.cpu_s, "its ms a job": each, "MB": cost.mb,
            "jobs' CPU s": cost.jobs_cpu_s or None, **more,
        }  # fmt: skip
        self.rows.append(row)
        print(f"{what}: {cost.cpu_s:.1f} s, {cost.mb:.0f} MB", flush=True)

    def check(self, target: str, found: float, limit: float, unit: str) -> None:
        if not self.quick:
            self.checks.append(table.Check(target, found, limit, unit=unit))

    def dry_runs(self) -> None:
        spread = self.names[:: len(self.names) // 6]
        land = Place.made(self.base, "land", {"tiles": spread} if self.quick else {"land": True}, 4)
        cost = land.snakemake("-n", "--quiet", targets=[f"tiles/{self.names[0]}/series.zarr.zip"])
        self.add("one tile of all land, dry run", cost, jobs_of(1, 4) - 2)
        self.check("one tile's target", cost.cpu_s, 4, " s")
        zone = tile(self.names[0]).zone
        many = sum(tile(name).zone == zone for name in (spread if self.quick else self.names))
        self.add(
            f"zone {zone}, dry run",
            land.snakemake("-n", "--quiet", targets=[f"zones/{zone}.parquet"]),
            jobs_of(many, 4),
        )
        of = 4 if self.quick else ZONE_TILES
        place = Place.made(self.base, "zone", self.tiles(of), 4)
        zones = sorted({f"zones/{tile(name).zone}.parquet" for name in self.names[:of]})
        cost = place.snakemake("-n", "--quiet", targets=zones)
        self.add(f"{of} tiles of {len(zones)} zones, dry run", cost, jobs_of(of, 4))
        self.check("the largest zone", cost.cpu_s, 15, " s")
        self.check("the largest zone", cost.mb, 400, " MB")
        self.add(f"{of} tiles, dry run that lists every job", place.snakemake("-n", targets=zones), jobs_of(of, 4))
        many, batches = (len(spread), 3) if self.quick else (len(self.names), 10)
        batch = f"index=1/{batches}"
        cost = land.snakemake("-n", "--quiet", "--batch", batch, targets=["index.parquet"])
        self.add(f"a part of all land, dry run: --batch {batch}", cost)
        cost = land.snakemake("-n", "--quiet", targets=["index.parquet"])
        self.add("all land, dry run", cost, jobs_of(many, 4))
        self.check("all land in one graph", cost.cpu_s, 350, " s")
        self.check("all land in one graph", cost.mb / 1000, 5, " GB")

    def runs(self) -> None:
        """Runs of 500 and 2,000 tiles of one period; then 1,000 of four with each kind of provenance, and nothing to do."""
        each = {}
        for of in (2,) if self.quick else (500, 2000):
            place = Place.made(self.base, f"run{of}", self.tiles(of), 1)
            cost = place.snakemake("--cores", "2", targets=["index.parquet"])
            jobs = jobs_of(of, 1)
            each[of] = (cost.cpu_s - self.start_s) / jobs * 1000
            self.add(f"a run of {of} tiles, one period", cost, jobs)
            shutil.rmtree(place.folder)
        few, many = min(each), max(each)
        self.check(f"a job of {many} tiles", each[many], 30, " ms")
        self.check(f"growth from {few} to {many} tiles", each[many] / each[few], 1.5, "×")
        of = 3 if self.quick else 1000
        for backend in ("db",) if self.quick else ("file", "db"):
            place = Place.made(self.base, f"kept_{backend}", self.tiles(of), 4)
            options = ("--persistence-backend", backend)
            cost = place.snakemake("--cores", "2", *options, targets=["index.parquet"])
            files, mb = place.provenance()
            self.add(
                f"a run of {of} tiles, provenance by {backend}", cost, jobs_of(of, 4),
                **{".snakemake files": files, ".snakemake MB": mb},
            )  # fmt: skip
            cost = place.snakemake("-n", *options, targets=["index.parquet"])
            if "Nothing to be done" not in cost.output:
                raise SystemExit(f"{place.name}: a second run is not idle\n{cost.output[-2000:]}")
            self.add(f"nothing to do for {of} tiles, provenance by {backend}", cost, jobs_of(of, 4))
            if backend == "file":
                self.check(f"nothing to do for {of} tiles", cost.cpu_s, 13, " s")
            shutil.rmtree(place.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a slice of a few tiles")
    parser.add_argument(
        "--part", choices=("dry_runs", "runs"), help="only these rows; those of the other part that were kept stay"
    )
    options = parser.parse_args()
    name = "scale-quick" if options.quick else "scale"
    path = table.RESULTS / f"{name}.json"
    kept = json.loads(path.read_text())["parts"] if options.part and path.is_file() else {}
    for part in (options.part,) if options.part else ("dry_runs", "runs"):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), options.quick)
            getattr(bench, part)()
        table.show(f"Snakemake on a planet: {part}", bench.rows)
        table.verdicts("Limits", bench.checks)
        checks = [check.document() for check in bench.checks]
        kept[part] = {"rows": bench.rows, "checks": checks, "machine": table.machine()}
    table.keep(name, {"parts": kept})


if __name__ == "__main__":
    main()
