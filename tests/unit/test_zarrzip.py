"""Stores in one zip: the same bytes each time, opened by zarr and xarray alone, damage noticed by every thread."""

import errno
import hashlib
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handmade import small_of
from tilewright.errors import TilewrightError
from tilewright.store import zarrzip
from tilewright.store.small import Small, Variable
from tilewright.store.zarrzip import KEPT, PASSING, Packing, StoreReader, StoreWriter, decode, encode

CELLS = 5
SIDE = 96


def series() -> np.ndarray:
    """(cell, time, band, y, x) of several of blosc's blocks each, with what 12 bits hold."""
    noise = np.random.default_rng(3).integers(-60, 60, (CELLS, 3, 4, SIDE, SIDE))
    return (noise.cumsum(axis=-1) + 1500).clip(1, 4095).astype(np.uint16)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "series.zarr.zip"
    with StoreWriter(path, {"format": "x"}) as writer:
        ids = Variable(("cell",), np.array([f"c{at}" for at in range(CELLS)], object))
        writer.small("s2", Small({"cell_id": ids}))
        writer.array("s2/r10m/pixels", (CELLS, 3, 4, SIDE, SIDE), "uint16", (1, 3, 4, SIDE, SIDE), ("cell", "time", "band", "y", "x"))  # fmt: skip
        writer.array("s2/scl", (CELLS, SIDE, SIDE), "uint8", (1, SIDE, SIDE), ("cell", "y", "x"), fill_value=9)
        for at, pixels in enumerate(series()):
            writer.put("s2/r10m/pixels", (at, 0, 0, 0, 0), pixels[None])
        writer.put("s2/scl", (1, 0, 0), np.full((1, SIDE, SIDE), 4, np.uint8))
    return path


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.float32]), hnp.array_shapes(max_side=9), elements=st.integers(0, 200)))  # fmt: skip
def test_a_chunk_is_decoded_as_it_was(pixels: np.ndarray):
    out = np.empty_like(pixels)
    decode(encode(pixels), out)
    assert np.array_equal(out, pixels)


def test_a_chunk_has_the_same_bytes_each_time_in_any_thread():
    """blosc's own threads would put a chunk's blocks (four here) in the order in which they are done."""
    pixels = np.tile(series()[0], (8, 1, 1, 1))
    with ThreadPoolExecutor(2) as pool:
        found = {encode(pixels) for _ in range(30)} | set(pool.map(encode, [pixels] * 30))
    assert len(found) == 1


@pytest.mark.parametrize("packing", [KEPT, PASSING])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_zarr_itself_would_write_the_same_chunks(packing: Packing, dtype: str):
    pixels = series()[:1].astype(dtype)
    memory = zarr.storage.MemoryStore()
    array = zarr.create_array(
        memory, shape=pixels.shape, dtype=dtype, chunks=pixels.shape, compressors=[packing.codec(pixels.itemsize)]
    )
    array[:] = pixels
    assert memory._store_dict["c/0/0/0/0/0"].to_bytes() == encode(pixels, packing)


def test_arrays_that_are_not_contiguous_are_encoded_in_their_order():
    pixels = series()[0].transpose(0, 1, 3, 2)
    assert encode(pixels) == encode(np.ascontiguousarray(pixels))


def test_a_chunk_of_another_size_is_refused():
    data = encode(np.zeros((4, 4), np.uint16))
    for shape in ((3, 4), (5, 4)):
        with pytest.raises((ValueError, RuntimeError)):
            decode(data, np.empty(shape, np.uint16))


def test_chunks_come_back_as_pixels_and_as_bytes(store: Path):
    with StoreReader(store) as reader:
        for at, pixels in enumerate(series()):
            index = (at, 0, 0, 0, 0)
            assert np.array_equal(reader.chunk("s2/r10m/pixels", index, pixels.shape, "uint16"), pixels)
            assert reader.encoded("s2/r10m/pixels", index) == encode(pixels)
        assert reader.chunk("s2/scl", (0, 0, 0), (SIDE, SIDE), "uint8") is None
        assert reader.encoded("s2/scl", (0, 0, 0)) is None
        assert list(reader.groups()) == ["s2", "s2/r10m"]
        assert list(reader.small("s2")["cell_id"]) == [f"c{at}" for at in range(CELLS)]
        assert reader.small("").attrs == {"format": "x"}
        tree = reader.tree()
    assert np.array_equal(tree["s2/r10m/pixels"].values, series())  # also after the reader was closed


def test_many_threads_read_one_store(store: Path):
    truth = series()
    wrong: list[int] = []

    def read(seed: int) -> None:
        order = np.random.default_rng(seed).integers(0, CELLS, 40)
        for at in order.tolist():
            pixels = reader.chunk("s2/r10m/pixels", (at, 0, 0, 0, 0), truth.shape[1:], "uint16")
            if not np.array_equal(pixels, truth[at]):
                wrong.append(at)

    with StoreReader(store) as reader:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_changed_chunk_is_noticed_and_only_that_one(store: Path):
    data = bytearray(store.read_bytes())
    data[data.index(b"s2/r10m/pixels/c/2/0/0/0/0") + 200] ^= 4
    store.write_bytes(data)
    with StoreReader(store) as reader:
        for read in (reader.encoded, lambda array, index: reader.chunk(array, index, (3, 4, SIDE, SIDE), "uint16")):
            with pytest.raises(zipfile.BadZipFile, match="CRC"):
                read("s2/r10m/pixels", (2, 0, 0, 0, 0))
            assert read("s2/r10m/pixels", (1, 0, 0, 0, 0)) is not None


@pytest.mark.parametrize("cut", [0, 10, 5000])
def test_a_store_cut_off_is_named(store: Path, cut: int):
    store.write_bytes(store.read_bytes()[:cut])
    with pytest.raises(TilewrightError, match="is not a whole store"):
        StoreReader(store)


def test_a_closed_reader_does_not_read_another_file(store: Path):
    with StoreReader(store) as reader:
        pass
    with pytest.raises(ValueError, match="closed"):
        reader.encoded("s2/r10m/pixels", (0, 0, 0, 0, 0))


def test_a_store_that_cannot_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarrzip, "StoredZipWriter", full)
    with pytest.raises(TilewrightError, match=r"cannot write .*a.zarr.zip: No space left"):
        StoreWriter(tmp_path / "a.zarr.zip", {}).__enter__()
    assert list(tmp_path.iterdir()) == []


WITHOUT_US = """
import sys
sys.modules["tilewright"] = None  # importing it fails
import hashlib, numpy as np, xarray as xr, zarr
array = zarr.open_group(zarr.storage.ZipStore(sys.argv[1], mode="r"), mode="r")["s2/r10m/pixels"]
tree = xr.open_datatree(zarr.storage.ZipStore(sys.argv[1], mode="r"), engine="zarr")
for pixels in (array[:], tree["s2/r10m/pixels"].values):
    print(pixels.dtype, pixels.shape, hashlib.sha256(pixels.tobytes()).hexdigest())
print(*tree["s2/cell_id"].values, tree["s2/scl"].values[[0, 1], 0, 0])
"""


def test_zarr_and_xarray_open_it_without_this_package(store: Path):
    ran = subprocess.run([sys.executable, "-c", WITHOUT_US, store], capture_output=True, text=True, check=True)
    pixels = series()
    line = f"{pixels.dtype} {pixels.shape} {hashlib.sha256(pixels.tobytes()).hexdigest()}"
    assert ran.stdout.splitlines() == [line, line, "c0 c1 c2 c3 c4 [9 4]"]


def test_small_variables_are_what_xarray_would_have_written(tmp_path: Path):
    dataset = xr.Dataset(
        {
            "count": (("cell", "band"), np.arange(6).reshape(2, 3), {"long_name": "how many"}),
            "empty": (("cell", "time"), np.zeros((2, 2), np.int32)),
        },
        coords={
            "band": np.array(["B02", "B03", "B8A"], object),
            "cell_id": ("cell", np.array(["é", ""], object)),
            "time": (("cell", "time_of"), np.array([["2020-01-01T10:20:30", "NaT"]] * 2, "datetime64[us]")),
            "ulx": ("cell", np.array([1.5, np.nan]), {"units": "m"}),
            "value": ("value", np.array([254, 255], np.uint8)),
        },
        attrs={"ontology": {"a": [1, 2]}},
    )
    with StoreWriter(tmp_path / "ours.zip", {}) as store:
        store.small("set", small_of(dataset))
        store.small("only", small_of(xr.Dataset(coords={"cell_id": ("cell", np.array([], object))})))
    dataset.to_zarr(tmp_path / "theirs.zarr", group="set", zarr_format=3, consolidated=False)
    tree = xr.open_datatree(zarr.storage.ZipStore(tmp_path / "ours.zip", mode="r"), engine="zarr")
    theirs = xr.open_zarr(tmp_path / "theirs.zarr", group="set", chunks=None, consolidated=False)
    ours = tree["set"].to_dataset(inherit=False)
    xr.testing.assert_identical(ours.load(), theirs.load())
    assert tree["only"]["cell_id"].shape == (0,)
    with StoreReader(tmp_path / "ours.zip") as reader:
        found, part = reader.small("set"), reader.small("set", ["count"])
    assert set(part.data) == {"count"} and set(part.coordinates) == {"band", "cell_id", "ulx"}
    assert found.attrs == {"ontology": {"a": [1, 2]}}
    for name, variable in dataset.variables.items():
        np.testing.assert_array_equal(found[str(name)], variable.values)
        assert found[str(name)].dtype == variable.dtype


def test_a_stage_starts_without_the_libraries_that_it_does_not_use():
    """dask's and scipy's arrays, which xarray brings along, take as long to import as all else."""
    for stage, without in (("mask", {"zarr", "xarray", "dask.array"}), ("crop", {"xarray", "dask.array"})):
        code = f"import sys, tilewright.stages.{stage}; print(*sys.modules)"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert not without & set(found), stage
