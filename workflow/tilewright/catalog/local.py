"""Items of a local catalog: an ItemCollection in JSON, or stac-geoparquet, which may hold several collections."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlparse

from tilewright.errors import TilewrightError

Item = dict[str, Any]

# The property under which `tilewright freeze` keeps the raw item as JSON text: one schema of columns cannot hold the items
# of all catalogs exactly.
FROZEN_ITEM: Final = "tilewright:item"
# Under this it keeps, with each collection, the tiles and spans of days that were searched (by tile, where they differ): of others it
# knows nothing.
SEARCHED: Final = "tilewright:searched"


def local_items(path: Path, collection_id: str, start: date, end: date, tile: str | None = None) -> list[Item]:
    """The items of one collection; of a stac-geoparquet those near the days asked for, which spares reading the others.

    Hrefs that are relative to the catalog are made relative to the working directory.

    Args:
        tile: for which they are asked for.

    Raises:
        TilewrightError: where the file cannot be read, holds nothing of the collection, or was frozen from searches of other
            tiles or days.
    """
    if not path.is_file():
        raise TilewrightError(
            f"catalog {path}: no such file; name an ItemCollection (.json) or stac-geoparquet (.parquet)"
        )
    if path.suffix == ".parquet":
        held, others = _from_geoparquet(path, collection_id, start, end, tile)
    else:
        held, others = _from_json(path, collection_id)
    if collection_id not in others:
        raise TilewrightError(
            f"catalog {path}: holds no item of collection {collection_id} (it has: {', '.join(others) or 'no items at all'}); "
            "mend its `id` in the provider's collections"
        )
    for item in held:
        for asset in (item.get("assets") or {}).values():
            if isinstance(asset, dict) and isinstance(asset.get("href"), str):
                asset["href"] = _resolved(asset["href"], path)
    return held


def _resolved(href: str, catalog: Path) -> str:
    """A relative href, made relative to the working directory as the catalog's own path is."""
    if urlparse(href).scheme or Path(href).is_absolute():
        return href
    # not urljoin, which drops the dots of a base that begins with "../"
    return os.path.normpath(catalog.parent / href)


def _from_json(path: Path, collection_id: str) -> tuple[list[Item], list[str]]:
    """The collection's items, and all collections that the file has."""
    try:
        items = json.loads(path.read_text())["features"]
        for item in items:
            item["id"], item["properties"], item["geometry"]  # what every item must have
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TilewrightError(
            f"catalog {path}: is not a STAC ItemCollection ({error!r}); mend or replace the file"
        ) from None
    others = sorted({str(item.get("collection")) for item in items})
    return [item for item in items if item.get("collection") == collection_id], others


def _from_geoparquet(
    path: Path, collection_id: str, start: date, end: date, tile: str | None
) -> tuple[list[Item], list[str]]:
    """As `_from_json`; collections that the file's metadata describe count as held, also where they have no item.

    The days are widened, and kept where the time is null: items are judged one by one in any case.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        source = ds.dataset(path, format="parquet")
        names = source.to_table(columns=["collection"]).column("collection").unique()
        wanted = ds.field("collection") == collection_id
        kind = source.schema.field("datetime").type
        if pa.types.is_timestamp(kind):
            day = timedelta(days=1)
            first, last = (
                pa.scalar(datetime(edge.year, edge.month, edge.day, tzinfo=UTC if kind.tz else None), kind)
                for edge in (start - day, end + 2 * day)
            )
            time = ds.field("datetime")
            wanted &= ((time >= first) & (time <= last)) | time.is_null()
        table = source.to_table(filter=wanted)
        items = [_thawed(item, path) for item in stac_table_to_items(table)]
        about = json.loads((source.schema.metadata or {}).get(b"stac-geoparquet", b"{}")).get("collections") or {}
        _check_searched(about.get(collection_id) or {}, path, start, end, tile)
        return items, sorted({*map(str, names.to_pylist()), *about})
    except (pa.ArrowException, OSError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TilewrightError(f"catalog {path}: is not stac-geoparquet ({error}); mend or replace the file") from None


def _check_searched(collection: Item, path: Path, start: date, end: date, tile: str | None) -> None:
    """A frozen catalog knows nothing of what its searches did not ask for: that must not look like nothing there."""
    searched = collection.get(SEARCHED)
    if searched is None:
        return
    mend = "search a catalog that has it, or freeze a dataset that has"
    if tile is not None and tile not in searched["tiles"]:
        raise TilewrightError(f"catalog {path}: was frozen from searches of other tiles than {tile}: {mend} this tile")
    asked = start
    days = searched["days"]
    if isinstance(days, dict):
        days = days[tile] if tile is not None else [span for each in days.values() for span in each]
    spans = [(date.fromisoformat(first), date.fromisoformat(last)) for first, last in days]
    for first, last in sorted(spans):
        if first <= asked <= last:
            asked = last + timedelta(days=1)
    if asked <= end:
        raise TilewrightError(
            f"catalog {path}: was frozen from searches of other days of {collection['id']} than {start} to {end}, without {asked}: "
            f"{mend} these days"
        )


def _thawed(item: Item, path: Path) -> Item:
    """The raw item that a frozen one holds; any other as it is."""
    kept = (item.get("properties") or {}).get(FROZEN_ITEM)
    if kept is None:
        return item
    raw: Item = json.loads(kept)
    if _hrefs(raw) != _hrefs(item):
        raise TilewrightError(
            f"catalog {path}: item {item.get('id')}: its assets' hrefs are not those of its property {FROZEN_ITEM}: drop the "
            f"column {FROZEN_ITEM} to use the columns"
        )
    return raw


def _hrefs(item: Item) -> dict[str, Any]:
    assets = item.get("assets") or {}
    return {name: asset["href"] for name, asset in assets.items() if isinstance(asset, dict) and asset.get("href")}
