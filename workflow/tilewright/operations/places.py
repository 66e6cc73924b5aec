"""Where a dataset's files are, what each is made of, and by which others Snakemake comes upon it. Pure, over paths' texts.

Snakemake begins at the targets and asks for a file only where something that is to run needs it: of a file that is gone while the
next one on the way is there it says "Nothing to be done". So beside a file that is to be made again, those must go that lead
Snakemake to it. The files that are removed for that are the small ones (a selection, a zone's table, the STAC collection): what
they are made of stays, and patches that are whole are used again.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tilewright.operations.shape import Shape

INDEX: Final = "index.parquet"
STATISTICS, COLLECTION, REPORT = "statistics.json", "collection.json", "report.html"
WHOLE: Final = (INDEX, STATISTICS, COLLECTION, REPORT)
LOCATIONS: Final = "locations.parquet"
CELLS, SERIES, FEATURES, LABELS = "cells.parquet", "series.zarr.zip", "features.parquet", "labels.zarr.zip"
SCENES, COMPANIONS, MASKS = "scenes.parquet", "companions.parquet", "masks.parquet"
SELECTION, PATCHES = "selection.parquet", "patches.zarr.zip"
OF_A_PERIOD: Final = (SCENES, COMPANIONS, MASKS, SELECTION, PATCHES, "masks.traffic.json", "patches.traffic.json")
OF_AN_EXPORT: Final = ("README.md", "croissant.json", "collection.json")  # the first is what the target `all` asks for
OF_A_TILES_EXPORT: Final = ("files.parquet", "records.parquet")
TILES, EXPORTS = "tiles", "exports"
# A tile's folder of answers of APIs; a period may be called so too, whose files have other names.
ASKED: Final = "asked"
TABLES: Final = ".tiles"  # how the name of the folder ends where an export's tables are

TILE: Final = re.compile(r"\d\d[C-X][A-Z]{2}")
_HALF: Final = re.compile(r"\..+\.(part|old)")


def zone_of(tile: str) -> str:
    """UTM zone and hemisphere of a tile, which its name tells."""
    return f"{tile[:2]}{'N' if tile[2] >= 'N' else 'S'}"


def is_leftover(name: str) -> bool:
    """Whether a file or folder of that name is what a killed writer left half-written."""
    return _HALF.fullmatch(name) is not None


def is_period(folder: str, names: Iterable[str]) -> bool:
    """Whether a folder of a tile is a period's.

    Args:
        folder: its name.
        names: of what is in it.
    """
    return folder != ASKED or any(name in OF_A_PERIOD for name in names)


def is_known(path: str) -> bool:
    """Whether the workflow makes a file at that place, relative to the dataset's folder; the files of exports apart."""
    match path.split("/"):
        case [name]:
            return name in (*WHOLE, LOCATIONS)
        case ["sources" | "zones", name]:
            return name.endswith(".parquet")
        case ["legends", name]:
            return name.endswith((".html", ".csv"))
        case ["tiles", tile, name]:
            return TILE.fullmatch(tile) is not None and name in (CELLS, SERIES, FEATURES, LABELS)
        case ["tiles", tile, folder, name]:
            answer = folder == ASKED and name.endswith(".parquet")
            return TILE.fullmatch(tile) is not None and (name in OF_A_PERIOD or answer)
        case ["exports", layout, tile, name]:
            return layout.endswith(TABLES) and TILE.fullmatch(tile) is not None and name in OF_A_TILES_EXPORT
    return False


def leading_to(path: str, tiles: Collection[str]) -> Iterator[str]:
    """The files that must be gone for Snakemake to see that the one at `path` is.

    Args:
        path: relative to the dataset's folder.
        tiles: those whose features are made of the dataset's label sources.
    """
    match path.split("/"):
        case ["tiles", tile, period, "masks.parquet" | "patches.zarr.zip"]:
            yield f"tiles/{tile}/{period}/{SELECTION}"
            yield from _to_tile(tile)
        case ["tiles", tile, "asked", name] if name not in OF_A_PERIOD:
            yield f"tiles/{tile}/{FEATURES}"
            yield from _to_tile(tile)
        case ["tiles", tile, *_] if not path.endswith(".traffic.json"):
            yield from _to_tile(tile)
        case ["sources", _]:
            for tile in sorted(tiles)[:1]:  # one is enough: the others run when their source has been made
                yield f"tiles/{tile}/{FEATURES}"
                yield from _to_tile(tile)
        case ["zones", _]:
            yield COLLECTION
        case ["exports", layout, *_]:
            root = f"exports/{layout.removesuffix(TABLES)}"
            yield f"{root}/{OF_AN_EXPORT[0]}"


def _to_tile(tile: str) -> Iterator[str]:
    yield f"zones/{zone_of(tile)}.parquet"
    yield COLLECTION  # of the rule that makes the index, which so stays until it is made anew


def tables_of_export(layout: str, tiles: Iterable[str]) -> set[str]:
    """What an export has of each of these tiles, also of one without cells."""
    return {f"{EXPORTS}/{layout}{TABLES}/{tile}/{name}" for tile in tiles for name in OF_A_TILES_EXPORT}


def needed_by_index(shape: "Shape") -> set[str]:
    """The files of more than one tile that the index and the tiles' features were made of; what is missed of the rest, Snakemake sees."""
    zones = {f"zones/{zone_of(tile)}.parquet" for tile in shape.tiles}
    return {*zones, *(f"sources/{name}.parquet" for name in shape.sources)}


def needed_by(names: Collection[str], shape: "Shape", tile: str) -> set[str]:
    """The files of a tile that others of its files were made of, and the index where it holds the tile.

    Args:
        names: its files that are there, relative to its folder.
    """
    made = shape.tiles.get(tile)
    needed = set() if made is None else {CELLS, SERIES}
    if made is not None and made.labels:
        needed |= {FEATURES, LABELS, *(f"{ASKED}/{name}.parquet" for name in made.answers)}
    if LABELS in names:
        needed.add(FEATURES)
    if SERIES in names or FEATURES in names:
        needed.add(CELLS)
    begun = {name.split("/")[0] for name in names if name.endswith(f"/{SCENES}")}
    for period in sorted(begun) if shape.periods is None else shape.periods:
        gathered = made is not None and period in made.periods
        cropped = gathered or f"{period}/{SELECTION}" in names or f"{period}/{PATCHES}" in names
        if cropped or f"{period}/{MASKS}" in names:
            needed |= {CELLS, f"{period}/{SCENES}"}
        if cropped:
            needed |= {f"{period}/{name}" for name in (MASKS, SELECTION, PATCHES)}
        if gathered and made is not None and made.companions:
            needed.add(f"{period}/{COMPANIONS}")
    return needed
