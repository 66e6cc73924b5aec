"""What the small stages import: each is over in a second or two, so that what it imports is much of what it costs."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from stac_server import StacServer

from harness import ROOT, Project
from tilewright.rules import DatasetConfig

# Each takes from a tenth of a second to one and a half, alone or by what it imports. Of Arrow the files are used, not the computing.
DEAR = {
    "pandas", "geopandas", "scipy", "xarray", "rioxarray", "zarr", "numcodecs", "imagecodecs", "rasterio", "odc", "dask", "stackstac",
    "pyogrio", "stac_geoparquet", "matplotlib", "jinja2", "obstore", "snakemake", "hypothesis",
}  # fmt: skip
ONLINE = {"requests", "urllib3", "pystac", "pystac_client"}
# As `python -m tilewright`, which ends at once: that is put off until what was imported has been told, and how long the process worked.
PROGRAM = """
import json, os, sys, time
def leave(code):
    times = os.times()
    print(json.dumps({"code": code, "modules": sorted(sys.modules), "cpu_s": times.user + times.system}))
    sys.stdout.flush()
    real(code)
real, os._exit = os._exit, leave
from tilewright.__main__ import run
run()
"""


def started(project: Project, *arguments: str) -> dict[str, Any]:
    """Run a stage to its end; the names of all modules that it has imported by then, and its seconds of CPU."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=project.directory, capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def told(project: Project, stage: str, **wildcards: str) -> list[str]:
    return ["--settings", DatasetConfig.load(project.config, ROOT).settings(stage, **wildcards)]


def kinds(found: dict[str, Any]) -> set[str]:
    """The packages that modules are of."""
    return {name.partition(".")[0] for name in found["modules"]}


@pytest.fixture(scope="module")
def local(built: Project) -> dict[str, list[str]]:
    """Command lines of the stages that read what is on this machine."""
    tile = built.tile("32TQM")
    (source,) = (built.results / "sources").glob("*.parquet")
    access = DatasetConfig.load(built.config, ROOT).access
    return {
        "cells": ["--tile", "32TQM", *told(built, "cells", tile="32TQM")],
        "search": [*told(built, "search", tile="32TQM", period="first"), "--access", access],
        "features": ["--cells", str(tile / "cells.parquet"), "--sources", str(source), *told(built, "features", tile="32TQM")],
        "locations": ["--settings", json.dumps({"seed": 42, "size_m": 2640, "cities": {"locations": 200}})],
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["cells", "search", "features", "locations"])
def test_a_small_stage_imports_nothing_dear(stage: str, local: dict[str, list[str]], built: Project, tmp_path: Path):
    made = tmp_path / "made.parquet"
    found = started(built, stage, *local[stage], "--output", str(made))
    # scipy's tree is what the draw of locations is made with; its pages and others' are read by nothing else
    assert kinds(found) & DEAR - ({"scipy"} if stage == "locations" else set()) == set()
    assert kinds(found) & ONLINE == set()
    sizes = Counter(name.partition(".")[0] for name in found["modules"])
    assert sizes["tilewright"] < 75 and len(found["modules"]) < (900 if stage == "locations" else 560), sizes
    # Generous: it was 0.5 s alone on this test's first machine, twice that where others work on it, and includes the work.
    assert found["cpu_s"] < 4
    if stage != "locations":
        theirs = {"cells": "cells.parquet", "search": "first/scenes.parquet", "features": "features.parquet"}[stage]
        assert made.read_bytes() == (built.tile("32TQM") / theirs).read_bytes()


def test_asking_an_api_imports_what_asks_and_no_more(built: Project, world: Path, tmp_path: Path):
    items = json.loads((world / "catalog.json").read_text())["features"]
    with StacServer(items, world) as server:
        provider = {
            "like": "simulated",
            "kind": "api",
            "url": server.url,
            "access": {"hosts": [f"http://{server.address}"]},
        }
        remote = Project(built.directory, {**built.config, "provider": provider})
        access = DatasetConfig.load(remote.config, ROOT).access
        made = tmp_path / "scenes.parquet"
        arguments = [*told(remote, "search", tile="32TQM", period="first"), "--access", access, "--output", str(made)]
        found = started(remote, "search", *arguments)
    assert kinds(found) & DEAR == set() and len(found["modules"]) < 800
    assert made.stat().st_size > 0


def test_what_needs_pandas_after_all_has_it():
    """Without pandas is until it is needed: in a process of its own, since here it is imported."""
    program = """
import sys
from tilewright.store.lean import without_pandas
without_pandas()
import pyarrow as pa
assert pa.array([1, 2], pa.int64()).to_numpy().tolist() == [1, 2] and "pandas" not in sys.modules
frame = pa.Table.from_arrays([pa.array(["a", None])], names=["x"]).to_pandas()
import pandas as pd
assert frame["x"].isna().tolist() == [False, True]
assert pa.Table.from_pandas(pd.DataFrame({"x": [1.0, None]}))["x"].null_count == 1
assert pa.array(pd.Series([1.0, None])).null_count == 1
without_pandas()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
