"""An independent STAC API: stac-fastapi-pgstac on a private PostgreSQL server, with its own paging, filters and quirks."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from postgres import PASSWORD, USER, cluster

_START_S = 60
# `matched` in answers; and what a public deployment declares of its properties, without which they compare as text.
_SETTINGS = """
UPDATE pgstac.pgstac_settings SET value = 'on' WHERE name = 'context';
INSERT INTO pgstac.queryables (name, property_wrapper, definition) VALUES ('eo:cloud_cover', 'to_float', '{"type": "number"}');
"""


@contextmanager
def pgstac(items: Sequence[Mapping[str, Any]], log: Path) -> Iterator[str]:
    """The URL of an API that holds `items` and a collection document for each of their collections.

    Args:
        items: STAC items with absolute hrefs.
        log: what the server says.
    """
    with cluster() as server:
        host = quote(str(server.folder), safe="")
        _load(f"postgresql://{USER}:{PASSWORD}@{host}/postgres", items)
        settings = {
            "PGHOST": host, "PGPORT": "5432", "PGUSER": USER, "PGPASSWORD": PASSWORD, "PGDATABASE": "postgres",
            "USE_API_HYDRATE": "true",  # ten times as fast as hydrating in the database
        }  # fmt: skip
        with socket.socket() as listener, log.open("w") as told:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "stac_fastapi.pgstac.app:create_app", "--factory", "--fd", str(listener.fileno())],
                env={**os.environ, **settings}, cwd=server.folder, pass_fds=[listener.fileno()], stdout=told, stderr=told,
            )  # fmt: skip
            try:
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                _wait(url, process, log)
                yield url
            finally:
                process.kill()
                process.wait()


def _load(dsn: str, items: Sequence[Mapping[str, Any]]) -> None:
    """What `pypgstac migrate` and `pypgstac load` do, in this process."""
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods
    from pypgstac.migrate import Migrate

    database = PgstacDB(dsn)
    try:
        Migrate(database).run_migration()
        database.connect().execute(_SETTINGS)
        loader = Loader(database)
        collections = [_collection(name) for name in sorted({item["collection"] for item in items})]
        loader.load_collections(iter(collections), Methods.insert)
        loader.load_items(iter([{"stac_extensions": [], "links": [], **item} for item in items]), Methods.insert)
    finally:
        database.close()


def _collection(name: str) -> dict[str, Any]:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]}}
    return {
        "type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "license": "proprietary",
        "links": [], "extent": extent,
    }  # fmt: skip


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    patience = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < patience:
        with suppress(requests.RequestException):
            if requests.get(url, timeout=_START_S).ok:
                return
        time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()[-3000:]}")
