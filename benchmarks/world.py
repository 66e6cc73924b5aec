"""The ground of the benchmarks: one dense tile, several dates, as COGs and Earth-Search-shaped STAC items.

    python benchmarks/world.py            benchmarks/data/full: 10980 x 10980, 6 dates, about 3 GB, a few minutes, once
    python benchmarks/world.py --quick    benchmarks/data/quick: a corner of 2196 x 2196, 3 dates, seconds

Every date stands twice, the second time half a year later under another id as a hard link, for tests of more dates that
cost no disk. Pixels are parcels plus noise, so that DEFLATE with predictor 2 shrinks them about 1.65 times, as it does real
scenes; GDAL's COG driver writes the files, so that their structure is the real one's too. Reading this module is light:
what makes the pixels is imported where it is used, since a measuring process must stay small.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
TILE, EPSG, ULX, ULY = "32TNT", 32632, 499980, 5300040  # as scenes of that tile say
SEED = 7
VERSION = 1  # raised when other pixels would be made
BANDS = {"B04": 10, "B08": 10, "B11": 20, "B8A": 20, "SCL": 20}
KEYS = {"B04": "red", "B08": "nir", "B11": "swir16", "B8A": "nir08", "SCL": "scl"}  # Earth Search's asset keys
CELL_M = 1920
YEAR = 2020


@dataclass(frozen=True)
class Size:
    """How much of a world there is."""

    name: str
    side_m: int
    dates: int  # with pixels of their own
    square_at: tuple[int, int]  # lattice column and row of the square of cells, from the corner
    square: int  # cells along its side
    cluster: int  # cells along the side of a cluster

    @property
    def scenes(self) -> list[str]:
        """Scene ids in time order; the second half has the files of the first."""
        return [f"S2A_{TILE}_{YEAR}{month:02}15_0_L2A" for month in range(1, 2 * self.dates + 1)]


FULL = Size("full", 109_800, 6, (18, 18), 16, 4)
QUICK = Size("quick", 21_960, 3, (2, 2), 4, 2)


@dataclass(frozen=True)
class World:
    """A world on disk."""

    size: Size
    folder: Path

    @property
    def catalog(self) -> Path:
        """An ItemCollection with hrefs relative to it."""
        return self.folder / "items.json"

    def aoi(self, layout: str) -> Path:
        """GeoJSON that holds the cells of the "square" or of the "clusters" and no other."""
        return self.folder / f"{layout}.geojson"

    def cells(self, layout: str) -> list[tuple[int, int]]:
        """ulx, uly of the cells of the "square" or of the "clusters"."""
        return self.square() if layout == "square" else self.clusters()

    def file(self, scene: str, band: str) -> Path:
        return self.folder / scene / f"{band}.tif"

    def items(self, base: str | None = None) -> list[dict[str, Any]]:
        """The items in time order, hrefs below the URL `base` or absolute paths."""
        found: list[dict[str, Any]] = json.loads(self.catalog.read_text())["features"]
        for item in found:
            for asset in item["assets"].values():
                asset["href"] = f"{base}/{asset['href']}" if base else str((self.folder / asset["href"]).resolve())
        return found

    def square(self) -> list[tuple[int, int]]:
        """ulx, uly of whole cells of the lattice that fill a square, row by row; off the grid of the blocks."""
        col, row = self.size.square_at
        side = range(self.size.square)
        return [self._cell(col + i, row + j) for j in side for i in side]

    def clusters(self) -> list[tuple[int, int]]:
        """As many cells as the square has, in clusters all over the world, as towns or samples lie."""
        side = self.size.cluster
        # in the tile's own 100 km: what lies beyond belongs to its neighbours, and the cells stage leaves it to them
        across = min(self.size.side_m, 100_000) // CELL_M // side
        places = [(i, j) for j in range(across) for i in range(across)]
        places.sort(key=lambda place: hashlib.blake2b(f"{SEED}/{place}".encode(), digest_size=8).digest())
        wanted = sorted(places[: self.size.square**2 // side**2])
        return [self._cell(i * side + u, j * side + v) for i, j in wanted for v in range(side) for u in range(side)]

    def _cell(self, col: int, row: int) -> tuple[int, int]:
        """ulx, uly of a lattice cell, counted from the first whole ones in the world's upper-left corner."""
        return (-(-ULX // CELL_M) + col) * CELL_M, (ULY // CELL_M - row) * CELL_M

    def dense(self) -> list[tuple[int, int]]:
        """ulx, uly of all cells that fit side by side from the corner: 57 x 57 in a whole tile (its lattice holds 56 x 56)."""
        side = range(self.size.side_m // CELL_M)
        return [(ULX + col * CELL_M, ULY - row * CELL_M) for row in side for col in side]

    def job(
        self, cells: list[tuple[int, int]], dates: int, base: str | None = None, bands: list[str] | None = None, threads: int = 2
    ) -> dict[str, Any]:  # fmt: skip
        """What every reader is told: scenes, bands, cells, and where the files are."""
        return {
            "tile": TILE, "epsg": EPSG, "ulx": ULX, "uly": ULY, "side_m": self.size.side_m, "cell_m": CELL_M,
            "cells": cells, "bands": {band: BANDS[band] for band in bands or BANDS}, "keys": KEYS, "threads": threads,
            "items": self.items(base)[:dates],
            # for the floors, which take no part in fetching
            "files": [{band: str(self.file(scene, band).resolve()) for band in BANDS} for scene in self.size.scenes[:dates]],
        }  # fmt: skip


def ensure(quick: bool = False, data: Path = DATA) -> World:
    """The world, made first (in a process of its own) where it is not there or is another version's."""
    size = QUICK if quick else FULL
    world = World(size, data / size.name)
    if _made(world) != _spec(size):
        command = [sys.executable, __file__, "--data", str(data), *(["--quick"] if quick else [])]
        subprocess.run(command, check=True)
    return world


def _spec(size: Size) -> dict[str, Any]:
    return {
        "version": VERSION,
        "seed": SEED,
        "corner": [ULX, ULY],
        "side_m": size.side_m,
        "dates": size.dates,
        "bands": list(BANDS),
    }


def _made(world: World) -> dict[str, Any] | None:
    path = world.folder / "world.json"
    return json.loads(path.read_text()) if path.is_file() else None


def make(size: Size, data: Path = DATA) -> World:
    """Write the world: pixels, items, the square's AOI; world.json last, as the sign that all is there."""
    world = World(size, data / size.name)
    shutil.rmtree(world.folder, ignore_errors=True)
    real, copies = size.scenes[: size.dates], size.scenes[size.dates :]
    for scene in size.scenes:
        (world.folder / scene).mkdir(parents=True)
    work = [(str(world.file(scene, band)), size.side_m, scene, band) for scene in real for band in BANDS]
    with ProcessPoolExecutor(max(1, min(2, len(os.sched_getaffinity(0))))) as pool:
        for path in pool.map(_write_asset, *zip(*work, strict=True)):
            print(f"{Path(path).parent.name}/{Path(path).name}: {Path(path).stat().st_size / 1e6:.0f} MB", flush=True)
    for scene, copy in zip(real, copies, strict=True):
        for band in BANDS:
            os.link(world.file(scene, band), world.file(copy, band))
    items = [_item(size, scene) for scene in size.scenes]
    world.catalog.write_text(json.dumps({"type": "FeatureCollection", "features": items}, indent=1))
    write_aois(world)
    (world.folder / "world.json").write_text(json.dumps(_spec(size)))
    return world


def _write_asset(path: str, side_m: int, scene: str, band: str) -> str:
    """One COG of a whole scene and band."""
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy
    from rasterio.transform import from_origin

    pixels = _pixels(side_m // BANDS[band], scene, band)
    place = from_origin(ULX, ULY, BANDS[band], BANDS[band])
    shape = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": pixels.dtype.name}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", crs=EPSG, transform=place, nodata=0, **shape) as plain:
            plain.write(pixels, 1)
        del pixels
        with rasterio.Env(GDAL_CACHEMAX=256), memory.open() as plain:
            copy(
                plain, path, driver="COG", COMPRESS="DEFLATE", PREDICTOR="YES", BLOCKSIZE=1024, BIGTIFF="NO",
                OVERVIEW_RESAMPLING="NEAREST" if band == "SCL" else "AVERAGE",
            )  # fmt: skip
    return path


def _pixels(side: int, scene: str, band: str) -> Any:
    """(side, side) DN, or classes: parcels with wavy edges, each with a value and a roughness, plus noise. Never 0."""
    import numpy as np

    step = BANDS[band]
    ground = np.random.default_rng(SEED)  # the same parcels in every scene and band
    waves = [(amplitude, ground.uniform(0, 6.28)) for amplitude in (150.0, 60.0, 25.0)]
    metres = np.arange(side) * float(step)
    wobble = sum(a * np.sin(metres / (a * 9) + phase) for a, phase in waves)
    lattice = (side * step // 320 + 3, side * step // 480 + 3)  # parcels of 320 x 480 m
    kind = ground.integers(0, 8, lattice)
    name = hashlib.blake2b(f"{SEED}/{scene}/{band}".encode(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(name, "little"))
    if band == "SCL":
        values = np.array([4, 4, 4, 5, 5, 7, 6, 2], np.uint8)[kind]
        values[rng.random(lattice) < 0.004] = 8  # clouds so small and rare that no cell is refused for them
        roughness = None
    else:
        values = (400 + 350 * kind + rng.integers(0, 400, lattice)).astype(np.float32)
        roughness = np.array([12, 16, 18, 20, 24, 30, 40, 10], np.float32)[kind]
    pixels = np.empty((side, side), np.uint8 if band == "SCL" else np.uint16)
    for first in range(0, side, 1024):
        rows = metres[first : first + 1024]
        down = ((rows[:, None] + wobble[None, :] + 240) // 320).astype(np.int32)
        across = ((metres[None, :] + wobble[first : first + 1024, None] + 240) // 480).astype(np.int32)
        part = values[down, across]
        if roughness is None:
            speckled = rng.random(part.shape, dtype=np.float32) < 0.02
            part[speckled] = rng.integers(4, 8, int(speckled.sum()), dtype=np.uint8)
        else:
            part = part + roughness[down, across] * rng.standard_normal(part.shape, dtype=np.float32)
            np.clip(part, 1, 16000, out=part)
        pixels[first : first + 1024] = part
    return pixels


def _item(size: Size, scene: str) -> dict[str, Any]:
    """A STAC item of the shape that Earth Search gives, as far as readers look."""
    outline = _outline([(ULX, ULY)], size.side_m)
    day = scene.split("_")[2]
    stamp = f"{day[:4]}-{day[4:6]}-{day[6:]}T10:20:31.024Z"
    names = ("eo/v1.1.0", "grid/v1.1.0", "mgrs/v1.0.0", "projection/v1.1.0", "raster/v1.1.0", "sentinel-2/v1.0.0")
    assets = {}
    for band, step in BANDS.items():
        side = size.side_m // step
        raster = {"nodata": 0, "data_type": "uint8" if band == "SCL" else "uint16", "spatial_resolution": step}
        assets[KEYS[band]] = {
            "href": f"{scene}/{band}.tif", "type": "image/tiff; application=geotiff; profile=cloud-optimized", "gsd": step,
            "proj:shape": [side, side], "proj:transform": [step, 0, ULX, 0, -step, ULY],
            "raster:bands": [raster if band == "SCL" else {**raster, "scale": 0.0001, "offset": 0}],
            "roles": ["data"] if band == "SCL" else ["data", "reflectance"],
        }  # fmt: skip
        if band != "SCL":
            assets[KEYS[band]]["eo:bands"] = [{"name": KEYS[band], "common_name": KEYS[band]}]
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": scene, "collection": "sentinel-2-l2a", "links": [],
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in names],
        "geometry": {"type": "Polygon", "coordinates": [outline]},
        "bbox": [
            min(x for x, _ in outline), min(y for _, y in outline), max(x for x, _ in outline), max(y for _, y in outline),
        ],
        "properties": {
            "datetime": stamp, "created": stamp, "updated": stamp, "platform": "sentinel-2a", "constellation": "sentinel-2",
            "instruments": ["msi"], "eo:cloud_cover": 0.4, "proj:epsg": EPSG, "grid:code": f"MGRS-{TILE}",
            "mgrs:utm_zone": int(TILE[:2]), "mgrs:latitude_band": TILE[2], "mgrs:grid_square": TILE[3:],
            "s2:processing_baseline": "02.13", "s2:nodata_pixel_percentage": 0, "s2:sequence": "0",
            "s2:datatake_id": f"GS2A_{day}T102031_0{day[2:]}_N02.13", "s2:product_type": "S2MSI2A",
            "s2:product_uri": f"S2A_MSIL2A_{day}T102031_N0213_R065_T{TILE}_{day}T150000.SAFE",
            "earthsearch:boa_offset_applied": False,
        },
        "assets": assets,
    }  # fmt: skip


def _outline(corners: list[tuple[int, int]], side_m: int, margin_m: int = 0) -> list[tuple[float, float]]:
    """Ring in degrees around squares of `side_m` metres with these upper-left corners (their common bounds)."""
    from pyproj import Transformer

    west, north = min(x for x, _ in corners) - margin_m, max(y for _, y in corners) + margin_m
    east, south = max(x for x, _ in corners) + side_m + margin_m, min(y for _, y in corners) - side_m - margin_m
    ring = []
    # straight edges in UTM are curved in degrees
    for (x0, y0), (x1, y1) in zip(
        [(west, south), (east, south), (east, north), (west, north)],
        [(east, south), (east, north), (west, north), (west, south)],
        strict=True,
    ):
        ring += [(x0 + (x1 - x0) * i / 20, y0 + (y1 - y0) * i / 20) for i in range(20)]
    ring.append(ring[0])
    convert = Transformer.from_crs(EPSG, 4326, always_xy=True).transform
    return [(round(lon, 9), round(lat, 9)) for lon, lat in (convert(*point) for point in ring)]


def write_aois(world: World) -> None:
    """A polygon with a little room around each group of cells: only cells wholly inside an AOI are made."""
    for layout in ("square", "clusters"):
        cells = world.cells(layout)
        many = world.size.cluster**2 if layout == "clusters" else len(cells)
        features = [
            {
                "type": "Feature",
                "properties": {},
                "geometry": {"type": "Polygon", "coordinates": [_outline(group, CELL_M, 60)]},
            }
            for group in (cells[at : at + many] for at in range(0, len(cells), many))
        ]
        world.aoi(layout).write_text(json.dumps({"type": "FeatureCollection", "features": features}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the benchmarks' world.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    make(QUICK if told.quick else FULL, told.data)
