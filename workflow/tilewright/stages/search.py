"""search: which scenes exist for a tile and period, frozen in `scenes.parquet` (or `companions.parquet`)."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.catalog import Scene, find_items, grouped, read_scene, scene_table
from tilewright.catalog.scene import SUPERSEDED, UNSEEN, to_look_at
from tilewright.config.provider import CollectionAccess
from tilewright.config.settings import SearchSettings
from tilewright.config.spans import words
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
        TilewrightError: where a catalog cannot be read, or imagery that must be looked at stays unreachable or is gone as a whole.
    """
    scenes: list[Scene] = []
    looked = 0
    for key in sorted(settings.spans):
        provider, spans = settings.providers[key], settings.spans[key]
        collection = provider.collections[key]
        items = [
            item for first, last in spans
            for item in find_items(provider, key, tile(settings.tile), first, last, access[key].parallel)
        ]  # fmt: skip
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
            unseen = [scene for scene in found if UNSEEN in scene.refused]
            if len(unseen) == ambiguous >= 2:
                # One scene may lack its files; all of them is a disk that is not mounted or a mirror that is misspelt. What is written
                # here stays, also when the mirror is mended, so it must not say that these scenes are of no use.
                raise TilewrightError(
                    f"tile {settings.tile}: none of {ambiguous} scenes can be looked at, such as {unseen[0].scene_id} "
                    f"({unseen[0].refused.partition(UNSEEN)[2]}): the imagery is not where the catalog, or the provider's "
                    "access.rewrite, says; bring it back or mend it, then run again"
                )
        scenes += grouped(found, collection.duplicates)
        if not found:
            log.warning("tile %s has no scene of %s from %s", settings.tile, key, words(spans) if spans else "no day")
        elif all(scene.refused for scene in found):
            reasons = Counter(scene.refused for scene in found)
            log.warning(
                "tile %s: every one of %d scenes of %s is refused, most of them (%d): %s", settings.tile, len(found), key,
                max(reasons.values()), reasons.most_common(1)[0][0],
            )  # fmt: skip
    for scene in scenes:
        if scene.refused:
            level = logging.INFO if scene.refused.startswith(SUPERSEDED) else logging.WARNING
            log.log(level, "scene %s refused: %s", scene.scene_id, scene.refused)
    # a frozen catalog must tell a collection that was searched and has nothing here from one that it does not know
    asked = {key: settings.providers[key].collections[key].id for key in sorted(settings.spans)}
    days = settings.model_dump(mode="json", include={"spans"})["spans"]
    about = {"tile": settings.tile, "spans": dict(sorted(days.items())), "collections": asked, "scenes": len(scenes)}
    write_table(scene_table(scenes), output, about)
    log.log(
        SUMMARY, "search %s: %d scenes, %d refused, %d looked at%s", settings.tile, len(scenes),
        sum(bool(scene.refused) for scene in scenes), looked, f"; {reader.traffic.words()}" if reader and looked else "",
    )  # fmt: skip
