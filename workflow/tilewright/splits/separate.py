"""Cells that are too near to ground of another split are dropped, so that no two splits share ground."""

import numpy as np
import pandas as pd

from tilewright.config.split_names import NAMES, NO_SPLIT
from tilewright.config.splits import Shares
from tilewright.splits.near import near_pairs


def separate(
    rows: pd.DataFrame, names: np.ndarray, shares: Shares, buffer_m: float | None
) -> tuple[np.ndarray, dict[str, int]]:
    """The splits without the cells that must go, and how many of each split went.

    Args:
        names: (row,) split of each row; "" for none.
        shares: which split is the larger of two; of equal ones the first in the order train, val, test.
        buffer_m: how near is too near, metres; 0: cells that overlap; None: nothing is dropped.
    """
    if buffer_m is None:
        return names, {}
    code = codes_of(names)
    pairs = near_pairs(rows, code, buffer_m)
    gone = surplus(code, pairs.one, pairs.other, shares)
    kept = np.array(names, object)
    kept[gone] = NO_SPLIT
    return kept, {name: int((code[gone] == at).sum()) for at, name in enumerate(NAMES) if (code[gone] == at).any()}


def codes_of(names: np.ndarray) -> np.ndarray:
    """(row,) the place of each split in `NAMES`; −1 for none."""
    return np.asarray(pd.Categorical(names, categories=NAMES).codes)


def surplus(code: np.ndarray, one: np.ndarray, other: np.ndarray, shares: Shares) -> np.ndarray:
    """(row,) bool: which cells must go so that of no pair both are left in different splits.

    The one of the larger split goes: evaluation splits, which are small, stay whole. The smallest split is settled first, so that
    a cell that goes itself drops no other.

    Args:
        code: (row,) split of each row, as `codes_of`.
        one, other: (pair,) rows that are too near each other; pairs within one split are no matter.
    """
    asked = (shares.train, shares.val, shares.test)
    rising = sorted(range(len(NAMES)), key=lambda split: (asked[split], -split))
    rank = np.array([rising.index(split) for split in range(len(NAMES))] + [-1])[code]  # −1 for none, by code −1
    gone = rank < 0
    for larger in range(1, len(NAMES)):
        lost = np.zeros(len(code), bool)
        for mine, theirs in ((one, other), (other, one)):
            near = (rank[mine] == larger) & (rank[theirs] < larger) & ~gone[theirs]
            lost[mine[near]] = True
        gone |= lost
    return gone & (rank >= 0)
