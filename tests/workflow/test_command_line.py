"""What users type: plain snakemake, --config, --report, a stage by itself."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness import ROOT, Project
from tilewright.rules import DatasetConfig


def test_config_values_on_the_command_line_are_merged_in(copied: Callable[[], Project]):
    project = copied()
    dry = project.run(options=("--dry-run", "--config", "split={by: block, shares: {train: 0.5, val: 0.3, test: 0.2}}"))
    assert "rule index" in dry.output or "Indexing the dataset" in dry.output
    assert "Cropping" not in dry.output


def test_plain_snakemake_reads_the_default_config(tmp_path: Path):
    done = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--cores", "1", "-n"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Simulating a world" in done.stdout + done.stderr
    for rule in ("cells", "search", "mask", "crop", "source", "features", "labels", "group", "zone", "index", "report"):
        assert f"\n{rule} " in done.stdout + done.stderr


def test_snakemakes_own_report_has_the_captions(copied: Callable[[], Project]):
    project = copied()
    project.run(options=("--report", "report.html"))
    page = (project.directory / "report.html").read_text()
    assert "The dataset at a glance" in page
    assert "Counts of cells, scenes, patches and refusals" in page


def test_a_stage_runs_by_itself_and_gives_the_same_bytes(built: Project, tmp_path: Path):
    dataset = DatasetConfig.load(built.config, ROOT)
    output = tmp_path / "cells.parquet"
    tile = "35JQG"
    command = [
        sys.executable,
        "-m",
        "tilewright",
        "cells",
        "--tile",
        tile,
        "--settings",
        dataset.settings("cells", tile=tile),
    ]
    done = subprocess.run([*command, "--output", output], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == (built.tile(tile) / "cells.parquet").read_bytes()
