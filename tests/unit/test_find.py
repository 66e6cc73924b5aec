"""Finding: places at the antimeridian, radar by footprint, local catalogs of several collections, slots."""

import copy
import json
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import stac_geoparquet.arrow
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from tilewright.catalog import find_items, slots
from tilewright.catalog.local import FROZEN_ITEM
from tilewright.catalog.places import lonlat_boxes, may_meet, may_meet_box, tile_outline
from tilewright.catalog.slots import slot
from tilewright.config.provider import Provider
from tilewright.errors import TilewrightError
from tilewright.grid import tile, tiles

Item = dict[str, Any]
YEAR = (date(2021, 1, 1), date(2021, 12, 31))
GRD = "sentinel-1-grd"


def item_of(scene: str, geometry: Any, day: date = date(2021, 7, 1), collection: str = GRD, **properties: Any) -> Item:
    shape = shapely.geometry.shape(geometry) if geometry else None
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": scene, "collection": collection, "links": [],
        "geometry": geometry, "bbox": list(shape.bounds) if shape else None,
        "properties": {"datetime": f"{day}T05:30:00Z", **properties}, "assets": {"vv": {"href": f"{scene}/vv.tiff"}},
    }  # fmt: skip


def box(west: float, south: float, east: float, north: float) -> Item:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def written(items: list[Item], path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_batches(stac_geoparquet.arrow.parse_stac_items_to_arrow(items)), path)
    else:
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


def found(
    path: Path, key: str = "s1_grd", name: str = "32TNT", start: date = YEAR[0], end: date = YEAR[1]
) -> list[Item]:
    radar = {"id": GRD, "assets": {"VV": "vv"}, "radiometry": "amplitude", "mask": "pixels"}
    optical = {"id": "sentinel-2-l2a", "assets": {"SCL": "vv"}, "radiometry": "harmonised"}
    of = Provider.model_validate(
        {
            "kind": "local",
            "path": str(path),
            "licence": "x",
            "attribution": "y",
            "collections": {"s1_grd": radar, "s2_l2a": optical},
        }
    )
    return find_items(of, key, tile(name), start, end)


# -- places -----------------------------------------------------------------------------------------------------------

NAMES = [str(name) for name in tiles().name[::97]] + ["01KAB", "60KXF", "01WCT", "60CWS", "01GBQ", "32TNT"]


@given(st.sampled_from(NAMES), st.floats(0, 1), st.floats(0, 1))
def test_every_point_of_a_tile_is_in_its_outline_and_boxes(name: str, right: float, up: float):
    west, south, east, north = tile(name).bounds
    x, y = west + right * (east - west), south + up * (north - south)
    lon, lat = Transformer.from_crs(tile(name).epsg, 4326, always_xy=True).transform(x, y)
    around = lonlat_boxes(tile(name))
    assert any(w - 1e-6 <= lon <= e + 1e-6 and s - 1e-6 <= lat <= n + 1e-6 for w, s, e, n in around)
    for turn in (-360, 0, 360):
        point = {"bbox": None, "geometry": box(lon + turn, lat, lon + turn + 1e-6, lat + 1e-6)}
        assert may_meet(point, tile_outline(tile(name)))
    assert all(-180 <= w < e <= 180 and -90 < s < n < 90 for w, s, e, n in around)


@pytest.mark.parametrize("name", ["32TNT", "01KAB", "60KXF", "01GBQ"])
def test_a_neighbour_beyond_the_true_outline_does_not_meet(name: str):
    """The box of a tile in degrees holds corners that are not of the tile."""
    west, south, east, north = tile(name).bounds
    to = Transformer.from_crs(tile(name).epsg, 4326, always_xy=True)
    for x, y in ((west - 500, south + 50_000), (east + 500, north - 50_000), (west + 50_000, north + 500)):
        lon, lat = to.transform(x, y)
        assert not may_meet({"geometry": box(lon - 1e-5, lat - 1e-5, lon + 1e-5, lat + 1e-5)}, tile_outline(tile(name)))


CROSSING = {
    "cut as GeoJSON wants it": {"type": "MultiPolygon", "coordinates": [box(179, -17, 180, -16)["coordinates"], box(-180, -17, -179, -16)["coordinates"]]},
    "round the globe": box(-179, -17, 179, -16),
    "beyond 180": box(179, -17, 181, -16),
    "beyond -180 (PlanetaryComputer#465)": box(-181, -17, -179, -16),
}  # fmt: skip


@pytest.mark.parametrize("geometry", CROSSING.values(), ids=CROSSING)
@pytest.mark.parametrize(
    ("name", "meets"), [("01KAB", True), ("60KYG", True), ("32TNT", False), ("30NXF", False), ("59KPU", False)]
)
def test_a_radar_scene_across_the_antimeridian_is_of_the_ground_it_shows(
    geometry: Item, name: str, meets: bool, tmp_path: Path
):
    path = written([item_of("A", geometry)], tmp_path / "items.json")
    assert len(found(path, name=name)) == meets


@pytest.mark.parametrize("bbox", [[-180, -17, 180, -16], [179, -17, -179, -16], [179, -17, 0, -179, -16, 9]])
def test_the_page_check_is_generous_at_the_antimeridian(bbox: list[float]):
    item = {"bbox": bbox, "geometry": CROSSING["round the globe"]}
    for name in ("01KAB", "60KYG"):
        for asked in lonlat_boxes(tile(name)):
            assert may_meet_box(item, asked)
    assert not may_meet_box(item, lonlat_boxes(tile("32TNT"))[0])


# -- radar ------------------------------------------------------------------------------------------------------------


def test_radar_is_found_by_its_footprint_and_not_by_its_box_or_tile(tmp_path: Path):
    outline = tile_outline(tile("32TNT"))
    west, south, east, north = outline.bounds
    items = [
        item_of("whole", box(west - 1, south - 1, east + 1, north + 1), **{"grid:code": "MGRS-33TUN"}),
        item_of("corner", box(west - 1, north - 0.1, west + 0.1, north + 1)),
        item_of("far", box(west + 5, south, east + 5, north)),
        # a swath whose box holds the tile, and which passes by it
        item_of("past", {"type": "Polygon", "coordinates": [[[west - 3, south], [west - 3.5, south], [east - 0.5, north + 2], [east, north + 2], [west - 3, south]]]}),
        item_of("late", box(west, south, east, north), date(2022, 1, 1)),
        item_of("nowhere", None),
    ]  # fmt: skip
    assert may_meet_box(items[3], lonlat_boxes(tile("32TNT"))[0]) is False
    # what says of no place is for the reading of scenes to refuse, by name
    for suffix in ("json", "parquet"):
        given_ = items if suffix == "json" else items[:-1]  # stac-geoparquet needs geometries
        names = [item["id"] for item in found(written(given_, tmp_path / f"items.{suffix}"))]
        assert names == ["corner", "nowhere", "whole"][:: 1 if suffix == "json" else 2]


# -- local catalogs ---------------------------------------------------------------------------------------------------


def optical(scene: str, day: date, **properties: Any) -> Item:
    item = item_of(scene, box(9, 47, 10, 48), day, "sentinel-2-l2a", **{"grid:code": "MGRS-32TNT", **properties})
    item["assets"] = {
        "vv": {"href": f"{scene}/SCL.tif", "raster:bands": [{"nodata": 0, "offset": None}], "title": None}
    }
    return item


def test_a_file_of_several_collections_is_told_apart(tmp_path: Path):
    days = [date(2021, 1, 1) + timedelta(days=10 * number) for number in range(12)]
    items = [optical(f"S2-{number}", day) for number, day in enumerate(days)]
    items += [item_of(f"S1-{number}", box(9, 47, 10, 48), day) for number, day in enumerate(days)]
    path = written(items[::-1], tmp_path / "items.parquet")
    assert [item["id"] for item in found(path)] == [f"S1-{number}" for number in range(12)]
    some = found(path, "s2_l2a", start=days[3], end=days[5])
    assert [item["id"] for item in some] == ["S2-3", "S2-4", "S2-5"]
    assert found(path, "s2_l2a", start=date(2020, 1, 1), end=date(2020, 12, 31)) == [], (
        "there are others of the collection"
    )
    with pytest.raises(TilewrightError, match=r"holds no item of collection sentinel-1-grd \(it has: sentinel-2-l2a\)"):
        found(written(items[:12], tmp_path / "optical.parquet"))


def test_items_that_name_no_tile_are_not_taken_for_none(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    nameless = [optical(f"S2-{day}", date(2021, 7, day), **{"grid:code": None, "my:tile": "32TNT"}) for day in (1, 2)]
    told = (
        r"2 items of sentinel-2-l2a name no tile, such as S2-1: say under the provider's collections.s2_l2a.fields.tile"
    )
    with pytest.raises(TilewrightError, match=told):
        found(written(nameless, tmp_path / "items.json"), "s2_l2a")
    assert found(tmp_path / "items.json", "s2_l2a", end=date(2021, 6, 30)) == [], "other days are no concern"
    named = optical("S2-3", date(2021, 7, 3))
    assert [item["id"] for item in found(written([*nameless, named], tmp_path / "some.json"), "s2_l2a")] == ["S2-3"]
    assert re.search(told, caplog.text)


def test_nulls_say_nothing_however_deep(tmp_path: Path):
    path = written([optical("A", date(2021, 5, 1), **{"eo:cloud_cover": None})], tmp_path / "items.json")
    (item,) = found(path, "s2_l2a")
    assert "eo:cloud_cover" not in item["properties"]
    assert item["assets"]["vv"] == {"href": str(tmp_path / "A" / "SCL.tif"), "raster:bands": [{"nodata": 0}]}


def test_relative_hrefs_are_of_the_catalogs_folder_and_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    item = optical("A", date(2021, 5, 1))
    hrefs = {"a": "x/a.tif", "b": "../b.tif", "c": "https://host/c.tif", "d": "s3://bucket/d.tif", "e": "/abs/e.tif"}
    item["assets"] = {name: {"href": href} for name, href in hrefs.items()}
    (tmp_path / "work").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    written([item], tmp_path / "data" / "items.json")
    (read,) = found(Path("../data/items.json"), "s2_l2a")
    assert {name: asset["href"] for name, asset in read["assets"].items()} == hrefs | {
        "a": "../data/x/a.tif", "b": "../b.tif",
    }  # fmt: skip


def test_a_frozen_item_comes_back_exactly(tmp_path: Path):
    raw = optical("A", date(2021, 5, 1), **{"odd": {"1": [1, 1.0, "x"]}, "whole": 5})
    raw["properties"]["datetime"] = "2021-05-01T05:30:00.000Z"
    frozen = copy.deepcopy(raw)
    frozen["properties"] = {
        "datetime": raw["properties"]["datetime"],
        FROZEN_ITEM: json.dumps(raw),
        "tilewright:chosen": True,
    }
    path = written([frozen, item_of("B", box(9, 47, 10, 48))], tmp_path / "frozen.parquet")
    (read,) = found(path, "s2_l2a")
    plain = written([raw], tmp_path / "plain.json")
    assert [read] == found(plain, "s2_l2a")
    frozen["assets"]["vv"]["href"] = "elsewhere.tif"
    with pytest.raises(
        TilewrightError, match=r"item A: its assets' hrefs are not those .*drop the column tilewright:item"
    ):
        found(written([frozen], tmp_path / "edited.parquet"), "s2_l2a")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("items.json", b"{", "is not a STAC ItemCollection"),
        ("items.json", b'{"features": [{"id": "x"}]}', "is not a STAC ItemCollection"),
        ("items.parquet", b"PAR1", "is not stac-geoparquet"),
        ("nothing.json", None, "no such file"),
    ],
)
def test_a_catalog_that_cannot_be_read_is_told(name: str, content: bytes | None, why: str, tmp_path: Path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TilewrightError, match=why):
        found(tmp_path / name)


def test_a_parquet_that_is_no_catalog_is_told(tmp_path: Path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "items.parquet")
    with pytest.raises(TilewrightError, match="is not stac-geoparquet"):
        found(tmp_path / "items.parquet")


# -- slots ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_than_so_many_hold_a_slot(count: int, tmp_path: Path):
    lock, running, most = threading.Lock(), 0, 0

    def hold(_: int) -> None:
        nonlocal running, most
        with slot("host", count, tmp_path):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.005)
            with lock:
                running -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(hold, range(60)))
    assert most == count


def test_hosts_do_not_wait_for_each_other_and_a_slot_is_freed_by_an_error(tmp_path: Path):
    with slot("a:80", 1, tmp_path), slot("b:80", 1, tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a_80", "b_80"]
    with pytest.raises(RuntimeError), slot("a:80", 1, tmp_path):
        raise RuntimeError
    with slot("a:80", 1, tmp_path):
        pass


def test_nobody_starves(tmp_path: Path):
    """Ten that want the one slot again and again: each gets its turn."""
    over = time.monotonic() + 1.0
    longest = np.zeros(10)

    def again_and_again(number: int) -> None:
        while (asked := time.monotonic()) < over:
            with slot("host", 1, tmp_path):
                longest[number] = max(longest[number], time.monotonic() - asked)
                time.sleep(0.002)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(again_and_again, range(10)))
    assert (longest > 0).all() and longest.max() < 0.9


def test_without_locks_searches_go_on_and_one_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def none(*_: Any) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(slots.fcntl, "flock", none)
    with slot("host", 1, tmp_path), slot("host", 1, tmp_path):
        pass
    (told,) = caplog.records
    assert "cannot be locked" in told.getMessage() and "provider.parallel" in told.getMessage()


def test_errors_inside_a_slot_are_not_taken_for_its_own(tmp_path: Path):
    with pytest.raises(OSError, match="mine"), slot("host", 1, tmp_path):
        raise OSError("mine")
