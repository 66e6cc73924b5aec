"""How large label sources are taken for: files, geodatabases, databases; and areas round the world."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_costs import PROBE

from harness import ROOT
from planned import plan_of
from tilewright.config.label_files import source_name
from tilewright.config.load import load_config
from tilewright.config.model import Config
from tilewright.costs import asked, job_cost, work_of
from tilewright.costs.asking import LEAST_MB, LEAST_MIN
from tilewright.costs.sources import UNSIZED_FEATURES, known_of
from tilewright.plan.showing import document, text

DATABASE = "PG:host=h dbname=parcels"


def told(path: str, **changes: Any) -> dict[str, Any]:
    """A config with parcels in `path`."""
    base = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    del base["simulate"]
    source = {"kind": "vector", "path": path, "attributes": ["CLC18"], "licence": "none"}
    labels = {"parcels": {"source": source, "ontology": "seasonet-clc"}}
    return {**base, "provider": "earth-search", "aoi": {"tiles": ["32TQM"]}, "labels": labels, **changes}


def asks(config: Config) -> dict[str, int]:
    """What the job that reads the parcels asks for."""
    return asked("source", work_of(config, "source", known_of(config.label_sets()["parcels"])))


def geodatabase(folder: Path, mb: int) -> Path:
    """A folder of files, of so many MB together; they are holes, and take no place."""
    (folder / "inner").mkdir(parents=True)
    for name, part in (("a00000001.gdbtable", 3), ("inner/a00000002.spx", 1)):
        with (folder / name).open("wb") as file:
            file.truncate(mb * 1_000_000 * part // 4)
    return folder


def test_a_geodatabase_asks_for_as_much_as_a_file_of_its_size(tmp_path: Path) -> None:
    folder, file = geodatabase(tmp_path / "parcels.gdb", 240), tmp_path / "parcels.gpkg"
    with file.open("wb") as made:
        made.truncate(240_000_000)
    both = [asks(load_config(told(str(path)))) for path in (folder, file)]
    assert both[0] == both[1] and both[0]["mem_mb"] > 3300 and both[0]["runtime"] > 10
    nothing = asks(load_config(told(str(tmp_path / "not-yet.gpkg"))))
    assert nothing["mem_mb"] == LEAST_MB


@pytest.mark.parametrize(
    "path", [DATABASE, "postgresql://h/parcels", "/vsizip/parcels.zip/parcels.shp", "https://h/parcels.fgb"]
)
def test_what_has_no_size_asks_for_a_country_s_parcels(path: str) -> None:
    found = asks(load_config(told(path)))
    assert found["mem_mb"] > 3300 and found["runtime"] > 10 and found["disk_mb"] > 5000


@pytest.mark.parametrize("path", ["parcels.gdb", DATABASE])
def test_the_rule_asks_for_it(path: str, tmp_path: Path) -> None:
    geodatabase(tmp_path / "parcels.gdb", 240)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(told(path)))
    name = source_name(load_config(told(path)).label_sets()["parcels"])
    command = [sys.executable, "-c", PROBE, str(ROOT / "Snakefile"), "config.yaml", name]
    said = subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True).stdout
    first, second = json.loads(said.splitlines()[-1])["source"]
    assert first["mem_mb"] > 3300 and second["mem_mb"] == 2 * first["mem_mb"] and first["runtime"] > LEAST_MIN


def test_the_plan_prices_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.gpkg").touch()
    folder = str(geodatabase(Path("parcels.gdb"), 240))
    none, packed, database = (plan_of(told(path), looked_at=1) for path in ("empty.gpkg", folder, DATABASE))
    for plan in (packed, database):
        for rule in ("source", "features", "labels"):
            assert plan.bills[rule].mem_mb > 1.3 * none.bills[rule].mem_mb, rule
            assert plan.bills[rule].cpu_s > 1.3 * none.bills[rule].cpu_s, rule
    assert database.bills["source"].mem_mb > 3300
    assert (
        database.basis["features parcels"].startswith("assumed") and "features parcels" in document(database)["basis"]
    )
    assert re.search(rf"features of parcels +{UNSIZED_FEATURES:,} +assumed", text(database))
    assert "features of" not in text(packed)


def test_a_box_round_the_world_is_not_empty() -> None:
    def cells(west: float, east: float) -> int:
        config = load_config(told(DATABASE, aoi={"bbox": [west, -60, east, 80]}))
        return work_of(config, "crop").cells

    whole = work_of(load_config(told(DATABASE)), "crop").cells
    assert cells(-180, 180) == cells(-179, 179) == cells(10, 9) == whole
    config = load_config(told(DATABASE, aoi={"bbox": [-180, -60, 180, 80]}))
    assert job_cost("crop", work_of(config, "crop")).mem_mb > 300
