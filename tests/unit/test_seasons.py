"""Periods of every form: seasons against the papers' dates, windows, and configs that contradict themselves."""

import copy
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.config.choice import Mask, MaskOverride, Period, Reference, Window, contradiction, limits
from tilewright.config.load import load_config
from tilewright.config.seasons import Seasonet, Ssl4eoS12
from tilewright.config.spans import Days, joined, listed
from tilewright.errors import TilewrightError
from tilewright.windows import DATELESS, OUTSIDE, windows_of

LEAST: dict[str, Any] = {
    "dataset": "x", "aoi": {"tiles": ["35JQG"]}, "provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02"]}},
    "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31"}],
}  # fmt: skip
FIRST = {"name": "a", "start": "2019-01-01", "end": "2019-06-30"}
AROUND = {"name": "a", "reference": {"from_days": -15, "to_days": 15}}


def edited(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(LEAST), **changes}


def days_of(periods: list[Period]) -> dict[str, list[tuple[str, str]]]:
    return {period.name: [(str(first), str(last)) for first, last in period.days()] for period in periods}


# -- SSL4EO-S12 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["paper", "buffer2y"])
def test_the_papers_dates_in_2021_and_2020(rule: Any):
    """15 days around 20 March, 21 June, 22 September, 21 December; between them no 29 February, so both rules agree in this year."""
    assert days_of(Ssl4eoS12(seasons="ssl4eo-s12", rule=rule).periods()) == {
        "spring": [("2021-03-05", "2021-04-04"), ("2020-03-05", "2020-04-04")],
        "summer": [("2021-06-06", "2021-07-06"), ("2020-06-06", "2020-07-06")],
        "fall": [("2021-09-07", "2021-10-07"), ("2020-09-07", "2020-10-07")],
        "winter": [("2021-12-06", "2022-01-05"), ("2020-12-06", "2021-01-05")],
    }


def test_365_days_are_not_always_a_year():
    def springs(rule: Any) -> list[tuple[str, str]]:
        return days_of(Ssl4eoS12(seasons="ssl4eo-s12", rule=rule, year=2020, days=30).periods())["spring"]

    assert springs("paper") == [("2020-02-19", "2020-04-19"), ("2019-02-18", "2019-04-19")]
    assert springs("buffer2y") == [("2020-02-19", "2020-04-19"), ("2019-02-19", "2019-04-20")]


@given(st.integers(0, 364), st.integers(0, 40))
def test_released_windows_are_the_four_anchors_minus_one_shift(shift: int, days: int):
    anchors = {
        "winter": date(2020, 12, 21), "spring": date(2021, 3, 20), "summer": date(2021, 6, 21), "fall": date(2021, 9, 22)
    }  # fmt: skip
    reference = date(2020, 12, 21) - timedelta(days=shift)  # as cells.reference gives it
    periods = Ssl4eoS12(seasons="ssl4eo-s12", rule="released", days=days).periods()
    assert [period.name for period in periods] == ["spring", "summer", "fall", "winter"]
    for period in periods:
        middle = anchors[period.name] - timedelta(days=shift)
        assert period.spans([(reference, reference)]) == [
            (middle - timedelta(days=days), middle + timedelta(days=days))
        ]


def test_the_example_of_the_published_data_has_one_shift():
    """Folders of id 0000001 in v1.0: 2020-11-04, 2021-01-23, 2021-05-08, 2021-08-11."""
    seen = [date(2020, 11, 4), date(2021, 1, 23), date(2021, 5, 8), date(2021, 8, 11)]
    periods = {each.name: each for each in Ssl4eoS12(seasons="ssl4eo-s12", rule="released").periods()}

    def fits(shift: int) -> bool:
        day = date(2020, 12, 21) - timedelta(days=shift)
        windows = [periods[name].spans([(day, day)])[0] for name in ("winter", "spring", "summer", "fall")]
        return all(first <= one <= last for one, (first, last) in zip(seen, windows, strict=True))

    assert fits(46) and not fits(0) and not fits(100)


def test_a_year_of_shifts_is_one_span_to_search():
    (winter,) = [p for p in Ssl4eoS12(seasons="ssl4eo-s12", rule="released").periods() if p.name == "winter"]
    assert winter.spans([(date(2019, 12, 23), date(2020, 12, 21))]) == [(date(2019, 12, 8), date(2021, 1, 5))]
    assert winter.spans([]) == [], "a tile without dated cells has nothing to search"


# -- SeasoNet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reading", "wanted"),
    [
        ("months", [("2018-04-01", "2018-05-31"), ("2018-07-01", "2018-08-31"), ("2018-10-01", "2018-11-30"), ("2019-01-01", "2019-02-28"), ("2018-04-01", "2019-02-28")]),
        ("trimmed", [("2018-03-16", "2018-05-15"), ("2018-06-16", "2018-08-15"), ("2018-09-16", "2018-11-15"), ("2018-12-16", "2019-02-15"), ("2018-03-16", "2019-02-15")]),
    ],
)  # fmt: skip
def test_seasonets_dates_in_both_readings(reading: Any, wanted: list[tuple[str, str]]):
    found = days_of(Seasonet(seasons="seasonet", reading=reading).periods())
    assert found == {
        name: [days] for name, days in zip(("spring", "summer", "fall", "winter", "snow"), wanted, strict=True)
    }
    gaps = [date.fromisoformat(two[0]) - date.fromisoformat(one[1]) for one, two in pairwise(wanted[:4])]  # fmt: skip
    assert {gap.days - 1 for gap in gaps} <= {30, 31}, "a gap of one month between them"


def test_a_winter_ends_on_the_last_day_of_february():
    assert days_of(Seasonet(seasons="seasonet", year=2019).periods())["winter"] == [("2020-01-01", "2020-02-29")]


def test_seasonets_limits():
    merged = {
        period.name: limits(Mask(max_bad=1), period)
        for period in Seasonet(seasons="seasonet").periods()
    }  # fmt: skip
    for name in ("spring", "summer", "fall"):
        one = merged[name]
        assert (one.max_snow, one.max_cloud, one.exclusive, one.min_snow, one.cloud) == (0.01, 0.05, True, None, [8, 9])
    winter, snow = merged["winter"], merged["snow"]
    assert (winter.max_snow, winter.max_cloud, winter.exclusive) == (0.1, 0.1, True)
    assert (snow.min_snow, snow.max_cloud, snow.cloud, snow.exclusive) == (0.1, 0.05, [3, 7, 8, 9, 10], False)
    mine = Seasonet(seasons="seasonet", mask=MaskOverride(max_cloud=0.2), snow=MaskOverride(cloud=[8, 9, 10])).periods()
    told = {period.name: limits(Mask(), period) for period in mine}
    assert (told["spring"].max_cloud, told["spring"].max_snow, told["winter"].max_cloud) == (0.2, 0.01, 0.2)
    assert (told["snow"].cloud, told["snow"].max_cloud, told["snow"].min_snow) == ([8, 9, 10], 0.05, 0.1)


# -- windows and spans ------------------------------------------------------------------------------------------------

some_days = st.integers(0, 400).map(lambda day: date(2020, 1, 1) + timedelta(days=day))
spans_of_days = st.lists(st.tuples(some_days, st.integers(0, 60)).map(lambda one: (one[0], one[0] + timedelta(one[1]))))


def each_day(spans: list[Days]) -> set[date]:
    return {first + timedelta(days=day) for first, last in spans for day in range((last - first).days + 1)}


@given(spans_of_days)
def test_joined_spans_hold_the_same_days_with_gaps_between(spans: list[Days]):
    made = joined(spans)
    assert each_day(made) == each_day(spans)
    assert all(two[0] - one[1] > timedelta(days=1) for one, two in pairwise(made))


@given(spans_of_days, st.integers(-400, 400), st.integers(0, 60))
def test_what_is_searched_is_what_some_cell_may_use_and_no_more(spans: list[Days], first: int, length: int):
    references = joined(spans)
    period = Period(name="a", reference=Reference(from_days=first, to_days=first + length))
    wanted = {day + timedelta(days=away) for day in each_day(references) for away in range(first, first + length + 1)}
    assert each_day(period.spans(references)) == wanted


def test_windows_of_two_years_leave_out_what_is_between():
    (spring, *_) = Ssl4eoS12(seasons="ssl4eo-s12").periods()
    assert spring.spans([]) == [(date(2020, 3, 5), date(2020, 4, 4)), (date(2021, 3, 5), date(2021, 4, 4))]
    near = Period(
        name="a",
        start=date(2020, 3, 1),
        end=date(2020, 3, 31),
        fallback=[Window(start=date(2020, 4, 1), end=date(2020, 4, 9))],
    )
    assert near.spans([]) == [(date(2020, 3, 1), date(2020, 4, 9))]


def test_windows_are_of_whole_days():
    times = np.array(["2020-03-01T00:00", "2020-03-31T23:59", "2020-04-01T00:00", "2020-02-29T23:59"], "datetime64[us]")
    march, april = (date(2020, 3, 1), date(2020, 3, 31)), (date(2020, 4, 1), date(2020, 4, 2))
    assert windows_of(times, [april, march], None, None, 2).tolist() == [[1, 1, 0, OUTSIDE]] * 2
    dates = np.array(["2020-03-31", "NaT"], "datetime64[us]")
    found = windows_of(times, (), Reference(from_days=0, to_days=1), dates, 2)
    assert found.tolist() == [[OUTSIDE, 0, 0, OUTSIDE], [DATELESS] * 4]
    assert windows_of(times, (), None, None, 1).tolist() == [[0] * 4]


def test_a_single_span_is_told_as_it_was():
    told = ["2020-01-01", "2020-12-31"]
    assert listed(told) == [told] == listed([told])
    assert listed([told, ["2022-01-01", "2022-01-31"]]) == [told, ["2022-01-01", "2022-01-31"]]
    assert listed([]) == []


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"periods": [{**FIRST, "end": "2018-06-30"}]}, "config: periods.0: period a: end 2018-06-30 is before start 2019-01-01: swap them"),
        ({"periods": [{"name": "a", "start": "2019-01-01"}]}, "config: periods.0: period a: end is missing; give start and end, or reference"),
        ({"periods": [{"name": "a"}]}, "config: periods.0: period a: start and end are missing; give start and end, or reference"),
        ({"periods": [{**FIRST, **AROUND}]}, "config: periods.0: period a: has reference and start or end; give one of the two ways"),
        ({"periods": [AROUND]}, "config: periods: a: has reference, but cells have no reference date: give cells.reference, or `date` under aoi.points or aoi.polygons"),
        ({"periods": [{**AROUND, "fallback": [{"start": "2019-01-01", "end": "2019-01-02"}]}]}, "config: periods.0: period a: fallback needs start and end; widen reference instead"),
        ({"periods": [{**AROUND, "order": "spread"}]}, "config: periods.0: period a: `order: spread` chooses for a whole tile: give start and end, not reference"),
        ({"periods": [{**FIRST, "order": "spread", "fallback": [{"start": "2018-01-01", "end": "2018-01-02"}]}]}, "config: periods.0: period a: `order: spread` has no fallback: remove it, or use another order"),
        ({"periods": [{**FIRST, "weights": {"cloud": 2}}]}, "config: periods.0: weights: says nothing with `order: shuffled_by_month`; remove it, or use `order: spread`"),
        ({"periods": [{**FIRST, "order": "spread", "weights": {"cloud": 0, "overlap": 0, "nodata": 0, "spread": 0}}]}, "config: periods.0.weights: all are 0: nothing would tell one product from another; raise one of them"),
        ({"periods": [{"name": "a", "reference": {"from_days": 15, "to_days": -15}}]}, "config: periods.0.reference: to_days -15 is before from_days 15: swap them"),
        (
            {"periods": [{**FIRST, "fallback": [{"start": "2018-01-01", "end": "2019-01-01"}]}]},
            "config: periods.0: period a: the windows 2019-01-01 to 2019-06-30 and 2018-01-01 to 2019-01-01 overlap: cut one of them",
        ),
        (
            {"periods": [{**FIRST, "fallback": [{"start": "2018-02-01", "end": "2018-01-01"}]}]},
            "config: periods.0.fallback.0: end 2018-01-01 is before start 2018-02-01: swap them",
        ),
        ({"periods": {"seasons": "landsat"}}, "config: periods.seasons: 'landsat' is none of ssl4eo-s12, seasonet"),
        ({"periods": {"seasons": "seasonet", "readng": "months"}}, "config: periods.readng: unknown key; did you mean reading?"),
        ({"periods": {"seasons": "seasonet", "order": "spread"}}, "config: periods.order: Input should be 'shuffled_by_month', 'clearest' or 'latest', not 'spread'"),
        ({"periods": {"seasons": "ssl4eo-s12", "days": 200}}, "config: periods.days: Input should be less than or equal to 180, not 200"),
        (
            {"periods": {"seasons": "ssl4eo-s12", "rule": "released"}},
            "config: periods.rule: released needs each location's shift: give cells.reference: {date: 2020-12-21, shift_days: 365}",
        ),
        (
            {"periods": {"seasons": "ssl4eo-s12", "rule": "released"}, "cells": {"reference": {"date": "2020-12-20"}}},
            "config: periods.rule: released needs each location's shift: give cells.reference: {date: 2020-12-21, shift_days: 365}",
        ),
        (
            {"periods": [{**FIRST, "mask": {"min_snow": 0.1}}], "mask": {"max_snow": 0.05}},
            "config: periods: a: its limits and those under mask together: min_snow 0.1 is above max_snow 0.05: no scene can serve",
        ),
        (
            {"periods": [{**FIRST, "mask": {"min_snow": 0.1, "max_snow": 0.1, "exclusive": True}}]},
            "config: periods: a: its limits and those under mask together: min_snow 0.1 is not below max_snow 0.1: no scene can serve",
        ),
        ({"mask": {"exclusive": True, "max_cloud": 0}}, "config: mask: max_cloud is 0 and exclusive: nothing is less than 0; raise it, or set exclusive to false"),
        (
            {"periods": [{**FIRST, "mask": {"min_snow": 0.5}}], "mask": {"bad": [0, 11]}},
            "config: periods: a: its limits and those under mask together: min_snow 0.5 is above max_bad 0.25, which counts snow: no scene can serve",
        ),
        ({"collections": {**LEAST["collections"], "s1_grd": {"bands": ["VV"], "pair": {"max_scene_cloud": 0.1}}}}, "config: collections.s1_grd.pair.max_scene_cloud: says nothing here, as clouds do not hide the ground from radar; remove it"),
        ({"collections": {"s2_l2a": {"bands": ["B02"], "pair": {"max_scene_cloud": 0.1}}}}, "config: collections.s2_l2a.pair.max_scene_cloud: says nothing here, as the others are paired with it; remove it"),
    ],
)  # fmt: skip
def test_the_message_for_a_contradiction(changes: dict[str, Any], told: str):
    with pytest.raises(TilewrightError) as raised:
        load_config(edited(**changes))
    assert str(raised.value) == told


share = st.sampled_from([None, 0.0, 0.1, 0.5, 1.0])


@given(
    st.tuples(share, share, share, st.sampled_from([0.0, 0.1, 1.0]), st.booleans()),
    st.sampled_from([[0, 8], [0, 11]]), st.sampled_from([[8, 9], [8, 11]]),
)  # fmt: skip
def test_limits_that_are_let_through_can_be_obeyed(told: tuple[Any, ...], bad: list[int], cloud: list[int]):
    """By some of the cells whose tenths of pixels are vegetation, cloud and snow; and those that are not let through, by none of them."""
    snow, most, cloudy, most_bad, exclusive = told
    limits = {"min_snow": snow, "max_snow": most, "max_cloud": cloudy, "max_bad": most_bad, "exclusive": exclusive}
    known = Mask.model_construct(**{**Mask().model_dump(), **limits, "bad": bad, "cloud": cloud})

    def over(part: float, limit: float | None) -> bool:
        return limit is not None and (part >= limit if exclusive else part > limit)

    def obeys(white: float, grey: float) -> bool:
        of = {8: grey, 9: 0, 0: 0, 11: white}
        return not (
            (snow is not None and white < snow)
            or over(white, most)
            or over(sum(of[each] for each in cloud), cloudy)
            or sum(of[each] for each in bad) > most_bad
        )

    cells = [(white / 10, grey / 10) for white in range(11) for grey in range(11 - white)]
    assert (contradiction(known) == "") == any(obeys(*cell) for cell in cells)
