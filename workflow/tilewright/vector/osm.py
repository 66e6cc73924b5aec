"""An OpenStreetMap extract (.osm.pbf) as areas, lines and points, read once from end to end by pyosmium.

Relations become areas through libosmium's assembler (holes, split rings, islands in holes). Closed ways are built here,
because which of them are areas is ours to say (`tags.closed_way_is_area`) and because libosmium drops a ring that
crosses itself, which `make_valid` can mend.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import shapely

from tilewright.errors import TilewrightError
from tilewright.vector.tags import LABEL_KEYS, closed_way_is_area

Box = tuple[float, float, float, float]  # west, south, east, north in degrees; west <= east
COLUMNS: Final = ("osm_type", "osm_id", "kind", "tags")

_BATCH: Final = 100_000  # objects whose geometry is held before those outside the boxes are let go
_RELATION_TYPES: Final = ("multipolygon", "boundary")


@dataclass(frozen=True)
class Extract:
    """What a source says about some boxes.

    Attributes:
        features: columns osm_type (node, way, relation), osm_id, kind (area, line, point), tags (JSON, sorted keys) and
            geometry (EPSG:4326), sorted by type and id.
        snapshot: time of the data (ISO 8601), None where the file does not say.
        box: west, south, east, north that the file says it covers, None where it does not.
        rejects: objects that no geometry could be made of, by reason. `missing_node`, `missing_member` and `open_ring`
            are of the whole file, since what cannot be built has no place; `no_area` is of the boxes.
        repaired: areas in the boxes whose rings crossed or touched themselves, mended by make_valid.
    """

    features: gpd.GeoDataFrame
    snapshot: str | None
    box: Box | None
    rejects: dict[str, int]
    repaired: int


@dataclass
class Collector:
    """Gathers objects as WKB, lets go of those outside the boxes, makes areas valid."""

    boxes: Sequence[Box]
    rows: list[tuple[str, int, str, str]] = field(default_factory=list)
    wkb: list[Any] = field(default_factory=list)
    kept: list[tuple[list[tuple[str, int, str, str]], np.ndarray]] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)
    repaired: int = 0

    def add(self, osm_type: str, osm_id: int, kind: str, tags: dict[str, str], wkb: Any) -> None:
        """Take one object; an area's `wkb` may be the linestring of its ring."""
        document = json.dumps(tags, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.rows.append((osm_type, osm_id, kind, document))
        self.wkb.append(wkb)
        if len(self.rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        geometry = shapely.from_wkb(np.array(self.wkb, dtype=object))
        kinds = np.array([row[2] for row in self.rows], dtype=object)
        near = np.flatnonzero(meets(geometry, self.boxes))
        geometry, kinds = geometry[near], kinds[near]
        rows = [self.rows[index] for index in near]
        self.rows, self.wkb = [], []
        geometry, lost, repaired = valid_areas(geometry, kinds == "area")
        self.repaired += repaired
        if lost.any():
            self.rejects["no_area"] += int(lost.sum())
        if rows:
            self.kept.append(([row for row, gone in zip(rows, lost, strict=True) if not gone], geometry[~lost]))

    def frame(self) -> gpd.GeoDataFrame:
        """All that was kept, sorted by type and id."""
        self._flush()
        rows = [row for batch, _ in self.kept for row in batch]
        geometry = np.concatenate([np.empty(0, dtype=object), *(batch for _, batch in self.kept)])
        order = sorted(range(len(rows)), key=lambda index: rows[index][:3])
        columns = {name: [rows[index][at] for index in order] for at, name in enumerate(COLUMNS)}
        frame = gpd.GeoDataFrame(columns, geometry=list(geometry[order]), crs="EPSG:4326")
        return frame.astype({"osm_type": str, "osm_id": "int64", "kind": str, "tags": str})


def meets(geometry: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """Whether each geometry's bounding box meets any of `boxes`; a polygon around a box does (no vertex need be near)."""
    west, south, east, north = shapely.bounds(geometry).T
    found = np.zeros(len(geometry), dtype=bool)
    for box in boxes:
        found |= (west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1])
    return found


def valid_areas(geometry: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Make the geometries marked in `areas` valid (Multi)Polygons: rings are closed into polygons, crossings mended.

    Returns:
        The geometries, which of them have no area at all, and how many were mended.
    """
    geometry = geometry.copy()
    rings = areas & (shapely.get_type_id(geometry) == shapely.GeometryType.LINESTRING)
    short = rings & (shapely.get_num_coordinates(geometry) < 4)  # a ring needs three corners and the first again
    rings &= ~short
    if rings.any():
        coordinates, index = shapely.get_coordinates(geometry[rings], return_index=True)
        geometry[rings] = shapely.polygons(shapely.linearrings(coordinates, indices=index))
    bad = np.flatnonzero(areas & ~short & ~shapely.is_valid(geometry))
    for at in bad:
        parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(geometry[at])))
        geometry[at] = shapely.union_all([part for part in parts if part.geom_type == "Polygon"])
    lost = short | (areas & shapely.is_empty(geometry))
    return geometry, lost, int((~lost[bad]).sum())


def objects(path: Path, file_format: str) -> Any:
    """Iterate with pyosmium over all objects with a label key, areas included.

    Raises:
        TilewrightError: where there is no file. Broken files raise RuntimeError while iterating.
    """
    import osmium

    if not path.is_file():
        raise TilewrightError(f"labels: {path}: no such file; put the extract there or mend labels.<set>.source.path")
    keys = osmium.filter.KeyFilter(*LABEL_KEYS)
    source = osmium.io.File(str(path), file_format)
    return osmium.FileProcessor(source).with_areas(osmium.filter.KeyFilter(*LABEL_KEYS)).with_filter(keys)


def header(processor: Any) -> tuple[str | None, Box | None]:
    """Snapshot time and box of a file's header, each None where it is not given."""
    box = processor.header.box()
    corners: Box | None = None
    if box.valid():
        corners = (box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat)
    return processor.header.get("osmosis_replication_timestamp") or None, corners


def unreadable(path: Path, kind: str, error: Exception) -> TilewrightError:
    """Make the one message for a file that is broken or no OSM file of its kind."""
    return TilewrightError(
        f"labels: {path}: cannot be read as {kind} ({' '.join(str(error).split()) or type(error).__name__}); it is truncated or "
        "no such file: fetch the extract again, or mend labels.<set>.source (pbf for .osm.pbf, osm_xml for .osm)"
    )


def read_pbf(path: str | Path, boxes: Sequence[Box]) -> Extract:
    """Read the label-relevant objects of an .osm.pbf whose bounding box meets one of `boxes`.

    Raises:
        TilewrightError: where the file is missing, truncated or not PBF.
    """
    path = Path(path)
    collector = Collector(boxes)
    try:
        processor = objects(path, "pbf")
        _collect(processor, collector)
        snapshot, box = header(processor)
    except (RuntimeError, OSError, ValueError) as error:
        raise unreadable(path, "pbf", error) from error
    frame = collector.frame()
    return Extract(frame, snapshot, box, dict(sorted(collector.rejects.items())), collector.repaired)


def _tags(item: Any) -> dict[str, str]:
    return {tag.k: tag.v for tag in item.tags}


def _collect(processor: Iterator[Any], collector: Collector) -> None:
    import osmium

    factory = osmium.geom.WKBFactory()
    wanted: set[int] = set()  # relations that should become areas; libosmium may give the area before its relation
    built: set[int] = set()
    for item in processor:
        if item.is_node():
            if item.location.valid():
                collector.add("node", item.id, "point", _tags(item), factory.create_point(item))
            else:
                collector.rejects["missing_node"] += 1
        elif item.is_way():
            tags = _tags(item)
            kind = "area" if len(item.nodes) and item.is_closed() and closed_way_is_area(tags) else "line"
            try:
                collector.add("way", item.id, kind, tags, factory.create_linestring(item))
            except osmium.InvalidLocationError:
                collector.rejects["missing_node"] += 1
            except RuntimeError:  # fewer than two different places
                collector.rejects["no_area" if kind == "area" else "no_length"] += 1
        elif item.is_relation():
            if item.tags.get("type") in _RELATION_TYPES and item.tags.get("area") != "no":
                wanted.add(item.id)
        elif item.is_area() and not item.from_way():
            built.add(item.orig_id())
            try:
                collector.add("relation", item.orig_id(), "area", _tags(item), factory.create_multipolygon(item))
            except RuntimeError:
                collector.rejects["open_ring"] += 1
    if lost := wanted - built:
        collector.rejects["missing_member"] += len(lost)
