"""A private PostgreSQL server with PostGIS: nothing but a socket in a folder of its own, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

USER, PASSWORD = "maps", "s3cret-word"
# Nothing here outlives a test, so nothing waits for the disk. Queries are so small that compiling them costs more than running them.
_SETTINGS = {"listen_addresses": "''", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "jit": "off", "max_connections": "20"}  # fmt: skip


def programs() -> dict[str, str]:
    """Paths of the server's programs; skips the test where PostgreSQL or PostGIS is not installed."""
    found = {}
    for name in ("initdb", "postgres", "psql", "pg_ctl"):
        versions = sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))
        path = versions[-1] if versions else shutil.which(name)
        if path is None:
            pytest.skip(f"PostgreSQL is not installed: no {name}")
        found[name] = path
    config = subprocess.run(
        [shutil.which("pg_config") or "false", "--sharedir"], capture_output=True, text=True, check=False
    )
    places = [
        *Path("/usr/share/postgresql").glob("*/extension/postgis.control"),
        f"{config.stdout.strip()}/extension/postgis.control",
    ]
    if not any(Path(str(each)).is_file() for each in places):
        pytest.skip("PostGIS is not installed (Debian: postgresql-15-postgis-3)")
    return found


@dataclass(frozen=True)
class Cluster:
    """A running server; `folder` holds its socket, `USER` owns it and `PASSWORD` is asked for."""

    folder: Path
    programs: dict[str, str] = field(repr=False)

    def psql(self, sql: str) -> None:
        """Run statements in the database `postgres`."""
        command = [self.programs["psql"], "-h", str(self.folder), "-U", USER, "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1"]  # fmt: skip
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD}
        done = subprocess.run(command, input=sql, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that lives as long as the `with` block."""
    found = programs()
    # PostgreSQL refuses to run as root; and pytest's folders are closed to others, and too deep for a socket's path.
    user = ("postgres" if _exists("postgres") else "nobody") if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
    data, word = folder / "data", folder / "word"

    def run(*command: str) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, user=user, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
        assert done.returncode == 0, f"{command[0]}: {done.stdout} {done.stderr}"

    try:
        word.write_text(PASSWORD)
        if user:
            for path in (folder, word):
                shutil.chown(path, user)
        run(found["initdb"], "-D", str(data), "-U", USER, "-A", "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--no-sync")  # fmt: skip
        settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        control = (found["pg_ctl"], "-D", str(data), "-w", "-t", "60", "-l", str(folder / "log"))
        run(*control, "-o", options, "start")
        try:
            yield Cluster(folder, found)
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exists(user: str) -> bool:
    return any(each.pw_name == user for each in pwd.getpwall())
