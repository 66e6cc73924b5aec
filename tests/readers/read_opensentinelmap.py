"""terratorch.datasets.OpenSentinelMap: every split and channel of an export."""

import importlib.util
import sys
import tempfile
import types
from pathlib import Path

import pandas as pd
from telling import Arrays, Said, define_torchvision_operators, run

define_torchvision_operators()


def _only_datasets() -> None:
    """Import no more of terratorch than the module that is asked for: the packages above it import every model there is."""
    found = importlib.util.find_spec("terratorch")
    assert found is not None and found.origin is not None
    for name in ("terratorch", "terratorch.datasets"):
        module = types.ModuleType(name)
        module.__path__ = [str(Path(found.origin).parent.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module


_only_datasets()

from terratorch.datasets.open_sentinel_map import OpenSentinelMap  # noqa: E402

NAMES = {"train": "training", "val": "validation", "test": "testing"}
BANDS = ["gsd_10", "gsd_20", "gsd_60"]


def read(
    root: Path, splits: tuple[str, ...] = ("train", "val", "test"), channels: tuple[int, ...] = (0, 1, 2)
) -> tuple[Said, Arrays]:
    """Arrays `{split}/{cell_id}/{gsd_10|…}` (time, band, y, x) float32 of all dates, `{split}/{cell_id}/mask{channel}` (y, x) and
    `{split}/{cell_id}/stacked` (band, time, y, x), all bands resampled to 192 × 192 as the class does by default.

    The class has 254 as 15 and 255 as 16, and whatever split is asked for, terratorch 1.2.13 gives the testing cells: so each split
    is read through a list in which its cells are those.
    """
    said: Said = {}
    arrays: Arrays = {}
    for split in splits:
        with tempfile.TemporaryDirectory() as folder:
            _as_testing(root, Path(folder), NAMES[split])
            options = {"data_root": folder, "pick_random_pair": False, "bands": BANDS}
            plain = OpenSentinelMap(**options, spatial_interpolate_and_stack_temporally=False)
            said[split] = {"len": len(plain), "cells": [list(map(str, each)) for each in plain.image_files]}
            said["categories"] = plain.label_mappings
            for channel in channels:
                masks = OpenSentinelMap(**options, spatial_interpolate_and_stack_temporally=False, target=channel)
                for at, (_, cell) in enumerate(masks.image_files):
                    arrays[f"{split}/{cell}/mask{channel}"] = masks[at]["mask"].numpy()
            stacked = OpenSentinelMap(**options)
            for at, (_, cell) in enumerate(plain.image_files):
                arrays |= {f"{split}/{cell}/{band}": pixels for band, pixels in plain[at]["image"].items()}
                arrays[f"{split}/{cell}/stacked"] = stacked[at]["image"].numpy()
    said["default_pair"] = _pairs(root)
    return said, arrays


def _as_testing(root: Path, folder: Path, split: str) -> None:
    for each in root.iterdir():
        if each.name != "spatial_cell_info.csv":
            (folder / each.name).symlink_to(each.resolve())
    cells = pd.read_csv(root / "spatial_cell_info.csv")
    cells["split"] = cells["split"].map(lambda name: "testing" if name == split else "training")
    cells.to_csv(folder / "spatial_cell_info.csv", index=False)


def _pairs(root: Path) -> list[list[int]]:
    """Shapes of the samples that the class gives with nothing but its defaults: two dates of each cell, drawn."""
    dataset = OpenSentinelMap(str(root))
    return [list(dataset[at]["image"].shape) for at in range(len(dataset))]


if __name__ == "__main__":
    run(read)
