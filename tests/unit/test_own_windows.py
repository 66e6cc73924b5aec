"""Windows around cells' own dates, fallbacks and products for a tile, from the search to the patches, recounted from the simulator's pixels."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import combinations, permutations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest

from harness import ROOT
from tilewright.config.cell_settings import CellsSettings
from tilewright.config.settings import CropSettings, MaskSettings, SearchSettings, parsed, parsed_access
from tilewright.config.simulated import Simulate, Site
from tilewright.imagery import Ask, ImageryReader
from tilewright.rules import DatasetConfig
from tilewright.simulate import make_world
from tilewright.simulate.world import World
from tilewright.stages import search as search_stage
from tilewright.stages.cells import make_cells
from tilewright.stages.crop import make_crop
from tilewright.stages.mask import make_mask
from tilewright.store import read_table, table_metadata

TILE = "35JQG"
WORLD = Simulate(
    seed=11, sites=[Site(name="natal", lon=30.0, lat=-30.0, side_m=3000, tiles=[TILE])], years=[2019, 2020], scenes_per_year=10,
)  # fmt: skip
LIMITS = {"max_bad": 0.4}
SIZE_M = 480
T = TypeVar("T")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dated")
    make_world(WORLD, folder)
    return folder


class Counting(ImageryReader):
    """Remembers how many pieces were asked for."""

    def __init__(self) -> None:
        super().__init__(2)
        self.boxes = 0

    def read(self, asks: Iterable[Ask], finish: Callable[[int, int, np.ndarray], T]) -> Iterator[tuple[int, int, T]]:
        def noted() -> Iterator[Ask]:
            for ask in asks:
                self.boxes += len(ask.boxes)
                yield ask

        return super().read(noted(), finish)


class Run:
    """One tile of a config: its tables by period."""

    def __init__(self, simulated: Path, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.dataset = DatasetConfig.load(
            {
                "dataset": "dated", "aoi": {"bbox": [29.986, -30.012, 29.999, -29.988]}, "cells": {"size_m": SIZE_M}, "mask": LIMITS,
                "provider": {"like": "simulated", "path": str(simulated / "catalog.json")}, "collections": {"s2_l2a": {"bands": ["B11"]}},
                **changes,
            },
            ROOT,
        )  # fmt: skip
        make_cells(TILE, self.told(CellsSettings, "cells", ""), folder / "cells.parquet")
        self.cells = read_table(folder / "cells.parquet")
        self.read = {}
        for period in self.dataset.periods:
            at = folder / period
            access = parsed_access(self.dataset.access)
            search_stage.make_search(self.told(SearchSettings, "search", period), at / "scenes.parquet", access)
            counting = Counting()
            of = folder / "cells.parquet", at / "scenes.parquet"
            make_mask(*of, self.told(MaskSettings, "mask", period), at / "masks.parquet", at / "m.json", counting)
            self.read[period] = counting.boxes
            make_crop(
                *of, None, at / "masks.parquet", self.told(CropSettings, "crop", period), at / "patches.zarr.zip",
                at / "selection.parquet", at / "p.json",
            )  # fmt: skip

    def told(self, model: type[T], stage: str, period: str) -> T:
        return parsed(model, self.dataset.settings(stage, tile=TILE, period=period))  # type: ignore[type-var]

    def table(self, period: str, name: str) -> pd.DataFrame:
        return read_table(self.folder / period / f"{name}.parquet")

    def used(self, period: str) -> dict[str, list[str]]:
        chosen = self.table(period, "selection")
        used = chosen[chosen["status"] == "used"].sort_values(["cell_id", "rank"])
        return used.groupby("cell_id")["scene_id"].agg(list).to_dict()


@cache
def world() -> World:
    return World(WORLD)


@cache
def truth() -> list[tuple[str, datetime]]:
    """(scene, time), oldest first."""
    return sorted(
        ((scene.id, scene.datetime.replace(tzinfo=None)) for scene in world().scenes()), key=lambda one: one[1]
    )


@cache
def classes(scene: str, ulx: float, uly: float) -> tuple[int, ...]:
    found = world().scl(scene, ulx, uly, SIZE_M // 20, SIZE_M // 20)
    return tuple(np.bincount(found.ravel(), minlength=12).tolist())


def serves(scene: str, cell: Any) -> bool:
    count = classes(scene, cell.ulx, cell.uly)
    return count[0] == 0 and sum(count[each] for each in (0, 1, 3, 8, 9)) / sum(count) <= LIMITS["max_bad"]


def inside(first: date, last: date) -> list[str]:
    return [scene for scene, time in truth() if first <= time.date() <= last]


def latest(scenes: list[str], cell: Any, number: int) -> list[str]:
    return [scene for scene in reversed(scenes) if serves(scene, cell)][:number]


def test_every_cell_has_the_latest_scene_of_its_own_shifted_season(simulated: Path, tmp_path: Path):
    periods = {"seasons": "ssl4eo-s12", "rule": "released", "year": 2020, "days": 25}
    run = Run(
        simulated, tmp_path, periods=periods,
        cells={"size_m": SIZE_M, "reference": {"date": "2019-12-21", "shift_days": 365}},
    )  # fmt: skip
    anchors = {
        "winter": date(2019, 12, 21), "spring": date(2020, 3, 20), "summer": date(2020, 6, 21), "fall": date(2020, 9, 22)
    }  # fmt: skip
    cells = list(run.cells.itertuples())
    assert len(cells) >= 4 and run.cells["reference_date"].nunique() > 3
    served = counted = 0
    for period, anchor in anchors.items():
        windows = {}
        for cell in cells:
            shift = date(2019, 12, 21) - cell.reference_date.date()
            assert timedelta(0) <= shift < timedelta(days=365)
            middle = anchor - shift
            windows[cell.cell_id] = inside(middle - timedelta(days=25), middle + timedelta(days=25))
        used = run.used(period)
        for cell in cells:
            wanted = latest(windows[cell.cell_id], cell, 1)
            assert used.get(cell.cell_id, []) == wanted, (period, cell.cell_id)
            served += len(wanted)
        masks = run.table(period, "masks")
        pairs = {(scene, cell) for cell, scenes in windows.items() for scene in scenes}
        assert set(zip(masks["scene_id"], masks["cell_id"], strict=True)) == pairs
        assert run.read[period] == len(pairs) == len(masks), "SCL is read for a cell's own days only"
        counted += len(pairs)
        chosen = run.table(period, "selection")
        told = chosen[chosen["reason"] == "outside the cell's window"]
        assert len(told) == len(cells) * chosen["scene_id"].nunique() - len(pairs)
        searched = table_metadata(run.folder / period / "scenes.parquet")["spans"]["s2_l2a"]
        assert searched == [str(anchor - timedelta(days=364 + 25)), str(anchor + timedelta(days=25))]
        rule = table_metadata(run.folder / period / "selection.parquet")["rule"]
        away = (anchor - date(2019, 12, 21)).days
        assert rule["reference"] == {"from_days": away - 25, "to_days": away + 25}
    assert served > len(cells)
    assert counted < len(cells) * len(truth()), "four seasons together count less than all scenes once"


def test_the_year_before_serves_only_where_the_season_does_not(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[date, date]] = []
    find = search_stage.find_items

    def noted(provider: Any, key: str, tile: Any, first: date, last: date, parallel: Any = None) -> Any:
        asked.append((first, last))
        return find(provider, key, tile, first, last, parallel)

    monkeypatch.setattr(search_stage, "find_items", noted)
    run = Run(simulated, tmp_path, periods={"seasons": "ssl4eo-s12", "rule": "paper", "year": 2020, "days": 20})
    anchors = {"spring": (3, 20), "summer": (6, 21), "fall": (9, 22), "winter": (12, 21)}
    kinds = set()
    for at, (period, day) in enumerate(anchors.items()):
        own, before = (
            (date(year, *day) - timedelta(days=20), date(year, *day) + timedelta(days=20)) for year in (2020, 2019)
        )
        assert asked[2 * at : 2 * at + 2] == [before, own], "nothing between the two is asked for"
        told = table_metadata(run.folder / period / "scenes.parquet")["spans"]["s2_l2a"]
        assert told == [[str(first), str(last)] for first, last in (before, own)]
        assert set(run.table(period, "scenes")["scene_id"]) == {*inside(*own), *inside(*before)}
        used = run.used(period)
        for cell in run.cells.itertuples():
            first, second = latest(inside(*own), cell, 1), latest(inside(*before), cell, 1)
            assert used.get(cell.cell_id, []) == (first or second), (period, cell.cell_id)
            kinds.add("own" if first else "before" if second else "none")
    assert {"own", "before"} <= kinds
    assert len(asked) == 8


@pytest.mark.parametrize("method", ["optimal", "greedy"])
def test_the_tiles_products_are_the_best_set_when_all_is_recounted(simulated: Path, tmp_path: Path, method: str):
    weights = {"cloud": 2, "overlap": 1, "nodata": 0.5, "spread": 1}
    period = {
        "name": "poi", "start": "2019-03-01", "end": "2019-09-30", "scenes": 3, "order": "spread", "weights": weights, "method": method
    }  # fmt: skip
    run = Run(simulated, tmp_path, periods=[period])
    cells = list(run.cells.itertuples())
    start, end = date(2019, 3, 1), date(2019, 9, 30)
    scenes = [scene for scene in inside(start, end) if any(serves(scene, cell) for cell in cells)]
    time = dict(truth())
    step = (end - start).days / 2
    targets = [(start - date(1970, 1, 1)).days + at * step for at in range(3)]

    def cost(scene: str, target: float) -> float:
        counts = [classes(scene, cell.ulx, cell.uly) for cell in cells]
        met = [count for count in counts if sum(count[1:])]
        pixels, filled = sum(map(sum, met)), sum(sum(count[1:]) for count in met)
        return (
            abs((time[scene].date() - date(1970, 1, 1)).days - target) / step
            + 2 * sum(count[8] + count[9] for count in met) / filled
            + (1 - len(met) / len(cells))
            + 0.5 * sum(count[0] for count in met) / pixels
        )

    assert len(scenes) > 4
    if method == "optimal":
        of = {
            some: min(sum(map(cost, order, targets)) for order in permutations(some)) for some in combinations(scenes, 3)
        }  # fmt: skip
        best = set(min(of, key=lambda some: of[some]))
    else:
        best = set()
        for target in targets:
            best.add(min((scene for scene in scenes if scene not in best), key=lambda scene: cost(scene, target)))
    used = run.used("poi")
    for cell in cells:
        wanted = [scene for scene in scenes if scene in best and serves(scene, cell)]
        assert used.get(cell.cell_id, []) == wanted
    assert {scene for each in used.values() for scene in each} == best
    chosen = run.table("poi", "selection")
    others = chosen[~chosen["scene_id"].isin(best)]
    assert {"unneeded"} <= set(others["status"]) <= {"unneeded", "refused"}


def test_a_scenes_cloud_cover_is_what_the_catalog_says(simulated: Path, tmp_path: Path):
    period = {"name": "year", "start": "2019-01-01", "end": "2020-12-31", "scenes": 40, "order": "latest"}
    run = Run(simulated, tmp_path, periods=[period], mask={**LIMITS, "max_scene_cloud": 0.2})
    known = run.table("year", "scenes").set_index("scene_id")["cloud_cover"]
    clear = {scene for scene, share in known.items() if share <= 20}
    assert 0 < len(clear) < len(known)
    for cell in run.cells.itertuples():
        wanted = [scene for scene, _ in reversed(truth()) if scene in clear and serves(scene, cell)]
        assert run.used("year").get(cell.cell_id, []) == wanted
    chosen = run.table("year", "selection")
    assert set(chosen[~chosen["scene_id"].isin(clear)]["reason"]) == {"scene cloud"}


OTHER_GROUND = {
    "a place put before the others": ("samples", ["29.990,-30.000", "29.994,-30.003"], ["29.996,-29.998", "29.990,-30.000"]),
    "lattices from elsewhere": ("grids", [0, 240], [120, 360]),
    "another stride": ("lattice", 480, 240),
}  # fmt: skip


@pytest.mark.parametrize("edit", OTHER_GROUND)
def test_patches_of_other_ground_under_the_same_id_do_not_serve_again(simulated: Path, tmp_path: Path, edit: str):
    """Ids of places count rows of a file, those of grids and strides count steps: an edit may give one to other ground."""
    strategy, *values = OTHER_GROUND[edit]

    def run(folder: Path, value: Any) -> Run:
        told: dict[str, Any] = {"cells": {"size_m": SIZE_M, "strategy": strategy}}
        if strategy == "samples":
            file = tmp_path / "places.csv"
            file.write_text("\n".join(["lon,lat", *value, ""]))
            told["aoi"] = {"points": {"path": str(file)}}
        else:
            told["cells"] |= {"stride_m": value} if strategy == "lattice" else {"grids": {"offsets_m": value}}
        period = {"name": "all", "start": date(2019, 1, 1), "end": date(2020, 12, 31), "scenes": 1, "order": "latest"}
        return Run(simulated, folder, periods=[period], mask={"max_bad": 1.0, "max_nodata": 1.0}, **told)

    before = run(tmp_path / "edited", values[0])
    after = run(tmp_path / "edited", values[1])
    fresh = run(tmp_path / "fresh", values[1])
    written = [each.folder / "all" / "patches.zarr.zip" for each in (after, fresh)]
    assert written[0].read_bytes() == written[1].read_bytes()
    if strategy != "lattice":
        assert set(before.cells["cell_id"]) & set(after.cells["cell_id"]), "or nothing could have been mistaken"
    again = run(tmp_path / "edited", values[1])
    assert json.loads((again.folder / "all" / "p.json").read_text())["pieces_read"] == 0, "the same ground serves again"
