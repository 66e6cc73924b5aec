"""Lattices anchored at each tile's own upper-left corner, as SeasoNet has two, without overlaps between tiles."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.grid.cells import CellTable, Ints, owned, refuse_size
from tilewright.grid.mgrs import SIDE_M, Tile, tiles


class _Lattice(NamedTuple):
    """One lattice of one tile: the first cell's corner, and for each (row, col) whether it is owned, and also in the zone."""

    ulx: int
    uly: int
    mine: NDArray[np.bool_]
    whole: NDArray[np.bool_]


def grids_of(tile: Tile, size_m: int, offsets_m: Sequence[int], drop_overlaps: bool) -> CellTable:
    """All cells that `tile` owns of lattices that begin `offsets_m` metres east and south of its upper-left corner.

    `col` and `row` count cells of a lattice from its first one to the east and south; `grid` numbers the lattices from 1. A
    cell is owned by one tile (`tilewright.grid.owners`), so that what tiles share is not there twice; but lattices of
    neighbouring tiles do not fit together, and where their grounds meet cells overlap. Then the cell of the tile that comes
    later by name is dropped: no two cells of one lattice number overlap, and which are dropped depends on nothing but the
    tile table. A cell that would only overlap one that is itself dropped is dropped too, so that no tile need know more than
    its neighbours. `counts` has these as `overlaps_neighbour`.

    Raises:
        TilewrightError: where no cell of that size fits in what neighbouring tiles share.
    """
    refuse_size(size_m)
    counts = dict.fromkeys(("candidates", "owned_by_other_tile", "zone_border", "overlaps_neighbour"), 0)
    parts = []
    for number, offset in enumerate(offsets_m, start=1):
        lattice = _lattice(tile, size_m, offset)
        keep = lattice.whole.copy()
        if drop_overlaps:
            for other in _earlier(tile):
                keep &= ~_overlapping(lattice, _lattice(other, size_m, offset), size_m)
        counts["candidates"] += lattice.mine.size
        counts["owned_by_other_tile"] += int((~lattice.mine).sum())
        counts["zone_border"] += int((lattice.mine & ~lattice.whole).sum())
        counts["overlaps_neighbour"] += int((lattice.whole & ~keep).sum())
        row, col = np.nonzero(keep)
        parts.append(
            np.stack([lattice.ulx + col * size_m, lattice.uly - row * size_m, col, row, np.full(len(row), number)])
        )
    ulx, uly, col, row, grid = np.concatenate(parts, axis=1)
    order = np.lexsort((grid, col, row))
    ulx, uly, col, row, grid = (each[order] for each in (ulx, uly, col, row, grid))
    places = zip(grid.tolist(), col.tolist(), row.tolist(), strict=True)
    ids = np.array([f"{tile.name}-g{number}-{east}-{south}" for number, east, south in places], dtype=str)
    return CellTable(tile, size_m, ulx, uly, col, row, ids, grid, np.full(len(ids), -1), counts)


def _lattice(tile: Tile, size_m: int, offset: int) -> _Lattice:
    """The cells that lie wholly in the tile and, as those of every strategy, on one side of the equator."""
    left, top = tile.ulx + offset, tile.uly - offset
    south = max(tile.uly - SIDE_M, 0) if tile.zone.endswith("N") else tile.uly - SIDE_M
    cols, rows = (SIDE_M - offset) // size_m, max(0, (top - south) // size_m)
    ulx, uly = np.meshgrid(left + np.arange(cols) * size_m, top - np.arange(rows) * size_m)
    mine, whole = owned(tile, ulx.ravel(), uly.ravel(), size_m)
    return _Lattice(left, top, mine.reshape(ulx.shape), whole.reshape(ulx.shape))


def _earlier(tile: Tile) -> Iterator[Tile]:
    """The tiles of the same zone and hemisphere that share ground with `tile` and come before it by name."""
    table = tiles()
    rows = table.by_zone[tile.epsg]
    close = (np.abs(table.ulx[rows] - tile.ulx) < SIDE_M) & (np.abs(table.uly[rows] - tile.uly) < SIDE_M)
    return (table[int(at)] for at in rows[close] if table.name[at] < tile.name)


def _overlapping(lattice: _Lattice, other: _Lattice, size_m: int) -> NDArray[np.bool_]:
    """Which cells of a lattice share ground with a cell that the other tile owns and that lies wholly in the zone."""
    rows, cols = (np.arange(length) for length in lattice.whole.shape)
    row, down = np.divmod(other.uly - lattice.uly + rows * size_m, size_m)
    col, right = np.divmod(lattice.ulx - other.ulx + cols * size_m, size_m)
    found = np.zeros(lattice.whole.shape, bool)
    for south in (0, 1):  # a cell meets at most two rows and two columns of another lattice; one where they are in step
        for east in (0, 1):
            meets = ((south == 0) | (down > 0))[:, None] & ((east == 0) | (right > 0))
            found |= meets & _at(other.whole, row + south, col + east)
    return found


def _at(whole: NDArray[np.bool_], row: Ints, col: Ints) -> NDArray[np.bool_]:
    """`whole` at rows × columns; False beyond it."""
    rows, cols = whole.shape
    if not whole.size:
        return np.zeros((len(row), len(col)), bool)
    values = whole[np.clip(row, 0, rows - 1)][:, np.clip(col, 0, cols - 1)]
    within = ((row >= 0) & (row < rows))[:, None] & ((col >= 0) & (col < cols))
    return np.asarray(values & within)
