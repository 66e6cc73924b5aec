"""A wide run on a simulated cluster: do the profile's settings keep its slots busy?

    python benchmarks/wide.py [--tiles 16] [--seconds 100] [--threads 4]

The toy Slurm of the tests claims 64 cores; the real rules go through `profiles/slurm` as it is, and what they call sleeps
instead of working, each job for half to one and a half times `--seconds`, and leaves empty files. So what is measured is
scheduling: submissions, polls, retries' absence, the way from a finished job to what waits for it. A submission starts
Snakemake twice, which costs some 6 CPU seconds of the machine's own cores: that 64 cores can be filled from two, jobs ask
for `--threads` cores each, and last long against that. Exits with 1 where less than 90 % of the slots are busy.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from toy_slurm import ToySlurm, lacking  # noqa: E402  the tests' cluster

CORES = 64
TARGET = 0.9  # ours
TILES = [f"32U{column}{row}" for row in "UVABCD" for column in "MNPQ"]  # of Germany
STEP_S = 2.0  # between two looks at the queue

# What rules call: sleeps in those that a cluster runs, and leaves the files that it is told to.
STAGE = """\
#!/bin/sh
stage=$5
case $stage in cells|search) seconds=0 ;; *) seconds=$(echo "$*" | cksum | awk '{{print {seconds} * (0.5 + $1 % 1000 / 1000)}}') ;; esac
sleep $seconds
while [ $# -gt 0 ]; do
    case $1 in --output|--patches|--selection|--traffic) mkdir -p "$(dirname "$2")"; : > "$2" ;; esac
    shift
done
"""


@dataclass(frozen=True)
class Look:
    """The queue at a time."""

    second: float
    busy: int  # cores of jobs that run
    waiting: int  # cores of jobs that wait for others to end


def project(folder: Path, tiles: int) -> Path:
    """A config of as many tiles and two periods, whose catalog and labels nobody reads."""
    (folder / "catalog.json").write_text("{}")
    config = {
        "dataset": "wide",
        "aoi": {"tiles": TILES[:tiles]},
        "provider": {"like": "simulated", "path": str(folder / "catalog.json")},
        "collections": {"s2_l2a": {"bands": ["B02"]}},
        "periods": {"every": "year", "start": "2019-01-01", "end": "2020-12-31", "scenes": 2},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def look(cluster: ToySlurm, begun: float) -> Look:
    """Count cores by what their jobs do."""
    cores = {"R": 0, "PD": 0, "CG": 0}
    for line in cluster.client("squeue", "-h", "-t", "R,PD", "-o", "%t %C").splitlines():
        state, number = line.split()
        cores[state] += int(number)
    return Look(time.monotonic() - begun, cores["R"], cores["PD"])


def watched(command: list[str], cluster: ToySlurm, environment: dict[str, str], folder: Path) -> list[Look]:
    """Run Snakemake to its end, and look at the queue all the while."""
    looks, begun = [], time.monotonic()
    with (folder / "snakemake.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(STEP_S)
            looks.append(look(cluster, begun))
            if len(looks) % 15 == 0:
                last = looks[-1]
                print(
                    f"{last.second:5.0f} s  {'#' * last.busy}{'.' * (CORES - last.busy)}  {last.waiting} waiting",
                    flush=True,
                )
    if process.returncode:
        raise SystemExit((folder / "snakemake.log").read_text()[-3000:])
    return looks


def share(looks: list[Look]) -> float:
    """Of all cores, how much of the time between the first and the last look they were busy."""
    spans = [(after.second - before.second, before.busy) for before, after in pairwise(looks)]
    return sum(span * busy for span, busy in spans) / (CORES * sum(span for span, _ in spans))


def main() -> int:
    """Run it, print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    reason = lacking()
    if reason:
        raise SystemExit(reason)

    folder = Path(tempfile.mkdtemp(prefix="wide-"))
    stage = folder / "bin" / "python"
    stage.parent.mkdir()
    stage.write_text(STAGE.format(seconds=options.seconds))
    stage.chmod(0o755)
    config = project(folder, options.tiles)
    nodes = [f"n{number}" for number in range(1, 9)]
    cluster = ToySlurm(folder / "slurm", nodes=nodes, cpus=CORES // len(nodes), memory_mb=1_000_000).up()
    path = [stage.parent, cluster.bin, Path(sys.executable).parent, os.environ["PATH"]]
    tiles = yaml.safe_load(config.read_text())["aoi"]["tiles"]
    command = [
        "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--nocolor",
        "--workflow-profile", str(ROOT / "profiles/slurm"),
        "--set-threads", *(f"{rule}={options.threads}" for rule in ("mask", "crop", "group")),
        "--", *(f"results/wide/tiles/{tile}/series.zarr.zip" for tile in tiles),
    ]  # fmt: skip
    command[1:1] = ["--configfile", str(config)]
    try:
        looks = watched(command, cluster, {**os.environ, "PATH": os.pathsep.join(map(str, path))}, folder)
    finally:
        cluster.down()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = [one for one in looks if one.busy]
    # from when the cluster was first full to when nothing waited any more: before and after there is not enough to do
    full = next((at for at, one in enumerate(looks) if one.busy + options.threads > CORES), 0)
    until = max((at for at, one in enumerate(looks) if one.waiting), default=0)
    found = share(looks[full : until + 1]) if until > full else 0.0
    print(f"{len(tiles)} tiles, {5 * len(tiles)} submissions of {options.threads} of {CORES} cores")
    print(
        f"busy while there was work for all: {found:.1%} of {looks[until].second - looks[full].second:.0f} s  (target {TARGET:.0%})"
    )
    print(f"busy from the first job to the last: {share(busy):.1%} of {busy[-1].second - busy[0].second:.0f} s")
    print(f"Snakemake and the looks at the queue: {used.ru_utime + used.ru_stime:.0f} CPU s")
    shutil.rmtree(folder, ignore_errors=True)
    return int(found < TARGET)


if __name__ == "__main__":
    sys.exit(main())
