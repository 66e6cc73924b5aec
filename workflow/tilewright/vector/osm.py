"""OpenStreetMap files (.osm.pbf, .osm) as areas, lines and points, read once from end to end by pyosmium.

Relations of type multipolygon and boundary become areas through libosmium's assembler (holes, split rings, islands in
holes; member roles do not matter). Closed ways are built here, because which of them are areas is ours to say
(`tags.closed_way_is_area`) and because libosmium drops a ring that crosses itself, which `make_valid` can mend.

A multipolygon that says nothing itself, with tags on its outer ways, is of the old style (the map's until 2017): the area is
the relation's, holes and all, where all its outer ways that are tagged as areas agree; those ways are then no areas of their
own. Where they do not agree, or the relation cannot be built, each closed way stands for itself, its holes filled.
Relations of type building, site or route only tie together objects that stand for themselves.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import compress, islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import osmium
import shapely
from osmium.osm import Area, Node, Relation, Way

from tilewright.config.label_sets import Kind, OsmFile
from tilewright.errors import TilewrightError
from tilewright.grid.boxes import Box
from tilewright.store.batch import Batch
from tilewright.store.features import KINDS
from tilewright.vector.extent import load_extent
from tilewright.vector.features import SourceFacts
from tilewright.vector.hexwkb import from_hex
from tilewright.vector.prefilter import prefiltered
from tilewright.vector.sea import sea_batches
from tilewright.vector.tags import LABEL_KEYS, LOOKED_AT, POLYGON_RULES, described
from tilewright.vector.valid import valid_areas

OsmFormat = Literal["pbf", "osm_xml"]

_BATCH: Final = 50_000  # objects that are made into geometry together
_LABEL_KEYS: Final = frozenset(LABEL_KEYS)
_SAYS_WHAT: Final = _LABEL_KEYS | frozenset(POLYGON_RULES)
_PYOSMIUM_FORMAT: Final[dict[OsmFormat, str]] = {"pbf": "pbf", "osm_xml": "osm"}


@dataclass
class _Pending:
    """Objects whose geometry is yet to be made.

    Columns, not rows: Python's collector of cycles goes through every tuple that is held, which for rows took a tenth of the
    whole time.

    Attributes:
        wkb: hexadecimal; of an area, or of its ring.
    """

    types: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    wkb: list[str] = field(default_factory=list)

    def add(self, source_type: str, source_id: int, kind: Kind, tags: str, wkb: str) -> None:
        self.types.append(source_type)
        self.ids.append(source_id)
        self.kinds.append(kind)
        self.tags.append(tags)
        self.wkb.append(wkb)


@dataclass
class _Relations:
    """Which relations should become areas.

    Attributes:
        wanted: those with tags of their own.
        outers: those of the old style, with their outer ways.
        members: all those ways.
    """

    wanted: set[int] = field(default_factory=set)
    outers: dict[int, list[int]] = field(default_factory=dict)
    members: set[int] = field(default_factory=set)


class OsmObjects:
    """Reads all objects of one file that have a label key (`tags.LABEL_KEYS`); a `FeatureReader`."""

    def __init__(self, path: Path, file_format: OsmFormat, scratch: Path | None = None) -> None:
        """`scratch`: a folder with room for a smaller copy of a large file; None reads large files as they are."""
        self._path = path
        self._format = file_format
        self._scratch = scratch if file_format == "pbf" else None
        self._pending = _Pending()
        self._rejects: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._repaired = 0
        self._snapshot: str | None = None
        self._extent: str | None = None

    def batches(self) -> Iterator[Batch]:
        """All features: nodes are points, ways lines or areas, relations areas.

        Raises:
            TilewrightError: where the file is missing, truncated, of another kind, or a history with several versions.
        """
        if not self._path.is_file():
            raise TilewrightError(
                f"labels: {self._path}: no such file; put the extract there or mend labels.<set>.source.path"
            )
        try:
            self._read_header()
            with prefiltered(self._path, self._scratch) as path:
                yield from self._read(path)
        except (RuntimeError, OSError, ValueError) as error:
            raise TilewrightError(
                f"labels: {self._path}: cannot be read as {self._format} ({' '.join(str(error).split()) or type(error).__name__}); "
                "it is truncated or no such file: fetch the extract again, or mend labels.<set>.source (pbf for .osm.pbf, "
                "osm_xml for .osm)"
            ) from error

    def facts(self) -> SourceFacts:
        """Snapshot and extent are those of the file's header; the extent is a box there."""
        return SourceFacts(
            self._snapshot, self._extent, {kind: self._counts[kind] for kind in KINDS},
            dict(sorted(self._rejects.items())), self._repaired,
        )  # fmt: skip

    def _read_header(self) -> None:
        with osmium.io.Reader(self._file(self._path), osmium.osm.NOTHING) as reader:
            header = reader.header()
        if header.has_multiple_object_versions:
            raise TilewrightError(
                f"labels: {self._path}: is a history with several versions of an object; take the map of one day out of it "
                "(osmium time-filter)"
            )
        self._snapshot = header.get("osmosis_replication_timestamp") or None
        box = header.box()
        if box.valid():
            low, high = box.bottom_left, box.top_right
            self._extent = shapely.to_wkt(shapely.box(low.lon, low.lat, high.lon, high.lat), rounding_precision=-1)

    def _file(self, path: Path) -> Any:
        return osmium.io.File(str(path), _PYOSMIUM_FORMAT[self._format])

    def _read(self, path: Path) -> Iterator[Batch]:
        relations = self._relations(path)
        old = _OldStyle(relations)
        wanted = [*relations.wanted, *relations.outers]
        if min(wanted, default=0) < 0:
            raise self._not_uploaded("relation", min(wanted))
        # Of the areas that libosmium makes, those of closed ways are left out: odd numbers are relations.
        areas = osmium.filter.IdFilter([2 * number + 1 for number in wanted])
        areas.enable_for(osmium.osm.AREA)
        keys = osmium.filter.KeyFilter(*LABEL_KEYS)
        keys.enable_for(osmium.osm.NODE | osmium.osm.WAY | osmium.osm.RELATION)
        processor = osmium.FileProcessor(self._file(path)).with_areas(osmium.filter.IdFilter(wanted))
        factory = osmium.geom.WKBFactory()
        built: set[int] = set()
        for item in processor.with_filter(keys).with_filter(areas):
            if isinstance(item, Way):
                self._way(item, factory, old)
            elif isinstance(item, Area):
                built.add(item.orig_id())
                self._relation(item, factory, old)
            elif isinstance(item, Node):
                if item.location.valid():
                    self._pending.add("node", item.id, "point", described(_tags(item))[0], factory.create_point(item))
                else:
                    self._rejects["missing_node"] += 1
            if len(self._pending.ids) >= _BATCH:
                yield self._batch()
        if lost := relations.wanted - built:
            self._rejects["missing_member"] += len(lost)
        self._settle(old, built)
        yield self._batch()

    def _relations(self, path: Path) -> _Relations:
        found = _Relations()
        types = osmium.filter.TagFilter(("type", "multipolygon"), ("type", "boundary"))
        for item in osmium.FileProcessor(self._file(path), osmium.osm.RELATION).with_filter(types):
            tags = dict(_tags(item))
            if tags.get("area") == "no" or not isinstance(item, Relation):
                continue
            if not _LABEL_KEYS.isdisjoint(tags):
                found.wanted.add(item.id)
            elif _SAYS_WHAT.isdisjoint(tags) and item.tags.get("type") == "multipolygon":
                outers = [member.ref for member in item.members if member.type == "w" and member.role in ("outer", "")]
                found.outers[item.id] = outers
                found.members.update(outers)
        return found

    def _way(self, item: Any, factory: Any, old: "_OldStyle") -> None:
        tags, is_area = described(_tags(item))
        try:
            wkb = factory.create_linestring(item)
        except (osmium.InvalidLocationError, RuntimeError):
            self._reject_way(item, is_area)
            return
        kind: Kind = "area" if is_area and item.is_closed() else "line"
        number = item.id
        if is_area and number in old.relations.members:
            old.ways[number] = (kind, tags, wkb)
        else:
            self._pending.add("way", number, kind, tags, wkb)

    def _reject_way(self, item: Any, is_area: bool) -> None:
        """Count a way with an unknown node, or with fewer than two different places."""
        unknown = [node.ref for node in item.nodes if not node.location.valid()]
        if min(unknown, default=0) < 0:
            raise self._not_uploaded("node", min(unknown))
        closed = is_area and len(item.nodes) > 1 and item.is_closed()
        self._rejects["missing_node" if unknown else "no_area" if closed else "no_length"] += 1

    def _not_uploaded(self, what: str, number: int) -> TilewrightError:
        # pyosmium looks up places and relations by positive numbers alone.
        return TilewrightError(
            f"labels: {self._path}: {what} {number} is drawn but not uploaded; number all objects anew (osmium renumber)"
        )

    def _relation(self, item: Any, factory: Any, old: "_OldStyle") -> None:
        number = item.orig_id()
        own = number in old.relations.wanted
        try:
            wkb = factory.create_multipolygon(item)
        except RuntimeError:
            if own:
                self._rejects["open_ring"] += 1
            return
        if own:
            self._pending.add("relation", number, "area", described(_tags(item))[0], wkb)
        else:
            old.areas[number] = wkb

    def _settle(self, old: "_OldStyle", built: set[int]) -> None:
        """Add the relations of the old style, and those of their outer ways that stand for themselves."""
        done: set[int] = set()
        for number, outers in sorted(old.relations.outers.items()):
            tagged = [way for way in outers if way in old.ways]
            told = {old.ways[way][1] for way in tagged}
            if len(told) == 1 and number in old.areas:
                self._pending.add("relation", number, "area", told.pop(), old.areas[number])
                done.update(tagged)
            elif told and number not in old.areas:
                self._rejects["open_ring" if number in built else "missing_member"] += 1
        for way, (kind, tags, wkb) in sorted(old.ways.items()):
            if way not in done:
                self._pending.add("way", way, kind, tags, wkb)

    def _batch(self) -> Batch:
        """Make the geometry of what is pending."""
        pending, self._pending = self._pending, _Pending()
        types, ids, kinds, tags = pending.types, np.array(pending.ids, dtype=np.int64), pending.kinds, pending.tags
        areas = np.array([kind == "area" for kind in kinds], dtype=bool)
        geometry, lost = from_hex(pending.wkb, areas)
        whole = areas & ~lost
        geometry[whole], lost[whole], repaired = valid_areas(geometry[whole])
        self._repaired += repaired
        if lost.any():
            self._rejects["no_area"] += int(lost.sum())
            kept = ~lost
            types, kinds, tags = list(compress(types, kept)), list(compress(kinds, kept)), list(compress(tags, kept))
            ids, geometry = ids[kept], geometry[kept]
        self._counts.update(kinds)
        return Batch(types, ids, kinds, tags, geometry)


@dataclass
class _OldStyle:
    """What relations of the old style are made of, held back until all of it was read.

    Attributes:
        ways: their outer ways that are tagged as areas, closed or not: kind, tags and WKB of each by itself.
        areas: their WKB.
    """

    relations: _Relations
    ways: dict[int, tuple[Kind, str, str]] = field(default_factory=dict)
    areas: dict[int, str] = field(default_factory=dict)


class OsmReader:
    """Reads an extract, and the sea beside it where the source names a file of it; a `FeatureReader`."""

    def __init__(self, source: OsmFile, scratch: Path | None = None) -> None:
        """`scratch`: as for `OsmObjects`."""
        self._source = source
        self._objects = OsmObjects(Path(source.path), source.kind, scratch)
        self._extent: str | None = None
        self._sea = 0
        self._lost: Counter[str] = Counter()  # of the sea

    def batches(self) -> Iterator[Batch]:
        """All features of the file, then the sea polygons near its extent, whole.

        Raises:
            TilewrightError: where a file is missing, truncated or of another kind.
        """
        if self._source.extent is not None:
            self._extent = shapely.to_wkt(load_extent(self._source.extent), rounding_precision=-1)
        yield from self._objects.batches()
        self._extent = self._extent or self._objects.facts().extent
        if self._source.sea is not None:
            for batch in sea_batches(self._source.sea, _boxes(self._extent), self._lost):
                self._sea += len(batch.source_id)
                yield batch

    def facts(self) -> SourceFacts:
        """Facts of the file; the extent is the source's own, where it says one."""
        facts = self._objects.facts()
        counts = {**facts.counts, "area": facts.counts["area"] + self._sea}
        return replace(facts, extent=self._extent, counts=counts, rejects={**facts.rejects, **self._lost})


def _boxes(extent: str | None) -> list[Box] | None:
    """The boxes of an extent's parts, or one around all where there are many."""
    if extent is None:
        return None
    whole = shapely.from_wkt(extent)
    parts = shapely.get_parts(whole)
    return [part.bounds for part in (parts if len(parts) <= 2 else [whole])]


def _tags(item: Any) -> tuple[tuple[str, str], ...]:
    """The tags of an object that `described` looks at."""
    tags = item.tags
    # Its iterator ends by an exception out of C++, which takes four times as long as all the rest: stop before.
    return tuple([tag for tag in islice(tags, len(tags)) if tag[0] in LOOKED_AT])
