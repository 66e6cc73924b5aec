"""Cells around places: where they lie, who owns them, what a user's file may say and what it may not."""

import datetime
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cells_lattice import PLACES, zone_at

from tilewright.config.area import Aoi
from tilewright.config.cell_settings import CellsSettings, samples_digest
from tilewright.config.cells import Reference
from tilewright.draw import draw, lots
from tilewright.errors import TilewrightError
from tilewright.grid import placed, tile, tiles
from tilewright.grid.sample_files import load_samples
from tilewright.grid.samples import cells_around
from tilewright.locations.file import write_locations
from tilewright.rules import DatasetConfig
from tilewright.stages.cells import make_cells
from tilewright.store import read_table, table_metadata

SIZES = [240, 1280, 1920, 2640, 9000]


def one_place(lon: float, lat: float, size: int) -> tuple[str, int, int, int, str]:
    at = placed(np.array([lon]), np.array([lat]), size)
    return str(at.tile[0]), int(at.epsg[0]), int(at.ulx[0]), int(at.uly[0]), str(at.reason[0])


def far(epsg: int, lon: float, lat: float, ulx: int, uly: int, size: int) -> tuple[float, float]:
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    return ulx + size / 2 - x, uly - size / 2 - y


places = st.one_of(
    st.tuples(st.floats(-180, 180), st.floats(-80, 84)),
    st.sampled_from(PLACES).flatmap(
        lambda each: st.tuples(st.floats(each[0] - 0.2, each[0] + 0.2), st.floats(each[1] - 0.1, each[1] + 0.1))
    ).filter(lambda at: abs(at[0]) <= 180),
)  # fmt: skip


@given(places, st.sampled_from(SIZES))
@settings(max_examples=300, deadline=None)
def test_a_cell_is_the_nearest_on_the_60_m_grid_in_the_tile_that_the_rule_says(
    at: tuple[float, float], size: int
) -> None:
    lon, lat = at
    name, epsg, ulx, uly, reason = one_place(lon, lat, size)
    if reason:
        assert (name, epsg) == ("", 0)
        return
    owner = tile(name)
    equator = 10_000_000 if epsg > 32700 else 0
    assert owner.epsg == epsg and ulx % 60 == 0 and (uly - size - equator) % 60 == 0
    east, north = far(epsg, lon, lat, ulx, uly, size)
    assert max(abs(east), abs(north)) <= 30.001
    # by brute force: the tiles of that zone that contain it, in the order of the rule
    table = tiles()
    same = np.flatnonzero((table.epsg == epsg) & (abs(table.ulx - ulx) < 220_000) & (abs(table.uly - uly) < 220_000))
    box = shapely.box(ulx, uly - size, ulx + size, uly)
    holders = [each for each in (table[int(row)] for row in same) if shapely.box(*each.bounds).covers(box)]
    x, y = ulx + size / 2, uly - size / 2

    def order(each: Any) -> tuple[bool, float, str]:
        left, bottom, right, top = each.square
        west, south, east, north = each.bounds
        return (
            not (left <= x < right and bottom <= y < top),
            (x - (west + east) / 2) ** 2 + (y - (south + north) / 2) ** 2,
            each.name,
        )

    assert name == min(holders, key=order).name
    if epsg % 100 != zone_at(lon, lat):
        # only where no tile of the point's own zone contains its cell
        own = 32600 + zone_at(lon, lat)
        for code, base in ((own, 0), (own + 100, 10_000_000)):
            px, py = pyproj.Transformer.from_crs(4326, code, always_xy=True).transform(lon, lat)
            left = np.floor((px - size / 2) / 60 + 0.5) * 60
            top = base + np.floor((py - base - size / 2) / 60 + 0.5) * 60 + size
            of = table.epsg == code
            contains = (
                (table.ulx <= left)
                & (left + size <= table.ulx + 109_800)
                & (top <= table.uly)
                & (top - size >= table.uly - 109_800)
            )
            assert not (of & contains).any()


def test_a_points_cell_depends_on_that_point_alone() -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 180, 3000), rng.uniform(-60, 75, 3000)
    whole = placed(lon, lat, 2640)
    order = rng.permutation(3000)
    again = placed(lon[order], lat[order], 2640)
    for name in ("tile", "epsg", "ulx", "uly", "reason"):
        assert (getattr(again, name) == getattr(whole, name)[order]).all()
    assert [one_place(*at, 2640) for at in zip(lon[:20], lat[:20], strict=True)] == [
        (str(whole.tile[i]), int(whole.epsg[i]), int(whole.ulx[i]), int(whole.uly[i]), str(whole.reason[i])) for i in range(20)
    ]  # fmt: skip


def test_why_there_is_no_cell_and_how_rare_that_is() -> None:
    assert one_place(0, 90, 2640)[4] == one_place(0, -90, 2640)[4] == "no_tile"
    assert one_place(180, 66.5, 2640)[4] == one_place(-179.999, -17, 2640)[4] == "antimeridian"
    # Fiji: beyond ±180° from the middle of the only zone that has a tile there
    name, _, ulx, uly, _ = one_place(179.9, -17, 2640)
    fiji = cells_around(tile(name), 2640, np.array([0]), np.array([ulx]), np.array([uly]))
    assert name == "01KAB" and abs(fiji.centre[0][0] - 179.9) < 5e-4
    assert 179.88 < shapely.bounds(fiji.polygons())[0, 0] < shapely.bounds(fiji.polygons())[0, 2] < 179.92
    rng = np.random.default_rng(2)
    lon, lat = (
        rng.uniform(-180, 180, 50_000),
        np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(-60)), np.sin(np.radians(83)), 50_000))),
    )
    at = placed(lon, lat, 2640)
    assert (at.reason != "").mean() < 0.001
    # and all that there are lie within ±180°
    owner = np.searchsorted(tiles().name, at.tile[at.reason == ""])
    assert (tiles().epsg[owner] == at.epsg[at.reason == ""]).all()


def test_at_the_equator_the_northern_tile_takes_what_crosses_it() -> None:
    north, south = one_place(24.5, 0.001, 2640), one_place(24.5, -0.001, 2640)
    assert north[0] == south[0] == "35NKA" and north[3] - south[3] == 240
    assert one_place(24.5, -0.1, 2640)[1] == 32735


def test_400_000_places_take_seconds() -> None:
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(-180, 180, 400_000), rng.uniform(-60, 75, 400_000)
    from time import process_time

    started = process_time()
    at = placed(lon, lat, 2640)
    assert process_time() - started < 20 and len(at) == 400_000


def csv(folder: Path, text: str, **columns: str) -> Aoi:
    (folder / "places.csv").write_text(text)
    return Aoi.model_validate({"points": {"path": str(folder / "places.csv"), **columns}})


def vector(folder: Path, shapes: list[Any], crs: Any = 4326, key: str = "points", name: str = "places.gpkg", more: dict[str, Any] | None = None, **columns: str) -> Aoi:  # fmt: skip
    frame = gpd.GeoDataFrame(more or {}, geometry=shapes, crs=crs)
    frame.to_parquet(folder / name) if name.endswith("parquet") else frame.to_file(folder / name)
    return Aoi.model_validate({key: {"path": str(folder / name), **columns}})


SAID = {"id": "id", "date": "day", "label": "crop"}
TABLE = """lon,lat,id,day,crop
9.5,47.1,a,2019-07-01,wheat
12.3,42.05,b,,
9.52,47.12,c,2020-02-29T23:30:00-02:00,rye
"""


def test_a_csv(tmp_path: Path) -> None:
    table = load_samples(csv(tmp_path, TABLE, **SAID), 1280)
    assert table.tiles() == ["32TNT", "33TTG"]
    first, third = table.of("32TNT")
    assert (first.sample, first.id, first.label, first.date) == (0, "a", "wheat", datetime.date(2019, 7, 1))
    assert (third.sample, third.date) == (2, datetime.date(2020, 3, 1))  # of Greenwich
    assert table.of("33TTG")[0].model_dump(include={"sample", "id", "label", "date"}) == {
        "sample": 1,
        "id": "b",
        "label": None,
        "date": None,
    }
    assert table.dates("32TNT") == [datetime.date(2019, 7, 1), datetime.date(2020, 3, 1)] and table.dates("33TTG") == []
    plain = load_samples(csv(tmp_path, "x,y\n9.5,47.1\n", lon="x", lat="y"), 1280).of("32TNT")[0]
    assert (plain.id, plain.label, plain.date, plain.ulx, plain.uly) == ("0", None, None, first.ulx, first.uly)
    with pytest.raises(TilewrightError, match=r"tile 32TPT has no cell of aoi.points: .*places.csv"):
        table.of("32TPT")


@pytest.mark.parametrize("crs", [4326, 32632, 32633, 3035, 3857])
@pytest.mark.parametrize("name", ["p.gpkg", "p.geojson", "p.shp", "p.parquet"])
def test_vector_files_in_any_crs_say_the_same(tmp_path: Path, crs: int, name: str) -> None:
    if name == "p.geojson":
        crs = 4326
    lons, lats = [9.5, 12.3, 9.52], [47.1, 42.05, 47.12]
    points = gpd.GeoSeries(gpd.points_from_xy(lons, lats), crs=4326).to_crs(crs)
    points = gpd.GeoSeries([shapely.MultiPoint([points[0]]), *points[1:]], crs=crs) if name != "p.shp" else points
    days = pd.to_datetime(["2019-07-01", None, "2020-03-01"])
    more = {
        "id": [7, 8, 9],
        "day": days if name != "p.shp" else ["2019-07-01", None, "2020-03-01"],
        "crop": ["wheat", None, "rye"],
    }
    mine = load_samples(vector(tmp_path, list(points), crs, name=name, more=more, **SAID), 1280)
    theirs = load_samples(csv(tmp_path, TABLE, **SAID), 1280)
    for each in ("tile", "ulx", "uly"):
        assert (getattr(mine.placed, each) == getattr(theirs.placed, each)).all()
    assert mine.id.tolist() == ["7", "8", "9"] and mine.label.tolist() == theirs.label.tolist()
    assert np.array_equal(mine.date, theirs.date, equal_nan=True)


def square(x: float, y: float, half: float) -> shapely.Polygon:
    return shapely.box(x - half, y - half, x + half, y + half)


def test_polygons_are_met_in_their_middle(tmp_path: Path) -> None:
    """A field at its centroid; a crescent, whose centroid is beside it, at a point inside it."""
    x, y = 520_020.0, 5_220_000.0
    ring = square(x, y, 3000).difference(square(x, y + 500, 2500))
    crescent = ring.difference(square(x, y + 3000, 2900))
    assert not crescent.contains(crescent.centroid)
    aoi = vector(tmp_path, [square(x, y, 300), crescent, shapely.MultiPolygon([square(x, y, 100)])], 32632, "polygons")
    table = load_samples(aoi, 240)
    centre = table.placed.ulx + 120, table.placed.uly - 120
    assert abs(centre[0][[0, 2]] - x).max() <= 30 and abs(centre[1][[0, 2]] - y).max() <= 30
    assert crescent.contains(shapely.Point(centre[0][1], centre[1][1]))


FAULTS = {
    "no such column": (lambda f: csv(f, TABLE, id="name"), r"places.csv has no column 'name' \(aoi.points.id\); there are lon, lat, id, day, crop"),
    "no longitude": (lambda f: csv(f, "x,lat\n1,2\n"), r"has no column 'lon' \(aoi.points.lon\); there are x, lat"),
    "no date": (lambda f: csv(f, TABLE.replace("2019-07-01", "01/07/2019"), **SAID), r"row 0 \(the first is 0\) has '01/07/2019' in column day, which is no date: write it as 2019-07-01"),
    "not a day": (lambda f: csv(f, TABLE.replace("2019-07-01", "2019-02-30"), **SAID), "has '2019-02-30' in column day, which is no date"),
    "a number for a date": (lambda f: csv(f, TABLE.replace("2019-07-01", "20190701"), **SAID), "has '20190701' in column day, which is no date"),
    "id twice": (lambda f: csv(f, TABLE.replace(",c,", ",a,"), **SAID), r"row 2 .* is named 'a' in column id, as row 0 is: names must be unique"),
    "no id": (lambda f: csv(f, TABLE.replace(",c,", ", ,"), **SAID), "row 2 .* has no name in column id"),
    "no degrees": (lambda f: csv(f, TABLE.replace("12.3", "12°18'"), **SAID), r"row 1 .* has \"12°18'\" in column lon: give degrees"),
    "empty degrees": (lambda f: csv(f, TABLE.replace("12.3", ""), **SAID), "row 1 .* has '' in column lon: give degrees"),
    "metres": (lambda f: csv(f, "lon,lat\n520000,5220000\n"), "lies at longitude 520000, latitude 5.22e[+]06: no place in degrees"),
    "no rows": (lambda f: csv(f, "lon,lat\n"), "has no row; give at least one place"),
    "nothing": (lambda f: csv(f, ""), "cannot be read"),
    "too many fields": (lambda f: csv(f, "lon,lat\n9.5,47.1,7\n9.5,47.1\n"), "cannot be read"),
    "no CSV": (lambda f: Aoi.model_validate({"points": {"path": str(f / "none.csv")}}), "none.csv cannot be read"),
    "pole": (lambda f: csv(f, "lon,lat\n9.5,47.1\n10,89\n11,89\n"), r"row 1 .*\(longitude 10, latitude 89\) lies where no Sentinel-2 tile contains its cell of 1280 m: .* \(and so 1 more: rows 2\)"),
    "antimeridian": (lambda f: csv(f, "lon,lat\n179.9999,-17\n"), "lies at ±180°, and its cell of 1280 m would cross it"),
    "no CRS": (lambda f: vector(f, [shapely.Point(9, 47)], None), "places.gpkg names no CRS; set one"),
    "empty geometry": (lambda f: vector(f, [shapely.Point(9, 47), shapely.Point()], name="p.parquet"), "row 1 .* has no geometry"),
    "missing geometry": (lambda f: vector(f, [shapely.Point(9, 47), None]), "row 1 .* has no geometry"),
    "polygons for points": (lambda f: vector(f, [square(9, 47, 0.01)]), "row 0 .* is a Polygon: give points here; polygons go under aoi.polygons"),
    "points for polygons": (lambda f: vector(f, [shapely.Point(9, 47)], key="polygons"), "is a Point: give polygons here; points go under aoi.points"),
    "several points": (lambda f: vector(f, [shapely.MultiPoint([(9, 47), (9, 48)])]), "is a MultiPoint"),
    "column of a file": (lambda f: vector(f, [shapely.Point(9, 47)], label="crop"), r"has no column 'crop' \(aoi.points.label\); there are none"),
    "no file": (lambda f: Aoi.model_validate({"polygons": {"path": str(f / "a.gpkg")}}), "aoi.polygons: .*a.gpkg does not exist"),
    "wrong CRS": (lambda f: vector(f, [shapely.Point(520_000, 5_220_000)], 4326), "no place in degrees; mend its columns or CRS"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_serve_is_said_in_one_message(tmp_path: Path, fault: str) -> None:
    make, told = FAULTS[fault]
    with pytest.raises(TilewrightError, match=told) as caught:
        load_samples(make(tmp_path), 1280)
    assert str(caught.value).startswith(("aoi.points: ", "aoi.polygons: "))


def test_of_several_layers_one_is_named(tmp_path: Path) -> None:
    for layer, lon in (("a", 9.5), ("b", 12.3)):
        gpd.GeoDataFrame(geometry=[shapely.Point(lon, 42.05)], crs=4326).to_file(tmp_path / "two.gpkg", layer=layer)
    told = {"points": {"path": str(tmp_path / "two.gpkg")}}
    with pytest.raises(TilewrightError, match=r"has the layers a, b: say which with aoi.points.layer"):
        load_samples(Aoi.model_validate(told), 1280)
    told["points"]["layer"] = "b"
    assert load_samples(Aoi.model_validate(told), 1280).tiles() == ["33TTG"]


def cells(path: Path, name: str = "32TNT", **chosen: Any) -> gpd.GeoDataFrame:
    make_cells(name, CellsSettings(size_m=1280, strategy="samples", **chosen), path)
    table = read_table(path)
    counts = table_metadata(path)["counts"]
    assert counts["candidates"] == sum(counts.values()) - counts["candidates"] and counts["kept"] == len(table)
    return table


def test_the_stage_writes_what_the_file_says(tmp_path: Path) -> None:
    samples = load_samples(csv(tmp_path, TABLE, **SAID), 1280)
    table = cells(tmp_path / "cells", samples=samples.of("32TNT")).sort_values("sample")
    assert table.cell_id.tolist() == ["32TNT-s0", "32TNT-s2"]
    assert table["sample"].tolist() == [0, 2] and table["sample"].dtype == "int64" and (table.grid == 0).all()
    assert table.sample_id.tolist() == ["a", "c"] and table.sample_label.tolist() == ["wheat", "rye"]
    assert table.reference_date.dt.strftime("%Y-%m-%d").tolist() == ["2019-07-01", "2020-03-01"]
    assert table.draw_order.tolist() == [0, 1]
    assert abs(table.lon - [9.5, 9.52]).max() < 5e-4 and abs(table.lat - [47.1, 47.12]).max() < 5e-4
    other = cells(tmp_path / "other", "33TTG", samples=samples.of("33TTG"))
    assert other.sample_label.isna().all() and other.reference_date.isna().all()
    assert list(other.dtypes) == list(table.dtypes)
    assert len(cells(tmp_path / "none", samples=[])) == 0


def test_samples_do_not_move_for_one_another(tmp_path: Path) -> None:
    """A place more, elsewhere or here, changes nothing of the others; of another tile not even a byte."""
    before = load_samples(csv(tmp_path, TABLE, **SAID), 1280)
    more = load_samples(csv(tmp_path, TABLE + "12.31,42.06,d,2019-01-01,\n", **SAID), 1280)
    cells(tmp_path / "a", samples=before.of("32TNT"))
    cells(tmp_path / "b", samples=more.of("32TNT"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert before.of("33TTG") == more.of("33TTG")[:1] and len(more.of("33TTG")) == 2


def test_the_draw_of_samples_is_their_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = "".join(
        f"{lon},{lat}\n" for lon, lat in zip(rng.uniform(9.2, 9.8, 300), rng.uniform(47, 47.4, 300), strict=True)
    )
    every = load_samples(csv(tmp_path, "lon,lat\n" + rows), 1280).of("32TNT")
    table = cells(tmp_path / "all", samples=every)
    assert len(table) > 250 and len(set(table.cell_id)) == len(table)
    assert table["sample"][table.draw_order.argsort()].is_monotonic_increasing
    few = cells(tmp_path / "few", samples=every, number=10)
    assert sorted(few["sample"]) == sorted(each.sample for each in every)[:10]
    part = cells(tmp_path / "part", samples=every, fraction=0.3)
    lot = lots(42, table.cell_id.tolist()) / 2**64
    assert (
        set(part.cell_id) == set(table.cell_id[lot < 0.3])
        and table_metadata(tmp_path / "part")["counts"]["not_drawn"] > 100
    )
    # a cell twice on the same ground is two cells
    again = cells(tmp_path / "twice", samples=[every[0], every[0].model_copy(update={"sample": 1000})])
    assert again.ulx.nunique() == 1 and again.cell_id.nunique() == 2


def test_reference_dates_are_each_cells_own_shift(tmp_path: Path) -> None:
    reference = Reference(date=datetime.date(2020, 12, 21), shift_days=365)
    samples = load_samples(csv(tmp_path, "lon,lat\n9.5,47.1\n9.6,47.2\n9.7,47.3\n"), 1280).of("32TNT")
    table = cells(tmp_path / "a", samples=samples, reference=reference)
    expected = [
        datetime.date(2020, 12, 21) - datetime.timedelta(draw(42, "shift", number) % 365) for number in table["sample"]
    ]
    assert table.reference_date.dt.date.tolist() == expected and len(set(expected)) == 3
    one = cells(tmp_path / "b", samples=samples[1:2], reference=reference)
    assert one.reference_date.tolist() == table.reference_date[table["sample"] == 1].tolist()
    make_cells("32TNT", CellsSettings(reference=reference), tmp_path / "lattice")
    days = read_table(tmp_path / "lattice").reference_date
    assert days.min() >= pd.Timestamp("2019-12-23") and days.max() <= pd.Timestamp("2020-12-21")
    shifts = (pd.Timestamp("2020-12-21") - days).dt.days
    # 2704 draws from 365 days: nearly all days occur, evenly
    assert shifts.nunique() > 350 and abs(shifts.mean() - 182) < 4 * 365 / np.sqrt(12 * 2704)


def test_locations_around_cities(tmp_path: Path) -> None:
    rows = pd.DataFrame({"sample": [0, 3, 5], "lon": [9.5, 9.6, 12.3], "lat": [47.1, 47.2, 42.05], "city": ["Vaduz", "Sargans", "Rome"], "tile": ["32TNT", "32TNT", "33TTG"], "reason": ["", "", ""]})  # fmt: skip
    write_locations({name: rows[name].to_numpy() for name in rows}, tmp_path / "locations.parquet", {})
    told = CellsSettings(size_m=2640, strategy="samples")
    make_cells("32TNT", told, tmp_path / "cells", locations=tmp_path / "locations.parquet")
    table = read_table(tmp_path / "cells").sort_values("sample")
    assert table.cell_id.tolist() == ["32TNT-s0", "32TNT-s3"] and table.sample_label.tolist() == ["Vaduz", "Sargans"]
    assert table.sample_id.isna().all() and table.draw_order.tolist() == [0, 1]
    with pytest.raises(TilewrightError, match="give the file of locations with --locations"):
        make_cells("32TNT", told, tmp_path / "cells")


def dataset(folder: Path, root: Path, text: str, **changes: Any) -> DatasetConfig:
    aoi = csv(folder, text, **{key: name for key, name in SAID.items() if name in text.splitlines()[0]})
    mapping = {
        "dataset": "x", "aoi": aoi.model_dump(exclude_none=True), "provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02"]}},
        "cells": {"strategy": "samples", "size_m": 1280}, "periods": [{"name": "a", "start": "2019-01-01", "end": "2019-12-31"}],
    }  # fmt: skip
    return DatasetConfig.load({**mapping, **changes}, root)


def test_a_tiles_settings_are_of_its_own_samples(tmp_path: Path, root: Path) -> None:
    before = dataset(tmp_path, root, TABLE)
    assert before.tiles_by_zone() == {"32N": ["32TNT"], "33N": ["33TTG"]}
    told = before.settings("cells", tile="32TNT")
    after = dataset(tmp_path, root, TABLE + "12.31,42.06,d,2019-01-01,\n")
    assert after.settings("cells", tile="32TNT") == told
    assert after.settings("cells", tile="33TTG") != before.settings("cells", tile="33TTG")
    assert [each["id"] for each in json.loads(told)["samples"]] == ["a", "c"]
    with pytest.raises(TilewrightError, match=r"tile 32TPT has no cell of aoi.points"):
        before.settings("cells", tile="32TPT")


def test_many_samples_are_read_again_by_the_stage(tmp_path: Path, root: Path) -> None:
    text = "lon,lat\n" + "".join(f"{9.2 + at / 1000},{47 + at / 2000}\n" for at in range(500))
    made = dataset(tmp_path, root, text)
    told = CellsSettings.model_validate_json(made.settings("cells", tile="32TNT"))
    assert told.samples is None and len(made.settings("cells", tile="32TNT")) < 2000
    assert told.samples_digest == samples_digest(made.samples.of("32TNT"))
    make_cells("32TNT", told, tmp_path / "cells")
    table = read_table(tmp_path / "cells")
    assert len(table) == len(made.samples.of("32TNT")) == 500
    handed = CellsSettings(size_m=1280, strategy="samples", samples=made.samples.of("32TNT"))
    make_cells("32TNT", handed, tmp_path / "handed")
    assert (tmp_path / "cells").read_bytes() == (tmp_path / "handed").read_bytes()
    csv(tmp_path, text.replace("47.05\n", "47.06\n"))
    with pytest.raises(TilewrightError, match=r"places.csv changed while the workflow ran: run again"):
        make_cells("32TNT", told, tmp_path / "again")


def test_the_days_that_a_tile_is_searched_in(tmp_path: Path, root: Path) -> None:
    day = datetime.date
    made = dataset(tmp_path, root, TABLE + "9.53,47.13,d,2019-07-02,\n")
    assert made.reference_span("32TNT") == [(day(2019, 7, 1), day(2019, 7, 2)), (day(2020, 3, 1), day(2020, 3, 1))]
    assert made.reference_span("33TTG") == []
    shifted = dataset(
        tmp_path, root, "lon,lat\n9.5,47.1\n",
        cells={"strategy": "samples", "size_m": 1280, "reference": {"date": "2020-12-21", "shift_days": 365}},
        periods=[{"name": "a", "reference": {"from_days": -15, "to_days": 15}}],
    )  # fmt: skip
    assert shifted.reference_span("32TNT") == [(day(2019, 12, 23), day(2020, 12, 21))]


def test_a_file_of_places_that_is_not_there(tmp_path: Path, root: Path) -> None:
    told = {"points": {"path": "nowhere.csv"}}
    with pytest.raises(TilewrightError, match=r"aoi.points.path: nowhere.csv: no such file; mend the path"):
        dataset(tmp_path, root, TABLE, aoi=told)
