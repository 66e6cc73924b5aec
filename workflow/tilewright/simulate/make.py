"""Writing the simulated world: catalog, OSM extract, images."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tilewright.config.model import Broken, Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate.cog import Patch, write_cog
from tilewright.simulate.items import ASSET_FILES, item
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.spectra import RESOLUTION
from tilewright.simulate.world import SCL_RESOLUTION, World
from tilewright.store import replacing_tree

CATALOG = "catalog.json"
OSM = "world.osm.pbf"
# numpy and zlib release the interpreter, so threads share the ground and the sky instead of making them twice.
_THREADS = 2


def _checked(world: World) -> dict[tuple[str, str], Broken]:
    """Damage by scene and asset.

    Raises:
        TilewrightError: for a scene or asset that does not exist.
    """
    for broken in world.settings.broken:
        world.scene(broken.scene)
        if broken.asset not in ASSET_FILES:
            raise TilewrightError(f"simulate.broken: {broken.asset} is not an asset; they are {', '.join(ASSET_FILES)}")
    return {(broken.scene, broken.asset): broken for broken in world.settings.broken}


def _damage(path: Path, how: str) -> None:
    """Spoil a whole file."""
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        # The header stays readable; the pixels of the full image, which come last, do not inflate any more.
        start = len(data) // 4
        path.write_bytes(data[:start] + bytes(byte ^ 0xA5 for byte in data[start:]))


def _write_scene(world: World, scene: SimScene, directory: Path, damage: dict[tuple[str, str], Broken]) -> np.ndarray:
    """Write a scene's files; returns the pixels of each SCL class in the simulated part."""
    folder = directory / scene.id
    folder.mkdir()
    counts = np.zeros(12, np.int64)
    # Assets of one resolution together: they share the sky.
    for key, name in sorted(ASSET_FILES.items(), key=lambda pair: (RESOLUTION.get(pair[1], SCL_RESOLUTION), pair[1])):
        resolution = RESOLUTION.get(name, SCL_RESOLUTION)
        row, column, rows, columns = world.reach(scene, resolution)
        pixels = world.pixels(scene, name, np.arange(row, row + rows), np.arange(column, column + columns))
        if key == "scl":
            counts = np.bincount(pixels.ravel(), minlength=12)
        broken = damage.get((scene.id, key))
        if broken is not None and broken.how == "no_asset":
            continue
        path = folder / f"{name}.tif"
        write_cog(path, Patch(row, column, pixels), world.place(scene.tile), resolution, average=key != "scl")
        if broken is not None:
            _damage(path, broken.how)
    return counts


def _write_all(world: World, directory: Path, damage: dict[tuple[str, str], Broken]) -> Iterator[np.ndarray]:
    scenes = world.scenes()
    with ThreadPoolExecutor(_THREADS) as pool:
        if not world.settings.watermark:
            list(pool.map(world.prepare, sorted({scene.tile for scene in scenes})))
        for number, counts in enumerate(
            pool.map(lambda scene: _write_scene(world, scene, directory, damage), scenes), 1
        ):
            print(f"simulate: {scenes[number - 1].id} ({number} of {len(scenes)})", file=sys.stderr)
            yield counts


def make_world(settings: Simulate, directory: Path) -> None:
    """Write the world into `directory`, which appears whole or is left as it was: same settings, same bytes.

    Makes `catalog.json` (a STAC ItemCollection with hrefs relative to it), `world.osm.pbf`, and for each scene a folder
    of its id with `B01.tif` … `B12.tif`, `B8A.tif`, `SCL.tif`: COGs of the whole tile, sparse outside the site.

    Raises:
        TilewrightError: for settings that describe no possible world, or a disk that cannot take it.
    """
    world = World(settings)
    damage = _checked(world)
    with replacing_tree(directory) as part:
        items = [
            item(world, scene, counts)
            for scene, counts in zip(world.scenes(), _write_all(world, part, damage), strict=True)
        ]
        world.osm.write(part / OSM)
        collection = {"type": "FeatureCollection", "features": items}
        (part / CATALOG).write_text(json.dumps(collection, indent=1) + "\n")
