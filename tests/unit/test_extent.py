"""The ground that a source covers: from boxes and files, and which pixels lie on it."""

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely

from tilewright.errors import TilewrightError
from tilewright.vector.extent import inside_extent, load_extent

EPSG, ULX, ULY, SIDE, STEP = 32632, 500_000.0, 5_200_000.0, 24, 10.0
BACK = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True)


def centres() -> tuple[np.ndarray, np.ndarray]:
    at = (np.arange(SIDE) + 0.5) * STEP
    x, y = np.meshgrid(ULX + at, ULY - at)
    return BACK.transform(x, y)


def utm(polygon: shapely.Polygon) -> shapely.Polygon:
    """A polygon of metres from the cell's upper-left corner (y down), in degrees."""
    return shapely.transform(polygon, lambda xy: np.column_stack(BACK.transform(ULX + xy[:, 0], ULY - xy[:, 1])))


def test_boxes():
    assert load_extent((9.0, 47.0, 10.0, 48.0)).equals(shapely.box(9, 47, 10, 48))
    across = load_extent((179.0, -18.0, -179.0, -16.0))
    assert across.equals(shapely.union_all([shapely.box(179, -18, 180, -16), shapely.box(-180, -18, -179, -16)]))
    assert load_extent((179.0, -18.0, -180.0, -16.0)).equals(shapely.box(179, -18, 180, -16))


def test_poly_file(tmp_path):
    path = tmp_path / "region.poly"
    path.write_text(
        "region\n1\n  9.0 47.0\n  1.0E+1 47.0\n  10.0 48.0\n  9.0 48.0\nEND\n!2\n 9.4 47.4\n 9.6 47.4\n 9.6 47.6\n 9.4 47.6\nEND\n"
        "3\n 179 1\n 181 1\n 181 2\n 179 2\nEND\n4\n 9.48 47.48\n 9.52 47.48\n 9.52 47.52\n 9.48 47.52\nEND\nEND\n"
    )
    area = load_extent(str(path))
    hole = shapely.box(9.4, 47.4, 9.6, 47.6)
    east, west = shapely.box(179, 1, 180, 2), shapely.box(-180, 1, -179, 2)  # beyond 180° is the other side
    island = shapely.box(9.48, 47.48, 9.52, 47.52)
    expected = shapely.union_all([shapely.difference(shapely.box(9, 47, 10, 48), hole), east, west, island])
    assert area.equals(expected)


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.parquet"])
def test_other_files(tmp_path, name):
    shapes = gpd.GeoDataFrame(geometry=[shapely.box(9, 47, 10, 48), shapely.box(10, 47, 11, 48)], crs=4326)
    shapes = shapes if name == "a.geojson" else shapes.to_crs(3857)
    shapes.to_parquet(tmp_path / name) if name == "a.parquet" else shapes.to_file(tmp_path / name)
    assert load_extent(str(tmp_path / name)).symmetric_difference(shapely.box(9, 47, 11, 48)).area < 1e-6


def test_bad_files(tmp_path):
    def refused(name: str, match: str) -> None:
        with pytest.raises(TilewrightError, match=rf"labels\.<set>\.source\.extent: .*{name} {match}"):
            load_extent(str(tmp_path / name))

    refused("none.poly", "does not exist")
    for content in ("", "x\nEND\n", "x\n1\n 1 2\n 3 4\n 5 6\n", "x\n1\n 1 two\nEND\nEND\n", "x\n1\n 1 2\nEND\nEND\n"):
        (tmp_path / "bad.poly").write_text(content)
        refused("bad.poly", "is no polygon file")
    (tmp_path / "flat.poly").write_text("x\n1\n 1 1\n 2 2\n 1 1\n 1 1\nEND\nEND\n")
    refused("flat.poly", "has no area")
    (tmp_path / "bad.gpkg").write_bytes(b"no")
    refused("bad.gpkg", "cannot be read")
    gpd.GeoDataFrame(geometry=[shapely.Point(1, 1)], crs=4326).to_file(tmp_path / "points.gpkg")
    refused("points.gpkg", "has Point")
    gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)]).to_file(tmp_path / "bare.shp")
    refused("bare.shp", "names no CRS")


def test_inside_unknown():
    assert inside_extent(EPSG, ULX, ULY, SIDE, STEP, None).all()


@pytest.mark.parametrize(
    ("polygon", "pixels"),
    [
        (shapely.box(-50, -50, 500, 500), SIDE * SIDE), (shapely.box(300, 300, 500, 500), 0),
        (shapely.box(0, 0, 120, 240), 12 * SIDE), (shapely.box(42, 62, 61, 81), 4),
        # A hole that meets no border of the cell, and one around all of it.
        (shapely.box(-50, -50, 500, 500) - shapely.box(100, 100, 120, 120), SIDE * SIDE - 4),
        (shapely.box(-500, -500, 900, 900) - shapely.box(-50, -50, 500, 500), 0),
    ],
)  # fmt: skip
def test_inside(polygon, pixels):
    extent = utm(polygon)
    found = inside_extent(EPSG, ULX, ULY, SIDE, STEP, extent)
    assert found.shape == (SIDE, SIDE) and found.dtype == bool
    assert found.sum() == pixels
    assert (found == shapely.intersects_xy(extent, *centres())).all()


def test_inside_orientation_and_single_pixel():
    found = inside_extent(EPSG, ULX, ULY, SIDE, STEP, utm(shapely.box(-5, -5, 240, 14)))  # the upper edge
    assert found[0].all() and not found[1:].any()
    assert inside_extent(EPSG, ULX, ULY, 1, STEP, utm(shapely.box(0, 0, 9, 9))).tolist() == [[True]]
    assert inside_extent(EPSG, ULX, ULY, 1, STEP, utm(shapely.box(6, 6, 9, 9))).tolist() == [[False]]
    assert not inside_extent(EPSG, ULX, ULY, SIDE, STEP, shapely.from_wkt("POLYGON EMPTY")).any()


def test_cells_across_the_antimeridian():
    back = pyproj.Transformer.from_crs(32601, 4326, always_xy=True)
    at = (np.arange(150) + 0.5) * 60.0
    lon, lat = back.transform(*np.meshgrid(165_000.0 + at, 5_000.0 - at))
    assert lon.max() - lon.min() > 359
    lake = shapely.Point(lon[70, 90], lat[70, 90]).buffer(0.01)
    for extent in (lake, shapely.difference(shapely.box(-180, -85, 180, 85), lake)):
        expected = shapely.intersects_xy(extent, lon, lat)
        assert 0 < expected.mean() < 1
        np.testing.assert_array_equal(inside_extent(32601, 165_000.0, 5_000.0, 150, 60.0, extent), expected)


def test_large_cells_are_looked_at_in_strips(monkeypatch):
    lon, lat = centres()
    extent = shapely.Point(lon[10, 10], lat[10, 10]).buffer(0.001)
    whole = inside_extent(EPSG, ULX, ULY, SIDE, STEP, extent)
    assert 0 < whole.mean() < 1
    np.testing.assert_array_equal(whole, shapely.intersects_xy(extent, lon, lat))
    monkeypatch.setattr("tilewright.vector.extent._PIXELS", 5 * SIDE)
    np.testing.assert_array_equal(inside_extent(EPSG, ULX, ULY, SIDE, STEP, extent), whole)
