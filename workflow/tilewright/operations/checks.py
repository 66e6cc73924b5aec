"""Is a file whole? One check for each kind of file that the workflow writes into a dataset's folder."""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from tilewright.errors import TilewrightError
from tilewright.operations.places import OF_AN_EXPORT
from tilewright.store.seal import damage_beside, damage_of_file
from tilewright.store.zipped import LocalFile, damage_of_zip

GONE: Final = "gone"
_README, _CROISSANT, _COLLECTION = OF_AN_EXPORT


def damage_of(path: Path) -> str:
    """What is wrong with a file; "" where nothing is. Reads it from end to end."""
    try:
        if path.suffix == ".zip":
            return _damage_of_store(path)
        if path.suffix == ".csv":
            return damage_beside(path, path.with_suffix(".html"))
        return damage_of_file(path)
    except FileNotFoundError as error:
        return (
            GONE
            if Path(str(error.filename)) == path
            else f"{Path(str(error.filename)).name}, which tells its digest, is gone"
        )
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _damage_of_store(path: Path) -> str:
    file = LocalFile(path)
    try:
        return damage_of_zip(file.size, file)
    finally:
        file.close()


def files_of_tile(tables: Path) -> Iterator[tuple[str, int, int]]:
    """(path relative to the export, bytes, crc32) of the files that an export has of a tile; none where the table is damaged.

    Args:
        tables: the folder of the tile's tables.
    """
    from tilewright.store.table import read_table

    try:
        table = read_table(tables / "files.parquet", columns=["path", "bytes", "crc32"])
    except TilewrightError:
        return
    yield from zip(table["path"], table["bytes"].tolist(), table["crc32"].tolist(), strict=True)


def damage_of_listed(path: Path, size: int, crc32: int) -> str:
    """What is wrong with a file of an export, by what its tile's table tells of it; "" where nothing is."""
    from tilewright.exports.writing import crc32_of

    try:
        if (found := path.stat().st_size) != size:
            return f"{found} bytes instead of {size}"
        return "" if crc32_of(path) == crc32 else "its bytes are not those that were written"
    except FileNotFoundError:
        return GONE
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def documents_of(root: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """(name, check) of each file of an export as a whole: its documents, and those that croissant.json lists with their digests.

    None where the export is not finished.
    """
    if not any((root / name).exists() for name in OF_AN_EXPORT):
        return
    for name in (_CROISSANT, _COLLECTION):
        yield name, partial(damage_of, root / name)
    try:
        listed: list[dict[str, Any]] = json.loads((root / _CROISSANT).read_bytes())["distribution"]
        digests = {str(each["contentUrl"]): str(each["sha256"]) for each in listed if "sha256" in each}
    except (OSError, ValueError, LookupError, TypeError):
        return  # that it is damaged has been told
    for name, digest in digests.items():
        yield name, partial(_damage_by_sha256, root / name, digest)


def _damage_by_sha256(path: Path, digest: str) -> str:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return GONE
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return "" if found == digest else f"its bytes are not those that {_CROISSANT} tells of"
