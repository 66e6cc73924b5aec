"""The files of an export: written apart, and moved to their places when all of them are whole."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Final, Self

import imagecodecs
import pandas as pd

from tilewright.errors import TilewrightError
from tilewright.store.atomic import synchronise

FILE_COLUMNS = ("path", "bytes", "crc32", "cell_id")
# libdeflate's: of a series it takes a tenth of the time of zlib's
_crc32: Any = imagecodecs.deflate_crc32


# Synchronisations under way at a time. File systems write down many at once: 1,500 files of 20 kB took 5 to 8 s one by one, 0.5 s so.
_AT_A_TIME: Final = 16
_BATCH: Final = 4096
_PART: Final = 1 << 22  # bytes read at a time


class Growing:
    """A file that is being written, and what is known of it so far."""

    def __init__(self, file: IO[bytes], failed: Callable[[OSError], TilewrightError]) -> None:
        """Args: `failed`: the error to raise for one of the disk."""
        self._file, self._failed = file, failed
        self.bytes = 0
        self.crc32 = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises TilewrightError where the disk is full or not writable."""
        rest = memoryview(data).cast("B")
        self.bytes += len(rest)
        self.crc32 = _crc32(rest, self.crc32)
        try:
            while len(rest):  # an unbuffered file may take fewer than it is given
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._failed(error) from error


class Writing:
    """Puts files into a folder, all or none.

    What is put is kept in a folder beside it and moved file by file when the block ends well: a killed or failed writer leaves nothing
    in the export, and never a file that is not whole. Millions of small files are synchronised together, after the last is written,
    which costs a fraction of doing so one by one.
    """

    def __init__(self, root: Path, name: str) -> None:
        """Args: `root`: the export's folder. `name`: of this writer, unlike those of others that write into `root`."""
        self.root = root
        self._apart = root.parent / f".{root.name}-{name}.part"
        self._files: list[tuple[str, int, int, str]] = []
        self._made: set[Path] = set()

    def __enter__(self) -> Self:
        """Begin anew: what a killed writer of the same name left is removed."""
        shutil.rmtree(self._apart, ignore_errors=True)
        self._apart.mkdir(parents=True)
        return self

    def put(self, path: str, data: bytes, cell_id: str = "") -> None:
        """Write one file.

        Args:
            path: relative to the export's folder, with /.
            cell_id: whose it is; "" for files of the whole export.

        Raises:
            TilewrightError: where the disk is full or not writable, naming the file.
        """
        with self.opened(path, cell_id) as file:
            file.write(data)

    @contextmanager
    def opened(self, path: str, cell_id: str = "") -> Iterator["Growing"]:
        """Write one file part by part, for files that are larger than what one holds in memory; as `put` otherwise."""
        place = PurePosixPath(path)
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"{path} leaves the export")
        target = self._apart / place
        try:
            if target.parent not in self._made:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._made.add(target.parent)
            file = target.open("xb", buffering=0)
        except FileExistsError:
            raise ValueError(f"{path} is put twice") from None
        except OSError as error:
            raise self._failed(path, error) from error
        growing = Growing(file, partial(self._failed, path))
        try:
            yield growing
        finally:
            try:
                file.close()
            except OSError as error:  # where file systems of servers tell that they are full
                raise self._failed(path, error) from error
        self._files.append((path, growing.bytes, growing.crc32, cell_id))

    def read(self, path: str) -> bytes:
        """What was put at `path`."""
        return (self._apart / path).read_bytes()

    def files(self) -> pd.DataFrame:
        """A row for each file that was put, in order of their paths: path, bytes, crc32, cell_id."""
        table = pd.DataFrame(self._files, columns=list(FILE_COLUMNS))
        return table.astype({"bytes": "int64", "crc32": "int64"}).sort_values("path", ignore_index=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Move everything to its place, or remove it."""
        try:
            if kind is None:
                self._move()
        except OSError as problem:
            raise self._failed(str(problem.filename or self.root), problem) from problem
        finally:
            shutil.rmtree(self._apart, ignore_errors=True)

    def _move(self) -> None:
        _synchronise_all([self._apart / path for path, *_ in self._files])
        folders: set[Path] = set()
        for path, *_ in self._files:
            target = self.root / path
            if target.parent not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.add(target.parent)
            os.replace(self._apart / path, target)
        _synchronise_all(sorted(folders))

    def _failed(self, path: str, error: OSError) -> TilewrightError:
        free = "free space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend the permissions or the disk"
        return TilewrightError(
            f"cannot write {self.root / path}: {error.strerror or error}; nothing half-written was left: {free}, then run again, and only "
            "tiles that are not done yet are written"
        )


def crc32_of(path: Path) -> int:
    """Of a file, as `Writing.files` tells it."""
    found = 0
    with path.open("rb", buffering=0) as file:
        while part := file.read(_PART):
            found = _crc32(part, found)
    return found


def _synchronise_all(paths: Sequence[Path]) -> None:
    """Wait until files or folders are on the disk. Raises OSError."""
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for first in range(0, len(paths), _BATCH):
            list(threads.map(synchronise, paths[first : first + _BATCH]))


def sweep(root: Path, kept: set[str]) -> int:
    """Remove files of an export that are none of `kept` (relative paths), such as those of cells that are not accepted any more, and
    folders that are empty then; how many files.
    """  # noqa: D205
    removed = 0
    for folder, _, names in os.walk(root, topdown=False):
        base = os.path.relpath(folder, root)
        for name in names:
            path = name if base == "." else f"{base}/{name}"
            if path.replace(os.sep, "/") not in kept:
                Path(folder, name).unlink()
                removed += 1
        if base != ".":
            with suppress(OSError):  # not empty
                Path(folder).rmdir()
    return removed
