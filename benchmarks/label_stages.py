"""The label stages of one tile as command lines, as the rules call them; writes cells.parquet. A process of its own: the library is heavy.

    python benchmarks/label_stages.py <spec.json>     prints one JSON object: commands (source, features, labels), ontology, keys

The spec names the folder, the extract (pbf), the ontology, the cells (ulx, uly of each), their side and the pixels' size.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from stages import write_cells
from world import EPSG, TILE

NAME = "osm"  # of the label set, and of its source's file


def commands(spec: dict[str, Any], folder: Path) -> dict[str, list[str]]:
    """Source, features and labels, in order."""
    from tilewright.config.label_sets import ODBL, OsmFile
    from tilewright.config.label_settings import FeaturesSettings, LabelSetSettings, LabelsSettings, SourceSettings
    from tilewright.config.settings import text

    cells, source, features = (str(folder / name) for name in ("cells.parquet", f"{NAME}.parquet", "features.parquet"))
    burned = LabelSetSettings(
        kind="pbf", ontology=spec["ontology"], resolution_m=spec["step"], licence=ODBL, family=NAME
    )
    arguments = {
        "source": (SourceSettings(source=OsmFile(kind="pbf", path=spec["pbf"]), year=None), ["--output", source]),
        "features": (
            FeaturesSettings(sources={NAME: NAME}),
            ["--cells", cells, "--sources", source, "--output", features],
        ),
        "labels": (
            LabelsSettings(sets={NAME: burned}),
            ["--cells", cells, "--features", features, "--output", str(folder / "labels.zarr.zip")],
        ),
    }
    return {
        stage: [
            sys.executable, "-m", "tilewright", "--log", str(folder / f"{stage}.log"), stage, "--settings", text(settings), *given
        ]
        for stage, (settings, given) in arguments.items()
    }  # fmt: skip


def main() -> None:
    from tilewright.vector.tags import LABEL_KEYS

    spec = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(spec["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    write_cells([tuple(cell) for cell in spec["cells"]], TILE, EPSG, spec["cell_m"], folder / "cells.parquet")
    print(json.dumps({"commands": commands(spec, folder), "keys": list(LABEL_KEYS)}))


if __name__ == "__main__":
    main()
