"""Burning against a slow rasteriser of its own: pixel by pixel, with shapely predicates and all-pairs distances."""

import json

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely

from tilewright.vector.burn import Burner, project
from tilewright.vector.ontology import Ontology, load_ontology

EPSG = 32632
ULX, ULY = 538_560.0, 5_221_440.0
STEP, SIDE, PAD = 10, 24, 9  # metres, pixels, pixels looked at around the cell (more than the largest dilation)
WIDE = SIDE + 2 * PAD

# What a tag means, written down a second time: kind → (channel, value, precedence, dilation, touched) …
PRECEDENCE = {0: 2, 1: 5, 2: 50, 5: 99, 12: 96, 13: 97, 14: 100}
CHANNEL = {0: 0, 1: 0, 2: 0, 5: 0, 12: 1, 13: 1, 14: 2}
TOUCHED = {2, 14}
# tags: (kinds, ((value, dilation), …), gives evidence)
MEANING: dict[tuple[str, str], tuple[tuple[str, ...], tuple[tuple[int, int], ...], bool]] = {
    ("natural", "wood"): (("area",), ((0, 0),), True),
    ("landuse", "meadow"): (("area",), ((1, 0),), True),
    ("landuse", "farmyard"): (("area",), ((1, 0),), False),
    ("landuse", "residential"): (("area",), ((2, 0),), True),
    ("building", "house"): (("area", "point"), ((2, 30), (14, 0)), True),
    ("building", "yes"): (("area", "point"), ((14, 0),), True),
    ("leisure", "pitch"): (("area",), ((5, 0),), True),
    ("natural", "water"): (("area",), ((12, 0),), True),
    ("waterway", "stream"): (("line",), ((12, 0),), True),
    ("highway", "residential"): (("line",), ((13, 0),), True),
    ("highway", "trunk"): (("line",), ((13, 10),), True),
    ("highway", "living_street"): (("line",), ((13, 0), (2, 30)), True),
    ("highway", "footway"): (("line",), (), True),
    ("man_made", "tower"): (("area", "point"), ((14, 0),), True),
    ("landuse", "cemetery"): (("area",), (), True),
}
IMPLIES_NONE = {0: {12}, 1: {0, 1, 2, 5}, 2: {0, 1, 12}}
NONE_TAGS = {0: {("landuse", "cemetery")}, 1: set(), 2: set()}

Feature = tuple[tuple[str, str], str, shapely.Geometry]  # tag, kind, geometry in UTM


@pytest.fixture(scope="module")
def ontology(root) -> Ontology:
    return load_ontology(root / "config" / "ontologies" / "opensentinelmap.yaml")


def to_lonlat(geometry: shapely.Geometry, epsg: int = EPSG) -> shapely.Geometry:
    back = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    return shapely.transform(geometry, lambda xy: np.column_stack(back.transform(xy[:, 0], xy[:, 1])))


def frame(features: list[Feature], epsg: int = EPSG) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {
            "kind": [kind for _, kind, _ in features],
            "tags": [json.dumps({key: value}) for (key, value), _, _ in features],
        },
        geometry=[to_lonlat(geometry, epsg) for _, _, geometry in features],
        crs="EPSG:4326",
    )


def random_features(rng: np.random.Generator, count: int) -> list[Feature]:
    features: list[Feature] = []
    tags = sorted(MEANING)
    for _ in range(count):
        tag = tags[rng.integers(len(tags))]
        kind = str(rng.choice(MEANING[tag][0]))
        x, y = ULX + rng.uniform(-80, 320), ULY - rng.uniform(-80, 320)
        if kind == "point":
            geometry: shapely.Geometry = shapely.Point(x, y)
        elif kind == "line":
            steps = rng.uniform(-120, 120, (rng.integers(2, 6), 2))
            geometry = shapely.LineString(np.cumsum(np.vstack([[x, y], steps]), axis=0))
        else:
            size = rng.choice([4, 15, 60, 200])
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
            radii = rng.uniform(0.4, 1, len(angles)) * size
            geometry = shapely.Polygon(
                np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)])
            ).buffer(0)
            if size > 50 and rng.random() < 0.5:
                geometry = geometry.difference(shapely.Point(x, y).buffer(size / 4, quad_segs=3))
            if geometry.is_empty:
                continue
        features.append((tag, kind, geometry))
    return features


CORNER_X, CORNER_Y = ULX - PAD * STEP, ULY + PAD * STEP
CENTRES = np.array(
    [[(CORNER_X + (c + 0.5) * STEP, CORNER_Y - (r + 0.5) * STEP) for c in range(WIDE)] for r in range(WIDE)]
)
SQUARES = shapely.box(CENTRES[..., 0] - 5, CENTRES[..., 1] - 5, CENTRES[..., 0] + 5, CENTRES[..., 1] + 5)
FLAT = CENTRES.reshape(-1, 2)
NEAR = np.hypot(FLAT[:, None, 0] - FLAT[None, :, 0], FLAT[:, None, 1] - FLAT[None, :, 1])


def covers(geometry: shapely.Geometry) -> np.ndarray:
    return shapely.contains_xy(geometry, CENTRES[..., 0], CENTRES[..., 1])


def burned(kind: str, geometry: shapely.Geometry, touched: bool) -> np.ndarray:
    if kind == "area" and not touched:
        return covers(geometry)
    return shapely.intersects(SQUARES, geometry)


def dilated(mask: np.ndarray, metres: int) -> np.ndarray:
    return (NEAR[:, mask.ravel()] <= metres + 1e-6).any(axis=1).reshape(mask.shape) if metres and mask.any() else mask


def slow_labels(features: list[Feature]) -> np.ndarray:
    """The rule of design and facts, read literally, over the wide window, then cut to the cell."""
    labels = np.full((3, WIDE, WIDE), 255)
    rank = np.full((3, WIDE, WIDE), -1)
    evidence: dict[int, np.ndarray] = {}
    doubtful = np.zeros((WIDE, WIDE), dtype=bool)
    none = np.zeros((3, WIDE, WIDE), dtype=bool)
    for tag, kind, geometry in features:
        _, gives, counts = MEANING[tag]
        for value, metres in gives:
            mask = dilated(burned(kind, geometry, value in TOUCHED), metres)
            wins = mask & (rank[CHANNEL[value]] < PRECEDENCE[value])
            labels[CHANNEL[value]][wins], rank[CHANNEL[value]][wins] = value, PRECEDENCE[value]
            if not counts:
                doubtful |= mask
            if kind == "area" and counts:
                evidence[value] = evidence.get(value, np.zeros((WIDE, WIDE), dtype=bool)) | covers(geometry)
        for channel in range(3):
            if tag in NONE_TAGS[channel]:
                none[channel] |= covers(geometry)
    for channel in range(3):
        known = np.zeros((WIDE, WIDE), dtype=bool)
        for value in IMPLIES_NONE[channel] & set(evidence):
            agreeing = {other for other in IMPLIES_NONE[channel] if CHANNEL[other] == CHANNEL[value]}
            known |= evidence[value] & np.isin(labels[CHANNEL[value]], list(agreeing))
        known &= ~doubtful
        for row in range(1, WIDE - 1):
            for column in range(1, WIDE - 1):
                none[channel, row, column] |= known[row - 1 : row + 2, column - 1 : column + 2].all()
    labels[(labels == 255) & none] = 254
    return labels[:, PAD:-PAD, PAD:-PAD]


@pytest.mark.parametrize("seed", range(40))
def test_random_features_equal_slow_rasteriser(ontology, seed):
    rng = np.random.default_rng(seed)
    features = random_features(rng, int(rng.integers(1, 30)))
    fast = Burner(ontology, frame(features), EPSG, STEP).cell(ULX, ULY, SIDE * STEP)
    np.testing.assert_array_equal(fast, slow_labels(features))


def test_random_features_show_every_outcome(ontology):
    seen: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = slow_labels(random_features(rng, int(rng.integers(1, 30))))
        for channel in range(3):
            seen[channel] |= set(np.unique(labels[channel]).tolist())
    assert seen == {0: {0, 1, 2, 5, 254, 255}, 1: {12, 13, 254, 255}, 2: {14, 254, 255}}


@pytest.mark.parametrize("step", [5, 2])
def test_finer_pixels_agree_with_exact_areas(ontology, step):
    wood = shapely.Polygon([(ULX + 3.37, ULY - 7.71), (ULX + 201.13, ULY - 31.9), (ULX + 122.6, ULY - 222.2)])
    labels = Burner(ontology, frame([(("natural", "wood"), "area", wood)]), EPSG, step).cell(ULX, ULY, 240)
    centres = (np.arange(240 // step) + 0.5) * step
    x, y = np.meshgrid(ULX + centres, ULY - centres)
    np.testing.assert_array_equal(labels[0] == 0, shapely.contains_xy(wood, x, y))


def test_order_and_far_features_do_not_matter(ontology):
    features = random_features(np.random.default_rng(99), 40)
    first = Burner(ontology, frame(features), EPSG, STEP).cell(ULX, ULY, 240)
    far = [(tag, kind, shapely.transform(geometry, lambda xy: xy + 5_000)) for tag, kind, geometry in features]
    shuffled = [(features + far)[at] for at in np.random.default_rng(1).permutation(2 * len(features))]
    np.testing.assert_array_equal(Burner(ontology, frame(shuffled), EPSG, STEP).cell(ULX, ULY, 240), first)


def test_neighbouring_cells_meet_as_one(ontology):
    burner = Burner(ontology, frame(random_features(np.random.default_rng(5), 60)), EPSG, STEP)
    whole = burner.cell(ULX, ULY, 240)
    for row in range(2):
        for column in range(2):
            part = burner.cell(ULX + 120 * column, ULY - 120 * row, 120)
            np.testing.assert_array_equal(part, whole[:, 12 * row : 12 * row + 12, 12 * column : 12 * column + 12])


def test_house_outside_the_cell_makes_it_residential_within_30_m(ontology):
    # The house's only pixel is the third to the left of the cell: centres 30 m from those of the first column.
    house = shapely.box(ULX - 28, ULY - 128, ULX - 22, ULY - 122)
    labels = Burner(ontology, frame([(("building", "house"), "area", house)]), EPSG, STEP).cell(ULX, ULY, 240)
    assert np.argwhere(labels[0] == 2).tolist() == [[12, 0]]
    assert (labels[2] == 255).all()
    gone = shapely.transform(house, lambda xy: xy - [10, 0])
    assert (
        Burner(ontology, frame([(("building", "house"), "area", gone)]), EPSG, STEP).cell(ULX, ULY, 240) == 255
    ).all()


def test_an_area_around_the_cell_fills_it(ontology):
    lake = shapely.box(ULX - 40_000, ULY - 40_000, ULX + 40_000, ULY + 40_000)
    labels = Burner(ontology, frame([(("natural", "water"), "area", lake)]), EPSG, STEP).cell(ULX, ULY, 240)
    assert (labels[1] == 12).all()
    assert (labels[0] == 254).all() and (labels[2] == 254).all()


def test_none_needs_areas_that_nothing_contradicts(ontology):
    def labels(*features: Feature) -> np.ndarray:
        return Burner(ontology, frame(list(features)), EPSG, STEP).cell(ULX, ULY, 240)

    everywhere = shapely.box(ULX - 100, ULY - 400, ULX + 400, ULY + 100)
    left = shapely.box(ULX - 100, ULY - 400, ULX + 120, ULY + 100)
    # lines are no evidence, nor is the ground that a line's dilation covers
    path = shapely.LineString([(ULX - 50, ULY - 122), (ULX + 300, ULY - 122)])
    assert not (labels((("highway", "living_street"), "line", path)) == 254).any()
    # barns stand on farmyards
    assert (labels((("landuse", "farmyard"), "area", everywhere))[2] == 255).all()
    # not even where they lie in a meadow, though farmyards and meadows are of one category
    yard = labels((("landuse", "meadow"), "area", everywhere), (("landuse", "farmyard"), "area", left))
    assert (yard[0] == 1).all() and (yard[2, :, :13] == 255).all() and (yard[2, :, 13:] == 254).all()
    # a village drawn over a wood: no claim that it has no buildings, and the wood's claim ends a pixel before it
    both = labels((("natural", "wood"), "area", everywhere), (("landuse", "residential"), "area", left))
    assert (both[0, :, :12] == 2).all() and (both[0, :, 12:] == 0).all()
    assert (both[2, :, :13] == 255).all() and (both[2, :, 13:] == 254).all()
    # empty ground is unlabeled, and a cemetery is none in land use only
    assert (labels() == 255).all()
    grave = labels((("landuse", "cemetery"), "area", left))
    assert (grave[0, :, :12] == 254).all() and (grave[0, :, 12:] == 255).all() and (grave[1:] == 255).all()


def test_building_no_is_no_building(ontology):
    hut = shapely.box(ULX, ULY - 100, ULX + 100, ULY)
    assert (Burner(ontology, frame([(("building", "no"), "area", hut)]), EPSG, STEP).cell(ULX, ULY, 240) == 255).all()


def test_large_geometries_are_cut_without_a_trace(ontology, monkeypatch):
    features = random_features(np.random.default_rng(17), 40)
    ring = (
        shapely.Point(ULX + 120, ULY - 120).buffer(1_000, quad_segs=800).difference(shapely.Point(ULX, ULY).buffer(90))
    )
    features.append((("natural", "wood"), "area", ring))
    whole = Burner(ontology, frame(features), EPSG, STEP)
    expected = whole.cell(ULX, ULY, 240)
    assert (expected[0] == 0).any()
    monkeypatch.setattr("tilewright.vector.burn._LARGE", 0)
    np.testing.assert_array_equal(whole.cell(ULX, ULY, 240), expected)
    monkeypatch.setattr("tilewright.vector.burn._LARGE", 10**9)
    np.testing.assert_array_equal(whole.cell(ULX, ULY, 240), expected)


def test_projection_across_the_antimeridian():
    # zone 1 begins at 180°: the two ends of a short line on either side of it stay neighbours
    line = shapely.LineString([(179.99, -17.0), (-179.99, -17.0)])
    (projected,) = project(np.array([line], dtype=object), 32701)
    assert projected.length == pytest.approx(2 * 1_064.7, rel=0.01)
    ends = pyproj.Transformer.from_crs(4326, 32701, always_xy=True).transform([179.99, -179.99], [-17.0, -17.0])
    np.testing.assert_allclose(shapely.get_coordinates(projected), np.column_stack(ends), atol=1e-6)


def test_a_polygon_of_half_the_world_is_projected(ontology):
    world = gpd.GeoDataFrame(
        {"kind": ["area"], "tags": ['{"natural":"water"}']}, geometry=[shapely.box(-120, -60, 120, 80)], crs="EPSG:4326"
    )
    assert (Burner(ontology, world, EPSG, STEP).cell(ULX, ULY, 240)[1] == 12).all()


def test_no_features_at_all(ontology):
    assert (Burner(ontology, frame([]), EPSG, STEP).cell(ULX, ULY, 240) == 255).all()
