"""Seals: any byte that is changed or lost is noticed, and readers that know nothing of seals read the files as ever."""

import json
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import xarray as xr
import zarr

from tilewright.store import read_table, table_metadata, write_table
from tilewright.store.seal import (
    BLANK,
    KEY,
    beside,
    damage_beside,
    damage_of_file,
    seal,
    sealed,
    write_json,
    write_page,
)
from tilewright.store.small import Small, Variable
from tilewright.store.zarrzip import StoreWriter
from tilewright.store.zipped import LocalFile, StoredZipWriter, damage_of_zip

PIXELS = np.arange(64, dtype=np.uint16).reshape(1, 8, 8)


def table(path: Path) -> None:
    places = gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=shapely.points([[1, 2], [3, 4]]), crs=4326)
    write_table(places, path, {"told": "ünlike"})


def document(path: Path) -> None:
    write_json(path, {"type": "Collection", "title": "früh", "a": [1, 2]}, indent=1, sort_keys=True)


def page(path: Path) -> None:
    write_page(path, "<!doctype html>\n<p>ein Wort</p>\n")


def store(path: Path) -> None:
    with StoreWriter(path, {"format": "test"}) as writer:
        writer.array("g/pixels", PIXELS.shape, "uint16", PIXELS.shape, ("cell", "y", "x"))
        writer.put("g/pixels", (0, 0, 0), PIXELS)
        writer.small("g", Small({"cell": Variable(("cell",), np.arange(1))}))


def damage(path: Path) -> str:
    if path.suffix != ".zip":
        return damage_of_file(path)
    file = LocalFile(path)
    try:
        return damage_of_zip(file.size, file)
    finally:
        file.close()


MAKERS = {"table.parquet": table, "document.json": document, "page.html": page, "store.zarr.zip": store}


@pytest.mark.parametrize("name", MAKERS)
def test_every_byte_counts(name: str, tmp_path: Path):
    path = tmp_path / name
    MAKERS[name](path)
    whole = path.read_bytes()
    assert damage(path) == ""
    places = range(0, len(whole), max(1, len(whole) // 1500))
    for at in {*places, *range(max(0, len(whole) - 200), len(whole))}:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([whole[at] ^ 1 << at % 8]))
        assert damage(path), f"byte {at} of {len(whole)}"
        with path.open("r+b") as file:
            file.seek(at)
            file.write(whole[at : at + 1])
    assert damage(path) == ""
    for wrong in (
        b"",
        whole[:-1],
        whole[1:],
        whole[: len(whole) // 2],
        whole + b"\0",
        whole[:40] + whole[41:],
        bytes(len(whole)),
    ):
        path.write_bytes(wrong)
        assert damage(path)


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_content_has_the_same_bytes(name: str, tmp_path: Path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        MAKERS[name](tmp_path / folder / name)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_readers_are_not_disturbed(tmp_path: Path):
    for name, make in MAKERS.items():
        make(tmp_path / name)
    places = gpd.read_parquet(tmp_path / "table.parquet")
    assert list(places.columns) == ["name", "geometry"] and places.crs.to_epsg() == 4326
    assert KEY.encode() in pq.ParquetFile(tmp_path / "table.parquet").metadata.metadata
    assert table_metadata(tmp_path / "table.parquet") == {"told": "ünlike"}
    assert list(read_table(tmp_path / "table.parquet")["name"]) == ["a", "b"]
    read = json.loads((tmp_path / "document.json").read_text())
    assert len(read.pop(KEY)) == len(BLANK) and read == {"type": "Collection", "title": "früh", "a": [1, 2]}
    with zipfile.ZipFile(tmp_path / "store.zarr.zip") as opened:
        assert opened.testzip() is None and opened.comment.startswith(KEY.encode())
    tree = xr.open_datatree(zarr.storage.ZipStore(tmp_path / "store.zarr.zip", mode="r"), engine="zarr")
    assert (tree["g/pixels"].to_numpy() == PIXELS).all()


def test_entries_of_a_zip_cannot_change_places(tmp_path: Path):
    """Each has its CRC, but which name it has is told twice, and the order by the directory."""
    path = tmp_path / "x.zip"
    with StoredZipWriter(path) as writer:
        writer.entry("a", b"1" * 50)
        writer.entry("b", b"2" * 50)
        writer.entry("large", bytes(9_000_000))
    whole = path.read_bytes()
    entry = len(whole[: whole.index(b"PK\3\4", 4)])
    assert damage(path) == ""
    path.write_bytes(whole[entry : 2 * entry] + whole[:entry] + whole[2 * entry :])
    assert damage(path).startswith("2 of 3 entries damaged, the first a")


def test_a_file_without_room_for_a_seal_is_told_of_beside(tmp_path: Path):
    (tmp_path / "x.csv").write_text("a,b\n")
    write_page(tmp_path / "x.html", "<p>" + beside(b"a,b\n"))
    assert damage_of_file(tmp_path / "x.html") == damage_beside(tmp_path / "x.csv", tmp_path / "x.html") == ""
    (tmp_path / "x.csv").write_text("a,c\n")
    assert damage_beside(tmp_path / "x.csv", tmp_path / "x.html")


def test_only_what_has_a_blank_seal_is_sealed(tmp_path: Path):
    with pytest.raises(ValueError, match="no blank seal"):
        sealed(b"{}")
    document(tmp_path / "x.json")
    with pytest.raises(ValueError, match="no blank seal"):
        seal(tmp_path / "x.json")
