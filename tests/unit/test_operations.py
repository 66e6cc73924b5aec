"""Operations: what of a dataset is done, failed, lost; by files and logs that are made up, as stages and Snakemake leave them."""

import json
import os
from pathlib import Path

import pytest

from harness import ROOT
from tilewright import cli
from tilewright.grid import tiles
from tilewright.operations import places
from tilewright.operations.board import BEGUN, DONE, FAILED, TO_DO, Expected, board
from tilewright.operations.failures import failures, summary, waiting
from tilewright.operations.logs import Job, Used, job_of, used_in
from tilewright.operations.shape import Made, Shape
from tilewright.operations.showing import document, text
from tilewright.operations.survey import survey
from tilewright.operations.tilemap import write_map

ONTOLOGY = ROOT / "config/ontologies/opensentinelmap.yaml"
LINE = "2026-11-30 10:00:00,000"
EXPECTED = Expected({"32N": ["32TQM"], "33N": ["33TTG", "33TTH"]}, ("early", "late"), labels=True, layouts=("geotiff",))


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def ended(path: Path, error: str = "") -> Path:
    return write(
        path,
        f"{LINE} INFO half way",
        f"{LINE} {f'ERROR error: {error}' if error else 'INFO done: 2.0 s, 1.9 CPU s, at most 181 MB'}",
    )


def test_a_tiles_name_tells_its_zone():
    table = tiles()
    assert all(places.zone_of(str(table.name[at])) == table[at].zone for at in range(0, len(table), 7))


@pytest.mark.parametrize(
    ("log", "job"),
    [
        ("mask/32TQM-2019-snow.log", Job("mask", "32TQM", "2019-snow")),
        ("cells/32TQM.log", Job("cells", "32TQM")),
        ("ask/32TQM-osm-1a.log", Job("ask", "32TQM", name="osm-1a")),
        ("export_tile/ssl4eo-s12-32TQM.log", Job("export_tile", "32TQM", name="ssl4eo-s12")),
        ("zone/32N.log", Job("zone", name="32N")),
        ("index.log", Job("index")),
    ],
)
def test_a_log_tells_its_job(log: str, job: Job):
    assert job_of(Path("logs/demo") / log) == job


def test_a_log_tells_what_its_job_cost(tmp_path: Path):
    assert used_in(ended(tmp_path / "a.log")) == Used(2.0, 1.9, 181)
    assert used_in(ended(tmp_path / "b.log", error="no such luck")) is None
    # as a stage writes it
    log = ["--log", str(tmp_path / "c.log")]
    assert cli.main([*log, "legend", "--ontology", str(ONTOLOGY), "--output", str(tmp_path / "legend.html")]) == 0
    told = used_in(tmp_path / "c.log")
    assert told and told.mb > 50


def test_what_must_go_for_snakemake_to_see_what_is_gone():
    zone = ["zones/32N.parquet", "collection.json"]
    selection = "tiles/32TQM/early/selection.parquet"
    assert {path: list(places.leading_to(path, ["32TQM", "33TTG"])) for path in (
        "tiles/32TQM/cells.parquet", "tiles/32TQM/early/scenes.parquet", "tiles/32TQM/early/masks.parquet",
        "tiles/32TQM/early/patches.zarr.zip", "tiles/32TQM/asked/osm.parquet", "tiles/32TQM/early/masks.traffic.json",
        "sources/osm.parquet", "zones/32N.parquet", "index.parquet", "exports/npz/a/b.npz", "exports/npz.tiles/32TQM/files.parquet",
    )} == {
        "tiles/32TQM/cells.parquet": zone, "tiles/32TQM/early/scenes.parquet": zone, "tiles/32TQM/early/masks.parquet": [selection, *zone],
        "tiles/32TQM/early/patches.zarr.zip": [selection, *zone], "tiles/32TQM/asked/osm.parquet": ["tiles/32TQM/features.parquet", *zone],
        "tiles/32TQM/early/masks.traffic.json": [], "sources/osm.parquet": ["tiles/32TQM/features.parquet", *zone],
        "zones/32N.parquet": ["collection.json"], "index.parquet": [], "exports/npz/a/b.npz": ["exports/npz/README.md"],
        "exports/npz.tiles/32TQM/files.parquet": ["exports/npz/README.md"],
    }  # fmt: skip


def test_what_files_were_made_of_is_missed_and_nothing_else():
    begun = {"cells.parquet", "early/scenes.parquet"}
    assert places.needed_by(begun, Shape(), "32TQM") <= begun
    cropped = {"early/selection.parquet", "early/scenes.parquet"}
    of_crop = {
        "cells.parquet",
        *(f"early/{name}.parquet" for name in ("scenes", "masks", "selection")),
        "early/patches.zarr.zip",
    }
    assert places.needed_by(cropped, Shape(), "32TQM") == of_crop
    # a period that the config has since is not missed, nor one that it has no longer
    shape = Shape({"32TQM": Made(("early",), labels=True, answers=("osm",))}, ("early", "new"))
    assert places.needed_by({"old/masks.parquet"}, shape, "32TQM") == of_crop | {
        "series.zarr.zip", "features.parquet", "labels.zarr.zip", "asked/osm.parquet",
    }  # fmt: skip


def test_a_survey_knows_what_is_the_workflows(tmp_path: Path):
    ours = [
        "tiles/32TQM/cells.parquet",
        "tiles/32TQM/early/masks.parquet",
        "index.parquet",
        "exports/npz.tiles/32TQM/files.parquet",
    ]
    others = ["notes.txt", "tiles/32TQM/cells.csv", "tiles/elsewhere/cells.parquet"]
    left = ["tiles/32TQM/.cells.parquet.17-abc.part", "exports/.npz-32TQM.part"]
    for path in [*ours, *others, *left, "exports/npz/train/a.npz"]:
        write(tmp_path / path)
    found = survey(tmp_path)
    assert sorted(found.files) == sorted(ours) and sorted(found.unknown) == sorted(others)
    assert sorted(found.leftovers) == sorted(left) and found.exports == {"npz"}
    assert found.tiles == {"32TQM": {"cells.parquet", "early/masks.parquet"}}
    one = survey(tmp_path, ["32TQM"])
    assert "index.parquet" not in one.files and len(one.files) == 3


@pytest.fixture
def under_way(tmp_path: Path) -> tuple[Path, Path]:
    """A dataset whose first tile is done but for its export, whose second failed, whose third was killed; folder and logs."""
    folder, logs = tmp_path / "results/demo", tmp_path / "logs/demo"
    for name in ("cells.parquet", "series.zarr.zip", "features.parquet", "labels.zarr.zip"):
        write(folder / "tiles/32TQM" / name)
    for period in EXPECTED.periods:
        for name in ("scenes", "masks", "selection"):
            write(folder / "tiles/32TQM" / period / f"{name}.parquet")
    write(folder / "tiles/33TTG/cells.parquet")
    write(folder / "tiles/33TTH/cells.parquet")
    ended(logs / "search/33TTG-early.log", "the API is away: try later")
    ended(logs / "search/33TTG-late.log")  # its output was removed since
    write(logs / "search/33TTH-late.log", f"{LINE} INFO half way")
    write(folder / "zones/32N.parquet")
    return folder, logs


def test_a_board_tells_how_far_each_tile_is(under_way: tuple[Path, Path], tmp_path: Path):
    found = board(*under_way, EXPECTED)
    assert found.counts["search"] == {DONE: 2, FAILED: 1, TO_DO: 2, BEGUN: 1}
    assert found.counts["zone"] == {DONE: 1, TO_DO: 1} and found.counts["export_tile"] == {TO_DO: 3}
    assert [found.state_of(tile) for tile in EXPECTED.tiles] == [BEGUN, FAILED, BEGUN]
    assert found.failed == [
        (Job("search", "33TTG", "early"), "the API is away: try later", under_way[1] / "search/33TTG-early.log")
    ]
    assert found.begun == [Job("search", "33TTH", "late")]
    told = text(found, "results/demo")
    assert "0 of 3 tiles done" in told and "failed: search 33TTG early: the API is away: try later" in told
    assert "killed on the way: search 33TTH late" in told
    assert json.loads(json.dumps(document(found)))["tiles"]["33TTG"]["stages"]["search"] == {FAILED: 1, TO_DO: 1}
    # without a config, what is there tells what there is to be
    assert Expected.by_folder(under_way[0]).periods == EXPECTED.periods
    for name in ("map.png", "map.html"):
        write_map(found, "results/demo", tmp_path / name)
    page = (tmp_path / "map.html").read_text()
    assert "33TTG" in page and "the API is away" in page and "http" not in page.replace("http://www.w3.org", "")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def failed(rule: str, number: int, log: str, *more: str) -> str:
    lines = [
        "[Mon Nov 30 10:45:46 2026]", f"Error in rule {rule}:", "    message: None", f"    jobid: {number}", "    output: o.txt",
        f"    log: {log}, o.traffic.json (check log file(s) for error details)", "    shell:", "        python -m tilewright",
        "        (command exited with non-zero exit code)", *more,
    ]  # fmt: skip
    return "".join(f"{line}\n" for line in lines)


def test_the_end_of_a_run_tells_what_failed_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    ended(Path("logs/x/mask/32TQM-a.log"), "no B02: mend the catalog")
    ended(Path("logs/x/mask/33TTG-a.log"), "no B02: mend the catalog")
    old = ended(Path("logs/x/crop/33TTG-a.log"), "of an earlier run")
    os.utime(old, (1, 1))
    slurm = write(Path("slurm/17.log"), "slurmstepd: error: Detected 1 oom_kill event in StepId=17.0.")
    killed = "Command 'set -euo pipefail;  python -m tilewright --log logs/x/zone/32N.log zone --config-text 'a: 1\\nb: 2'' died with <Signals.SIGKILL: 9>.\n"
    log = (
        failed("mask", 1, "logs/x/mask/32TQM-a.log") + failed("mask", 2, "logs/x/mask/33TTG-a.log")
        + failed("search", 3, "logs/x/search/32TQM-a.log") + "Finished jobid: 3 (Rule: search)\n4 of 11 steps (36%) done\n"  # at the second try
        + failed("crop", 4, f"logs/x/crop/33TTG-a.log, {slurm}", "    external_jobid: 17")
        + killed + failed("zone", 5, "logs/x/zone/32N.log")
    )  # fmt: skip
    found = failures(log, since=1e6)
    assert [str(each.job) for each in found] == ["mask 32TQM a", "mask 33TTG a", "crop 33TTG a", "zone 32N"]
    assert found[0].why == "no B02: mend the catalog"
    assert found[2].why.startswith("ran out of memory") and "--set-resources crop:mem_mb" in found[2].why
    assert found[2].logs == ("logs/x/crop/33TTG-a.log", "slurm/17.log") and found[2].cluster_job == "17"
    assert found[3].why.startswith("was killed (SIGKILL)")
    told = summary(found, waiting(log, len(found)), ["snakemake", "--cores", "2"], "results/x")
    assert told.startswith("4 jobs failed") and "  mask 32TQM a, 33TTG a: no B02: mend the catalog\n" in told
    assert "3 more steps wait for them" in told and told.endswith("  snakemake --cores 2")


def test_of_a_group_only_the_job_that_failed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    ended(Path("logs/x/cells/32TQM.log"))
    write(Path("logs/x/search/32TQM-a.log"), f"{LINE} INFO half way")
    message = "SLURM-job '5' failed, SLURM status is: 'TIMEOUT'. For further error details see the cluster/cloud log."
    lines = [
        "[Mon Nov 30 10:45:46 2026]", f"    message: {message}", "    log: slurm/5.log (check log file(s) for error details)", "    jobs:",
    ]  # fmt: skip
    for number, (rule, name) in enumerate([("cells", "32TQM"), ("search", "32TQM-a"), ("mask", "32TQM-a")]):
        lines += [f"        rule {rule}:", f"            jobid: {number}", "            output: o.txt"]
        lines.append(f"            log: logs/x/{rule}/{name}.log (check log file(s) for error details)")
    found = failures("".join(f"{line}\n" for line in lines), since=0)
    assert [(str(each.job), each.why.split(";")[0], each.logs) for each in found] == [
        ("search 32TQM a", "ran out of time", ("logs/x/search/32TQM-a.log", "slurm/5.log"))
    ]
