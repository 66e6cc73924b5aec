"""index: all zones as one table with splits, the dataset's statistics, and its STAC collection."""

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from tilewright.acceptance import accept
from tilewright.collection import collection_document
from tilewright.config.bands import PRIMARY
from tilewright.config.settings import IndexSettings
from tilewright.errors import TilewrightError
from tilewright.splits import NO_SPLIT, split
from tilewright.stages.zone import INTERNAL
from tilewright.statistics import dataset_statistics, summed
from tilewright.store import read_table, replacing, table_metadata, write_table

log = logging.getLogger(__name__)

FORMAT = "tilewright-index-2"


def make_index(zones: Sequence[Path], settings: IndexSettings, index: Path, statistics: Path, collection: Path) -> None:
    """Write `index.parquet` (a row a cell, by tile and cell), `statistics.json` and `collection.json`.

    Raises:
        TilewrightError: where no cell was made at all.
    """
    parts = [read_table(path) for path in zones]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if rows.empty:
        raise TilewrightError(
            "the AOI holds no whole cell: enlarge aoi, or lower cells.size_m or the filters under cells"
        )
    rows = rows.sort_values(["tile", "grid", "row", "col", "cell_id"], kind="stable", ignore_index=True)
    documents = [table_metadata(path) for path in zones]
    summaries: dict[str, Any] = {tile: summary for document in documents for tile, summary in document["tiles"].items()}
    shared = {key: value for key, value in documents[0].items() if key != "tiles"}
    for name in shared.get("labels", {}):
        # without a year in any zone the column comes back as numbers
        rows[f"{name}_year"] = rows[f"{name}_year"].astype("Int16")
    periods = summed(summaries)
    companions = [name for name in shared["collections"] if name != PRIMARY]
    found = accept(rows, settings.accept, settings.seed, periods, companions)
    rows["complete"], rows["accepted"], rows["accepted_rank"] = found.complete, found.accepted, found.rank
    rows["split"] = NO_SPLIT
    rows.loc[found.accepted, "split"], outcome = split(rows[found.accepted], settings)
    if outcome.reason:
        log.warning("split by block instead of tile: %s", outcome.reason)
    made = {**dataclasses.asdict(outcome), "asked": settings.split.by, "shares": settings.split.shares.model_dump()}
    figures = dataset_statistics(rows, dict(sorted(summaries.items())), shared, made)
    figures["accept"] = {**settings.accept.model_dump(), **found.figures}
    _write_json(statistics, figures)
    public = gpd.GeoDataFrame(
        rows[[name for name in rows if not name.startswith(INTERNAL)]], geometry="geometry", crs=4326
    )
    described = {
        **shared, "format": FORMAT, "dataset": settings.dataset, "split": made, "tiles": sorted(summaries),
        "periods": sorted(figures["periods"]),
    }  # fmt: skip
    write_table(public, index, described)
    _write_json(collection, _collection(public, described, figures["companions"]))
    if len(rows) and not figures["patches"]:
        log.warning(
            "no cell has imagery: see selection.parquet of the tiles' periods, or the report, for what was refused and why"
        )
    log.info("%d cells, %d patches", len(rows), figures["patches"])


def _write_json(path: Path, document: dict[str, Any]) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


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
