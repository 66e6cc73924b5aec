"""What each stage costs, as measured: `job_cost`.

The figures are of `python benchmarks/resources.py` and `benchmarks/resources_large.py` (30 November 2026; 2 cores, Python 3.11), seconds of
CPU on that machine and MB of 10⁶ bytes. Each begins with what an empty job takes: the interpreter and what the stage imports.
docs/resources.md has them beside what was measured.
"""

from collections.abc import Callable
from typing import Final

from tilewright.costs.work import Cost, Work
from tilewright.errors import TilewrightError

# Bytes in the file of a byte of pixels: DEFLATE with predictor 2 of real scenes 1/1.65; scene classes pack far better.
_PACKED: Final = 0.6
_PACKED_CLASSES: Final = 0.15
# blosc packs patches of one date (lz4) and series (zstd) to so much of their pixels, at most: noisy simulated landscapes.
_PATCHES: Final = 0.81
_SERIES: Final = 0.6
_REQUEST_MB: Final = 2.0  # neighbouring blocks are one request of up to 4 MB


def _simulate(work: Work) -> Cost:
    # the ground of a whole site is made once and kept, and the sky of a scene beside it
    output = 0.75 * work.simulated_mb
    return Cost(3 + 0.1 * work.simulated_mb, 380 + 0.95 * work.simulated_km2, output, output)


def _locations(work: Work) -> Cost:
    # every candidate of the draw is held, since overlaps are judged over all of them
    output = 0.1 + 0.14e-3 * work.cells
    return Cost(2.4 + 22e-6 * work.cells, 185 + 0.8e-3 * work.cells, output, output)


def _cells(work: Work) -> Cost:
    # the whole tile is laid out before AOI, draw and filters take cells away
    output = 0.02 + 0.2e-3 * work.cells
    return Cost(1.2 + 7.5e-6 * work.candidates, 135 + 1.3e-3 * work.candidates, output, output)


def _search(work: Work) -> Cost:
    # an item of 28 kB is a row, kept as it came
    output = 0.01 + 2e-3 * work.scenes
    return Cost(
        0.9 + 0.015 * work.scenes, 126 + 0.3 * work.scenes, output, output, 0.03 * work.scenes, 1 + work.scenes / 100
    )


def _mask(work: Work) -> Cost:
    # pixels and blocks in flight are bounded; the table has a row for each (cell, scene)
    rows = work.cells * work.scenes
    output = 0.01 + 5e-6 * rows
    read = work.read_mb
    cpu_s = 2.0 + 0.004 * read + 26e-6 * rows
    return Cost(
        cpu_s, 270 + 0.4e-3 * rows, output, output, _PACKED_CLASSES * read, read * _PACKED_CLASSES / _REQUEST_MB
    )


def _crop(work: Work) -> Cost:
    # Bounded: blocks in flight, and pixels made and not yet taken. Counts of each (cell, scene) are held for the choice.
    rows = work.cells * (work.scenes + work.companions)
    read, others = work.read_mb + work.jp2_mb + work.radar_mb, work.jp2_mb + work.radar_mb
    of_a_layer = 2.5 * work.pixels_mb * work.cells / max(1.0, work.pieces)  # of 10 m, all cells
    mem_mb = 215 + min(130.0, 0.16 * read) + min(64.0, of_a_layer) + (50 if others else 0) + 1.3e-3 * rows
    cpu_s = 2.4 + 0.003 * work.read_mb + 0.05 * work.jp2_mb + 0.1 * work.radar_mb
    cpu_s += 60e-6 * work.pieces + 4e-3 * work.pixels_mb + 10e-6 * rows
    wire = _PACKED * read
    output = 0.05 + _PATCHES * work.pixels_mb + 40e-6 * work.pieces
    # At the peak: the scratch file and the new store; and of a run before, its store and Snakemake's copy of it (`update`).
    disk_mb = 4 * output
    return Cost(cpu_s, mem_mb, disk_mb, output, wire, wire / _REQUEST_MB)


def _group(work: Work) -> Cost:
    # a few cells' series at a time, and where each patch lies
    of_cell = work.pixels_mb / max(1, work.cells)
    output = 0.15 + _SERIES * work.pixels_mb
    cpu_s = 2.0 + 100e-6 * work.pieces + 6e-3 * work.pixels_mb
    return Cost(cpu_s, 210 + 8 * of_cell + 0.3e-3 * work.pieces, output, output)


def _source(work: Work) -> Cost:
    # where every feature lies along the curve is held, their geometries are not; locations of nodes are on the disk
    output = 0.05 + 0.18e-3 * work.features
    cpu_s = 1.6 + 42e-6 * work.features
    # buffers fill up first
    mem_mb = min(190 + 1.4e-3 * work.features, 345 + 0.6e-3 * work.features)
    return Cost(cpu_s, mem_mb, 3 * output + 2 * work.source_mb, output)


def _ask(work: Work) -> Cost:
    output = 0.05 + 0.18e-3 * work.features
    cpu_s = 3.0 + 60e-6 * work.features
    return Cost(cpu_s, 345 + 3e-3 * work.features, 3 * output, output, 0.5e-3 * work.features, 1 + work.cells / 100)


def _features(work: Work) -> Cost:
    # all features of the tile are held, to be sorted
    output = 0.05 + 0.18e-3 * work.features
    return Cost(1.0 + 10e-6 * work.features, 165 + 1.6e-3 * work.features, output, output)


def _labels(work: Work) -> Cost:
    # all features of the tile are held; their pixels a group of near cells at a time
    of_cells = work.cells * max(1, work.label_sets)
    output = 0.05 + 0.07 * work.label_mb + 0.2e-3 * of_cells
    cpu_s = 2.3 + 29e-6 * work.features + 0.01 * work.label_mb + 1.2e-3 * of_cells
    return Cost(cpu_s, 245 + 2.4e-3 * work.features, output, output)


def _legend(work: Work) -> Cost:
    output = 0.1
    return Cost(2.5 + 30e-6 * work.features, 300 + 0.1e-3 * work.features, output, output)


def _zone(work: Work) -> Cost:
    # files of each tile are opened one after another; rows of all are held
    output = 0.06 + 0.3e-3 * work.cells
    cpu_s = 1.5 + work.tiles * (0.2 + 0.2 * work.periods) + 40e-6 * work.cells
    return Cost(cpu_s, 200 + 3.5e-3 * work.cells, output, output)


def _index(work: Work) -> Cost:
    # rows of all zones are held
    output = 0.06 + 0.3e-3 * work.cells
    return Cost(1.9 + 1e-3 * work.tiles + 20e-6 * work.cells, 225 + 4.6e-3 * work.cells, output, output)


def _report(work: Work) -> Cost:
    # the index is held, and the series of the cells that are shown, one at a time
    of_cell = work.pixels_mb / max(1, work.cells)
    return Cost(5.5 + 1e-3 * work.tiles + 20e-6 * work.cells, 320 + 4.6e-3 * work.cells + 8 * of_cell, 5, 5)


# CPU seconds for each piece and each MB of pixels, MB of memory beside an empty job's, and MB written for each MB of pixels.
_LAYOUTS: Final[dict[str, tuple[float, float, float, float]]] = {
    "ssl4eo-s12": (2.5e-3, 0.0, 60, 0.7),
    "seasonet": (1e-3, 0.0, 55, 0.6),
    "opensentinelmap": (1e-3, 0.05, 60, 1.0),
    "deepsatdata": (0.1e-3, 0.01, 40, 1.1),
    "geotiff": (2e-3, 0.0, 75, 0.6),
    "webdataset": (0.1e-3, 0.015, 40, 0.8),
}
_DEAREST: Final = tuple(max(column) for column in zip(*_LAYOUTS.values(), strict=True))


def _export_tile(work: Work) -> Cost:
    # a cell's series at a time
    of_piece, of_mb, mem_mb, written = _LAYOUTS.get(work.layout, _DEAREST)
    of_cell = work.pixels_mb / max(1, work.cells)
    output = 0.05 + written * (work.pixels_mb + work.label_mb)
    # the old files stay until the new are whole
    return Cost(1.8 + of_piece * work.pieces + of_mb * work.pixels_mb, 205 + mem_mb + 6 * of_cell, 2 * output, output)


def _export(work: Work) -> Cost:
    # rows of the index, and of what is told of every file
    output = 0.1 + 1e-3 * work.cells
    return Cost(2.5 + 0.01 * work.tiles + 1e-3 * work.cells, 250 + 8e-3 * work.cells, output, output)


_MODELS: Final[dict[str, Callable[[Work], Cost]]] = {
    "simulate": _simulate, "locations": _locations, "cells": _cells, "search": _search, "search_companions": _search, "mask": _mask,
    "crop": _crop, "group": _group, "source": _source, "ask": _ask, "features": _features, "labels": _labels, "legend": _legend,
    "zone": _zone, "index": _index, "report": _report, "export_tile": _export_tile, "export": _export,
}  # fmt: skip
STAGES: Final = tuple(_MODELS)
"""The rules that have jobs, in the order of the way of the data."""


def job_cost(stage: str, work: Work) -> Cost:
    """What one job of `stage` costs that has this much work.

    Raises:
        TilewrightError: for a stage without a model.
    """
    if stage not in _MODELS:
        raise TilewrightError(f"costs: no model of the stage {stage!r}; add one to costs/models.py")
    return _MODELS[stage](work)
