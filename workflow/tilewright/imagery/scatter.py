"""Which blocks of a raster hold which boxes, and copying a block's pixels into them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plan:
    """Boxes laid over the blocks of a raster. A part is what one box and one block share.

    Attributes:
        blocks: (n,) numbers of the blocks that any box touches, ascending, each once.
        first: (n + 1,) where each block's parts begin.
        boxes: (parts,) places of the boxes, block by block.
        parts: (parts, 4) first row, last row + 1, first column, last column + 1 in the raster.
        touched: (boxes,) how many blocks each box touches; 0 for one outside the raster.
    """

    blocks: np.ndarray
    first: np.ndarray
    boxes: np.ndarray
    parts: np.ndarray
    touched: np.ndarray

    def used(self, at: int) -> tuple[int, int, int]:
        """First row, last row + 1 and last column + 1, in the raster, of what is wanted of the block at place `at`."""
        top, bottom, _, right = self.parts[self.first[at] : self.first[at + 1]].T
        return int(top.min()), int(bottom.max()), int(right.max())

    def pixels(self, places: list[int]) -> int:
        """How many pixels of boxes the blocks at `places`, one after another, hold."""
        top, bottom, left, right = self.parts[self.first[places[0]] : self.first[places[-1] + 1]].T
        return int(((bottom - top) * (right - left)).sum())


def lay(rows: np.ndarray, cols: np.ndarray, side: int, shape: tuple[int, int], block: tuple[int, int]) -> Plan:
    """Lay square boxes of `side` pixels, with first pixels (`rows`, `cols`), over a raster of `shape` in blocks.

    Every block is named once, however many boxes share it. What of a box is outside the raster touches nothing.
    """
    across = -(-shape[1] // block[1])
    bottom, right = np.minimum(rows + side, shape[0]), np.minimum(cols + side, shape[1])
    first_down, first_across = np.maximum(rows, 0) // block[0], np.maximum(cols, 0) // block[1]
    down = np.where((rows + side > 0) & (rows < shape[0]), (bottom - 1) // block[0] - first_down + 1, 0)
    wide = np.where((cols + side > 0) & (cols < shape[1]), (right - 1) // block[1] - first_across + 1, 0)
    touched = down * wide
    box = np.repeat(np.arange(len(rows)), touched)
    nth = np.arange(len(box)) - np.repeat(np.cumsum(touched) - touched, touched)
    at_row, at_col = first_down[box] + nth // wide[box], first_across[box] + nth % wide[box]
    parts = np.stack(
        [
            np.maximum(rows[box], at_row * block[0]), np.minimum(bottom[box], (at_row + 1) * block[0]),
            np.maximum(cols[box], at_col * block[1]), np.minimum(right[box], (at_col + 1) * block[1]),
        ],
        axis=1,
    )  # fmt: skip
    number = at_row * across + at_col
    order = np.argsort(number, kind="stable")
    blocks, first = np.unique(number[order], return_index=True)
    return Plan(blocks, np.append(first, len(box)), box[order], parts[order], touched)


class Patches:
    """The boxes' pixels while their blocks arrive, in any order and from any thread."""

    def __init__(
        self, plan: Plan, rows: np.ndarray, cols: np.ndarray, side: int, shape: tuple[int, int], dtype: np.dtype
    ) -> None:
        self.plan = plan
        self._shape = (side, side)
        self._dtype = dtype
        # Blocks cover a box within the raster; only what reaches outside needs zeros, whose pages cost time.
        inside = (rows >= 0) & (rows <= shape[0] - side) & (cols >= 0) & (cols <= shape[1] - side)
        self._make = [np.empty if of else np.zeros for of in inside.tolist()]
        corner = np.stack([rows, rows, cols, cols], axis=1)[plan.boxes] if len(plan.boxes) else plan.parts
        self._into = plan.parts - corner
        self._single = (plan.touched == 1).tolist()
        self._left = plan.touched.tolist()
        self._begun: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def outside(self) -> Iterator[tuple[int, np.ndarray]]:
        """The boxes that no block will complete: all zeros."""
        for at in np.flatnonzero(self.plan.touched == 0).tolist():
            yield at, np.zeros(self._shape, self._dtype)

    def put(self, at: int, pixels: np.ndarray, row: int, col: int) -> list[tuple[int, np.ndarray]]:
        """Copy the block at place `at` of the plan, whose first pixel is (`row`, `col`); the boxes now complete."""
        parts = slice(self.plan.first[at], self.plan.first[at + 1])
        source = self.plan.parts[parts] - (row, row, col, col)
        done = []
        for box, (y0, y1, x0, x1), (v0, v1, u0, u1) in zip(
            self.plan.boxes[parts].tolist(), self._into[parts].tolist(), source.tolist(), strict=True
        ):
            patch = self._patch(box)
            patch[y0:y1, x0:x1] = pixels[v0:v1, u0:u1]
            if self._completed(box):
                done.append((box, patch))
        return done

    def _patch(self, box: int) -> np.ndarray:
        if self._single[box]:  # no other block, no other thread
            return self._make[box](self._shape, self._dtype)
        with self._lock:
            if box not in self._begun:
                self._begun[box] = self._make[box](self._shape, self._dtype)
            return self._begun[box]

    def _completed(self, box: int) -> bool:
        if self._single[box]:
            return True
        with self._lock:
            self._left[box] -= 1
            if self._left[box] == 0:
                del self._begun[box]
            return self._left[box] == 0
