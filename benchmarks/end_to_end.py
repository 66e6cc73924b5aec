"""The whole way, from a search to files to train on, beside s2cube and rslearn; and the crop stage beside what it cannot do without.

python benchmarks/end_to_end.py            everything; rslearn alone takes minutes
python benchmarks/end_to_end.py --quick    a tiny world, a local catalog, tilewright only
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import serve
from measure import FailedRunError, Measured, interleaved, median, run
from table import Check, keep, show, verdicts
from venvs import PEERS, NoPeerError, python_of
from world import CELL_M, DATA, EPSG, TILE, YEAR, World, ensure

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from stac_server import StacServer  # noqa: E402  the tests' stand-in for Earth Search

Steps = dict[str, tuple[list[Any], dict[str, str] | None]]  # step -> command line, environment to add
OURS, SNAKEMAKE, S2CUBE, RSLEARN = "tilewright", "tilewright, by snakemake", "s2cube", "rslearn"
THREADS = 2


@dataclass(frozen=True)
class Way:
    """One run of a tool from search to files."""

    steps: dict[str, tuple[float, float, float]]  # step -> wall s, CPU s, peak MB
    traffic: serve.Traffic | None
    files: int
    mb: float
    crc: list[list[int]]

    @property
    def wall_s(self) -> float:
        return sum(wall for wall, _, _ in self.steps.values())

    @property
    def cpu_s(self) -> float:
        return sum(cpu for _, cpu, _ in self.steps.values())

    @property
    def peak_mb(self) -> float:
        return max(peak for _, _, peak in self.steps.values())


class Bench:
    """Where things are: the world, the servers, the environments, a folder for outputs."""

    def __init__(
        self, world: World, data: Path, server: serve.Server | None, catalog: StacServer | None, scratch: Path
    ) -> None:
        self.world, self.data, self.server, self.catalog, self.scratch = world, data, server, catalog, scratch
        self.layout, self.far = "clusters", False
        self._folders = 0
        self.host = ""  # where this run's imagery is

    def folder(self) -> Path:
        """A new name for outputs."""
        self._folders += 1
        return self.scratch / f"out{self._folders}"

    def base(self) -> str | None:
        """URLs of this run; the catalog answers with them from now on."""
        base = self.server.base(self.far) if self.server else None
        self.host = "{0.scheme}://{0.netloc}".format(urlsplit(base)) if base else ""
        if self.catalog:
            self.catalog.items = self.world.items(base)
        return base

    def job(self, dates: int, base: str | None, out: Path) -> Path:
        """The peers' job: the cells of the layout."""
        told = {
            **self.world.job(self.world.cells(self.layout), dates, base), "out": str(out), "stac": self.catalog.url if self.catalog else "",
            "start": f"{YEAR}-01-01", "end": f"{YEAR}-{dates:02}-28",
        }  # fmt: skip
        path = self.scratch / f"{out.name}.json"
        path.write_text(json.dumps(told))
        return path

    def config(self, dates: int, aoi: dict[str, Any]) -> dict[str, Any]:
        """A dataset of one period that holds `dates` scenes, all of them wanted."""
        source = (
            {"url": self.catalog.url}
            if self.catalog
            else {"path": str(self.world.catalog.resolve()), "kind": "local", "url": None}
        )
        return {
            "dataset": "bench", "aoi": aoi,
            "provider": {"like": "earth-search", **source, "access": {"hosts": [self.host] if self.host else []}},
            "collections": {"s2_l2a": {"bands": ["B04", "B08", "B11", "B8A"]}}, "cells": {"size_m": CELL_M},
            "periods": [
                {"name": "spring", "start": f"{YEAR}-01-01", "end": f"{YEAR}-{dates:02}-28", "scenes": dates, "order": "latest"}
            ],
        }  # fmt: skip

    def stages(self, spec: dict[str, Any]) -> dict[str, list[str]]:
        """The command lines of tilewright's stages."""
        path = self.scratch / "stages.json"
        told = {"tile": TILE, "epsg": EPSG, "cell_m": CELL_M, "period": "spring", "threads": THREADS, **spec}
        path.write_text(json.dumps(told, default=str))
        return run([sys.executable, ROOT / "benchmarks" / "stages.py", path]).document

    def way(self, script: str, python: Path | str, dates: int, make: Callable[[Path, Path], Steps]) -> Way:
        """Run the steps that `make` (job file, output folder) gives, then have what they wrote read back."""
        out, base = self.folder(), self.base()
        job = self.job(dates, base, out)
        steps = {}
        for step, (command, env) in make(job, out).items():
            done = run(command, env=env, cwd=out if out.is_dir() else None)
            steps[step] = (done.wall_s, done.cpu_s, done.peak_mb)
        traffic = self.server.traffic(base) if self.server and base else None
        files = [path for path in out.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
        crc = run([python, PEERS / script, job]).document["crc"]
        found = Way(steps, traffic, len(files), sum(path.stat().st_size for path in files) / 1e6, crc)
        shutil.rmtree(out)
        return found


def tilewright(bench: Bench, dates: int) -> Way:
    """The stages one after another, each a process, as the rules call them."""

    def make(job: Path, out: Path) -> Steps:
        aoi = {"file": str(bench.world.aoi(bench.layout).resolve())}
        return {
            stage: (command, None)
            for stage, command in bench.stages({"config": bench.config(dates, aoi), "folder": out}).items()
        }

    return bench.way("tilewright_check.py", sys.executable, dates, make)


def by_snakemake(bench: Bench, dates: int) -> Way:
    """As users do it: one snakemake, one tile's series."""

    def make(job: Path, out: Path) -> Steps:
        out.mkdir(parents=True)
        config = out / "config.yaml"
        config.write_text(
            json.dumps(bench.config(dates, {"file": str(bench.world.aoi(bench.layout).resolve())}))
        )  # JSON is YAML
        binaries = Path(sys.executable).parent
        path = {"PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin"}
        target = f"results/bench/tiles/{TILE}/series.zarr.zip"
        command = [
            binaries / "snakemake", target, "--snakefile", ROOT / "Snakefile", "--directory", out, "--cores", str(THREADS),
            "--quiet", "all", "--configfile", config,
        ]  # fmt: skip
        return {"snakemake": (command, path)}

    return bench.way("tilewright_check.py", sys.executable, dates, make)


def s2cube(bench: Bench, dates: int) -> Way:
    """One process: plan, search, create, fetch."""
    python = python_of("s2cube", bench.data)
    script = PEERS / "s2cube_run.py"
    return bench.way("s2cube_check.py", python, dates, lambda job, out: {"s2cube": ([python, script, job], None)})


def rslearn(bench: Bench, dates: int) -> Way:
    """Its own commands, on a dataset folder with a config and points."""
    python = python_of("rslearn", bench.data)

    def make(job: Path, out: Path) -> Steps:
        run([python, PEERS / "rslearn_prepare.py", job])
        env = {"PYTHONPATH": str(PEERS), "BENCH_STAC": bench.catalog.url if bench.catalog else ""}
        command = [python.parent / "rslearn", "dataset"]
        root = ["--root", out]
        windows = [
            "--group",
            "default",
            "--fname",
            out / "points.geojson",
            "--utm",
            "--resolution",
            "10",
            "--window_size",
            str(CELL_M // 10),
        ]
        span = ["--start", f"{YEAR}-01-01T00:00:00+00:00", "--end", f"{YEAR}-{dates:02}-28T00:00:00+00:00"]
        workers = ["--workers", str(THREADS)]
        return {
            "add_windows": ([*command, "add_windows", *root, *windows, *span], env),
            "prepare": ([*command, "prepare", *root, *workers], env),
            "materialize": ([*command, "materialize", *root, *workers], env),
        }

    return bench.way("rslearn_check.py", python, dates, make)


WAYS: dict[str, Callable[[Bench, int], Way]] = {
    OURS: tilewright,
    SNAKEMAKE: by_snakemake,
    S2CUBE: s2cube,
    RSLEARN: rslearn,
}
REPEATS = {OURS: 3, SNAKEMAKE: 3, S2CUBE: 3, RSLEARN: 1}

OUTPUTS = [
    {
        "tool": OURS, "format": "Zarr 3 in one zip, a cell's series a chunk; tables in Parquet",
        "resolutions": "native (10 m; 20 m; SCL 20 m)",
        "chose scenes": "a cell and date at a time, by counted SCL classes",
        "beside the pixels": "SCL counts, bad and no-data shares, ids, orbits, baselines, offsets, selection with reasons, band sums",
        "did not do": "labels (not asked for)",
        "of the MB": "half is patches.zarr.zip, kept so that an edit or one more period reads only what is new",
    },
    {
        "tool": S2CUBE, "format": "one HDF5 file, gzip-4, a chunk a site and date",
        "resolutions": "all on 10 m: 20 m bands and SCL repeated 2 x 2 (1.9 times the pixels)",
        "chose scenes": "no: every date of the search",
        "beside the pixels": "valid and clear share by site and date, provenance of scenes",
        "did not do": "choice of scenes by cell; native 20 m; reuse on a change of bands",
    },
    {
        "tool": RSLEARN, "format": "a folder for each window, a GeoTIFF for each date and band set, JSON beside each",
        "resolutions": "native, by zoom_offset (10 m; 20 m; SCL 20 m)",
        "chose scenes": "no: every scene that meets the window (SCL is read as one more band)",
        "beside the pixels": "items matched to each window",
        "did not do": "choice of scenes by cell; statistics",
    },
]  # fmt: skip


def whole_way(
    bench: Bench, dates: int, quick: bool, tools: list[str], layout: str, far: bool
) -> dict[str, dict[str, Any]]:
    """All tools on the cells of the layout; {tool: row}. What they wrote must hold the same pixels."""
    bench.layout, bench.far = layout, far
    jobs: dict[str, Callable[[], Way]] = {}
    for name, way in WAYS.items():
        if name not in tools:
            continue
        try:
            if name in (S2CUBE, RSLEARN):
                python_of(name, bench.data)
        except NoPeerError as error:
            print(f"{name} is left out: {error}")
            continue
        jobs[name] = partial(way, bench, dates)
    found = interleaved(
        jobs, {name: 1 if quick else REPEATS[name] for name in jobs}, lambda text: print(f"  {text}", flush=True)
    )
    expected = run(
        [sys.executable, PEERS / "rasterio_blocks.py", bench.job(dates, bench.base(), bench.folder())]
    ).document["crc"]
    if wrong := [name for name, ways in found.items() for way in ways if way.crc != expected]:
        raise SystemExit(f"{', '.join(sorted(set(wrong)))} wrote other pixels than rasterio reads: nothing is compared")
    rows = {}
    ours = median([way.wall_s for way in found[OURS]])
    for name, ways in found.items():
        wall = median([way.wall_s for way in ways])
        typical = next(way for way in ways if way.wall_s == wall)
        rows[name] = {
            "tool": name, "wall s": wall, "CPU s": median([way.cpu_s for way in ways]), "wall/ours": wall / ours,
            "peak MB": median([way.peak_mb for way in ways]),
            "MB fetched": typical.traffic.mb if typical.traffic else None,
            "requests": typical.traffic.requests if typical.traffic else None,
            "files": typical.files, "MB written": typical.mb, "runs": len(ways),
        }  # fmt: skip
    count = (
        f"{len(bench.world.cells(bench.layout))} cells in {'one square' if bench.layout == 'square' else 'clusters'}"
    )
    note = (
        "Process starts, imports, search and everything else included. Every pixel that they wrote is equal (CRC-32)."
    )
    show(
        f"The whole way: {count} x {dates} dates x 4 bands + SCL, {'40 ms a request' if far else 'no latency'}",
        list(rows.values()),
        note,
    )
    steps = [
        {"tool": name, "step": step, "wall s": wall, "CPU s": cpu, "peak MB": peak}
        for name, ways in found.items()
        for step, (wall, cpu, peak) in ways[-1].steps.items()
    ]
    show("Where the time goes (last run of each)", steps)
    for name, row in rows.items():
        row["steps"] = {step: list(values) for step, values in found[name][-1].steps.items()}
    return rows


def outputs(rows: dict[str, dict[str, Any]]) -> None:
    """What each tool wrote, side by side: they are not the same thing."""
    for about in OUTPUTS:
        if wrote := rows.get(about["tool"]):
            facts = [{"": key, about["tool"]: value} for key, value in about.items() if key != "tool"]
            facts.append({"": "files, MB", about["tool"]: f"{wrote['files']}, {wrote['MB written']:.0f}"})
            show(f"What {about['tool']} wrote", facts)


def crop_alone(bench: Bench, dates: int, quick: bool) -> dict[str, Any]:
    """crop on all cells side by side, for some dates and twice as many, beside its floor: decoding and encoding them all."""
    cells = bench.world.dense()
    found: dict[int, dict[str, Any]] = {}
    for wanted in [dates] if quick else [dates, 2 * dates]:
        out = bench.folder()
        bench.base()
        spec = {"config": bench.config(wanted, {"tiles": [TILE]}), "folder": out, "cells": cells}
        commands = bench.stages(spec)
        for stage in ("search", "mask"):
            run(commands[stage])
        runs: list[tuple[Measured, serve.Traffic | None]] = []
        for _ in range(1 if quick else 3 if wanted == dates else 2):
            for name in ("patches.zarr.zip", "selection.parquet"):
                (out / name).unlink(missing_ok=True)  # or crop would copy what it has
            if (base := bench.base()) and bench.server:
                run(commands["search"])  # hrefs of this run
            print(f"  crop, {len(cells)} cells x {wanted} dates ({len(runs) + 1})", flush=True)
            done = run(commands["crop"])
            runs.append((done, bench.server.traffic(base) if bench.server and base else None))
        written = (out / "patches.zarr.zip").stat().st_size / 1e6
        found[wanted] = {
            "cells": len(cells), "dates": wanted, "wall s": median([done.wall_s for done, _ in runs]),
            "CPU s": median([done.cpu_s for done, _ in runs]), "peak MB": max(done.peak_mb for done, _ in runs),
            "MB fetched": runs[-1][1].mb if runs[-1][1] else None, "MB written": written,
        }  # fmt: skip
        shutil.rmtree(out)
    job = bench.scratch / "floor.json"
    job.write_text(json.dumps(bench.world.job(cells, dates)))
    decode = [run([sys.executable, PEERS / "floor.py", job]).document for _ in range(1 if quick else 3)]
    encode = [run([sys.executable, PEERS / "encode_floor.py", job]).document for _ in range(1 if quick else 3)]
    startup = run([sys.executable, PEERS / "tilewright_reader.py"]).cpu_s
    decoding, encoding = median([one["cpu_s"] for one in decode]), median([one["cpu_s"] for one in encode])
    rows = [
        {**row, "CPU/floor": row["CPU s"] / ((decoding + encoding) * row["dates"] / dates)} for row in found.values()
    ]
    note = (
        f"The floor for {dates} dates: decoding every block once {decoding:.2f} CPU-s, encoding every patch once {encoding:.2f} CPU-s, one thread, "
        f"in memory. crop's CPU is the whole process, of it about {startup:.1f} s start-up, and writes to disk."
    )
    show("The crop stage alone", rows, note)
    return {"rows": rows, "decode": decode, "encode": encode}


def main() -> None:
    parser = argparse.ArgumentParser(description="From search to files, beside s2cube and rslearn; crop alone.")
    parser.add_argument("--quick", action="store_true", help="a tiny world, a local catalog, tilewright only")
    parser.add_argument("--only", choices=["way", "crop"], help="one of the two parts")
    parser.add_argument("--tools", nargs="+", choices=list(WAYS), default=list(WAYS), help="not all of them")
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    world = ensure(told.quick, told.data)
    with ExitStack() as stack:
        # In the data folder, not in /tmp, which may be memory: crop's outputs are gigabytes.
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=told.data)))
        why = "a quick run reads local files" if told.quick else serve.ensure()
        if why:
            print(f"without a server: {why}")
        if why and not told.quick:
            raise SystemExit("the whole way needs the server")
        server = None if why else stack.enter_context(serve.serving(world.folder, scratch / "nginx"))
        catalog = None if why else stack.enter_context(StacServer(world.items(), world.folder))
        bench = Bench(world, told.data, server, catalog, scratch)
        ways: dict[str, dict[str, dict[str, Any]]] = {}
        if told.only != "crop":
            tools = [OURS] if told.quick else told.tools
            near = [name for name in (OURS, S2CUBE) if name in tools]
            # As from object storage: what the targets are for. Then what the tools themselves need, and s2cube's best
            # case, cells that it reads in one window.
            ways["clusters, 40 ms"] = whole_way(bench, 3, told.quick, tools, "clusters", far=True)
            if not told.quick:
                ways["clusters"] = whole_way(bench, 3, False, tools, "clusters", far=False)
                ways["square"] = whole_way(bench, 3, False, near, "square", far=False)
            bench.far = False
            outputs(ways["clusters, 40 ms"])
        crop = crop_alone(bench, 3 if told.quick else 6, told.quick) if told.only != "way" else {}
    if told.quick:
        keep("end_to_end-quick", {"ways": ways, "crop": crop})
        return
    checks = checks_of(ways.get("clusters, 40 ms", {}), crop)
    verdicts("Targets for the whole way", checks)
    keep("end_to_end", {"ways": ways, "crop": crop}, checks)


def checks_of(way: dict[str, dict[str, Any]], crop: dict[str, Any]) -> list[Check]:
    """Our targets for the whole way, beside what was found."""
    few, many = crop["rows"] if crop else ({}, {})

    def times(name: str) -> float | None:
        return way[name]["wall/ours"] if name in way else None

    return [
        Check("the whole way, s2cube: times tilewright's wall", times(S2CUBE), 3, at_least=True),
        Check("the whole way, rslearn: times tilewright's wall", times(RSLEARN), 20, at_least=True),
        Check("peak memory of crop, 3249 cells x 6 dates, MB", few.get("peak MB"), 800),
        Check("  with 12 dates / with 6", many["peak MB"] / few["peak MB"] if crop else None, 1.1),
        Check("crop's CPU a date, 12 dates / 6", many["CPU s"] / few["CPU s"] / 2 if crop else None, 1.1),
    ]


if __name__ == "__main__":
    try:
        main()
    except FailedRunError as error:
        sys.exit(str(error))
