"""What may befall a run. Each fault strikes once, at a moment and a place that are drawn from the seed.

Nothing of it knows the product: processes die, disks fill, files are spoiled, clocks are wrong, nodes vanish.
"""

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from watched import Watched

from harness import ROOT, Project
from toy_slurm import ToySlurm, lacking

JOBS = 14
"""Of the dataset that is disturbed."""


class ImpossibleHereError(Exception):
    """The fault needs what this machine has not."""


@dataclass
class Scene:
    """A project to disturb, the undisturbed one, and the seeded draw."""

    project: Project
    sound: Project
    draw: random.Random
    options: tuple[str, ...] = ()  # of the run that follows, too
    mend: str = "unlock"  # or "verify"
    afterwards: list[Callable[[], None]] = field(default_factory=list)  # when all is judged

    def moment(self) -> tuple[int, float]:
        """After which job's beginning, and how many seconds later."""
        return self.draw.randint(1, JOBS - 2), round(self.draw.uniform(0, 1.5), 2)

    def started(self, **more: object) -> tuple[Watched, str]:
        """A run at its moment, and that moment in words."""
        number, seconds = self.moment()
        run = Watched(self.project, options=self.options, **more)  # type: ignore[arg-type]
        at_work = run.reach(number, seconds)
        return run, f"job {number} + {seconds:.2f} s" if at_work else "at the end"


def job_killed(scene: Scene) -> str:
    """A stage's process dies, as by the kernel's lack of memory; Snakemake goes on."""
    run, when = scene.started()
    stage = run.kill_stage()
    run.end()
    return f"{when}: {stage or 'nothing left to kill'}"


def everything_killed(scene: Scene) -> str:
    """Snakemake and all its jobs die at once, as where the machine does."""
    run, when = scene.started()
    run.kill(jobs_too=True)
    return when


def snakemake_killed(scene: Scene) -> str:
    """Snakemake dies alone: its jobs go on, and write while the next run has begun."""
    run, when = scene.started()
    orphans = len(run.stages())
    run.kill(jobs_too=False)
    return f"{when}: {orphans} jobs went on"


def disk_full(scene: Scene) -> str:
    """The disk with all of the project on it, Snakemake's own files too, fills in the middle; then there is room."""
    place = scene.project.directory
    whole = sum(-(-path.lstat().st_size // 4096) * 4096 for path in scene.sound.directory.rglob("*"))
    size = round(whole * scene.draw.uniform(0.1, 0.95)) // 1024
    _mount(place, size)
    scene.afterwards.append(lambda: subprocess.run(["umount", "--lazy", str(place)], check=True))
    Watched(scene.project).end()
    subprocess.run(["mount", "-o", "remount,size=1g", str(place)], check=True)
    return f"at {size} of {whole // 1024} kB"


def _mount(place: Path, size_kb: int) -> None:
    place.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if done.returncode:
        raise ImpossibleHereError("only root can mount a small disk to fill")


def files_spoiled(scene: Scene) -> str:
    """One to three files of a finished dataset are cut, deleted, emptied, or have bytes flipped."""
    shutil.copytree(scene.sound.directory, scene.project.directory, symlinks=True)
    scene.mend = "verify"
    files = [scene.project.results / name for name in scene.sound.digests()]
    said = []
    for path in scene.draw.sample(sorted(files), scene.draw.randint(1, 3)):
        how = scene.draw.choice(["cut", "deleted", "emptied", "flipped"])
        data = bytearray(path.read_bytes())
        at = scene.draw.randrange(len(data))
        if how == "deleted":
            path.unlink()
        elif how == "flipped":
            data[at] ^= 1 << scene.draw.randrange(8)
            path.write_bytes(data)
        else:
            path.write_bytes(data[: at if how == "cut" else 0])
        said.append(f"{path.name} {how}{f' at {at}' if how in ('cut', 'flipped') else ''}")
    return ", ".join(said)


def clock_jumps(scene: Scene) -> str:
    """The clock jumps by hours or days while jobs run, Snakemake is killed later, and the next run has the true clock.

    Processes have the wrong time from libfaketime. Times of files are the kernel's, which cannot be wrong for one project
    alone: they are put after the kill to what the wrong clock would have written.
    """
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise ImpossibleHereError("libfaketime is not here (Debian: faketime)")
    offset_s = scene.draw.choice([-1, 1]) * scene.draw.choice([3600, 86_400, 30 * 86_400])
    said = scene.project.directory.with_suffix(".clock")
    said.write_text("+0\n")
    # this library fails clock_nanosleep with the true monotonic clock, which is Python's sleep
    python = scene.project.directory.with_suffix(".python")
    python.mkdir()
    (python / "sitecustomize.py").write_text(
        "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
    )
    environment = {
        "PYTHONPATH": str(python), "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(said), "FAKETIME_CACHE_DURATION": "1",
        "NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    run, when = scene.started(environment=environment)
    assert run.begun, "nothing began under the other clock"
    jumped = time.time()
    said.write_text(f"{offset_s:+d}\n")
    later = round(scene.draw.uniform(2, 12), 1)
    with suppress(subprocess.TimeoutExpired):
        run.process.wait(later)
    if run.at_work:
        run.kill(jobs_too=True)
    for path in [path for path in scene.project.directory.rglob("*") if path.is_file() and not path.is_symlink()]:
        # (what Snakemake touches has the wrong time already, an hour off at least)
        if 0 < (written := path.stat().st_mtime) - jumped < 1800:
            os.utime(path, (written + offset_s, written + offset_s))
    if offset_s > 0:
        scene.mend = "verify"  # no time stamp of the future is older than what will be made of the file
    return f"{when}: by {offset_s / 3600:+.0f} h, killed {later} s later"


def node_lost(scene: Scene) -> str:
    """A node's slurmd dies under its jobs; the node is down, and comes back. Every other time Snakemake dies, too."""
    if reason := lacking():
        raise ImpossibleHereError(reason)
    folder = Path(tempfile.mkdtemp(prefix="toy-slurm-"))
    scene.afterwards.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    cluster = ToySlurm(folder, node_timeout=10).up()
    scene.afterwards.insert(0, cluster.down)
    scene.project.environment["PATH"] = os.pathsep.join([str(cluster.bin), scene.project._environment["PATH"]])
    scene.options = (
        "--workflow-profile",
        str(ROOT / "profiles/slurm"),
        "--slurm-init-seconds-before-status-checks",
        "3",
    )
    run = Watched(scene.project, options=scene.options)
    number = scene.draw.randint(3, 9)  # light jobs before it run beside Snakemake
    run.reach(number, scene.draw.uniform(0, 3))
    busy = ""
    while run.at_work and not (busy := cluster.client("squeue", "-h", "-t", "R", "-o", "%N").strip()):
        time.sleep(0.1)
    node = scene.draw.choice(busy.split() or ["n1"])
    cluster.kill_node(node)
    also = scene.draw.random() < 0.5
    if also:
        run.kill(jobs_too=True)
    time.sleep(scene.draw.uniform(12, 20))  # longer than node_timeout: its jobs are lost
    cluster.start_node(node)
    run.end()
    return f"job {number}: {node}{', Snakemake too' if also else ''}"


FAULTS: dict[str, Callable[[Scene], str]] = {
    "job killed": job_killed,
    "all killed": everything_killed,
    "Snakemake killed": snakemake_killed,
    "disk full": disk_full,
    "files spoiled": files_spoiled,
    "clock jumps": clock_jumps,
    "node lost": node_lost,
}


@contextmanager
def ended(scene: Scene) -> Iterator[None]:
    """Undo what a fault leaves on the machine."""
    try:
        yield
    finally:
        for each in scene.afterwards:
            each()
