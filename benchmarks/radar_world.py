"""The radar of the benchmarks: one Sentinel-1 GRD over the tile of `world.py`, of a geometry known everywhere, and an RTC on its grid.

    python benchmarks/radar_world.py            benchmarks/data/radar-full: 16700 x 25500 and 10980 x 10980, 0.9 GB, two minutes, once
    python benchmarks/radar_world.py --quick    benchmarks/data/radar-quick: a corner, seconds

`grd.tif` is amplitude with speckle of 4.4 looks in blocks of 512 x 512, placed by 10 x 21 ground control points alone, as the product is.
`rows.tif` and `columns.tif` have the same points, and numbers that tell the line, or the sample: what a reader finds there tells where it
looked. `rtc.tif` is float32 gamma nought on the tile's own pixel grid. Reading this module is light.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from world import DATA, EPSG, FULL, QUICK, SEED, ULX, ULY, Size, World

if TYPE_CHECKING:
    import numpy as np

VERSION = 1  # raised when other pixels would be made
STEP = 10
BLOCK = 512
HEADING = -12.0  # degrees at the track's start: an ascending pass, the sensor looking to the right
LOOKS = 4.4  # of the product's interferometric wide swath in high resolution
# rows.tif and columns.tif: up and down in a straight line, steep enough for a fiftieth of a pixel after rounding, never near 0
SLOPE, LOWEST, HALF = 32, 5000, 1800


@dataclass(frozen=True)
class Swath:
    """The geometry of the image, as exact as geodesics: lines along a track, samples to its right, every 10 m, on the ellipsoid."""

    rows: int
    columns: int
    side_m: int  # of the tile, which lies in the middle

    def place(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of places in the image; 0.5 is the centre of the first pixel."""
        import numpy as np
        from pyproj import Geod

        geod = Geod(ellps="WGS84")
        lon, lat = self._start()
        start = (np.full(row.shape, of) for of in (lon, lat, HEADING))
        east, north, back = geod.fwd(*start, np.asarray(row, np.float64) * STEP)  # type: ignore[call-arg, arg-type]
        east, north, _ = geod.fwd(east, north, back + 180 + 90, np.asarray(column, np.float64) * STEP)
        return east, north

    def _start(self) -> tuple[float, float]:
        from pyproj import Geod, Transformer

        half = self.side_m / 2
        lon, lat = Transformer.from_crs(EPSG, 4326, always_xy=True).transform(ULX + half, ULY - half)
        geod = Geod(ellps="WGS84")
        lon, lat, _ = geod.fwd(lon, lat, HEADING - 90, self.columns / 2 * STEP)
        lon, lat, _ = geod.fwd(lon, lat, HEADING + 180, self.rows / 2 * STEP)
        return lon, lat

    def find(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of places in EPSG: the inverse of `place`, to a millionth of a pixel."""
        import numpy as np
        from pyproj import Transformer

        to = Transformer.from_crs(4326, EPSG, always_xy=True)

        def metres(row: np.ndarray, column: np.ndarray) -> np.ndarray:
            return np.stack(to.transform(*self.place(row, column)))

        middle = np.array([self.rows / 2, self.columns / 2])
        steps = metres(*(middle + np.array([[0.0, 0.0], [500.0, 0.0], [0.0, 500.0]])).T)
        back = np.linalg.inv((steps[:, 1:] - steps[:, :1]) / 500)
        wanted = np.stack([x.ravel(), y.ravel()])
        found = np.repeat(middle[:, None], wanted.shape[1], axis=1)
        for _ in range(30):
            found = found + (move := back @ (wanted - metres(*found)))
            if np.abs(move).max() < 1e-7:
                break
        else:
            raise ArithmeticError("the swath's inverse does not settle")
        return found[0].reshape(x.shape), found[1].reshape(x.shape)

    def points(self) -> list[Any]:
        """10 x 21 ground control points as the product has them: at centres of pixels, counted from 0."""
        import numpy as np
        from rasterio.control import GroundControlPoint

        lines, samples = np.round(np.linspace(0, self.rows - 1, 10)), np.round(np.linspace(0, self.columns - 1, 21))
        down, across = np.repeat(lines, len(samples)), np.tile(samples, len(lines))
        lon, lat = self.place(down + 0.5, across + 0.5)
        return [
            GroundControlPoint(row=row, col=column, x=x, y=y, z=0.0)
            for row, column, x, y in zip(*(of.tolist() for of in (down, across, lon, lat)), strict=True)
        ]


@dataclass(frozen=True)
class RadarWorld:
    """The files on disk."""

    size: Size
    swath: Swath
    folder: Path

    @property
    def tile(self) -> World:
        """Where the cells are; its own imagery is not made for this."""
        return World(self.size, self.folder)

    @property
    def spec(self) -> dict[str, Any]:
        return {
            "version": VERSION, "seed": SEED, "corner": [ULX, ULY], "side_m": self.size.side_m, "rows": self.swath.rows,
            "columns": self.swath.columns,
        }  # fmt: skip


def of_size(quick: bool, data: Path = DATA) -> RadarWorld:
    """The world of that size, there or not."""
    if quick:
        return RadarWorld(QUICK, Swath(2900, 3100, QUICK.side_m), data / "radar-quick")
    return RadarWorld(FULL, Swath(16_700, 25_500, FULL.side_m), data / "radar-full")


def ensure(quick: bool = False, data: Path = DATA) -> RadarWorld:
    """The world, made first (in a process of its own) where it is not there or is another version's."""
    world = of_size(quick, data)
    path = world.folder / "radar.json"
    if not path.is_file() or json.loads(path.read_text()) != world.spec:
        subprocess.run([sys.executable, __file__, "--data", str(data), *(["--quick"] if quick else [])], check=True)
    return world


def make(world: RadarWorld) -> None:
    """Write all files; radar.json last, as the sign that all is there."""
    import numpy as np

    shutil.rmtree(world.folder, ignore_errors=True)
    world.folder.mkdir(parents=True)
    swath, side = world.swath, world.size.side_m // STEP
    rng = np.random.default_rng(SEED)

    def ground(shape: tuple[int, int]) -> Callable[[int, int], np.ndarray]:
        """Rows `first` to `last` of power: parcels of 40 x 60 pixels with speckle, mean 1."""
        of = rng.gamma(2.0, 0.5, (shape[0] // 40 + 1, shape[1] // 60 + 1)).astype(np.float32) + 0.05

        def rows(first: int, last: int) -> np.ndarray:
            mean = of[np.arange(first, last) // 40][:, np.arange(shape[1]) // 60]
            speckle = rng.standard_gamma(LOOKS, mean.shape, np.float32)
            return np.asarray(mean * (speckle / np.float32(LOOKS)))

        return rows

    power = ground((swath.rows, swath.columns))
    across = np.broadcast_to(ramp(np.arange(swath.columns)), (BLOCK, swath.columns))
    placed = {"gcps": swath.points(), "crs": "EPSG:4326", "height": swath.rows, "width": swath.columns}
    images: dict[str, Callable[[int, int], np.ndarray]] = {
        "grd": lambda first, last: np.clip(np.rint(180 * np.sqrt(power(first, last))), 1, 65535),
        "rows": lambda first, last: np.repeat(ramp(np.arange(first, last))[:, None], swath.columns, axis=1),
        "columns": lambda first, last: across[: last - first],
    }
    for name, rows in images.items():
        _write(world.folder / f"{name}.tif", rows, dtype="uint16", zlevel=6 if name == "grd" else 1, **placed)
    from rasterio.transform import from_origin

    gamma = ground((side, side))
    on_grid = {
        "transform": from_origin(ULX, ULY, STEP, STEP),
        "crs": EPSG,
        "nodata": -32768,
        "height": side,
        "width": side,
    }
    _write(
        world.folder / "rtc.tif", lambda first, last: gamma(first, last) * np.float32(0.1) + np.float32(1e-6),
        dtype="float32", zlevel=6, **on_grid,
    )  # fmt: skip
    (world.folder / "calibration.xml").write_text(_calibration(swath))
    (world.folder / "radar.json").write_text(json.dumps(world.spec))


def ramp(at: np.ndarray) -> np.ndarray:
    """The number that rows.tif has at a line, columns.tif at a sample (0 is the first pixel's centre); float64."""
    import numpy as np

    return np.asarray(LOWEST + SLOPE * np.abs((at + HALF) % (2 * HALF) - HALF), np.float64)


def _write(path: Path, rows: Callable[[int, int], np.ndarray], zlevel: int, **shape: Any) -> None:
    """A TIFF in blocks, a row of them at a time."""
    import numpy as np
    import rasterio
    from rasterio.windows import Window

    packed = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "num_threads": 2}
    height, width, dtype = shape["height"], shape["width"], np.dtype(shape["dtype"])
    with rasterio.open(path, "w", driver="GTiff", count=1, bigtiff="NO", zlevel=zlevel, **packed, **shape) as file:
        for first in range(0, height, BLOCK):
            last = min(first + BLOCK, height)
            file.write(rows(first, last).astype(dtype), 1, window=Window(0, first, width, last - first))
    print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB", flush=True)


def _calibration(swath: Swath) -> str:
    """A calibration document as the product has it: A falls by a tenth from near to far range, and hardly changes along the track."""
    import numpy as np

    pixels = np.unique(np.append(np.arange(0, swath.columns, 40), swath.columns - 1))
    vectors = []
    for line in np.unique(np.append(np.arange(0, swath.rows, 660), swath.rows - 1)):
        a = 580 * (1 - 0.1 * pixels / swath.columns) * (1 + 0.001 * np.sin(line / 3000))
        values, places = " ".join(f"{one:.6e}" for one in a), " ".join(map(str, pixels))
        count = len(pixels)
        vectors.append(
            f'<calibrationVector><line>{line}</line><pixel count="{count}">{places}</pixel><sigmaNought count="{count}">{values}'
            f'</sigmaNought><betaNought count="{count}">{values}</betaNought></calibrationVector>'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<calibration><adsHeader><polarisation>VV</polarisation></adsHeader>'
        f'<calibrationVectorList count="{len(vectors)}">{"".join(vectors)}</calibrationVectorList></calibration>\n'
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the benchmarks' radar.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    make(of_size(told.quick, told.data))
