"""crop: choose which scene serves which cell, and its companions, then read those pixels and no others."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from tilewright.catalog import scenes_of
from tilewright.config.bands import PRIMARY
from tilewright.config.settings import STAGE_VERSIONS, CropSettings, settings_digest
from tilewright.cropping.choosing import Choice, Found, candidates, check_bands, companions
from tilewright.cropping.filling import BrokenAcquisitionError, Filling
from tilewright.cropping.places import untold_places
from tilewright.cropping.writing import Patches, write_patches
from tilewright.errors import TilewrightError
from tilewright.imagery import ImageryReader, Reader
from tilewright.progress import SUMMARY
from tilewright.select import USED, Rule, Spread
from tilewright.stages.mask import boxes
from tilewright.store import read_table, write_table
from tilewright.store.patches import PreviousPatches, layers_of
from tilewright.store.spool import Spool

log = logging.getLogger(__name__)


def make_crop(
    cells: Path,
    scenes: Path,
    companion_scenes: Path | None,
    masks: Path,
    settings: CropSettings,
    patches: Path,
    selection: Path,
    traffic: Path,
    reader: Reader | None = None,
) -> None:
    """Write the selection and the chosen patches, and what reading cost.

    A scene whose files prove broken is recorded as such and the next candidate serves; a companion that proves to lack data in a
    cell gives way to the next nearest there. Patches that the file at `patches` already holds are copied from it as they are.

    Args:
        companion_scenes: the scenes of the collections besides the primary; None where there are none.

    Raises:
        TilewrightError: when a source stays unreachable, naming tile, scene and asset, or every scene is broken.
    """
    reader = reader or ImageryReader()
    dated = ["reference_date"] if settings.reference else []
    cell_table = read_table(cells, columns=["cell_id", "epsg", "ulx", "uly", "size_m", *dated])
    try:
        found = _found(scenes, companion_scenes, settings)
        choice = _choice(cell_table, found, read_table(masks), settings)
        size_m = int(cell_table["size_m"].iloc[0]) if len(cell_table) else 0
        made_by = f"{reader.version}, crop {STAGE_VERSIONS['crop']}"
        places = untold_places(settings.tile, cell_table)
        previous = PreviousPatches(patches, made_by, size_m, settings.quantities, settings.bands)
        with ExitStack() as stack:
            fillings = {}
            for collection, of in found.items():
                layers = layers_of(collection, settings.bands[collection])
                spool = stack.enter_context(Spool(patches.parent, len(cell_table), len(layers)))
                grids = {step: boxes(cell_table, step) for step in {layer.group.resolution for layer in layers}}
                fillings[collection] = Filling(
                    collection, settings.quantities[collection], of.acquisitions, layers, grids,
                    places, spool, previous, reader,
                )  # fmt: skip
            chosen = _settled(choice, fillings)
            used = chosen[chosen["status"] == USED]
            choice.check_source(used)
            parts = []
            for collection, filling in fillings.items():
                filling.spool.written()
                named = {one.scene_id: one for one in found[collection].acquisitions}
                mine = used[used["collection"] == collection]
                empty = None if collection == PRIMARY else choice.empty(collection, chosen)
                parts.append(Patches(collection, mine, named, filling.layers, filling.spool, places, empty))
            attrs = {
                "tile": settings.tile, "period": settings.period, "size_m": size_m, "made_by": made_by, "bands": settings.bands,
                "quantities": settings.quantities, "settings_digest": settings_digest(settings),
            }  # fmt: skip
            write_patches(patches, attrs, parts, choice.candidates, size_m)
    except TilewrightError as error:
        raise TilewrightError(f"tile {settings.tile}, period {settings.period}: {error}") from error
    told_of = {"seed", "scenes", "order", "limits", "companions", "windows", "reference", "weights", "method"}
    rule = settings.model_dump(mode="json", include=told_of)
    write_table(chosen, selection, {"tile": settings.tile, "period": settings.period, "rule": rule})
    read, reused = (sum(getattr(one, name) for one in fillings.values()) for name in ("read", "reused"))
    told = {"patches": len(used), "pieces_read": read, "pieces_reused": reused}
    reader.traffic.write(traffic, stage="crop", tile=settings.tile, period=settings.period, **told)
    log.log(
        SUMMARY, "crop %s %s: %d patches of %d cells; pieces read %d, reused %d; %s", settings.tile, settings.period,
        len(used), len(cell_table), read, reused, reader.traffic.words(),
    )  # fmt: skip


def _found(scenes: Path, companion_scenes: Path | None, settings: CropSettings) -> dict[str, Found]:
    """What can serve, by collection: the primary first, the others by name."""
    known = scenes_of(read_table(scenes))
    if companion_scenes is not None:
        known += scenes_of(read_table(companion_scenes))
    elif settings.companions:
        raise TilewrightError(f"the scenes of {', '.join(sorted(settings.companions))} are not given: use --companions")
    found = {}
    for collection in (PRIMARY, *sorted(settings.companions)):
        bands = settings.bands[collection]
        own = [scene for scene in known if scene.collection == collection]
        # of primary scenes a lacking band matters only where it must be read
        found[collection] = Found.of(own, () if collection == PRIMARY else bands)
        check_bands(collection, found[collection], bands)
    return found


def _choice(cells: pd.DataFrame, found: Mapping[str, Found], masks: pd.DataFrame, settings: CropSettings) -> Choice:
    spread = None
    if settings.weights is not None and settings.method is not None:
        spread = Spread(settings.windows[0], settings.weights, settings.method)
    rule = Rule(settings.tile, settings.period, settings.seed, settings.scenes, settings.order, settings.limits, spread)
    others = {
        collection: companions(collection, pair, cells, found[collection])
        for collection, pair in sorted(settings.companions.items())
    }
    known = candidates(cells, found[PRIMARY], masks, settings.windows, settings.reference)
    return Choice(known, rule, others)


def _settled(choice: Choice, fillings: Mapping[str, Filling]) -> pd.DataFrame:
    """Choose and bring the pixels, anew for as long as they show that something chosen cannot serve."""
    row = {str(cell): at for at, cell in enumerate(choice.candidates.cell_id)}
    known = set(choice.broken())
    while True:
        chosen = choice.made()
        used = chosen[chosen["status"] == USED]
        if any(_changed(choice, collection, filling, used, row) for collection, filling in fillings.items()):
            continue
        for collection, filling in fillings.items():
            newly = sorted(scene for of, scene in set(choice.broken()) - known if of == collection)
            if newly and not filling.read:
                # It may turn out now that a kept scene is gone, too, and with it the whole source.
                filling.check_kept(newly[0])
        # once more, as what companions lack has been learnt since
        return choice.made() if choice.companions else chosen


def _changed(choice: Choice, collection: str, filling: Filling, used: pd.DataFrame, row: Mapping[str, int]) -> bool:
    """Bring the pixels of a collection; whether they show that something chosen cannot serve."""
    mine = used[used["collection"] == collection]
    wanted = {
        str(scene): np.unique([row[str(cell)] for cell in part["cell_id"]])
        for scene, part in mine.groupby("scene_id", sort=False)
    }
    if collection != PRIMARY:
        known = [choice.learn(collection, scene, cells, shares) for scene, cells, shares in filling.empty(wanted)]
        if any(known):
            return True
    try:
        filling.fill(wanted)
    except BrokenAcquisitionError as error:
        log.warning("scene %s is broken (%s): its cells take the next candidate", error.scene_id, error.why)
        choice.broke(collection, error.scene_id, error.why)
        return True
    if collection == PRIMARY:
        return False
    lacks = [choice.learn(collection, scene, cells, filling.nodata(scene, cells)) for scene, cells in wanted.items()]
    return any(lacks)
