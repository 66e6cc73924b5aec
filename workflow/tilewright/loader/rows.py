"""The cells of a sample reader: the rows of the index that it was given, as plain arrays that workers share cheaply."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.bands import PRIMARY
from tilewright.config.split_names import BY_YEAR, NAMES, NO_SPLIT, split_dates_column
from tilewright.errors import TilewrightError

log = logging.getLogger(__name__)

_NUMBERS: Final = ("epsg", "ulx", "uly", "lon", "lat", "size_m")
_WORDS: Final = ("tile", "split", "series_path", "labels_path")


@dataclass(frozen=True)
class Rows:
    """Cells in order. `words`: (number of the word, words) of columns that have few; `numbers`: columns of numbers."""

    cell_id: np.ndarray
    words: dict[str, tuple[np.ndarray, list[str]]]
    numbers: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.cell_id)

    def word(self, column: str, position: int) -> str:
        """A column's word."""
        at, words = self.words[column]
        return words[at[position]]

    def number(self, column: str, position: int) -> Any:
        """A column's number, as int or float."""
        return self.numbers[column][position].item()

    def cell(self, position: int) -> dict[str, Any]:
        """What a sample says of its cell."""
        of: dict[str, Any] = {"cell_id": str(self.cell_id[position])}
        of |= {name: self.word(name, position) for name in ("tile", "split")}
        return of | {name: self.number(name, position) for name in _NUMBERS}

    def kept(self, mask: np.ndarray) -> "Rows":
        """The rows where `mask` is true."""
        return Rows(
            self.cell_id[mask],
            {name: (at[mask], words) for name, (at, words) in self.words.items()},
            {name: values[mask] for name, values in self.numbers.items()},
        )


def dates_column(collection: str, years_of: str | None = None) -> str:
    """The column of the index that counts a cell's dates of a collection; `years_of`: of that split by year only."""
    if years_of is not None:
        return split_dates_column(collection, years_of)
    return "dates" if collection == PRIMARY else f"{collection}_dates"


def rows_of(table: pd.DataFrame, label_sets: Sequence[str], dates: str = "dates") -> Rows:
    """Those of `table`, a part of an index; `dates`: the column of the dates that count."""
    words = {}
    for name in _WORDS:
        if name in table:
            codes, unique = pd.factorize(table[name], sort=True)
            words[name] = (codes.astype(np.int32), [str(each) for each in unique])
    columns = [*_NUMBERS, "series_row", *(f"{name}_row" for name in label_sets)]
    numbers = {name: table[name].to_numpy() for name in columns} | {"dates": table[dates].to_numpy()}
    return Rows(table["cell_id"].to_numpy(dtype=str), words, numbers)


def is_by_year(index: pd.DataFrame) -> bool:
    """Whether the splits are dates of all cells rather than cells."""
    return bool((index["split"] == BY_YEAR).any())


def of_split(index: pd.DataFrame, name: str) -> Any:
    """The rows of one split; of splits by year the cells that have dates of its years, whose `split` is then its name.

    Raises TilewrightError, with the splits that there are, where no cell is in it.
    """
    by_year = is_by_year(index)
    if by_year:
        known = [each for each in NAMES if split_dates_column(PRIMARY, each) in index]
    else:
        known = sorted(set(index["split"]) - {NO_SPLIT})
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "no cell is in any"
        raise TilewrightError(f"split: no split {name!r} in this dataset; {there}")
    if by_year:
        return index[index[split_dates_column(PRIMARY, name)] > 0].assign(split=name)
    return index[index["split"] == name]


def accepted_of(index: pd.DataFrame) -> Any:
    """The rows of cells that are of the dataset: all, where an index does not tell."""
    return index[index["accepted"].to_numpy(bool)] if "accepted" in index else index


def chosen_rows(
    index: pd.DataFrame, split: str | None, rows: object, min_dates: int, collection: str = PRIMARY
) -> pd.DataFrame:
    """The rows of `index` that `split` or `rows` name, else those of all accepted cells.

    Without cells that have fewer than `min_dates` dates of a collection, in a split by year of its own.

    Args:
        rows: a part of the index (its `cell_id`s count), or cell ids.

    Raises:
        TilewrightError: naming the argument, for both at once, an unknown split or cell, or where nothing is left.
    """
    if split is not None and rows is not None:
        raise TilewrightError("split and rows: give one of them")
    chosen, name, years_of = accepted_of(index), "the dataset", None
    if split is not None:
        chosen, name, years_of = of_split(index, split), f"split {split}", split if is_by_year(index) else None
    elif rows is not None:
        chosen, name = _named(index, rows), "rows"
        if chosen.empty:
            raise TilewrightError("rows: empty")
    dates = chosen[dates_column(collection, years_of)]
    without = int((dates == 0).sum())
    if without:
        what = "imagery" if collection == PRIMARY else collection
        log.warning("%s: %d of %d cells have no %s and are left out", name, without, len(chosen), what)
    enough = chosen[dates >= min_dates]
    if fewer := len(chosen) - len(enough) - without:
        log.info("%s: %d of %d cells have fewer than %d dates and are left out", name, fewer, len(chosen), min_dates)
    if enough.empty:
        raise TilewrightError(f"{name}: none of {len(chosen)} cells has {min_dates} dates or more: lower min_dates")
    return enough


def _named(index: pd.DataFrame, rows: object) -> pd.DataFrame:
    if isinstance(rows, pd.DataFrame):
        if "cell_id" not in rows:
            raise TilewrightError("rows: a table must be a part of the index, with its column cell_id")
        ids = rows["cell_id"].tolist()
    elif isinstance(rows, str) or not isinstance(rows, (Sequence, np.ndarray, pd.Series, pd.Index)):
        raise TilewrightError(f"rows: give a part of the index or a list of cell ids, not {type(rows).__name__}")
    else:
        ids = [str(each) for each in rows]
    known = pd.Index(index["cell_id"])
    at = known.get_indexer(ids)
    if len(at) and (at < 0).any():
        raise TilewrightError(f"rows: cell {ids[int(np.argmin(at))]} is not in this dataset's index")
    return index.iloc[at]
