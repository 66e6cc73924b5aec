"""Fixtures that every test may use."""

import copy
import fcntl
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, Project, write_aoi
from tilewright.config.simulated import Simulate, Site
from tilewright.simulate import make_world

# The border of UTM zones 32 and 33 in the north; zone 35 in the south.
NORTH = Site(name="lazio", lon=12.0, lat=42.0, side_m=8000, tiles=["32TQM", "33TTG"])
SOUTH = Site(name="natal", lon=30.0, lat=-30.0, side_m=6000, tiles=["35JQG"])
NORTH_BOX = (11.955, 41.967, 12.045, 42.033)
SOUTH_BOX = (29.97, -30.024, 29.999, -29.976)
WORLD = Simulate(seed=7, sites=[NORTH, SOUTH], years=[2019], scenes_per_year=6)
WATERMARKS = Simulate(seed=7, sites=[NORTH, SOUTH], years=[2019], scenes_per_year=3, watermark=True)


# Looking for cycles among all that tests have imported is a seventh of their CPU.
gc.set_threshold(100_000, 20, 20)

# Of the folders of tests those that take longest first: with `--dist loadfile --no-loadscope-reorder` the short files fill the end.
_FIRST = ["cluster", "chaos", "workflow", "mutations", "integration", "unit", "live"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first; and nothing asks the internet unless told to."""
    place = {name: at for at, name in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(place)))
    if "live" not in config.getoption("markexpr"):
        for item in items:
            if item.get_closest_marker("live"):
                item.add_marker(pytest.mark.skip(reason="asks the real Earth Search: pytest -m live"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scenes, STAC documents, OSM extracts; never part of the project."""
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("real data not here: ../shared/data does not exist beside the project")
    return data


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` that `make` filled: by the first of the workers that want it, while the others wait."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    done = folder.with_suffix(".done")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `WORLD`: two sites, three tiles in three zones, six scenes each. Read only."""
    return once(tmp_path_factory, "world", lambda folder: make_world(WORLD, folder))


@pytest.fixture(scope="session")
def watermarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `WATERMARKS`. Read only."""
    return once(tmp_path_factory, "watermarks", lambda folder: make_world(WATERMARKS, folder))


def config_of(folder: Path, aoi: str) -> dict[str, Any]:
    """A small dataset of a simulated world in `folder`."""
    return {
        "dataset": "small",
        "seed": 42,
        "aoi": {"file": aoi},
        "provider": {"like": "simulated", "path": str(folder / "catalog.json")},
        "collections": {"s2_l2a": {"bands": ["B02", "B03", "B04", "B08", "B11", "B09"]}},
        "cells": {"size_m": 960},
        "mask": {"max_bad": 0.25, "intensity": {"band": "B02", "percentile": 5, "max_dn": 3000}},
        "periods": [
            {"name": "first", "start": "2019-01-01", "end": "2019-06-30", "scenes": 2},
            {"name": "second", "start": "2019-07-01", "end": "2019-12-31", "scenes": 1, "order": "clearest"},
        ],
        "labels": {
            "osm": {"source": {"kind": "pbf", "path": str(folder / "world.osm.pbf")}, "ontology": "opensentinelmap"}
        },
    }


@pytest.fixture(scope="session")
def aoi(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of an AOI of both sites: one file, since the report shows the config."""
    folder = once(tmp_path_factory, "aoi", lambda folder: write_aoi(folder / "aoi.geojson", NORTH_BOX, SOUTH_BOX))
    return str(folder / "aoi.geojson")


@pytest.fixture
def project(world: Path, aoi: str, tmp_path: Path) -> Project:
    """A project of its own on the simulated world: both sites, three tiles."""
    return Project(tmp_path / "work", config_of(world, aoi))


@pytest.fixture(scope="session")
def built(world: Path, aoi: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished dataset of both sites. Read only: tests that change something copy it with `copied`."""

    def make(folder: Path) -> None:
        run = Project(folder / "work", config_of(world, aoi)).run()
        (folder / "cpu_s").write_text(str(run.cpu_s))  # what it took, for the plan

    folder = once(tmp_path_factory, "built", make)
    return Project(folder / "work", config_of(world, aoi))


@pytest.fixture(scope="session")
def watermarked(watermarks: Path, aoi: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished dataset of `watermarks`: three tiles, three dates a cell. Read only."""
    from inprocess import build

    config = config_of(watermarks, aoi)
    config["mask"] = {"max_bad": 1.0}
    config["periods"] = [
        {"name": "early", "start": "2019-01-01", "end": "2019-06-30", "scenes": 3},
        {"name": "late", "start": "2019-07-01", "end": "2019-12-31", "scenes": 3},
    ]
    folder = once(tmp_path_factory, "watermarked", lambda folder: build(config, folder))
    return folder / "results" / config["dataset"]


@pytest.fixture(scope="session")
def triplets_built(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Config and folder of a finished dataset as SSL4EO-S12's, of watermarked pixels. Read only."""
    from inprocess import build_kept, kept
    from triplets import TRIPLETS, triplets

    def make(folder: Path) -> None:
        make_world(TRIPLETS, folder / "data")
        build_kept(triplets(folder / "data", folder), folder)

    return kept(once(tmp_path_factory, "triplets", make))


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished dataset for exports, of two zones, with Level-1C, two label sets and watermarks (tests/everything.py). Read only."""
    from everything import make, opened

    return opened(once(tmp_path_factory, "everything", make))


@pytest.fixture(scope="session")
def seasonal_built(watermarks: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Config and folder of a finished dataset as SeasoNet's, of `watermarks`. Read only."""
    from inprocess import build_kept, kept
    from seasonal import seasonal

    return kept(once(tmp_path_factory, "seasonal", lambda folder: build_kept(seasonal(watermarks, folder), folder)))


@pytest.fixture
def copied(built: Project, tmp_path: Path) -> Callable[[], Project]:
    """Copies of the finished dataset, provenance and all, to change at will."""
    import shutil

    def copy_of() -> Project:
        directory = tmp_path / "copy"
        shutil.copytree(built.directory, directory, symlinks=True)
        return Project(directory, copy.deepcopy(built.config), warm=True)

    return copy_of


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print which check noticed which planted fault."""
    reports = [
        report for report in terminalreporter.stats.get("passed", []) if dict(report.user_properties).get("noticed")
    ]
    if reports:
        terminalreporter.section("planted faults, and the checks that noticed them")
    for report in sorted(reports, key=lambda each: each.nodeid):
        terminalreporter.line(report.nodeid.split("[")[-1].rstrip("]"))
        for check in dict(report.user_properties)["noticed"]:
            terminalreporter.line(f"    {check}")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Any]:
    """A Slurm cluster of two nodes (tests/toy_slurm.py), for the tests of one file."""
    from toy_slurm import ToySlurm, lacking

    reason = lacking()
    if reason:
        pytest.skip(reason)
    # not in pytest's folder: the sockets' paths would be too long
    folder = Path(tempfile.mkdtemp(prefix="toy-slurm-"))
    cluster = ToySlurm(folder).up()
    try:
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def chain(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """The stages of one tile, to run one by one."""
    from chain import Chain, small

    return Chain(small(world, tmp_path / "work"), capsys)
