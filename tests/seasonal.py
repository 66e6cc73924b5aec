"""A small dataset as SeasoNet's, of watermarked pixels: two grids, land cover with a gap and tiny regions, region types."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import shapely

BOX = (11.965, 41.982, 12.035, 42.018)
# Classes by longitude: 112, 211, 512, nothing, 334 (of no class), 312.
LAND_COVER = (
    (11.90, 11.98, "112"),
    (11.98, 12.00, "211"),
    (12.00, 12.012, "512"),
    (12.015, 12.02, "334"),
    (12.02, 12.1, "312"),
)
TINY = (11.9906, 42.0003, 0.0006)  # a spot of 121 in the fields: centre and half a side, degrees; some 130 pixels
REGIONS = {"SLRAUM": [1, 2], "RTYP3": [3, 1], "KTYP4": [4, 2]}


def seasonal(data: Path, folder: Path) -> dict[str, Any]:
    """A dataset of the world in `data`: spring and winter are of the same months, snow has no
    scene, and fall has none of tile 32TQM."""
    folder.mkdir(parents=True, exist_ok=True)
    lon, lat, half = TINY
    spot = shapely.box(lon - half, lat - half, lon + half, lat + half)
    shapes = [shapely.box(west, 41.9, east, 42.1) for west, east, _ in LAND_COVER]
    shapes[1] = shapes[1].difference(spot)
    codes = [code for *_, code in LAND_COVER]
    cover, regions = folder / "cover.gpkg", folder / "regions.gpkg"
    gpd.GeoDataFrame({"CLC18": [*codes, "121"]}, geometry=[*shapes, spot], crs=4326).to_file(cover)
    halves = [shapely.box(11.9, 41.9, 12.0, 42.1), shapely.box(12.0, 41.9, 12.02, 42.1)]
    gpd.GeoDataFrame(REGIONS, geometry=halves, crs=4326).to_file(regions)
    months = {
        "spring": ("01-01", "04-30"),
        "summer": ("05-01", "08-31"),
        "fall": ("09-01", "10-31"),
        "winter": ("01-01", "04-30"),
        "snow": ("12-30", "12-31"),
    }
    return {
        "dataset": "seasonal", "seed": 42, "provider": {"like": "simulated", "path": str(data / "catalog.json")},
        "aoi": {"bbox": list(BOX)},
        "cells": {"strategy": "grids", "size_m": 1200},
        "collections": {"s2_l2a": {"bands": ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]}},
        "mask": {"max_bad": 0.6},
        "periods": [
            {"name": name, "start": f"2019-{start}", "end": f"2019-{end}", "scenes": 1, "order": "latest"} for name, (start, end) in months.items()
        ],
        "labels": {
            "clc": {
                "source": {"kind": "vector", "path": str(cover), "attributes": ["CLC18"], "licence": "CC0-1.0"},
                "ontology": "seasonet-clc", "regions": {},
            }
        },
        "attributes": {"path": str(regions), "columns": list(REGIONS)},
        "split": {"by": "block", "block_m": 2400, "min_tiles": 1},
        "export": {"layout": ["seasonet"]},
    }  # fmt: skip
