"""Masks of small regions: against a slow flood fill, SeasoNet's levels, and what is never a region."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from tilewright.vector.ontology import NONE, UNLABELED
from tilewright.vector.regions import ignore_masks

SEASONET = (300, 100, 0)


def flood(plane: np.ndarray, connectivity: int) -> np.ndarray:
    """Pixels of each pixel's region, by walking from pixel to pixel."""
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    if connectivity == 8:
        steps += [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    size = np.zeros(plane.shape, dtype=int)
    for seed in np.ndindex(plane.shape):
        if size[seed]:
            continue
        found, todo = {seed}, [seed]
        while todo:
            y, x = todo.pop()
            for dy, dx in steps:
                at = (y + dy, x + dx)
                inside = 0 <= at[0] < plane.shape[0] and 0 <= at[1] < plane.shape[1]
                if inside and at not in found and plane[at] == plane[seed]:
                    found.add(at)
                    todo.append(at)
        for at in found:
            size[at] = len(found)
    return size


def slow_masks(labels: np.ndarray, ignore_below: list[int], connectivity: int) -> np.ndarray:
    masks = np.zeros((len(ignore_below), *labels.shape), dtype=np.uint8)
    for channel, plane in enumerate(labels):
        sizes = flood(plane, connectivity)
        for level, fewest in enumerate(ignore_below):
            for at in np.ndindex(plane.shape):
                value = plane[at]
                masks[(level, channel, *at)] = value == UNLABELED or (value != NONE and sizes[at] < fewest)
    return masks


few_values = st.sampled_from([0, 1, 7, NONE, UNLABELED])
small_labels = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)), elements=few_values, fill=st.nothing()
)


@given(small_labels, st.lists(st.integers(0, 30), min_size=1, max_size=4), st.sampled_from([4, 8]))
@settings(deadline=None, max_examples=150)
def test_masks_are_those_of_a_flood_fill(labels: np.ndarray, ignore_below: list[int], connectivity: int) -> None:
    masks = ignore_masks(labels, ignore_below, connectivity)
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, slow_masks(labels, ignore_below, connectivity))


def test_levels_of_seasonet() -> None:
    labels = np.full((1, 120, 120), 3, dtype=np.uint8)
    labels[0, :10, :10] = 5  # 100 pixels: not fewer than 100
    labels[0, 50:59, 50:61] = 6  # 99
    labels[0, 80:90, 80:110] = 7  # 300
    labels[0, 100:113, 0:23] = 8  # 299
    easy, medium, hard = ignore_masks(labels, SEASONET, 4)[:, 0]
    assert set(labels[0][easy == 1]) == {5, 6, 8}
    assert set(labels[0][medium == 1]) == {6}
    assert not hard.any()
    assert easy.sum() == 100 + 99 + 299


def test_a_corner_joins_with_eight_neighbours_only() -> None:
    labels = np.array([[[1, 2], [2, 1]]], dtype=np.uint8)
    assert ignore_masks(labels, [2], 4).all()
    assert not ignore_masks(labels, [2], 8).any()


def test_rings_and_spirals_are_one_region() -> None:
    labels = np.zeros((1, 7, 7), dtype=np.uint8)
    labels[0, 1:6, 1:6] = 1  # 16 pixels around …
    labels[0, 2:5, 2:5] = 0  # … 9 others, of the outside's value but not joined to it
    ignored = ignore_masks(labels, [16], 4)[0, 0]
    np.testing.assert_array_equal(np.argwhere(ignored), np.argwhere(np.pad(np.ones((3, 3)), 2)))
    spiral = np.array([[1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]], dtype=np.uint8)
    assert not (ignore_masks(spiral[None], [14], 4)[0, 0] & spiral).any()  # 14 pixels of 1, joined at the lower left


def test_none_is_never_ignored_and_unlabeled_always() -> None:
    labels = np.array([[[NONE, UNLABELED, 4], [4, 4, 4]]], dtype=np.uint8)
    hard, easy = ignore_masks(labels, [0, 300], 4)[:, 0]
    np.testing.assert_array_equal(hard, [[0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(easy, [[0, 1, 1], [1, 1, 1]])


def test_channels_do_not_see_each_other() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, size=(2, 40, 40)).astype(np.uint8)
    together = ignore_masks(labels, [5, 20], 8)
    for channel in (0, 1):
        np.testing.assert_array_equal(
            together[:, channel], ignore_masks(labels[channel : channel + 1], [5, 20], 8)[:, 0]
        )


@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_whole_tile_of_cells_takes_seconds(connectivity: int) -> None:
    # A tile has 3249 cells of 192 pixels a side; 40 of them, of ten intricate classes, stand for it.
    field = gaussian_filter(np.random.default_rng(0).normal(size=(40, 192, 192)), (0, 3, 3))
    labels = np.digitize(field, np.quantile(field, np.linspace(0.1, 0.9, 9))).astype(np.uint8)
    begin = time.process_time()
    for cell in labels:
        ignore_masks(cell[None], SEASONET, connectivity)
    assert (time.process_time() - begin) / len(labels) * 3249 < 30
