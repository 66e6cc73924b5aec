"""search: which scenes exist for a tile and period, frozen in `scenes.parquet`."""

import logging
from pathlib import Path

from tilewright.catalog import Scene, find_items, read_scene, scene_table
from tilewright.config.settings import SearchSettings
from tilewright.grid import tile
from tilewright.store import write_table

log = logging.getLogger(__name__)


def make_search(settings: SearchSettings, output: Path) -> None:
    """Search every collection and write one row a scene (columns: `tilewright.catalog.Scene`), by time and id.

    An empty table means that the catalog answered and has nothing; a catalog that does not answer whole is an error.

    Raises:
        TilewrightError: where the catalog cannot be read.
    """
    scenes: list[Scene] = []
    for key, collection in settings.provider.collections.items():
        items = find_items(settings.provider, key, tile(settings.tile), settings.start, settings.end)
        scenes += [read_scene(key, item, collection) for item in items]
    for scene in scenes:
        if scene.refused:
            log.warning("scene %s refused: %s", scene.scene_id, scene.refused)
    if not scenes:
        log.warning("tile %s has no scene from %s to %s", settings.tile, settings.start, settings.end)
    log.info("%d scenes, %d refused", len(scenes), sum(bool(scene.refused) for scene in scenes))
    write_table(
        scene_table(scenes),
        output,
        {"tile": settings.tile, "start": str(settings.start), "end": str(settings.end), "scenes": len(scenes)},
    )
