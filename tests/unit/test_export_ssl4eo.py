"""The layout ssl4eo-s12: every file against the stores and the watermarks, names, metadata, tables, variants, wrong configs."""

import copy
import json
import math
import re
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

import tilewright
from tilewright.catalog import fields
from tilewright.config.exports import Ssl4eoOptions
from tilewright.config.settings import ExportSettings
from tilewright.errors import TilewrightError
from tilewright.exports.products import optical_name, radar_name
from tilewright.exports.ssl4eo import LAYOUT
from tilewright.exports.ssl4eo_metadata import properties_of
from tilewright.exports.tile import read_whole
from tilewright.loader import Dataset
from tilewright.simulate import decode_watermark
from tilewright.store import read_table, table_metadata, write_table
from triplets import TRIPLETS, export
from worlds import known

SEASONS = ("spring", "summer", "fall", "winter")
COLLECTION = {"s1": "s1_grd", "s2c": "s2_l1c", "s2a": "s2_l2a"}
TEN, TWENTY = ["B2", "B3", "B4", "B8"], ["B5", "B6", "B7", "B8A", "B11", "B12"]
SIDE = dict.fromkeys([*TEN, "VV", "VH"], 264) | dict.fromkeys(TWENTY, 132) | dict.fromkeys(["B1", "B9", "B10"], 44)
BANDS = {"s1": ["VV", "VH"], "s2a": [band for band in SIDE if band[0] == "B" and band != "B10"]}
BANDS["s2c"] = [*BANDS["s2a"], "B10"]
Built = tuple[dict[str, Any], Path]


def ours(band: str) -> str:
    """B02 for B2."""
    return f"B0{band[1]}" if re.fullmatch(r"B\d", band) else band


@lru_cache
def tree_of(results: Path, cell_id: str) -> xr.DataTree:
    return tilewright.open(results)[cell_id].load()


def stored(results: Path, cell_id: str, product: str, period: str) -> tuple[str, dict[str, np.ndarray]]:
    """Scene and pixels of a period in the dataset, through xarray."""
    node = tree_of(results, cell_id)[COLLECTION[product]]
    at = [str(name) for name in node["period"].values].index(period)
    pixels = {}
    for group in node.children.values():
        if "band" in group.coords:
            array = next(each for each in group.data_vars.values() if each.dims == ("time", "band", "y", "x"))
            pixels |= {str(band): array.values[at, place] for place, band in enumerate(group["band"].values)}
    return str(node["scene_id"].values[at]), pixels


@pytest.fixture(scope="module")
def raw(triplets_built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, results = triplets_built
    return export(config, results, "ssl4eo-s12", tmp_path_factory.mktemp("ssl4eo") / "raw")


def variant(triplets_built: Built, values: str, root: Path) -> Path:
    config, results = triplets_built
    changed = copy.deepcopy(config) | {"export": {"layout": "ssl4eo-s12", "ssl4eo": {"values": values}}}
    return export(changed, results, "ssl4eo-s12", root / values)


def patches(root: Path) -> list[tuple[str, Path, dict[str, Any]]]:
    """Product, folder and metadata of each patch."""
    found = []
    for product in COLLECTION:
        for path in sorted((root / product).glob("*/*")):
            found.append((product, path, json.loads((path / "metadata.json").read_text())))
    return found


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_files_and_nothing_else(raw: Path):
    assert {path.name for path in raw.iterdir() if path.is_dir()} == set(COLLECTION)
    for product in COLLECTION:
        assert [path.name for path in sorted((raw / product).iterdir())] == ["0000000", "0000001"]
        for place in (raw / product).iterdir():
            assert len(list(place.iterdir())) == len(SEASONS)
            for image in place.iterdir():
                assert image.is_dir()
                assert {path.name for path in image.iterdir()} == {f"{band}.tif" for band in BANDS[product]} | {
                    "metadata.json"
                }


def test_every_pixel_is_the_stores(raw: Path, triplets_built: Built):
    index = read_table(triplets_built[1] / "index.parquet").set_index("cell_id")
    seen = set()
    for product, path, metadata in patches(raw):
        own = metadata["tilewright"]
        seen.add((product, own["cell_id"], own["period"]))
        row = index.loc[own["cell_id"]]
        assert f"{row['accepted_rank']:07}" == path.parent.name
        scene, bands = stored(triplets_built[1], own["cell_id"], product, own["period"])
        assert own["scene_id"] == scene
        for band in BANDS[product]:
            with rasterio.open(path / f"{band}.tif") as file:
                told = file.read(1)
                assert file.count == 1 and told.shape == (SIDE[band], SIDE[band]), band
                assert file.crs.to_epsg() == row["epsg"] and file.compression is None
                step = 2640 / SIDE[band]
                assert tuple(file.transform)[:6] == (step, 0, row["ulx"], 0, -step, row["uly"])
                assert file.dtypes == (("float32",) if product == "s1" else ("uint16",))
            np.testing.assert_array_equal(told, bands[ours(band)], err_msg=f"{path} {band}")
    assert len(seen) == 3 * 2 * len(SEASONS)
    tree_of.cache_clear()


def test_watermarks_say_scene_level_band_and_place(raw: Path):
    world = known(TRIPLETS)
    decoded = 0
    for product, path, metadata in patches(raw):
        own = metadata["tilewright"]
        for band in BANDS[product] if product != "s1" else []:
            scene = world.scene(own["item_id"].replace("_L1C", "_L2A"))
            step = 2640 // SIDE[band]
            mark = decode_watermark(pixels(path / f"{band}.tif"))
            claimed = (
                scene.number, ours(band), (scene.uly - own["uly"]) / step, (own["ulx"] - scene.ulx) / step, "L1C" if product == "s2c" else "L2A",
            )  # fmt: skip
            assert (mark.scene, mark.band, mark.row, mark.column, mark.level) == claimed, f"{path} {band}"
            decoded += 1
    assert decoded == 25 * 2 * len(SEASONS)


def test_two_seasons_of_one_image_have_two_folders_that_readers_accept(raw: Path):
    for product, pattern in (("s2a", r"^\d{8}T\d{6}"), ("s2c", r"^\d{8}T\d{6}"), ("s1", r"^.{16}_\d{8}T\d{6}")):
        for place in sorted((raw / product).iterdir()):
            names = sorted(path.name for path in place.iterdir())
            assert all(re.match(pattern, name) for name in names)
            twice = [name for name in names if name.endswith("_winter")]
            assert len(twice) == 1 and twice[0].removesuffix("_winter") in names  # fall and winter chose the same scene
            one, other = (
                {path.name: path.read_bytes() for path in (place / name).glob("*.tif")}
                for name in (twice[0], twice[0].removesuffix("_winter"))
            )
            assert one == other


def test_names_are_of_the_shape_of_earth_engine(raw: Path):
    for product, path, metadata in patches(raw):
        name = path.name.removesuffix("_winter")
        assert metadata["properties"]["system:index"] == path.name
        if product == "s1":
            assert re.fullmatch(r"S1[AB]_IW_GRDH_1SDV_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}", name)
        else:
            assert re.fullmatch(r"\d{8}T\d{6}_\d{8}T\d{6}_T33TTG", name)
            assert name.split("_")[0] == metadata["properties"]["PRODUCT_ID"].split("_")[2]


def test_tables(raw: Path, triplets_built: Built):
    index = read_table(triplets_built[1] / "index.parquet")
    index = index[index["accepted"]].sort_values("accepted_rank")
    lines = (raw / "checked_locations.csv").read_text().splitlines()
    expected = zip(range(2), index["lon"], index["lat"], strict=True)
    assert lines == [f"{rank},{lon:.7f},{lat:.7f},1" for rank, lon, lat in expected]
    table = pd.read_csv(raw / "statistics.csv").set_index(["product", "statistic"])
    assert list(table.columns) == [
        "VV",
        "VH",
        "B1",
        "B2",
        "B3",
        "B4",
        "B5",
        "B6",
        "B7",
        "B8",
        "B8A",
        "B9",
        "B10",
        "B11",
        "B12",
    ]
    for product, bands in BANDS.items():
        for band in bands:
            values = np.concatenate(
                [pixels(path / f"{band}.tif").ravel() for _, path, _ in patches(raw) if f"/{product}/" in str(path)]
            )
            values = values.astype(np.float64)[np.isfinite(values)]
            assert table.loc[(product, "mean"), band] == pytest.approx(values.mean(), abs=1e-4)
            assert table.loc[(product, "std"), band] == pytest.approx(values.std(), abs=1e-3)
        assert table.loc[(product, "mean"), [band for band in table if band not in bands]].isna().all()


def test_uint8_is_the_authors_rule(raw: Path, triplets_built: Built, tmp_path: Path):
    root = variant(triplets_built, "uint8", tmp_path)
    figures = json.loads((triplets_built[1] / "statistics.json").read_text())["bands_train"]
    above = 0
    for product, path, metadata in patches(root):
        assert metadata["tilewright"]["values"] == "uint8"
        for band in BANDS[product]:
            original = pixels(raw / path.relative_to(root) / f"{band}.tif").astype(np.float64)
            if product == "s1":
                mean, std = figures[f"s1_grd_{band}"]["mean"], figures[f"s1_grd_{band}"]["std"]
                expected = [255 * (value - mean + 2 * std) / (4 * std) for value in original[:4].ravel()]
            else:
                above += int((original > 10000).sum())
                expected = [value / 10000 * 255 for value in original[:4].ravel()]
            told = pixels(path / f"{band}.tif")
            assert told.dtype == np.uint8
            near = [math.floor(min(max(value, 0), 255)) for value in expected]
            assert np.abs(told[:4].ravel().astype(int) - near).max() <= (1 if product == "s1" else 0)
    assert above  # there were reflectances that would have wrapped round


def test_stretched_bytes_span_two_standard_deviations(raw: Path, triplets_built: Built, tmp_path: Path):
    root = variant(triplets_built, "uint8_stretched", tmp_path)
    for product, path, metadata in patches(root):
        for band in BANDS[product]:
            mean, std = metadata["tilewright"]["mean_and_std"][band]
            original = pixels(raw / path.relative_to(root) / f"{band}.tif").astype(np.float64)
            told = pixels(path / f"{band}.tif")
            assert told.dtype == np.uint8
            assert (told[original <= mean - 2 * std] == 0).all() and (told[original >= mean + 2 * std] == 255).all()
            inside = (original > mean - 2 * std) & (original < mean + 2 * std)
            back = mean - 2 * std + (told[inside] + 0.5) * 4 * std / 255
            assert np.abs(back - original[inside]).max() <= 0.5 * 4 * std / 255 * 1.001


def test_jpeg_is_near_the_stretched_bytes(triplets_built: Built, tmp_path: Path):
    exact, lossy = (variant(triplets_built, values, tmp_path) for values in ("uint8_stretched", "jpeg"))
    worst = []
    for product, path, _ in patches(lossy):
        if product == "s1":  # watermarks are noise to JPEG; radar shows a landscape
            for band in BANDS[product]:
                with rasterio.open(path / f"{band}.tif") as file:
                    assert (
                        file.compression is not None and file.compression.name == "jpeg" and file.dtypes == ("uint8",)
                    )
                    told = file.read(1)
                original = pixels(exact / path.relative_to(lossy) / f"{band}.tif")
                worst.append(float(np.abs(told.astype(int) - original.astype(int)).mean()))
    assert worst and 0 < max(worst) < 12


def test_metadata_of_the_simulated_items(raw: Path, triplets_built: Built):
    for product, _, metadata in patches(raw):
        told, own = metadata["properties"], metadata["tilewright"]
        item = items(triplets_built)[own["item_id"]]
        assert told["system:time_start"] == pytest.approx(
            pd.Timestamp(item["properties"].get("start_datetime") or item["properties"]["datetime"]).timestamp() * 1000, abs=1
        )  # fmt: skip
        if product == "s1":
            assert told["orbitProperties_pass"] == item["properties"]["sat:orbit_state"].upper()
            assert told["transmitterReceiverPolarisation"] == ["VV", "VH"] and told["resolution_meters"] == 10
            assert (
                told["missionDataTakeID"] == int(item["properties"]["s1:datatake_id"]) and told["productClass"] == "S"
            )
        else:
            assert told["MGRS_TILE"] == "33TTG"
            assert told["CLOUDY_PIXEL_PERCENTAGE"] == item["properties"]["eo:cloud_cover"]
            assert told["PRODUCT_ID"] + ".SAFE" == item["properties"]["s2:product_uri"]
            assert ("VEGETATION_PERCENTAGE" in told) == (product == "s2a")


def items(triplets_built: Built) -> dict[str, dict[str, Any]]:
    path = Path(triplets_built[0]["provider"]["path"])
    document = json.loads(path.read_text())
    return {item["id"]: item for item in document["features"]}


# Earth Engine's name of the image, of real items of four catalogs; the granule of 2019 has that name there.
REAL = {
    "cdse_S2C_MSIL2A_20260527T014651_N0512_R017_T55WFR_20260527T042005": "20260527T014651_20260527T014647_T55WFR",
    "earth-search.aws.element84.com__sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A": "20250731T131909_20250731T131905_T20EPT",
    "earth-search.aws.element84.com__sentinel-2-l1c__S2B_20EPT_20250731_0_L1C": "20250731T131909_20250731T131905_T20EPT",
    "earth-search.aws.element84.com__sentinel-2-l2a__S2B_20EPT_20250731_0_L2A": "20250731T131909_20250731T131905_T20EPT",
    # tells no datastrip: its own time
    "earth-search.aws.element84.com__sentinel-s2-l2a-cogs__S2B_20EPT_20250731_0_L2A": "20250731T131909_20250731T131922_T20EPT",
    "planetarycomputer.microsoft.com__sentinel-2-l2a__S2A_MSIL2A_20190101T000001_R116_T59VPE_20201007T214658": "20190101T000001_20181231T235957_T59VPE",
    "stactools_s2_S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE": "20190212T192651_20190212T192646_T07HFE",
    "earth-search.aws.element84.com__sentinel-1-grd__S1A_IW_GRDH_1SSH_20250731T135608_20250731T135637_060328_077F7E":
        "S1A_IW_GRDH_1SSH_20250731T135608_20250731T135637_060328_077F7E_E763",
    "stactools_s1_S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13": "S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8",
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_names_and_metadata_of_real_items(shared_data: Path, name: str):
    item = json.loads((shared_data / "stac" / f"{name}.json").read_text())
    radar = "_IW_" in name
    image = radar_name(item) if radar else optical_name(item, "00XXX")
    assert image == REAL[name]
    told = properties_of(item, image, radar)
    json.dumps(told, allow_nan=False)
    assert all(value not in (None, "") for value in told.values())
    properties = item["properties"]
    if radar:
        assert told["relativeOrbitNumber_start"] == properties["sat:relative_orbit"]
        assert told["missionDataTakeID"] == int(image.split("_")[7], 16)
        assert told["productTimelinessCategory"] == "NRT-3h"
        assert told["sliceNumber"] == int(properties["s1:slice_number"])
        return
    assert told["CLOUDY_PIXEL_PERCENTAGE"] == properties["eo:cloud_cover"]
    assert told["SPACECRAFT_NAME"] == f"Sentinel-{fields.platform_of(item)[-2:].upper()}"
    assert told["PROCESSING_BASELINE"] == fields.baseline_of(item, fields.Fields())
    if "cogs" not in name:
        assert 0 < told["MEAN_SOLAR_ZENITH_ANGLE"] < 90 and told["DATATAKE_TYPE"] == "INS-NOBS"
        elevation = properties.get("view:sun_elevation", 90 - told["MEAN_SOLAR_ZENITH_ANGLE"])
        assert told["MEAN_SOLAR_ZENITH_ANGLE"] == pytest.approx(90 - elevation)
        generated = properties.get("s2:generation_time") or properties["processing:datetime"]
        assert told["GENERATION_TIME"] == round(pd.Timestamp(generated).timestamp() * 1000)


def test_items_that_tell_little_have_names_too():
    bare = {"id": "x", "properties": {"datetime": "2021-08-11T13:55:00Z"}}
    assert optical_name(bare, "21KXT") == "20210811T135500_20210811T135500_T21KXT"
    old = {"id": "x", "properties": {"datetime": "2021-08-11T13:55:00Z", "s2:generation_time": "2021-08-11T16:00:01Z"}}
    assert optical_name(old, "21KXT") == "20210811T135500_20210811T160001_T21KXT"
    radar = {
        "id": "f00d",
        "properties": {
            "datetime": "2021-08-11T13:55:00Z",
            "platform": "Sentinel-1A",
            "end_datetime": "2021-08-11T13:55:25Z",
        },
    }
    assert radar_name(radar) == "S1A_IW_GRDH_1SDV_20210811T135500_20210811T135525"
    assert re.match(r"^.{16}_\d{8}T\d{6}", radar_name({"id": "f00d", "properties": bare["properties"]}))
    made_of = {
        "id": "S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_rtc",
        "properties": bare["properties"],
    }
    assert radar_name(made_of) == "S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13"


Change = Callable[[pd.DataFrame], Any]


def refused(triplets_built: Built, folder: Path, change: Change, periods: list[str] | None = None) -> str:
    """What the layout says of a dataset whose index is changed."""
    copied = folder / "changed"
    shutil.copytree(triplets_built[1], copied)
    index = read_table(copied / "index.parquet")
    about = table_metadata(copied / "index.parquet")
    write_table(change(index), copied / "index.parquet", about)
    told = ExportSettings(
        dataset="x", layout="ssl4eo-s12", periods=periods or list(SEASONS), label_set=None, options=Ssl4eoOptions()
    )
    with pytest.raises(TilewrightError) as caught:
        LAYOUT.check(read_whole(copied, told))
    return str(caught.value)


def test_a_dataset_without_a_product_is_refused(triplets_built: Built, tmp_path: Path):
    said = refused(
        triplets_built,
        tmp_path,
        lambda index: index.drop(columns=[name for name in index if name.startswith("s2_l1c")]),
    )
    assert "collections.s2_l1c" in said and "B10" in said and "required: true" in said


def test_a_location_without_a_season_is_refused(triplets_built: Built, tmp_path: Path):
    said = refused(triplets_built, tmp_path, lambda index: index.assign(accepted=True))
    assert "33TTG-s0" in said and "0 of" in said and "accept: {complete: true}" in said


def test_two_images_of_a_season_are_refused(triplets_built: Built, tmp_path: Path):
    said = refused(triplets_built, tmp_path, lambda index: index.assign(s1_grd_dates_fall=2))
    assert "have 2 of s1_grd in period fall" in said and "scenes: 1" in said


def test_missing_bands_are_named(triplets_built: Built, monkeypatch: pytest.MonkeyPatch):
    told = ExportSettings(
        dataset="x", layout="ssl4eo-s12", periods=list(SEASONS), label_set=None, options=Ssl4eoOptions()
    )
    whole = read_whole(triplets_built[1], told)
    held = {"s2_l2a": tuple(f"B{band:02}" for band in range(1, 9)), "s2_l1c": (), "s1_grd": ()}
    monkeypatch.setattr("tilewright.exports.ssl4eo.bands_of", lambda dataset: held)
    with pytest.raises(TilewrightError, match=r"s2c has 13 bands, and collections\.s2_l1c\.bands lacks B01, B02"):
        LAYOUT.check(whole)


def test_a_stretch_without_statistics_is_refused(triplets_built: Built):
    told = ExportSettings(
        dataset="x", layout="ssl4eo-s12", periods=list(SEASONS), label_set=None, options=Ssl4eoOptions(values="uint8")
    )
    whole = read_whole(triplets_built[1], told)
    del whole.statistics["bands_train"]["s1_grd_VV"]
    with pytest.raises(TilewrightError, match="needs the statistics of s1_grd VV"):
        LAYOUT.check(whole)


def test_deviations_are_of_this_dataset(triplets_built: Built):
    def subjects(**told: Any) -> list[str]:
        periods = told.get("periods", list(SEASONS))
        options = Ssl4eoOptions(values=told.get("values", "raw"))
        settings = ExportSettings(dataset="x", layout="ssl4eo-s12", periods=periods, label_set=None, options=options)
        return [each.subject for each in LAYOUT.deviations(read_whole(triplets_built[1], settings))]

    plain = subjects()
    assert {"georeference", "pixel values", "metadata.json"} <= set(plain) and not {
        "size",
        "seasons",
        "s1",
        "values",
    } & set(plain)
    assert "seasons" in subjects(periods=["spring"]) and "values" in subjects(values="jpeg")


def test_the_dataset_is_what_was_built(triplets_built: Built):
    index = Dataset(triplets_built[1]).index.sort_values("sample")
    assert index["accepted"].tolist() == [False, True, True] and index["accepted_rank"].tolist() == [-1, 0, 1]
