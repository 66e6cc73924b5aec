"""The stage `source`: one file of vector labels, normalised once for all tiles.

an extract or a layer  →  sources/<name>.parquet
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tilewright.config.label_sets import OsmFile, is_postgis
from tilewright.config.label_settings import SourceSettings
from tilewright.errors import TilewrightError
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
    with scratch_beside(output) as scratch, FeatureWriter(output) as writer:
        reader = _reader(settings, scratch)
        for batch in reader.batches():
            writer.add(batch)
        path = settings.source.path
        name = shown(path) if is_postgis(path) else Path(shown(path)).name
        facts = reader.facts()
        if facts.rejects and not sum(facts.counts.values()):
            # as with coordinates of another CRS than the one that is named: no ground is unlabeled because of that
            reasons = ", ".join(f"{count} {reason}" for reason, count in facts.rejects.items())
            raise TilewrightError(
                f"labels: {name}: no feature of it could be used ({reasons}): mend the file, or labels.<set>.source "
                "(crs, layer, year_field)"
            )
        writer.finish(about(name, settings.source.kind, facts))
    log.info("%s: %s; left out %s, mended %d", name, facts.counts, facts.rejects or "nothing", facts.repaired)


@contextmanager
def scratch_beside(output: Path) -> Iterator[Path]:
    """Yield an empty folder beside `output` for as long as it is being written; what a killed writer left there is removed."""
    folder = output.with_name(f".{output.name}.scratch")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
