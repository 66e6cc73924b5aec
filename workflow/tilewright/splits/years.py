"""Splits by year: every cell is in all splits, with the dates of some years in each."""

import numpy as np
import pandas as pd

from tilewright.config.bands import PRIMARY
from tilewright.config.settings import IndexSettings
from tilewright.config.split_names import BY_YEAR, NAMES, split_dates_column
from tilewright.errors import TilewrightError
from tilewright.splits.outcome import SplitOutcome


def by_year(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """All cells are `BY_YEAR`; the outcome says which years are whose.

    Raises:
        TilewrightError: where no date at all is of a split's years.
    """
    assert settings.split.years is not None
    years = settings.split.years.by_split()
    of = years_of(np.concatenate([day_lists(rows, PRIMARY)[1], np.zeros(0, np.int64)]))
    for name, own in years.items():
        if len(rows) and not np.isin(of, own).any():
            known = ", ".join(map(str, np.unique(of))) or "none"
            raise TilewrightError(
                f"split.years.{name}: no accepted cell has a date in {', '.join(map(str, own))}; dates are of {known}: mend the years, or "
                "add a period"
            )
    return np.full(len(rows), BY_YEAR, object), SplitOutcome("year", units=len(np.unique(of)), years=years)


def split_dates(rows: pd.DataFrame, years: dict[str, list[int]], collections: list[str]) -> dict[str, np.ndarray]:
    """{column: (row,) dates of each split}: `split_dates_<split>`, and `<collection>_split_dates_<split>` of companions.

    A companion's date is of the split that the primary's date is of to which it belongs.
    """
    found = {}
    for collection in collections:
        cell, _, primary = day_lists(rows, collection)
        of = years_of(primary)
        for name, own in years.items():
            counted = np.bincount(cell[np.isin(of, own)], minlength=len(rows)).astype(np.int32)
            found[split_dates_column(collection, name)] = counted
    return found


def day_lists(rows: pd.DataFrame, collection: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every date of a collection: (date,) position of its row, its day, and the day of the primary's date that it belongs to.

    Days are since 1970-01-01, UTC; from the columns that the stage zone makes for this.
    """
    days = list(rows[f"days:{collection}"])
    cell = np.repeat(np.arange(len(days)), [len(each) for each in days])
    own = _flat(days)
    primary = own if collection == PRIMARY else _flat(list(rows[f"days:{collection}:primary"]))
    return cell, own, primary


def _flat(lists: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *(np.asarray(each, np.int64) for each in lists)])


def years_of(days: np.ndarray) -> np.ndarray:
    """The year (UTC) of each day."""
    return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970


def split_codes(primary: np.ndarray, years: dict[str, list[int]]) -> np.ndarray:
    """(date,) the place in `NAMES` of the split that each date is of, by its primary's day; −1 for none."""
    of = years_of(primary)
    code = np.full(len(of), -1, np.int64)
    for name, own in years.items():
        code[np.isin(of, own)] = NAMES.index(name)
    return code
