"""Radar from a server: the same as from disk, by either reader, with its calibration, few bytes, and faults that pass."""

from pathlib import Path

import numpy as np
import pytest
from range_server import Fault, RangeServer

from rasters import by_reader
from swaths import Swath, ask, boxes_at, document, write_grd
from tilewright.imagery import BrokenAssetError, patience

SWATH = Swath()
CELLS = [(8100 + 150 * at, 12_100 + 170 * (at * 3 % 5)) for at in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("grd")
    lines, pixels = list(range(0, 17_500, 700)), list(range(0, 25_600, 100))
    constant = np.random.default_rng(0).uniform(300, 600, (len(lines), len(pixels)))
    (made / "calibration.xml").write_text(document(lines, pixels, constant))
    for compress in ("deflate", "packbits"):
        write_grd(
            made / f"{compress}.tiff", SWATH, 32632, [(7900, 11_900, 1000, 1000)],
            lambda row, column, *_: 1 + (row * 31 + column * 17) % 500, compress=compress,
        )  # fmt: skip
    return made


@pytest.mark.parametrize("compress", ["deflate", "packbits"])
def test_as_from_disk(compress: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patience, "WAIT_S", 0.01)
    boxes, xml = boxes_at(SWATH, 32632, CELLS), folder / "calibration.xml"
    local, _ = by_reader(ask(folder / f"{compress}.tiff", boxes, "sigma0", calibration=xml))
    with RangeServer(folder) as server:
        server.faults[f"/{compress}.tiff"] = [Fault("status", code=503, times=1, beyond=65_536), Fault("cut", times=1)]
        server.faults["/calibration.xml"] = [Fault("status", code=500, times=1), Fault("cut", times=1)]
        remote = ask(f"{server.url}/{compress}.tiff", boxes, "sigma0", calibration=f"{server.url}/calibration.xml")
        found, traffic = by_reader(remote)
    np.testing.assert_array_equal(found, local)
    assert np.isfinite(found).all() and traffic.retries >= 3
    whole = (folder / f"{compress}.tiff").stat().st_size + (folder / "calibration.xml").stat().st_size
    assert traffic.bytes_fetched + traffic.other_bytes < 2 * whole


@pytest.mark.parametrize("gone", ["deflate.tiff", "calibration.xml"])
def test_what_is_gone_breaks_the_scene(gone: str, folder: Path):
    with RangeServer(folder) as server:
        server.faults[f"/{gone}"] = [Fault("status", code=404)]
        remote = ask(
            f"{server.url}/deflate.tiff",
            boxes_at(SWATH, 32632, CELLS),
            "sigma0",
            calibration=f"{server.url}/calibration.xml",
        )
        with pytest.raises(BrokenAssetError, match="VV is gone"):
            by_reader(remote)
