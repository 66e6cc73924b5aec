"""The ways of splitting, by their names in the config."""

from typing import Final

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings
from tilewright.splits.blocks import by_block, by_tile
from tilewright.splits.columns import by_column
from tilewright.splits.outcome import SplitOutcome, Strategy
from tilewright.splits.stratified import stratified
from tilewright.splits.years import by_year

STRATEGIES: Final[dict[str, Strategy]] = {
    "tile": by_tile, "block": by_block, "stratified": stratified, "year": by_year, "column": by_column,
}  # fmt: skip
"""By their names in the config."""


def split(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """The split of each row, and how it was made."""
    return STRATEGIES[settings.split.by](rows, settings)
