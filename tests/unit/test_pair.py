"""Which companion serves: against a brute-force search written from the rule's words, one cell and one scene at a time."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.config.collections import Pair
from tilewright.pair import Asked, Companions, pairs, unpaired

START = datetime(2021, 6, 1, 10)
ORBITS = ["ascending", "descending", ""]


def table(hours: list[float], datatakes: list[str], refused: list[str], orbits: list[str]) -> pd.DataFrame:
    """Scenes in order of time, then id."""
    rows = sorted(
        (START + timedelta(hours=hour), f"S{at:02}", datatake, why, orbit)
        for at, (hour, datatake, why, orbit) in enumerate(zip(hours, datatakes, refused, orbits, strict=True))
    )
    found = pd.DataFrame(rows, columns=["datetime", "scene_id", "datatake", "refused", "orbit_state"])
    return found.astype({"datetime": "datetime64[us]"})


def brute_force(of: Companions, cell: int, time: datetime, datatake: str) -> list[tuple[str, str]]:
    """(scene, reason) of what is tried, in order; the reason of the last is empty where it serves."""
    reach = []
    for at, scene in enumerate(of.scenes.to_dict("records")):
        away = abs(scene["datetime"].to_pydatetime() - time)
        if of.collection == "s2_l1c":
            near = scene["datatake"] == datatake != ""
        else:
            near = away <= timedelta(days=of.pair.nearest_days)
        if near and of.held[cell, at]:
            reach.append((away, scene["datetime"], scene["scene_id"], at, scene))
    tried = []
    for *_, scene_id, at, scene in sorted(reach, key=lambda one: one[:3]):
        share = of.nodata[cell, at]
        if scene["refused"]:
            why = scene["refused"]
        elif of.pair.orbit is not None and scene["orbit_state"] != of.pair.orbit:
            why = "orbit"
        elif scene_id in of.broken:
            why = f"broken: {of.broken[scene_id]}"
        else:
            why = "nodata" if not np.isnan(share) and share > of.pair.max_nodata else ""
        tried.append((scene_id, why))
        if not why:
            break
    return tried


@st.composite
def cases(draw: st.DrawFn) -> tuple[Companions, pd.DataFrame]:
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    number, cells, primaries = draw(st.integers(0, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    # whole steps of half a day, so that ties and the edge of the reach are met
    hours = [float(12 * step) for step in random.integers(-6, 7, number)]
    takes = [f"T{take}" if take else "" for take in random.integers(0, 4, number)]
    refused = ["superseded by S99" if random.random() < 0.15 else "" for _ in range(number)]
    scenes = table(hours, takes, refused, [ORBITS[at] for at in random.integers(0, 3, number)])
    collection = draw(st.sampled_from(["s1_grd", "s1_rtc", "s2_l1c"]))
    pair = Pair(
        nearest_days=draw(st.sampled_from([0.5, 1, 3])), orbit=draw(st.sampled_from([None, "ascending"])),
        max_nodata=draw(st.sampled_from([0.0, 0.4])), required=draw(st.booleans()),
    )  # fmt: skip
    held = random.random((cells, number)) < 0.8
    nodata = np.where(random.random((cells, number)) < 0.5, random.choice([0.0, 0.4, 0.9], (cells, number)), np.nan)
    broken = {scene: "VV is gone" for scene in scenes["scene_id"] if random.random() < 0.2}
    steps = random.integers(-4, 5, primaries)
    names = [f"T{take}" for take in random.integers(1, 4, primaries)]
    of_primary = table([float(12 * step) for step in steps], names, [""] * primaries, [""] * primaries)
    return Companions(collection, pair, scenes, held, nodata, broken), of_primary


@settings(deadline=None, max_examples=150)
@given(cases())
def test_equals_the_brute_force_search(case: tuple[Companions, pd.DataFrame]):
    companions, primaries = case
    cells = len(companions.held)
    cell_id = np.array([f"c{at}" for at in range(cells)], object)
    truth = {
        (cell, at): brute_force(companions, cell, row.datetime.to_pydatetime(), row.datatake)
        for cell in range(cells)
        for at, row in enumerate(primaries.itertuples())
    }
    lacking = unpaired(primaries, cells, [companions])
    assert (lacking is None) == (not companions.pair.required)
    if lacking is not None:
        for key, tried in truth.items():
            assert lacking[key] == ("" if any(not why for _, why in tried) else companions.none)
    for used in (True, False):
        asked = [Asked(cell, at, 0.25, used) for cell, at in truth]
        rows = pairs(primaries, cell_id, asked, companions)
        expected = []
        for (cell, at), tried in truth.items():
            served = any(not why for _, why in tried)
            told = [(scene, "refused" if why else "used", why) for scene, why in tried]
            if not used and served:
                continue
            if not served and used:
                told.append(("", "missing", companions.none))
            about = (cell_id[cell], primaries["scene_id"][at])
            expected += [(*about, rank, *each) for rank, each in enumerate(told)]
        columns = ["cell_id", "pair_of", "rank", "scene_id", "status", "reason"]
        assert list(rows[columns].itertuples(index=False, name=None)) == expected
        assert (rows["collection"] == companions.collection).all()
        judged = rows.loc[rows["status"] != "missing", "bad_fraction"]
        assert judged.isna().all() if companions.is_radar else (judged == 0.25).all()


def radar(hours: list[float], **pair: object) -> Companions:
    scenes = table(hours, [""] * len(hours), [""] * len(hours), ["descending"] * len(hours))
    shape = (1, len(hours))
    return Companions("s1_grd", Pair(**pair), scenes, np.ones(shape, bool), np.full(shape, np.nan), {})


def used_of(companions: Companions) -> list[str]:
    primary = table([0], ["T"], [""], [""])
    rows = pairs(primary, np.array(["c"], object), [Asked(0, 0, 0.0, True)], companions)
    return list(rows.loc[rows["status"] == "used", "scene_id"])


def test_of_two_as_near_the_earlier_serves():
    assert used_of(radar([5, -5])) == ["S01"]
    assert used_of(radar([5, -5.1])) == ["S00"]


def test_of_two_of_one_instant_the_first_by_id_serves():
    assert used_of(radar([7, 7])) == ["S00"]


def test_the_reach_ends_with_the_day_it_names_itself_included():
    assert used_of(radar([72], nearest_days=3)) == ["S00"]
    assert used_of(radar([72 + 1e-5], nearest_days=3)) == []


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ({}, "no s1_grd that serves within 3 days"),
        ({"nearest_days": 1}, "no s1_grd that serves within 1 day"),
        ({"nearest_days": 0.5, "orbit": "ascending"}, "no ascending s1_grd that serves within 0.5 days"),
    ],
)
def test_the_words_say_what_was_looked_for(pair: dict, words: str):
    assert radar([], **pair).none == words


def test_without_datatake_nothing_is_of_one():
    scenes = table([0], [""], [""], [""])
    companions = Companions("s2_l1c", Pair(), scenes, np.ones((1, 1), bool), np.full((1, 1), np.nan), {})
    rows = pairs(table([0], [""], [""], [""]), np.array(["c"], object), [Asked(0, 0, 0.0, True)], companions)
    assert list(rows["reason"]) == ["no s2_l1c of the datatake"]


def test_no_companions_and_nothing_asked_are_typed():
    rows = pairs(table([], [], [], []), np.array([], object), [], radar([]))
    assert len(rows) == 0 and rows["rank"].dtype == np.int32 and rows["nodata_fraction"].dtype == np.float32
    assert unpaired(table([], [], [], []), 2, [radar([], required=True)]).shape == (2, 0)
