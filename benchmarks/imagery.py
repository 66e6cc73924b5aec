"""Reading patches into memory: tilewright's reader beside the peers, on the same bytes, from the same server.

python benchmarks/imagery.py            the whole comparison, about 10 minutes after the first time
python benchmarks/imagery.py --all      with the peers that take minutes by themselves
python benchmarks/imagery.py --quick    a tiny world from local files, readers that the project has anyway
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import serve
from measure import FailedRunError, Measured, interleaved, median, run
from table import Check, keep, show, verdicts
from venvs import PEERS, NoPeerError, python_of
from world import DATA, World, ensure

FLOOR, OURS, BLOCKS = "decode floor", "tilewright", "rasterio blocks"
STACKSTAC = ["stackstac lazy patches", "stackstac lazy window"]
ODC = ["odc-stac lazy patches", "odc-stac lazy window"]
PATCHES, STACKSTAC_PATCHES = "rasterio per patch", "stackstac per patch"


@dataclass(frozen=True)
class Reader:
    """A reader of the comparison: its script, whose environment it runs in, and how often it is worth running."""

    name: str
    script: str
    venv: str = ""  # "" is the project's own
    repeats: int = 3
    dense: bool = True

    def command(self, data: Path, quick: bool) -> list[str]:
        python = sys.executable if quick or not self.venv else str(python_of(self.venv, data))
        return [python, str(PEERS / self.script)]


READERS = [
    Reader(FLOOR, "floor.py", repeats=5),
    Reader(OURS, "tilewright_reader.py", repeats=5),
    Reader(BLOCKS, "rasterio_blocks.py", "lazy"),
    # Thousands of slices in one graph cost dask more than reading does; where cells fill a rectangle, that is their best.
    Reader(STACKSTAC[0], "stackstac_lazy.py", "lazy", dense=False),
    Reader(STACKSTAC[1], "stackstac_window.py", "lazy"),
    Reader(ODC[0], "odc_lazy.py", "lazy", dense=False),
    Reader(ODC[1], "odc_window.py", "lazy"),
    Reader(PATCHES, "rasterio_patches.py", "lazy", repeats=1, dense=False),
]
SLOW = [Reader(STACKSTAC_PATCHES, "stackstac_patches.py", "lazy", repeats=1, dense=False)]
QUICK = [reader for reader in READERS if reader.name not in (*ODC, STACKSTAC[0])]


@dataclass(frozen=True)
class Took:
    """One run of a reader: the whole process, what it says of its reading, and what the server's log says."""

    process: Measured
    told: dict[str, Any]
    traffic: serve.Traffic | None


class Bench:
    """Where the world, the server and the environments are."""

    def __init__(self, world: World, data: Path, server: serve.Server | None, quick: bool, scratch: Path) -> None:
        self.world, self.data, self.server, self.quick, self.scratch = world, data, server, quick, scratch

    def take(
        self, reader: Reader, cells: list[tuple[int, int]], dates: int, far: bool = False, keep: bool = True
    ) -> Took:
        """Run `reader` once, with URLs of its own."""
        base = self.server.base(far) if self.server else None
        path = self.scratch / "job.json"
        path.write_text(json.dumps({**self.world.job(cells, dates, base), "keep": keep, "warm": not keep}))
        measured = run([*reader.command(self.data, self.quick), path])
        return Took(measured, measured.document, self.server.traffic(base) if self.server and base else None)

    def startup(self, readers: list[Reader]) -> dict[str, float]:
        """CPU seconds of each reader's process without work: interpreter and imports."""
        jobs = {reader.name: lambda reader=reader: run(reader.command(self.data, self.quick)) for reader in readers}
        found = interleaved(jobs, 1 if self.quick else 3)
        return {name: median([one.cpu_s for one in runs]) for name, runs in found.items()}

    def compare(
        self, title: str, cells: list[tuple[int, int]], dates: int, far: bool, readers: list[Reader], startup: dict[str, float]
    ) -> dict[str, dict[str, Any]]:  # fmt: skip
        """Run all readers, check that their arrays are equal, print the table; {reader: row}."""
        repeats = {reader.name: 1 if self.quick else reader.repeats for reader in readers}
        jobs = {reader.name: lambda reader=reader: self.take(reader, cells, dates, far) for reader in readers}
        found = interleaved(jobs, repeats, lambda text: print(f"  {title}: {text}", flush=True))
        _equal(title, found)
        floor = median([one.told["cpu_s"] for one in found[FLOOR]])
        rows = {name: _row(name, runs, floor, startup.get(name)) for name, runs in found.items()}
        told = found[FLOOR][0].told
        rows[FLOOR]["MB"], rows[FLOOR]["blocks"] = told["mb"], told["blocks"]
        for name, row in rows.items():
            if name != FLOOR and row["MB"] is not None:
                row["MB/floor"] = row["MB"] / told["mb"]
        note = (
            f"Medians of {' to '.join(str(n) for n in sorted(set(repeats.values())))} runs, interleaved. wall and CPU: the reading alone, imports "
            "done, all threads; start-up: CPU of interpreter and imports, apart.\n"
            f"Peak: whole process. The floor decodes {told['blocks']} unique blocks ({told['mb']:.0f} MB) from memory on one thread; "
            f"on two threads at once that takes {told['parallel_cpu_s']:.2f} CPU-s. All arrays are equal (CRC-32)."
        )
        show(title, [{key: value for key, value in row.items() if key != "blocks"} for row in rows.values()], note)
        return rows


def _row(name: str, runs: list[Took], floor: float, startup: float | None) -> dict[str, Any]:
    cpu = median([one.told["cpu_s"] for one in runs])
    traffic = [one.traffic for one in runs if one.traffic]
    return {
        "reader": name, "wall s": median([one.told["wall_s"] for one in runs]), "CPU s": cpu, "CPU/floor": cpu / floor,
        "start-up s": startup, "peak MB": median([one.process.peak_mb for one in runs]),
        "MB": median([one.mb for one in traffic]) if traffic else None, "MB/floor": None,
        "requests": median([one.requests for one in traffic]) if traffic else None,
        "asked twice MB": max(one.repeated_mb for one in traffic) if traffic else None, "runs": len(runs),
    }  # fmt: skip


def _equal(title: str, found: dict[str, list[Took]]) -> None:
    """All readers read the same pixels, every time, or the comparison means nothing."""
    sums = {name: [one.told["crc"] for one in runs] for name, runs in found.items() if name != FLOOR}
    ours = sums[OURS][0]
    if wrong := sorted({name for name, many in sums.items() for one in many if one != ours}):
        raise SystemExit(f"{title}: {', '.join(wrong)} read other pixels than {OURS}: nothing is compared")


def scaling(bench: Bench) -> list[dict[str, Any]]:
    """CPU of a patch as there are more of them side by side, and more dates; patches are let go as crop does.

    A first patch is read before the clock starts: what a process needs once is no cost of a patch.
    """
    cells, across = bench.world.dense(), bench.world.size.side_m // 1920
    shapes = [(10, 10, 6), (32, 25, 6), (57, 57, 6), (32, 25, 1), (32, 25, 3)]
    if bench.quick:
        shapes = [(3, 3, 3)]
    by_name = {reader.name: reader for reader in READERS}
    jobs = {}
    for rows, cols, dates in shapes:
        wanted = [cells[row * across + col] for row in range(rows) for col in range(cols)]
        for name in (FLOOR, OURS):
            jobs[name, rows, cols, dates] = lambda reader=by_name[name], wanted=wanted, dates=dates: (
                bench.take(reader, wanted, dates, keep=False).told
            )
    found = interleaved(jobs, 1 if bench.quick else 3)
    rows_found = []
    for rows, cols, dates in shapes:
        floor, ours = (median([told["cpu_s"] for told in found[name, rows, cols, dates]]) for name in (FLOOR, OURS))
        pieces = rows * cols * dates
        rows_found.append(
            {
                "cells": rows * cols, "dates": dates, "CPU s": ours, "CPU/floor": ours / floor,
                "CPU ms/patch": 1000 * ours / pieces, "floor ms/patch": 1000 * floor / pieces,
            }
        )  # fmt: skip
    show(
        "Cost as work grows: tilewright's reader on cells side by side, 5 bands, patches let go when finished",
        rows_found,
    )
    return rows_found


def checks_of(near: dict, far: dict, dense: dict, grown: list[dict[str, Any]]) -> list[Check]:
    """Our targets that concern reading, beside what was found."""

    def against(rows: dict, *others: str) -> float | None:
        best = min((rows[other]["CPU s"] for other in others if other in rows), default=None)
        return None if best is None else best / rows[OURS]["CPU s"]

    def spread(column: str, among: list[dict[str, Any]]) -> float:
        values = [row[column] for row in among]
        return max(values) / min(values)

    by_size = [row for row in grown if row["dates"] == 6]
    by_date = [row for row in grown if row["cells"] == 800]
    return [
        Check("bytes fetched / bytes of unique blocks", near[OURS]["MB/floor"], 1.02),
        Check("bytes of blocks asked for more than once, MB", near[OURS]["asked twice MB"], 0),
        Check("256 clustered x 3 dates x 5 bands: CPU / decode floor", near[OURS]["CPU/floor"], 1.5),
        Check("  stackstac's best: times tilewright's CPU", against(near, *STACKSTAC), 2.5, at_least=True),
        Check("  odc-stac's best: times tilewright's CPU", against(near, *ODC), 2.8, at_least=True),
        Check("  per-patch reads: times tilewright's CPU", against(near, PATCHES), 20, at_least=True),
        Check("  wall with 40 ms latency / without", far[OURS]["wall s"] / near[OURS]["wall s"], 1.3),
        Check("dense 3249 patches: CPU / decode floor", dense[OURS]["CPU/floor"], 1.5),
        Check("CPU a patch, most / least, 100 to 3249 cells", spread("CPU ms/patch", by_size), 1.1),
        Check(
            "  of which the floor: blocks on the edge of few cells are read for a part",
            spread("floor ms/patch", by_size),
            1.1,
        ),
        Check("CPU a patch, most / least, 1 to 6 dates", spread("CPU ms/patch", by_date), 1.1),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading patches into memory, beside the peers.")
    parser.add_argument(
        "--quick", action="store_true", help="a tiny world, local files, no peers of their own environment"
    )
    parser.add_argument("--all", action="store_true", help="with stackstac patch by patch, which takes minutes")
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    world = ensure(told.quick, told.data)
    readers = list(_usable((QUICK if told.quick else READERS) + (SLOW if told.all else []), told))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        why = "a quick run reads local files" if told.quick else serve.ensure()
        if why:
            print(f"without a server: {why}")
        server = None if why else stack.enter_context(serve.serving(world.folder, scratch / "nginx"))
        bench = Bench(world, told.data, server, told.quick, scratch)
        startup = bench.startup([reader for reader in readers if reader.name == OURS or not told.quick])
        cells = len(world.clusters())
        in_clusters = f"{cells} cells in {cells // world.size.cluster**2} clusters x 3 dates x 5 bands"
        near = bench.compare(f"{in_clusters}, no latency", world.clusters(), 3, False, readers, startup)
        far = (
            bench.compare(f"{in_clusters}, 40 ms a request", world.clusters(), 3, True, readers, startup)
            if server
            else near
        )
        fast = [reader for reader in readers if reader.name not in (PATCHES, STACKSTAC_PATCHES)]
        square = near
        if not told.quick:
            title = f"{cells} cells in one square x 3 dates x 5 bands"
            square = bench.compare(title, world.square(), 3, False, fast, startup)
        wide = [reader for reader in readers if reader.dense and (reader.name in (FLOOR, OURS) or not told.quick)]
        dense = bench.compare(
            f"{len(world.dense())} cells side by side x 1 date x 5 bands", world.dense(), 1, False, wide, startup
        )
        grown = scaling(bench)
    tables = {"clustered": near, "clustered, 40 ms": far, "square": square, "dense": dense}
    document = {"tables": {name: list(rows.values()) for name, rows in tables.items()}, "scaling": grown}
    if told.quick:
        keep("imagery-quick", document)
        return
    checks = checks_of(near, far, dense, grown)
    verdicts("Targets for reading", checks)
    keep("imagery", document, checks)


def _usable(readers: list[Reader], told: argparse.Namespace) -> Iterator[Reader]:
    """The readers whose environments can be had; the others are named, with the reason."""
    for reader in readers:
        try:
            reader.command(told.data, told.quick)
        except NoPeerError as error:
            print(f"{reader.name} is left out: {error}")
            continue
        yield reader


if __name__ == "__main__":
    try:
        main()
    except FailedRunError as error:
        sys.exit(str(error))
