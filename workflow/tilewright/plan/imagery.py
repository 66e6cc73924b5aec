"""What the imagery of one tile and period will take: which scenes serve which cells, and what reading them takes.

The choice is made by crop's own code, on made-up skies; of several draws the mean counts.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tilewright.catalog import Acquisition, Scene, acquisitions
from tilewright.config.bands import PRIMARY, RADAR
from tilewright.config.settings import CropSettings, MaskSettings
from tilewright.cropping.choosing import Choice, Found, companions
from tilewright.grid import Tile
from tilewright.plan.files import TURNED, Files, Squares, Taken
from tilewright.plan.sky import counted
from tilewright.select import USED, Candidates, Rule, Spread
from tilewright.store.patches import layers_of
from tilewright.windows import windows_of

# Small tiles take so many draws as make this many (cell, scene) pairs: what clouds hide of a few cells differs much from one to the next.
_PAIRS: Final = 20_000
_MOST_DRAWS: Final = 8


@dataclass(frozen=True)
class Imagery:
    """What one tile and period takes.

    Attributes:
        found: collection → items that its search finds.
        scenes: acquisitions that mask counts.
        mask: what mask reads.
        crop: what crop reads, by collection (SCL with the primary's).
        patches: dates that cells get, by collection, all cells together.
        serving: different acquisitions of the primary collection that serve any cell.
    """

    found: Mapping[str, int]
    scenes: float
    mask: Taken
    crop: Mapping[str, Taken]
    patches: Mapping[str, float]
    serving: float

    @property
    def companions(self) -> int:
        """Items of the search for companions."""
        return sum(self.found.values()) - self.found[PRIMARY]


def imagery_of(
    tile: Tile, cells: pd.DataFrame, scenes: Mapping[str, list[Scene]], masking: MaskSettings, cropping: CropSettings,
    files: Files,
) -> Imagery:  # fmt: skip
    """Plan one tile and period.

    Args:
        cells: as the rows of cells.parquet, at least one.
        scenes: collection → what its search finds.
    """
    # where there are items, companions must list what is read, as in crop
    found = {
        collection: Found.of(each, cropping.bands[collection] if collection != PRIMARY and _listed(each) else ())
        for collection, each in scenes.items()
    }
    primary = found[PRIMARY]
    size_m = int(cells["size_m"].iloc[0])
    corners = cells["ulx"].to_numpy(float), cells["uly"].to_numpy(float)
    mask, many = _mask(tile, cells, primary.acquisitions, masking, files)
    draws = max(1, min(_MOST_DRAWS, _PAIRS // max(1, len(cells) * len(primary.rows))))
    crop: dict[str, Taken] = {collection: Taken() for collection in found}
    patches: dict[str, float] = defaultdict(float)
    serving = 0.0
    for turn in range(draws):
        chosen = _choice(cells, found, scenes[PRIMARY], cropping, turn).made()
        chosen = chosen[chosen["status"] == USED]
        row = pd.Index(cells["cell_id"]).get_indexer(chosen["cell_id"])
        for (collection, scene_id), places in chosen.assign(row=row).groupby(["collection", "scene_id"])["row"]:
            rows = np.unique(places.to_numpy())
            patches[collection] += len(places) / draws
            serving += (collection == PRIMARY) / draws
            one = next(each for each in found[collection].acquisitions if each.scene_id == scene_id)
            squares = Squares(corners[0][rows], corners[1][rows], size_m * (TURNED if collection in RADAR else 1))
            for layer in layers_of(collection, cropping.bands[collection]):
                taken = files.taken(one, layer.band, tile, squares)
                crop[collection] = crop[collection].plus(taken, 1 / draws)
    items = {collection: len(each) for collection, each in scenes.items()}
    return Imagery(items, many, mask, crop, dict(patches), serving)


def _listed(scenes: list[Scene]) -> bool:
    return any(scene.assets != "{}" for scene in scenes)


def _mask(
    tile: Tile, cells: pd.DataFrame, known: list[Acquisition], settings: MaskSettings, files: Files
) -> tuple[Taken, int]:
    """What mask reads, and of how many acquisitions."""
    dates = cells["reference_date"].to_numpy("datetime64[us]") if settings.reference else None
    times = np.array([one.datetime for one in known], "datetime64[us]")
    wanted = windows_of(times, (), settings.reference, dates, len(cells)) >= 0
    left, top, size_m = cells["ulx"].to_numpy(float), cells["uly"].to_numpy(float), int(cells["size_m"].iloc[0])
    whole = Squares(left, top, size_m)
    taken = Taken()
    for at, one in enumerate(known):
        rows = wanted[:, at]
        if not rows.any():
            continue
        squares = whole if rows.all() else Squares(left[rows], top[rows], size_m)
        for band in ("SCL", *([settings.intensity_band] if settings.intensity_band else [])):
            taken = taken.plus(files.taken(one, band, tile, squares))
    return taken, int(wanted.any(axis=0).sum())


def _choice(
    cells: pd.DataFrame, found: Mapping[str, Found], scenes: list[Scene], settings: CropSettings, turn: int
) -> Choice:
    """The choice as crop sets it up, on a made-up sky."""
    rows = found[PRIMARY].rows
    count = np.zeros((len(cells), len(rows), 12), np.int32)
    named = {scene.scene_id: scene for scene in scenes}
    place = {str(name): at for at, name in enumerate(rows["scene_id"])}
    serving = acquisitions([scene for scene in scenes if not scene.refused])
    for one in serving:
        parts = counted(cells, one.parts, settings.seed, turn)
        # parts of an acquisition are seen as one image: where one has no data another may
        best = parts[:, :, 0].argmin(axis=1)
        count[:, place[one.scene_id]] = parts[np.arange(len(cells)), best]
    dates = cells["reference_date"].to_numpy("datetime64[us]") if settings.reference else None
    window = None
    if settings.windows or settings.reference is not None:
        times = rows["datetime"].to_numpy("datetime64[us]")
        window = windows_of(times, settings.windows, settings.reference, dates, len(cells))
    brightness = np.zeros(count.shape[:2], np.float32)  # nothing is known of haze
    known = Candidates(cells["cell_id"].to_numpy(object), rows, count, brightness, {}, window)
    spread = None
    if settings.weights is not None and settings.method is not None:
        spread = Spread(settings.windows[0], settings.weights, settings.method)
    limits = settings.limits
    if limits.min_snow is not None and not any("s2:snow_ice_percentage" in scene.item for scene in named.values()):
        limits = limits.model_copy(update={"min_snow": None})  # where snow lies is not known
    rule = Rule(settings.tile, settings.period, settings.seed, settings.scenes, settings.order, limits, spread)
    others = {
        collection: companions(collection, pair, cells, found[collection])
        for collection, pair in sorted(settings.companions.items())
    }
    return Choice(known, rule, others)
