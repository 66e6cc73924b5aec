"""The workflow on one real scene with all twelve bands, in the overlap of two tiles of which one has no scene.

The bands of this scene show the same ground (they were decimated alike), so that they can be laid over each other.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
import zarr
from rasterio.windows import Window

import tilewright
from harness import Project

RESOLUTION = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B01": 60, "B09": 60} | dict.fromkeys(
    ["B05", "B06", "B07", "B8A", "B11", "B12"], 20
)
SCENE = "S2A_29RKH_20200219_0_L2A"
SIZE = 960


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "real/desert-29RKH"


@pytest.fixture(scope="module")
def project(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tile that has the scene, down to its series; every cell is taken, however cloudy."""
    settings = {
        "dataset": "desert",
        "aoi": {"bbox": [-11.979, 25.1893, -11.8699, 25.2887]},
        "provider": {"like": "earth-search", "path": str(folder / "items.json")},
        "collections": {"s2_l2a": {"bands": list(RESOLUTION)}},
        "cells": {"size_m": SIZE},
        "mask": {"max_bad": 1.0},
        "periods": [{"name": "feb", "start": "2020-02-01", "end": "2020-02-29", "scenes": 1}],
    }
    made = Project(tmp_path_factory.mktemp("desert"), settings, warm=True)
    made.run("results/desert/tiles/29RKH/series.zarr.zip")
    return made


@pytest.fixture(scope="module")
def series(project: Project) -> Any:
    """The tile's series as any reader of Zarr opens it, in stored DN."""
    store: Any = zarr.storage.ZipStore(project.tile("29RKH") / "series.zarr.zip", mode="r")
    return xr.open_datatree(store, engine="zarr", mask_and_scale=False)


def band_of(series: Any, band: str) -> np.ndarray:
    """(cell, y, x) of the single date."""
    node = series[f"s2_l2a/r{RESOLUTION[band]}m"]
    return node["reflectance"].sel(band=band).isel(time=0).values


def mosaic(series: Any, band: str) -> np.ndarray:
    """All cells side by side: (row, column) of one band, no gaps."""
    node, cells = series["s2_l2a"], band_of(series, band)
    across = sorted(set(node["ulx"].values.tolist()))
    down = sorted(set(node["uly"].values.tolist()), reverse=True)
    assert len(cells) == len(across) * len(down) and np.ptp(across) == (len(across) - 1) * SIZE
    side = cells.shape[-1]
    whole = np.zeros((len(down) * side, len(across) * side))
    for ulx, uly, pixels in zip(node["ulx"].values, node["uly"].values, cells, strict=True):
        row, column = down.index(uly) * side, across.index(ulx) * side
        whole[row : row + side, column : column + side] = pixels
    return whole


def averaged(pixels: np.ndarray, times: int) -> np.ndarray:
    """Blocks of `times` × `times` pixels as their mean."""
    return pixels.reshape(pixels.shape[0] // times, times, -1, times).mean(axis=(1, 3))


def test_patches_of_all_bands_equal_direct_reads(series: Any, folder: Path) -> None:
    node = series["s2_l2a"]
    ground = list(zip(node["ulx"].values, node["uly"].values, strict=True))
    assert len(ground) == 100 and (node["dates"].values == 1).all()
    compared = 0
    for band in (*RESOLUTION, "SCL"):
        pixels = node["scl/scl"].isel(time=0).values if band == "SCL" else band_of(series, band)
        with rasterio.open(folder / SCENE / f"{band}.tif") as file:
            step = file.transform.a
            assert step == RESOLUTION.get(band, 20)
            for (ulx, uly), found in zip(ground, pixels, strict=True):
                side = int(SIZE / step)
                window = Window((ulx - file.transform.c) / step, (file.transform.f - uly) / step, side, side)
                told = file.read(1, window=window)
                assert told.shape == (side, side) and (found == told).all(), f"{ulx} {uly} {band}"
                compared += 1
    assert compared == 100 * 13


def test_masks_equal_a_direct_count(project: Project, series: Any, folder: Path) -> None:
    masks = pd.read_parquet(project.tile("29RKH") / "feb/masks.parquet").set_index("cell_id")
    cells = pd.read_parquet(project.tile("29RKH") / "cells.parquet")
    with rasterio.open(folder / SCENE / "SCL.tif") as file:
        whole, left, top = file.read(1), file.transform.c, file.transform.f
    assert len(cells) == len(masks) == 100
    for cell in cells.itertuples():
        row, column = int((top - cell.uly) / 20), int((cell.ulx - left) / 20)
        told = np.bincount(whole[row : row + 48, column : column + 48].ravel(), minlength=12)
        assert (masks.loc[cell.cell_id, [f"scl_{value:02}" for value in range(12)]].to_numpy() == told).all(), (
            cell.cell_id
        )


def test_an_old_baseline_has_no_offset(project: Project, series: Any, folder: Path) -> None:
    item = json.loads((folder / "items.json").read_text())["features"][0]
    assert (
        item["properties"]["earthsearch:boa_offset_applied"] is False
        and item["properties"]["s2:processing_baseline"] == "02.14"
    )
    scene = pd.read_parquet(project.tile("29RKH") / "feb/scenes.parquet").iloc[0]
    assert (scene["dn_offset"], scene["refused"], scene["radiometry"]) == (0, "", "baseline 02.14 has no offset")
    assert (series["s2_l2a"]["dn_offset"].values == 0).all()


# (finer band, coarser band): the finer is averaged onto the coarser one's grid, and the shift is in pixels of that grid.
@pytest.mark.parametrize(
    ("fine", "coarse"), [("B08", "B8A"), ("B08", "B09"), ("B8A", "B09"), ("B02", "B01"), ("B04", "B05"), ("B11", "B09")]
)
def test_bands_of_different_resolutions_show_the_same_ground(series: Any, fine: str, coarse: str) -> None:
    measured = shift(mosaic(series, fine), mosaic(series, coarse))
    assert np.abs(measured).max() <= 0.1, f"{coarse} is {measured} pixels of {RESOLUTION[coarse]} m away from {fine}"
    # the measure itself: one pixel of the finer band is seen
    moved = shift(np.roll(mosaic(series, fine), 1, axis=1), mosaic(series, coarse))
    assert (moved - measured)[1] == pytest.approx(-RESOLUTION[fine] / RESOLUTION[coarse], abs=0.06), moved


def shift(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """(down, right) of `coarse` against `fine` averaged onto its grid, in pixels of `coarse`, to a fiftieth."""
    from skimage.filters import window
    from skimage.registration import phase_cross_correlation

    taper = window("hann", coarse.shape)
    one, other = (
        (pixels - pixels.mean()) / pixels.std() * taper
        for pixels in (averaged(fine, fine.shape[0] // coarse.shape[0]), coarse)
    )
    return -phase_cross_correlation(one, other, upsample_factor=50, normalization=None)[0]


def test_a_tile_without_cells_or_scenes_does_not_stop_the_dataset(project: Project, series: Any) -> None:
    """The AOI meets 29RKJ too, which owns none of its cells and has no scene."""
    project.run()
    dataset: Any = tilewright.open(project.results)
    assert list(dataset.index["tile"].unique()) == ["29RKH"] and len(dataset) == 100
    assert set(dataset.index["split"]) == {"train", "val", "test"}
    statistics = json.loads((project.results / "statistics.json").read_text())
    assert statistics["periods"]["feb"]["tiles_without_scenes"] == ["29RKJ"]
    assert set(statistics["bands_train"]) == {f"s2_l2a_{band}" for band in RESOLUTION}
    assert (project.results / "report.html").stat().st_size > 10_000
