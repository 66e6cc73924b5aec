"""Selection against a brute-force walk written from the rule's words, one cell and one scene at a time."""

import hashlib
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.config.choice import Intensity, Mask
from tilewright.select import Candidates, Rule, select, shuffled_by_month

PIXELS = 2304


def scenes(days: list[int], takes: list[int], refused: list[bool]) -> pd.DataFrame:
    order = np.argsort(days, kind="stable")
    return pd.DataFrame(
        {
            "scene_id": [f"S{at:03}" for at in range(len(days))],
            "datetime": [datetime(2019, 1, 1) + timedelta(days=int(days[at]), minutes=int(at)) for at in order],
            "datatake": [f"T{takes[at]}" for at in order],
            "refused": ["offset unresolved" if refused[at] else "" for at in order],
        }
    )


def draw(*names: object) -> int:
    return int.from_bytes(hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest(), "big")


def brute_force(
    table: pd.DataFrame, count: np.ndarray, bright: np.ndarray, broken: dict[str, str], unpaired: np.ndarray, rule: Rule
) -> list[str]:
    """Scene ids that one cell uses."""
    limits = rule.limits
    rows = [
        {
            **row,
            "count": count[at],
            "bright": bright[at],
            "unpaired": unpaired[at],
            "month": row["datetime"].strftime("%Y-%m"),
        }
        for at, row in enumerate(table.to_dict("records"))
    ]
    if rule.order == "shuffled_by_month":
        bins: dict[str, list[dict]] = {}
        for row in (row for row in rows if not row["refused"]):
            bins.setdefault(row["month"], []).append(row)
        for members in bins.values():
            members.sort(key=lambda row: draw(rule.seed, rule.tile, rule.period, row["scene_id"]))
        months = sorted(bins, key=lambda month: draw(rule.seed, rule.tile, rule.period, "month", month))
        walk = []
        while any(bins.values()):
            for month in months:
                if bins[month]:
                    walk.append(bins[month].pop(0))
    elif rule.order == "latest":
        walk = sorted(rows, key=lambda row: row["datetime"], reverse=True)
    else:

        def badness(row: dict) -> float:
            return sum(row["count"][c] for c in {0, *limits.bad}) / max(1, row["count"].sum())

        walk = sorted(rows, key=badness)
    used: list[dict] = []
    for row in walk:
        if row["unpaired"]:
            continue
        n = row["count"].sum()
        if row["refused"] or row["scene_id"] in broken or n == 0:
            continue
        base = n - row["count"][0] if limits.denominator == "valid" else n
        if row["count"][0] / n > limits.max_nodata or base == 0:
            continue
        bad = sum(row["count"][c] for c in limits.bad if c or limits.denominator == "all") / base
        snow = row["count"][11] / base
        if bad > limits.max_bad or (
            limits.max_cloud is not None and (row["count"][8] + row["count"][9]) / base > limits.max_cloud
        ):
            continue
        if limits.min_snow is not None and snow < limits.min_snow:
            continue
        if limits.intensity is not None and (np.isnan(row["bright"]) or row["bright"] > limits.intensity.max_dn):
            continue
        if row["datatake"] in {each["datatake"] for each in used} or len(used) == rule.scenes:
            continue
        used.append(row)
    return [row["scene_id"] for row in used]


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_equals_the_brute_force_walk(data: st.DataObject):
    n = data.draw(st.integers(0, 14))
    cells = data.draw(st.integers(1, 3))
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    table = scenes(
        list(random.integers(0, 365, n)), list(random.integers(0, max(1, n), n)), list(random.random(n) < 0.1)
    )
    count = np.zeros((cells, n, 12), np.int64)
    for at in np.ndindex(cells, n):
        weights = random.dirichlet(np.full(12, 0.25))
        if random.random() < 0.6:
            weights[0] = 0
            weights /= weights.sum()
        count[at] = random.multinomial(PIXELS, weights)
    bright = random.uniform(0, 6000, (cells, n)).astype(np.float32)
    bright[random.random((cells, n)) < 0.05] = np.nan
    broken = {f"S{at:03}": "B04 is gone" for at in range(n) if random.random() < 0.1}
    limits = Mask(
        max_bad=data.draw(st.sampled_from([0.0, 0.25, 0.6, 1.0])), max_nodata=data.draw(st.sampled_from([0.0, 0.3, 1.0])),
        max_cloud=data.draw(st.sampled_from([None, 0.1])), min_snow=data.draw(st.sampled_from([None, 0.05])),
        denominator=data.draw(st.sampled_from(["all", "valid"])),
        intensity=data.draw(st.sampled_from([None, Intensity(max_dn=4000)])),
    )  # fmt: skip
    order = data.draw(st.sampled_from(["shuffled_by_month", "clearest", "latest"]))
    rule = Rule("33TTG", "p", seed, data.draw(st.integers(1, 4)), order, limits)
    ids = np.array([f"c{at}" for at in range(cells)], object)
    unpaired = np.full((cells, n), "", object)
    unpaired[random.random((cells, n)) < data.draw(st.sampled_from([0.0, 0.3]))] = "no s1_grd that serves within 3 days"
    chosen = select(Candidates(ids, table, count, bright, broken), rule, unpaired)
    assert len(chosen) == cells * n
    for at, cell in enumerate(ids):
        used = chosen[(chosen["cell_id"] == cell) & (chosen["status"] == "used")].sort_values("rank")
        assert list(used["scene_id"]) == brute_force(table, count[at], bright[at], broken, unpaired[at], rule)
    refused = chosen[chosen["status"] == "refused"]
    assert (refused["reason"] != "").all()
    assert (chosen.loc[chosen["status"] != "refused", "reason"] == "").all()


def test_every_month_is_walked_before_any_month_gives_a_second_scene():
    table = scenes(list(range(0, 360, 6)), list(range(60)), [False] * 60)
    walk = shuffled_by_month(table, Rule("33TTG", "p", 1, 2, "shuffled_by_month", Mask()))
    months = table["datetime"].dt.month.to_numpy()[walk]
    assert set(months[:12]) == set(range(1, 13))
    assert sorted(walk) == list(range(60))
    other = shuffled_by_month(table, Rule("33TTG", "p", 2, 2, "shuffled_by_month", Mask()))
    assert list(other) != list(walk)


def test_more_catalog_entries_of_other_months_do_not_reorder_a_month():
    table = scenes(list(range(0, 300, 6)), list(range(50)), [False] * 50)
    rule = Rule("33TTG", "p", 1, 2, "shuffled_by_month", Mask())
    january = [at for at in shuffled_by_month(table, rule) if table["datetime"][at].month == 1]
    short = table[table["datetime"].dt.month <= 3].reset_index(drop=True)
    assert january == [at for at in shuffled_by_month(short, rule) if short["datetime"][at].month == 1]


def test_a_superseded_product_does_not_move_the_walk():
    table = scenes(list(range(0, 300, 6)), list(range(50)), [False] * 50)
    rule = Rule("33TTG", "p", 1, 2, "shuffled_by_month", Mask())
    older = table.assign(scene_id=table["scene_id"] + "old", refused="superseded by " + table["scene_id"])
    both = pd.concat([table, older], ignore_index=True).sort_values(["datetime", "scene_id"], ignore_index=True)
    walk = both["scene_id"].to_numpy()[shuffled_by_month(both, rule)]
    assert list(walk[:50]) == list(table["scene_id"].to_numpy()[shuffled_by_month(table, rule)])


def test_without_a_companion_that_must_be_there_the_next_scene_serves():
    count = np.zeros((2, 2, 12), np.int64)
    count[..., 4] = PIXELS
    candidates = Candidates(
        np.array(["c", "d"], object), scenes([0, 9], [0, 1], [False] * 2), count, np.full((2, 2), np.nan), {}
    )
    unpaired = np.array([["", "no s1_grd that serves within 3 days"], ["", ""]], object)
    chosen = select(candidates, Rule("33TTG", "p", 1, 1, "latest", Mask()), unpaired)
    told = [(row.cell_id, row.scene_id, row.status, row.reason) for row in chosen.itertuples()]
    assert told == [
        ("c", "S001", "refused", "no s1_grd that serves within 3 days"), ("c", "S000", "used", ""),
        ("d", "S001", "used", ""), ("d", "S000", "unneeded", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(("denominator", "used"), [("all", 1), ("valid", 0)])
def test_the_denominator_is_what_the_config_says(denominator: str, used: int):
    count = np.zeros((1, 1, 12), np.int64)
    count[0, 0, [0, 4, 8]] = (1200, 900, 204)  # cloud: 9 % of all pixels, 18 % of the valid ones
    limits = Mask(bad=[8], max_bad=0.1, max_nodata=1.0, denominator=denominator)
    candidates = Candidates(np.array(["c"], object), scenes([0], [0], [False]), count, np.full((1, 1), np.nan), {})
    chosen = select(candidates, Rule("33TTG", "p", 1, 2, "clearest", limits))
    assert (chosen["status"] == "used").sum() == used
