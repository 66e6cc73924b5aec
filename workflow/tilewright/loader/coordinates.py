"""What a store says of each cell's dates: when they are, of which period, and which date of Level-2A a companion is of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tilewright.config.bands import PRIMARY, RADAR
from tilewright.loader.arrays import PixelStore

_ORBITS: Final = {"ascending": 1, "descending": -1}


@dataclass(frozen=True)
class Coordinates:
    """What a collection's group says of all its cells: `time` as in `Series`; `period` as numbers into `periods`.

    Attributes:
        partner: (cell, date of s2_l2a) place in this collection's series of that date's companion, −1 where it has none; None
            in s2_l2a itself.
        orbit: of radar (cell, time) int8, 1 ascending, −1 descending, 0 not known; else None.
    """

    cell_id: np.ndarray
    dates: np.ndarray
    time: np.ndarray
    period: np.ndarray
    periods: np.ndarray
    partner: np.ndarray | None = None
    orbit: np.ndarray | None = None

    @property
    def arrays(self) -> list[np.ndarray]:
        """All that it holds."""
        held = (self.cell_id, self.dates, self.time, self.period, self.partner, self.orbit)
        return [each for each in held if each is not None]


def coordinate_names(pixels: PixelStore, collections: Sequence[str]) -> list[str]:
    """The small arrays that `coordinates_of` wants; scenes' names only where there are companions."""
    paired = _paired(collections)
    return [
        *(f"{name}/{each}" for name in collections for each in ("cell_id", "dates", "time", "period")),
        *([f"{PRIMARY}/scene_id"] if paired else []), *(f"{name}/pair_of" for name in paired),
        *(f"{name}/orbit_state" for name in collections if name in RADAR and f"{name}/orbit_state" in pixels.names),
    ]  # fmt: skip


def _paired(collections: Sequence[str]) -> list[str]:
    return [name for name in collections if name != PRIMARY] if PRIMARY in collections else []


def coordinates_of(
    pixels: PixelStore, collections: Sequence[str], small: Mapping[str, np.ndarray]
) -> dict[str, Coordinates]:
    """Those of all collections, from the arrays of `coordinate_names`.

    Raises:
        TilewrightError: where companions and Level-2A do not fit together.
    """
    found = {}
    for name in collections:
        period = small[f"{name}/period"].astype(object)
        number, periods = pd.factorize(period.ravel(), sort=True)
        states = small.get(f"{name}/orbit_state")
        found[name] = Coordinates(
            cell_id=words_of(small[f"{name}/cell_id"]),
            dates=small[f"{name}/dates"],
            time=small[f"{name}/time"].astype(np.int64),
            period=number.reshape(period.shape).astype(np.int16),
            periods=words_of(periods),
            partner=_partners(pixels, name, small) if name in _paired(collections) else None,
            orbit=None if states is None else _orbit(states),
        )
    return found


def _partners(pixels: PixelStore, name: str, small: Mapping[str, np.ndarray]) -> np.ndarray:
    """(cell, date of the primary) place of its companion: of the same cell and period, paired with its scene; −1: none.

    Raises:
        TilewrightError: where a companion is paired with no date of its cell: nothing may be out of step unnoticed.
    """
    there, ours = small[f"{PRIMARY}/scene_id"], small[f"{name}/pair_of"]
    if not np.array_equal(small[f"{PRIMARY}/cell_id"], small[f"{name}/cell_id"]):
        raise pixels.zipped.damaged(f"{name} has other cells than {PRIMARY}")
    scene = pd.factorize(np.concatenate([there.astype(object).ravel(), ours.astype(object).ravel()]))[0]
    periods = [small[f"{each}/period"].astype(object).ravel() for each in (PRIMARY, name)]
    key = scene + (scene.max(initial=0) + 1) * pd.factorize(np.concatenate(periods))[0]
    wanted, offered = key[: there.size].reshape(there.shape), key[there.size :].reshape(ours.shape)
    within = np.arange(there.shape[1]) < small[f"{PRIMARY}/dates"][:, None]
    found = np.full(there.shape, -1, np.int16)
    dates = small[f"{name}/dates"]
    for at in range(ours.shape[1]):
        own = dates > at
        same = (wanted == offered[:, at, None]) & within & own[:, None]
        if (lost := own & ~same.any(axis=1)).any():
            row = int(np.argmax(lost))
            raise pixels.zipped.damaged(f"{name} of cell {small[f'{name}/cell_id'][row]} is paired with {ours[row, at]}, which is none of its dates")  # fmt: skip
        found[same] = at
    return found


def _orbit(states: np.ndarray) -> np.ndarray:
    """Words as numbers."""
    found = np.zeros(states.shape, np.int8)
    for word, number in _ORBITS.items():
        found[states.astype(object) == word] = number
    return found


def words_of(array: np.ndarray) -> np.ndarray:
    """Strings in one block of memory: single objects would be counted, and so copied, in each forked worker."""
    return array.astype(object).astype(str)
