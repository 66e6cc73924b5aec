"""odc-stac, lazily: one load of the whole tile for each resolution on the tile's own GeoBox, chunks as large as blocks, every
patch sliced from it, all of them in one compute.
"""

import dask.array as da
import odc.stac
import pystac
from affine import Affine
from job import Arrays, Job, run
from lazy import patches
from odc.geo.geobox import GeoBox


def cubes(job: Job) -> dict[str, da.Array]:
    """Band -> (scene, y, x) of the whole tile."""
    items = [pystac.Item.from_dict(item) for item in job.items]
    lazy: dict[str, da.Array] = {}
    for step in sorted(set(job.bands.values())):
        side = job.side_m // step
        box = GeoBox((side, side), Affine(step, 0, job.ulx, 0, -step, job.uly), job.epsg)
        bands = [band for band in job.bands if job.bands[band] == step]
        loaded = odc.stac.load(
            items, bands=[job.keys[band] for band in bands], geobox=box, chunks={"x": 1024, "y": 1024}
        )
        lazy |= {band: loaded[job.keys[band]].data for band in bands}
    return lazy


def read(job: Job) -> Arrays:
    """One graph for all scenes, bands and cells."""
    return patches(job, cubes(job))


if __name__ == "__main__":
    run(read)
