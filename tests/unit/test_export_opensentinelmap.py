"""The layout opensentinelmap: files read back with numpy, PIL and csv, against the stores and the watermarks."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from everything import Everything, Export, changed
from tilewright.errors import TilewrightError
from tilewright.exports import opensentinelmap
from tilewright.exports.cellnumbers import cell_numbers
from tilewright.exports.npz import npz
from tilewright.exports.opensentinelmap import LAYOUT, categories, stem
from tilewright.exports.protocol import Deviation
from tilewright.exports.source import CellSource
from tilewright.exports.tile import read_whole
from tilewright.grid import cells_of, tile
from tilewright.store import read_table

# by hand from what is known of the published files: facts, and the README of the published dataset
ORDER = {"gsd_10": "B02 B03 B04 B08", "gsd_20": "B05 B06 B07 B8A B11 B12", "gsd_60": "B01 B09"}
PRECEDENCE = {
    "wooded": (0, 2), "agricultural": (1, 5), "residential": (2, 50), "industrial": (3, 96), "commercial": (4, 95), "recreation": (5, 99),
    "airport": (6, 93), "quarry": (7, 92), "military": (8, 90), "desert_sand": (9, 10), "mountain_rock": (10, 1), "other_natural": (11, 4),
    "water": (12, 96), "road": (13, 97), "building": (14, 100),
}  # fmt: skip
SIDE = 480


@pytest.fixture(scope="module")
def export(everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Export:
    folder = tmp_path_factory.mktemp("osm")
    return Export(folder, everything.results, everything.settings("opensentinelmap", labels="osm")).run()


def listed(export: Export) -> list[dict[str, str]]:
    return list(csv.DictReader((export.root / "spatial_cell_info.csv").open()))


def numbers(export: Export) -> dict[str, str]:
    """The number of each cell by its id, from the records."""
    tables = [read_table(path / "records.parquet") for path in export.tables.values()]
    return {row["cell_id"]: str(row["number"]) for table in tables for _, row in table.iterrows()}


def test_every_scene_of_every_cell_is_an_npz(everything: Everything, export: Export):
    seen, number = set(), numbers(export)
    for cell_id, row in everything.accepted().iterrows():
        found = list(everything.images(cell_id, "s2_l2a"))
        assert len(found) == 4
        bad = {str(one): value for one, value in zip(everything.cell(cell_id)["s2_l2a"]["scene_id"].values, everything.cell(cell_id)["s2_l2a"]["bad_fraction"].values, strict=True)}  # fmt: skip
        for scene, when, pixels in found:
            path = export.root / f"osm_sentinel_imagery/{row['tile']}/{number[cell_id]}/{scene}.npz"
            with np.load(path) as file:
                assert sorted(file) == ["bad_percent", "gsd_10", "gsd_20", "gsd_60", "scl"]
                for key, bands in ORDER.items():
                    side = SIDE // int(key[4:])
                    names = bands.split()
                    assert file[key].shape == (side, side, len(names)) and file[key].dtype == np.float32
                    for at, band in enumerate(names):
                        assert np.array_equal(file[key][..., at], pixels[band].astype(np.float32) / np.float32(10000))
                        dn = np.rint(file[key][..., at].astype(np.float64) * 10000).astype(np.uint16)
                        everything.check_mark(row, "s2_l2a", when, band, dn)
                assert np.array_equal(file["scl"], pixels["SCL"]) and file["scl"].dtype == np.uint8
                assert file["bad_percent"].shape == () and file["bad_percent"] == bad[scene]
            seen.add(path)
    assert seen == set(export.root.rglob("*.npz"))
    # values above 1 are kept, as in the published files
    assert any(np.load(path)["gsd_10"].max() > 1 for path in seen)


def test_label_images(everything: Everything, export: Export):
    number = numbers(export)
    for cell_id, row in everything.accepted().iterrows():
        picture = Picture.open(export.root / f"osm_label_images_v10/{row['tile']}/{number[cell_id]}.png")
        assert picture.mode == "RGB" and picture.size == (SIDE // 10, SIDE // 10)
        labels = everything.cell(cell_id)["labels/osm/labels"].values
        assert np.array_equal(np.moveaxis(np.asarray(picture), -1, 0), labels)


def test_the_list_of_cells(everything: Everything, export: Export):
    rows, accepted = listed(export), everything.accepted()
    assert list(rows[0]) == ["cell_id", "MGRS_tile", "min_lon", "max_lon", "min_lat", "max_lat", "split"]
    told = {row["cell_id"]: row for row in rows}
    assert len(told) == len(rows) == len(accepted)
    assert [int(row["cell_id"]) for row in rows] == sorted(int(row["cell_id"]) for row in rows)
    for cell_id, row in accepted.iterrows():
        one = told[numbers(export)[cell_id]]
        west, south, east, north = row["geometry"].bounds
        found = [float(one[key]) for key in ("min_lon", "min_lat", "max_lon", "max_lat")]
        assert found == pytest.approx([west, south, east, north], abs=1e-7)
        assert one["split"] == {"train": "training", "val": "validation", "test": "testing"}[row["split"]]
        assert one["MGRS_tile"] == row["tile"]


def test_a_tile_is_named_without_a_leading_zero(everything: Everything, tmp_path: Path):
    def southern(rows: Any, about: dict[str, Any]) -> Any:
        rows.loc[rows["tile"] == "32TQM", "tile"] = "02LMK"
        return rows

    made = changed(everything, tmp_path / "set", southern)
    (made.results / "tiles" / "02LMK").symlink_to(everything.results / "tiles" / "32TQM")
    told = made.settings("opensentinelmap", labels="osm")
    written = Export(tmp_path, made.results, told)
    table = read_table(written.tile("02LMK") / "files.parquet")
    assert len(table) and table["path"].str.match(r"(osm_sentinel_imagery|osm_label_images_v10)/2LMK/").all()


def test_categories(everything: Everything, export: Export):
    document = json.loads((export.root / "osm_categories.json").read_text())
    assert [each["name"] for each in document["channels"]] == ["OSM_land_use", "OSM_water_and_roads", "buildings"]
    labels = {name: told for each in document["channels"] for name, told in each["labels"].items()}
    found = {name: (told["value"], told["precedence"]) for name, told in labels.items() if told["value"] <= 14}
    assert found == PRECEDENCE
    for channel in document["channels"]:
        assert channel["labels"]["none"]["value"] == 254 and channel["labels"]["unlabeled"]["value"] == 255
    assert [next(iter(each["labels"])) for each in document["channels"]] == ["wooded", "water", "building"]
    assert labels["wooded"]["tags"] == {"natural": ["wood", "tree_row"], "landuse": ["forest"]}
    assert labels["water"]["tags"]["natural"][0] == "water" and labels["quarry"]["tags"] == {"landuse": ["quarry"]}


def test_rules_and_tags_of_a_category_are_those_of_the_ontology():
    rules = [
        {"tags": {"building": ["house"]}, "kinds": ["area"], "dilate_m": 30.0, "exclude": {}, "implies_none": None},
        {
            "tags": {"building": ["house", "hut"], "landuse": ["residential"]},
            "kinds": ["area", "line"],
            "dilate_m": 0.0,
        },
    ]
    one = {"name": "residential", "channel": "land_use", "value": 2, "precedence": 50, "rules": rules}
    found = categories({"name": "x", "version": 3, "categories": [one]})
    told = found["channels"][0]["labels"]["residential"]
    assert told["tags"] == {"building": ["house", "hut"], "landuse": ["residential"]}
    assert told["rules"][0] == {"tags": {"building": ["house"]}, "kinds": ["area"], "dilate_m": 30.0}
    assert (found["version"], found["channels"][2]["labels"].keys()) == (3, {"none", "unlabeled"})


def test_the_same_bytes_at_another_time(everything: Everything, export: Export, tmp_path: Path):
    again = Export(tmp_path, everything.results, export.settings).run()
    assert again.files() == export.files()


def test_an_npz_is_a_plain_zip_of_no_time():
    arrays = {
        "a": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
        "b": np.array(0.25),
        "c": np.zeros((0, 3), np.uint8),
    }
    data = npz(arrays)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert [info.filename for info in file.infolist()] == ["a.npy", "b.npy", "c.npy"]
    with np.load(io.BytesIO(data)) as file:
        for key, array in arrays.items():
            assert (
                file[key].dtype == array.dtype and np.array_equal(file[key], array) and file[key].shape == array.shape
            )


def test_names_of_scenes_tell_the_date_first():
    class Scene:
        time = np.datetime64("2020-10-18T05:10:00", "us")

    def named(scene_id: str) -> str:
        Scene.scene_id = scene_id  # type: ignore[attr-defined]
        return stem(Scene())  # type: ignore[arg-type]

    assert named("S2A_43QEU_20201018_0_L2A") == "S2A_43QEU_20201018_0_L2A"
    assert (
        named("S2A_MSIL2A_20201018T051001_R019_T43QEU_20201019T1")
        == "S2A_MSIL2A_20201018T051001_R019_T43QEU_20201019T1"
    )
    assert named("12345678") == "20201018_12345678" and named("scene") == "20201018_scene"


def test_numbers_of_cells_are_unique_and_grow_to_the_east_and_north():
    """All cells of tiles at the borders of zones, at their exceptions, at the equator, in both hemispheres."""
    names = ["32TQM", "33TTG", "31XDH", "33XVH", "32VKM", "35JQG", "32MPE", "01KAB", "60KYG"]
    # a zone's own rows: 32V reaches over 31V's ground, 33X over 34X's
    seen: dict[int, str] = {}
    for name in names:
        cells = cells_of(tile(name), 1920, 1920)
        found = cell_numbers(np.full(len(cells), cells.tile.epsg), cells.ulx, cells.uly, 1920)
        assert len(set(found.tolist())) == len(cells) > 0
        for number, cell in zip(found.tolist(), cells.cell_id.tolist(), strict=True):
            assert seen.setdefault(number, cell) == cell, f"{cell} and {seen[number]} are both {number}"
        order = np.lexsort([cells.ulx, cells.uly])
        assert (np.diff(found[order]) > 0).all(), f"{name}: numbers do not grow from west to east, then to the north"
        assert found.max() < 10**9


def test_zones_follow_each_other_from_west_to_east():
    ulx, uly = np.array([518_400] * 60), np.array([5_200_320] * 60)
    found = cell_numbers(np.arange(32601, 32661), ulx, uly, 1920)
    assert (np.diff(found) > 0).all() and (np.diff(found) == np.diff(found)[0]).all()
    # a row of the south lies below every row of the north
    south = cell_numbers(np.array([32760]), np.array([600_000 // 1920 * 1920]), np.array([10_000_000 - 1920]), 1920)
    equator = cell_numbers(np.array([32601]), np.array([600_000 // 1920 * 1920]), np.array([1920]), 1920)
    assert south < equator


def test_numbers_lie_near_the_published_ones():
    """82543044 is at 16.8° N, 119316571 at about 55.3° N: a counter of the same kind comes within three per cent."""
    for epsg, north, published in ((32643, 1_858_560, 82_543_044), (32652, 6_128_640, 119_316_571)):
        (found,) = cell_numbers(np.array([epsg]), np.array([499_200]), np.array([north]), 1920)
        assert abs(found / published - 1) < 0.03 and len(str(found)) in (8, 9)


def test_a_cell_outside_its_zone_has_no_number():
    with pytest.raises(ValueError, match="outside its UTM zone"):
        cell_numbers(np.array([32632]), np.array([1920]), np.array([5_200_320]), 1920)


def test_a_cell_of_one_scene_is_in_the_list_alone(
    everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    poor = everything.accepted().index[0]
    whole = CellSource.images
    monkeypatch.setattr(
        CellSource, "images", lambda self, *name: whole(self, *name)[: 1 if self.cell_id == poor else None]
    )
    made = Export(tmp_path, everything.results, everything.settings("opensentinelmap", labels="osm")).run()
    number = numbers(made)[poor]
    assert number in {row["cell_id"] for row in listed(made)}
    assert not [path for path in made.files() if number in path] and len(list(made.root.rglob("*.png"))) == len(everything.accepted()) - 1  # fmt: skip


def refusal(made: Everything, **export: Any) -> str:
    with pytest.raises(TilewrightError) as error:
        LAYOUT.check(read_whole(made.results, made.settings("opensentinelmap", **export)))
    return str(error.value)


def test_what_cannot_be_laid_out_so(everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert (
        refusal(everything)
        == "export.labels: say which label set the layout opensentinelmap takes; there are crops, osm"
    )
    assert "label set crops has crop: name a set made with the ontology opensentinelmap" in refusal(
        everything, labels="crops"
    )

    def fine(rows: Any, about: dict[str, Any]) -> Any:
        about["labels"]["osm"]["resolution_m"] = 2.5
        return rows

    assert refusal(changed(everything, tmp_path / "fine", fine), labels="osm").startswith("labels.osm.resolution_m: ")

    def short(rows: Any, about: dict[str, Any]) -> Any:
        return rows.assign(dates=1)

    assert "needs two scenes of a cell" in refusal(changed(everything, tmp_path / "short", short), labels="osm")

    years = changed(everything, tmp_path / "years", lambda rows, about: rows.assign(split="by_year"))
    assert refusal(years, labels="osm").startswith("split.by: the layout opensentinelmap has one split for each cell")

    def doubled(rows: Any, about: dict[str, Any]) -> Any:
        rows.loc[1, ["ulx", "uly", "epsg"]] = rows.loc[0, ["ulx", "uly", "epsg"]]
        return rows.assign(sample=range(len(rows)))

    assert "2 accepted cells share theirs" in refusal(changed(everything, tmp_path / "doubled", doubled), labels="osm")

    def beyond(rows: Any, about: dict[str, Any]) -> Any:
        # a place without a tile of its own zone, in the next one's
        rows.loc[1, ["epsg", "ulx", "uly"]] = [32645, 847_320, 267_060]
        return rows.assign(sample=range(len(rows)))

    told = refusal(changed(everything, tmp_path / "beyond", beyond), labels="osm")
    assert told.startswith("aoi: ") and f"1 accepted cells (such as {everything.dataset().index['cell_id'].iloc[1]}) lie in a tile of the next zone" in told  # fmt: skip

    bare = changed(everything, tmp_path / "bare", lambda rows, about: rows.assign(series_row=-1, dates=0))
    assert "is of images, and no accepted cell has one" in refusal(bare, labels="osm")
    monkeypatch.setattr(opensentinelmap, "bands_of", lambda dataset: {"s2_l2a": ("B02", "B03")})
    assert refusal(everything, labels="osm").startswith(
        "collections.s2_l2a.bands: the layout opensentinelmap has all 12 bands, and B01, B04, B05,"
    )


def test_deviations_are_of_this_dataset(everything: Everything, tmp_path: Path):
    def of(made: Everything) -> dict[str, Deviation]:
        whole = read_whole(made.results, made.settings("opensentinelmap", labels="osm"))
        return {each.subject: each for each in LAYOUT.deviations(whole)}

    found = of(everything)
    assert found["size"].here == "cells of 480 m" and found["split"].here == "by block"
    assert "squares of 480 m" in found["cell ids"].here

    def published(rows: Any, about: dict[str, Any]) -> Any:
        about["split"]["by"] = "tile"
        return rows.assign(size_m=1920)

    assert {"size", "split"}.isdisjoint(of(changed(everything, tmp_path / "set", published)))
