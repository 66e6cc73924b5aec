"""Splits: which of train, val and test each cell belongs to; a pure function of seed and place."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings
from tilewright.draw import unit_interval

NAMES = ("train", "val", "test")
MIN_BLOCKS = 20  # blocks are halved until there are that many, so that a share of a tenth is two blocks


@dataclass(frozen=True)
class SplitOutcome:
    """How the split was made.

    Attributes:
        by: tile or block: what was hashed in the end.
        reason: why that is not what the config asked for; empty where it is.
        units: how many tiles or blocks there are.
        block_m: side of a block in metres, 0 by tile.
    """

    by: str
    reason: str
    units: int
    block_m: int


def split(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """The split of each row.

    By tile, a tile's split is hash(seed, tile), so that more tiles never move the ones that are there. Where fewer than
    `min_tiles` tiles have cells, a split could be empty or hold a single landscape, and blocks of cells of one UTM zone
    are dealt out in hashed order instead: the shares are then met and no split is empty, at the price that a larger AOI
    deals anew. Cells never overlap and a cell lies in one block, so no ground is in two splits either way.

    Args:
        rows: with columns tile, epsg, col, row (the cell's place in its zone's lattice).

    Returns:
        (row,) of "train", "val", "test"; and how it was made.
    """
    tiles = rows["tile"].nunique()
    by, reason = settings.by, ""
    if by == "tile" and tiles < settings.min_tiles:
        by = "block"
        reason = f"the AOI has cells in {tiles} of the split.min_tiles ({settings.min_tiles}) tiles that a split by tile needs"
    if by == "tile":
        unit = rows["tile"].astype(str)
    else:
        step = max(1, settings.block_m // settings.size_m)
        unit = _blocks(rows, step)
        while step > 1 and unit.nunique() < MIN_BLOCKS:
            step //= 2
            unit = _blocks(rows, step)
        shares = _by_rank(sorted(unit.unique(), key=lambda name: unit_interval(settings.seed, "split", name)), settings)
        return unit.map(shares).to_numpy(object), SplitOutcome(by, reason, len(shares), step * settings.size_m)
    edges = np.cumsum([settings.shares.train, settings.shares.val])
    drawn = {
        name: np.searchsorted(edges, unit_interval(settings.seed, "split", name), side="right")
        for name in unit.unique()
    }
    return np.array(NAMES, object)[unit.map(drawn).to_numpy(int)], SplitOutcome(by, reason, len(drawn), 0)


def _blocks(rows: pd.DataFrame, step: int) -> pd.Series:
    """The square block of `step` cells a side that each cell lies in, by UTM zone."""
    column, row = rows["col"] // step, rows["row"] // step
    return rows["epsg"].astype(str) + "/" + column.astype(str) + "/" + row.astype(str)


def _by_rank(units: list[str], settings: IndexSettings) -> dict[str, str]:
    """Deal blocks out in their hashed order: each split its share and at least one block, what is left to the largest."""
    shares = {"train": settings.shares.train, "val": settings.shares.val, "test": settings.shares.test}
    wanted = sorted((name for name in NAMES if shares[name] > 0), key=lambda name: -shares[name])
    if len(units) < len(wanted):
        return dict(zip(units, wanted, strict=False))
    dealt: dict[str, str] = {}
    left = iter(units)
    for name in wanted[1:]:
        dealt |= dict.fromkeys(islice(left, max(1, round(shares[name] * len(units)))), name)
    return dealt | dict.fromkeys(left, wanted[0])
