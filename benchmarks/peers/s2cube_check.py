"""What s2cube wrote, as the other readers give it: 20 m bands are every second pixel of its 10 m copies."""

import json
import sys
from pathlib import Path

import h5py
from job import Arrays, Job, run


def read(job: Job) -> Arrays:
    """From cube.h5."""
    out = Path(json.loads(Path(sys.argv[1]).read_text())["out"])
    with h5py.File(out / "cube.h5") as file:
        assert [day.decode() for day in file["dates"][:]] == [item["properties"]["datetime"][:10] for item in job.items]
        order = file.attrs["bands"].split(",")
        cells = []
        for at in range(len(job.cells)):
            site = file[f"sites/c{at:04}"]
            cells.append({**dict(zip(order, site["X"][:].swapaxes(0, 1), strict=True)), "SCL": site["SCL"][:]})
        found = []
        for scene in range(len(job.items)):
            bands = []
            for band, step in job.bands.items():
                thin = step // 10
                bands.append([cell[band][scene][::thin, ::thin] for cell in cells])
            found.append(bands)
    return found


if __name__ == "__main__":
    run(read)
