"""What tilewright wrote, as the other readers give it: series.zarr.zip through plain zarr and xarray."""

import json
import sys
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from job import Arrays, Job, run


def read(job: Job) -> Arrays:
    """From the store's groups by resolution."""
    out = Path(json.loads(Path(sys.argv[1]).read_text())["out"])
    with zarr.storage.ZipStore(next(out.rglob("series.zarr.zip")), mode="r") as store:
        tree = xr.open_datatree(store, engine="zarr", mask_and_scale=False)
        about = tree["s2_l2a"]
        place = {
            at: row
            for row, at in enumerate(zip(about["ulx"].values.tolist(), about["uly"].values.tolist(), strict=True))
        }
        rows = [place[cell] for cell in job.cells]
        assert len(place) == len(rows), f"{len(place)} cells instead of {len(rows)}"
        ids = [item["id"] for item in job.items]
        assert (about["scene_id"].values == np.array(ids)).all(), "other scenes, or in another order"
        cubes = {}
        for band, step in job.bands.items():
            if band == "SCL":
                cubes[band] = tree["s2_l2a/scl"]["scl"].values
            else:
                cubes[band] = tree[f"s2_l2a/r{step}m"]["reflectance"].sel(band=band).values
    return [[[cubes[band][row, scene] for row in rows] for band in job.bands] for scene in range(len(ids))]


if __name__ == "__main__":
    run(read)
