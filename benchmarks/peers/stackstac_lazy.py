"""stackstac, lazily: one stack of the whole tile for each resolution, chunks as large as blocks, every patch sliced from it,
all of them in one compute, so that dask reads each chunk once.
"""

import dask.array as da
import stackstac
from job import Arrays, Job, run
from lazy import patches


def cubes(job: Job) -> dict[str, da.Array]:
    """Band -> (scene, y, x) of the whole tile."""
    lazy: dict[str, da.Array] = {}
    bounds = (job.ulx, job.uly - job.side_m, job.ulx + job.side_m, job.uly)
    kinds: dict[tuple[int, str], list[str]] = {}
    for band, step in job.bands.items():
        kinds.setdefault((step, job.dtype(band).name), []).append(band)
    for (step, _), bands in kinds.items():
        dtype = job.dtype(bands[0])
        cube = stackstac.stack(
            job.items, assets=[job.keys[band] for band in bands], epsg=job.epsg, resolution=step, bounds=bounds,
            snap_bounds=False, chunksize=1024, dtype=dtype, fill_value=dtype.type(0), rescale=False, xy_coords=False,
            sortby_date=False,
        ).data  # fmt: skip
        lazy |= {band: cube[:, at] for at, band in enumerate(bands)}
    return lazy


def read(job: Job) -> Arrays:
    """One graph for all scenes, bands and cells."""
    return patches(job, cubes(job))


if __name__ == "__main__":
    run(read)
