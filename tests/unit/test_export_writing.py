"""Writing files all or none, sweeping, and tiles that are written again only where something changed: full disks and kills included."""

import errno
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from everything import Everything, Export, changed
from tilewright.cli import main
from tilewright.config.settings import text
from tilewright.errors import TilewrightError
from tilewright.exports import writing as module
from tilewright.exports.writing import Growing, Writing, sweep
from tilewright.store import read_table


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_files_are_there_when_the_block_ends(tmp_path: Path):
    root = tmp_path / "export"
    with Writing(root, "32TNT") as writing:
        writing.put("b/one.bin", b"one", "cell-1")
        with writing.opened("a.bin") as file:
            for part in (b"lar", memoryview(b"g"), b"", b"e"):
                file.write(part)
        assert writing.read("b/one.bin") == b"one" and not root.exists()
    assert tree(root) == {"a.bin": b"large", "b/one.bin": b"one"}
    table = writing.files()
    assert table.to_dict("list") == {
        "path": ["a.bin", "b/one.bin"], "bytes": [5, 3], "crc32": [zlib.crc32(b"large"), zlib.crc32(b"one")], "cell_id": ["", "cell-1"],
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export"]


def test_nothing_is_there_when_it_fails(tmp_path: Path):
    root = tmp_path / "export"
    with Writing(root, "old") as writing:
        writing.put("kept.bin", b"old")
    with pytest.raises(KeyError), Writing(root, "new") as writing:
        writing.put("kept.bin", b"new")
        writing.put("more.bin", b"new")
        raise KeyError("midway")
    assert tree(root) == {"kept.bin": b"old"} and [path.name for path in tmp_path.iterdir()] == ["export"]


def test_two_writers_do_not_meet(tmp_path: Path):
    root = tmp_path / "export"
    with Writing(root, "one") as one, Writing(root, "two") as two:
        one.put("a", b"1")
        two.put("b", b"2")
    assert tree(root) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("path", ["/etc/a", "../a", "a/../../b"])
def test_paths_stay_inside(tmp_path: Path, path: str):
    with pytest.raises(ValueError, match="leaves the export"), Writing(tmp_path / "export", "x") as writing:
        writing.put(path, b"")


def test_a_file_is_put_once(tmp_path: Path):
    with pytest.raises(ValueError, match="a is put twice"), Writing(tmp_path / "export", "x") as writing:
        writing.put("a", b"1")
        writing.put("a", b"2")


class FullDisk:
    """A file of a disk on which `room` bytes are free, which takes less than it is given when they end, as disks do."""

    room = 0

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: memoryview) -> int:
        if not FullDisk.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        took = min(len(data), FullDisk.room, 3)
        FullDisk.room -= took
        return int(self.file.write(data[:took]))


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> type[FullDisk]:
    whole = Growing.__init__
    monkeypatch.setattr(Growing, "__init__", lambda self, file, failed: whole(self, FullDisk(file), failed))
    return FullDisk


def test_a_file_that_takes_little_at_a_time_is_whole(tmp_path: Path, room: type[FullDisk]):
    room.room = 100
    with Writing(tmp_path / "export", "x") as writing:
        writing.put("a", b"0123456789")
    assert tree(tmp_path / "export") == {"a": b"0123456789"} and writing.files()["bytes"].tolist() == [10]


def test_a_full_disk(tmp_path: Path, room: type[FullDisk]):
    room.room = 12
    with pytest.raises(TilewrightError) as error, Writing(tmp_path / "export", "x") as writing:
        writing.put("a", b"0123456789")
        writing.put("b/c", b"0123456789")
    assert str(error.value) == (
        f"cannot write {tmp_path / 'export/b/c'}: No space left on device; nothing half-written was left: free space, then run again, and "
        "only tiles that are not done yet are written"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_when_files_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(one: Path, other: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(other))

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(TilewrightError, match=r"cannot write .*export/a: No space left"), Writing(tmp_path / "export", "x") as writing:  # fmt: skip
        writing.put("a", b"1")
    assert tree(tmp_path) == {}


def test_a_folder_that_may_not_be_written(tmp_path: Path):
    (tmp_path / "export").write_text("a file where the folder belongs")
    with pytest.raises(TilewrightError, match=r"cannot write .*mend the permissions or the disk"), Writing(tmp_path / "export", "x") as writing:  # fmt: skip
        writing.put("a/b", b"1")


def test_sweep(tmp_path: Path):
    with Writing(tmp_path / "export", "x") as writing:
        for path in ("a", "old/b", "old/deep/c", "new/d"):
            writing.put(path, b"1")
    assert sweep(tmp_path / "export", {"a", "new/d"}) == 2
    assert tree(tmp_path / "export") == {"a": b"1", "new/d": b"1"}
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == ["a", "new"]
    assert sweep(tmp_path / "none", set()) == 0


def made(folder: Path, everything: Everything, layout: str = "webdataset") -> Export:
    return Export(folder, everything.results, everything.settings(layout, labels="osm"))


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Which file each is, and when it was written."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in root.rglob("*") if path.is_file()
    }  # fmt: skip


def test_nothing_is_written_again_where_nothing_changed(everything: Everything, tmp_path: Path):
    export = made(tmp_path, everything)
    export.tile("33TTG")
    before, tables = stamps(export.root), tree(export.tables["33TTG"])
    export.tile("33TTG")
    assert stamps(export.root) == before and tree(export.tables["33TTG"]) == tables
    # another rank among the accepted is nothing of the tile's
    later = changed(
        everything, tmp_path / "set", lambda rows, about: rows.assign(accepted_rank=rows["accepted_rank"] * 2)
    )
    export.results = later.results
    export.tile("33TTG")
    assert stamps(export.root) == before


@pytest.mark.parametrize("how", ["lost", "short", "other", "settings", "table", "split", "years"])
def test_a_tile_is_written_again_where_something_changed(everything: Everything, tmp_path: Path, how: str):
    export = made(tmp_path, everything)
    export.tile("33TTG")
    files = sorted(path for path in export.root.rglob("*") if path.is_file())
    before = stamps(export.root)
    if how == "lost":
        files[0].unlink()
    elif how == "short":
        files[0].write_bytes(b"cut")
    elif how == "other":
        # as many bytes as before: what an export that was given up leaves where places in the draw name files of one size
        data = files[0].read_bytes()
        files[0].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif how == "settings":
        export.settings = everything.settings("webdataset", labels="osm", webdataset={"shard_mb": 1})
    elif how == "table":
        (export.tables["33TTG"] / "records.parquet").write_bytes(b"damaged")
    elif how == "years":

        def of_years(rows: Any, about: dict[str, Any]) -> Any:
            about["split"]["years"] = {"val": [2018]}
            return rows

        export.results = changed(everything, tmp_path / "set", of_years).results
    else:
        export.results = changed(everything, tmp_path / "set", lambda rows, about: rows.assign(split="val")).results
    export.tile("33TTG")
    after = stamps(export.root)
    table = read_table(export.tables["33TTG"] / "files.parquet")
    assert all(after[path] != before.get(path) for path in table["path"])
    found = tree(export.root)
    for path, size, crc in zip(table["path"], table["bytes"], table["crc32"], strict=True):
        assert (len(found[path]), zlib.crc32(found[path])) == (size, crc)


def test_files_of_cells_that_are_not_accepted_any_more_are_swept(everything: Everything, tmp_path: Path):
    export = made(tmp_path, everything, "opensentinelmap").run()
    out = everything.accepted().index[0]
    tables = [read_table(path / "files.parquet") for path in export.tables.values()]
    gone = {path for table in tables for path in table.loc[table["cell_id"] == out, "path"]}
    (export.root / "stray.txt").write_text("of nobody")
    rest = changed(everything, tmp_path / "set", lambda rows, about: rows.assign(accepted=rows["accepted"] & (rows["cell_id"] != out)))  # fmt: skip
    before = set(export.files())
    export.results = rest.results
    export.run()
    assert before - set(export.files()) == gone | {"stray.txt"} and gone
    assert not [path for path in export.root.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_a_tile_without_accepted_cells_has_no_files(everything: Everything, tmp_path: Path):
    rest = changed(everything, tmp_path / "set", lambda rows, about: rows.assign(accepted=rows["tile"] == "33TTG"))
    export = made(tmp_path, rest).run()
    assert read_table(export.tables["32TQM"] / "files.parquet").empty
    assert not [path for path in export.files() if "32TQM" in path]


def test_a_dataset_without_accepted_cells(everything: Everything, tmp_path: Path):
    rest = changed(everything, tmp_path / "set", lambda rows, about: rows.assign(accepted=False))
    with pytest.raises(
        TilewrightError, match="no cell is accepted, so that there is nothing to export: see the report"
    ):
        made(tmp_path, rest).tile("33TTG")


@pytest.mark.parametrize("layout", ["opensentinelmap", "webdataset", "geotiff"])
def test_a_full_disk_in_an_export(everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str):
    clean = made(tmp_path / "clean", everything, layout)
    clean.tile("33TTG")
    export = made(tmp_path / "full", everything, layout)
    left = [sum(map(len, tree(clean.root).values())) // 2]
    whole = Growing.write

    def full(self: Growing, data: Any) -> None:
        left[0] -= len(data)
        if left[0] < 0:
            raise self._failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        whole(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Growing, "write", full)
        with pytest.raises(
            TilewrightError, match=rf"export {layout}, tile 33TTG: cannot write .*No space left on device; nothing"
        ):
            export.tile("33TTG")
    assert tree(export.root.parent) == {}
    export.tile("33TTG")
    assert tree(export.root) == tree(clean.root)


def test_a_full_disk_is_one_line_of_the_command(everything: Everything, tmp_path: Path, capsys: pytest.CaptureFixture[str], room: type[FullDisk]):  # fmt: skip
    room.room = 1000
    arguments = ["export_tile", "--dataset", str(everything.results), "--tile", "33TTG", "--root", str(tmp_path / "export"), "--settings",
                 text(everything.settings("webdataset")), "--files", str(tmp_path / "f"), "--records", str(tmp_path / "r")]  # fmt: skip
    assert main(arguments) == 1
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "error" in one]
    assert "cannot write" in line and "free space, then run again" in line
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
from pathlib import Path
from tilewright.config.settings import ExportSettings, parsed
from tilewright.exports import make_export_tile
from tilewright.exports import writing
results, settings, root, tables, after, where = sys.argv[2:]
left = [int(after)]
def soon(whole):
    def one(*given):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*given)
    return one
if where == "write":
    writing.Growing.write = soon(writing.Growing.write)
else:
    os.replace = soon(os.replace)
at = Path(tables)
make_export_tile(Path(results), "33TTG", parsed(ExportSettings, settings), Path(root), at / "files.parquet", at / "records.parquet")
"""


@pytest.mark.parametrize(("where", "after"), [("write", 7), ("move", 5)])
def test_a_kill_midway(everything: Everything, tmp_path: Path, where: str, after: int):
    clean = made(tmp_path / "clean", everything, "opensentinelmap")
    clean.tile("33TTG")
    export = made(tmp_path / "killed", everything, "opensentinelmap")
    tables = export.root.parent / "opensentinelmap.tiles/33TTG"
    tables.mkdir(parents=True)
    told = [
        os.pathsep.join(sys.path),
        str(everything.results),
        text(export.settings),
        str(export.root),
        str(tables),
        str(after),
        where,
    ]
    ended = subprocess.run([sys.executable, "-c", KILLED, *told], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    # nothing, or some of the files, each of them whole; and no table that would say that the tile is done
    done, whole = tree(export.root), tree(clean.root)
    assert len(done) == (0 if where == "write" else after) and all(whole[path] == data for path, data in done.items())
    assert not list(tables.iterdir())
    export.tile("33TTG")
    assert tree(export.root) == whole
    assert sorted(path.name for path in export.root.parent.iterdir()) == ["opensentinelmap", "opensentinelmap.tiles"]
