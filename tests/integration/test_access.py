"""What may be opened: hrefs, redirects and files that lead elsewhere get nothing; mirrors are used as configured; no secret is told."""

import dataclasses
import itertools
import logging
import re
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from range_server import Fault, RangeServer

import tilewright.imagery.client as client
import tilewright.imagery.patience as patience
from rasters import Grid, by_reader, cut, write_gdal
from tilewright.config.provider import Access, CollectionAccess
from tilewright.errors import TilewrightError
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Traffic
from tilewright.imagery.source import Stores

GRID = Grid(320, 320)
ROWS, COLS = zip(*itertools.product((0, 130), (10, 200)), strict=True)
FILE = "/B02.tif"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(patience, "WAIT_S", 0.001)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raster as TIFF and as JPEG 2000, also under a name with a blank; a calibration."""
    made = tmp_path_factory.mktemp("files")
    pixels = np.random.default_rng(1).integers(1, 65535, (GRID.rows, GRID.cols), np.uint16)
    np.save(made / "truth.npy", cut(pixels, ROWS, COLS, 96))
    for name in ("B02.tif", "sub dir/B02.tif"):
        (made / name).parent.mkdir(exist_ok=True)
        write_gdal(made / name, pixels, GRID, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    write_gdal(made / "B02.jp2", pixels, GRID, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    (made / "calibration.xml").write_text("<calibration/>")
    return made


@pytest.fixture
def server(folder: Path) -> Iterator[RangeServer]:
    with RangeServer(folder) as made:
        yield made


@pytest.fixture
def other(folder: Path) -> Iterator[RangeServer]:
    """A server that nobody allowed."""
    with RangeServer(folder) as made:
        yield made


def access(*hosts: str, local: bool = False, format: Any = "tiff", corrected: dict[str, str] | None = None, **of: Any):
    opened = CollectionAccess(
        access=Access(hosts=list(hosts), **of), format=format, local=local, rewrite=corrected or {}
    )
    return {"s2_l2a": opened}


def ask(href: str | Path) -> Ask:
    return Ask(GRID.asset(href, scene="S2A_X"), GRID.boxes(ROWS, COLS, 96), np.dtype("uint16"))


def right(folder: Path, href: str | Path, allowed: dict[str, CollectionAccess] | None) -> Traffic:
    found, traffic = by_reader(ask(href), ImageryReader(2, allowed))
    np.testing.assert_array_equal(found, np.load(folder / "truth.npy"))
    return traffic


def refused(href: str | Path, allowed: dict[str, CollectionAccess] | None) -> str:
    with pytest.raises(TilewrightError) as raised:
        by_reader(ask(href), ImageryReader(1, allowed))
    message = str(raised.value)
    assert message.startswith("scene S2A_X, asset B02: ") and "\n" not in message and len(message) < 600
    return message


# -- where hrefs lead ----------------------------------------------------------------------------------------------------


def test_what_is_listed_is_opened(server: RangeServer, folder: Path):
    right(folder, server.url + FILE, access(server.url))
    right(folder, f"{server.url}/sub%20dir/B02.tif", access(server.url))
    right(folder, folder / "B02.tif", access(local=True))
    right(folder, (folder / "B02.tif").as_uri(), access(local=True))
    right(folder, f"{server.url}/B02.jp2", access(server.url, format="jp2"))


@pytest.mark.parametrize(
    ("href", "why"),
    [
        ("{other}/B02.tif", "host 'http://127.0.0.1:"), ("https://{at}/B02.tif", "host '127.0.0.1:"),
        ("http://localhost.evil.org/B02.tif", "host"), ("{server}@{otherat}/B02.tif", "user or password"),
        ("{server}\\@{otherat}/B02.tif", "backslashes"), ("{server}/../B02.tif", r"\.\. in its path"),
        ("{server}/%2e%2e/B02.tif", r"\.\. in its path"), ("{server}/B02.vrt", "does not end in"),
        ("{server}/B02.jp2", "does not end in"), ("{server}/B02.tif?x=.tif", "query"), ("{server}/a%0ab.tif", "control"),
        ("{file}", "local path, which only local catalogs may name"), ("file://{file}", "local path"),
        ("s3://bucket/B02.tif", "bucket 'bucket' is not among"), ("gs://bucket/B02.tif", "scheme 'gs' is not opened"),
        ("/vsicurl/{server}/B02.tif", "virtual file system"), ("<VRTDataset>.tif", "document"), ("", "is empty"),
    ],
)  # fmt: skip
def test_what_is_not_listed_is_not_opened(href: str, why: str, server: RangeServer, other: RangeServer, folder: Path):
    at = {"at": server.address, "otherat": other.address, "server": server.url, "other": other.url}
    message = refused(href.format(**at, file=folder / "B02.tif"), access(server.url))
    assert re.search(f"is not read: its address .*{why}", message)
    assert not server.targets and not other.targets


def test_a_local_catalog_names_files_and_no_virtual_ones(folder: Path):
    for href in (f"{folder}/sub/../B02.tif", f"/vsizip/{folder}/a.zip/B02.tif", f"//host/{folder}/B02.tif"):
        assert "is not read: its address" in refused(href, access(local=True))


def test_a_collection_of_which_nothing_is_said_is_not_opened(server: RangeServer):
    assert "nothing says how collection s2_l2a is opened" in refused(server.url + FILE, {})


# -- redirects -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("beyond", [0, 40_000], ids=["from the start", "half way"])
def test_a_redirect_to_another_host_is_not_followed(code: int, beyond: int, server: RangeServer, other: RangeServer):
    server.put(FILE, Fault("redirect", code, to=f"{other.url}/B02.tif?token=SECRET", beyond=beyond))
    for allowed in (access(server.url), None):  # also for those who vouch for their assets
        message = refused(server.url + FILE, allowed)
        assert "the server redirects to another host, 127.0.0.1, which is not followed" in message
        assert "SECRET" not in message
    assert not other.targets


@pytest.mark.parametrize(
    "to",
    [
        "https://{at}/B02.tif", "http://me:pw@{at}/B02.tif", "//127.0.0.1:1/B02.tif", "file:///etc/passwd", "http://[bad/x.tif",
        "{url}/B02.tif",  # to itself, for ever
    ],
)  # fmt: skip
def test_redirects_that_lead_nowhere_end(to: str, server: RangeServer):
    server.put(FILE, Fault("redirect", to=to.format(at=server.address, url=server.url)))
    message = refused(server.url + FILE, access(server.url))
    assert "the server redirects" in message and "pw" not in message
    assert server.asked[FILE] <= patience.TRIES * 6


def test_a_redirect_within_the_host_is_followed(server: RangeServer, folder: Path):
    for to in ("", "/moved/B02.tif", "moved/B02.tif"):
        server.put(FILE, Fault("redirect", to=to))
        right(folder, server.url + FILE, access(server.url))
    assert any(target.startswith("/moved/") for target in server.targets)


# -- what files are ------------------------------------------------------------------------------------------------------


def vrt(of: Path) -> str:
    """A document that has GDAL read another file."""
    return (
        f'<VRTDataset rasterXSize="320" rasterYSize="320"><SRS>EPSG:{GRID.epsg}</SRS>'
        f"<GeoTransform>{GRID.left}, 10, 0, {GRID.top}, 0, -10</GeoTransform>"
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>{of}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


@pytest.mark.parametrize("start", ["", "\n  ", "# ", "\ufeff", "II*\0", "\0\0\0\x0cjP  \r\n\x87\n"])
@pytest.mark.parametrize("format", ["tiff", "jp2", None])
def test_a_document_in_the_place_of_a_raster_reads_no_other_file(
    start: str, format: str | None, folder: Path, tmp_path: Path
):
    name = "B02.jp2" if format == "jp2" else "B02.tif"
    (tmp_path / name).write_bytes(
        start.encode("latin1" if start[-1:] == "\n" else "utf8") + vrt(folder / name).encode()
    )
    with RangeServer(tmp_path) as server:
        for href in (str(tmp_path / name), f"{server.url}/{name}"):
            allowed = access(server.url, local=True, format=format) if format else None
            with pytest.raises((BrokenAssetError, TilewrightError), match=r"is corrupt|words came instead"):
                by_reader(ask(href), ImageryReader(1, allowed))


@pytest.mark.parametrize(("format", "other"), [("tiff", "B02.jp2"), ("jp2", "B02.tif")])
def test_only_the_format_of_the_collection_is_opened_whatever_the_name(
    format: str, other: str, folder: Path, tmp_path: Path
):
    name = "B02.jp2" if format == "jp2" else "B02.tif"
    (tmp_path / name).write_bytes((folder / other).read_bytes())
    with RangeServer(tmp_path) as server:
        for href in (str(tmp_path / name), f"{server.url}/{name}"):
            with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
                by_reader(ask(href), ImageryReader(1, access(server.url, local=True, format=format)))
            right(folder, href, None)


def test_files_beside_an_asset_say_nothing_about_it(folder: Path, tmp_path: Path):
    """GDAL would take another place from a sidecar, here of an asset that it reads itself."""
    (tmp_path / "B02.jp2").write_bytes((folder / "B02.jp2").read_bytes())
    (tmp_path / "B02.jp2.aux.xml").write_text(
        "<PAMDataset><GeoTransform>0, 10, 0, 0, 0, -10</GeoTransform></PAMDataset>"
    )
    (tmp_path / "B02.wld").write_text("10\n0\n0\n-10\n0\n0\n")
    right(folder, tmp_path / "B02.jp2", access(local=True, format="jp2"))


# -- mirrors -------------------------------------------------------------------------------------------------------------


def test_the_longest_prefix_leads_to_the_mirror(server: RangeServer, other: RangeServer, folder: Path, tmp_path: Path):
    (tmp_path / "mirror").symlink_to(folder)
    named = "https://bucket.example.org/tiles"
    to_folder = {named: "/nowhere", f"{named}/32/": f"{tmp_path}/mirror/", "https://bucket.example.org/t": "/wrong"}
    right(folder, f"{named}/32/B02.tif", access("bucket.example.org", rewrite=to_folder))
    right(folder, f"{named}/32/sub%20dir/B02.tif", access("bucket.example.org", rewrite=to_folder))
    right(folder, f"{named}/sub%20dir/B02.tif", access("bucket.example.org", rewrite={f"{named}/": server.url + "/"}))
    assert server.targets[0] == "/sub%20dir/B02.tif"


def test_the_collections_corrections_come_first_and_the_mirror_need_not_be_listed(server: RangeServer, folder: Path):
    """An href is judged as it is corrected; what the user writes is the user's own."""
    allowed = {"buckets": {"right": {}}, "rewrite": {"s3://right/": f"{server.url}/"}}
    right(folder, "s3://wrong/sub dir/B02.tif", access(corrected={"s3://wrong/": "s3://right/"}, **allowed))
    message = refused("s3://wrong/B02.tif", access(**allowed))
    assert "bucket 'wrong' is not among" in message
    unlisted = access(rewrite={"s3://wrong/": f"{server.url}/"})
    assert "bucket 'wrong' is not among" in refused("s3://wrong/B02.tif", unlisted)


def test_messages_name_the_mirror_without_its_password(
    server: RangeServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    mirror = f"http://me:${{MIRROR_PASSWORD}}@{server.address}/"
    unset = refused("https://a.org/B02.tif", access("a.org", rewrite={"https://a.org/": mirror}))
    assert "variable MIRROR_PASSWORD of the environment is not set" in unset
    monkeypatch.setenv("MIRROR_PASSWORD", "hidden")
    server.put(FILE, Fault("status", 503))
    with caplog.at_level(logging.DEBUG):
        message = refused("https://a.org/B02.tif", access("a.org", rewrite={"https://a.org/": mirror}))
    assert f"{server.url}/B02.tif could not be read" in message and "503" in message
    assert "hidden" not in message + caplog.text


# -- how often, how long -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["", "2", "600", "soon"])
def test_a_server_that_asks_for_time_gets_it_with_bounds(
    told: str, server: RangeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    waits: list[float] = []
    monkeypatch.setattr(client, "_MOST_WAIT_S", 3.0)
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: waits.append(timeout) or False)
    send, over = RangeServer.handler(server)._send, 2

    def sent(self: Any, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        send(self, status, body, length, **(headers | ({"retry_after": told} if told and status == 503 else {})))

    monkeypatch.setattr(RangeServer.handler(server), "_send", sent)
    server.put(FILE, Fault("status", 503, times=over))
    source = Stores(Traffic(), access(server.url)).source(ask(server.url + FILE).asset)
    from tilewright.imagery.source import judge_of

    of = ask(server.url + FILE).asset
    patience.patiently(of, lambda: source.head(100), judge_of(of), Traffic(), threading.Event())
    asked = [wait for wait in waits if wait is not None]
    expected = {"2": 2.0, "600": 3.0}.get(told)
    assert asked == [expected] * over if expected else len(asked) == over and max(asked) < 0.1


def test_the_environments_proxy_is_used_and_its_exceptions(
    server: RangeServer, other: RangeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("http_proxy", f"http://user:pa%40ss@{other.address}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    right(folder, "http://far.example.org/B02.tif", access("http://far.example.org"))
    assert set(other.targets) == {"http://far.example.org/B02.tif"}
    right(folder, server.url + FILE, access(server.url))
    assert len(set(other.targets)) == 1


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begun = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begun, begun + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


def test_who_a_server_is_is_checked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """https with a certificate that the environment vouches for, and no other."""
    cert, key = certificate(tmp_path)
    with RangeServer(folder) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        href = f"https://{server.address}/B02.tif"
        client._tls.cache_clear()
        assert re.search(r"no safe connection \(.*verify failed", refused(href, access(server.address)))
        client._tls.cache_clear()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
        right(folder, href, access(server.address))
        assert "host '127.0.0.1:" in refused(href, access(f"http://{server.address}"))
    client._tls.cache_clear()


def test_connections_that_a_server_closes_without_a_word_are_no_faults(
    server: RangeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """As object stores do with those that are idle for a while."""
    handler = RangeServer.handler(server)
    monkeypatch.setattr(
        handler, "do_GET", lambda self, real=handler.do_GET: (real(self), setattr(self, "close_connection", True))
    )
    of = ImageryReader(2, access(server.url))
    for _ in range(3):
        by_reader(ask(server.url + FILE), of)
        time.sleep(0.05)
    assert of.traffic.retries <= of.traffic.requests // 2, "one that closes just then costs a try"
    right(folder, server.url + FILE, access(server.url))


# -- documents -----------------------------------------------------------------------------------------------------------


def document(href: str, allowed: dict[str, CollectionAccess] | None, most: int = 100, parse: Any = bytes) -> Any:
    return Stores(Traffic(), allowed).document(ask("x.tif").asset, href, most, threading.Event(), parse)


def test_documents_are_read_under_the_same_rules(server: RangeServer, folder: Path, other: RangeServer):
    for href in (f"{server.url}/calibration.xml", str(folder / "calibration.xml")):
        assert document(href, access(server.url, local=True)) == b"<calibration/>"
        assert document(href, None, parse=len) == 14
        with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
            document(href, None, most=13)
        with pytest.raises(TilewrightError, match="is not read: its address"):
            document(href, access(other.url))
    mirrored = access("a.org", rewrite={"https://a.org/": server.url + "/"})
    assert document("https://a.org/calibration.xml", mirrored) == b"<calibration/>"
    with pytest.raises(TilewrightError, match=r"does not end in \.xml"):
        document(server.url + FILE, access(server.url))
    with pytest.raises(BrokenAssetError, match=r"B02 is gone \(404 NoSuchKey\)"):
        document(f"{server.url}/none.xml", access(server.url))
    with pytest.raises(BrokenAssetError, match=r"B02 is gone \(no such file\)"):
        document(str(folder / "none.xml"), None)


def test_a_document_is_corrupt_only_when_it_is_seen_twice(server: RangeServer, folder: Path):
    href, path = f"{server.url}/calibration.xml", "/calibration.xml"

    def parse(found: bytes) -> bytes:
        if found != b"<calibration/>":
            raise ValueError("is no calibration")
        return found

    server.put(path, Fault("corrupt", flip=range(3, 5), times=1))
    assert document(href, None, parse=parse) == b"<calibration/>"
    server.put(path, Fault("corrupt", flip=range(3, 5)))
    with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
        document(href, None, parse=parse)
    for fault in (Fault("status", 503, times=3), Fault("page", times=3), Fault("amid", times=2), Fault("cut", times=2)):
        server.put(path, fault)
        assert document(href, None, parse=parse) == b"<calibration/>"
    server.put(path, Fault("page"))
    with pytest.raises(TilewrightError, match=r"could not be read in 5 tries \(a page came instead of the file\)"):
        document(href, None, parse=parse)


def test_the_asset_is_opened_where_it_is_rewritten_to(folder: Path):
    stores = Stores(Traffic(), access("a.org", rewrite={"https://a.org": str(folder)}))
    asset = ask("https://a.org/sub%20dir/B02.tif").asset
    assert stores.opened(asset) == dataclasses.replace(asset, href=f"{folder}/sub dir/B02.tif")
