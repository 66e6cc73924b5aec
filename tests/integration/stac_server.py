"""A STAC API on loopback that behaves as Earth Search does, its quirks included, and serves the scenes' files by HTTP Range.

What it takes from the real service (stac-server): 10 items a page unless `limit` says otherwise, newest first, an opaque
`next` token in the body of a POST link, a `next` link even on the last page, so that one more, empty page follows, and
parameters that it does not know are ignored without a word. Faults are put in by hand, path by path.
"""

import base64
import copy
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin import StandIn

_CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#query",
]


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


@dataclass
class StacServer(StandIn):
    """A server of `items`, whose relative hrefs it completes, and of the files in `folder`.

    Attributes:
        tile_query: whether `query` on grid:code is understood; ignored otherwise.
        overlap: items of each page that the next one repeats, as servers do that sort without a tie-break.
        faults: path (`/search`, `/files/<scene>/B02.tif`, …) → what it answers.
        asked: how often each path was asked for; bodies: of every search.
    """

    items: list[dict[str, Any]]
    folder: Path
    tile_query: bool = True
    overlap: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _Handler

    @property
    def url(self) -> str:
        """Root of the API."""
        return f"http://{self.address}"

    def served(self) -> list[dict[str, Any]]:
        """The items as the API gives them: asset hrefs are URLs of this server."""
        items = [copy.deepcopy(item) for item in self.items]
        for item in items:
            for asset in item["assets"].values():
                asset["href"] = f"{self.url}/files/{asset['href']}"
        return items

    def fault(self, path: str, first_byte: int) -> Fault | None:
        """Count a request; the fault that is its answer, if there is one left."""
        with self.lock:
            self.asked[path] += 1
            found = self.faults.get(path)
            if found is None or found.times <= 0 or first_byte < found.beyond:
                return None
            found.times -= 1
            return found

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
        found = [item for item in self.served() if self._matches(item, asked)]
        found.sort(key=lambda item: (item["properties"]["datetime"], item["id"]), reverse=True)
        start = int(base64.urlsafe_b64decode(asked["next"])) if "next" in asked else 0
        page = found[start : start + int(asked.get("limit", 10))]
        links = []
        if page:
            onward = max(start + 1, start + len(page) - (self.overlap if start + len(page) < len(found) else 0))
            token = base64.urlsafe_b64encode(str(onward).encode()).decode()
            body = {**asked, "next": token}
            links = [{"rel": "next", "href": f"{self.url}/search", "method": "POST", "merge": False, "body": body}]
        return {
            "type": "FeatureCollection", "features": page, "links": links, "numberMatched": len(found),
            "numberReturned": len(page), "context": {"limit": 10, "matched": len(found), "returned": len(page)},
        }  # fmt: skip

    def _matches(self, item: dict[str, Any], asked: dict[str, Any]) -> bool:
        if asked.get("collections") and item["collection"] not in asked["collections"]:
            return False
        if box := asked.get("bbox"):
            west, south, east, north = item["bbox"]
            if west > box[2] or east < box[0] or south > box[3] or north < box[1]:
                return False
        if span := asked.get("datetime"):
            first, last = (datetime.fromisoformat(end) for end in span.split("/"))
            if not first <= datetime.fromisoformat(item["properties"]["datetime"]).astimezone(UTC) <= last:
                return False
        wanted = asked.get("query", {}).get("grid:code", {}).get("in") if self.tile_query else None
        return wanted is None or item["properties"]["grid:code"] in wanted


class _Handler(BaseHTTPRequestHandler):
    stand_in: StacServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: pytest shows what fails."""

    def _answer(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _faulty(self, path: str) -> bool:
        ranged = re.match(r"bytes=(\d+)", self.headers.get("Range", ""))
        found = self.stand_in.fault(path, int(ranged[1]) if ranged else 0)
        if found is not None:
            self._answer(found.status, found.body)
        return found is not None

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urlsplit(self.path).path
        if not self._faulty(path):
            self._answer(200, json.dumps(self.stand_in.search(asked)).encode(), "application/geo+json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if self._faulty(parts.path):
            return
        if parts.path in ("", "/"):
            self._answer(200, json.dumps(self.stand_in.landing()).encode())
        elif parts.path == "/search":
            given = {key: values[0] for key, values in parse_qs(parts.query).items()}
            asked: dict[str, Any] = {**given, "collections": given.get("collections", "").split(",")}
            if "bbox" in given:
                asked["bbox"] = [float(edge) for edge in given["bbox"].split(",")]
            self._answer(200, json.dumps(self.stand_in.search(asked)).encode(), "application/geo+json")
        elif parts.path.startswith("/files/"):
            self._file(self.stand_in.folder / parts.path.removeprefix("/files/"))
        else:
            self._answer(404, b'{"code":"NotFound"}')

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
            return
        data = path.read_bytes()
        ranged = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if ranged is None:
            self._answer(200, data, "image/tiff", Accept_Ranges="bytes")
            return
        first, last = int(ranged[1]), min(int(ranged[2] or len(data)), len(data) - 1)
        if first >= len(data):
            self._answer(416, b"", Content_Range=f"bytes */{len(data)}")
            return
        part = data[first : last + 1]
        self._answer(206, part, "image/tiff", Accept_Ranges="bytes", Content_Range=f"bytes {first}-{last}/{len(data)}")
