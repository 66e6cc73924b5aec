"""Hrefs: what messages may show of them, clients that are shared and bounded, and addresses that are none."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest

import tilewright.imagery.patience as patience
import tilewright.imagery.source as source
from rasters import Grid
from tilewright.errors import TilewrightError
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Traffic

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
    assert "127.0.0.1:1/a/B02.tif" in str(raised.value)
    assert not any(word in str(raised.value) + caplog.text for word in ("SECRET", "word", "sig"))


def test_clients_are_shared_by_server_and_signature_and_bounded():
    stores = source.Stores(Traffic())
    first = stores.source(ask("https://host/a.tif?sig=1").asset)
    assert first and stores.source(ask("https://host/b.tif?sig=1").asset)._client is first._client  # type: ignore[union-attr]
    for at in range(100):
        stores.source(ask(f"https://host/a.tif?sig={at}").asset)
    assert len(stores._known) == source._CLIENTS


@pytest.mark.parametrize(
    "href", ["https://[bad/x.tif", "https:///x.tif", "http://h:99999/x.tif", "http://exa mple/x.tif"]
)
def test_an_address_that_is_none_breaks_its_scene(href: str):
    with pytest.raises(BrokenAssetError, match="B02 has no usable address"):
        list(ImageryReader().read([ask(href)], lambda *_: None))
