"""The benchmarks run: a slice of each on a tiny world, so that they cannot rot. Their figures are not looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import label_world  # noqa: E402
import measure  # noqa: E402
import serve  # noqa: E402
import table  # noqa: E402
import world as bench_world  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world of the benchmarks."""
    folder = tmp_path_factory.mktemp("bench")
    bench_world.ensure(quick=True, data=folder)
    return folder


def quick(script: str, *options: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_reading_is_compared_and_all_arrays_are_equal(data: Path):
    told = quick("imagery.py", "--data", str(data))
    for row in ("decode floor", "tilewright", "rasterio blocks", "stackstac lazy window", "rasterio per patch"):
        assert row in told
    kept = json.loads((BENCHMARKS / "results" / "imagery-quick.json").read_text())
    assert {row["reader"] for row in kept["tables"]["dense"]} >= {"decode floor", "tilewright"}


def test_the_whole_way_and_crop_are_measured(data: Path):
    told = quick("end_to_end.py", "--data", str(data))
    assert "16 cells in clusters x 3 dates" in told
    kept = json.loads((BENCHMARKS / "results" / "end_to_end-quick.json").read_text())
    assert set(kept["ways"]["clusters, 40 ms"]["tilewright"]["steps"]) == {"cells", "search", "mask", "crop", "group"}
    assert kept["crop"]["rows"][0]["cells"] == 121


def test_labels_are_compared_and_burn_the_same_pixels(tmp_path: Path):
    quick("labels.py", "--data", str(tmp_path))
    kept = json.loads((BENCHMARKS / "results" / "labels-quick.json").read_text())
    by_centre, *others = kept["stage"]["same"]
    assert by_centre["burned"] > 30_000 and by_centre["differ"] == 0
    assert all(each["burned"] > 1000 and each["differ ppm"] <= 500 for each in others)
    readers = {row[""]: row for row in kept["region"]["rows"]}
    found = {readers[name]["areas"] for name in ("tilewright source", "osmnx features_from_xml")}
    assert max(found) - min(found) <= 5 < min(found), "the readers find different areas"
    assert {"GDAL's OSM driver, by pyogrio", "osmnx + rasterio, a cell at a time"} <= set(readers)
    for each in kept["parcels"]["agreement"]:
        assert each["same parcel"] > 0.9999
        assert all(
            each[f"{name} {what}: false"] == 0 for name in ("claims", "claims_same") for what in ("partly", "wholly")
        )


def test_the_map_of_a_seed_has_the_same_bytes(tmp_path: Path):
    made = [label_world.ensure("quick", tmp_path / name) for name in ("first", "second")]
    assert made[0].pbf.read_bytes() == made[1].pbf.read_bytes()
    assert made[0].facts["ways"] > 2000 and made[0].facts["relations"] > 10


def test_the_world_has_the_pixels_that_its_seed_says(data: Path, tmp_path: Path):
    scene = bench_world.QUICK.scenes[0]
    again = Path(bench_world._write_asset(str(tmp_path / "SCL.tif"), bench_world.QUICK.side_m, scene, "SCL"))
    assert again.read_bytes() == (data / "quick" / scene / "SCL.tif").read_bytes()


def test_a_process_and_its_children_are_measured():
    child = "import time; a = bytearray(60_000_000); time.sleep(0.5)"
    code = f"import subprocess, sys; b = bytearray(60_000_000); subprocess.run([sys.executable, '-c', {child!r}]); print('{{\"a\": 1}}')"
    found = measure.run([sys.executable, "-c", code])
    assert found.document == {"a": 1}
    assert found.wall_s > 0.5 and 0 < found.cpu_s < found.wall_s and found.peak_mb > 120
    with pytest.raises(measure.FailedRunError, match="no such luck"):
        measure.run([sys.executable, "-c", "raise SystemExit('no such luck')"])


def test_jobs_take_turns_and_medians_are_runs():
    order: list[str] = []
    measure.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, {"a": 3, "b": 1})
    assert order == ["a", "b", "a", "a"]
    assert measure.median([4.0, 1.0, 3.0, 2.0]) == 2.0


@pytest.mark.parametrize(
    ("found", "at_least", "met"), [(1.5, False, True), (1.6, False, False), (1.6, True, True), (None, True, None)]
)
def test_a_target_is_met_missed_or_not_measured(found: float | None, at_least: bool, met: bool | None):
    check = table.Check("cpu", found, 1.5, at_least)
    assert check.met is met
    assert check.row()[""] == {True: "met", False: "MISSED", None: "not measured"}[met]


def test_bytes_asked_for_twice_are_counted():
    assert serve._repeated([(0, 10), (10, 20)]) == 0
    assert serve._repeated([(0, 10), (5, 20), (30, 40)]) == 5
    assert serve._repeated([(0, 10), (0, 10), (2, 4)]) == 12
