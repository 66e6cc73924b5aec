"""The benchmarks run: a slice of each on a tiny world, so that they cannot rot. Their figures are not looked at."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from harness import ROOT

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import label_world  # noqa: E402
import measure  # noqa: E402
import radar_truth  # noqa: E402
import radar_world  # noqa: E402
import serve  # noqa: E402
import table  # noqa: E402
import world as bench_world  # noqa: E402
from tilewright.config.exports import LAYOUTS  # noqa: E402


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


def test_every_layout_is_exported():
    quick("exports.py")
    rows = json.loads((BENCHMARKS / "results" / "exports-quick.json").read_text())["rows"]
    assert len(rows) == 18 and {row["layout"] for row in rows} == set(LAYOUTS)


def test_radar_is_compared_and_looked_for_where_it_is(tmp_path: Path):
    quick("radar.py", "--data", str(tmp_path))
    kept = json.loads((BENCHMARKS / "results" / "radar-quick.json").read_text())
    rows = {row["reader"]: row for row in kept["tables"]["clustered"]}
    ours, whole = rows["tilewright sigma0"], rows["reproject whole grid, TPS, sigma0"]
    assert ours["off px: worst"] < 0.05
    assert 0.6 < whole["median"] < 0.8 and whole["worst but ½"] < 0.3, "a point is the corner of its pixel to GDAL"
    assert ours["mean"] == pytest.approx(whole["mean"], rel=0.1), "of some cells, and of all"
    assert {"tilewright gamma0", "rasterio windows"} <= {row["reader"] for row in kept["tables"]["rtc"]}


def test_places_of_the_swath_are_found_again():
    swath = radar_world.of_size(quick=False).swath
    row, column = np.array([0.5, 8350.0, 16_699.5]), np.array([25_499.5, 3.0, 12_000.0])
    to = Transformer.from_crs(4326, bench_world.EPSG, always_xy=True)
    found = swath.find(*to.transform(*swath.place(row, column)))
    assert np.abs(np.stack(found) - [row, column]).max() < 1e-5


def test_a_reader_that_looks_elsewhere_is_told_how_far():
    swath = radar_world.of_size(quick=True).swath
    cells = radar_world.of_size(quick=True).tile.dense()
    told = {
        "epsg": bench_world.EPSG,
        "grid": (0, 0, 0),
        "step": 10,
        "side": 192,
        "cells": cells,
        "threads": 1,
        "whole": False,
        "samples": None,
    }
    job = radar_truth.Job(
        {**told, "href": "", "calibration": "", "quantity": "dn", "options": {}, "file": "", "blocks": []}
    )
    at = np.arange(job.side)[radar_truth.SAMPLE] + 0.5
    row, column = swath.find(*radar_truth.places(job, at))
    looked = radar_world.ramp(row - 0.5 + 0.3) ** 2, radar_world.ramp(column - 0.5 - 0.4) ** 2
    found = radar_truth.off(job, swath, *looked, half=0.0)
    assert found["worst"] == pytest.approx(0.5, abs=1e-6) and found["median"] == pytest.approx(0.5, abs=1e-6)
    assert radar_truth.off(job, swath, *looked, half=0.4)["but"] == pytest.approx(0.7, abs=1e-6)


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
