"""A scratch file for encoded chunks: read in any order, kept off the heap, written out in a fixed order."""

import tempfile
from collections.abc import Hashable
from pathlib import Path
from types import TracebackType
from typing import Self


class Spool:
    """Chunks by key in a file without a name, which vanishes with the process, however it ends."""

    def __init__(self, directory: Path) -> None:
        """`directory`: where there is room, such as the output's own."""
        directory.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed in __exit__
        self._places: dict[Hashable, tuple[int, int]] = {}
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def put(self, key: Hashable, data: bytes) -> None:
        """Append a chunk."""
        self._file.seek(self._end)
        self._file.write(data)
        self._places[key] = (self._end, len(data))
        self._end += len(data)

    def get(self, key: Hashable) -> bytes:
        """The chunk as it was put."""
        start, size = self._places[key]
        self._file.seek(start)
        return self._file.read(size)
