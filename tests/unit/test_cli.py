"""The command line's ends: what the system refuses, an output that nobody reads, a machine that does not tell its memory."""

import builtins
import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tilewright import cli, progress
from tilewright.operations.logs import error_in
from tilewright.stages import zone

ZONE = ["zone", "--tiles-folder", "t", "--tiles", "32TQM", "--periods", "a", "--output", "o"]


@pytest.mark.parametrize(
    ("error", "mend"), [(errno.EACCES, "mend the permissions"), (errno.ENOSPC, "free or mend the disk")]
)
def test_what_the_system_refuses_is_one_line(
    error: int, mend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(error, os.strerror(error), "map.tif")

    monkeypatch.setattr(zone, "make_zone", refused)
    assert cli.main(ZONE) == 1
    said = capsys.readouterr().err.splitlines()
    assert (
        len(said) == 1 and said[0].startswith(f"tilewright: error: map.tif: {os.strerror(error)}; ") and mend in said[0]
    )


def test_a_traceback_is_an_error_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """What no one foresaw stands in the log as one line, with all that a report of it needs below."""
    monkeypatch.setattr(zone, "make_zone", lambda *_: 1 / 0)
    assert cli.main(["--log", str(tmp_path / "x.log"), *ZONE]) == 1
    assert error_in(tmp_path / "x.log").startswith("unexpected ZeroDivisionError: division by zero")
    assert "Traceback" in (tmp_path / "x.log").read_text()


def test_an_output_that_nobody_reads_is_no_fault(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    (tmp_path / "results/x/tiles/32TQM").mkdir(parents=True)
    (tmp_path / "results/x/tiles/32TQM/cells.parquet").touch()
    command = [sys.executable, "-m", "tilewright", "status", "results/x"]
    try:
        done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE
    assert "error" not in done.stderr and "Traceback" not in done.stderr


def test_the_memory_is_told_where_the_system_has_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    told = progress.most_mb()
    whole = builtins.open

    def without(file: Any, *rest: Any, **more: Any) -> Any:
        return io.StringIO("Name:\tpython\n") if file == "/proc/self/status" else whole(file, *rest, **more)

    monkeypatch.setattr(builtins, "open", without)
    assert 0.5 * told < progress.most_mb() < 20 * told
