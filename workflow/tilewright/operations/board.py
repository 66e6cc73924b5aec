"""How far a dataset is: which jobs are done, failed, begun or to do, from the names of files and the logs of what is not done."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tilewright.operations import places
from tilewright.operations.logs import Job, ending_of
from tilewright.rules import DatasetConfig

DONE: Final = "done"
FAILED: Final = "failed"
BEGUN: Final = "begun"  # its log has a beginning and no end: it is at work, or was killed
TO_DO: Final = "to do"
STATES: Final = (DONE, FAILED, BEGUN, TO_DO)

OF_TILES: Final = (
    "cells", "search", "search_companions", "mask", "crop", "group", "ask", "features", "labels", "export_tile",
)  # fmt: skip
STAGES: Final = ("simulate", "locations", "source", *OF_TILES, "zone", "index", "report", "export")
"""In the order of the way of the data."""
# Its outputs are `update()`: where it fails Snakemake puts back what was there, with the time of now.
_PUT_BACK: Final = "export_tile"


@dataclass(frozen=True)
class Expected:
    """What jobs a dataset consists of.

    Attributes:
        zones: {zone: its tiles}.
        world: catalog of the simulated world that the dataset is of, which lies outside its folder.
    """

    zones: dict[str, list[str]]
    periods: tuple[str, ...]
    companions: bool = False
    labels: bool = False
    sources: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    locations: bool = False
    world: Path | None = None

    @classmethod
    def by_config(cls, config: DatasetConfig, run_in: Path) -> "Expected":
        """As the rules multiply.

        Args:
            run_in: the folder that Snakemake runs in.

        Raises:
            TilewrightError: where the tiles are not known yet, as around cities before `locations`.
        """
        return cls(
            config.tiles_by_zone(), tuple(config.periods), bool(config.companions), bool(config.label_sets),
            tuple(sorted(set(config.sources.values()))), tuple(sorted(set(config.asked.values()))), tuple(config.layouts),
            config.config.aoi.cities is not None, run_in / config.simulated_catalog() if config.simulated_files() else None,
        )  # fmt: skip

    @classmethod
    def by_folder(cls, folder: Path) -> "Expected":
        """As the files tell that are there: what has not been begun is not known."""
        zones: dict[str, list[str]] = defaultdict(list)
        periods: set[str] = set()
        seen: set[str] = set()
        answers: set[str] = set()
        for tile in sorted(path for path in (folder / "tiles").glob("*") if places.TILE.fullmatch(path.name)):
            zones[places.zone_of(tile.name)].append(tile.name)
            for entry in os.scandir(tile):
                names = {each.name for each in os.scandir(entry)} if entry.is_dir() else set()
                if entry.is_dir() and places.is_period(entry.name, names):
                    periods.add(entry.name)
                    seen |= names
                if entry.name == places.ASKED:
                    found = (name for name in names if name.endswith(".parquet") and name not in places.OF_A_PERIOD)
                    answers |= {name.removesuffix(".parquet") for name in found}
                seen.add(entry.name)
        layouts = {
            path.name.removesuffix(places.TABLES) for path in (folder / "exports").glob("*") if path.name[0] != "."
        }
        return cls(
            dict(sorted(zones.items())), tuple(sorted(periods)), places.COMPANIONS in seen, places.FEATURES in seen,
            tuple(sorted(path.stem for path in (folder / "sources").glob("*.parquet"))),
            tuple(sorted(answers)), tuple(sorted(layouts)),
            (folder / places.LOCATIONS).exists(),
        )  # fmt: skip

    @property
    def tiles(self) -> list[str]:
        """All tiles, zone by zone."""
        return [tile for tiles in self.zones.values() for tile in tiles]

    def of_tile(self, tile: str) -> Iterator[tuple[Job, str]]:
        """Each job of a tile, and the file by which it is known to be done, relative to the tile's folder."""
        yield Job("cells", tile), places.CELLS
        for period in self.periods:
            yield Job("search", tile, period), f"{period}/{places.SCENES}"
            if self.companions:
                yield Job("search_companions", tile, period), f"{period}/{places.COMPANIONS}"
            yield Job("mask", tile, period), f"{period}/{places.MASKS}"
            yield Job("crop", tile, period), f"{period}/{places.SELECTION}"
        yield Job("group", tile), places.SERIES
        for name in self.answers:
            yield Job("ask", tile, name=name), f"asked/{name}.parquet"
        if self.labels:
            yield Job("features", tile), places.FEATURES
            yield Job("labels", tile), places.LABELS

    def of_whole(self) -> Iterator[tuple[Job, str]]:
        """Each job of more than one tile, and its file relative to the dataset's folder."""
        if self.world is not None:
            yield Job("simulate"), str(self.world.absolute())
        if self.locations:
            yield Job("locations"), places.LOCATIONS
        for name in self.sources:
            yield Job("source", name=name), f"sources/{name}.parquet"
        for zone in self.zones:
            yield Job("zone", name=zone), f"zones/{zone}.parquet"
        yield Job("index"), places.COLLECTION
        yield Job("report"), places.REPORT
        for layout in self.layouts:
            yield Job("export", name=layout), f"exports/{layout}/{places.OF_AN_EXPORT[0]}"


@dataclass
class Board:
    """How far everything is.

    Attributes:
        counts: {stage: {state: jobs}}.
        tiles: {tile: {stage: {state: jobs}}}.
        failed: each failed job with its error, in order.
        begun: jobs that are at work, or were killed.
        locked: a run is at work in this folder, or was killed.
    """

    expected: Expected
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    tiles: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    failed: list[tuple[Job, str, Path]] = field(default_factory=list)
    begun: list[Job] = field(default_factory=list)
    locked: bool = False

    def state_of(self, tile: str) -> str:
        """A tile as a whole: failed where a job of it did, else begun where any is under way or done."""
        states = {state for counts in self.tiles[tile].values() for state, count in counts.items() if count}
        if states == {DONE}:
            return DONE
        return FAILED if FAILED in states else BEGUN if states & {BEGUN, DONE} else TO_DO


def board(folder: Path, logs: Path, expected: Expected) -> Board:
    """Look how far the dataset in `folder` is: a pass over the names below it and below `logs`; nothing is opened but the logs of jobs that are
    not done, and of those whose files outlive a failure.
    """  # noqa: D205
    found = Board(expected)
    kept = _Logs(logs)

    def count(job: Job, done: bool, counts: dict[str, dict[str, int]]) -> None:
        state, why = (DONE, "") if done and job.stage != _PUT_BACK else kept.state_of(job, done)
        for each in (found.counts, counts):
            of_stage = each.setdefault(job.stage, {})
            of_stage[state] = of_stage.get(state, 0) + 1
        if state == FAILED:
            found.failed.append((job, why, kept.path_of(job)))
        elif state == BEGUN:
            found.begun.append(job)

    for job, path in expected.of_whole():
        count(job, (folder / path).exists(), {})
    exported = {layout: _names(folder / "exports" / f"{layout}{places.TABLES}") for layout in expected.layouts}
    for tile in expected.tiles:
        counts = found.tiles[tile] = {}
        there = _below(folder / "tiles" / tile)
        for job, path in expected.of_tile(tile):
            count(job, path in there, counts)
        for layout, tiles in exported.items():
            tables = folder / "exports" / f"{layout}{places.TABLES}" / tile
            done = tile in tiles and "files.parquet" in _names(tables)
            count(Job("export_tile", tile, name=layout), done, counts)
    found.counts = {stage: found.counts[stage] for stage in STAGES if stage in found.counts}
    return found


class _Logs:
    """The logs of a dataset's jobs; which there are is looked up once a stage."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, set[str]] = {}

    def path_of(self, job: Job) -> Path:
        named = "-".join(
            filter(None, (job.name, job.tile) if job.stage == "export_tile" else (job.tile, job.period, job.name))
        )
        if job.stage == "simulate":  # of one world for all datasets
            return self._folder.parent / "simulate.log"
        return self._folder / job.stage / f"{named}.log" if named else self._folder / f"{job.stage}.log"

    def state_of(self, job: Job, there: bool) -> tuple[str, str]:
        """Of a job as its log, which is of the last attempt, has it, and its error; `there`: its file is."""
        done = DONE if there else TO_DO
        path = self.path_of(job)
        if str(path.parent) not in self._names:
            self._names[str(path.parent)] = _names(path.parent)
        if path.name not in self._names[str(path.parent)]:
            return done, ""
        ended, error = ending_of(path)
        return (FAILED, error) if error else (done if ended else BEGUN, "")


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return set()


def _below(folder: Path) -> set[str]:
    """Files in a tile's folder and in those in it, relative to it."""
    found = set()
    try:
        for entry in os.scandir(folder):
            if entry.is_dir():
                found |= {f"{entry.name}/{name}" for name in _names(folder / entry.name)}
            else:
                found.add(entry.name)
    except FileNotFoundError:
        pass
    return found
