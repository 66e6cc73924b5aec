"""verify: reads every file of a dataset, names what is damaged or lost, and clears the way for Snakemake to make it again."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from tilewright.errors import TilewrightError
from tilewright.operations import checks, places
from tilewright.operations.folders import folder_of, locks_on
from tilewright.operations.shape import Shape, config_of, shape_of
from tilewright.operations.survey import Survey, survey

DAMAGED: Final = "damaged"
MISSING: Final = "missing"
LEFTOVER: Final = "half-written"
FUTURE: Final = "from the future"  # what depends on it would be made again at every run, until that time has come
UNKNOWN: Final = "not of the workflow"  # told, but nobody's fault

_CLOCKS_DIFFER_S: Final = 60  # between machines, without anything being wrong
_BATCH: Final = 256  # files that are handed to the threads at a time


class Check(NamedTuple):
    """One file that is to be read: `path` and `told_by` as in `Finding`; `damage` reads it and says what is wrong."""

    path: str
    place: Path
    damage: Callable[[], str]
    told_by: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: one of the words above.
        path: relative to the dataset's folder.
        why: what is wrong with the file; "" where `kind` says it all.
        told_by: of a file of an export, the table that tells of it, whose absence has it made again; "" of others.
    """

    kind: str
    path: str
    why: str = ""
    told_by: str = ""


@dataclass
class Verified:
    """What was found.

    Attributes:
        files, bytes: that were read.
        cells: of the index, whose arrays are in a store that is damaged or missing.
        removed: what was removed, beside what is damaged or half-written also what leads Snakemake to the lost files.
    """

    findings: list[Finding]
    files: int = 0
    bytes: int = 0
    cells: int = 0
    removed: list[str] = field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        """Paths of files that must be made again."""
        return [each.path for each in self.findings if each.kind in (DAMAGED, MISSING)]

    @property
    def sound(self) -> bool:
        """Whether all is as it should be."""
        return all(each.kind == UNKNOWN for each in self.findings)


def verify(
    folder: Path, tiles: Collection[str] = (), configfiles: Sequence[Path] = (), delete: bool = False, threads: int = 2,
    without_patches: bool = False,
) -> Verified:  # fmt: skip
    """Check every file of a dataset.

    Args:
        folder: the dataset's, results/<dataset>.
        tiles: those to look at, and at nothing of the whole dataset; none: at everything.
        configfiles: the dataset's, merged in their order, where it is not config/config.yaml.
        delete: remove what is damaged or half-written, and what keeps Snakemake from seeing what is lost: the next run makes it again.
            What is from the future gets the time of now.
        threads: files read at a time.
        without_patches: patches were deleted on purpose and are not missed. Where no tile has any, that goes without saying.

    Raises:
        TilewrightError: where the folder is no dataset, has nothing of a tile, or a run is at work in it and files are to be removed.
    """
    folder = folder_of(folder)
    if delete:
        _refuse_at_work(folder)
    shape = shape_of(folder, config_of(folder, configfiles))
    _refuse_strangers(folder, tiles, shape)
    there = survey(folder, tiles)
    found = Verified([Finding(LEFTOVER, path) for path in there.leftovers])
    found.findings += [Finding(UNKNOWN, path) for path in there.unknown]
    for check, size, damage in _run(_checks(folder, there, shape, tiles), threads):
        found.files, found.bytes = found.files + 1, found.bytes + size
        if damage == checks.GONE:
            found.findings.append(Finding(MISSING, check.path, told_by=check.told_by))
        elif damage:
            found.findings.append(Finding(DAMAGED, check.path, damage, check.told_by))
    found.findings += [Finding(FUTURE, path, "written while the clock was ahead") for path in _ahead(folder, there)]
    patches = not without_patches and any(path.endswith(f"/{places.PATCHES}") for path in there.files)
    found.findings += [Finding(MISSING, path) for path in _lost(folder, there, shape, tiles, patches)]
    found.findings.sort(key=lambda each: (each.kind, each.path))
    found.cells = _cells_in(folder, {path for path in found.lost if path.endswith((places.SERIES, places.LABELS))})
    if delete:
        _refuse_at_work(folder)  # a run may have begun since: reading takes hours
        found.removed = _remove(folder, there, found)
        now = time.time()  # one time for all: none is newer than what was made of it
        for path in _ahead(folder, there):
            os.utime(folder / path, (now, now))
    return found


def _refuse_at_work(folder: Path) -> None:
    if locks := locks_on(folder):
        raise TilewrightError(
            f"{folder}: a run is at work here, or was killed, so that nothing is removed: wait for it, or say snakemake --unlock in "
            f"{locks.parents[1]}, then again"
        )


def _refuse_strangers(folder: Path, tiles: Collection[str], shape: Shape) -> None:
    for tile in tiles:
        if tile not in shape.tiles and not (places.TILE.fullmatch(tile) and (folder / places.TILES / tile).is_dir()):
            raise TilewrightError(
                f"--tile {tile}: {folder} has no such tile: give names of folders in {folder / places.TILES}"
            )


def _is_finished(folder: Path, layout: str) -> bool:
    """Whether an export is of the index that is there. Snakemake makes another anew, and for that whatever is gone of it."""
    card = folder / places.EXPORTS / layout / places.OF_AN_EXPORT[0]
    try:
        return card.stat().st_mtime_ns >= (folder / places.INDEX).stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _checks(folder: Path, there: Survey, shape: Shape, tiles: Collection[str]) -> Iterator[Check]:
    for name in there.files:
        yield Check(name, folder / name, partial(checks.damage_of, folder / name))
    for layout in sorted(there.exports):
        root = f"{places.EXPORTS}/{layout}"
        finished = bool(shape.tiles) and _is_finished(folder, layout)
        for tables in sorted((folder / f"{root}{places.TABLES}").glob("*")):
            if finished and tables.name not in shape.tiles:
                continue  # it is of the dataset no longer: finishing the export has swept its files away
            if not tiles or tables.name in tiles:
                told_by = f"{root}{places.TABLES}/{tables.name}/files.parquet"
                for name, size, crc32 in checks.files_of_tile(tables):
                    place = folder / root / name
                    yield Check(f"{root}/{name}", place, partial(checks.damage_of_listed, place, size, crc32), told_by)
        if not tiles:
            for name, damage in checks.documents_of(folder / root):
                yield Check(f"{root}/{name}", folder / root / name, damage)


def _run(pending: Iterable[Check], threads: int) -> Iterator[tuple[Check, int, str]]:
    """(check, bytes of the file, what is wrong with it) of each, in order."""
    rest = iter(pending)
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(rest, _BATCH)):
            for check, damage in zip(batch, pool.map(lambda each: each.damage(), batch), strict=True):
                yield check, 0 if damage == checks.GONE else check.place.stat().st_size, damage


def _ahead(folder: Path, there: Survey) -> list[str]:
    """Files whose time has not come yet."""
    now = time.time() + _CLOCKS_DIFFER_S
    return [path for path in there.files if (folder / path).exists() and (folder / path).stat().st_mtime > now]


def _lost(folder: Path, there: Survey, shape: Shape, tiles: Collection[str], patches: bool) -> Iterator[str]:
    """Files that are not there, and that others that are were made of.

    Args:
        patches: patch stores are missed.
    """
    for tile in sorted(set(tiles) or {*there.tiles, *shape.tiles}):
        names = there.tiles.get(tile, set())
        for name in sorted(places.needed_by(names, shape, tile) - names):
            if patches or not name.endswith(places.PATCHES):
                yield f"{places.TILES}/{tile}/{name}"
    for layout in sorted(there.exports):
        if _is_finished(folder, layout):
            exported = shape.tiles.keys() & set(tiles) if tiles else shape.tiles.keys()
            yield from sorted(places.tables_of_export(layout, exported) - set(there.files))
    if not tiles:
        yield from sorted(places.needed_by_index(shape) - set(there.files))


def _cells_in(folder: Path, stores: set[str]) -> int:
    """How many cells of the index have arrays in one of `stores`."""
    from tilewright.store.table import read_table

    if not stores:
        return 0
    try:
        index = read_table(folder / places.INDEX, columns=["tile"])
    except TilewrightError:
        return 0
    return int(index["tile"].isin({path.split("/")[1] for path in stores}).sum())


def _remove(folder: Path, there: Survey, found: Verified) -> list[str]:
    """Remove what is damaged or half-written, and what leads Snakemake to what is lost; what was removed."""
    sources_of = [tile for tile, names in there.tiles.items() if places.FEATURES in names]
    doomed = {each.path for each in found.findings if each.kind in (DAMAGED, LEFTOVER)}
    doomed |= {each.told_by for each in found.findings if each.told_by}
    doomed |= {path for lost in found.lost for path in places.leading_to(lost, sources_of)}
    removed = []
    for name in sorted(doomed):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        else:
            continue
        removed.append(name)
    return removed
