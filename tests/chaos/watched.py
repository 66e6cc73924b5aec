"""A run of the workflow that goes on while faults are planted in it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from harness import Project, Run

PATIENCE_S = 600  # for what must happen in a run sooner or later, on a busy machine
_BEGUN = re.compile(r"^Job \d+: ", re.MULTILINE)


class Watched:
    """Snakemake in a session of its own. What it prints goes to a file: jobs that outlive it have no broken pipe."""

    def __init__(
        self, project: Project, environment: Mapping[str, str] | None = None, options: tuple[str, ...] = ()
    ) -> None:
        self.log = project.directory.with_suffix(".log")
        command = project.command(options=options)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=project.directory, env={**project._environment, **(environment or {})},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def at_work(self) -> bool:
        return self.process.poll() is None

    @property
    def begun(self) -> int:
        """How many jobs have begun."""
        return len(_BEGUN.findall(self.log.read_text()))

    def reach(self, job: int, seconds: float) -> bool:
        """Wait until so many seconds after its `job`th job began; whether it is still at work."""
        end = time.monotonic() + PATIENCE_S
        while self.at_work and self.begun < job and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(seconds)
        return self.at_work

    def stages(self) -> list[int]:
        """Processes of stages that are at work in its session, by number."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline"]):
            words = process.info["cmdline"] or []
            try:
                if words[1:3] == ["-m", "tilewright"] and os.getsid(process.info["pid"]) == self.process.pid:
                    found.append(process.info["pid"])
            except ProcessLookupError:
                continue
        return sorted(found)

    def kill_stage(self) -> str:
        """SIGKILL a stage's process, the next one where none is at work now; its name, "" where there is none any more."""
        end = time.monotonic() + PATIENCE_S
        while self.at_work and time.monotonic() < end:
            for pid in self.stages():
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    continue
                return next(word for word in words[5:] if not word.startswith("-"))
            time.sleep(0.02)
        return ""

    def kill(self, *, jobs_too: bool) -> None:
        """SIGKILL Snakemake; with `jobs_too` all of its session, else its jobs go on without it."""
        if jobs_too:
            with suppress(ProcessLookupError):  # all of it has ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def end(self) -> Run:
        """Wait for its end."""
        code = self.process.wait(PATIENCE_S)
        return Run(code, self.log.read_text())
