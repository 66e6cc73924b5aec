"""Providers and STAC: finding scenes, and what each item means (tile, orbit, assets, radiometry)."""

from tilewright.catalog.find import find_items
from tilewright.catalog.scene import Asset, Scene, read_scene, scene_asset, scene_table, scenes_of

__all__ = ["Asset", "Scene", "find_items", "read_scene", "scene_asset", "scene_table", "scenes_of"]
