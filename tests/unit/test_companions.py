"""Several collections on the same cells, through mask, crop and group, pixel by pixel."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely

from sensors import BANDS, CELLS, SIZE_M, Place, Watching, footprint
from tilewright.config.collections import Pair
from tilewright.errors import TilewrightError
from tilewright.imagery import ImageryReader
from tilewright.imagery.quantities import QUANTITY_WORDS
from tilewright.stages.crop import make_crop
from tilewright.store import read_table, table_metadata
from tilewright.store.patches import PreviousPatches
from tilewright.store.zarrzip import StoreReader


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def db(power: np.ndarray) -> np.ndarray:
    return (10 * np.log10(power.astype(np.float64))).astype(np.float32)


def shifted(pixels: np.ndarray, offset: int) -> np.ndarray:
    """Harmonised, one pixel at a time."""
    moved = [0 if value == 0 else max(int(value) + offset, 1) for value in pixels.ravel()]
    return np.array(moved, np.uint16).reshape(pixels.shape)


def rows(chosen: pd.DataFrame, collection: str) -> list[tuple[str, str, str, str, str]]:
    mine = chosen[chosen["collection"] == collection]
    return list(mine[["cell_id", "scene_id", "pair_of", "status", "reason"]].itertuples(index=False, name=None))


L1C, RTC = {"s2_l1c": Pair()}, {"s1_rtc": Pair(nearest_days=3)}


def test_all_collections_on_the_same_cells(place: Place):
    place.add("s2_l2a", "A", 0, "take-1", baseline="05.00")
    place.add("s2_l1c", "A1", 0, "take-1", offset=-1000, baseline="04.00")
    place.add("s2_l1c", "Z1", 0.1, "take-2", offset=-1000, baseline="04.00")
    place.add("s1_rtc", "R", 20)
    settings = place.settings(L1C | RTC)
    chosen = place.crop(settings)
    assert rows(chosen, "s2_l1c") == [(f"c{cell}", "A1", "A", "used", "") for cell in range(CELLS)]
    assert rows(chosen, "s1_rtc") == [(f"c{cell}", "R", "A", "used", "") for cell in range(CELLS)]
    tree = place.group(settings)
    for cell in range(CELLS):
        for collection, name, offset in (("s2_l2a", "A", 0), ("s2_l1c", "A1", -1000)):
            for group, bands in {"r10m": ["B02"], "r20m": ["B11"], "r60m": ["B10"]}.items():
                for at, band in enumerate(bands if band_in(bands, collection) else []):
                    held = tree[f"{collection}/{group}/reflectance"].values[cell, 0, at]
                    assert np.array_equal(held, shifted(place.of(name, band, cell, collection), offset))
        for at, band in enumerate(("VV", "VH")):
            held = tree["s1_rtc/r10m/backscatter"].values[cell, 0, at]
            assert held.dtype == np.float32 and np.array_equal(held, db(place.of("R", band, cell, "s1_rtc")))
        scl = np.bincount(place.of("A", "SCL", cell, "s2_l2a").ravel(), minlength=12)
        assert tree["s2_l1c"]["scl_count"].values[cell, 0].tolist() == scl.tolist()
    assert "scl_count" not in tree["s1_rtc"].coords and "dn_offset" not in tree["s1_rtc"].coords
    assert "scl" not in tree["s2_l1c"]
    for collection, baseline in (("s2_l2a", "05.00"), ("s2_l1c", "04.00"), ("s1_rtc", "")):
        about = tree[collection]
        assert list(about["cell_id"].values) == ["c0", "c1", "c2"]
        assert (about["processing_baseline"].values == baseline).all()
        assert (about["pair_of"].values == ("" if collection == "s2_l2a" else "A")).all()
        assert about.attrs["provider"] == f"{collection} provider"
        assert about.attrs["quantity"] == settings.quantities[collection]
    assert tree["s1_rtc"].attrs["comment"] == QUANTITY_WORDS["gamma0_db"]
    array = tree["s1_rtc/r10m/backscatter"]
    assert (array.attrs["units"], array.attrs["quantity"], array.attrs["resolution_m"]) == ("dB", "gamma0_db", 10)


def band_in(bands: list[str], collection: str) -> bool:
    return all(band in BANDS[collection] for band in bands)


def test_level_1c_has_a_limit_of_cloud_of_its_own(place: Place):
    """Ten per cent of Level-2A's scene may be more of Level-1C's; the catalog may not say."""
    for name, hours, cover in (("A", 0, 10.0), ("B", 50, 20.0), ("C", 100, np.nan)):
        place.add("s2_l2a", name, hours, f"take-{name}", cloud_cover=5.0)
        place.add("s2_l1c", f"{name}1", hours, f"take-{name}", offset=-1000, cloud_cover=cover)
    kept = Pair(max_scene_cloud=0.1)
    chosen = place.crop(place.settings({"s2_l1c": kept}, scenes=3))
    of_one = [row[1:] for row in rows(chosen, "s2_l1c") if row[0] == "c0"]
    none = "no s2_l1c of the datatake that serves"
    assert of_one == [
        ("C1", "C", "refused", "scene cloud unknown"), ("", "C", "missing", none), ("B1", "B", "refused", "scene cloud"),
        ("", "B", "missing", none), ("A1", "A", "used", ""),
    ]  # fmt: skip
    needed = kept.model_copy(update={"required": True})
    chosen = place.crop(place.settings({"s2_l1c": needed}, scenes=3))
    assert [row[1:] for row in rows(chosen, "s2_l2a") if row[0] == "c0"] == [
        ("C", "", "refused", none), ("B", "", "refused", none), ("A", "", "used", "")
    ]  # fmt: skip
    below = needed.model_copy(update={"exclusive": True})
    assert not (place.crop(place.settings({"s2_l1c": below}, scenes=3))["status"] == "used").any()


def test_the_cloudiest_part_is_the_acquisitions(place: Place):
    for name, cover in (("A", 5.0), ("B", 30.0)):
        place.add("s2_l2a", name, {"A": 0, "B": 0.01}[name], "take-1", acquisition="A", cloud_cover=cover)
    settings = place.settings({})
    for most, status in ((0.3, "used"), (0.29, "refused")):
        limits = settings.limits.model_copy(update={"max_scene_cloud": most})
        chosen = place.crop(settings.model_copy(update={"limits": limits}))
        assert set(chosen["status"]) == {status}


def test_clipped_pixels_of_level_1c_are_counted(place: Place):
    place.add("s2_l2a", "A", 0, "take-1")
    place.add("s2_l1c", "A1", 0, "take-1", offset=-1000)
    place.crop(place.settings(L1C))
    with StoreReader(place.at("patches.zarr.zip")) as store:
        for group, band in (("r10m", "B02"), ("r60m", "B10"), ("r20m", "B11")):
            found = store.small(f"s2_l1c/{group}", ["zeros", "clipped"])
            dark = [int((place.of("A1", band, cell, "s2_l1c") <= 1000).sum()) for cell in range(CELLS)]
            assert found["clipped"][:, 0].tolist() == dark and not found["zeros"].any()
        assert store.small("s2_l1c")["dn_offset"].tolist() == [-1000] * CELLS


def test_parts_of_an_acquisition_are_one_image(place: Place):
    """Each half shows two cells; in the middle one, the first comes first."""
    for collection, names, offsets in (
        ("s2_l2a", "AB", (0, -1000)),
        ("s2_l1c", "CD", (-1000, 0)),
        ("s1_rtc", "EF", (0, 0)),
    ):
        for at, (name, empty) in enumerate(zip(names, (slice(2, 3), slice(0, 1)), strict=True)):
            seen = footprint(0, 2) if at == 0 else footprint(1, 3)
            place.add(collection, name, at / 100, "take-1", empty, offsets[at], acquisition=names[0], footprint=seen)
    settings = place.settings(L1C | RTC)
    chosen = place.crop(settings)
    assert [(row[1], row[3]) for row in rows(chosen, "s2_l2a")] == [("A", "used")] * CELLS
    tree = place.group(settings)
    masks = read_table(place.at("masks.parquet")).set_index("cell_id")
    assert set(masks["scene_id"]) == {"A"}
    for cell in range(CELLS):
        part = 1 if cell == 2 else 0
        classes = place.of("AB"[part], "SCL", cell, "s2_l2a")
        assert np.array_equal(tree["s2_l2a/scl/scl"].values[cell, 0], classes)
        counted = masks.loc[f"c{cell}", [f"scl_{value:02}" for value in range(12)]]
        assert counted.tolist() == np.bincount(classes.ravel(), minlength=12).tolist()
        blue = shifted(place.of("AB"[part], "B02", cell, "s2_l2a"), (0, -1000)[part])
        assert np.array_equal(tree["s2_l2a/r10m/reflectance"].values[cell, 0, 0], blue)
        assert masks.loc[f"c{cell}", "brightness"] == np.percentile(blue, 5, method="lower")
        level1 = shifted(place.of("CD"[part], "B10", cell, "s2_l1c"), (-1000, 0)[part])
        assert np.array_equal(tree["s2_l1c/r60m/reflectance"].values[cell, 0, 0], level1)
        assert np.array_equal(
            tree["s1_rtc/r10m/backscatter"].values[cell, 0, 1], db(place.of("EF"[part], "VH", cell, "s1_rtc"))
        )
    with StoreReader(place.at("patches.zarr.zip")) as store:
        assert set(store.small("s1_rtc")["parts"]) == {"E F"} == set(tree["s1_rtc"]["parts"].values.ravel())
        found = store.small("s2_l2a/r10m", ["clipped"])["clipped"][:, 0].tolist()
    assert found == [0, 0, int((place.of("B", "B02", 2, "s2_l2a") <= 1000).sum())]


def test_one_more_collection_reads_nothing_of_the_others_again(place: Place):
    for name, hours in (("A", 0), ("B", 240)):
        place.add("s2_l2a", name, hours)
    place.add("s1_rtc", "R", 1)
    place.add("s1_rtc", "S", 250)
    place.crop(place.settings({}, scenes=2))
    with StoreReader(place.at("patches.zarr.zip")) as store:
        before = store.encoded("s2_l2a/r10m/reflectance", (1, 0, 0, 0))
    watching = Watching()
    place.crop(place.settings(RTC, scenes=2), reader=watching)
    assert {collection for collection, _, _ in watching.asked} == {"s1_rtc"}
    with StoreReader(place.at("patches.zarr.zip")) as store:
        assert before is not None and store.encoded("s2_l2a/r10m/reflectance", (1, 0, 0, 0)) == before
    told = json.loads(place.at("t.json").read_text())
    assert (told["patches"], told["pieces_read"], told["pieces_reused"]) == (12, 12, 18)
    first = place.at("patches.zarr.zip").read_bytes()
    watching = Watching()
    place.crop(place.settings(RTC, scenes=2), reader=watching)
    assert watching.asked == [] and place.at("patches.zarr.zip").read_bytes() == first
    place.at("patches.zarr.zip").unlink()
    place.crop(place.settings(RTC, scenes=2))
    assert place.at("patches.zarr.zip").read_bytes() == first, "reused or read, the bytes are the same"


def test_where_the_nearest_has_no_data_the_next_nearest_serves(place: Place):
    place.add("s2_l2a", "A", 0)
    place.add("s1_rtc", "near", 2, empty=slice(1, 2))
    place.add("s1_rtc", "next", -5, empty=slice(1, 2))
    place.add("s1_rtc", "far", 30)
    settings = place.settings(RTC)
    chosen = place.crop(settings)
    assert rows(chosen, "s1_rtc") == [
        ("c0", "near", "A", "used", ""),
        ("c1", "near", "A", "refused", "nodata"), ("c1", "next", "A", "refused", "nodata"), ("c1", "far", "A", "used", ""),
        ("c2", "near", "A", "used", ""),
    ]  # fmt: skip
    assert chosen.loc[chosen["collection"] == "s1_rtc", "nodata_fraction"].tolist() == [0, 1, 1, 0, 0]
    tree = place.group(settings)
    assert tree["s1_rtc"]["scene_id"].values.tolist() == [["near"], ["far"], ["near"]]
    assert np.array_equal(tree["s1_rtc/r10m/backscatter"].values[1, 0, 0], db(place.of("far", "VV", 1, "s1_rtc")))


def test_what_lacked_data_is_not_read_again_to_find_it_so(place: Place):
    """Nor for that reason believed where another limit or other bands would have it; the bytes are those of a first run."""
    for name, hours in (("A", 0), ("B", 50)):
        place.add("s2_l2a", name, hours)
    place.add("s1_rtc", "near", 2, empty=slice(1, 2))
    place.add("s1_rtc", "next", -5, empty=slice(1, 3))
    place.add("s1_rtc", "far", 30)

    def asked(pair: Pair, bands: list[str]) -> tuple[set[tuple[str, str]], pd.DataFrame, list[bytes]]:
        """What was asked for of radar, the selection, and the bytes."""
        watching = Watching()
        settings = place.settings({"s1_rtc": pair}, 2)
        chosen = place.crop(settings.model_copy(update={"bands": {**settings.bands, "s1_rtc": bands}}), reader=watching)
        of_radar = {each[1:] for each in watching.asked if each[0] == "s1_rtc"}
        return of_radar, chosen, [place.at(name).read_bytes() for name in ("patches.zarr.zip", "selection.parquet")]

    both = ["VV", "VH"]
    everything = {(name, band) for name in ("near", "next", "far") for band in both}
    first, chosen, data = asked(Pair(), both)
    assert first == everything and (chosen["reason"] == "nodata").any()
    again, _, same = asked(Pair(), both)
    assert again == set() and same == data
    fewer, _, of_one = asked(Pair(), ["VV"])
    assert fewer == {("near", "VV"), ("next", "VV")}, "the share without data was of two bands"
    for pair, bands, read, served in (
        (Pair(max_nodata=1.0), ["VV"], {("near", "VV")}, {"near", "far"}),
        (Pair(), ["VV"], {("next", "VV")}, {"near", "far"}),  # near was kept in the run before
    ):
        found, chosen, data = asked(pair, bands)
        used = chosen[(chosen["collection"] == "s1_rtc") & (chosen["status"] == "used")]
        assert (found, set(used["scene_id"])) == (read, served)
        place.at("patches.zarr.zip").unlink()
        assert asked(pair, bands)[2] == data
    assert data == of_one


def test_a_share_without_data_may_be_allowed(place: Place):
    place.add("s2_l2a", "A", 0)
    name = place.add("s1_rtc", "R", 2)
    for band, rows_without in (("VV", 6), ("VH", 8)):
        with rasterio.open(place.at(f"R-{band}.tif"), "r+") as file:
            pixels = file.read(1)
            pixels[:rows_without] = np.nan
            file.write(pixels, 1)
        place.stored[name, band] = pixels
    settings = place.settings({"s1_rtc": Pair(max_nodata=0.25)})
    chosen = place.crop(settings)
    assert [row[3] for row in rows(chosen, "s1_rtc")] == ["used"] * CELLS, "6 of 24 rows lack in every band: a quarter"
    assert chosen["nodata_fraction"].tolist() == [0.0] * CELLS + [0.25] * CELLS
    tree = place.group(settings)
    node = tree["s1_rtc/r10m"].to_dataset()
    for cell in range(CELLS):
        assert node["empty_pixels"].values[cell].tolist() == [6 * 24]
        for at, band in enumerate(("VV", "VH")):
            truth = db(place.of("R", band, cell, "s1_rtc"))
            assert np.array_equal(node["backscatter"].values[cell, 0, at], truth, equal_nan=True)
            known = truth[np.isfinite(truth)].astype(np.float64)
            assert node["band_count"].values[cell, at] == known.size
            assert node["band_sum"].values[cell, at] == pytest.approx(known.sum(), rel=1e-12)
            assert node["band_sum_of_squares"].values[cell, at] == pytest.approx((known**2).sum(), rel=1e-12)
    assert rows(place.crop(place.settings({"s1_rtc": Pair(max_nodata=0.2)})), "s1_rtc")[1] == (
        "c0", "", "A", "missing", "no s1_rtc that serves within 3 days",
    )  # fmt: skip


def test_a_dark_pixel_of_one_band_is_data(place: Place):
    """Level-1C with a single zero serves; without any data in one cell it is missing there: there is no other of its datatake."""
    place.add("s2_l2a", "A", 0, "take-1")
    place.add("s2_l1c", "A1", 0, "take-1", empty=slice(2, 3))
    with rasterio.open(place.at("A1-B02.tif"), "r+") as file:
        pixels = file.read(1)
        pixels[3, 4] = 0
        file.write(pixels, 1)
    chosen = place.crop(place.settings(L1C))
    told = chosen[chosen["collection"] == "s2_l1c"]
    assert list(told["status"]) == ["used", "used", "refused", "missing"]
    assert told["nodata_fraction"].tolist()[:3] == [0, 0, 1]
    with StoreReader(place.at("patches.zarr.zip")) as store:
        assert store.small("s2_l1c/r10m", ["zeros"])["zeros"].tolist() == [[1], [0]]


def test_a_companion_that_must_be_there_refuses_the_scene(place: Place):
    place.add("s2_l2a", "old", 0)
    place.add("s2_l2a", "new", 240)
    place.add("s1_rtc", "of-old", 2)
    place.add("s1_rtc", "of-new", 242, empty=slice(0, 1))
    must = place.settings({"s1_rtc": Pair(required=True)})
    chosen = place.crop(must)
    no = "no s1_rtc that serves within 3 days"
    assert rows(chosen, "s2_l2a") == [
        ("c0", "new", "", "refused", no), ("c0", "old", "", "used", ""),
        ("c1", "new", "", "used", ""), ("c1", "old", "", "unneeded", ""),
        ("c2", "new", "", "used", ""), ("c2", "old", "", "unneeded", ""),
    ]  # fmt: skip
    assert rows(chosen, "s1_rtc") == [
        ("c0", "of-new", "new", "refused", "nodata"), ("c0", "of-old", "old", "used", ""),
        ("c1", "of-new", "new", "used", ""), ("c2", "of-new", "new", "used", ""),
    ]  # fmt: skip
    chosen = place.crop(place.settings(RTC))
    assert rows(chosen, "s2_l2a")[0] == ("c0", "new", "", "used", "")
    assert rows(chosen, "s1_rtc")[:2] == [
        ("c0", "of-new", "new", "refused", "nodata"), ("c0", "", "new", "missing", no),
    ]  # fmt: skip


def test_cells_without_companion_have_no_dates(place: Place):
    place.add("s2_l2a", "A", 0, "take-1")
    place.add("s1_rtc", "R", 1, empty=slice(1, 3))
    settings = place.settings(L1C | RTC)
    chosen = place.crop(settings)
    no_radar = [(f"c{cell}", "", "A", "missing", "no s1_rtc that serves within 3 days") for cell in (1, 2)]
    assert [row for row in rows(chosen, "s1_rtc") if row[3] == "missing"] == no_radar
    no_level1 = [(f"c{cell}", "", "A", "missing", "no s2_l1c of the datatake") for cell in range(CELLS)]
    assert rows(chosen, "s2_l1c") == no_level1
    tree = place.group(settings)
    assert tree["s1_rtc"]["dates"].values.tolist() == [1, 0, 0]
    assert np.isnat(tree["s1_rtc"]["time"].values[:, 0]).tolist() == [False, True, True]
    radar = tree["s1_rtc/r10m/backscatter"].values
    assert np.isnan(radar[1:]).all() and not np.isnan(radar[0]).any()
    assert tree["s1_rtc/r10m"]["band_count"].values.tolist() == [[576, 576], [0, 0], [0, 0]]
    assert tree["s2_l1c"]["dates"].values.tolist() == [0, 0, 0]
    assert tree["s2_l1c"]["time"].shape == (CELLS, 0)
    assert tree["s2_l1c/r60m/reflectance"].shape == (CELLS, 0, 1, 4, 4)
    with StoreReader(place.at("series.zarr.zip")) as store:
        assert store.encoded("s1_rtc/r10m/backscatter", (2, 0, 0, 0, 0)) is not None
        assert store.encoded("s2_l1c/r60m/reflectance", (0, 0, 0, 0, 0)) is None


def test_a_companion_of_two_scenes_stands_twice_and_counts_once(place: Place):
    place.add("s2_l2a", "A", 0)
    place.add("s2_l2a", "B", 48)
    place.add("s1_rtc", "R", 24)
    settings = place.settings(RTC, scenes=2)
    chosen = place.crop(settings)
    assert rows(chosen, "s1_rtc")[:2] == [("c0", "R", "B", "used", ""), ("c0", "R", "A", "used", "")]
    tree = place.group(settings)
    assert sorted(tree["s1_rtc"]["pair_of"].values[0]) == ["A", "B"]
    assert tree["s1_rtc"]["dates"].values.tolist() == [2, 2, 2]
    held = tree["s1_rtc/r10m/backscatter"].values[0]
    assert np.array_equal(held[0], held[1])
    assert tree["s1_rtc/r10m"]["band_count"].values[0].tolist() == [24 * 24, 24 * 24]


def test_a_broken_companion_gives_way(place: Place):
    place.add("s2_l2a", "A", 0)
    place.add("s1_rtc", "gone", 1)
    place.add("s1_rtc", "here", 2)
    place.at("gone-VH.tif").unlink()
    chosen = place.crop(place.settings(RTC))
    assert [row[1] for row in rows(chosen, "s1_rtc") if row[3] == "used"] == ["here"] * CELLS
    refused = [row for row in rows(chosen, "s1_rtc") if row[3] == "refused"]
    assert len(refused) == CELLS and all(row[4].startswith("broken: VH ") for row in refused)


def test_a_broken_part_breaks_its_acquisition(place: Place):
    place.add("s2_l2a", "A", 0, "take-1", slice(2, 3))
    place.add("s2_l2a", "B", 0.1, "take-1", slice(0, 2), acquisition="A")
    place.add("s2_l2a", "old", -240)
    place.at("B-B11.tif").unlink()
    chosen = place.crop(place.settings({}))
    told = rows(chosen, "s2_l2a")
    assert [row[1] for row in told if row[3] == "used"] == ["old"] * CELLS
    assert all("B11" in row[4] and "part B" in row[4] for row in told if row[1] == "A")


def test_companions_that_are_all_broken_are_no_missing_companions(place: Place):
    place.add("s2_l2a", "A", 0)
    for at in range(2):
        place.add("s1_rtc", f"R{at}", at)
        place.at(f"R{at}-VV.tif").unlink()
    with pytest.raises(TilewrightError, match=r"tile 32TPT, period p: no scene of s1_rtc serves and 2 of 2 are broken"):
        place.crop(place.settings(RTC))


def test_what_search_refused_is_told_and_not_read(place: Place):
    place.add("s2_l2a", "A", 0)
    place.add("s2_l2a", "Aold", 0, refused="superseded by A")
    place.add("s1_rtc", "R", 1)
    place.add("s1_rtc", "Rold", 1, refused="superseded by R")
    place.add("s1_rtc", "up", 0.5, orbit_state="ascending")
    place.add("s1_rtc", "one", 0.6, bands=["VV"])
    for path in place.folder.glob("*old-*.tif"):
        path.unlink()
    chosen = place.crop(place.settings({"s1_rtc": Pair(orbit="descending")}))
    assert ("c0", "Aold", "", "refused", "superseded by A") in rows(chosen, "s2_l2a")
    assert rows(chosen, "s1_rtc")[:3] == [
        ("c0", "up", "A", "refused", "orbit"), ("c0", "one", "A", "refused", "VH is not listed by the item"),
        ("c0", "R", "A", "used", ""),
    ]  # fmt: skip


def test_far_footprints_are_never_tried(place: Place):
    place.add("s2_l2a", "A", 0)
    place.add("s1_rtc", "far", 1, footprint=shapely.affinity.translate(shapely.from_wkt(footprint()), 1).wkt)
    watching = Watching()
    chosen = place.crop(place.settings(RTC), reader=watching)
    assert {(row[1], row[3]) for row in rows(chosen, "s1_rtc")} == {("", "missing")}
    assert "s1_rtc" not in {collection for collection, _, _ in watching.asked}


def test_a_level_1c_band_that_no_scene_lists_is_a_mistake(place: Place):
    place.add("s2_l2a", "A", 0, "take-1")
    place.add("s2_l1c", "A1", 0, "take-1", bands=["B02", "B11"])
    with pytest.raises(TilewrightError, match="none of 1 scenes lists a usable asset for B10"):
        place.crop(place.settings(L1C))


def test_without_cells_or_scenes_everything_is_typed(place: Place):
    settings = place.settings(L1C | RTC)
    for cells in (0, CELLS):
        chosen = place.crop(settings, cells)
        assert len(chosen) == 0 and chosen["rank"].dtype == np.int32
        tree = place.group(settings)
        assert tree["s1_rtc/r10m/backscatter"].dtype == np.float32
        assert {tree[key].sizes["cell"] for key in settings.bands} == {0}
    place.add("s2_l2a", "A", 0)
    place.crop(settings, 0)
    assert place.group(settings)["s2_l1c"].sizes["cell"] == 0


def test_another_quantity_is_read_anew_and_never_mixed(place: Place):
    place.add("s2_l2a", "A", 0)
    place.add("s1_rtc", "R", 1)
    settings = place.settings(RTC)
    place.crop(settings)
    with pytest.raises(TilewrightError, match=r"patches.zarr.zip: s1_rtc holds gamma0_db and not dn"):
        place.group(settings, s1_rtc="dn")
    with StoreReader(place.at("patches.zarr.zip")) as store:
        about = store.small("").attrs
        kept_as = {key: str(store.small(key)["digest"][1]) for key in settings.bands}
    assert about["quantities"] == {"s2_l2a": "dn", "s1_rtc": "gamma0_db"}
    for quantity, kept in (("gamma0_db", True), ("dn", False)):
        told = {"s2_l2a": "dn", "s1_rtc": quantity}
        previous = PreviousPatches(place.at("patches.zarr.zip"), about["made_by"], SIZE_M, told, about["bands"])
        assert (previous.get("s1_rtc", "c1", kept_as["s1_rtc"], "VV") is not None) == kept
        assert previous.get("s2_l2a", "c1", kept_as["s2_l2a"], "B02") is not None


def test_companions_must_be_given_where_they_are_asked_for(place: Place):
    place.add("s2_l2a", "A", 0)
    place.crop(place.settings({}))
    inputs = place.at("cells.parquet"), place.at("scenes.parquet"), None, place.at("masks.parquet")
    outputs = place.at("patches.zarr.zip"), place.at("selection.parquet"), place.at("t.json")
    with pytest.raises(TilewrightError, match="the scenes of s1_rtc are not given: use --companions"):
        make_crop(*inputs, place.settings(RTC), *outputs)


def test_the_same_bytes_for_any_number_of_threads(place: Place):
    place.add("s2_l2a", "A", 0, "take-1")
    place.add("s2_l1c", "A1", 0, "take-1", slice(0, 1))
    for at in range(3):
        place.add("s1_rtc", f"R{at}", at, empty=slice(at, at + 1))
    settings = place.settings({"s2_l1c": Pair(max_nodata=1.0)} | RTC)
    found = set()
    for threads in (1, 4):
        place.at("patches.zarr.zip").unlink(missing_ok=True)
        place.crop(settings, reader=ImageryReader(threads))
        place.group(settings, threads)
        found.add(
            tuple(place.at(name).read_bytes() for name in ("patches.zarr.zip", "series.zarr.zip", "selection.parquet"))
        )
    assert len(found) == 1
    assert table_metadata(place.at("selection.parquet"))["rule"]["companions"]["s1_rtc"]["nearest_days"] == 3
