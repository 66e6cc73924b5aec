"""The ground that cells are burned on, in groups of near ones, and what is done to whole masks there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tilewright.vector.scan import Spans, fill

# Pixels of a canvas: some ten bytes each are held at once.
_CANVAS_PIXELS: Final = 6_000_000
# A group is cut where the empty ground between two cells is wider than this many cells.
_GAP_CELLS: Final = 1


@dataclass(frozen=True)
class Canvas:
    """The ground that a group of cells is burned on: absolute numbers of its first pixel, and its size in pixels."""

    row: int
    column: int
    height: int
    width: int

    def blank(self) -> np.ndarray:
        """No pixel: bool (y, x)."""
        return np.zeros((self.height, self.width), dtype=bool)

    def drawn(self, several: list[Spans]) -> np.ndarray:
        """The pixels of spans: bool (y, x)."""
        mask = self.blank()
        self.draw(mask, several)
        return mask

    def draw(self, mask: np.ndarray, several: list[Spans], value: int | bool = True) -> None:
        """Write `value` into the pixels of spans."""
        for spans in several:
            fill(mask, spans, self.row, self.column, value)


def dilated(mask: np.ndarray, radius: float) -> np.ndarray:
    """Pixels whose centre is within `radius` pixels of the centre of one of `mask`, bool (y, x)."""
    reach = int(radius)
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows) or not reach:
        return mask.copy()
    near = slice(max(int(rows[0]) - reach, 0), int(rows[-1]) + reach + 1)
    inner = mask[near]
    found = inner.copy()
    wide, width = inner.copy(), 0
    for dy in range(reach, -1, -1):
        # a row at the distance dy is reached as far as the chord of the disk there
        while (width + 1) ** 2 + dy**2 <= radius**2:
            width += 1
            wide[:, width:] |= inner[:, :-width]
            wide[:, :-width] |= inner[:, width:]
        height = max(len(found) - dy, 0)
        found[dy:] |= wide[:height]
        found[:height] |= wide[dy:]
    whole = np.zeros_like(mask)
    whole[near] = found
    return whole


def shrunk(mask: np.ndarray) -> np.ndarray:
    """Pixels of `mask` whose eight neighbours are all in it; those at the border are not."""
    across = mask[:, 1:-1] & mask[:, :-2] & mask[:, 2:]
    small = np.zeros_like(mask)
    small[1:-1, 1:-1] = across[1:-1] & across[:-2] & across[2:]
    return small


def groups(row: np.ndarray, column: np.ndarray, side: int, pad: int) -> Iterator[np.ndarray]:
    """Positions of cells that are burned together: in rows of a cell's height, those with little between them."""
    if not len(row):
        return
    band = row // side
    order = np.lexsort((row, column, band))
    start = 0
    for at in range(1, len(order) + 1):
        if at < len(order):
            first, last, new = order[start], order[at - 1], order[at]
            wide = int(column[new] - column[first]) + side + 2 * pad
            near = column[new] - column[last] <= (1 + _GAP_CELLS) * side + pad
            if band[new] == band[last] and near and wide * (2 * side + 2 * pad) <= _CANVAS_PIXELS:
                continue
        yield order[start:at]
        start = at
