"""How large label sources are: files, folders of files, and what has no size before it is read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tilewright.config.label_files import files, parts
from tilewright.config.label_sets import LabelSet, OsmFile, VectorFile
from tilewright.costs.expected import Known

UNSIZED_FEATURES: Final = 5_000_000
"""Features of a database, or of an address that GDAL reads: such as the parcels of a whole country, which are 1 to 10 million. Asked for
at the first attempt; what a third one asks for holds four times as many."""
ROW_MB: Final = 1e-3
"""MB of a feature of a vector map, not packed: PostGIS is copied to such a file first."""


def is_unsized(labels: LabelSet) -> bool:
    """Whether a set's features are in a database or at an address, so that their number is assumed."""
    return isinstance(labels.source, OsmFile | VectorFile) and not any(key == "source.path" for key, _ in files(labels))


def size_mb(paths: Iterable[Path]) -> float:
    """MB of files, and of folders with all that is in them (a geodatabase); 0 of what is not there (yet)."""
    return sum(_bytes(path) for path in paths) / 1e6


def known_of(labels: LabelSet) -> Known:
    """What is known of the job that reads a set's source: the size of all its files, or what is assumed where it has none."""
    mb = size_mb(part for _, path in files(labels) for part in parts(path))
    if is_unsized(labels):
        return Known(source_mb=mb + UNSIZED_FEATURES * ROW_MB, features=UNSIZED_FEATURES)
    return Known(source_mb=mb)


def _bytes(path: Path) -> int:
    every = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in every if each.is_file())
