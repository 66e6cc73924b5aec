"""stackstac as its examples use it: a small stack around each cell, computed at once. Every call fetches its blocks anew."""

import stackstac
from job import Arrays, Job, run


def read(job: Job) -> Arrays:
    """A stack and a compute for each cell, resolution and type."""
    kinds: dict[tuple[int, str], list[str]] = {}
    for band, step in job.bands.items():
        kinds.setdefault((step, job.dtype(band).name), []).append(band)
    found: list[list[list]] = [[[] for _ in job.bands] for _ in job.items]
    order = list(job.bands)
    for x, y in job.cells:
        for (step, name), bands in kinds.items():
            dtype = job.dtype(bands[0])
            cube = stackstac.stack(
                job.items, assets=[job.keys[band] for band in bands], epsg=job.epsg, resolution=step,
                bounds=(x, y - job.cell_m, x + job.cell_m, y), snap_bounds=False, chunksize=1024, dtype=name,
                fill_value=dtype.type(0), rescale=False, xy_coords=False, sortby_date=False,
            )  # fmt: skip
            pixels = cube.data.compute(scheduler="threads", num_workers=job.threads)
            for scene in range(len(job.items)):
                for at, band in enumerate(bands):
                    found[scene][order.index(band)].append(pixels[scene, at])
    return found


if __name__ == "__main__":
    run(read)
