"""Stratified splits: each class of a label set has its share of cells in each split, by location or by block (SeasoNet)."""

from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings
from tilewright.config.split_names import NAMES, NO_SPLIT
from tilewright.config.splits import Shares
from tilewright.draw import lots
from tilewright.errors import TilewrightError
from tilewright.splits.blocks import blocks
from tilewright.splits.near import near_pairs
from tilewright.splits.outcome import SplitOutcome
from tilewright.splits.separate import separate, surplus
from tilewright.splits.strata import deal, refine

_ROUNDS: Final = 12  # of moving blocks and dropping cells: what a split lacks of a class then is asked for in the next
_AWAY: Final = 0.1  # at most so much more or less than its share is asked for: a class of few blocks cannot be mended
_COMMON: Final = 100  # cells of a class from which on one cell is no more than 1 % of it


def stratified(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """Cells, or whole blocks of them, dealt out so that each class that occurs in cells has its share in each split.

    A cell has all its dates in one split either way. By location as SeasoNet was published: cells that overlap may be in different
    splits. By block no two splits share ground: see `_by_block`.

    Raises:
        TilewrightError: where no cell has a class.
    """
    name = settings.split.label_set
    values, counts = class_counts(rows[f"{name}_classes"])
    if not len(values) and len(rows):
        raise TilewrightError(
            f"split.label_set: no accepted cell has a class of {name}: mend its source, or split by tile or block"
        )
    counts = np.concatenate([counts, np.ones((len(rows), 1), np.int64)], axis=1)
    if settings.split.by_block:
        return _by_block(rows, settings, counts, values)
    shares, buffer = settings.split.shares, settings.split.buffer_m
    order = np.argsort(lots(settings.seed, [f"strata/{cell}" for cell in rows["cell_id"]]), kind="stable")
    code = deal(counts, _listed(shares), order)
    names, dropped = separate(rows, np.array(NAMES, object)[code], shares, buffer)
    strata = figures(counts, np.where(names == NO_SPLIT, -1, code), values, settings)
    return names, SplitOutcome("location", "", len(rows), 0, buffer, dropped, strata=strata)


def _by_block(
    rows: pd.DataFrame, settings: IndexSettings, counts: np.ndarray, values: list[int]
) -> tuple[np.ndarray, SplitOutcome]:
    """Whole blocks are dealt out by how many of their cells have each class; then cells near a smaller split's ground are dropped.

    What is dropped is of the larger splits, which then lack some of their shares: some blocks are moved to make up for it, class by
    class, for a few rounds. The round whose classes are nearest to their shares is taken, the first of equal ones.
    """
    of = settings.split
    unit, side = blocks(rows, of.block_m, settings.size_m)
    block, known = pd.factorize(unit, sort=True)
    of_block = np.zeros((len(known), counts.shape[1]), np.int64)
    np.add.at(of_block, block, counts)
    order = np.argsort(lots(settings.seed, [f"strata/{each}" for each in known]), kind="stable")
    buffer = 0.0 if of.buffer_m is None else of.buffer_m
    pairs = near_pairs(rows, block, buffer)
    asked = np.array(_listed(of.shares))[:, None]
    target = np.repeat(asked, counts.shape[1], axis=1)
    dealt, best = deal(of_block, _listed(of.shares), order), None
    for _ in range(_ROUNDS):
        code = dealt[block]
        gone = surplus(code, pairs.one, pairs.other, of.shares)
        found = figures(counts, np.where(gone, -1, code), values, settings)
        if best is None or _distance(found) < _distance(best[0]):
            best = (found, code, gone)
        if not gone.any():
            break
        kept = np.stack([counts[~gone & (code == split)].sum(axis=0) for split in range(len(NAMES))])
        got = kept / np.maximum(kept.sum(axis=0), 1)
        target = np.clip(target + asked - got, asked - _AWAY, asked + _AWAY)
        dealt = refine(of_block, dealt, target, order)
    assert best is not None
    strata, code, gone = best
    names = np.array(NAMES, object)[code]
    names[gone] = NO_SPLIT
    dropped = {name: int((gone & (code == at)).sum()) for at, name in enumerate(NAMES) if (gone & (code == at)).any()}
    return names, SplitOutcome("block", "", len(known), side, buffer, dropped, strata=strata)


def _distance(found: dict[str, Any]) -> tuple[float, float]:
    """What makes a round better: sizes and common classes first, which can be met, then all classes."""
    return max(found["cells"], found["tolerance"] or 0.0), found["worst"]


def _listed(shares: Shares) -> list[float]:
    return [shares.train, shares.val, shares.test]


def class_counts(classes: pd.Series) -> tuple[list[int], np.ndarray]:
    """The classes that occur, ascending, and (row, class) 1 where a row has it; `classes`: a list of values a row, or nothing."""
    lists = [() if each is None or each is pd.NA else each for each in classes]
    sizes = [len(each) for each in lists]
    flat = np.concatenate([np.asarray(each, np.int64) for each in lists]) if sum(sizes) else np.zeros(0, np.int64)
    values, column = np.unique(flat, return_inverse=True)
    counts = np.zeros((len(lists), len(values)), np.int64)
    counts[np.repeat(np.arange(len(lists)), sizes), column] = 1
    return values.tolist(), counts


def figures(counts: np.ndarray, code: np.ndarray, values: list[int], settings: IndexSettings) -> dict[str, Any]:
    """How far the classes' shares are from what was asked for.

    Args:
        counts: (row, class and, last, 1) as `deal` has them.
        code: (row,) split, −1: none.

    Returns:
        label_set; tolerance: the largest deviation of any split's share of a class that at least 100 cells have (one cell is then
        at most 1 %), None where there is no such class; worst: the same of all classes; cells: of the splits' shares of cells;
        classes: by value, cells and shares.
    """
    of = np.stack([counts[code == split].sum(axis=0) for split in range(len(NAMES))])
    total = of.sum(axis=0)
    shares = of / np.maximum(total, 1)
    away = np.where(total > 0, np.abs(shares - np.array(_listed(settings.split.shares))[:, None]).max(axis=0), 0.0)
    common = total[:-1] >= _COMMON
    return {
        "label_set": settings.split.label_set, "worst": float(away[:-1].max(initial=0)), "cells": float(away[-1]),
        "tolerance": float(away[:-1][common].max()) if common.any() else None,
        "classes": {
            str(value): {"cells": int(total[at]), **{name: float(shares[place, at]) for place, name in enumerate(NAMES)}}
            for at, value in enumerate(values)
        },
    }  # fmt: skip
