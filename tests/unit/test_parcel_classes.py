"""Parcels: classes, numbers and ids from attributes, and input that parcels cannot be made of."""

import json

import geopandas as gpd
import numpy as np
import pytest
import shapely

from parcel_truth import ARRAYS, EPSG, LEFT, TOP, crops
from tilewright.errors import TilewrightError
from tilewright.vector.ontology import NONE, UNLABELED, Ontology
from tilewright.vector.parcels import ParcelArrays, ParcelBurner

CELL_M = 240


def box(west: float, north: float, east: float, south: float) -> shapely.Polygon:
    """A rectangle, in metres east and south of the first cell's upper-left corner."""
    return shapely.box(LEFT + west, TOP - south, LEFT + east, TOP - north)


def same(one: ParcelArrays, other: ParcelArrays) -> bool:
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ARRAYS)


def frame(*rows: tuple[shapely.Geometry, int, dict[str, str]], kind: str = "area") -> gpd.GeoDataFrame:
    geometry = gpd.GeoSeries([row[0] for row in rows], crs=EPSG).to_crs(4326)
    columns = {
        "source_id": [row[1] for row in rows],
        "kind": kind,
        "tags": [json.dumps(row[2], sort_keys=True) for row in rows],
    }
    return gpd.GeoDataFrame(columns, geometry=geometry.to_numpy(), crs=4326)


def burn(features: gpd.GeoDataFrame, ontology: Ontology | None = None, values: tuple[str, ...] = ()) -> ParcelArrays:
    ((_, arrays),) = ParcelBurner(ontology or crops(), features, EPSG, 10, values).cells(
        np.array([LEFT]), np.array([TOP]), CELL_M
    )
    return arrays


def changed_ontology(**changes: object) -> Ontology:
    return Ontology.model_validate({**crops(2).model_dump(exclude_unset=True), **changes})


def test_an_unknown_class_has_its_pixels_without_a_label_and_claims_them() -> None:
    left, right, middle = box(0, 0, 106, 240), box(106, 0, 240, 240), box(100, 0, 110, 10)
    features = frame((left, 1, {"CODE": "K1"}), (right, 2, {"CODE": "X"}), (middle, 3, {"CODE": "Y"}))
    arrays = burn(features)
    assert arrays.labels[0, 0, 9:12].tolist() == [1, UNLABELED, UNLABELED]
    assert arrays.instance[0, 9:12].tolist() == [1, 3, 2]
    assert arrays.labels[0, 1, 10] == 1  # of 0.6 against 0.4
    assert (arrays.claims[:, 10] == 1).all() and not arrays.claims_same.any()
    twice = burn(frame((left, 1, {"CODE": "X"}), (right, 2, {"CODE": "X"})))
    assert (twice.claims_same[:, 10] == 1).all() and not twice.claims.any()
    # With a rule for it the pixels stay where they were.
    known = burn(features, changed_ontology(unlabeled=[{"attributes": {"CODE": ["X", "Y"]}}]))
    assert same(arrays, known)


def test_none_rules_and_precedence() -> None:
    ontology = changed_ontology(channels=[{"name": "crop", "none": [{"attributes": {"USE": ["road", "field"]}}]}])
    arrays = burn(
        frame(
            (box(0, 0, 10, 10), 1, {"CODE": "W", "USE": "road"}),
            (box(10, 0, 20, 10), 2, {"CODE": "K1", "USE": "field"}),
        ),
        ontology,
    )
    assert arrays.labels[0, 0, :3].tolist() == [NONE, 1, UNLABELED]
    both = crops(2).model_dump(exclude_unset=True)
    both["categories"][0]["rules"].append({"attributes": {"USE": ["field"]}})
    arrays = burn(frame((box(0, 0, 10, 10), 2, {"CODE": "K1", "USE": "field"})), Ontology.model_validate(both))
    assert arrays.labels[0, 0, 0] == 1  # of crop0 and crop1 the higher precedence


def test_values_are_those_of_the_parcel() -> None:
    features = frame(
        (box(0, 0, 14, 10), 1, {"CODE": "K1", "yield": "7.25", "n": "-3"}),
        (box(14, 0, 30, 10), 2, {"CODE": "K1", "n": "1e3"}),
    )
    values = burn(features, values=("yield", "n")).values
    assert values.dtype == np.float32 and values.shape == (2, 24, 24)
    np.testing.assert_array_equal(values[:, 0, :4], [[7.25, np.nan, np.nan, np.nan], [-3, 1000, 1000, np.nan]])
    assert np.isnan(values[:, 1:]).all()
    assert burn(features).values.shape == (0, 24, 24)


def test_a_value_that_is_no_number_is_named() -> None:
    with pytest.raises(TilewrightError, match="parcel 4: yield is 'much', no number"):
        burn(frame((box(0, 0, 10, 10), 4, {"CODE": "K1", "yield": "much"})), values=("yield",))


def test_ids_must_name_parcels() -> None:
    square = box(0, 0, 10, 10)
    for wrong in (0, -5, 2**32):
        with pytest.raises(TilewrightError, match=f"parcel {wrong}: ids of parcels are from 1 to 4294967295"):
            burn(frame((square, wrong, {}), (square, 1, {})))
    with pytest.raises(TilewrightError, match="parcel 3: two parcels have this id"):
        burn(frame((square, 3, {}), (square, 2, {}), (square, 3, {})))


def test_ontologies_that_parcels_cannot_follow_are_refused() -> None:
    features = frame((box(0, 0, 10, 10), 1, {"CODE": "K1"}))
    crop = {
        "name": "crop1",
        "channel": "crop",
        "value": 1,
        "colour": "#00ff00",
        "rules": [{"attributes": {"CODE": "K1"}}],
    }
    organic = {**crop, "name": "organic", "channel": "other", "value": 2, "rules": [{"attributes": {"ECO": "yes"}}]}
    wide = {**crop, "rules": [{"attributes": {"CODE": "K1"}, "dilate_m": 20}]}
    for changes, message in (
        ({"categories": [{**crop, "burn": "touched"}]}, "category crop1: burn: touched is not for parcels"),
        (
            {"categories": [crop, organic], "channels": [{"name": "crop"}, {"name": "other"}]},
            "has 2 channels, parcels need one",
        ),
        ({"categories": [wide]}, "dilate_m is not for parcels"),
    ):
        with pytest.raises(TilewrightError, match=message):
            burn(features, changed_ontology(**changes))


def test_no_parcels_and_things_that_are_none() -> None:
    line = frame((shapely.LineString([(LEFT, TOP), (LEFT + 100, TOP - 100)]), 1, {"CODE": "K1"}), kind="line")
    assert ParcelBurner(crops(), line, EPSG, 10).ignored == 1
    for features in (line, line.iloc[:0]):
        arrays = burn(features, values=("yield",))
        assert (arrays.labels == UNLABELED).all() and np.isnan(arrays.distance).all() and np.isnan(arrays.values).all()
        assert not any(array.any() for array in (arrays.instance, arrays.coverage, arrays.claims, arrays.claims_same))


def test_southern_zones_and_fine_pixels() -> None:
    epsg, ulx, uly = 32735, 300_000, 6_680_000
    shape = shapely.box(ulx + 10.5, uly - 31, ulx + 21, uly - 20.25)
    lonlat = gpd.GeoSeries([shape], crs=epsg).to_crs(4326)
    features = gpd.GeoDataFrame(
        {"source_id": [9], "kind": "area", "tags": '{"CODE": "K3"}'}, geometry=lonlat.to_numpy(), crs=4326
    )
    ((_, arrays),) = ParcelBurner(crops(), features, epsg, 0.5).cells(np.array([ulx]), np.array([uly]), 60)
    expected = np.zeros((120, 120))
    expected[41:62, 21:42] = 1
    expected[40, 21:42] = 0.5
    np.testing.assert_allclose(arrays.coverage, expected, atol=1e-6)
    np.testing.assert_array_equal(arrays.labels[0] == 3, expected > 0)
