"""Splits by a column: what the user's own values say."""

from pathlib import Path

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings
from tilewright.config.split_names import NAMES, NO_SPLIT
from tilewright.config.splits import SplitColumn, SplitFile
from tilewright.errors import TilewrightError
from tilewright.splits.outcome import SplitOutcome
from tilewright.splits.separate import separate

_NO_VALUE = "(no value)"


def by_column(rows: pd.DataFrame, settings: IndexSettings) -> tuple[np.ndarray, SplitOutcome]:
    """A cell's split is what its value in a column of the index, or of a table of the user's, means.

    Values that mean no split, and cells without a value, are in none; they are counted.

    Raises:
        TilewrightError: for a column or file that is not there, ids that stand twice, values that mean nothing where the config
            lists none, or where no cell is in any split.
    """
    of = settings.split.column
    assert of is not None
    values = _values(rows, of)
    meaning = of.split_of()
    names = values.map(lambda value: meaning.get(value, NO_SPLIT)).to_numpy(object)
    others = values[names == NO_SPLIT].value_counts().sort_index()
    strange = [value for value in others.index if value != _NO_VALUE]
    if strange and not (of.train or of.val or of.test):
        raise TilewrightError(
            f"split.column: {of.name} has the value {strange[0]!r} ({others[strange[0]]} cells), which is none of {', '.join(NAMES)}: say "
            "which values mean which split with split.column.train, val and test"
        )
    if len(rows) and (names == NO_SPLIT).all():
        known = ", ".join(map(repr, values.unique()[:10]))
        raise TilewrightError(f"split.column: no cell's {of.name} means a split; its values are {known}")
    names, dropped = separate(rows, names, settings.split.shares, settings.split.buffer_m)
    unmapped = {str(value): int(count) for value, count in others.items()}
    buffer = settings.split.buffer_m
    return names, SplitOutcome("column", units=len(meaning), buffer_m=buffer, dropped=dropped, unmapped=unmapped)


def _values(rows: pd.DataFrame, of: SplitColumn) -> pd.Series:
    """Each row's value as text."""
    if of.file is not None:
        table = _table(of.file, of.name)
        found = rows[of.file.of].map(_text).map(table)
        return found.fillna(_NO_VALUE)
    if of.name not in rows:
        known = ", ".join(name for name in rows if ":" not in name and name != "geometry")
        raise TilewrightError(f"split.column.name: the index has no column {of.name!r}; it has {known}")
    return rows[of.name].map(_text)


def _text(value: object) -> str:
    """1 and 1.0 are the same value: a column of whole numbers with gaps is read as of numbers with a fraction."""
    if value is None or pd.isna(value):
        return _NO_VALUE
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _table(file: SplitFile, column: str) -> pd.Series:
    """(id,) the column's values as text.

    Raises:
        TilewrightError: where the file cannot be read, lacks a column, or has an id twice with different values.
    """
    path = Path(file.path)
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
        else:  # ids as they are written: 007 is not 7, nor is a name NA none
            table = pd.read_csv(path, dtype={file.id: str}, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise TilewrightError(f"split.column.file.path: {path} cannot be read ({error})") from error
    for key, name in (("split.column.file.id", file.id), ("split.column.name", column)):
        if name not in table:
            raise TilewrightError(f"{key}: {path} has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    pairs = pd.DataFrame({"id": table[file.id].map(_text), "value": table[column].map(_text)}).drop_duplicates()
    if (doubled := pairs["id"].duplicated()).any():
        raise TilewrightError(
            f"split.column.file.path: {path} says two things of {file.id} {pairs.loc[doubled, 'id'].iloc[0]}; leave one"
        )
    return pairs.set_index("id")["value"]
