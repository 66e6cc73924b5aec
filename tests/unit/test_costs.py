"""What jobs are said to cost and what the rules ask for: whole, monotone, and not less than real stages use."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import ROOT, Project
from tilewright.config.load import load_config
from tilewright.config.model import Config
from tilewright.costs import STAGES, Cost, Known, Work, asked, job_cost, work_of
from tilewright.costs.asking import LEAST_MB, LEAST_MIN, SNAKEMAKE_MB, THREADS
from tilewright.costs.blocks import expected, touched
from tilewright.errors import TilewrightError
from tilewright.operations.logs import used_in
from tilewright.rules import DatasetConfig
from tilewright.store import read_table

SOME = Work(
    tiles=2, cells=500, periods=2, scenes=40, companions=20, pieces=26_000, pixels_mb=900, read_mb=4000, jp2_mb=500, radar_mb=300,
    label_sets=1, label_mb=55, features=80_000, source_mb=30, simulated_mb=700,
)  # fmt: skip
AMOUNTS = [each.name for each in fields(Work) if each.name != "layout"]


@pytest.mark.parametrize("stage", STAGES)
def test_more_work_never_costs_less(stage: str) -> None:
    before = job_cost(stage, SOME)
    dearer = False
    for name in AMOUNTS:
        # more cells have more pieces, and these more pixels: the same pixels in more cells are smaller cells
        with_it = {"cells": ["pieces", "pixels_mb", "label_mb"], "pieces": ["pixels_mb"]}.get(name, [])
        after = job_cost(stage, replace(SOME, **{each: getattr(SOME, each) * 7 for each in [name, *with_it]}))
        for part in fields(Cost):
            assert getattr(after, part.name) >= getattr(before, part.name), (name, part.name)
        dearer |= after != before
    assert dearer
    assert all(getattr(job_cost(stage, Work()), part.name) >= 0 for part in fields(Cost))


def test_no_stage_is_free_of_a_model() -> None:
    with pytest.raises(TilewrightError, match="no model of the stage 'polish'"):
        job_cost("polish", SOME)


@pytest.mark.parametrize("stage", STAGES)
def test_each_attempt_asks_for_twice_as_much(stage: str) -> None:
    first, second, third = (asked(stage, SOME, attempt) for attempt in (1, 2, 3))
    assert first["mem_mb"] >= max(LEAST_MB, job_cost(stage, SOME).mem_mb + SNAKEMAKE_MB)
    assert first["runtime"] >= max(LEAST_MIN, job_cost(stage, SOME).cpu_s / 60)
    assert first["disk_mb"] >= job_cost(stage, SOME).disk_mb
    for name in ("mem_mb", "runtime"):
        assert [second[name], third[name]] == [2 * first[name], 4 * first[name]]
    assert first["disk_mb"] == second["disk_mb"]


def rules() -> Iterator[tuple[str, str]]:
    """(name, text) of every rule and checkpoint."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^ *(?:rule|checkpoint) (?=\w+:$)", path.read_text(), flags=re.MULTILINE)[1:]:
            yield block.split(":", 1)[0], block


def test_every_rule_declares_what_it_needs() -> None:
    found = dict(rules())
    assert set(found) == set(STAGES)
    for name, text in found.items():
        for resource in ("mem_mb", "runtime", "disk_mb"):
            assert re.search(rf"^ +{resource}=", text, re.MULTILINE), (name, resource)
        threads = re.search(r"^ +threads: (\d+)$", text, re.MULTILINE)
        assert int(threads[1] if threads else 1) == THREADS.get(name, 1), name


# Prints what each rule asks for at its first and second attempt, as Snakemake finds it.
PROBE = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.rules import Wildcards
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

snakefile, config, source = sys.argv[1:]
told = {"tile": "32TQM", "period": "2019", "zone": "32N", "layout": "geotiff", "label_set": "osm", "source": source}
with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    made = api.workflow(ResourceSettings(cores=4), ConfigSettings(configfiles=[Path(config)]), snakefile=Path(snakefile))
    rules = [rule for rule in made._workflow.rules if rule.name != "all"]
    wildcards = Wildcards(fromdict=told)
    print(json.dumps({rule.name: [dict(rule.expand_resources(wildcards, [], attempt)) for attempt in (1, 2)] for rule in rules}, default=str))
"""


def test_rules_ask_snakemake_for_more_at_the_second_attempt(tmp_path: Path) -> None:
    told = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    told["collections"]["s1_grd"] = {"bands": ["VV"]}
    told["export"] = {"layout": "geotiff"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(told))
    source = next(iter(DatasetConfig.load(told, ROOT).sources.values()))
    said = subprocess.run(
        [sys.executable, "-c", PROBE, str(ROOT / "Snakefile"), "config.yaml", source], cwd=tmp_path, check=True,
        stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    found = json.loads(said.splitlines()[-1])
    assert set(found) == set(STAGES) - {"locations", "ask"}
    for rule, (first, second) in found.items():
        assert first["mem_mb"] >= LEAST_MB and first["runtime"] >= LEAST_MIN and first["disk_mb"] > 0
        # rules that never need more ask for the same again: each function costs a planet's run a minute
        grows = 1 if rule in ("cells", "search", "search_companions") else 2
        assert second["mem_mb"] == grows * first["mem_mb"], rule
    for rule in ("mask", "crop", "group", "features", "labels", "export_tile", "source", "zone", "index"):
        assert found[rule][1]["runtime"] == 2 * found[rule][0]["runtime"]


def test_asked_holds_what_real_stages_use(built: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built.directory)  # settings name files as seen from there
    dataset = DatasetConfig.load(built.config, ROOT)
    tile = built.tile("33TTG")
    known = Known(
        cells=len(read_table(tile / "cells.parquet")), scenes=3, features=len(read_table(tile / "features.parquet"))
    )
    for stage in ("mask", "crop", "group", "labels"):
        used = used_in(built.logs / stage / ("33TTG-first.log" if stage in ("mask", "crop") else "33TTG.log"))
        work = work_of(dataset.config, stage, known)
        assert used and used.mb <= asked(stage, work)["mem_mb"] - SNAKEMAKE_MB, stage
        assert job_cost(stage, work).mem_mb < 2 * used.mb, stage


def test_touched_blocks_are_those_of_the_cells() -> None:
    corner = (600_000.0, 5_100_000.0)
    inside = (600_000 + 20_480, 5_100_000 - 20_480)  # the corner of a block of 10 m and of one of 20 m
    assert touched([inside], 1920, corner, 10) == touched([inside], 1920, corner, 20) == 1
    assert touched([(inside[0] - 960, inside[1] + 960)], 1920, corner, 10) == 4
    everywhere = [(corner[0] + 1920 * i, corner[1] - 1920 * j) for i in range(57) for j in range(57)]
    assert [touched(everywhere, 1920, corner, each) for each in (10, 20, 60)] == [121, 36, 64]
    assert expected(len(everywhere), 1920, 10) == pytest.approx(121, rel=0.01)
    assert 1 <= expected(1, 1920, 10) < 2


def config(**changes: Any) -> Config:
    base = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    return load_config({**base, "aoi": {"tiles": ["32TQM"]}, "provider": "earth-search", **changes})


def test_work_follows_the_config() -> None:
    whole = work_of(config(), "crop")
    assert whole.cells == math.floor(100_000 / 1920 + 1) ** 2
    assert work_of(config(cells={"fraction": 0.1}), "crop").cells == math.ceil(whole.cells / 10)
    assert work_of(config(cells={"number": 7}), "crop").cells == 7
    assert work_of(config(aoi={"bbox": [11.9, 41.93, 12.1, 42.07]}), "crop").cells < 90
    fewer = work_of(config(collections={"s2_l2a": {"bands": ["B02"]}}), "crop")
    assert fewer.pieces * 13 == whole.pieces * 2 and fewer.read_mb < whole.read_mb / 5
    assert work_of(config(), "group").pieces == 2 * whole.pieces  # both periods
    year = work_of(config(), "mask").scenes
    short = [{"name": "may", "start": "2019-05-01", "end": "2019-05-31", "scenes": 2}]
    assert work_of(config(periods=short), "mask").scenes == pytest.approx(year * 31 / 366)
    two = work_of(config(), "zone", Known(tiles=3))
    assert two.tiles == 3 and two.cells == 3 * whole.cells
