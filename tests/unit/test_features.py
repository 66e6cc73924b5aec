"""The stage `features`: which ground, which objects, what the table says about itself."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pyproj
import pytest
import shapely
from osmium.osm.mutable import Node, Way

from tilewright.config.label_settings import FeaturesSettings
from tilewright.config.model import LabelSource
from tilewright.errors import TilewrightError
from tilewright.stages.features import MARGIN_M, cells_boxes, make_features
from tilewright.store import read_table, table_metadata, write_table

EPSG, ULX, ULY = 32632, 538_560, 5_221_440


def write_cells(path: Path, corners: list[tuple[int, int]], epsg: int = EPSG, size_m: int = 1920) -> Path:
    back = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    boxes = [shapely.box(ulx, uly - size_m, ulx + size_m, uly) for ulx, uly in corners]
    table = gpd.GeoDataFrame(
        {
            "cell_id": np.array([f"32TNT-{at}" for at in range(len(corners))], dtype=object), "tile": "32TNT",
            "epsg": np.full(len(corners), epsg, dtype=np.int32),
            "ulx": np.array([corner[0] for corner in corners], dtype=np.int32),
            "uly": np.array([corner[1] for corner in corners], dtype=np.int32),
            "size_m": np.full(len(corners), size_m, dtype=np.int32),
        },
        geometry=[shapely.transform(box, lambda xy: np.column_stack(back.transform(xy[:, 0], xy[:, 1]))) for box in boxes],
        crs="EPSG:4326",
    )  # fmt: skip
    write_table(table, path, {})
    return path


def write_pbf(
    path: Path, ways: list[tuple[int, dict[str, str], list[tuple[float, float]]]], box=None, epsg: int = EPSG
) -> Path:
    """`ways`: id, tags, UTM corners."""
    back = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    header = osmium.io.Header()
    if box:
        header.add_box(osmium.osm.Box(*box))
    nodes: dict[tuple[float, float], int] = {}
    made = [
        Way(id=number, tags=tags, nodes=[nodes.setdefault(c, len(nodes) + 1) for c in corners])
        for number, tags, corners in ways
    ]
    with osmium.SimpleWriter(str(path), header=header, overwrite=True) as writer:
        for corner, number in nodes.items():
            writer.add_node(Node(id=number, location=back.transform(*corner)))
        for way in sorted(made, key=lambda way: way.id):
            writer.add_way(way)
    return path


def square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]


def settings(path: Path, **more) -> FeaturesSettings:
    return FeaturesSettings(sources={"osm": LabelSource(kind="pbf", path=str(path), **more)})


def test_margin_and_enclosing_areas(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    near, far = MARGIN_M - 20, MARGIN_M + 120
    pbf = write_pbf(
        tmp_path / "a.osm.pbf",
        [
            (1, {"building": "house"}, square(ULX - near, ULY - 900, 10)),
            (2, {"building": "house"}, square(ULX - far, ULY - 900, 10)),
            (3, {"building": "house"}, square(ULX + 900, ULY + near - 10, 10)),
            (4, {"building": "house"}, square(ULX + 900, ULY + far, 10)),
            (5, {"natural": "wood"}, square(ULX - 9_000, ULY - 9_000, 20_000)),
            (6, {"highway": "track"}, [(ULX - 5_000, ULY - 5_000), (ULX + 5_000, ULY + 5_000)]),
        ],
    )
    make_features(cells, settings(pbf), tmp_path / "features.parquet")
    table = read_table(tmp_path / "features.parquet")
    assert table["osm_id"].tolist() == [1, 3, 5, 6]
    assert table["kind"].tolist() == ["area", "area", "area", "line"]
    assert list(table.columns) == ["label_set", "osm_type", "osm_id", "kind", "tags", "geometry"]
    assert table.crs.to_epsg() == 4326
    assert table.geometry.iloc[2].area == pytest.approx(0.048, rel=0.1)  # whole, not cut


def test_metadata(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    pbf = write_pbf(
        tmp_path / "a.osm.pbf", [(1, {"building": "house"}, square(ULX, ULY - 900, 10))], box=(9, 47, 10, 48)
    )
    make_features(cells, settings(pbf), tmp_path / "features.parquet")
    said = table_metadata(tmp_path / "features.parquet")["label_sets"]["osm"]
    assert said == {
        "source": "a.osm.pbf", "kind": "pbf", "snapshot": None, "extent": [9.0, 47.0, 10.0, 48.0],
        "counts": {"area": 1, "line": 0, "point": 0}, "rejects": {}, "repaired": 0,
    }  # fmt: skip
    make_features(cells, settings(pbf, extent=(9.5, 47.1, 9.6, 47.2)), tmp_path / "features.parquet")
    assert table_metadata(tmp_path / "features.parquet")["label_sets"]["osm"]["extent"] == [9.5, 47.1, 9.6, 47.2]


def test_two_label_sets_and_same_bytes(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    pbf = write_pbf(
        tmp_path / "a.osm.pbf", [(n, {"building": "yes"}, square(ULX + 20 * n, ULY - 900, 10)) for n in range(1, 9)]
    )
    source = LabelSource(kind="pbf", path=str(pbf))
    for name in ("one", "two"):
        make_features(cells, FeaturesSettings(sources={"zeta": source, "alpha": source}), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    table = read_table(tmp_path / "one")
    assert table["label_set"].tolist() == ["alpha"] * 8 + ["zeta"] * 8
    assert table["osm_id"].tolist() == [*range(1, 9)] * 2


def test_tile_without_cells(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [])
    make_features(cells, settings(tmp_path / "never-read.osm.pbf"), tmp_path / "features.parquet")
    table = read_table(tmp_path / "features.parquet")
    assert len(table) == 0
    assert list(table.columns) == ["label_set", "osm_type", "osm_id", "kind", "tags", "geometry"]
    said = table_metadata(tmp_path / "features.parquet")
    assert said["reason"] == "the tile has no cells, so the sources were not read"
    assert said["label_sets"]["osm"]["counts"] == {"area": 0, "line": 0, "point": 0}


def test_cells_without_features(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    pbf = write_pbf(tmp_path / "a.osm.pbf", [(1, {"building": "house"}, square(ULX - 50_000, ULY, 10))])
    make_features(cells, settings(pbf), tmp_path / "features.parquet")
    table = read_table(tmp_path / "features.parquet")
    assert len(table) == 0 and "reason" not in table_metadata(tmp_path / "features.parquet")


@pytest.mark.parametrize(("epsg", "lon"), [(32701, 179.9), (32760, -179.9)])
def test_antimeridian(tmp_path, epsg, lon):
    # Two cells of one tile, one on each side of ±180.
    to_utm = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    x, y = to_utm.transform(180.0, -17.0)
    corners = [(round(x) - 5_000, round(y)), (round(x) + 3_000, round(y))]
    cells = write_cells(tmp_path / "cells.parquet", corners, epsg)
    boxes = cells_boxes(read_table(cells))
    assert [(round(west, 1), round(east, 1)) for west, _, east, _ in boxes] == [(179.9, 180.0), (-180.0, -179.9)]
    pbf = write_pbf(
        tmp_path / "a.osm.pbf",
        [
            (1, {"building": "house"}, square(corners[0][0] + 100, corners[0][1] - 300, 10)),
            (2, {"building": "house"}, square(corners[1][0] + 100, corners[1][1] - 300, 10)),
            (3, {"building": "house"}, square(corners[1][0] + 30_000, corners[1][1] - 300, 10)),
        ],
        epsg=epsg,
    )
    make_features(cells, settings(pbf), tmp_path / "features.parquet")
    assert read_table(tmp_path / "features.parquet")["osm_id"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("epsg", "ulx", "uly"), [(32632, 300_000, 5_300_040), (32733, 499_980, 10_000_000), (32633, 600_000, 9_000_000)]
)
def test_box_holds_all_cells_and_the_margin(epsg, ulx, uly, tmp_path):
    corners = [(ulx, uly), (ulx + 107_520, uly), (ulx, uly - 107_520), (ulx + 107_520, uly - 107_520)]
    ((west, south, east, north),) = cells_boxes(read_table(write_cells(tmp_path / "cells.parquet", corners, epsg)))
    rng = np.random.default_rng(3)
    side = 107_520 + 1_920 + 2 * MARGIN_M
    edge = rng.uniform(0, side, 4_000)
    at = np.where(rng.random(4_000) < 0.5, 0.0, side)
    swap = rng.random(4_000) < 0.5
    x, y = np.where(swap, edge, at), np.where(swap, at, edge)
    lon, lat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(ulx - MARGIN_M + x, uly + MARGIN_M - y)
    assert west <= lon.min() and lon.max() <= east and south <= lat.min() and lat.max() <= north
    assert (
        lon.min() - west < 0.001
        and east - lon.max() < 0.001
        and lat.min() - south < 0.001
        and north - lat.max() < 0.001
    )


def test_osm_xml_source(shared_data, tmp_path):
    x, y = pyproj.Transformer.from_crs(4326, 32635, always_xy=True).transform(26.243, 50.6136)
    cells = write_cells(tmp_path / "cells.parquet", [(round(x) - 960, round(y) + 960)], 32635)
    source = LabelSource(kind="osm_xml", path=str(shared_data / "osm" / "small-map.osm"))
    make_features(cells, FeaturesSettings(sources={"osm": source}), tmp_path / "features.parquet")
    table = read_table(tmp_path / "features.parquet")
    assert table["tags"].str.contains('"building":"yes"').any()


def test_broken_source_leaves_nothing(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    (tmp_path / "bad.osm.pbf").write_bytes(b"no")
    with pytest.raises(TilewrightError, match=r"bad\.osm\.pbf"):
        make_features(cells, settings(tmp_path / "bad.osm.pbf"), tmp_path / "features.parquet")
    with pytest.raises(TilewrightError, match="no such file"):
        make_features(cells, settings(tmp_path / "none.osm.pbf"), tmp_path / "features.parquet")
    with pytest.raises(TilewrightError, match=r"absent\.parquet is missing"):
        make_features(tmp_path / "absent.parquet", settings(tmp_path / "none.osm.pbf"), tmp_path / "features.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"cells.parquet", "bad.osm.pbf"}
