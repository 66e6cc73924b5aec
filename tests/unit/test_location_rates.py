"""How many locations the overlap rule refuses: the paper's figures, a prediction, and what the sampler does with 251,079."""

import math
import sys

import numpy as np
import pytest

from harness import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import locations as bench
from tilewright.locations import candidates, kept, rule_m
from tilewright.locations.draw import KM_PER_DEGREE

WHOLE = bench.PAPER.model_copy(update={"overdraw": 1.0})


@pytest.fixture(scope="module")
def rates() -> dict[str, bench.Rate]:
    """Of the full draw, within 100 km of the paper's six cities."""
    return bench.rates(WHOLE, range(42, 43), 100)


def test_adsorption_is_what_a_crowd_of_discs_does():
    # known: of few discs half a crowd is refused; a crowded plane keeps x = 4 × 0.547 in the end (Feder 1980)
    few, many = bench.adsorbed(np.array([0.01, 2.0]))
    assert few == pytest.approx(0.005, rel=0.02)
    rng = np.random.default_rng(1)
    side = 400.0
    discs = rng.uniform(0, side, (round(2.0 / math.pi * side**2), 2))  # two within 1 of every place
    drawn = bench.Candidates(
        np.zeros(len(discs), np.int64), *(discs.T / 1000)
    )  # thousandths of a degree at the equator
    refused = ~kept(
        drawn, bench.Overlap(metric="authors", share=KM_PER_DEGREE / 1000), 1000
    )  # a thousandth of a degree
    assert refused.mean() == pytest.approx(many, abs=0.01)


def test_rates_are_those_that_the_table_of_cities_predicts(rates: dict[str, bench.Rate]):
    for name, rate in rates.items():
        chance = math.sqrt(rate.expected * (1 - rate.expected) / rate.drawn)
        assert abs(rate.share - rate.expected) < 4 * chance + 0.01, name


def test_rates_beside_the_paper_s(rates: dict[str, bench.Rate]):
    # the paper: Tokyo 3 %, Chicago 1.5 %, others below 1 %; the order is the same, and where cities are few so is the rate
    share = {name: rate.share for name, rate in rates.items()}
    assert share["Tokyo"] > 3 * share["Chicago"] > 3 * share["Munich"]
    assert share["Munich"] < 0.02
    # where they are many it cannot be: 25 locations a city and 100 cities in 50 km leave no room for 3 %
    assert 0.3 < share["Tokyo"] < 0.55 and 0.05 < share["Chicago"] < 0.15
    needed = {town.name: bench.drawn_for(WHOLE, town, town.percent / 100, 50) for town in bench.TOWNS[:2]}
    assert 3000 < needed["Tokyo"] < 15_000 and 10_000 < needed["Chicago"] < 50_000


def test_the_authors_metric_keeps_locations_that_are_too_close():
    ours, theirs = (
        candidates(bench.paper_cities(), 60_000, 42, each.sigma_km, each.spread)
        for each in (bench.PAPER, bench.AUTHORS)
    )
    rule = rule_m(WHOLE.overlap, bench.SIZE_M)
    by_authors = kept(theirs, bench.AUTHORS.overlap, bench.SIZE_M)
    assert (by_authors == bench.plain(theirs, rule)).all()
    assert bench.in_truth_too_close(theirs, by_authors, rule) > 200
    assert bench.in_truth_too_close(ours, kept(ours, bench.PAPER.overlap, bench.SIZE_M), rule) == 0


def test_the_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["locations.py", "--quick"])
    bench.main()
    told = capsys.readouterr().out
    assert "Tokyo" in told and "met" in told and "the same, written plainly" in told
