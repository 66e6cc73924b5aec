"""index: all zones as one table with splits, the dataset's statistics, and its STAC collection."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from tilewright.acceptance import accept
from tilewright.attributes import attributes_of
from tilewright.collection import collection_document
from tilewright.config.bands import PRIMARY
from tilewright.config.settings import IndexSettings
from tilewright.errors import TilewrightError
from tilewright.splits import NO_SPLIT, audit, split
from tilewright.splits.years import split_dates
from tilewright.stages.zone import INTERNAL
from tilewright.statistics import dataset_statistics, summed
from tilewright.store import read_table, table_metadata, write_table
from tilewright.store.seal import write_json

log = logging.getLogger(__name__)

FORMAT = "tilewright-index-2"


def make_index(zones: Sequence[Path], settings: IndexSettings, index: Path, statistics: Path, collection: Path) -> None:
    """Write `index.parquet` (a row a cell, by tile and cell), `statistics.json` and `collection.json`.

    Raises:
        TilewrightError: where no cell was made at all.
    """
    parts = [read_table(path) for path in zones]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    documents = [table_metadata(path) for path in zones]
    if rows.empty:
        raise TilewrightError(_no_cell(documents))
    rows = rows.sort_values(["tile", "grid", "row", "col", "cell_id"], kind="stable", ignore_index=True)
    summaries: dict[str, Any] = {tile: summary for document in documents for tile, summary in document["tiles"].items()}
    shared = {key: value for key, value in documents[0].items() if key != "tiles"}
    for name in shared.get("labels", {}):
        # without a year in any zone the column comes back as numbers
        rows[f"{name}_year"] = rows[f"{name}_year"].astype("Int16")
    if settings.attributes is not None:
        columns, told = attributes_of(rows, settings.attributes)
        rows = gpd.GeoDataFrame(pd.concat([rows, columns], axis=1), geometry="geometry", crs=4326)
        shared["attributes"] = {**settings.attributes.model_dump(exclude_none=True), **told}
    companions = [name for name in shared["collections"] if name != PRIMARY]
    found = accept(rows, settings.accept, settings.seed, summed(summaries), companions)
    rows["complete"], rows["accepted"], rows["accepted_rank"] = found.complete, found.accepted, found.rank
    made = _split(rows, settings, [PRIMARY, *companions])
    figures = dataset_statistics(rows, dict(sorted(summaries.items())), shared, made)
    asked = settings.accept
    figures["accept"] = {
        "complete_asked": asked.complete, "periods": asked.periods, "number": asked.number, **found.figures,
    }  # fmt: skip
    write_json(statistics, figures, indent=1, sort_keys=True)
    public = gpd.GeoDataFrame(
        rows[[name for name in rows if not name.startswith(INTERNAL)]], geometry="geometry", crs=4326
    )
    described = {
        **shared, "format": FORMAT, "dataset": settings.dataset, "split": made, "tiles": sorted(summaries),
        "periods": sorted(figures["periods"]),
    }  # fmt: skip
    write_table(public, index, described)
    write_json(collection, _collection(public, described, figures["companions"]), indent=1, sort_keys=True)
    if len(rows) and not figures["patches"]:
        log.warning(
            "no cell has imagery: see selection.parquet of the tiles' periods, or the report, for what was refused and why"
        )
    log.info("%d cells, %d patches", len(rows), figures["patches"])


def _no_cell(documents: Sequence[dict[str, Any]]) -> str:
    """Why no tile has a cell: what became of the candidates, and the mend."""
    lost: Counter[str] = Counter()
    for document in documents:
        for summary in document["tiles"].values():
            lost.update(summary["cells"])
    if lost["no_ground_truth"]:
        return (
            f"no cell is left: no feature of the label set that cells.labelled_by names meets any of the {lost['no_ground_truth']} cells in "
            "the AOI: is its source of another place, or its CRS wrong? Mend it, move aoi, or leave cells.labelled_by out"
        )
    told = ", ".join(f"{name} {count}" for name, count in lost.items() if count and name not in ("candidates", "kept"))
    return f"the AOI holds no whole cell (of {lost['candidates']} candidates: {told or 'none'}): enlarge aoi, or lower cells.size_m or the filters under cells"


def _split(rows: gpd.GeoDataFrame, settings: IndexSettings, collections: list[str]) -> dict[str, Any]:
    """Add the column `split`, of accepted cells, and what splits by year have beside it; how it was made, with the audit.

    Raises:
        TilewrightError: where the audit finds what two splits share, and is to fail.
    """
    accepted = rows["accepted"].to_numpy()
    cells = rows[accepted]
    rows["split"] = NO_SPLIT
    names, outcome = split(cells, settings)
    rows.loc[accepted, "split"] = names
    if outcome.reason:
        log.warning("split by block instead of tile: %s", outcome.reason)
    if outcome.unmapped:
        log.warning("split.column: %d cells are in no split, their value being none that was named", sum(outcome.unmapped.values()))  # fmt: skip
    for column, counts in split_dates(rows, outcome.years or {}, collections).items():
        rows[column] = np.where(accepted, counts, 0).astype(np.int32)
    found = audit(cells, names, settings, outcome, collections)
    return {
        **dataclasses.asdict(outcome), "asked": settings.split.by, "shares": settings.split.shares.model_dump(), "audit": found,
    }  # fmt: skip


def _collection(
    rows: gpd.GeoDataFrame, described: dict[str, Any], companions: dict[str, dict[str, int]]
) -> dict[str, Any]:
    """The dataset's STAC collection, with the index as its asset."""
    paired = "".join(f", {each['patches']} of {name}" for name, each in companions.items())
    told = f"{len(rows)} cells with {int(rows['dates'].sum())} patches{paired}, made by tilewright."
    name = str(described["dataset"])
    return collection_document(rows, name, name, told, described) | {
        "links": [],
        "assets": {
            "index": {"href": "index.parquet", "type": "application/vnd.apache.parquet", "roles": ["data"], "title": "A row a cell"},
            "report": {"href": "report.html", "type": "text/html", "roles": ["overview"], "title": "Report"},
        },
    }  # fmt: skip
