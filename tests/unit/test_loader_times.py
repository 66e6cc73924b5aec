"""Which dates make a sample: fixed-length choices, season pairs, times in words."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.loader.times import NO_TIME, SAMPLINGS, choose, iso_times, season_pair, seasons_of

COUNTS = st.integers(1, 80)


@given(
    count=COUNTS, number=st.integers(1, 80), how=st.sampled_from([each for each in SAMPLINGS if each != "season_pair"])
)
def test_a_choice_is_of_different_dates_in_order(count: int, number: int, how: str):
    found = choose(count, number, how, 1, 2, "cell").tolist()  # type: ignore[arg-type]
    assert len(found) == min(count, number)
    assert found == sorted(set(found)) and found[0] >= 0 and found[-1] < count


@given(count=COUNTS)
def test_all_where_no_number_is_asked_for(count: int):
    assert choose(count, None, "random", "cell").tolist() == list(range(count))


def test_first_and_last():
    assert choose(5, 2, "first").tolist() == [0, 1]
    assert choose(5, 2, "last").tolist() == [3, 4]


@given(count=COUNTS, number=st.integers(2, 80))
def test_evenly_spaced_dates_are_the_nearest_to_even(count: int, number: int):
    found = choose(count, number, "even").tolist()
    if count > number:
        assert found[0] == 0 and found[-1] == count - 1
        for k, at in enumerate(found):
            assert abs(Fraction(k * (count - 1), number - 1) - at) <= Fraction(1, 2)
    assert choose(count, 1, "even").tolist() == [(count - 1) // 2]


def test_random_choices_are_of_the_names_alone_and_all_as_likely():
    assert choose(20, 5, "random", 7, 0, "a").tolist() == choose(20, 5, "random", 7, 0, "a").tolist()
    sets = {tuple(choose(20, 5, "random", 7, epoch, cell).tolist()) for epoch in range(20) for cell in "ab"}
    assert len(sets) > 35
    counted = Counter(tuple(choose(4, 2, "random", 0, epoch, "cell").tolist()) for epoch in range(1200))
    assert len(counted) == 6 and all(150 < each < 250 for each in counted.values())  # 200 each; sd 13


@given(
    season=st.lists(st.integers(0, 3), min_size=2, max_size=30).filter(lambda each: len(set(each)) > 1),
    epoch=st.integers(0, 99),
)
def test_a_pair_is_of_two_seasons(season: list[int], epoch: int):
    first, second = season_pair(np.array(season), 1, epoch, "cell")
    assert season[first] != season[second]


def test_pairs_are_as_likely_each_and_in_both_orders():
    season = np.array([0, 0, 0, 1, 2, 3])  # a season of three dates is no likelier than one of one
    counted = Counter(tuple(season[season_pair(season, 5, epoch, "cell")].tolist()) for epoch in range(2400))
    assert len(counted) == 12 and all(145 < each < 255 for each in counted.values())  # 200 each; sd 14
    dates = Counter(
        at for epoch in range(2400) for at in season_pair(season, 6, epoch, "cell").tolist() if season[at] == 0
    )
    assert set(dates) == {0, 1, 2} and all(330 < each < 470 for each in dates.values())  # 400 each; sd 18


def test_seasons():
    time = np.array(
        ["2021-01-15", "2021-02-28", "2021-03-01", "2021-05-31", "2021-06-01", "2021-08-31", "2021-09-01", "2021-11-30", "2021-12-01", "1969-12-31"],
        "datetime64[us]",
    ).astype(np.int64)  # fmt: skip
    quarters = seasons_of(time, np.zeros(len(time)), "quarter")
    assert quarters.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0, 0]
    assert seasons_of(time[:3], np.array([4, 4, 1]), "period").tolist() == [1, 1, 0]
    assert seasons_of(time[:3], np.array([4, 4, 1]), "date").tolist() == [0, 1, 2]
    # a scene that two periods chose
    assert seasons_of(time[[0, 0, 1]], np.array([0, 1, 1]), "date").tolist() == [0, 0, 1]


def test_times_in_words():
    time = np.array(["2021-07-04T10:20:30.123456", "NaT"], "datetime64[us]")
    assert time.astype(np.int64)[1] == NO_TIME
    assert iso_times(time.astype(np.int64)) == ["2021-07-04T10:20:30Z", ""]
    assert iso_times(np.array([-1])) == ["1969-12-31T23:59:59Z"]
    with pytest.raises((TypeError, ValueError)):
        iso_times(["noon"])
