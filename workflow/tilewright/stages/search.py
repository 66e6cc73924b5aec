"""search: which scenes exist for a tile and period, frozen in `scenes.parquet` (or `companions.parquet`)."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.catalog import Scene, find_items, grouped, read_scene, scene_table
from tilewright.catalog.scene import SUPERSEDED, to_look_at
from tilewright.config.provider import CollectionAccess
from tilewright.config.settings import SearchSettings
from tilewright.errors import TilewrightError
from tilewright.grid import tile
from tilewright.progress import SUMMARY
from tilewright.store import write_table

if TYPE_CHECKING:
    from tilewright.imagery import Reader

log = logging.getLogger(__name__)


def make_search(
    settings: SearchSettings, output: Path, access: Mapping[str, CollectionAccess], reader: "Reader | None" = None
) -> None:
    """Search every collection and write one row a scene (`tilewright.catalog.Scene`), by collection, time and id.

    An empty table means that the catalogs answered and have nothing; one that does not answer whole is an error. Of
    scenes whose catalog does not tell their offset a few pixels are read.

    Args:
        access: by collection, how those pixels are opened (`reader`, where it is given, knows itself), and how many
            requests may be under way at the API.

    Raises:
        TilewrightError: where a catalog cannot be read, or imagery that must be looked at stays unreachable.
    """
    scenes: list[Scene] = []
    looked = 0
    for key in sorted(settings.spans):
        provider, (start, end) = settings.providers[key], settings.spans[key]
        collection = provider.collections[key]
        items = find_items(provider, key, tile(settings.tile), start, end, access[key].parallel)
        found = [read_scene(key, item, collection, provider.access, provider.kind == "local") for item in items]
        if ambiguous := sum(map(to_look_at, found)):
            # most searches read no pixels, and need not wait for what reads them to be imported
            from tilewright.imagery import ImageryReader
            from tilewright.imagery.looks import look

            looked += ambiguous
            reader = reader or ImageryReader(access=access)
            try:
                found = [look(scene, reader) if to_look_at(scene) else scene for scene in found]
            except TilewrightError as error:
                raise TilewrightError(f"tile {settings.tile}: {error}") from error
        scenes += grouped(found, collection.duplicates)
        if not found:
            log.warning("tile %s has no scene of %s from %s to %s", settings.tile, key, start, end)
    for scene in scenes:
        if scene.refused:
            level = logging.INFO if scene.refused.startswith(SUPERSEDED) else logging.WARNING
            log.log(level, "scene %s refused: %s", scene.scene_id, scene.refused)
    spans = {key: [str(start), str(end)] for key, (start, end) in sorted(settings.spans.items())}
    write_table(scene_table(scenes), output, {"tile": settings.tile, "spans": spans, "scenes": len(scenes)})
    log.log(
        SUMMARY, "search %s: %d scenes, %d refused, %d looked at%s", settings.tile, len(scenes),
        sum(bool(scene.refused) for scene in scenes), looked, f"; {reader.traffic.words()}" if reader and looked else "",
    )  # fmt: skip
