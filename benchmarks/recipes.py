"""Every recipe end to end on a small simulated world, with a page that shows its samples side by side: `make recipes`.

    python benchmarks/recipes.py [NAME …] [--cores N] [--directory FOLDER] [--again]

For each recipe of config/recipes: makes the maps that it asks for (`recipes_maps.py`), runs the real workflow with the recipe and then
tests/recipes/<name>.yaml as --configfile, all its exports included, and draws FOLDER/<name>.html (`recipes_pages.py`); then
FOLDER/index.html. `--again` starts from nothing; otherwise Snakemake makes what is missing or has changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import yaml

from recipes_maps import make_maps
from recipes_pages import Told, make_index, make_page

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "benchmarks/results/recipes"
RECIPES: Final = ("ssl4eo-s12", "deepsatdata", "seasonet", "opensentinelmap", "own-samples")


def configs_of(name: str) -> list[Path]:
    """The recipe, and what puts it onto a simulated world, in the order in which Snakemake gets them."""
    return [ROOT / f"config/recipes/{name}.yaml", ROOT / f"tests/recipes/{name}.yaml"]


def run(name: str, directory: Path, cores: int) -> Told:
    """Run one recipe in `directory`; what is to be told of it.

    Raises:
        SystemExit: where the run fails, with the end of what Snakemake said.
    """
    paths = configs_of(name)
    documents: list[dict[str, Any]] = [yaml.safe_load(path.read_text()) for path in paths]
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "maps").is_dir():  # made again they would be newer than what was made of them
        make_maps(documents, directory)
    command = [
        str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory),
        "--cores", str(cores), "--nocolor", "--configfile", *map(str, paths),
    ]  # fmt: skip
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    begun = time.monotonic()
    with (directory / "snakemake.log").open("w") as log:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    said = (directory / "snakemake.log").read_text()
    if done.returncode:
        sys.exit(f"{said[-4000:]}\nrecipe {name} failed: {directory / 'snakemake.log'}")
    return Told(name, directory / "results" / documents[0]["dataset"], said, time.monotonic() - begun, paths)


def main() -> None:
    """Run the recipes and draw their pages."""
    parser = argparse.ArgumentParser(
        description="Every recipe end to end on a simulated world, with a page of its samples."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; all where none is given")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--directory", type=Path, default=FOLDER)
    parser.add_argument("--again", action="store_true", help="start from nothing")
    told = parser.parse_args()
    names = told.names or list(RECIPES)
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"{unknown[0]}: no such recipe; there are {', '.join(RECIPES)}")
    for name in names:
        if told.again:
            shutil.rmtree(told.directory / name, ignore_errors=True)
        print(f"{name} …", flush=True)
        about = run(name, told.directory / name, told.cores)
        page = make_page(about, told.directory / f"{name}.html")
        print(f"    {about.seconds:.0f} s, {page}", flush=True)
    print(make_index(RECIPES, told.directory))


if __name__ == "__main__":
    main()
