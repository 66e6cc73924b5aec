"""The burning core against shapely's exact predicates, GDAL, and itself: other rows, other shapes, other orders."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely.affinity import scale, translate

from tilewright.vector import scan
from tilewright.vector.scan import (
    Coverage,
    Shapes,
    Spans,
    centre_spans,
    coverage,
    edge_spans,
    fill,
    touched_spans,
    united,
)  # fmt: skip

SIDE = 40
COLUMN, ROW = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
SQUARES = shapely.box(COLUMN, -ROW - 1, COLUMN + 1, -ROW)
GRID = Affine(1, 0, 0, 0, -1, 0)


def polygon(rng: np.random.Generator, snap: float = 0) -> shapely.Geometry:
    """A star or two with holes, reaching out of the grid at times; corners on multiples of `snap`."""
    parts = []
    for _ in range(rng.integers(1, 3)):
        size, corners = rng.choice([0.4, 2, 8, 30]), rng.integers(3, 12)
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radius = rng.uniform(0.3, 1, corners) * size
        centre = rng.uniform(-5, 45, 2)
        star = np.column_stack([centre[0] + radius * np.cos(angle), -centre[1] + radius * np.sin(angle)])
        part = shapely.make_valid(shapely.Polygon(np.round(star / snap) * snap if snap else star))
        if size > 5:
            hole = shapely.Point(star.mean(axis=0)).buffer(size / 5, quad_segs=2)
            part = part.difference(shapely.transform(hole, lambda xy: np.round(xy / snap) * snap) if snap else hole)
        parts.append(part)
    whole = shapely.union_all(parts)
    areas = [part for part in shapely.get_parts(whole) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(areas) if len(areas) > 1 else areas[0] if areas else shapely.box(3, -7, 9, -4)


def line(rng: np.random.Generator, snap: float = 0) -> shapely.Geometry:
    steps = rng.uniform(-6, 6, (rng.integers(1, 6), 2))
    points = np.cumsum(np.vstack([rng.uniform((0, -SIDE), (SIDE, 0)), steps]), axis=0)
    return shapely.LineString(np.round(points / snap) * snap if snap else points)


def drawn(spans: Spans, side: int = SIDE) -> np.ndarray:
    canvas = np.zeros((side, side), dtype=np.uint8)
    fill(canvas, spans, 0, 0, 1)
    return canvas


def shares(found: Coverage, number: int = 0, side: int = SIDE) -> np.ndarray:
    canvas = np.zeros((side, side))
    fill(canvas, found.whole[found.whole.feature == number], 0, 0, 1)
    mine = (found.feature == number) & (found.column >= 0) & (found.column < side) & (found.row >= 0)
    mine &= found.row < side
    assert (canvas[found.row[mine], found.column[mine]] == 0).all(), "a pixel in part and wholly"
    canvas[found.row[mine], found.column[mine]] = found.share[mine]
    return canvas


def one(geometry: shapely.Geometry) -> Shapes:
    return Shapes(np.array([geometry], dtype=object))


@pytest.mark.parametrize("seed", range(30))
def test_centres_of_random_areas(seed):
    area = polygon(np.random.default_rng(seed))
    found = drawn(centre_spans(one(area), 1, 0, SIDE))
    np.testing.assert_array_equal(found, shapely.contains_xy(area, COLUMN + 0.5, -ROW - 0.5))
    np.testing.assert_array_equal(found, rasterize([area], (SIDE, SIDE), transform=GRID))


@pytest.mark.parametrize("seed", range(30))
def test_touched_by_random_areas_and_lines(seed):
    rng = np.random.default_rng(seed)
    area, path = polygon(rng), line(rng)
    found = drawn(touched_spans(one(area), 1, 0, SIDE))
    np.testing.assert_array_equal(found, shapely.area(shapely.intersection(SQUARES, area)) > 0)
    np.testing.assert_array_equal(found, rasterize([area], (SIDE, SIDE), transform=GRID, all_touched=True))
    found = drawn(touched_spans(one(path), 1, 0, SIDE))
    np.testing.assert_array_equal(found, shapely.intersects(SQUARES, path))
    np.testing.assert_array_equal(found, rasterize([path], (SIDE, SIDE), transform=GRID, all_touched=True))


@pytest.mark.parametrize("snap", [0, 1, 0.5, 0.1])
@pytest.mark.parametrize("seed", range(20))
def test_coverage_of_areas(seed, snap):
    area = polygon(np.random.default_rng(seed), snap)
    found = shares(coverage(one(area), 1, 0, SIDE))
    np.testing.assert_allclose(found, shapely.area(shapely.intersection(SQUARES, area)), atol=1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_corners_on_pixel_corners_and_centres(seed):
    """Where corners lie on halves of pixels all contacts are exact: touched is what is covered, but for 1e-9."""
    rng = np.random.default_rng(seed)
    area, path = polygon(rng, 0.5), line(rng, 0.5)
    touched = drawn(touched_spans(one(area), 1, 0, SIDE)).astype(bool)
    share = shapely.area(shapely.intersection(SQUARES, area))
    assert touched[share > 1e-9].all() and not touched[share == 0].any()
    centres = shapely.points(COLUMN + 0.5, -ROW - 0.5)
    found = drawn(centre_spans(one(area), 1, 0, SIDE)).astype(bool)
    tie = shapely.intersects(centres, area.boundary)
    np.testing.assert_array_equal(found[~tie], shapely.contains(area, centres)[~tie])
    # GDAL's differences: centres on horizontal edges, which it may burn twice
    gdal = rasterize([area], (SIDE, SIDE), transform=GRID).astype(bool)
    assert not (found & ~gdal).any() and tie[found != gdal].all()
    # a point of the line in the half-open square: moved by next to nothing to the right and down it is in the open one
    moved = translate(path, 1e-7, -1.01e-7)
    found = drawn(touched_spans(one(path), 1, 0, SIDE)).astype(bool)
    unsure = shapely.intersects(SQUARES, path) & ~shapely.intersects(SQUARES, moved)
    assert found[shapely.length(shapely.intersection(SQUARES, moved)) > 1e-5].all()
    assert not found[~shapely.intersects(SQUARES, path)].any() and unsure.sum() < 60


def test_touched_by_what_lies_on_the_grid():
    def touched(geometry: shapely.Geometry) -> list[list[int]]:
        return np.argwhere(drawn(touched_spans(one(geometry), 1, 0, 6), 6)).tolist()

    assert touched(shapely.box(1, -3, 3, -1)) == [[1, 1], [1, 2], [2, 1], [2, 2]]  # not its neighbours
    assert touched(shapely.box(1.5, -1.75, 1.6, -1.5)) == [[1, 1]]
    # along a border between pixels, across corners, up, down and a single point
    assert touched(shapely.LineString([(1, -2), (3, -2)])) == [[2, 1], [2, 2], [2, 3]]
    assert touched(shapely.LineString([(2, -1.5), (2, -2.5)])) == [[1, 2], [2, 2]]
    assert touched(shapely.LineString([(0.5, -0.5), (2.5, -2.5)])) == [[0, 0], [1, 1], [2, 2]]
    assert touched(shapely.LineString([(2.5, -2.5), (0.5, -0.5)])) == [[0, 0], [1, 1], [2, 2]]
    assert touched(shapely.LineString([(2.5, -0.5), (0.5, -2.5)])) == [[0, 2], [1, 1], [1, 2], [2, 0], [2, 1]]
    assert touched(shapely.Point(2, -3)) == [[3, 2]]
    assert touched(shapely.MultiPoint([(2.99, -3.99), (0, 0)])) == [[0, 0], [3, 2]]


@pytest.mark.parametrize("snap", [0, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_neighbours_share_every_pixel_out_among_them(seed, snap):
    """A cover of the ground by triangles: each centre in exactly one, all shares add up to one."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-10, SIDE + 10, (60, 2)) * [1, -1]
    points = np.vstack([points, [[-99, 99], [199, 99], [-99, -199], [199, -199]]])
    triangles = shapely.delaunay_triangles(shapely.MultiPoint(np.round(points / snap) * snap if snap else points))
    parts = shapely.get_parts(triangles)
    shapes = Shapes(parts[rng.permutation(len(parts))])
    count = np.zeros((SIDE, SIDE))
    spans = centre_spans(shapes, 1, 0, SIDE)
    for number in range(len(shapes)):
        count += drawn(spans[spans.feature == number])
    assert (count == 1).all()
    found = coverage(shapes, 1, 0, SIDE)
    assert np.allclose(sum(shares(found, number) for number in range(len(shapes))), 1, atol=1e-8)


def equal(one: object, other: object) -> None:
    for name in vars(one):
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, Spans):
            equal(mine, theirs)
        else:
            assert mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes(), name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), step=st.sampled_from([1.0, 0.625, 2.5]), data=st.data())
def test_a_pixel_is_the_same_whatever_else_is_asked_for(seed, count, step, data):
    rng = np.random.default_rng(seed)
    areas = np.array([polygon(rng, rng.choice([0, 0.5])) for _ in range(count)], dtype=object)
    lines = np.array([line(rng, rng.choice([0, 0.5])) for _ in range(count)], dtype=object)
    first = data.draw(st.integers(-4, 30))
    last = data.draw(st.integers(first, 45))
    order = rng.permutation(count)
    some = np.sort(rng.choice(count, rng.integers(1, count + 1), replace=False))
    for find, geometry in (
        (centre_spans, areas), (touched_spans, areas), (coverage, areas), (touched_spans, lines), (edge_spans, lines),
    ):  # fmt: skip
        whole = find(Shapes(geometry), step, -20, 80)
        within = (whole.row >= first) & (whole.row < last)
        if isinstance(whole, Coverage):
            part = (whole.whole.row >= first) & (whole.whole.row < last)
            expected = Coverage(
                whole.feature[within], whole.row[within], whole.column[within], whole.share[within], whole.whole[part]
            )
        else:
            expected = whole[within]
        equal(find(Shapes(geometry), step, first, last), expected)
        # other features, another order
        shuffled = find(Shapes(geometry[order]), step, -20, 80)
        apart = find(Shapes(geometry), step, -20, 80, some)
        for number in some.tolist():
            alone = find(one(geometry[number]), step, -20, 80)
            for found, at in ((shuffled, int(np.flatnonzero(order == number)[0])), (apart, number)):
                spans, single = (found.whole, alone.whole) if isinstance(found, Coverage) else (found, alone)
                mine = spans.feature == at
                for name in ("row", "start", "stop"):
                    np.testing.assert_array_equal(getattr(spans, name)[mine], getattr(single, name))
                if isinstance(found, Coverage):
                    mine = found.feature == at
                    for name in ("row", "column", "share"):
                        np.testing.assert_array_equal(getattr(found, name)[mine], getattr(alone, name))


@pytest.mark.parametrize("step", [10, 5, 2.5, 2, 1.25, 1, 0.625, 0.5])
def test_far_from_the_origin_at_every_resolution(step):
    """As UTM coordinates are: seven digits before the point."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        column, row = int(500_000 / step), int(-9_000_000 / step)
        area = scale(translate(polygon(rng), column, -row), step, step, origin=(0, 0))
        squares = shapely.box(column + COLUMN, -row - ROW - 1, column + COLUMN + 1, -row - ROW)
        canvas = np.zeros((SIDE, SIDE), dtype=bool)
        fill(canvas, centre_spans(one(area), step, row, row + SIDE), row, column)
        x, y = (column + COLUMN + 0.5) * step, (-row - ROW - 0.5) * step
        np.testing.assert_array_equal(canvas, shapely.contains_xy(area, x, y))
        found = coverage(one(area), step, row, row + SIDE)
        canvas = np.zeros((SIDE, SIDE))
        fill(canvas, found.whole, row, column, 1)
        inside = (found.column >= column) & (found.column < column + SIDE)
        canvas[found.row[inside] - row, found.column[inside] - column] = found.share[inside]
        truth = shapely.area(shapely.intersection(squares, scale(area, 1 / step, 1 / step, origin=(0, 0))))
        np.testing.assert_allclose(canvas, truth, atol=5e-7)  # shapely's own rounding of large numbers


def test_rings_may_run_either_way():
    shell, hole = [(1, -1), (9, -1), (9, -9), (1, -9)], [(3, -3), (3, -6), (7, -6), (7, -3)]
    found = [
        coverage(one(shapely.Polygon(outer, [inner])), 1, 0, 12)
        for outer in (shell, shell[::-1]) for inner in (hole, hole[::-1])
    ]  # fmt: skip
    for each in found:
        equal(each, found[0])
    assert (found[0].whole.stop - found[0].whole.start).sum() == 64 - 12 and not len(found[0].share)


def test_thin_areas_are_covered_in_part_only():
    sliver = shapely.Polygon([(0.2, -3.4), (30.7, -3.4), (30.7, -3.4000001), (0.2, -3.4000001)])
    found = coverage(one(sliver), 1, 0, SIDE)
    assert len(found.share) == 31 and not len(found.whole)
    np.testing.assert_allclose(found.share[1:-1], 1e-7, atol=1e-9)
    assert not len(centre_spans(one(sliver), 1, 0, SIDE))


def test_equal_shares_compare_equal():
    third = [shapely.box(10 / 3, -2, 4, -1), shapely.box(3, -2, 3 + 2 / 3, -1)]
    found = coverage(Shapes(np.array(third)), 1, 0, 9)
    assert found.share[0] == found.share[1] and found.share[0] == pytest.approx(2 / 3)


def test_sorting_where_the_numbers_are_too_long_to_be_packed(monkeypatch):
    rng = np.random.default_rng(8)
    shapes = Shapes(np.array([polygon(rng) for _ in range(30)], dtype=object))
    packed = [find(shapes, 1, 0, SIDE) for find in (centre_spans, touched_spans, coverage)]
    monkeypatch.setattr(scan, "_packed", lambda columns: None)
    for before, after in zip(
        packed, [find(shapes, 1, 0, SIDE) for find in (centre_spans, touched_spans, coverage)], strict=True
    ):
        equal(before, after)


def test_spans_are_united_by_feature_and_row():
    def spans(*rows: tuple[int, int, int, int]) -> Spans:
        return Spans(*np.array(rows, dtype=np.int32).reshape(-1, 4).T)

    some = spans((0, 5, 1, 4), (0, 5, 6, 9), (0, 5, 3, 6), (1, 5, 8, 12), (0, 6, 9, 10))
    other = spans((0, 5, -7, -3), (1, 5, 20, 21), (0, 6, 10, 11), (1, 5, 9, 10))
    found = united(some, other)
    rows = np.column_stack([found.feature, found.row, found.start, found.stop]).tolist()
    assert rows == [[0, 5, -7, -3], [0, 5, 1, 9], [0, 6, 9, 11], [1, 5, 8, 12], [1, 5, 20, 21]]
    assert len(united(spans())) == 0


def test_filling_cuts_at_the_canvas():
    spans = Spans(*np.array([(0, 7, -90, 3), (0, 8, 2, 90), (0, 9, -5, 95), (0, 6, 0, 9), (0, 8, 40, 50)], np.int32).T)
    canvas = np.zeros((3, 30), dtype=np.uint8)
    fill(canvas, spans, 7, 0, 9)
    expected = np.zeros((3, 30), dtype=np.uint8)
    expected[0, :3], expected[1, 2:], expected[2] = 9, 9, 9
    np.testing.assert_array_equal(canvas, expected)


def test_nothing_and_what_is_empty():
    nothing = Shapes(np.array([], dtype=object))
    for find in (centre_spans, touched_spans, coverage):
        assert not len(find(nothing, 10, 0, 5).feature)
    holed = Shapes(np.array([shapely.Polygon(), shapely.box(1, -2, 2, -1), shapely.MultiPolygon()], dtype=object))
    assert centre_spans(holed, 1, 0, 5).feature.tolist() == [1]
    assert touched_spans(Shapes(np.array([shapely.LineString()])), 1, 0, 5).feature.size == 0


def test_shapes_refuse_what_they_cannot_hold():
    with pytest.raises(ValueError, match="not finite"):
        Shapes(np.array([shapely.LineString([(0, 0), (np.inf, 1)])]))
    with pytest.raises(ValueError):
        Shapes(np.array([shapely.Point(0, 0), shapely.box(0, 0, 1, 1)]))
