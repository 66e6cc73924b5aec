"""Where a dataset's folder lies: the run that is at work on it, its logs, and the folder that Snakemake ran in.

A folder may be given by way of `..` or of a symlink, and a workflow that imports ours may put it below a prefix. So both ways to it
count, the one that was given and the real one, and everything above it on either.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from tilewright.errors import TilewrightError
from tilewright.operations.places import INDEX


def folder_of(given: Path) -> Path:
    """The dataset's folder. Raises TilewrightError where it is none."""
    if not given.is_dir():
        raise TilewrightError(f"{given} is no folder: give a dataset's, such as results/demo")
    if not any((given / name).exists() for name in ("tiles", "zones", INDEX)):
        raise TilewrightError(
            f"{given} is no dataset: neither tiles nor an index are in it; give one's folder, such as results/demo"
        )
    return given


def _ways(folder: Path) -> list[Path]:
    """The folder as it was given, without `..`, and as it really is."""
    given = Path(os.path.abspath(folder))  # noqa: PTH100 (follows no symlink)
    return list(dict.fromkeys([given, folder.resolve()]))


def _above(folder: Path) -> Iterator[Path]:
    """All folders that it lies in, those of the way that was given first."""
    yield from dict.fromkeys(parent for way in _ways(folder) for parent in way.parents)


def names_of(folder: Path) -> list[str]:
    """What the dataset is called by its folder: two names where that is a symlink."""
    return list(dict.fromkeys(way.name for way in _ways(folder)))


def locks_on(folder: Path) -> Path | None:
    """The locks of a run that is at work above the dataset, or was killed; None without one.

    Where Snakemake runs no name tells: its folder may lie higher than the one that `results` is in.
    """
    return next((locks for each in _above(folder) if _is_filled(locks := each / ".snakemake" / "locks")), None)


def _is_filled(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # a folder of others that we may not look into
        return False


def logs_of(folder: Path) -> Path:
    """The folder of the logs of the dataset's stages, which lies beside `results`, below the same prefix."""
    found = [way.parent.parent / "logs" / way.name for way in _ways(folder)]
    logs = next((path for path in found if path.is_dir()), found[0])
    here = Path.cwd()
    return logs.relative_to(here) if logs.is_relative_to(here) and not folder.is_absolute() else logs


def run_in(folder: Path) -> Path:
    """The folder that Snakemake ran in: the nearest with a `.snakemake`, else the one that `results` is in."""
    return next((each for each in _above(folder) if (each / ".snakemake").is_dir()), _ways(folder)[0].parent.parent)
