"""Zips of stored (uncompressed) entries: written in one pass, and read by offset, both in little memory.

`zipfile` keeps about 1 kB for each entry, seeks and locks for each read, and has no way to read from a server. What is
written here is, byte for byte, what `zipfile` writes for the same names, data, date and mode.

Format: APPNOTE.TXT of PKWARE, version 6.3.10 (local header 4.3.7, directory 4.3.12, zip64 4.3.14, 4.3.15 and 4.5.3).
"""

import os
import struct
import weakref
import zipfile
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import imagecodecs

from tilewright.store.seal import BLANK, KEY, is_sealed, sealed

# libdeflate's: 3 µs for a series of 236 kB where zlib's takes 43
_crc32: Any = imagecodecs.deflate_crc32

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_UNIX = 3 << 8
_UTF8 = 1 << 11  # flag: the name is UTF-8, else code page 437
_ENCRYPTED = 1 << 0
_DATE = 1 << 5 | 1  # 1980-01-01, the earliest that a zip can carry: the clock must not be in the bytes
_MODE = 0o644 << 16
_ZIP64 = 1  # id of the extra field with 8-byte sizes and offset
_MARK16, _MARK32 = 0xFFFF, 0xFFFFFFFF  # "look into the zip64 record"
_LARGE = (1 << 31) - 1  # as zipfile: above it zip64 is used, since old readers take 32 bits for signed
# The end record has a comment of up to 65,535 bytes; the rest of the tail holds whole directories of small zips.
_TAIL = 1 << 17
_TOGETHER = 1 << 22  # bytes of neighbouring entries that a check reads at a time

Read = Callable[[int, int], bytes]
"""(start, length) -> those bytes, fewer where the zip ends."""


class LocalFile:
    """A file read by place; any number of threads, and forked processes, may share it."""

    def __init__(self, path: str | Path) -> None:
        """Raises OSError."""
        self._handle = os.open(path, os.O_RDONLY)
        self.close = weakref.finalize(self, os.close, self._handle)
        self.size = os.fstat(self._handle).st_size

    def __call__(self, start: int, length: int) -> bytes:
        """Those bytes, fewer where the file ends."""
        if not self.close.alive:
            raise ValueError("the file is closed")
        data = os.pread(self._handle, length, start)
        while len(data) < length and (more := os.pread(self._handle, length - len(data), start + len(data))):
            data += more  # one call gives 2 GiB at most
        return data


class DamagedZipError(zipfile.BadZipFile, ValueError):
    """The zip is not whole, its bytes changed, or it is of a kind that is not read here."""


class StoredZipWriter:
    """Writes entries one after another; the directory is kept packed (46 bytes and the name for each entry).

    Names must differ: of two entries of one name, readers take the later. Without `close` (or when the block that it
    manages fails) there is no directory, and nothing opens the file.
    """

    def __init__(self, to: str | Path | IO[bytes]) -> None:
        """`to`: a path to write anew, or an empty binary file, which is left open."""
        self._owned = isinstance(to, str | Path)
        self._file: IO[bytes] = open(to, "wb", buffering=1 << 20) if isinstance(to, str | Path) else to  # noqa: SIM115
        self._directory = bytearray()
        self._count = 0
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._owned:
            self._file.close()

    def entry(self, name: str, data: bytes | bytearray | memoryview) -> None:
        """Append an entry."""
        coded = name.encode()
        if not 0 < len(coded) <= _MARK16:
            raise ValueError(f"a name of {len(coded)} bytes does not fit a zip")
        flags = 0 if name.isascii() else _UTF8
        size = memoryview(data).nbytes
        crc = _crc32(data)
        large = size > _LARGE
        noted = _MARK32 if large else size
        head = _head(coded, size, crc)
        self._file.write(head)
        self._file.write(data)
        wide = ([size, size] if large else []) + ([self._at] if self._at > _LARGE else [])
        extra = struct.pack(f"<2H{len(wide)}Q", _ZIP64, 8 * len(wide), *wide) if wide else b""
        version = 45 if wide else 20
        self._directory += _CENTRAL.pack(
            b"PK\1\2", _UNIX | version, version, flags, 0, 0, _DATE, crc, noted, noted, len(coded), len(extra), 0, 0, 0,
            _MODE, _MARK32 if self._at > _LARGE else self._at,
        )  # fmt: skip
        self._directory += coded
        self._directory += extra
        self._count += 1
        self._at += len(head) + size

    def close(self) -> None:
        """Write the directory, with a seal as the zip's comment; the zip is then whole."""
        count, size, start = self._count, len(self._directory), self._at
        closing = self._directory
        if count > _MARK16 or start > _LARGE or size > _LARGE:
            closing += _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
            closing += _LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
        count, size, start = min(count, _MARK16), min(size, _MARK32), min(start, _MARK32)
        blank = f"{KEY} {BLANK}".encode()
        closing += _END.pack(b"PK\5\6", 0, 0, count, count, size, start, len(blank)) + blank
        self._file.write(sealed(closing))
        if self._owned:
            self._file.close()
        else:
            self._file.flush()


def _head(coded: bytes, size: int, crc: int) -> bytes:
    """What stands before the data of the entry of that name."""
    large = size > _LARGE
    noted = _MARK32 if large else size
    extra = struct.pack("<2H2Q", _ZIP64, 16, size, size) if large else b""
    local = _LOCAL.pack(
        b"PK\3\4", 45 if large else 20, 0 if coded.isascii() else _UTF8, 0, 0, _DATE, crc, noted, noted, len(coded), len(extra)
    )  # fmt: skip
    return local + coded + extra


def damage_of_zip(size: int, read: Read) -> str:
    """What is wrong with a zip that `StoredZipWriter` wrote; "" where nothing is. Every byte is read, once.

    The seal is of the directory and what follows it; the directory tells all that stands before each entry's data, and the data's CRC-32.

    Raises:
        OSError: where it cannot be read.
    """
    try:
        index = ZipIndex.read(size, read)
    except DamagedZipError as error:
        return str(error)
    entries = [(name, index[name]) for name in index]
    heads = [_head(name.encode(), entry.size, entry.crc) for name, entry in entries]
    end = entries[-1][1].start + len(heads[-1]) + entries[-1][1].size if entries else 0
    closing = read(end, size - end)
    if not is_sealed(closing):
        return "its directory is not what its seal is of, or has no seal"
    spoiled, at, held, held_at = [], 0, b"", 0
    for (name, entry), head in zip(entries, heads, strict=True):
        whole = len(head) + entry.size
        if entry.start != at:
            return f"{name} is not where the entry before it ends"
        if at + whole > held_at + len(held):
            held, held_at = read(at, max(whole, min(_TOGETHER, end - at))), at
        found = memoryview(held)[at - held_at :][:whole]
        if found[: len(head)] != head or len(found) != whole or _crc32(found[len(head) :]) != entry.crc:
            spoiled.append(name)
        at += whole
    return f"{len(spoiled)} of {len(entries)} entries damaged, the first {spoiled[0]}" if spoiled else ""


class Entry(NamedTuple):
    """Where an entry is: `head + size` bytes from `start` hold its local header, name and data.

    The header's length is a guess (no extra field, which `StoredZipWriter` never needs below 2 GiB) that `cut` checks.
    """

    start: int
    head: int
    size: int
    crc: int

    def data(self, read: Read) -> memoryview:
        """The entry's bytes, in one read as a rule; two where the zip's writer put an extra field before them.

        Raises:
            DamagedZipError: where they are not whole, or not those that were written.
        """
        return self.cut(read(self.start, self.head + self.size), read)

    def cut(self, raw: bytes, read: Read) -> memoryview:
        """The entry's bytes from what was read at `start` (`head + size` bytes); as `data` otherwise."""
        if len(raw) < _LOCAL.size or raw[:4] != b"PK\3\4":
            raise DamagedZipError(f"no entry at byte {self.start}")
        name, extra = struct.unpack_from("<2H", raw, 26)
        head = _LOCAL.size + name + extra
        found = (
            memoryview(raw)[head : head + self.size]
            if head <= self.head
            else memoryview(read(self.start + head, self.size))
        )
        if len(found) != self.size:
            raise DamagedZipError(f"the entry at byte {self.start} ends early")
        if _crc32(found) != self.crc:
            raise DamagedZipError(f"bad CRC-32 of the entry at byte {self.start}")
        return found


class ZipIndex(Mapping[str, Entry]):
    """The entries of a zip by name, in the directory's order; picklable, about 200 bytes for each entry."""

    def __init__(self) -> None:
        """Empty; see `read`."""
        self._rows: dict[str, int] = {}
        self._start, self._size = array("Q"), array("Q")
        self._head, self._crc = array("I"), array("I")

    def __getitem__(self, name: str) -> Entry:
        row = self._rows[name]
        return Entry(self._start[row], self._head[row], self._size[row], self._crc[row])

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @classmethod
    def read(cls, size: int, read: Read) -> Self:
        """Read the directory of a zip of `size` bytes: its tail and, where that is not enough, the directory.

        Raises:
            DamagedZipError: (a ValueError) where it is not a whole zip, or has compressed or encrypted entries.
        """
        tail_start = max(0, size - _TAIL)
        tail = read(tail_start, size - tail_start)
        if len(tail) != size - tail_start:
            raise DamagedZipError(f"{len(tail)} bytes at byte {tail_start} of a zip of {size}")
        count, length, start = _directory_place(tail, tail_start)
        directory = tail[start - tail_start :][:length] if start >= tail_start else read(start, length)
        if len(directory) != length:
            raise DamagedZipError("the directory ends early")
        index = cls()
        try:
            index._parse(directory, count, start)
        except (struct.error, UnicodeDecodeError) as error:
            raise DamagedZipError(f"the directory is damaged ({error})") from error
        return index

    def _parse(self, directory: bytes, count: int, end: int) -> None:
        """Take over `count` entries, all of whose bytes lie before `end`."""
        at = 0
        for row in range(count):
            signature, _, _, flags, method, _, _, crc, packed, size, named, extra, comment, _, _, _, start = (
                _CENTRAL.unpack_from(directory, at)
            )
            if signature != b"PK\1\2":
                raise DamagedZipError(f"entry {row} of {count} is not where the directory has it")
            at += _CENTRAL.size
            name = directory[at : at + named].decode("utf-8" if flags & _UTF8 else "cp437")
            at += named
            if _MARK32 in (packed, size, start):
                packed, size, start = _widened(directory[at : at + extra], packed, size, start)
            at += extra + comment
            if method or flags & _ENCRYPTED or packed != size:
                raise DamagedZipError(f"{name} is compressed or encrypted: only stored entries are read")
            head = _LOCAL.size + named
            if start + head + size > end:
                raise DamagedZipError(f"{name} is said to reach into the directory")
            self._rows[name] = row
            self._start.append(start)
            self._head.append(head)
            self._size.append(size)
            self._crc.append(crc)
        if at != len(directory):
            raise DamagedZipError(f"the directory holds more than its {count} entries")


def _directory_place(tail: bytes, tail_start: int) -> tuple[int, int, int]:
    """(entries, bytes, first byte) of the directory, by the end record in the zip's last bytes."""
    at = len(tail)
    while True:
        at = tail.rfind(b"PK\5\6", 0, at)
        if at < 0:
            raise DamagedZipError("no end record: not a zip, or cut off")
        if len(tail) - at >= _END.size and len(tail) - at - _END.size == _END.unpack_from(tail, at)[7]:
            break
    _, disk, first_disk, here, count, length, start, _ = _END.unpack_from(tail, at)
    locator = at - _LOCATOR.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\6\7":
        at = _LOCATOR.unpack_from(tail, locator)[2] - tail_start
        if not 0 <= at <= locator - _END64.size or tail[at : at + 4] != b"PK\6\6":
            raise DamagedZipError("no zip64 end record where its locator has it")
        _, _, _, _, disk, first_disk, here, count, length, start = _END64.unpack_from(tail, at)
    if disk or first_disk or here != count:
        raise DamagedZipError("a part of a zip that spans disks")
    if start + length != tail_start + at:
        raise DamagedZipError("the directory does not end where its end record starts")
    return count, length, start


def _widened(extra: bytes, packed: int, size: int, start: int) -> tuple[int, int, int]:
    """Packed and plain size and offset, those that are marks taken from the zip64 extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            wide = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            # the field has the plain size first, the directory's record the packed one
            size = next(wide, size) if size == _MARK32 else size
            packed = next(wide, packed) if packed == _MARK32 else packed
            return packed, size, next(wide, start) if start == _MARK32 else start
        at += 4 + length
    return packed, size, start
