"""Hrefs: what messages may show of them, addresses that are none, and files on disk of odd kinds."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from urllib3.exceptions import NewConnectionError, ProtocolError, ReadTimeoutError

import tilewright.imagery.client as client
import tilewright.imagery.patience as patience
from rasters import Grid, by_reader, noise, write_gdal
from tilewright.errors import TilewrightError
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Traffic
from tilewright.imagery.source import Stores

GRID = Grid(rows=64, cols=64)
SECRET = "https://user:word@127.0.0.1:1/a/B02.tif?sv=2021&sig=SECRET%2Bxyz"


def ask(href: str, boxes: int = 1) -> Ask:
    asset = dataclasses.replace(GRID.asset(Path("x.tif")), href=href)
    return Ask(asset, GRID.boxes([0] * boxes, [0] * boxes, 8), np.dtype("uint16"))


def test_neither_signatures_nor_passwords_are_shown(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(patience, "WAIT_S", 0.001)
    assert ask(SECRET).asset.shown == "https://127.0.0.1:1/a/B02.tif"
    assert ask("/data/x?y.tif").asset.shown == "/data/x?y.tif"
    with caplog.at_level(logging.DEBUG), pytest.raises(TilewrightError) as raised:
        list(ImageryReader().read([ask(SECRET)], lambda *_: None))
    assert "127.0.0.1:1/a/B02.tif" in str(raised.value) and "no connection (" in str(raised.value)
    assert not any(word in str(raised.value) + caplog.text for word in ("SECRET", "word", "sig"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ReadTimeoutError(None, SECRET, f"{SECRET} timed out"), "the server was silent for 20 s"),  # type: ignore[arg-type]
        (NewConnectionError(None, f"failed: {SECRET}"), "no connection (None: failed: https://127.0.0.1:1/a/B02.tif)"),  # type: ignore[arg-type]
        (ProtocolError(f"broken at {SECRET}"), "the answer ended before its end (broken at https://127.0.0.1:1/a/B02.tif)"),
        (OSError(f"{SECRET}\nagain"), "https://127.0.0.1:1/a/B02.tif again"),
        (OSError(), "OSError"),
    ],
)  # fmt: skip
def test_failures_in_words_hold_no_secrets(error: Exception, words: str):
    assert client.words_of(error) == words


@pytest.mark.parametrize(
    "href",
    [
        "https://[bad/x.tif", "https:///x.tif", "http://h:99999/x.tif", "http://exa mple/x.tif", "ftp://host/x.tif",
        "gs://bucket/x.tif", "zip+https://host/x.zip!x.tif", "https:/x.tif", "s3://", "s3://bucket", "s3:///x.tif",
        "/vsizip//data/x.zip/x.tif", "/vsicurl/http://host/x.tif",
    ],
)  # fmt: skip
def test_an_address_that_is_none_breaks_its_scene(href: str):
    with pytest.raises(BrokenAssetError, match="B02 has no usable address"):
        list(ImageryReader().read([ask(href)], lambda *_: None))


def test_a_local_file_that_is_replaced_while_it_is_read_is_noticed(tmp_path: Path):
    path = write_gdal(tmp_path / "B02.tif", noise(GRID, "uint16"), GRID)
    source = Stores(Traffic()).source(ask(str(path)).asset)
    head, size = source.head(100)
    assert bytes(head) == path.read_bytes()[:100] and size == path.stat().st_size
    assert bytes(source.get(50, 70)) == path.read_bytes()[50:120]
    write_gdal(tmp_path / "new.tif", noise(GRID, "uint16", seed=1), GRID).replace(path)
    with pytest.raises(client.WrongBytesError, match="the file changed while it was read"):
        source.get(50, 70)
    with pytest.raises(client.WrongBytesError, match="30 bytes came instead of 100"):
        source.anew().get(size - 30, 100)


def test_folders_and_paths_through_files_are_no_files(tmp_path: Path):
    file = write_gdal(tmp_path / "B02.tif", noise(GRID, "uint16"), GRID)
    for href in (tmp_path, file / "B02.tif", tmp_path / "none.tif", file.as_uri() + "x", "GTIFF_DIR:1:x.tif"):
        with pytest.raises(BrokenAssetError, match=r"B02 is gone \(no such file\)"):
            by_reader(ask(str(href)))
