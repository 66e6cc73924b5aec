"""Small .osm files through osmnx, as the same rows that `osm.read_pbf` makes.

Known differences from the PBF reader: osmnx leaves out relation members without a role, takes a relation's tags only, and
does not say why an object was left out, so that the rejects have one reason, `not_built`.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import shapely

from tilewright.vector.osm import Box, Collector, Extract, header, objects, unreadable
from tilewright.vector.tags import LABEL_KEYS

_KINDS = {"Polygon": "area", "MultiPolygon": "area", "LineString": "line", "MultiLineString": "line", "Point": "point"}


def read_osm_xml(path: str | Path, boxes: Sequence[Box]) -> Extract:
    """Read the label-relevant objects of a small .osm (XML) file whose bounding box meets one of `boxes`.

    Raises:
        TilewrightError: where the file is missing, broken or not OSM XML.
    """
    path = Path(path)
    wanted: set[tuple[str, int]] = set()
    try:
        processor = objects(path, "osm")
        for item in processor:
            if item.is_node():
                wanted.add(("node", item.id))
            elif item.is_way():
                wanted.add(("way", item.id))
            elif item.is_relation() and item.tags.get("type") in ("multipolygon", "boundary"):
                wanted.add(("relation", item.id))
        snapshot, box = header(processor)
    except (RuntimeError, OSError, ValueError) as error:
        raise unreadable(path, "osm_xml", error) from error
    collector = Collector(boxes)
    found = _collect(path, collector) if wanted else set()
    frame = collector.frame()
    rejects = Counter(collector.rejects)
    if missing := wanted - found:
        rejects["not_built"] = len(missing)
    return Extract(frame, snapshot, box, dict(sorted(rejects.items())), collector.repaired)


def _collect(path: Path, collector: Collector) -> set[tuple[str, int]]:
    import osmnx
    from osmnx._errors import InsufficientResponseError

    try:
        table = osmnx.features_from_xml(path, tags=dict.fromkeys(LABEL_KEYS, True))
    except InsufficientResponseError:  # nothing in it could be built
        return set()
    tag_columns = [name for name in table.columns if name not in ("geometry", "visible")]
    found = set()
    for (osm_type, osm_id), geometry, values in zip(
        table.index, table.geometry, table[tag_columns].itertuples(index=False, name=None), strict=True
    ):
        tags = {key: str(value) for key, value in zip(tag_columns, values, strict=True) if not pd.isna(value)}
        if osm_type == "relation":
            tags.pop("type", None)  # says how the members are to be read; libosmium's areas do not have it either
        kind = _KINDS.get(geometry.geom_type, "area")  # a collection is an area that osmnx has made valid
        if geometry.geom_type == "GeometryCollection":
            parts = shapely.get_parts(shapely.get_parts(geometry))
            geometry = shapely.union_all([part for part in parts if part.geom_type == "Polygon"])
        if geometry.is_empty:
            continue
        found.add((str(osm_type), int(osm_id)))
        collector.add(str(osm_type), int(osm_id), kind, tags, shapely.to_wkb(geometry))
    return found
