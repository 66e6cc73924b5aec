"""An area of interest that is given later takes the place of a recipe's, whatever kind either is."""

from typing import Any

import pytest

from tilewright.config.load import with_last_area

BOX = {"aoi": {"bbox": [1, 2, 3, 4]}, "seed": 1}
CITIES = {"aoi": {"cities": {"table": "geonames", "locations": 10}}}


@pytest.mark.parametrize(
    ("merged", "given", "left"),
    [
        ({"bbox": [1, 2, 3, 4], "file": "a.gpkg"}, [BOX, {"aoi": {"file": "a.gpkg"}}], {"file": "a.gpkg"}),
        ({"bbox": [5, 6, 7, 8]}, [BOX, {"aoi": {"bbox": [5, 6, 7, 8]}}], {"bbox": [5, 6, 7, 8]}),
        (CITIES["aoi"], [CITIES, {"aoi": {"cities": {"locations": 10}}}], CITIES["aoi"]),
        ({"bbox": [1, 2, 3, 4]}, [BOX, {}], {"bbox": [1, 2, 3, 4]}),
        ({"bbox": [1], "tiles": ["32TNT"]}, [{"aoi": {"bbox": [1], "tiles": ["32TNT"]}}], {"bbox": [1], "tiles": ["32TNT"]}),
        ({"bbox": [1], "tils": ["32TNT"]}, [BOX, {"aoi": {"tils": ["32TNT"]}}], {"bbox": [1], "tils": ["32TNT"]}),
    ],
    ids=["another kind", "the same kind", "a part of it", "nothing said", "two kinds at once stay", "a slip stays"],
)  # fmt: skip
def test_the_last_area_counts(merged: dict[str, Any], given: list[dict[str, Any]], left: dict[str, Any]):
    assert with_last_area({"seed": 1, "aoi": merged}, given) == {"seed": 1, "aoi": left}
