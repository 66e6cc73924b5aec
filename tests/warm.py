"""Programs that begin at once: most of what a small run costs is the import of the same libraries by each of its processes.

A server that has imported them forks a process for each `python -m tilewright` and each `snakemake` that finds the folder
`warm().folder` first on its PATH; whatever else `python` is to run, runs as ever. What such a process does is what the program
does, with the caller's arguments, folder, environment, files and exit code; only that its parent is the server, and its hash seed
the server's. So it is not for tests of a process itself: that is killed, measured, or must give the same bytes by another hash seed.
"""

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

PROGRAMS = ("python", "snakemake")
# What the stages of the workflow import, at once or when they come to it.
LIBRARIES = (
    "snakemake.cli", "snakemake.workflow", "snakemake.dag", "snakemake.scheduling.job_scheduler", "snakemake_executor_plugin_slurm",
    "snakemake_storage_plugin_s3", "tilewright.__main__", "tilewright.exports", "tilewright.imagery", "tilewright.report", "tilewright.rules",
    "tilewright.stages.ask", "tilewright.stages.cells", "tilewright.stages.crop", "tilewright.stages.features",
    "tilewright.stages.group", "tilewright.stages.index", "tilewright.stages.labels", "tilewright.stages.locations",
    "tilewright.stages.mask", "tilewright.stages.search", "tilewright.stages.source", "tilewright.stages.zone",
    "tilewright.vector.burn", "tilewright.vector.osm", "tilewright.vector.ogr", "tilewright.vector.overpass", "tilewright.imagery.stack",
    "tilewright.catalog.spans", "rasterio", "rasterio.vrt", "rioxarray", "stackstac", "stac_geoparquet.arrow", "pyogrio", "scipy.spatial",
    "pyarrow.dataset", "geopandas", "jinja2", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
)  # fmt: skip
CLIENT = """#!{python} -ISs
import json, os, socket, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
if name == "snakemake" or arguments[:2] == ["-m", "tilewright"]:
    server = socket.socket(socket.AF_UNIX)
    server.connect({address!r})
    wanted = json.dumps([name, arguments, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(wanted).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(wanted)
    code = server.recv(8)
    os._exit(int.from_bytes(code, "big") if code else 1)
program = os.path.join({bin!r}, name)  # by its whole name, which tells Python of its environment
os.execv(program, [program, *arguments])
"""


class Warm:
    """A server and the folder of its programs; it ends with the process that made it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm")
        self.folder = Path(self._folder.name)
        address = str(self.folder / "server")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(address)
        listening.listen(64)
        told = CLIENT.format(python=sys.executable, address=address, bin=str(Path(sys.executable).parent))
        for name in PROGRAMS:
            (self.folder / name).write_text(told)
            (self.folder / name).chmod(0o755)
        # its input is held open until this process ends, however that happens
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(listening.fileno())], stdin=subprocess.PIPE, pass_fds=[listening.fileno()],
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        )  # fmt: skip
        listening.close()
        atexit.register(self.end)

    def end(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._folder.cleanup()


@cache
def warm() -> Warm:
    """The server of this process."""
    return Warm()


def serve(listening: socket.socket) -> Callable[[], Any] | None:
    """Fork until the input ends. In a forked process: what it is to run."""
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    waiting.register(listening, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj == 0:
                return None
            if key.fileobj is listening:
                client, _ = listening.accept()
                program = _forked(client, waiting)
                if program is not None:
                    return program
            elif isinstance(key.data, int):  # a client, which says no more: it ended before its process
                os.kill(key.data, signal.SIGKILL)
                waiting.unregister(key.fileobj)
            else:  # a process that ended
                process, client = key.data
                _, status = os.waitpid(process, 0)
                code = os.waitstatus_to_exitcode(status)
                if client in waiting.get_map():
                    waiting.unregister(client)
                    with suppress(OSError):  # it may have ended just now
                        client.send((code if code >= 0 else 128 - code).to_bytes(8, "big"))
                client.close()
                waiting.unregister(key.fileobj)
                os.close(key.fd)


def _forked(client: socket.socket, waiting: selectors.BaseSelector) -> Callable[[], Any] | None:
    """Fork for a client; in the forked process: what it is to run."""
    head, files, _, _ = socket.recv_fds(client, 8, 3)
    wanted = b""
    while len(wanted) < int.from_bytes(head, "big"):
        wanted += client.recv(1 << 20)
    name, arguments, folder, environment = json.loads(wanted)
    process = os.fork()
    if process:
        for file in files:
            os.close(file)
        waiting.register(os.pidfd_open(process), selectors.EVENT_READ, (process, client))
        waiting.register(client, selectors.EVENT_READ, process)
        return None
    for key in list(waiting.get_map().values()):
        if key.fd != 0:
            os.close(key.fd)
    client.close()
    waiting.close()
    for at, file in enumerate(files):
        os.dup2(file, at)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return _snakemake(arguments) if name == "snakemake" else _tilewright(arguments[2:])


def _tilewright(arguments: list[str]) -> Callable[[], Any]:
    from tilewright.__main__ import run

    sys.argv = ["tilewright", *arguments]
    return run


def _snakemake(arguments: list[str]) -> Callable[[], Any]:
    from snakemake.cli import main

    sys.argv = [str(Path(sys.executable).with_name("snakemake")), *arguments]

    def run() -> None:
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else bool(code))

    return run


if __name__ == "__main__":
    server = socket.socket(fileno=int(sys.argv[1]))
    sys.path.remove(str(Path(__file__).parent))  # programs know nothing of the tests
    for library in LIBRARIES:
        __import__(library)
    import gc

    gc.freeze()  # what is here already need not be looked at by each process
    program = serve(server)
    if program is not None:
        program()
