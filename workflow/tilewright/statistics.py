"""Figures of a dataset, from the rows that the zones gathered; nothing here reads a pixel."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from tilewright.split import NAMES
from tilewright.stages.zone import BAND_SUMS, classes_of, share_column

_COVERAGE_BINS = 20


def band_statistics(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (population) of each band in DN over the valid pixels of the training split."""
    train = rows[rows["split"] == "train"]
    found = {}
    ours = [column for column in rows.columns if column.startswith(BAND_SUMS) and column.endswith("_sum")]
    for name in (column.removesuffix("_sum") for column in ours):
        # Python's integers: exact, whatever the size of the dataset
        count, total, squares = (sum(map(int, train[f"{name}_{part}"])) for part in ("count", "sum", "sum_of_squares"))
        if count:
            mean = total / count
            found[name.removeprefix(BAND_SUMS)] = {
                "pixels": count,
                "mean": mean,
                "std": max(squares / count - mean * mean, 0.0) ** 0.5,
            }
    return found


def label_statistics(rows: pd.DataFrame, labels: dict[str, Any]) -> dict[str, Any]:
    """For each label set: share of cells that have a class and of pixels in it, and the histogram of labelled shares.

    A pixel is labelled where it has a class in any channel.

    Cells outside the source's extent are left out: what is not known is not unlabeled. As OpenSentinelMap's Figure 4.
    """
    found = {}
    for name in sorted(labels):
        covered = rows[(rows[f"{name}_row"] >= 0) & ~(rows[f"{name}_coverage"] < 1)]
        classes = {}
        labelled = covered[f"{name}_labelled"].to_numpy(float)
        ontology = labels[name]["ontology"]
        for channel in (each["name"] for each in ontology["channels"]):
            known = {
                one: covered[share_column(name, channel, one)].to_numpy(float)
                for one, _ in classes_of(ontology, channel)
            }
            for one, share in known.items():
                classes[f"{channel}/{one}"] = {
                    "cells": float((share > 0).mean()) if len(share) else 0.0,
                    "pixels": float(share.mean()) if len(share) else 0.0,
                }
        histogram = np.histogram(np.clip(labelled, 0, 1), bins=_COVERAGE_BINS, range=(0, 1))[0]
        found[name] = {
            "cells": len(covered), "cells_outside_extent": int((rows[f"{name}_coverage"] < 1).sum()), "classes": classes,
            "labelled_share_histogram": histogram.tolist(),
        }  # fmt: skip
    return found


def summed(summaries: dict[str, Any]) -> dict[str, Any]:
    """Counts of all tiles by period: scenes, patches, patches by month, refusals by reason, radiometry; broken scenes."""
    periods: dict[str, dict[str, Any]] = {}
    for tile, summary in sorted(summaries.items()):
        for period, part in summary["periods"].items():
            into = periods.setdefault(
                period, {"scenes": 0, "scenes_used": 0, "patches": 0, "unneeded": 0, "rule": part["rule"],
                         "scenes_by_month": Counter(), "patches_by_month": Counter(), "refusals": Counter(),
                         "radiometry": Counter(), "broken": [], "tiles_without_scenes": []},
            )  # fmt: skip
            for name in ("scenes", "scenes_used", "patches", "unneeded"):
                into[name] += part[name]
            for name in ("scenes_by_month", "patches_by_month", "refusals", "radiometry"):
                into[name].update(part[name])
            into["broken"] += [f"{tile}: {line}" for line in part["broken"]]
            if not part["scenes"]:
                into["tiles_without_scenes"].append(tile)
    return {
        period: {
            name: dict(sorted(value.items())) if isinstance(value, Counter) else value for name, value in part.items()
        }
        for period, part in periods.items()
    }


def dataset_statistics(
    rows: pd.DataFrame, summaries: dict[str, Any], labels: dict[str, Any], split_made: dict[str, Any]
) -> dict[str, Any]:
    """Everything that `statistics.json` says."""
    cells: Counter[str] = Counter()
    for summary in summaries.values():
        cells.update(summary["cells"])
    return {
        "cells": {
            "total": len(rows), "with_imagery": int((rows["dates"] > 0).sum()),
            "by_split": {name: int((rows["split"] == name).sum()) for name in NAMES},
            "sampling": dict(sorted(cells.items())),
        },
        "split": split_made,
        "patches": int(rows["dates"].sum()),
        "dates_per_cell": {int(value): int(number) for value, number in rows["dates"].value_counts().sort_index().items()},
        "bands_train": band_statistics(rows),
        "labels": label_statistics(rows, labels),
        "periods": summed(summaries),
    }  # fmt: skip
