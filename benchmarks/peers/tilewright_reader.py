"""tilewright's reader, as its stages call it: what is wanted of each asset, in order, patches handed over as they are finished."""

import numpy as np
from job import Arrays, Job, run

from tilewright.catalog import Asset
from tilewright.grid import Boxes
from tilewright.imagery import Ask, ImageryReader


def asks(job: Job) -> list[Ask]:
    """Scene by scene, band by band."""
    ulx, uly = (np.array(edge) for edge in zip(*job.cells, strict=True))
    found = []
    for scene, item in enumerate(job.items):
        for band, step in job.bands.items():
            side = job.side_m // step
            place = (float(step), 0.0, float(job.ulx), 0.0, float(-step), float(job.uly))
            asset = Asset(item["id"], "s2_l2a", band, job.href(scene, band), job.epsg, place, (side, side))
            found.append(Ask(asset, Boxes(job.epsg, step, job.side(band), ulx, uly), job.dtype(band)))
    return found


def read(job: Job) -> Arrays | None:
    """All patches in memory or, for a job that does not keep them, let go as crop does once they are encoded."""
    reader = ImageryReader(job.threads)
    if not job.keep:
        for _ in reader.read(asks(job), lambda ask, box, pixels: None):
            pass
        return None
    bands = len(job.bands)
    found: list = [[[None] * len(job.cells) for _ in range(bands)] for _ in job.items]
    for ask, box, pixels in reader.read(asks(job), lambda ask, box, pixels: pixels):
        found[ask // bands][ask % bands][box] = pixels
    return found


if __name__ == "__main__":
    run(read)
