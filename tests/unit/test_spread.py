"""The choice of a tile's products against all assignments that there are, and against the authors' walk in its own words."""

from datetime import date, datetime, timedelta
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.config.choice import Weights
from tilewright.spread import assigned, costs, product_days, shown, target_days

YEAR = (date(2018, 1, 1), date(2018, 12, 31))


def cost_in_words(
    day: date, target: float, step: float, counts: np.ndarray, cloud: list[int], weights: Weights
) -> float:
    """Of one product at one target, from (cell, 12) counts."""
    cells = [cell for cell in counts.tolist() if sum(cell[1:])]
    filled = sum(sum(cell[1:]) for cell in cells)
    cloudy = sum(cell[each] for cell in cells for each in cloud)
    empty, pixels = sum(cell[0] for cell in cells), sum(map(sum, cells))
    return (
        weights.spread * abs((day - date(1970, 1, 1)).days - target) / step
        + weights.cloud * (cloudy / filled if filled else 1)
        + weights.overlap * (1 - len(cells) / len(counts))
        + weights.nodata * (empty / pixels if pixels else 1)
    )


def world(seed: int, products: int, cells: int = 4) -> tuple[list[date], np.ndarray]:
    """Days and (cell, product, 12) counts, some cells out of a product's swath, some partly."""
    random = np.random.default_rng(seed)
    days = sorted(YEAR[0] + timedelta(days=int(each)) for each in random.integers(0, 365, products))
    count = random.multinomial(400, random.dirichlet(np.full(12, 0.3), (cells, products)))
    without = random.random((cells, products)) < 0.3
    count[without] = 0
    count[without, 0] = 400
    return days, count


weights_of = st.builds(
    Weights, cloud=st.sampled_from([0, 0.5, 1, 7]), overlap=st.sampled_from([0, 1, 3]), nodata=st.sampled_from([0, 1, 2]),
    spread=st.sampled_from([0.1, 1, 10]),
)  # fmt: skip


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 2**32), st.integers(1, 7), st.integers(1, 5), weights_of)
def test_no_assignment_costs_less(seed: int, products: int, number: int, weights: Weights):
    days, count = world(seed, products)
    cost = costs(product_days([np.datetime64(day) for day in days]), shown(count, [8, 9]), YEAR, number, weights)
    targets, step = target_days(YEAR, number)
    for product, target in np.ndindex(cost.shape):
        told = cost_in_words(days[product], targets[target], step, count[:, product], [8, 9], weights)
        assert cost[product, target] == pytest.approx(told, abs=1e-12)
    served = assigned(cost, "optimal")
    places = served[served >= 0].tolist()
    assert len(places) == len(set(places)) == min(products, number)
    least = min(
        sum(cost[product, target] for product, target in pairs)
        for pairs in (
            [zip(some, range(number), strict=True) for some in permutations(range(products), number)]
            if products >= number
            else [zip(range(products), some, strict=True) for some in permutations(range(number), products)]
        )
    )
    assert cost[served >= 0, served[served >= 0]].sum() == pytest.approx(least, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 12), st.integers(1, 6), weights_of)
def test_greedy_walks_the_targets_and_takes_the_best_that_is_left(
    seed: int, products: int, number: int, weights: Weights
):
    days, count = world(seed, products)
    cost = costs(product_days([np.datetime64(day) for day in days]), shown(count, [8, 9]), YEAR, number, weights)
    left, wanted = list(range(products)), {}
    for target in range(number):
        if left:
            best = min(left, key=lambda product: cost[product, target])
            wanted[best] = target
            left.remove(best)
    served = assigned(cost, "greedy")
    assert {product: int(target) for product, target in enumerate(served) if target >= 0} == wanted
    optimal = assigned(cost, "optimal")
    if number <= products:
        of = [cost[one >= 0, one[one >= 0]].sum() for one in (optimal, served)]
        assert of[0] <= of[1] + 1e-9


def test_where_greed_is_dear():
    """Targets 1 January and 1 February. Greedily the first takes the product between them (13 days), and 47 days are left for the second."""
    days = [np.datetime64(each) for each in ("2018-01-14", "2017-12-10", "2018-03-20")]
    parts = {name: np.zeros(3) for name in ("cloud", "overlap", "nodata")}
    cost = costs(product_days(days), parts, (date(2018, 1, 1), date(2018, 2, 1)), 2, Weights())
    assert np.allclose(cost * 31, [[13, 18], [22, 53], [78, 47]])
    assert assigned(cost, "greedy").tolist() == [0, -1, 1]
    assert assigned(cost, "optimal").tolist() == [1, 0, -1]


def test_targets_are_even_from_the_first_day_to_the_last():
    targets, step = target_days((date(2018, 1, 1), date(2018, 12, 31)), 5)
    first = (date(2018, 1, 1) - date(1970, 1, 1)).days
    assert (targets - first).tolist() == [0, 91, 182, 273, 364] and step == 91
    assert target_days((date(2018, 1, 1), date(2018, 1, 11)), 1)[0].tolist() == [first + 5]
    same, step = target_days((date(2018, 1, 1), date(2018, 1, 1)), 3)
    assert same.tolist() == [first] * 3 and step == 1
    assert product_days([np.datetime64(datetime(2018, 1, 1, 23, 59))]).tolist() == [first], "days, not hours"


def test_what_lies_outside_a_swath_is_overlap_and_not_no_data():
    count = np.zeros((4, 3, 12), np.int64)
    count[:, 0, 4] = 100
    count[:2, 1, 4], count[2:, 1, 0] = 100, 100
    count[:, 2] = 0
    count[0, 2, [0, 4, 8]] = 50, 40, 10
    parts = shown(count, [8, 9])
    assert parts["overlap"].tolist() == [0, 0.5, 0.75]
    assert parts["nodata"].tolist() == [0, 0, 0.5]
    assert parts["cloud"].tolist() == [0, 0, 0.2], "of the pixels with data"
    assert shown(count[:, :1] * 0, [8])["cloud"].tolist() == [1.0]
