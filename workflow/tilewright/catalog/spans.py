"""All items of one collection, box and span of days from a STAC API, whole: a span that cannot be had in one is halved."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pystac
from pystac.link import Link
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.warnings import DoesNotConformTo

from tilewright.catalog.api import Api, ApiError, TooMuchError
from tilewright.catalog.fields import item_time
from tilewright.catalog.places import Box, may_meet_box
from tilewright.config.provider import ProviderCollection
from tilewright.grid import Tile

log = logging.getLogger(__name__)

# Servers' numbers of matches are exact below this: OpenSearch may stop counting at 10,000, pgstac estimates above 100,000.
_COUNTED: Final = 10_000
# Servers count time in milliseconds or less; a check of what they answer must not be finer than they are.
_SLACK: Final = timedelta(seconds=1)
# What pystac, pystac-client and we raise on documents that are not as STAC wants them.
_UNREADABLE: Final = (APIError, pystac.STACError, AttributeError, LookupError, TypeError, ValueError)
_STALE: Final = 3  # pages in a row without a new item, after which the server is going round in a circle

Item = dict[str, Any]
Items = dict[tuple[str, str], Item]  # by collection and id


class _ShortError(ApiError):
    """Paging lost items, or may have."""


class SpanSearch:
    """Searches of one collection of one API."""

    def __init__(self, api: Api, collection: ProviderCollection, page_size: int) -> None:
        """Read the API's root document.

        Raises:
            ApiError: where it has no search.
        """
        self._api, self._collection, self._page_size = api, collection, page_size
        try:
            self._client = Client.open(api.root, stac_io=api)
            if self._client.get_search_link() is not None:
                self._client.add_conforms_to("ITEM_SEARCH")  # Earth Search v0 lists nothing that it conforms to
            # POST is what Earth Search's own links ask for, and has room for filters; some APIs offer GET alone.
            methods = {link.extra_fields.get("method") for link in self._client.get_links("search")}
            self._method = "GET" if methods == {"GET"} else "POST"
            self._client.search(method=self._method, collections=[collection.id], limit=1)
        except (*_UNREADABLE, DoesNotConformTo, NotImplementedError) as error:
            if isinstance(error.__context__, ApiError):  # pystac reads the link to the root, and hides what that raised
                raise error.__context__ from None
            words = f"its root document is none of a STAC API ({_words(error)})"
            raise ApiError(words, "mend the provider's url") from None

    def items(self, box: Box, tile: Tile | None, first: date, last: date) -> Items:
        """The items by id.

        Args:
            box: degrees.
            tile: asked for by the collection's filter; None: all of the box.
            first, last: days, UTC, both included.

        Raises:
            ApiError: where they are not had whole.
        """
        wanted, size = self._collection.filter, self._page_size
        if wanted is None or tile is None:
            return self._span(box, {}, first, last, size)
        told = {"tile": tile.name, "unpadded": tile.name.lstrip("0")}
        values = sorted({value.format(**told) for value in wanted.values})
        name = wanted.property
        if wanted.by == "cql2":
            any_of = {"op": "in", "args": [{"property": name}, values]}
            return self._span(box, {"filter": any_of, "filter_lang": "cql2-json"}, first, last, size)
        if len(values) > 1:
            try:
                return self._span(box, {"query": {name: {"in": values}}}, first, last, size)
            except ApiError as error:
                if error.status != 400:  # pgstac knows no `in` there
                    raise
        found: Items = {}
        for value in values:
            merged(found, self._span(box, {"query": {name: {"eq": value}}}, first, last, size).values())
        return found

    def some(self, box: Box, first: date, last: date) -> list[Item]:
        """One page of what there is without the tile's filter."""
        for page in self._pages(box, {}, first, last, self._page_size):
            return page["features"]
        return []

    def _span(self, box: Box, options: dict[str, Any], first: date, last: date, limit: int) -> Items:
        try:
            return self._whole(box, options, first, last, limit)
        except TooMuchError as error:
            if first == last and limit == 1:
                raise
            log.warning("%s to %s, %d a page, is too much for the API (%s): asking for less", first, last, limit, error)
        except _ShortError as error:
            if first == last:
                raise
            log.warning("%s to %s: the API's pages are not whole (%s): asking for less", first, last, error)
        if first == last:
            return self._span(box, options, first, last, limit // 2)
        middle = first + (last - first) // 2
        found = self._span(box, options, first, middle, limit)
        return merged(found, self._span(box, options, middle + timedelta(days=1), last, limit).values())

    def _whole(self, box: Box, options: dict[str, Any], first: date, last: date, limit: int) -> Items:
        found: Items = {}
        matched: int | None = None
        repeats, full, stale = False, 0, 0
        for number, page in enumerate(self._pages(box, options, first, last, limit)):
            if number == 0:
                told = page.get("numberMatched", (page.get("context") or {}).get("matched"))
                matched = told if isinstance(told, int) and told <= _COUNTED else None
            before = len(found)
            merged(found, page["features"])
            repeats |= len(found) < before + len(page["features"])
            full += bool(page["features"])
            stale = 0 if len(found) > before else stale + 1
            if not page["features"] and (matched is None or len(found) >= matched):
                break  # Earth Search's last page
            if stale == _STALE:  # round in a circle, as by Element84/earth-search#27
                if matched is None:
                    raise _ShortError("its pages bring nothing new, and do not end")
                break
        if matched is not None and len(found) < matched:
            raise _ShortError(f"it gave {len(found)} of the {matched} items that it says match")
        if matched is None and repeats and full > 1:
            # no sure order of items: what came twice on several pages may stand for what did not come
            raise _ShortError("items came twice")
        return found

    def _pages(self, box: Box, options: Item, first: date, last: date, limit: int) -> Iterator[dict[str, Any]]:
        """Pages in the server's own order (asking for another can lose items), checked, as far as their links lead."""

        def search(limit: int, last: date) -> Any:
            return self._client.search(
                method=self._method, collections=[self._collection.id], bbox=list(box), limit=limit,
                datetime=f"{first}T00:00:00Z/{last + timedelta(days=1)}T00:00:00Z", **options,
            )  # fmt: skip

        try:
            asked, small = search(limit, last), search(1, first)
            least = limit == 1 and first == last
            self._api.small = None if least else (self._method, small.url, small.get_parameters())
            # Not pages_as_dicts, which says nothing of an empty page, not even how many items should have been on it.
            page = self._api.read_json(asked.url, method=self._method, parameters=asked.get_parameters())
            while True:
                self._check(page["features"], box, first, last)
                yield page
                onward = [link for link in page.get("links") or [] if link.get("rel") == "next"]
                if not onward:
                    return
                page = self._api.read_json(Link.from_dict(onward[0]), parameters=asked.get_parameters())
        except _UNREADABLE as error:
            raise ApiError(f"its pages cannot be read ({_words(error)})") from None
        finally:
            self._api.small = None

    def _check(self, features: list[Item], box: Box, first: date, last: date) -> None:
        """Notice an API that ignores what it was asked for, before paging through all that it has.

        Raises:
            ApiError: where nothing on a page is what was asked for.
        """
        met = {"collections": 0, "bbox": 0, "datetime": 0}
        for item in features:
            item["id"], item["properties"]  # without which it is no item
            meets = {
                "collections": item.get("collection", self._collection.id) == self._collection.id,
                "bbox": _readable(may_meet_box, item, box),
                "datetime": _readable(_may_be_of, item, first, last),
            }
            if all(meets.values()):
                return
            for name, true in meets.items():
                met[name] += true
        if features:
            least = min(met.values())
            ignored = " and ".join(name for name, count in met.items() if count == least)
            raise ApiError(
                f"it ignores the filter {ignored}: none of {len(features)} items on a page meets what was asked for",
                "name a provider whose API searches by collection, box and time",
            )


def merged(found: Items, more: Any) -> Items:
    """Add items to `found`, which is returned; of two of one name the later updated is kept."""
    for item in more:
        name = (str(item.get("collection")), str(item["id"]))
        if name not in found or _edition(found[name]) < _edition(item):
            found[name] = item
    return found


def _edition(item: Item) -> tuple[str, str]:
    return str(item["properties"].get("updated") or ""), json.dumps(item, sort_keys=True, default=str)


def _may_be_of(item: Item, first: date, last: date) -> bool:
    """Whether an API that was asked for these days may give the item: generous at the ends, and by its whole span."""
    properties, time = item["properties"], item_time(item)
    start, end = (
        item_time({"properties": {"datetime": properties[name]}}) if properties.get(name) else time
        for name in ("start_datetime", "end_datetime")
    )
    day = datetime(first.year, first.month, first.day, tzinfo=UTC) - _SLACK
    after = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1) + _SLACK
    return day <= max(time, end) and min(time, start) <= after


def _readable(meets: Any, item: Item, *asked: Any) -> bool:
    """Whether an item meets what was asked; one that cannot tell is judged later, and by name."""
    try:
        return bool(meets(item, *asked))
    except (AttributeError, KeyError, TypeError, ValueError, LookupError):
        return True


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
