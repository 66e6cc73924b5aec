"""Masks of connected regions that are too small to count, as SeasoNet's easy, medium and hard (its section on regions)."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tilewright.config.bands import NONE, UNLABELED


def ignore_masks(labels: np.ndarray, ignore_below: Sequence[int], connectivity: Literal[4, 8]) -> np.ndarray:
    """Which pixels of one cell to ignore: uint8 (level, channel, y, x), 1 = ignore.

    A region is a connected set of pixels of one category in one channel. It is measured inside the cell: what lies beyond
    the cell's edge does not count, as in SeasoNet, whose patches know nothing of each other. At each level the pixels of
    regions with fewer than so many pixels are ignored; SeasoNet's levels are 300, 100 and 0 (easy, medium, hard).

    UNLABELED pixels are ignored at every level, 0 too: there is nothing to learn from or to be measured against. NONE
    pixels never are: none of the channel's categories is there, however small the spot.

    Args:
        labels: uint8 (channel, y, x): categories, NONE, UNLABELED.
        ignore_below: pixels, one number a level.
        connectivity: neighbours of a pixel: the 4 that share an edge, or the 8 that share a corner as well. SeasoNet's paper
            does not say which it counted.
    """
    masks = np.zeros((len(ignore_below), *labels.shape), dtype=np.uint8)
    for channel, plane in enumerate(labels):
        size = _region_sizes(plane, connectivity)
        for level, fewest in enumerate(ignore_below):
            masks[level, channel] = ((size < fewest) & (plane != NONE)) | (plane == UNLABELED)
    return masks


def _region_sizes(plane: np.ndarray, connectivity: int) -> np.ndarray:
    """Pixels of the connected set of equal values that each pixel of `plane` (y, x) is in: int64 (y, x)."""
    if plane.size == 0:
        return np.zeros(plane.shape, dtype=np.int64)
    # Runs of equal values in a row are joined, not pixels: all values in one pass, whatever their number.
    starts = np.ones(plane.shape, dtype=bool)
    starts[:, 1:] = plane[:, 1:] != plane[:, :-1]
    run = (np.cumsum(starts.ravel()) - 1).reshape(plane.shape)
    pairs: list[tuple[Any, Any]] = [(np.s_[:-1, :], np.s_[1:, :])]
    if connectivity == 8:
        pairs += [(np.s_[:-1, :-1], np.s_[1:, 1:]), (np.s_[:-1, 1:], np.s_[1:, :-1])]
    above, below = [], []
    for upper, lower in pairs:
        equal = plane[upper] == plane[lower]
        one, other = run[upper][equal], run[lower][equal]
        fresh = np.ones(
            len(one), dtype=bool
        )  # two runs meet along many pixels, which follow each other: once is enough
        fresh[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        above.append(one[fresh])
        below.append(other[fresh])
    edges = (np.concatenate(above), np.concatenate(below))
    count = int(run[-1, -1]) + 1
    graph = coo_array((np.ones(len(edges[0]), dtype=np.uint8), edges), shape=(count, count))
    region = connected_components(graph, directed=False)[1][run]
    return np.bincount(region.ravel())[region]
