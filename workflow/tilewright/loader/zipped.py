"""A store's zip as bytes by name, and as a Zarr store: the same for a file on a disk and one on a server."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import cached_property
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from tilewright.errors import TilewrightError
from tilewright.loader.files import Files
from tilewright.store.zipped import DamagedZipError, Entry, ZipIndex


class Zipped:
    """A zip among a dataset's files. Picklable; threads may share it."""

    def __init__(self, files: Files, path: str) -> None:
        self.files = files
        self.path = path

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "path": self.path}

    @property
    def name(self) -> str:
        """The zip as messages name it."""
        return self.files.name(self.path)

    def _read(self, start: int, length: int) -> bytes:
        return self.files.ranges(self.path, [(start, length)])[0]

    @cached_property
    def index(self) -> ZipIndex:
        """The zip's directory, read at first use; about 200 bytes for each entry until `forget`.

        Raises:
            TilewrightError: where the file is missing or not a whole zip of stored entries.
        """
        size = self.files.size(self.path)
        try:
            return ZipIndex.read(size, self._read)
        except DamagedZipError as error:
            raise self.damaged(error) from error

    def forget(self) -> None:
        """Let go of the directory."""
        self.__dict__.pop("index", None)

    def damaged(self, why: object) -> TilewrightError:
        """The error for bytes that are not those that were written."""
        mend = "fetch it again" if self.files.remote else "delete it and run again"
        return TilewrightError(
            f"{self.name} is not a whole store ({why}): {mend}; or it was made anew since: open the dataset again"
        )

    def data(self, entries: Sequence[Entry]) -> list[memoryview]:
        """The bytes of `entries`, each checked against its CRC; on a server in few requests.

        Raises:
            TilewrightError: naming the zip where it is damaged (on a server: twice) or cannot be read.
        """
        places = [(each.start, each.head + each.size) for each in entries]
        for attempt in (1, 2):
            raw = self.files.ranges(self.path, places)
            try:
                return [entry.cut(each, self._read) for entry, each in zip(entries, raw, strict=True)]
            except DamagedZipError as error:
                # what a server sent may have been spoiled on its way; a disk says the same again
                if attempt == 2 or not self.files.remote:
                    raise self.damaged(error) from error
        raise AssertionError("unreachable: the second try returns or raises")


class ZippedStore(Store):
    """A `Zipped` as zarr-python's read-only store: without zarr's lock around every read, and on servers too."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, zipped: Zipped) -> None:
        super().__init__(read_only=True)
        self.zipped = zipped

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZippedStore) and self.zipped.name == other.zipped.name

    def __str__(self) -> str:
        return self.zipped.name

    def __repr__(self) -> str:
        return f"ZippedStore({self.zipped.name!r})"

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """An entry's bytes, or a part of them; None where there is no such entry."""
        entry = self.zipped.index.get(key)
        if entry is None:
            return None
        # from a server in a thread, so that zarr can ask for many at once; from a disk that would only cost
        read = self.zipped.data
        data = (await asyncio.to_thread(read, [entry]) if self.zipped.files.remote else read([entry]))[0]
        return prototype.buffer.from_bytes(bytes(data[_part(byte_range, len(data))]))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """As `get`, for many."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is such an entry."""
        return key in self.zipped.index

    async def list(self) -> AsyncIterator[str]:
        """All names."""
        for name in self.zipped.index:
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """The names that begin with `prefix`."""
        for name in self.zipped.index:
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The entries and folders in the folder `prefix`, by their last part."""
        folder = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        for name in dict.fromkeys(
            each[len(folder) :].split("/", 1)[0] for each in self.zipped.index if each.startswith(folder)
        ):
            yield name

    async def set(self, key: str, value: Buffer) -> None:
        """Refused: stores are written by `StoreWriter`."""
        raise ValueError(f"{self.zipped.name} is read only")

    async def delete(self, key: str) -> None:
        """Refused, as `set`."""
        raise ValueError(f"{self.zipped.name} is read only")


def _part(wanted: ByteRequest | None, size: int) -> slice:
    if isinstance(wanted, RangeByteRequest):
        return slice(wanted.start, wanted.end)
    if isinstance(wanted, OffsetByteRequest):
        return slice(wanted.offset, size)
    if isinstance(wanted, SuffixByteRequest):
        return slice(max(0, size - wanted.suffix), size)
    return slice(0, size)
