"""Exports through readers that were written for the originals, in their own venv: what they see is what the stores hold."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from rasterio.io import MemoryFile

import tilewright
from everything import Everything, Export
from reader_runs import needs_readers, read
from tilewright.config.bands import COLLECTION_BANDS
from tilewright.store import read_table
from triplets import export

pytestmark = needs_readers

Built = tuple[dict[str, Any], Path]
OURS = ("opensentinelmap", "deepsatdata", "webdataset", "geotiff")  # of the dataset `everything`
LAYOUTS = ("ssl4eo-s12", "seasonet", *OURS)
SSL4EO = {"s1": "s1_grd", "s2c": "s2_l1c", "s2a": "s2_l2a"}
SEASONET = [["B04", "B03", "B02"], ["B08"], ["B05", "B06", "B07", "B8A", "B11", "B12"], ["B01", "B09"]]
OSM = {
    "gsd_10": ["B02", "B03", "B04", "B08"],
    "gsd_20": ["B05", "B06", "B07", "B8A", "B11", "B12"],
    "gsd_60": ["B01", "B09"],
}
STACKS = {
    "x10": ["B04", "B03", "B02", "B08"],
    "x20": ["B05", "B06", "B07", "B8A", "B11", "B12"],
    "x60": ["B01", "B09", "B10"],
}


@pytest.fixture(scope="module")
def exports(
    triplets_built: Built, seasonal_built: Built, everything: Everything, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with an export in each layout, by its name."""
    folder = tmp_path_factory.mktemp("exports")
    export(*triplets_built, "ssl4eo-s12", folder / "exports" / "ssl4eo-s12")
    export(*seasonal_built, "seasonet", folder / "exports" / "seasonet")
    labels = {"opensentinelmap": {"labels": "osm"}, "deepsatdata": {"labels": "crops"}}
    for layout in OURS:
        Export(folder, everything.results, everything.settings(layout, **labels.get(layout, {}))).run()
    return folder / "exports"


def samples(exports: Path, layout: str) -> pd.DataFrame:
    return pd.read_parquet(exports / layout / "samples.parquet")


class Stored:
    """A dataset's pixels through xarray, which no export reads by."""

    def __init__(self, results: Path) -> None:
        self.dataset = tilewright.open(results)
        self.kept: dict[str, xr.DataTree] = {}

    def cell(self, cell_id: str) -> xr.DataTree:
        if cell_id not in self.kept:
            self.kept[cell_id] = self.dataset[cell_id].load()
        return self.kept[cell_id]

    def scenes(self, cell_id: str, collection: str) -> Iterator[tuple[str, str, pd.Timestamp, dict[str, np.ndarray]]]:
        """Scene, period, time and pixels by band (SCL among them) of each date."""
        node = self.cell(cell_id)[collection]
        for at, (scene, period, time) in enumerate(
            zip(node["scene_id"].values, node["period"].values, node["time"].values, strict=True)
        ):
            pixels = {}
            for group in node.children.values():
                array = next(
                    iter(each for each in group.data_vars.values() if each.dims[0] == "time" and each.dims[-1] == "x")
                )
                bands = map(str, group["band"].values) if "band" in group.coords else ("SCL",)
                pixels |= dict(zip(bands, array.values[at] if array.ndim == 4 else [array.values[at]], strict=True))
            yield str(scene), str(period), pd.Timestamp(time), pixels

    def once(self, cell_id: str, collection: str) -> list[tuple[pd.Timestamp, dict[str, np.ndarray]]]:
        """Time and pixels of each scene, once."""
        found = {scene: (time, pixels) for scene, _, time, pixels in self.scenes(cell_id, collection)}
        return list(found.values())


def enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    times = side // pixels.shape[0]
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def test_torchgeo_reads_ssl4eo_s12(triplets_built: Built, exports: Path):
    stored, index = Stored(triplets_built[1]), read_table(triplets_built[1] / "index.parquet")
    cells = index[index["accepted"]].sort_values("accepted_rank")["cell_id"].tolist()
    assert len(cells) == 2
    seen = read("ssl4eo-s12", exports / "ssl4eo-s12", locations=len(cells), seasons=[1, 2, 3, 4])
    compared = 0
    for product, collection in SSL4EO.items():
        bands = [f"B0{name[1:]}" if len(name) == 2 and name[0] == "B" else name for name in seen.said[product]["bands"]]
        for location, cell in enumerate(cells):
            known = {scene: (time, pixels) for scene, _, time, pixels in stored.scenes(cell, collection)}
            for count in (1, 2, 3, 4):
                at = f"{product}/{count}/{location}"
                image = seen.arrays[f"{at}/image"]
                assert image.shape == (count * len(bands), 264, 264) and image.dtype == np.float32
                for season, when in enumerate(seen.arrays[f"{at}/t"]):
                    # torch keeps seconds since 1970 in 32 bits: two minutes apart is one time; names of radar products tell the start
                    (pixels,) = (each for time, each in known.values() if abs(time.timestamp() - when) < 600)
                    for band, plane in zip(bands, image[season * len(bands) :], strict=False):
                        np.testing.assert_array_equal(plane, enlarged(pixels[band], 264).astype(np.float32))
                        compared += 1
                if count == 4:
                    # fall and winter have the same scene here, and both are there
                    assert len(set(seen.arrays[f"{at}/t"])) == 3
    assert compared == 2 * (1 + 2 + 3 + 4) * (2 + 13 + 12)


def test_torchgeo_reads_jpeg_as_bytes(triplets_built: Built, tmp_path: Path):
    config, results = triplets_built
    changed = config | {"export": {"layout": "ssl4eo-s12", "ssl4eo": {"values": "jpeg"}}}
    made = export(changed, results, "ssl4eo-s12", tmp_path / "jpeg")
    seen = read("ssl4eo-s12", made, locations=1, products=["s1", "s2c"], seasons=[4])
    for product, number in (("s1", 2), ("s2c", 13)):
        found = seen.arrays[f"{product}/4/0/image"]
        assert found.shape == (4 * number, 264, 264)
        assert 0 <= found.min() < found.max() <= 255 and np.array_equal(found, np.round(found))


def test_torchgeo_reads_seasonet(seasonal_built: Built, exports: Path):
    stored, rows = Stored(seasonal_built[1]), samples(exports, "seasonet")
    seasons = ["Spring", "Summer", "Fall", "Winter", "Snow"]
    views: list[dict[str, Any]] = [{"split": split} for split in ("train", "val", "test")]
    views += [{"split": "train", "grids": [2], "bands": ["20m", "10m_IR"], "seasons": ["Summer", "Winter"]}]
    views += [{"split": "train", "concat_seasons": count} for count in (2, 3)]
    seen = read("seasonet", exports / "seasonet", views=views)
    of_folder = rows.set_index("folder")
    compared = 0
    for at, (view, said) in enumerate(zip(views, seen.said["views"], strict=True)):
        groups = SEASONET if "bands" not in view else [SEASONET[2], SEASONET[1]]
        folders = [
            [str(Path(path).parent.relative_to(exports / "seasonet")) for path in paths] for paths in said["paths"]
        ]
        wanted = rows[(rows["split"] == view["split"]) & rows["grid"].isin(view.get("grids", [1, 2]))]
        wanted = wanted[wanted["period"].str.capitalize().isin(view.get("seasons", seasons))]
        count = view.get("concat_seasons", 1)
        if count == 1:
            assert sorted(one for (one,) in folders) == sorted(wanted["folder"]), view
        else:
            sizes = wanted.groupby("cell_id")["folder"].agg(set)
            assert sorted(map(sorted, folders)) == sorted(sorted(each) for each in sizes if len(each) >= count), view
        for sample, drawn in enumerate(folders):
            image, mask = seen.arrays[f"{at}/{sample}/image"], seen.arrays[f"{at}/{sample}/mask"]
            assert image.shape == (count * sum(map(len, groups)), 120, 120)
            cell = str(of_folder.at[drawn[0], "cell_id"])
            own = stored.cell(cell)["labels/clc"]["labels"].values[0]
            # what has no class is 0 in the file, and one less wraps round
            np.testing.assert_array_equal(mask, np.where(own < 254, own.astype(np.int64) - 1, 255))
            assert {str(of_folder.at[each, "cell_id"]) for each in drawn} == {cell}
            expected = {
                period: np.concatenate([resampled(np.stack([pixels[band] for band in group])) for group in groups])
                for _, period, _, pixels in stored.scenes(cell, "s2_l2a")
                if any(of_folder.at[each, "period"] == period for each in drawn)
            }
            for part in np.split(image, count):
                near = [period for period, pixels in expected.items() if np.abs(part - pixels).max() <= 1]
                assert near, (view, drawn)
                compared += 1
            if count == 1:
                assert str(of_folder.at[drawn[0], "period"]) in near
    assert compared > 25


def resampled(stack: np.ndarray) -> np.ndarray:
    """(band, 120, 120) by GDAL's bilinear resampling, which the class asks for."""
    count, height, width = stack.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            dtype=stack.dtype,
            count=count,
            height=height,
            width=width,
            transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
        ) as image:
            image.write(stack)
        with memory.open() as image:
            return image.read(
                out_shape=(count, 120, 120), out_dtype="int32", resampling=rasterio.enums.Resampling.bilinear
            )


def test_terratorch_reads_opensentinelmap(everything: Everything, exports: Path):
    stored, rows = (
        Stored(everything.results),
        samples(exports, "opensentinelmap").astype({"number": str}).set_index("number"),
    )
    seen = read("opensentinelmap", exports / "opensentinelmap")
    found: list[str] = []
    for split in ("train", "val", "test"):
        numbers = [cell for _, cell in seen.said[split]["cells"]]
        found += [str(rows.at[number, "cell_id"]) for number in numbers]
        for number in numbers:
            cell = str(rows.at[number, "cell_id"])
            assert rows.at[number, "split"] == split
            scenes = sorted(stored.once(cell, "s2_l2a"), key=lambda each: each[0].date())
            for group, bands in OSM.items():
                expected = np.stack([np.stack([pixels[band] for band in bands]) for _, pixels in scenes]).astype(
                    np.float32
                ) / np.float32(10_000)
                np.testing.assert_array_equal(seen.arrays[f"{split}/{number}/{group}"], expected)
            assert seen.arrays[f"{split}/{number}/stacked"].shape == (12, len(scenes), 192, 192)
            labels = stored.cell(cell)["labels/osm"]["labels"].values.astype(int)
            labels = np.where(labels == 254, 15, np.where(labels == 255, 16, labels))
            for channel in range(3):
                np.testing.assert_array_equal(seen.arrays[f"{split}/{number}/mask{channel}"], labels[channel])
    accepted = everything.accepted()
    assert sorted(found) == sorted(
        cell for cell in accepted.index if accepted.at[cell, "dates"] and len(stored.once(cell, "s2_l2a")) > 1
    )
    assert seen.said["default_pair"] == [[12, 2, 192, 192]] * seen.said["test"]["len"]
    assert any("wooded" in json.dumps(each) for each in seen.said["categories"]["channels"])


def test_webdataset_reads_its_shards(everything: Everything, exports: Path):
    stored, accepted = Stored(everything.results), everything.accepted()
    seen = read("webdataset", exports / "webdataset")
    for split in ("train", "val", "test"):
        cells = seen.said[split]["keys"]
        assert sorted(cells) == sorted(accepted.index[accepted["split"] == split]) and not seen.said[split]["other"]
    compared = 0
    for split, cell in ((name, cell) for name in ("train", "val", "test") for cell in seen.said[name]["keys"]):
        told = seen.said[split]["json"][cell]["json"]
        for collection, about in told["collections"].items():
            scenes = stored.once(cell, collection) if about["time"] else []
            assert [pd.Timestamp(time).tz_localize(None) for time in about["time"]] == [time for time, _ in scenes]
            for group, of_group in about["groups"].items():
                array = seen.arrays[f"{split}/{cell}/{collection}_{group}.npy"]
                expected = np.stack([np.stack([pixels[band] for band in of_group["bands"]]) for _, pixels in scenes])
                assert array.dtype == expected.dtype
                np.testing.assert_array_equal(array, expected)
                assert {COLLECTION_BANDS[collection][band] for band in of_group["bands"]} == {of_group["resolution_m"]}
                compared += 1
        for name in told["labels"]:
            array = seen.arrays[f"{split}/{cell}/labels_{name}.npy"]
            np.testing.assert_array_equal(array, stored.cell(cell)[f"labels/{name}"]["labels"].values)
            compared += 1
    assert compared > 2 * len(accepted)


def test_deepsatmodels_conventions_read_deepsatdata(everything: Everything, exports: Path):
    stored, rows = Stored(everything.results), samples(exports, "deepsatdata").set_index("sample_path")
    seen = read("deepsatdata", exports / "deepsatdata")
    paths = [
        path
        for said in (seen.said[name] for name in ("train_paths.csv", "eval_paths.csv", "test_paths.csv"))
        for path in said["paths"]
    ]
    assert (
        sorted(paths) == sorted(rows.index) == sorted(row["sample_path"] for row in seen.said["index"])
        and len(paths) >= 2
    )
    for name, split in (("train_paths.csv", "train"), ("eval_paths.csv", "val"), ("test_paths.csv", "test")):
        for at, path in enumerate(seen.said[name]["paths"]):
            row, cell = rows.loc[path], str(rows.at[path, "cell_id"])
            assert row["split"] == split
            series = {
                time.dayofyear: pixels for time, pixels in stored.once(cell, "s2_l1c")[::-1] if time.year == row["Year"]
            }
            days = sorted(series)
            np.testing.assert_allclose(seen.arrays[f"{name}/{at}/day"], np.array(days) / 365.0001, rtol=1e-12)
            for stack, bands in STACKS.items():
                expected = np.stack([np.stack([series[day][band] for band in bands]) for day in days]).astype(
                    np.float32
                ) * np.float32(1e-4)
                np.testing.assert_array_equal(seen.arrays[f"{name}/{at}/{stack}"], expected)
            node = stored.cell(cell)["labels/crops"]
            labels, claims = node["labels"].values[0], node["claims"].values
            # a class has the value 0, and 0 is background: all are one higher
            np.testing.assert_array_equal(seen.arrays[f"{name}/{at}/labels"], np.where(labels < 254, labels + 1.0, 0))
            np.testing.assert_array_equal(seen.arrays[f"{name}/{at}/ids"], node["instance"].values)
            np.testing.assert_array_equal(seen.arrays[f"{name}/{at}/full_ass"], claims == 2)
            np.testing.assert_array_equal(seen.arrays[f"{name}/{at}/part_ass"], claims == 1)
            np.testing.assert_array_equal(seen.arrays[f"{name}/{at}/masks"], claims)


def test_mlcroissant_accepts_every_export_and_reads_its_records(exports: Path):
    seen = read("croissant", exports, exports=list(LAYOUTS)).said
    for layout in LAYOUTS:
        told, table = seen[layout], samples(exports, layout)
        assert told["errors"] == [] and told["record_sets"] == ["samples"], layout
        # what only the owner of a dataset can say is left to them
        assert all(any(name in line for name in ("citeAs", "datePublished", "version")) for line in told["warnings"]), (
            told["warnings"]
        )
        assert len(told["records"]) == len(table) > 0
        for record, (_, row) in zip(told["records"], table.iterrows(), strict=True):
            assert set(record) == set(table)
            for name, value in row.items():
                said = pd.Timestamp(record[name]) if isinstance(value, pd.Timestamp) else record[name]
                assert (
                    said == value or (pd.isna(said) and pd.isna(value)) or float(said) == pytest.approx(float(value))
                ), (layout, name)
        named = set(told["objects"]) | {path for each in told["sets"].values() for path in each}
        there = {
            path.relative_to(exports / layout).as_posix() for path in (exports / layout).rglob("*") if path.is_file()
        }
        # the two documents that are written after the digests are taken
        assert there - named == {"croissant.json", "collection.json"}, layout


def test_stac_validator_accepts_every_export_offline(exports: Path):
    seen = read("stac", exports, exports=list(LAYOUTS)).said
    for layout in LAYOUTS:
        assert seen[layout]["invalid"] == {} and "collection.json" in seen[layout]["valid"], layout
    told, table = seen["geotiff"], samples(exports, "geotiff")
    assert told["missing"] == [] and {Path(each).name.partition("-v")[0] for each in told["schemas"]} >= {
        "projection",
        "eo",
        "raster",
        "classification",
        "sat",
    }
    assert len(told["items"]) == len(table) > 0
    assert sorted(each for ids in told["tables"].values() for each in ids) == sorted(told["items"])
    for item in told["items"].values():
        for asset in item["assets"].values():
            with rasterio.open(exports / "geotiff" / asset["path"]) as image:
                assert (
                    list(image.shape) == asset["shape"]
                    and list(image.transform)[:6] == asset["transform"]
                    and str(image.crs) == item["code"]
                )
                west, south, east, north = rasterio.warp.transform_bounds(image.crs, 4326, *image.bounds)
                assert np.allclose([west, south, east, north], item["bbox"], atol=1e-5)


def test_validators_notice_what_is_wrong(exports: Path, tmp_path: Path):
    shutil.copytree(exports / "geotiff", tmp_path / "bad")
    item = next((tmp_path / "bad").rglob("s2_l2a_*.json"))
    document = json.loads(item.read_text())
    asset = next(iter(document["assets"].values()))
    asset["proj:shape"] = [24.5]
    item.write_text(json.dumps(document))
    path = tmp_path / "bad" / "collection.json"
    document = json.loads(path.read_text())
    document["extent"]["spatial"]["bbox"] = [[11.0, 41.0, 12.0]]
    path.write_text(json.dumps(document))
    seen = read("stac", tmp_path, exports=["bad"]).said["bad"]
    assert set(seen["invalid"]) == {"collection.json", item.relative_to(tmp_path / "bad").as_posix()}
    assert "bbox" in json.dumps(seen["invalid"]["collection.json"])
    path = tmp_path / "bad" / "croissant.json"
    document = json.loads(path.read_text())
    document["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "nowhere.parquet"
    path.write_text(json.dumps(document))
    with pytest.raises(AssertionError, match=r"nowhere\.parquet"):
        read("croissant", tmp_path, exports=["bad"])
