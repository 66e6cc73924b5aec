"""The stage `source`: one file of vector labels, normalised once for all tiles.

an extract or a layer  →  sources/<name>.parquet
"""

import logging
from pathlib import Path
from typing import Any, Final

from tilewright.config.label_sets import OsmFile, is_postgis
from tilewright.config.label_settings import SourceSettings
from tilewright.store.features import FeatureWriter
from tilewright.vector.features import FeatureReader, SourceFacts
from tilewright.vector.tables import shown

log = logging.getLogger(__name__)

# What section 4.3 of the Open Database License asks of produced works.
ODBL_NOTICE: Final = (
    "Contains information from OpenStreetMap, which is made available here under the Open Database License (ODbL) 1.0, "
    "https://opendatacommons.org/licenses/odbl/1-0/. © OpenStreetMap contributors, https://www.openstreetmap.org/copyright"
)


def make_source(settings: SourceSettings, output: Path) -> None:
    """Write `output` (GeoParquet, EPSG:4326): every feature of the source once, along a Hilbert curve.

    Columns: source_type (node, way, relation, sea, row), source_id, kind (area, line, point), tags (JSON, sorted keys),
    geometry, bbox. The table's metadata: source, kind, snapshot, extent (WKT), counts, rejects, repaired, notice.

    Raises:
        TilewrightError: where a file is missing, broken, of another kind, or has a feature twice.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    reader = _reader(settings, output.parent)
    with FeatureWriter(output) as writer:
        for batch in reader.batches():
            writer.add(batch)
        path = settings.source.path
        name = shown(path) if is_postgis(path) else Path(shown(path)).name
        facts = reader.facts()
        writer.finish(about(name, settings.source.kind, facts))
    log.info("%s: %s; left out %s, mended %d", name, facts.counts, facts.rejects or "nothing", facts.repaired)


def _reader(settings: SourceSettings, scratch: Path) -> FeatureReader:
    if isinstance(settings.source, OsmFile):
        from tilewright.vector.osm import OsmReader

        return OsmReader(settings.source, scratch)
    from tilewright.vector.ogr import VectorReader

    return VectorReader(settings.source, settings.year, scratch)


def about(source: str, kind: str, facts: SourceFacts) -> dict[str, Any]:
    """What a feature table says of its source, by its name."""
    return {
        "source": source, "kind": kind, "snapshot": facts.snapshot, "extent": facts.extent,
        "counts": dict(sorted(facts.counts.items())), "rejects": dict(sorted(facts.rejects.items())),
        "repaired": facts.repaired, "notice": None if kind == "vector" else ODBL_NOTICE,
    }  # fmt: skip
