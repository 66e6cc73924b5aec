"""Planetary Computer's signatures against a stand-in of its token service and of Azure's blobs: cached, renewed, and kept to themselves."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from planetary_computer.settings import Settings
from range_server import Fault, Handler, RangeServer

import tilewright.imagery.patience as patience
from rasters import Grid, by_reader, cut, write_gdal
from tilewright.config.provider import Access, CollectionAccess
from tilewright.errors import TilewrightError
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader

GRID = Grid(320, 320)
ROWS, COLS = (0, 100, 220), (10, 110, 210)
HOST = "http://account.blob.core.windows.net"
SERVICE = "/api/sas/v1/token"


@dataclass
class Azure(RangeServer):
    """Blobs that are given for a token of their container, and the service that hands tokens out.

    Attributes:
        lasts_s: how long tokens hold, by their own word.
        dealt: tokens by container, in their order; keys: subscription keys that came with the requests.
        unsigned, refused: paths of blobs that were asked for without a token, and with one that does not hold.
    """

    lasts_s: float = 3600
    dealt: dict[str, list[str]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _Handler

    @property
    def tokens(self) -> int:
        return sum(map(len, self.dealt.values()))

    def deal(self, container: str) -> bytes:
        with self.lock:
            tokens = self.dealt.setdefault(container, [])
            tokens.append(f"sv=2025&sig=SECRET{len(tokens)}%2B{container.replace('/', '-')}")
            until = (datetime.now(UTC) + timedelta(seconds=self.lasts_s)).isoformat()
        return json.dumps({"msft:expiry": until, "token": tokens[-1]}).encode()


class _Handler(Handler):
    stand_in: Azure

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path.startswith(SERVICE):
            fault = self.stand_in.spoilt(SERVICE, 0, 0)
            self.stand_in.keys.append(self.headers.get("Ocp-Apim-Subscription-Key", ""))
            if fault is not None and fault.kind == "status":
                self._send(fault.code, b"{}", retry_after="0")
            else:
                self._send(
                    200, fault.to.encode() if fault else self.stand_in.deal(asked.path.removeprefix(SERVICE + "/"))
                )
            return
        container = f"{(asked.hostname or '').split('.')[0]}/{asked.path.split('/')[1]}"
        given = [parse_qs(token) for token in self.stand_in.dealt.get(container, [])]
        if not asked.query:
            self.stand_in.unsigned.append(asked.path)
            self._send(404, b"", x_ms_error_code="ResourceNotFound")
        elif parse_qs(asked.query) not in given:
            self.stand_in.refused.append(asked.path)
            self._send(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two containers with rasters."""
    made = tmp_path_factory.mktemp("blobs")
    pixels = np.random.default_rng(1).integers(1, 65535, (GRID.rows, GRID.cols), np.uint16)
    np.save(made / "truth.npy", cut(pixels, ROWS, COLS, 96))
    for name in ("s2/B02.tif", "s2/B03.tif", "rtc/vv.tif"):
        (made / name).parent.mkdir(exist_ok=True)
        write_gdal(made / name, pixels, GRID, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    return made


@pytest.fixture
def azure(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """Blobs' host is reached as through a proxy, which the stand-in is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(patience, "WAIT_S", 0.001)
    with Azure(folder) as made:
        monkeypatch.setenv("http_proxy", made.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("PC_SDK_SAS_URL", made.url + SERVICE)
        monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "KEY")
        Settings.get.cache_clear()
        yield made
    Settings.get.cache_clear()


def reader(*hosts: str, sign: bool = True, **of: dict[str, str]) -> ImageryReader:
    opened = Access(hosts=[HOST, *hosts], sign="planetary-computer" if sign else None, **of)  # type: ignore[arg-type]
    return ImageryReader(2, {"s2_l2a": CollectionAccess(access=opened, format="tiff", local=False)})


def ask(path: str) -> Ask:
    href = path if "://" in path else f"{HOST}/{path}"
    return Ask(GRID.asset(href, scene="S2A_X"), GRID.boxes(ROWS, COLS, 96), np.dtype("uint16"))


def right(azure: Azure, reader: ImageryReader, path: str = "s2/B02.tif") -> None:
    found, _ = by_reader(ask(path), reader)
    np.testing.assert_array_equal(found, np.load(azure.folder / "truth.npy"))


def test_one_token_serves_a_container(azure: Azure):
    of = reader()
    asks = [ask(path) for path in ("s2/B02.tif", "s2/B03.tif", "rtc/vv.tif")] * 3
    assert len(list(of.read(asks, lambda *_: None))) == 27
    assert {name: len(tokens) for name, tokens in azure.dealt.items()} == {"account/s2": 1, "account/rtc": 1}
    assert not azure.unsigned and not azure.refused and set(azure.keys) == {"KEY"}


def test_a_token_is_renewed_before_it_ends(azure: Azure):
    of = reader()
    azure.lasts_s = 60  # less than a request may take
    right(azure, of)
    assert azure.tokens > 1 and not azure.refused
    azure.lasts_s = 3600
    right(azure, of)
    dealt = azure.tokens
    right(azure, of)
    assert azure.tokens == dealt


def test_a_token_that_the_server_refuses_is_renewed(azure: Azure):
    of = reader()
    right(azure, of)
    azure.dealt["account/s2"].clear()  # what was given holds no more
    right(azure, of)
    assert azure.refused and azure.tokens == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_service_in_trouble_is_asked_again_with_bounds(code: int, azure: Azure):
    azure.put(SERVICE, Fault("status", code, times=3))
    right(azure, reader())
    assert azure.tokens == 1
    azure.put(SERVICE, Fault("status", code))
    azure.asked.clear()
    with pytest.raises(TilewrightError) as raised:
        by_reader(ask("s2/B02.tif"), reader())
    assert f"in 5 tries ({azure.url}{SERVICE}/account/s2 gives no token: {code})" in str(raised.value)
    assert azure.asked[SERVICE] == patience.TRIES


@pytest.mark.parametrize("code", [400, 401, 404])
def test_a_service_that_knows_no_such_container_is_believed(code: int, azure: Azure):
    azure.put(SERVICE, Fault("status", code))
    with pytest.raises(TilewrightError, match=f"is not read: .* gives no token: {code}"):
        by_reader(ask("s2/B02.tif"), reader())
    assert azure.asked[SERVICE] == 1


@pytest.mark.parametrize("said", ["<html>", "[]", "{}", '{"token": "sig=SECRET", "msft:expiry": "soon"}', "x" * 99_999])
def test_what_is_no_token_is_said_without_repeating_it(said: str, azure: Azure):
    azure.put(SERVICE, Fault("page", to=said))
    with pytest.raises(TilewrightError, match="answers with something else than a token") as raised:
        by_reader(ask("s2/B02.tif"), reader())
    assert "SECRET" not in str(raised.value)


def test_a_hidden_container_is_no_evidence_that_a_blob_is_gone(azure: Azure):
    with pytest.raises(TilewrightError, match=r"in 5 tries \(404 ResourceNotFound\)"):
        by_reader(ask("s2/B02.tif"), reader(sign=False))
    with pytest.raises(BrokenAssetError, match=r"B02 is gone \(404 NoSuchKey\)"):
        by_reader(ask("s2/none.tif"), reader())


def test_no_other_host_gets_a_token(azure: Azure, folder: Path):
    with RangeServer(folder) as plain:
        right(azure, reader(plain.url), f"{plain.url}/s2/B02.tif")
        right(azure, reader(rewrite={f"{HOST}/": f"{plain.url}/"}))
        assert azure.tokens == 0 and all("?" not in target for target in plain.targets)


def test_signatures_and_keys_are_told_to_nobody(azure: Azure, caplog: pytest.LogCaptureFixture):
    azure.put("/s2/B02.tif", Fault("status", 500))
    with caplog.at_level(logging.DEBUG), pytest.raises(TilewrightError) as raised:
        by_reader(ask("s2/B02.tif"), reader())
    assert f"{HOST}/s2/B02.tif could not be read" in str(raised.value) and azure.tokens == 1
    told = caplog.text
    error: BaseException | None = raised.value
    while error is not None:  # also what a log with tracebacks would show
        told, error = told + str(error), error.__cause__ or error.__context__
    assert not any(word in told for word in ("SECRET", "sig=", "KEY"))
