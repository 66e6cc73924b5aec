"""Stands in for `python` on PATH while a workflow runs: measures each stage that a rule calls, and says so in a file.

`install` writes the stand-in. It runs the real interpreter and appends one line of JSON to the file: the stage's command line, CPU
seconds, peak memory, wall seconds, bytes read and written. Only the standard library, and little of it: until a child has replaced
itself by its program, Linux counts its parent's memory as its own.
"""

import json
import os
import sys
import time
from pathlib import Path


def install(folder: Path, rows: Path) -> Path:
    """Write `folder`/python, which measures into `rows`; the folder, to be put first on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python"
    path.write_text(
        f'#!/bin/sh\nexec {sys.executable} -SE {Path(__file__).resolve()} {rows.resolve()} {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return folder


def measured(command: list[str], rows: str) -> int:
    """Run `command`, append what it cost to `rows`; its return code."""
    begun = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    counted = {}
    try:
        with open(f"/proc/{pid}/io") as lines:  # of the ended process, before it is gone
            counted = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    except OSError:
        pass  # another user's, or no Linux: bytes are then not known
    _, status, usage = os.wait4(pid, 0)
    row = {
        "command": command[1:], "returned": os.waitstatus_to_exitcode(status), "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6, "wall_s": time.monotonic() - begun,
        "read_mb": counted.get("rchar", 0) / 1e6, "written_mb": counted.get("wchar", 0) / 1e6,
    }  # fmt: skip
    with open(rows, "a") as file:
        file.write(json.dumps(row) + "\n")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    code = measured(sys.argv[2:], sys.argv[1])
    sys.exit(code if code >= 0 else 128 - code)
