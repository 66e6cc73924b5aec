"""`tilewright plan` beside what then happens on simulated worlds: within a factor of 1.5 in every figure."""

from pathlib import Path
from typing import Any

import pytest

from harness import Project
from planned import plan_of, ratios

FACTOR = 1.5


def within(found: dict[str, float], *names: str) -> None:
    wrong = {name: found[name] for name in names or found if not 1 / FACTOR <= found[name] <= FACTOR}
    assert not wrong, f"planned by true: {wrong} of {found}"


def test_a_run_of_the_workflow(built: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built.directory)
    plan = plan_of(built.config)
    found = ratios(plan, built.results, built.directory / "benchmarks/results/jobs")
    print(found)
    within(found)
    assert found["cells"] == found["scenes"] == found["jobs"] == 1


def test_companions(triplets_built: tuple[dict[str, Any], Path]) -> None:
    config, results = triplets_built
    found = ratios(plan_of(config), results)
    print(found)
    within(found)


def test_few_cells(everything: Any) -> None:
    found = ratios(plan_of(everything.config), everything.results)
    print(found)
    within(found)


def test_seasons(seasonal_built: tuple[dict[str, Any], Path]) -> None:
    config, results = seasonal_built
    found = ratios(plan_of(config), results)
    print(found)
    within(found)
