"""Zips of stored entries: what we write, others read; what others write, we read; what is damaged is refused."""

import io
import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.store.zipped import DamagedZipError, StoredZipWriter, ZipIndex

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
ENTRIES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=12)
SAMPLE = {"zarr.json": b"{}", "a/b/c/0/0": bytes(range(256)) * 40, "empty": b"", "Höhe/∂": b"above code page 437"}


def written(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with StoredZipWriter(buffer) as writer:
        for name, data in entries.items():
            writer.entry(name, data)
    return buffer.getvalue()


def written_by_zipfile(entries: dict[str, bytes], comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        writer.comment = comment
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)  # of 1980-01-01
            info.external_attr = 0o644 << 16
            writer.writestr(info, data)
    return buffer.getvalue()


class Source:
    """Bytes read by range; what was asked for is kept."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, length: int) -> bytes:
        assert start >= 0 and length >= 0
        self.asked.append((start, length))
        return self.data[start : start + length]

    def index(self) -> ZipIndex:
        return ZipIndex.read(len(self.data), self)

    def contents(self) -> dict[str, bytes]:
        return {name: bytes(entry.data(self)) for name, entry in self.index().items()}


@given(ENTRIES)
def test_same_bytes_as_zipfile_writes(entries: dict[str, bytes]):
    data = written(entries)
    assert data == written_by_zipfile(entries, zipfile.ZipFile(io.BytesIO(data)).comment)


@given(ENTRIES)
def test_what_was_written_is_read(entries: dict[str, bytes]):
    source = Source(written(entries))
    assert source.contents() == entries
    assert list(source.index()) == list(entries)


@given(ENTRIES, st.binary(max_size=40))
def test_comments_extra_fields_and_other_names_are_read(entries: dict[str, bytes], comment: bytes):
    """As other tools write them: a time stamp of Info-ZIP in both headers, a comment, names in code page 437."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        writer.comment = comment
        for at, (name, data) in enumerate(entries.items()):
            info = zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6))
            info.extra = struct.pack("<2HBL", 0x5455, 5, 1, 1_600_000_000) * (at % 3)
            writer.writestr(info, data)
    assert Source(buffer.getvalue()).contents() == entries


def test_names_in_code_page_437_are_read():
    data = written({"Hxhe": b"1"}).replace(b"Hxhe", b"H\x94he")  # what old tools wrote without the flag for UTF-8
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["Höhe"]
    assert Source(data).contents() == {"Höhe": b"1"}


def test_the_unzip_command_finds_nothing_wrong(tmp_path: Path):
    path = tmp_path / "a.zip"
    with StoredZipWriter(path) as writer:
        for name, data in SAMPLE.items():
            writer.entry(name, data)
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == SAMPLE
    try:
        tested = subprocess.run(["unzip", "-tq", path], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return  # zipfile has said as much
    assert tested.returncode == 0, tested.stdout


def test_one_read_for_a_small_zip_two_for_a_large_one_and_one_for_each_entry():
    small, large = Source(written(SAMPLE)), Source(written({f"{at:0100}": b"x" for at in range(2000)}))
    for source, reads in ((small, 1), (large, 2)):
        index = source.index()
        assert len(source.asked) == reads
        source.asked.clear()
        for entry in index.values():
            entry.data(source)
            assert source.asked == [(entry.start, entry.head + entry.size)]
            source.asked.clear()


def test_an_index_travels_to_another_process():
    source = Source(written(SAMPLE))
    index = pickle.loads(pickle.dumps(source.index()))
    assert {name: bytes(entry.data(source)) for name, entry in index.items()} == SAMPLE


# -- zip64 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [65535, 65536])
def test_more_entries_than_16_bits_count(count: int):
    data = written({str(at): b"" for at in range(count)})
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert len(opened.namelist()) == count
        comment = opened.comment
    index = Source(data).index()
    assert len(index) == count and index[str(count - 1)].size == 0
    assert data == written_by_zipfile({str(at): b"" for at in range(count)}, comment)


class Hole:
    """A file of which only the ends are kept: the large entry's data are zeros, and nobody keeps those."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, bytes]] = []
        self.size = 0

    def write(self, data: bytes) -> None:
        length = memoryview(data).nbytes
        if length <= 1 << 20:
            self.parts.append((self.size, bytes(data)))
        self.size += length

    def flush(self) -> None:
        pass

    def to(self, path: Path) -> None:
        with path.open("wb") as file:
            for start, data in self.parts:
                file.seek(start)
                file.write(data)


def test_entries_behind_four_gigabytes_are_found(tmp_path: Path):
    """Seventeen entries of 256 MiB of zeros in a sparse file, then a small one."""
    path, hole = tmp_path / "large.zip", Hole()
    zeros = memoryview(bytearray(1 << 28))
    with StoredZipWriter(hole) as writer:  # type: ignore[arg-type]
        for at in range(17):
            writer.entry(f"zeros/{at}", zeros)
        writer.entry("behind", b"here")
    hole.to(path)
    assert path.stat().st_size > 1 << 32
    with path.open("rb") as file:
        index = ZipIndex.read(hole.size, lambda start, length: os.pread(file.fileno(), length, start))
        assert index["behind"].start > 1 << 32
        assert bytes(index["behind"].data(lambda start, length: os.pread(file.fileno(), length, start))) == b"here"
    with zipfile.ZipFile(path) as opened:
        assert opened.read("behind") == b"here"
        assert opened.getinfo("zeros/16").header_offset == index["zeros/16"].start


def test_an_entry_of_more_than_four_gigabytes_has_its_sizes_in_the_zip64_fields():
    """Written by hand: nothing here makes such an entry, but the directory of one is read."""
    data = written({"a": b"x"})
    at = data.index(b"PK\1\2")
    record = bytearray(data[at : at + 47])
    record[20:28] = b"\xff" * 8
    extra = struct.pack("<2H2Q", 1, 16, 1, 1)
    struct.pack_into("<H", record, 30, len(extra))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(record) + len(extra), at, 0)
    assert Source(data[:at] + record + extra + end).contents() == {"a": b"x"}


# -- damage -----------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_truncated_zip_is_refused(data: st.DataObject):
    whole = written(SAMPLE)
    with pytest.raises(DamagedZipError):
        Source(whole[: data.draw(st.integers(0, len(whole) - 1))]).index()


def test_a_zip_that_lost_its_start_is_refused():
    with pytest.raises(DamagedZipError, match="does not end where"):
        Source(written(SAMPLE)[10:]).index()


@given(st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(data: st.DataObject):
    """Only bytes that nobody reads (dates, versions, attributes) may change without notice."""
    whole = bytearray(written(SAMPLE))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        contents = Source(bytes(whole)).contents()
    except DamagedZipError:
        return
    assert list(contents.values()) == list(SAMPLE.values())


def test_a_changed_entry_fails_its_checksum():
    whole = bytearray(written(SAMPLE))
    whole[whole.index(bytes(range(256))) + 77] ^= 1
    source = Source(bytes(whole))
    with pytest.raises(DamagedZipError, match="CRC"):
        source.index()["a/b/c/0/0"].data(source)
    assert bytes(source.index()["zarr.json"].data(source)) == b"{}"


def test_compressed_entries_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("a", b"a" * 1000)
    with pytest.raises(ValueError, match="a is compressed"):
        Source(buffer.getvalue()).index()


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip\n" * 99, b"PK\5\6" * 40])
def test_what_is_no_zip_is_refused(data: bytes):
    with pytest.raises(zipfile.BadZipFile):
        Source(data).index()


def test_a_source_that_answers_with_less_is_noticed():
    data = written({f"{at:0100}": b"x" * 9 for at in range(2000)})
    with pytest.raises(DamagedZipError, match="the directory ends early"):
        ZipIndex.read(len(data), lambda start, length: data[start : start + length][: 1 << 17])
    entry = Source(data).index()[f"{7:0100}"]
    with pytest.raises(DamagedZipError, match="ends early"):
        entry.data(lambda start, length: data[start : start + length - 1])


def test_a_block_that_fails_leaves_no_whole_zip(tmp_path: Path):
    path = tmp_path / "a.zip"
    with pytest.raises(RuntimeError), StoredZipWriter(path) as writer:
        writer.entry("a", b"x")
        raise RuntimeError
    with pytest.raises(DamagedZipError):
        Source(path.read_bytes()).index()


# -- memory -----------------------------------------------------------------------------------------------------------


def test_little_memory_for_each_entry(tmp_path: Path):
    count, path = 20_000, tmp_path / "many.zip"
    tracemalloc.start()
    try:
        with StoredZipWriter(path) as writer:
            for at in range(count):
                writer.entry(f"s2_l2a/r10m/reflectance/c/{at}/0/0/0/0", b"x")
            writing = tracemalloc.get_traced_memory()[0]
        source = Source(path.read_bytes())
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        index = source.index()
        reading = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(index) == count
    assert writing < 150 * count + (2 << 20) and reading < 250 * count


def test_checksums_are_those_of_zlib():
    assert Source(written(SAMPLE)).index()["a/b/c/0/0"].crc == zlib.crc32(SAMPLE["a/b/c/0/0"])
