"""PostGIS through ogr2ogr, against a private server."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from postgres import PASSWORD, USER, Cluster, cluster

from tilewright.config.label_sets import VectorFile
from tilewright.errors import TilewrightError
from tilewright.vector.ogr import VectorReader

PARCEL = shapely.Polygon([(600_000, 5_300_000), (600_090, 5_300_000), (600_090, 5_300_090), (600_000, 5_300_090)], [[(600_030, 5_300_030), (600_060, 5_300_030), (600_060, 5_300_060)]])  # fmt: skip

SCHEMA = f"""
CREATE EXTENSION postgis;
CREATE SCHEMA maps;
CREATE TABLE maps.parcels (nr bigint, crop text, yield numeric(8, 2), year int, ok boolean, seen date, geom geometry(Geometry, 25832));
INSERT INTO maps.parcels VALUES
 (9, ' wheat ', 7.25, 2018, true, '2018-05-01', ST_GeomFromText('{PARCEL.wkt}', 25832)),
 (16777217, 'maïze', 9, 2018, false, NULL, ST_GeomFromText('CURVEPOLYGON(CIRCULARSTRING(600000 5300000, 600100 5300100, 600200 5300000, 600100 5299900, 600000 5300000))', 25832)),
 (3, 'rye', NULL, 2019, NULL, '2019-01-31', ST_GeomFromText('{shapely.box(600_200, 5_300_000, 600_210, 5_300_010).wkt}', 25832)),
 (4, NULL, 1, 2018, NULL, NULL, NULL),
 (5, 'bow', 1, 2018, NULL, NULL, ST_GeomFromText('POLYGON((600000 5300000, 600010 5300010, 600010 5300000, 600000 5300010, 600000 5300000))', 25832));
CREATE VIEW maps.wheat AS SELECT * FROM maps.parcels WHERE crop LIKE '%wheat%';
CREATE TABLE "Odd ""name" (code int, "Geom" geometry);
INSERT INTO "Odd ""name" VALUES (1, ST_SetSRID(ST_Point(10, 47), 4326)), (2, ST_SetSRID(ST_Point(600000, 5300000), 25832));
CREATE TABLE nowhere (code int, geom geometry);
INSERT INTO nowhere VALUES (1, ST_Point(10, 47));
CREATE TABLE earth (code int, place geography);
INSERT INTO earth VALUES (7, 'POINT(10 47)');
"""


@dataclass(frozen=True)
class Server:
    """A running server with the tables of `SCHEMA`."""

    cluster: Cluster

    def path(self, **changed: str) -> str:
        return "PG:" + " ".join(f"{key}={value}" for key, value in {"host": str(self.cluster.folder), "dbname": "postgres", "user": USER, **changed}.items())  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if shutil.which("ogr2ogr") is None:
        pytest.skip("ogr2ogr is not installed (Debian: gdal-bin)")
    with cluster() as running:
        running.psql(SCHEMA)
        yield Server(running)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def read(
    path: str, workdir: Path, layer: str | None = None, year: int | None = None, **source: Any
) -> tuple[gpd.GeoDataFrame, Any]:
    given = {"attributes": ["code"], **source}
    reader = VectorReader(
        VectorFile(kind="vector", path=path, layer=layer, licence="made here", **given), year, workdir
    )
    batches = list(reader.batches())
    assert list(workdir.iterdir()) == []  # no copy is left
    table = gpd.GeoDataFrame(
        {"source_id": np.concatenate([each.source_id for each in batches]), "tags": [tag for each in batches for tag in each.tags],
         "kind": [kind for each in batches for kind in each.kind]},
        geometry=np.concatenate([each.geometry for each in batches]), crs=4326,
    )  # fmt: skip
    return table, reader.facts()


def test_a_table_with_ids_values_years_and_curves(server: Server, tmp_path: Path) -> None:
    found, facts = read(
        server.path(),
        tmp_path,
        "parcels",
        2018,
        attributes=["crop", "ok", "seen"],
        values=["yield"],
        id="nr",
        year_field="year",
    )
    by_id = dict(zip(found["source_id"].tolist(), found["tags"], strict=True))
    assert by_id == {
        9: '{"crop":"wheat","ok":"true","seen":"2018-05-01","yield":"7.25"}',
        16777217: '{"crop":"maïze","ok":"false","yield":"9"}',
        5: '{"crop":"bow","yield":"1"}',
    }
    assert facts.rejects == {"no_geometry": 1} and facts.repaired == 1
    area = dict(zip(found["source_id"], shapely.area(found.geometry.to_crs(25832).to_numpy()), strict=True))
    assert area[9] == pytest.approx(90 * 90 - 450, rel=1e-6) and area[5] == pytest.approx(50, rel=1e-5)
    assert area[16777217] == pytest.approx(np.pi * 100**2, rel=1e-3)


def test_the_order_is_that_of_the_content(server: Server, tmp_path: Path) -> None:
    first, _ = read(server.path(), tmp_path, "maps.parcels", attributes=["crop"])
    assert first["source_id"].tolist() == [1, 2, 3, 4]  # the fifth, without crop, has no geometry
    assert [tag.split('"')[3] for tag in first["tags"]] == [
        "wheat",
        "bow",
        "maïze",
        "rye",
    ]  # " wheat " begins with a blank
    server.cluster.psql("UPDATE maps.parcels SET nr = nr WHERE crop = 'bow'")  # moves the row to the table's end
    again, _ = read(server.path(), tmp_path, "maps.parcels", attributes=["crop"])
    assert again["tags"].tolist() == first["tags"].tolist() and again.geometry.equals(first.geometry)


def test_views_and_geography(server: Server, tmp_path: Path) -> None:
    found, _ = read(server.path(), tmp_path, "wheat", attributes=["crop"])
    assert found["tags"].tolist() == ['{"crop":"wheat"}']
    found, _ = read(server.path(), tmp_path, "earth")
    assert found["tags"].tolist() == ['{"code":"7"}'] and found["kind"].tolist() == ["point"]
    assert found.geometry[0].equals(shapely.Point(10, 47))


def test_layers_crs_and_fields_are_refused_clearly(server: Server, tmp_path: Path) -> None:
    path = server.path()
    with pytest.raises(
        TilewrightError, match=r"has several layers, .*maps.parcels\(geom\), maps.wheat\(geom\).*: name one"
    ):
        read(path, tmp_path)
    with pytest.raises(TilewrightError, match=r"layer 'none' is none of its layers"):
        read(path, tmp_path, "none")
    with pytest.raises(TilewrightError, match=r"geometries of different CRS \(SRIDs 4326, 25832\)"):
        read(path, tmp_path, 'Odd "name')
    with pytest.raises(TilewrightError, match=r"names no CRS; say which it is"):
        read(path, tmp_path, "nowhere")
    assert read(path, tmp_path, "nowhere", crs=4326)[0].geometry[0].equals(shapely.Point(10, 47))
    with pytest.raises(
        TilewrightError, match=r"has no field 'class' \(source.attributes\); there are nr, crop, yield, year, ok, seen$"
    ):
        read(path, tmp_path, "parcels", attributes=["class"])


def test_servers_that_do_not_answer_and_wrong_passwords(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TilewrightError, match=r"ogr2ogr fails .*see that the database answers") as caught:
        read(server.path(host="/nowhere"), tmp_path, "parcels")
    assert "PG:host=/nowhere dbname=postgres" in str(caught.value) and PASSWORD not in str(caught.value)
    monkeypatch.setenv("PGPASSWORD", "wr0ng-word")
    with pytest.raises(TilewrightError, match=r"password authentication failed") as caught:
        read(server.path(), tmp_path, "parcels")
    assert "wr0ng-word" not in str(caught.value)


def test_without_ogr2ogr_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TilewrightError, match=r"needs the command ogr2ogr with PostgreSQL: install gdal-bin"):
        read("PG:dbname=d", tmp_path, "parcels")
