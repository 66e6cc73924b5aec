"""The stage `features`: the vector labels around a tile's cells.

cells.parquet, sources/<name>.parquet, asked/<name>.parquet  →  features.parquet

The table keeps every object that could matter to some ontology, whole: an object is taken by its bounding box, so that a
wood around a cell survives although none of its vertices is near.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import shapely

from tilewright.config.label_settings import FeaturesSettings
from tilewright.errors import TilewrightError
from tilewright.grid.boxes import Box, cells_boxes
from tilewright.store import read_columns, table_metadata
from tilewright.store.features import KINDS, read_arrow, write_arrow
from tilewright.vector.ontology import MARGIN_M


def make_features(cells: Path, sources: Mapping[str, Path], settings: FeaturesSettings, output: Path) -> None:
    """Write `output` (GeoParquet, EPSG:4326): a row per label set and object, sorted by label_set, source_type, source_id.

    Columns: label_set, source_type (node, way, relation, sea, row), source_id, kind (area, line, point), tags (JSON, sorted
    keys), geometry, bbox. The table's metadata says per label set: source, kind, snapshot, extent (WKT, the part near the
    cells), counts (near the cells), rejects, repaired (of the whole source), notice.

    Args:
        cells: the tile's cells.
        sources: by name, the tables that the stages `source` and `ask` made.
        settings: which label set is of which.
        output: the table.

    Raises:
        TilewrightError: where `cells` or a source is missing, damaged or of another version.
    """
    boxes = cells_boxes(read_columns(cells, ("epsg", "ulx", "uly", "size_m")), MARGIN_M)
    tables: dict[str, pa.Table] = {}
    told: dict[str, Any] = {}
    read: dict[str, tuple[pa.Table, dict[str, Any]]] = {}  # two label sets may differ in ontology alone
    output.parent.mkdir(parents=True, exist_ok=True)
    for name, source in sorted(settings.sources.items()):
        if source not in read:
            read[source] = _cut(name, source, sources, boxes)
        tables[name], told[name] = read[source]
    metadata: dict[str, Any] = {"margin_m": MARGIN_M, "label_sets": told}
    if not boxes:
        metadata["reason"] = "the tile has no cells"
    write_arrow(tables, output, metadata)


def _cut(
    label_set: str, source: str, sources: Mapping[str, Path], boxes: Sequence[Box]
) -> tuple[pa.Table, dict[str, Any]]:
    """The features of a normalised source that meet the boxes, and what is told of it there."""
    if source not in sources:
        raise TilewrightError(
            f"labels.{label_set}: {source}.parquet was not handed over: run the rule that makes it first"
        )
    table = read_arrow(sources[source], boxes)
    told = {name: value for name, value in table_metadata(sources[source]).items() if name != "format"}
    kinds = Counter(table["kind"].to_pylist())
    told["counts"] = {kind: kinds[kind] for kind in KINDS}
    told["extent"] = _clipped(told["extent"], boxes)
    return table, told


def _clipped(extent: str | None, boxes: Sequence[Box]) -> str | None:
    """The part of an extent (WKT) in the boxes; an empty polygon where it has none, None where it is unknown."""
    if extent is None:
        return None
    ground = shapely.intersection(shapely.from_wkt(extent), shapely.union_all([shapely.box(*box) for box in boxes]))
    parts = shapely.get_parts(shapely.get_parts(ground))
    areas = shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return "POLYGON EMPTY" if areas.is_empty else shapely.to_wkt(areas, rounding_precision=-1)
