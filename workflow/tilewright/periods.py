"""What became of a period's scenes in one tile: found, refused, used, by collection."""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pandas as pd

from tilewright.catalog.scene import SUPERSEDED
from tilewright.config.bands import PRIMARY
from tilewright.select import MISSING, REFUSED, UNNEEDED, USED
from tilewright.store import read_table, table_metadata

_UNRESOLVED: Final = "offset unresolved"  # how the refusal of a scene begins whose radiometry nothing settles


def period_summary(folder: Path, companions: bool) -> dict[str, Any]:
    """Counts of the primary's scenes in a period of a tile, and under `companions` those of the other collections."""
    chosen = read_table(folder / "selection.parquet")
    scenes = read_table(folder / "scenes.parquet")
    summary = _of_collection(scenes, chosen[chosen["collection"] == PRIMARY])
    summary["rule"] = table_metadata(folder / "selection.parquet")["rule"]
    if companions:
        others = read_table(folder / "companions.parquet")
        searched = table_metadata(folder / "companions.parquet")["spans"]
        summary["companions"] = {
            name: _of_collection(others[others["collection"] == name], chosen[chosen["collection"] == name])
            for name in sorted(searched)
        }
    return summary


def _of_collection(scenes: pd.DataFrame, chosen: pd.DataFrame) -> dict[str, Any]:
    """Scenes found and used, by month; patches by month; refusals of (cell, scene) by reason, and how many were unneeded.

    `missing`: dates of a cell that have no companion. `parts`: scenes that share an acquisition with another.
    """
    used = chosen[chosen["status"] == USED]
    time = scenes.set_index("scene_id")["datetime"]
    refused = chosen.loc[chosen["status"] == REFUSED, "reason"].astype(str)
    broken = chosen[chosen["reason"].astype(str).str.startswith("broken")]
    evidence = [_evidence(str(words)) for words in scenes["radiometry"]]
    told = scenes["refused"].astype(str)
    superseded = told.str.startswith(SUPERSEDED)
    of = scenes.loc[(told == "") & (scenes["acquisition"].astype(str) != ""), "acquisition"]
    return {
        "scenes": len(scenes), "scenes_used": int(used["scene_id"].nunique()), "patches": len(used),
        "unneeded": int((chosen["status"] == UNNEEDED).sum()), "missing": int((chosen["status"] == MISSING).sum()),
        "superseded": int(superseded.sum()), "parts": int(of.duplicated(keep=False).sum()),
        "refused_scenes": _counted(told[(told != "") & ~superseded]),
        "scenes_by_month": months_of(scenes["datetime"]), "patches_by_month": months_of(time.loc[used["scene_id"]]),
        "refusals": _counted(refused), "broken": sorted({f"{row.scene_id}: {row.reason}" for row in broken.itertuples()}),
        "radiometry": dict(sorted(Counter(evidence).items())),
        "decisions": dict(sorted(zip(evidence, map(_decision, scenes["refused"], scenes["dn_offset"]), strict=True))),
    }  # fmt: skip


def _counted(reasons: pd.Series) -> dict[str, int]:
    """How often each reason stands, without what is of one scene only."""
    return dict(sorted(Counter(_reason(str(each)) for each in reasons).items()))


def _reason(words: str) -> str:
    """The kind of a reason: "broken: 404 …" is broken."""
    return SUPERSEDED.split()[0] if words.startswith(SUPERSEDED) else words.split(":")[0]


def _evidence(words: str) -> str:
    """Evidence without the figures of one scene, which stand in brackets."""
    return words.split(" (")[0]


def _decision(refused: str, offset: int) -> str:
    if str(refused).startswith(_UNRESOLVED):
        return "refused"
    return f"{offset:+d} DN" if offset else "as it is"


def months_of(times: pd.Series) -> dict[str, int]:
    """How many of `times` lie in each month (2019-07)."""
    return dict(sorted(Counter(pd.to_datetime(times).dt.strftime("%Y-%m")).items()))
