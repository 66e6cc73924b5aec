"""rasterio.warp.reproject of the whole grid at once by GDAL's thin plate spline, patches cut from it.

sigma0: the whole image is calibrated in memory first, then warped as power, as recipes do. dn: straight from the file, amplitude, as it
comes; GDAL then reads what the grid meets.
"""

from xml.etree import ElementTree

import numpy as np
import rasterio
from affine import Affine
from radar_job import Job, Take, run
from rasterio.enums import Resampling
from rasterio.warp import reproject

ROWS = 1024  # calibrated at a time


def fetched(href: str) -> bytes:
    """What is at a path or a URL."""
    import urllib.request

    if "://" not in href:
        with open(href, "rb") as file:
            return file.read()
    with urllib.request.urlopen(href) as answer:
        return answer.read()


def calibrated(pixels: np.ndarray, document: bytes) -> np.ndarray:
    """float32 sigma nought of all pixels: DN² / A², A bilinear between the document's points."""
    lines, along = [], []
    for vector in ElementTree.fromstring(document).iterfind("calibrationVectorList/calibrationVector"):
        places, values = (np.array(vector.findtext(name).split(), float) for name in ("pixel", "sigmaNought"))
        lines.append(float(vector.findtext("line")))
        along.append(np.interp(np.arange(pixels.shape[1]), places, values))
    table, power = np.array(along), np.empty(pixels.shape, np.float32)
    for first in range(0, len(pixels), ROWS):
        at = np.arange(first, min(first + ROWS, len(pixels)))
        place = np.interp(at, lines, np.arange(len(lines)))
        before = np.minimum(place.astype(int), len(lines) - 2)
        share = (place - before)[:, None]
        a = (table[before] * (1 - share) + table[before + 1] * share).astype(np.float32)
        np.square(pixels[at[0] : at[-1] + 1] / a, out=power[at[0] : at[-1] + 1])
    return power


def read(job: Job, take: Take) -> None:
    """The whole grid, then the cells."""
    left, top, side = job.grid
    out = np.zeros((side, side), np.float32)
    onto = {
        "dst_transform": Affine(job.step, 0, left, 0, -job.step, top), "dst_crs": f"EPSG:{job.epsg}", "src_nodata": 0,
        "dst_nodata": float("nan"), "resampling": Resampling.bilinear, "num_threads": job.threads, "SRC_METHOD": "GCP_TPS",
        "warp_mem_limit": 512,
    }  # fmt: skip
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(job.href) as file:
        if job.quantity == "sigma0":
            power = calibrated(file.read(1), fetched(job.calibration))
            points, crs = file.gcps
            reproject(power, out, gcps=points, src_crs=crs, **onto)
            del power
        else:
            reproject(rasterio.band(file, 1), out, **onto)
            np.square(out, out=out)
    for cell in range(len(job.cells)):
        row, column = job.corner(cell)
        take(cell, out[row : row + job.side, column : column + job.side].copy())


if __name__ == "__main__":
    run(read)
