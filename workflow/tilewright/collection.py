"""A dataset as a STAC collection: what the index and the exports say of it alike. Pure functions."""

import re
from typing import Any, Final

import geopandas as gpd

from tilewright import __version__
from tilewright.config.bands import COLLECTION_BANDS

STAC_VERSION: Final = "1.1.0"
# Licences' texts that are an SPDX identifier, said in their way or in words, and perhaps what it is of: "CC0-1.0 (simulated pixels)".
_SPDX: Final = re.compile(
    r"(?:© OpenStreetMap contributors, )?(CC0|CC[- ]BY(?:-SA|-NC|-ND)*|ODbL|PDDL)[- ](\d\.\d)(?: \([^()]*\))?"
)


def collection_document(
    rows: gpd.GeoDataFrame, identifier: str, title: str, description: str, described: dict[str, Any]
) -> dict[str, Any]:
    """A STAC 1.1 collection without links and assets.

    Args:
        rows: the cells of it, as in the index.
        description: what it is, as a sentence or two; how it is to be credited is appended.
        described: what the index's metadata say of collections and label sets.
    """
    collections, labels = described.get("collections", {}), described.get("labels", {})
    return {
        "type": "Collection", "stac_version": STAC_VERSION, "id": identifier, "title": title,
        "description": " ".join([description, *image_credits(collections), *label_credits(labels)]),
        "license": licence_of(described), "keywords": ["Sentinel", "machine learning", *sorted(collections), *sorted(labels)],
        "providers": _providers(collections, str(described.get("software", f"tilewright {__version__}"))),
        "extent": {"spatial": {"bbox": [bbox(rows)]}, "temporal": {"interval": [interval(rows)]}},
        "summaries": {
            "gsd": sorted({step for name in collections for step in COLLECTION_BANDS.get(name, {}).values()}),
            "proj:code": [f"EPSG:{code}" for code in sorted(set(map(int, rows["epsg"])))],
        },
    }  # fmt: skip


def bbox(rows: gpd.GeoDataFrame) -> list[float]:
    """West, south, east, north; west > east where the cells lie on both sides of the antimeridian (RFC 7946)."""
    west, south, east, north = rows.total_bounds
    if east - west > 180:
        # footprints across ±180 are cut there, so the centres tell the sides
        west, east = rows.loc[rows["lon"] > 0].total_bounds[0], rows.loc[rows["lon"] <= 0].total_bounds[2]
    return [round(float(value), 7) for value in (west, south, east, north)]


def interval(rows: gpd.GeoDataFrame) -> list[str | None]:
    """First and last moment of the imagery, as RFC 3339; None twice where there is none."""
    dated = rows[rows["dates"] > 0]
    if dated.empty:
        return [None, None]
    return [f"{dated['first_date'].min():%Y-%m-%dT%H:%M:%SZ}", f"{dated['last_date'].max():%Y-%m-%dT%H:%M:%SZ}"]


def image_credits(collections: dict[str, Any]) -> list[str]:
    """How the imagery is to be credited, each line once."""
    return list(dict.fromkeys(str(about["attribution"]) for about in collections.values() if about.get("attribution")))


def label_credits(labels: dict[str, Any]) -> list[str]:
    """A sentence for each licence of the label sets' sources: OpenStreetMap's must be told wherever the data are."""
    under: dict[str, list[str]] = {}
    for name, about in sorted(labels.items()):
        under.setdefault(str(about.get("licence") or "licence not stated"), []).append(name)
    return [f"Labels {', '.join(names)}: {licence}." for licence, names in under.items()]


def licence_of(described: dict[str, Any]) -> str:
    """The one SPDX identifier that every part is under; `other` where they differ, or one has none."""
    parts = [*described.get("collections", {}).values(), *described.get("labels", {}).values()]
    found = {spdx(str(part.get("licence", ""))) for part in parts}
    return found.pop() or "other" if len(found) == 1 else "other"


def spdx(licence: str) -> str:
    """The SPDX identifier that a licence's text is; empty where it is something else or more."""
    told = _SPDX.fullmatch(licence)
    return f"{told[1].replace(' ', '-')}-{told[2]}" if told else ""


def _providers(collections: dict[str, Any], software: str) -> list[dict[str, Any]]:
    """The catalogs that imagery was read from, and what made the dataset of it."""
    read: dict[str, list[str]] = {}
    for name, about in collections.items():
        read.setdefault(str(about.get("provider") or "unknown"), []).append(name)
    found: list[dict[str, Any]] = [
        {"name": provider, "description": f"Catalog that {', '.join(names)} was read from"} for provider, names in read.items()
    ]  # fmt: skip
    return [*found, {"name": "tilewright", "description": software, "roles": ["processor"]}]
