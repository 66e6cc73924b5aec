"""Splits: which of train, val and test each cell belongs to; a pure function of seed and place."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings

NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class SplitOutcome:
    """How the split was made.

    Attributes:
        by: tile or block: what was hashed in the end.
        reason: why that is not what the config asked for; empty where it is.
        units: how many tiles or blocks there are.
    """

    by: str
    reason: str
    units: int


def unit_interval(*names: object) -> float:
    """A number in [0, 1) that only `names` decide."""
    digest = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """The split of each row.

    By tile, a tile's split is hash(seed, tile), so that more tiles never move the ones that are there. Where fewer than
    `min_tiles` tiles have cells, a split could be empty or hold a single landscape, and blocks of cells of one UTM zone
    are hashed instead. Cells never overlap and a cell lies in one block, so no ground is in two splits either way.

    Args:
        rows: with columns tile, epsg, col, row (the cell's place in its zone's lattice).

    Returns:
        (row,) of "train", "val", "test"; and how it was made.
    """
    tiles = rows["tile"].nunique()
    by, reason = settings.by, ""
    if by == "tile" and tiles < settings.min_tiles:
        by = "block"
        reason = f"{tiles} tiles with cells are fewer than split.min_tiles ({settings.min_tiles})"
    if by == "tile":
        unit = rows["tile"].astype(str)
    else:
        step = max(1, settings.block_m // settings.size_m)
        column, row = rows["col"] // step, rows["row"] // step
        unit = rows["epsg"].astype(str) + "/" + column.astype(str) + "/" + row.astype(str)
    edges = np.cumsum([settings.shares.train, settings.shares.val])
    place = {name: int(np.searchsorted(edges, unit_interval(settings.seed, "split", name), side="right")) for name in unit.unique()}
    names = np.array(NAMES, object)
    return names[unit.map(place).to_numpy(int)], SplitOutcome(by, reason, len(place))
