"""Operations where a dataset is not as usual: given by another way, failed in part, moved without its inputs, named oddly."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tilewright.cli import main
from tilewright.errors import TilewrightError
from tilewright.operations import places
from tilewright.operations import verify as verifying
from tilewright.operations.board import BEGUN, DONE, FAILED, Expected, board
from tilewright.operations.folders import locks_on, logs_of
from tilewright.operations.logs import Job
from tilewright.operations.shape import config_of
from tilewright.operations.status import status_of
from tilewright.operations.survey import survey
from tilewright.operations.tilemap import write_map
from tilewright.operations.verify import MISSING, UNKNOWN, verify
from tilewright.operations.why import why
from tilewright.store.table import write_table

CONFIG: dict[str, Any] = {
    "dataset": "small", "aoi": {"tiles": ["32TQM", "33TTG"]}, "provider": "earth-search", "collections": {"s2_l2a": {"bands": ["B02"]}},
    "periods": [{"name": "early", "start": "2019-01-01", "end": "2019-06-30"}],
}  # fmt: skip
OSM = {"osm": {"source": {"kind": "pbf", "path": "town.osm.pbf"}, "ontology": "opensentinelmap"}}
FACTS = {"source": "town.osm.pbf", "kind": "pbf", "snapshot": "2020-01-01", "rejects": {}, "repaired": 0, "notice": ""}
OF_A_PERIOD = ("scenes.parquet", "masks.parquet", "selection.parquet", "patches.zarr.zip")
OF_ALL = ["cells.parquet", "series.zarr.zip", *(f"early/{name}" for name in OF_A_PERIOD)]
OF_LABELS = ["features.parquet", "labels.zarr.zip"]


def touched(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ended(path: Path, words: str = "INFO done: 2.0 s") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"2026-11-30 10:00:00,000 INFO half way\n2026-11-30 10:00:00,000 {words}\n")


def table(path: Path, **metadata: Any) -> None:
    write_table(pd.DataFrame({"tile": ["32TQM"]}), path, metadata)


def zone(folder: Path, tile: str, labels: bool = False, companions: bool = False) -> None:
    """A zone's table, of one tile."""
    collections = {"s2_l2a": {}, **({"s1_grd": {}} if companions else {})}
    summary = {"periods": {"early": {}}, **({"features": {"osm": {**FACTS, "counts": {"area": 3}}}} if labels else {})}
    told = {"labels": {"osm": {}}} if labels else {}
    table(folder / f"zones/{places.zone_of(tile)}.parquet", tiles={tile: summary}, collections=collections, **told)


def given(folder: Path, **changes: Any) -> Path:
    """A config file of the dataset."""
    path = folder / "given.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of two tiles in two zones, without labels; whole, but for what is in its stores."""
    folder = tmp_path / "work/results/small"
    for tile in CONFIG["aoi"]["tiles"]:
        touched(*(folder / "tiles" / tile / name for name in OF_ALL))
        zone(folder, tile)
    table(folder / "index.parquet", tiles=CONFIG["aoi"]["tiles"], periods=["early"], collections={"s2_l2a": {}})
    return folder


def lost(folder: Path, *configs: Path, tiles: tuple[str, ...] = ()) -> list[str]:
    return [each.path for each in verify(folder, tiles, configs).findings if each.kind == MISSING]


@pytest.mark.parametrize("way", ["../small", "link", "."])
def test_a_run_and_its_logs_are_found_by_every_way_to_the_folder(
    folder: Path, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "link").symlink_to(folder)
    (folder.parent / "other").mkdir()
    monkeypatch.chdir({"../small": folder.parent / "other", "link": tmp_path, ".": folder}[way])
    ended(tmp_path / "work/logs/small/cells/32TQM.log")
    assert logs_of(Path(way)).resolve() == tmp_path / "work/logs/small"
    assert not status_of(Path(way)).locked
    touched(tmp_path / "work/.snakemake/locks/0.input.lock")
    assert status_of(Path(way)).locked
    with pytest.raises(TilewrightError, match="a run is at work here"):
        verify(Path(way), delete=True)


def test_a_run_is_found_above_the_prefix_of_a_module_and_the_logs_below_it(tmp_path: Path):
    folder = tmp_path / "made/results/small"
    touched(folder / "index.parquet", tmp_path / ".snakemake/locks/0.output.lock")
    assert locks_on(folder) == tmp_path / ".snakemake/locks"
    assert logs_of(folder) == tmp_path / "made/logs/small"


def test_a_dataset_may_lie_at_the_top():
    assert locks_on(Path("/data")) is None and logs_of(Path("/data")) == Path("/logs/data")


def test_a_run_that_began_during_the_reading_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    part = folder / "tiles/32TQM/.cells.parquet.7-ab.part"
    touched(part)
    locks = folder.parents[1] / ".snakemake/locks"

    def survey_and_begin(*arguments: Any) -> Any:
        touched(locks / "0.input.lock")
        return survey(*arguments)

    monkeypatch.setattr(verifying, "survey", survey_and_begin)
    with pytest.raises(TilewrightError, match=r"snakemake --unlock in .*/work, then again"):
        verify(folder, delete=True)
    assert part.exists()
    (locks / "0.input.lock").unlink()
    monkeypatch.undo()
    verify(folder, delete=True)
    assert not part.exists()


def test_the_tables_of_a_finished_export_are_missed(folder: Path):
    root = "exports/npz.tiles"
    kept = [f"{root}/33TTG/{name}.parquet" for name in ("files", "records")]
    touched(*(folder / path for path in kept))
    gone = [f"{root}/32TQM/{name}.parquet" for name in ("files", "records")]
    card = folder / "exports/npz/README.md"
    assert lost(folder) == []  # not finished
    touched(card)
    documents = ["exports/npz/collection.json", "exports/npz/croissant.json"]
    assert lost(folder) == sorted([*gone, *documents])
    assert lost(folder, tiles=("32TQM",)) == gone and lost(folder, tiles=("33TTG",)) == []
    for path in kept:
        (folder / path).unlink()
    (folder / f"{root}/33TTG").rmdir()
    (folder / root).rmdir()  # all of them
    assert lost(folder, tiles=("33TTG",)) == kept
    # of an older index: the next run makes the export, and for that its tables
    os.utime(card, (1, 1))
    assert lost(folder) == documents
    os.utime(card)
    assert f"{root}/32TQM/files.parquet" in {*verify(folder).lost}
    verify(folder, delete=True)
    assert not card.exists()


def test_an_exports_tables_of_a_tile_that_is_no_longer_of_the_dataset_tell_of_nothing(folder: Path):
    touched(folder / "exports/npz/README.md")
    old = pd.DataFrame({"path": ["train/a.npz"], "bytes": [3], "crc32": [7]})
    for tile in ("32TQM", "33TTG", "33TTH"):
        for name in ("files", "records"):
            write_table(
                old if tile == "33TTH" else old.head(0), folder / f"exports/npz.tiles/{tile}/{name}.parquet", {}
            )
    assert "exports/npz/train/a.npz" not in lost(folder)


def test_what_a_run_that_failed_in_part_did_not_make_is_not_missed(folder: Path):
    """Labels and a sensor were added; 32N was gathered anew, a tile of 33N failed, and the index is the old one."""
    config = given(folder, labels=OSM, collections={**CONFIG["collections"], "s1_grd": {"bands": ["VV"]}})
    made = config_of(folder, [config])
    assert made is not None
    zone(folder, "32TQM", labels=True, companions=True)
    new = [*OF_LABELS, "early/companions.parquet"]
    touched(folder / f"sources/{made.sources['osm']}.parquet")
    expected = sorted(f"tiles/32TQM/{name}" for name in new)
    assert lost(folder, config) == expected and lost(folder) == expected
    touched(*(folder / path for path in expected))
    assert lost(folder, config) == lost(folder) == []


def test_a_source_is_missed_where_features_were_made_of_it(folder: Path):
    before = given(folder, labels=OSM)
    old = config_of(folder, [before])
    assert old is not None
    source = f"sources/{old.sources['osm']}.parquet"
    for tile in CONFIG["aoi"]["tiles"]:
        zone(folder, tile, labels=True)
        touched(*(folder / "tiles" / tile / name for name in OF_LABELS))
    assert lost(folder, before) == [source]
    table(folder / source, **FACTS, counts={"area": 9})
    assert lost(folder, before) == []
    # edited, and not run yet
    edited = {"kind": "pbf", "path": "town.osm.pbf", "extent": [11, 41, 13, 43]}
    after = given(folder, labels={"osm": {**OSM["osm"], "source": edited}})
    assert lost(folder, after) == []
    # run, and lost; what was made before says something else
    table(folder / source, **{**FACTS, "snapshot": "2019-01-01"})
    new = config_of(folder, [after])
    assert new is not None and lost(folder, after) == [f"sources/{new.sources['osm']}.parquet"]


def test_an_answer_is_missed_where_features_were_made_of_it(folder: Path):
    asked = {"kind": "overpass", "url": "https://a.b/api"}
    config = given(folder, labels={"osm": {**OSM["osm"], "source": asked}})
    made = config_of(folder, [config])
    assert made is not None
    zone(folder, "32TQM", labels=True)
    touched(*(folder / "tiles/32TQM" / name for name in OF_LABELS))
    answer = f"tiles/32TQM/asked/{made.asked['osm']}.parquet"
    assert lost(folder, config) == [answer]
    table(folder / "tiles/32TQM/asked/overpass-of-another-url.parquet", **FACTS)
    assert lost(folder, config) == []


def test_a_tile_whose_export_failed_again_is_not_done(tmp_path: Path):
    """Snakemake puts the last run's tables back, and the export's card stays."""
    folder, logs = tmp_path / "results/demo", tmp_path / "logs/demo"
    tiles = ["32TQM", "32TQN", "32TQP", "32TQQ"]
    ended(logs / "export_tile/npz-32TQM.log")
    ended(logs / "export_tile/npz-32TQN.log", "ERROR error: cannot write a.npz: No space left on device")
    ended(logs / "export_tile/npz-32TQP.log", "INFO three quarters")
    touched(*(folder / f"exports/npz.tiles/{tile}/files.parquet" for tile in tiles), folder / "exports/npz/README.md")
    found = board(folder, logs, Expected({"32N": tiles}, (), layouts=("npz",)))
    assert found.counts["export_tile"] == {DONE: 2, FAILED: 1, BEGUN: 1} and found.counts["export"] == {DONE: 1}
    assert [(str(job), why) for job, why, _ in found.failed] == [
        ("export_tile 32TQN npz", "cannot write a.npz: No space left on device")
    ]


def test_the_simulated_world_is_a_job_too(folder: Path):
    project = folder.parents[1]
    world = {
        "sites": [{"name": "lazio", "lon": 12.0, "lat": 42.0, "side_m": 8000, "tiles": ["32TQM"]}],
        "years": [2019],
    }
    simulated = given(folder, provider="simulated", simulate=world)
    ended(project / "logs/simulate.log", "ERROR error: cannot write: disk full")
    found = status_of(folder, [simulated])
    assert next(iter(found.counts)) == "simulate" and found.counts["simulate"] == {FAILED: 1}
    assert found.failed == [(Job("simulate"), "cannot write: disk full", project / "logs/simulate.log")]
    touched(project / "data/simulated/catalog.json")
    assert status_of(folder, [simulated]).counts["simulate"] == {DONE: 1}
    # a world that nothing of the dataset is read from is not made
    assert "simulate" not in status_of(folder, [given(folder, simulate=world)]).counts


def test_a_dataset_whose_inputs_are_gone_is_looked_at_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.chdir(folder.parents[1])
    config = Path("config/config.yaml")
    config.parent.mkdir()
    lacking = {"labels": OSM, "cells": {"water": {"file": "water.tif"}}, "split": {"by": "block"}}
    config.write_text(yaml.safe_dump({**CONFIG, **lacking}))
    found = status_of(folder)
    assert found.expected.labels and found.expected.tiles == CONFIG["aoi"]["tiles"] and not caplog.messages
    assert lost(folder) == []
    # also where the tiles are in a file that is gone
    config.write_text(yaml.safe_dump({**CONFIG, "aoi": {"file": "aoi.gpkg"}}))
    assert status_of(folder).expected.tiles == CONFIG["aoi"]["tiles"] and "aoi.gpkg" in caplog.text
    # a config that does not serve is told of; refused where it was given
    config.write_text(yaml.safe_dump({**CONFIG, "periods": []}))
    assert lost(folder) == [] and "periods: is empty" in caplog.text and "going on without a config" in caplog.text
    with pytest.raises(TilewrightError, match="periods: is empty"):
        verify(folder, configfiles=[config])


def test_a_period_may_be_called_as_the_folder_of_answers(tmp_path: Path):
    folder, tile = tmp_path / "results/demo", "tiles/32TQM"
    names = [f"{tile}/asked/{name}" for name in (*places.OF_A_PERIOD, "overpass-1a.parquet")]
    touched(*(folder / name for name in names))
    assert all(map(places.is_known, names)) and not places.is_known(f"{tile}/asked/x.zip")
    assert f"{tile}/features.parquet" not in set(places.leading_to(f"{tile}/asked/scenes.parquet", []))
    found = Expected.by_folder(folder)
    assert found.periods == ("asked",) and found.answers == ("overpass-1a",)
    selections(folder / tile / "asked")
    assert "period asked: 1 of 2 scenes" in why(folder, "32TQM-1-1", None)
    assert not [each for each in verify(folder).findings if each.kind == UNKNOWN]
    for name in places.OF_A_PERIOD:
        (folder / tile / "asked" / name).unlink()
    assert Expected.by_folder(folder).periods == () and "period" not in why(folder, "32TQM-1-1", None)


@pytest.mark.parametrize("name", ["32TQN", "32tqm", "../tiles"])
def test_a_tile_that_is_not_there_is_refused(folder: Path, name: str):
    with pytest.raises(TilewrightError, match=f"--tile {name}: .* has no such tile"):
        verify(folder, [name])


def test_what_no_map_can_be_drawn_of_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = status_of(folder)
    write_map(found, "demo", tmp_path / "TILES.PNG")
    assert (tmp_path / "TILES.PNG").read_bytes()[:4] == b"\x89PNG"
    assert main(["status", str(folder), "--map", str(tmp_path / "tiles.svg")]) == 1
    assert "drawn as .png, .html or .htm" in capsys.readouterr().err
    with pytest.raises(TilewrightError, match="no tile of demo is known yet"):
        write_map(board(tmp_path, tmp_path, Expected({}, ())), "demo", tmp_path / "tiles.png")


def selections(period: Path) -> None:
    """A cell whose only scene has a companion that was refused, beside another scene that was refused for the same."""
    cell = {"cell_id": "32TQM-1-1", "epsg": 32632, "ulx": 0, "uly": 0, "size_m": 960, "lon": 11.0, "lat": 41.0}
    write_table(pd.DataFrame([cell]), period.parent / "cells.parquet", {})
    names = ["collection", "scene_id", "pair_of", "rank", "status", "reason"]
    rows = [
        ("s2_l2a", "A", "", 0, "used", ""), ("s1_grd", "R", "A", 0, "refused", "nodata"), ("s2_l1c", "L", "A", 0, "refused", "scene cloud"),
        ("s2_l2a", "B", "", 1, "refused", "nodata"),
    ]  # fmt: skip
    chosen = pd.DataFrame(rows, columns=names).assign(cell_id="32TQM-1-1", bad_fraction=0.0, nodata_fraction=0.5)
    pairs = {"s1_grd": {"max_nodata": 0.02}, "s2_l1c": {"max_nodata": 0.03, "max_scene_cloud": 0.2}}
    limits = {"max_nodata": 0.4, "max_scene_cloud": 0.6}
    rule = {"scenes": 2, "order": "latest", "limits": limits, "companions": pairs}
    write_table(chosen, period / "selection.parquet", {"rule": rule})
    times = pd.to_datetime(["2019-01-01", "2019-01-02"])
    write_table(pd.DataFrame({"scene_id": ["A", "B"], "datetime": times}), period / "scenes.parquet", {})


def test_a_companions_refusal_names_the_limit_of_its_pair(tmp_path: Path):
    selections(tmp_path / "tiles/32TQM/early")
    said = {
        line.split()[1 if line.split()[0].isdigit() else 0]: line
        for line in why(tmp_path, "32TQM-1-1", None).splitlines()[4:]
    }
    assert said["s1_grd"].endswith("refused: nodata (pair.max_nodata 0.02)")
    assert said["s2_l1c"].endswith("refused: scene cloud (pair.max_scene_cloud 0.2)")
    assert said["B"].endswith("refused: nodata (max_nodata 0.4)")
