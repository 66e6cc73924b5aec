"""tilewright's stages as command lines, as the rules call them. A process of its own, since the library is heavy to import.

    python benchmarks/stages.py <spec.json>     prints one JSON object: stage -> command line

The spec names the config, the tile, the period and the folder; with `cells` (ulx, uly of each) it writes cells.parquet itself,
for cells that no lattice has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def commands(config: dict[str, Any], tile: str, period: str, folder: Path, threads: int) -> dict[str, list[str]]:
    """The stages from cells to group, in order."""
    from tilewright.rules import DatasetConfig

    dataset = DatasetConfig.load(config, ROOT)
    files = {
        name: str(folder / name)
        for name in ("cells.parquet", "scenes.parquet", "masks.parquet", "patches.zarr.zip", "selection.parquet", "series.zarr.zip")
    }  # fmt: skip
    cells, scenes, masks, patches, selection, series = files.values()
    many, opened = ["--threads", str(threads)], ["--access", dataset.access]
    arguments = {
        "cells": ["--tile", tile, "--output", cells],
        "search": [*opened, "--output", scenes],
        "mask": [*many, *opened, "--cells", cells, "--scenes", scenes, "--output", masks, "--traffic", str(folder / "mask.json")],
        "crop": [
            *many, *opened, "--cells", cells, "--scenes", scenes, "--masks", masks, "--patches", patches, "--selection", selection,
            "--traffic", str(folder / "crop.json"),
        ],
        "group": [*many, "--cells", cells, "--patches", patches, "--output", series],
    }  # fmt: skip
    return {
        stage: [
            sys.executable, "-m", "tilewright", "--log", str(folder / f"{stage}.log"), stage,
            "--settings", dataset.settings(stage, tile=tile, period=period), *given,
        ]
        for stage, given in arguments.items()
    }  # fmt: skip


def write_cells(cells: list[tuple[int, int]], tile: str, epsg: int, size_m: int, path: Path) -> None:
    """cells.parquet of cells side by side from the tile's corner, as far as mask and crop look."""
    import pandas as pd

    from tilewright.store import write_table

    left, top = cells[0]
    ids = [f"{tile}-{(x - left) // size_m}-{(top - y) // size_m}" for x, y in cells]
    table = pd.DataFrame({"cell_id": ids, "tile": tile})
    for name, values in {
        "epsg": epsg,
        "ulx": [x for x, _ in cells],
        "uly": [y for _, y in cells],
        "size_m": size_m,
    }.items():
        table[name] = pd.Series(values, index=table.index, dtype="int32")
    write_table(table, path, {"tile": tile, "size_m": size_m})


if __name__ == "__main__":
    spec = json.loads(Path(sys.argv[1]).read_text())
    target = Path(spec["folder"])
    target.mkdir(parents=True, exist_ok=True)
    if "cells" in spec:
        write_cells(spec["cells"], spec["tile"], spec["epsg"], spec["cell_m"], target / "cells.parquet")
    print(json.dumps(commands(spec["config"], spec["tile"], spec["period"], target, spec["threads"])))
