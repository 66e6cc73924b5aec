"""Writing the simulated world: catalog, OSM extract, images."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.config.simulated import Broken, Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate.cog import Patch, write_cog
from tilewright.simulate.items import files, item, world_digest
from tilewright.simulate.jp2 import write_jp2
from tilewright.simulate.l1c import L1C_RESOLUTION
from tilewright.simulate.products import Product
from tilewright.simulate.radar_files import write_grd, write_rtc
from tilewright.simulate.radar_items import GRD_ASSETS, RTC_ASSETS, grd_item, rtc_item
from tilewright.simulate.radar_schedule import RadarScene
from tilewright.simulate.radar_world import RTC
from tilewright.simulate.world import SCL_RESOLUTION, World
from tilewright.store import replacing_tree

CATALOG = "catalog.json"
OSM = "world.osm.pbf"
# numpy and zlib release the interpreter, so threads share the ground and the sky instead of making them twice.
_THREADS = 2


def _checked(world: World) -> dict[tuple[str, str], Broken]:
    """Damage by item and asset.

    Raises:
        TilewrightError: for an item or asset that does not exist.
    """
    known: dict[str, dict[str, str]] = {product.id: files(product) for product in world.products()}
    known |= {scene.id: GRD_ASSETS for scene in world.radar.scenes() if "s1_grd" in world.settings.sensors}
    known |= {scene.id + RTC: RTC_ASSETS for scene in world.radar.scenes() if "s1_rtc" in world.settings.sensors}
    for broken in world.settings.broken:
        if broken.scene not in known:
            raise TilewrightError(
                f"simulate.broken: no scene is called {broken.scene}; they are such as {world.products()[0].id}"
            )
        if broken.asset not in known[broken.scene]:
            names = ", ".join(known[broken.scene])
            raise TilewrightError(f"simulate.broken: {broken.asset} is not an asset; they are {names}")
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


def _write_product(
    world: World, product: Product, directory: Path, damage: dict[tuple[str, str], Broken]
) -> dict[str, Any]:
    """Write a Sentinel-2 product's files; returns its item."""
    folder, scene = directory / product.id, product.scene
    folder.mkdir()
    counts = np.zeros(12, np.int64)

    def read(name: str) -> Patch:
        resolution = L1C_RESOLUTION.get(name, SCL_RESOLUTION)
        row, column, rows, columns = world.reach(scene, resolution)
        pixels = world.product_pixels(product, name, np.arange(row, row + rows), np.arange(column, column + columns))
        return Patch(row, column, pixels)

    # Assets of one resolution together: they share the sky.
    named = files(product).items()
    for key, name in sorted(named, key=lambda pair: (L1C_RESOLUTION.get(pair[1], SCL_RESOLUTION), pair[1])):
        resolution = L1C_RESOLUTION.get(name, SCL_RESOLUTION)
        patch = read(name)
        if key == "scl":
            counts = np.bincount(patch.pixels.ravel(), minlength=12)
        broken = damage.get((product.id, key))
        if broken is not None and broken.how == "no_asset":
            continue
        if product.level == "L1C":
            path = folder / f"{name}.jp2"
            write_jp2(path, patch, world.place(scene.tile), resolution)
        else:
            path = folder / f"{name}.tif"
            write_cog(path, patch, world.place(scene.tile), resolution, average=key != "scl")
        if broken is not None:
            _damage(path, broken.how)
    if product.level == "L1C":
        # Its own item says how cloudy it is, though it has no scene classes.
        counts = np.bincount(read("SCL").pixels.ravel(), minlength=12)
    return item(world, product, counts)


def _write_radar(
    world: World, scene: RadarScene, directory: Path, damage: dict[tuple[str, str], Broken]
) -> list[dict[str, Any]]:
    """Write a Sentinel-1 product's files, of the sensors asked for; returns their items."""
    radar, told, made = world.radar.over(scene.site), world_digest(world.settings), []
    for sensor, name, write, tell, assets in (
        ("s1_grd", scene.id, write_grd, grd_item, GRD_ASSETS),
        ("s1_rtc", scene.id + RTC, write_rtc, rtc_item, RTC_ASSETS),
    ):
        if sensor not in world.settings.sensors:
            continue
        folder = directory / name
        folder.mkdir()
        write(radar, scene, folder)
        left_out = set()
        for key, file in assets.items():
            broken = damage.get((name, key))
            if broken is not None and broken.how == "no_asset":
                left_out.add(key)
                (folder / file).unlink()
            elif broken is not None:
                _damage(folder / file, broken.how)
        made.append(tell(radar, scene, left_out, told))
    return made


def _write_all(world: World, directory: Path, damage: dict[tuple[str, str], Broken]) -> Iterator[dict[str, Any]]:
    """Write everything; the items come by collection, in the order of the world's lists."""
    products, passes = world.products(), world.radar.scenes()
    total = len(products) + len(passes)
    with ThreadPoolExecutor(_THREADS) as pool:
        if not world.settings.watermark:
            list(pool.map(world.prepare, sorted({product.scene.tile for product in products})))
        made = pool.map(lambda product: _write_product(world, product, directory, damage), products)
        radar = pool.map(lambda scene: _write_radar(world, scene, directory, damage), passes)
        for number, found in enumerate(made, 1):
            print(f"simulate: {found['id']} ({number} of {total})", file=sys.stderr)
            yield found
        for number, several in enumerate(radar, len(products) + 1):
            print(f"simulate: {several[0]['id']} ({number} of {total})", file=sys.stderr)
            yield from several


def make_world(settings: Simulate, directory: Path) -> None:
    """Write the world into `directory`, which appears whole or is left as it was: same settings, same bytes.

    Makes `catalog.json` (a STAC ItemCollection of all collections, with hrefs relative to it), `world.osm.pbf`, and for
    each item a folder of its id. Level-2A: `B01.tif` … `B12.tif`, `B8A.tif`, `SCL.tif`: COGs of the whole tile, sparse
    outside the site. Level-1C: `B01.jp2` … of the whole tile. Sentinel-1: `iw-vv.tiff`, `calibration-iw-vv.xml`, …, in
    radar geometry, around the site alone; or `iw-vv.rtc.tiff`, ….

    Raises:
        TilewrightError: for settings that describe no possible world, or a disk that cannot take it.
    """
    world = World(settings)
    damage = _checked(world)
    with replacing_tree(directory) as part:
        items = list(_write_all(world, part, damage))
        world.osm.write(part / OSM)
        collection = {"type": "FeatureCollection", "features": items}
        (part / CATALOG).write_text(json.dumps(collection, indent=1) + "\n")
