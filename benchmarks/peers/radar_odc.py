"""odc-stac, lazily: one load of the whole grid, every patch sliced from it, all in one compute. DN, amplitude as it comes.

The item says nothing of the projection: what real items say of it is made up, and without it odc-stac lets GDAL place the file by its
ground control points.
"""

import dask
import numpy as np
import odc.stac
import pystac
from affine import Affine
from odc.geo.geobox import GeoBox
from radar_job import Job, Take, run


def read(job: Job, take: Take) -> None:
    """One graph for all cells."""
    left, top, side = job.grid
    box = GeoBox((side, side), Affine(job.step, 0, left, 0, -job.step, top), job.epsg)
    lon, lat, right, bottom = (*box.extent.to_crs(4326).boundingbox,)
    ring = [[lon, lat], [right, lat], [right, bottom], [lon, bottom], [lon, lat]]
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "S1A", "collection": "sentinel-1-grd", "links": [], "stac_extensions": [],
        "geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [lon, lat, right, bottom],
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "assets": {"vv": {"href": job.href, "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }  # fmt: skip
    size = 4 * job.side
    loaded = odc.stac.load(
        [pystac.Item.from_dict(item)],
        bands=["vv"],
        geobox=box,
        chunks={"x": size, "y": size},
        resampling="bilinear",
        nodata=0,
    )
    lazy, corners = loaded["vv"].data[0], [job.corner(cell) for cell in range(len(job.cells))]
    slices = [lazy[row : row + job.side, column : column + job.side] for row, column in corners]
    for cell, pixels in enumerate(dask.compute(slices, scheduler="threads", num_workers=job.threads)[0]):
        take(cell, np.square(pixels, dtype=np.float32))


if __name__ == "__main__":
    run(read)
