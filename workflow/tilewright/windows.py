"""Which scenes are of a cell's days: a pure function of times, of the period's windows and of the cells' reference dates."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tilewright.config.choice import Reference
from tilewright.config.spans import Days

OUTSIDE: Final = -1
DATELESS: Final = -2
NO_WINDOW: Final = {OUTSIDE: "outside the cell's window", DATELESS: "no reference date"}
"""Numbers for a scene that is of no window of a cell, and why."""


def windows_of(
    times: np.ndarray, windows: Sequence[Days], reference: Reference | None, dates: np.ndarray | None, cells: int
) -> np.ndarray:
    """(cell, scene) int16: number of the window that a scene is of, 0 the first; less than 0 where it is of none (`NO_WINDOW`).

    Args:
        times: (scene,) datetime64, UTC; the day counts.
        windows: the period's windows in turn; without any, and without `reference`, all scenes are of window 0.
        reference: instead of windows, days around each cell's reference date.
        dates: (cell,) datetime64, the reference dates; NaT where a cell has none.
        cells: how many.

    Raises:
        ValueError: for a reference without dates.
    """
    days = times.astype("datetime64[D]")
    if reference is not None:
        if dates is None:
            raise ValueError("reference needs dates")
        away = (days[None, :] - dates.astype("datetime64[D]")[:, None]).astype("timedelta64[D]")
        inside = (away >= np.timedelta64(reference.from_days, "D")) & (away <= np.timedelta64(reference.to_days, "D"))
        return np.where(np.isnat(away), DATELESS, np.where(inside, 0, OUTSIDE)).astype(np.int16)
    number = np.full(len(days), OUTSIDE if windows else 0, np.int16)
    for place, (first, last) in enumerate(windows):
        number[(days >= np.datetime64(first)) & (days <= np.datetime64(last))] = place
    return np.tile(number, (cells, 1))
