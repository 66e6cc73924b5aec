"""The stage `ask`: what an Overpass API has around a tile's cells, normalised as the stage `source` does it.

cells.parquet, an API  →  asked/<name>.parquet

A file of its own: what was found is what is used, whatever else becomes of the tile's label sets.
"""

from pathlib import Path

from tilewright.config.label_settings import AskSettings
from tilewright.grid.boxes import cells_boxes
from tilewright.stages.source import about, scratch_beside
from tilewright.store import read_columns
from tilewright.store.features import FeatureWriter
from tilewright.vector.features import SourceFacts
from tilewright.vector.ontology import MARGIN_M
from tilewright.vector.overpass import OverpassReader, host


def make_asked(cells: Path, settings: AskSettings, output: Path) -> None:
    """Write `output`, a table as `make_source` writes it; where the tile has no cells the API is not asked.

    Raises:
        TilewrightError: where `cells` is missing or damaged, or the API does not answer, or only in part.
    """
    boxes = cells_boxes(read_columns(cells, ("epsg", "ulx", "uly", "size_m")), MARGIN_M)
    with scratch_beside(output) as scratch, FeatureWriter(output) as writer:
        facts = SourceFacts(None, None)
        if boxes:
            reader = OverpassReader(settings.source, boxes, scratch / "work")
            for batch in reader.batches():
                writer.add(batch)
            facts = reader.facts()
        writer.finish(about(host(settings.source.url), settings.source.kind, facts))
