"""Searches of a catalog are bounded over a whole run, wherever its jobs are."""

import os
import sys
from pathlib import Path

from harness import ROOT, Project

# What the rule calls: notes when it begins and ends, and searches nothing.
_SEARCH = """\
#!/bin/sh
date +"%s.%N +1" >> {notes}
sleep 1
for word in "$@"; do last=$word; done
: > "$last"
date +"%s.%N -1" >> {notes}
"""


def test_searches_of_a_run_are_bounded(project: Project, tmp_path: Path) -> None:
    command, notes = tmp_path / "bin" / "python", tmp_path / "notes"
    command.parent.mkdir()
    command.write_text(_SEARCH.format(notes=notes))
    command.chmod(0o755)
    project.environment["PATH"] = os.pathsep.join(
        [str(command.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    files = [
        f"results/small/tiles/{tile}/{period}/scenes.parquet"
        for tile in ("32TQM", "33TTG", "35JQG")
        for period in ("first", "second")
    ]
    # the profile's own limit is 8: more than there are here
    profile = ("--workflow-profile", str(ROOT / "profiles/slurm"), "--executor", "local", "--resources", "searches=2")
    project.run(*files, cores=6, options=profile)
    at_once, most = 0, 0
    for line in sorted(notes.read_text().splitlines()):
        at_once += int(line.split()[1])
        most = max(most, at_once)
    assert len(notes.read_text().splitlines()) == 2 * len(files)
    assert most == 2
