"""Splits by tile and block: stable by tile, met and never empty by block, and no ground in two splits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitting import SIZE_M, asked, cells, squares
from tilewright.config.splits import Shares
from tilewright.splits import split


def test_a_tile_keeps_its_split_whatever_other_tiles_there_are():
    many = squares(60, side=2)
    names, outcome = split(many, asked())
    assert outcome.by == "tile" and not outcome.reason and outcome.units == 60
    of = dict(zip(many["tile"], names, strict=True))
    for tile in many["tile"].unique():
        assert len(set(names[many["tile"] == tile])) == 1
    fewer = many[many["tile"].isin(sorted(of)[:30])]
    again, _ = split(fewer, asked())
    assert all(of[tile] == name for tile, name in zip(fewer["tile"], again, strict=True))


def test_shares_by_tile_are_met_over_many_tiles():
    table = pd.DataFrame({"tile": [f"t{at}" for at in range(20_000)]})
    names, _ = split(table, asked())
    found = pd.Series(names).value_counts(normalize=True)
    assert found["train"] == pytest.approx(0.8, abs=0.01)
    assert found["val"] == pytest.approx(0.1, abs=0.01)


def test_few_tiles_fall_back_to_blocks_and_say_so():
    names, outcome = split(squares(2), asked())
    assert outcome.by == "block"
    assert "cells in 2 of" in outcome.reason and "min_tiles" in outcome.reason
    assert set(names) == {"train", "val", "test"}


def ground(table: pd.DataFrame, block_m: int) -> list[pd.Series]:
    """The square of ground that each cell's upper-left pixel lies in."""
    return [(table["ulx"] + 5) // block_m, (table["uly"] - 5) // block_m]


@settings(deadline=None, max_examples=40)
@given(
    tiles=st.integers(1, 4), side=st.integers(1, 15), seed=st.integers(0, 1000), block=st.sampled_from([1920, 5000, 9600, 40000]),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (1.0, 0.0, 0.0), (0.9, 0.1, 0.0), (0.0, 0.5, 0.5)]),
)  # fmt: skip
def test_blocks_are_whole_and_no_wanted_split_is_empty(tiles: int, side: int, seed: int, block: int, shares: tuple):
    table = squares(tiles, side)
    train, val, test = shares
    names, outcome = split(
        table, asked(seed=seed, by="block", block_m=block, shares=Shares(train=train, val=val, test=test))
    )
    of = table.assign(split=names)
    assert (of.groupby(ground(table, outcome.block_m))["split"].nunique() == 1).all(), (
        "a block of ground is in two splits"
    )
    assert not outcome.dropped, "cells of the lattice are never cut by a block"
    wanted = {name for name, share in zip(("train", "val", "test"), shares, strict=True) if share > 0}
    assert set(names) <= wanted
    if outcome.units >= len(wanted):
        assert set(names) == wanted
    if outcome.units >= 20:
        dealt = of.groupby(ground(table, outcome.block_m))["split"].first()
        for name, share in zip(("train", "val", "test"), shares, strict=True):
            assert abs((dealt == name).mean() - share) <= 1 / outcome.units + 1e-9


def test_blocks_go_by_metres_in_both_hemispheres():
    """Blocks are counted from the equator: a cell north of it and its mirror image south of it are as far into theirs."""
    north = cells(32632, 480 * SIZE_M, (np.arange(40) + 1) * SIZE_M)
    south = cells(32732, 480 * SIZE_M, 10_000_000 - np.arange(40) * SIZE_M)
    for rows in (north, south):
        names, outcome = split(rows, asked(by="block", block_m=2 * SIZE_M))
        assert outcome.block_m == 2 * SIZE_M and outcome.units == 20
        assert all(names[at] == names[at + 1] for at in range(0, 40, 2))


def brute_gap(rows: pd.DataFrame, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(pair,) metres between squares of one zone, below 0 where they overlap."""
    centre = np.stack([rows["ulx"] + rows["size_m"] / 2, rows["uly"] - rows["size_m"] / 2], axis=1)
    apart = np.abs(centre[one] - centre[other]) - rows["size_m"].to_numpy()[0]
    return np.where((apart < 0).all(axis=1), -1.0, np.hypot(*np.maximum(apart, 0).T))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000), side=st.integers(2, 24), step=st.sampled_from([480, 960, 1200, 1920]),
    buffer=st.sampled_from([None, 0, 1, 700, 2500]), by=st.sampled_from(["block", "tile"]),
)  # fmt: skip
def test_splits_share_no_ground_within_the_buffer_and_no_cell_is_dropped_in_vain(
    seed: int, side: int, step: int, buffer: float | None, by: str
):
    table = squares(2, side, step)
    names, outcome = split(table, asked(seed=seed, by=by, block_m=5 * 960, buffer_m=buffer, min_tiles=1))
    one, other = (each.ravel() for each in np.meshgrid(np.arange(len(table)), np.arange(len(table)), indexing="ij"))
    gap = brute_gap(table, one, other)
    least = 0.0 if buffer is None else buffer
    near = (gap < 0) | (gap < least)
    kept = names != ""
    if by == "tile" and buffer is None:
        assert kept.all(), "by tile nothing is dropped unless that is asked for"
        return
    meets = near & kept[one] & kept[other] & (names[one] != names[other])
    assert not meets.any()
    before, _ = split(table, asked(seed=seed, by=by, block_m=5 * 960, min_tiles=1)) if by == "tile" else (None, None)
    assert sum(outcome.dropped.values()) == (~kept).sum()
    # whatever was dropped is near a cell of another split that was kept
    gone = np.flatnonzero(~kept)
    for at in gone[:20]:
        mine = (one == at) & near & kept[other]
        assert mine.any()
        if before is not None:
            assert (before[other[mine]] != before[at]).any()


def test_the_larger_split_gives_way():
    table = squares(2, side=24, step_m=960)
    names, outcome = split(table, asked(by="block", block_m=9600))
    whole, _ = split(table, asked(by="block", block_m=9600, shares=Shares(train=0.8, val=0.1, test=0.1), buffer_m=0))
    assert (names == whole).all()
    assert set(outcome.dropped) <= {"train", "val"} and outcome.dropped["train"] > 0, (
        "test is the smallest and loses nothing"
    )
    again, _ = split(table.sample(frac=1, random_state=3), asked(by="block", block_m=9600))
    shuffled = table.sample(frac=1, random_state=3)
    assert dict(zip(shuffled["cell_id"], again, strict=True)) == dict(zip(table["cell_id"], names, strict=True))
