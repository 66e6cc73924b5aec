"""Faults of servers and files, one at a time, through the reader: retried, told as broken, or one clear error; no wrong pixel."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from range_server import PAGE, Fault, RangeServer

import tilewright.imagery.client as client
import tilewright.imagery.patience as patience
from rasters import Grid, by_reader, cut, write_gdal
from tilewright.errors import TilewrightError
from tilewright.grid import Boxes
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader
from tilewright.imagery.layout import read_layout

GRID = Grid(640, 640)
ROWS, COLS = zip(*itertools.product((0, 130, 400), (10, 300, 600)), strict=True)
FILE = "/B02.tif"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of thousandths of seconds instead of seconds; silence counts as a stall after one."""
    monkeypatch.setattr(patience, "WAIT_S", 0.001)
    monkeypatch.setattr(client, "SILENCE_S", 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COG larger than the first read of a header (blocks of 128², noise), and the same as JPEG 2000."""
    made = tmp_path_factory.mktemp("files")
    pixels = np.random.default_rng(1).integers(1, 65535, (GRID.rows, GRID.cols), np.uint16)
    np.save(made / "truth.npy", cut(pixels, ROWS, COLS, 96))
    write_gdal(made / "B02.tif", pixels, GRID, driver="COG", blocksize=128, compress="DEFLATE", overviews="NONE")
    write_gdal(made / "big.jp2", pixels, GRID, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    return made


@pytest.fixture
def server(folder: Path) -> Iterator[RangeServer]:
    with RangeServer(folder) as made:
        yield made


def ask(server: RangeServer, path: str = FILE) -> Ask:
    return Ask(GRID.asset(server.url + path, scene="S2A_X"), GRID.boxes(ROWS, COLS, 96), np.dtype("uint16"))


def right(server: RangeServer, retries: int | None = 0, path: str = FILE) -> ImageryReader:
    """The reader gives the true pixels, with as many retries."""
    reader = ImageryReader(2)
    found, traffic = by_reader(ask(server, path), reader)
    np.testing.assert_array_equal(found, np.load(server.folder / "truth.npy"))
    assert retries is None or traffic.retries == retries
    return reader


def last_block(folder: Path) -> tuple[int, int, int]:
    """Number, first byte and size of the file's last block, which the boxes need."""
    raw = (folder / "B02.tif").read_bytes()
    layout = read_layout(memoryview(raw), len(raw), lambda at, size: memoryview(raw)[at : at + size])
    assert layout is not None
    number = int(np.argmax(layout.offsets * (np.arange(25) < 20)))  # rows of blocks 0 to 3 are needed
    return number, int(layout.offsets[number]), int(layout.counts[number])


HALF_WAY = 40_000  # a byte beyond the header's read


def test_an_honest_server_is_asked_for_each_block_once(server: RangeServer):
    reader = right(server)
    traffic = reader.traffic
    assert (traffic.assets, traffic.other_assets) == (1, 0)
    assert traffic.requests == len(server.ranges) == len(set(server.ranges))
    assert traffic.bytes_fetched == sum(last - first + 1 for _, first, last in server.ranges)
    assert traffic.bytes_needed <= traffic.bytes_fetched <= 1.02 * traffic.bytes_needed + 32768


PASSING = {
    **{f"{code}": Fault("status", code) for code in (400, 401, 403, 408, 416, 429, 500, 502, 503, 504)},
    **{kind: Fault(kind) for kind in ("page", "page206", "whole", "short", "long", "cut", "elsewhere", "reset", "amid")},
    "stall": Fault("stall", seconds=3.0),
    "changed": Fault("changed"),
}  # fmt: skip


def cases(without: tuple[str, ...], from_half_way: tuple[str, ...]) -> list[Any]:
    """Kinds of faults, from the start and from half way; some only then: a file that is another from the start is that file."""
    return [
        pytest.param(kind, beyond, id=f"{kind}-{'half way' if beyond else 'from the start'}")
        for kind in PASSING
        for beyond in (0, HALF_WAY)
        if kind not in without and (beyond or kind not in from_half_way)
    ]


@pytest.mark.parametrize(("kind", "beyond"), cases(without=(), from_half_way=("changed", "page206")))
def test_what_passes_is_asked_again_and_changes_nothing(kind: str, beyond: int, server: RangeServer):
    times = 1 if kind == "stall" else 3
    server.put(FILE, Fault(**{**vars(PASSING[kind]), "times": times, "beyond": beyond}))
    # a page instead of some blocks is corrupt once, and is fetched again
    right(server, times if kind != "page206" else None)
    assert server.faults[FILE][0].times == 0


@pytest.mark.parametrize(("kind", "beyond"), cases(without=("stall", "page206"), from_half_way=("changed",)))
def test_what_does_not_pass_is_one_error_that_names_the_place(kind: str, beyond: int, server: RangeServer):
    server.put(FILE, Fault(**{**vars(PASSING[kind]), "beyond": beyond}))
    with pytest.raises(TilewrightError) as raised:
        by_reader(ask(server))
    message = str(raised.value)
    place = "at its header" if beyond == 0 else r"at byte \d+"
    assert re.search(rf"scene S2A_X, asset B02: {server.url}/B02.tif could not be read {place} in 5 tries \(", message)
    assert "run again" in message and "\n" not in message and "Debug" not in message and len(message) < 600
    starts = [first for _, first, last in server.ranges if last >= beyond]
    if beyond:
        assert int(re.findall(r"at byte (\d+)", message)[0]) in starts
    assert max(starts.count(first) for first in starts) <= patience.TRIES, "with bounds"


@pytest.mark.parametrize("beyond", [0, HALF_WAY], ids=["from the start", "half way"])
@pytest.mark.parametrize("code", [404, 410])
def test_what_is_gone_is_broken_at_once(code: int, beyond: int, server: RangeServer):
    server.put(FILE, Fault("status", code, beyond=beyond))
    with pytest.raises(BrokenAssetError, match=f"B02 is gone .*{code}"):
        by_reader(ask(server))
    starts = [first for _, first, last in server.ranges if last >= beyond]
    assert len(starts) == len(set(starts)), "and not asked again"


@pytest.mark.parametrize("times", [1, 2, 10**9])
def test_corrupt_bytes_in_a_block(times: int, server: RangeServer, folder: Path, caplog: pytest.LogCaptureFixture):
    number, start, size = last_block(folder)
    server.put(FILE, Fault("corrupt", flip=range(start + size // 2, start + size // 2 + 9), times=times))
    if times == 1:
        right(server, 1)
        return
    with pytest.raises(BrokenAssetError, match=r"^B02 is corrupt$"):  # what stands in the selection
        by_reader(ask(server))
    assert f"block {number} at byte {start}: " in caplog.text
    again = [(first, last) for _, first, last in server.ranges if first == start]
    assert again == [(start, start + size - 1)], "that block alone was fetched again"


def test_a_header_that_was_corrupt_on_its_way_breaks_no_scene(server: RangeServer, folder: Path):
    """Its blocks are then corrupt however often they are fetched; the header is looked at again before anything is said."""
    raw = (folder / "B02.tif").read_bytes()
    _, start, _ = last_block(folder)
    at = raw.index(start.to_bytes(4, "little"))
    server.put(FILE, Fault("corrupt", flip=range(at, at + 1), times=1))
    with pytest.raises(TilewrightError, match=r"could not be read at byte \d+ .*the file changed while it was read"):
        by_reader(ask(server))
    right(server)


@pytest.mark.parametrize("kept", [0.00001, 0.0002, 0.001, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_broken(kept: float, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    raw = (folder / "B02.tif").read_bytes()
    (tmp_path / "B02.tif").write_bytes(raw[: int(len(raw) * kept)])
    with RangeServer(tmp_path) as server, pytest.raises(BrokenAssetError, match="B02 is corrupt"):
        by_reader(ask(server))
    if kept >= 0.02:
        assert re.search(r"block \d+ of \d+ bytes at byte \d+ does not lie in a file of \d+ bytes", caplog.text)
    here = Ask(GRID.asset(tmp_path / "B02.tif"), ask(server).boxes, np.dtype("uint16"))
    with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
        by_reader(here)


@pytest.mark.parametrize("content", [b"", b"II", b"II*\0\x08\0\0\0", b"\xff" * 50_000])
def test_a_file_that_is_no_raster_is_broken(content: bytes, tmp_path: Path):
    (tmp_path / "B02.tif").write_bytes(content)
    with RangeServer(tmp_path) as server:
        hrefs = [f"{server.url}{FILE}", str(tmp_path / "B02.tif")]
        for href in hrefs:
            with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
                by_reader(Ask(GRID.asset(href), ask(server).boxes, np.dtype("uint16")))


def test_an_empty_answer_for_an_empty_file_is_evidence(server: RangeServer, caplog: pytest.LogCaptureFixture):
    server.put(FILE, Fault("empty"))
    with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
        by_reader(ask(server))
    assert "the file is empty" in caplog.text


def test_a_page_of_words_on_the_disk_is_broken_and_on_a_server_an_outage(tmp_path: Path):
    for content in (PAGE, b'{"error": "quota"}', b"<?xml version='1.0'?><Error/>", b"\n <VRTDataset/>"):
        (tmp_path / "B02.tif").write_bytes(content)
        with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
            by_reader(Ask(GRID.asset(tmp_path / "B02.tif"), GRID.boxes(ROWS, COLS, 96), np.dtype("uint16")))
        with RangeServer(tmp_path) as server, pytest.raises(TilewrightError, match="words came instead of a raster"):
            by_reader(ask(server))


def test_detours_and_slow_lines_are_no_faults(server: RangeServer):
    server.put(FILE, Fault("redirect"))
    right(server)
    server.put(FILE, Fault("drip", seconds=1.6, times=1))  # longer than the client waits in silence, in eight steps
    right(server)


def off_grid(server: RangeServer, path: str) -> Ask:
    """Boxes moved by four tenths of a pixel: the nearest pixels are the same."""
    of = ask(server, path).boxes
    return Ask(ask(server, path).asset, Boxes(of.epsg, 10, 96, of.ulx + 4, of.uly - 4), np.dtype("uint16"))


BEYOND = 100_000  # past what is read of a header for GDAL


@pytest.mark.parametrize("way", ["JPEG 2000", "another grid"])
@pytest.mark.parametrize("kind", [*PASSING, "404", "410"])
def test_what_gdal_reads_is_judged_by_what_the_server_said(way: str, kind: str, server: RangeServer):
    """GDAL would take an answer that ends half way for a corrupt file, and an outage for a broken scene."""
    path = "/big.jp2" if way == "JPEG 2000" else FILE
    asked = ask(server, path) if way == "JPEG 2000" else off_grid(server, path)
    truth = np.load(server.folder / "truth.npy")
    if kind in ("404", "410"):
        server.put(path, Fault("status", int(kind), beyond=BEYOND))
        with pytest.raises(BrokenAssetError, match=f"B02 is gone .*{kind}"):
            by_reader(asked)
        return
    server.put(path, Fault(**{**vars(PASSING[kind]), "times": 1, "beyond": BEYOND}))
    found, traffic = by_reader(asked)
    np.testing.assert_array_equal(found, truth)
    assert (traffic.assets, traffic.other_assets) == (0, 1) and traffic.retries == 1
    assert server.faults[path][0].times == 0
    if kind in ("503", "amid", "short", "changed"):
        server.put(path, Fault(**{**vars(PASSING[kind]), "beyond": BEYOND}))
        with pytest.raises(TilewrightError, match=r"scene S2A_X, asset B02: .* could not be read .*in 5 tries"):
            by_reader(asked)


def test_what_gdal_reads_outlasts_more_failures_than_it_has_tries(server: RangeServer):
    """GDAL begins anew when one of its many requests fails: each is asked again by itself first."""
    server.put("/big.jp2", *(Fault("status", 503, times=1, beyond=BEYOND) for _ in range(9)))
    right(server, 9, "/big.jp2")


def test_jpeg_2000_that_is_truncated_or_no_more_is_broken(server: RangeServer, folder: Path, tmp_path: Path):
    path = "/big.jp2"
    assert right(server, path=path).traffic.other_assets == 1
    raw = (folder / "big.jp2").read_bytes()
    for kept in (0.3, 0.9, 0.999):
        (tmp_path / "big.jp2").write_bytes(raw[: int(len(raw) * kept)])
        with RangeServer(tmp_path) as other, pytest.raises(BrokenAssetError, match="B02 is corrupt"):
            by_reader(ask(other, path))
        with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
            by_reader(Ask(GRID.asset(tmp_path / "big.jp2"), ask(other).boxes, np.dtype("uint16")))


@pytest.mark.parametrize("remote", [True, False])
def test_a_gdal_without_the_driver_breaks_no_scene(
    remote: bool, server: RangeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Some packages of GDAL come without JPEG 2000; every Level-1C scene would be recorded as corrupt for good."""
    import rasterio

    asked = ask(server, "/big.jp2")
    if not remote:
        asked = Ask(GRID.asset(folder / "big.jp2"), asked.boxes, np.dtype("uint16"))
    there = rasterio.Env.drivers
    monkeypatch.setattr(
        rasterio.Env, "drivers", lambda self: {k: v for k, v in there(self).items() if k != "JP2OpenJPEG"}
    )
    with pytest.raises(TilewrightError, match=r"big\.jp2 is not read: GDAL has no driver JP2OpenJPEG here: install it"):
        by_reader(asked)


def _copy(at: Path, folder: Path) -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes((folder / "B02.tif").read_bytes())
    return at


NAMES = [
    "a b.tif",
    "a%20b.tif",
    "a#b.tif",
    "a?b.tif",
    "a+b.tif",
    "å–名.tif",
    "a#1",
    "a&b=c;d.tif",
    "sub/dir/x.tif",
    "100%.tif",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["path", "relative", "file URL", "link", "http"])
def test_names_of_all_kinds(name: str, kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from urllib.parse import quote

    made = _copy(tmp_path / name, folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.tif").symlink_to(made)
    with RangeServer(tmp_path) as server:
        hrefs: dict[str, Callable[[], str]] = {
            "path": lambda: str(made), "relative": lambda: name, "file URL": made.as_uri, "link": lambda: "link.tif",
            "http": lambda: f"{server.url}/{quote(name, safe='/&=;+')}?sig=a%2Bb%3D&x=1",
        }  # fmt: skip
        found, traffic = by_reader(Ask(GRID.asset(hrefs[kind]()), ask(server).boxes, np.dtype("uint16")))
        assert all(
            target == f"/{quote(name, safe='/&=;+')}?sig=a%2Bb%3D&x=1" for target in server.targets if "+" not in name
        )
    np.testing.assert_array_equal(found, np.load(folder / "truth.npy"))
    assert traffic.assets + traffic.other_assets == 1


@pytest.mark.parametrize(
    "path", ["/sub/../B02.tif", "/./B02.tif", "//B02.tif", "/%2e%2e/B02.tif", "/B02.tif/", "/B02%2Etif"]
)
def test_paths_that_are_not_plain(path: str, server: RangeServer):
    """Asked for as they are written, or as any client tidies them; never another file, never a stack trace."""
    try:
        right(server, None, path)
    except (BrokenAssetError, TilewrightError) as error:
        assert "\n" not in str(error)


def test_a_folder_is_no_file(tmp_path: Path):
    asked: Any = Ask(GRID.asset(tmp_path), GRID.boxes(ROWS, COLS, 96), np.dtype("uint16"))
    with pytest.raises(BrokenAssetError):
        by_reader(asked)
