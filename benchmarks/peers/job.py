"""What every reader of the comparison shares: how it is told its work, and how it tells what it read.

Runs in the peers' own environments, so it needs nothing but numpy. A reader is a function `read(job)` that returns for every
scene and band, in the job's order, the patches in the order of the cells: (cell, y, x), or a list of (y, x). It is timed from
after its imports to its last array in memory; checksums are taken after the clock has stopped.
"""

import copy
import json
import resource
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Arrays = list[list[Sequence[np.ndarray]]]  # [scene][band][cell] -> (y, x)


class Job:
    """The work: scenes, bands and cells."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.epsg: int = told["epsg"]
        self.ulx: int = told["ulx"]
        self.uly: int = told["uly"]
        self.side_m: int = told["side_m"]
        self.cell_m: int = told["cell_m"]
        self.cells: list[tuple[int, int]] = [tuple(cell) for cell in told["cells"]]
        self.bands: dict[str, int] = told["bands"]  # band -> metres a pixel
        self.keys: dict[str, str] = told["keys"]  # band -> asset key
        self.items: list[dict[str, Any]] = told["items"]
        self.files: list[dict[str, str]] = told["files"]
        self.threads: int = told["threads"]
        self.keep: bool = told.get("keep", True)  # patches stay in memory, as their checksums need
        self.warm: bool = told.get("warm", False)  # a first patch before the clock starts

    def first(self) -> "Job":
        """One cell of one scene."""
        one = copy.copy(self)
        one.cells, one.items, one.files = self.cells[:1], self.items[:1], self.files[:1]
        return one

    def href(self, scene: int, band: str) -> str:
        return self.items[scene]["assets"][self.keys[band]]["href"]

    def dtype(self, band: str) -> np.dtype:
        return np.dtype("uint8" if band == "SCL" else "uint16")

    def side(self, band: str) -> int:
        """Pixels of a cell's side."""
        return self.cell_m // self.bands[band]

    def corner(self, cell: int, band: str) -> tuple[int, int]:
        """Row and column of a cell's first pixel in the assets of `band`."""
        x, y = self.cells[cell]
        return (self.uly - y) // self.bands[band], (x - self.ulx) // self.bands[band]

    def blocks(self, band: str, block: int = 1024) -> dict[tuple[int, int], list[int]]:
        """Blocks that cells meet, row by row: block's row and column -> cells."""
        side = self.side(band)
        found: dict[tuple[int, int], list[int]] = {}
        for cell in range(len(self.cells)):
            row, col = self.corner(cell, band)
            for i in range(row // block, (row + side - 1) // block + 1):
                for j in range(col // block, (col + side - 1) // block + 1):
                    found.setdefault((i, j), []).append(cell)
        return dict(sorted(found.items()))

    def scatter(self, pixels: np.ndarray, at: tuple[int, int], cells: list[int], band: str, out: np.ndarray) -> None:
        """Copy what a block at (row, column) in pixels holds of the cells into out (cell, y, x)."""
        side = self.side(band)
        for cell in cells:
            row, col = self.corner(cell, band)
            top, left = max(row, at[0]), max(col, at[1])
            bottom, right = min(row + side, at[0] + pixels.shape[0]), min(col + side, at[1] + pixels.shape[1])
            part = pixels[top - at[0] : bottom - at[0], left - at[1] : right - at[1]]
            out[cell, top - row : bottom - row, left - col : right - col] = part


def run(read: Callable[[Job], Arrays | None]) -> None:
    """Read the job named on the command line and print one line of JSON about it; without a job only the imports count."""
    if len(sys.argv) < 2:
        return
    with open(sys.argv[1]) as file:
        job = Job(json.load(file))
    if job.warm:
        read(job.first())
    cpu, wall = time.process_time(), time.perf_counter()
    arrays = read(job)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    told: dict[str, Any] = {"wall_s": wall, "cpu_s": cpu}
    if arrays is not None:
        told["crc"] = [[_crc(patches) for patches in bands] for bands in arrays]
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(told))


def _crc(patches: Sequence[np.ndarray]) -> int:
    found = 0
    for patch in patches:
        found = zlib.crc32(
            np.ascontiguousarray(patch), zlib.crc32(str((patch.shape, patch.dtype.name)).encode(), found)
        )
    return found
