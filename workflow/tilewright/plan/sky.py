"""Made-up skies: what the stage `mask` might count, drawn from what is known of a scene as a whole.

A smooth field is laid over the tile for each acquisition; where it is lowest there is cloud, then shadow and cirrus, and where it is
highest snow, each over as much of the ground as the catalog (or the estimate) says of the scene. The choice rule then runs on these
counts as it will on the true ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import shapely
from scipy.special import ndtr

from tilewright.catalog import Scene, scene_asset
from tilewright.config.bands import NO_DATA, SCL_CLASSES
from tilewright.draw import draw

# In the order in which they lie from the thickest cloud outwards: class, and the item's property with its percentage.
_CLASSES: Final = (
    (9, "s2:high_proba_clouds_percentage"), (8, "s2:medium_proba_clouds_percentage"), (3, "s2:cloud_shadow_percentage"),
    (10, "s2:thin_cirrus_percentage"),
)  # fmt: skip
_SNOW: Final = (11, "s2:snow_ice_percentage")
_CLEAR: Final = 4
_WAVES: Final = 24
_LENGTHS_M: Final = (8e3, 80e3)  # of the field's waves: clouds are in fields of tens of kilometres
# How much of the field a cell spans: what is not wholly clear or cloudy. Of the cells of 1920 m of the real scenes around Vaduz that
# is 0.2 to 0.3, of those of 640 m 0.1 to 0.2.
_MIXED: Final = 0.2
_PIXELS: Final = 10_000  # so many are counted a cell: shares matter, not numbers


@dataclass(frozen=True)
class Sky:
    """Shares of one acquisition's ground by SCL class, in the order of the field."""

    classes: tuple[int, ...]
    ends: np.ndarray  # (classes,) where each ends, ascending, the last 1

    @classmethod
    def of(cls, cloud: float, item: str) -> "Sky":
        """Args: `cloud` share of cloud where the item (JSON text) says nothing finer; NaN counts as none."""
        told = json.loads(item).get("properties", {}) if item.startswith("{") else {}
        known = {number: told[name] for number, name in (*_CLASSES, _SNOW) if isinstance(told.get(name), int | float)}
        if len(known) > len(_CLASSES):
            shares = [(number, known[number] / 100) for number, _ in (*_CLASSES, _SNOW)]
        else:
            shares = [(9, 0.0 if np.isnan(cloud) else cloud), (_SNOW[0], 0.0)]
        snow = shares.pop()[1]
        parts = [*shares, (_CLEAR, max(0.0, 1 - snow - sum(share for _, share in shares))), (_SNOW[0], snow)]
        sums = np.cumsum([share for _, share in parts])
        return cls(tuple(number for number, _ in parts), sums / sums[-1])


def counted(cells: pd.DataFrame, scenes: Sequence[Scene], seed: int, turn: int) -> np.ndarray:
    """(cell, scene, 12) pixels of each class, as made up; of no data what lies outside the scene's footprint.

    Args:
        cells: ulx, uly, size_m, geometry.
        scenes: of the primary collection.
        turn: number of the draw.
    """
    count = np.zeros((len(cells), len(scenes), len(SCL_CLASSES)), np.int32)
    east = cells["ulx"].to_numpy(float) + cells["size_m"].to_numpy(float) / 2
    north = cells["uly"].to_numpy(float) - cells["size_m"].to_numpy(float) / 2
    outlines = cells["geometry"].to_numpy()
    for at, scene in enumerate(scenes):
        seen = np.minimum(shown(outlines, scene.footprint), _on_grid(cells, scene))
        sky = Sky.of(scene.cloud_cover / 100, scene.item)
        field = _field(east, north, draw(seed, "sky", scene.datatake or scene.scene_id, turn))
        shares = _shares(field, sky.ends) * seen[:, None]
        count[:, at, list(sky.classes)] = np.round(_PIXELS * shares)
        count[:, at, NO_DATA] = _PIXELS - count[:, at].sum(axis=1)
    return count


def shown(outlines: np.ndarray, footprint: str) -> np.ndarray:
    """(cell,) share of each cell that a footprint (WKT, EPSG:4326) holds; all where it is not known."""
    if not footprint:
        return np.ones(len(outlines))
    area = shapely.from_wkt(footprint)
    shapely.prepare(area)
    share = shapely.covers(area, outlines).astype(float)
    partly = (share == 0) & shapely.intersects(area, outlines)
    share[partly] = shapely.area(shapely.intersection(area, outlines[partly])) / shapely.area(outlines[partly])
    return share


def _on_grid(cells: pd.DataFrame, scene: Scene) -> np.ndarray:
    """(cell,) share of each cell that the scene's SCL holds: files may be a part of their tile."""
    scl = scene_asset(scene, "SCL")
    if scl is None or scl.shape is None or scl.transform is None:
        return np.ones(len(cells))
    step, _, west, _, _, north = scl.transform
    left, top = cells["ulx"].to_numpy(float), cells["uly"].to_numpy(float)
    size = cells["size_m"].to_numpy(float)
    wide = np.minimum(left + size, west + step * scl.shape[1]) - np.maximum(left, west)
    high = np.minimum(top, north) - np.maximum(top - size, north - step * scl.shape[0])
    return np.clip(wide, 0, size) * np.clip(high, 0, size) / size**2


def _field(east: np.ndarray, north: np.ndarray, seed: int) -> np.ndarray:
    """(cell,) a smooth random field, uniform in 0 … 1 over many draws: Gaussian, of waves in all directions."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    shortest, longest = np.log(_LENGTHS_M)
    step = 2 * np.pi / np.exp(generator.uniform(shortest, longest, _WAVES))
    angle, phase = generator.uniform(0, 2 * np.pi, (2, _WAVES))
    at = np.outer(east, step * np.cos(angle)) + np.outer(north, step * np.sin(angle)) + phase
    return np.asarray(ndtr(np.sqrt(2 / _WAVES) * np.cos(at).sum(axis=1)))


def _shares(field: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(cell, class) how much of each cell's part of the field, `_MIXED` wide, lies in each class."""
    low, high = (field - _MIXED / 2)[:, None], (field + _MIXED / 2)[:, None]
    first, last = np.concatenate([[-np.inf], ends[:-1]]), np.concatenate([ends[:-1], [np.inf]])
    empty = np.diff(ends, prepend=0.0) <= 0
    share = np.clip(np.minimum(high, last) - np.maximum(low, first), 0, None) / _MIXED
    share[:, empty] = 0
    return share / share.sum(axis=1, keepdims=True)
