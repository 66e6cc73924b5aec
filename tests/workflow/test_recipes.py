"""The recipes on small simulated worlds: a real run around cities, seasons and strict splits, own samples; and what is wrong with them.

`make recipes` runs all of them, whole (benchmarks/recipes.py); this is its seeded slice.
"""

import copy
import csv
import itertools
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
import yaml

import tilewright
from conftest import WORLD
from harness import ROOT, Project, Run
from inprocess import build
from tilewright.config.load import load_config
from tilewright.config.settings import IndexSettings, parsed
from tilewright.config.simulated import Simulate
from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig
from tilewright.simulate import World
from tilewright.stages import index as index_stage
from tilewright.store import read_table
from worlds import known

sys.path.insert(0, str(ROOT / "benchmarks"))
from recipes_maps import land_cover, make_maps, named, parcels, region_types

RECIPES = sorted(path.stem for path in (ROOT / "config/recipes").glob("*.yaml"))
# In this world every season of 2021 has a clear scene; the windows of 2020, which come after, find nothing.
TINY: dict[str, Any] = {
    "seed": 165, "sites": [{"name": "natal", "lon": 29.7, "lat": -30.2, "side_m": 6000, "tiles": ["35JQG"]}], "years": [2021],
    "scenes_per_year": 9, "sensors": ["s2_l1c", "s1_grd"],
}  # fmt: skip


def document(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"config/recipes/{name}.yaml").read_text())


def overlay(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"tests/recipes/{name}.yaml").read_text())


def project_of(directory: Path, name: str, more: dict[str, Any]) -> Project:
    """As a user starts it: the recipe, the overlay, and one more file, in that order."""
    before = (ROOT / f"config/recipes/{name}.yaml", ROOT / f"tests/recipes/{name}.yaml")
    return Project(directory, {"dataset": name, **more}, warm=True, before=before)


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "ssl4eo-s12"])
def test_the_recipe_and_its_overlay_are_planned(name: str, tmp_path: Path):
    """As a user starts it; that of SSL4EO-S12 really runs below."""
    (tmp_path / "maps").mkdir()
    for one in named(document(name)) | named(overlay(name)):
        # a plan looks only whether maps are there; of places it must know the tiles
        (tmp_path / "maps" / one).write_text("id,lon,lat,date,label\na,11.0,41.9,2018-05-01,wheat\n")
    run = project_of(tmp_path, name, {}).run(options=("--dry-run",))
    assert {"simulate", "cells", "search", "crop", "export_tile", "export", "index", "report"} <= set(run.planned), (
        run.output
    )


# -- SSL4EO-S12: a real run, whose tiles are known only when the locations are drawn ------------------------------------------------


@pytest.fixture(scope="module")
def ssl4eo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run, World]:
    """The recipe around one city. Read only."""
    folder = tmp_path_factory.mktemp("ssl4eo") / "work"
    cities = {"most_populous": 1, "sigma_km": 1.2, "locations": 3, "overdraw": 20}
    # by this seed the first, fourth and fifth place lie in the world, the second and third beyond its edge
    more = {"seed": 31, "aoi": {"cities": cities}, "accept": {"number": 2}, "simulate": TINY}
    make_maps([overlay("ssl4eo-s12"), more], folder)
    project = project_of(folder, "ssl4eo-s12", more)
    return project, project.run(), known(Simulate.model_validate(TINY))


def test_jobs_follow_the_drawn_tiles(ssl4eo: tuple[Project, Run, World]):
    project, run, _ = ssl4eo
    tiles = set(read_table(project.results / "locations.parquet")["tile"]) - {""}
    seasons = 4 * len(tiles)
    assert run.jobs["locations"] == run.jobs["simulate"] == run.jobs["index"] == run.jobs["export"] == 1
    assert run.jobs["cells"] == run.jobs["group"] == run.jobs["export_tile"] == len(tiles)
    assert run.jobs["search"] == run.jobs["search_companions"] == run.jobs["mask"] == run.jobs["crop"] == seasons


def test_no_two_places_are_nearer_than_the_rule(ssl4eo: tuple[Project, Run, World]):
    found = read_table(ssl4eo[0].results / "locations.parquet")
    assert len(found) > 3
    pairs = list(itertools.combinations(found[["lon", "lat"]].itertuples(index=False), 2))
    metres = [pyproj.Geod(ellps="WGS84").inv(*one, *other)[2] for one, other in pairs]
    assert min(metres) >= 0.75 * 2640


def test_the_first_complete_places_of_the_draw_are_accepted(ssl4eo: tuple[Project, Run, World]):
    index = read_table(ssl4eo[0].results / "index.parquet").sort_values("sample")
    assert index["complete"].tolist() == [True, False, False, True, True], "the second place is replaced by the fourth"
    taken = index[index["accepted"]].sort_values("accepted_rank")
    assert taken["sample"].tolist() == index["sample"].iloc[[0, 3]].tolist()
    for season in ("spring", "summer", "fall", "winter"):
        for column in (f"dates_{season}", f"s2_l1c_dates_{season}", f"s1_grd_dates_{season}"):
            assert (taken[column] == 1).all(), column


def test_every_image_obeys_the_papers_limits(ssl4eo: tuple[Project, Run, World]):
    """Counted anew from the world's scene classes: less than 10 % of cloud in the whole scene, no pixel without data, the latest
    of the days around the date that do."""
    project, _, world = ssl4eo
    windows = {"spring": (3, 20), "summer": (6, 21), "fall": (9, 22), "winter": (12, 21)}
    clear = {scene.id for scene in world.scenes() if cloudy(world, scene) < 0.1}
    assert clear and clear < {scene.id for scene in world.scenes()}
    dataset = tilewright.open(project.results)
    for _, row in read_table(project.results / "index.parquet").query("accepted").iterrows():
        series = dataset[row["cell_id"]]["s2_l2a"]
        for period, told in zip(series["period"].values, series["scene_id"].values, strict=True):
            anchor = date(2021, *windows[str(period)])
            around = [
                each for each in world.scenes() if abs((each.datetime.date() - anchor).days) <= 15 and each.id in clear
            ]
            whole = [each for each in around if (scl(world, each.id, row) != 0).all()]
            assert world.scene(str(told)).id == max(whole, key=lambda each: each.datetime).id


def test_the_export_has_every_band_of_every_season(ssl4eo: tuple[Project, Run, World]):
    root = ssl4eo[0].results / "exports/ssl4eo-s12"
    number = int(read_table(ssl4eo[0].results / "index.parquet")["accepted"].sum())
    bands = {"s1": 2, "s2c": 13, "s2a": 12}
    for product, each in bands.items():
        assert sorted(path.name for path in (root / product).iterdir()) == [f"{place:07}" for place in range(number)]
        assert len(list((root / product).rglob("*.tif"))) == number * 4 * each


def cloudy(world: World, scene: Any) -> float:
    """Share of cloud in all that the scene shows."""
    row, column, rows, columns = world.reach(scene, 20)
    classes = world.pixels(scene, "SCL", np.arange(row, row + rows), np.arange(column, column + columns))
    return float(np.isin(classes, (8, 9)).sum() / (classes != 0).sum())


def scl(world: World, scene: str, row: pd.Series) -> np.ndarray:
    side = int(row["size_m"]) // 20
    return world.scl(scene, row["ulx"], row["uly"], side, side)


# -- SeasoNet: limits of the seasons, and the two splits -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seasonet(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The recipe on the tests' common world (2019, six scenes a tile), of three bands. Read only."""
    folder = tmp_path_factory.mktemp("seasonet")
    land_cover(known(WORLD), folder / "cover.gpkg")
    region_types(known(WORLD), folder / "regions.gpkg")
    config = document("seasonet") | {
        "aoi": {"bbox": [11.962, 41.972, 12.038, 42.028]},
        "provider": {"like": "simulated", "path": str(world / "catalog.json")},
    }
    config["collections"] = {"s2_l2a": {"bands": ["B02", "B03", "B04"]}}
    # two seasons hold a third of the year: with six scenes most cells would have none
    config["periods"] = {**config["periods"], "year": 2019, "reading": "trimmed"}
    config["labels"]["clc"]["source"] |= {"path": str(folder / "cover.gpkg")}
    config["attributes"]["path"] = str(folder / "regions.gpkg")
    del config["export"]
    return config, build(config, folder)


def test_seasons_have_the_images_that_a_recount_allows(seasonet: tuple[dict[str, Any], Path]):
    config, results = seasonet
    world, seen, without = known(WORLD), 0, 0
    cells = read_table(results / "index.parquet")
    for period in load_config(config).all_periods():
        for tile, rows in cells.groupby("tile"):
            chosen = pd.read_parquet(results / f"tiles/{tile}/{period.name}/selection.parquet").query(
                "status == 'used'"
            )
            used = chosen.groupby("cell_id")["scene_id"].agg(list).to_dict()
            start, end = period.days()[0]
            scenes = [each for each in world.scenes() if each.tile == tile and start <= each.datetime.date() <= end]
            for _, row in rows.iterrows():
                fit = [each.id for each in scenes if seasonable(period.name, scl(world, each.id, row))]
                mine = [world.scene(each).id for each in used.get(row["cell_id"], [])]
                assert len(mine) == min(1, len(fit)) and set(mine) <= set(fit), (row["cell_id"], period.name, mine, fit)
                seen, without = seen + len(mine), without + (not fit and len(scenes) > 0)
    assert seen > 50 and without > 10, (seen, without)


def seasonable(period: str, classes: np.ndarray) -> bool:
    """SeasoNet's limits, read from the paper: shares of the patch's pixels; none without data."""
    share = {
        name: float(np.isin(classes, of).mean())
        for name, of in {"snow": [11], "cloud": [8, 9], "any": [3, 7, 8, 9, 10]}.items()
    }
    if (classes == 0).any():
        return False
    if period == "snow":
        return share["snow"] >= 0.1 and share["any"] <= 0.05
    return share["snow"] < (0.1 if period == "winter" else 0.01) and share["cloud"] < (
        0.1 if period == "winter" else 0.05
    )


def test_region_types_and_grids_are_in_the_index(seasonet: tuple[dict[str, Any], Path]):
    index = read_table(seasonet[1] / "index.parquet")
    assert set(index["grid"]) == {1, 2}
    assert set(zip(index["SLRAUM"], index["lon"] < 12, strict=True)) == {(1, True), (2, False)}


def shared_ground(cells: gpd.GeoDataFrame) -> float:
    """Square metres that two splits share, whatever zone or grid."""
    parts = cells[cells["split"] != ""].to_crs(32633)
    # a hair less than the cell: its edges bend in the other zone
    grounds = {name: shapely.union_all(each.geometry.buffer(-0.5)) for name, each in parts.groupby("split")}
    return sum(one.intersection(other).area for one, other in itertools.combinations(grounds.values(), 2))


def test_strict_splits_share_no_ground_and_published_ones_do(seasonet: tuple[dict[str, Any], Path], tmp_path: Path):
    config, results = seasonet
    published = read_table(results / "index.parquet")
    assert shared_ground(published) > 100_000
    strict = copy.deepcopy(config)
    strict["split"] |= {"unit": "block", "block_m": 2400, "audit": {"mode": "fail"}}
    told = parsed(IndexSettings, DatasetConfig.load(strict, ROOT).settings("index"))
    outputs = [tmp_path / name for name in ("index.parquet", "statistics.json", "collection.json")]
    index_stage.make_index(sorted((results / "zones").glob("*.parquet")), told, *outputs)
    made = read_table(outputs[0])
    assert set(made["split"]) >= {"train", "val", "test"}
    assert shared_ground(made) == 0


# -- own samples ---------------------------------------------------------------------------------------------------------------------

# In both sites of the tests' common world: two fields in zone 33, one in the south.
PLACES = [
    ("a", 12.015, 42.000, "2019-06-20", "wheat"), ("b", 12.018, 42.012, "2019-10-20", "maize"), ("c", 29.99, -30.0, "2019-06-01", "wheat"),
]  # fmt: skip


def write_places(path: Path, *places: tuple[Any, ...]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "lon", "lat", "date", "label"), *places])


@pytest.fixture(scope="module")
def sampled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Path]]:
    folder = tmp_path_factory.mktemp("samples")
    config = document("own-samples") | {"provider": {"like": "simulated", "path": str(world / "catalog.json")}}
    config["aoi"]["points"]["path"] = str(folder / "places.csv")
    config["periods"][0]["reference"] = {"from_days": -60, "to_days": 60}  # six scenes a year
    config["mask"]["max_bad"] = 1.0
    config["accept"] = {}
    write_places(folder / "places.csv", *PLACES)
    project = Project(folder / "work", config, warm=True)
    project.run("results/own-samples/index.parquet")
    yield project, folder / "places.csv"


def test_images_are_of_the_days_around_each_samples_date(sampled: tuple[Project, Path]):
    project, _ = sampled
    world = known(WORLD)
    dataset = tilewright.open(project.results)
    for name, lon, lat, day, label in PLACES:
        row = dataset.index[dataset.index["sample_id"] == name].iloc[0]
        assert row["sample_label"] == label and f"{row['reference_date']:%Y-%m-%d}" == day
        assert abs(row["lon"] - lon) < 6e-4 and abs(row["lat"] - lat) < 6e-4, "the middle, moved to the grid of 20 m"
        near = [
            scene.id for scene in world.scenes() if scene.tile == row["tile"] and abs(scene.datetime.date() - date.fromisoformat(day)) <= timedelta(60)
        ]  # fmt: skip
        whole = {scene for scene in near if (scl(world, scene, row) != 0).all()}
        mine = (
            [world.scene(str(each)).id for each in dataset[row["cell_id"]]["s2_l2a"]["scene_id"].values]
            if row["dates"]
            else []
        )
        assert set(mine) <= whole and len(mine) == min(3, len(whole)) > 0


def test_one_more_sample_costs_its_own_tile(sampled: tuple[Project, Path]):
    project, places = sampled
    target = "results/own-samples/index.parquet"
    south = project.digests("tiles/35JQG")
    write_places(places, *PLACES, ("d", 12.022, 42.004, "2019-06-25", "rape"))
    run = project.run(target)
    once = ("cells", "mask", "crop", "group", "zone", "index")
    assert {rule: count for rule, count in run.jobs.items() if rule != "search"} == dict.fromkeys(once, 1)
    assert run.jobs["search"] <= 1, "only where its days reach beyond those of the tile's others"
    assert project.digests("tiles/35JQG") == south
    assert set(read_table(project.results / "index.parquet")["sample_id"]) == {"a", "b", "c", "d"}
    assert not project.run(target).jobs


# -- what is wrong --------------------------------------------------------------------------------------------------------------------


def without_population(folder: Path, world: Path) -> dict[str, Any]:
    (folder / "cities.csv").write_text("city,lat,lng\nRome,41.9,12.5\n")
    config = document("ssl4eo-s12") | {"provider": {"like": "simulated", "path": str(world / "catalog.json")}}
    config["aoi"]["cities"]["table"] = str(folder / "cities.csv")
    return config


def elsewhere(folder: Path, world: Path) -> dict[str, Any]:
    parcels(known(WORLD), folder / "parcels.gpkg")
    config = document("deepsatdata") | {
        "aoi": {"bbox": [12.1, 42.2, 12.13, 42.22]},
        "provider": {"like": "simulated", "path": str(world / "catalog.json")},
    }
    config["labels"]["parcels"]["source"] |= {"path": str(folder / "parcels.gpkg")}
    del config["collections"]["s2_l1c"]
    return config


def snow_in_summer(folder: Path, world: Path) -> dict[str, Any]:
    land_cover(known(WORLD), folder / "cover.gpkg")
    config = document("seasonet") | {
        "aoi": {"bbox": [11.98, 41.99, 12.02, 42.01]},
        "provider": {"like": "simulated", "path": str(world / "catalog.json")},
    }
    config["labels"]["clc"]["source"] |= {"path": str(folder / "cover.gpkg")}
    config["collections"] = {"s2_l2a": {"bands": ["B02"]}}
    config["periods"] = [{"name": "summer", "start": "2019-07-01", "end": "2019-08-31", "mask": {"min_snow": 0.9}}]
    config["accept"] = {"complete": True}
    del config["attributes"], config["export"]
    return config


def contradictory(folder: Path, world: Path) -> dict[str, Any]:
    config = snow_in_summer(folder, world)
    config["periods"] = {**document("seasonet")["periods"], "snow": {"max_snow": 0.05}}
    return config


FAULTS: dict[str, tuple[Callable[[Path, Path], dict[str, Any]], tuple[str, ...]]] = {
    "a city table without population": (without_population, ("cities.csv", "population")),
    "ground truth outside the area": (elsewhere, ("cells.labelled_by", "meets any", "aoi")),
    "a season with no valid scene anywhere": (snow_in_summer, ("accept.complete", "period summer", "snow")),
    "contradictory limits": (contradictory, ("periods", "snow", "min_snow 0.1 is above max_snow 0.05")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_gets_one_message_that_names_the_mend(name: str, world: Path, tmp_path: Path):
    change, words = FAULTS[name]
    with pytest.raises(TilewrightError) as raised:
        config = change(tmp_path, world)
        if name.startswith("a city"):
            DatasetConfig.load(config, ROOT)  # the table is read when the locations are drawn
            from tilewright.locations import most_populous

            most_populous(config["aoi"]["cities"]["table"], 10)
        build(config, tmp_path)
    message = str(raised.value)
    assert [each for each in words if each not in message] == [], message
    assert "\n" not in message
