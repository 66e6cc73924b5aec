"""Series to pack and to store: 192 x 192 pixels, all dates and 10 m bands of a cell, (date, band, y, x) uint16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

import world

SIDE = 192


def cut(folders: list[Path], bands: list[str], corners: list[tuple[int, int]]) -> list[np.ndarray]:
    """The (date, band, y, x) series at each corner (column, row) of scenes on one grid."""
    series = [np.empty((len(folders), len(bands), SIDE, SIDE), np.uint16) for _ in corners]
    for date, folder in enumerate(folders):
        for at, band in enumerate(bands):
            with rasterio.open(folder / f"{band}.tif") as source:
                for one, (column, row) in zip(series, corners, strict=True):
                    one[date, at] = source.read(1, window=Window(column, row, SIDE, SIDE))
    return series


def dense(quick: bool, cells: int) -> list[np.ndarray]:
    """Of the benchmarks' own world."""
    made = world.ensure(quick)
    folders = [made.folder / scene for scene in made.size.scenes[: made.size.dates]]
    corners = [((x - world.ULX) // 10, (world.ULY - y) // 10) for x, y in made.square()]
    return cut(folders, ["B04", "B08"], corners[:cells])


def simulated(cells: int) -> list[np.ndarray]:
    """Of the landscape, seasons and clouds that tilewright simulates."""
    from tilewright.config.simulated import Simulate, Site
    from tilewright.simulate import World
    from tilewright.simulate.mgrs import frame

    tile, bands = "33TTG", ["B02", "B03", "B04", "B08"]
    site = Site(name="lazio", lon=12.0, lat=42.0, side_m=8000, tiles=[tile])
    simulation = World(Simulate(seed=7, sites=[site], years=[2019], scenes_per_year=6))
    box, place = simulation.box(tile), frame(tile)
    left, top, metres = place.ulx + box.column * 60, place.uly - box.row * 60, SIDE * 10
    steps = range(0, box.columns * 60 - metres, metres)
    corners = [(left + right, top - down) for down in steps for right in steps][:cells]
    return [
        np.stack(
            [
                [simulation.window(scene.id, band, x, y, SIDE, SIDE) for band in bands]
                for scene in simulation.scenes()
                if scene.tile == tile
            ]
        )
        for x, y in corners
    ]


def real(folder: Path, cells: int) -> list[np.ndarray]:
    """Of the scenes in a folder: all that have the bands, side by side from the upper-left corner."""
    bands = ["B02", "B03", "B04", "B08"]
    folders = [one for one in sorted(folder.iterdir()) if all((one / f"{band}.tif").is_file() for band in bands)]
    if not folders:
        raise SystemExit(f"{folder} has no scenes with {', '.join(bands)} as <scene>/<band>.tif")
    with rasterio.open(folders[0] / "B02.tif") as source:
        rows, columns = (range(0, size - SIDE + 1, SIDE) for size in source.shape)
    return cut(folders, bands, [(column, row) for row in rows for column in columns][:cells])


def raw_mb(series: list[np.ndarray]) -> float:
    return sum(one.nbytes for one in series) / 1e6
