"""Splits by tile and by block: a pure function of seed and place."""

from itertools import islice
from typing import Final

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings
from tilewright.config.split_names import NAMES
from tilewright.config.splits import Shares
from tilewright.draw import unit_interval
from tilewright.splits.outcome import SplitOutcome
from tilewright.splits.separate import separate

MIN_BLOCKS: Final = 20  # blocks are halved until there are that many, so that a share of a tenth is two blocks
_EQUATOR_SOUTH_M: Final = 10_000_000  # northing of the equator in southern UTM zones


def by_tile(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """A tile's split is hash(seed, tile), so that more tiles never move the ones that are there.

    Where fewer than `min_tiles` tiles have cells, a split could be empty or hold a single landscape, and blocks are dealt out
    instead. Cells of the lattice never overlap; where cells do, those across the tiles' edges are `buffer_m`'s business.
    """
    of = settings.split
    tiles = rows["tile"].nunique()
    if tiles < of.min_tiles:
        reason = (
            f"the AOI has cells in {tiles} of the split.min_tiles ({of.min_tiles}) tiles that a split by tile needs"
        )
        return _by_block(rows, settings, reason)
    unit = rows["tile"].astype(str)
    edges = np.cumsum([of.shares.train, of.shares.val])
    drawn = {
        name: np.searchsorted(edges, unit_interval(settings.seed, "split", name), side="right")
        for name in unit.unique()
    }
    names = np.array(NAMES, object)[unit.map(drawn).to_numpy(int)]
    names, dropped = separate(rows, names, of.shares, of.buffer_m)
    return names, SplitOutcome("tile", units=len(drawn), buffer_m=of.buffer_m, dropped=dropped)


def by_block(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """Square blocks of ground of one UTM zone are dealt out in hashed order.

    The shares (of blocks) are met and no split is empty, at the price that a larger AOI deals anew. A cell is of the block that
    its centre lies in; cells that share ground with a smaller split, or are nearer to it than `buffer_m`, are dropped.
    """
    return _by_block(rows, settings, "")


def _by_block(rows: pd.DataFrame, settings: IndexSettings, reason: str) -> tuple[np.ndarray, SplitOutcome]:
    of = settings.split
    unit, side = blocks(rows, of.block_m, settings.size_m)
    shares = _by_rank(sorted(unit.unique(), key=lambda name: unit_interval(settings.seed, "split", name)), of.shares)
    buffer = 0.0 if of.buffer_m is None else of.buffer_m
    names, dropped = separate(rows, unit.map(shares).to_numpy(object), of.shares, buffer)
    return names, SplitOutcome("block", reason, len(shares), side, buffer, dropped)


def blocks(rows: pd.DataFrame, block_m: int, size_m: int) -> tuple[pd.Series, int]:
    """The block that each cell's centre lies in, by name, and the side of blocks in metres.

    Blocks are counted from easting 0 and the equator of each UTM zone, as the lattice is, and are a whole number of cells wide, so
    that no cell of the lattice is cut. Their side is halved until there are `MIN_BLOCKS` of them, or they are single cells.
    """
    step = max(1, block_m // size_m)
    unit = _blocks(rows, step * size_m)
    while step > 1 and unit.nunique() < MIN_BLOCKS:
        step //= 2
        unit = _blocks(rows, step * size_m)
    return unit, step * size_m


def _blocks(rows: pd.DataFrame, side: int) -> pd.Series:
    half = rows["size_m"] / 2
    north = rows["uly"] - half
    poleward = north.where(rows["epsg"] // 100 == 326, _EQUATOR_SOUTH_M - north)
    column, row = ((metres // side).astype("int64").astype(str) for metres in (rows["ulx"] + half, poleward))
    return rows["epsg"].astype(str) + "/" + column + "/" + row


def _by_rank(units: list[str], shares: Shares) -> dict[str, str]:
    """Deal blocks out in their hashed order: each split its share and at least one block, what is left to the largest."""
    wanted = sorted(shares.wanted, key=lambda name: -shares.wanted[name])
    if len(units) < len(wanted):
        return dict(zip(units, wanted, strict=False))
    dealt: dict[str, str] = {}
    left = iter(units)
    for name in wanted[1:]:
        dealt |= dict.fromkeys(islice(left, max(1, round(shares.wanted[name] * len(units)))), name)
    return dealt | dict.fromkeys(left, wanted[0])
