"""The labels' columns of the index and their statistics, counted again from arrays written by hand."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import handmade
import labelsets
from labelsets import ABOUT, CELLS, arrays_of
from tilewright.config.settings import IndexSettings
from tilewright.config.splits import Split
from tilewright.stages.index import make_index
from tilewright.stages.zone import TileFiles, make_zone
from tilewright.statistics import joint_box, label_statistics
from tilewright.store import read_table, table_metadata, write_table
from tilewright.store.zarrzip import StoreWriter

EXTENTS = ([9.0, 47.0, 9.5, 48.0], [9.25, 46.5, 10.0, 47.5])
COVERAGE = np.array([1.0, 0.5, 1.0, np.nan, 0.0])
HELD: dict[str, dict[str, Any]] = {
    "land": {"kind": "overpass", "counts": {"area": 3, "line": 1}, "rejects": {"open ring": 2}, "repaired": 1},
    "lpis-2020": {"kind": "vector", "counts": {"area": 70}, "rejects": {"null geometry": 4}, "repaired": 5},
    "lpis-2021": {"kind": "vector", "counts": {"area": 80}, "rejects": {}, "repaired": 0},
}


def write_tile(folder: Path, tile: int, cells: int = CELLS, name: str = "") -> TileFiles:
    """What the stages before `zone` leave of a tile: no imagery, and labels of its first `cells` cells."""
    name = name or handmade.TILES[tile]
    ids = [handmade.cell_id(tile, cell) for cell in range(cells)]
    rows = {
        "cell_id": ids, "tile": name, "epsg": 32632, "ulx": [6e5 + 240 * cell for cell in range(cells)], "uly": 5.2e6 + 240 * tile,
        "size_m": handmade.SIZE_M, "col": list(range(cells)), "row": tile, "lon": 9.0, "lat": 47.0,
        "grid": 1, "sample": -1, "sample_id": None, "sample_label": None, "reference_date": pd.Series([pd.NaT] * cells, dtype="datetime64[us]"),
    }  # fmt: skip
    here = folder / "tiles" / name
    table = gpd.GeoDataFrame(rows, geometry=[shapely.box(9, 47, 9.01, 47.01)] * cells, crs=4326)
    write_table(table, here / "cells.parquet", {"counts": {"kept": cells}})
    about = {"quantity": "dn", "provider": "p", "licence": "l", "attribution": "a"}
    with StoreWriter(here / "series.zarr.zip", {"software": "s"}) as store:
        coordinates = {
            "cell_id": ("cell", np.zeros(0, object)),
            "time": (("cell", "time"), np.zeros((0, 0), "datetime64[us]")),
        }
        data = {"bad_fraction": (("cell", "time"), np.zeros((0, 0), "float32"))}
        store.small("s2_l2a", handmade.small_of(xr.Dataset(data, coordinates, about)))
    sets = {}
    for each, known in ABOUT.items():
        own = {"extent": EXTENTS[tile], "snapshot": f"202{tile}"} if each == "land" else {}
        unknown = {"unknown": {"CODE=9": 2 + tile, f"CODE={tile}": 1}} if each == "lpis-2020" else {}
        arrays = {key: array[:cells] for key, array in arrays_of(tile, each).items()}
        sets[each] = {"arrays": arrays, "about": {**known, **own, **unknown}}
        if each == "land":
            sets[each]["coverage"] = COVERAGE[:cells]
    labelsets.write_store(here / "labels.zarr.zip", sets, ids, handmade.SIZE_M)
    held = {each: {**known, "extent": "POLYGON ((0 0, 1 0, 1 1, 0 0))"} for each, known in HELD.items()}
    write_table(pd.DataFrame({"label_set": []}), here / "features.parquet", {"label_sets": held})
    return TileFiles(here, [], True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiles in two zones' files, and a third tile's worth of nothing: a tile without cells."""
    folder = tmp_path_factory.mktemp("zones")
    make_zone([write_tile(folder, 0)], folder / "zones/a.parquet")
    empty = write_tile(folder, 1, cells=0, name="33TUN")
    make_zone([empty, write_tile(folder, 1)], folder / "zones/b.parquet")
    settings = IndexSettings(dataset="d", seed=1, size_m=handmade.SIZE_M, split=Split(min_tiles=1, block_m=960))
    zones = [folder / "zones/a.parquet", folder / "zones/b.parquet"]
    make_index(zones, settings, folder / "index.parquet", folder / "statistics.json", folder / "collection.json")
    return folder


@pytest.fixture(scope="module")
def index(folder: Path) -> Any:
    return read_table(folder / "index.parquet").set_index("cell_id")


@pytest.fixture(scope="module")
def figures(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "statistics.json").read_text())["labels"]


def each_cell() -> list[tuple[int, int, str]]:
    return [(tile, cell, handmade.cell_id(tile, cell)) for tile in range(2) for cell in range(CELLS)]


@pytest.mark.parametrize("name", ["land", "lpis-2020", "lpis-2021"])
def test_classes_of_each_cell_are_those_of_its_pixels(index: Any, name: str):
    ontology = ABOUT[name]["ontology"]
    for tile, cell, cell_id in each_cell():
        labels, row = arrays_of(tile, name)["labels"][cell], index.loc[cell_id]
        assert row[f"{name}_row"] == cell
        assert row[f"{name}_classes"].tolist() == sorted({int(value) for value in np.unique(labels) if value < 254})
        assert row[f"{name}_labelled"] == pytest.approx((labels < 254).any(axis=0).mean())
        for at, channel in enumerate(each["name"] for each in ontology["channels"]):
            values = {each["name"]: each["value"] for each in ontology["categories"] if each["channel"] == channel}
            for one, value in {**values, "none": 254, "unlabeled": 255}.items():
                assert row[f"share_{name}_{channel}_{one}"] == pytest.approx((labels[at] == value).mean())
        if name.startswith("lpis"):
            claims = arrays_of(tile, name)["claims"][cell]
            assert row[f"{name}_claimed_partly"] == pytest.approx((claims > 0).mean())
            assert row[f"{name}_claimed_wholly"] == pytest.approx((claims == 2).mean())
            assert row[f"{name}_year"] == int(name[-4:])
    assert f"{name}_claimed_partly" in index or name == "land"


def test_classes_are_a_list_of_bytes_and_years_whole_numbers(folder: Path):
    for path in ("zones/a.parquet", "zones/b.parquet", "index.parquet"):
        schema = pq.read_schema(folder / path)
        assert str(schema.field("land_classes").type.value_type) == "uint8"
        assert str(schema.field("lpis-2020_year").type) == "int16"
    assert str(pq.read_schema(folder / "zones/a.parquet").field("land_year").type) == "int16"


def test_layers_have_their_own_columns(index: Any, figures: dict[str, Any]):
    means, shares, everything = [], [], []
    for tile, cell, cell_id in each_cell():
        layer, row = arrays_of(tile, "dem")["layer"][cell].astype(float), index.loc[cell_id]
        known = layer[~np.isnan(layer)]
        assert row["dem_coverage"] == pytest.approx(known.size / layer.size)
        if not known.size:
            assert row[["dem_mean", "dem_min", "dem_max"]].isna().all()
            continue
        for name, value in (("mean", known.mean()), ("min", known.min()), ("max", known.max())):
            assert row[f"dem_{name}"] == pytest.approx(value, rel=1e-6)
        means.append(known.mean())
        shares.append(known.size)
        everything.append(known)
    pixels = np.concatenate(everything)
    found = figures["dem"]
    assert (found["cells"], found["cells_without_data"], found["cells_partly"]) == (8, 2, 2)
    assert found["mean"] == pytest.approx(pixels.mean(), rel=1e-5)
    assert found["min"] == pytest.approx(pixels.min(), rel=1e-6) and found["max"] == pytest.approx(
        pixels.max(), rel=1e-6
    )
    assert sum(found["cell_mean_histogram"]) == 8 and len(found["cell_mean_edges"]) == 21
    assert found["cell_mean_edges"][0] == pytest.approx(min(means), rel=1e-6)
    assert not [name for name in index if name.startswith(("dem_labelled", "dem_classes", "share_dem"))]


def test_prevalence_is_of_the_cells_wholly_inside(figures: dict[str, Any]):
    found = figures["land"]
    inside = [cell for cell in range(CELLS) if not COVERAGE[cell] < 1]  # unknown coverage counts as inside
    labels = np.concatenate([arrays_of(tile, "land")["labels"][inside] for tile in range(2)])
    assert (found["cells"], found["cells_outside_extent"]) == (6, 4)
    for at, (channel, one, value) in enumerate([("land", "wood", 3), ("land", "field", 4), ("built", "house", 9)]):
        plane = labels[:, at // 2] == value
        assert found["classes"][f"{channel}/{one}"]["pixels"] == pytest.approx(plane.mean())
        assert found["classes"][f"{channel}/{one}"]["cells"] == plane.any(axis=(1, 2)).mean()
    labelled = (labels < 254).any(axis=1).mean(axis=(1, 2))
    assert found["labelled_share"] == pytest.approx(labelled.mean())
    assert found["labelled_share_histogram"] == np.histogram(labelled, 20, (0, 1))[0].tolist()
    assert (found["cells_below_1_percent"], found["cells_above_90_percent"]) == (0, 0)
    claims = np.concatenate([arrays_of(tile, "lpis-2020")["claims"] for tile in range(2)])
    assert figures["lpis-2020"]["claimed_partly"]["pixels"] == pytest.approx((claims > 0).mean())
    assert figures["lpis-2020"]["claimed_wholly"] == {"cells": 1.0, "pixels": pytest.approx((claims == 2).mean())}
    assert "claimed_partly" not in found


def test_what_sources_held_is_counted_once_a_file_and_summed_over_an_apis_answers(figures: dict[str, Any]):
    held = {name: {key: each[key] for key in ("counts", "rejects", "repaired")} for name, each in figures.items()}
    # the tile without cells asked the API too
    assert held["land"] == {"counts": {"area": 9, "line": 3}, "rejects": {"open ring": 6}, "repaired": 3}
    # near three tiles' cells; rejects are of the file
    assert held["lpis-2020"] == {"counts": {"area": 210}, "rejects": {"null geometry": 4}, "repaired": 5}
    assert held["dem"] == {"counts": {}, "rejects": {}, "repaired": 0}
    assert figures["lpis-2020"]["unknown"] == {"CODE=0": 1, "CODE=1": 2, "CODE=9": 8}
    assert figures["lpis-2021"]["unknown"] == {} and figures["land"]["snapshots"] == ["2020", "2021"]
    assert figures["land"]["extent"] == [9.0, 46.5, 10.0, 48.0] and figures["dem"]["extent"] is None


def test_of_a_raster_only_pixels_without_data_are_left_out():
    """Its data may have holes anywhere: a cell with one still counts, by its other pixels."""
    random = np.random.default_rng(5)
    values = random.choice([3, 4, 254, 255], (6, 50, 50))
    data = random.random((6, 50, 50)) < np.array([1, 0.9, 0.5, 0.01, 0, 1])[:, None, None]
    values[5][values[5] == 255] = 3  # all of this cell is known
    values[~data] = 255
    known = {"wood": 3, "field": 4, "none": 254, "unlabeled": 255}
    rows = pd.DataFrame({
        "cover_row": range(6), "cover_coverage": data.mean(axis=(1, 2)).astype("float32"),
        "cover_labelled": (values < 254).mean(axis=(1, 2)).astype("float32"),
        **{f"share_cover_land_{one}": (values == value).mean(axis=(1, 2)).astype("float32") for one, value in known.items()},
    })  # fmt: skip
    about = {"ontology": labelsets.ontology({"land": {"wood": 3, "field": 4}}), "kind": "raster"}
    found = label_statistics(rows, {"cover": about}, {})["cover"]
    assert (found["cells"], found["cells_outside_extent"]) == (5, 4)
    for one, value in known.items():
        is_it = (values == value) & data
        assert found["classes"][f"land/{one}"]["pixels"] == pytest.approx(is_it.sum() / data.sum(), rel=1e-5)
        assert found["classes"][f"land/{one}"]["cells"] == is_it.any(axis=(1, 2)).sum() / 5
    labelled = [(values[cell][data[cell]] < 254).mean() for cell in range(6) if data[cell].any()]
    assert found["labelled_share"] == pytest.approx(np.mean(labelled))


@pytest.mark.parametrize(
    ("labelled", "coverage", "warned"),
    [([0, 0], [1, 1], True), ([0, 0.1], [1, 1], False), ([0, 0], [0, 0], True), ([0, 0.3], [0.5, 0.5], False)],
)
def test_a_set_that_tells_nothing_is_warned_of(labelled, coverage, warned, caplog: pytest.LogCaptureFixture):
    rows = pd.DataFrame({"crops_row": [0, 1], "crops_coverage": coverage, "crops_labelled": labelled})
    for one in ("a", "none", "unlabeled"):
        rows[f"share_crops_crop_{one}"] = 0.0
    about = {"ontology": labelsets.ontology({"crop": {"a": 1}}), "kind": "vector"}
    held = {"counts": {"area": 0}, "rejects": {"no place": 7}, "repaired": 0}
    label_statistics(rows, {"crops": about}, {"32TNT": {"features": {"crops": held}}})
    told = (
        "labels.crops: no pixel of any cell has a class (0 features near the cells; rejected: 7 no place): if that is"
    )
    assert (told in caplog.text) == warned and bool(caplog.text) == warned


def test_the_index_says_of_its_sets_what_all_tiles_share(folder: Path):
    sets = table_metadata(folder / "index.parquet")["labels"]
    assert list(sets) == sorted(ABOUT)
    assert sets["lpis-2021"]["family"] == "lpis" and sets["lpis-2021"]["year"] == 2021
    assert sets["dem"]["ontology"] is None and sets["land"]["ontology"]["name"] == "land"
    for about in sets.values():
        assert not {"extent", "snapshot", "unknown"} & set(about)
    summary = table_metadata(folder / "zones/b.parquet")["tiles"][handmade.TILES[1]]
    assert "extent" not in summary["features"]["land"], "an outline of any size would stand in it once a tile"


def test_the_collection_credits_the_labels_sources(folder: Path):
    told = json.loads((folder / "collection.json").read_text())["description"]
    assert told.endswith(f"a Labels {', '.join(sorted(ABOUT))}: free.")


def test_a_cell_that_the_store_does_not_have_knows_nothing(tmp_path: Path):
    tile = write_tile(tmp_path, 0)
    write_tile(tmp_path / "less", 0, cells=3)
    (tmp_path / f"less/tiles/{handmade.TILES[0]}/labels.zarr.zip").replace(tile.folder / "labels.zarr.zip")
    make_zone([tile], tmp_path / "zone.parquet")
    rows = read_table(tmp_path / "zone.parquet")
    assert rows["land_row"].tolist() == [0, 1, 2, -1, -1]
    for name in ("land_coverage", "land_labelled", "land_classes", "dem_mean", "lpis-2020_claimed_wholly", "share_land_land_wood"):  # fmt: skip
        assert rows[name].isna().tolist()[3:] == [True, True]
    assert rows["land_classes"].notna().tolist()[:3] == [True] * 3


@given(st.lists(st.tuples(st.integers(-180, 179), st.integers(1, 40), st.integers(-80, 70), st.integers(1, 9)), min_size=1, max_size=4))  # fmt: skip
def test_a_joint_box_holds_every_box(given_boxes: list[tuple[int, int, int, int]]):
    boxes = [[west, south, (west + wide + 180) % 360 - 180, south + high] for west, wide, south, high in given_boxes]
    found = joint_box(boxes)
    assert found is not None
    west, south, east, north = found
    assert -180 <= west <= 180 and -180 <= east <= 180
    assert (south, north) == (min(box[1] for box in boxes), max(box[3] for box in boxes))
    span = (east - west) % 360 or 360
    for box, (_, wide, _, _) in zip(boxes, given_boxes, strict=True):
        assert (box[0] - west) % 360 + wide <= span or span == 360


def test_a_joint_box_of_neighbours_and_of_what_is_not_known():
    assert joint_box([[9.1, 47.0, 9.5, 48.0]]) == [9.1, 47.0, 9.5, 48.0]
    assert joint_box([[179.0, 0.0, -179.5, 1.0], [-179.75, -1.0, -179.0, 0.5]]) == [179.0, -1.0, -179.0, 1.0]
    assert joint_box([[-180.0, -90.0, 180.0, 90.0], [9.0, 1.0, 10.0, 2.0]]) == [-180.0, -90.0, 180.0, 90.0]
    assert joint_box([[9.0, 1.0, 10.0, 2.0], None]) is None and joint_box([]) is None
