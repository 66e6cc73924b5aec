"""JPEG 2000 files of whole tiles (lossless, 1024 x 1024 tiles, as Level-1C has at 10 m), of which only some hold data.

OpenJPEG would code all of 10980 x 10980 pixels of every file (1.1 s of CPU; 0.1 s this way). A JPEG 2000 tile is coded
apart from the others, and a tile of 1024 pixels has the same bytes wherever it begins, since five halvings of 1024 are
whole and the code blocks of 64 lie alike. So the tiles with data are coded as an image of their own, empty tiles once,
and the stream is put together from both (ISO/IEC 15444-1, annexes A and I).
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from tilewright.simulate.cog import Patch
from tilewright.simulate.mgrs import TILE_M, Frame

BLOCK = 1024


def _coded(pixels: np.ndarray, transform: Affine, epsg: int) -> bytes:
    """A JPEG 2000 file of an image, by GDAL; georeferenced by its GeoJP2 box."""
    height, width = pixels.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="JP2OpenJPEG", CODEC="JP2", width=width, height=height, count=1, dtype="uint16", crs=f"EPSG:{epsg}", transform=transform,
            QUALITY=100, REVERSIBLE="YES", RESOLUTIONS=6, BLOCKXSIZE=BLOCK, BLOCKYSIZE=BLOCK, GMLJP2="NO", GEOJP2="YES",
        ) as made:  # fmt: skip
            made.write(pixels, 1)
        return bytes(memory.getbuffer())


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start of content and end of every box of a file."""
    position = 0
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, position + 8)
            head = 16
        end = position + length if length else len(data)
        yield kind, position + head, end
        position = end


def _tiles(data: bytes) -> tuple[bytes, bytes, dict[int, list[bytes]]]:
    """The boxes before the codestream, its main header (SOC to the first SOT), and the tile-parts of each tile."""
    start, end = next((begin, end) for kind, begin, end in _boxes(data) if kind == b"jp2c")
    position = start + 2
    while data[position : position + 2] != b"\xff\x90":
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    header, parts = data[start:position], dict[int, list[bytes]]()
    while data[position : position + 2] == b"\xff\x90":
        tile, length = struct.unpack_from(">HI", data, position + 4)
        part = data[position : position + length] if length else data[position : end - 2]
        parts.setdefault(tile, []).append(part)
        position += len(part)
    boxes = b"".join(
        struct.pack(">I4s", 8 + stop - begin, kind) + data[begin:stop]
        for kind, begin, stop in _boxes(data)
        if kind != b"jp2c"
    )
    return boxes, header, parts


@cache
def _empty(height: int, width: int) -> list[bytes]:
    """The tile-parts of a tile without data, from the last corner of an image of four tiles."""
    image = np.zeros((BLOCK + height, BLOCK + width), np.uint16)
    return _tiles(_coded(image, Affine.translation(1, 1), 32601))[2][3]


def write_jp2(path: Path, patch: Patch, place: Frame, resolution: int) -> None:
    """Write the whole tile at `resolution` metres, with `patch` (uint16, within the tile) as its only pixels other than 0."""
    side = TILE_M // resolution
    across = -(-side // BLOCK)
    height, width = patch.pixels.shape
    top, left = patch.row // BLOCK, patch.column // BLOCK
    bottom, right = -(-(patch.row + height) // BLOCK), -(-(patch.column + width) // BLOCK)
    # GDAL cuts its tiles to an image smaller than one: the last, partial row or column is coded with the one before.
    top -= top == across - 1
    left -= left == across - 1
    image = np.zeros(
        (min(side, bottom * BLOCK) - top * BLOCK, min(side, right * BLOCK) - left * BLOCK), patch.pixels.dtype
    )
    row, column = patch.row - top * BLOCK, patch.column - left * BLOCK
    image[row : row + height, column : column + width] = patch.pixels
    transform = Affine(resolution, 0, place.ulx, 0, -resolution, place.uly)
    boxes, header, coded = _tiles(_coded(image, transform, place.epsg))
    # SIZ follows SOC at once: marker, length, capabilities, then width and height of the image; ihdr has them the other way.
    assert header[2:4] == b"\xff\x51"
    header = header[:8] + struct.pack(">II", side, side) + header[16:]
    at = boxes.index(b"ihdr") + 4
    boxes = boxes[:at] + struct.pack(">II", side, side) + boxes[at + 8 :]
    stream = [header]
    for i in range(across):
        for j in range(across):
            inside = top <= i < bottom and left <= j < right
            sizes = min(BLOCK, side - i * BLOCK), min(BLOCK, side - j * BLOCK)
            parts = coded[(i - top) * (right - left) + j - left] if inside else _empty(*sizes)
            stream += [part[:4] + struct.pack(">H", i * across + j) + part[6:] for part in parts]
    stream.append(b"\xff\xd9")
    length = sum(map(len, stream))
    with path.open("wb") as handle:
        handle.write(boxes)
        handle.write(struct.pack(">I4s", 8 + length, b"jp2c"))
        handle.writelines(stream)
