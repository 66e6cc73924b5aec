"""Names in the index that tell of splits: what readers of a dataset need to know, and nothing else."""

from typing import Final

from tilewright.config.bands import PRIMARY

NAMES: Final = ("train", "val", "test")
"""The splits, in the order that tables have them."""
NO_SPLIT: Final = ""
"""In the column `split`: the cell is in none, being not accepted or dropped."""
BY_YEAR: Final = "by_year"
"""In the column `split` of splits by year: the cell is in all of them, each with the dates of its years."""


def split_dates_column(collection: str, split: str) -> str:
    """The column that counts a cell's dates of a collection in a split by year."""
    return f"split_dates_{split}" if collection == PRIMARY else f"{collection}_split_dates_{split}"
