"""Splits: stable by tile, met and never empty by block, the same ground never in two."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.config.settings import IndexSettings
from tilewright.config.splits import Shares
from tilewright.split import split


def asked(**changes: object) -> IndexSettings:
    return IndexSettings(
        **{
            "dataset": "d",
            "seed": 42,
            "by": "tile",
            "shares": Shares(),
            "min_tiles": 10,
            "block_m": 9600,
            "size_m": 1920,
            **changes,
        }
    )


def rows(tiles: int, side: int = 12) -> pd.DataFrame:
    """`tiles` squares of side × side cells in one zone, side by side."""
    column, row = np.meshgrid(np.arange(side * tiles), np.arange(side))
    tile = [f"32T{chr(65 + at // 20 % 26)}{chr(65 + at % 20)}" for at in (column // side).ravel()]
    return pd.DataFrame({"tile": tile, "epsg": 32632, "col": column.ravel(), "row": row.ravel()})


def test_a_tile_keeps_its_split_whatever_other_tiles_there_are():
    many = rows(60, side=2)
    names, outcome = split(many, asked())
    assert outcome.by == "tile" and not outcome.reason and outcome.units == 60
    of = dict(zip(many["tile"], names, strict=True))
    for tile in many["tile"].unique():
        assert len(set(names[many["tile"] == tile])) == 1
    fewer = many[many["tile"].isin(sorted(of)[:30])]
    again, _ = split(fewer, asked())
    assert all(of[tile] == name for tile, name in zip(fewer["tile"], again, strict=True))


def test_shares_by_tile_are_met_over_many_tiles():
    table = pd.DataFrame({"tile": [f"t{at}" for at in range(20_000)], "epsg": 32632, "col": 0, "row": 0})
    names, _ = split(table, asked())
    found = pd.Series(names).value_counts(normalize=True)
    assert found["train"] == pytest.approx(0.8, abs=0.01)
    assert found["val"] == pytest.approx(0.1, abs=0.01)


def test_few_tiles_fall_back_to_blocks_and_say_so():
    names, outcome = split(rows(2), asked())
    assert outcome.by == "block"
    assert "cells in 2 of" in outcome.reason and "min_tiles" in outcome.reason
    assert set(names) == {"train", "val", "test"}


@settings(deadline=None, max_examples=60)
@given(
    tiles=st.integers(1, 4), side=st.integers(1, 15), seed=st.integers(0, 1000), block=st.sampled_from([1920, 5000, 9600, 40000]),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (1.0, 0.0, 0.0), (0.9, 0.1, 0.0), (0.0, 0.5, 0.5)]),
)  # fmt: skip
def test_blocks_are_whole_and_no_wanted_split_is_empty(tiles: int, side: int, seed: int, block: int, shares: tuple):
    table = rows(tiles, side)
    train, val, test = shares
    settings_ = asked(by="block", seed=seed, block_m=block, shares=Shares(train=train, val=val, test=test))
    names, outcome = split(table, settings_)
    step = outcome.block_m // 1920
    of_block = table.assign(split=names).groupby([table["col"] // step, table["row"] // step])["split"].nunique()
    assert (of_block == 1).all(), "a block of ground is in two splits"
    wanted = {name for name, share in zip(("train", "val", "test"), shares, strict=True) if share > 0}
    assert set(names) <= wanted
    if outcome.units >= len(wanted):
        assert set(names) == wanted
    if outcome.units >= 20:
        dealt = (
            table.assign(split=names)
            .drop_duplicates(["col", "row"])
            .groupby([table["col"] // step, table["row"] // step])["split"]
            .first()
        )
        for name, share in zip(("train", "val", "test"), shares, strict=True):
            assert abs((dealt == name).mean() - share) <= 1 / outcome.units + 1e-9
