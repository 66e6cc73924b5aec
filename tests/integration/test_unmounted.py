"""A disk that is not mounted must not pass for scenes that are gone, also where most patches are kept from before."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import SOUTH_BOX, config_of
from harness import ROOT
from tilewright.config.cell_settings import CellsSettings
from tilewright.config.settings import CropSettings, MaskSettings, SearchSettings, parsed, parsed_access
from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig
from tilewright.stages.cells import make_cells
from tilewright.stages.crop import make_crop
from tilewright.stages.mask import make_mask
from tilewright.stages.search import make_search

TILE = "35JQG"


@pytest.fixture
def disk(world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world, tmp_path / "disk"))


def config(disk: Path, scenes: int) -> DatasetConfig:
    catalog: dict[str, Any] = copy.deepcopy(json.loads((disk.parent / "disk/catalog.json").read_text()))
    for item in catalog["features"]:
        for asset in item["assets"].values():
            asset["href"] = str(disk / asset["href"])
    path = disk.parent / "items.json"
    path.write_text(json.dumps(catalog))
    period = {"name": "year", "start": "2019-01-01", "end": "2019-12-31", "scenes": scenes, "order": "latest"}
    changes: dict[str, Any] = {
        "aoi": {"bbox": list(SOUTH_BOX)}, "collections": {"s2_l2a": {"bands": ["B02"]}}, "mask": {"max_bad": 0.25},
        "periods": [period], "provider": {"like": "simulated", "path": str(path)},
    }  # fmt: skip
    return DatasetConfig.load(config_of(disk, "") | changes, ROOT)


def crop(told: DatasetConfig, at: Path) -> pd.DataFrame:
    settings = parsed(CropSettings, told.settings("crop", tile=TILE, period="year"))
    inputs = at / "cells.parquet", at / "scenes.parquet", None, at / "masks.parquet"
    make_crop(*inputs, settings, at / "patches.zarr.zip", at / "selection.parquet", at / "t.json")
    return pd.read_parquet(at / "selection.parquet")


def test_a_disk_that_is_not_there_is_an_error_whatever_is_kept(disk: Path, tmp_path: Path):
    one, three = config(disk, 1), config(disk, 3)
    make_cells(TILE, parsed(CellsSettings, one.settings("cells", tile=TILE)), tmp_path / "cells.parquet")
    search = parsed(SearchSettings, one.settings("search", tile=TILE, period="year"))
    make_search(search, tmp_path / "scenes.parquet", parsed_access(one.access))
    told = parsed(MaskSettings, one.settings("mask", tile=TILE, period="year"))
    make_mask(
        tmp_path / "cells.parquet", tmp_path / "scenes.parquet", told, tmp_path / "masks.parquet", tmp_path / "m.json"
    )
    kept = crop(one, tmp_path)
    before = (tmp_path / "patches.zarr.zip").read_bytes()
    disk.rename(tmp_path / "unmounted")
    with pytest.raises(
        TilewrightError, match=f"tile {TILE}, period year: nothing can be read: .* bring the imagery back"
    ):
        crop(three, tmp_path)
    assert (tmp_path / "patches.zarr.zip").read_bytes() == before
    (tmp_path / "unmounted").rename(disk)
    # one scene that is gone, of which nothing is kept, is only that
    newest = sorted(set(kept["scene_id"]) - set(kept.loc[kept["status"] == "used", "scene_id"]))[-1]
    (disk / newest / "B02.tif").unlink()
    found = crop(three, tmp_path)
    assert (found["status"] == "used").sum() > (kept["status"] == "used").sum()
    assert set(found.loc[found["scene_id"] == newest, "status"]) != {"used"}
