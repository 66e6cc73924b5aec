"""Another project's workflow that imports ours with `module:`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet
import pytest
import yaml

from conftest import SOUTH_BOX
from harness import ROOT, Project, Run, digests, write_aoi
from warm import warm

SNAKEFILE = f"""
configfile: "config.yaml"


shell.prefix("set -euo pipefail; ours=counted; ")


rule all:
    input:
        "counts.txt",


module tilewright:
    snakefile:
        "{ROOT}/Snakefile"
    config:
        config["tilewright"]
    prefix:
        "made"


use rule * from tilewright as tilewright_*


rule counts:
    input:
        index=rules.tilewright_index.output.index,
    output:
        "counts.txt",
    params:
        aoi=config["aoi"],
    shell:
        "python -c 'import pandas, sys; print(len(pandas.read_parquet(sys.argv[1])), sys.argv[2])' {{input.index}} $ours > {{output}}"
"""


def snakemake(directory: Path, *arguments: str, programs: Path = Path(sys.executable).parent) -> Run:
    """Run another project's workflow, which has no profile of ours."""
    done = subprocess.run(
        [str(programs / "snakemake"), "--cores", "2", "--nocolor", *arguments], cwd=directory,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        env={**os.environ, "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])},
    )  # fmt: skip
    return Run(done.returncode, done.stdout)


def other(directory: Path, config: dict[str, Any], snakefile: str = SNAKEFILE) -> Path:
    """Another project, whose config has our config as one key, and a key `aoi` of its own."""
    directory.mkdir(exist_ok=True)
    (directory / "Snakefile").write_text(snakefile)
    (directory / "config.yaml").write_text(yaml.safe_dump({"aoi": {"tiles": "its own affair"}, "tilewright": config}))
    return directory


def test_another_workflow_imports_ours_and_goes_on_from_its_index(tmp_path: Path, world: Path, built: Project):
    config = {**built.config, "aoi": {"file": write_aoi(tmp_path / "aoi.geojson", SOUTH_BOX)}}
    folder = other(tmp_path / "other", config)
    run = snakemake(folder, programs=warm().folder)
    assert run.code == 0, run.output[-6000:]
    once = dict.fromkeys(["cells", "group", "source", "features", "labels", "zone", "index"], 1)
    twice = dict.fromkeys(["search", "mask", "crop"], 2)
    assert run.jobs == {**{f"tilewright_{rule}": jobs for rule, jobs in {**once, **twice}.items()}, "counts": 1}
    made = digests(folder / "made/results/small", "tiles")
    assert made == {name: digest for name, digest in built.digests("tiles").items() if name in made}
    rows = pyarrow.parquet.read_metadata(folder / "made/results/small/index.parquet").num_rows
    assert (folder / "counts.txt").read_text() == f"{rows} counted\n"
    assert snakemake(folder, "--dry-run", programs=warm().folder).planned == {}
    # what the user brings is not below the prefix
    (folder / "town.osm.pbf").symlink_to(world / "world.osm.pbf")
    source = {"kind": "pbf", "path": "town.osm.pbf"}
    labels = {"osm": {**built.config["labels"]["osm"], "source": source}}
    other(folder, {**config, "labels": labels, "export": {"layout": ["geotiff"]}})
    planned = snakemake(folder, "--dry-run", "tilewright_all", programs=warm().folder).planned
    assert planned["tilewright_source"] == planned["tilewright_export_tile"] == planned["tilewright_export"] == 1


CONDA = rf"""#!/usr/bin/env bash
# As much of conda as Snakemake asks for. An environment has the library's dependencies, and not the library.
case "$1 $2" in
    "info --json") echo '{{"conda_prefix": "'$(dirname "$(dirname "$0")")'", "platform": "linux-64"}}';;
    "--version ") echo "conda 25.1.0";;
    "config --get") echo '{{"get": {{"channel_priority": "strict"}}}}';;
    "env create")
        [[ "$*" =~ --file\ ([^ ]+)\ --prefix\ ([^ ]+) ]]
        cmp "${{BASH_REMATCH[1]}}" "{ROOT}/envs/environment.yaml"
        "{sys.executable}" -m venv --without-pip "${{BASH_REMATCH[2]}}"
        echo "{Path(pandas.__file__).parents[1]}" > "${{BASH_REMATCH[2]}}/lib/python3.11/site-packages/dependencies.pth";;
    "clean -y") ;;
    *) echo "conda: $*: not known here" >&2; exit 1;;
esac
"""


def test_rules_run_in_an_environment_that_has_no_library(
    tmp_path: Path, built: Project, monkeypatch: pytest.MonkeyPatch
):
    """`--sdm conda`, with a stand-in for conda; in an imported workflow, whose own prefix of shell commands is not ours."""
    folder = other(tmp_path / "other", built.config)
    base = tmp_path / "conda/bin"
    base.mkdir(parents=True)
    (base / "conda").write_text(CONDA)
    (base / "conda").chmod(0o755)
    (base / "activate").write_text('export PATH="$1/bin:$PATH" IN_CONDA="$1"')
    monkeypatch.setenv("PATH", f"{base}{os.pathsep}{os.environ['PATH']}")
    target = "made/results/small/tiles/35JQG/cells.parquet"
    run = snakemake(folder, "--software-deployment-method", "conda", "--", target)
    assert run.code == 0, run.output[-6000:]
    assert run.jobs == {"tilewright_cells": 1} and "Activating conda environment" in run.output
    assert digests(folder / "made/results/small", "tiles") == {
        name: digest for name, digest in built.digests("tiles").items() if target.endswith(name)
    }
    environment = next((folder / ".snakemake/conda").glob("*/bin/python"))
    assert subprocess.run([environment, "-c", "import numpy"], check=False).returncode == 0
    assert (
        subprocess.run([environment, "-c", "import tilewright"], check=False, stderr=subprocess.DEVNULL).returncode == 1
    )
