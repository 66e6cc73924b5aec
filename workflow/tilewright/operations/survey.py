"""What lies in a dataset's folder: one pass over the names, nothing is opened."""

import os
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tilewright.operations.places import EXPORTS, TABLES, TILES, is_known, is_leftover


@dataclass
class Survey:
    """Paths are relative to the dataset's folder, with /.

    Attributes:
        files: that the workflow made, those that exports consist of left out.
        tiles: {tile: its files, relative to its folder}.
        exports: layouts that there are, or were begun.
        leftovers: files and folders that killed writers left half-written.
        unknown: files that the workflow does not make.
    """

    files: list[str] = field(default_factory=list)
    tiles: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    exports: set[str] = field(default_factory=set)
    leftovers: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def survey(folder: Path, tiles: Collection[str] = ()) -> Survey:
    """Look through a dataset's folder; `tiles`: at these alone, and not at what is of the whole dataset."""
    found = Survey()
    if tiles:
        for tile in sorted(set(tiles)):
            _walk(folder, f"{TILES}/{tile}", found)
        there = [path for path in (folder / EXPORTS).glob("*") if path.is_dir() and not is_leftover(path.name)]
        found.exports = {path.name.removesuffix(TABLES) for path in there}
        for layout in sorted(found.exports):
            for tile in sorted(set(tiles)):
                _walk(folder, f"{EXPORTS}/{layout}{TABLES}/{tile}", found)
    else:
        _walk(folder, "", found)
    return found


def _walk(folder: Path, below: str, found: Survey) -> None:
    """Of an export's own folder nothing is listed: its tables tell what is in it, perhaps millions of files."""
    try:
        entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if is_leftover(entry.name):
            found.leftovers.append(path)
        elif below == EXPORTS and entry.is_dir() and not entry.name.endswith(TABLES):
            found.exports.add(entry.name)
        elif entry.is_dir():
            _walk(folder, path, found)
        elif not is_known(path):
            found.unknown.append(path)
        else:
            found.files.append(path)
            if below.startswith(f"{TILES}/"):
                _, tile, name = path.split("/", 2)
                found.tiles[tile].add(name)
