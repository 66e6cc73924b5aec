"""How many internal blocks of a tile's images some cells touch: what is fetched and unpacked is whole blocks."""

from collections.abc import Iterable
from typing import Final

TILE_M: Final = 109_800  # side of a tile's images
# Side of the blocks in pixels, by ground resolution: Earth Search's Cloud Optimized GeoTIFFs, as their headers say.
BLOCK_PX: Final[dict[int, int]] = {10: 1024, 20: 1024, 60: 256}


def _side_m(resolution: int) -> int:
    return BLOCK_PX[resolution] * resolution


def touched(cells: Iterable[tuple[float, float]], size_m: int, corner: tuple[float, float], resolution: int) -> int:
    """How many blocks of an image of `resolution` metres the cells touch.

    Args:
        cells: upper-left corners (ulx, uly) in metres.
        corner: the image's own.
    """
    side, (left, top) = _side_m(resolution), corner
    found = set()
    for ulx, uly in cells:
        columns = range(int((ulx - left) // side), int((ulx + size_m - resolution - left) // side) + 1)
        rows = range(int((top - uly) // side), int((top - uly + size_m - resolution) // side) + 1)
        found |= {(row, column) for row in rows for column in columns}
    return len(found)


def expected(cells: float, size_m: int, resolution: int, share: float = 1.0) -> float:
    """How many blocks as many cells touch that lie anywhere in a share of the tile.

    A cell at a random place touches (1 + size / side)² blocks; blocks that several cells touch count once.

    Args:
        share: of the tile's area that the cells lie in.
    """
    side = _side_m(resolution)
    # an area's own edges touch blocks that it holds a part of
    across = min(-(-TILE_M // side), TILE_M * share**0.5 / side + 1)
    blocks = across**2
    each = min(1.0, (1 + size_m / side) ** 2 / blocks)
    return blocks * (1 - (1 - each) ** cells)


def block_mb(resolution: int, item_bytes: int) -> float:
    """MB of one block's pixels."""
    return BLOCK_PX[resolution] ** 2 * item_bytes / 1e6
