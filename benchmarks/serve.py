"""nginx as an object store on loopback: one port that answers at once, one that waits 40 ms before each answer, and a log.

The log is what tells requests and bytes apart from what a reader says about itself. nginx runs as its own process with a
configuration written for it; it needs the lua module for the wait (Debian: nginx-light, libnginx-mod-http-lua), which `ensure`
installs where it may.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LATENCY_S = 0.04
_MODULES = [Path("/usr/lib/nginx/modules") / name for name in ("ndk_http_module.so", "ngx_http_lua_module.so")]

_CONFIG = """
load_module {ndk};
load_module {lua};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{user}
events {{ worker_connections 1024; }}
http {{
    types {{ image/tiff tif; application/json json; }}
    log_format counted '$server_port $status $body_bytes_sent $request_method $uri $http_range';
    access_log {folder}/access.log counted;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    keepalive_requests 1000000;
    sendfile on;
    tcp_nopush on;
    server {{
        listen 127.0.0.1:{near};
        location ~ ^/[0-9]+/(.+)$ {{ alias {root}/$1; }}
    }}
    server {{
        listen 127.0.0.1:{far};
        location ~ ^/[0-9]+/(.+)$ {{ alias {root}/$1; access_by_lua_block {{ ngx.sleep({latency}) }} }}
    }}
}}
"""


def ensure() -> str:
    """Why nginx cannot be used here; "" where it can. Installs it where this is Debian and we are root."""
    if not _here() and shutil.which("apt-get") and os.geteuid() == 0:
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        wanted = ["nginx-light", "libnginx-mod-http-lua"]
        # No service: the packages would start one on port 80.
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update", "-qq"], env=env, **quiet, check=False)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
        subprocess.run(install, env=env, **quiet, check=False)
    if _here():
        return ""
    return "nginx with its lua module is not installed (Debian: apt-get install nginx-light libnginx-mod-http-lua)"


def _here() -> bool:
    return _nginx() is not None and all(module.is_file() for module in _MODULES)


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


@dataclass(frozen=True)
class Traffic:
    """What a stretch of the log says.

    Attributes:
        requests, mb: answers and the bytes of their bodies.
        repeated_mb: bytes that were asked for more than once, by the ranges of the requests.
    """

    requests: int
    mb: float
    repeated_mb: float


@dataclass
class Server:
    """A running nginx. Below each port the files stand under every number, so that each run has URLs, and counts, of its own."""

    near_port: int
    far_port: int
    log: Path
    runs: int = 0

    def base(self, far: bool) -> str:
        """The URL below which the files are, new each time."""
        self.runs += 1
        return f"http://127.0.0.1:{self.far_port if far else self.near_port}/{self.runs}"

    def traffic(self, base: str) -> Traffic:
        """What was asked for below `base`. A request is in the log when its answer is over, which a client need not wait for."""
        self._settle()
        prefix = urlsplit(base).path + "/"
        sent, requests = 0, 0
        ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for line in self.log.read_text().splitlines():
            _, _, size, _, uri, *asked = line.split()
            if not uri.startswith(prefix):
                continue
            requests += 1
            sent += int(size)
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked[0]) if asked else None
            start = int(found[1]) if found else 0
            ranges[uri].append((start, start + int(size)))
        return Traffic(requests, sent / 1e6, sum(map(_repeated, ranges.values())) / 1e6)

    def _settle(self) -> None:
        size = -1
        while size != (size := self.log.stat().st_size):
            time.sleep(0.1)


def _repeated(spans: list[tuple[int, int]]) -> int:
    """Bytes in more than one of the spans, counted as often as they are repeated."""
    covered, repeated = 0, 0
    for start, end in sorted(spans):
        repeated += max(0, min(end, covered) - start)
        covered = max(covered, end)
    return repeated


@contextmanager
def serving(root: Path, folder: Path) -> Iterator[Server]:
    """nginx serving `root`, with its files in `folder`; ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    near, far = _free_ports(2)
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            ndk=_MODULES[0], lua=_MODULES[1], folder=folder.resolve(), root=root.resolve(), near=near, far=far,
            latency=LATENCY_S, user="user root;" if os.geteuid() == 0 else "",
        )
    )  # fmt: skip
    log = folder / "access.log"
    log.write_text("")
    process = subprocess.Popen(
        [str(_nginx()), "-c", str(config.resolve()), "-p", str(folder.resolve())], stderr=subprocess.DEVNULL
    )
    try:
        for port in (near, far):
            _wait_for(port, process, folder / "error.log")
        yield Server(near, far, log)
    finally:
        process.terminate()
        process.wait(10)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise RuntimeError(f"nginx ended: {log.read_text()[-500:] if log.is_file() else 'no error log'}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nginx does not listen on port {port}")
