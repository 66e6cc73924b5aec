"""How many jobs a run from nothing has, by rule: as the rules in workflow/rules multiply them."""

from tilewright.plan.world import is_made
from tilewright.rules import DatasetConfig


def jobs_of(dataset: DatasetConfig, tiles: int, zones: int) -> dict[str, int]:
    """Rule → jobs, those of `all` included, in the order of the way of the data; rules without any are left out.

    Args:
        tiles: of the dataset.
        zones: UTM zones that these are in.
    """
    by_period = tiles * len(dataset.periods)
    labelled = tiles * bool(dataset.label_sets)
    counts = {
        "simulate": int(needs_world(dataset)),
        "locations": int(dataset.config.aoi.cities is not None),
        "source": len(set(dataset.sources.values())),
        "cells": tiles,
        "ask": tiles * len(set(dataset.asked.values())),
        "features": labelled,
        "labels": labelled,
        "search": by_period,
        "search_companions": by_period * bool(dataset.companions),
        "mask": by_period,
        "crop": by_period,
        "group": tiles,
        "zone": zones,
        "index": 1,
        "report": 1,
        "export_tile": tiles * len(dataset.layouts),
        "export": len(dataset.layouts),
        "all": 1,
    }
    return {rule: count for rule, count in counts.items() if count}


def needs_world(dataset: DatasetConfig) -> bool:
    """Whether files of the simulated world are read that are not there yet, or will be made anew."""
    simulated = dataset.simulated_files()
    return bool(simulated) and not (is_made(dataset) and all(path.is_file() for path in simulated))
