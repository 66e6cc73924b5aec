"""What each stage costs, as measured: `job_cost`."""

from collections.abc import Callable
from typing import Final

from tilewright.costs.work import Cost, Work
from tilewright.errors import TilewrightError


def _light(cpu_s: float, mem_mb: float, row_kb: float) -> Callable[[Work], Cost]:
    """A stage that makes a table of the cells and little else."""

    def cost(work: Work) -> Cost:
        output = 0.05 + work.cells * row_kb / 1e3
        return Cost(cpu_s, mem_mb, output, output)

    return cost


def _search(work: Work) -> Cost:
    output = 0.05 + 0.01 * work.scenes
    return Cost(
        2.0 + 0.01 * work.scenes, 200 + 0.1 * work.scenes, output, output, 0.03 * work.scenes, 1 + work.scenes / 100
    )


def _mask(work: Work) -> Cost:
    rows = work.cells * work.scenes
    output = 0.05 + 20e-6 * rows
    return Cost(
        2.0 + 0.006 * work.read_mb + 2e-5 * rows,
        350 + 400e-6 * rows,
        output,
        output,
        work.read_mb / 3,
        work.read_mb / 4,
    )


def _crop(work: Work) -> Cost:
    output = 0.05 + 0.6 * work.pixels_mb
    read_mb = work.read_mb + work.jp2_mb + work.radar_mb
    cpu_s = 2.5 + 0.006 * work.read_mb + 0.06 * work.jp2_mb + 0.1 * work.radar_mb + 0.01 * work.pixels_mb
    return Cost(cpu_s, 450 + 100e-6 * work.pieces, 3 * output, output, 0.6 * read_mb, read_mb / 4)


def _group(work: Work) -> Cost:
    of_cell_mb = work.pixels_mb / max(1, work.cells)
    output = 0.05 + 0.6 * work.pixels_mb
    return Cost(2.0 + 0.02 * work.pixels_mb, 250 + 10 * of_cell_mb, output, output)


def _source(work: Work) -> Cost:
    return Cost(2.0 + 40e-6 * work.features, 300 + 2e-3 * work.features, work.source_mb * 4, work.source_mb * 2)


def _features(work: Work) -> Cost:
    output = 0.05 + 200e-6 * work.features
    return Cost(2.0 + 20e-6 * work.features, 300 + 2e-3 * work.features, output, output)


def _ask(work: Work) -> Cost:
    output = 0.05 + 200e-6 * work.features
    return Cost(
        3.0 + 40e-6 * work.features,
        300 + 3e-3 * work.features,
        output,
        output,
        1e-3 * work.features,
        1 + work.cells / 100,
    )


def _labels(work: Work) -> Cost:
    output = 0.05 + 0.1 * work.label_mb
    return Cost(2.5 + 60e-6 * work.features + 0.01 * work.label_mb, 350 + 2e-3 * work.features, output, output)


def _gathered(cpu_s: float, cell_ms: float, mem_mb: float, cell_kb: float, disk_kb: float) -> Callable[[Work], Cost]:
    """A stage that holds a row for each cell of many tiles."""

    def cost(work: Work) -> Cost:
        output = 0.1 + work.cells * disk_kb / 1e3
        return Cost(
            cpu_s + work.cells * cell_ms / 1e3 + 0.05 * work.tiles, mem_mb + work.cells * cell_kb / 1e3, output, output
        )

    return cost


def _export_tile(work: Work) -> Cost:
    return Cost(3.0 + 0.03 * work.pixels_mb, 350, 2 * work.pixels_mb, work.pixels_mb)


def _simulate(work: Work) -> Cost:
    return Cost(5.0 + 0.1 * work.simulated_mb, 800, 0.6 * work.simulated_mb, 0.6 * work.simulated_mb)


_MODELS: Final[dict[str, Callable[[Work], Cost]]] = {
    "simulate": _simulate,
    "locations": _light(5.0, 400, 0.1),
    "cells": _light(2.0, 250, 0.3),
    "search": _search,
    "search_companions": _search,
    "mask": _mask,
    "crop": _crop,
    "group": _group,
    "source": _source,
    "ask": _ask,
    "features": _features,
    "labels": _labels,
    "legend": _gathered(3.0, 1.0, 300, 5, 0.1),
    "zone": _gathered(2.0, 0.5, 250, 10, 0.5),
    "index": _gathered(2.0, 0.5, 300, 10, 0.5),
    "report": _gathered(6.0, 0.2, 500, 5, 0.1),
    "export_tile": _export_tile,
    "export": _gathered(3.0, 0.5, 300, 5, 0.5),
}
STAGES: Final = tuple(_MODELS)


def job_cost(stage: str, work: Work) -> Cost:
    """What one job of `stage` costs that has this much work.

    Raises:
        TilewrightError: for a stage without a model.
    """
    if stage not in _MODELS:
        raise TilewrightError(f"costs: no model of the stage {stage!r}; add one to costs/models.py")
    return _MODELS[stage](work)
