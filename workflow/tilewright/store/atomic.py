"""Files appear whole or not at all: written beside their place under a unique name, fsynced, renamed."""

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tilewright.errors import TilewrightError


def _beside(path: Path) -> Path:
    """A name in the same directory that no other writer, alive or dead, can have.

    What a killed writer of `path` left there is removed. Should that writer be alive after all, its rename fails: of two
    writers the later one wins, and they never mix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("part", "old"):
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*.{ending}"):
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:12]}.part")


def synchronise(path: Path) -> None:
    """Wait until a file is on the disk; of a folder: until what was renamed in it survives a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a path to write; when the block ends well it is fsynced and renamed to `path`, otherwise removed.

    Raises:
        TilewrightError: where the disk is full or not writable, naming `path`.
    """
    path = Path(path)
    try:
        part = _beside(path)
        try:
            yield part
            with part.open("rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(part, path)
            synchronise(path.parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        # Only what happened to our own file is ours to explain; a reader's error inside the block keeps its meaning.
        if error.errno is None or (error.filename and Path(str(error.filename)).parent != path.parent):
            raise
        raise TilewrightError(
            f"cannot write {path}: {error.strerror or error}; nothing was left behind. "
            "Free space or mend the permissions there, then run again"
        ) from error


@contextmanager
def replacing_tree(path: str | Path) -> Iterator[Path]:
    """As `replacing`, for a directory: yield an empty directory that takes the place of `path` when the block ends well.

    The old directory is moved aside first and deleted last: whatever is at `path` is whole. A kill between the two renames
    leaves nothing there.

    Raises:
        TilewrightError: where the disk is full or not writable, naming `path`.
    """
    path = Path(path)
    part = _beside(path)
    try:
        part.mkdir()
        yield part
        for directory, _, names in os.walk(part):
            for name in names:
                with open(os.path.join(directory, name), "rb") as handle:
                    os.fsync(handle.fileno())
        old = part.with_suffix(".old")
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
        synchronise(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise TilewrightError(
            f"cannot write {path}: {error.strerror or error}; free space there, then run again"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
