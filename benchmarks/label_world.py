"""The map of the label benchmarks: OpenStreetMap objects on one tile, as .osm.pbf and, where asked, as .osm.

    python benchmarks/label_world.py full          benchmarks/data/map-full: the whole tile, 450,000 polygons, about a minute, once
    python benchmarks/label_world.py quarter       a quarter of its ground, also as .osm: for tools that cannot hold the whole
    python benchmarks/label_world.py quick         6 x 6 km, also as .osm: seconds
    python benchmarks/label_world.py full --real FILE.osm.pbf     copies of a real extract, spread until there are as many

Made from a seed: towns of all sizes with buildings (median 150 m²) on a lattice of plots, streets, roads, waterways, woods and
fields from gardens to forests that hold whole cells, with clearings, outlines in several ways and parts that lie apart, points,
and what labels do not look at. Reading this module is light: the measuring process imports it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world import DATA, EPSG, ULX, ULY

VERSION = 2  # raised when other objects would be made
STAMP = "2020-06-01T00:00:00Z"
MAX_NODES = 1900  # of a way: OpenStreetMap allows 2000


@dataclass(frozen=True)
class Map:
    """A map on disk, `side_m` from the tile's upper-left corner down and to the right."""

    name: str
    side_m: int
    xml: bool  # as .osm too
    folder: Path

    @property
    def pbf(self) -> Path:
        return self.folder / "map.osm.pbf"

    @property
    def osm(self) -> Path:
        return self.folder / "map.osm"

    @property
    def facts(self) -> dict[str, Any]:
        """Numbers of objects, and where they are from."""
        return json.loads((self.folder / "map.json").read_text())


SIDES = {"full": 109_800, "quarter": 54_900, "quick": 6_000}


def ensure(size: str, data: Path = DATA, real: Path | None = None) -> Map:
    """The map, made first (in a process of its own) where it is not there or is another version's."""
    found = Map(size, SIDES[size], size != "full", data / f"map-{size}{'-real' if real else ''}")
    facts = found.folder / "map.json"
    if not facts.is_file() or found.facts["version"] != VERSION:
        shutil.rmtree(found.folder, ignore_errors=True)
        found.folder.mkdir(parents=True)
        print(f"making the map {found.folder.name} …", flush=True)
        command = [sys.executable, __file__, size, "--data", str(data), *(["--real", str(real)] if real else [])]
        subprocess.run(command, check=True)
    return found


class Writer:
    """Objects with ids 1, 2, … into all files: nodes first, then ways, then relations, as the formats want it."""

    def __init__(self, where: Map) -> None:
        import osmium

        self._osm = osmium.osm
        header = osmium.io.Header()
        header.add_box(degrees_of(where.side_m))
        for key in ("timestamp", "osmosis_replication_timestamp"):
            header.set(key, STAMP)
        paths = [where.pbf, *([where.osm] if where.xml else [])]
        self._writers = [osmium.SimpleWriter(str(path), header=header) for path in paths]
        self._make = osmium.osm.mutable
        self.nodes = self.ways = self.relations = 0

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def node(self, lon: float, lat: float, tags: dict[str, str] | None = None) -> int:
        self.nodes += 1
        for writer in self._writers:
            writer.add_node(
                self._make.Node(id=self.nodes, location=(lon, lat), tags=tags or {}, version=1, timestamp=STAMP)
            )
        return self.nodes

    def way(self, nodes: list[int], tags: dict[str, str]) -> int:
        self.ways += 1
        for writer in self._writers:
            writer.add_way(self._make.Way(id=self.ways, nodes=nodes, tags=tags, version=1, timestamp=STAMP))
        return self.ways

    def relation(self, members: list[tuple[str, int, str]], tags: dict[str, str]) -> int:
        self.relations += 1
        for writer in self._writers:
            writer.add_relation(
                self._make.Relation(id=self.relations, members=members, tags=tags, version=1, timestamp=STAMP)
            )
        return self.relations


def degrees_of(side_m: int) -> Any:
    """Degrees around the map, with two kilometres of room for what crosses its edge."""
    import osmium
    from pyproj import Transformer

    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True).transform
    corners = [to_lonlat(ULX + x, ULY - y) for x in (-2000, side_m + 2000) for y in (-2000, side_m + 2000)]
    lon, lat = zip(*corners, strict=True)
    return osmium.osm.Box(min(lon), min(lat), max(lon), max(lat))


def facts_of(writer: Writer, source: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "source": source,
        "nodes": writer.nodes,
        "ways": writer.ways,
        "relations": writer.relations,
    }


def replicated(where: Map, real: Path) -> dict[str, Any]:
    """Write copies of a real extract with ids of their own, evenly over the map (they overlap), until their ways are about as
    many as the seed's map has."""
    import math

    import osmium

    nodes, ways, relations = [], [], []
    for item in osmium.FileProcessor(str(real)):
        tags = dict(item.tags)
        if item.is_node():
            nodes.append((item.id, item.lon, item.lat, tags))
        elif item.is_way():
            ways.append((item.id, [node.ref for node in item.nodes], tags))
        else:
            relations.append((item.id, [(one.type, one.ref, one.role) for one in item.members], tags))
    box = degrees_of(where.side_m)
    west, south = min(node[1] for node in nodes), min(node[2] for node in nodes)
    wide, high = max(node[1] for node in nodes) - west, max(node[2] for node in nodes) - south
    count = max(1, math.ceil(64e-6 * where.side_m**2 / len(ways)))
    down = math.ceil(math.sqrt(count))
    room = (box.top_right.lon - box.bottom_left.lon - wide, box.top_right.lat - box.bottom_left.lat - high)
    shifts = [
        (
            box.bottom_left.lon - west + room[0] * (at // down) / max(1, -(-count // down) - 1),
            box.bottom_left.lat - south + room[1] * (at % down) / max(1, down - 1),
        )
        for at in range(count)
    ]
    writer = Writer(where)
    node_ids = [
        {one: writer.node(lon + east, lat + north, tags) for one, lon, lat, tags in nodes} for east, north in shifts
    ]
    way_ids = [
        {one: writer.way([known[ref] for ref in refs if ref in known], tags) for one, refs, tags in ways}
        for known in node_ids
    ]
    for of_nodes, of_ways in zip(node_ids, way_ids, strict=True):
        known = {"n": of_nodes, "w": of_ways, "r": {}}
        for _, members, tags in relations:
            # what the extract itself lacks stays missing: an id that no copy has
            writer.relation([(kind, known[kind].get(ref, 10**9 + ref), role) for kind, ref, role in members], tags)
    writer.close()
    return facts_of(writer, f"{count} copies of {real.name} (real; © OpenStreetMap contributors, ODbL 1.0)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the map of the label benchmarks.")
    parser.add_argument("size", choices=SIDES)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--real", type=Path, help="an extract to copy instead of generating")
    told = parser.parse_args()
    target = Map(
        told.size, SIDES[told.size], told.size != "full", told.data / f"map-{told.size}{'-real' if told.real else ''}"
    )
    target.folder.mkdir(parents=True, exist_ok=True)
    if told.real:
        about = replicated(target, told.real)
    else:
        from label_ground import generated

        about = generated(target)
    (target.folder / "map.json").write_text(json.dumps(about))
