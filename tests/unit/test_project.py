"""Geometries into UTM zones: near the antimeridian, beyond the projection's reach, and no place at all."""

import numpy as np
import pyproj
import pytest
import shapely

from tilewright.errors import TilewrightError
from tilewright.vector.project import project


def test_projection_across_the_antimeridian():
    # zone 1 begins at 180°: the two ends of a short line on either side of it stay neighbours
    line = shapely.LineString([(179.99, -17.0), (-179.99, -17.0)])
    near = shapely.LineString([(-177.2, -17.0), (-177.1, -17.0)])
    projected, other = project(np.array([line, near], dtype=object), 32701)
    assert projected.length == pytest.approx(2 * 1_064.7, rel=0.01)
    to_metres = pyproj.Transformer.from_crs(4326, 32701, always_xy=True).transform
    ends = np.column_stack(to_metres([179.99, -179.99], [-17.0, -17.0]))
    np.testing.assert_allclose(shapely.get_coordinates(projected), ends, atol=1e-6)
    ends = np.column_stack(to_metres([-177.2, -177.1], [-17.0, -17.0]))
    np.testing.assert_array_equal(shapely.get_coordinates(other), ends)


def test_projection_leaves_what_it_is_given_alone():
    given_ = np.array([shapely.Point(9, 47), shapely.box(-120, -60, 120, 80), shapely.Point(120, 5)], dtype=object)
    before = shapely.to_wkb(given_).tolist()
    projected = project(given_, 32632)
    assert shapely.to_wkb(given_).tolist() == before
    assert projected[0].x == 500_000 and projected[1].area > 1e13 and projected[2].is_empty
    with pytest.raises(TilewrightError, match="no place on earth"):
        project(np.array([shapely.Point(9, 97)]), 32632)
    with pytest.raises(ValueError, match="no UTM zone"):
        project(given_, 3035)


@pytest.mark.parametrize("zone", range(1, 61))
def test_what_goes_around_the_earth_is_there_in_every_zone(zone):
    # An ocean as one polygon, with and without a cut at ±180°, with and without corners along its edges.
    lon, step = zone * 6 - 183, 1.0
    sea = shapely.Polygon(
        shapely.box(-180, -80, 180, 80).exterior, [shapely.box(lon + 1, 10, lon + 2, 11).exterior.coords]
    )
    wide = shapely.box(lon - 170 if lon > 0 else -179, -60, 179 if lon > 0 else lon + 170, 60)
    shapes = np.array([sea, shapely.segmentize(sea, step), shapely.segmentize(wide, step)], dtype=object)
    to_metres = pyproj.Transformer.from_crs(4326, 32600 + zone, always_xy=True).transform
    projected = project(shapes, 32600 + zone)
    assert shapely.intersects_xy(projected, *to_metres(lon, 10.5)).all()
    assert shapely.intersects_xy(projected, *to_metres(lon + 1.5, 10.5)).tolist() == [False, False, True]


def test_parts_at_the_antimeridian_are_one_again():
    halves = shapely.MultiPolygon([shapely.box(179.99, -17.01, 180, -17), shapely.box(-180, -17.01, -179.99, -17)])
    torn = shapely.Polygon([(179.99, -17.01), (-179.99, -17.01), (-179.99, -17), (179.99, -17)])
    for epsg in (32701, 32760):
        one, other = project(np.array([halves, torn], dtype=object), epsg)
        assert one.geom_type == "Polygon" and one.is_valid and one.area == pytest.approx(other.area, rel=1e-6)
    assert project(np.array([halves, torn], dtype=object), 32632)[1].is_empty
