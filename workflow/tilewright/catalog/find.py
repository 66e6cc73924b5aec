"""All items of one tile and time span, from a STAC API (pystac-client) or a local catalog."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from tilewright.catalog.scene import item_tile
from tilewright.config.provider import Provider, ProviderCollection
from tilewright.errors import TilewrightError
from tilewright.grid import Tile

# Waiting, for the whole answer, before a request counts as failed; and how often a failed one is asked again, with
# doubling waits: about two minutes in all, which rides out the throttling that Earth Search answers with.
_TIMEOUT_S = 60
_RETRIES = 7


def find_items(provider: Provider, key: str, tile: Tile, start: date, end: date) -> list[dict[str, Any]]:
    """Raw STAC items of collection `key` in `tile` from `start` to `end` (days, UTC, both included).

    Sorted by time and id, each id once, asset hrefs made absolute or relative to the working directory. Items stay raw
    dicts: pystac would migrate proj:epsg to proj:code, which stackstac does not know.

    Raises:
        TilewrightError: where the source cannot be read whole; never a part of the answer.
    """
    collection = provider.collections[key]
    if provider.kind == "local":
        found = _local(Path(provider.path or ""), collection)
    else:
        found = _api(provider, collection, tile, start, end)
    items: dict[str, dict[str, Any]] = {}
    for item in found:
        try:
            wanted = item_tile(item) == tile.name and _within(item, start, end)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TilewrightError(
                f"item {item.get('id')} of {provider.path or provider.url}: names no tile and time that can be read ({error!r}); "
                "mend or leave out the item"
            ) from None
        if wanted:
            items.setdefault(item["id"], _without_nulls(item))
    return sorted(items.values(), key=lambda item: (item_time(item), item["id"]))


def _without_nulls(item: dict[str, Any]) -> dict[str, Any]:
    """Null says the same as nothing, and stac-geoparquet gives every item the fields of all."""

    def told(fields: dict[str, Any] | None) -> dict[str, Any]:
        return {name: value for name, value in (fields or {}).items() if value is not None}

    assets = {name: told(asset) for name, asset in told(item.get("assets")).items() if isinstance(asset, dict)}
    return {**item, "properties": told(item["properties"]), "assets": assets}


def item_time(item: dict[str, Any]) -> datetime:
    """An item's time in UTC."""
    properties = item["properties"]
    stamp = properties.get("datetime") or properties["start_datetime"]
    time = stamp if isinstance(stamp, datetime) else datetime.fromisoformat(str(stamp))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _within(item: dict[str, Any], start: date, end: date) -> bool:
    return start <= item_time(item).date() <= end


def _local(path: Path, collection: ProviderCollection) -> Iterator[dict[str, Any]]:
    """Items of one collection in an ItemCollection JSON or a stac-geoparquet file."""
    if not path.is_file():
        raise TilewrightError(
            f"catalog {path}: no such file; name an ItemCollection (.json) or stac-geoparquet (.parquet)"
        )
    items = _from_geoparquet(path) if path.suffix == ".parquet" else _from_json(path)
    held = [item for item in items if item.get("collection") == collection.id]
    if not held:
        others = sorted({str(item.get("collection")) for item in items})
        raise TilewrightError(
            f"catalog {path}: holds no item of collection {collection.id} (it has: {', '.join(others) or 'no items at all'})"
        )
    for item in held:
        for asset in (item.get("assets") or {}).values():
            if isinstance(asset, dict) and isinstance(asset.get("href"), str):
                asset["href"] = _resolved(asset["href"], path)
        yield item


def _resolved(href: str, catalog: Path) -> str:
    """A relative href, made relative to the working directory as the catalog's own path is."""
    if urlparse(href).scheme or Path(href).is_absolute():
        return href
    # not urljoin, which drops the dots of a base that begins with "../"
    return os.path.normpath(catalog.parent / href)


def _from_json(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text())
        items = document["features"]
        for item in items:
            item["id"], item["properties"], item["geometry"]  # what every item must have
    except (ValueError, KeyError, TypeError) as error:
        raise TilewrightError(
            f"catalog {path}: is not a STAC ItemCollection ({error!r}); mend or replace the file"
        ) from None
    return items


def _from_geoparquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from stac_geoparquet.arrow import stac_table_to_items

    try:
        return list(stac_table_to_items(pq.read_table(path)))
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        raise TilewrightError(f"catalog {path}: is not stac-geoparquet ({error}); mend or replace the file") from None


def _api(
    provider: Provider, collection: ProviderCollection, tile: Tile, start: date, end: date
) -> Iterator[dict[str, Any]]:
    """Every item that the API has, page by page in its default order (sorting by the server can lose items)."""
    import pystac
    import requests
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from pystac_client.warnings import DoesNotConformTo
    from urllib3.util import Retry

    class WholeAnswers(StacApiIO):
        """pystac-client takes any JSON without features for "nothing found": a document of an error must not pass as that."""

        def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
            document = super().read_json(source, *args, **kwargs)
            if not isinstance(document, dict) or not {"features", "stac_version"} & set(document):
                raise APIError(f"the answer is no STAC document: {json.dumps(document)[:200]}")
            return document

    retries = Retry(
        total=_RETRIES, backoff_factor=1, backoff_jitter=1, status_forcelist=[403, 429, 500, 502, 503, 504],
        allowed_methods=None, raise_on_status=False,
    )  # fmt: skip
    options: dict[str, Any] = {}
    if provider.tile_query:
        # Both spellings are found: zones padded with a zero or not.
        names = sorted({f"MGRS-{tile.name}", f"MGRS-{tile.name.lstrip('0')}"})
        options["query"] = {"grid:code": {"in": names}}
    try:
        client = Client.open(str(provider.url), stac_io=WholeAnswers(max_retries=retries, timeout=_TIMEOUT_S))
        for box in lonlat_boxes(tile):
            search = client.search(
                collections=[collection.id], bbox=list(box), limit=provider.page_size,
                datetime=f"{start}T00:00:00Z/{end + timedelta(days=1)}T00:00:00Z", **options,
            )  # fmt: skip
            matched, ids = None, set()
            for page in search.pages_as_dicts():
                matched = page.get("numberMatched") if matched is None else matched
                ids |= {item["id"] for item in page["features"]}
                yield from page["features"]
            if isinstance(matched, int) and len(ids) < matched:
                raise APIError(f"it gave {len(ids)} of the {matched} items that it says match")
    except (APIError, DoesNotConformTo, requests.RequestException, ValueError, pystac.STACTypeError) as error:
        raise TilewrightError(
            f"tile {tile.name}, {start} to {end}: search of {collection.id} at {provider.url} failed, retries "
            f"included ({' '.join(str(error).split())[:300]}); nothing was written: run again later, or mend the provider's url"
        ) from error


def lonlat_boxes(tile: Tile) -> list[tuple[float, float, float, float]]:
    """The tile's west, south, east, north in degrees; two boxes where it crosses the antimeridian."""
    from pyproj import Transformer

    west, south, east, north = Transformer.from_crs(tile.epsg, 4326, always_xy=True).transform_bounds(*tile.bounds)
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]
