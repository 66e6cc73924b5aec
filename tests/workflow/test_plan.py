"""`tilewright plan` beside what then happens on simulated worlds: within a factor of 1.5 in every figure."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from stac_server import StacServer

from conftest import SOUTH, config_of
from harness import ROOT, Project
from planned import plan_of, ratios, told, within
from tilewright.cli import main
from tilewright.config.location_settings import LocationsSettings
from tilewright.config.settings import parsed
from tilewright.config.simulated import Simulate
from tilewright.plan.finding import SIMULATED
from tilewright.plan.jobs import jobs_of
from tilewright.rules import DatasetConfig
from tilewright.stages import locations

# Pixels of watermarks pack as no landscape does: what is on disk says nothing.
OF_WATERMARKS = ("cells", "scenes", "patches", "mask MB", "crop MB")


def test_a_run_of_the_workflow(built: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built.directory)
    found = ratios(plan_of(built.config), built.results, float((built.directory.parent / "cpu_s").read_text()))
    within(found)
    assert found["cells"] == found["scenes"] == 1


def test_companions_of_places(triplets_built: tuple[dict[str, Any], Path]) -> None:
    """Level-1C, Sentinel-1, cells around points."""
    config, results = triplets_built
    within(ratios(plan_of(config), results), *OF_WATERMARKS)


def test_few_cells_of_many_sources(everything: Any) -> None:
    within(ratios(plan_of(everything.config), everything.results), *OF_WATERMARKS)


def test_seasons_of_grids(seasonal_built: tuple[dict[str, Any], Path]) -> None:
    config, results = seasonal_built
    within(ratios(plan_of(config), results), *OF_WATERMARKS)


def test_jobs_are_those_of_a_dry_run(world: Path, aoi: str, tmp_path: Path) -> None:
    """With companions, an API of labels, a set of several years, and two exports; the world is there."""
    config = config_of(world, aoi)
    config["collections"] |= {"s2_l1c": {"bands": ["B02"]}, "s1_grd": {"bands": ["VV"]}}
    osm = config["labels"]["osm"]
    config["labels"] |= {"again": osm, "asked": {"source": {"kind": "overpass"}, "ontology": "opensentinelmap"}}
    config["export"] = {"layout": ["geotiff", "webdataset"], "labels": "osm"}
    planned = Project(tmp_path / "work", config, warm=True).run(options=("--dry-run",)).planned
    dataset = DatasetConfig.load(config, ROOT)
    zones = dataset.tiles_by_zone()
    counted = Counter(jobs_of(dataset, sum(map(len, zones.values())), len(zones)))
    assert counted.pop("all") == 1
    assert counted == planned and {"ask", "search_companions", "export_tile", "source"} <= set(counted)


def test_a_world_that_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan and Snakemake agree on when: not there, there, of other settings."""
    config = config_of(tmp_path, "") | {"provider": "simulated", "aoi": {"tiles": ["35JQG"]}}
    config["labels"]["osm"]["source"]["path"] = "data/simulated/world.osm.pbf"
    world = Simulate(sites=[SOUTH.model_copy(update={"side_m": 2000})], years=[2019], scenes_per_year=1)
    project = Project(tmp_path / "work", config | {"simulate": world.model_dump(mode="json")}, warm=True)
    project.directory.mkdir()
    monkeypatch.chdir(project.directory)

    def simulates() -> list[bool]:
        plan = plan_of(project.config)
        said = project.run(options=("--dry-run",)).planned["simulate"]
        return [
            plan.jobs.get("simulate") == 1,
            "simulate" in plan.bills,
            plan.basis["scenes s2_l2a"] == SIMULATED,
            said == 1,
        ]

    assert simulates() == [True] * 4
    project.run("data/simulated/catalog.json")
    assert simulates() == [False] * 4
    project.edited(simulate=world.model_copy(update={"seed": 8}).model_dump(mode="json"))
    assert simulates() == [True] * 4


def test_apis_are_asked_only_with_search(
    world: Path, aoi: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then for scenes once a tile, and for a few headers of files, but no pixel; the figures are those of the files' own catalog."""
    monkeypatch.chdir(tmp_path)
    config = config_of(world, aoi)
    local = plan_of(config)
    items = json.loads((world / "catalog.json").read_text())["features"]
    with StacServer(items, world) as server:
        provider = {"kind": "api", "url": server.url, "access": {"hosts": [f"http://{server.address}"]}}
        config["provider"] = {"like": "simulated", **provider}
        estimated = plan_of(config)
        assert not server.asked
        asked = plan_of(config, search=True)
    files = {path for path in server.asked if path.startswith("/files/")}
    # of each of 7 assets two headers a tile; three tiles, whose search takes the root, a page, and the empty one after it
    assert 7 < len(files) <= 7 * 2 * 3 and sum(server.asked.values()) <= len(files) + 3 * 4
    assert "estimated" in estimated.basis["scenes s2_l2a"] and asked.basis["scenes s2_l2a"] == "asked of the catalog"
    assert asked.scenes == local.scenes != estimated.scenes
    same = {name: told(asked)[name] / figure for name, figure in told(local).items()}
    within(same)


def test_cities_by_the_number_of_locations(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cities.csv").write_text("city,lat,lng,population\nLazio,42.0,12.1,9\nMilano,45.4,9.2,8\nNatal,-30,30,7\n")
    config = config_of(world, "")
    config["provider"] = "earth-search"
    config["aoi"] = {"cities": {"table": "cities.csv", "locations": 30, "sigma_km": 60}}
    config["cells"] = {"strategy": "samples", "size_m": 960}
    config["periods"] = [{"name": "may", "start": "2019-05-01", "end": "2019-05-31", "scenes": 2}]
    dataset = DatasetConfig.load(config, ROOT)
    drawn = locations.sampled(parsed(LocationsSettings, dataset.settings("locations")))[1]["counts"]["in_tiles"]
    few, all_of_them = plan_of(config, looked_at=3), plan_of(config, looked_at=100)
    assert few.ground.total == all_of_them.ground.total == drawn and few.ground.exact
    assert few.jobs == all_of_them.jobs and few.jobs["locations"] == 1 and few.looked_at == 3
    within({name: told(few)[name] / figure for name, figure in told(all_of_them).items()})


def test_the_command(world: Path, aoi: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Finds config/config.yaml as Snakemake does, prints, writes; the same twice; several files are merged."""
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    Path("config/config.yaml").write_text(yaml.safe_dump(config_of(world, aoi)))
    Path("more.yaml").write_text(yaml.safe_dump({"dataset": "more", "cells": {"number": 2}}))
    assert main(["plan", "--cores", "4"]) == 0
    printed, written = capsys.readouterr().out, Path("plans/small.json").read_bytes()
    document = json.loads(written)
    assert "written to plans/small.json" in printed and f"{document['jobs']:,}" in printed
    assert document["cells"] > 0 and document["wall"]["cores"] == 4
    assert {str(path) for path in Path().iterdir()} == {"config", "more.yaml", "plans"}
    assert main(["plan", "--cores", "4"]) == 0 and Path("plans/small.json").read_bytes() == written
    assert main(["plan", "--configfile", "config/config.yaml", "more.yaml", "--output", "other.json"]) == 0
    assert json.loads(Path("other.json").read_text())["cells"] == 2 * document["tiles"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--sample", "0"], "--sample: 0"), (["--cores", "0"], "--cores: 0"), (["--mbit", "-1"], "--mbit: -1"),
        (["--configfile", "none.yaml"], "none.yaml: no such file"),
    ],
)  # fmt: skip
def test_bad_input(
    options: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *options]) == 1
    assert named in capsys.readouterr().err and not list(tmp_path.iterdir())
