"""TorchGeo's SeasoNet reads the export seasonet: splits, grids, seasons one by one and concatenated are what the stores hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import tilewright
from reader_runs import Seen, needs_readers, read
from tilewright.store import read_table
from triplets import export

pytestmark = needs_readers

SPLITS = ("train", "val", "test")
VIEWS = [
    *({"split": split} for split in SPLITS),
    {"split": "train", "concat_seasons": 2, "seasons": ["Spring", "Summer", "Winter"], "bands": ["10m_RGB", "10m_IR"]},
    {"split": "test", "grids": [2], "seasons": ["Summer"], "bands": ["10m_IR"]},
    {"split": "test", "grids": [1], "seasons": ["Summer"], "bands": ["10m_IR"]},
]
BANDS = ["B04", "B03", "B02", "B08", "B05", "B06", "B07", "B8A", "B11", "B12", "B01", "B09"]


@pytest.fixture(scope="module")
def root(seasonal_built: tuple[dict[str, Any], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, results = seasonal_built
    return export(config, results, "seasonet", tmp_path_factory.mktemp("seasonet") / "export")


@pytest.fixture(scope="module")
def seen(root: Path) -> Seen:
    return read("seasonet", root, views=VIEWS)


@pytest.fixture(scope="module")
def held(seasonal_built: tuple[dict[str, Any], Path]) -> dict[str, xr.DataTree]:
    dataset = tilewright.open(seasonal_built[1])
    return {cell_id: dataset[cell_id].load() for cell_id in dataset}


@pytest.fixture(scope="module")
def index(seasonal_built: tuple[dict[str, Any], Path]) -> pd.DataFrame:
    return read_table(seasonal_built[1] / "index.parquet").set_index("cell_id")


def told_of(root: Path) -> dict[str, tuple[str, str]]:
    """Cell and period of each folder, as the export's own list of samples has them."""
    samples = pd.read_parquet(root / "samples.parquet")
    return {str(root / one.folder): (one.cell_id, one.period) for one in samples.itertuples()}


def resampled(plane: np.ndarray) -> np.ndarray:
    """Bilinear to 120 pixels, as the reader asks GDAL for: weights of the two nearest centres, edges held."""
    at = (np.arange(120) + 0.5) * plane.shape[0] / 120 - 0.5
    low = np.floor(at).astype(int)
    share = at - low
    first, second = np.clip(low, 0, plane.shape[0] - 1), np.clip(low + 1, 0, plane.shape[0] - 1)
    rows = plane[first] * (1 - share)[:, None] + plane[second] * share[:, None]
    return rows[:, first] * (1 - share) + rows[:, second] * share


def stack(tree: xr.DataTree, period: str, bands: list[str]) -> np.ndarray:
    node = tree["s2_l2a"]
    at = [str(name) for name in node["period"].values].index(period)
    planes = {
        str(band): group["reflectance"].values[at, place].astype(float)
        for group in (node["r10m"], node["r20m"], node["r60m"])
        for place, band in enumerate(group["band"].values)
    }
    return np.stack([planes[band] if planes[band].shape[0] == 120 else resampled(planes[band]) for band in bands])


def mask(tree: xr.DataTree) -> np.ndarray:
    """Class less 1; 255 where none is known."""
    labels = tree["labels/clc"]["labels"].values[0].astype(int)
    return np.where(labels >= 254, 255, labels - 1)


def folder(path: str) -> str:
    """The reader's paths are those of files, without their end."""
    return str(Path(path).parent)


def paths(view: dict[str, Any], at: int) -> list[str]:
    """The files of a sample: one, or those that may be drawn."""
    found = view["paths"][at]
    return [str(found)] if isinstance(found, str) else [str(each) for each in found]


def test_each_split_has_its_samples_and_no_other(seen: Seen, root: Path, index: pd.DataFrame):
    told = told_of(root)
    for split, view in zip(SPLITS, seen.said["views"], strict=False):
        cells = [told[folder(path)] for at in range(view["len"]) for path in paths(view, at)]
        expected = [each for each in told.values() if index.loc[each[0], "split"] == split]
        assert sorted(cells) == sorted(expected) and cells


def test_every_image_and_mask_is_the_stores(seen: Seen, root: Path, held: dict[str, xr.DataTree]):
    told = told_of(root)
    for place, view in enumerate(seen.said["views"][:3]):
        assert view["channels"] == 12
        for at in range(view["len"]):
            cell, period = told[folder(paths(view, at)[0])]
            image = seen.arrays[f"{place}/{at}/image"]
            expected = stack(held[cell], period, BANDS)
            np.testing.assert_array_equal(image[:4], expected[:4])
            assert np.abs(image[4:] - expected[4:]).max() <= 1  # whole numbers of means
            np.testing.assert_array_equal(seen.arrays[f"{place}/{at}/mask"], mask(held[cell]))


def test_seasons_of_a_location_are_put_together(seen: Seen, root: Path, held: dict[str, xr.DataTree]):
    told, view = told_of(root), seen.said["views"][3]
    assert view["len"]
    for at in range(view["len"]):
        drawable = [told[folder(path)] for path in paths(view, at)]
        assert len({cell for cell, _ in drawable}) == 1 and len(drawable) == 3
        cell = drawable[0][0]
        seasons = [stack(held[cell], period, BANDS[:4]) for _, period in drawable]
        image = seen.arrays[f"3/{at}/image"]
        assert image.shape == (8, 120, 120)
        for part in (image[:4], image[4:]):
            assert any(np.array_equal(part, season) for season in seasons)
        np.testing.assert_array_equal(seen.arrays[f"3/{at}/mask"], mask(held[cell]))


def test_grids_are_told_apart(seen: Seen, root: Path, index: pd.DataFrame):
    told = told_of(root)
    for view, grid in ((seen.said["views"][4], 2), (seen.said["views"][5], 1)):
        cells = {told[folder(path)][0] for at in range(view["len"]) for path in paths(view, at)}
        rows = index[(index["split"] == "test") & (index["grid"] == grid) & (index["dates_summer"] > 0)]
        assert cells == set(rows.index)
