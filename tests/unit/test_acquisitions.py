"""Acquisitions: parts of one pass are one image, of several processings the newest serves, whatever order items come in."""

import dataclasses
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.catalog import Acquisition, Scene, acquisitions, grouped, read_scene
from tilewright.config.provider import Access, ProviderCollection

START = datetime(2022, 7, 1, 10, 0, 0)
COLLECTION = ProviderCollection.model_validate(
    {"id": "x", "radiometry": "harmonised", "assets": {"B02": "blue", "B03": "green", "SCL": "scl"}}
)
RADAR = ProviderCollection.model_validate(
    {"id": "x", "radiometry": "amplitude", "mask": "pixels", "assets": {"VV": "vv"}, "calibration": {"VV": "cal"}}
)


def box(west: float, east: float, south: float = 46.0, north: float = 47.0) -> str:
    return shapely.box(west, south, east, north).wkt


def scene(name: str, footprint: str = box(9, 10), **changes: Any) -> Scene:
    """A scene of S2 as search finds it; `changes` to its columns."""
    assets = {"B02": {"href": f"{name}/B02.tif", "epsg": 32632, "transform": [10, 0, 0, 0, -10, 0], "shape": [9, 9]}}
    made = Scene(
        collection="s2_l2a", scene_id=name, datetime=START, platform="sentinel-2a", relative_orbit=65, orbit_state="descending",
        processing_baseline="04.00", datatake="GS2A_20220701T100000_036000", generated="2022-07-01T15:00:00+00:00", acquisition=name,
        cloud_cover=10.0, dn_offset=0, radiometry="flag", refused="", footprint=footprint, assets=json.dumps(assets),
        digest=f"d{name}", item="{}",
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def told(scenes: list[Scene]) -> dict[str, tuple[str, str]]:
    return {one.scene_id: (one.acquisition, one.refused) for one in scenes}


def test_a_scene_alone_is_an_acquisition_of_its_own():
    alone = scene("a")
    assert grouped([alone]) == [alone]
    (made,) = acquisitions(grouped([alone]))
    assert (made.scene_id, made.digest, made.footprint.bounds, made.parts) == ("a", "da", (9, 46, 10, 47), (alone,))


def test_halves_of_a_datatake_are_one_image():
    west = scene("S2A_32TNT_20220701_0_L2A", box(9, 9.5))
    east = scene(
        "S2A_32TNT_20220701_1_L2A", box(9.49, 10), datetime=START + timedelta(seconds=14), processing_baseline="04.01"
    )
    found = grouped([east, west])
    assert told(found) == {west.scene_id: (west.scene_id, ""), east.scene_id: (west.scene_id, "")}
    (made,) = acquisitions(found)
    assert [part.scene_id for part in made.parts] == [west.scene_id, east.scene_id]
    assert made.footprint.bounds == (9, 46, 10, 47)
    assert made.processing_baseline == "04.00+04.01" and made.radiometry == "flag" and made.datetime == START
    assert [asset.href for asset in made.assets("B02")] == [f"{west.scene_id}/B02.tif", f"{east.scene_id}/B02.tif"]
    assert made.assets("B03") == ()


def test_the_digest_of_an_acquisition_is_that_of_all_its_parts():
    west, east = scene("w", box(9, 9.5)), scene("x", box(9.5, 10))
    (both,) = acquisitions(grouped([west, east]))
    (changed,) = acquisitions(grouped([west, dataclasses.replace(east, digest="other")]))
    assert len({west.digest, east.digest, both.digest, changed.digest}) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"processing_baseline": "04.00"}, {"processing_baseline": "05.00", "generated": "2020-01-01T00:00:00+00:00"}),
        ({"processing_baseline": "02.14", "generated": "2030-01-01T00:00:00+00:00"}, {"processing_baseline": "05.11"}),
        ({"generated": "2022-07-01T15:00:00+00:00"}, {"generated": "2022-07-02T15:00:00+00:00"}),
        ({}, {}),  # nothing but the id tells them apart: sequence 1 came after 0
    ],
)
def test_of_two_processings_the_newest_serves(old: dict[str, Any], new: dict[str, Any]):
    first, second = scene("S2A_0_L2A", **old), scene("S2A_1_L2A", box(9.01, 10), **new)
    for items in ([first, second], [second, first]):
        found = grouped(items)
        assert told(found) == {"S2A_1_L2A": ("S2A_1_L2A", ""), "S2A_0_L2A": ("S2A_1_L2A", "superseded by S2A_1_L2A")}
        assert [one.scene_id for one in acquisitions(found)] == ["S2A_1_L2A"]


def test_each_half_may_have_been_processed_twice():
    halves = {
        f"{side}{number}": scene(f"{side}{number}", outline, processing_baseline=f"05.0{number}")
        for side, outline in (("w", box(9, 9.5)), ("x", box(9.49, 10)))
        for number in (0, 1)
    }
    found = told(grouped(list(halves.values())))
    assert found == {
        "w0": ("w1", "superseded by w1"), "w1": ("w1", ""), "x0": ("w1", "superseded by x1"), "x1": ("w1", "")
    }  # fmt: skip


def test_a_whole_product_supersedes_both_older_halves_and_not_the_other_way_round():
    west, east = scene("w", box(9, 9.5)), scene("x", box(9.5, 10))
    whole = scene("whole", box(9, 10), processing_baseline="05.00")
    assert [one.scene_id for one in grouped([west, east, whole]) if not one.refused] == ["whole"]
    old = dataclasses.replace(whole, processing_baseline="03.00")
    found = grouped([west, east, old])
    assert [one.scene_id for one in found if not one.refused] == ["w", "x"]
    assert told(found)["whole"] == ("w", "superseded by x"), "the newest that shows half of its ground"


def test_a_small_newer_product_does_not_put_a_large_older_one_out_of_use():
    large, small = scene("large", box(9, 10)), scene("small", box(9.94, 10.04), processing_baseline="05.00")
    found = grouped([large, small])
    assert {one.refused for one in found} == {""} and len(acquisitions(found)[0].parts) == 2
    # the other way round little of the older one is to be had
    old = dataclasses.replace(small, processing_baseline="03.00")
    assert told(grouped([large, old]))["small"][1] == "superseded by large"


def test_products_of_which_there_are_only_parts_are_never_dropped():
    same = [scene("a"), scene("b"), scene("c", processing_baseline="05.00")]
    found = grouped(same, "all")
    assert told(found) == dict.fromkeys("abc", ("a", ""))


def test_other_datatakes_stay_apart():
    first = scene("a", datatake="GS2A_20220701T100000_036000")
    second = scene("b", datatake="GS2B_20220701T100000_036000")
    assert len(acquisitions(grouped([first, second]))) == 2


def test_a_product_that_cannot_serve_supersedes_nothing():
    old, new = scene("old"), scene("new", processing_baseline="05.00", refused="offset unresolved: …", acquisition="")
    assert told(grouped([old, new])) == {"old": ("old", ""), "new": ("", "offset unresolved: …")}


def test_without_footprints_products_of_a_datatake_are_taken_to_show_the_same():
    old, new = scene("old", ""), scene("new", "", processing_baseline="05.00")
    found = grouped([old, new])
    assert told(found)["old"][1] == "superseded by new"
    assert acquisitions(found)[0].footprint.is_empty


def slice_item(start: datetime, made: str, sum_: str, south: float) -> dict[str, Any]:
    """A Sentinel-1 item of 25 s of a pass, 1.5° of latitude."""
    end = start + timedelta(seconds=25)
    return {
        "id": f"S1A_IW_GRDH_1SDV_{start:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}_044000_054321_{sum_}",
        "geometry": shapely.geometry.mapping(shapely.box(9, south, 12, south + 1.5)), "bbox": [9, south, 12, south + 1.5],
        "properties": {
            "datetime": f"{start.isoformat()}Z", "platform": "SENTINEL-1A", "sat:orbit_state": "Ascending",
            "sat:relative_orbit": 15, "s1:processing_datetime": made, "s1:datatake_id": str(0x54321), "sar:instrument_mode": "IW",
        },
        "assets": {"vv": {"href": "a/iw-vv.tiff"}, "cal": {"href": "a/calibration.xml"}},
    }  # fmt: skip


def test_slices_of_a_radar_datatake_are_parts_and_of_a_slice_the_newest_processing_serves():
    later = START + timedelta(seconds=25)
    items = [
        slice_item(START, "2022-07-01T15:00:00Z", "AAAA", 45.0),
        slice_item(later, "2022-07-01T15:00:00Z", "BBBB", 46.45),
        slice_item(later, "2022-07-03T15:00:00Z", "0000", 46.45),
    ]
    scenes = [read_scene("s1_grd", item, RADAR, Access(), local=True) for item in items]
    assert {one.refused for one in scenes} == {""}
    assert {(one.datatake, one.platform, one.orbit_state) for one in scenes} == {
        ("S1A_054321", "sentinel-1a", "ascending")
    }
    found = grouped(scenes)
    (made,) = acquisitions(found)
    assert [part.scene_id[-4:] for part in made.parts] == ["AAAA", "0000"]
    assert made.footprint.bounds == (9, 45, 12, 46.45 + 1.5)
    assert told(found)[items[1]["id"]][1] == f"superseded by {items[2]['id']}"
    assert {asset.epsg for asset in made.assets("VV")} == {None}


@pytest.mark.parametrize(
    ("key", "change", "why"),
    [
        ("s1_grd", {"sar:instrument_mode": "EW"}, "mode EW has other pixels than IW's of 10 m"),
        ("s1_rtc", {"sar:instrument_mode": "SM"}, "mode SM has other pixels"),
    ],
)
def test_radar_of_another_mode_is_refused(key: str, change: dict[str, Any], why: str):
    item = slice_item(START, "2022-07-01T15:00:00Z", "AAAA", 45.0)
    item["properties"] |= change
    assert read_scene(key, item, RADAR, Access(), local=True).refused.startswith(why)


def test_radar_without_a_footprint_is_refused():
    item = slice_item(START, "2022-07-01T15:00:00Z", "AAAA", 45.0)
    item["geometry"] = item["bbox"] = None
    assert read_scene("s1_grd", item, RADAR, Access(), local=True).refused == "item has no footprint that can be read"


@st.composite
def products(draw: st.DrawFn) -> list[Scene]:
    """Products of a few datatakes: any footprints, baselines and times, some of them refused."""
    made = []
    for number in range(draw(st.integers(1, 7))):
        west = draw(st.integers(0, 8)) / 10
        made.append(
            scene(
                f"p{number}", box(9 + west, 9 + west + draw(st.sampled_from([0.3, 0.5, 1.0]))),
                datatake=draw(st.sampled_from(["GS2A_x", "GS2B_x"])), processing_baseline=draw(st.sampled_from(["04.00", "05.11"])),
                datetime=START + timedelta(seconds=draw(st.integers(0, 2))), generated=draw(st.sampled_from(["2022", "2023"])),
                refused=draw(st.sampled_from(["", "", "", "offset unresolved: …"])),
            )
        )  # fmt: skip
    return made


@given(products(), st.randoms(use_true_random=False), st.sampled_from(["newest", "all"]))
@settings(deadline=None)
def test_the_order_of_items_does_not_matter(scenes: list[Scene], random: Any, duplicates: Any):
    shuffled = random.sample(scenes, len(scenes))
    found = grouped(shuffled, duplicates)
    assert found == grouped(scenes, duplicates)
    assert found == sorted(found, key=lambda one: (one.datetime, one.scene_id))
    assert acquisitions(random.sample(found, len(found))) == acquisitions(found)


def shared(one: Scene, others: list[Scene]) -> float:
    """How much of a scene's ground others show."""
    outline = shapely.from_wkt(one.footprint)
    shown = shapely.union_all([shapely.from_wkt(other.footprint) for other in others])
    return float(outline.intersection(shown).area / outline.area)


@given(products())
@settings(deadline=None)
def test_what_serves_covers_what_there_is_and_nothing_twice(scenes: list[Scene]):
    found = grouped(scenes)
    usable = {one.scene_id for one in scenes if not one.refused}
    made: list[Acquisition] = acquisitions(found)
    assert {one.datatake for one in made} == {one.datatake for one in scenes if not one.refused}
    parts = [part for one in made for part in one.parts]
    assert len({part.scene_id for part in parts}) == len(parts) and {part.scene_id for part in parts} <= usable
    for one in made:
        assert [part.acquisition for part in one.parts] == [one.scene_id] * len(one.parts)
        newest = sorted(one.parts, key=lambda part: (part.processing_baseline, part.generated, part.scene_id))
        for at, part in enumerate(newest):
            assert shared(part, newest[at + 1 :]) < 0.5
    for one in found:
        if one.refused.startswith("superseded by "):
            better = next(each for each in parts if each.scene_id == one.refused.removeprefix("superseded by "))
            assert better.datatake == one.datatake and one.acquisition == better.acquisition
            assert shared(one, [part for part in parts if part.acquisition == one.acquisition]) >= 0.5
            key = (better.processing_baseline, better.generated, better.scene_id)
            assert key > (one.processing_baseline, one.generated, one.scene_id)
    assert grouped(found) == found, "grouping what is grouped changes nothing"
