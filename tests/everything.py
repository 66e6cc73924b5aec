"""A dataset of all that the layouts of our own, OpenSentinelMap's and DeepSatData's hold, on a world of watermarks; and exports of it, tile by tile."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import yaml

import tilewright
from harness import ROOT, write_aoi
from inprocess import build_kept, kept
from tilewright.config.bands import COLLECTION_BANDS, S2_L1C, S2_L2A
from tilewright.config.settings import ExportSettings, parsed
from tilewright.config.simulated import Simulate, Site
from tilewright.exports import make_export, make_export_tile
from tilewright.rules import DatasetConfig
from tilewright.simulate import World, decode_watermark, make_world
from tilewright.store import read_table, table_metadata, write_table
from worlds import known

# two zones at one border, a tile in each
SITE = Site(name="lazio", lon=12.0, lat=42.0, side_m=4000, tiles=["32TQM", "33TTG"])
BOX = (11.978, 41.983, 12.022, 42.017)
WORLD = Simulate(seed=7, sites=[SITE], years=[2018, 2019], scenes_per_year=2, watermark=True, sensors=["s2_l1c"])
CROPS: dict[str, Any] = {
    "name": "crops", "version": 1, "channels": [{"name": "crop"}],
    "categories": [
        {"name": name, "channel": "crop", "value": value, "precedence": value, "colour": colour, "burn": "coverage",
         "rules": [{"attributes": {"crop": name}}]}
        for value, (name, colour) in enumerate([("wheat", "#e6d96b"), ("maize", "#1b7837")])
    ],
}  # fmt: skip


def fields() -> gpd.GeoDataFrame:
    """Rectangles over the southern part of the site, a hectare or so each, some of them overlapping; one id does not fit 24 bits."""
    draw = np.random.default_rng(5)
    west, south, east, north = BOX
    left, bottom = draw.uniform(west, east, 200), draw.uniform(south, south + 0.55 * (north - south), 200)
    outlines = shapely.box(left, bottom, left + draw.uniform(5e-4, 3e-3, 200), bottom + draw.uniform(5e-4, 3e-3, 200))
    number = np.arange(1, 201)
    number[-1] = 2**24 + 1
    return gpd.GeoDataFrame(
        {"crop": np.where(draw.random(200) < 0.5, "wheat", "maize"), "number": number}, geometry=outlines, crs=4326
    )


def config_of(folder: Path, world: Path) -> dict[str, Any]:
    """The dataset; its files in `folder`, the world's in `world`."""
    (folder / "crops.yaml").write_text(yaml.safe_dump(CROPS))
    fields().to_file(folder / "crops.gpkg")
    crops = {
        "kind": "vector",
        "path": str(folder / "crops.gpkg"),
        "attributes": ["crop"],
        "id": "number",
        "licence": "CC0",
    }
    return {
        "dataset": "everything", "seed": 42, "aoi": {"file": write_aoi(folder / "aoi.geojson", BOX)},
        "provider": {"like": "simulated", "path": str(world / "catalog.json")},
        "collections": {"s2_l2a": {"bands": list(S2_L2A)}, "s2_l1c": {"bands": list(S2_L1C)}},
        "cells": {"size_m": 480, "number": 3}, "mask": {"max_bad": 1.0, "max_nodata": 1.0},
        # every scene of the second half of 2019 is chosen twice
        "periods": [
            {"name": "2018", "start": "2018-01-01", "end": "2018-12-31", "scenes": 2},
            {"name": "2019", "start": "2019-01-01", "end": "2019-12-31", "scenes": 2},
            {"name": "late", "start": "2019-07-01", "end": "2019-12-31", "scenes": 2},
        ],
        "accept": {"complete": False},
        "labels": {
            "osm": {"source": {"kind": "pbf", "path": str(world / "world.osm.pbf")}, "ontology": "opensentinelmap"},
            "crops": {"source": crops, "ontology": str(folder / "crops.yaml"), "year": 2019, "parcels": {}},
        },
        "split": {"by": "block", "block_m": 960},
        "export": {"layout": ["opensentinelmap", "deepsatdata", "webdataset", "geotiff"]},
    }  # fmt: skip


class Everything(NamedTuple):
    """A finished dataset, its config, and the world that it was made of."""

    results: Path
    config: dict[str, Any]
    world: World

    def settings(self, layout: str, **export: Any) -> ExportSettings:
        """Of an export; `export`: keys of the config's `export`."""
        config = {**self.config, "export": {"layout": layout, **export}}
        return parsed(ExportSettings, DatasetConfig.load(config, ROOT).settings("export", layout=layout))

    def dataset(self) -> Any:
        return _opened(self.results)

    def cell(self, cell_id: str) -> Any:
        """Its tree, read once."""
        return _cell(self.results, cell_id)

    def accepted(self) -> pd.DataFrame:
        index = self.dataset().index
        return index[index["accepted"]]

    def images(self, cell_id: str, collection: str) -> list[tuple[str, pd.Timestamp, dict[str, np.ndarray]]]:
        """(scene, time, pixels by band; SCL among them) of each scene once, through xarray."""
        node = self.cell(cell_id)[collection]
        found: dict[str, tuple[str, pd.Timestamp, dict[str, np.ndarray]]] = {}
        for at, scene in enumerate(map(str, node["scene_id"].values)):
            pixels: dict[str, np.ndarray] = {}
            for name, group in node.children.items():
                if name == "scl":
                    pixels["SCL"] = group["scl"].values[at]
                else:
                    pixels |= dict(zip(map(str, group["band"].values), group["reflectance"].values[at], strict=True))
            found.setdefault(scene, (scene, pd.Timestamp(node["time"].values[at]), pixels))
        return list(found.values())

    def check_mark(self, row: Any, collection: str, when: pd.Timestamp, band: str, pixels: np.ndarray) -> None:
        """The watermark is that of the scene of `when`, of the band and of the cell's place; all no data tells nothing."""
        if not pixels.any():
            return
        step, level = COLLECTION_BANDS[collection][band], {"s2_l2a": "L2A", "s2_l1c": "L1C"}[collection]
        (scene,) = (
            scene for scene in self.world.scenes()
            if scene.tile == row["tile"] and scene.datetime.date() == when.date()
        )  # fmt: skip
        mark = decode_watermark(pixels)
        told = (mark.scene, mark.band, mark.row, mark.column, mark.level)
        place = (int((scene.uly - row["uly"]) / step), int((row["ulx"] - scene.ulx) / step))
        wanted = (scene.number, band, *place, level)
        assert told == wanted, f"{row['cell_id']} {when} {band}: pixels say {told}, expected {wanted}"


@cache
def _opened(results: Path) -> Any:
    return tilewright.open(results)


@cache
def _cell(results: Path, cell_id: str) -> Any:
    return _opened(results)[cell_id].load()


def make(folder: Path) -> None:
    """Build it, and the world that it is of."""
    make_world(WORLD, folder / "marks")
    build_kept(config_of(folder, folder / "marks"), folder)


def opened(folder: Path) -> Everything:
    """What was built in a folder."""
    config, results = kept(folder)
    return Everything(results, config, known(WORLD))


def changed(
    made: Everything, folder: Path, change: Callable[[gpd.GeoDataFrame, dict[str, Any]], gpd.GeoDataFrame]
) -> Everything:
    """The same dataset with another index: `change` takes its rows and metadata (to change in place) and gives the rows."""
    (folder / "tiles").mkdir(parents=True)
    for tile in (made.results / "tiles").iterdir():
        (folder / "tiles" / tile.name).symlink_to(tile)
    shutil.copy(made.results / "statistics.json", folder)
    path = made.results / "index.parquet"
    about = table_metadata(path)
    rows = change(read_table(path), about)
    write_table(rows, folder / "index.parquet", about)
    return made._replace(results=folder)


class Export:
    """An export of a dataset in a folder, by the stages export_tile and export."""

    def __init__(self, folder: Path, results: Path, settings: ExportSettings) -> None:
        self.root = folder / "exports" / settings.layout
        self.results, self.settings = results, settings
        self.tables: dict[str, Path] = {}

    def tile(self, tile: str) -> Path:
        """Export one tile; the folder of its tables."""
        at = self.tables[tile] = self.root.parent / f"{self.root.name}.tiles" / tile
        at.mkdir(parents=True, exist_ok=True)
        make_export_tile(self.results, tile, self.settings, self.root, at / "files.parquet", at / "records.parquet")
        return at

    def whole(self) -> "Export":
        """What comes after the tiles."""
        make_export(self.results, self.settings, list(self.tables.values()), self.root, "dataset: everything\n")
        return self

    def run(self) -> "Export":
        """All of it."""
        for path in sorted((self.results / "tiles").iterdir()):
            self.tile(path.name)
        return self.whole()

    def files(self) -> dict[str, bytes]:
        """Every file by its path."""
        paths = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths}
