"""The stage `features`: which ground, which objects, what the table says about itself."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pyproj
import pytest
import shapely
from osmium.osm.mutable import Node, Way

from tilewright.config.label_sets import OsmFile, Overpass
from tilewright.config.label_settings import AskSettings, FeaturesSettings, SourceSettings
from tilewright.errors import TilewrightError
from tilewright.grid.boxes import cells_boxes
from tilewright.stages import features as stage
from tilewright.stages.ask import make_asked
from tilewright.stages.features import MARGIN_M, make_features
from tilewright.stages.source import ODBL_NOTICE, make_source
from tilewright.store import read_table, table_metadata, write_table
from tilewright.store.features import read_arrow

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


def cut(cells: Path, pbf: Path, output: Path, sets: tuple[str, ...] = ("osm",), **more) -> gpd.GeoDataFrame:
    """Normalise `pbf`, cut it to the cells for each of the label sets, and read the result."""
    source = output.with_name("region.parquet")
    make_source(SourceSettings(source=OsmFile(kind="pbf", path=str(pbf), **more)), source)
    make_features(cells, {"region": source}, FeaturesSettings(sources=dict.fromkeys(sets, "region")), output)
    return read_table(output)


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
    table = cut(cells, pbf, tmp_path / "features.parquet")
    assert table["source_id"].tolist() == [1, 3, 5, 6]
    assert table["kind"].tolist() == ["area", "area", "area", "line"]
    assert list(table.columns) == ["label_set", "source_type", "source_id", "kind", "tags", "geometry"]
    assert table.crs.to_epsg() == 4326
    assert table.geometry.iloc[2].area == pytest.approx(0.048, rel=0.1)  # whole, not cut


def test_metadata(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    ways = [
        (1, {"building": "house"}, square(ULX, ULY - 900, 10)),
        (2, {"building": "yes"}, square(ULX, ULY - 90_000, 10)),
    ]
    pbf = write_pbf(tmp_path / "a.osm.pbf", [*ways, (3, {"highway": "path"}, [(ULX, ULY)] * 2)], box=(9, 47, 10, 48))
    cut(cells, pbf, tmp_path / "features.parquet")
    document = table_metadata(tmp_path / "features.parquet")
    assert document["margin_m"] == MARGIN_M == 640
    said = document["label_sets"]["osm"]
    ((west, south, east, north),) = cells_boxes(read_table(cells), MARGIN_M)
    assert shapely.from_wkt(said.pop("extent")).equals(shapely.box(west, south, east, north))  # clipped to the boxes
    assert said == {
        "source": "a.osm.pbf", "kind": "pbf", "snapshot": None, "counts": {"area": 1, "line": 0, "point": 0},
        "rejects": {"no_length": 1}, "repaired": 0, "notice": ODBL_NOTICE,
    }  # fmt: skip
    half = (9.0, 47.0, (west + east) / 2, 48.0)
    cut(cells, pbf, tmp_path / "features.parquet", extent=half)
    extent = shapely.from_wkt(table_metadata(tmp_path / "features.parquet")["label_sets"]["osm"]["extent"])
    assert extent.bounds == pytest.approx((west, south, half[2], north), abs=1e-12)
    cut(cells, pbf, tmp_path / "features.parquet", extent=(1.0, 1.0, 2.0, 2.0))
    assert table_metadata(tmp_path / "features.parquet")["label_sets"]["osm"]["extent"] == "POLYGON EMPTY"
    bare = write_pbf(tmp_path / "a.osm.pbf", ways)
    cut(cells, bare, tmp_path / "features.parquet")
    assert table_metadata(tmp_path / "features.parquet")["label_sets"]["osm"]["extent"] is None


def test_rows_are_those_of_the_source(tmp_path):
    corners = [(ULX, ULY), (ULX + 5_760, ULY - 3_840)]
    cells = write_cells(tmp_path / "cells.parquet", corners)
    ways = [(n, {"building": str(n)}, square(ULX + 97 * n - 9_000, ULY - 41 * n, 10 + n)) for n in range(1, 180)]
    table = cut(cells, write_pbf(tmp_path / "a.osm.pbf", ways), tmp_path / "features.parquet")
    assert 50 < len(table) < 179
    near = read_arrow(tmp_path / "region.parquet", cells_boxes(read_table(cells), MARGIN_M)).to_pandas()
    near = gpd.GeoDataFrame(near.drop(columns="bbox"), geometry=shapely.from_wkb(near["geometry"]), crs=4326)
    assert table.drop(columns="label_set").equals(near)
    assert sorted(gpd.read_parquet(tmp_path / "features.parquet")["source_id"]) == table["source_id"].tolist()
    few = gpd.read_parquet(tmp_path / "features.parquet", bbox=near.geometry.iloc[3].bounds)
    assert 0 < len(few) < len(table)


def test_two_label_sets_and_same_bytes(tmp_path, monkeypatch):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    pbf = write_pbf(
        tmp_path / "a.osm.pbf", [(n, {"building": "yes"}, square(ULX + 20 * n, ULY - 900, 10)) for n in range(1, 9)]
    )
    read = []
    monkeypatch.setattr(stage, "read_arrow", lambda *a, _read=stage.read_arrow: read.append(1) or _read(*a))
    table = cut(cells, pbf, tmp_path / "one", ("zeta", "alpha"))
    assert len(read) == 1  # once for both
    cut(cells, pbf, tmp_path / "two", ("alpha", "zeta"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert table["label_set"].tolist() == ["alpha"] * 8 + ["zeta"] * 8
    assert table["source_id"].tolist() == [*range(1, 9)] * 2


def test_tile_without_cells(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [])
    pbf = write_pbf(tmp_path / "a.osm.pbf", [(1, {"building": "house"}, square(ULX, ULY, 10))], box=(9, 47, 10, 48))
    table = cut(cells, pbf, tmp_path / "features.parquet")
    assert len(table) == 0
    assert list(table.columns) == ["label_set", "source_type", "source_id", "kind", "tags", "geometry"]
    said = table_metadata(tmp_path / "features.parquet")
    assert said["reason"] == "the tile has no cells"
    assert said["label_sets"]["osm"]["counts"] == {"area": 0, "line": 0, "point": 0}
    # An API is not asked.
    api = Overpass(kind="overpass", url="http://127.0.0.1:9/api")
    make_asked(cells, AskSettings(source=api), tmp_path / "asked.parquet")
    said = table_metadata(tmp_path / "asked.parquet")
    assert (said["kind"], said["source"]) == ("overpass", "127.0.0.1:9")


def test_no_feature_sources(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    make_features(cells, {}, FeaturesSettings(sources={}), tmp_path / "features.parquet")
    assert len(read_table(tmp_path / "features.parquet")) == 0
    assert table_metadata(tmp_path / "features.parquet")["label_sets"] == {}


def test_cells_without_features(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    pbf = write_pbf(tmp_path / "a.osm.pbf", [(1, {"building": "house"}, square(ULX - 50_000, ULY, 10))])
    table = cut(cells, pbf, tmp_path / "features.parquet")
    assert len(table) == 0 and "reason" not in table_metadata(tmp_path / "features.parquet")


@pytest.mark.parametrize(("epsg", "lon"), [(32701, 179.9), (32760, -179.9)])
def test_antimeridian(tmp_path, epsg, lon):
    # Two cells of one tile, one on each side of ±180.
    to_utm = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    x, y = to_utm.transform(180.0, -17.0)
    corners = [(round(x) - 5_000, round(y)), (round(x) + 3_000, round(y))]
    cells = write_cells(tmp_path / "cells.parquet", corners, epsg)
    boxes = cells_boxes(read_table(cells), MARGIN_M)
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
    assert cut(cells, pbf, tmp_path / "features.parquet")["source_id"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("epsg", "ulx", "uly"), [(32632, 300_000, 5_300_040), (32733, 499_980, 10_000_000), (32633, 600_000, 9_000_000)]
)
def test_box_holds_all_cells_and_the_margin(epsg, ulx, uly, tmp_path):
    corners = [(ulx, uly), (ulx + 107_520, uly), (ulx, uly - 107_520), (ulx + 107_520, uly - 107_520)]
    ((west, south, east, north),) = cells_boxes(
        read_table(write_cells(tmp_path / "cells.parquet", corners, epsg)), MARGIN_M
    )
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


def test_bad_sources(tmp_path):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY)])
    pbf = write_pbf(tmp_path / "a.osm.pbf", [(1, {"building": "house"}, square(ULX, ULY - 900, 10))])
    cut(cells, pbf, tmp_path / "features.parquet")
    (tmp_path / "features.parquet").unlink()
    source = tmp_path / "region.parquet"
    settings = FeaturesSettings(sources={"osm": "region"})

    def refused(sources: dict[str, Path], match: str) -> None:
        with pytest.raises(TilewrightError, match=match):
            make_features(cells, sources, settings, tmp_path / "features.parquet")

    refused({}, r"labels\.osm: region\.parquet was not handed over")
    refused({"region": tmp_path / "none.parquet"}, r"none\.parquet is missing: run the rule")
    write_table(read_table(source), source, {"format": "tilewright-features-0"})
    refused({"region": source}, r"region\.parquet is of another version: delete it and run again")
    source.write_bytes(source.read_bytes()[:-100])
    refused({"region": source}, r"region\.parquet cannot be read .* delete it and run again")
    with pytest.raises(TilewrightError, match=r"absent\.parquet is missing"):
        make_features(tmp_path / "absent.parquet", {"region": source}, settings, tmp_path / "features.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"cells.parquet", "a.osm.pbf", "region.parquet"}
