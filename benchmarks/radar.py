"""Sentinel-1 into cells: tilewright's reader beside GDAL's warpers, on the same image, from the same server; and how far off each looks.

python benchmarks/radar.py            the whole comparison, about 6 minutes after the first time
python benchmarks/radar.py --quick    a small swath from local files
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import serve
from measure import FailedRunError, Measured, interleaved, run
from radar_world import STEP, RadarWorld, ensure
from table import Check, keep, show, verdicts
from venvs import PEERS, NoPeerError, python_of
from world import CELL_M, DATA, EPSG, ULX, ULY

Cells = list[tuple[int, int]]
FLOOR, OURS, OURS_DN = "decode floor", "tilewright sigma0", "tilewright DN"
WHOLE, WHOLE_DN = "reproject whole grid, TPS, sigma0", "reproject whole grid, TPS, DN"
CELL, VRT = "reproject a cell, TPS, DN", "WarpedVRT, TPS, a window a cell, DN"
VRT_PLAIN, AFFINE = "WarpedVRT, polynomial, a window a cell, DN", "WarpedVRT a cell, one affine transform, DN"
RTC, WINDOWS = "tilewright gamma0", "rasterio windows"
TRUTH = Path(__file__).with_name("radar_truth.py")
ODC = "odc-stac, lazy, DN"
SOME = 3  # rows of cells that are read where reading all cell by cell takes too long


@dataclass(frozen=True)
class Reader:
    """A reader of the comparison.

    Attributes:
        script: in peers/.
        venv: whose environment it runs in; "" is the project's own.
        grid: warps the whole grid, whatever the cells are; run once, on all of them, and shown wherever it is compared.
        slow: reads some of the cells where there are thousands.
        same: reader that looks at the same places, whose error is this one's, too.
        half: what is told apart of its error, see `radar_truth.off`.
    """

    name: str
    script: str
    quantity: str
    venv: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    grid: bool = False
    slow: bool = False
    same: str = ""

    @property
    def half(self) -> float:
        return 0.5 if self.venv else 0.0


READERS = [
    Reader(FLOOR, "radar_floor.py", "dn"),
    Reader(OURS, "radar_tilewright.py", "sigma0", same=OURS_DN),
    Reader(OURS_DN, "radar_tilewright.py", "dn"),
    Reader(WHOLE, "radar_warp.py", "sigma0", "lazy", same=WHOLE_DN, grid=True),
    Reader(WHOLE_DN, "radar_warp.py", "dn", "lazy", grid=True),
    Reader(ODC, "radar_odc.py", "dn", "lazy"),
    Reader(CELL, "radar_cells.py", "dn", "lazy", {"by": "reproject", "method": "GCP_TPS"}, slow=True),
    Reader(VRT, "radar_cells.py", "dn", "lazy", {"by": "vrt", "method": "GCP_TPS"}, slow=True),
    Reader(VRT_PLAIN, "radar_cells.py", "dn", "lazy", {"by": "vrt"}, slow=True),
    Reader(AFFINE, "radar_cells.py", "dn", "lazy", {"by": "affine"}, slow=True),
]
QUICK = [reader for reader in READERS if reader.name not in (ODC, CELL, VRT_PLAIN, AFFINE)]
ON_GRID = [
    Reader(FLOOR, "radar_floor.py", "gamma0"),
    Reader(RTC, "radar_tilewright.py", "gamma0"),
    Reader(WINDOWS, "radar_cells.py", "gamma0", "lazy"),
]


@dataclass(frozen=True)
class Took:
    """One run of a reader: the whole process, what it says of its reading, and what the server's log says."""

    process: Measured
    told: dict[str, Any]
    traffic: serve.Traffic | None


class Bench:
    """Where the image, the server and the environments are."""

    def __init__(
        self, world: RadarWorld, data: Path, server: serve.Server | None, quick: bool, repeats: int, scratch: Path
    ) -> None:
        self.world, self.data, self.server, self.quick, self.scratch = world, data, server, quick, scratch
        self.repeats = repeats
        self._blocks: dict[tuple[str, int], list[int]] = {}
        # of readers of the whole grid
        self._taken: dict[str, Took] = {}
        self._off: dict[str, dict[str, Any]] = {}

    def command(self, reader: Reader) -> list[str]:
        python = sys.executable if self.quick or not reader.venv else str(python_of(reader.venv, self.data))
        return [python, str(PEERS / reader.script)]

    def job(self, reader: Reader, cells: Cells, file: str, base: str | None = None, **more: Any) -> Path:
        """A JSON file for `reader`, of a file of the world."""
        folder = self.world.folder.resolve()
        side = self.world.size.side_m // STEP
        document = {
            "epsg": EPSG, "grid": [ULX, ULY, side], "step": STEP, "side": CELL_M // STEP, "cells": cells, "threads": 2,
            "href": f"{base or folder}/{file}.tif", "calibration": f"{base or folder}/calibration.xml", "quantity": reader.quantity,
            "options": reader.options, "half": reader.half, "file": str(folder / f"{file}.tif"), "blocks": [], "samples": None, "whole": False,
            "swath": {"rows": self.world.swath.rows, "columns": self.world.swath.columns, "side_m": self.world.swath.side_m}, **more,
        }  # fmt: skip
        path = self.scratch / "job.json"
        path.write_text(json.dumps(document))
        return path

    def take(self, reader: Reader, cells: Cells, file: str, far: bool = False) -> Took:
        """Run `reader` once, with URLs of its own."""
        if reader.name in self._taken:
            return self._taken[reader.name]
        base = self.server.base(far) if self.server else None
        blocks = self.blocks(reader, cells, file) if reader.name == FLOOR else []
        measured = run([*self.command(reader), self.job(reader, cells, file, base, blocks=blocks)])
        took = Took(measured, measured.document, self.server.traffic(base) if self.server and base else None)
        if reader.grid:
            self._taken[reader.name] = took
        return took

    def blocks(self, reader: Reader, cells: Cells, file: str) -> list[int]:
        """The blocks that the cells meet."""
        key = (file, len(cells))
        if key not in self._blocks:
            found = run([sys.executable, TRUTH, "blocks", self.job(reader, cells, file)])
            self._blocks[key] = json.loads(found.stdout)
        return self._blocks[key]

    def off(self, reader: Reader, cells: Cells) -> dict[str, Any]:
        """How far off `reader` looks: what it finds in rows.tif and columns.tif beside what is at the true place."""
        if reader.name in self._off:
            return self._off[reader.name]
        samples = [self.scratch / f"{file}.npy" for file in ("rows", "columns")]
        for path in samples:
            run([*self.command(reader), self.job(reader, cells, path.stem, samples=str(path))])
        found = run([sys.executable, TRUTH, "off", self.job(reader, cells, "rows"), *samples]).document
        if reader.grid:
            self._off[reader.name] = found
        return found

    def whole(self, reader: Reader, cells: Cells, file: str) -> list[int]:
        """Checksums of all pixels of the cells."""
        return run([*self.command(reader), self.job(reader, cells, file, whole=True)]).document["crc"]


def compare(
    bench: Bench, title: str, cells: Cells, file: str, readers: list[Reader], far: bool = False, note: str = ""
) -> dict[str, dict[str, Any]]:
    """Run all readers, measure their errors (of a swath), print the table; {reader: row}."""
    some = {reader.name: _some(cells) if reader.slow else cells for reader in readers}
    some |= {reader.name: bench.world.tile.dense() for reader in readers if reader.grid}
    once = {reader.name for reader in readers if reader.grid or len(some[reader.name]) < len(cells)}
    repeats = {reader.name: 1 if reader.name in once else bench.repeats for reader in readers}
    jobs = {reader.name: lambda reader=reader: bench.take(reader, some[reader.name], file, far) for reader in readers}
    found = interleaved(jobs, repeats, lambda text: print(f"  {title}: {text}", flush=True))
    floor = min(one.told["cpu_s"] for one in found[FLOOR])
    told = found[FLOOR][0].told
    rows = {}
    for reader in readers:
        runs, times = found[reader.name], max(1, len(cells) / len(some[reader.name]))
        rows[reader.name] = row = _row(reader.name, runs, times, len(cells), floor)
        if reader.name == FLOOR:
            row["MB"] = told["mb"]
    for reader in readers if file == "grd" and not far else []:
        if reader.name != FLOOR and not reader.same:
            error = bench.off(reader, some[reader.name])
            if error["lost"]:
                raise SystemExit(
                    f"{title}: {reader.name} finds nothing at {error['lost']} places that the image covers"
                )
            for name, row in rows.items():
                if name in (reader.name, *(other.name for other in readers if other.same == reader.name)):
                    row |= {"off px: worst": error["worst"], "median": error["median"], "worst but ½": error["but"]}
    least = "the least of " + " to ".join(str(n) for n in sorted(set(repeats.values()))) + " runs, interleaved"
    parts = [len(some[name]) for name in some if len(some[name]) < len(cells)]
    starred = (
        f"\n* {parts[0]} of the cells were read, {SOME} rows of them side by side; CPU and wall are multiplied by {len(cells) / parts[0]:.3g}."
        if parts
        else ""
    )
    show(
        title,
        [{name: value for name, value in row.items() if name != "mean"} for row in rows.values()],
        f"CPU and wall: {least}; the reading alone, imports done, all threads (two). Peak: the whole process; patches are let go as they come.\n"
        f"The floor inflates {told['blocks']} unique blocks ({told['mb']:.0f} MB) from memory on one thread.{starred}{note}",
    )
    return rows


def _some(cells: Cells) -> Cells:
    """All, or of thousands some rows amid them."""
    if len(cells) <= 1000:
        return cells
    tops = sorted({y for _, y in cells}, reverse=True)
    wanted = set(tops[len(tops) // 2 : len(tops) // 2 + SOME])
    return [cell for cell in cells if cell[1] in wanted]


def _row(name: str, runs: list[Took], times: float, cells: int, floor: float) -> dict[str, Any]:
    cpu = times * min(one.told["cpu_s"] for one in runs)
    # bytes are not extrapolated: neighbouring rows of cells share blocks, which GDAL may still have in its cache
    traffic = [one.traffic for one in runs if one.traffic and name != FLOOR and times == 1]
    return {
        "reader": name + (" *" if times > 1 else ""), "CPU s": cpu, "CPU/floor": cpu / floor, "CPU ms/cell": 1000 * cpu / cells,
        "wall s": times * min(one.told["wall_s"] for one in runs), "peak MB": min(one.process.peak_mb for one in runs),
        "MB": min(one.mb for one in traffic) if traffic else None,
        "requests": min(one.requests for one in traffic) if traffic else None,
        "asked twice MB": max(one.repeated_mb for one in traffic) if traffic else None, "mean": runs[0].told.get("mean"),
    }  # fmt: skip


def alike(bench: Bench, cells: Cells) -> None:
    """On the grid a reader has nothing to compute: every pixel is the file's."""
    ours, theirs = (bench.whole(reader, cells, "rtc") for reader in ON_GRID[1:])
    if ours != theirs:
        raise SystemExit(f"{RTC} and {WINDOWS} read other pixels: nothing is compared")


def checks_of(tables: dict[str, dict[str, dict[str, Any]]]) -> list[Check]:
    """What reading radar must cost and find."""
    clustered, dense, rtc = (tables[name] for name in ("clustered", "dense", "rtc"))
    checks = []
    for title, rows in (("256 clustered cells", clustered), ("3249 cells", dense)):
        ours = rows[OURS]
        checks += [
            Check(f"{title}: pixels off the truth, worst", ours["off px: worst"], 0.5),
            Check("  bytes fetched / bytes of unique blocks", ours["MB"] and ours["MB"] / rows[FLOOR]["MB"], 1.1),
            Check("  bytes asked for more than once, MB", ours["asked twice MB"], 0),
            Check("  reproject with sigma nought: times tilewright's CPU", rows[WHOLE]["CPU s"] / ours["CPU s"], 1, at_least=True),
            Check(
                "  the best of those that follow the points, DN: times the CPU of tilewright's DN",
                min(rows[name]["CPU s"] for name in (WHOLE_DN, ODC, CELL, VRT, VRT_PLAIN)) / rows[OURS_DN]["CPU s"], 1, at_least=True,
            ),
        ]  # fmt: skip
    apart = 100 * abs(dense[OURS]["mean"] / dense[WHOLE]["mean"] - 1)
    checks.append(Check("3249 cells: mean sigma nought apart from that of reproject", apart, 0.5, unit=" %"))
    return [*checks, Check("RTC on the grid, 3249 cells: CPU / decode floor", rtc[RTC]["CPU/floor"], 1.5)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading Sentinel-1, beside GDAL's warpers.")
    parser.add_argument("--quick", action="store_true", help="a small swath, local files")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each reader")
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    world = ensure(told.quick, told.data)
    if not told.quick:
        python_of("lazy", told.data)  # rasterio's own environment, made before anything is measured
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        why = "a quick run reads local files" if told.quick else serve.ensure()
        if why:
            print(f"without a server: {why}")
        server = None if why else stack.enter_context(serve.serving(world.folder, scratch / "nginx"))
        bench = Bench(world, told.data, server, told.quick, 1 if told.quick else told.repeats, scratch)
        clusters, dense = world.tile.clusters(), world.tile.dense()
        groups = f"{len(clusters)} cells in {len(clusters) // world.size.cluster**2} clusters"
        image = f"a GRD of {world.swath.rows} x {world.swath.columns}"
        readers = QUICK if told.quick else READERS
        tables = {"clustered": compare(bench, f"{groups} from {image}", clusters, "grd", readers)}
        if server:
            near = [reader for reader in READERS if reader.name in (FLOOR, OURS, VRT)]
            tables["clustered, 40 ms"] = compare(bench, f"{groups}, 40 ms a request", clusters, "grd", near, far=True)
        if not told.quick:
            tables["dense"] = compare(bench, f"{len(dense)} cells side by side from {image}", dense, "grd", readers)
        alike(bench, dense)
        note = "\nThe pixels of all cells are equal (CRC-32)."
        title = f"{len(dense)} cells from an RTC on their grid, float32"
        tables["rtc"] = compare(bench, title, dense, "rtc", ON_GRID, note=note)
    document = {"tables": {name: list(rows.values()) for name, rows in tables.items()}}
    if told.quick:
        keep("radar-quick", document)
        return
    checks = checks_of(tables)
    verdicts("Targets for reading Sentinel-1", checks)
    keep("radar", document, checks)


if __name__ == "__main__":
    try:
        main()
    except (FailedRunError, NoPeerError) as error:
        sys.exit(str(error))
