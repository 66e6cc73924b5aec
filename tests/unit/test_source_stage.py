"""The stage `source`: one normalised table for all tiles, in the same bytes however it was read; what is said of it."""

import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from osm_cases import SNAPSHOT, cases, write_osm
from tilewright.config.label_sets import OsmFile, VectorFile
from tilewright.config.label_settings import SourceSettings
from tilewright.errors import TilewrightError
from tilewright.stages.source import ODBL_NOTICE, make_source
from tilewright.store import features as store
from tilewright.store import table_metadata
from tilewright.store.batch import Batch
from tilewright.store.features import FeatureWriter, read_arrow

WORLD = [(-180.0, -90.0, 180.0, 90.0)]
ELEMENTS = [element for case in cases().values() for element in case.elements]


def osm(path: Path, kind: str = "pbf", **more) -> SourceSettings:
    return SourceSettings(source=OsmFile(kind=kind, path=str(path), **more))


def many(count: int, seed: int = 1) -> Batch:
    """Squares, lines and points all over the world."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-179, 178, count), rng.uniform(-89, 88, count)
    size = rng.uniform(0.001, 0.5, count)
    kinds = np.array(["area", "line", "point"])[np.arange(count) % 3]
    shapes = shapely.box(x, y, x + size, y + size)
    lines = shapely.linestrings(np.stack([np.column_stack([x, y]), np.column_stack([x + size, y])], axis=1))
    geometry = np.where(kinds == "area", shapes, np.where(kinds == "line", lines, shapely.points(x, y)))
    types = ["way" if kind != "point" else "node" for kind in kinds]
    tags = [f'{{"building":"{each % 7}"}}' for each in range(count)]
    return Batch(types, rng.permutation(count) + 1, kinds.tolist(), tags, geometry)


def cut(batch: Batch, rows: np.ndarray) -> Batch:
    return Batch(
        [batch.source_type[at] for at in rows], batch.source_id[rows], [batch.kind[at] for at in rows],
        [batch.tags[at] for at in rows], batch.geometry[rows],
    )  # fmt: skip


def write(path: Path, *batches: Batch) -> Path:
    with FeatureWriter(path) as writer:
        for batch in batches:
            writer.add(batch)
        writer.finish({"source": "made"})
    return path


def test_osm_source(tmp_path):
    pbf = write_osm(ELEMENTS, tmp_path / "region.osm.pbf")
    make_source(osm(pbf), tmp_path / "osm.parquet")
    table = read_arrow(tmp_path / "osm.parquet", WORLD).to_pandas()
    truth = sorted(
        ((each.source_type, each.source_id, each.kind) for case in cases().values() for each in case.truth),
    )
    assert list(zip(table["source_type"], table["source_id"], table["kind"], strict=True)) == truth
    said = table_metadata(tmp_path / "osm.parquet")
    rejects: dict[str, int] = {}
    for case in cases().values():
        for reason, count in case.rejects.items():
            rejects[reason] = rejects.get(reason, 0) + count
    kinds = [kind for _, _, kind in truth]
    assert said == {
        "format": store.FORMAT, "source": "region.osm.pbf", "kind": "pbf", "snapshot": SNAPSHOT, "rejects": rejects,
        "counts": {kind: kinds.count(kind) for kind in ("area", "line", "point")}, "repaired": 1, "notice": ODBL_NOTICE,
        "extent": said["extent"],
    }  # fmt: skip
    assert shapely.from_wkt(said["extent"]).equals(shapely.box(9.9, 46.9, 10.6, 47.4))
    make_source(osm(pbf, extent=(9.5, 47.1, 9.6, 47.2)), tmp_path / "osm.parquet")
    extent = table_metadata(tmp_path / "osm.parquet")["extent"]
    assert shapely.from_wkt(extent).equals(shapely.box(9.5, 47.1, 9.6, 47.2))
    assert {path.name for path in tmp_path.iterdir()} == {"region.osm.pbf", "osm.parquet"}


def test_formats_give_the_same_rows(tmp_path):
    make_source(osm(write_osm(ELEMENTS, tmp_path / "a.osm.pbf")), tmp_path / "pbf.parquet")
    make_source(osm(write_osm(ELEMENTS, tmp_path / "a.osm"), "osm_xml"), tmp_path / "xml.parquet")
    one, other = (pq.read_table(tmp_path / f"{name}.parquet").replace_schema_metadata() for name in ("pbf", "xml"))
    assert one.equals(other)


def test_vector_source(tmp_path):
    shapes = [shapely.box(9, 47, 10, 48), shapely.box(10, 47, 11, 48)]
    gpd.GeoDataFrame({"crop": ["wheat", None]}, geometry=shapes, crs=4326).to_file(tmp_path / "fields.gpkg")
    source = VectorFile(kind="vector", path=str(tmp_path / "fields.gpkg"), attributes=["crop"], licence="")
    make_source(SourceSettings(source=source), tmp_path / "fields.parquet")
    table = read_arrow(tmp_path / "fields.parquet", WORLD).to_pandas()
    assert table["tags"].tolist() == ['{"crop":"wheat"}', "{}"]
    assert table["source_type"].tolist() == ["row", "row"] and table["source_id"].tolist() == [1, 2]
    said = table_metadata(tmp_path / "fields.parquet")
    assert (said["source"], said["kind"], said["notice"], said["extent"]) == ("fields.gpkg", "vector", None, None)


def test_broken_source_leaves_nothing(tmp_path):
    (tmp_path / "bad.osm.pbf").write_bytes(b"no")
    with pytest.raises(TilewrightError, match=r"bad\.osm\.pbf"):
        make_source(osm(tmp_path / "bad.osm.pbf"), tmp_path / "out.parquet")
    with pytest.raises(TilewrightError, match="no such file"):
        make_source(osm(tmp_path / "none.osm.pbf"), tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.osm.pbf"]


def test_an_object_that_is_there_twice(tmp_path):
    every = many(40)
    moved = cut(every, np.array([7]))
    moved = Batch(
        moved.source_type,
        moved.source_id,
        moved.kind,
        moved.tags,
        shapely.transform(moved.geometry, lambda xy: xy + 0.9),
    )
    with pytest.raises(TilewrightError, match=rf"{moved.source_type[0]} {moved.source_id[0]} is in its source twice"):
        write(tmp_path / "out.parquet", every, moved)
    assert list(tmp_path.iterdir()) == []
    area = Batch(
        moved.source_type, moved.source_id, ["area" if moved.kind[0] != "area" else "line"], moved.tags, moved.geometry
    )
    write(tmp_path / "out.parquet", every, area)  # another kind is another feature


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_bytes_do_not_depend_on_batches(tmp_path_factory, seed, cuts):
    folder = tmp_path_factory.mktemp("bytes")
    every = many(300)
    order = np.random.default_rng(seed).permutation(300)
    pieces = [cut(every, rows) for rows in np.split(order, sorted(cuts))]
    assert write(folder / "a", every).read_bytes() == write(folder / "b", *pieces).read_bytes()


def test_an_empty_source(tmp_path):
    path = write(tmp_path / "none.parquet")
    assert len(read_arrow(path, WORLD)) == 0
    assert len(gpd.read_parquet(path)) == 0


@pytest.mark.parametrize("row_group", [20_000, 64])
def test_box_reads_of_all_libraries(tmp_path, monkeypatch, row_group):
    monkeypatch.setattr(store, "ROW_GROUP", row_group)
    every = many(3_000)
    path = write(tmp_path / "world.parquet", every)
    assert pq.ParquetFile(path).num_row_groups == -(-3_000 // row_group)
    bounds = shapely.bounds(every.geometry)
    for box in [(0.0, 0.0, 20.0, 15.0), (-180.0, -90.0, 0.0, 90.0), (3.0, 3.0, 3.001, 3.001)]:
        near = (bounds[:, 0] <= box[2]) & (bounds[:, 2] >= box[0]) & (bounds[:, 1] <= box[3]) & (bounds[:, 3] >= box[1])
        expected = sorted(every.source_id[near].tolist())
        assert sorted(read_arrow(path, [box])["source_id"].to_pylist()) == expected
        assert sorted(gpd.read_parquet(path, bbox=box)["source_id"]) == expected
    table = gpd.read_parquet(path)
    assert table.crs.to_epsg() == 4326
    assert list(table.columns) == ["source_type", "source_id", "kind", "tags", "geometry"]
    if "Parquet" in pyogrio.list_drivers():
        near = pyogrio.read_dataframe(path, bbox=(0, 0, 20, 15))
        assert sorted(near["source_id"]) == sorted(read_arrow(path, [(0, 0, 20, 15)])["source_id"].to_pylist())


def test_rows_of_a_place_are_in_few_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROW_GROUP", 100)
    file = pq.ParquetFile(write(tmp_path / "world.parquet", many(10_000)))
    found = 0
    for at in range(file.num_row_groups):
        columns = {
            file.metadata.row_group(at).column(c).path_in_schema: file.metadata.row_group(at).column(c)
            for c in range(9)
        }
        low = [columns[f"bbox.{name}"].statistics.min for name in ("xmin", "ymin")]
        high = [columns[f"bbox.{name}"].statistics.max for name in ("xmax", "ymax")]
        found += low[0] <= 20 and high[0] >= 0 and low[1] <= 15 and high[1] >= 0
    assert found <= 6  # of 100


def test_two_boxes_take_a_feature_once(tmp_path):
    wide = Batch(["way"], np.array([1]), ["area"], ["{}"], np.array([shapely.box(-180, -10, 180, 10)]))
    path = write(tmp_path / "a.parquet", wide)
    assert len(read_arrow(path, [(179.0, -1.0, 180.0, 1.0), (-180.0, -1.0, -179.0, 1.0)])) == 1
    assert len(read_arrow(path, [])) == 0


def test_other_files_are_refused(tmp_path):
    with pytest.raises(TilewrightError, match=r"none\.parquet is missing"):
        read_arrow(tmp_path / "none.parquet", WORLD)
    path = write(tmp_path / "a.parquet", many(50))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TilewrightError, match=r"a\.parquet cannot be read"):
        read_arrow(path, WORLD)
    gpd.GeoDataFrame(geometry=[shapely.Point(1, 1)], crs=4326).to_parquet(path)
    with pytest.raises(TilewrightError, match=r"a\.parquet was not written by tilewright"):
        read_arrow(path, WORLD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "FORMAT", "tilewright-features-0")
        write(path, many(50))
    with pytest.raises(TilewrightError, match=r"a\.parquet is of another version: delete it and run again"):
        read_arrow(path, WORLD)


_PEAK = """
import resource, sys
import numpy as np, pyarrow as pa, shapely
from tilewright.store import features
from tilewright.store.features import FeatureWriter
from tilewright.store.batch import Batch
features.ROW_GROUP = 2000
corners = np.linspace(0, 2 * np.pi, 400)
with FeatureWriter(sys.argv[1]) as writer:
    for first in range(0, int(sys.argv[2]), 1000):
        at = np.random.default_rng(first).uniform(-80, 80, (1000, 1, 2))
        rings = at + np.column_stack([np.cos(corners), np.sin(corners)])
        shapes = shapely.polygons(shapely.linearrings(rings))
        writer.add(Batch(["way"] * 1000, np.arange(first, first + 1000), ["area"] * 1000, ["{}"] * 1000, shapes))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    writer.finish({})
print(held, pa.default_memory_pool().max_memory() // 2**20)
"""


def test_memory_does_not_grow_with_geometry(tmp_path):
    def peaks(count: int) -> list[int]:
        command = [sys.executable, "-c", _PEAK, str(tmp_path / "out.parquet"), str(count)]
        return [
            int(each) for each in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        ]

    # 6.4 kB of geometry a feature: 30,000 more of them are 192 MB, and a row group of 2,000 is 13 MB. While they come in, the
    # process holds what one batch takes; while they are written, Arrow holds a few copies of one row group.
    few, many = peaks(10_000), peaks(40_000)
    assert many[0] - few[0] < 40
    assert max(few[1], many[1]) < 60


def test_what_a_killed_writer_left_is_removed(tmp_path):
    path = write_osm(ELEMENTS, tmp_path / "a.osm.pbf")
    output = tmp_path / "made" / "a.parquet"
    stale = output.with_name(f".{output.name}.scratch") / ".prefilter-old"
    stale.mkdir(parents=True)
    (stale / "filtered.osm.pbf").write_bytes(b"half")
    make_source(osm(path), output)
    assert [each.name for each in output.parent.iterdir()] == ["a.parquet"]
