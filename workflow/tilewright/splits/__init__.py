"""Splits: which of train, val and test each cell belongs to, and the audit of what two splits share."""

from tilewright.config.splits import NAMES
from tilewright.splits.outcome import BY_YEAR, NO_SPLIT, SplitOutcome, Strategy
from tilewright.splits.strategies import STRATEGIES, split

__all__ = ["BY_YEAR", "NAMES", "NO_SPLIT", "STRATEGIES", "SplitOutcome", "Strategy", "split"]
