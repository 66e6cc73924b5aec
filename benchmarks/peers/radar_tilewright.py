"""tilewright's reader, as crop calls it."""

import numpy as np
from radar_job import Job, Take, run

from tilewright.catalog import Asset
from tilewright.grid import Boxes
from tilewright.imagery import Ask, ImageryReader


def read(job: Job, take: Take) -> None:
    """Power of every cell."""
    ulx, uly = (np.array(edge) for edge in zip(*job.cells, strict=True))
    collection = "s1_rtc" if job.quantity == "gamma0" else "s1_grd"
    asset = Asset("S1A", collection, "VV", job.href, None, None, None, job.calibration)
    ask = Ask(asset, Boxes(job.epsg, job.step, job.side, ulx, uly), np.dtype("float32"), job.quantity)
    for _ in ImageryReader(job.threads).read([ask], lambda _, cell, pixels: take(cell, pixels)):
        pass


if __name__ == "__main__":
    run(read)
