"""Seals: a digest inside a file, over all of the file's bytes, by which any that was changed or lost is noticed.

A seal is the word `tilewright:seal`, one to four bytes as the file's format has them, and 32 hexadecimal digits: blake2b over the
whole file, with zeros where the digits are. It stands in a Parquet file's key-value metadata, a JSON document's last key, a
comment of a page, and a zip's comment (there over the directory alone: each entry has its CRC-32, see `zipped.damage_of_zip`). So
there are no files of digests beside the files, and readers that know nothing of seals are not disturbed.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from tilewright.store.atomic import replacing

KEY: Final = "tilewright:seal"
BLANK: Final = "0" * 32
"""What stands in the seal's place until it is made."""

_SEAL: Final = re.compile(re.escape(KEY.encode()) + rb"[^0-9a-f]{1,4}([0-9a-f]{32})(?![0-9a-f])")
_LONGEST: Final = len(KEY) + 4 + len(BLANK) + 1
_BLOCK: Final = 1 << 22  # bytes read at a time
_TAIL: Final = 1 << 16  # bytes that are looked through first: seals stand near the end


def digest_of(data: bytes | bytearray) -> str:
    """The digest that seals are of."""
    return hashlib.blake2b(data, digest_size=len(BLANK) // 2).hexdigest()


def sealed(data: bytes | bytearray) -> bytes:
    """A document with a blank seal, sealed.

    Raises:
        ValueError: where it has no blank seal.
    """
    found = _last(data)
    if found is None or found[1] != BLANK:
        raise ValueError("no blank seal in the document")
    at = found[0]
    return bytes(data[:at]) + digest_of(data).encode() + data[at + len(BLANK) :]


def is_sealed(data: bytes) -> bool:
    """Whether bytes are those that `sealed` gave."""
    found = _last(data)
    return found is not None and digest_of(_blanked(data, found[0])) == found[1]


def seal(path: Path) -> None:
    """Seal a file that has a blank seal, in place.

    Raises:
        ValueError: where it has none.
        OSError: of the disk.
    """
    with path.open("r+b", buffering=0) as file:
        at, standing, digest = _read(file)
        if standing != BLANK:
            raise ValueError(f"no blank seal in {path}")
        file.seek(at)
        file.write(digest.encode())


def json_text(document: Mapping[str, Any], **options: Any) -> bytes:
    """A JSON document with its seal; `options` go to `json.dumps`."""
    return sealed((json.dumps({**document, KEY: BLANK}, ensure_ascii=False, **options) + "\n").encode())


def write_json(path: Path, document: Mapping[str, Any], **options: Any) -> None:
    """Write a sealed JSON document; `options` go to `json.dumps`."""
    with replacing(path) as part:
        part.write_bytes(json_text(document, **options))


def write_page(path: Path, page: str) -> None:
    """Write a page of HTML or Markdown, sealed by a comment at its end."""
    with replacing(path) as part:
        part.write_bytes(sealed(f"{page}<!-- {KEY} {BLANK} -->\n".encode()))


def beside(data: bytes) -> str:
    """A comment for a page, by which `damage_beside` knows the table of its stem, which has no room for a seal."""
    return f"<!-- the table beside this page: {digest_of(data)} -->\n"


def damage_beside(path: Path, page: Path) -> str:
    """What is wrong with a file that a page beside it tells the digest of; "" where nothing is.

    Raises:
        OSError: where one of them cannot be read.
    """
    known = beside(path.read_bytes()).encode() in page.read_bytes()
    return "" if known else f"its bytes are not those that {page.name} tells of"


def damage_of_file(path: Path) -> str:
    """What is wrong with a sealed file; "" where nothing is.

    Raises:
        OSError: where it cannot be read.
    """
    if path.stat().st_size == 0:
        return "empty"
    with path.open("rb", buffering=0) as file:
        _, standing, digest = _read(file)
    if not standing:
        return "no seal: cut off, or not of this version"
    return "" if standing == digest else "its bytes are not those that its seal is of"


def _read(file: IO[bytes]) -> tuple[int, str, str]:
    """Where a file's seal is (0 without one), the seal ("" without), and the digest that it should be."""
    at, found = _find(file)
    made = hashlib.blake2b(digest_size=len(BLANK) // 2)
    if found:
        for start, block in _blocks(file):
            made.update(_blanked(block, at - start))
    return at, found, made.hexdigest()


def _blocks(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    start = 0
    while block := file.read(_BLOCK):
        yield start, block
        start += len(block)


def _blanked(block: bytes, at: int) -> bytes | bytearray:
    """The block with zeros where the seal's digits are, which begin at `at` in it, perhaps before or behind it."""
    first, last = max(at, 0), min(at + len(BLANK), len(block))
    if first >= last:
        return block
    changed = bytearray(block)
    changed[first:last] = BLANK[: last - first].encode()
    return changed


def _find(file: IO[bytes]) -> tuple[int, str]:
    """Place and digits of the file's last seal: looked for from the end, in pieces that overlap; 0 and "" without one."""
    end = file.seek(0, 2)
    size, length = end, _TAIL
    while end > 0:
        start, stop = max(0, end - length), min(size, end + _LONGEST)
        file.seek(start)
        piece = bytearray()
        while more := file.read(stop - start - len(piece)):
            piece += more
        if found := _last(piece):
            return start + found[0], found[1]
        end, length = start, _BLOCK
    return 0, ""


def _last(data: bytes | bytearray) -> tuple[int, str] | None:
    """Place and digits of the last seal."""
    at = len(data)
    while (at := data.rfind(KEY.encode(), 0, at)) >= 0:
        if found := _SEAL.match(data, at):
            return found.start(1), found[1].decode()
    return None
