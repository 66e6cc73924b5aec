"""Locations around cities: the table, the draw, which ones are kept, and the stage."""

import logging
import math
import time
from pathlib import Path

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness import ROOT
from tilewright.config.cities import Cities, Overlap
from tilewright.config.load import validated
from tilewright.config.location_settings import LocationsSettings
from tilewright.config.settings import parsed
from tilewright.errors import TilewrightError
from tilewright.grid.samples import placed
from tilewright.grid.zones import lonlat
from tilewright.locations import Candidates, CityTable, candidates, kept, most_populous
from tilewright.locations.file import locations_of, tiles_of
from tilewright.rules import DatasetConfig
from tilewright.stages.locations import make_locations
from tilewright.store import read_table, table_metadata

GEOD = pyproj.Geod(ellps="WGS84")
SIZE, RULE = 2640, 1980.0


def towns(*places: tuple[float, float]) -> CityTable:
    """Cities at (lon, lat)."""
    lon, lat = np.array(places, float).T
    names = np.array([f"town {number}" for number in range(len(places))])
    return CityTable(names, lon, lat, np.full(len(places), 1000), {"table": "made"})


def points(lon: list[float] | NDArray[np.float64], lat: list[float] | NDArray[np.float64]) -> Candidates:
    return Candidates(np.zeros(len(lon), np.int64), np.asarray(lon, float), np.asarray(lat, float))


def metres(drawn: Candidates) -> NDArray[np.float64]:
    """Geodesics between all pairs."""
    at, to = np.meshgrid(np.arange(len(drawn)), np.arange(len(drawn)), indexing="ij")
    far = GEOD.inv(drawn.lon[at.ravel()], drawn.lat[at.ravel()], drawn.lon[to.ravel()], drawn.lat[to.ravel()])[2]
    return np.asarray(far).reshape(at.shape)


def squares(drawn: Candidates) -> NDArray[np.bool_]:
    """Whether pairs lie in the same square of 1° × 1°."""
    column, row = np.floor(drawn.lon), np.floor(drawn.lat)
    return np.asarray((column[:, None] == column) & (row[:, None] == row))


def degrees(drawn: Candidates) -> NDArray[np.float64]:
    """The authors' distance between all pairs, metres."""
    far = np.hypot(drawn.lon[:, None] - drawn.lon, drawn.lat[:, None] - drawn.lat)
    return far * math.radians(1) * 6371e3


def by_hand(far: NDArray[np.float64], together: NDArray[np.bool_], rule: float) -> NDArray[np.bool_]:
    """One after another, against all that were kept before."""
    keep = np.zeros(len(far), bool)
    for at in range(len(far)):
        keep[at] = not (keep & together[at] & (far[at] < rule))[:at].any()
    return keep


# --- the table ---------------------------------------------------------------------------------------------------------------


def test_geonames_has_the_paper_s_ten_thousand():
    cities = most_populous("geonames", 10_000)
    assert len(cities) == 10_000
    assert (np.diff(cities.population) <= 0).all() and cities.population[-1] > 20_000
    assert cities.source["licence"] == "CC BY 4.0" and "geonames.org" in str(cities.source["attribution"])
    shanghai = np.flatnonzero(cities.name == "Shanghai")[0]
    assert abs(cities.lon[shanghai] - 121.46) < 0.1 and abs(cities.lat[shanghai] - 31.22) < 0.1


SIMPLEMAPS = (
    '"city","city_ascii","lat","lng","country","population","id"\n'
    '"São Paulo","Sao Paulo","-23.5504","-46.6339","Brazil","22046000","1076532519"\n'
    '"Suva","Suva","-18.1333","178.4333","Fiji","","1242711248"\n'
    '"Wien, Stadt","Wien","48.2083","16.3725","Austria","2223236.00","1040261752"\n'
    '"Vaduz","Vaduz","47.1415","9.5215","Liechtenstein","5197","1438956803"\n'
)


@pytest.mark.parametrize("start", ["", "\N{BOM}"])
def test_a_table_as_simplemaps_has_it_is_read(tmp_path: Path, start: str):
    file = tmp_path / "worldcities.csv"
    file.write_text(start + SIMPLEMAPS, encoding="utf-8")
    cities = most_populous(str(file), 2)
    assert cities.name.tolist() == ["São Paulo", "Wien, Stadt"]
    assert cities.population.tolist() == [22_046_000, 2_223_236], "digits after the point are not more people"
    assert cities.lon.tolist() == [-46.6339, 16.3725]
    assert cities.source["rows"] == 4 and cities.source["without_population"] == 1
    assert len(most_populous(str(file), 10)) == 3, "all of a small table"


@pytest.mark.parametrize(
    "header", ["name,Latitude,LON,Population", "city,lat,lng,population", "City,lat,longitude,population"]
)
def test_columns_have_several_spellings(tmp_path: Path, header: str):
    file = tmp_path / "cities.csv"
    file.write_text(f"{header}\nBern,46.948,7.4474,134591\n\n")
    assert most_populous(str(file), 5).lat.tolist() == [46.948]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("city,lat,lng\nBern,46.9,7.4\n", "has no column population; it has city, lat, lng. Add it"),
        ("city,lat,lng,population\nBern,46.9,7.4,\n", "column population is empty in every row"),
        ("city;lat;lng;population\nBern;46.9;7.4;1\n", "has no column city .* comma-separated"),
        ("", "has no column city .*it is empty"),
        ("city,lat,lon,lng,population\nBern,46.9,7.4,7.4,1\n", "more than one column for lng \\(lng, lon\\)"),
        ("city,lat,lng,population\nA,1,2,5\nTecax,1,2,50.789\n", r"line 3 \(Tecax\): population '50.789' is not a whole number; write"),
        ('city,lat,lng,population\nA,1,2,"50,789"\n', "line 2 .A.: population '50,789' is not a whole number"),
        ("city,lat,lng,population\nA,1,2,-5\n", "population '-5' is not"),
        ("city,lat,lng,population\nA,1,2,nan\n", "population 'nan' is not"),
        ("city,lat,lng,population\nA,1,2,1_000\n", "population '1_000' is not"),
        ("city,lat,lng,population\nA,N 46,2,5\n", "line 2 .A.: lat 'N 46' is not a number of degrees"),
        ("city,lat,lng,population\nA,7,95,5\nB,95,7,5\n", "line 3 .B.: lat '95' is not within ±90 degrees"),
        ("city,lat,lng,population\nA,7,nan,5\n", "lng 'nan' is not within ±180"),
        ("city,lat,lng,population\nA,7\n", "line 2: has 2 fields, the header 4"),
        ("city,lat,lng,population\n" + "A,7,9,x\n" * 8, "line 6 .*; and 3 more: mend or remove these rows"),
    ],
)  # fmt: skip
def test_a_bad_table_is_told_by_row_and_mend(tmp_path: Path, text: str, told: str):
    file = tmp_path / "cities.csv"
    file.write_text(text)
    with pytest.raises(TilewrightError, match=f"aoi.cities.table: .*cities.csv.*{told}"):
        most_populous(str(file), 5)


def test_a_table_that_is_not_there_or_not_text(tmp_path: Path):
    with pytest.raises(TilewrightError, match="geoname: no such file; write geonames, or mend the path"):
        most_populous(str(tmp_path / "geoname"), 5)
    (tmp_path / "cities.xlsx").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(TilewrightError, match=r"cannot be read .* give a CSV file in UTF-8"):
        most_populous(str(tmp_path / "cities.xlsx"), 5)


def test_a_table_that_is_not_there_is_told_before_any_job():
    config = {
        "dataset": "a", "aoi": {"cities": {"table": "cites.csv"}}, "provider": "earth-search", "cells": {"strategy": "samples", "size_m": SIZE},
        "collections": {"s2_l2a": {"bands": ["B02"]}}, "periods": [{"name": "b", "start": "2021-01-01", "end": "2021-01-31"}],
    }  # fmt: skip
    with pytest.raises(TilewrightError, match=r"aoi\.cities\.table: cites\.csv: no such file; mend the path"):
        DatasetConfig.load(config, ROOT)
    config["aoi"] = {"cities": {}}
    dataset = DatasetConfig.load(config, ROOT)
    assert dataset.city_table == []
    told = parsed(LocationsSettings, dataset.settings("locations"))
    assert told == LocationsSettings(seed=42, size_m=SIZE, cities=Cities())


# --- the draw ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", ["metres", "degrees"])
def test_the_first_of_a_draw_do_not_depend_on_how_many_there_are(spread):
    cities = towns((10, 50), (179.9, -17), (-150, 61))
    few, many = (candidates(cities, number, 7, 50, spread) for number in (501, 4000))
    other = candidates(cities, 501, 8, 50, spread)
    for name in ("city", "lon", "lat"):
        assert (getattr(few, name) == getattr(many, name)[:501]).all()
        assert (getattr(few, name) != getattr(other, name)).any()


def test_a_seed_means_the_same_draw_for_ever():
    drawn = candidates(towns((10, 50), (20, 0)), 3, 42, 50, "metres")
    assert drawn.city.tolist() == [1, 1, 0]
    assert np.abs(drawn.lon - [20.3280363, 20.005822, 10.0646416]).max() < 1.5e-7
    assert np.abs(drawn.lat - [-0.0653919, 0.1066954, 49.682477]).max() < 1.5e-7


@pytest.mark.parametrize(("lon", "lat"), [(12.0, 0.0), (12.0, 60.0), (179.99, 65.0), (30.0, 89.9)])
def test_metres_spread_evenly_whatever_the_latitude(lon: float, lat: float):
    drawn = candidates(towns((lon, lat)), 40_000, 1, 50, "metres")
    there = np.full(len(drawn), lon), np.full(len(drawn), lat)
    azimuth, _, far = GEOD.inv(*there, drawn.lon, drawn.lat)
    east, north = far * np.sin(np.radians(azimuth)) / 1000, far * np.cos(np.radians(azimuth)) / 1000
    for axis in (east, north):
        assert abs(axis.mean()) < 1 and abs(axis.std() - 50) < 0.8  # 4 standard errors
        assert abs((np.abs(axis) < 50).mean() - 0.6827) < 0.01
    assert abs(np.corrcoef(east, north)[0, 1]) < 0.02
    assert ((drawn.lon >= -180) & (drawn.lon < 180) & (np.abs(drawn.lat) <= 90)).all()


def test_degrees_spread_as_the_authors_have_it():
    drawn = candidates(towns((12.0, 60.0)), 40_000, 1, 50, "degrees")
    for axis, middle in ((drawn.lon, 12.0), (drawn.lat, 60.0)):
        assert abs(axis.mean() - middle) < 0.01 and abs(axis.std() - 0.4496) < 0.007


@pytest.mark.parametrize("spread", ["metres", "degrees"])
def test_no_location_lies_beyond_the_world(spread):
    drawn = candidates(towns((179.9, 89.0), (-180.0, -89.5), (0, 0)), 5000, 3, 400, spread)
    assert ((drawn.lon >= -180) & (drawn.lon < 180) & (np.abs(drawn.lat) <= 90)).all()
    assert np.array_equal(drawn.lon, drawn.lon.round(7))


def test_every_city_is_as_likely():
    drawn = candidates(towns(*((lon, 0) for lon in range(20))), 40_000, 5, 50, "metres")
    counts = np.bincount(drawn.city, minlength=20)
    assert ((counts - 2000) ** 2 / 2000).sum() < 43.8  # χ² of 19 degrees of freedom, p = 0.001


# --- overlaps ----------------------------------------------------------------------------------------------------------------

PLACES = {
    "a city": (11.6, 48.1), "a corner of squares": (10.0, 50.0), "far north": (25.0, 78.2), "the antimeridian": (179.999, -17.0),
    "a pole": (40.0, 89.99), "the other pole": (-120.0, -89.995), "the equator": (32.6, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spread_km", [1, 8, 30])
@pytest.mark.parametrize(
    "overlap", [Overlap(), Overlap(neighbours=False), Overlap(metric="authors"), Overlap(share=1.5)], ids=str
)
def test_those_kept_are_those_of_all_pairs(place: str, spread_km: float, overlap: Overlap):
    drawn = candidates(towns(PLACES[place]), 300, 11, spread_km, "metres")
    together = squares(drawn) if overlap.metric == "authors" or not overlap.neighbours else np.ones((300, 300), bool)
    far = degrees(drawn) if overlap.metric == "authors" else metres(drawn)
    keep = kept(drawn, overlap, SIZE)
    assert (keep == by_hand(far, together, overlap.share * SIZE)).all()
    assert keep[0] and (spread_km > 1 or keep.sum() < 300)


@settings(deadline=None, max_examples=150)
@given(
    middle=st.tuples(st.floats(-180, 180), st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 0.0, 45.0]))),
    steps=st.lists(st.tuples(st.floats(0, 360), st.floats(0, 9000)), min_size=1, max_size=40),
    share=st.floats(0.01, 3),
)
def test_no_two_kept_are_closer_than_the_rule_and_each_refused_is(middle, steps, share):
    azimuth, far = np.array(steps).T
    lon, lat, _ = GEOD.fwd(np.full(len(far), middle[0]), np.full(len(far), middle[1]), azimuth, far)
    drawn = points((lon + 180) % 360 - 180, lat)
    keep = kept(drawn, Overlap(share=share), SIZE)
    between = metres(drawn)
    np.fill_diagonal(between, np.inf)
    assert (between[np.ix_(keep, keep)] >= share * SIZE).all()
    for at in np.flatnonzero(~keep):
        assert (between[at, :at][keep[:at]] < share * SIZE).any(), "refused without a reason"


@pytest.mark.parametrize(("lon", "lat"), [(5.3, 47.0), (179.99999, 12.0), (10.0, 71.0)])
@pytest.mark.parametrize("azimuth", [0.0, 37.0, 90.0])
def test_the_rule_is_sharp(lon: float, lat: float, azimuth: float):
    for far, both in ((RULE - 1e-6, False), (RULE + 1e-6, True)):
        there = GEOD.fwd(lon, lat, azimuth, far)
        drawn = points([lon, (there[0] + 180) % 360 - 180], [lat, there[1]])
        assert kept(drawn, Overlap(), SIZE).tolist() == [True, both]


def test_a_share_of_nothing_refuses_nothing():
    assert kept(points([3, 3, 3], [4, 4, 4]), Overlap(share=0), SIZE).all()
    assert kept(points([3, 3, 3], [4, 4, 4]), Overlap(share=1e-6), SIZE).tolist() == [True, False, False]
    assert kept(points([], []), Overlap(), SIZE).tolist() == []
    assert kept(points([3], [4]), Overlap(), SIZE).tolist() == [True]


def test_what_the_authors_metric_misses():
    # 1.2 km apart across the border of two squares; 3 km apart in degrees at 70° N but 1.1 km on the ground
    border, north = points([9.992, 10.008], [47.5, 47.5]), points([20.40, 20.43], [70.5, 70.5])
    assert metres(border)[0, 1] < RULE and metres(north)[0, 1] < RULE
    for drawn in (border, north):
        assert kept(drawn, Overlap(), SIZE).tolist() == [True, False]
        assert kept(drawn, Overlap(metric="authors"), SIZE).tolist() == [True, True]
    assert kept(border, Overlap(neighbours=False), SIZE).tolist() == [True, True]
    assert kept(north, Overlap(neighbours=False), SIZE).tolist() == [True, False]


def test_a_bigger_draw_goes_on_where_the_smaller_ended():
    drawn = candidates(towns((10, 50), (10.5, 50.2)), 3000, 7, 30, "metres")
    few = points(drawn.lon[:1000], drawn.lat[:1000])
    assert (kept(drawn, Overlap(), SIZE)[:1000] == kept(few, Overlap(), SIZE)).all()


@pytest.mark.parametrize(("lon", "lat"), [(10.0, 50.0), (12.0, -33.0), (5.0, 70.0)])
def test_snapping_brings_cells_at_most_85_m_closer(lon: float, lat: float):
    drawn = candidates(towns((lon, lat)), 1500, 7, 15, "metres")
    keep = kept(drawn, Overlap(), SIZE)
    cells = placed(drawn.lon[keep], drawn.lat[keep], SIZE)
    for code in np.unique(cells.epsg):
        here = cells.epsg == code
        centre = lonlat(int(code), cells.ulx[here] + SIZE / 2, cells.uly[here] - SIZE / 2)
        moved = np.asarray(GEOD.inv(drawn.lon[keep][here], drawn.lat[keep][here], *centre)[2])
        assert moved.max() < 30 * math.sqrt(2) * 1.001
        between = metres(points(*centre))
        np.fill_diagonal(between, np.inf)
        assert between.min() > RULE - 85


# --- the stage ---------------------------------------------------------------------------------------------------------------


def told(**cities) -> LocationsSettings:
    return LocationsSettings(seed=42, size_m=SIZE, cities=Cities(**cities))


def test_the_file_says_where_and_whose(tmp_path: Path):
    made = tmp_path / "locations.parquet"
    make_locations(told(locations=2000, overdraw=1.25), made)
    found, about = read_table(made), table_metadata(made)
    counts = about["counts"]
    assert counts["candidates"] == 2500 == counts["too_close"] + counts["kept"]
    assert counts["kept"] == len(found) == counts["in_tiles"] + counts.get("no_tile", 0) + counts.get("antimeridian", 0)
    assert found["sample"].tolist() == list(range(len(found)))
    assert ((found["tile"] == "") == (found["reason"] != "")).all()
    assert (found.geometry.x == found["lon"]).all() and found.crs.to_epsg() == 4326
    assert about["source"]["licence"] == "CC BY 4.0" and about["rule_m"] == RULE
    held = found[found["tile"] != ""]
    assert sorted(tiles_of(made)) == sorted(held["tile"].unique())
    some = held["tile"].value_counts().index[0]
    rows = locations_of(made, some)
    assert rows["sample"].tolist() == held.loc[held["tile"] == some, "sample"].tolist() and len(rows["city"]) > 1
    assert not len(locations_of(made, "01CCV")["sample"])


def test_the_same_settings_write_the_same_bytes(tmp_path: Path):
    for name in ("one", "other"):
        make_locations(told(locations=500), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_bigger_draw_changes_only_the_tiles_that_get_more(tmp_path: Path):
    make_locations(told(locations=800, overdraw=1), tmp_path / "small")
    make_locations(told(locations=1000, overdraw=1), tmp_path / "big")
    small, big = tiles_of(tmp_path / "small"), tiles_of(tmp_path / "big")
    assert small.keys() <= big.keys()
    changed = {tile for tile in small if small[tile] != big[tile]}
    sizes = [read_table(tmp_path / name)["tile"].value_counts() for name in ("small", "big")]
    more = {tile for tile in small if sizes[0][tile] != sizes[1][tile]}
    assert changed == more and 0 < len(changed) < 200 < len(small)


def test_points_at_the_poles_have_no_tile_and_are_counted(tmp_path: Path):
    file = tmp_path / "poles.csv"
    file.write_text("city,lat,lng,population\nNorth,89.5,0,9\nSouth,-89.5,0,9\n")
    with pytest.raises(
        TilewrightError, match=r"no tile holds any of the .* locations .*'no_tile': .* check lat and lng"
    ):
        make_locations(told(table=str(file), locations=20, overdraw=1), tmp_path / "locations.parquet")
    assert not (tmp_path / "locations.parquet").exists()
    file.write_text("city,lat,lng,population\nNorth,84.6,10,9\nSuva,-18.1,178.4,9\nWest,-16.8,179.99,9\n")
    make_locations(told(table=str(file), locations=300, overdraw=1), tmp_path / "locations.parquet")
    counts = table_metadata(tmp_path / "locations.parquet")["counts"]
    assert counts["no_tile"] > 20 and counts["antimeridian"] > 0 and counts["in_tiles"] > 150


def test_too_few_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = tmp_path / "one.csv"
    file.write_text("city,lat,lng,population\nVaduz,47.14,9.52,5197\n")
    caplog.set_level(logging.INFO)
    make_locations(told(table=str(file), locations=500, sigma_km=5), tmp_path / "locations.parquet")
    assert "locations for the 500 wanted: raise overdraw" in caplog.text


def test_a_file_of_something_else_is_told(tmp_path: Path):
    with pytest.raises(TilewrightError, match="missing: run the rule"):
        tiles_of(tmp_path / "none.parquet")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"most_populous": 0}, "most_populous: Input should be greater than 0, not 0"),
        ({"overdraw": 0.5}, "overdraw: Input should be greater than or equal to 1, not 0.5"),
        ({"sigma_km": -1}, "sigma_km: .* greater than or equal to 0"),
        ({"spread": "miles"}, "spread: Input should be 'metres' or 'degrees', not 'miles'"),
        ({"overlap": {"share": -1}}, "overlap.share: .* not -1"),
        ({"overlap": {"shares": 1}}, "overlap.shares: unknown key; did you mean share"),
    ],
)
def test_a_wrong_key_is_told(wrong: dict, message: str):
    with pytest.raises(TilewrightError, match=message):
        validated(Cities, wrong, "aoi.cities")


@pytest.mark.parametrize(
    ("locations", "overdraw", "drawn"), [(251_079, 1.5, 376_619), (10, 1.1, 11), (3, 1.0, 3), (7, 1.5, 11)]
)
def test_how_many_are_drawn(locations: int, overdraw: float, drawn: int):
    assert Cities(locations=locations, overdraw=overdraw).candidates == drawn


@pytest.mark.parametrize("overlap", [Overlap(), Overlap(metric="authors")], ids=["metres", "authors"])
def test_the_paper_s_draw_takes_seconds_on_one_core(overlap: Overlap):
    begun = time.process_time()
    cities = most_populous("geonames", 10_000)
    drawn = candidates(cities, Cities().candidates, 42, 50, "metres")
    keep = kept(drawn, overlap, SIZE)
    placed(drawn.lon[keep], drawn.lat[keep], SIZE)
    assert time.process_time() - begun < 30
    assert keep.sum() > 300_000
