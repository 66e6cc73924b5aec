"""Categories that burn by coverage, against shapely's areas of intersections."""

import json

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely

from tilewright.vector.burn import Burner
from tilewright.vector.ontology import Ontology

EPSG, ULX, ULY, SIDE = 32632, 538_560.0, 5_221_440.0, 24
COLUMN, ROW = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
SQUARES = shapely.box(ULX + COLUMN * 10, ULY - ROW * 10 - 10, ULX + COLUMN * 10 + 10, ULY - ROW * 10)
VALUE = {"wheat": 1, "maize": 2, "grass": 3}
RANK = {1: 1, 2: 9, 3: 5, 255: -1}


def category(name: str, **more: object) -> dict[str, object]:
    crop = {"channel": "crop", "value": VALUE[name], "precedence": RANK[VALUE[name]], "burn": "coverage"}
    return {"name": name, "colour": "#000000", "rules": [{"attributes": {"what": name}}], **crop, **more}


ONTOLOGY = Ontology.model_validate({
    "name": "parcels", "version": 1, "channels": [{"name": "crop"}, {"name": "green", "guard_m": 0}],
    "categories": [
        category("wheat"), category("maize", implies=["tall"]), category("grass", implies_none=["green"]),
        {"name": "tall", "channel": "green", "value": 7, "precedence": 1, "colour": "#000000", "rules": []},
    ],
})  # fmt: skip


def burned(features: list[tuple[str, shapely.Geometry]]) -> np.ndarray:
    back = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True)
    made = [
        shapely.transform(area, lambda xy: np.column_stack(back.transform(xy[:, 0], xy[:, 1]))) for _, area in features
    ]
    tags = [json.dumps({"what": what}) for what, _ in features]
    frame = gpd.GeoDataFrame({"kind": "area", "tags": tags}, geometry=made, crs="EPSG:4326")
    return Burner(ONTOLOGY, frame, EPSG, 10).cell(ULX, ULY, SIDE * 10)


@pytest.mark.parametrize("seed", range(15))
def test_a_pixel_is_of_the_feature_that_covers_most_of_it(seed):
    rng = np.random.default_rng(seed)
    features, most, expected = [], np.zeros((SIDE, SIDE)), np.full((SIDE, SIDE), 255)
    for _ in range(rng.integers(1, 40)):
        what = str(rng.choice(sorted(VALUE)))
        at, size = rng.uniform((ULX, ULY - 240), (ULX + 240, ULY)), rng.choice([8, 30, 90])
        area = shapely.convex_hull(shapely.MultiPoint(at + rng.uniform(-size, size, (6, 2))))
        features.append((what, area))
        share = np.round(shapely.area(shapely.intersection(SQUARES, area)) / 100, 8)
        outranks = np.vectorize(RANK.get)(expected) < RANK[VALUE[what]]
        better = (share > most) | ((share == most) & (share > 0) & outranks)
        most[better], expected[better] = share[better], VALUE[what]
    labels = burned(features)
    np.testing.assert_array_equal(labels[0], expected)
    np.testing.assert_array_equal(labels[1] == 7, expected == 2)


def test_equal_shares_go_to_the_higher_precedence():
    left = shapely.box(ULX, ULY - 240, ULX + 95, ULY)
    right = shapely.box(ULX + 95, ULY - 240, ULX + 240, ULY)
    for one, other in (("wheat", "maize"), ("maize", "wheat")):
        labels = burned([(one, left), (other, right)])
        assert (labels[0, 1:-1, 9] == 2).all()
        assert (labels[0, :, :9] == VALUE[one]).all() and (labels[0, 1:-1, 10:] == VALUE[other]).all()


def test_evidence_of_none_is_by_centre_and_where_the_category_wins():
    lawn = shapely.box(ULX - 100, ULY - 400, ULX + 400, ULY + 100)
    field = shapely.box(ULX + 52, ULY - 400, ULX + 400, ULY + 100)
    assert (burned([("grass", lawn)])[1] == 254).all()
    labels = burned([("grass", lawn), ("maize", field)])
    # the lawn holds the field's first column wholly, the field four fifths of it; beyond, both hold all: maize outranks
    assert (labels[0, :, :6] == 3).all() and (labels[0, :, 6:] == 2).all()
    assert (labels[1, :, :5] == 254).all() and (labels[1, :, 5] == 255).all() and (labels[1, :, 6:] == 7).all()
