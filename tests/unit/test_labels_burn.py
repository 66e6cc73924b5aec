"""Burning against a slow rasteriser of its own: pixel by pixel, with shapely predicates and all-pairs distances."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from tilewright.vector import canvas
from tilewright.vector.burn import Burner
from tilewright.vector.canvas import dilated
from tilewright.vector.ontology import Ontology

EPSG = 32632
ULX, ULY = 538_560.0, 5_221_440.0
STEP, SIDE, PAD = 10, 24, 9  # metres, pixels, pixels looked at around the cell (more than anything reaches)
WIDE = SIDE + 2 * PAD
SIZE = SIDE * STEP


def rule(what: str, *kinds: str, **more: Any) -> dict[str, Any]:
    return {"attributes": {"what": what}, "kinds": list(kinds) or ["area"], **more}


def category(
    name: str, channel: str, value: int, precedence: int, *rules: dict[str, Any], **more: Any
) -> dict[str, Any]:
    own = {"name": name, "channel": channel, "value": value, "precedence": precedence, "colour": "#000000"}
    return {**own, "rules": list(rules), **more}


ONTOLOGY = Ontology.model_validate({
    "name": "test", "version": 1,
    "channels": [
        {"name": "land", "guard_m": 20, "none": [{"attributes": {"what": "cemetery"}}]},
        {"name": "water", "guard_m": 0},
        {"name": "houses"},  # guarded by 10 m
    ],
    "categories": [
        category("wood", "land", 0, 2, rule("wood"), implies_none=["water", "houses"]),
        category("farm", "land", 1, 5, rule("meadow"), rule("farmyard", implies_none=["water"]), implies_none=["water", "houses"]),
        category("town", "land", 2, 50, rule("town"), rule("villa", "area", "point", dilate_m=30),
                 rule("alley", "line", dilate_m=25, dilate="disk"), burn="touched", implies_none=["water"]),
        category("pitch", "land", 5, 99, rule("pitch")),
        category("lake", "water", 12, 96, rule("lake"), rule("stream", "line"), rule("canal", "line", dilate_m=15),
                 implies_none=["land", "houses"]),
        category("road", "water", 13, 97, rule("street", "line"), rule("alley", "line"), rule("trunk", "line", dilate_m=12)),
        category("house", "houses", 14, 10, rule("villa", "area", "point"), rule("hut", dilate_m=4), burn="touched"),
        category("mill", "houses", 15, 11, rule("mill", dilate_m=30), implies=["yard"]),
        category("yard", "land", 3, 60, rule("yard"), implies=["basin"]),
        category("basin", "water", 16, 98),
    ],
})  # fmt: skip

# The same, written down a second time. what: (kinds, burns, evidence: channels that are none there, doubts: channels)
# burns: (value, disk, buffer) and what the category implies.
CHANNEL = {0: 0, 1: 0, 2: 0, 3: 0, 5: 0, 12: 1, 13: 1, 16: 1, 14: 2, 15: 2}
RANK = {0: 2, 1: 5, 2: 50, 3: 60, 5: 99, 12: 96, 13: 97, 16: 98, 14: 10, 15: 11}
TOUCHED = {2, 14}
NONE_OF = {0: {1, 2}, 1: {1, 2}, 2: {1}, 12: {0, 2}}
GUARD = [20, 0, 10]
Burn = tuple[int, float, float]
MEANING: dict[str, tuple[tuple[str, ...], tuple[Burn, ...], dict[int, set[int]], set[int]]] = {
    "wood": (("area",), ((0, 0, 0),), {0: {1, 2}}, set()),
    "meadow": (("area",), ((1, 0, 0),), {1: {1, 2}}, set()),
    "farmyard": (("area",), ((1, 0, 0),), {1: {1}}, {2}),
    "town": (("area",), ((2, 0, 0),), {2: {1}}, set()),
    "villa": (("area", "point"), ((2, 30, 0), (14, 0, 0)), {2: {1}}, set()),
    "alley": (("line",), ((2, 25, 0), (13, 0, 0)), {}, set()),
    "pitch": (("area",), ((5, 0, 0),), {}, set()),
    "lake": (("area",), ((12, 0, 0),), {12: {0, 2}}, set()),
    "stream": (("line",), ((12, 0, 0),), {}, set()),
    "canal": (("line",), ((12, 0, 15),), {}, set()),
    "street": (("line",), ((13, 0, 0),), {}, set()),
    "trunk": (("line",), ((13, 0, 12),), {}, set()),
    "hut": (("area",), ((14, 0, 4),), {}, set()),
    "mill": (("area",), ((15, 30, 0), (3, 30, 0), (16, 30, 0)), {}, set()),
    "yard": (("area",), ((3, 0, 0), (16, 0, 0)), {}, set()),
    "cemetery": (("area",), (), {}, set()),
    "footpath": (("line",), (), {}, set()),
}

Feature = tuple[str, str, shapely.Geometry]  # what, kind, geometry in UTM


def to_lonlat(geometry: shapely.Geometry, epsg: int = EPSG) -> shapely.Geometry:
    back = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    return shapely.transform(geometry, lambda xy: np.column_stack(back.transform(xy[:, 0], xy[:, 1])))


def frame(features: Sequence[Feature], epsg: int = EPSG) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {"kind": [kind for _, kind, _ in features], "tags": [json.dumps({"what": what}) for what, _, _ in features]},
        geometry=[to_lonlat(geometry, epsg) for _, _, geometry in features],
        crs="EPSG:4326",
    )


def burned(features: Sequence[Feature], step: float = STEP, ontology: Ontology = ONTOLOGY) -> np.ndarray:
    return Burner(ontology, frame(features), EPSG, step).cell(ULX, ULY, SIZE)


def random_features(rng: np.random.Generator, count: int) -> list[Feature]:
    features: list[Feature] = []
    names = sorted(MEANING)
    for _ in range(count):
        what = names[rng.integers(len(names))]
        kind = str(rng.choice(MEANING[what][0]))
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
        features.append((what, kind, geometry))
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


def undilated(kind: str, geometry: shapely.Geometry, touched: bool) -> np.ndarray:
    return covers(geometry) if kind == "area" and not touched else shapely.intersects(SQUARES, geometry)


def within(mask: np.ndarray, metres: float) -> np.ndarray:
    return (NEAR[:, mask.ravel()] <= metres + 1e-6).any(axis=1).reshape(mask.shape) if mask.any() else mask


def slow_labels(features: Sequence[Feature]) -> np.ndarray:
    """The rules of the module's docstring, read literally, over the wide window, then cut to the cell."""
    labels = np.full((3, WIDE, WIDE), 255)
    rank = np.full((3, WIDE, WIDE), -1)
    evidence: dict[int, np.ndarray] = {}
    evidence_in = np.zeros((3, 17, WIDE, WIDE), dtype=bool)  # of channel, by an area of the category
    doubtful = np.zeros((3, WIDE, WIDE), dtype=bool)
    explicit = np.zeros((WIDE, WIDE), dtype=bool)
    for what, kind, geometry in features:
        _, burns, evidence, doubts = MEANING[what]
        for value, disk, buffer in burns:
            touched = value in TOUCHED
            mask = within(undilated(kind, geometry, touched), disk)
            if buffer:
                mask |= undilated("area", geometry.buffer(buffer, quad_segs=8), touched)
            wins = mask & (rank[CHANNEL[value]] < RANK[value])
            labels[CHANNEL[value]][wins], rank[CHANNEL[value]][wins] = value, RANK[value]
            for channel in doubts:
                doubtful[channel] |= mask
        if kind == "area":
            for value, channels in evidence.items():
                for channel in channels:
                    evidence_in[channel, value] |= covers(geometry)
            explicit |= covers(geometry) & (what == "cemetery")
    for channel in range(3):
        known, none = np.zeros((WIDE, WIDE), dtype=bool), np.zeros((WIDE, WIDE), dtype=bool)
        for value, of in NONE_OF.items():
            agreeing = [other for other in NONE_OF if CHANNEL[other] == CHANNEL[value] and channel in NONE_OF[other]]
            if channel in of:
                known |= evidence_in[channel, value] & np.isin(labels[CHANNEL[value]], agreeing)
        known &= ~doubtful[channel]
        for row in range(1, WIDE - 1):
            for column in range(1, WIDE - 1):
                none[row, column] = known[row - 1 : row + 2, column - 1 : column + 2].all()
        if channel == 0:
            none |= explicit
        none &= ~within(labels[channel] < 254, GUARD[channel])
        labels[channel][(labels[channel] == 255) & none] = 254
    return labels[:, PAD:-PAD, PAD:-PAD]


@cache
def case(seed: int) -> tuple[list[Feature], np.ndarray]:
    rng = np.random.default_rng(seed)
    features = random_features(rng, int(rng.integers(1, 30)))
    return features, slow_labels(features)


@pytest.mark.parametrize("seed", range(40))
def test_random_features_equal_slow_rasteriser(seed):
    features, expected = case(seed)
    np.testing.assert_array_equal(burned(features), expected)


def test_random_features_show_every_outcome():
    seen = [{int(value) for seed in range(40) for value in np.unique(case(seed)[1][channel])} for channel in range(3)]
    assert seen == [{0, 1, 2, 3, 5, 254, 255}, {12, 13, 16, 254, 255}, {14, 15, 254, 255}]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), step=st.sampled_from([10, 2.5]), gap=st.sampled_from([0, 1, 3]), data=st.data())
def test_a_cell_is_the_same_alone_in_company_and_in_any_order(seed, step, gap, data):
    rng = np.random.default_rng(seed)
    features = random_features(rng, 40)
    size = 120
    # neighbours, some with ground between them or off the common lattice, each once
    column, row = np.meshgrid(np.arange(-1, 4), np.arange(-1, 4))
    ulx = ULX + column.ravel() * size * (1 + gap) + 10 * rng.integers(0, 2, 25)
    uly = ULY - row.ravel() * size - 10 * rng.integers(0, 2, 25)
    kept = rng.permutation(25)[: data.draw(st.integers(1, 25))]
    alone = Burner(ONTOLOGY, frame(features), EPSG, step)
    far = [(what, kind, shapely.transform(geometry, lambda xy: xy + 9_000)) for what, kind, geometry in features]
    mixed = features + far
    company = Burner(ONTOLOGY, frame([mixed[at] for at in rng.permutation(len(mixed))]), EPSG, step)
    seen = []
    for at, labels in company.cells(ulx[kept], uly[kept], size):
        own = alone.cell(ulx[kept][at], uly[kept][at], size)
        assert labels.dtype == np.uint8 and labels.flags.c_contiguous
        assert labels.tobytes() == own.tobytes()
        seen.append(at)
    assert sorted(seen) == list(range(len(kept)))


def test_groups_of_any_size_give_the_same(monkeypatch):
    burner = Burner(ONTOLOGY, frame(random_features(np.random.default_rng(5), 60)), EPSG, STEP)
    column, row = (each.ravel() for each in np.meshgrid(np.arange(4), np.arange(4)))
    ulx, uly = ULX + column * 60.0, ULY - row * 60.0
    one = dict(burner.cells(ulx, uly, 60))
    whole = burner.cell(ULX, ULY, 240)
    monkeypatch.setattr(canvas, "_CANVAS_PIXELS", 1)
    apart = dict(burner.cells(ulx, uly, 60))
    for at in range(16):
        part = whole[:, row[at] * 6 : row[at] * 6 + 6, column[at] * 6 : column[at] * 6 + 6]
        np.testing.assert_array_equal(one[at], part)
        np.testing.assert_array_equal(apart[at], part)


@pytest.mark.parametrize("step", [5, 2.5, 2, 1.25, 0.625])
def test_finer_pixels_agree_with_exact_areas(step):
    wood = shapely.Polygon([(ULX + 3.37, ULY - 7.71), (ULX + 201.13, ULY - 31.9), (ULX + 122.6, ULY - 222.2)])
    labels = burned([("wood", "area", wood)], step)
    centres = (np.arange(240 / step) + 0.5) * step
    x, y = np.meshgrid(ULX + centres, ULY - centres)
    np.testing.assert_array_equal(labels[0] == 0, shapely.contains_xy(wood, x, y))


def test_a_house_outside_the_cell_makes_it_town_within_30_m():
    # The house's only pixel is the third to the left of the cell: centres 30 m from those of the first column.
    house = shapely.box(ULX - 28, ULY - 128, ULX - 22, ULY - 122)
    labels = burned([("villa", "area", house)])
    assert np.argwhere(labels[0] == 2).tolist() == [[12, 0]]
    assert (labels[2] == 255).all()
    gone = shapely.transform(house, lambda xy: xy - [10, 0])
    assert (burned([("villa", "area", gone)]) == 255).all()


def test_a_dilation_is_a_buffer_below_two_pixels_and_a_disk_from_there():
    path = shapely.LineString([(ULX - 50, ULY - 123.7), (ULX + 300, ULY - 108.2)])
    at = (np.arange(48) + 0.5) * 5
    x, y = np.meshgrid(ULX + at, ULY - at)
    # 12 m are 1.2 pixels of 10 m and 2.4 of 5 m
    fine = burned([("trunk", "line", path)], 5)[1] == 13
    touched = shapely.intersects(shapely.box(x - 2.5, y - 2.5, x + 2.5, y + 2.5), path)
    np.testing.assert_array_equal(fine, distance_transform_edt(~touched) <= 12 / 5)
    coarse = burned([("trunk", "line", path)], 10)[1] == 13
    centres = CENTRES[PAD:-PAD, PAD:-PAD]
    near = shapely.contains_xy(path.buffer(12, quad_segs=8), centres[..., 0], centres[..., 1])
    np.testing.assert_array_equal(coarse, near | shapely.intersects(SQUARES[PAD:-PAD, PAD:-PAD], path))
    assert (coarse & ~near).sum() == 0 and near.sum() > 40
    # a buffer as thin as a hair does not make a line vanish
    thin = ONTOLOGY.model_dump()
    thin["categories"][5]["rules"][2]["dilate_m"] = 0.5
    hair = burned([("trunk", "line", path)], 10, Ontology.model_validate(thin))[1] == 13
    np.testing.assert_array_equal(hair, shapely.intersects(SQUARES[PAD:-PAD, PAD:-PAD], path))


@pytest.mark.parametrize("radius", [0, 0.9, 1, 1.5, 2, 3, 4.8, 12, 30])
def test_disks_are_all_centres_within_the_distance(radius):
    rng = np.random.default_rng(int(radius * 10))
    for _ in range(20):
        mask = rng.random(rng.integers(1, 40, 2)) < rng.choice([0.002, 0.03])
        expected = distance_transform_edt(~mask) <= radius if mask.any() else mask
        np.testing.assert_array_equal(dilated(mask, radius), expected)


def test_an_area_around_the_cell_fills_it():
    lake = shapely.box(ULX - 40_000, ULY - 40_000, ULX + 40_000, ULY + 40_000)
    labels = burned([("lake", "area", lake)])
    assert (labels[1] == 12).all()
    assert (labels[0] == 254).all() and (labels[2] == 254).all()


def test_none_needs_areas_that_nothing_contradicts():
    everywhere = shapely.box(ULX - 100, ULY - 400, ULX + 400, ULY + 100)
    left = shapely.box(ULX - 100, ULY - 400, ULX + 120, ULY + 100)
    # lines are no evidence, nor is the ground that a line's dilation covers
    path = shapely.LineString([(ULX - 50, ULY - 122), (ULX + 300, ULY - 122)])
    assert not (burned([("alley", "line", path)]) == 254).any()
    # barns stand on farmyards, but no water
    yard = burned([("farmyard", "area", everywhere)])
    assert (yard[2] == 255).all() and (yard[1] == 254).all()
    # not even where they lie in a meadow, though farmyards and meadows are of one category
    yard = burned([("meadow", "area", everywhere), ("farmyard", "area", left)])
    assert (yard[0] == 1).all() and (yard[2, :, :13] == 255).all() and (yard[2, :, 13:] == 254).all()
    # a town drawn over a wood: no claim that it has no houses, and the wood's claim ends a pixel before it
    both = burned([("wood", "area", everywhere), ("town", "area", left)])
    assert (both[0, :, :12] == 2).all() and (both[0, :, 12:] == 0).all()
    assert (both[2, :, :13] == 255).all() and (both[2, :, 13:] == 254).all()
    # empty ground is unlabeled, and a cemetery is none in land use only
    assert (burned([]) == 255).all()
    grave = burned([("cemetery", "area", left)])
    assert (grave[0, :, :12] == 254).all() and (grave[0, :, 12:] == 255).all() and (grave[1:] == 255).all()


def test_no_pixel_is_none_beside_a_positive_one():
    wood = shapely.box(ULX - 100, ULY - 400, ULX + 400, ULY + 100)
    house = shapely.box(ULX + 101, ULY - 109, ULX + 109, ULY - 101)
    labels = burned([("wood", "area", wood), ("villa", "point", house.centroid)])
    x, y = np.meshgrid(np.arange(24) - 10, np.arange(24) - 10)
    # the house's pixel, around it 30 m of town, whose own evidence is of water alone and shrinks the wood's by a pixel
    assert np.argwhere(labels[2] == 14).tolist() == [[10, 10]]
    town = np.hypot(x, y) <= 3
    np.testing.assert_array_equal(labels[0] == 2, town)
    # without the town a ring of 10 m is left around the hut, which with its 4 m touches nine pixels
    hut = burned([("wood", "area", wood), ("hut", "area", house)])
    block = (np.abs(x) <= 1) & (np.abs(y) <= 1)
    np.testing.assert_array_equal(hut[2] == 14, block)
    ring = ((np.abs(x) <= 2) & (np.abs(y) <= 1)) | ((np.abs(x) <= 1) & (np.abs(y) <= 2))
    np.testing.assert_array_equal(hut[2] == 255, ring & ~block)
    assert (hut[2][~ring] == 254).all()
    # explicit rules are guarded, too: 20 m in land use
    pitch = shapely.box(ULX + 100, ULY - 110, ULX + 110, ULY - 100)
    grave = burned([("cemetery", "area", wood), ("pitch", "area", pitch)])[0]
    np.testing.assert_array_equal(grave == 254, np.hypot(x, y) > 2)


def test_implied_categories_are_burned_at_their_own_precedence():
    ground = shapely.box(ULX + 50, ULY - 150, ULX + 150, ULY - 50)
    labels = burned([("yard", "area", ground)])
    inside = labels[0] == 3
    assert inside.sum() == 100 and ((labels[1] == 16) == inside).all() and (labels[2] == 255).all()
    # a pitch outranks the yard, which is a basin all the same
    both = burned([("yard", "area", ground), ("pitch", "area", ground)])
    assert ((both[0] == 5) == inside).all() and ((both[1] == 16) == inside).all()
    mill = burned([("mill", "area", ground)])
    assert ((mill[2] == 15) == (mill[0] == 3)).all() and ((mill[2] == 15) == (mill[1] == 16)).all()
    assert (mill[2] == 15).sum() > 200


def test_hidden_objects_are_not_burned_unless_the_ontology_keeps_them():
    stated = {
        "name": "roads", "version": 1, "channels": [{"name": "ways"}],
        "categories": [{**category("road", "ways", 1, 1), "rules": [{"tags": {"highway": "*"}, "kinds": ["line"]}]}],
    }  # fmt: skip
    path = to_lonlat(shapely.LineString([(ULX + 5, ULY - 5), (ULX + 200, ULY - 5)]))
    tags = ['{"highway":"primary","tunnel":"yes"}', '{"highway":"primary"}']
    tunnel, road = (
        gpd.GeoDataFrame({"kind": ["line"], "tags": [each]}, geometry=[path], crs="EPSG:4326") for each in tags
    )

    def pixels(features: gpd.GeoDataFrame, drop: bool) -> int:
        ontology = Ontology.model_validate({**stated, "drop_hidden": drop})
        return int((Burner(ontology, features, EPSG, STEP).cell(ULX, ULY, SIZE) == 1).sum())

    assert pixels(road, True) == pixels(road, False) == pixels(tunnel, False) == 21
    assert pixels(tunnel, True) == 0


def test_cells_must_lie_on_the_pixel_grid():
    with pytest.raises(ValueError, match="grid of 10 m"):
        Burner(ONTOLOGY, frame([]), EPSG, STEP).cell(ULX + 5, ULY, SIZE)


def test_a_polygon_of_half_the_world_is_projected():
    world = gpd.GeoDataFrame(
        {"kind": ["area"], "tags": ['{"what":"lake"}']}, geometry=[shapely.box(-120, -60, 120, 80)], crs="EPSG:4326"
    )
    assert (Burner(ONTOLOGY, world, EPSG, STEP).cell(ULX, ULY, 240)[1] == 12).all()
