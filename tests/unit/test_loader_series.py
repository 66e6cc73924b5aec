"""The fast reader: the same arrays as xarray's, only the bytes asked for, and one clear error where they are not there."""

import multiprocessing
import pickle
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import handmade
import tilewright
from conftest import WATERMARKS
from tilewright.errors import TilewrightError
from tilewright.loader.files import LocalFiles
from tilewright.loader.series import SeriesReader
from tilewright.simulate import decode_watermark
from worlds import known

STORE = f"tiles/{handmade.TILES[0]}/series.zarr.zip"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.write(tmp_path_factory.mktemp("handmade"))


@pytest.fixture
def spoiled(folder: Path, tmp_path: Path) -> Path:
    """A copy of the dataset to damage."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


class Counted(LocalFiles):
    """Files that remember what was read."""

    asked: list[tuple[str, int, int]]

    def ranges(self, path: str, places: Sequence[tuple[int, int]]) -> list[bytes]:
        self.__dict__.setdefault("asked", []).extend((path, *place) for place in places)
        return super().ranges(path, places)


def check(series: Any, tile: int, cell: int) -> None:
    for group in handmade.BANDS:
        truth = handmade.dn(tile, cell, group)
        assert series.arrays[group].dtype == truth.dtype
        np.testing.assert_array_equal(series.arrays[group], truth)
    np.testing.assert_array_equal(series.arrays["scl"], handmade.scl(tile, cell))
    np.testing.assert_array_equal(series.time, handmade.times(cell).astype(np.int64))
    assert series.period.tolist() == list(handmade.PERIODS[: handmade.DATES[cell]])


def test_every_cell_reads_as_it_was_written(folder: Path):
    dataset: Any = tilewright.open(folder)
    for tile in range(2):
        for cell, dates in enumerate(handmade.DATES):
            if dates:
                check(dataset.series(handmade.cell_id(tile, cell)), tile, cell)


def test_xarray_reads_the_same(folder: Path):
    dataset: Any = tilewright.open(folder)
    for cell in dataset.index.query("dates > 0")["cell_id"]:
        series, tree = dataset.series(cell), dataset[cell]
        for group, array in series.arrays.items():
            node = tree[f"s2_l2a/{group}"]
            np.testing.assert_array_equal(node["scl" if group == "scl" else "reflectance"].values, array)
        np.testing.assert_array_equal(
            tree["s2_l2a"]["time"].values.astype("datetime64[us]").astype(np.int64), series.time
        )


def test_watermarks_say_what_the_arrays_are_of(watermarked: Path):
    """Scene, band, row and column of every patch of the simulated world, read back from the pixels."""
    world = known(WATERMARKS)
    number = {scene.id: scene.number for scene in world.scenes()}
    dataset: Any = tilewright.open(watermarked)
    seen = 0
    for _, row in dataset.index.iterrows():
        series, tree = dataset.series(row["cell_id"]), dataset[row["cell_id"]]["s2_l2a"]
        for group, step in (("r10m", 10), ("r20m", 20), ("r60m", 60)):
            bands = dataset.reader.store(row["series_path"]).bands[f"s2_l2a/{group}"]
            assert bands == tuple(tree[f"{group}/band"].values)
            for date, name in enumerate(tree["scene_id"].values):
                scene = world.scene(str(name))
                assert series.time[date] == np.datetime64(scene.datetime.replace(tzinfo=None), "us").astype(np.int64)
                for band, pixels in zip(bands, series.arrays[group][date], strict=True):
                    mark = decode_watermark(pixels)
                    place = (int((scene.uly - row["uly"]) / step), int((row["ulx"] - scene.ulx) / step))
                    assert (mark.scene, mark.band, mark.row, mark.column) == (number[scene.id], band, *place)
                    seen += 1
    assert seen > 100


@pytest.mark.parametrize("dates", [[0], [3], [0, 3], [1, 2], [3, 0, 1]])
def test_dates_may_be_picked_in_any_order(folder: Path, dates: list[int]):
    reader = SeriesReader(LocalFiles(folder))
    series = reader.read(STORE, "s2_l2a", 0, handmade.cell_id(0, 0), ["r20m", "scl"], dates)
    assert set(series.arrays) == {"r20m", "scl"}
    np.testing.assert_array_equal(series.arrays["r20m"], handmade.dn(0, 0, "r20m")[dates])
    np.testing.assert_array_equal(series.arrays["scl"], handmade.scl(0, 0)[dates])
    np.testing.assert_array_equal(series.time, handmade.times(0)[dates].astype(np.int64))


CHUNKED = {"r10m": (2, 2, 10, 24), "r20m": (1, 2, 12, 12), "scl": (3, 5, 7)}


@pytest.mark.parametrize("dates", [None, [0], [3], [0, 3], [2, 1]])
def test_stores_of_many_chunks_a_cell_read_the_same(tmp_path: Path, dates: list[int] | None):
    reader = SeriesReader(LocalFiles(handmade.write(tmp_path, **CHUNKED)))
    series = reader.read(STORE, "s2_l2a", 0, handmade.cell_id(0, 0), None, dates)
    picked = slice(None) if dates is None else dates
    for group in handmade.BANDS:
        np.testing.assert_array_equal(series.arrays[group], handmade.dn(0, 0, group)[picked])
    np.testing.assert_array_equal(series.arrays["scl"], handmade.scl(0, 0)[picked])


def test_only_the_chunks_asked_for_are_read(tmp_path: Path):
    handmade.write(tmp_path, **CHUNKED)
    files = Counted(tmp_path)
    reader = SeriesReader(files)
    reader.store(STORE)
    files.asked.clear()
    reader.read(STORE, "s2_l2a", 1, handmade.cell_id(0, 1), ["r20m"], [0])
    with zipfile.ZipFile(tmp_path / STORE) as store:
        info = store.getinfo("s2_l2a/r20m/reflectance/c/1/0/0/0/0")
    assert files.asked == [(STORE, info.header_offset, 30 + len(info.filename) + info.file_size)]


def test_a_store_stays_open_and_is_let_go_of_when_there_are_many(folder: Path):
    files = Counted(folder)
    reader = SeriesReader(files, memory_mb=0.04)
    others = [f"tiles/{tile}/series.zarr.zip" for tile in handmade.TILES]
    first, second = reader.store(others[0]), reader.store(others[1])
    asked = len(files.asked)
    assert reader.store(others[1]) is second and len(files.asked) == asked
    assert reader.store(others[0]) is not first and len(files.asked) > asked


def read_all(dataset: Any) -> int:
    for tile in range(2):
        check(dataset.series(handmade.cell_id(tile, 3)), tile, 3)
    return len(dataset)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same_at_the_same_time(folder: Path, method: str):
    dataset: Any = tilewright.open(folder)
    read_all(dataset)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_all, [dataset] * 6) == [10] * 6


def test_threads_share_a_reader(folder: Path):
    from concurrent.futures import ThreadPoolExecutor

    dataset: Any = tilewright.open(folder)
    dataset.reader._most = 1
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read_all, [dataset] * 24)) == [10] * 24


def test_a_pickled_dataset_reads_and_is_small(folder: Path):
    dataset: Any = tilewright.open(folder)
    before = len(pickle.dumps(dataset))
    read_all(dataset)
    dataset[handmade.cell_id(0, 3)]
    again = pickle.dumps(dataset)
    assert len(again) < before + 500
    assert read_all(pickle.loads(again)) == 10


def rewritten(path: Path, change: Any) -> None:
    """The zip again by another tool, its entries changed by `change(name, data)`; None leaves one out."""
    with zipfile.ZipFile(path) as store:
        entries = {name: store.read(name) for name in store.namelist()}
    path.unlink()
    with zipfile.ZipFile(path, "w") as store:
        for name, data in entries.items():
            if (changed := change(name, data)) is not None:
                store.writestr(name, changed)


@pytest.mark.parametrize("codec", [zarr.codecs.ZstdCodec(level=3), zarr.codecs.GzipCodec()], ids=["zstd", "gzip"])
def test_stores_of_other_codecs_are_read_through_zarr(spoiled: Path, tmp_path: Path, codec: Any):
    path = spoiled / STORE
    plain = zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")
    other = tmp_path / "other.zarr.zip"
    with zarr.storage.ZipStore(other, mode="w") as store:
        root = zarr.create_group(store, attributes=dict(plain.attrs))
        for name, node in plain.members(max_depth=None):
            if isinstance(node, zarr.Group):
                root.create_group(name, attributes=dict(node.attrs))
            else:
                made = root.create_array(
                    name, shape=node.shape, dtype=node.dtype, chunks=node.chunks, dimension_names=node.metadata.dimension_names,
                    attributes=dict(node.attrs), compressors=codec, fill_value=node.fill_value,
                )  # fmt: skip
                made[...] = node[...]
    other.replace(path)
    dataset: Any = tilewright.open(spoiled)
    assert all(array.places is None for array in dataset.reader.store(STORE).pixels.arrays.values())
    for cell, dates in enumerate(handmade.DATES):
        if dates:
            check(dataset.series(handmade.cell_id(0, cell)), 0, cell)
    series = dataset.reader.read(STORE, "s2_l2a", 0, handmade.cell_id(0, 0), ["r10m"], [2, 0])
    np.testing.assert_array_equal(series.arrays["r10m"], handmade.dn(0, 0, "r10m")[[2, 0]])


def test_a_store_without_consolidated_metadata_reads_the_same(spoiled: Path):
    import json

    def change(name: str, data: bytes) -> bytes:
        if name != "zarr.json":
            return data
        document = json.loads(data)
        del document["consolidated_metadata"]
        return json.dumps(document).encode()

    rewritten(spoiled / STORE, change)
    check(tilewright.open(spoiled).series(handmade.cell_id(0, 0)), 0, 0)  # type: ignore[union-attr]


CHUNK = "s2_l2a/r10m/reflectance/c/0/0/0/0/0"


def flipped(path: Path) -> None:
    with zipfile.ZipFile(path) as store:
        info = store.getinfo(CHUNK)
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len(CHUNK) + info.file_size // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "flipped bit": (flipped, "bad CRC"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "not a whole store"),
    "empty": (lambda path: path.write_bytes(b""), "not a whole store"),
    "lost chunk": (lambda path: rewritten(path, lambda name, data: None if name == CHUNK else data), "lacks chunk 0/0/0/0/0"),
    "short chunk": (lambda path: rewritten(path, lambda name, data: data[:40] if name == CHUNK else data), "reflectance"),
    "another chunk": (lambda path: rewritten(path, lambda name, data: data[:4] + b"\1\0\0\0" + data[8:] if name == CHUNK else data), "1 bytes decoded"),
    "no metadata": (lambda path: rewritten(path, lambda name, data: None if name == "zarr.json" else data), "not a Zarr store"),
    "spoiled metadata": (lambda path: rewritten(path, lambda name, data: b"{" if name == "zarr.json" else data), "zarr.json"),
    "lost coordinate": (lambda path: rewritten(path, lambda name, data: None if name.startswith("s2_l2a/time/") else data), "s2_l2a/time"),
    "gone": (lambda path: path.unlink(), "is missing"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_error_that_names_the_store(spoiled: Path, damage: str):
    spoil, words = DAMAGE[damage]
    spoil(spoiled / STORE)
    dataset: Any = tilewright.open(spoiled)
    with pytest.raises(TilewrightError, match=words) as caught:
        dataset.series(handmade.cell_id(0, 0))
    assert str(spoiled / STORE) in str(caught.value) and "\n" not in str(caught.value)


def test_a_compressed_zip_is_refused(spoiled: Path):
    with zipfile.ZipFile(spoiled / STORE) as store:
        entries = {name: store.read(name) for name in store.namelist()}
    with zipfile.ZipFile(spoiled / STORE, "w", zipfile.ZIP_DEFLATED) as store:
        for name, data in entries.items():
            store.writestr(name, data)
    with pytest.raises(TilewrightError, match="only stored entries"):
        tilewright.open(spoiled).series(handmade.cell_id(0, 0))  # type: ignore[union-attr]


def test_a_store_of_another_run_than_the_index_is_refused(spoiled: Path):
    shutil.copy(spoiled / "tiles" / handmade.TILES[1] / "series.zarr.zip", spoiled / STORE)
    with pytest.raises(TilewrightError, match=r"index\.parquet is of another run"):
        tilewright.open(spoiled).series(handmade.cell_id(0, 0))  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["series", "labels"])
def test_a_tree_of_another_run_than_the_index_is_refused(spoiled: Path, kind: str):
    shutil.copy(spoiled / f"tiles/{handmade.TILES[1]}/{kind}.zarr.zip", spoiled / f"tiles/{handmade.TILES[0]}")
    dataset: Any = tilewright.open(spoiled)
    with pytest.raises(TilewrightError, match=rf"{kind}\.zarr\.zip has another cell than .* of another run"):
        dataset[handmade.cell_id(0, 0)]
    assert dataset[handmade.cell_id(1, 0)]["labels/osm/labels"].shape == (3, 24, 24)
    dataset.index["series_row"], dataset.index["osm_row"] = 99, 99
    with pytest.raises(TilewrightError, match=r"another cell than .* at row 99"):
        dataset[handmade.cell_id(1, 0)]


def test_a_cell_without_labels_in_one_set_has_those_of_the_others(folder: Path):
    dataset: Any = tilewright.open(folder)
    dataset.index.loc[handmade.cell_id(0, 0), "osm_row"] = -1
    assert list(dataset[handmade.cell_id(0, 0)]["labels"].children) == ["fine"]


def test_a_cell_without_imagery_says_so(folder: Path):
    dataset: Any = tilewright.open(folder)
    tree = dataset[handmade.cell_id(0, 2)]
    assert list(tree.children) == ["labels"] and tree.attrs["imagery"] == "none: no scene passed the mask"
    assert "imagery" not in dataset[handmade.cell_id(0, 0)].attrs


def test_the_index_joins_and_groups_by_cell(folder: Path):
    dataset: Any = tilewright.open(folder)
    assert dataset.index.groupby("cell_id").size().sum() == len(dataset)
    assert len(dataset.index.merge(dataset.index[["cell_id", "tile"]], on="cell_id")) == len(dataset)
    assert dataset.index.loc[handmade.cell_id(0, 1), "cell_id"] == handmade.cell_id(0, 1)


def test_an_unknown_split_is_told_with_the_known_ones(folder: Path):
    dataset: Any = tilewright.open(folder)
    with pytest.raises(TilewrightError, match="no split 'validation' in this dataset; it has test, train, val"):
        dataset.split("validation")
    assert list(dataset.split("val").index) == [handmade.cell_id(0, 3), handmade.cell_id(1, 3)]


def test_paths_hold_wherever_the_process_goes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder.parent)
    dataset: Any = tilewright.open(folder.name)
    store: Any = tilewright.open(f"{folder.name}/{STORE}")
    monkeypatch.chdir(tmp_path)
    check(dataset.series(handmade.cell_id(0, 0)), 0, 0)
    assert dataset[handmade.cell_id(0, 0)]["s2_l2a/r10m/reflectance"].shape == (4, 3, 24, 24)
    assert store["s2_l2a/scl/scl"].values.shape == (4, 4, 12, 12)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(tilewright.open(f"~/{folder.name}")) == len(dataset)
    with pytest.raises(TilewrightError, match=r"tiles is no dataset folder or store: .*index\.parquet is missing"):
        tilewright.open(folder / "tiles")


def test_how_a_dataset_is_shown(folder: Path):
    assert repr(tilewright.open(folder)) == f"Dataset('{folder}': 10 cells in 2 tiles)"


def test_opened_stores_weigh_what_they_take(folder: Path):
    reader = SeriesReader(LocalFiles(folder))
    labels, series = reader.store(f"tiles/{handmade.TILES[0]}/labels.zarr.zip"), reader.store(STORE)
    ids = 5 * 4 * len(handmade.cell_id(0, 0))
    assert labels.weight - 30_000 == 2 * (ids + 5 * 24)  # two sets: ids, and 24 bytes a chunk
    assert series.weight - 30_000 == 4 * 4 * 24 + ids * 4 // 5 + 4 * 4 + 4 * 4 * (8 + 2)


def test_a_file_that_changes_while_it_is_open_is_noticed_or_read_as_it_was(spoiled: Path):
    dataset: Any = tilewright.open(spoiled)
    check(dataset.series(handmade.cell_id(0, 0)), 0, 0)
    other = spoiled / "other.zip"
    shutil.copy(spoiled / "tiles" / handmade.TILES[1] / "series.zarr.zip", other)
    other.replace(spoiled / STORE)
    check(dataset.series(handmade.cell_id(0, 3)), 0, 3)  # the old file, which is still open
    dataset.files._open.clear()
    with pytest.raises(TilewrightError, match=r"not a whole store .* made anew since: open the dataset"):
        dataset.series(handmade.cell_id(0, 3))


def test_wrong_names_are_told_with_the_right_ones(folder: Path):
    dataset: Any = tilewright.open(folder)
    cell = handmade.cell_id(0, 0)
    for ask, words in (
        (lambda: dataset.series("nowhere"), "cell nowhere is not in"),
        (lambda: dataset["nowhere"], "cell nowhere is not in"),
        (lambda: dataset[0], f"0 is no cell: give a cell's id, as '{cell}'"),
        (lambda: dataset.series(handmade.cell_id(0, 2)), "has no imagery"),
        (lambda: dataset.series(cell, "s1_grd"), "no collection s1_grd; it has s2_l2a"),
        (lambda: dataset.reader.read(STORE, "s2_l2a", 0, cell, ["r30m"]), "no s2_l2a/r30m; it has r10m"),
        (lambda: dataset.reader.labels(STORE, "osm", 0, cell), "no labels osm"),
        (lambda: tilewright.open(folder / "nothing"), "nothing is no dataset folder or store: nothing is there"),
        (lambda: tilewright.open("ftp://host/path"), "cannot read ftp://"),
    ):
        with pytest.raises(TilewrightError, match=words):
            ask()


def test_labels(folder: Path):
    dataset: Any = tilewright.open(folder)
    assert dataset.label_sets == ("osm", "fine")
    for tile, name in enumerate(handmade.TILES):
        for cell in range(len(handmade.DATES)):
            for each in handmade.LABELS:
                found = dataset.reader.labels(f"tiles/{name}/labels.zarr.zip", each, cell, handmade.cell_id(tile, cell))
                np.testing.assert_array_equal(found, handmade.labels(tile, cell, each))
