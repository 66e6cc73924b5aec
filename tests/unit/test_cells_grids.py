"""Cells at any stride, and SeasoNet's lattices from the tile's corner: published coordinates, owners, no overlaps, no holes."""

from functools import lru_cache

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cells_lattice import AT, tiles_around

from tilewright.errors import TilewrightError
from tilewright.grid import CellTable, cells_of, pixel_centres, tile, tiles
from tilewright.grid.grids import grids_of
from tilewright.grid.owners import owners

# Names of published patches: tile, latitude, longitude, number of the grid.
PUBLISHED = [
    ("32UND", 52.996058, 9.080234, 1), ("32UME", 53.928425, 7.503876, 1), ("32TMT", 47.793488, 7.808487, 2),
]  # fmt: skip
# Where tiles of one zone meet: corners of MGRS squares (zone, easting, northing); and places where zones do (of the lattice's tests).
SEAMS = {
    "inside a zone": (32632, 600_000, 5_200_000), "in the south": (32735, 400_000, 6_700_000), "band edge": (32632, 500_000, 5_300_000),
    "north of the equator": (32635, 300_000, 100_000), "equator": (32635, 300_000, 0),
}  # fmt: skip
BORDERS = [
    "border, band edge T/U",
    "31U, 32U, 32V meet",
    "32W, 31X, 33X meet",
    "border on the equator",
    "border, south",
]


@lru_cache(maxsize=128)
def grids(name: str, size: int = 1200, offsets: tuple[int, ...] = (0, 600), drop: bool = True) -> CellTable:
    return grids_of(tile(name), size, offsets, drop)


@pytest.mark.parametrize(("name", "lat", "lon", "number"), PUBLISHED)
def test_seasonets_published_coordinates(name: str, lat: float, lon: float, number: int) -> None:
    """The names' coordinates, to the last of their six digits, are a patch's pixel (60, 60) on the grid that they are of."""
    mine = grids(name, drop=False)
    lons, lats = pixel_centres(mine.tile.epsg, mine.ulx, mine.uly, 60, 60, 10)
    same = (lons.round(6) == lon) & (lats.round(6) == lat)
    assert mine.grid[same].tolist() == [number]


@pytest.mark.parametrize("name", ["32UND", "35JQG", "60GUA"])
def test_a_tile_has_91_times_91_places_on_each_grid(name: str) -> None:
    mine = grids(name)
    one = mine.tile
    assert mine.counts["candidates"] == 2 * 91 * 91
    assert mine.counts["candidates"] == len(mine) + sum(mine.counts.values()) - mine.counts["candidates"]
    shift = np.where(mine.grid == 1, 0, 600)
    assert (mine.ulx == one.ulx + shift + mine.col * 1200).all()
    assert (mine.uly == one.uly - shift - mine.row * 1200).all()
    assert mine.cell_id[0] == f"{name}-g{mine.grid[0]}-{mine.col[0]}-{mine.row[0]}"
    assert len(set(mine.cell_id.tolist())) == len(mine)
    assert (np.lexsort((mine.grid, mine.col, mine.row)) == np.arange(len(mine))).all()


def boxes(mine: CellTable, number: int) -> np.ndarray:
    of = mine.take(mine.grid == number)
    return shapely.box(of.ulx, of.uly - of.size_m, of.ulx + of.size_m, of.uly)


def overlaps(shapes: np.ndarray) -> int:
    smaller = shapely.buffer(shapes, -0.005, join_style="mitre")
    first, second = shapely.STRtree(smaller).query(smaller, predicate="intersects")
    return int((first < second).sum())


@pytest.mark.parametrize("what", [f"seam, {what}" for what in SEAMS] + BORDERS)
@pytest.mark.parametrize("size", [1200, 2640])
def test_no_two_cells_of_a_grid_overlap_across_tiles(what: str, size: int) -> None:
    """All tiles of all zones around a place, on one zone's map, within 25 km of it."""
    seam = SEAMS.get(what.removeprefix("seam, "))
    lon, lat = pyproj.Transformer.from_crs(seam[0], 4326, always_xy=True).transform(*seam[1:]) if seam else AT[what]
    around = tiles_around(lon, lat)
    epsg = around[0].epsg
    clashed = 0
    for number in (1, 2):
        shapes, kept = [], []
        for one in around:
            mine, every = grids(one.name, size, (0, 600)), grids(one.name, size, (0, 600), False)
            x, y = pyproj.Transformer.from_crs(4326, one.epsg, always_xy=True).transform(lon, lat)
            near = shapely.box(x - 25_000, y - 25_000, x + 25_000, y + 25_000)
            change = pyproj.Transformer.from_crs(one.epsg, epsg, always_xy=True)
            for table, into in ((mine, shapes), (every, kept)):
                found = boxes(table, number)
                found = found[shapely.intersects(found, near)]
                if one.epsg != epsg:
                    found = shapely.segmentize(found, size / 24)
                    found = shapely.transform(found, lambda xy, by=change: np.column_stack(by.transform(*xy.T)))
                into.append(found)
        assert sum(map(len, shapes)) > 100
        assert overlaps(np.concatenate(shapes)) == 0
        clashed += overlaps(np.concatenate(kept))
    assert clashed > 0 or what in BORDERS  # where tiles of one zone meet there is something to remove


def test_what_is_dropped_overlaps_an_earlier_tiles_cell_and_the_rest_is_all_there() -> None:
    """Against a brute force over polygons: which cells of the owner rule overlap one of an earlier neighbour's."""
    name = "32UPU"
    one = tile(name)
    table = tiles()
    close = (table.epsg == one.epsg) & (abs(table.ulx - one.ulx) < 109_800) & (abs(table.uly - one.uly) < 109_800)
    earlier = [other for other in table.name[close].tolist() if other < name]
    assert len(earlier) == 5
    dropped = 0
    for number in (1, 2):
        before = boxes(grids(name, drop=False), number)
        tree = shapely.STRtree(
            shapely.buffer(
                np.concatenate([boxes(grids(other, drop=False), number) for other in earlier]), -0.5, join_style="mitre"
            )
        )
        clashes = np.zeros(len(before), bool)
        clashes[tree.query(before, predicate="intersects")[0]] = True
        assert shapely.equals_exact(boxes(grids(name), number), before[~clashes]).all()
        dropped += int(clashes.sum())
    assert dropped == grids(name).counts["overlaps_neighbour"] > 0


@given(st.integers(0, 56_685), st.sampled_from([(1200, (0, 600)), (2640, (0, 1320)), (480, (120,))]))
@settings(max_examples=15, deadline=None)
def test_cells_of_grids_lie_in_their_tile_on_the_60_m_grid(at: int, form: tuple[int, tuple[int, ...]]) -> None:
    size, offsets = form
    mine = grids_of(tiles()[at], size, offsets, True)
    west, south, east, north = mine.tile.bounds
    assert (mine.ulx >= west).all() and (mine.ulx + size <= east).all()
    assert (mine.uly <= north).all() and (mine.uly - size >= south).all()
    assert ((mine.ulx - west) % 60 == 0).all() and ((north - mine.uly) % 60 == 0).all()
    assert (owners(mine.tile.epsg, mine.ulx, mine.uly, size) == at).all()
    reasons = ("owned_by_other_tile", "zone_border", "overlaps_neighbour")
    assert mine.counts["candidates"] == len(mine) + sum(mine.counts[reason] for reason in reasons)
    assert len(set(mine.cell_id.tolist())) == len(mine)


def test_grids_of_a_size_that_does_not_fit() -> None:
    with pytest.raises(TilewrightError, match="does not fit"):
        grids_of(tile("32TNT"), 9760, [0], True)


@pytest.mark.parametrize(("size", "stride"), [(1920, 960), (960, 1920), (2400, 1800), (1200, 1200)])
@pytest.mark.parametrize("name", ["34MHE", "34NHF", "33UUT"])
def test_windows_at_any_stride_are_those_of_the_owners(name: str, size: int, stride: int) -> None:
    """Each window on multiples of the stride that the tile contains, and owns, is there, and no other."""
    mine = cells_of(tile(name), size, stride)
    one = mine.tile
    equator = 10_000_000 if one.epsg > 32700 else 0
    assert (mine.ulx == mine.col * stride).all()
    low = mine.uly - size if not equator else equator - mine.uly
    assert (low == mine.row * stride).all() and (mine.row >= 0).all()
    assert mine.cell_id[0] == f"{name}-{mine.col[0]}-{mine.row[0]}" and len(set(mine.cell_id.tolist())) == len(mine)
    assert mine.counts["candidates"] == len(mine) + mine.counts["owned_by_other_tile"] + mine.counts["zone_border"]
    if mine.counts["zone_border"] == 0 and stride <= size:
        # nothing of the MGRS square but for its edges, where windows are the neighbours', is left out
        left, bottom, right, top = one.square
        inner = shapely.box(left + size, bottom + size, right - size, top - size)
        union = shapely.union_all(shapely.box(mine.ulx, mine.uly - size, mine.ulx + size, mine.uly))
        assert union.covers(inner)
    if stride == size:
        usual = cells_of(one, size)
        assert (usual.cell_id == mine.cell_id).all() and (usual.ulx == mine.ulx).all() and (usual.uly == mine.uly).all()


@pytest.mark.parametrize("what", ["inside a zone", "border on the equator", "border, south"])
def test_each_window_is_one_tiles_and_neighbours_leave_no_seam(what: str) -> None:
    """All windows of all tiles of a zone around a place are on one lattice, each once, none missing."""
    size, stride = 1920, 960
    lon, lat = AT[what]
    around = tiles_around(lon, lat)
    for epsg in sorted({one.epsg for one in around}):
        x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
        found = []
        for one in around:
            if one.epsg == epsg:
                mine = cells_of(one, size, stride)
                near = (np.abs(mine.ulx - x) < 12_000) & (np.abs(mine.uly - y) < 12_000)
                found += list(zip(mine.ulx[near].tolist(), mine.uly[near].tolist(), strict=True))
        assert len(found) == len(set(found)) > 50
        if what == "inside a zone":
            assert len(found) == (24_000 // stride) ** 2


def test_frozen_ids() -> None:
    """Ids are in users' files: the same ground keeps its name."""
    mine = cells_of(tile("32TNT"), 1920)
    assert (len(mine), mine.cell_id[0], mine.cell_id[-1]) == (2704, "32TNT-312-2706", "32TNT-311-2759")
    assert cells_of(tile("32TNT"), 1920, 960).cell_id[-1] == "32TNT-623-5518"
    assert grids("32UND").cell_id[:2].tolist() == ["32UND-g2-0-0", "32UND-g2-1-0"]
