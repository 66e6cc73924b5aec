"""A scratch file for encoded patches: read in any order, kept off the heap, written out in a fixed order."""

import errno
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class Spool:
    """Pieces (one band of one cell in one scene) of one collection in a file without a name, which vanishes with the process.

    In memory is only where each piece lies and what was counted in it: 20 bytes for each piece that is wanted.
    """

    def __init__(self, directory: Path, cells: int, bands: int) -> None:
        """`directory`: where there is room, such as the output's own."""
        directory.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed in __exit__
        self._cells = cells
        self._bands = bands
        self._end = 0
        self._scenes: dict[str, _Places] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def want(self, scene: str, cells: np.ndarray) -> None:
        """Make room for the pieces of `cells` in `scene`; before anything else is asked of them."""
        if scene not in self._scenes:
            self._scenes[scene] = _Places(np.full(self._cells, -1, np.int32), self._bands)
        self._scenes[scene].add(cells)

    def lacks(self, scene: str, band: int, cells: np.ndarray) -> np.ndarray:
        """Those of `cells` whose piece is not here yet."""
        places = self._scenes[scene]
        return cells[places.start[places.row[cells], band] < 0]

    def put(self, scene: str, band: int, cell: int, data: bytes, zeros: int, clipped: int) -> None:
        """Append a piece, and what was counted in it."""
        places = self._scenes[scene]
        at = places.row[cell], band
        self._file.write(data)
        places.start[at] = self._end
        places.size[at] = len(data)
        places.counts[at] = (zeros, clipped)
        self._end += len(data)

    def written(self) -> None:
        """Call once between the last `put` and the first `get`."""
        self._file.flush()

    def get(self, scene: str, band: int, cell: int) -> bytes:
        """The piece as it was put.

        Raises:
            OSError: where the file no longer gives what was written.
        """
        places = self._scenes[scene]
        at = places.row[cell], band
        data = os.pread(self._file.fileno(), int(places.size[at]), int(places.start[at]))
        if len(data) != places.size[at]:
            raise OSError(errno.EIO, "the scratch file gives less than was written")
        return data

    def counts(self, scene: str, cells: np.ndarray) -> np.ndarray:
        """(cell, band, 2) pixels without data and clipped ones of `cells` in a scene."""
        places = self._scenes[scene]
        found: np.ndarray = places.counts[places.row[cells]]
        return found


class _Places:
    """Where the pieces of one scene lie: arrays of a row for each cell that wants it."""

    def __init__(self, row: np.ndarray, bands: int) -> None:
        self.row = row
        self.start = np.zeros((0, bands), np.int64)
        self.size = np.zeros((0, bands), np.int32)
        self.counts = np.zeros((0, bands, 2), np.int32)

    def add(self, cells: np.ndarray) -> None:
        new = cells[self.row[cells] < 0]
        rows, bands = self.start.shape
        self.row[new] = np.arange(rows, rows + len(new))
        self.start = np.concatenate([self.start, np.full((len(new), bands), -1, np.int64)])
        self.size = np.concatenate([self.size, np.zeros((len(new), bands), np.int32)])
        self.counts = np.concatenate([self.counts, np.zeros((len(new), bands, 2), np.int32)])
