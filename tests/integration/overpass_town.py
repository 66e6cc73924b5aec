"""A small town that an Overpass API on loopback serves, and a reader that asks for it.

Test modules make fixtures of `small_town`, `serving` and `waits`.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import shapely
from overpass_server import OverpassServer

from tilewright.config.label_sets import Overpass
from tilewright.errors import TilewrightError
from tilewright.grid.boxes import Box
from tilewright.vector.overpass import OverpassReader
from tilewright.vector.overpass_api import Patience

BOX: Box = (10.0, 47.0, 10.02, 47.02)
Row = tuple[str, int, str, str, bytes]


class Town:
    """Elements as Overpass has them."""

    def __init__(self) -> None:
        self.elements: list[dict[str, Any]] = []
        self._number = itertools.count(1)

    def node(self, lon: float, lat: float, **tags: str) -> int:
        number = next(self._number)
        self.elements.append({"type": "node", "id": number, "lat": lat, "lon": lon, **({"tags": tags} if tags else {})})
        return number

    def way(self, *places: tuple[float, float], **tags: str) -> int:
        """A line, closed where it ends at its first place."""
        nodes = [self.node(*place) for place in (places[:-1] if places[0] == places[-1] else places)]
        number = next(self._number)
        nodes += nodes[:1] if places[0] == places[-1] else []
        self.elements.append({"type": "way", "id": number, "nodes": nodes, **({"tags": tags} if tags else {})})
        return number

    def square(self, west: float, south: float, side: float, **tags: str) -> int:
        east, north = west + side, south + side
        return self.way((west, south), (east, south), (east, north), (west, north), (west, south), **tags)

    def relation(self, *members: tuple[int, str], **tags: str) -> int:
        number = next(self._number)
        kept = [{"type": "way", "ref": way, "role": role} for way, role in members]
        self.elements.append(
            {"type": "relation", "id": number, "members": kept, "tags": {"type": "multipolygon", **tags}}
        )
        return number


def small_town() -> Town:
    """Two houses, a shop, a road and a lake with an island, all in or across BOX."""
    made = Town()
    made.square(10.001, 47.001, 0.0002, building="yes")
    made.square(10.015, 47.012, 0.0002, building="house", name="Öst & West <1>")
    made.node(10.005, 47.005, shop="bakery")
    made.way((9.99, 47.003), (10.011, 47.011), (10.03, 47.012), highway="residential")
    outer, inner = made.square(10.006, 47.006, 0.02), made.square(10.012, 47.008, 0.003)
    made.relation((outer, "outer"), (inner, "inner"), natural="water")
    return made


def serving() -> Iterator[Callable[..., OverpassServer]]:
    with ExitStack() as stack:
        yield lambda elements, **more: stack.enter_context(OverpassServer(elements, **more))


class Slept(list[float]):
    """Waits in name only; what was waited for is kept."""

    def patience(self, **more: Any) -> Patience:
        return Patience(**{"tries": 3, "wait_s": 10.0, "slot_s": 100.0, "grace_s": 2.0, "sleep": self.append, **more})


def waits() -> Slept:
    return Slept()


def reader(server: OverpassServer, tmp_path: Path, patience: Patience | None = None, **more: Any) -> OverpassReader:
    asked = {key: more.pop(key) for key in ("url", "date", "timeout_s", "sea") if key in more}
    source = Overpass(**{"kind": "overpass", "url": server.url, **asked})
    return OverpassReader(source, more.pop("boxes", [BOX]), tmp_path / "work", patience or Slept().patience(), **more)


def rows(made: OverpassReader) -> list[Row]:
    """All features, in the order in which they come."""
    found = []
    for batch in made.batches():
        wkb = shapely.to_wkb(batch.geometry)
        found += zip(batch.source_type, map(int, batch.source_id), batch.kind, batch.tags, wkb, strict=True)
    return found


def error(made: OverpassReader) -> str:
    """The message that reading ends with; no feature came before."""
    found: list[Any] = []
    with pytest.raises(TilewrightError) as caught:
        for batch in made.batches():
            found.append(batch)
    assert not found
    return str(caught.value)
