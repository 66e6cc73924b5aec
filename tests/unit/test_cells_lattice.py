"""The promise of the lattice, on polygons: no overlap, one owner, inside its tile, gaps at zone borders only."""

from functools import lru_cache

import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilewright.errors import TilewrightError
from tilewright.grid import CellTable, Tile, cells_of, tile, tiles
from tilewright.grid.zones import wholly_in_zone

SIZES = [1920, 1200, 2640, 640]
# lon, lat of places where something is special; each with what is
PLACES = [
    (9.5, 47.1, "inside a zone"), (12.0, 47.9, "border, band edge T/U"), (0.0, 51.5, "border 30/31"),
    (3.0, 60.0, "32V takes from 31V"), (3.0, 56.0, "south-west corner of 32V"), (6.0, 56.0, "31U, 32U, 32V meet"),
    (3.0, 64.0, "north-west corner of 32V"), (6.0, 64.0, "31W, 32V, 32W meet"), (12.0, 62.0, "32V/33V"),
    (9.0, 76.0, "31X/33X"), (21.0, 76.0, "33X/35X"), (33.0, 76.0, "35X/37X"), (6.0, 72.0, "31W, 32W, 31X meet"),
    (9.0, 72.0, "32W, 31X, 33X meet"), (12.0, 72.0, "32W, 33W, 33X meet"), (42.0, 72.0, "37X/38X"), (18.0, 72.0, "33, 34W, 33X"),
    (24.0, 0.0, "border on the equator"), (-51.0, 0.0, "equator, central meridian"), (180.0, -17.0, "antimeridian, south"),
    (180.0, 70.0, "antimeridian, north"), (180.0, 66.5, "antimeridian where zone 60 has no tile"), (24.0, -33.0, "border, south"), (-72.0, -64.0, "band edge, far south"),
    (-66.0, 83.5, "far north"), (25.0, -78.0, "Antarctica"), (30.0, 8.0, "band edge P/N"), (-60.0, -8.0, "band edge, south"),
]  # fmt: skip
AT = {lon_lat_what[2]: lon_lat_what[:2] for lon_lat_what in PLACES}


@lru_cache(maxsize=64)
def cells(name: str, size: int) -> CellTable:
    return cells_of(tile(name), size)


@lru_cache(maxsize=256)
def to_degrees(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)


def tiles_around(lon: float, lat: float, reach: float = 15_000) -> list[Tile]:
    """All tiles, of any zone, that have ground within about `reach` metres of a point: brute force over the table."""
    found = []
    table = tiles()
    for epsg in (*range(32601, 32661), *range(32701, 32761)):
        if abs((lon - (epsg % 100 * 6 - 183) + 180) % 360 - 180) < 12:
            x, y = to_degrees(epsg).transform(lon, lat, direction="INVERSE")
            near = (
                (table.epsg == epsg)
                & (x > table.ulx - reach) & (x < table.ulx + 109_800 + reach)
                & (y < table.uly + reach) & (y > table.uly - 109_800 - reach)
            )  # fmt: skip
            found += [table[int(at)] for at in np.flatnonzero(near)]
    return found


def zone_at(lon: float, lat: float) -> int:
    """UTM zone of a point, by the textbook rule, written apart from the library."""
    lon = (lon + 180) % 360 - 180
    if 56 <= lat < 64 and 3 <= lon < 12:
        return 32
    if lat >= 72 and 0 <= lon < 42:
        return 31 if lon < 9 else 33 if lon < 21 else 35 if lon < 33 else 37
    return int((lon + 180) // 6) + 1


def test_places_have_their_tiles() -> None:
    met = {what: {one.name[:3] for one in tiles_around(lon, lat)} for lon, lat, what in PLACES}
    assert {"31U", "32U", "32V"} <= met["31U, 32U, 32V meet"]
    assert {"31X", "33X"} <= met["31X/33X"]
    assert {"33X", "35X"} <= met["33X/35X"]
    assert {"35X", "37X"} <= met["35X/37X"]
    assert {"01K", "60K"} <= met["antimeridian, south"]
    assert {"01W", "60W"} <= met["antimeridian, north"]
    assert {"34N", "34M"} <= met["border on the equator"]


@pytest.mark.parametrize("what", AT)
@pytest.mark.parametrize("size", [1920, 2640])
def test_cells_of_neighbours_never_overlap(what: str, size: int) -> None:
    """Footprints of all tiles around a place, of all zones and both hemispheres, in one zone's metres."""
    lon, lat = AT[what]
    around = tiles_around(lon, lat)
    epsg = around[0].epsg
    shapes = []
    for one in around:
        mine = cells(one.name, size)
        x0, y0 = to_degrees(one.epsg).transform(lon, lat, direction="INVERSE")
        near = (np.abs(mine.ulx - x0) < 25_000) & (np.abs(mine.uly - y0) < 25_000)
        corners = shapely.box(mine.ulx, mine.uly - size, mine.ulx + size, mine.uly)[near]
        if one.epsg != epsg:
            change = pyproj.Transformer.from_crs(one.epsg, epsg, always_xy=True)
            corners = shapely.transform(
                shapely.segmentize(corners, size / 24), lambda xy, by=change: np.column_stack(by.transform(*xy.T))
            )
        shapes.append(corners)
    shapes = np.concatenate(shapes)
    assert len(shapes) > 30
    # one centimetre is what a metre of another zone and the chords of its edges are good for
    smaller = shapely.buffer(shapes, -0.005, join_style="mitre")
    first, second = shapely.STRtree(smaller).query(smaller, predicate="intersects")
    clash = first < second
    assert not clash.any(), f"{clash.sum()} overlaps"


@given(st.integers(0, 56_685), st.sampled_from(SIZES), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_every_lattice_cell_has_one_owner_and_the_right_one(at: int, size: int, right: float, down: float) -> None:
    """Any lattice cell wholly in some tile and in its zone is in exactly the table that the rule, in words, says."""
    one = tiles()[at]
    south = one.epsg >= 32700
    equator = 10_000_000 if south else 0
    ulx = int((one.ulx + right * 109_800) // size) * size
    uly = equator + int((one.uly - down * 109_800 - equator) // size) * size
    crosses = (uly > equator) if south else (uly - size < equator)
    assume(not crosses)
    table = tiles()
    holders = [
        table[int(row)]
        for row in np.flatnonzero(
            (table.epsg == one.epsg) & (abs(table.ulx - one.ulx) < 220_000) & (abs(table.uly - one.uly) < 220_000)
        )
        if shapely.box(*table[int(row)].bounds).covers(shapely.box(ulx, uly - size, ulx + size, uly))
    ]
    assume(holders)
    x, y = ulx + size / 2, uly - size / 2

    def order(each: Tile) -> tuple[bool, float, str]:
        west, south, east, north = each.bounds
        left, bottom, right, top = each.square
        holds = left <= x < right and bottom <= y < top
        return not holds, (x - (west + east) / 2) ** 2 + (y - (south + north) / 2) ** 2, each.name

    owner = min(holders, key=order)
    having = [
        each.name
        for each in holders
        if ((cells(each.name, size).ulx == ulx) & (cells(each.name, size).uly == uly)).any()
    ]
    whole = bool(wholly_in_zone(one.epsg, np.array([ulx]), np.array([uly]), size)[0])
    assert having == ([owner.name] if whole else [])


@given(st.integers(0, 56_685), st.sampled_from(SIZES))
@settings(max_examples=60, deadline=None)
def test_cells_lie_in_their_tile_and_on_the_lattice(at: int, size: int) -> None:
    one = tiles()[at]
    mine = cells_of(one, size)
    west, south, east, north = one.bounds
    assert (mine.ulx >= west).all() and (mine.ulx + size <= east).all()
    assert (mine.uly <= north).all() and (mine.uly - size >= south).all()
    assert (mine.ulx % size == 0).all() and (mine.ulx == mine.col * size).all()
    if one.epsg < 32700:
        assert (mine.uly - size == mine.row * size).all() and (mine.row >= 0).all()
    else:
        assert (10_000_000 - mine.uly == mine.row * size).all() and (mine.row >= 0).all()
    assert mine.counts["candidates"] == len(mine) + mine.counts["owned_by_other_tile"] + mine.counts["zone_border"]
    assert len(set(mine.cell_id.tolist())) == len(mine)
    assert (np.lexsort((mine.col, mine.row)) == np.arange(len(mine))).all()


@given(st.sampled_from(PLACES), st.floats(-12_000, 12_000), st.floats(-12_000, 12_000), st.sampled_from(SIZES))
@settings(max_examples=300, deadline=None)
def test_a_cell_is_dropped_exactly_where_ground_of_another_zone_is_in_it(
    place, east: float, north: float, size: int
) -> None:
    """Against the textbook rule at a grid of points of the cell and at every point where borders turn."""
    lon, lat, _ = place
    for epsg in sorted({one.epsg for one in tiles_around(lon, lat)}):
        zone, equator = epsg % 100, (0 if epsg < 32700 else 10_000_000)
        change = to_degrees(epsg)
        x, y = change.transform(lon, lat, direction="INVERSE")
        ulx, uly = int((x + east) // size) * size, equator + int((y + north - equator) // size) * size
        whole = bool(wholly_in_zone(epsg, np.array([ulx]), np.array([uly]), size)[0])
        for reach, expected in ((0.0, True), (0.03, False)):  # all of the cell inside; something within 3 cm outside
            if whole is not expected:
                continue
            steps = np.linspace(-reach, size + reach, 121)
            right, down = (each.ravel() for each in np.meshgrid(steps, steps))
            lons, lats = change.transform(ulx + right, uly - down)
            strange = any(zone_at(*point) != zone for point in zip(lons.tolist(), lats.tolist(), strict=True))
            for turn in ((3, 56), (6, 56), (3, 64), (6, 64), (6, 72), (9, 72), (12, 72), (18, 72), (21, 72), (24, 72), (30, 72), (33, 72), (36, 72)):  # fmt: skip
                if abs(turn[0] - lon) < 5 and abs(turn[1] - lat) < 5:
                    tx, ty = change.transform(*turn, direction="INVERSE")
                    strange |= ulx - reach < tx < ulx + size + reach and uly - size - reach < ty < uly + reach
            assert strange is not expected


def test_ground_that_only_pokes_through_an_edge_is_seen() -> None:
    """Where 31U, 32U and 32V meet, ground of 31U reaches 3 m into this square, between two points of the walk."""
    x, y = to_degrees(32632).transform(6, 56, direction="INVERSE")
    ulx, uly = np.array([round(x) - 3]), np.array([round(y) + 192 * 3 + 20])
    assert not wholly_in_zone(32632, ulx, uly, 1920)[0]
    assert wholly_in_zone(32632, ulx + 10, uly, 1920)[0]


def test_a_parallel_that_bends_over_an_edge_is_seen() -> None:
    """On zone 34's central meridian the corners of this square are south of 72° and the middle of its edge is not."""
    _, y = to_degrees(32634).transform(21, 72, direction="INVERSE")
    ulx, uly = np.array([500_000 - 4500]), np.array([int(np.ceil(y))])
    lats = [to_degrees(32634).transform(500_000 + side, float(uly[0]))[1] for side in (-4500, 0, 4500)]
    assert lats[0] < 72 < lats[1] and lats[2] < 72
    assert not wholly_in_zone(32634, ulx, uly, 9000)[0]
    assert wholly_in_zone(32634, ulx, uly - 1, 9000)[0]


def test_zone_borders_are_counted_and_the_equator_is_none() -> None:
    assert cells("32TNT", 1920).counts == {"candidates": 3136, "owned_by_other_tile": 432, "zone_border": 0}
    border = {one.epsg for one in tiles_around(*AT["32V/33V"]) if cells(one.name, 1920).counts["zone_border"]}
    assert border == {32632, 32633}
    north, south = cells("34NHF", 1920), cells("34MHE", 1920)
    assert north.row.min() == 0 and south.row.min() == 0
    assert (north.uly.min(), south.uly.max()) == (1920, 10_000_000)


def test_frame_and_polygons() -> None:
    mine = cells("32TNT", 1920)
    frame = pd.DataFrame(mine.columns())
    assert list(frame) == [
        "cell_id",
        "tile",
        "epsg",
        "ulx",
        "uly",
        "size_m",
        "col",
        "row",
        "grid",
        "sample",
        "lon",
        "lat",
    ]
    first = frame.iloc[0]
    assert first.cell_id == f"32TNT-{first.col}-{first.row}"
    polygons = mine.polygons()
    assert shapely.is_valid(polygons).all()
    assert shapely.contains_xy(polygons, frame.lon, frame.lat).all()
    corner = shapely.get_coordinates(polygons[0])[0]
    assert np.allclose(to_degrees(32632).transform(first.ulx, first.uly), corner, rtol=0, atol=0.6e-7)


@pytest.mark.parametrize("what", ["antimeridian, south", "antimeridian, north"])
def test_no_cell_jumps_at_the_antimeridian(what: str) -> None:
    for one in tiles_around(*AT[what]):
        polygons = cells(one.name, 1920).polygons()
        west, _, east, _ = shapely.bounds(polygons).T
        assert len(polygons) and (east - west < 0.1).all() and (west >= -180).all() and (east <= 180).all()
        assert ((west < 0) if one.name.startswith("01") else (west > 0)).all()


def test_ground_in_a_square_without_a_tile_goes_to_the_tile_that_holds_it() -> None:
    """No tile is called after the square at 300 km, 2,900 km of zone 58 south; 58ECQ beside it reaches into it."""
    mine = cells("58ECQ", 1920)
    table = tiles()
    same = table.take(table.epsg == mine.tile.epsg)
    squares = {same[at].square[:2] for at in range(len(same))}
    x, y = mine.ulx + 960, mine.uly - 960
    homes = list(zip((x // 100_000 * 100_000).tolist(), (y // 100_000 * 100_000).tolist(), strict=True))
    assert sum(home not in squares for home in homes) > 100
    assert sum(home == mine.tile.square[:2] for home in homes) > 1000


@pytest.mark.parametrize("size", [0, -1920, 9760])
def test_sizes_that_do_not_fit(size: int) -> None:
    with pytest.raises(TilewrightError, match="does not fit"):
        cells_of(tile("32TNT"), size)
