"""Faults that befall a job once, on the node where it runs: planted in the `python` that rules call, not in the product."""

import sys
from collections.abc import Mapping
from pathlib import Path

# The job is told by its log: …/crop/32TNT-2019.log is the job crop-32TNT-2019. `mv` happens once, whoever else tries.
_PYTHON = """\
#!/bin/sh
log=$(expr "$*" : '.*--log \\([^ ]*\\)')
job=$(basename "$(dirname "$log")")-$(basename "$log" .log)
if mv "{folder}/$job" "{folder}/$job.done" 2>/dev/null; then . "{folder}/$job.done"; fi
exec {python} "$@"
"""

KILLED = "kill -KILL $$"
CANCELLED = "scancel $SLURM_JOB_ID; sleep 120"
# half as much again as the job may have, until it is noticed
OVER_MEMORY = f"""\
mb=$(squeue -h -j $SLURM_JOB_ID -o %m)
exec {sys.executable} -c "import sys, time; held = bytearray(b'1') * (int(sys.argv[1]) * 1500000); time.sleep(120)" "${{mb%M}}"
"""
# no more jobs on this node; this one goes on
DRAINED = "scontrol update nodename=$(squeue -h -j $SLURM_JOB_ID -o %N) state=drain reason=test"


def plant(folder: Path, faults: Mapping[str, str]) -> Path:
    """A folder that must be first on the PATH, for `faults` by job."""
    folder.mkdir()
    command = folder / "bin" / "python"
    command.parent.mkdir()
    command.write_text(_PYTHON.format(folder=folder, python=sys.executable))
    command.chmod(0o755)
    for job, fault in faults.items():
        (folder / job).write_text(fault + "\n")
    return command.parent


def left(folder: Path) -> list[str]:
    """The jobs whose faults have not happened."""
    return [path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".done"]
