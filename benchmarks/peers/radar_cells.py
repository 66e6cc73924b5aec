"""A cell at a time by rasterio, as download scripts do; the file is opened once by each thread.

Of a GRD (amplitude as it comes: sigma nought would take the calibration being warped, too), by `options`:
  reproject   rasterio.warp.reproject of the file's band onto the cell
  vrt         a WarpedVRT over the ground control points on the grid that GDAL chooses, and the cell's window of it, resampled: given the cell's
              own grid, rasterio 1.4.4 does not look at the points and reads the pixel at row "latitude", column "longitude"
  affine      a WarpedVRT on the cell's grid by the one affine transform nearest to the points, as rio-tiler opens such files
`method` is GDAL's SRC_METHOD; without one it takes a polynomial. Of an RTC on the grid: plain windows.
"""

import numpy as np
import rasterio
from affine import Affine
from radar_job import Job, Take, each, run
from rasterio.enums import Resampling
from rasterio.transform import from_gcps
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject
from rasterio.windows import Window, from_bounds


def read(job: Job, take: Take) -> None:
    """Runs of neighbouring cells on threads."""
    crs, side, size = f"EPSG:{job.epsg}", job.side, job.side * job.step
    by, extra = job.options.get("by"), {"SRC_METHOD": job.options["method"]} if "method" in job.options else {}

    def onto(cell: int) -> Affine:
        return Affine(job.step, 0, job.cells[cell][0], 0, -job.step, job.cells[cell][1])

    def some(cells: range) -> None:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(job.href) as file:
            if job.quantity == "gamma0":
                for cell in cells:
                    row, column = job.corner(cell)
                    take(cell, file.read(1, window=Window(column, row, side, side)))
            elif by == "reproject":
                for cell in cells:
                    out = np.zeros((side, side), np.float32)
                    reproject(
                        rasterio.band(file, 1), out, src_nodata=0, dst_transform=onto(cell), dst_crs=crs, resampling=Resampling.bilinear,
                        **extra,
                    )  # fmt: skip
                    take(cell, np.square(out))
            elif by == "affine":
                points, place = file.gcps
                for cell in cells:
                    with WarpedVRT(
                        file, src_crs=place, src_transform=from_gcps(points), src_nodata=0, crs=crs, transform=onto(cell), width=side,
                        height=side, resampling=Resampling.bilinear,
                    ) as warped:  # fmt: skip
                        take(cell, np.square(warped.read(1, out_dtype="float32")))
            else:
                with WarpedVRT(
                    file, src_crs=file.gcps[1], crs=crs, resampling=Resampling.bilinear, src_nodata=0, **extra
                ) as warped:
                    for cell in cells:
                        x, y = job.cells[cell]
                        window = from_bounds(x, y - size, x + size, y, warped.transform)
                        found = warped.read(
                            1,
                            window=window,
                            out_shape=(side, side),
                            resampling=Resampling.bilinear,
                            out_dtype="float32",
                        )
                        take(cell, np.square(found))

    each(job, some)


if __name__ == "__main__":
    run(read)
