"""Datasets on a server: read by ranges, tried again, never mistaken for something else."""

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stac_server import Fault, StacServer

import handmade
import tilewright
from tilewright.errors import TilewrightError
from tilewright.loader import files as loader_files
from tilewright.loader.sample import SampleOptions, SampleReader

STORE = f"tiles/{handmade.TILES[0]}/series.zarr.zip"
CELL = handmade.cell_id(0, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.write(tmp_path_factory.mktemp("handmade"))


@pytest.fixture
def server(folder: Path) -> Iterator[StacServer]:
    with StacServer([], folder) as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without long pauses."""
    from datetime import timedelta

    pauses = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=5), "base": 2}
    monkeypatch.setattr(loader_files, "_RETRIES", {**loader_files._RETRIES, "backoff": pauses})


def url(server: StacServer) -> str:
    return f"{server.url}/files"


def check(dataset: Any, tile: int, cell: int) -> None:
    series = dataset.series(handmade.cell_id(tile, cell))
    for group in handmade.BANDS:
        np.testing.assert_array_equal(series.arrays[group], handmade.dn(tile, cell, group))
    np.testing.assert_array_equal(series.arrays["scl"], handmade.scl(tile, cell))


def test_a_remote_dataset_reads_as_a_local_one(server: StacServer, folder: Path):
    remote, local = tilewright.open(url(server)), tilewright.open(folder)
    assert isinstance(remote, tilewright.loader.Dataset) and isinstance(local, tilewright.loader.Dataset)
    assert remote.index.drop(columns="geometry").equals(local.index.drop(columns="geometry"))
    assert remote.label_sets == local.label_sets
    for tile in range(2):
        for cell, dates in enumerate(handmade.DATES):
            if dates:
                check(remote, tile, cell)
    here, there = (SampleReader(each, SampleOptions(dates=3, resolution_m=10)) for each in (local, remote))
    for at in range(len(here)):
        a, b = here.sample(at), there.sample(at)
        assert a["cell"] == b["cell"]
        for name in ("image", "pixel_valid", "scl", "time", "valid"):
            np.testing.assert_array_equal(a[name], b[name])
        for name in here.label_sets:
            np.testing.assert_array_equal(a["labels"][name], b["labels"][name])


def test_remote_trees_are_lazy_and_whole(server: StacServer, folder: Path):
    remote: Any = tilewright.open(url(server))
    tree, truth = remote[CELL], tilewright.open(folder)[CELL]  # type: ignore[index]
    for node in truth.subtree:
        assert tree[node.path].to_dataset().identical(node.to_dataset())
    store: Any = tilewright.open(f"{url(server)}/{STORE}")
    local: Any = tilewright.open(folder / STORE)
    asked = server.asked[f"/files/{STORE}"]
    lazy = store["s2_l2a/r10m/reflectance"]
    assert server.asked[f"/files/{STORE}"] == asked
    np.testing.assert_array_equal(lazy.values, local["s2_l2a/r10m/reflectance"].values)
    assert server.asked[f"/files/{STORE}"] > asked


def test_a_cell_takes_one_request_and_a_store_few(server: StacServer):
    dataset: Any = tilewright.open(url(server))
    dataset.series(CELL)
    assert server.asked[f"/files/{STORE}"] == 5  # size, directory, metadata, coordinates, pixels
    asked = server.asked[f"/files/{STORE}"]
    dataset.series(handmade.cell_id(0, 3))
    assert server.asked[f"/files/{STORE}"] == asked + 1


def read_all(dataset: Any) -> int:
    check(dataset, 0, 3)
    check(dataset, 1, 0)
    return os.getpid()


def test_spawned_workers_read_a_remote_dataset(server: StacServer):
    dataset: Any = tilewright.open(url(server))
    read_all(dataset)
    pickle.loads(pickle.dumps(dataset))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert os.getpid() not in pool.map(read_all, [dataset] * 4)


def refused(dataset: Any) -> str:
    try:
        read_all(dataset)
    except TilewrightError as error:
        return str(error)
    return "read"


def test_a_forked_worker_says_what_to_do_instead_of_waiting_for_ever(server: StacServer):
    dataset: Any = tilewright.open(url(server))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        told = pool.apply_async(refused, (dataset,)).get(timeout=30)
    assert 'multiprocessing_context="spawn"' in told and server.url in told


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_faults_are_waited_out(server: StacServer, status: int):
    dataset: Any = tilewright.open(url(server))
    server.faults[f"/files/{STORE}"] = Fault(status, times=2)
    check(dataset, 0, 0)


@pytest.mark.parametrize(("status", "words"), [(404, "404"), (403, "cannot be read"), (503, "cannot be read")])
def test_lasting_faults_are_one_error_that_names_the_url(server: StacServer, status: int, words: str):
    dataset: Any = tilewright.open(url(server))
    server.faults[f"/files/{STORE}"] = Fault(status)
    with pytest.raises(TilewrightError, match=words) as caught:
        dataset.series(CELL)
    assert f"{url(server)}/{STORE}" in str(caught.value) and "\n" not in str(caught.value)
    assert server.asked[f"/files/{STORE}"] <= 6  # bounded
    with pytest.raises(TilewrightError):
        dataset[CELL]


def test_what_is_no_dataset_is_told(server: StacServer, folder: Path, tmp_path: Path):
    with pytest.raises(TilewrightError, match=r"nothing/index\.parquet is not there"):
        tilewright.open(f"{url(server)}/nothing")
    with pytest.raises(TilewrightError, match=r"https?://127\.0\.0\.1:9/x/index\.parquet cannot be read"):
        tilewright.open("http://127.0.0.1:9/x")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "index.parquet").write_bytes(b"<html>")
    with StacServer([], copy) as other, pytest.raises(TilewrightError, match="is no index of a dataset"):
        tilewright.open(url(other))


def test_a_server_without_ranges_is_told(server: StacServer):
    dataset: Any = tilewright.open(url(server))
    server.faults[f"/files/{STORE}"] = Fault(200, b"the whole file")
    with pytest.raises(TilewrightError, match="this server does not answer range requests") as caught:
        dataset.series(CELL)
    assert f"{url(server)}/{STORE}" in str(caught.value)


def test_spoiled_bytes_are_fetched_again_once_and_then_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    with StacServer([], copy) as server:
        dataset: Any = tilewright.open(url(server))
        dataset.series(CELL)
        whole = (copy / STORE).read_bytes()
        (copy / STORE).write_bytes(bytes(len(whole)))
        asked = server.asked[f"/files/{STORE}"]
        with pytest.raises(TilewrightError, match="fetch it again") as caught:
            dataset.series(CELL)
        assert server.url in str(caught.value) and server.asked[f"/files/{STORE}"] == asked + 2
        (copy / STORE).write_bytes(whole)
        real = dataset.files.ranges

        def once(path: str, places: Any) -> list[bytes]:
            monkeypatch.setattr(dataset.files, "ranges", real)
            return [bytes(len(each)) for each in real(path, places)]

        monkeypatch.setattr(dataset.files, "ranges", once)
        check(dataset, 0, 0)


def test_an_object_store_is_read_by_its_url(server: StacServer, monkeypatch: pytest.MonkeyPatch):
    """s3:// with keys, region and endpoint from the environment, as all clients of S3 take them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    dataset: Any = tilewright.open("s3://files")
    check(dataset, 0, 0)
    with pytest.raises(TilewrightError, match=r"s3://files/nothing/index\.parquet is not there"):
        tilewright.open("s3://files/nothing")
