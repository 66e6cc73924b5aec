"""The leakage audit: what ground, or time on one ground, two splits share."""

import logging
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.settings import IndexSettings
from tilewright.config.split_names import NAMES
from tilewright.errors import TilewrightError
from tilewright.splits.near import near_pairs
from tilewright.splits.outcome import SplitOutcome
from tilewright.splits.separate import codes_of
from tilewright.splits.years import day_lists, split_codes

log = logging.getLogger(__name__)

_CHUNK: Final = 20_000  # pairs of cells whose dates are compared together: bounds the memory


def audit(
    rows: pd.DataFrame, names: np.ndarray, settings: IndexSettings, outcome: SplitOutcome, collections: list[str]
) -> dict[str, Any]:
    """What two splits share, as statistics.json has it: `pairs` is 0 where that is nothing.

    Args:
        rows: the accepted cells.
        names: (row,) their splits.
        outcome: of the split; its years where it is by year.
        collections: whose dates count in splits by year.

    Raises:
        TilewrightError: in mode fail, where they share anything: how much, an example and the mend.
    """
    asked = settings.split.audit
    found: dict[str, Any] = {"mode": asked.mode}
    if outcome.years is not None:
        found |= {"of": "time", "gap_days": asked.gap_days, **_time(rows, outcome.years, asked.gap_days, collections)}
    else:
        found |= {"of": "ground", "distance_m": asked.distance_m, **_ground(rows, names, asked.distance_m)}
    if found["pairs"]:
        message = f"split: {_said(found)}"
        if asked.mode == "fail":
            raise TilewrightError(f"{message}: {_mend(settings, found)}, or set split.audit.mode: report")
        log.warning(message)
    return found


def _ground(rows: pd.DataFrame, names: np.ndarray, distance_m: float) -> dict[str, Any]:
    """Pairs of cells of different splits that overlap or are nearer than `distance_m`.

    `cells`: how many of each split are in such a pair; `shared_km2`: ground of the pairs, which counts twice where three cells share it.
    """
    code = codes_of(names).astype(np.int64)
    pairs = near_pairs(rows, code, distance_m)
    ids = rows["cell_id"].to_numpy(object)
    met = np.zeros(len(rows), bool)
    met[pairs.one] = met[pairs.other] = True
    found: dict[str, Any] = {
        "pairs": len(pairs), "by_splits": _by_splits(code[pairs.one], code[pairs.other]),
        "cells": {name: int((met & (code == at)).sum()) for at, name in enumerate(NAMES) if (met & (code == at)).any()},
        "shared_km2": float(pairs.shared_m2.sum() / 1e6), "example": None,
    }  # fmt: skip
    if len(pairs):
        worst = int(np.argmax(pairs.shared_m2)) if pairs.shared_m2.any() else int(np.argmin(pairs.gap_m))
        one, other = int(pairs.one[worst]), int(pairs.other[worst])
        found["example"] = {
            "cells": [str(ids[one]), str(ids[other])], "splits": [NAMES[code[one]], NAMES[code[other]]],
            "shared_m2": float(pairs.shared_m2[worst]), "gap_m": float(pairs.gap_m[worst]),
        }  # fmt: skip
    return found


def _by_splits(one: np.ndarray, other: np.ndarray) -> dict[str, int]:
    """How many pairs are of which two splits."""
    both = np.minimum(one, other) * len(NAMES) + np.maximum(one, other)
    return {
        f"{NAMES[key // len(NAMES)]}/{NAMES[key % len(NAMES)]}": int(count)
        for key, count in zip(*np.unique(both, return_counts=True), strict=True)
    }


def _time(rows: pd.DataFrame, years: dict[str, list[int]], gap_days: int, collections: list[str]) -> dict[str, Any]:
    """Pairs of dates of different splits, of one cell or of two that overlap, that are at most `gap_days` apart.

    Years part the primary's dates; but a companion is of the split of the date it belongs to, whichever day it is of itself.
    """
    parts = []
    for collection in collections:
        cell, day, primary = day_lists(rows, collection)
        parts.append(pd.DataFrame({"cell": cell, "day": day, "split": split_codes(primary, years), "of": collection}))
    dates = pd.concat(parts, ignore_index=True)
    dates = _near_another(dates[dates["split"] >= 0], gap_days).drop_duplicates()
    found: list[pd.DataFrame] = []
    cells = np.unique(dates["cell"])
    if len(cells):
        group = np.full(len(rows), -1, np.int64)
        group[cells] = np.arange(len(cells))
        pairs = near_pairs(rows, group, 0.0)
        one = np.concatenate([cells, pairs.one, pairs.other])
        other = np.concatenate([cells, pairs.other, pairs.one])
        for first in range(0, len(one), _CHUNK):
            both = pd.DataFrame({"one": one[first : first + _CHUNK], "other": other[first : first + _CHUNK]})
            both = both.merge(dates, left_on="one", right_on="cell").merge(
                dates, left_on="other", right_on="cell", suffixes=("", "_other")
            )
            # each pair is met from both of its ends
            near = (both["split"] < both["split_other"]) & ((both["day"] - both["day_other"]).abs() <= gap_days)
            found.append(both[near])
    table = (
        pd.concat(found, ignore_index=True)
        if found
        else pd.DataFrame({"one": [], "other": [], "split": [], "split_other": []})
    )
    met = np.unique(np.concatenate([table["one"], table["other"]]).astype(np.int64))
    result: dict[str, Any] = {
        "pairs": len(table), "cells": len(met), "example": None,
        "by_splits": _by_splits(table["split"].to_numpy(np.int64), table["split_other"].to_numpy(np.int64)),
    }  # fmt: skip
    if len(table):
        worst = table.iloc[0]
        ids = rows["cell_id"].to_numpy(object)
        result["example"] = {
            "cells": [str(ids[int(worst["one"])]), str(ids[int(worst["other"])])],
            "splits": [NAMES[int(worst["split"])], NAMES[int(worst["split_other"])]],
            "days": [str(np.datetime64(int(worst[name]), "D")) for name in ("day", "day_other")],
            "collections": [str(worst["of"]), str(worst["of_other"])],
        }  # fmt: skip
    return result


def _near_another(dates: pd.DataFrame, gap_days: int) -> pd.DataFrame:
    """The dates that are, on whatever ground, at most `gap_days` from one of another split: few, as years part them."""
    if dates.empty:
        return dates
    near = np.zeros(len(dates), bool)
    day, split = dates["day"].to_numpy(), dates["split"].to_numpy()
    for each in np.unique(split):
        others = np.unique(day[split != each])
        if not len(others):
            continue
        mine = split == each
        after = np.searchsorted(others, day[mine])
        ahead = others[np.minimum(after, len(others) - 1)]
        behind = others[np.maximum(after - 1, 0)]
        near[mine] = np.minimum(np.abs(ahead - day[mine]), np.abs(day[mine] - behind)) <= gap_days
    return dates[near]


def _said(found: dict[str, Any]) -> str:
    """What was found, in a sentence."""
    example = found["example"]
    one, other = (f"{cell} in {split}" for cell, split in zip(example["cells"], example["splits"], strict=True))
    listed = ", ".join(f"{splits} {count:,}" for splits, count in found["by_splits"].items())
    if found["of"] == "time":
        days = " and ".join(f"{day} ({of})" for day, of in zip(example["days"], example["collections"], strict=True))
        return f"{found['pairs']:,} pairs of dates of one ground are in two splits ({listed}), such as {one} and {other}: {days}"
    how = (
        f"overlap by {example['shared_m2'] / 1e6:.4g} km²"
        if example["shared_m2"]
        else f"are {example['gap_m']:.0f} m apart"
    )
    least = f" or are nearer than {found['distance_m']:g} m" if found["distance_m"] else ""
    return f"{found['pairs']:,} pairs of cells share ground in two splits{least} ({listed}), such as {one} and {other}, which {how}"


def _mend(settings: IndexSettings, found: dict[str, Any]) -> str:
    of = settings.split
    if found["of"] == "time":
        return "leave a year between the splits, lower split.audit.gap_days, or pair companions nearer in time"
    if of.by_block or of.by in ("tile", "column"):
        return f"set split.buffer_m: {of.audit.distance_m:g} (or more), which drops such cells from the larger split"
    return "use split.unit: block (no ground is then shared) or set split.buffer_m, which drops such cells from the larger split"
