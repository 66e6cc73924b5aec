"""Vector sources as features: formats, CRSs, geometries, attributes, ids, and what is refused."""

import datetime
import json
import struct
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tilewright.config.label_sets import VectorFile, has_password
from tilewright.errors import TilewrightError
from tilewright.vector.features import SourceFacts
from tilewright.vector.mend import mended
from tilewright.vector.ogr import VectorReader
from tilewright.vector.tables import shown

EPSG = 25832
X, Y = 600_000.0, 5_300_000.0
HOLED = shapely.Polygon([(X, Y), (X + 90, Y), (X + 90, Y + 90), (X, Y + 90)], [[(X + 30, Y + 30), (X + 60, Y + 30), (X + 60, Y + 60), (X + 30, Y + 60)]])  # fmt: skip
PARTS = shapely.MultiPolygon([shapely.box(X + 200, Y, X + 230, Y + 30), HOLED])
FORMATS = {
    "gpkg": "GPKG",
    "shp": "ESRI Shapefile",
    "fgb": "FlatGeobuf",
    "geojson": "GeoJSON",
    "parquet": "",
    "gml": "GML",
}


def frame(geometry: list[Any], crs: Any = EPSG, **columns: Any) -> gpd.GeoDataFrame:
    columns = columns or {"code": [str(111 + at) for at in range(len(geometry))]}
    return gpd.GeoDataFrame(columns, geometry=geometry, crs=crs)


def save(table: gpd.GeoDataFrame, path: Path, **options: Any) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, **options)
    else:
        if path.suffix == ".fgb":
            options["SPATIAL_INDEX"] = "NO"  # which would sort the features
        table.to_file(path, driver=FORMATS[path.suffix[1:]], engine="pyogrio", **options)
    return path


def reader(
    path: Path | str, year: int | None = None, attributes: tuple[str, ...] = ("code",), **source: Any
) -> VectorReader:
    return VectorReader(
        VectorFile(kind="vector", path=str(path), attributes=list(attributes), licence="made here", **source), year
    )


def read(path: Path | str, *args: Any, **source: Any) -> tuple[gpd.GeoDataFrame, SourceFacts]:
    found = reader(path, *args, **source)
    batches = list(found.batches())
    rows = [
        row for each in batches for row in zip(each.source_type, each.source_id, each.kind, map(json.loads, each.tags), each.geometry, strict=True)
    ]  # fmt: skip
    assert all(each.source_id.dtype == np.int64 for each in batches)
    table = pd.DataFrame(rows, columns=["source_type", "source_id", "kind", "tags", "geometry"])
    facts = found.facts()
    assert {kind: int((table["kind"] == kind).sum()) for kind in ("area", "line", "point")} == facts.counts
    assert (table["source_type"] == "row").all()
    return gpd.GeoDataFrame(table, crs=4326), facts


def in_metres(geometry: Any, crs: int = EPSG) -> Any:
    return gpd.GeoSeries(list(geometry), crs=4326).to_crs(crs).to_numpy()


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_holes_and_parts_and_attributes(tmp_path: Path, ending: str) -> None:
    path = save(
        frame([HOLED, PARTS, shapely.box(X, Y, X + 10, Y + 10)], code=["111", "112", None]), tmp_path / f"a.{ending}"
    )
    found, facts = read(path)
    assert found["source_id"].tolist() == [1, 2, 3]
    assert found["tags"].tolist() == [{"code": "111"}, {"code": "112"}, {}]
    assert set(found["kind"]) == {"area"} and facts == SourceFacts(
        None, None, {"area": 3, "line": 0, "point": 0}, {}, 0
    )
    back = in_metres(found["geometry"])
    np.testing.assert_allclose(shapely.area(back), [90 * 90 - 900, 90 * 90, 100], rtol=1e-6)
    assert shapely.hausdorff_distance(back[0], HOLED) < 1e-3
    assert len(shapely.get_parts(back[1])) == 2 and shapely.hausdorff_distance(back[1], PARTS) < 1e-3
    assert not shapely.contains_xy(back[1], X + 45, Y + 45)


@pytest.mark.parametrize("crs", [4326, 4258, 3035, 31467, 3857, 2154, 5514])
@pytest.mark.parametrize("ending", ["gpkg", "parquet", "fgb"])
def test_any_crs_lands_where_it_is(tmp_path: Path, crs: int, ending: str) -> None:
    table = frame([HOLED]).to_crs(crs)
    found, _ = read(save(table, tmp_path / f"a.{ending}"))
    transformer = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    want = shapely.transform(table.geometry[0], lambda xy: np.column_stack(transformer.transform(*xy.T)))
    assert shapely.hausdorff_distance(found.geometry[0], want) < 1e-9  # 0.1 mm
    assert 10 < found.geometry[0].centroid.x < 11 and 47 < found.geometry[0].centroid.y < 48


def test_long_edges_stay_straight_in_their_own_crs(tmp_path: Path) -> None:
    side = shapely.box(X - 200_000, Y, X, Y + 100_000)
    found, _ = read(save(frame([side]), tmp_path / "a.gpkg"))
    back = in_metres(shapely.segmentize(found.geometry.to_numpy(), 1e-3))[0]
    assert shapely.hausdorff_distance(back, shapely.segmentize(side, 100)) < 60  # vertices are that far apart
    assert abs(back.area - side.area) / side.length < 0.05  # metres that the edges are off


def test_lines_points_and_collections_keep_their_kind(tmp_path: Path) -> None:
    area, line, point = (
        shapely.box(X, Y, X + 10, Y + 10),
        shapely.LineString([(X, Y), (X + 5, Y + 5)]),
        shapely.Point(X, Y),
    )
    given_geometry = [
        area, line, point, shapely.MultiPoint([(X, Y), (X + 1, Y)]), shapely.MultiLineString([line, shapely.LineString([(X, Y), (X, Y + 9)])]),
        shapely.GeometryCollection([point, area, line]), shapely.GeometryCollection([point, line]),
        shapely.GeometryCollection([shapely.GeometryCollection([shapely.MultiPolygon([area]), point])]),
    ]  # fmt: skip
    found, facts = read(save(frame(given_geometry), tmp_path / "a.gpkg"))
    assert found["kind"].tolist() == ["area", "line", "point", "point", "line", "area", "line", "area"]
    np.testing.assert_allclose(shapely.area(in_metres(found.geometry))[[0, 5, 7]], 100, rtol=1e-6)
    assert facts.repaired == 0 and not facts.rejects


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "geojson"])
def test_what_no_geometry_can_be_made_of_is_counted(tmp_path: Path, ending: str) -> None:
    bow = shapely.Polygon([(X, Y), (X + 10, Y + 10), (X + 10, Y), (X, Y + 10)])
    flat = shapely.Polygon([(X, Y), (X + 10, Y), (X + 5, Y)])
    point_like = shapely.LineString([(X, Y), (X, Y)])
    table = frame([HOLED, None, shapely.Polygon(), bow, flat, point_like, shapely.box(X, Y, X + 1, Y + 1)])
    found, facts = read(save(table, tmp_path / f"a.{ending}"))
    empty = (
        {"no_geometry": 2} if ending == "geojson" and "empty" not in facts.rejects else {"empty": 1, "no_geometry": 1}
    )
    assert facts.rejects == {**empty, "no_area": 1, "no_length": 1}
    assert facts.repaired == 1
    assert found["source_id"].tolist() == [1, 4, 7]  # numbers of rows, whatever was refused
    assert found.geometry.is_valid.all()
    np.testing.assert_allclose(shapely.area(in_metres(found.geometry)), [7200, 50, 1], rtol=1e-5)


def test_overlapping_parts_are_united_and_holes_outside_are_none() -> None:
    crs = pyproj.CRS.from_epsg(4326)
    two = shapely.MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)])
    outside = shapely.Polygon([(0, 0), (2, 0), (2, 2), (0, 2)], [[(1, 1), (5, 1), (5, 1.5), (1, 1.5)]])
    made = mended(np.array([two, outside], dtype=object), crs)
    np.testing.assert_allclose(shapely.area(made.geometry), [7, 3.5])
    assert made.repaired == 2 and made.kind.tolist() == ["area", "area"]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_ring_becomes_a_valid_area_or_is_refused(ring: list[tuple[int, int]]) -> None:
    made = mended(np.array([shapely.Polygon(ring)], dtype=object), pyproj.CRS.from_epsg(4326))
    if made.reject[0]:
        assert made.reject[0] == "no_area" and made.geometry[0] is None
    else:
        geometry = made.geometry[0]
        assert geometry.is_valid and geometry.area > 0 and geometry.geom_type in ("Polygon", "MultiPolygon")
    polygon = shapely.Polygon(ring)
    # by its own way of mending there is an area or none; another of GEOS may differ in that, of a ring that goes to and fro
    own = shapely.make_valid(polygon, method="structure", keep_collapsed=False)
    assert (made.reject[0] == "") == (own.area > 0)
    others = polygon.buffer(0).area > 0, shapely.make_valid(polygon).area > 0
    if others[0] == others[1]:
        assert (made.reject[0] == "") == others[0]


def test_heights_and_measures_are_dropped(tmp_path: Path) -> None:
    high = shapely.from_wkt(f"POLYGON ZM (({X} {Y} 5 1, {X + 9} {Y} 5 2, {X + 9} {Y + 9} 5 3, {X} {Y} 5 1))")
    pyogrio.write_dataframe(frame([shapely.force_3d(HOLED, 7.0)]), tmp_path / "z.gpkg")
    found, _ = read(tmp_path / "z.gpkg")
    assert not found.geometry.has_z.any()
    made = mended(np.array([high], dtype=object), pyproj.CRS.from_epsg(EPSG))
    assert not shapely.has_z(made.geometry[0]) and not shapely.has_m(made.geometry[0])


def test_curves_become_lines(tmp_path: Path) -> None:
    """A circle of 100 m as CURVEPOLYGON beside a plain polygon, and more features than one batch holds."""
    ring = [(X, Y), (X + 100, Y + 100), (X + 200, Y), (X + 100, Y - 100), (X, Y)]
    arc = struct.pack("<BII", 1, 8, 5) + b"".join(struct.pack("<dd", *each) for each in ring)
    circle = struct.pack("<BII", 1, 10, 1) + arc
    many = 10_003
    wkb = np.array([shapely.box(X, Y, X + 10, Y + 10).wkb] * many + [circle], dtype=object)
    pyogrio.raw.write(
        tmp_path / "a.gpkg", wkb, [np.arange(many + 1)], ["code"], layer="a", geometry_type="Unknown", crs="EPSG:25832"
    )
    found, _ = read(tmp_path / "a.gpkg")
    assert len(found) == many + 1 and found["tags"].iloc[-1] == {"code": str(many)}
    assert in_metres(found.geometry[-1:])[0].area == pytest.approx(np.pi * 100**2, rel=1e-3)


def test_across_the_antimeridian(tmp_path: Path) -> None:
    """Fiji in UTM 60 south: 2 km on each side of 180°; and longitudes from 0 to 360."""
    x, y = pyproj.Transformer.from_crs(4326, 32760, always_xy=True).transform(180.0, -17.0)
    found, facts = read(save(frame([shapely.box(x - 2000, y, x + 2000, y + 1000)], 32760), tmp_path / "a.gpkg"))
    parts = shapely.get_parts(found.geometry[0])
    assert sorted(round(part.centroid.x) for part in parts) == [-180, 180] and facts.repaired == 0
    assert shapely.area(in_metres(parts, 3832)).sum() == pytest.approx(4e6 / np.cos(np.radians(17)) ** 2, rel=0.01)
    found, _ = read(save(frame([shapely.box(170, 0, 190, 1), shapely.Point(200, 5)], 4326), tmp_path / "b.gpkg"))
    assert found.geometry[0].bounds == (-180, 0, 180, 1) and found.geometry[0].area == pytest.approx(20)
    assert found.geometry[1] == shapely.Point(-160, 5)


def test_places_off_the_earth_are_counted(tmp_path: Path) -> None:
    table = frame([HOLED, shapely.box(1e30, 0, 2e30, 1e30), shapely.Point(0, np.inf)])
    _, facts = read(save(table, tmp_path / "a.parquet"))
    assert facts.rejects == {"no_place": 1, "not_finite": 1}


def test_texts_of_attributes(tmp_path: Path) -> None:
    table = pa.table({
        "whole": pa.array([111, None, -3], pa.int32()),
        "real": pa.array([111.0, 0.1, float("nan")], pa.float64()),
        "single": pa.array([2.5, 0.1, 3.0], pa.float32()),
        "text": pa.array([" 111 ", "Käse \"x\"", "  "], pa.dictionary(pa.int8(), pa.string())),
        "truth": pa.array([True, False, None]),
        "day": pa.array([datetime.date(2018, 5, 1), None, datetime.date(2019, 1, 31)]),
        "time": pa.array([datetime.datetime(2018, 5, 1, 10, 30)] * 3, pa.timestamp("us")),
        "exact": pa.array(["12.50", "7", None]).cast(pa.decimal128(8, 2)),
    })  # fmt: skip
    shapes = gpd.GeoDataFrame(geometry=[HOLED] * 3, crs=EPSG)
    shapes.to_parquet(tmp_path / "shapes.parquet", index=False)
    plain = pq.read_table(tmp_path / "shapes.parquet")
    for name in table.column_names:
        plain = plain.append_column(name, table[name])
    pq.write_table(plain, tmp_path / "a.parquet")
    found, _ = read(tmp_path / "a.parquet", None, tuple(table.column_names))
    moment = "2018-05-01T10:30:00"
    assert found["tags"].tolist() == [
        {"whole": "111", "real": "111", "single": "2.5", "text": "111", "truth": "true", "day": "2018-05-01", "time": moment, "exact": "12.5"},
        {"real": "0.1", "single": "0.1", "text": 'Käse "x"', "truth": "false", "time": moment, "exact": "7"},
        {"whole": "-3", "single": "3", "day": "2019-01-31", "time": moment},
    ]  # fmt: skip
    first = next(iter(reader(tmp_path / "a.parquet", None, ("whole", "text", "day")).batches()))
    assert first.tags[0] == '{"day":"2018-05-01","text":"111","whole":"111"}'


def test_values_come_back_exactly(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(0, 1, 200) * 10.0 ** np.random.default_rng(1).integers(-12, 12, 200)
    numbers[0], numbers[1] = np.nan, 17.0
    table = frame([HOLED] * 200, code=["1"] * 200, double=numbers, single=numbers.astype(np.float32))
    for ending in ("gpkg", "parquet", "fgb"):
        found, _ = read(save(table, tmp_path / f"a.{ending}"), values=["double", "single"])
        assert found["tags"][0] == {"code": "1"} and found["tags"][1] == {"code": "1", "double": "17", "single": "17"}
        tags = found["tags"][1:]
        np.testing.assert_array_equal([float(each["double"]) for each in tags], numbers[1:])
        np.testing.assert_array_equal([np.float32(each["single"]) for each in tags], numbers[1:].astype(np.float32))
    with pytest.raises(TilewrightError, match=r"source.values: field 'code' is of .*string, not of numbers"):
        read(tmp_path / "a.gpkg", None, ("double",), values=["code"])


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "shp"])
def test_ids_are_exact_up_to_32_bits(tmp_path: Path, ending: str) -> None:
    """DeepSatData keeps ids as float32, which merges those above 2^24."""
    ids = [2**24 + 1, 2**24 + 2, 2**32 - 1, 1]
    for number, column in enumerate((np.array(ids), np.array(ids, float), [str(each) for each in ids])):
        path = save(frame([HOLED] * 4, code=["1"] * 4, parcel=column), tmp_path / f"{number}.{ending}")
        assert read(path, id="parcel")[0]["source_id"].tolist() == ids


@pytest.mark.parametrize(("ids", "words"), [
    ([1, 2, 0], r"from 1 to 4294967295, not 0 \(row 3\)"),
    ([1, -7, 3], r"not -7 \(row 2\)"),
    ([1, 2**32, 3], r"not 4294967296 \(row 2\)"),
    ([1.5, 2.0, 3.0], r"not 1.5 \(row 1\)"),
    ([1.0, None, 3.0], r"not nothing \(row 2\)|not nan"),
    (["FR1", "FR2", "3"], r"not 'FR1' \(row 1\), 'FR2' \(row 2\)"),
    ([5, 6, 5], "is not unique: 1 values are there more than once: 5;"),
    (["7", "07", "8"], "is not unique: 1 values are there more than once: 7;"),
])  # fmt: skip
def test_ids_that_are_none(tmp_path: Path, ids: list[Any], words: str) -> None:
    path = save(frame([HOLED] * 3, code=["1"] * 3, parcel=ids), tmp_path / "a.gpkg")
    with pytest.raises(TilewrightError, match=words) as caught:
        read(path, id="parcel")
    assert "source.id: parcel" in str(caught.value) and "a.gpkg" in str(caught.value)
    assert read(path)[0]["source_id"].tolist() == [1, 2, 3]


def test_doubled_ids_are_found_across_batches_and_the_files_own_id_serves(tmp_path: Path) -> None:
    many = 25_000
    ids = np.arange(1, many + 1)
    table = frame([shapely.box(X, Y, X + 1, Y + 1)] * many, code=["1"] * many, parcel=ids)
    found, _ = read(save(table, tmp_path / "a.gpkg"), id="fid")
    assert found["source_id"].tolist() == ids.tolist()
    table.loc[many - 1, "parcel"] = 3
    with pytest.raises(TilewrightError, match="more than once: 3;"):
        read(save(table, tmp_path / "b.gpkg"), id="parcel")


@pytest.mark.parametrize("years", [[2018, 2019, None, 2018], [2018.0, 2019.0, None, 2018.0], ["2018", "2019-05-01", None, " 2018 "],
                                   [datetime.date(2018, 1, 1), datetime.date(2019, 1, 1), None, datetime.date(2018, 12, 31)]])  # fmt: skip
def test_only_features_of_the_year(tmp_path: Path, years: list[Any]) -> None:
    table = frame([HOLED, HOLED, HOLED, PARTS], code=["1", "2", "3", "4"], of=pd.array(years, dtype=object) if years[0] != 2018 else years, parcel=[9, 9, 9, 8])  # fmt: skip
    path = save(table, tmp_path / "a.parquet")
    found, facts = read(path, 2018, year_field="of", id="parcel")  # 9 is there once in that year
    assert found["source_id"].tolist() == [9, 8] and [each["code"] for each in found["tags"]] == ["1", "4"]
    assert facts.rejects == {"no_year": 1}
    assert read(path, 2019, year_field="of")[0]["source_id"].tolist() == [2]
    with pytest.raises(TilewrightError, match="no feature is of 2020; of has the years 2018, 2019"):
        read(path, 2020, year_field="of")
    with pytest.raises(TilewrightError, match="year"):
        reader(path, None, year_field="of")


def test_a_year_that_is_none(tmp_path: Path) -> None:
    path = save(frame([HOLED], code=["1"], of=["spring"]), tmp_path / "a.gpkg")
    with pytest.raises(TilewrightError, match=r"source.year_field: of has 'spring', which is no year"):
        read(path, 2018, year_field="of")


def test_layers(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    save(frame([HOLED]), path, layer="fields")
    assert len(read(path)[0]) == 1
    pyogrio.write_dataframe(
        pd.DataFrame({"style": ["x"]}), path, layer="styles", append=False
    )  # without geometry: no choice
    assert len(read(path)[0]) == 1
    save(frame([HOLED, PARTS]), path, layer="more")
    with pytest.raises(
        TilewrightError, match=r"has 2 layers, fields \(EPSG:25832\), more \(EPSG:25832\): name one with"
    ) as caught:
        read(path)
    assert "different CRS" not in str(caught.value)
    assert len(read(path, layer="more")[0]) == 2
    save(frame([HOLED]).to_crs(4326), path, layer="degrees")
    with pytest.raises(TilewrightError, match=r"has 3 layers of different CRS.*degrees \(EPSG:4326\)"):
        read(path)
    with pytest.raises(TilewrightError, match="layer 'none' does not exist; there are fields, more, degrees"):
        read(path, layer="none")
    with pytest.raises(TilewrightError, match="layer 'styles' has no geometry"):
        read(path, layer="styles")


def test_geometries_of_different_crs_in_one_layer(tmp_path: Path) -> None:
    import sqlite3

    path = save(frame([HOLED, HOLED, HOLED]), tmp_path / "a.gpkg")
    with sqlite3.connect(path) as database:
        database.create_function("ST_IsEmpty", 1, lambda _: 0)
        for name in ("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            database.create_function(name, 1, lambda _: 0.0)
        (blob,) = database.execute("SELECT geom FROM a WHERE fid = 2").fetchone()
        database.execute("UPDATE a SET geom = ? WHERE fid = 2", (blob[:4] + struct.pack("<i", 31467) + blob[8:],))
    database.close()
    with pytest.raises(TilewrightError, match=r"layer a has geometries of different CRS \(SRIDs 25832, 31467\)"):
        read(path)


def test_geometry_columns_of_different_crs(tmp_path: Path) -> None:
    table = frame([HOLED])
    table["other"] = table.geometry.centroid.to_crs(4326)
    path = save(table, tmp_path / "a.parquet")
    with pytest.raises(
        TilewrightError, match=r"geometry columns of different CRS, geometry \(EPSG:25832\), other \(EPSG:4326\)"
    ):
        read(path)
    assert read(path, layer="other")[0]["kind"].tolist() == ["point"]
    assert read(path, layer="geometry")[0]["kind"].tolist() == ["area"]


@pytest.mark.parametrize("ending", ["gpkg", "shp", "parquet", "fgb"])
def test_a_file_without_crs(tmp_path: Path, ending: str) -> None:
    path = save(frame([HOLED], None), tmp_path / f"a.{ending}")
    with pytest.raises(TilewrightError, match=r"names no CRS; say which it is with labels.<set>.source.crs"):
        read(path)
    found, _ = read(path, crs=EPSG)
    assert shapely.hausdorff_distance(in_metres(found.geometry)[0], HOLED) < 1e-3


def test_a_crs_that_contradicts_the_files(tmp_path: Path) -> None:
    path = save(frame([HOLED]), tmp_path / "a.shp")
    assert len(read(path, crs=EPSG)[0]) == 1
    with pytest.raises(TilewrightError, match=r"source.crs EPSG:31467: leave that out"):
        read(path, crs=31467)
    with pytest.raises(TilewrightError, match="its CRS is none that PROJ knows"):
        read(save(frame([HOLED], None), tmp_path / "b.gpkg"), crs=99_999)


def test_parquet_without_crs_key_is_longitude_and_latitude(tmp_path: Path) -> None:
    path = save(frame([shapely.box(10, 47, 10.1, 47.1)], 4326), tmp_path / "a.parquet")
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"geo"])
    del about["columns"]["geometry"]["crs"]
    pq.write_table(table.replace_schema_metadata({b"geo": json.dumps(about).encode()}), path)
    assert read(path)[0].geometry[0].bounds == (10, 47, 10.1, 47.1)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(TilewrightError, match="is Parquet without geometry"):
        read(path)


def test_parquet_with_geoarrow_geometry(tmp_path: Path) -> None:
    path = save(frame([HOLED, None, shapely.box(X, Y, X + 1, Y + 1)]), tmp_path / "a.parquet", geometry_encoding="geoarrow", schema_version="1.1.0")  # fmt: skip
    found, facts = read(path)
    assert found["source_id"].tolist() == [1, 3] and facts.rejects == {"no_geometry": 1}
    assert shapely.hausdorff_distance(in_metres(found.geometry)[0], HOLED) < 1e-3


@pytest.mark.parametrize("ending", ["gpkg", "parquet"])
def test_fields_that_are_not_there(tmp_path: Path, ending: str) -> None:
    path = save(frame([HOLED], code=["1"], yield_t=[2.0]), tmp_path / f"a.{ending}")
    with pytest.raises(TilewrightError) as caught:
        read(path, 2018, ("Code",), values=["yields"], id="nr", year_field="year")
    message = str(caught.value)
    for part in ("'Code' (source.attributes)", "'yields' (source.values)", "'nr' (source.id)", "'year' (source.year_field)", "there are code, yield_t"):  # fmt: skip
        assert part in message


def test_bad_files_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TilewrightError, match=r"none.gpkg: no such file"):
        read(tmp_path / "none.gpkg")
    many = frame([shapely.box(X + at, Y, X + at + 1, Y + 1) for at in range(3000)])
    for ending in ("gpkg", "parquet", "fgb", "geojson"):
        path = save(many, tmp_path / f"a.{ending}")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(TilewrightError, match=f"a.{ending}: cannot be read"):
            read(path)
    (tmp_path / "b.shp").write_text("no shapes")
    with pytest.raises(TilewrightError, match=r"b.shp: cannot be read"):
        read(tmp_path / "b.shp")


def test_the_extent_is_what_the_config_says(tmp_path: Path) -> None:
    path = save(frame([HOLED]), tmp_path / "a.gpkg")
    facts = read(path, extent=(10.0, 47.0, 11.0, 48.0))[1]
    assert facts.extent is not None and shapely.from_wkt(facts.extent).equals(shapely.box(10, 47, 11, 48))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Batches are small and come one by one: of a file of 45,000 features never more than 10,000 are held."""
    many = 45_000
    path = save(frame([shapely.box(X, Y, X + 1, Y + 1)] * many, code=["1"] * many), tmp_path / "a.gpkg")
    sizes = [len(each.source_id) for each in reader(path).batches()]
    assert sum(sizes) == many and max(sizes) <= 10_000
    path = save(frame([shapely.box(X, Y, X + 1, Y + 1)] * many, code=["1"] * many), tmp_path / "a.parquet")
    assert max(len(each.source_id) for each in reader(path).batches()) <= 10_000


def test_passwords_are_never_shown() -> None:
    for path in ("PG:host=h dbname=d password=s3cret user=u", "PG:dbname=d password = 's3cret it\\'s' user=u", "postgresql://u:s3cret@h/d", "PG:PASSWORD=s3cret"):  # fmt: skip
        assert has_password(path) and "s3cret" not in shown(path) and "it" not in shown(path).replace("'", " ").split()
        with pytest.raises(ValidationError, match="holds a password"):
            VectorFile(kind="vector", path=path, attributes=["a"], licence="CC0")
    assert not has_password("PG:host=/run dbname=d user=u passfile=/home/u/.pgpass") and not has_password(
        "postgresql://u@h/d"
    )
    assert shown("https://host/a.fgb?signature=s3cret") == "https://host/a.fgb"


@pytest.mark.parametrize("corner", [(500_000.0, 5_200_000.0), (8e9, 40.0)])
def test_a_file_of_which_nothing_can_be_used_is_no_empty_source(tmp_path: Path, corner: tuple[float, float]) -> None:
    # Metres that are said to be degrees.
    x, y = corner
    path = save(frame([shapely.box(x, y, x + 1e8, y + 1)], crs=4326, code=["a"]), tmp_path / "a.gpkg")
    with pytest.raises(
        TilewrightError, match=r"a\.gpkg: none of its geometries can be used \(no_place 1\).*ogr2ogr -a_srs"
    ):
        read(path)


def test_a_shapefile_that_ends_too_early(tmp_path: Path) -> None:
    # GDAL has no word for it, and gives features without geometry.
    path = save(frame([shapely.box(0, 0, 1 + at, 1) for at in range(50)], code=["a"] * 50), tmp_path / "a.shp")
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(TilewrightError, match=r"a\.shp: cannot be read \(\d+ of its \d+ bytes\)"):
        read(path)


def test_fields_of_json_are_texts(tmp_path: Path) -> None:
    feature = {
        "type": "Feature",
        "properties": {"code": {"a": 1}},
        "geometry": shapely.geometry.mapping(shapely.box(9, 47, 10, 48)),
    }
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    found, _ = read(path)
    assert json.loads(found["tags"][0]["code"]) == {"a": 1}
