"""rasterio at its best: every block once, by windows that are the file's blocks, on several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import rasterio
from job import Arrays, Job, run
from rasterio.windows import Window


def read(job: Job) -> Arrays:
    """Scenes x bands on a thread pool, each with a dataset of its own."""

    def asset(at: tuple[int, str]) -> np.ndarray:
        scene, band = at
        out = np.empty((len(job.cells), job.side(band), job.side(band)), job.dtype(band))
        with rasterio.open(job.href(scene, band)) as file:
            side = file.block_shapes[0][0]
            for (i, j), cells in job.blocks(band, side).items():
                height, width = min(side, file.height - i * side), min(side, file.width - j * side)
                pixels = file.read(1, window=Window(j * side, i * side, width, height))
                job.scatter(pixels, (i * side, j * side), cells, band, out)
        return out

    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), ThreadPoolExecutor(job.threads) as pool:
        wanted = [(scene, band) for scene in range(len(job.items)) for band in job.bands]
        found = list(pool.map(asset, wanted))
    bands = len(job.bands)
    return [found[at : at + bands] for at in range(0, len(found), bands)]


if __name__ == "__main__":
    run(read)
