"""What a process costs: wall seconds, CPU seconds and peak memory of it and of everything that it starts.

The process that measures must stay small: until a child has replaced itself by its program, Linux counts its parent's
memory as its own, so the parent's peak would be a floor under every child's. Keep arrays out of the script that calls `run`.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

K = TypeVar("K", bound=Hashable)
MB = 1e6  # bytes; as in network and disk figures, not 2**20


class FailedRunError(Exception):
    """A measured command ended with an error: its command line and the end of what it wrote to stderr."""


@dataclass(frozen=True)
class Measured:
    """One run. `peak_mb` is of all its processes together, as far as sampling every `interval_s` sees them."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    stdout: str = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """The last line of stdout as JSON: what scripts of benchmarks print about themselves."""
        return json.loads(self.stdout.strip().splitlines()[-1])


def run(
    command: Sequence[str | Path],
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 3600,
    interval_s: float = 0.1,
) -> Measured:
    """Run `command` to its end and measure it.

    CPU is the larger of two: the kernel's account of the ended process and of the children it waited for (exact), and the
    sum over all processes seen (sampled: workers of a fork server are nobody's waited children). Peak memory likewise: the largest resident size of one process (exact, from the kernel) and the largest sum over the process tree
    (sampled; proportional shares where the kernel gives them, so that pages shared by forked workers count once).
    `env` is added to this process's environment. Raises FailedRunError, with the end of stderr, when it does not return 0.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], stdout=out, stderr=err, cwd=cwd, env={**os.environ, **(env or {})}
        )
        watch = _TreeWatch(process.pid, interval_s)
        killer = threading.Timer(timeout_s, process.kill)
        killer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            killer.cancel()
            watch.stop()
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would warn that it was never waited for
        out.seek(0)
        err.seek(0)
        stdout = out.read().decode(errors="replace")
        if process.returncode != 0:
            tail = "\n".join(err.read().decode(errors="replace").strip().splitlines()[-15:])
            shown = " ".join(str(part) for part in command)
            raise FailedRunError(f"{shown[:400]}\nended with {process.returncode}:\n{tail}")
    peak = max(usage.ru_maxrss * 1024, watch.peak) / MB  # ru_maxrss is in units of 1024 bytes on Linux
    return Measured(wall, max(usage.ru_utime + usage.ru_stime, watch.cpu_s), peak, stdout)


class _TreeWatch(threading.Thread):
    """Memory of a process and its descendants together, and CPU of each, looked at every `interval_s`."""

    def __init__(self, pid: int, interval_s: float) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._cpu: dict[tuple[int, float], float] = {}
        self._pid = pid
        self._interval_s = interval_s
        self._ended = threading.Event()
        self.start()

    @property
    def cpu_s(self) -> float:
        """CPU of all processes seen, each as when it was last seen."""
        return sum(self._cpu.values())

    def run(self) -> None:
        try:
            root = psutil.Process(self._pid)
        except psutil.Error:
            return
        while not self._ended.wait(self._interval_s):
            with suppress(psutil.Error):
                tree = root.children(recursive=True)
                if tree:  # one process by itself is exact at its end (ru_maxrss)
                    self.peak = max(self.peak, sum(map(_memory, [root, *tree])))
                for process in [root, *tree]:
                    with suppress(psutil.Error):
                        times = process.cpu_times()
                        self._cpu[process.pid, process.create_time()] = times.user + times.system

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.Error, AttributeError):
        try:
            return process.memory_info().rss
        except psutil.Error:
            return 0


@dataclass
class Section:
    """Wall and CPU seconds of a part of this process (all its threads); filled when the `with` block ends."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def section() -> Iterator[Section]:
    """Measure a part of this process: what a script times about itself, apart from imports and start-up."""
    found = Section()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield found
    finally:
        found.wall_s = time.perf_counter() - wall
        found.cpu_s = time.process_time() - cpu


def own_peak_mb() -> float:
    """Peak resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB


def interleaved(
    jobs: Mapping[K, Callable[[], Any]],
    repeats: int | Mapping[K, int] = 3,
    said: Callable[[str], None] = lambda text: None,
) -> dict[K, list[Any]]:
    """Run every job several times, in rounds: a, b, c, a, b, c, …, so that a slow spell of the machine hits all alike.

    `repeats` may differ by job. Returns the results of each job in the order of its runs.
    """
    wanted = {name: repeats if isinstance(repeats, int) else repeats[name] for name in jobs}
    results: dict[K, list[Any]] = {name: [] for name in jobs}
    for turn in range(max(wanted.values(), default=0)):
        for name, job in jobs.items():
            if turn < wanted[name]:
                said(f"{name} ({turn + 1} of {wanted[name]})")
                results[name].append(job())
    return results


def median(values: Sequence[float]) -> float:
    """The median; of an even number, the lower middle one, so that it is always a run that happened."""
    return statistics.median_low(values)
