"""A remote asset as a file for GDAL, of bytes that came whole.

GDAL's own HTTP takes an answer that ended half way for the file's content, and reports it as corrupt: an outage would then
pass for a broken scene. Through this file it gets each byte as the server promised it, or the reading fails with the
reason kept.
"""

import io
from collections import deque
from collections.abc import Callable
from typing import Final

_AHEAD: Final = 1 << 20  # OpenJPEG asks for this much at a time, in order; a smaller request costs as long to wait for
_KEPT: Final = 8  # parts kept: the header beside the blocks


class RangeFiles:
    """Opens files on the same bytes, for as many threads and drivers as ask; remembers the first failure.

    Attributes:
        failed: why bytes could not be had; GDAL's own error is of no meaning then.
    """

    def __init__(self, head: memoryview, size: int, get: Callable[[int, int], memoryview]) -> None:
        self.failed: Exception | None = None
        self._head = head
        self._size = size
        self._get = get

    def __call__(self, path: str, mode: str = "rb") -> io.RawIOBase:
        """A new file, at its start: what rasterio calls an opener."""
        return _RangeFile(self, self._head, self._size)

    def bytes(self, start: int, size: int) -> memoryview:
        """Bytes from the server; none once any could not be had."""
        if self.failed is None:
            try:
                return self._get(start, size)
            except Exception as error:  # GDAL calls this and knows no exceptions; who called GDAL raises it
                self.failed = error
        return memoryview(b"")


class SeekableFile(io.RawIOBase):
    """A file of `size` bytes for reading and seeking; what it reads is its subclass's to fetch."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, which may lie beyond the end; the place."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at


class _RangeFile(SeekableFile):
    def __init__(self, files: RangeFiles, head: memoryview, size: int) -> None:
        super().__init__(size)
        self._files = files
        self._parts: deque[tuple[int, memoryview]] = deque([(0, head)], maxlen=_KEPT)

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._at + size, self._size)
        found = bytearray()
        while self._at < end:
            part = self._part(end - self._at)[: end - self._at]
            if not part:
                break
            found += part
            self._at += len(part)
        return bytes(found)

    def _part(self, wanted: int) -> memoryview:
        """Bytes from here on, as far as a part kept or fetched reaches."""
        for start, part in self._parts:
            if start <= self._at < start + len(part):
                return part[self._at - start :]
        fetched = self._files.bytes(self._at, min(max(wanted, _AHEAD), self._size - self._at))
        self._parts.append((self._at, fetched))
        return fetched
