"""Selection against a brute-force walk written from the rule's words, one cell and one scene at a time."""

import hashlib
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.config.choice import Intensity, Mask, Reference, Weights
from tilewright.config.spans import Days
from tilewright.select import Candidates, Rule, Spread, scene_cloud, select, shuffled_by_month
from tilewright.windows import windows_of

PIXELS = 2304


def scenes(days: list[int], takes: list[int], refused: list[bool]) -> pd.DataFrame:
    order = np.argsort(days, kind="stable")
    return pd.DataFrame(
        {
            "scene_id": [f"S{at:03}" for at in range(len(days))],
            "datetime": [datetime(2019, 1, 1) + timedelta(days=int(days[at]), minutes=int(at)) for at in order],
            "datatake": [f"T{takes[at]}" for at in order],
            "refused": ["offset unresolved" if refused[at] else "" for at in order],
            "cloud_cover": [[0.0, 9.9, 10.0, 10.1, 80.0, np.nan][takes[at] % 6] for at in order],
        }
    )


def draw(*names: object) -> int:
    return int.from_bytes(hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest(), "big")


def brute_force(
    table: pd.DataFrame, count: np.ndarray, bright: np.ndarray, broken: dict[str, str], unpaired: np.ndarray, rule: Rule,
    windows: list[Days],
) -> list[str]:  # fmt: skip
    """Scene ids that one cell uses: of the scenes of the first window, then of the second, …"""
    used: list[dict] = []
    for first, last in windows:
        inside = [at for at, time in enumerate(table["datetime"]) if first <= time.date() <= last]
        walk_one_window(
            used, table.iloc[inside], count[inside], bright[inside], broken, unpaired[inside], rule
        )  # fmt: skip
    return [row["scene_id"] for row in used]


def walk_one_window(
    used: list[dict], table: pd.DataFrame, count: np.ndarray, bright: np.ndarray, broken: dict[str, str],
    unpaired: np.ndarray, rule: Rule,
) -> None:  # fmt: skip
    limits = rule.limits

    def over(share: float, limit: float | None) -> bool:
        return limit is not None and (share > limit or (limits.exclusive and share == limit))

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
        counted = [c for c in limits.cloud if c or limits.denominator == "all"]
        if bad > limits.max_bad or over(sum(row["count"][c] for c in counted) / base, limits.max_cloud):
            continue
        if limits.max_scene_cloud is not None and (
            np.isnan(row["cloud_cover"]) or over(row["cloud_cover"] / 100, limits.max_scene_cloud)
        ):
            continue
        if over(snow, limits.max_snow) or over(row["count"][3] / base, limits.max_shadow):
            continue
        if limits.min_snow is not None and snow < limits.min_snow:
            continue
        if limits.intensity is not None and (np.isnan(row["bright"]) or row["bright"] > limits.intensity.max_dn):
            continue
        if row["datatake"] in {each["datatake"] for each in used} or len(used) == rule.scenes:
            continue
        used.append(row)


EVER = [(date(1, 1, 1), date(9999, 12, 31))]


@settings(deadline=None, max_examples=250)
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
        cloud=data.draw(st.sampled_from([[8, 9], [3, 7, 8, 9, 10], [0, 8]])), exclusive=data.draw(st.booleans()),
        max_scene_cloud=data.draw(st.sampled_from([None, None, 0.1])), max_snow=data.draw(st.sampled_from([None, 0.5])),
        max_shadow=data.draw(st.sampled_from([None, 0.2])),
        denominator=data.draw(st.sampled_from(["all", "valid"])),
        intensity=data.draw(st.sampled_from([None, Intensity(max_dn=4000)])),
    )  # fmt: skip
    order = data.draw(st.sampled_from(["shuffled_by_month", "clearest", "latest"]))
    rule = Rule("33TTG", "p", seed, data.draw(st.integers(1, 4)), order, limits)
    ids = np.array([f"c{at}" for at in range(cells)], object)
    unpaired = np.full((cells, n), "", object)
    unpaired[random.random((cells, n)) < data.draw(st.sampled_from([0.0, 0.3]))] = "no s1_grd that serves within 3 days"
    kind = data.draw(st.sampled_from(["one", "fallback", "reference"]))
    windows, window = [EVER] * cells, None
    times = table["datetime"].to_numpy("datetime64[us]")
    if kind == "fallback":
        edges = sorted(data.draw(st.lists(st.integers(0, 364), min_size=6, max_size=6, unique=True)))
        days = [date(2019, 1, 1) + timedelta(days=each) for each in edges]
        told = data.draw(st.permutations([(days[0], days[1]), (days[2], days[3]), (days[4], days[5])]))
        windows, window = [told] * cells, windows_of(times, told, None, None, cells)
    elif kind == "reference":
        first = data.draw(st.integers(-200, 100))
        around = Reference(from_days=first, to_days=first + data.draw(st.integers(0, 200)))
        dates = np.datetime64("2019-01-01") + random.integers(0, 365, cells)
        dates[random.random(cells) < 0.2] = np.datetime64("NaT")
        window = windows_of(times, (), around, dates, cells)
        windows = [
            [] if np.isnat(day) else [(day.item() + timedelta(days=around.from_days), day.item() + timedelta(days=around.to_days))]
            for day in dates
        ]  # fmt: skip
    chosen = select(Candidates(ids, table, count, bright, broken, window), rule, unpaired)
    assert len(chosen) == cells * n
    for at, cell in enumerate(ids):
        used = chosen[(chosen["cell_id"] == cell) & (chosen["status"] == "used")].sort_values("rank")
        wanted = brute_force(table, count[at], bright[at], broken, unpaired[at], rule, windows[at])
        assert list(used["scene_id"]) == wanted
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


# -- windows ----------------------------------------------------------------------------------------------------------


def clear(cells: int, scenes: int) -> np.ndarray:
    count = np.zeros((cells, scenes, 12), np.int64)
    count[..., 4] = PIXELS
    return count


@pytest.mark.parametrize("order", ["latest", "clearest", "shuffled_by_month"])
def test_a_later_window_serves_only_where_the_earlier_ones_do_not_give_enough(order: Any):
    """Scenes of days 0, 10 (fallback), 200 and 210: the newest two are the period's own; cell d sees none of them."""
    table = scenes([0, 10, 200, 210], [0, 1, 2, 3], [False] * 4)
    count = clear(3, 4)
    count[1, 2:, 4], count[1, 2:, 8] = 0, PIXELS
    count[2, 3, 4], count[2, 3, 8] = 0, PIXELS
    told = [(date(2019, 7, 1), date(2019, 12, 31)), (date(2019, 1, 1), date(2019, 6, 30))]
    window = windows_of(table["datetime"].to_numpy("datetime64[us]"), told, None, None, 3)
    known = Candidates(np.array(["c", "d", "e"], object), table, count, np.full((3, 4), np.nan), {}, window)
    chosen = select(known, Rule("33TTG", "p", 1, 2, order, Mask()))
    used = chosen[chosen["status"] == "used"].groupby("cell_id")["scene_id"].agg(set)
    assert (used["c"], used["d"]) == ({"S002", "S003"}, {"S000", "S001"})
    assert len(used["e"]) == 2 and "S002" in used["e"], "one of its own, filled up from the fallback"
    assert (chosen[chosen["cell_id"] == "c"].sort_values("rank")["status"].tolist()) == ["used"] * 2 + ["unneeded"] * 2


def test_what_is_outside_a_cells_days_says_so_and_comes_last():
    table = scenes([0, 10, 20, 30], [0, 1, 2, 3], [False, True, False, False])
    dates = np.array(["2019-01-11", "2019-01-31", "NaT"], "datetime64[us]")
    window = windows_of(table["datetime"].to_numpy(), (), Reference(from_days=-10, to_days=0), dates, 3)
    known = Candidates(np.array(["c", "d", "e"], object), table, clear(3, 4), np.full((3, 4), np.nan), {}, window)
    chosen = select(known, Rule("33TTG", "p", 1, 2, "latest", Mask()))
    outside, dateless = "outside the cell's window", "no reference date"
    told = chosen[["cell_id", "scene_id", "status", "reason"]].itertuples(index=False, name=None)
    assert list(told) == [
        ("c", "S001", "refused", "offset unresolved"), ("c", "S000", "used", ""), ("c", "S003", "refused", outside), ("c", "S002", "refused", outside),
        ("d", "S003", "used", ""), ("d", "S002", "used", ""), ("d", "S001", "refused", "offset unresolved"), ("d", "S000", "refused", outside),
        ("e", "S003", "refused", dateless), ("e", "S002", "refused", dateless), ("e", "S001", "refused", "offset unresolved"), ("e", "S000", "refused", dateless),
    ]  # fmt: skip


def test_months_take_turns_among_the_scenes_of_a_cells_own_days():
    """Those outside must not use up a month's turns: a cell at the edge of a month would get that month's scenes late."""
    table = scenes(list(range(0, 60, 3)), list(range(20)), [False] * 20)
    around = Reference(from_days=-10, to_days=10)
    times = table["datetime"].to_numpy("datetime64[us]")
    for seed in range(20):
        window = windows_of(times, (), around, np.array(["2019-02-01"], "datetime64[D]"), 1)
        known = Candidates(np.array(["c"], object), table, clear(1, 20), np.full((1, 20), np.nan), {}, window)
        walk = select(known, Rule("33TTG", "p", seed, 4, "shuffled_by_month", Mask()))["scene_id"][:4]
        months = table.set_index("scene_id")["datetime"].dt.month[walk].tolist()
        assert sorted(months[:2]) == sorted(months[2:]) == [1, 2]


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exclusive", "used"), [(False, 1), (True, 0)])
def test_less_than_is_not_at_most(exclusive: bool, used: int):
    """36 of 3600 pixels are exactly 1 %, as SeasoNet's limit of snow."""
    count = np.zeros((1, 1, 12), np.int64)
    count[0, 0, [4, 11]] = 3564, 36
    limits = Mask(max_snow=0.01, exclusive=exclusive)
    known = Candidates(np.array(["c"], object), scenes([0], [0], [False]), count, np.full((1, 1), np.nan), {})
    chosen = select(known, Rule("33TTG", "p", 1, 1, "clearest", limits))
    assert (chosen["status"] == "used").sum() == used and set(chosen["reason"]) == ({""} if used else {"snow"})


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_less_than_is_exact_in_pixels(part: int, limit: int):
    """Shares of whole pixels, against whole numbers: neither limit is off by a rounding."""
    total = 10_000
    count = np.zeros((1, 1, 12), np.int64)
    count[0, 0, [4, 8]] = total - part, part
    known = Candidates(np.array(["c"], object), scenes([0], [0], [False]), count, np.full((1, 1), np.nan), {})
    for exclusive, serves in ((False, part <= limit), (True, part < limit)):
        limits = Mask(bad=[], max_cloud=limit / total, exclusive=exclusive)
        assert ("used" in set(select(known, Rule("t", "p", 1, 1, "latest", limits))["status"])) == serves


def test_a_scenes_own_cloud_cover_refuses_it_and_so_does_not_knowing_it():
    table = scenes(list(range(6)), list(range(6)), [False] * 6)
    told = scene_cloud(table, 0.1, False), scene_cloud(table, 0.1, True), scene_cloud(table, None, True)
    over, unknown = "scene cloud", "scene cloud unknown"
    assert told == (["", "", "", over, over, unknown], ["", "", over, over, over, unknown], [""] * 6)
    known = Candidates(np.array(["c"], object), table, clear(1, 6), np.full((1, 6), np.nan), {"S003": "gone"})
    chosen = select(known, Rule("33TTG", "p", 1, 9, "latest", Mask(max_scene_cloud=0.1)))
    assert chosen.sort_values("scene_id")["reason"].tolist() == ["", "", "", "broken: gone", over, unknown]


# -- products for a tile ----------------------------------------------------------------------------------------------


def spread_rule(number: int, **weights: float) -> Rule:
    spread = Spread((date(2019, 1, 1), date(2019, 4, 11)), Weights(**weights), "optimal")  # 101 days
    return Rule("33TTG", "p", 1, number, "spread", Mask(), spread)


def test_cells_take_the_tiles_products_that_serve_them_and_no_others():
    table = scenes([0, 3, 50, 52, 100], [0, 1, 2, 3, 4], [False] * 5)
    count = clear(2, 5)
    count[1, 0, [4, 8]] = 0, PIXELS  # cell d cannot use the first
    known = Candidates(np.array(["c", "d"], object), table, count, np.full((2, 5), np.nan), {})
    chosen = select(known, spread_rule(3, cloud=0))
    told = list(chosen[["cell_id", "scene_id", "status", "reason"]].itertuples(index=False, name=None))
    assert told == [
        ("c", "S000", "used", ""), ("c", "S002", "used", ""), ("c", "S004", "used", ""), ("c", "S001", "unneeded", ""), ("c", "S003", "unneeded", ""),
        ("d", "S000", "refused", "bad"), ("d", "S002", "used", ""), ("d", "S004", "used", ""), ("d", "S001", "unneeded", ""), ("d", "S003", "unneeded", ""),
    ]  # fmt: skip
    clouds = select(known, spread_rule(3))
    assert set(clouds[clouds["status"] == "used"]["scene_id"]) == {"S001", "S002", "S004"}, "3 days later, and clear"


def test_a_product_that_serves_no_cell_takes_no_place():
    table = scenes([0, 3, 50, 100], [0, 1, 2, 3], [False] * 4)
    for told in ({"S000": "gone"}, {}):
        count = clear(2, 4)
        if not told:
            count[:, 0, [4, 8]] = 0, PIXELS
        known = Candidates(np.array(["c", "d"], object), table, count, np.full((2, 4), np.nan), told)
        chosen = select(known, spread_rule(3, cloud=0, overlap=0, nodata=0))
        assert set(chosen[chosen["status"] == "used"]["scene_id"]) == {"S001", "S002", "S003"}
    nothing = Candidates(np.array([], object), table, clear(0, 4), np.zeros((0, 4)), {})
    assert select(nothing, spread_rule(3)).empty
