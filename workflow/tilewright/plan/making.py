"""The plan of a dataset: everything that its run will cost, before any pixel is read."""

from collections import Counter
from dataclasses import dataclass

from tilewright.config.bands import PRIMARY
from tilewright.config.settings import CropSettings, MaskSettings, parsed, parsed_access
from tilewright.costs.sources import is_unsized
from tilewright.grid import tile as tile_named
from tilewright.plan.features import UNSIZED
from tilewright.plan.files import Files
from tilewright.plan.finding import SIMULATED, Finding, site_outline
from tilewright.plan.ground import Ground, survey
from tilewright.plan.imagery import Imagery, imagery_of
from tilewright.plan.jobs import jobs_of
from tilewright.plan.price import Bill, Sample, bills
from tilewright.plan.wall import Wall, wall_of
from tilewright.rules import DatasetConfig


@dataclass(frozen=True)
class Plan:
    """What a run from nothing costs.

    Attributes:
        periods: names.
        scenes: collection → items that the searches find, all tiles and periods together.
        serving: acquisitions of the primary collection, by tile and period, that serve any cell.
        patches: collection → dates that cells get, all together.
        read: "mask", or of crop the collection → (MB that are unpacked, MB that are fetched).
        jobs: rule → jobs, those of `all` too.
        bills: rule → what its jobs cost.
        wall: how long it takes.
        basis: what figures rest on, in words: cells, scenes by collection, imagery, files, costs, features of label sets whose source has
            no size.
        looked_at: tiles whose imagery was planned; the others are taken for such.
    """

    dataset: str
    ground: Ground
    periods: list[str]
    scenes: dict[str, float]
    serving: float
    patches: dict[str, float]
    read: dict[str, tuple[float, float]]
    jobs: dict[str, int]
    bills: dict[str, Bill]
    wall: Wall
    basis: dict[str, str]
    looked_at: int

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the jobs and of Snakemake itself."""
        return self.total("cpu_s") + self.wall.own_s

    def total(self, amount: str) -> float:
        """The sum of an attribute of `Bill` over all rules."""
        return float(sum(getattr(bill, amount) for bill in self.bills.values()))


def make_plan(dataset: DatasetConfig, looked_at: int, search: bool, cores: int, mbit: float | None) -> Plan:
    """Plan a dataset.

    Args:
        looked_at: tiles at most whose scenes are found and chosen.
        search: whether STAC APIs are asked for scenes, and servers for the headers of a few files.
        cores: that the run has.
        mbit: Mbit/s of the connection; None: that is no limit.

    Raises:
        TilewrightError: an AOI, files or a catalog that do not serve.
    """
    ground = survey(dataset, looked_at)
    finding = Finding(dataset, search)
    world = dataset.config.simulate if SIMULATED in finding.known.values() else None
    outlines = {name: site_outline(world, tile_named(name)) for name in ground.sample} if world else {}
    simulated = {name: outline for name, outline in outlines.items() if outline is not None}
    files = Files(parsed_access(dataset.access), search, simulated)
    imagery = {
        name: {period: _imagery(dataset, ground, finding, files, name, period) for period in dataset.periods}
        for name in ground.sample
    }
    sample = Sample(ground, imagery)
    told = bills(dataset, sample)
    found, serving, patches = _found(dataset, sample)
    basis = {
        "cells": ground.known,
        **{f"scenes {collection}": words for collection, words in finding.known.items()},
        "imagery": "crop's own choice on made-up skies",
        "files": files.words(),
        "costs": "measured models of the stages",
        **{f"features {name}": UNSIZED for name, each in dataset.sets.items() if is_unsized(each)},
    }
    jobs = jobs_of(dataset, len(ground.cells), len(ground.zones))
    return Plan(
        dataset.name, ground, dataset.periods, found, serving, patches, _read(sample), jobs, told,
        wall_of(told, cores, mbit), basis, len(imagery),
    )  # fmt: skip


def _imagery(dataset: DatasetConfig, ground: Ground, finding: Finding, files: Files, name: str, period: str) -> Imagery:
    masking, cropping = (dataset.settings(stage, tile=name, period=period) for stage in ("mask", "crop"))
    return imagery_of(
        tile_named(name), ground.sample[name], finding.scenes(name, period), parsed(MaskSettings, masking),
        parsed(CropSettings, cropping), files,
    )  # fmt: skip


def _found(dataset: DatasetConfig, sample: Sample) -> tuple[dict[str, float], float, dict[str, float]]:
    """Scenes that are found and patches, by collection, and acquisitions that serve: of the whole dataset."""
    tiles = len(sample.ground.cells)
    scenes: Counter[str] = Counter()
    patches: Counter[str] = Counter()
    serving = 0.0
    for _, _, one in sample.periods():
        scenes.update(one.found)
        patches.update(one.patches)
        serving += one.serving
    each = tiles / max(1, len(sample.imagery))
    keys = [PRIMARY, *dataset.companions]
    return (
        {key: scenes[key] * each for key in keys}, serving * sample.weight,
        {key: patches[key] * sample.weight * sample.more for key in keys},
    )  # fmt: skip


def _read(sample: Sample) -> dict[str, tuple[float, float]]:
    """MB that mask, and crop by collection, unpack and fetch in the whole dataset."""
    read: dict[str, tuple[float, float]] = {}
    for _, _, one in sample.periods():
        for key, taken in (("mask", one.mask), *one.crop.items()):
            mb, wire_mb = read.get(key, (0.0, 0.0))
            read[key] = mb + taken.mb, wire_mb + taken.wire_mb
    scale = sample.weight * sample.more
    return {key: (mb * scale, wire_mb * scale) for key, (mb, wire_mb) in read.items()}
