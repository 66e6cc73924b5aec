"""An Overpass API on loopback, over the elements of one OSM file, that answers queries as the real one does.

It runs the part of Overpass QL that osmnx and the reader write, and refuses the rest as the real one does (HTTP 400, HTML).
What matters of the real one's ways: a way is its line, never its area, so that a polygon around what is asked for is not
found by `poly`; a relation is found by its member nodes and ways; `>` goes down from relations to ways and nodes, not to
other relations; areas, which `is_in` finds, are all closed ways, and of relations only those that have a name; elements
come in no order that one may rely on. Faults are put in by hand.
"""

import json
import random
import re
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import osmium
import shapely
from standin import StandIn

Key = tuple[str, int]
Found = set[Key]

PAGE: Final = b"<!DOCTYPE html><html><head><style>p {}</style></head><body><p>We will be back soon.</p></body></html>"
FREE: Final = """Connected as: 2130706433
Current time: 2024-05-01T12:00:00Z
Announced endpoint: none
Rate limit: 2
2 slots available now.
Currently running queries (pid, space limit, time limit, start time):
"""
BASE: Final = "2024-05-01T11:59:00Z"
VERSION: Final = "Overpass API 0.7.62.5 1bd436f1"


@dataclass
class Fault:
    """What is wrong with the answers to some queries.

    Attributes:
        kind: one of status (`code`, and `after`), remark (`text`, and half of the elements), empty (no bytes), truncated (half
            the JSON, told truthfully), html (200 and a page), json (`text` in place of an answer), reset (before the answer),
            amid (reset half way), stall (silence for `seconds`), moved (a redirection).
        times: how many answers it spoils, after `spared` good ones.
    """

    kind: str
    code: int = 0
    times: int = 10**9
    text: str = ""
    after: int | None = None
    seconds: float = 0.0
    spared: int = 0


def elements_of(path: Path) -> list[dict[str, Any]]:
    """The objects of an OSM file as Overpass's JSON has them."""
    found: list[dict[str, Any]] = []
    for item in osmium.FileProcessor(str(path)):
        made: dict[str, Any] = {"type": item.type_str(), "id": item.id}
        made["type"] = {"n": "node", "w": "way", "r": "relation"}[made["type"]]
        if item.is_node():
            made |= {"lat": round(item.lat, 7), "lon": round(item.lon, 7)}
        elif item.is_way():
            made["nodes"] = [node.ref for node in item.nodes]
        else:
            names = {"n": "node", "w": "way", "r": "relation"}
            made["members"] = [{"type": names[one.type], "ref": one.ref, "role": one.role} for one in item.members]
        if tags := {tag.k: tag.v for tag in item.tags}:
            made["tags"] = tags
        found.append(made)
    return found


class QueryError(Exception):
    """Not the language, or not the part of it that is understood here."""


class Planet:
    """Elements, and what Overpass knows of where they are."""

    def __init__(self, elements: list[dict[str, Any]]) -> None:
        self.by_key: dict[Key, dict[str, Any]] = {(item["type"], item["id"]): item for item in elements}
        self.kinds: dict[str, Found] = {kind: set() for kind in ("node", "way", "relation")}
        self.tagged: dict[str, dict[Key, str]] = {}
        for key, item in self.by_key.items():
            self.kinds[key[0]].add(key)
            for name, value in item.get("tags", {}).items():
                self.tagged.setdefault(name, {})[key] = value
        self.lines: dict[Key, Any] = {}  # geometry by which `poly` finds an element
        for keys in self.kinds.values():
            for key in sorted(keys):
                self.lines[key] = self._line(self.by_key[key])

    def _line(self, item: dict[str, Any]) -> Any:
        if item["type"] == "node":
            return shapely.Point(item["lon"], item["lat"])
        if item["type"] == "way":
            places = [self.lines.get(("node", number)) for number in item["nodes"]]
            known = [place.coords[0] for place in places if place is not None]
            return shapely.LineString(known) if len(known) > 1 else shapely.MultiPoint(known)
        members = [self.lines.get((one["type"], one["ref"])) for one in item["members"] if one["type"] != "relation"]
        return shapely.GeometryCollection([member for member in members if member is not None])

    @cached_property
    def areas(self) -> dict[Key, Any]:
        """What `is_in` knows: closed ways, whatever their tags, and multipolygons with a name."""
        found = {}
        for key, item in self.by_key.items():
            if key[0] == "way" and len(item["nodes"]) > 3 and item["nodes"][0] == item["nodes"][-1]:
                found[key] = shapely.make_valid(shapely.Polygon(shapely.get_coordinates(self.lines[key])))
            elif key[0] == "relation" and {"name", "type"} <= set(item.get("tags", {})):
                found[key] = shapely.build_area(shapely.union_all(shapely.get_parts(self.lines[key])))
        return found

    def down(self, found: Found) -> Found:
        """`>`: members of relations, and nodes of ways, those of member ways included."""
        below: Found = set()
        for key in found:
            if key[0] == "relation":
                below |= {(one["type"], one["ref"]) for one in self.by_key[key]["members"] if one["type"] != "relation"}
        for key in found | below:
            if key[0] == "way" and key in self.by_key:
                below |= {("node", number) for number in self.by_key[key]["nodes"]}
        return below & self.by_key.keys()


@dataclass
class Run:
    """One query on the way: the sets that it has named so far, and what it gives out."""

    planet: Planet
    text: str
    sets: dict[str, Found] = field(default_factory=dict)
    form: str = ""

    def take(self, pattern: str) -> re.Match[str] | None:
        """Read on, if `pattern` comes next."""
        if match := re.match(pattern, self.text):
            self.text = self.text[match.end() :]
        return match

    def all(self) -> Found:
        """Run it all; what `out` gives."""
        if not self.take(r"\[out:json\]\[timeout:\d+\](\[date:\"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\"\])?;"):
            raise QueryError(self.text[:40])
        while not (out := self.take(r"out( tags bb)?;$")):
            self.statement()
        self.form = (out[1] or "").strip()
        return self.sets["_"]

    def statement(self) -> Found:
        """Run one statement; its result is also the set `_`, or one that it names."""
        if self.take(r"\("):
            found: Found = set()
            while not self.take(r"\)"):
                found = found | self.statement()
        elif place := self.take(r"is_in\(([-\d.]+),([-\d.]+)\)"):
            point = shapely.Point(float(place[2]), float(place[1]))
            found = {key for key, area in self.planet.areas.items() if area.covers(point)}
        elif kind := self.take(r"(node|way|relation)(?=[\[(])"):
            found = self.filtered(kind[1])
        elif self.take(r">"):
            found = self.planet.down(self.sets["_"])
        elif self.take(r"\._"):
            found = self.sets["_"]
        else:
            raise QueryError(self.text[:40])
        name = self.take(r"->\.(\w+)")
        if not self.take(r";"):
            raise QueryError(self.text[:40])
        self.sets[name[1] if name else "_"] = found
        return found

    def filtered(self, kind: str) -> Found:
        """The elements of a kind that all the filters that come next let through."""
        found = self.planet.kinds[kind]
        filters = 0
        while True:
            if tag := self.take(r"\['([\w:]+)'(?:='(\w+)')?\]"):
                held = self.planet.tagged.get(tag[1], {})
                found = {key for key, value in held.items() if key in found and tag[2] in (None, value)}
            elif tag := self.take(r"\[!'([\w:]+)'\]"):
                found = found - self.planet.tagged.get(tag[1], {}).keys()
            elif poly := self.take(r"\(poly:'([-\d. ]+)'\)"):
                numbers = list(map(float, poly[1].split()))
                ground = shapely.Polygon(list(zip(numbers[1::2], numbers[::2], strict=True)))
                found = {key for key in found if ground.intersects(self.planet.lines[key])}
            elif pivot := self.take(r"\(pivot\.(\w+)\)"):
                found = found & self.sets[pivot[1]]
            elif ids := self.take(r"\(id:([\d,]+)\)"):
                found = found & {(kind, int(number)) for number in ids[1].split(",")}
            elif filters:
                return found
            else:
                raise QueryError(self.text[:40])
            filters += 1


@dataclass
class OverpassServer(StandIn):
    """A server of `elements`.

    Attributes:
        faults: what is wrong; the first that still applies is the answer.
        statuses: texts of /status, one after the other, the last for ever; None: there is no /status.
        bases: times of the map, of one answer after the other, the last for ever.
        seed: of the order of the elements.
        edits: by number of the answer (from 0), elements that hold from then on.
        queries: all that came; asked: counts of requests by path; agents: the User-Agents.
    """

    elements: list[dict[str, Any]]
    faults: list[Fault] = field(default_factory=list)
    statuses: list[str | None] = field(default_factory=lambda: [FREE])
    bases: list[str] = field(default_factory=lambda: [BASE])
    version: str = VERSION
    seed: int = 0
    edits: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _Handler

    def __enter__(self) -> Self:
        self.answered = 0
        self.planet = Planet(self.elements)
        return super().__enter__()

    @property
    def url(self) -> str:
        """Root of the API."""
        return f"http://{self.address}/api"

    def spoilt(self) -> Fault | None:
        """The fault that this query meets."""
        for fault in self.faults:
            if fault.times > 0:
                if fault.spared > 0:
                    fault.spared -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    def answer(self, query: str) -> dict[str, Any]:
        """The answer to one query.

        Raises:
            QueryError: where it is not understood.
        """
        if self.answered in self.edits:
            known = {(item["type"], item["id"]): item for item in self.planet.by_key.values()}
            known |= {(item["type"], item["id"]): item for item in self.edits[self.answered]}
            self.planet = Planet(list(known.values()))
        run = Run(self.planet, query)
        found = sorted(run.all())
        random.Random(f"{self.seed}/{self.answered}").shuffle(found)
        base = self.bases[min(self.answered, len(self.bases) - 1)]
        self.answered += 1
        date = re.match(r".*\[date:\"(.*?)\"\]", query)
        made = [self.planet.by_key[key] for key in found] if run.form == "" else [self._bounded(key) for key in found]
        return {
            "version": 0.6,
            "generator": self.version,
            "osm3s": {"timestamp_osm_base": date[1] if date else base, "copyright": "© OpenStreetMap contributors"},
            "elements": made,
        }

    def _bounded(self, key: Key) -> dict[str, Any]:
        item, line = self.planet.by_key[key], self.planet.lines[key]
        made: dict[str, Any] = {name: item[name] for name in ("type", "id", "tags") if name in item}
        if key[0] != "node" and not line.is_empty:
            west, south, east, north = line.bounds
            made["bounds"] = {"minlat": south, "minlon": west, "maxlat": north, "maxlon": east}
        return made


class _Handler(BaseHTTPRequestHandler):
    stand_in: OverpassServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # heads and bodies are small, and go at once

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: pytest shows what fails."""

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", told: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if told is None else told))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self) -> None:
        served = self.stand_in
        with served.lock:
            served.asked["status"] += 1
            served.agents.add(self.headers["User-Agent"])
            text = served.statuses.pop(0) if len(served.statuses) > 1 else served.statuses[0]
        if text is None or urlsplit(self.path).path != "/api/status":
            self._send(404, PAGE, "text/html")
        else:
            self._send(200, text.encode(), "text/plain")

    def do_POST(self) -> None:
        served = self.stand_in
        query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["data"][0]
        with served.lock:
            served.asked["interpreter"] += 1
            served.agents.add(self.headers["User-Agent"])
            served.queries.append(query)
            fault = served.spoilt()
        if urlsplit(self.path).path != "/api/interpreter":
            self._send(404, PAGE, "text/html")
            return
        if fault is not None and hasattr(self, f"_{fault.kind}"):
            getattr(self, f"_{fault.kind}")(fault)
            return
        try:
            with served.lock:
                document = served.answer(query)
        except QueryError as error:
            self._send(400, f"<html><body>Error: line 1: parse error: {error}</body></html>".encode(), "text/html")
            return
        if fault is not None and fault.kind == "remark":
            document["elements"] = document["elements"][::2]
            document["remark"] = fault.text
        body = json.dumps(document).encode()
        if fault is not None and fault.kind == "truncated":
            body = body[: len(body) // 2]
        if fault is not None and fault.kind == "amid":
            self._send(200, body[: len(body) // 2], told=len(body))
            self._reset(fault)
        else:
            self._send(200, body)

    # -- faults in place of an answer --------------------------------------------------------------------------------

    def _status(self, fault: Fault) -> None:
        after = {} if fault.after is None else {"Retry_After": str(fault.after)}
        self._send(fault.code, fault.text.encode() or PAGE, "text/html", **after)

    def _html(self, fault: Fault) -> None:
        self._send(200, PAGE, "text/html")

    def _json(self, fault: Fault) -> None:
        self._send(200, fault.text.encode())

    def _empty(self, fault: Fault) -> None:
        self._send(200, b"")

    def _moved(self, fault: Fault) -> None:
        self._send(301, b"", Location=fault.text)

    def _stall(self, fault: Fault) -> None:
        self.stand_in.over.wait(fault.seconds)
        self._reset(fault)

    def _reset(self, fault: Fault) -> None:
        # closed without the farewell: the client sees "connection reset by peer"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
