"""Figures of a dataset, from the rows that the zones gathered; nothing here reads a pixel."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.bands import PRIMARY, UNLABELED
from tilewright.config.split_names import BY_YEAR, NAMES, NO_SPLIT, split_dates_column
from tilewright.stages.zone import BAND_SUMS, classes_of, share_column

log = logging.getLogger(__name__)

_BINS: Final = 20
_LEAST: Final = 3e-7  # a smaller share may come of rounding two others to 32 bits


def band_statistics(rows: pd.DataFrame, collections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation (population) of each band over the training split, as <collection>_<band>.

    Of splits by year over all dates of all cells: the sums that a series holds are not by date.

    Of reflectance in DN over the valid pixels; of radar over the pixels with data, in dB where that is what is stored (the
    mean of decibels, not of power).

    Args:
        rows: with the sums that `zone` gathered.
        collections: what is known of each, its quantity among it.
    """
    train = rows[rows["split"].isin(["train", BY_YEAR])]
    found: dict[str, dict[str, Any]] = {}
    ours = [column for column in rows.columns if column.startswith(BAND_SUMS) and column.endswith("_sum")]
    for name in (column.removesuffix("_sum") for column in ours):
        count, total, squares = (_total(train[f"{name}_{part}"]) for part in ("count", "sum", "sum_of_squares"))
        key = name.removeprefix(BAND_SUMS)
        if count:
            mean = total / count
            quantity = str(collections.get(key.rpartition("_")[0], {}).get("quantity", "dn"))
            found[key] = {
                "pixels": count, "mean": mean, "std": max(squares / count - mean * mean, 0.0) ** 0.5,
                "unit": "dB" if quantity.endswith("_db") else "DN",
            }  # fmt: skip
    return found


def _total(values: pd.Series) -> float:
    """Exact, whatever the size of the dataset: of whole numbers by Python's integers, of others rounded once."""
    return math.fsum(values) if values.dtype.kind == "f" else sum(map(int, values))


def label_statistics(rows: pd.DataFrame, labels: dict[str, Any], summaries: dict[str, Any]) -> dict[str, Any]:
    """For each label set: prevalence of its classes, or distribution of the layer, and what its sources held.

    Args:
        rows: the index.
        labels: what is known of each label set, its ontology included (None: a static layer).
        summaries: by tile, as `zone` makes them.
    """
    found = {}
    for name in sorted(labels):
        ontology = labels[name]["ontology"]
        if ontology is None:
            figures = _layer_figures(rows, name)
        else:
            figures = _class_figures(rows, name, ontology, labels[name].get("kind") == "raster")
        found[name] = {**figures, **_source_figures(name, summaries)}
        _warn_of_nothing(rows, name, ontology is None, found[name])
    return found


def _warn_of_nothing(rows: pd.DataFrame, name: str, layer: bool, figures: dict[str, Any]) -> None:
    """Say so where a set tells nothing of any cell: a wrong CRS, extent or file looks like that."""
    if len(rows) == 0 or (figures["cells"] > 0 if layer else (rows[f"{name}_labelled"] > 0).any()):
        return
    rejects = ", ".join(f"{count} {reason}" for reason, count in figures["rejects"].items()) or "nothing"
    features = (
        f" ({sum(figures['counts'].values())} features near the cells; rejected: {rejects})"
        if figures["counts"]
        else ""
    )
    log.warning(
        "labels.%s: no pixel of any cell has a %s%s: if that is not meant, check path, crs, nodata and extent of its source",
        name, "number" if layer else "class", features,
    )  # fmt: skip


def _class_figures(rows: pd.DataFrame, name: str, ontology: dict[str, Any], raster: bool) -> dict[str, Any]:
    """Share of cells that have a class and of pixels in it, and the histogram of labelled shares.

    As OpenSentinelMap's Figure 4. A pixel is labelled where it has a class in any channel. Cells outside the source's extent
    are left out: what is not known is not unlabeled. Of a raster, where no data may be anywhere, only pixels without data are
    left out.
    """
    coverage = rows[f"{name}_coverage"].to_numpy(float)
    covered = rows[(rows[f"{name}_row"] >= 0) & ((coverage > 0) if raster else ~(coverage < 1))]
    part = covered[f"{name}_coverage"].to_numpy(float) if raster else np.ones(len(covered))
    labelled = covered[f"{name}_labelled"].to_numpy(float) / part
    classes = {}
    for channel in (each["name"] for each in ontology["channels"]):
        for one, value in classes_of(ontology, channel):
            share = covered[share_column(name, channel, one)].to_numpy(float)
            if raster and value == UNLABELED:  # as which pixels without data are counted; the shares are of 32 bits
                share = np.where(share - (1 - part) > _LEAST, share - (1 - part), 0)
            pixels = float(np.average(share / part, weights=part)) if len(covered) else 0.0
            classes[f"{channel}/{one}"] = {"cells": _mean(share > 0), "pixels": pixels}
    histogram = np.histogram(np.clip(labelled, 0, 1), bins=_BINS, range=(0, 1))[0]
    figures = {
        "cells": len(covered), "cells_outside_extent": int((rows[f"{name}_coverage"] < 1).sum()), "classes": classes,
        "labelled_share": _mean(labelled), "labelled_share_histogram": histogram.tolist(),
        "cells_below_1_percent": _mean(labelled < 0.01), "cells_above_90_percent": _mean(labelled > 0.9),
    }  # fmt: skip
    for how in ("partly", "wholly"):
        if f"{name}_claimed_{how}" in covered:
            share = covered[f"{name}_claimed_{how}"].to_numpy(float)
            figures[f"claimed_{how}"] = {"cells": _mean(share > 0), "pixels": _mean(share)}
    return figures


def _layer_figures(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    """Range of a static layer over all cells with data, its mean over their pixels, and the histogram of the cells' means."""
    coverage = rows[f"{name}_coverage"].to_numpy(float)
    with_data = rows[coverage > 0]
    figures: dict[str, Any] = {
        "cells": len(with_data), "cells_without_data": int((~(coverage > 0)).sum()),
        "cells_partly": int(((coverage > 0) & (coverage < 1)).sum()),
    }  # fmt: skip
    if with_data.empty:
        return figures
    means = with_data[f"{name}_mean"].to_numpy(float)
    counts, edges = np.histogram(means, bins=_BINS)
    return figures | {
        "min": float(with_data[f"{name}_min"].min()), "max": float(with_data[f"{name}_max"].max()),
        "mean": float(np.average(means, weights=coverage[coverage > 0])),
        "cell_mean_histogram": counts.tolist(), "cell_mean_edges": [float(edge) for edge in edges],
    }  # fmt: skip


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _source_figures(name: str, summaries: dict[str, Any]) -> dict[str, Any]:
    """What a set's source held and what of it no map could be made of.

    Features near the cells (`counts`) and classes that no rule knows (`unknown`) are summed over tiles, though tiles share
    ground. What was rejected or repaired is of a file as a whole and counted once; of an API it is of each tile's answer, and
    summed too.
    """
    figures: dict[str, Any] = {"counts": {}, "rejects": {}, "repaired": 0}
    parts = [summary["features"][name] for summary in summaries.values() if name in summary.get("features", {})]
    figures["counts"] = _sum(part.get("counts") for part in parts)
    if parts and parts[0].get("kind") != "overpass":
        parts = parts[:1]
    figures["rejects"] = _sum(part.get("rejects") for part in parts)
    figures["repaired"] = sum(part.get("repaired") or 0 for part in parts)
    own = [summary["labels"][name] for summary in summaries.values() if name in summary.get("labels", {})]
    figures["unknown"] = _sum(part["unknown"] for part in own)
    figures["snapshots"] = sorted({part["snapshot"] for part in own if part["snapshot"]})
    figures["extent"] = joint_box([part["extent"] for part in own])
    return figures


def _sum(counts: Iterable[dict[str, int] | None]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each or {})
    return dict(sorted(total.items()))


def joint_box(boxes: Sequence[Sequence[float] | None]) -> list[float] | None:
    """The box around boxes (west, south, east, north in degrees; west > east crosses ±180); None where one is unknown."""
    known = [box for box in boxes if box is not None]
    if not known or len(known) < len(boxes):
        return None
    middle = known[0][0]
    wests, easts = [], []
    for west, _, east, _ in known:
        turns = 360 * round((middle - west) / 360)
        wests.append(west + turns)
        easts.append(east + turns + (360 if east < west else 0))
    west, east = min(wests), max(easts)
    if east - west >= 360:
        west, east = -180.0, 180.0
    return [_within_180(west), min(box[1] for box in known), _within_180(east), max(box[3] for box in known)]


def _within_180(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180


_COUNTS: Final = ("scenes", "scenes_used", "patches", "unneeded", "missing", "superseded", "parts")
_BY_NAME: Final = (
    "refused_scenes", "scenes_by_month", "patches_by_month", "refusals", "radiometry",
)  # fmt: skip


def summed(summaries: dict[str, Any]) -> dict[str, Any]:
    """Counts of all tiles by period, and within each of its companions by collection.

    Scenes, patches, patches by month, refusals by reason, radiometry, tiles without scenes and broken scenes. A scene is
    counted once for each tile that found it.
    """
    periods: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for tile, summary in sorted(summaries.items()):
        for period, part in summary["periods"].items():
            periods.setdefault(period, []).append((tile, part))
    found = {}
    for period, parts in periods.items():
        found[period] = {**_together(parts), "rule": parts[0][1]["rule"]}
        names = sorted({name for _, part in parts for name in part.get("companions", {})})
        if names:
            found[period]["companions"] = {
                name: _together([(tile, part["companions"][name]) for tile, part in parts if name in part.get("companions", {})])
                for name in names
            }  # fmt: skip
    return found


def _together(parts: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The sums of (tile, counts) of one collection in one period."""
    total: dict[str, Any] = {name: sum(part[name] for _, part in parts) for name in _COUNTS}
    total |= {name: _sum(part[name] for _, part in parts) for name in _BY_NAME}
    total["decisions"] = dict(
        sorted({key: value for _, part in parts for key, value in part["decisions"].items()}.items())
    )
    total["broken"] = [f"{tile}: {line}" for tile, part in parts for line in part["broken"]]
    total["tiles_without_scenes"] = [tile for tile, part in parts if not part["scenes"]]
    return total


def _split_sizes(rows: pd.DataFrame, made: dict[str, Any]) -> dict[str, dict[str, int]]:
    """{split: cells, and patches of the primary}; under "none" what accepted cells are in no split."""
    found = {}
    for name in NAMES:
        if made["years"] is None:
            dates = rows.loc[rows["split"] == name, "dates"]
        else:
            # a cell is in each split that it has dates of
            dates = rows.get(split_dates_column(PRIMARY, name), pd.Series(0, index=rows.index))
            dates = dates[dates > 0]
        found[name] = {"cells": len(dates), "patches": int(dates.sum())}
    dates = rows.loc[rows["split"] == NO_SPLIT, "dates"]
    return {**found, "none": {"cells": len(dates), "patches": int(dates.sum())}}


def dataset_statistics(
    rows: pd.DataFrame, summaries: dict[str, Any], shared: dict[str, Any], split_made: dict[str, Any]
) -> dict[str, Any]:
    """Everything that `statistics.json` says; `shared`: what all tiles say of the collections and label sets.

    All but `cells.index`, `cells.sampling` and `periods` is of accepted cells only. `patches` and `dates_per_cell` are of the primary; those of its companions are in `companions`, with the number of the primary's
    dates that have one.
    """
    labels, collections = shared.get("labels", {}), shared["collections"]
    others = [name for name in collections if name != PRIMARY]
    cells: Counter[str] = Counter()
    for summary in summaries.values():
        cells.update(summary["cells"])
    index, rows = len(rows), rows[rows["accepted"]]
    splits = _split_sizes(rows, split_made)
    return {
        "cells": {
            "index": index, "total": len(rows), "with_imagery": int((rows["dates"] > 0).sum()),
            "by_split": {name: splits[name]["cells"] for name in NAMES},
            "sampling": dict(sorted(cells.items())),
        },
        "split": split_made,
        "splits": {name: of for name, of in splits.items() if of["cells"] or name in NAMES},
        "patches": int(rows["dates"].sum()),
        "dates_per_cell": {int(value): int(number) for value, number in rows["dates"].value_counts().sort_index().items()},
        "companions": {
            name: {
                "patches": int(rows[f"{name}_dates"].sum()), "cells": int((rows[f"{name}_dates"] > 0).sum()),
                "missing": int((rows["dates"] - rows[f"{name}_dates"]).sum()),
            }
            for name in others
        },
        "bands_train": band_statistics(rows, collections),
        "bands_over": "all dates of all cells, whatever their split" if split_made["years"] else "the split train",
        "labels": label_statistics(rows, labels, summaries),
        "periods": summed(summaries),
    }  # fmt: skip
