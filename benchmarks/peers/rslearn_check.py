"""What rslearn wrote, as the other readers give it: a GeoTIFF for each window, date and band set."""

import json
import sys
from pathlib import Path

import rasterio
from job import Arrays, Job, run


def read(job: Job) -> Arrays:
    """From the windows' layers, in the order of dates that `sort_by` gave them."""
    folder = Path(json.loads(Path(sys.argv[1]).read_text())["out"]) / "windows" / "default"
    windows = {}
    for window in folder.iterdir():
        left, top = (int(edge) for edge in window.name.split("_")[:2])
        windows[left * 10, -top * 10] = window  # named by pixels from the zone's origin, downwards
    found = []
    for scene in range(len(job.items)):
        layer = "sentinel2" if scene == 0 else f"sentinel2.{scene}"
        bands: dict[str, list] = {band: [] for band in job.bands}
        for cell in job.cells:
            for part in (windows[cell] / "layers" / layer).iterdir():
                if not part.is_dir():
                    continue
                with rasterio.open(part / "geotiff.tif") as file:
                    pixels = file.read()
                for band, plane in zip(part.name.split("_"), pixels, strict=True):
                    bands[band].append(plane)
        found.append(list(bands.values()))
    return found


if __name__ == "__main__":
    run(read)
