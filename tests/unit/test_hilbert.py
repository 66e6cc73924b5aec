"""The curve that a source's rows lie on is geopandas'."""

import geopandas as gpd
import numpy as np
import shapely

from tilewright.store.hilbert import hilbert


def test_the_curve_is_geopandas():
    draw = np.random.default_rng(0)
    west, south = draw.uniform(-185, 180, 5000), draw.uniform(-95, 90, 5000)  # some beyond the earth's edges
    boxes = np.column_stack([west, south, west + draw.uniform(0, 9, 5000), south + draw.uniform(0, 9, 5000)])
    boxes[:2] = [-180, -90, -180, -90], [180, 90, 180, 90]
    theirs = gpd.GeoSeries(shapely.box(*boxes.T)).hilbert_distance(total_bounds=(-180, -90, 180, 90), level=16)
    assert hilbert(boxes).dtype == np.uint32 and hilbert(boxes).tolist() == theirs.tolist()
    assert len(hilbert(boxes[:0])) == 0
