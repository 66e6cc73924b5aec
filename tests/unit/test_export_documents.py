"""What every export has beside its files: data card, samples' table, Croissant metadata, STAC collection and items; of an index written by hand."""

import hashlib
import io
import json
import posixpath
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import yaml

import handmade
from tilewright.collection import bbox, licence_of, spdx
from tilewright.config.settings import ExportSettings
from tilewright.exports import stac_items
from tilewright.exports.card import data_card
from tilewright.exports.documents import write_documents
from tilewright.exports.geotiff import LAYOUT as GEOTIFF
from tilewright.exports.protocol import Deviation, Whole
from tilewright.exports.samples import parquet_bytes, samples_table
from tilewright.exports.stac_items import item_of, write_items
from tilewright.exports.writing import Writing
from tilewright.loader.dataset import Dataset
from tilewright.store import read_table, write_table

ODBL = "© OpenStreetMap contributors, ODbL 1.0"
COPERNICUS = "Copernicus Sentinel data, free and open"
ONTOLOGY = {
    "name": "opensentinelmap", "version": 1, "channels": [{"name": "use"}, {"name": "water and roads"}],
    "categories": [
        {"name": "wooded", "title": "Woods", "channel": "use", "value": 0, "colour": "#1B7837"},
        {"name": "other natural", "channel": "use", "value": 11, "colour": "green"},
        {"name": "water", "channel": "water and roads", "value": 12},
    ],
}  # fmt: skip
DESCRIBED = {
    "software": "tilewright 0.0.9", "dataset": "small",
    "collections": {"s2_l2a": {"quantity": "dn", "provider": "earth-search", "licence": COPERNICUS, "attribution": "Contains Copernicus data"}},
    "labels": {
        "osm": {"ontology": ONTOLOGY, "resolution_m": 10, "kind": "pbf", "licence": ODBL, "year": 2021},
        "osm_fine": {"ontology": None, "resolution_m": 5, "kind": "raster", "licence": "CC0-1.0"},
    },
}  # fmt: skip
STATISTICS: dict[str, Any] = {
    "bands_train": {"s2_l2a_B02": {"pixels": 1234567, "mean": 1397.616, "std": 854.1234, "unit": "DN"}},
    "split": {"by": "block", "reason": "there are 2 tiles", "units": 7, "buffer_m": 500.0, "dropped": {"train": 3}},
    "labels": {"osm": {"classes": {"use/wooded": {"cells": 0.5, "pixels": 0.12345}}}, "osm_fine": {"mean": 2.5, "min": -1.0, "max": 9.0}},
}  # fmt: skip
CONFIG = "dataset: small\n# a fence: ```\n"
LEFT_OUT = "32TNU-3"


class Ours:
    """A layout with deviations to tell."""

    title = "A paper's dataset"

    def deviations(self, whole: Whole) -> list[Deviation]:
        return [Deviation("size", "a|b", "264\nand more", f"<{len(whole.dataset)}> cells")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return make(tmp_path_factory.mktemp("dataset"))


def make(folder: Path, described: dict[str, Any] = DESCRIBED, **columns: Any) -> Whole:
    """The dataset by hand, with what acceptance and splits add to its index."""
    handmade.write(folder)
    rows = read_table(folder / "index.parquet").rename(columns=lambda name: name.replace("fine", "osm_fine"))
    rows["accepted"] = rows["cell_id"] != LEFT_OUT
    rows["accepted_rank"] = np.where(rows["accepted"], np.arange(len(rows))[::-1], -1)
    rows["geometry"] = [
        shapely.box(lon - 0.001, lat - 0.001, lon + 0.001, lat + 0.001)
        for lon, lat in zip(rows["lon"], rows["lat"], strict=True)
    ]
    rows["dates_cold"], rows["dates_warm"] = np.minimum(rows["dates"], 3), np.maximum(rows["dates"] - 3, 0)
    for name, values in columns.items():
        rows[name] = values
    write_table(gpd.GeoDataFrame(rows, crs=4326), folder / "index.parquet", described)
    settings = ExportSettings(dataset="small", layout="geotiff", periods=["cold", "warm"], label_set=None)
    return Whole(Dataset(folder), STATISTICS, settings)


def records(whole: Whole) -> list[dict[str, Any]]:
    """As the layout geotiff makes them, of two scenes of one cell."""
    row = whole.dataset.index.loc["32TNT-0"]
    stem = "train/32TNT/32TNT-0/s2_l2a_20210115T101637"
    first = {
        "cell_id": "32TNT-0", "tile": "32TNT", "split": "train", "collection": "s2_l2a", "scene_id": "S2A_1",
        "datetime": pd.Timestamp("2021-01-15T10:16:37.123456"), "periods": "cold", "stem": stem, "bands": "B02,B03,B08,B05,B11,B09",
        "resolutions": "10,20,60", "scl": True, "epsg": int(row["epsg"]), "ulx": float(row["ulx"]), "uly": float(row["uly"]), "size_m": 240,
        "lon": float(row["lon"]), "lat": float(row["lat"]), "platform": "Sentinel-2A", "relative_orbit": 65, "orbit_state": "descending",
        "pair_of": "", "bad_fraction": 0.1234567, "nodata_fraction": 0.0, "labels": "labels_osm.tif,labels_osm_fine.tif,labels_osm_instance.tif",
    }  # fmt: skip
    radar = {
        "collection": "s1_grd", "scene_id": "S1A_1", "stem": "train/32TNT/32TNT-0/s1_grd_20210116T051637", "bands": "VV,VH", "resolutions": "10",
        "scl": False, "platform": "", "relative_orbit": -1, "orbit_state": "", "pair_of": "S2A_1", "bad_fraction": float("nan"),
    }  # fmt: skip
    return [first, first | radar]


def files_table(paths: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [(path, size, 0, "") for path, size in paths.items()], columns=["path", "bytes", "crc32", "cell_id"]
    )


FILES = files_table({
    "train/32TNT/32TNT-0/s2_l2a_20210115T101637_10m.tif": 1000, "train/32TNT/32TNT-0/s2_l2a_20210115T101637.json": 10,
    "val/32TNU/32TNU-4/x_10m.tif": 500_000, "catalogs/32TNT.json": 5, "catalogs/32TNU.json": 5, "items/32TNT-00000.parquet": 7,
})  # fmt: skip


@pytest.fixture(scope="module")
def documents(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(whole, tmp_path_factory.mktemp("documents") / "geotiff")


def written(whole: Whole, root: Path) -> Path:
    with Writing(root, "whole") as writing:
        writing.put("statistics.csv", b"band,mean\n")
        write_documents(whole, GEOTIFF, pd.DataFrame(records(whole)), FILES, CONFIG, writing)
    return root


def test_the_same_dataset_gives_the_same_bytes(whole: Whole, documents: Path, tmp_path: Path):
    again = written(make(tmp_path / "dataset"), tmp_path / "geotiff")
    names = {path.name for path in documents.iterdir()}
    assert names == {"README.md", "croissant.json", "collection.json", "samples.parquet", "statistics.csv"}
    assert {name: (documents / name).read_bytes() for name in names} == {
        name: (again / name).read_bytes() for name in names
    }


def test_card_tells_what_where_when_and_whose(whole: Whole):
    card = data_card(whole, Ours(), pd.DataFrame(records(whole)), FILES, CONFIG)  # type: ignore[arg-type]
    head, _, body = card.removeprefix("---\n").partition("---\n")
    front = yaml.safe_load(head)
    assert (
        front["license"] == "other"
        and front["license_link"] == "README.md"
        and front["task_categories"] == ["image-segmentation"]
    )
    assert front["size_categories"] == ["n<1K"] and front["pretty_name"] == "A paper's dataset: small"
    # nine of ten cells, (4 + 1 + 0 + 3 + 2) × 2 dates without the three of the one left out
    assert "9 cells of 240 m, 17 patches of s2_l2a; 2 samples in 6 files of the tiles, 0.5 MB" in body
    assert "| s2_l2a | 10 m | B02, B03, B08 | 24 × 24 |" in body and "| s2_l2a | 60 m | B09 | 4 × 4 |" in body
    assert (
        "Longitude 8.99900 to 9.50100, latitude 46.99900 to 48.00100. 2 MGRS tiles: 32TNT, 32TNU." in body
        and "EPSG:32632" in body
    )
    assert "Imagery from 2021-01-15T10:16:40Z to 2021-12-31T10:16:40Z (UTC)" in body
    assert "| cold | 15 |" in body and "| warm | 2 |" in body
    assert (
        "By block, 7 of them. Not as asked for: there are 2 tiles." in body
        and "Cells within 500 m of another split's ground are in none: 3" in body
    )
    assert "| train | 6 | 66.7% |" in body and "| val | 1 | 11.1% |" in body and "| test | 2 | 22.2% |" in body
    assert "- `osm`: ontology opensentinelmap (version 1), 3 classes in use, water and roads, at 10 m, of 2021." in body
    assert "- `osm_fine`: a layer of numbers at 5 m." in body
    for line in (
        f"| `s2_l2a` | earth-search | {COPERNICUS} |",
        f"| `osm` | pbf | {ODBL} |",
        "Contains Copernicus data",
        f"Labels osm: {ODBL}.",
    ):
        assert line in body, line
    assert "| B02 | 1,397.62 | 854.12 | DN | 1,234,567 |" in body
    assert "| use/wooded | 12.345% | 50.00% |" in body and "From -1 to 9, mean 2.5." in body
    assert "| size | a\\|b | 264 and more | &lt;10> cells |" in body
    assert "Stores by tilewright 0.0.9" in body and body.endswith(f"````yaml\n{CONFIG}````\n")


def test_documents_credit_the_table_of_cities(tmp_path: Path):
    whole = make(tmp_path / "set")
    source = {"table": "a table", "licence": "CC-BY-4.0", "attribution": "Places: a gazetteer"}
    write_table(pd.DataFrame({"sample": [0]}), tmp_path / "set" / "locations.parquet", {"source": source})
    root = written(whole, tmp_path / "export")
    card = (root / "README.md").read_text()
    assert "| places | a table | CC-BY-4.0 |" in card and card.count("Places: a gazetteer.") == 1
    for name in ("croissant.json", "collection.json"):
        assert json.loads((root / name).read_text())["description"].endswith(" Places: a gazetteer.")


def test_no_files_of_tiles(tmp_path: Path):
    whole = make(tmp_path / "set")
    with Writing(tmp_path / "export", "whole") as writing:
        write_documents(whole, GEOTIFF, pd.DataFrame(), files_table({}), CONFIG, writing)
    sets = json.loads((tmp_path / "export" / "croissant.json").read_text())["distribution"]
    assert {each["@type"] for each in sets} == {"cr:FileObject"}


def test_card_without_labels_deviations_or_statistics(tmp_path: Path):
    described = {"collections": {"s2_l2a": {"provider": "simulated", "licence": "CC0-1.0 (simulated pixels)"}}}
    bare = Whole(make(tmp_path, described).dataset, {"split": {"by": "year", "years": {"train": [2020, 2021]}}},
                 ExportSettings(dataset="small", layout="geotiff", periods=[], label_set=None))  # fmt: skip
    card = data_card(bare, GEOTIFF, pd.DataFrame(records(bare)), FILES, CONFIG)
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "cc0-1.0"
    for told in (
        "There are none.",
        "of no published dataset",
        "No cell of the split train has pixels",
        "Years: train 2020, 2021.",
    ):
        assert told in card
    assert "Shares of the classes" not in card


def test_samples_lead_with_the_cell_and_leave_lists_out(whole: Whole):
    told = pd.DataFrame(
        {"cell_id": ["32TNU-4", "32TNT-0"], "sums": [[1, 2], [3]], "folder": ["b", "a"], "lon": [0.0, 0.0]}
    )
    table = samples_table(whole, told)
    assert list(table) == ["cell_id", "tile", "split", "epsg", "ulx", "uly", "size_m", "lon", "lat", "folder"]
    assert table["tile"].tolist() == ["32TNU", "32TNT"] and table["folder"].tolist() == ["b", "a"]
    # the index's, not what a record says
    assert table["lon"].tolist() == [whole.dataset.index.at[cell, "lon"] for cell in told["cell_id"]]
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(parquet_bytes(table))), table)


def test_croissant_names_every_file_and_column(whole: Whole, documents: Path):
    document = json.loads((documents / "croissant.json").read_text())
    objects = {each["@id"]: each for each in document["distribution"] if each["@type"] == "cr:FileObject"}
    assert set(objects) == {"README.md", "samples.parquet", "statistics.csv"}
    for name, each in objects.items():
        data = (documents / name).read_bytes()
        assert (
            each["sha256"] == hashlib.sha256(data).hexdigest()
            and each["contentSize"] == f"{len(data)} B"
            and each["contentUrl"] == name
        )
    sets = {each["@id"]: each for each in document["distribution"] if each["@type"] == "cr:FileSet"}
    assert set(sets) == {"train.tif", "train.json", "val.tif", "catalogs.json", "items.parquet"}
    assert (
        sets["train.tif"]["includes"] == ["train/*.tif", "train/**/*.tif"]
        and sets["train.tif"]["encodingFormat"] == "image/tiff"
    )
    assert sets["catalogs.json"]["description"] == "2 files, 10 B"
    (samples,) = document["recordSet"]
    table = pd.read_parquet(documents / "samples.parquet")
    assert [each["source"]["extract"]["column"] for each in samples["field"]] == list(table)
    types = {each["name"]: each["dataType"] for each in samples["field"]}
    assert (
        types["datetime"] == "sc:DateTime"
        and types["ulx"] == "sc:Float"
        and types["epsg"] == "sc:Integer"
        and types["scl"] == "sc:Boolean"
    )
    assert types["cell_id"] == "sc:Text" and document["license"] == [COPERNICUS, ODBL, "CC0-1.0"]
    assert document["spatialCoverage"]["geo"]["box"] == "46.999 8.999 48.001 9.501"
    assert document["temporalCoverage"] == "2021-01-15T10:16:40Z/2021-12-31T10:16:40Z"


def test_collection_leads_to_the_tiles(whole: Whole, documents: Path):
    document = json.loads((documents / "collection.json").read_text())
    assert document["id"] == "small-geotiff" and document["license"] == "other" and document["stac_version"] == "1.1.0"
    assert [link["href"] for link in document["links"] if link["rel"] == "child"] == [
        "./catalogs/32TNT.json",
        "./catalogs/32TNU.json",
    ]
    assert document["extent"]["spatial"]["bbox"] == [[8.999, 46.999, 9.501, 48.001]]
    assert document["providers"][0]["name"] == "earth-search" and document["summaries"]["proj:code"] == ["EPSG:32632"]
    assert set(document["item_assets"]) == {
        "s2_l2a_r10m",
        "s2_l2a_r20m",
        "s2_l2a_r60m",
        "s2_l2a_scl",
        "labels_osm",
        "labels_osm_fine",
    }
    use, water = document["item_assets"]["labels_osm"]["raster:bands"]
    assert use["classification:classes"] == [
        {"value": 0, "name": "wooded", "title": "Woods", "color_hint": "1B7837"}, {"value": 11, "name": "other_natural"},
        {"value": 254, "name": "none", "description": "none of the channel's classes"},
        {"value": 255, "name": "unlabeled", "description": "not known", "nodata": True},
    ]  # fmt: skip
    assert [each["value"] for each in water["classification:classes"]] == [12, 254, 255]


def test_items_are_where_their_links_and_assets_say(whole: Whole, tmp_path: Path):
    with Writing(tmp_path / "geotiff", "32TNT") as writing:
        write_items(whole, "32TNT", records(whole), writing)
    root = tmp_path / "geotiff"
    catalog = json.loads((root / "catalogs/32TNT.json").read_text())
    paths = [posixpath.normpath(f"catalogs/{link['href']}") for link in catalog["links"] if link["rel"] == "item"]
    assert paths == [f"{record['stem']}.json" for record in records(whole)]
    table = gpd.read_parquet(root / "items/32TNT-00000.parquet")
    for record, path, (_, row) in zip(records(whole), paths, table.iterrows(), strict=True):
        item = json.loads((root / path).read_text())
        folder = posixpath.dirname(path)
        assert {posixpath.normpath(f"{folder}/{link['href']}") for link in item["links"]} == {
            "collection.json",
            "catalogs/32TNT.json",
        }
        assert item["id"] == row["id"] and item["properties"]["datetime"] == "2021-01-15T10:16:37.123456Z"
        assert list(row["geometry"].bounds) == pytest.approx(item["bbox"]) and item["collection"] == "small-geotiff"
        labels = set(record["labels"].split(","))
        own = {f"{path.removesuffix('.json')}_{step}m.tif" for step in record["resolutions"].split(",")}
        own |= {f"{path.removesuffix('.json')}_scl.tif"} if record["scl"] else set()
        held = {posixpath.normpath(f"{folder}/{asset['href']}") for asset in item["assets"].values()}
        assert held == own | {f"{folder}/{name}" for name in labels}
        of_table = {posixpath.normpath(f"items/{each['href']}") for each in row["assets"].values() if each is not None}
        assert of_table == held


def test_items_of_a_large_tile_are_in_several_tables(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stac_items, "_TOGETHER", 2)
    many = [record | {"stem": f"{record['stem']}-{at}"} for at in range(3) for record in records(whole)][:5]
    with Writing(tmp_path / "geotiff", "32TNT") as writing:
        write_items(whole, "32TNT", many, writing)
    tables = sorted((tmp_path / "geotiff/items").iterdir())
    assert [path.name for path in tables] == [f"32TNT-0000{number}.parquet" for number in range(3)]
    told = [each for path in tables for each in gpd.read_parquet(path)["id"]]
    assert told == [f"32TNT-0_{posixpath.basename(record['stem'])}" for record in many]
    catalog = json.loads((tmp_path / "geotiff/catalogs/32TNT.json").read_text())
    assert sum(link["rel"] == "item" for link in catalog["links"]) == 5


def test_item_says_where_pixels_lie_and_what_they_are(whole: Whole):
    optical, radar = (item_of(whole, record) for record in records(whole))
    assert optical["assets"]["s2_l2a_r60m"]["proj:shape"] == [4, 4]
    assert optical["assets"]["s2_l2a_r60m"]["proj:transform"] == [60, 0, 600_000.0, 0, -60, 5_200_000.0]
    assert optical["assets"]["labels_osm_fine"]["proj:shape"] == [48, 48] and optical["assets"]["labels_osm_instance"][
        "proj:shape"
    ] == [24, 24]
    assert "classification:classes" not in json.dumps(optical["assets"]["labels_osm_instance"])
    assert [band["common_name"] for band in optical["assets"]["s2_l2a_r10m"]["eo:bands"]] == ["blue", "green", "nir"]
    assert optical["assets"]["s2_l2a_r10m"]["raster:bands"][0]["scale"] == 1e-4
    told = optical["properties"]
    assert (
        told["proj:bbox"] == [600_000, 5_199_760, 600_240, 5_200_000]
        and told["platform"] == "sentinel-2a"
        and told["gsd"] == 10
    )
    assert (
        told["sat:relative_orbit"] == 65
        and told["sat:orbit_state"] == "descending"
        and told["tilewright:bad_fraction"] == 0.123457
    )
    assert "sat:relative_orbit" not in radar["properties"] and not any(
        "/sat/" in each or "/eo/" in each for each in radar["stac_extensions"]
    )
    assert radar["assets"]["s1_grd_r10m"]["raster:bands"][0]["nodata"] == "nan" and "s1_grd_scl" not in radar["assets"]
    assert "tilewright:bad_fraction" not in radar["properties"] and radar["properties"]["tilewright:pair_of"] == "S2A_1"


def test_a_footprint_across_the_antimeridian(tmp_path: Path):
    halves = shapely.MultiPolygon([shapely.box(179.99, -17.01, 180, -17), shapely.box(-180, -17.01, -179.98, -17)])
    # a plain footprint on each side, and one that is cut
    outlines = [shapely.box(179, -17, 179.1, -16.9), shapely.box(-179.2, -17, -179.1, -16.9)] + [halves] * 8
    far = make(tmp_path, geometry=outlines, lon=[179.05, -179.15] + [179.995] * 8)
    record = records(far)[0] | {"cell_id": "32TNT-3"}
    assert item_of(far, record)["bbox"] == [179.99, -17.01, -179.98, -17.0]
    assert bbox(far.dataset.index.iloc[:2]) == [179.0, -17.0, -179.1, -16.9]


@pytest.mark.parametrize(
    ("licence", "known"),
    [
        ("CC0-1.0 (simulated pixels)", "CC0-1.0"), (ODBL, "ODbL-1.0"), ("CC BY 4.0", "CC-BY-4.0"), ("CC-BY-NC-4.0", "CC-BY-NC-4.0"),
        ("Copernicus; Sentinel-1 RTC under CC BY 4.0", ""), ("CC BY 4.0 but for two tiles", ""), ("", ""),
    ],
)  # fmt: skip
def test_licences_that_have_an_identifier(licence: str, known: str):
    assert spdx(licence) == known


def test_parts_under_several_licences_are_under_none_that_has_a_name():
    parts = {"collections": {"s2_l2a": {"licence": "CC BY 4.0"}}, "labels": {"osm": {"licence": "CC-BY-4.0"}}}
    assert licence_of(parts) == "CC-BY-4.0"
    assert (
        licence_of(parts | {"labels": {"osm": {"licence": ODBL}}})
        == "other"
        == licence_of({"collections": {"s2_l2a": {}}})
    )
