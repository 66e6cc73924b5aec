"""The workflow on five real scenes around Vaduz and the real map of Liechtenstein, against the files read directly.

Nothing here asks the library where a pixel is: windows are worked out from each file's own transform.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
from test_real_files import BAD, BANDS, BOTTOM, CLOUDY, LEFT, RIGHT, TOP, Truth, brightness, brute_force

import tilewright
from harness import Project
from planned import plan_of, ratios, within
from tilewright.store import table_metadata
from truth import imagery

# An AOI that leaves the imagery by half a cell or more on every side.
AOI = [9.448, 47.098, 9.588, 47.1945]


@dataclass
class Made:
    """A finished dataset and the files that it was made of."""

    project: Project
    truth: Truth
    cpu_s: float

    def __post_init__(self) -> None:
        self.dataset: Any = tilewright.open(self.project.results)
        self.cells: pd.DataFrame = self.dataset.index
        self.periods = [period["name"] for period in self.project.config["periods"]]

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.project.tile("32TNT") / name)

    def trees(self) -> Iterator[tuple[Any, Any]]:
        """(index row, tree) of each cell with imagery."""
        for row in self.cells[self.cells["dates"] > 0].itertuples():
            yield row, self.dataset[row.cell_id]


def config(shared_data: Path, **changes: Any) -> dict[str, Any]:
    source = {"kind": "pbf", "path": str(shared_data / "osm/liechtenstein-2013-08-03.osm.pbf")}
    return {
        "dataset": "vaduz",
        "aoi": {"bbox": AOI},
        "provider": {"like": "earth-search", "path": str(shared_data / "real/vaduz-32TNT/items.json")},
        "collections": {"s2_l2a": {"bands": list(BANDS)}},
        "labels": {"osm": {"source": source, "ontology": "opensentinelmap"}},
        **changes,
    }


@pytest.fixture(scope="module")
def fine(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Cells of 640 m, no pixel without data allowed; three periods, one of each order."""
    august = {"start": "2023-08-01", "end": "2023-08-31"}
    settings = config(
        shared_data, cells={"size_m": 640}, mask={"max_bad": 0.25},
        periods=[
            {"name": "aug", **august, "scenes": 2},
            {"name": "best", **august, "scenes": 1, "order": "clearest"},
            {"name": "late", "start": "2023-08-15", "end": "2023-08-31", "scenes": 2, "order": "latest", "mask": {"max_cloud": 0.02}},
        ],
    )  # fmt: skip
    project = Project(tmp_path_factory.mktemp("fine"), settings)
    return Made(project, Truth(shared_data / "real/vaduz-32TNT"), project.run().cpu_s)


@pytest.fixture(scope="module")
def coarse(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Cells of 1920 m that may lack a fifth of their pixels; shares of the valid ones; the brightness filter on."""
    mask = {
        "max_bad": 0.3,
        "max_nodata": 0.2,
        "denominator": "valid",
        "intensity": {"band": "B02", "percentile": 5, "max_dn": 320},
    }
    period = {"name": "aug", "start": "2023-08-01", "end": "2023-08-31", "scenes": 2, "order": "clearest"}
    wider = {"bbox": [AOI[0], AOI[1], AOI[2] + 0.045, AOI[3]]}
    settings = config(shared_data, aoi=wider, cells={"size_m": 1920}, mask=mask, periods=[period])
    del settings["labels"]
    project = Project(tmp_path_factory.mktemp("coarse"), settings)
    return Made(project, Truth(shared_data / "real/vaduz-32TNT"), project.run().cpu_s)


@pytest.fixture(scope="module", params=["fine", "coarse"])
def made(request: pytest.FixtureRequest) -> Made:
    return request.getfixturevalue(request.param)


def test_cells_are_the_lattice_inside_the_aoi(made: Made) -> None:
    size = int(made.cells["size_m"].iloc[0])
    to_lonlat = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    west, south, east, north = made.project.config["aoi"]["bbox"]
    wanted = set()
    for left in range(LEFT // size * size - 5 * size, RIGHT + 5 * size, size):
        for top in range(TOP // size * size + 5 * size, BOTTOM - 5 * size, -size):
            side = np.linspace(0, size, 33)
            x = left + np.concatenate([side, side, 0 * side, 0 * side + size])
            y = top - np.concatenate([0 * side, 0 * side + size, side, side])
            lon, lat = to_lonlat.transform(x, y)
            if lon.min() >= west and lon.max() <= east and lat.min() >= south and lat.max() <= north:
                wanted.add((left, top))
    assert set(zip(made.cells["ulx"], made.cells["uly"], strict=True)) == wanted
    assert set(made.cells["tile"]) == {"32TNT"} and set(made.cells["epsg"]) == {32632}


def test_masks_equal_a_direct_count(made: Made) -> None:
    compared = 0
    for period in made.periods:
        masks = made.table(f"{period}/masks.parquet")
        counts = masks[[name for name in masks if name.startswith("scl_")]].to_numpy()
        assert counts.shape[1] == 12 and (masks["broken"] == "").all()
        for (scene, cell), counted in zip(masks[["scene_id", "cell_id"]].to_numpy(), counts, strict=True):
            told = np.bincount(made.truth.scl(scene, made.cells.loc[cell]).ravel(), minlength=12)
            assert (counted == told).all(), f"{period} {cell} {scene}: masks.parquet {counted}, the file {told}"
            compared += 1
    scenes = sum(len(made.table(f"{period}/scenes.parquet")) for period in made.periods)
    assert compared == scenes * len(made.cells) > 0
    assert set(made.table(f"{made.periods[0]}/masks.parquet")["scene_id"]) == set(made.truth.scenes)


def test_patches_equal_direct_reads(made: Made) -> None:
    """All bands and SCL, every cell, every date."""
    compared = 0
    for row, tree in made.trees():
        found = imagery(tree)
        assert {(at, band) for at, _, band, _, _ in found} == {
            (at, band) for at in range(row.dates) for band in (*BANDS, "SCL")
        }
        for _, scene, band, pixels, _ in found:
            told = made.truth.window(scene, band, row.ulx, row.uly, row.size_m)
            assert pixels.shape == told.shape and pixels.dtype == told.dtype
            assert (pixels == told).all(), f"{row.cell_id} {scene} {band}: {(pixels != told).sum()} pixels differ"
            compared += 1
    statistics = json.loads((made.project.results / "statistics.json").read_text())
    assert compared == statistics["patches"] * 5 > 0


def test_dates_are_the_items_own(made: Made) -> None:
    time = {item["id"]: pd.Timestamp(item["properties"]["datetime"]).tz_localize(None) for item in made.truth.items()}
    orbit = {item["id"]: int(item["properties"]["s2:product_uri"].split("_R")[1][:3]) for item in made.truth.items()}
    for row, tree in made.trees():
        node = tree["s2_l2a"]
        scenes = [str(each) for each in node["scene_id"].values]
        assert list(pd.to_datetime(node["time"].values)) == [time[scene] for scene in scenes], row.cell_id
        assert list(node["relative_orbit"].values) == [orbit[scene] for scene in scenes], row.cell_id


def test_the_offset_is_not_taken_off_twice(fine: Made) -> None:
    """The items say that the offset is applied and give it all the same: stored DN must come out as they are."""
    for period in fine.periods:
        scenes = fine.table(f"{period}/scenes.parquet")
        assert (scenes["dn_offset"] == 0).all() and (scenes["refused"] == "").all()
        assert set(scenes["radiometry"]) == {
            "boa_offset_applied is true, baseline 05.09, the raster offset is not believed"
        }
    told = json.loads((fine.project.results / "statistics.json").read_text())["periods"]
    assert told["aug"]["radiometry"] == {
        "boa_offset_applied is true, baseline 05.09, the raster offset is not believed": 5
    }
    row, _ = next(fine.trees())
    decoded: Any = tilewright.open(fine.project.results / row.series_path)
    node = decoded["s2_l2a"].isel(cell=row.series_row, time=0)
    assert int(node["dn_offset"]) == 0
    blue = node["r10m/reflectance"].sel(band="B02").values
    stored = fine.truth.window(str(node["scene_id"].values), "B02", row.ulx, row.uly, row.size_m)
    np.testing.assert_allclose(blue, stored * 1e-4, atol=1e-7)


def test_ground_beyond_the_imagery_is_refused(fine: Made) -> None:
    cells = fine.cells
    overlap_x = np.clip(np.minimum(cells["ulx"] + 640, RIGHT) - np.maximum(cells["ulx"], LEFT), 0, None)
    overlap_y = np.clip(np.minimum(cells["uly"], TOP) - np.maximum(cells["uly"] - 640, BOTTOM), 0, None)
    share = overlap_x * overlap_y / 640**2
    assert (share == 0).any() and ((share > 0) & (share < 1)).any() and (share == 1).any()
    beyond = cells.index[share < 1]
    assert (cells.loc[beyond, ["dates", "series_row"]] == [0, -1]).all().all()
    for period in fine.periods:
        selection = fine.table(f"{period}/selection.parquet").set_index("cell_id").loc[beyond]
        assert set(selection["status"]) == {"refused"} and set(selection["reason"]) == {"nodata"}
        missing = 1 - share[selection.index].to_numpy()
        assert (selection["nodata_fraction"].to_numpy() >= missing - 1e-6).all()
    assert not set(fine.dataset.tile("32TNT")["s2_l2a"]["cell_id"].values) & set(beyond)


def test_the_cloudy_scene_serves_only_where_it_is_clear(fine: Made) -> None:
    for period in ("aug", "best"):
        selection = fine.table(f"{period}/selection.parquet").set_index(["scene_id", "cell_id"]).loc[CLOUDY]
        assert set(selection.index) == set(fine.cells.index)
        outcomes = set()
        for cell, row in selection.iterrows():
            classes = fine.truth.scl(CLOUDY, fine.cells.loc[cell])
            refused = (classes == 0).any() or np.isin(classes, BAD).mean() > 0.25
            assert (row["status"] == "refused") == refused, f"{period} {cell}: {row.to_dict()}"
            outcomes.add(row["status"])
        assert "refused" in outcomes and outcomes & {"used", "unneeded"}, "the scene is not put to the test"


def test_selection_equals_brute_force(made: Made) -> None:
    statuses, reasons = set(), set()
    for period in made.project.config["periods"]:
        selection = made.table(f"{period['name']}/selection.parquet").sort_values(["cell_id", "rank"])
        drawn = (
            selection["scene_id"].iloc[: selection["scene_id"].nunique()].tolist() if "order" not in period else None
        )
        assert set(selection["cell_id"]) == set(made.cells.index)
        for cell, rows in selection.groupby("cell_id"):
            wanted = brute_force(made.truth, made.project.config["mask"], period, made.cells.loc[cell], drawn)
            found = list(rows[["scene_id", "status", "reason"]].itertuples(index=False, name=None))
            assert found == wanted, f"{period['name']} {cell}"
        statuses |= set(selection["status"])
        reasons |= set(selection["reason"])
    assert statuses == {"used", "refused", "unneeded"}
    assert reasons == ({"", "nodata", "bad", "cloud"} if len(made.periods) > 1 else {"", "nodata", "bad", "intensity"})


def test_brightness_is_the_percentile_of_valid_pixels(coarse: Made) -> None:
    masks = coarse.table("aug/masks.parquet")
    for row in masks.itertuples():
        wanted = brightness(coarse.truth, row.scene_id, coarse.cells.loc[row.cell_id])
        np.testing.assert_equal(row.brightness, np.float32(wanted))
    assert masks["brightness"].isna().any() and masks["brightness"].notna().any()


def test_dark_pixels_stay_and_are_no_gaps(fine: Made) -> None:
    """Zeros in one band of ground that SCL calls valid come out as 0 and are counted as dark, not as missing."""
    dark = 0
    for row, tree in fine.trees():
        node = tree["s2_l2a"]
        pixels, classes = node["r10m/reflectance"].values, node["scl/scl"].values
        valid = classes.repeat(2, 1).repeat(2, 2) != 0
        assert valid.all() and (node["nodata_fraction"].values == 0).all(), row.cell_id
        empty = (pixels == 0).all(axis=1)
        assert (node["r10m/empty_pixels"].values == empty.sum(axis=(1, 2))).all(), row.cell_id
        dark += int(((pixels == 0).any(axis=1) & ~empty).sum())
    assert dark > 0, "no dark pixel in any patch: the test shows nothing"
    for period in fine.periods:
        patches: Any = tilewright.open(fine.project.tile("32TNT") / period / "patches.zarr.zip")
        stored = patches["s2_l2a/r10m"]
        zeros = (stored["reflectance"].values == 0).sum(axis=(2, 3))
        assert (stored["zeros"].values == zeros).all() and (stored["clipped"].values == 0).all()


def test_pixels_that_scl_calls_no_data_stay_as_they_are(coarse: Made) -> None:
    kept = 0
    for row, tree in coarse.trees():
        node = tree["s2_l2a"]
        classes = node["scl/scl"].values
        assert (node["scl_count"].values[:, 0] == (classes == 0).sum(axis=(1, 2))).all()
        np.testing.assert_allclose(node["nodata_fraction"].values, (classes == 0).mean(axis=(1, 2)), atol=1e-7)
        missing = classes.repeat(2, 1).repeat(2, 2) == 0
        kept += int((node["r10m/reflectance"].values[:, 0][missing] > 0).sum())
        inside = row.ulx >= LEFT and row.ulx + 1920 <= RIGHT and row.uly <= TOP and row.uly - 1920 >= BOTTOM
        assert inside or (classes == 0).any(axis=(1, 2)).all(), f"{row.cell_id} leaves the imagery: it cannot be whole"
    assert kept > 0, "no such pixel in any patch: the test shows nothing"


def test_band_sums_are_of_valid_pixels(made: Made) -> None:
    """Mean and deviation in statistics.json, from the training cells' files."""
    picked: dict[str, list[np.ndarray]] = {band: [] for band in BANDS}
    for row, tree in made.trees():
        if row.split == "train":
            for scene in sorted(set(map(str, tree["s2_l2a"]["scene_id"].values))):  # each once, whatever its periods
                stack = np.stack([made.truth.window(scene, band, row.ulx, row.uly, row.size_m) for band in BANDS])
                valid = (made.truth.scl(scene, row).repeat(2, 0).repeat(2, 1) != 0) & (stack != 0).any(axis=0)
                for band, pixels in zip(BANDS, stack, strict=True):
                    picked[band].append(pixels[valid])
    told = json.loads((made.project.results / "statistics.json").read_text())["bands_train"]
    for band in BANDS:
        pixels = np.concatenate(picked[band]).astype(float)
        assert told[f"s2_l2a_{band}"]["pixels"] == len(pixels)
        assert told[f"s2_l2a_{band}"]["mean"] == pytest.approx(pixels.mean(), rel=1e-9)
        assert told[f"s2_l2a_{band}"]["std"] == pytest.approx(pixels.std(), rel=1e-6)


def test_gdal_agrees_at_the_corners(fine: Made) -> None:
    """gdallocationinfo at the centres of the four corner pixels, every band, a sample of cells."""
    tool = shutil.which("gdallocationinfo")
    if tool is None:
        pytest.skip("gdallocationinfo is not installed (gdal-bin)")
    asked: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
    some = [pair for at, pair in enumerate(fine.trees()) if at % 16 == 0]
    for row, tree in some:
        for _, scene, band, pixels, step in imagery(tree):
            for down in (0, -1):
                for right in (0, -1):
                    x = row.ulx + (step / 2 if right == 0 else row.size_m - step / 2)
                    y = row.uly - (step / 2 if down == 0 else row.size_m - step / 2)
                    asked.setdefault((scene, band), []).append((x, y, int(pixels[down, right])))
    assert len(some) >= 8 and {band for _, band in asked} == {*BANDS, "SCL"}
    for (scene, band), points in asked.items():
        path = fine.truth.folder / scene / f"{band}.tif"
        text = "".join(f"{x} {y}\n" for x, y, _ in points)
        answer = subprocess.run(
            [tool, "-valonly", "-geoloc", str(path)], input=text, capture_output=True, text=True, check=True
        )
        assert [int(value) for value in answer.stdout.split()] == [value for *_, value in points], f"{scene} {band}"


def test_index_splits_and_report(fine: Made) -> None:
    rows = fine.cells
    assert rows.index.is_unique and list(rows["cell_id"]) == list(rows.index)
    assert set(rows["cell_id"]) == set(fine.table("cells.parquet")["cell_id"])
    assert set(rows["split"]) == {"train", "val", "test"}
    made = table_metadata(fine.project.results / "index.parquet")["split"]
    assert made["by"] == "block" and "split.min_tiles (10)" in made["reason"]
    block = made["block_m"] // 640
    assert (rows.groupby([rows["col"] // block, rows["row"] // block])["split"].nunique() == 1).all()
    used = pd.concat([fine.table(f"{period}/selection.parquet") for period in fine.periods]).query("status == 'used'")
    assert (rows["dates"] == used.groupby("cell_id").size().reindex(rows.index, fill_value=0)).all()
    page = (fine.project.results / "report.html").read_text()
    assert "© OpenStreetMap contributors" in page and "Contains modified Copernicus Sentinel data" in page
    assert f"{len(rows):,}" in page and "boa_offset_applied is true" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and 'src="http' not in page, (
        "the page is not self-contained"
    )


def test_the_plan_said_so(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.project.directory)
    within(ratios(plan_of(made.project.config), made.project.results, made.cpu_s))


def test_snakemake_report_has_the_captions(fine: Made, root: Path) -> None:
    out = fine.project.directory / "out.html"
    fine.project.run(options=("--report", str(out)))
    page = out.read_text()
    for name in ("report", "statistics"):
        caption = (root / f"workflow/report/{name}.rst").read_text().strip()
        assert caption.split(".")[0] in page, f"{name}: its caption is not in the report"
