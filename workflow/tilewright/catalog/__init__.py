"""Providers and STAC: finding scenes, and what each item means (tile, orbit, assets, radiometry)."""

from tilewright.catalog.acquisitions import Acquisition, acquisitions, grouped
from tilewright.catalog.assets import Asset
from tilewright.catalog.find import find_items
from tilewright.catalog.scene import Scene, read_scene, scene_asset, scene_table, scenes_of

__all__ = [
    "Acquisition",
    "Asset",
    "Scene",
    "acquisitions",
    "find_items",
    "grouped",
    "read_scene",
    "scene_asset",
    "scene_table",
    "scenes_of",
]
