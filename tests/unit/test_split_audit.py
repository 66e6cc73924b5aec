"""The leakage audit finds what was planted: across tile overlaps, zone borders, the equator and ±180°; and nothing else."""

import time
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitting import asked, cells, shared, squares
from tilewright.errors import TilewrightError
from tilewright.splits import SplitOutcome, audit
from tilewright.splits.near import near_pairs

SIZE = 1200
# latitude, longitude and the two zones (number, hemisphere) that meet there
BORDERS = [(48.0, 12.0, (32632, 32633)), (0.0, 9.5, (32632, 32732)), (-33.0, 24.0, (32734, 32735)), (70.0, 180.0, (32660, 32601)), (75.0, 21.0, (32633, 32635)), (-0.0, 180.0, (32660, 32701))]  # fmt: skip


def around(lat: float, lon: float, zone: int, east: np.ndarray, north: np.ndarray) -> pd.DataFrame:
    """Cells on the 10 m grid of a zone, so many metres east and north of a place."""
    x, y = pyproj.Transformer.from_crs(4326, zone, always_xy=True).transform(lon, lat)
    return cells(zone, np.round((x + east) / 10).astype(int) * 10, np.round((y + north) / 10).astype(int) * 10, SIZE)


def told(rows: pd.DataFrame, names: Any, **changes: Any) -> dict[str, Any]:
    return audit(rows, np.array(names, object), asked(SIZE, by="tile", audit=changes), SplitOutcome("tile"), [])


@pytest.mark.parametrize(("lat", "lon", "zones"), BORDERS)
@pytest.mark.parametrize("distance", [0.0, 400.0])
def test_pairs_across_zones_are_those_of_an_independent_map(lat: float, lon: float, zones: tuple, distance: float):
    rng = np.random.default_rng(7)
    parts = [around(lat, lon, zone, *rng.uniform(-4000, 4000, (2, 14))) for zone in zones]
    rows = pd.concat(parts, ignore_index=True)
    pairs = near_pairs(rows, np.repeat([0, 1], 14), distance)
    found = {(int(one), int(other)): at for at, (one, other) in enumerate(zip(pairs.one, pairs.other, strict=True))}
    met = 0
    for one in range(14):
        for other in range(14, 28):
            gap, common = shared(rows, one, other)
            if 0 < common < 40 or abs(gap - distance) < 0.002 * distance:
                continue  # too near the edge for the independent map, whose scale is another
            assert (common > 0 or gap < distance) == ((one, other) in found), (one, other, gap, common)
            if (one, other) in found:
                at = found[one, other]
                assert pairs.shared_m2[at] == pytest.approx(common, rel=0.004, abs=50)
                assert pairs.gap_m[at] == pytest.approx(gap, rel=0.004, abs=0.5)
                met += 1
    assert met >= 3


@settings(deadline=None, max_examples=60)
@given(
    data=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.sampled_from([600, 1200]), st.integers(-1, 3)), min_size=2, max_size=40),
    distance=st.sampled_from([0.0, 10.0, 1000.0]), south=st.booleans(),
)  # fmt: skip
def test_pairs_within_a_zone_are_exact(data: list, distance: float, south: bool):
    column, row, size, group = np.array(data).T
    uly = (10_000_000 if south else 0) + (200 - row) * 100
    # what lies on the other side of the equator is of the other hemisphere's zone, which is the same plane
    epsg = np.where(uly - (10_000_000 if south else 0) > 0, 32632, 32732)
    uly = np.where(epsg == 32732, uly + (0 if south else 10_000_000), uly - (10_000_000 if south else 0))
    rows = pd.DataFrame(
        {"epsg": epsg, "ulx": 500_000 + column * 100, "uly": uly, "size_m": size, "lon": 9.0, "lat": 0.0}
    )
    pairs = near_pairs(rows, group, distance)
    left, top = column * 100, (200 - row) * 100
    expected = {}
    for one in range(len(rows)):
        for other in range(one + 1, len(rows)):
            wide = min(left[one] + size[one], left[other] + size[other]) - max(left[one], left[other])
            high = min(top[one], top[other]) - max(top[one] - size[one], top[other] - size[other])
            gap = np.hypot(max(0, -wide), max(0, -high))
            overlap = wide > 0 and high > 0
            if min(group[one], group[other]) >= 0 and group[one] != group[other] and (overlap or gap < distance):
                expected[one, other] = (gap, wide * high if overlap else 0)
    assert dict(zip(zip(pairs.one.tolist(), pairs.other.tolist(), strict=True), zip(pairs.gap_m, pairs.shared_m2, strict=True), strict=True)) == expected  # fmt: skip


def test_cells_that_touch_share_nothing_and_those_that_overlap_are_told_with_the_mend():
    rows = squares(1, side=3, step_m=SIZE, size_m=SIZE)
    names = ["train", "val", "test"] * 3
    assert told(rows, names) == {
        "mode": "fail", "of": "ground", "distance_m": 0.0, "pairs": 0, "by_splits": {}, "cells": {}, "shared_km2": 0.0, "example": None,
    }  # fmt: skip
    rows.loc[1, "ulx"] -= 300  # now over the one beside it, by a quarter
    found = told(rows, names, mode="report")
    assert (found["pairs"], found["by_splits"], found["shared_km2"]) == (1, {"train/val": 1}, 0.36)
    assert found["example"] == {
        "cells": ["c000000", "c000001"],
        "splits": ["train", "val"],
        "shared_m2": 360_000.0,
        "gap_m": 0.0,
    }
    with pytest.raises(
        TilewrightError,
        match=r"1 pairs of cells share ground in two splits \(train/val 1\), such as c000000 in train and c000001 in val, which overlap by 0\.36 km².*split\.buffer_m",
    ):
        told(rows, names)
    assert told(rows, ["train", "", "test"] * 3)["pairs"] == 0, "what is in no split shares nothing"


def test_distance_is_kept_between_splits():
    rows = squares(1, side=2, step_m=SIZE + 500, size_m=SIZE)
    names = ["train", "val", "train", "val"]
    assert told(rows, names, distance_m=500)["pairs"] == 0
    assert told(rows, names, distance_m=501, mode="report")["by_splits"] == {"train/val": 2}
    diagonal = told(rows, ["train", "", "", "val"], distance_m=708, mode="report")
    assert diagonal["pairs"] == 1 and diagonal["example"]["gap_m"] == pytest.approx(500 * 2**0.5)


@pytest.mark.parametrize(("lat", "lon", "zones"), BORDERS)
def test_a_leak_planted_across_a_border_fails_the_run(lat: float, lon: float, zones: tuple):
    far = np.arange(30) * 3000.0
    clean = pd.concat(
        [around(lat, lon, zones[0], -20_000 - far, far * 0), around(lat, lon, zones[1], 20_000 + far, far * 0)],
        ignore_index=True,
    )
    names = ["train"] * 30 + ["test"] * 30
    assert told(clean, names)["pairs"] == 0
    one, two = (
        around(lat, lon, zone, np.array([at]), np.array([at])) for zone, at in zip(zones, (0.0, 500.0), strict=True)
    )
    planted = pd.concat([clean, one, two], ignore_index=True)
    planted["cell_id"] = [f"c{at:06}" for at in range(62)]
    with pytest.raises(TilewrightError, match=r"1 pairs of cells .*c000060 in train and c000061 in test"):
        told(planted, [*names, "train", "test"])


def test_half_a_million_cells_are_audited_in_a_minute():
    """CPU time of this process: two lattices that overlap, over the border of two zones."""
    column, row = (each.ravel() for each in np.meshgrid(np.arange(354), np.arange(354)))
    parts = [
        cells(zone, west + shift + column * SIZE, 5_750_000 - shift - row * SIZE, SIZE)
        for zone, west in ((32632, 400_000), (32633, 280_000))
        for shift in (0, 600)
    ]
    rows = pd.concat(parts, ignore_index=True)
    assert len(rows) > 500_000
    names = np.array(["train", "val", "test"], object)[(rows["ulx"] // 48_000 % 3).to_numpy()]
    start = time.process_time()
    found = told(rows, names, mode="report")
    assert time.process_time() - start < 60
    assert found["pairs"] > 10_000
