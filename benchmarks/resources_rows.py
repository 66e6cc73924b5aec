"""The work that measured stages had, from the files that they read and wrote, beside what `tilewright.costs` says of it.

    python benchmarks/resources_rows.py <measured.jsonl> <config.yaml> <folder>     prints a JSON list, a row a job

A process of its own, since the library is heavy to import.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
import yaml

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, SCL_RESOLUTION
from tilewright.config.model import Config
from tilewright.costs import Known, Work, asked, job_cost, work_of
from tilewright.costs.blocks import block_mb, touched
from tilewright.grid import tile as tile_named
from tilewright.rules import DatasetConfig
from tilewright.store import read_table
from tilewright.vector.ontology_file import load_ontology

ROOT: Final = Path(__file__).resolve().parents[1]
# Options that name what a stage writes; group reads patches.
_OUTPUTS: Final = ("output", "selection", "statistics", "collection", "files", "records", "directory")


def parsed(command: list[str]) -> tuple[str, dict[str, list[str]]]:
    """The stage of `-m tilewright --log FILE STAGE …`, and its options."""
    at = command.index("tilewright") + 1
    while command[at].startswith("--"):
        at += 2
    options: dict[str, list[str]] = {}
    name = ""
    for word in command[at + 1 :]:
        if word.startswith("--"):
            name = word[2:]
            options[name] = []
        else:
            options[name].append(word)
    return command[at], options


class Found:
    """What a dataset's files say of its jobs' work."""

    def __init__(self, dataset: DatasetConfig, folder: Path) -> None:
        self.dataset = dataset
        self.folder = folder
        self._touched: dict[tuple[Path, frozenset[str] | None, int], int] = {}
        kinds = {name: each.source.kind for name, each in dataset.config.labels.items()}
        channels = {
            name: len(load_ontology(Path(path), kinds[name]).channels) for name, path in dataset.ontologies.items()
        }
        self.channels = {name: channels.get(dataset.family(name), 1) for name in dataset.sets}

    @property
    def config(self) -> Config:
        return self.dataset.config

    def work(self, stage: str, options: dict[str, list[str]]) -> Work:
        """Of one job."""

        def path(name: str) -> Path:
            return self.folder / options[name][0]

        known = Known(channels=self.channels, layout=json.loads(options["settings"][0]).get("layout", "") if stage.startswith("export") else "")  # fmt: skip
        if stage in ("simulate", "locations"):
            return work_of(self.config, stage, known)
        if stage == "cells":
            return work_of(self.config, stage, replace(known, cells=rows(path("output"))))
        if stage == "search":
            return Work(scenes=rows(path("output")))
        if stage == "mask":
            return self._mask(path("cells"), path("output"))
        if stage == "crop":
            return self._crop(path("cells"), path("patches").parent)
        if stage == "source":
            source = json.loads(options["settings"][0])["source"]["path"]
            size = sum(file.stat().st_size for file in [self.folder / source] if file.is_file()) / 1e6
            return work_of(self.config, stage, replace(known, cells=0, features=rows(path("output")), source_mb=size))
        if stage in ("ask", "features", "labels", "group", "export_tile"):
            folder = (
                self.folder / f"results/{self.dataset.name}/tiles/{options['tile'][0]}"
                if "tile" in options
                else path("cells").parent
            )
            return self._tile(stage, folder, known)
        tiles = sorted((self.folder / f"results/{self.dataset.name}/tiles").iterdir())
        cells = sum(rows(each / "cells.parquet") for each in tiles)
        features = sum(rows(each / "features.parquet") for each in tiles) if self.dataset.label_sets else 0
        return work_of(self.config, stage, replace(known, tiles=len(tiles), cells=cells, features=features))

    def _mask(self, cells: Path, masks: Path) -> Work:
        counted = read_table(masks, columns=["scene_id", "cell_id"])
        scenes = counted["scene_id"].nunique()
        band = self.config.mask.intensity.band if self.config.mask.intensity else None
        read = self._read(cells, None, SCL_RESOLUTION, 1)
        read += self._read(cells, None, COLLECTION_BANDS[PRIMARY][band], 2) if band else 0
        return Work(cells=rows(cells), scenes=scenes, read_mb=read * scenes)

    def _read(self, cells: Path, wanted: set[str] | None, resolution: int, item_bytes: int) -> float:
        """MB of the blocks that cells touch, all or those wanted, in one band of one scene."""
        key = (cells, None if wanted is None else frozenset(wanted), resolution)
        if key not in self._touched:
            table = self._cells(cells)
            table = table if wanted is None else table[table["cell_id"].isin(wanted)]
            self._touched[key] = 0
            if len(table):
                place, size = tile_named(str(table["tile"].iloc[0])), int(table["size_m"].iloc[0])
                corners = zip(table["ulx"].tolist(), table["uly"].tolist(), strict=True)
                self._touched[key] = touched(corners, size, (place.ulx, place.uly), resolution)
        return self._touched[key] * block_mb(resolution, item_bytes)

    @cache  # noqa: B019 - as long as the process
    def _cells(self, cells: Path) -> Any:
        return read_table(cells, columns=["cell_id", "ulx", "uly", "size_m", "tile"])

    def _crop(self, cells: Path, period: Path) -> Work:
        used = self._used(period)
        companions = period / "companions.parquet"
        read = {"SCL": 0.0}
        for (collection, _), part in used.groupby(["collection", "scene_id"]):
            wanted = set(part["cell_id"])
            file_bytes = 4 if collection == "s1_rtc" else 2
            for band in self.config.collections[collection].bands:
                mb = self._read(cells, wanted, COLLECTION_BANDS[collection][band], file_bytes)
                read[collection] = read.get(collection, 0) + mb
            if collection == PRIMARY:
                read["SCL"] += self._read(cells, wanted, SCL_RESOLUTION, 1)
        pieces, pixels_mb = self._pieces(used)
        return Work(
            cells=rows(cells), scenes=rows(period / "scenes.parquet"), companions=rows(companions) if companions.is_file() else 0,
            pieces=pieces, pixels_mb=pixels_mb, read_mb=sum(read.get(key, 0) for key in ("SCL", PRIMARY, "s1_rtc")),
            jp2_mb=read.get("s2_l1c", 0), radar_mb=read.get("s1_grd", 0),
        )  # fmt: skip

    @staticmethod
    def _used(period: Path) -> Any:
        selection = read_table(period / "selection.parquet", columns=["collection", "scene_id", "cell_id", "status"])
        return selection[selection["status"] == "used"]

    def _pieces(self, used: Any) -> tuple[float, float]:
        size, pieces, pixels = self.config.cells.size_m, 0, 0
        for collection, count in used.groupby("collection").size().items():
            bands, item = self.config.collections[collection].bands, 4 if collection.startswith("s1") else 2
            primary = collection == PRIMARY
            pieces += count * (len(bands) + primary)
            each = sum((size // COLLECTION_BANDS[collection][band]) ** 2 for band in bands) * item
            pixels += count * (each + primary * (size // SCL_RESOLUTION) ** 2)
        return float(pieces), float(pixels) / 1e6

    def _tile(self, stage: str, tile: Path, known: Known) -> Work:
        cells = rows(tile / "cells.parquet")
        features = rows(tile / "features.parquet") if (tile / "features.parquet").is_file() else 0
        parts = [
            self._pieces(self._used(tile / name))
            for name in self.dataset.periods
            if (tile / name / "selection.parquet").is_file()
        ]
        pieces, pixels_mb = (float(each) for each in np.sum(parts, axis=0)) if parts else (0.0, 0.0)
        made = work_of(self.config, stage, replace(known, cells=cells, features=features))
        return replace(made, pieces=pieces, pixels_mb=pixels_mb)


def rows(path: Path) -> int:
    """Rows of a table."""
    return int(pq.read_metadata(path).num_rows)


def outputs_mb(folder: Path, stage: str, options: dict[str, list[str]]) -> float:
    """MB of the files that a command line names as outputs, of a folder all of them."""
    size = 0
    for name in [*_OUTPUTS, *(["patches"] if stage == "crop" else [])]:
        for path in (folder / each for each in options.get(name, [])):
            files = path.rglob("*") if path.is_dir() else [path] * path.is_file()
            size += sum(file.stat().st_size for file in files)
    return size / 1e6


def traffic(folder: Path, options: dict[str, list[str]]) -> dict[str, float]:
    """MB over the wire and requests, of stages that read imagery."""
    if "traffic" not in options:
        return {}
    told = json.loads((folder / options["traffic"][0]).read_text())
    return {
        "wire_mb": (told["bytes_fetched"] + told["other_bytes"]) / 1e6,
        "requests": told["requests"],
        "blocks": told["blocks"],
    }


def main(measured: Path, config: Path, folder: Path) -> list[dict[str, Any]]:
    """A row for each measured job."""
    dataset = DatasetConfig.load(yaml.safe_load(config.read_text()), ROOT)
    found, made = Found(dataset, folder), []
    for line in measured.read_text().splitlines():
        row = json.loads(line)
        stage, options = parsed(row["command"])
        work = found.work(stage, options)
        companions = stage == "search" and PRIMARY not in json.loads(options["settings"][0])["spans"]
        rule = "search_companions" if companions else stage
        expected = work_of(
            dataset.config,
            rule,
            Known(tiles=work.tiles, channels=found.channels, layout=work.layout, source_mb=work.source_mb),
        )
        made.append(
            {
                "dataset": dataset.name, "stage": rule, **{name: row[name] for name in ("cpu_s", "peak_mb", "wall_s", "read_mb", "written_mb")},
                "output_mb": outputs_mb(folder, stage, options), **traffic(folder, options), "work": asdict(work),
                "cost": asdict(job_cost(rule, work)), "asked": asked(rule, expected),
            }
        )  # fmt: skip
    return made


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:4]))))
