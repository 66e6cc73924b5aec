"""What every way of splitting is and says: the protocol, and the outcome that index, statistics and report tell."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings


@dataclass(frozen=True)
class SplitOutcome:
    """How the split was made.

    Attributes:
        by: tile, block, location, year or column: what was dealt out in the end.
        reason: why that is not what the config asked for; empty where it is.
        units: how many of these there are.
        block_m: side of a block in metres, 0 where there are no blocks.
        buffer_m: cells nearer than this to ground of a smaller split were dropped; None: none was.
        dropped: how many of each split were.
        unmapped: by column: cells whose value is of no split, by value.
        strata: stratified: by class, its share of cells in each split, and how far that is from what was asked for.
        years: by year: {split: years}.
    """

    by: str
    reason: str = ""
    units: int = 0
    block_m: int = 0
    buffer_m: float | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    unmapped: dict[str, int] = field(default_factory=dict)
    strata: dict[str, Any] | None = None
    years: dict[str, list[int]] | None = None


class Strategy(Protocol):
    """A way of splitting: a pure function of cells and settings."""

    def __call__(self, rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
        """(row,) the split of each accepted cell, `NO_SPLIT` where it is in none; and how that was made.

        The order of the rows has no part in it.
        """
