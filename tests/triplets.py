"""A small dataset as SSL4EO-S12's, and exports made by calling the stages in this process."""

from pathlib import Path
from typing import Any

from harness import ROOT
from tilewright.config.settings import ExportSettings, parsed
from tilewright.config.simulated import Simulate, Site
from tilewright.exports import make_export, make_export_tile
from tilewright.rules import DatasetConfig

# One place in zone 33 with Level-1C and Sentinel-1: Sentinel-2 pixels say what they are.
TRIPLETS = Simulate(
    seed=7, sites=[Site(name="lazio", lon=12.05, lat=42.0, side_m=3500, tiles=["33TTG"])], years=[2019], scenes_per_year=4,
    watermark=True, sensors=["s2_l1c", "s1_grd"],
)  # fmt: skip
L2A = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]


def triplets(data: Path, folder: Path) -> dict[str, Any]:
    """Three locations over `TRIPLETS` in `data`, four seasons of which two have the same images; the third lies beyond the world."""
    folder.mkdir(parents=True, exist_ok=True)
    points = folder / "points.csv"
    points.write_text("name,lon,lat\naway,12.0470,42.03\na,12.0530,42.0000\nb,12.0470,42.0010\n")
    months = {"spring": (1, 4), "summer": (5, 8), "fall": (9, 12), "winter": (9, 12)}
    last = {4: 30, 8: 31, 12: 31}
    return {
        "dataset": "triplets", "seed": 42, "provider": {"like": "simulated", "path": str(data / "catalog.json")},
        "aoi": {"points": {"path": str(points), "id": "name"}},
        "cells": {"strategy": "samples", "size_m": 2640},
        "collections": {
            "s2_l2a": {"bands": L2A},
            "s2_l1c": {"bands": [*L2A[:10], "B10", "B11", "B12"], "pair": {"required": True}},
            "s1_grd": {"bands": ["VV", "VH"], "pair": {"nearest_days": 8, "required": True}},
        },
        "mask": {"max_bad": 1.0},
        "periods": [
            {"name": name, "start": f"2019-{first:02}-01", "end": f"2019-{end:02}-{last[end]}", "scenes": 1, "order": "latest"}
            for name, (first, end) in months.items()
        ],
        "accept": {"complete": True},
        "export": {"layout": ["ssl4eo-s12"]},
    }  # fmt: skip


def export(config: dict[str, Any], results: Path, layout: str, root: Path) -> Path:
    """The whole export of a dataset that is built; its folder `root`."""
    dataset = DatasetConfig.load(config, ROOT)
    told = parsed(ExportSettings, dataset.settings("export_tile", layout=layout))
    tables = []
    for tile in sorted(name for tiles in dataset.tiles_by_zone().values() for name in tiles):
        tables.append(root.parent / f"{root.name}.tiles" / tile)
        tables[-1].mkdir(parents=True, exist_ok=True)
        make_export_tile(results, tile, told, root, tables[-1] / "files.parquet", tables[-1] / "records.parquet")
    make_export(results, told, tables, root, dataset.text)
    return root
