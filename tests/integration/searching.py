"""Small items on tiles, a provider of them, and searches for them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tilewright.catalog.api import Patience
from tilewright.catalog.find import find_items
from tilewright.catalog.places import Box, lonlat_boxes
from tilewright.config.provider import Provider
from tilewright.grid import tile

Item = dict[str, Any]

START, END = date(2021, 1, 1), date(2021, 12, 31)
QUICK = Patience(wait_s=0.005, longest_s=0.02, asked_s=0.05, silence_s=0.2, answer_s=2.0)


def item_of(name: str, day: date, number: int = 0, collection: str = "sentinel-2-l2a", **properties: Any) -> Item:
    """One item of a tile, taken at ten o'clock and some seconds."""
    edges = lonlat_boxes(tile(name))[0]
    stamp = datetime(day.year, day.month, day.day, 10, tzinfo=UTC) + timedelta(seconds=number)
    code = f"MGRS-{name.lstrip('0')}"
    scene = f"S2A_{name.lstrip('0')}_{day:%Y%m%d}_{number}_L2A"
    assets = {name: {"href": f"{scene}/{name}.tif", "type": "image/tiff"} for name in ("blue", "scl")}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": scene, "collection": collection, "bbox": list(edges),
        "geometry": box(*edges), "links": [], "assets": assets,
        "properties": {"datetime": stamp.isoformat().replace("+00:00", "Z"), "grid:code": code, "eo:cloud_cover": 9.5, **properties},
    }  # fmt: skip


def year_of(name: str, count: int, **properties: Any) -> list[Item]:
    """Items of a tile, evenly over 2021."""
    return [item_of(name, START + timedelta(days=number * 365 // count), **properties) for number in range(count)]


def provider(url: str, key: str = "s2_l2a", page_size: int = 100, parallel: int = 4, **collection: Any) -> Provider:
    """A provider of one collection."""
    radar = {"radiometry": "amplitude", "mask": "pixels", "assets": {"VV": "vv"}} if key.startswith("s1") else {}
    held = {
        "id": "sentinel-2-l2a", "assets": {"B02": "blue", "SCL": "scl"}, "radiometry": "harmonised",
        "filter": {"by": "query"}, **radar, **collection,
    }  # fmt: skip
    about = {"licence": "x", "attribution": "y", "page_size": page_size, "parallel": parallel}
    return Provider.model_validate({"kind": "api", "url": url, "collections": {key: held}, **about})


def search(of: Provider, name: str = "32TNT", start: date = START, end: date = END) -> list[Item]:
    """What a search gives."""
    (key,) = of.collections
    return find_items(of, key, tile(name), start, end)


def ids(items: Sequence[Item]) -> list[str]:
    return [item["id"] for item in items]


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """A GeoJSON rectangle; corners are joined as they are written, also across the antimeridian."""
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def boxes(name: str) -> list[Box]:
    return lonlat_boxes(tile(name))
