"""Stages that gather more than a simulated dataset has: a zone and an index of many tiles, a whole map's features, many locations.

    python benchmarks/resources_large.py <folder of a finished dataset> <its config.yaml> [--maps quick quarter full] [--tiles 10 100]

Copies of the dataset's tile that has most cells stand for the tiles of a zone, under other names. The rows, with what the models say, are
kept in benchmarks/results/resources-large.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

import table
from measure import Measured, run

ROOT: Final = Path(__file__).resolve().parents[1]
# MB of the blocks of a tile's images that are full, as tilewright.costs.blocks has them: this process must stay small.
_BLOCK_MB: Final = 1024**2 / 1e6
_LOCATIONS: Final = (1_000, 25_000, 251_079)
# What a job's work is, its cost and how many rows a table has, in a process of its own: this one must stay small.
_TOLD: Final = """
import json, sys
from dataclasses import asdict
from tilewright.costs import Work, job_cost
print(json.dumps(asdict(job_cost(sys.argv[1], Work(**json.loads(sys.argv[2]))))))
"""
# Cells of the copies get ids, tiles and ground of their own.
_APART: Final = """
import sys
from pathlib import Path
import numpy as np
from tilewright.store import read_table, table_metadata, write_table
path, names = Path(sys.argv[1]), sys.argv[2:]
rows, told = read_table(path), table_metadata(path)
each = len(rows) // len(names)
rows["tile"] = [name for name in names for _ in range(each)]
rows["cell_id"] = rows["tile"] + "-" + rows["cell_id"]
rows["ulx"] += 100_000 * (np.arange(len(rows)) // each % 30)  # no ground is shared
rows["uly"] -= 100_000 * (np.arange(len(rows)) // each // 30)
write_table(rows, path, {key: value for key, value in told.items() if key != "format"})
"""
_NAMES: Final = "import sys; from tilewright.grid.mgrs import land_tiles; print(*[n for n in map(str, land_tiles().name) if n[:2] == '32' and n[2] >= 'N'][:int(sys.argv[1])])"
_ROWS: Final = "import sys, pyarrow.parquet as pq; print(*(pq.read_metadata(path).num_rows for path in sys.argv[1:]))"


def counted(*paths: Path) -> list[int]:
    """Rows of tables."""
    said = subprocess.run(
        [sys.executable, "-c", _ROWS, *map(str, paths)], check=True, stdout=subprocess.PIPE, text=True
    )
    return [int(word) for word in said.stdout.split()]


def row(stage: str, work: dict[str, Any], found: Measured, output: Path) -> dict[str, Any]:
    """One job: its work, what it used, what the models say."""
    said = subprocess.run(
        [sys.executable, "-c", _TOLD, stage, json.dumps(work)], check=True, stdout=subprocess.PIPE
    ).stdout
    made = {
        "stage": stage, "work": work, "cpu_s": found.cpu_s, "peak_mb": found.peak_mb, "output_mb": output.stat().st_size / 1e6,
        "cost": json.loads(said),
    }  # fmt: skip
    print(json.dumps(made), flush=True)
    return made


def stage_of(name: str, *arguments: Any) -> Measured:
    """Run a stage by its command line."""
    return run([sys.executable, "-m", "tilewright", name, *map(str, arguments)])


def gathered(dataset: Path, config: dict[str, Any], counts: list[int], scratch: Path) -> list[dict[str, Any]]:
    """zone and index of so many copies of a tile; a report looks into the stores, and would not be fooled."""
    tiles = sorted((dataset / "tiles").iterdir())
    cells = dict(zip(tiles, counted(*(tile / "cells.parquet" for tile in tiles)), strict=True))
    most = max(tiles, key=lambda tile: cells[tile])
    periods = [each["name"] for each in config["periods"]]
    settings = {
        "dataset": "many",
        "seed": 1,
        "size_m": config["cells"]["size_m"],
        "split": {"audit": {"mode": "report"}},
    }
    made = []
    for count in counts:
        folder = scratch / f"many-{count}"
        (folder / "tiles").mkdir(parents=True)
        named = subprocess.run(
            [sys.executable, "-c", _NAMES, str(count)], check=True, stdout=subprocess.PIPE, text=True
        )
        names = named.stdout.split()
        for name in names:
            (folder / "tiles" / name).symlink_to(most)
        zone, index = folder / "zones/32N.parquet", folder / "index.parquet"
        work = {
            "tiles": count,
            "cells": count * cells[most],
            "periods": len(periods),
            "label_sets": len(config.get("labels", {})),
        }
        labels = ["--labels"] if config.get("labels") else []
        found = stage_of(
            "zone",
            "--tiles-folder",
            folder / "tiles",
            "--tiles",
            *names,
            "--periods",
            *periods,
            *labels,
            "--output",
            zone,
        )
        made.append(row("zone", work, found, zone))
        subprocess.run([sys.executable, "-c", _APART, zone, *names], check=True)
        others = ["--statistics", folder / "statistics.json", "--collection", folder / "collection.json"]
        found = stage_of("index", "--zones", zone, "--settings", json.dumps(settings), "--output", index, *others)
        made.append(row("index", work, found, index))
    return made


def mapped(sizes: list[str], scratch: Path) -> list[dict[str, Any]]:
    """source, features and labels of a map of a tile, or of a part of one, and as many cells as it holds."""
    from label_world import ensure
    from labels import Tile

    made = []
    for size in sizes:
        found = ensure(size)
        tile = Tile(found, scratch / size)
        outputs = {name: tile.folder / file for name, file in (("source", "osm.parquet"), ("features", "features.parquet"), ("labels", "labels.zarr.zip"))}  # fmt: skip
        for stage, output in outputs.items():
            used = tile.stage(stage)
            cells, features = counted(tile.folder / "cells.parquet", outputs["source" if stage == "source" else "features"]) if stage != "source" else (0, counted(output)[0])  # fmt: skip
            work = {
                "cells": cells,
                "features": features,
                "label_sets": 1,
                "label_mb": cells * 3 * 192**2 / 1e6,
                "source_mb": found.pbf.stat().st_size / 1e6,
            }
            made.append(row(stage, work, used, output))
    return made


def located(scratch: Path) -> list[dict[str, Any]]:
    """locations around cities."""
    made = []
    for count in _LOCATIONS:
        output = scratch / f"locations-{count}.parquet"
        settings = {"seed": 1, "size_m": 2640, "cities": {"locations": count}}
        found = stage_of("locations", "--settings", json.dumps(settings), "--output", output)
        made.append(row("locations", {"cells": count}, found, output))
    return made


def whole_tile(dates: list[int], scratch: Path) -> list[dict[str, Any]]:
    """cells, search, mask, crop and group of every cell of a dense tile, in blocks that are full (`world.py`: 3 GB, made once)."""
    from end_to_end import Bench
    from world import DATA, TILE, ensure

    bench, made = Bench(ensure(), DATA, None, None, scratch), []
    for count in dates:
        out = scratch / f"tile-{count}"
        commands = bench.stages({"config": bench.config(count, {"tiles": [TILE]}), "folder": out})
        outputs = {
            "cells": "cells.parquet", "search": "scenes.parquet", "mask": "masks.parquet", "crop": "patches.zarr.zip", "group": "series.zarr.zip",
        }  # fmt: skip
        for stage, output in outputs.items():
            used = run(commands[stage])
            cells = counted(out / "cells.parquet")[0]
            work: dict[str, Any] = {"cells": cells, "scenes": count, "candidates": 2809}
            if stage == "mask":
                work["read_mb"] = count * 36 * _BLOCK_MB
            elif stage in ("crop", "group"):
                of_blocks = 2 * 121 * 2 * _BLOCK_MB + 2 * 36 * 2 * _BLOCK_MB + 36 * _BLOCK_MB
                work |= {
                    "pieces": count * cells * 5,
                    "pixels_mb": count * cells * (4 * 192**2 + 5 * 96**2) / 1e6,
                    "read_mb": count * of_blocks,
                }
            made.append(row(stage, work, used, out / output))
        shutil.rmtree(out)
    return made


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description="What stages cost that gather much.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--maps", nargs="*", default=["quick", "quarter", "full"])
    parser.add_argument("--tiles", nargs="*", type=int, default=[10, 100])
    parser.add_argument("--dates", nargs="*", type=int, default=[3, 6])
    told = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="resources-"))
    try:
        made = located(scratch)
        made += gathered(told.dataset.resolve(), yaml.safe_load(told.config.read_text()), told.tiles, scratch)
        made += mapped(told.maps, scratch)
        made += whole_tile(told.dates, scratch)
    finally:
        shutil.rmtree(scratch)
    shown = [
        {
            "stage": each["stage"], "cells": each["work"]["cells"], "tiles": each["work"].get("tiles"), "features": each["work"].get("features"),
            "CPU s": each["cpu_s"], "model": each["cost"]["cpu_s"], "peak MB": each["peak_mb"], "model MB": each["cost"]["mem_mb"],
            "output MB": each["output_mb"], "model out": each["cost"]["output_mb"],
        }
        for each in made
    ]  # fmt: skip
    table.show("Used, and what the models say", shown)
    table.keep("resources-large", {"rows": made})


if __name__ == "__main__":
    main()
