"""The area of interest: its tiles, its cut for one tile, the cells inside it."""

from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilewright.config.area import Aoi
from tilewright.errors import TilewrightError
from tilewright.grid import cells_of, inside, load_aoi, tile, tiles

VADUZ = (9.4, 47.0, 9.7, 47.3)


def box(*bbox: float):
    return load_aoi(Aoi(bbox=bbox))


@lru_cache(maxsize=256)
def to_degrees(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)


def ground(one) -> shapely.Geometry:
    """A tile's footprint in degrees, cut at its zone (away from Norway and Svalbard): written apart from the library."""
    west, south, east, north = one.bounds
    outline = shapely.segmentize(shapely.box(west, south, east, north), 5000)
    change = to_degrees(one.epsg)
    middle = one.epsg % 100 * 6 - 183

    def degrees(points: np.ndarray) -> np.ndarray:
        lon, lat = change.transform(*points.T)
        return np.column_stack([middle + (lon - middle + 180) % 360 - 180, lat])

    return shapely.transform(outline, degrees) & shapely.box(middle - 3, -90, middle + 3, 90)


def test_known_areas() -> None:
    assert box(*VADUZ).tiles() == ["32TNT"]
    assert box(9.4, 46.9, 9.7, 47.3).tiles() == ["32TNS", "32TNT"]
    assert load_aoi(Aoi(tiles=["32TNT", "29RKH", "32TNT"])).tiles() == ["29RKH", "32TNT"]


def test_clip_is_canonical_text_or_none() -> None:
    assert box(*VADUZ).clip("32TNT") == "MULTIPOLYGON (((9.4 47, 9.4 47.3, 9.7 47.3, 9.7 47, 9.4 47)))"
    assert box(8, 45, 12, 49).clip("32TNT") is None
    assert load_aoi(Aoi(tiles=["32TNT"])).clip("32TNT") is None


@given(st.floats(-178, 175), st.floats(-78, 54), st.floats(0.01, 3), st.floats(0.01, 3))
@settings(max_examples=40, deadline=None)
def test_tiles_are_those_whose_ground_meets_the_area(west: float, south: float, width: float, height: float) -> None:
    bbox = (west, south, west + width, south + height)
    area = shapely.box(*bbox)
    table = tiles()
    lon, lat = west + width / 2, south + height / 2
    sure, possible = set(), set()
    zones = {int((at + 180) // 6) + 1 for at in (west - 1e-4, west + width + 1e-4)}
    for epsg in {half + zone for zone in zones for half in (32600, 32700)}:
        x, y = to_degrees(epsg).transform(lon, lat, direction="INVERSE")
        near = np.flatnonzero((table.epsg == epsg) & (np.hypot(table.ulx - x, table.uly - y) < 450_000))
        for one in (table[int(at)] for at in near):
            shape = ground(one)
            if not shape.is_empty and shape.distance(area) < 1e-4:
                possible.add(one.name)
                if (shape.buffer(-1e-4) & area).area > 1e-7:
                    sure.add(one.name)
    try:
        found = set(box(*bbox).tiles())
    except TilewrightError as error:
        if "lies in the sea" in str(error):
            assert not any(tile(name).land for name in sure)
            return
        found = set()
    assert sure <= found <= possible


@given(st.floats(5, 24), st.floats(-50, 60), st.floats(0.02, 1.5), st.floats(0.02, 1.5))
@settings(max_examples=25, deadline=None)
def test_cells_inside_are_those_whose_eight_points_are(west: float, south: float, width: float, height: float) -> None:
    """For a box, a cell is inside where all corners and edge middles are; tiles left out own no such cell."""
    area = box(west, south, west + width, south + height)
    try:
        names = area.tiles()
    except TilewrightError:
        assume(False)
    table = tiles()
    first = tile(names[0])
    near = (table.epsg == first.epsg) & (np.hypot(table.ulx - first.ulx, table.uly - first.uly) < 170_000)
    for name in sorted(set(names) | set(table.name[near].tolist())):
        mine = cells_of(tile(name), 2640)
        if not len(mine):
            continue
        points = shapely.get_coordinates(mine.polygons()).reshape(len(mine), 9, 2)
        low, high = np.array([west, south]).round(7), np.array([west + width, south + height]).round(7)
        margin = 1e-7  # the clip and the footprints are rounded to that
        if name not in names:
            assert not ((points > low + margin) & (points < high - margin)).all(axis=(1, 2)).any()
            continue
        within = inside(area.clip(name), mine)
        assert (within >= ((points > low + margin) & (points < high - margin)).all(axis=(1, 2))).all()
        assert (within <= ((points > low - margin) & (points < high + margin)).all(axis=(1, 2))).all()


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_growing_the_area_elsewhere_moves_no_clip(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """New polygons, near or far, that stay off a tile's envelope leave its text as it is, byte for byte."""
    corner = st.tuples(st.floats(8.0, 12.5), st.floats(46.0, 49.0))
    triangles = st.lists(
        st.tuples(corner, corner, corner).map(shapely.Polygon).filter(lambda t: t.area > 1e-4), min_size=1, max_size=4
    )
    old, new = data.draw(triangles), data.draw(triangles)
    file = tmp_path_factory.mktemp("aoi") / "area.geojson"

    def area(shapes: list[shapely.Polygon]):
        gpd.GeoSeries(shapes, crs=4326).to_file(file)
        return load_aoi(Aoi(file=str(file)))

    before, after = area(old), area([*old, *new])
    for name in before.tiles():
        west, south, east, north = tile(name).bounds
        envelope = shapely.box(*to_degrees(tile(name).epsg).transform_bounds(west, south, east, north)).buffer(0.01)
        if not shapely.intersects(envelope, new).any():
            assert before.clip(name) == after.clip(name)
    assert set(before.tiles()) <= set(after.tiles())


def test_a_polygon_that_overlaps_far_away_moves_no_clip(tmp_path: Path) -> None:
    """Dissolving would put a vertex on the shared edge and, rounding it, tilt the edge within 32TPS by 1e-7°."""
    old = shapely.Polygon([(8, 46), (8, 47), (12.5, 46.5)])
    new = shapely.Polygon([(8, 46), (8, 47), (10, 46)])
    gpd.GeoSeries([old], crs=4326).to_file(tmp_path / "old.gpkg")
    gpd.GeoSeries([old, new], crs=4326).to_file(tmp_path / "new.gpkg")
    before, after = (load_aoi(Aoi(file=str(tmp_path / name))) for name in ("old.gpkg", "new.gpkg"))
    assert before.clip("32TPS") == after.clip("32TPS")
    assert before.clip("32TMS") != after.clip("32TMS")


def test_a_growing_box_leaves_the_tiles_it_does_not_grow_in() -> None:
    small, large = box(9.4, 47.0, 9.7, 47.3), box(9.4, 45.0, 9.7, 47.3)
    assert small.clip("32TNT") != large.clip("32TNT")  # it grew within this one
    east = load_aoi(Aoi(tiles=["32TNT"])), load_aoi(Aoi(tiles=["32TNT", "32TPT"]))
    assert [area.clip("32TNT") for area in east] == [None, None]
    west, wider = box(7.0, 47.0, 9.7, 47.3), box(7.0, 47.0, 10.9, 47.3)
    assert west.clip("32TLT") == wider.clip("32TLT") and west.clip("32TMT") == wider.clip("32TMT")


def test_across_the_antimeridian() -> None:
    area = box(179.0, -17.5, -179.5, -16.5)
    names = area.tiles()
    assert {name[:2] for name in names} == {"01", "60"}
    seen = {"01": 0, "60": 0}
    for name in names:
        mine = cells_of(tile(name), 1920)
        within = inside(area.clip(name), mine)
        lon = mine.centre[0][within]
        assert ((lon > 179.0) | (lon < -179.5)).all()
        seen[name[:2]] += int(within.sum())
    assert seen["01"] > 100 and seen["60"] > 100


def test_a_border_strip_without_its_own_tiles_is_named() -> None:
    with pytest.raises(TilewrightError, match=r"beside a UTM zone's border .*32TQT"):
        box(12.05, 47.7, 12.15, 47.8).tiles()


def test_all_land() -> None:
    land = load_aoi(Aoi(land=True))
    assert len(land.tiles()) == 20_430 and {"32TNT", "60GVA"} <= set(land.tiles())
    assert land.clip("32TNT") is None
    with pytest.raises(TilewrightError, match=r"tile 01CCV has no ground in the aoi \(all land\)"):
        land.clip("01CCV")


def test_no_tile_at_all() -> None:
    with pytest.raises(TilewrightError, match=r"aoi: no Sentinel-2 tile meets bbox \[-30.0, 85.5"):
        box(-30.0, 85.5, -29.0, 86.5).tiles()


def test_a_tile_outside_the_area() -> None:
    for area in (box(*VADUZ), load_aoi(Aoi(tiles=["32TPT"]))):
        with pytest.raises(TilewrightError, match="tile 32TNS has no ground in the aoi"):
            area.clip("32TNS")
    with pytest.raises(TilewrightError, match="tile 32UNT is not a Sentinel-2 tile"):
        load_aoi(Aoi(tiles=["32TNT", "32UNT"]))


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "parquet"])
@pytest.mark.parametrize("epsg", [4326, 32632, 3857])
def test_files_of_any_kind_and_crs(tmp_path: Path, suffix: str, epsg: int) -> None:
    file = tmp_path / f"area.{suffix}"
    shape = shapely.segmentize(shapely.box(*VADUZ), 0.01)
    table = gpd.GeoDataFrame({"name": ["a"]}, geometry=[shape], crs=4326).to_crs(epsg)
    table.to_parquet(file) if suffix == "parquet" else table.to_file(file)
    area = load_aoi(Aoi(file=str(file)))
    assert area.tiles() == ["32TNT"]
    cut = shapely.from_wkt(area.clip("32TNT"))
    assert (cut ^ shapely.box(*VADUZ)).area < 1e-5 * cut.area
    mine = cells_of(tile("32TNT"), 1920)
    differ = inside(area.clip("32TNT"), mine) ^ inside(box(*VADUZ).clip("32TNT"), mine)
    assert differ.sum() == 0


def test_long_edges_of_a_projected_file_are_followed(tmp_path: Path) -> None:
    """The parallel of a whole tile's edge bends by hundreds of metres; a chord of its corners would lose cells."""
    one = tile("32TNT")
    gpd.GeoSeries([shapely.box(*one.bounds)], crs=one.epsg).to_file(tmp_path / "tile.gpkg")
    area = load_aoi(Aoi(file=str(tmp_path / "tile.gpkg")))
    mine = cells_of(one, 1920)
    west, south, east, north = one.bounds
    clear = (mine.uly < north) & (mine.uly - 1920 > south) & (mine.ulx > west) & (mine.ulx + 1920 < east)
    assert inside(area.clip("32TNT"), mine)[clear].all() and clear.sum() > 2600


def test_a_projected_file_across_the_antimeridian(tmp_path: Path) -> None:
    """Zone 60 metres, both sides of 180°, with a hole on the far side."""
    outer, hole = (
        shapely.box(780_000, 8_100_000, 850_000, 8_180_000),
        shapely.box(830_000, 8_120_000, 840_000, 8_130_000),
    )
    gpd.GeoSeries([outer - hole], crs=32760).to_file(tmp_path / "fiji.gpkg")
    area = load_aoi(Aoi(file=str(tmp_path / "fiji.gpkg")))
    west, _, east, _ = area.geometry.bounds
    assert (west, east) == (-180, 180)
    wide = sum(part.bounds[2] - part.bounds[0] for part in area.geometry.geoms)
    assert 0.6 < wide < 0.75 and len(area.geometry.geoms) == 2
    assert sum(len(part.interiors) for part in area.geometry.geoms) == 1
    assert {name[:2] for name in area.tiles()} == {"01", "60"}


def test_longitudes_beyond_180_are_wrapped(tmp_path: Path) -> None:
    gpd.GeoSeries([shapely.box(179, -17.5, 180.5, -16.5)], crs=4326).to_file(tmp_path / "wide.gpkg")
    wrapped = load_aoi(Aoi(file=str(tmp_path / "wide.gpkg")))
    assert shapely.equals(wrapped.geometry, box(179.0, -17.5, -179.5, -16.5).geometry)


def test_overlapping_and_invalid_polygons_are_dissolved(tmp_path: Path) -> None:
    bow = shapely.Polygon([(9.4, 47.0), (9.7, 47.3), (9.7, 47.0), (9.4, 47.3)])
    shapes = [shapely.box(*VADUZ), bow, shapely.box(9.5, 47.1, 9.6, 47.2)]
    gpd.GeoSeries(shapes, crs=4326).to_file(tmp_path / "area.gpkg")
    area = load_aoi(Aoi(file=str(tmp_path / "area.gpkg")))
    assert shapely.equals(area.geometry, shapely.box(*VADUZ))


def write_points(file: Path) -> None:
    gpd.GeoSeries([shapely.Point(9, 47), shapely.box(*VADUZ)], crs=4326).to_file(file)


def write_nothing(file: Path) -> None:
    gpd.GeoDataFrame({"a": []}, geometry=[], crs=4326).to_file(file)


def write_no_crs(file: Path) -> None:
    gpd.GeoSeries([shapely.box(*VADUZ)]).to_file(file)


def write_wrong_crs(file: Path) -> None:
    gpd.GeoSeries([shapely.box(500_000, 5_200_000, 510_000, 5_210_000)], crs=4326).to_file(file)


def write_polar(file: Path) -> None:
    gpd.GeoSeries([shapely.Point(0, 0).buffer(1e6)], crs=3031).to_file(file)


def write_text(file: Path) -> None:
    file.write_text("not a map")


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize(("write", "words"), [
    (write_points, "Point beside or instead of polygons"), (write_nothing, "has no polygons"), (write_no_crs, "names no CRS"),
    (write_wrong_crs, "its CRS is wrong"), (write_polar, "goes round a pole"), (write_text, "cannot be read"),
    (lambda file: None, "does not exist"),
])  # fmt: skip
def test_files_that_do_not_serve(tmp_path: Path, write, words: str) -> None:
    write(tmp_path / "area.gpkg")
    with pytest.raises(TilewrightError, match=words) as caught:
        load_aoi(Aoi(file=str(tmp_path / "area.gpkg")))
    assert "area.gpkg" in str(caught.value) and "aoi.file" in str(caught.value)
