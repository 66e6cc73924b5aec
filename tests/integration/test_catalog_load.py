"""Many searches at a time: no more requests than allowed, from all processes together; an outage of a minute loses nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from searching import ids, provider, search, year_of
from stac_server import StacServer

from tilewright.catalog.api import Patience
from tilewright.grid import land_tiles

PROCESSES, THREADS = 3, 8
# A second stands for a minute. Least patience of the defaults: 91 s for 60.
SCALE = 1 / 60

WORKER = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
import tilewright.catalog.api as api
from tilewright.catalog.find import find_items
from tilewright.config.provider import Provider
from tilewright.grid import tile

told = json.load(sys.stdin)
usual, scale = api.Patience(), told["scale"]
api.PATIENCE = api.Patience(wait_s=usual.wait_s * scale, longest_s=usual.longest_s * scale)
of = Provider.model_validate(told["provider"])

def search(name):
    found = find_items(of, "s2_l2a", tile(name), date(2021, 1, 1), date(2021, 12, 31), parallel=told["parallel"])
    return name, [item["id"] for item in found]

with ThreadPoolExecutor(told["threads"]) as pool:
    json.dump(dict(pool.map(search, told["tiles"])), sys.stdout)
"""


@pytest.fixture
def many(tmp_path: Path) -> Iterator[tuple[StacServer, dict[str, list[str]]]]:
    """A server of two scenes for each of 500 tiles, and what each search should give."""
    names = [str(name) for name in land_tiles().name[::40][:500]]
    items = {name: year_of(name, 2) for name in names}
    by_tile = {f"MGRS-{name.lstrip('0')}": found for name, found in items.items()}

    class Indexed(StacServer):
        def search(self, asked: dict[str, Any]) -> dict[str, Any]:
            wanted = asked["query"]["grid:code"]
            codes = wanted.get("in") or [wanted["eq"]]
            self.items = [item for code in codes for item in by_tile.get(code, [])]
            return super().search(asked)

    with Indexed([], tmp_path) as made:
        yield made, {name: sorted(item["id"] for item in found) for name, found in items.items()}


def searched(server: StacServer, names: list[str], folder: Path, parallel: int) -> dict[str, Any]:
    """All searches, shared out among processes that work in one folder; what each tile gave."""
    of = provider(server.url).model_dump(mode="json")
    workers = []
    for number in range(PROCESSES):
        told = {
            "provider": of,
            "tiles": names[number::PROCESSES],
            "parallel": parallel,
            "threads": THREADS,
            "scale": SCALE,
        }
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER], cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(told))
        worker.stdin.close()
        worker.stdin = None
        workers.append(worker)
    found: dict[str, Any] = {}
    for worker in workers:
        out, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors[-2000:]
        found |= json.loads(out)
    return found


def test_500_searches_keep_to_four_requests_at_a_time_and_outlast_an_outage(
    many: tuple[StacServer, dict[str, list[str]]], tmp_path: Path
):
    server, expected = many
    server.latency_s, server.fails_for_s = 0.002, 60 * SCALE
    found = searched(server, list(expected), tmp_path, parallel=4)
    assert found == expected
    assert server.peak == 4
    assert server.failed["outage"] > 0
    # the root document, a page and the empty page of each search (two boxes for tiles at the antimeridian), and little more
    assert sum(server.asked.values()) - server.failed["outage"] < 3.2 * len(expected)
    assert (tmp_path / ".tilewright" / "slots").is_dir()


def test_without_the_slots_there_would_be_more_at_a_time(
    many: tuple[StacServer, dict[str, list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    server, expected = many
    monkeypatch.chdir(tmp_path)
    server.latency_s = 0.05
    names = list(expected)[:16]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: search(provider(server.url, parallel=64), name), names))
    assert [sorted(ids(items)) for items in found] == [expected[name] for name in names]
    assert server.peak > 4


def test_the_scaled_clock_is_that_of_the_defaults():
    usual = Patience()
    scaled = Patience(wait_s=usual.wait_s * SCALE, longest_s=usual.longest_s * SCALE)
    assert usual.least_s > 60 and scaled.least_s == pytest.approx(usual.least_s * SCALE)


def test_a_killed_job_leaves_no_slot_taken(tmp_path: Path):
    holding = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nfrom tilewright.catalog.slots import slot\n"
         "with slot('host', 1):\n    print('held', flush=True)\n    time.sleep(60)"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holding.stdout is not None and holding.stdout.readline() == "held\n"
    from tilewright.catalog.slots import slot

    folder = tmp_path / ".tilewright" / "slots"
    began = time.monotonic()
    holding.kill()
    holding.wait()
    with slot("host", 1, folder):
        assert time.monotonic() - began < 5
