"""Headers and blocks of nonsense: never an unknown exception, never gigabytes, never pixels without a word."""

import contextlib
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, integers, lists, sampled_from, tuples

from rasters import Grid, by_reader, noise, write_gdal, write_tifffile
from tilewright.imagery import Ask, BrokenAssetError
from tilewright.imagery.decode import CorruptBlockError, Decoder
from tilewright.imagery.layout import _MOST_HEADER, HEAD_BYTES, CorruptHeaderError, Layout, read_layout

GRID = Grid(300, 400)
KINDS: dict[str, dict[str, Any]] = {
    "tiled": {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "predictor": 2},
    "strips": {"compress": "lzw", "blockysize": 16},
    "many small blocks, BigTIFF": {"tiled": True, "blockxsize": 16, "blockysize": 16, "BIGTIFF": "YES"},
    "COG": {"driver": "COG", "blocksize": 128, "compress": "zstd"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("headers")
    made = {}
    for at, (kind, options) in enumerate(KINDS.items()):
        path = write_gdal(folder / f"{at}.tif", noise(GRID, "uint16"), GRID, **options)
        made[kind] = path.read_bytes()
    return made


class Counting:
    """A file in memory that counts what is asked of it, and refuses what it has not."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetched = 0

    def layout(self) -> Layout | None:
        return read_layout(memoryview(self.data)[:HEAD_BYTES], len(self.data), self.get)

    def get(self, start: int, size: int) -> memoryview:
        assert start >= 0 and size > 0 and start + size <= len(self.data)
        self.fetched += size
        return memoryview(self.data)[start : start + size]


CHANGES = tuples(
    integers(4, 500), sampled_from([b"\xff", b"\0"]) | binary(min_size=1, max_size=1), sampled_from([1, 2, 4, 8])
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(changes=lists(CHANGES, min_size=1, max_size=4))
def test_any_change_of_a_header_is_a_layout_or_none_or_corrupt(
    kind: str, changes: list[tuple[int, bytes, int]], files: dict[str, bytes]
):
    data = bytearray(files[kind])
    for at, value, times in changes:
        data[at : at + times] = value * times
    file = Counting(bytes(data))
    try:
        layout = file.layout()
    except CorruptHeaderError:
        layout = None
    assert file.fetched <= _MOST_HEADER
    if layout is not None:
        across, down = layout.across, -(-layout.grid.shape[0] // layout.block[0])
        assert len(layout.offsets) == len(layout.counts) == across * down
        assert min(layout.block) > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [2, 7, 8, 9, 15, 100, 200, 350])
def test_a_header_that_ends_too_soon_is_corrupt(kind: str, kept: int, files: dict[str, bytes], tmp_path: Path):
    path = tmp_path / "B02.tif"
    path.write_bytes(files[kind][:kept])
    # GDAL opens a file whose tags were cut off with a warning, as one of no known place
    with pytest.raises(BrokenAssetError, match=r"B02 is corrupt|B02 does not say where"):
        by_reader(Ask(GRID.asset(path), GRID.boxes([0], [0], 32), np.dtype("uint16")))


def test_a_header_that_promises_gigabytes_is_not_fetched():
    """A directory of a classic TIFF whose block offsets are a billion numbers in a file (so it says) of 9 GB."""
    entries = [
        (256, 4, 1, 65536),
        (257, 4, 1, 65536),
        (258, 3, 1, 16),
        (277, 3, 1, 1),
        (322, 4, 1, 16),
        (323, 4, 1, 16),
    ]
    entries += [(259, 3, 1, 1), (324, 4, 1 << 30, 1024), (325, 4, 1 << 30, 1024)]
    head = b"II*\0\x08\0\0\0" + len(entries).to_bytes(2, "little")
    for code, kind, count, value in sorted(entries):
        head += b"".join(part.to_bytes(size, "little") for part, size in ((code, 2), (kind, 2), (count, 4), (value, 4)))
    fetched = 0

    def get(start: int, size: int) -> memoryview:
        nonlocal fetched
        fetched += size
        return memoryview(bytes(size))

    tracemalloc.start()
    with contextlib.suppress(CorruptHeaderError):
        assert read_layout(memoryview(head.ljust(HEAD_BYTES, b"\0")), 9 << 30, get) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fetched <= _MOST_HEADER and peak < 200 << 20


def with_tag(path: Path, code: int, change: Any) -> None:
    """Change the numbers of a tag in place."""
    import tifffile

    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages.first.tags[code]
        tag.overwrite(change(list(tag.value)))


@pytest.mark.parametrize(
    ("code", "value"),
    [(324, 0), (324, 2**63 - 10), (324, 2**40), (324, 10**9), (325, 2**32 - 1), (325, 10**6), (325, 60_000)],
)
def test_blocks_that_cannot_be_where_or_what_the_header_says_break_the_file(code: int, value: int, tmp_path: Path):
    path = tmp_path / "B02.tif"
    write_tifffile(path, noise(GRID, "uint16"), GRID, tile=(64, 64), compression="zlib", bigtiff=True)
    with_tag(path, code, lambda numbers: [value if at == 5 else number for at, number in enumerate(numbers)])
    with pytest.raises(BrokenAssetError, match="B02 is corrupt"):
        by_reader(Ask(GRID.asset(path), GRID.boxes([0], [0], 300), np.dtype("uint16")))


PACKED = {5: imagecodecs.lzw_encode, 8: zlib.compress, 32946: zlib.compress, 50000: imagecodecs.zstd_encode}


def layout_of(compression: int, predictor: int = 1) -> Layout:
    return Layout(
        np.dtype("<u2"), (64, 64), False, np.array([100]), np.array([9]), compression, predictor, 0,
        _box(64, 64),
    )  # fmt: skip


def _box(rows: int, cols: int) -> Any:
    from odc.geo.geobox import GeoBox

    return GeoBox((rows, cols), Grid(rows, cols).transform, 32635)


@pytest.mark.parametrize("compression", PACKED)
def test_a_block_of_the_wrong_size_is_corrupt(compression: int):
    """Too little, nothing, or a bomb: a thousand times as much as the block holds, of which no more than that is unpacked."""
    pack, decoder = PACKED[compression], Decoder()
    raw = np.arange(4096, dtype="<u2").tobytes()
    whole = decoder.decode(layout_of(compression), 0, memoryview(pack(raw)))
    assert whole.tobytes() == raw
    for content in (b"", raw[:-1], raw[:2]):
        with pytest.raises(CorruptBlockError):
            decoder.decode(layout_of(compression), 0, memoryview(pack(content)))
    with pytest.raises(CorruptBlockError):
        decoder.decode(layout_of(compression), 0, memoryview(b""))
    bomb = pack(bytes(8 << 20))
    tracemalloc.start()
    try:
        decoder.decode(layout_of(compression), 0, memoryview(bomb))
    except CorruptBlockError:
        pass
    else:
        assert compression == 5, "LZW fills the block and stops, as libtiff does"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("compression", [1, *PACKED])
@pytest.mark.parametrize("predictor", [1, 2])
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(content=binary(max_size=300), cut=integers(0, 9000), at=integers(0, 9000))
def test_bytes_of_nonsense_are_corrupt_or_a_block(compression: int, predictor: int, content: bytes, cut: int, at: int):
    raw = np.arange(4096, dtype="<u2").tobytes()
    packed = PACKED.get(compression, bytes)(raw)
    changed = (packed[: at % len(packed)] + content + packed[at % len(packed) + len(content) :])[: cut or None]
    for data in (content, changed):
        try:
            pixels = Decoder().decode(layout_of(compression, predictor), 0, memoryview(data))
        except CorruptBlockError:
            continue
        assert pixels.shape == (64, 64) and pixels.dtype == np.uint16
        if compression in (8, 32946):
            assert np.array_equal(pixels, Decoder().decode(layout_of(8, predictor), 0, memoryview(zlib.compress(raw))))
