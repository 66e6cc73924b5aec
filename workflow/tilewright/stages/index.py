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
    credits = [*_image_credits(shared["collections"]), *_label_credits(shared.get("labels", {}))]
    _write_json(collection, _collection(public, settings.dataset, figures["companions"], " ".join(credits)))
    if len(rows) and not figures["patches"]:
        log.warning(
            "no cell has imagery: see selection.parquet of the tiles' periods, or the report, for what was refused and why"
        )
    log.info("%d cells, %d patches", len(rows), figures["patches"])


def _write_json(path: Path, document: dict[str, Any]) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _bbox(rows: gpd.GeoDataFrame) -> list[float]:
    """West, south, east, north; west > east where the cells lie on both sides of the antimeridian (RFC 7946)."""
    west, south, east, north = rows.total_bounds
    if east - west > 180:
        # footprints across ±180 are cut there, so the centres tell the sides
        west, east = rows.loc[rows["lon"] > 0].total_bounds[0], rows.loc[rows["lon"] <= 0].total_bounds[2]
    return [round(float(value), 7) for value in (west, south, east, north)]


def _image_credits(collections: dict[str, Any]) -> list[str]:
    """How the imagery is to be credited, each line once."""
    return list(dict.fromkeys(str(about["attribution"]) for about in collections.values() if about.get("attribution")))


def _label_credits(labels: dict[str, Any]) -> list[str]:
    """A sentence for each licence of the label sets' sources: OpenStreetMap's must be told wherever the data are."""
    under: dict[str, list[str]] = {}
    for name, about in sorted(labels.items()):
        under.setdefault(str(about.get("licence") or "licence not stated"), []).append(name)
    return [f"Labels {', '.join(names)}: {licence}." for licence, names in under.items()]


def _collection(
    rows: gpd.GeoDataFrame, dataset: str, companions: dict[str, dict[str, int]], attribution: str
) -> dict[str, Any]:
    """The dataset as a STAC 1.0 collection, with the index as its asset."""
    paired = "".join(f", {each['patches']} of {name}" for name, each in companions.items())
    dated = rows[rows["dates"] > 0]
    interval: list[str | None] = [None, None]
    if len(dated):
        interval = [f"{dated['first_date'].min():%Y-%m-%dT%H:%M:%SZ}", f"{dated['last_date'].max():%Y-%m-%dT%H:%M:%SZ}"]
    return {
        "type": "Collection", "stac_version": "1.0.0", "id": dataset, "title": dataset,
        "description": f"{len(rows)} cells with {int(rows['dates'].sum())} patches{paired}, made by tilewright. {attribution}",
        "license": "various",
        "extent": {
            "spatial": {"bbox": [_bbox(rows)]},
            "temporal": {"interval": [interval]},
        },
        "links": [],
        "assets": {
            "index": {"href": "index.parquet", "type": "application/vnd.apache.parquet", "roles": ["data"], "title": "A row a cell"},
            "report": {"href": "report.html", "type": "text/html", "roles": ["overview"], "title": "Report"},
        },
    }  # fmt: skip
