"""A Slurm cluster of several nodes on one machine, without systemd and apart from any other Slurm on it.

Everything of it (configuration, keys, sockets, state, ports) is its own, so that any number of them may be up at once.
`/etc/slurm` is not touched: since the executor plugin takes all SLURM_* out of a job's environment, SLURM_CONF would not
last; instead `bin/`, first on the PATH, holds the client commands with the configuration's path written into them.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_CLIENTS = ("sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo", "sacct", "sacctmgr")
_DAEMONS = ("munged", "slurmctld", "slurmd")
_PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"

_CONFIGURATION = """\
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
SlurmctldPort={port}
# a node may claim more CPUs and memory than the machine has
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout={node_timeout}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# without cgroups: what uses more than its --mem is seen within five seconds, and killed
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=200000
# finished jobs stay in squeue for so many seconds: longer than a test takes, so that it sees all of them
MinJobAge=3600
KillWait=2
InactiveLimit=0
MpiDefault=none
PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 DefaultTime=10 DefMemPerCPU=500 State=UP
"""


def lacking() -> str | None:
    """Why no toy cluster can be brought up here; None where one can."""
    missing = [name for name in (*_CLIENTS, *_DAEMONS) if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"Slurm is not here: no {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)"
    return None if os.geteuid() == 0 else "Slurm's daemons need root"


@dataclass
class ToySlurm:
    """The cluster, its files in `folder`, whose path must be short: sockets are in it (Unix allows 107 characters)."""

    folder: Path
    nodes: Sequence[str] = ("n1", "n2")
    cpus: int = 8  # of a node
    memory_mb: int = 64_000  # of a node
    node_timeout: int = 300  # seconds until a silent node counts as down, and its jobs as failed
    ports: list[int] = field(default_factory=list)

    @property
    def bin(self) -> Path:
        """The folder of the client commands: must be first on the PATH of whoever submits."""
        return self.folder / "bin"

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    def up(self) -> "ToySlurm":
        """Bring it up, and wait until all nodes are idle."""
        for name in ("bin", "log", "state", "munge", *self.nodes):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munge trusts no socket below a folder that others may not enter
        self._write()
        try:
            self._start_munge()
            self._run("slurmctld", "-c", "-f", str(self.configuration))
            for node in self.nodes:
                self.start_node(node)
            self._wait_until_idle()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Cancel all jobs and stop every daemon of it."""
        with suppress(OSError, subprocess.SubprocessError):
            self.client("scancel", "--full", "--user=root")
            self._until(lambda: not self.client("squeue", "-h", "-t", "R,CG"), 15)
        for name in (*self.nodes, "slurmctld", "munge/munged"):
            self._stop(name, signal.SIGTERM)

    def start_node(self, node: str) -> None:
        self._run("slurmd", "-N", node, "-f", str(self.configuration))

    def kill_node(self, node: str) -> None:
        """SIGKILL the node's daemon, as where a machine dies; the processes of its jobs stay (`start_node` ends it)."""
        self._stop(node, signal.SIGKILL)

    def client(self, command: str, *arguments: str) -> str:
        """What a client command says.

        Raises:
            subprocess.CalledProcessError: where it fails.
        """
        done = subprocess.run(
            [self.bin / command, *arguments], capture_output=True, text=True, timeout=60, check=True
        )  # fmt: skip
        return done.stdout

    def jobs(self) -> dict[int, dict[str, str]]:
        """{job: field: value} of `scontrol show job`, finished ones too."""
        told = (
            dict(part.split("=", 1) for part in line.split() if "=" in part)
            for line in self.client("scontrol", "show", "job", "--oneliner").splitlines()
        )
        return {int(job["JobId"]): job for job in told if "JobId" in job}

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """`given` for whoever submits to it."""
        path = f"{self.bin}{os.pathsep}{given['PATH']}"
        return {**{key: value for key, value in given.items() if not key.startswith("SLURM_")}, "PATH": path}

    def _write(self) -> None:
        host = socket.gethostname().split(".")[0]
        self.ports = self.ports or _free_ports(1 + len(self.nodes))
        text = _CONFIGURATION.format(
            host=host, folder=self.folder, port=self.ports[0], node_timeout=self.node_timeout
        )  # fmt: skip
        for node, port in zip(self.nodes, self.ports[1:], strict=True):
            text += (
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} "
                f"RealMemory={self.memory_mb} State=UNKNOWN\n"
            )
        self.configuration.write_text(text)
        for name in _CLIENTS:
            command = self.bin / name
            real = shutil.which(name, path=_PATH)
            command.write_text(f'#!/bin/sh\nSLURM_CONF={self.configuration} exec {real} "$@"\n')
            command.chmod(0o755)

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.chmod(0o755)
        key = folder / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        self._run(
            "munged", "--force", f"--key-file={key}", f"--socket={folder}/socket", f"--pid-file={folder}/munged.pid",
            f"--log-file={self.folder}/log/munged.log", f"--seed-file={folder}/seed",
        )  # fmt: skip

    def _run(self, daemon: str, *arguments: str) -> None:
        environment = {**self.environment({"PATH": _PATH}), "HOME": os.environ.get("HOME", "/root")}
        subprocess.run([str(shutil.which(daemon, path=_PATH)), *arguments], check=True, timeout=60, env=environment)

    def _pid(self, name: str) -> int | None:
        with suppress(OSError, ValueError):
            pid = int((self.folder / f"{name}.pid").read_text())
            # a pid that was given to another process since is not ours to stop
            if str(self.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def _stop(self, name: str, how: signal.Signals) -> None:
        pid = self._pid(name)
        if pid is None:
            return
        os.kill(pid, how)
        if not self._until(lambda: self._pid(name) is None, 10):
            os.kill(pid, signal.SIGKILL)

    def _wait_until_idle(self) -> None:
        def idle() -> bool:
            with suppress(subprocess.SubprocessError):
                return self.client("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split() == sorted(self.nodes)
            return False

        if not self._until(idle, 60):
            logs = "\n".join(path.read_text()[-2000:] for path in sorted((self.folder / "log").glob("*.log")))
            raise RuntimeError(f"the toy cluster did not come up:\n{logs}")

    @staticmethod
    def _until(true: object, seconds: float) -> bool:
        assert callable(true)
        end = time.monotonic() + seconds
        while not (held := bool(true())) and time.monotonic() < end:
            time.sleep(0.2)
        return held


def _free_ports(number: int) -> list[int]:
    """Ports on which nothing listens, all different."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
