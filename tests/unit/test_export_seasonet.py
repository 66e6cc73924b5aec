"""The layout seasonet: every file against the stores and the watermarks, names, meta.csv, splits, masks, wrong configs."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import xarray as xr

import tilewright
from seasonal import REGIONS
from tilewright.config.settings import ExportSettings
from tilewright.errors import TilewrightError
from tilewright.exports.seasonet import LAYOUT, place
from tilewright.exports.source import CellSource, Image
from tilewright.exports.tile import read_whole
from tilewright.simulate import decode_watermark
from tilewright.store import read_table, table_metadata, write_table
from triplets import export
from worlds import known

from conftest import WATERMARKS  # isort: skip

SEASONS = ["spring", "summer", "fall", "winter", "snow"]
FILES = {
    "10m_RGB": ["B04", "B03", "B02"], "10m_IR": ["B08"], "20m": ["B05", "B06", "B07", "B8A", "B11", "B12"], "60m": ["B01", "B09"],
}  # fmt: skip
SIDE = {
    "10m_RGB": 120,
    "10m_IR": 120,
    "20m": 60,
    "60m": 20,
    "labels": 120,
    "mask_easy": 120,
    "mask_medium": 120,
    "clouds": 60,
    "snow": 60,
}
COLUMNS = "Index Season Grid Latitude Longitude Satellite Year Month Day Hour Minute Second Clouds Snow Classes SLRAUM RTYP3 KTYP4 Path"
Built = tuple[dict[str, Any], Path]


@pytest.fixture(scope="module")
def exported(seasonal_built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, results = seasonal_built
    return export(config, results, "seasonet", tmp_path_factory.mktemp("seasonet") / "out")


@pytest.fixture(scope="module")
def index(seasonal_built: Built) -> pd.DataFrame:
    return read_table(seasonal_built[1] / "index.parquet").set_index("cell_id")


@pytest.fixture(scope="module")
def trees(seasonal_built: Built, index: pd.DataFrame) -> dict[str, xr.DataTree]:
    dataset = tilewright.open(seasonal_built[1])
    return {cell_id: dataset[cell_id].load() for cell_id in index.index}


def meta(root: Path) -> list[dict[str, str]]:
    with (root / "meta.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def cell_of(row: dict[str, str], index: pd.DataFrame) -> str:
    """The cell of a line of meta.csv, found by its place on the ground alone."""
    for cell_id, cell in index.iterrows():
        x, y = pyproj.Transformer.from_crs(4326, int(cell["epsg"]), always_xy=True).transform(
            row["Longitude"], row["Latitude"]
        )
        # the centre of pixel (60, 60), to the 0.1 m of six decimals
        near = abs(x - cell["ulx"] - 605) < 0.2 and abs(cell["uly"] - y - 605) < 0.2
        if near and cell["grid"] == int(row["Grid"]) and row["Path"].split("/")[2].startswith(cell["tile"]):
            return str(cell_id)
    raise AssertionError(f"{row['Path']} is of no cell")


def read(root: Path, row: dict[str, str], what: str) -> tuple[np.ndarray, Any]:
    name = row["Path"].rpartition("/")[2]
    with rasterio.open(root / row["Path"] / f"{name}_{what}.tif") as file:
        return file.read(), file.profile


def date_of(tree: xr.DataTree, period: str) -> int | None:
    periods = [str(name) for name in tree["s2_l2a"]["period"].values]
    return periods.index(period) if period in periods else None


def test_files_and_nothing_else(exported: Path):
    rows = meta(exported)
    assert len(rows) == 35  # ten cells, three seasons; fall of five of them
    for row in rows:
        folder = exported / row["Path"]
        assert {path.name for path in folder.iterdir()} == {f"{folder.name}_{what}.tif" for what in SIDE}
    for season in SEASONS[:4]:
        assert {path.name for path in (exported / season).iterdir()} == {"grid1", "grid2"}
    assert [path.name for path in (exported / "snow").iterdir()] == [".gitkeep"]
    folders = {str(path.relative_to(exported)) for path in exported.glob("*/grid*/*")}
    assert folders == {row["Path"] for row in rows}


def test_every_pixel_is_the_stores(exported: Path, index: pd.DataFrame, trees: dict[str, xr.DataTree]):
    for row in meta(exported):
        cell_id = cell_of(row, index)
        cell, tree = index.loc[cell_id], trees[cell_id]
        at = date_of(tree, row["Season"].lower())
        held = {
            str(band): node["reflectance"].values[at, place]
            for node in (tree[f"s2_l2a/{group}"] for group in ("r10m", "r20m", "r60m"))
            for place, band in enumerate(node["band"].values)
        }
        for what, bands in FILES.items():
            pixels, profile = read(exported, row, what)
            assert pixels.dtype == np.uint16 and pixels.shape == (len(bands), SIDE[what], SIDE[what])
            step = 1200 / SIDE[what]
            assert profile["crs"].to_epsg() == cell["epsg"]
            assert tuple(profile["transform"])[:6] == (step, 0, cell["ulx"], 0, -step, cell["uly"])
            np.testing.assert_array_equal(
                pixels, np.stack([held[band] for band in bands]), err_msg=f"{row['Path']} {what}"
            )


def test_watermarks_say_scene_band_and_place(exported: Path, index: pd.DataFrame, trees: dict[str, xr.DataTree]):
    world = known(WATERMARKS)
    for row in meta(exported):
        cell_id = cell_of(row, index)
        cell, tree = index.loc[cell_id], trees[cell_id]
        scene = world.scene(str(tree["s2_l2a"]["scene_id"].values[date_of(tree, row["Season"].lower())]))
        for what, bands in FILES.items():
            step = 1200 // SIDE[what]
            for plane, band in zip(read(exported, row, what)[0], bands, strict=True):
                mark = decode_watermark(plane)
                claimed = (scene.number, band, (scene.uly - cell["uly"]) / step, (cell["ulx"] - scene.ulx) / step)
                assert (mark.scene, mark.band, mark.row, mark.column) == claimed, f"{row['Path']} {band}"
        assert row["Satellite"] == scene.platform[-1].upper()


def test_labels_and_masks(exported: Path, index: pd.DataFrame, trees: dict[str, xr.DataTree]):
    values, ignored = set(), 0
    for row in meta(exported):
        node = trees[cell_of(row, index)]["labels/clc"]
        labels = node["labels"].values[0]
        told = read(exported, row, "labels")[0]
        assert told.dtype == np.uint8
        np.testing.assert_array_equal(told[0], np.where(labels >= 254, 0, labels))
        classes = sorted(set(told.ravel().tolist()) - {0})
        assert row["Classes"] == ",".join(map(str, classes))
        values |= set(told.ravel().tolist())
        levels = [str(level) for level in node["level"].values]
        for level in ("easy", "medium"):
            mask = read(exported, row, f"mask_{level}")[0][0]
            np.testing.assert_array_equal(mask, 1 - node["ignore"].values[levels.index(level), 0])
            assert set(np.unique(mask)) <= {0, 1}
            ignored += int(((mask == 0) & (told[0] > 0)).sum())
    # 112, 121, 211, 312, 512 by their published ids, and ground of no class
    assert values == {0, 2, 3, 12, 17, 30}
    assert ignored  # a spot of 130 pixels is no region of level easy


def test_meta(exported: Path, index: pd.DataFrame):
    rows = meta(exported)
    assert " ".join(rows[0]) == COLUMNS
    assert [int(row["Index"]) for row in rows] == list(range(len(rows)))
    assert [SEASONS.index(row["Season"].lower()) for row in rows] == sorted(
        SEASONS.index(row["Season"].lower()) for row in rows
    )
    places: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        cell_id = cell_of(row, index)
        places.setdefault(cell_id, set()).add((row["Latitude"], row["Longitude"]))
        season, grid, name = row["Path"].split("/")
        stamp = (
            "".join(row[key] for key in ("Year", "Month", "Day"))
            + "T"
            + "".join(row[key] for key in ("Hour", "Minute", "Second"))
        )
        assert (season, grid) == (row["Season"].lower(), f"grid{row['Grid']}") and row["Season"] == season.capitalize()
        assert name == f"{index.loc[cell_id, 'tile']}_{stamp}_{row['Latitude']}_{row['Longitude']}".replace(".", "_")
        assert all(len(row[key].partition(".")[2]) == 6 for key in ("Latitude", "Longitude"))
        half = 0 if index.loc[cell_id, "lon"] < 12.0 else 1
        inside = index.loc[cell_id, "lon"] < 12.02
        assert [row[key] for key in REGIONS] == (
            [str(values[half]) for values in REGIONS.values()] if inside else ["", "", ""]
        )
    assert len(places) == 10 and all(len(texts) == 1 for texts in places.values())  # all seasons have the same text
    assert {row["SLRAUM"] for row in rows} == {"1", "2", ""}


@pytest.mark.parametrize(
    ("tile", "grid", "col", "row", "text"),
    # names of three published patches; the columns and rows are those that their coordinates lie in
    [
        (("32UND", 32632, 499980, 5900040), 1, 4, 23, ("52.996058", "9.080234")),
        (("32UME", 32632, 399960, 6000000), 1, 1, 19, ("53.928425", "7.503876")),
        (("32TMT", 32632, 399960, 5300040), 2, 8, 4, ("47.793488", "7.808487")),
    ],
)  # fmt: skip
def test_coordinates_of_the_published_names(
    tile: tuple[str, int, int, int], grid: int, col: int, row: int, text: tuple[str, str]
):
    _, epsg, ulx, uly = tile
    shift = 600 * (grid - 1)
    # where the published centre lies in the tile says which column and row it is
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(float(text[1]), float(text[0]))
    assert (round((x - ulx - shift - 605) / 1200, 3), round((uly - shift - 605 - y) / 1200, 3)) == (col, row)
    cell = {"epsg": epsg, "ulx": ulx + shift + 1200 * col, "uly": uly - shift - 1200 * row, "size_m": 1200}
    assert place(cell) == text


def test_splits_are_row_numbers(exported: Path, index: pd.DataFrame):
    rows = meta(exported)
    cells = [cell_of(row, index) for row in rows]
    seen: list[int] = []
    for split in ("train", "val", "test"):
        lines = (exported / "splits" / f"{split}.csv").read_text().split()
        numbers = [int(line) for line in lines]
        assert numbers == [at for at, cell in enumerate(cells) if index.loc[cell, "split"] == split] and numbers
        seen += numbers
    assert len(set(seen)) == len(seen) < len(rows)  # some cells straddle blocks and are in no split
    full = [int(line) for line in (exported / "splits" / "full_seasons.csv").read_text().split()]
    complete = [cell for cell in index.index if sum(other == cell for other in cells) == 4]
    assert full == [at for at, cell in enumerate(cells) if cell in complete] and 0 < len(full) < len(rows)


def test_splits_by_year_are_of_each_image(seasonal_built: Built, tmp_path: Path):
    config, results = seasonal_built
    copied = tmp_path / "set"
    copied.mkdir()
    for path in results.iterdir():
        (copied / path.name).symlink_to(path)
    rows, about = read_table(results / "index.parquet"), table_metadata(results / "index.parquet")
    (copied / "index.parquet").unlink()
    about["split"] = {"by": "year", "years": {"val": [2019]}}
    write_table(rows.assign(split="by_year"), copied / "index.parquet", about)
    root = export(config, copied, "seasonet", tmp_path / "out")
    parts = {name: (root / "splits" / f"{name}.csv").read_text().split() for name in ("train", "val", "test")}
    assert parts == {"train": [], "val": [str(at) for at in range(len(meta(root)))], "test": []} and meta(root)
    assert set(pd.read_parquet(root / "samples.parquet")["split"]) == {"val"}


def test_clouds_and_snow_are_shares_of_the_scene_classes(
    seasonal_built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    classes = np.full((60, 60), 4, np.uint8)
    classes[:6] = 8
    classes[6:9] = 9
    classes[9:12] = 10  # thin cirrus is no cloud here
    classes[30:, :3] = 11
    plain = CellSource.images

    def with_weather(self: CellSource, collection: str = "s2_l2a") -> list[Image]:
        return [dataclasses.replace(image, scl=classes) for image in plain(self, collection)]

    monkeypatch.setattr(CellSource, "images", with_weather)
    config, results = seasonal_built
    root = export(config, results, "seasonet", tmp_path / "out")
    for row in meta(root):
        assert (row["Clouds"], row["Snow"]) == ("0.15", "0.025")
        np.testing.assert_array_equal(read(root, row, "clouds")[0][0], np.isin(classes, [8, 9]))
        np.testing.assert_array_equal(read(root, row, "snow")[0][0], classes == 11)


Change = Callable[[pd.DataFrame, dict[str, Any]], Any]


def refused(built: Built, folder: Path, change: Change, **told: Any) -> str:
    """What the layout says of a dataset whose index is changed."""
    copied = folder / "changed"
    shutil.copytree(built[1], copied)
    index, about = read_table(copied / "index.parquet"), table_metadata(copied / "index.parquet")
    about = json.loads(json.dumps(about))
    changed = change(index, about)
    write_table(index if changed is None else changed, copied / "index.parquet", about)
    settings = {"dataset": "x", "layout": "seasonet", "periods": SEASONS, "label_set": "clc"} | told
    with pytest.raises(TilewrightError) as caught:
        LAYOUT.check(read_whole(copied, ExportSettings(**settings)))
    return str(caught.value)


def test_other_periods_are_refused(seasonal_built: Built, tmp_path: Path):
    said = refused(seasonal_built, tmp_path, lambda index, about: None, periods=["spring", "monsoon"])
    assert "periods: has monsoon" in said and "seasons: seasonet" in said


def test_other_lattices_are_refused(seasonal_built: Built, tmp_path: Path):
    assert "are of grid 0: set cells.strategy: grids" in refused(
        seasonal_built, tmp_path / "a", lambda index, about: index.assign(grid=0)
    )
    assert "are of grid 3" in refused(seasonal_built, tmp_path / "b", lambda index, about: index.assign(grid=3))


def test_two_images_of_a_season_are_refused(seasonal_built: Built, tmp_path: Path):
    said = refused(seasonal_built, tmp_path, lambda index, about: index.assign(dates_fall=2))
    assert "has 2 in fall: set scenes: 1" in said


def test_other_labels_are_refused(seasonal_built: Built, tmp_path: Path):
    def finer(index: pd.DataFrame, about: dict[str, Any]) -> None:
        about["labels"]["clc"]["resolution_m"] = 5

    def other(index: pd.DataFrame, about: dict[str, Any]) -> None:
        about["labels"]["clc"]["ontology"]["categories"][0]["value"] = 40

    assert "labels.clc.resolution_m is 5: set it to 10" in refused(seasonal_built, tmp_path / "a", finer)
    assert "labels.clc has another: take ontology: seasonet-clc" in refused(seasonal_built, tmp_path / "b", other)
    said = refused(seasonal_built, tmp_path / "c", lambda index, about: None, label_set=None)
    assert "labels.clc" in said and "export.labels" in said


def test_missing_bands_are_named(seasonal_built: Built, monkeypatch: pytest.MonkeyPatch):
    whole = read_whole(
        seasonal_built[1], ExportSettings(dataset="x", layout="seasonet", periods=SEASONS, label_set="clc")
    )
    monkeypatch.setattr(
        "tilewright.exports.seasonet.bands_of", lambda dataset: {"s2_l2a": ("B02", "B03", "B04", "B08")}
    )
    with pytest.raises(
        TilewrightError, match=r"collections\.s2_l2a\.bands lacks B05, B06, B07, B8A, B11, B12, B01, B09"
    ):
        LAYOUT.check(whole)


def test_deviations_are_of_this_dataset(seasonal_built: Built):
    def subjects(periods: list[str]) -> list[str]:
        settings = ExportSettings(dataset="x", layout="seasonet", periods=periods, label_set="clc")
        return [each.subject for each in LAYOUT.deviations(read_whole(seasonal_built[1], settings))]

    plain = subjects(SEASONS)
    assert {"labels", "clouds and snow", "label 0"} <= set(plain) and not {
        "sets",
        "size",
        "classes",
        "region types",
    } & set(plain)
    assert "sets" in subjects(SEASONS[:4])
