"""Acceptance: which cells are of the dataset, and in which order; a pure function over the index's rows."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.acceptance import Accept
from tilewright.config.bands import PRIMARY
from tilewright.draw import lots
from tilewright.errors import TilewrightError

log = logging.getLogger(__name__)

_REASONS_TOLD: Final = 3  # commonest refusals that a message names


def period_column(collection: str, period: str) -> str:
    """The column that counts a cell's dates of a collection in a period."""
    return f"dates_{period}" if collection == PRIMARY else f"{collection}_dates_{period}"


@dataclass(frozen=True)
class Acceptance:
    """What became of the cells.

    Attributes:
        complete: (row,) bool: a date in each period asked for, with every companion.
        accepted: (row,) bool: the cell is of the dataset.
        rank: (row,) place among the accepted in the order of the draw, −1 for the others.
        figures: counts, as statistics.json has them.
    """

    complete: np.ndarray
    accepted: np.ndarray
    rank: np.ndarray
    figures: dict[str, Any]


def draw_order(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """Positions of the rows in the order of the draw.

    Cells around samples come in the order of `sample`, all others after them by the lot that `cells` drew for each from the seed
    and its own name: so the order of two cells never depends on what else is in the AOI.
    """
    lot = lots(seed, rows["cell_id"].tolist())
    sample = rows["sample"].to_numpy(np.int64)
    return np.lexsort([lot, np.where(sample < 0, np.iinfo(np.int64).max, sample)])


def accept(
    rows: pd.DataFrame, asked: Accept, seed: int, periods: dict[str, dict[str, Any]], companions: Sequence[str]
) -> Acceptance:
    """Which cells are of the dataset.

    Args:
        rows: the index, with the numbers of dates by period.
        asked: the rule.
        seed: of the draw.
        periods: what became of each period's scenes (`statistics.summed`).
        companions: the collections that are paired with the primary.

    Raises:
        TilewrightError: where `asked.complete` cannot hold for any cell, naming the period and the commonest refusals.
    """
    wanted = list(periods) if asked.periods is None else asked.periods
    lacking: dict[str, np.ndarray] = {}
    for period in periods:
        if len(rows) and not rows[period_column(PRIMARY, period)].any():
            _tell_empty(period, periods[period], asked.complete and period in wanted)
    for period in wanted:
        dates = rows[period_column(PRIMARY, period)].to_numpy()
        lacking[period] = dates == 0
        for name in companions:
            lacking[f"{name} in {period}"] = rows[period_column(name, period)].to_numpy() < dates
    complete = ~np.logical_or.reduce(list(lacking.values())) if lacking else np.ones(len(rows), bool)
    accepted = complete.copy() if asked.complete else np.ones(len(rows), bool)
    order = draw_order(rows, seed)
    place = order[accepted[order]]
    if asked.number is not None:
        if len(place) < asked.number:
            log.warning(
                "accept.number: %d cells were asked for, and %d %s: give more candidates (locations.overdraw, a larger aoi) or "
                "looser limits", asked.number, len(place), "are complete" if asked.complete else "are there",
            )  # fmt: skip
        accepted = np.zeros(len(rows), bool)
        accepted[place[: asked.number]] = True
    rank = np.full(len(rows), -1, np.int64)
    rank[place[: asked.number]] = np.arange(accepted.sum())
    counts = {reason: int(lacks.sum()) for reason, lacks in lacking.items() if lacks.any()}
    if asked.complete and not accepted.any():
        worst = ", ".join(f"{count} lack {reason}" for reason, count in _commonest(counts))
        raise TilewrightError(
            f"accept.complete: none of {len(rows)} cells has a date in each period with all its companions ({worst}): loosen the limits "
            "of these periods, name fewer in accept.periods, or set accept.complete: false"
        )
    figures = {
        "complete": int(complete.sum()), "accepted": int(accepted.sum()), "lacking": counts,
        "beyond_number": max(0, len(place) - int(accepted.sum())),
    }  # fmt: skip
    return Acceptance(complete, accepted, rank, figures)


def _tell_empty(period: str, known: dict[str, Any], complete: bool) -> None:
    """Say of a period in which no cell has a date why that is so; an error where complete cells are asked for."""
    if not known["scenes"]:
        why = "the search found no scene at all: mend its dates, or the provider"
    else:
        refused = {**known["refused_scenes"], **known["refusals"]}
        told = ", ".join(f"{reason} {count}" for reason, count in _commonest(refused)) or "none"
        why = f"{known['scenes']} scenes were found; refused by (scene, cell), commonest first: {told}: loosen the limits of this period"
    message = f"period {period}: no cell has any valid scene: {why}"
    if complete:
        raise TilewrightError(f"accept.complete: {message}, or leave it out of accept.periods")
    log.warning(message)


def _commonest(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_REASONS_TOLD]
