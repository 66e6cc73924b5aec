"""What a reader of radar should have found; a process of its own, since the one that measures must stay small.

python benchmarks/radar_truth.py blocks <job.json>             the blocks of the image that the job's cells meet
python benchmarks/radar_truth.py off <job.json> <rows.npy> <columns.npy>      how far off a reader looked
"""

import json
import sys
from pathlib import Path

import numpy as np

from radar_world import BLOCK, HALF, SLOPE, STEP, Swath, ramp

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from radar_job import SAMPLE, Job

CLEAR = 40  # pixels from a turn of the ramp within which it does not tell where


def places(job: Job, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cell, n, n) x and y of the cells' pixels numbered `at` along both sides; 0.5 is the first one's centre."""
    ulx, uly = np.array(job.cells, np.float64).T
    shape = (len(ulx), len(at), len(at))
    x = np.broadcast_to((ulx[:, None] + at * STEP)[:, None, :], shape)
    return x, np.broadcast_to((uly[:, None] - at * STEP)[:, :, None], shape)


def blocks(job: Job, swath: Swath) -> list[int]:
    """Numbers of the blocks that the cells meet: of a swath, that hold the four neighbours of some pixel's centre (every eighth is looked at)."""
    at = np.unique(np.append(np.arange(0, job.side, 8), job.side - 1)) + 0.5
    x, y = places(job, at)
    if job.quantity == "gamma0":
        left, top, side = job.grid
        i, j = ((top - y) // STEP).astype(int) // BLOCK, ((x - left) // STEP).astype(int) // BLOCK
        return np.unique(i * -(-side // BLOCK) + j).tolist()
    row, column = swath.find(x, y)
    found, across = set(), -(-swath.columns // BLOCK)
    for down in (0, 1):
        for right in (0, 1):
            i, j = (np.floor(row - 0.5).astype(int) + down), (np.floor(column - 0.5).astype(int) + right)
            inside = (i >= 0) & (i < swath.rows) & (j >= 0) & (j < swath.columns)
            found |= set(np.unique(i[inside] // BLOCK * across + j[inside] // BLOCK).tolist())
    return sorted(found)


def off(job: Job, swath: Swath, rows: np.ndarray, columns: np.ndarray, half: float) -> dict[str, float]:
    """Pixels between where a reader looked and where it should have, by the power (DN²) that it found in rows.tif and columns.tif.

    `half`: what a reader that takes the points for corners of pixels looks too far up and left; "but" is its worst but for that.
    """
    at = np.arange(job.side)[SAMPLE] + 0.5
    apart, told = [], []
    for power, true in zip((rows, columns), swath.find(*places(job, at)), strict=True):
        down, turn = np.divmod(true - 0.5, HALF)  # the ramp goes up first
        apart.append((np.sqrt(power) - ramp(true - 0.5)) / SLOPE * np.where(down % 2, -1, 1))
        told.append((turn > CLEAR) & (turn < HALF - CLEAR))
    known = np.logical_and.reduce(told)
    far, but = (np.hypot(*(one + half for one in apart))[known] for half in (0, half))
    found = {
        "worst": np.nanmax(far),
        "median": np.nanmedian(far),
        "but": np.nanmax(but),
        "lost": (~np.isfinite(far)).sum(),
    }
    return {name: float(value) for name, value in found.items()}


def main() -> None:
    told = json.loads(Path(sys.argv[2]).read_text())
    job, swath = Job(told), Swath(**told["swath"])
    if sys.argv[1] == "blocks":
        print(json.dumps(blocks(job, swath)))
    else:
        rows, columns = (np.load(path) for path in sys.argv[3:5])
        print(json.dumps(off(job, swath, rows, columns, told["half"])))


if __name__ == "__main__":
    main()
