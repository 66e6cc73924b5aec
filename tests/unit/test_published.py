"""Figures that the four papers and what is known of their released files give, reproduced where that needs no internet.

The tables here are written from the papers and from what third parties read in the released files, not from ours.
SeasoNet's grids: test_cells_grids.py. Rates of overlap around cities: benchmarks/locations.py.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tilewright.config.bands import COLLECTION_BANDS, NONE, UNLABELED
from tilewright.config.load import load_config
from tilewright.config.model import Config
from tilewright.grid import land_tiles, tiles

# OpenSentinelMap's osm_categories.json, version 10, as OlmoEarth's processor read it: id, name, precedence; channels 0, 1, 2.
CATEGORIES = [
    (0, "wooded", 2, 0), (1, "agricultural", 5, 0), (2, "residential", 50, 0), (3, "industrial", 96, 0), (4, "commercial", 95, 0),
    (5, "recreation", 99, 0), (6, "airport", 93, 0), (7, "quarry", 92, 0), (8, "military", 90, 0), (9, "desert_sand", 10, 0),
    (10, "mountain_rock", 1, 0), (11, "other_natural", 4, 0), (12, "water", 96, 1), (13, "road", 97, 1), (14, "building", 100, 2),
]  # fmt: skip
# SeasoNet's ids: 33 classes of CORINE, in the order of the codes.
CLC = [
    111, 112, 121, 122, 123, 124, 131, 132, 133, 141, 142, 211, 221, 222, 231, 311, 312, 313, 321, 322, 324, 331, 332, 333, 411, 412,
    421, 423, 511, 512, 521, 522, 523,
]  # fmt: skip


def ontology(root: Path, name: str) -> dict[str, Any]:
    return yaml.safe_load((root / f"config/ontologies/{name}.yaml").read_text())


def recipe(root: Path, name: str) -> Config:
    return load_config(yaml.safe_load((root / f"config/recipes/{name}.yaml").read_text()))


def test_opensentinelmaps_ids_precedences_and_channels(root: Path):
    made = ontology(root, "opensentinelmap")
    channels = [each["name"] for each in made["channels"]]
    assert len(channels) == 3
    ours = [
        (each["value"], each["name"], each["precedence"], channels.index(each["channel"]))
        for each in made["categories"]
    ]
    assert sorted(ours) == CATEGORIES


def test_codes_of_none_and_unlabeled():
    assert (NONE, UNLABELED) == (254, 255)


def test_seasonets_ids_are_corines_codes_in_order(root: Path):
    made = ontology(root, "seasonet-clc")
    codes = {each["value"]: each["rules"][0]["attributes"]["CLC18"] for each in made["categories"]}
    assert codes == {number: str(code) for number, code in enumerate(CLC, 1)}
    left_out = made["unlabeled"][0]["attributes"]["CLC18"]
    assert left_out == ["334", "335"], "burnt areas, glaciers: CORINE's that the paper leaves out"


def ssl4eo_bytes(config: Config, native: bool) -> int:
    """Uncompressed size of the recipe's dataset: every band at 10 m, as the paper counts, or in its own size."""
    total = 0
    for name, collection in config.collections.items():
        item = np.dtype("float32" if name.startswith("s1") else "uint16").itemsize
        for band in collection.bands:
            total += item * (config.cells.size_m // (COLLECTION_BANDS[name][band] if native else 10)) ** 2
    assert config.accept.number is not None
    return total * config.accept.number * sum(period.scenes for period in config.all_periods())


def test_ssl4eos_volume(root: Path):
    """The paper: 251,079 × 4 × [2 · 4 B + (13 + 12) · 2 B] × 264² ≈ 3.7 TB, which is TiB; files of 500, 800 and 800 GB."""
    config = recipe(root, "ssl4eo-s12")
    assert ssl4eo_bytes(config, native=False) == 251_079 * 4 * (2 * 4 + (13 + 12) * 2) * 264**2
    assert ssl4eo_bytes(config, native=False) / 2**40 == pytest.approx(3.7, abs=0.05)
    assert ssl4eo_bytes(config, native=True) / 1e12 == pytest.approx(0.5 + 0.8 + 0.8, abs=0.05)


def test_ssl4eos_sampling(root: Path):
    cities = recipe(root, "ssl4eo-s12").aoi.cities
    assert cities is not None
    assert (cities.most_populous, cities.sigma_km, cities.locations) == (10_000, 50, 251_079)
    assert cities.overlap.share * 2640 == 1980, "metres: ¾ of a width"


def test_pixels_of_the_recipes(root: Path):
    sides = {
        "ssl4eo-s12": [264, 132, 44],
        "seasonet": [120, 60, 20],
        "opensentinelmap": [192, 96, 32],
        "deepsatdata": [24, 12, 4],
    }
    for name, wanted in sides.items():
        config = recipe(root, name)
        steps = {
            step
            for key, each in config.collections.items()
            for band in each.bands
            for step in [COLLECTION_BANDS[key][band]]
        }
        assert [config.cells.size_m // step for step in sorted(steps)] == wanted


def test_tiles_of_land():
    assert (len(land_tiles()), len(tiles())) == (20_430, 56_686)
