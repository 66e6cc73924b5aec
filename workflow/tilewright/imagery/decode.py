"""Turning the bytes of a TIFF block into pixels, by libdeflate and friends through imagecodecs."""

import threading
from typing import Any

import imagecodecs
import numpy as np

from tilewright.imagery.layout import FLOATING, HORIZONTAL, Layout


class CorruptBlockError(Exception):
    """Bytes that are not the block that the file's header promises."""


class Decoder:
    """Decodes blocks; one for all threads, each of which has a buffer of its own.

    A buffer that is used again spares the kernel from handing out 2 MB of fresh pages for each block, which costs more
    than decoding them (8.8 ms against 3.7 ms for a 1024² block of 16-bit pixels).
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def decode(
        self, layout: Layout, number: int, data: memoryview, rows: slice = slice(None), columns: slice = slice(None)
    ) -> np.ndarray:
        """(rows, columns) pixels of block `number`, valid until the same thread decodes again.

        Args:
            rows, columns: the part of the block that is wanted, from its first column on; the rest holds anything.

        Raises:
            CorruptBlockError: where `data` is not such a block. DEFLATE's checksum notices any change; LZW, ZSTD as
                GDAL writes it, and uncompressed blocks have none, so that hardly more than a wrong length shows there.
        """
        codecs: Any = imagecodecs  # its type stubs know bytes only, the functions any buffer
        shape = layout.block_shape(number)
        size = shape[0] * shape[1] * layout.dtype.itemsize
        buffer = self._buffer(size)
        try:
            if layout.compression == 1:
                found: Any = np.frombuffer(data, np.uint8)
                if len(found) == size:
                    buffer[:] = found
            elif layout.compression == 5:
                found = codecs.lzw_decode(data, out=buffer)
            elif layout.compression == 50000:
                found = codecs.zstd_decode(data, out=buffer)
            else:
                found = codecs.deflate_decode(data, out=buffer)
        except RuntimeError as error:
            raise CorruptBlockError(f"{error}") from error
        if len(found) != size:
            raise CorruptBlockError(f"{len(found)} bytes instead of {size} when unpacked")
        pixels = buffer.view(layout.dtype).reshape(shape)
        if layout.predictor == HORIZONTAL:
            part = pixels[rows, columns]
            codecs.delta_decode(part, axis=-1, out=part)
        elif layout.predictor == FLOATING:  # mixes the bytes of a whole row, and not in place
            mixed, pixels = pixels, np.empty_like(pixels)
            codecs.floatpred_decode(mixed[rows], axis=-1, out=pixels[rows])
        return pixels

    def _buffer(self, size: int) -> np.ndarray:
        buffer = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < size:
            buffer = self._local.buffer = np.empty(size, np.uint8)
        return buffer[:size]
