"""What one writes first: open each file, read each cell's window. Blocks that several cells meet are fetched and decoded again.

GDAL's block cache spares some of that; it has its default size, 5 % of memory.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import rasterio
from job import Arrays, Job, run
from rasterio.windows import Window


def read(job: Job) -> Arrays:
    """A call for each cell, scene and band, as a data set that reads its own windows makes it."""

    def patch(at: tuple[int, str, int]) -> np.ndarray:
        scene, band, cell = at
        row, col = job.corner(cell, band)
        with rasterio.open(job.href(scene, band)) as file:
            return file.read(1, window=Window(col, row, job.side(band), job.side(band)))

    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), ThreadPoolExecutor(job.threads) as pool:
        # Cell by cell, all its scenes and bands: the order of a dataset whose sample is a cell's series.
        wanted = [(s, band, c) for c in range(len(job.cells)) for s in range(len(job.items)) for band in job.bands]
        found = dict(zip(wanted, pool.map(patch, wanted), strict=True))
    cells = range(len(job.cells))
    return [[[found[s, band, c] for c in cells] for band in job.bands] for s in range(len(job.items))]


if __name__ == "__main__":
    run(read)
