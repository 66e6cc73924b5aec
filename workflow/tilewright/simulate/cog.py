"""Cloud-optimised GeoTIFFs with the structure of the real ones, sparse where nothing is simulated.

GDAL's COG driver would visit all 10980 x 10980 pixels of every file; here only blocks with data are encoded, and an
empty block has offset and length 0 (as GDAL's SPARSE_OK writes it), which readers show as no data. Layout: all
directories first, largest image first, then the pixels of the overviews from the smallest up, then the full image.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tilewright.simulate.mgrs import TILE_M, Frame


@dataclass(frozen=True)
class Patch:
    """Pixels of an otherwise empty raster: (rows, columns) from `row`, `column` on."""

    row: int
    column: int
    pixels: np.ndarray


@dataclass(frozen=True)
class _Level:
    side: int
    block: int
    blocks: dict[int, bytes]  # by number, row by row; absent: empty

    @property
    def count(self) -> int:
        return (-(-self.side // self.block)) ** 2


def _deflate(block: np.ndarray) -> bytes:
    """A block with horizontal differencing (predictor 2), compressed."""
    difference = block.copy()
    difference[:, 1:] -= block[:, :-1]
    # Run-length matching packs differenced images about as well as the default strategy, several times faster.
    packer = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return packer.compress(difference.tobytes()) + packer.flush()


def _encode(patch: Patch, side: int, block: int) -> _Level:
    """The blocks of a `side` x `side` image that meet the patch."""
    across = -(-side // block)
    height, width = patch.pixels.shape
    blocks = {}
    for i in range(patch.row // block, -(-(patch.row + height) // block)):
        for j in range(patch.column // block, -(-(patch.column + width) // block)):
            top, left = i * block - patch.row, j * block - patch.column
            part = patch.pixels[max(0, top) : top + block, max(0, left) : left + block]
            if not part.any():
                continue
            if part.shape != (block, block):
                whole = np.zeros((block, block), part.dtype)
                down, right = max(0, -top), max(0, -left)
                whole[down : down + part.shape[0], right : right + part.shape[1]] = part
                part = whole
            blocks[i * across + j] = _deflate(part)
    return _Level(side, block, blocks)


def _even(patch: Patch) -> Patch:
    """The patch with a rim of zeros where its edges do not lie on even pixels."""
    top, left = patch.row % 2, patch.column % 2
    bottom, right = (top + patch.pixels.shape[0]) % 2, (left + patch.pixels.shape[1]) % 2
    pixels = np.pad(patch.pixels, ((top, bottom), (left, right))) if top or left or bottom or right else patch.pixels
    return Patch(patch.row - top, patch.column - left, pixels)


def _halve(patch: Patch, average: bool) -> Patch:
    """The next overview: the mean of the valid pixels of each 2 x 2, or the nearest for classes."""
    whole = _even(patch)
    if average:
        total = np.zeros((whole.pixels.shape[0] // 2, whole.pixels.shape[1] // 2), np.uint32)
        count = np.zeros(total.shape, np.uint8)
        for part in (whole.pixels[i::2, j::2] for i in (0, 1) for j in (0, 1)):
            total += part
            count += part != 0
        np.maximum(count, 1, out=count)
        total += count >> 1
        total //= count
        pixels = total.astype(patch.pixels.dtype)
    else:
        pixels = np.ascontiguousarray(whole.pixels[::2, ::2])
    return Patch(whole.row // 2, whole.column // 2, pixels)


def _levels(patch: Patch, resolution: int, average: bool) -> Iterator[_Level]:
    side = TILE_M // resolution
    block, smallest = (256, 400) if resolution == 60 else (1024, 600)
    yield _encode(patch, side, block)
    while -(-side // 2) >= smallest:
        side, patch = -(-side // 2), _halve(patch, average)
        yield _encode(patch, side, block // 2)


def _entries(
    level: _Level, first: bool, place: Frame, resolution: int, bits: int, offsets: list[int]
) -> list[tuple[int, int, int, bytes]]:
    """The entries of one image file directory: tag, type, number of values, values as bytes."""
    packed: list[tuple[int, int, int, bytes]] = []

    def add(tag: int, kind: str, values: Sequence[float]) -> None:
        packed.append(
            (tag, {"H": 3, "I": 4, "d": 12}[kind], len(values), struct.pack(f"<{len(values)}{kind}", *values))
        )

    add(254, "I", [0 if first else 1])  # a reduced image of the first
    add(256, "I", [level.side])
    add(257, "I", [level.side])
    add(258, "H", [bits])
    add(259, "H", [8])  # DEFLATE
    add(262, "H", [1])
    add(277, "H", [1])
    add(284, "H", [1])
    add(317, "H", [2])  # horizontal differencing
    add(322, "I", [level.block])
    add(323, "I", [level.block])
    add(324, "I", offsets)
    add(325, "I", [len(level.blocks.get(number, b"")) for number in range(level.count)])
    add(339, "H", [1])
    if first:
        add(33550, "d", [resolution, resolution, 0])
        add(33922, "d", [0, 0, 0, place.ulx, place.uly, 0])
        # GeoTIFF keys: projected, pixel is area, the EPSG code, metres.
        add(34735, "H", [1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, place.epsg, 3076, 0, 1, 9001])
    packed.append((42113, 2, 2, b"0\0"))  # GDAL's no data
    return packed


def _directory(entries: list[tuple[int, int, int, bytes]], start: int, last: bool) -> bytes:
    """A directory at file position `start`: entries, then the values that do not fit in an entry."""
    extra_at = start + 2 + 12 * len(entries) + 4
    extra, body = b"", struct.pack("<H", len(entries))
    for tag, kind, count, data in entries:
        field = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", extra_at + len(extra))
        extra += data + b"\0" * (len(data) % 2) if len(data) > 4 else b""
        body += struct.pack("<HHI", tag, kind, count) + field
    return body + struct.pack("<I", 0 if last else extra_at + len(extra)) + extra


def write_cog(path: Path, patch: Patch, place: Frame, resolution: int, average: bool = True) -> None:
    """Write the whole tile at `resolution` metres, with `patch` as its only pixels other than 0.

    `patch` holds uint16 or uint8 pixels within the tile; overviews are the mean of valid pixels when `average`, else the
    nearest (for classes).
    """
    levels = list(_levels(patch, resolution, average))
    bits = patch.pixels.dtype.itemsize * 8

    def head(offsets: list[list[int]]) -> bytes:
        made = struct.pack("<2sHI", b"II", 42, 8)
        for number, (level, places) in enumerate(zip(levels, offsets, strict=True)):
            entries = _entries(level, number == 0, place, resolution, bits, places)
            made += _directory(entries, len(made), number == len(levels) - 1)
        return made

    position = len(head([[0] * level.count for level in levels]))
    offsets = [[0] * level.count for level in levels]
    for number in reversed(range(len(levels))):
        for block, data in levels[number].blocks.items():
            offsets[number][block] = position
            position += len(data)
    with path.open("wb") as handle:
        handle.write(head(offsets))
        for level in reversed(levels):
            handle.writelines(level.blocks.values())
