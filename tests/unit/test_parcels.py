"""Parcels on pixels: against exactextract and shapely, and every defect of DeepSatData's rasteriser as a case."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from parcel_truth import (
    ARRAYS,
    EPSG,
    LEFT,
    TOP,
    Parcels,
    agreement,
    burned,
    crops,
    exact_marks,
    exact_shares,
    mosaic,
    voronoi,
)
from tilewright.vector import parcels as module
from tilewright.vector.edges import Edges
from tilewright.vector.ontology import UNLABELED
from tilewright.vector.parcels import ParcelArrays, ParcelBurner

CELL_M = 240


def box(west: float, north: float, east: float, south: float) -> shapely.Polygon:
    """A rectangle, in metres east and south of the first cell's upper-left corner."""
    return shapely.box(LEFT + west, TOP - south, LEFT + east, TOP - north)


def given_parcels(*several: tuple[shapely.Geometry, int, int]) -> Parcels:
    """(geometry, class, id) of each."""
    geometry, classes, ids = zip(*several, strict=True)
    return Parcels(np.array(geometry, dtype=object), np.array(classes), np.array(ids))


def cell(parcels: Parcels, step: float = 10, ulx: float = LEFT, uly: float = TOP) -> ParcelArrays:
    """One cell of 240 m."""
    burner = ParcelBurner(crops(), parcels.features(), EPSG, step)
    ((position, arrays),) = burner.cells(np.array([ulx]), np.array([uly]), CELL_M)
    assert position == 0
    return arrays


# -- against exactextract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "count", "side_m"), [(10, 1800, 6000), (2.5, 200, 2000)])
def test_claims_agree_with_exactextract(step: float, count: int, side_m: int) -> None:
    for found in agreement(voronoi(count, side_m, seed=7), side_m, step, cell_m=1000):
        assert found.partly >= 0.9998, found
        assert found.wholly >= 0.99999, found
        assert found.false_partly == found.false_wholly == 0, found


def test_classes_ids_and_coverage_agree_with_exactextract() -> None:
    parcels, side_m, step = voronoi(500, 2000, seed=3), 2000, 10
    labels, ids, coverage, *_ = burned(parcels, side_m, step, 500)
    shares = exact_shares(parcels.geometry, side_m, step)
    best = pd.DataFrame({"pixel": shares.pixel, "share": shares.share, "id": parcels.ids[shares.parcel]})
    best["class"] = parcels.classes[shares.parcel]
    best = best.sort_values(["pixel", "share", "id"], ascending=[True, False, True])
    first = best.groupby("pixel").first()
    assert len(first) == labels.size  # the mosaic leaves no gaps
    np.testing.assert_allclose(coverage.ravel(), first["share"], atol=2e-6)
    second = best[best.duplicated("pixel")].groupby("pixel")["share"].max().reindex(first.index).fillna(0)
    doubled = first["share"] - second < 2e-6
    assert doubled.mean() < 0.02
    sure = ~doubled.to_numpy() | (second.to_numpy() == 1)
    np.testing.assert_array_equal(ids.ravel()[sure], first["id"][sure])
    np.testing.assert_array_equal(labels.ravel()[sure], first["class"][sure])


@st.composite
def rings(draw: st.DrawFn) -> shapely.Geometry:
    """Any polygon that make_valid leaves some area of, often with holes or of several parts, on a grid of quarter metres."""
    at = st.integers(-200, 1200)
    corners = draw(st.lists(st.tuples(at, at), min_size=3, max_size=9, unique=True))
    shape = shapely.make_valid(shapely.Polygon([(LEFT + x / 4, TOP - y / 4) for x, y in corners]))
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 0]
    parts = [part for each in parts for part in shapely.get_parts(each)]
    return shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0] if parts else box(1, 1, 2, 2)


@given(st.lists(rings(), min_size=1, max_size=5), st.data())
@settings(deadline=None, max_examples=40)
def test_any_polygons_agree_with_exactextract_and_shapely(shapes: list[shapely.Geometry], data: st.DataObject) -> None:
    classes = data.draw(st.lists(st.integers(0, 2), min_size=len(shapes), max_size=len(shapes)))
    parcels = given_parcels(
        *((shape, code, at + 1) for at, (shape, code) in enumerate(zip(shapes, classes, strict=True)))
    )
    arrays = cell(parcels)
    shares = exact_shares(parcels.geometry, CELL_M, 10)
    # What lies so near to nothing or to all that rounding decides is left to either.
    loose = exact_marks(shares, parcels.classes, 576, 1e-9, 1 - 1e-5)
    tight = exact_marks(shares, parcels.classes, 576, 1e-5, 1)
    for ours, least, most in (
        (arrays.claims, tight.different, loose.different),
        (arrays.claims_same, tight.same, loose.same),
    ):
        assert (ours.ravel() >= least).all() and (ours.ravel() <= most).all()
    best = np.zeros(576)
    np.maximum.at(best, shares.pixel, shares.share)
    np.testing.assert_allclose(arrays.coverage.ravel(), best, atol=1e-5)
    rows, columns = np.nonzero(arrays.instance)
    centres = shapely.points(LEFT + columns * 10 + 5, TOP - rows * 10 - 5)
    edges = shapely.boundary(parcels.geometry[arrays.instance[rows, columns].astype(int) - 1])
    np.testing.assert_allclose(arrays.distance[rows, columns], shapely.distance(centres, edges), atol=1e-4)
    assert np.isnan(arrays.distance[arrays.instance == 0]).all()


# -- the marks ----------------------------------------------------------------------------------------------------------------


def test_marks_of_each_kind() -> None:
    parcels = given_parcels(
        (box(0, 0, 100, 100), 1, 1),
        (box(50, 0, 150, 45), 2, 2),  # five columns of overlap, four rows whole and one half
        (box(0, 60, 30, 100), 1, 3),  # the same class as the first, wholly inside it
        (box(200, 200, 215, 240), 0, 4),  # meets the next within a column of pixels
        (box(215, 200, 240, 240), 3, 5),
    )
    arrays = cell(parcels)
    different, same_class = np.zeros((24, 24), np.uint8), np.zeros((24, 24), np.uint8)
    different[:4, 5:10] = 2
    different[4, 5:10] = 1
    different[20:, 21] = 1
    same_class[6:10, :3] = 2
    np.testing.assert_array_equal(arrays.claims, different)
    np.testing.assert_array_equal(arrays.claims_same, same_class)


def test_one_whole_and_one_part_is_a_partial_claim_in_either_order() -> None:
    # DeepSatData marks 2 or 1 here, by which of the two comes first.
    whole, part = box(0, 0, 100, 100), box(14, 14, 16, 16)
    for ids in ((1, 2), (2, 1)):
        arrays = cell(given_parcels((whole, 1, ids[0]), (part, 2, ids[1])))
        assert arrays.claims[1, 1] == 1
        assert arrays.claims.sum() == 1
        assert arrays.instance[1, 1] == ids[0]


def test_three_claims_count_by_class() -> None:
    square = box(0, 0, 10, 10)
    arrays = cell(given_parcels((square, 1, 1), (square, 1, 2), (box(0, 0, 5, 10), 2, 3)))
    assert (arrays.claims[0, 0], arrays.claims_same[0, 0]) == (1, 2)


def test_neighbours_along_pixel_borders_claim_nothing_of_each_other() -> None:
    # Corners that were projected there and back are off by some 1e-9 m.
    for step, east, north in ((10, 0, 0), (2.5, 230_010, 300_000), (0.5, -210_000, -900_000)):
        at = [(30 * x + east, 30 * y - north) for y in range(8) for x in range(8)]
        fields = (box(x, y, x + 30, y + 30) for x, y in at)
        parcels = given_parcels(*((field, number % 5, number + 1) for number, field in enumerate(fields)))
        arrays = cell(parcels, step, LEFT + east, TOP + north)
        assert not arrays.claims.any() and not arrays.claims_same.any()
        assert (arrays.coverage == 1).all()


def test_shares_of_neighbours_sum_to_one() -> None:
    # Two parcels that part every pixel along a slanting edge: what one has not, the other has.
    west = shapely.Polygon([(LEFT, TOP), (LEFT + 37, TOP), (LEFT + 203, TOP - 240), (LEFT, TOP - 240)])
    east = shapely.difference(box(0, 0, 240, 240), west)
    one, other = (cell(given_parcels((shape, 1, 1))).coverage for shape in (west, east))
    assert (one + other == 1).all()
    both = cell(given_parcels((west, 1, 1), (east, 2, 2)))
    np.testing.assert_array_equal(both.claims == 1, (one > 0) & (one < 1))
    np.testing.assert_array_equal(both.coverage, np.maximum(one, other))


def test_of_equal_shares_the_lower_id_has_the_pixel() -> None:
    halves = [box(0, 0, 5, 240), box(5, 0, 10, 240)]
    for ids in ((8, 9), (9, 8)):
        for order in (halves, halves[::-1]):
            arrays = cell(given_parcels((order[0], 1, ids[0]), (order[1], 2, ids[1])))
            assert (arrays.instance[:, 0] == 8).all()
            assert (arrays.coverage[:, 0] == 0.5).all()


# -- defects of DeepSatData ---------------------------------------------------------------------------------------------------


def test_shares_are_of_the_grid_not_of_the_parcels_corner() -> None:
    arrays = cell(given_parcels((box(3, 4, 27, 16), 5, 1)))
    np.testing.assert_allclose(arrays.coverage[:2, :3], np.outer([0.6, 0.6], [0.7, 1, 0.7]), atol=1e-6)
    assert np.count_nonzero(arrays.coverage) == 6
    assert (arrays.labels[0, :2, :3] == 5).all() and (np.delete(arrays.labels[0], [0, 1], axis=0) == UNLABELED).all()


def test_a_pixel_is_the_same_in_every_cell_that_has_it() -> None:
    parcels = voronoi(60, 600, seed=5)
    whole = burned(parcels, 480, 10, 480)
    for south, east in ((0, 0), (10, 30), (70, 130), (240, 240)):
        one = cell(parcels, ulx=LEFT + east, uly=TOP - south)
        for name, array in zip(ARRAYS, whole, strict=True):
            part = array[..., south // 10 : south // 10 + 24, east // 10 : east // 10 + 24]
            assert getattr(one, name).tobytes() == part.tobytes(), name


def test_holes_and_parts() -> None:
    ring = shapely.difference(box(20, 20, 120, 120), box(45, 45, 95, 95))
    parts = shapely.union_all([ring, box(60, 60, 80, 80), box(150, 150, 155, 240), box(155, 150, 160, 160).buffer(0)])
    arrays = cell(given_parcels((parts, 2, 7)))
    np.testing.assert_allclose(arrays.coverage[4, 4], 0.75, atol=1e-6)
    assert (arrays.labels[0, 5:6, 5:9] == UNLABELED).all()  # in the hole
    assert (arrays.instance[6:8, 6:8] == 7).all()  # the island in it
    np.testing.assert_allclose(arrays.coverage[15, 15], 1, atol=1e-6)  # two halves of one parcel
    np.testing.assert_allclose(arrays.coverage[16:, 15], 0.5, atol=1e-6)
    assert not arrays.claims.any() and not arrays.claims_same.any()
    np.testing.assert_allclose(arrays.distance[3, 3], 10 * 2**0.5, atol=1e-4)  # to the hole's corner, not to (20, 20)
    np.testing.assert_allclose(arrays.distance[3, 6], 10, atol=1e-4)  # to the hole's edge
    np.testing.assert_allclose(arrays.distance[4, 6], 0, atol=1e-4)


def test_nothing_depends_on_how_the_work_is_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    parcels = voronoi(250, 1000, seed=11)
    together = burned(parcels, 960, 5, CELL_M)
    features = parcels.features()
    shuffled = features.sample(frac=1, random_state=1)
    x, y = (each.ravel() for each in np.meshgrid(LEFT + np.arange(0, 960, 240), TOP - np.arange(0, 960, 240)))
    for position in (0, 5, 14):
        near = shapely.box(x[position] - 300, y[position] - 540, x[position] + 540, y[position] + 300)
        job = shuffled[shapely.intersects(gpd.GeoSeries(parcels.geometry)[shuffled.index], near).to_numpy()]
        assert 0 < len(job) < len(features)
        burner = ParcelBurner(crops(), job, EPSG, 5)
        ((_, alone),) = burner.cells(x[position : position + 1], y[position : position + 1], CELL_M)
        row, column = 48 * (position // 4), 48 * (position % 4)
        for name, array in zip(ARRAYS, together, strict=True):
            assert getattr(alone, name).tobytes() == array[..., row : row + 48, column : column + 48].tobytes(), name
    monkeypatch.setattr(module, "_STRIP_PIXELS", 1000)
    for one, other in zip(together, mosaic(ParcelBurner(crops(), shuffled, EPSG, 5), 960, 5, CELL_M), strict=True):
        assert one.tobytes() == other.tobytes()


def test_ids_that_float32_cannot_hold() -> None:
    arrays = cell(given_parcels((box(0, 0, 10, 10), 1, 2**24 + 1), (box(20, 0, 30, 10), 1, 2**32 - 1)))
    assert arrays.instance.dtype == np.uint32
    assert arrays.instance[0, :3].tolist() == [2**24 + 1, 0, 2**32 - 1]


def test_class_zero_is_a_class() -> None:
    arrays = cell(given_parcels((box(0, 0, 20, 10), 0, 1), (box(10, 0, 30, 10), 1, 2)))
    assert arrays.labels[0, 0, :4].tolist() == [0, 0, 1, UNLABELED]
    assert arrays.claims[0, :4].tolist() == [0, 2, 0, 0]


def test_parcels_across_the_cells_edge_count_with_what_is_inside() -> None:
    arrays = cell(given_parcels((box(-5000, -5000, 5, 5), 1, 1), (box(235, 100, 900, 2000), 2, 2)))
    assert (arrays.instance[0, 0], arrays.coverage[0, 0]) == (1, 0.25)
    np.testing.assert_allclose(arrays.coverage[10:, 23], 0.5, atol=1e-6)
    np.testing.assert_allclose(arrays.distance[11, 23], 0, atol=1e-4)
    assert np.count_nonzero(arrays.instance) == 1 + 14


def test_changing_a_parcels_class_changes_its_own_pixels_alone() -> None:
    parcels, side_m = voronoi(200, 960, seed=2), 960
    before = dict(zip(ARRAYS, burned(parcels, side_m, 10, CELL_M), strict=True))
    shares = exact_shares(parcels.geometry, side_m, 10)
    changed = 17
    classes = parcels.classes.copy()
    classes[changed] = (classes[changed] + 1) % 12
    after = dict(zip(ARRAYS, burned(replace(parcels, classes=classes), side_m, 10, CELL_M), strict=True))
    reached = np.zeros(before["instance"].size, dtype=bool)
    reached[shares.pixel[shares.parcel == changed]] = True
    reached = reached.reshape(before["instance"].shape)
    own = before["instance"] == parcels.ids[changed]
    np.testing.assert_array_equal((before["labels"] != after["labels"])[0], own)
    assert own.any()
    for name in ARRAYS[1:]:
        assert not (before[name] != after[name])[..., ~reached].any() or name == "distance"
    for name in ("instance", "coverage", "distance", "values"):
        assert before[name].tobytes() == after[name].tobytes()


# -- distances ----------------------------------------------------------------------------------------------------------------


def test_distances_to_long_edges_are_exact_and_do_not_depend_on_other_points() -> None:
    # Thousands of corners: most of them must be ruled out by where they are, none wrongly.
    turn = np.linspace(0, 2 * np.pi, 6000, endpoint=False)
    rng = np.random.default_rng(4)
    radius = 700 + 120 * np.sin(9 * turn) + rng.uniform(-8, 8, len(turn))
    star = shapely.Polygon(np.column_stack([LEFT + radius * np.cos(turn), TOP + radius * np.sin(turn)]))
    holed = shapely.MultiPolygon(
        [shapely.difference(star, shapely.Point(LEFT + 40, TOP).buffer(200)), box(0, 2000, 9, 2009)]
    )
    x, y = LEFT + rng.uniform(-900, 900, 5000), TOP + rng.uniform(-900, 900, 5000)
    edges = Edges(np.array([box(0, 0, 10, 10), holed], dtype=object))
    found = edges.distance(1, x, y)
    np.testing.assert_allclose(found, shapely.distance(shapely.points(x, y), holed.boundary), atol=1e-7)
    assert edges.distance(1, x[17:18], y[17:18])[0] == found[17]
    np.testing.assert_array_equal(edges.distance(1, x[::-1], y[::-1])[::-1], found)
    np.testing.assert_array_equal(
        edges.distance(1, np.full(70, LEFT), np.full(70, TOP)), edges.distance(1, x[:1] * 0 + LEFT, y[:1] * 0 + TOP)[0]
    )


def test_distances_only_where_wanted() -> None:
    features = given_parcels((box(0, 0, 50, 50), 1, 1)).features()
    ((_, arrays),) = ParcelBurner(crops(), features, EPSG, 10, distances=False).cells(
        np.array([LEFT]), np.array([TOP]), CELL_M
    )
    assert np.isnan(arrays.distance).all() and arrays.instance.any()
