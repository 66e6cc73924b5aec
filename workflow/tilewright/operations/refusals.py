"""What was refused, and which cells are without dates, by reason: from the tables of the tiles' periods."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tilewright.config.bands import PRIMARY
from tilewright.operations import places
from tilewright.select import REFUSED, USED

NO_SCENE: Final = "no scene found"
_NAMED: Final = ("cell_id", "collection", "status", "reason")


@dataclass
class Refusals:
    """Of one period, summed over tiles; the primary collection's.

    Attributes:
        tiles: that have been cropped.
        scenes: found by the search.
        at_search: scenes refused by the search, by reason.
        refused: (cell, scene) refused, by reason.
        cells: of these tiles.
        without: cells without any date, by what refused most of their scenes.
    """

    tiles: int = 0
    scenes: int = 0
    at_search: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    cells: int = 0
    without: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Refusals") -> None:
        """Sum up."""
        self.tiles, self.scenes, self.cells = (
            self.tiles + other.tiles,
            self.scenes + other.scenes,
            self.cells + other.cells,
        )
        self.at_search.update(other.at_search)
        self.refused.update(other.refused)
        self.without.update(other.without)


def kind_of(reason: str) -> str:
    """The kind of a reason, without what is of one scene only: "broken: 404 …" is broken."""
    return reason.split(":")[0].split(" (")[0]


def refusals(folder: Path, tiles: Iterable[str], periods: Sequence[str], threads: int = 4) -> dict[str, Refusals]:
    """{period: what was refused in it}, of the tiles that have been cropped.

    Raises:
        TilewrightError: naming a table that is damaged.
    """
    found = {period: Refusals() for period in periods}
    wanted = [(folder / places.TILES / tile, period) for tile in tiles for period in periods]
    wanted = [(tile, period) for tile, period in wanted if (tile / period / places.SELECTION).exists()]
    with ThreadPoolExecutor(threads) as pool:
        for (_, period), one in zip(wanted, pool.map(lambda each: _of(*each), wanted), strict=True):
            found[period].add(one)
    return found


def _of(tile: Path, period: str) -> Refusals:
    from tilewright.store.table import read_table

    scenes = read_table(tile / period / places.SCENES, columns=["refused"])
    chosen = read_table(tile / period / places.SELECTION, columns=list(_NAMED))
    chosen = chosen[chosen["collection"] == PRIMARY]
    cells = read_table(tile / places.CELLS, columns=["cell_id"])["cell_id"]
    refused = chosen[chosen["status"] == REFUSED]
    kinds = refused["reason"].map(kind_of)
    dated = set(chosen.loc[chosen["status"] == USED, "cell_id"])
    most = {cell: Counter(own).most_common(1)[0][0] for cell, own in kinds.groupby(refused["cell_id"])}
    told = scenes["refused"].astype(str)
    return Refusals(
        1, len(scenes), Counter(told[told != ""].map(kind_of)), Counter(kinds), len(cells),
        Counter(most.get(cell, NO_SCENE) for cell in cells if cell not in dated),
    )  # fmt: skip


def words(found: dict[str, Refusals]) -> str:
    """As lines for the terminal."""
    lines = []
    for period, each in found.items():
        lines.append(
            f"{period}: {each.scenes} scenes in {each.tiles} tiles{_listed(', refused by the search: ', each.at_search)}"
        )
        lines.append(f"    refused (scene for a cell){_listed(': ', each.refused) or ': none'}")
        without = sum(each.without.values())
        lines.append(
            f"    {without} of {each.cells} cells without a date{_listed(', by what refused most: ', each.without)}"
        )
    return "\n".join(lines) + "\n"


def _listed(before: str, counts: Counter[str]) -> str:
    return before + ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) if counts else ""


def document(found: dict[str, Refusals]) -> dict[str, Any]:
    """As JSON."""
    return {
        period: {
            "tiles": each.tiles, "scenes": each.scenes, "refused_by_search": dict(each.at_search), "refused": dict(each.refused),
            "cells": each.cells, "cells_without_dates": dict(each.without),
        }
        for period, each in found.items()
    }  # fmt: skip
