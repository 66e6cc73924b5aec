"""What a layout is: how a tile's cells become files, and what the whole export needs beside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from tilewright.config.settings import ExportSettings
from tilewright.config.split_names import BY_YEAR, NO_SPLIT
from tilewright.exports.source import TileSource
from tilewright.exports.writing import Writing
from tilewright.loader.dataset import Dataset

Record = dict[str, Any]
"""What a layout keeps of one sample for the files of the whole export: names and plain values, the same names in every record."""


@dataclass(frozen=True)
class Whole:
    """The dataset that is exported.

    Attributes:
        dataset: its index, and what is known of it.
        statistics: the document of statistics.json.
        settings: what the export was told.
        locations: the draw around cities, where it is not among the dataset's files.
    """

    dataset: Dataset
    statistics: dict[str, Any]
    settings: ExportSettings
    locations: Path | None = None

    @cached_property
    def years(self) -> dict[int, str]:
        """The split of each year, of a dataset that is split by year; empty of others."""
        told = self.dataset.described.get("split", {}).get("years") or {}
        return {int(year): str(name) for name, years in told.items() for year in years}

    def split_of(self, split: str, year: int) -> str:
        """The split of a cell's imagery of a year, whose cell has `split` in the index."""
        return self.years.get(year, NO_SPLIT) if split == BY_YEAR else split


@dataclass(frozen=True)
class Deviation:
    """One thing that is not as in the original dataset."""

    subject: str
    original: str
    here: str
    why: str


class Layout(Protocol):
    """A way to lay out a dataset on disk. Its files depend on the dataset alone, never on when or where they are written."""

    title: str
    """What the layout is of, for the data card."""

    def check(self, whole: Whole) -> None:
        """See that the dataset can be laid out so, before anything is written.

        Raises:
            TilewrightError: naming the key of the config and the mend.
        """

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """What the tile's files depend on beside the tile's own stores, items and rows of the index (`accepted_rank` left out).

        JSON-able; a tile is written again when it changes. None where there is nothing.
        """

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """Write the files of a tile's accepted cells; a record for each sample, in order."""

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """Write the files of the whole export.

        Args:
            records: those of all tiles, by tile, in the tiles' order.
        """

    def deviations(self, whole: Whole) -> list[Deviation]:
        """In what the export is unlike the published dataset."""
