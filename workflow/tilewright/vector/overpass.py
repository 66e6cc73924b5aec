"""OpenStreetMap around some boxes, asked of an Overpass API; for areas of a few tiles.

osmnx writes the queries: it knows Overpass's language, and cuts large boxes into pieces that servers answer. Sending them
is ours, because osmnx tries again for ever, takes partial answers for whole ones, does not de-duplicate what several
pieces answer, caches without atomicity and changes name resolution for the whole process. So two of its functions are
used, which only build text, rather than its public `features_from_polygon`, which does the rest as well; a test guards
their signatures.

Three gaps are closed:

- Overpass finds ways and relations by their lines, so that a box inside one big forest gets nothing. Areas around each
  box's centre are asked for besides: closed ways and named relations by `is_in`; relations without a name, of which
  Overpass makes no areas (https://github.com/drolbr/Overpass-API/issues/495), by their outlines, which have to cross a
  strip from the centre towards the equator, unless they go on beyond its end. The centre is enough: an area whose outline
  does not meet a box holds the whole box or nothing of it.
- Multipolygons of the old style have their tags on a member way, so that a search by keys does not find the relation, and
  its holes would be lost. Multipolygons that say nothing of their own are asked for besides.
- osmnx cuts boxes in UTM, where their sides bend: corners are set along the sides first, or some 200 m are lost.
"""

import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from tilewright.config.label_sets import Overpass
from tilewright.errors import TilewrightError
from tilewright.grid.boxes import Box
from tilewright.store.batch import Batch
from tilewright.store.features import KINDS
from tilewright.vector.features import SourceFacts
from tilewright.vector.overpass_api import Api, Patience, host
from tilewright.vector.tags import LABEL_KEYS, POLYGON_RULES

log = logging.getLogger(__name__)

# Length of the strip, 111 km: areas that `is_in` does not know are found if they end within it.
REACH_DEG: Final = 1.0
_STRIP_DEG: Final = 5e-6  # half the strip's width: half a metre
# A parallel bends by less than 1.5 m in UTM between corners this far apart; boxes have 10 m to spare.
_CORNERS_DEG: Final = 0.1
_TYPES: Final = ("node", "way", "relation")
_SAYS_WHAT: Final = frozenset(LABEL_KEYS) | frozenset(POLYGON_RULES)
_LOCK: Final = threading.Lock()  # osmnx's settings are the process's

Key = tuple[int, int]  # position in _TYPES, id
# node: lat, lon, tags; way: nodes, tags; relation: members (type, id, role), tags. All of them sort.
Element = tuple[Any, ...]


@dataclass
class Answers:
    """The elements of several answers, each once.

    Of an element that two answers hold differently, because the map was edited in between, the newer is taken: so each
    way and relation comes with the members of its own answer.
    """

    elements: dict[Key, tuple[str, Element]] = field(default_factory=dict)
    bases: set[str] = field(default_factory=set)

    def add(self, document: dict[str, Any]) -> None:
        """Take one answer's elements.

        Raises:
            KeyError, TypeError, ValueError: where one of them is not what Overpass gives.
        """
        base = self.time(document)
        for item in document["elements"]:
            at = _TYPES.index(item["type"])
            tags = tuple(sorted((str(key), str(value)) for key, value in item.get("tags", {}).items()))
            element: Element
            if at == 0:
                element = (_degrees(item["lat"], 90), _degrees(item["lon"], 180), tags)
            elif at == 1:
                element = (tuple(int(node) for node in item["nodes"]), tags)
            else:
                members = tuple((str(one["type"]), int(one["ref"]), str(one["role"])) for one in item["members"])
                element = (members, tags)
            key = (at, int(item["id"]))
            self.elements[key] = max(self.elements.get(key, ("", ())), (base, element))

    def bare_way(self) -> int | None:
        """A way of which no node came, which no whole answer has; None where there is none."""
        for (at, number), (_, element) in sorted(self.elements.items(), key=lambda entry: entry[0]):
            if at == 1 and element[0] and not any((0, node) in self.elements for node in element[0]):
                return number
        return None

    def time(self, document: dict[str, Any]) -> str:
        """Note and give the time of the map that `document` was answered from; empty where it does not say."""
        base = str((document.get("osm3s") or {}).get("timestamp_osm_base") or "")
        self.bases.add(base)
        return base

    def write(self, path: Path) -> None:
        """Write all elements, sorted by type and id."""
        import osmium
        from osmium.osm.mutable import Node, Relation, Way

        with osmium.SimpleWriter(str(path), overwrite=True) as writer:
            for (at, number), (_, element) in sorted(self.elements.items(), key=lambda entry: entry[0]):
                tags = dict(element[-1])
                if at == 0:
                    writer.add_node(Node(id=number, location=(element[1], element[0]), tags=tags))
                elif at == 1:
                    writer.add_way(Way(id=number, nodes=list(element[0]), tags=tags))
                else:
                    members = [(kind[0], ref, role) for kind, ref, role in element[0]]
                    writer.add_relation(Relation(id=number, members=members, tags=tags))


class OverpassReader:
    """Asks an Overpass API for the features around some boxes; a FeatureReader.

    Nothing is cached: each reader asks anew, and an empty answer is an empty source.
    """

    def __init__(
        self,
        source: Overpass,
        boxes: Sequence[Box],
        workdir: Path,
        patience: Patience | None = None,
        max_query_m2: float = 2.5e9,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            source: as the user wrote it.
            boxes: the ground that is asked for; features that meet none of them are left out.
            workdir: a directory for the answers while they are read; made where absent.
            patience: how long the server is waited for.
            max_query_m2: larger boxes are asked for in pieces; the default is osmnx's 50 × 50 km.

        Raises:
            TilewrightError: where url or date cannot be read.
        """
        self._boxes = list(boxes)
        self._workdir = workdir
        self._sea = source.sea
        self._max_query_m2 = max_query_m2
        self._date = _utc(source.date) if source.date else None
        at = f'[date:"{self._date}"]' if self._date else ""
        self._header = f"[out:json][timeout:{source.timeout_s}]{at}"
        self._shown = host(source.url)
        self._api = Api(source.url, source.timeout_s, patience or Patience())
        self._facts: SourceFacts | None = None

    def batches(self) -> Iterator[Batch]:
        """All features that meet the boxes.

        Raises:
            TilewrightError: where the API does not answer, or not wholly, naming the server and the mend.
        """
        from tilewright.vector.osm import OsmObjects

        answers = self._ask()
        counts: Counter[str] = Counter()
        lost: Counter[str] = Counter()  # of the sea
        self._workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="overpass-", dir=self._workdir) as folder:
            path = Path(folder) / "answers.osm.pbf"
            answers.write(path)
            objects = OsmObjects(path, "pbf")
            for batch in self._near(objects.batches()):
                counts.update(batch.kind)
                yield batch
            facts = objects.facts()
        if self._sea:
            from tilewright.vector.sea import sea_batches

            for batch in self._near(sea_batches(self._sea, self._boxes, lost)):
                counts.update(batch.kind)
                yield batch
        times = {*answers.bases, *([self._date] if self._date else [])}
        self._facts = replace(
            facts,
            snapshot=min(times) if times and "" not in times else self._date,
            extent=shapely.union_all([shapely.box(*box) for box in self._boxes]).wkt if self._boxes else None,
            counts={kind: counts[kind] for kind in KINDS},
            rejects={**facts.rejects, **lost},
        )

    def facts(self) -> SourceFacts:
        """What is known once `batches` is exhausted: the oldest time of the answers, the boxes, what was found in them."""
        if self._facts is None:
            raise RuntimeError("facts are known once all batches were read")
        return self._facts

    def _near(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Without what meets no box: members of relations, which come whole, may be far away."""
        for batch in batches:
            west, south, east, north = shapely.bounds(batch.geometry).T
            meets = np.zeros(len(batch.geometry), dtype=bool)
            for box in self._boxes:
                meets |= (west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1])
            if meets.any():
                yield Batch(
                    list(compress(batch.source_type, meets)), batch.source_id[meets], list(compress(batch.kind, meets)),
                    list(compress(batch.tags, meets)), batch.geometry[meets],
                )  # fmt: skip

    def _ask(self) -> Answers:
        answers = Answers()
        try:
            for box in self._boxes:
                pieces = pieces_of(box, self._max_query_m2)
                for number, piece in enumerate(pieces, 1):
                    log.info("Overpass at %s: piece %d of %d", self._shown, number, len(pieces))
                    document = self._api.ask(piece_query(piece, self._header))
                    with self._elements():
                        answers.add(document)
                self._ask_around(box, pieces, answers)
        finally:
            self._api.close()
        if bare := answers.bare_way():
            raise TilewrightError(
                f"labels: Overpass at {self._shown}: gave way {bare} without its nodes, which were asked for; nothing was "
                "written: name another server in labels.<set>.source.url, or use an extract (kind: pbf)"
            )
        return answers

    @contextmanager
    def _elements(self) -> Iterator[None]:
        """While elements are taken out of an answer: what they lack is the server's fault."""
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise TilewrightError(
                f"labels: Overpass at {self._shown}: gave an element that is none ({error!r}); nothing was written: name "
                "another server in labels.<set>.source.url"
            ) from None

    def _ask_around(self, box: Box, pieces: Sequence[str], answers: Answers) -> None:
        """Add, with all their members, the areas around the box and the untagged multipolygons in it."""
        document = self._api.ask(around_query(box, pieces, self._header))
        missed: dict[str, set[int]] = {"way": set(), "relation": set()}
        with self._elements():
            answers.time(document)
            for item in document["elements"]:
                kind, number = item["type"], int(item["id"])
                area = kind == "way" or item["tags"].get("type") in ("multipolygon", "boundary")
                held = (_TYPES.index(kind), number) in answers.elements
                if area and not held and "bounds" in item and _meets(item["bounds"], box):
                    missed[kind].add(number)
        asked = "".join(f"{kind}(id:{','.join(map(str, sorted(ids)))});" for kind, ids in missed.items() if ids)
        if asked:
            document = self._api.ask(f"{self._header};(({asked});(._;>;););out;")
            with self._elements():
                answers.add(document)


def _degrees(value: Any, most: float) -> float:
    if not -most <= float(value) <= most:
        raise ValueError(f"no place on Earth: {value}")
    return float(value)


def _meets(bounds: dict[str, float], box: Box) -> bool:
    west, east = float(bounds["minlon"]), float(bounds["maxlon"])
    across = west > east  # the antimeridian
    return (across or (west <= box[2] and east >= box[0])) and (
        float(bounds["minlat"]) <= box[3] and float(bounds["maxlat"]) >= box[1]
    )


def _utc(date: str) -> str:
    """A date as Overpass wants it.

    Raises:
        TilewrightError: where it cannot be read.
    """
    try:
        time_of = datetime.fromisoformat(date)
    except ValueError:
        raise TilewrightError(
            f"labels: Overpass: labels.<set>.source.date {date!r} is no time; write it as 2019-07-01T00:00:00Z"
        ) from None
    time_of = time_of.replace(tzinfo=UTC) if time_of.tzinfo is None else time_of.astimezone(UTC)
    return time_of.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _osmnx_settings(**values: Any) -> Iterator[None]:
    """Run osmnx with other settings for a while; they are the process's, so that only one thread may."""
    from osmnx import settings

    with _LOCK:
        before = {name: getattr(settings, name) for name in values}
        try:
            for name, value in values.items():
                setattr(settings, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(settings, name, value)


def pieces_of(box: Box, max_query_m2: float) -> list[str]:
    """The polygons, as Overpass writes them ("lat lon lat lon …"), into which osmnx cuts `box`; they cover it."""
    from osmnx._overpass import _make_overpass_polygon_coord_strs

    with _osmnx_settings(max_query_area_size=max_query_m2):
        return _make_overpass_polygon_coord_strs(shapely.segmentize(shapely.box(*box), _CORNERS_DEG))


def piece_query(piece: str, header: str) -> str:
    """The query of osmnx for all objects with a label key in `piece`, with their members; by keys, not values."""
    from osmnx._overpass import _create_overpass_features_query

    tags: dict[str, bool | str | list[str]] = dict.fromkeys(LABEL_KEYS, True)
    with _osmnx_settings(overpass_settings=header):
        return _create_overpass_features_query(piece, tags)


def around_query(box: Box, pieces: Sequence[str], header: str) -> str:
    """A query for tags and bounds of what the pieces' own queries miss, and of more: see this module's beginning."""
    lon, lat = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    end = lat - REACH_DEG if lat > 0 else lat + REACH_DEG
    west, east = f"{lon - _STRIP_DEG:.7f}", f"{lon + _STRIP_DEG:.7f}"
    strip = f"{lat:.7f} {west} {lat:.7f} {east} {end:.7f} {east} {end:.7f} {west}"
    clauses = [
        f"way(pivot.here)[{key!r}];relation(pivot.here)[{key!r}];relation[{key!r}](poly:{strip!r});"
        for key in LABEL_KEYS
    ]
    untagged = "relation['type'='multipolygon']" + "".join(f"[!{key!r}]" for key in sorted(_SAYS_WHAT))
    clauses += [f"{untagged}(poly:{piece!r});" for piece in (strip, *pieces)]
    return f"{header};is_in({lat:.7f},{lon:.7f})->.here;({''.join(clauses)});out tags bb;"
