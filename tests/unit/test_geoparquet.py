"""GeoParquet says where its degrees are, in words that are the same in every process."""

from pathlib import Path

import geopandas as gpd
import shapely

from tilewright.store import write_table


def test_readers_find_epsg_4326(tmp_path: Path):
    rows = gpd.GeoDataFrame({"name": ["here"]}, geometry=[shapely.Point(12.0, 42.0)], crs=4326)
    write_table(rows, tmp_path / "rows.parquet", {})
    read = gpd.read_parquet(tmp_path / "rows.parquet")
    assert read.crs == "EPSG:4326" and read.crs.to_epsg() == 4326
    # longitude first, as GeoParquet has it whatever the axes of the CRS are
    x, y = read.to_crs(32633).geometry[0].coords[0]
    assert abs(x - 251_554) < 1000 and abs(y - 4_654_131) < 1000
