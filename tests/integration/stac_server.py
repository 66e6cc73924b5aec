"""A STAC API on loopback that behaves as Earth Search does, its quirks included, and serves the scenes' files by HTTP Range.

What it takes from the real service (stac-server on OpenSearch and Lambda): 10 items a page unless `limit` says otherwise,
newest first, an opaque `next` token in the body of a POST link, a `next` link even on the last page, so that one more, empty
page follows; parameters that it does not know, `filter` among them, are ignored without a word (Element84/earth-search#62);
answers beyond 6 MB are a 502 (#17, #60); sorting by other than the default has no tie-breaker, so that pages repeat and lose
items (stac-server#608); numbers that are asked for as texts are compared as texts. Faults are put in by hand, path by path,
or dealt out by a plan.
"""

import base64
import copy
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fault_plan import FaultPlan
from standin_app import AppStandIn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Item = dict[str, Any]

_CORE = "https://api.stacspec.org/v1.0.0"
_CONFORMS = [
    f"{_CORE}/core", f"{_CORE}/collections", f"{_CORE}/item-search", f"{_CORE}/item-search#query", f"{_CORE}/item-search#sort",
    f"{_CORE}/ogcapi-features",
]  # fmt: skip
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, asked: value == asked,
    "neq": lambda value, asked: value != asked,
    "lt": lambda value, asked: value < asked,
    "lte": lambda value, asked: value <= asked,
    "gt": lambda value, asked: value > asked,
    "gte": lambda value, asked: value >= asked,
    "in": lambda value, asked: value in asked,
    "startsWith": lambda value, asked: str(value).startswith(asked),
    "endsWith": lambda value, asked: str(value).endswith(asked),
    "contains": lambda value, asked: asked in str(value),
}


@dataclass
class Fault:
    """What a path answers instead of the truth, `times` times.

    Attributes:
        beyond: spares requests for bytes before this one, so that a file opens and then cannot be read.
    """

    status: int
    body: bytes = b'{"message":"no"}'
    times: int = 10**9
    beyond: int = 0
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass
class StacServer(AppStandIn):
    """A server of `items`, whose relative hrefs it completes, and of the files in `folder`.

    Attributes:
        tile_query: whether `query` is understood; ignored otherwise.
        operators: of `query`; others are answered with 400, as pgstac answers `in`.
        ignored: further parameters of a search that are ignored (collections, bbox, datetime).
        overlap: items of each page that the next one repeats, as servers do that sort without a tie-break.
        unstable: whether the default order changes from page to page, as it does for a `sortby`.
        counts: whether answers say how many items match.
        largest: bytes of an answer, beyond which it is a 502.
        faults: path (`/search`, `/files/<scene>/B02.tif`, …) → what it answers.
        bodies: of every search.
    """

    items: list[Item]
    folder: Path
    plan: FaultPlan | None = None
    tile_query: bool = True
    operators: tuple[str, ...] = tuple(_COMPARISONS)
    ignored: tuple[str, ...] = ()
    overlap: int = 0
    unstable: bool = False
    counts: bool = True
    largest: int = 6_000_000
    latency_s: float = 0.0
    fails_for_s: float = 0.0
    faults: dict[str, Fault] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", lambda request: JSONResponse(self.landing())),
                Route("/conformance", lambda request: JSONResponse({"conformsTo": _CONFORMS})),
                Route("/collections", lambda request: JSONResponse({"collections": self._collections(), "links": []})),
                Route("/collections/{collection}", self._collection),
                Route("/collections/{collection}/items", self._items),
                Route("/collections/{collection}/items/{item}", self._item),
                Route("/search", self._search, methods=["GET", "POST"]),
                Route("/files/{path:path}", self._file),
            ]
        )

    @property
    def url(self) -> str:
        """Root of the API."""
        return f"http://{self.address}"

    def served(self, items: list[Item] | None = None) -> list[Item]:
        """Items, or all, as the API gives them: relative hrefs of assets are completed to URLs of this server."""
        copies = copy.deepcopy(self.items if items is None else items)
        for item in copies:
            for asset in item["assets"].values():
                if "://" not in asset["href"] and not asset["href"].startswith("/"):
                    asset["href"] = f"{self.url}/files/{asset['href']}"
        return copies

    def spoilt(self, path: str, first_byte: int) -> tuple[int, dict[str, str], bytes] | None:
        with self.lock:
            found = self.faults.get(path)
            if found is None or found.times <= 0 or first_byte < found.beyond:
                return None
            found.times -= 1
            return found.status, found.headers, found.body

    def landing(self) -> dict[str, Any]:
        """The root document."""
        links = [{"rel": rel, "type": "application/json", "href": self.url} for rel in ("self", "root")]
        links += [
            {"rel": "search", "type": "application/geo+json", "href": f"{self.url}/search", "method": method}
            for method in ("GET", "POST")
        ]
        return {
            "type": "Catalog", "stac_version": "1.0.0", "id": "stand-in", "description": "a stand-in", "links": links,
            "conformsTo": _CONFORMS,
        }  # fmt: skip

    def search(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One page."""
        self.bodies.append(asked)
        found = [item for item in self.items if self._matches(item, asked)]
        found.sort(key=lambda item: (item["id"], item["collection"]))
        found.sort(key=lambda item: _time(item["properties"]["datetime"]), reverse=True)
        if self.unstable or "sortby" in asked:
            found.sort(key=lambda item: hashlib.blake2b(f"{len(self.bodies)}{item['id']}".encode()).digest())
        start = int(base64.urlsafe_b64decode(asked["next"])) if "next" in asked else 0
        page = self.served(found[start : start + int(asked.get("limit", 10))])
        links = []
        if page:
            onward = max(start + 1, start + len(page) - (self.overlap if start + len(page) < len(found) else 0))
            token = base64.urlsafe_b64encode(str(onward).encode()).decode()
            body = {**asked, "next": token}
            links = [{"rel": "next", "href": f"{self.url}/search", "method": "POST", "merge": False, "body": body}]
        counted = {"numberMatched": len(found), "context": {"limit": 10, "matched": len(found), "returned": len(page)}}
        return {
            "type": "FeatureCollection", "stac_version": "1.0.0", "features": page, "links": links,
            "numberReturned": len(page), **(counted if self.counts else {}),
        }  # fmt: skip

    def _matches(self, item: Item, asked: dict[str, Any]) -> bool:
        asked = {name: value for name, value in asked.items() if name not in self.ignored}
        if asked.get("collections") and item["collection"] not in asked["collections"]:
            return False
        if asked.get("ids") and item["id"] not in asked["ids"]:
            return False
        if box := asked.get("bbox"):
            west, south, east, north = item["bbox"]
            if west > box[2] or east < box[0] or south > box[3] or north < box[1]:
                return False
        if span := asked.get("datetime"):
            first, last = (_time(end) for end in span.split("/"))
            if not first <= _time(item["properties"]["datetime"]) <= last:
                return False
        return not self.tile_query or all(
            _compares(item["properties"].get(name), operator, value)
            for name, wanted in asked.get("query", {}).items()
            for operator, value in wanted.items()
        )

    def _page(self, asked: dict[str, Any]) -> Response:
        strange = {operator for wanted in asked.get("query", {}).values() for operator in wanted} - set(self.operators)
        if strange:
            return JSONResponse({"code": "BadRequest", "description": f"no operator {strange}"}, 400)
        body = json.dumps(self.search(asked)).encode()
        if len(body) > self.largest:
            return JSONResponse({"message": "Internal server error"}, 502)
        return Response(body, media_type="application/geo+json")

    async def _search(self, request: Request) -> Response:
        if request.method == "POST":
            return self._page(json.loads(await request.body()))
        return self._by_get(dict(request.query_params), "/search")

    def _by_get(self, given: dict[str, Any], path: str, **more: Any) -> Response:
        """A page asked for, and going on, by GET."""
        asked: dict[str, Any] = {**given, **more}
        if isinstance(asked.get("collections"), str):
            asked["collections"] = asked["collections"].split(",")
        if isinstance(asked.get("bbox"), str):
            asked["bbox"] = [float(edge) for edge in asked["bbox"].split(",")]
        if isinstance(asked.get("query"), str):
            asked["query"] = json.loads(asked["query"])
        page = self.search(asked)
        for link in page["links"]:
            query = urlencode({**given, "next": link["body"]["next"]})
            link |= {"href": f"{self.url}{path}?{query}", "method": "GET"}
            del link["body"]
        return JSONResponse(page, media_type="application/geo+json")

    def _collections(self) -> list[dict[str, Any]]:
        return [
            {
                "type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "license": "other", "links": [],
                "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
            }
            for name in sorted({item["collection"] for item in self.items})
        ]  # fmt: skip

    async def _collection(self, request: Request) -> Response:
        found = [one for one in self._collections() if one["id"] == request.path_params["collection"]]
        return JSONResponse(found[0]) if found else JSONResponse({"code": "NotFound"}, 404)

    async def _items(self, request: Request) -> Response:
        name = request.path_params["collection"]
        return self._by_get(dict(request.query_params), f"/collections/{name}/items", collections=[name])

    async def _item(self, request: Request) -> Response:
        wanted = (request.path_params["collection"], request.path_params["item"])
        found = [item for item in self.items if (item["collection"], item["id"]) == wanted]
        return JSONResponse(self.served(found)[0]) if found else JSONResponse({"code": "NotFound"}, 404)

    async def _file(self, request: Request) -> Response:
        path = self.folder / request.path_params["path"]
        if not path.is_file():
            return Response(b"<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        data = path.read_bytes()
        ranged = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        told = {"accept-ranges": "bytes"}
        if ranged is None or not any(ranged.groups()):
            return Response(data, headers=told, media_type="image/tiff")
        last = min(int(ranged[2] or len(data)), len(data) - 1) if ranged[1] else len(data) - 1
        first = int(ranged[1]) if ranged[1] else max(0, len(data) - int(ranged[2]))
        if first >= len(data):
            return Response(b"", 416, headers={"content-range": f"bytes */{len(data)}"})
        told["content-range"] = f"bytes {first}-{last}/{len(data)}"
        return Response(data[first : last + 1], 206, headers=told, media_type="image/tiff")


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).astimezone(UTC)


def _compares(value: Any, operator: str, asked: Any) -> bool:
    if value is None:
        return False
    if isinstance(asked, str) and isinstance(value, (int, float)):
        value = str(value)
    return _COMPARISONS[operator](value, asked)
