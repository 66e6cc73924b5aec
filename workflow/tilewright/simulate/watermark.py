"""Pixels that say where they come from.

The grid is cut into blocks of 4 x 4 pixels. Each of the 16 slots of a block carries its own number (4 bits) and one of
four facts (12 bits, never 0): scene, band, block row, block column. The facts lie as a Latin square, so four
neighbours in a row or in a column (or any 3 x 3) tell all of them, wherever a window begins.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from tilewright.errors import TilewrightError
from tilewright.simulate.spectra import BANDS

_FACT = np.array([[(column - row) % 4 for column in range(4)] for row in range(4)])  # 0 scene, 1 band, 2 row, 3 column
_NAMES = ("scene", "band", "row", "column")
MOST_SCENES = 4094
Level = Literal["L2A", "L1C", "old"]  # old: Level-2A pixels that a newer processing supersedes
LEVELS: Final[tuple[Level, ...]] = ("L2A", "L1C", "old")
_MARKED = (*BANDS, "B10")  # Level-1C has B10, too
_BAND_NUMBERS = 64  # of each level


@dataclass(frozen=True)
class Watermark:
    """What a window's pixels say: scene number (index in `World.scenes()`), band, the tile pixel of its first one, level."""

    scene: int
    band: str
    row: int
    column: int
    level: Level = "L2A"


def encode(scene: int, band: str, rows: np.ndarray, columns: np.ndarray, level: Level = "L2A") -> np.ndarray:
    """Pixels of `rows` by `columns` (indices in the band's tile grid): (rows, columns) uint16."""
    number = LEVELS.index(level) * _BAND_NUMBERS + _MARKED.index(band)
    slot_row, slot_column = rows % 4, columns % 4
    fact = _FACT[np.ix_(slot_row, slot_column)]
    value = np.where(fact == 0, scene + 1, number + 1)
    value = np.where(fact == 2, (rows // 4 + 1)[:, None], value)
    value = np.where(fact == 3, (columns // 4 + 1)[None, :], value)
    return ((slot_row[:, None] * 4 + slot_column[None, :]) << 12 | value).astype(np.uint16)


def _first(values: np.ndarray) -> Watermark | str:
    """What the corner of `values` says, or why it says nothing."""
    slot, value = values >> 12, (values & 4095) - 1
    row0, column0 = divmod(int(slot[0, 0]), 4)
    height, width = min(4, values.shape[0]), min(4, values.shape[1])
    facts: dict[int, int] = {}
    for i in range(height):
        for j in range(width):
            row, column = (row0 + i) % 4, (column0 + j) % 4
            if slot[i, j] != row * 4 + column:
                return f"pixel ({i}, {j}) is of slot {divmod(int(slot[i, j]), 4)} of its 4 x 4 block, expected {(row, column)}"
            # Blocks that begin inside the window are one further on.
            told = int(value[i, j]) - {2: (row0 + i) // 4, 3: (column0 + j) // 4}.get(int(_FACT[row, column]), 0)
            if facts.setdefault(int(_FACT[row, column]), told) != told:
                return f"pixel ({i}, {j}) says {_NAMES[_FACT[row, column]]} {told}, others say {facts[int(_FACT[row, column])]}"
    if len(facts) < 4:
        return f"{values.shape[0]} x {values.shape[1]} pixels are too few to decode; four in a row or column are needed"
    level, band = divmod(facts[1], _BAND_NUMBERS)
    if not (0 <= level < len(LEVELS) and band < len(_MARKED)):
        return f"band number {facts[1]} does not exist"
    return Watermark(facts[0], _MARKED[band], facts[2] * 4 + row0, facts[3] * 4 + column0, LEVELS[level])


def _check(values: np.ndarray) -> Watermark | str:
    """The watermark of `values` when every pixel agrees with the first ones, else the disagreement."""
    mark = _first(values)
    if isinstance(mark, str):
        return mark
    height, width = values.shape
    rows, columns = np.arange(mark.row, mark.row + height), np.arange(mark.column, mark.column + width)
    expected = encode(mark.scene, mark.band, rows, columns, mark.level)
    wrong = np.argwhere(expected != values)
    if not len(wrong):
        return mark
    i, j = (int(index) for index in wrong[0])
    message = f"starts as {mark}, but pixel ({i}, {j}) and {len(wrong) - 1} others differ"
    # Where two windows meet, the first wrong pixel lies up to three behind the seam: neighbours may agree by chance.
    for back in range(16):
        top, left = i - 3 + back // 4, j - 3 + back % 4
        if top < 0 or left < 0:
            continue
        part = _first(values[top : top + 4, left : left + 4])
        if isinstance(part, Watermark) and part != replace(mark, row=mark.row + top, column=mark.column + left):
            return f"{message}: from pixel ({top}, {left}) on they say {part}"
    return message


def decode_watermark(array: np.ndarray) -> Watermark:
    """Read a window of one band of a watermarked scene, at least four pixels long in one direction.

    Every pixel is checked. A window taken from another place, band or scene decodes and says so by its fields.

    Args:
        array: (rows, columns), any dtype that holds the DN exactly.

    Raises:
        TilewrightError: where the pixels are not one untouched window, saying what was done to them when turning or
            flipping them back makes sense of them, else where they first disagree.
    """
    if array.ndim != 2:
        raise TilewrightError(
            f"watermark: the array has {array.ndim} axes {array.shape}; give one band, rows by columns"
        )
    values = array.astype(np.int64)
    if not np.array_equal(values, array):
        raise TilewrightError("watermark: values are not whole numbers: the pixels were scaled or resampled")
    if not values.any():
        raise TilewrightError("watermark: every pixel is 0 (no data)")
    mark = _check(values)
    if isinstance(mark, Watermark):
        return mark
    if (values == 0).any():
        i, j = (int(index) for index in np.argwhere(values == 0)[0])
        raise TilewrightError(f"watermark: {int((values == 0).sum())} pixels are 0 (no data), the first at ({i}, {j})")
    undone = {
        "the axes are transposed": values.T,
        "the rows are upside down (y flipped)": values[::-1],
        "the columns are mirrored (x flipped)": values[:, ::-1],
        "the window is turned by 180 degrees": values[::-1, ::-1],
        "the window is turned by 90 degrees counter-clockwise": np.rot90(values, -1),
        "the window is turned by 90 degrees clockwise": np.rot90(values),
        "the bytes of each value are swapped": values.astype(np.uint16).byteswap().astype(np.int64),
    }
    for what, back in undone.items():
        found = _check(back)
        if isinstance(found, Watermark):
            raise TilewrightError(f"watermark: {what}; put right, it is {found}")
    raise TilewrightError(f"watermark: {mark}")
