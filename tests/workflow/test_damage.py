"""A run in which a tile fails, and a finished dataset that is damaged: what the user is told, and that the next run makes all whole."""

import copy
import json
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from conftest import config_of, once
from harness import Project, Run, write_aoi
from tilewright.cli import main
from tilewright.operations.verify import DAMAGED, FUTURE, LEFTOVER, MISSING, verify

# A cell or two on both sides of the zones' border, so that each tile is of a zone of its own.
BOXES = (11.955, 41.975, 11.98, 41.995), (12.02, 41.975, 12.045, 41.995)
BAD, GOOD = "33TTG", "32TQM"


class Ran(NamedTuple):
    """A run in which the files of one tile's imagery were away, the folder as it was then, and the run after the mend."""

    failed: Run
    then: Project
    mended: Run
    project: Project


def begin(world: Path, folder: Path, at: str) -> Project:
    config = config_of(world, str(folder / "aoi.geojson"))
    config |= {
        "provider": {"like": "simulated", "path": str(folder / "items.json")}, "collections": {"s2_l2a": {"bands": ["B02"]}},
        "periods": [{"name": "spring", "start": "2019-01-01", "end": "2019-06-30", "scenes": 1}], "export": {"layout": ["geotiff"]},
    }  # fmt: skip
    return Project(folder / at, config, warm=True)


def make(world: Path, folder: Path) -> None:
    """The two runs."""
    write_aoi(folder / "aoi.geojson", *BOXES)
    document = json.loads((world / "catalog.json").read_text())
    for item in document["features"]:
        for asset in item["assets"].values():
            asset["href"] = str((folder / "disk" if BAD in item["id"] else world) / asset["href"])
    (folder / "items.json").write_text(json.dumps(document))
    project = begin(world, folder, "work")
    (folder / "failed.txt").write_text(project.run(good=False).output)
    shutil.copytree(project.directory, folder / "then")
    (folder / "disk").symlink_to(world)  # mounted
    (folder / "mended.txt").write_text(project.run().output)


@pytest.fixture(scope="module")
def ran(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = once(tmp_path_factory, "operations", lambda folder: make(world, folder))
    failed, mended = (Run(0, (folder / name).read_text()) for name in ("failed.txt", "mended.txt"))
    return Ran(failed, begin(world, folder, "then"), mended, begin(world, folder, "work"))


def told(project: Project, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command of the room prints."""
    capsys.readouterr()
    command, *more = words
    main([command, str(project.results), *more, "--configfile", str(project.directory / "config.yaml")])
    return capsys.readouterr().out


def test_one_failed_tile_does_not_stop_the_others(ran: Ran):
    assert (ran.then.tile(GOOD) / "series.zarr.zip").exists() and (ran.then.results / "zones/32N.parquet").exists()
    assert not (ran.then.results / "zones/33N.parquet").exists()
    assert ran.failed.jobs["mask"] == 1 and ran.mended.jobs["mask"] == 1  # nothing is made twice
    assert ran.mended.jobs["cells"] == ran.mended.jobs["search"] == 0


def test_the_end_of_the_run_says_what_failed_and_what_to_do(ran: Ran):
    end = ran.failed.output[ran.failed.output.index("1 job failed") :]
    (error,) = ran.failed.errors
    assert f"  mask {BAD} spring: {error}\n      log: logs/small/mask/{BAD}-spring.log" in end
    assert "more steps wait for it" in end and f"--configfile {ran.project.directory}/config.yaml" in end
    assert "The dataset is results/small, its report results/small/report.html" in ran.mended.output


def test_status_tells_how_far_each_tile_is(ran: Ran, capsys: pytest.CaptureFixture[str]):
    found = json.loads(told(ran.then, capsys, "status", "--json"))
    assert {tile: each["state"] for tile, each in found["tiles"].items()} == {GOOD: "begun", BAD: "failed"}
    assert [(each["stage"], each["tile"], each["error"]) for each in found["failed"]] == [
        ("mask", BAD, ran.failed.errors[0])
    ]
    assert found["stages"]["crop"] == {"done": 1, "failed": 0, "begun": 0, "to do": 1}
    whole = json.loads(told(ran.project, capsys, "status", "--json", "--refusals"))
    assert {state for counts in whole["stages"].values() for state, count in counts.items() if count} == {"done"}
    rows = pd.read_parquet(ran.project.results / "index.parquet")
    assert whole["refusals"]["spring"]["cells"] == len(rows) and not sum(
        whole["refusals"]["spring"]["cells_without_dates"].values()
    )


def test_status_of_a_cell_is_the_walk_of_its_selection(ran: Ran, capsys: pytest.CaptureFixture[str]):
    chosen = pd.read_parquet(ran.project.tile(GOOD) / "spring/selection.parquet")
    refused = chosen[chosen["status"] == "refused"].iloc[0]
    words = told(ran.project, capsys, "status", refused["cell_id"])
    own = chosen[chosen["cell_id"] == refused["cell_id"]].sort_values("rank")
    places = [words.index(scene) for scene in own["scene_id"]]
    assert places == sorted(places) and f"refused: {refused['reason']} (max_" in words
    counts = chosen[chosen["scene_id"] == refused["scene_id"]]["status"].value_counts()
    words = told(ran.project, capsys, "status", refused["scene_id"])
    assert f"used in {counts.get('used', 0)} cells, refused in {counts['refused']}" in words
    assert told(ran.project, capsys, "status", "32TQM-0-0") == ""


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    spoil(path, bytes(data))


def cut(path: Path) -> None:
    spoil(path, path.read_bytes()[:-20])


def spoil(path: Path, data: bytes) -> None:
    """As disks spoil files: at the same time as before."""
    about = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_what_is_damaged_is_named_removed_and_made_again(ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(ran.project.directory, tmp_path / "work", symlinks=True)
    project = Project(tmp_path / "work", copy.deepcopy(ran.project.config), warm=True)
    project.command()  # writes the config
    given = {"configfiles": [project.directory / "config.yaml"]}
    before = project.digests()
    assert verify(project.results, **given).sound
    good, bad = f"tiles/{GOOD}", f"tiles/{BAD}"
    exported = next(path for path in (project.results / "exports/geotiff").rglob("*.tif"))
    image = str(exported.relative_to(project.results))
    damage = {  # each by itself hidden from Snakemake, which begins at the end of the way
        f"{good}/spring/masks.parquet": flip, f"{bad}/spring/patches.zarr.zip": cut, "exports/geotiff/croissant.json": flip, image: cut,
    }  # fmt: skip
    (source,) = (path.relative_to(project.results) for path in (project.results / "sources").iterdir())
    for path, how in damage.items():
        how(project.results / path)
    for gone in (str(source), f"{good}/features.parquet"):
        (project.results / gone).unlink()
    (project.results / bad / ".cells.parquet.7-ab.part").write_text("half")
    planned = project.run(options=("--dry-run",)).planned
    assert not planned, planned

    found = verify(project.results, **given)
    assert {each.path: each.kind for each in found.findings} == {
        **dict.fromkeys(damage, DAMAGED), str(source): MISSING, f"{good}/features.parquet": MISSING,
        f"{bad}/.cells.parquet.7-ab.part": LEFTOVER,
    }  # fmt: skip
    words = told(project, capsys, "verify", "--delete")
    assert f"removed: {project.results / bad}/spring/patches.zarr.zip\n" in words
    run = project.run()
    assert run.jobs["mask"] == 1 and run.jobs["source"] == 1 and run.jobs["cells"] == run.jobs["search"] == 0
    assert verify(project.results, **given).sound and project.digests() == before

    # a clock that was ahead
    os.utime(project.results / f"{good}/series.zarr.zip", (time.time() + 86_400,) * 2)
    found = verify(project.results, delete=True, **given)
    assert [(each.kind, each.path) for each in found.findings] == [(FUTURE, f"{good}/series.zarr.zip")]
    assert not found.removed and verify(project.results, **given).sound

    # those that lie on the way from the end: a dry run shows that they are made again
    others = [f"{good}/series.zarr.zip", f"{bad}/spring/scenes.parquet", "report.html", f"{bad}/labels.zarr.zip"]
    for path in others:
        flip(project.results / path)
    assert set(verify(project.results, delete=True, **given).removed) >= set(others)
    planned = project.run(options=("--dry-run",)).planned
    assert planned["search"] == planned["labels"] == planned["report"] == 1 and planned["group"] == 2


def test_nothing_is_removed_under_a_run(ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    (tmp_path / "results/small/tiles").mkdir(parents=True)
    assert main(["verify", str(tmp_path / "results/small"), "--delete"]) == 1
    assert "a run is at work here, or was killed" in capsys.readouterr().err
