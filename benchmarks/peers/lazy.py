"""Patches from lazy cubes of whole tiles, the same for stackstac and odc-stac."""

import dask
import dask.array as da
from job import Arrays, Job


def patches(job: Job, lazy: dict[str, da.Array]) -> Arrays:
    """Every patch a slice of the lazy tile; one compute."""
    ordered = []
    for scene in range(len(job.items)):
        bands = []
        for band in job.bands:
            side, corners = job.side(band), [job.corner(cell, band) for cell in range(len(job.cells))]
            bands.append([lazy[band][scene, row : row + side, col : col + side] for row, col in corners])
        ordered.append(bands)
    (found,) = dask.compute(ordered, scheduler="threads", num_workers=job.threads)
    return found


def window(job: Job, lazy: dict[str, da.Array]) -> Arrays:
    """The rectangle around all cells in one compute, then patches cut from it by numpy: best where cells fill it."""
    cut, first = {}, {}
    for band, cube in lazy.items():
        rows, cols = zip(*(job.corner(cell, band) for cell in range(len(job.cells))), strict=True)
        first[band] = (min(rows), min(cols))
        cut[band] = cube[:, min(rows) : max(rows) + job.side(band), min(cols) : max(cols) + job.side(band)]
    (whole,) = dask.compute(cut, scheduler="threads", num_workers=job.threads)
    found = []
    for scene in range(len(job.items)):
        bands = []
        for band in job.bands:
            side, (top, left) = job.side(band), first[band]
            corners = [job.corner(cell, band) for cell in range(len(job.cells))]
            bands.append(
                [whole[band][scene, r - top : r - top + side, c - left : c - left + side].copy() for r, c in corners]
            )
        found.append(bands)
    return found
