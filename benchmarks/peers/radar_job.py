"""What every reader of radar shares: how it is told its work, and how it tells what it read. Needs nothing but numpy.

A reader is a function `read(job, take)` that calls take(cell, pixels) once for every cell, from any thread, with the (y, x) float32
linear power on the cell's grid: DN², sigma nought, or gamma nought as stored. Patches are let go then, as crop does. It is timed from after its imports
to its last patch.
"""

import json
import resource
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

Take = Callable[[int, np.ndarray], None]
SAMPLE = slice(12, None, 24)  # pixels of a cell that are kept, along both sides


class Job:
    """The work: one image and the cells."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.epsg: int = told["epsg"]
        self.grid: tuple[int, int, int] = tuple(
            told["grid"]
        )  # left, top, pixels along a side: the square that holds all cells
        self.step: int = told["step"]  # metres a pixel
        self.side: int = told["side"]  # pixels of a cell's side
        self.cells: list[tuple[int, int]] = [tuple(cell) for cell in told["cells"]]
        self.href: str = told["href"]
        self.calibration: str = told["calibration"]  # href of the XML
        self.quantity: str = told["quantity"]  # dn, sigma0 or gamma0
        self.options: dict[str, Any] = told["options"]  # of the reader itself
        self.file: str = told["file"]  # for the floor, which takes no part in fetching
        self.blocks: list[int] = told["blocks"]  # that the cells meet
        self.samples: str | None = told["samples"]  # where some pixels of every cell are kept
        self.whole: bool = told["whole"]  # checksums of all pixels; not for runs that are timed
        self.threads: int = told["threads"]

    def corner(self, cell: int) -> tuple[int, int]:
        """Row and column of a cell's first pixel on the grid."""
        left, top, _ = self.grid
        x, y = self.cells[cell]
        return (top - y) // self.step, (x - left) // self.step


def each(job: Job, work: Callable[[range], None]) -> None:
    """Do `work` on the cells in as many runs of neighbours as there are threads."""
    count = len(job.cells)
    edges = [count * at // job.threads for at in range(job.threads + 1)]
    with ThreadPoolExecutor(job.threads) as pool:
        for _ in pool.map(work, [range(first, last) for first, last in pairwise(edges)]):
            pass


def run(read: Callable[[Job, Take], None]) -> None:
    """Read the job named on the command line and print one line of JSON about it."""
    with open(sys.argv[1]) as file:
        job = Job(json.load(file))
    count = len(range(*SAMPLE.indices(job.side)))
    found = np.full((len(job.cells), count, count), -1, np.float32)
    crc = [0] * len(job.cells)

    def take(cell: int, pixels: np.ndarray) -> None:
        found[cell] = pixels[SAMPLE, SAMPLE]
        if job.whole:
            crc[cell] = zlib.crc32(np.ascontiguousarray(pixels))

    cpu, wall = time.process_time(), time.perf_counter()
    read(job, take)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if (found == -1).any():
        raise SystemExit("some cells were not read")
    if job.samples:
        np.save(job.samples, found)
    told = {
        "wall_s": wall,
        "cpu_s": cpu,
        "mean": float(np.nanmean(found, dtype=np.float64)),
        "crc": crc if job.whole else None,
    }
    print(json.dumps({**told, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}))
