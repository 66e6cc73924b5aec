"""Splits: which of train, val and test each cell belongs to, and the audit of what two splits share."""

from tilewright.config.split_names import BY_YEAR, NAMES, NO_SPLIT
from tilewright.splits.audit import audit
from tilewright.splits.outcome import SplitOutcome, Strategy
from tilewright.splits.strategies import STRATEGIES, split

__all__ = ["BY_YEAR", "NAMES", "NO_SPLIT", "STRATEGIES", "SplitOutcome", "Strategy", "audit", "split"]
