"""All items of one tile and span of days, from a STAC API or a local catalog."""

import logging
from datetime import date
from pathlib import Path
from typing import Any

from tilewright.catalog.fields import item_tile, item_time
from tilewright.catalog.local import local_items
from tilewright.catalog.places import lonlat_boxes, may_meet, tile_outline
from tilewright.config.bands import RADAR
from tilewright.config.provider import Provider, ProviderCollection
from tilewright.errors import TilewrightError
from tilewright.grid import Tile

log = logging.getLogger(__name__)

Item = dict[str, Any]


class _Wanted:
    """What an item must be: of the collection, the days, and the tile; radar scenes are of no tile, and must meet its ground."""

    def __init__(self, key: str, collection: ProviderCollection, tile: Tile, start: date, end: date) -> None:
        self._collection, self._tile, self._start, self._end = collection, tile, start, end
        self._outline = tile_outline(tile) if key in RADAR else None

    def near(self, item: Item) -> bool:
        """Whether the collection and the days are right."""
        same = item.get("collection", self._collection.id) == self._collection.id
        return same and self._start <= item_time(item).date() <= self._end

    def here(self, item: Item) -> bool:
        """Whether the place is right."""
        if self._outline is not None:
            return may_meet(item, self._outline)
        return item_tile(item, self._collection.fields) == self._tile.name

    def nameless(self, item: Item) -> bool:
        """Whether the item should name a tile, and names none."""
        return self._outline is None and item_tile(item, self._collection.fields) is None


def find_items(
    provider: Provider, key: str, tile: Tile, start: date, end: date, parallel: int | None = None
) -> list[Item]:
    """Raw STAC items of collection `key` in `tile` from `start` to `end` (days, UTC, both included).

    Sorted by time and id, each id once, hrefs of local catalogs made relative to the working directory. Items stay raw
    dicts: pystac would migrate proj:epsg to proj:code, which stackstac does not know. Radar items are those whose
    footprint meets the tile. Every item is checked here, whatever the API says it filters.

    Args:
        parallel: requests that all processes may have under way at the API; as the provider says where None.

    Raises:
        TilewrightError: where the source cannot be read whole; never a part of the answer.
    """
    collection = provider.collections[key]
    wanted = _Wanted(key, collection, tile, start, end)
    source = str(provider.path) if provider.kind == "local" else _shown(str(provider.url))
    if provider.kind == "local":
        found = local_items(Path(provider.path or ""), collection.id, start, end, tile.name)
    else:
        found = _asked(provider, key, tile, start, end, parallel or provider.parallel, wanted)
    items: dict[str, Item] = {}
    strangers, nameless = 0, []
    for item in found:
        try:
            near, here = wanted.near(item), wanted.here(item)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise TilewrightError(
                f"item {item.get('id')} of {source}: names no tile and time that can be read ({error!r}); "
                "mend or leave out the item"
            ) from None
        strangers += near and not here
        nameless += [str(item["id"])] if near and wanted.nameless(item) else []
        if near and here:
            items.setdefault(item["id"], _without_nulls(item))
    if nameless:
        told = (
            f"{source}: {len(nameless)} items of {collection.id} name no tile, such as {min(nameless)}: say under the provider's "
            f"collections.{key}.fields.tile which property names it"
        )
        if len(nameless) == strangers and not items:  # scenes that nobody can place are not the same as no scenes
            raise TilewrightError(told)
        log.warning("%s", told)
    if strangers and provider.kind == "api" and collection.filter is not None and key not in RADAR:
        log.warning("%s ignores the filter of tiles: %d items of other tiles came, too", source, strangers)
    return sorted(items.values(), key=lambda item: (item_time(item), item["id"]))


def _asked(
    provider: Provider, key: str, tile: Tile, start: date, end: date, parallel: int, wanted: _Wanted
) -> list[Item]:
    """What the API has, in the server's order."""
    from tilewright.catalog.api import Api, ApiError
    from tilewright.catalog.spans import SpanSearch, merged

    collection = provider.collections[key]
    found: dict[tuple[str, str], Item] = {}
    try:
        search = SpanSearch(Api(str(provider.url), parallel), collection, provider.page_size)
        for box in lonlat_boxes(tile):
            merged(found, search.items(box, None if key in RADAR else tile, start, end).values())
        if not found and collection.filter is not None and key not in RADAR:
            _doubt(search, tile, start, end, wanted)
    except ApiError as error:
        raise TilewrightError(
            f"tile {tile.name}, {start} to {end}: search of {collection.id} at {_shown(str(provider.url))} failed: "
            f"{error}; nothing was written: {error.mend}"
        ) from error
    return list(found.values())


def _doubt(search: Any, tile: Tile, start: date, end: date, wanted: _Wanted) -> None:
    """Nothing at all was found by the tile's filter: that must not be for a filter that finds nothing ever."""
    from tilewright.catalog.api import ApiError

    for box in lonlat_boxes(tile):
        for item in search.some(box, start, end):
            try:
                missed = wanted.near(item) and wanted.here(item)
            except (AttributeError, LookupError, TypeError, ValueError):
                continue
            if missed:
                raise ApiError(
                    f"its filter of tiles finds nothing, although it has {item.get('id')}",
                    "mend or leave out the collection's filter (by, property, values)",
                )


def _shown(url: str) -> str:
    """A URL as messages may show it: without user, password and query, which may be keys."""
    from tilewright.catalog.api import shown

    return shown(url)


def _without_nulls(item: Item) -> Item:
    """Null says the same as nothing, and stac-geoparquet gives every item the fields of all."""
    told = {name: _told(item.get(name) or {}) for name in ("properties", "assets")}
    assets = {name: asset for name, asset in told["assets"].items() if isinstance(asset, dict)}
    return {**item, "properties": told["properties"], "assets": assets}


def _told(value: Any) -> Any:
    """Without the nulls of mappings, however deep."""
    if isinstance(value, dict):
        return {name: _told(inner) for name, inner in value.items() if inner is not None}
    return [_told(inner) for inner in value] if isinstance(value, list) else value
