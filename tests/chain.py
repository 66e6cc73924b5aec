"""The stages of one tile by their command line, on a small world whose catalog and files a test may damage."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import SOUTH_BOX, config_of
from harness import ROOT, Project
from tilewright.cli import main
from tilewright.rules import DatasetConfig

TILE = "35JQG"
NEWEST, NEXT = "S2B_35JQG_20191128_0_L2A", "S2B_35JQG_20190731_0_L2A"  # the one between is all cloud
PERIOD = {"name": "year", "start": "2019-01-01", "end": "2019-12-31", "scenes": 1, "order": "latest"}
Items = list[dict[str, Any]]


def small(world: Path, folder: Path) -> Project:
    """One tile, two bands, one date a cell: the newest clean one."""
    config = config_of(world, "")
    config |= {
        "aoi": {"bbox": list(SOUTH_BOX)}, "collections": {"s2_l2a": {"bands": ["B02", "B11"]}}, "periods": [PERIOD],
        "mask": {"max_bad": 0.25},
    }  # fmt: skip
    return Project(folder, config, warm=True)


def labels(**changes: Any) -> dict[str, Any]:
    source = {"kind": "pbf", "path": __file__, **changes.pop("source", {})}
    return {"labels": {"osm": {"source": source, "ontology": "opensentinelmap", **changes}}}


def local(path: Path | str, **changes: Any) -> dict[str, Any]:
    return {"provider": {"like": "simulated", "path": str(path), **changes}}


def text(folder: Path, content: str, name: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


@dataclass
class Chain:
    """The stages of one tile, run one after another by their command line; `told` is what the last one said on stderr."""

    project: Project
    capsys: pytest.CaptureFixture[str]
    tile: str = TILE
    told: str = ""
    outputs: dict[str, Path] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Where a file is, unless `outputs` sends it elsewhere."""
        if name == "source.parquet" and name not in self.outputs:
            name = f"{DatasetConfig.load(self.project.config, ROOT).sources['osm']}.parquet"
        return self.outputs.get(name, self.project.tile(self.tile) / name)

    def run(self, stage: str, period: str = "year") -> int:
        """Run one stage; its status."""
        config = DatasetConfig.load(self.project.config, ROOT)
        arguments: dict[str, list[str]] = {
            "cells": ["--tile", self.tile, "--output", "cells.parquet"],
            "search": ["--output", f"{period}/scenes.parquet"],
            "search_companions": ["--output", f"{period}/companions.parquet"],
            "mask": ["--cells", "cells.parquet", "--scenes", f"{period}/scenes.parquet", "--output", f"{period}/masks.parquet",
                     "--traffic", f"{period}/masks.traffic.json"],
            "crop": ["--cells", "cells.parquet", "--scenes", f"{period}/scenes.parquet",
                     *(["--companions", f"{period}/companions.parquet"] if config.companions else []), "--masks", f"{period}/masks.parquet",
                     "--patches", f"{period}/patches.zarr.zip", "--selection", f"{period}/selection.parquet",
                     "--traffic", f"{period}/patches.traffic.json"],
            "source": ["--output", "source.parquet"],
            "features": ["--cells", "cells.parquet", "--sources", "source.parquet", "--output", "features.parquet"],
            "labels": ["--cells", "cells.parquet", "--features", "features.parquet", "--output", "labels.zarr.zip"],
            "group": ["--cells", "cells.parquet", "--patches", *[f"{each}/patches.zarr.zip" for each in config.periods], "--output", "series.zarr.zip"],
            "zone": ["--tiles-folder", str(self.project.tile("")), "--tiles", self.tile, "--periods", *config.periods, "--labels",
                     *(["--companions"] if config.companions else []), "--output", "zone.parquet"],
            "index": ["--zones", "zone.parquet", "--output", "index.parquet", "--statistics", "statistics.json", "--collection", "collection.json"],
        }  # fmt: skip
        command = [
            str(self.path(each)) if each.endswith((".parquet", ".zip", ".json")) else each for each in arguments[stage]
        ]
        if stage != "zone":
            command += [
                "--settings",
                config.settings(stage, tile=self.tile, period=period, source=config.sources["osm"]),
            ]
        if stage in ("search", "search_companions", "mask", "crop"):
            command += ["--access", config.access]
        code = main(["search" if stage == "search_companions" else stage, *command])
        self.told = self.capsys.readouterr().err
        return code

    def well(self, *stages: str, period: str = "year") -> "Chain":
        for stage in stages:
            assert self.run(stage, period) == 0, self.told
        return self

    @property
    def error(self) -> str:
        """The one message of a stage that failed."""
        found = [line for line in self.told.splitlines() if line.startswith("tilewright: error: ")]
        assert len(found) == 1 and "Traceback" not in self.told, self.told
        return found[0].removeprefix("tilewright: error: ")

    def selection(self, period: str = "year") -> pd.DataFrame:
        return pd.read_parquet(self.path(f"{period}/selection.parquet"))

    def statistics(self) -> dict[str, Any]:
        return json.loads(self.path("statistics.json").read_text())


def with_items(chain: Chain, world: Path, edit: Callable[[Items], object]) -> Chain:
    """Let the chain read a catalog of the tile's items (oldest first), edited, their hrefs into `world`."""
    items = [item for item in json.loads((world / "catalog.json").read_text())["features"] if item["id"][4:9] == TILE]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = str(world / asset["href"])
    edit(items)
    folder = chain.project.directory.parent
    chain.project.edited(
        **local(text(folder, json.dumps({"type": "FeatureCollection", "features": items}), "items.json"))
    )
    return chain


def spoiled(folder: Path, href: str, how: str) -> str:
    """A damaged copy of a file."""
    copy_of, data = folder / f"{how}-{Path(href).name}", Path(href).read_bytes()
    if how == "truncated":
        copy_of.write_bytes(data[: len(data) // 2])
    elif how == "corrupt":
        start = len(data) // 4
        copy_of.write_bytes(data[:start] + bytes(byte ^ 0xA5 for byte in data[start:]))
    elif how == "wordy":
        copy_of.write_text("<html>not here</html>")
    return str(copy_of)
