"""A scratch file for encoded patches: read in any order, kept off the heap, written out in a fixed order."""

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class Spool:
    """Pieces (one band of one cell in one scene) in a file without a name, which vanishes with the process.

    In memory is only where each piece lies and what was counted in it: 20 bytes a piece.
    """

    def __init__(self, directory: Path, cells: int, bands: int) -> None:
        """`directory`: where there is room, such as the output's own."""
        directory.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed in __exit__
        self._shape = (cells, bands)
        self._end = 0
        self._start: dict[str, np.ndarray] = {}
        self._size: dict[str, np.ndarray] = {}
        self._counts: dict[str, np.ndarray] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def lacks(self, scene: str, band: int, cells: np.ndarray) -> np.ndarray:
        """Those of `cells` whose piece is not here yet."""
        return cells[self._start[scene][cells, band] < 0] if scene in self._start else cells

    def put(self, scene: str, band: int, cell: int, data: bytes, zeros: int, clipped: int) -> None:
        """Append a piece, and what was counted in it."""
        if scene not in self._start:
            self._start[scene] = np.full(self._shape, -1, np.int64)
            self._size[scene] = np.zeros(self._shape, np.int32)
            self._counts[scene] = np.zeros((*self._shape, 2), np.int32)
        self._file.write(data)
        self._start[scene][cell, band] = self._end
        self._size[scene][cell, band] = len(data)
        self._counts[scene][cell, band] = (zeros, clipped)
        self._end += len(data)

    def written(self) -> None:
        """Call once between the last `put` and the first `get`."""
        self._file.flush()

    def get(self, scene: str, band: int, cell: int) -> bytes:
        """The piece as it was put."""
        start, size = int(self._start[scene][cell, band]), int(self._size[scene][cell, band])
        return os.pread(self._file.fileno(), size, start)

    def counts(self, scene: str, cell: int) -> np.ndarray:
        """(band, 2) zeros and clipped pixels of a cell in a scene."""
        found: np.ndarray = self._counts[scene][cell]
        return found
