"""The layout geotiff: COGs read back with rasterio, tifffile and json, against the stores and the watermarks."""

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import tifffile

import paired
from everything import Everything, Export, changed
from tilewright.config.settings import ExportSettings
from tilewright.exports.geotiff import stems
from tilewright.exports.tiff import geotiff
from tilewright.store import read_table

BANDS = {
    "s2_l2a": {10: "B02 B03 B04 B08", 20: "B05 B06 B07 B8A B11 B12", 60: "B01 B09"},
    "s2_l1c": {10: "B02 B03 B04 B08", 20: "B05 B06 B07 B8A B11 B12", 60: "B01 B09 B10"},
}
SIDE = 480


@pytest.fixture(scope="module")
def export(everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export(tmp_path_factory.mktemp("tif"), everything.results, everything.settings("geotiff")).run()


def check_cog(data: bytes) -> None:
    """What validators of cloud-optimized GeoTIFFs ask: directories before pixels, in order of size; tiles; overviews of large images."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = list(file.pages)
        directories, pixels = [page.offset for page in pages], [page.dataoffsets[0] for page in pages]
        assert directories == sorted(directories) and directories[0] < 1000
        assert max(directories) < min(offset for page in pages for offset in page.dataoffsets)
        # smaller overviews first, the whole image last: what is read first is at the front
        assert pixels == sorted(pixels, reverse=True)
        first = pages[0]
        assert (first.is_tiled and max(first.shape[:2]) <= 512) or len(pages) > 1
        assert first.tilelength <= 512 and first.tilelength % 16 == 0
        sizes = [page.imagelength for page in pages]
        assert all(2 * small <= large + 1 for large, small in itertools.pairwise(sizes)) and sizes[-1] <= 512


def opened(path: Path, row: Any, step: float) -> tuple[np.ndarray, Any]:
    """Pixels and what rasterio says; the place is the cell's."""
    check_cog(path.read_bytes())
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == row["epsg"]
        assert tuple(file.transform)[:6] == (step, 0, row["ulx"], 0, -step, row["uly"])
        assert file.width == file.height == row["size_m"] / step
        return file.read(), {"names": file.descriptions, "nodata": file.nodata, "tags": file.tags(ns="IMAGE_STRUCTURE")}


def test_every_scene_once(everything: Everything, export: Export):
    seen = set()
    for cell_id, row in everything.accepted().iterrows():
        folder = export.root / row["split"] / row["tile"] / cell_id
        for collection, groups in BANDS.items():
            scenes = everything.images(cell_id, collection)
            assert len(scenes) == 4
            for _, when, stored in scenes:
                stem = f"{collection}_{when:%Y%m%dT%H%M%S}"
                for step, bands in groups.items():
                    path = folder / f"{stem}_{step}m.tif"
                    pixels, about = opened(path, row, step)
                    seen.add(path)
                    assert (
                        about["names"] == tuple(bands.split()) and about["nodata"] is None and pixels.dtype == np.uint16
                    )
                    assert about["tags"]["COMPRESSION"] == "DEFLATE" and about["tags"]["LAYOUT"] == "COG"
                    for at, band in enumerate(bands.split()):
                        assert np.array_equal(pixels[at], stored[band])
                        everything.check_mark(row, collection, when, band, pixels[at])
                if collection == "s2_l2a":
                    path = folder / f"{stem}_scl.tif"
                    pixels, about = opened(path, row, 20)
                    seen.add(path)
                    assert np.array_equal(pixels[0], stored["SCL"]) and about["names"] == ("SCL",)
    assert seen == set(export.root.rglob("s2_*.tif"))


def test_labels_once_for_each_cell(everything: Everything, export: Export):
    nodata = {"instance": 0, "parcel_coverage": None, "distance": np.nan, "claims": None, "claims_same": None}
    for cell_id, row in everything.accepted().iterrows():
        folder, cell = export.root / row["split"] / row["tile"] / cell_id, everything.cell(cell_id)
        pixels, about = opened(folder / "labels_osm.tif", row, 10)
        assert np.array_equal(pixels, cell["labels/osm/labels"].values)
        assert about["names"] == ("land_use", "water_and_roads", "buildings") and about["nodata"] == 255
        pixels, about = opened(folder / "labels_crops.tif", row, 10)
        assert np.array_equal(pixels, cell["labels/crops/labels"].values) and about["names"] == ("crop",)
        for name, value in nodata.items():
            pixels, about = opened(folder / f"labels_crops_{name}.tif", row, 10)
            assert np.array_equal(pixels[0], cell[f"labels/crops/{name}"].values, equal_nan=name == "distance")
            assert (
                about["nodata"] is value or about["nodata"] == value or (np.isnan(about["nodata"]) and np.isnan(value))
            )
        assert len(list(folder.glob("labels_*.tif"))) == 2 + len(nodata)


def test_records_and_items(everything: Everything, export: Export):
    records = pd.concat([read_table(path / "records.parquet") for path in export.tables.values()])
    assert len(records) == 8 * len(everything.accepted())
    late = records[(records["datetime"] >= "2019-07-01") & (records["collection"] == "s2_l2a")]
    assert set(late["periods"]) == {"2019,late"} and set(records["periods"]) == {"2018", "2019", "2019,late"}
    for _, record in records.iterrows():
        item = json.loads((export.root / f"{record['stem']}.json").read_text())
        folder = (export.root / record["stem"]).parent
        assert all((folder / asset["href"]).is_file() for asset in item["assets"].values())
        assert item["properties"]["tilewright:scene_id"] == record["scene_id"]
        times = {scene: when for scene, when, _ in everything.images(record["cell_id"], record["collection"])}
        assert record["datetime"] == times[record["scene_id"]]
        stored = everything.cell(record["cell_id"])[record["collection"]]
        at = list(stored["scene_id"].values).index(record["scene_id"])
        assert (
            record["nodata_fraction"] == stored["nodata_fraction"].values[at]
            and record["platform"] == stored["platform"].values[at]
        )
        # every file of the cell is an asset of one of its items
        assert {f"labels_crops_{name}" for name in ("instance", "distance")} <= set(item["assets"])


def test_splits_by_year_are_of_each_scene(everything: Everything, tmp_path: Path):
    def by_year(rows: Any, about: dict[str, Any]) -> Any:
        about["split"] = {"by": "year", "years": {"train": [2018], "test": [2019]}}
        return rows.assign(split="by_year")

    made = changed(everything, tmp_path / "set", by_year)
    export = Export(tmp_path, made.results, made.settings("geotiff"))
    records = read_table(export.tile("33TTG") / "records.parquet")
    assert records["split"].tolist() == records["datetime"].dt.year.map({2018: "train", 2019: "test"}).tolist()
    item = json.loads((export.root / f"{records['stem'][0]}.json").read_text())
    assert item["properties"]["tilewright:split"] == records["split"][0]


def test_the_same_bytes_at_another_time(everything: Everything, export: Export, tmp_path: Path):
    again = Export(tmp_path, everything.results, export.settings).run()
    assert again.files() == export.files()


def test_scenes_of_one_second_have_names_of_their_own():
    class Scene:
        def __init__(self, time: str) -> None:
            self.collection, self.time = "s1_grd", np.datetime64(time, "us")

    told = ["2020-01-01T10:00:00.1", "2020-01-01T10:00:00.7", "2020-01-01T10:00:00.9", "2020-01-01T10:00:01"]
    assert stems([Scene(time) for time in told]) == [  # type: ignore[arg-type,misc]
        "s1_grd_20200101T100000", "s1_grd_20200101T100000-2", "s1_grd_20200101T100000-3", "s1_grd_20200101T100001",
    ]  # fmt: skip


@pytest.mark.parametrize(("side", "dtype"), [(8, "uint16"), (44, "uint8"), (192, "float32"), (264, "uint16"), (768, "uint8"), (1100, "uint8")])  # fmt: skip
def test_a_cog_of_any_size(side: int, dtype: str):
    """As wide as cells of 480 m at 60 m, SSL4EO-S12's, OpenSentinelMap's, and labels of 2.5 m."""
    draw = np.random.default_rng(side)
    pixels = draw.integers(1, 15, (2, side, side)).astype(dtype)
    nodata = np.nan if dtype == "float32" else 255
    data = geotiff(pixels, 32735, 600_000, 6_700_000, 10, ("a", "b"), nodata, cloud_optimized=True)
    check_cog(data)
    with rasterio.MemoryFile(data) as memory, memory.open() as file:
        assert np.array_equal(file.read(), pixels) and file.crs.to_epsg() == 32735 and file.descriptions == ("a", "b")
        assert bool(file.overviews(1)) == (side > 512)
        if file.overviews(1):
            smaller = file.read(1, out_shape=(side // 2, side // 2))
            assert set(np.unique(smaller)) <= set(np.unique(pixels))  # of nearest pixels: no mean of classes
    assert geotiff(pixels, 32735, 600_000, 6_700_000, 10, ("a", "b"), nodata, cloud_optimized=True) == data


def test_radar(tmp_path: Path):
    paired.write(tmp_path / "set")
    paired.accept(tmp_path / "set")
    told = ExportSettings(dataset="paired", layout="geotiff", periods=["a", "b"], label_set=None)
    export = Export(tmp_path, tmp_path / "set", told)
    export.tile(paired.TILE)
    found = 0
    for cell in range(4):
        folder = export.root / "train" / paired.TILE / paired.cell_id(cell)
        first: dict[str, Any] = {}
        for entry in paired.entries(cell, "s1_grd"):
            first.setdefault(entry["scene_id"], entry)
        for entry in first.values():
            path = folder / f"s1_grd_{pd.Timestamp(entry['time']):%Y%m%dT%H%M%S}_10m.tif"
            with rasterio.open(path) as file:
                assert (
                    file.descriptions == ("VV", "VH")
                    and np.isnan(file.nodata)
                    and file.dtypes == ("float32", "float32")
                )
                stored = paired.pixels(cell, "s1_grd", "r10m", entry["of"])
                assert np.array_equal(file.read(), stored, equal_nan=True)
            item = json.loads(path.with_name(path.name.replace("_10m.tif", ".json")).read_text())
            assert item["properties"]["tilewright:pair_of"] == entry["pair_of"]
            found += 1
    # of four dates with radar two have the same scene
    assert found == 3 == len(list(export.root.rglob("s1_grd_*.tif")))
