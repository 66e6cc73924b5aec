"""What the jobs of the plan cost: the models of `tilewright.costs`, given the work that was found in a sample of tiles."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tilewright.config.bands import PRIMARY
from tilewright.costs import Work, job_cost
from tilewright.costs.expected import Known, work_of
from tilewright.plan.features import features_in, features_near, source_mb
from tilewright.plan.files import Taken
from tilewright.plan.ground import Ground
from tilewright.plan.imagery import Imagery
from tilewright.plan.jobs import jobs_of
from tilewright.rules import DatasetConfig
from tilewright.store.patches import groups_of

_BYTES: Final = {"uint8": 1, "uint16": 2, "float32": 4}


@dataclass(frozen=True)
class Bill:
    """What all jobs of a rule cost.

    Attributes:
        jobs: how many.
        cpu_s: CPU seconds, of all together.
        longest_s: CPU seconds of the longest.
        mem_mb: of the largest, at its peak.
        scratch_mb: disk that the largest needs while it runs.
        output_mb: what all write.
        wire_mb: what all fetch.
    """

    jobs: int
    cpu_s: float
    longest_s: float
    mem_mb: float
    scratch_mb: float
    output_mb: float
    wire_mb: float


class Sample:
    """The tiles that were looked at, and for how many each of them stands.

    Attributes:
        weight: tiles that each stands for.
        more: cells of these, to as many times those of the sample.
        empty: tiles without cells.
    """

    def __init__(self, ground: Ground, imagery: Mapping[str, Mapping[str, Imagery]]) -> None:
        """Args: `imagery`: tile → period → what it takes, of the sampled tiles."""
        self.ground = ground
        self.imagery = imagery
        self.empty = sum(count == 0 for count in ground.cells.values())
        self.weight = (len(ground.cells) - self.empty) / max(1, len(imagery))
        held = self.weight * sum(len(ground.sample[tile]) for tile in imagery)
        self.more = ground.total / held if held else 0.0

    def total(self, amount: Mapping[str, float]) -> float:
        """Of the dataset, given what it is in each sampled tile."""
        return sum(amount.values()) * self.weight * self.more

    def periods(self) -> Iterator[tuple[str, str, Imagery]]:
        """(tile, period, what it takes)."""
        for tile, by_period in self.imagery.items():
            for period, one in by_period.items():
                yield tile, period, one


def bills(dataset: DatasetConfig, sample: Sample) -> dict[str, Bill]:
    """Rule → what its jobs cost, of all rules but `all`, in the order of the way of the data."""
    works, jobs = _Works(dataset, sample), jobs_of(dataset, len(sample.ground.cells), len(sample.ground.zones))
    return {rule: _bill(rule, count, list(works.of(rule))) for rule, count in jobs.items() if rule != "all"}


class Kind(NamedTuple):
    """Some jobs of a rule that are alike.

    Attributes:
        share: how many, to the others'.
        work: of each.
        wire_mb: what each fetches of imagery, where that was found file by file; None: as the model has it.
    """

    share: float
    work: Work
    wire_mb: float | None = None


def _bill(rule: str, jobs: int, kinds: Sequence[Kind]) -> Bill:
    costs = [job_cost(rule, kind.work) for kind in kinds]
    each = jobs / sum(kind.share for kind in kinds)

    def summed(amounts: Iterable[float]) -> float:
        return each * sum(kind.share * amount for kind, amount in zip(kinds, amounts, strict=True))

    wire = [cost.wire_mb if kind.wire_mb is None else kind.wire_mb for kind, cost in zip(kinds, costs, strict=True)]
    return Bill(
        jobs, summed(cost.cpu_s for cost in costs), max(cost.cpu_s for cost in costs), max(cost.mem_mb for cost in costs),
        max(cost.disk_mb for cost in costs), summed(cost.output_mb for cost in costs), summed(wire),
    )  # fmt: skip


class _Works:
    """The work of the jobs of each rule."""

    def __init__(self, dataset: DatasetConfig, sample: Sample) -> None:
        self._dataset, self._sample, self._config = dataset, sample, dataset.config
        most = work_of(self._config, "features", Known(cells=0)).features
        self._near = {tile: features_near(dataset, sample.ground.sample[tile], most) for tile in sample.imagery}

    def of(self, rule: str) -> Iterator[Kind]:
        """The kinds of jobs that a rule has."""
        ground = self._sample.ground
        if rule in ("search", "search_companions", "mask", "crop"):
            yield from self._by_period(rule)
        elif rule == "source":
            for name in sorted(set(self._dataset.sources.values())):
                labels = self._dataset.of_source(name)
                yield Kind(1, Work(features=features_in(labels, self._dataset), source_mb=source_mb(labels)))
        elif rule == "zone":
            for tiles in ground.zones.values():
                yield Kind(1, self._gathered(len(tiles), sum(ground.cells[tile] for tile in tiles)))
        elif rule in ("cells", "ask", "features", "labels", "group", "export_tile"):
            yield from self._by_tile(rule)
        else:  # once
            whole = self._gathered(len(ground.cells), ground.total)
            for layout in self._dataset.layouts if rule == "export" else [""]:
                yield Kind(1, replace(whole, layout=layout))

    def _by_period(self, rule: str) -> Iterator[Kind]:
        sample = self._sample
        for tile, _, one in sample.periods():
            cells = round(len(sample.ground.sample[tile]) * sample.more)
            yield self._of_period(rule, cells, one)
            if sample.empty:  # they search, and read nothing
                nothing = replace(one, mask=Taken(), crop={}, patches={})
                yield self._of_period(rule, 0, nothing)._replace(share=sample.empty / len(sample.imagery))
        if not sample.imagery:
            yield Kind(1, Work())

    def _of_period(self, rule: str, cells: int, one: Imagery) -> Kind:
        more, weight = self._sample.more, self._sample.weight
        if rule in ("search", "search_companions"):
            keys = [PRIMARY] if rule == "search" else self._dataset.companions
            asked = any(self._dataset.providers[key].kind == "api" for key in keys)
            work = Work(scenes=one.found[PRIMARY] if rule == "search" else one.companions)
            return Kind(weight, work, None if asked else 0.0)
        if rule == "mask":
            work = Work(cells=cells, scenes=one.scenes, read_mb=one.mask.mb * more)
            return Kind(weight, work, one.mask.wire_mb * more)
        mb = {collection: taken.mb * more for collection, taken in one.crop.items()}
        pieces, pixels_mb = self._patches(one.patches)
        work = Work(
            cells=cells, scenes=one.scenes, companions=one.companions, pieces=pieces, pixels_mb=pixels_mb,
            read_mb=mb.get(PRIMARY, 0) + mb.get("s1_rtc", 0), jp2_mb=mb.get("s2_l1c", 0), radar_mb=mb.get("s1_grd", 0),
        )  # fmt: skip
        return Kind(weight, work, sum(taken.wire_mb for taken in one.crop.values()) * more)

    def _by_tile(self, rule: str) -> Iterator[Kind]:
        sample = self._sample
        for tile, by_period in sample.imagery.items():
            frame = sample.ground.sample[tile]
            patches: Counter[str] = Counter()
            for one in by_period.values():
                patches.update(one.patches)
            known = Known(cells=round(len(frame) * sample.more), features=self._near[tile])
            for kind in self._layouts(rule, self._with(work_of(self._config, rule, known), patches)):
                yield kind._replace(share=sample.weight)
        if sample.empty or not sample.imagery:
            nothing = self._with(work_of(self._config, rule, Known(cells=0, features=0)), {})
            for kind in self._layouts(rule, nothing):
                yield kind._replace(share=sample.empty or 1.0)

    def _layouts(self, rule: str, work: Work) -> Iterator[Kind]:
        for layout in self._dataset.layouts if rule == "export_tile" else [""]:
            yield Kind(1, replace(work, layout=layout))

    def _gathered(self, tiles: int, cells: float) -> Work:
        """Of a job over many tiles."""
        patches: Counter[str] = Counter()
        for _, _, one in self._sample.periods():
            patches.update(one.patches)
        of_sample = sum(len(self._sample.ground.sample[tile]) for tile in self._sample.imagery)
        here = (
            {key: count / self._sample.more * cells / of_sample for key, count in patches.items()} if of_sample else {}
        )
        known = Known(tiles=tiles, cells=round(cells), features=self._features(tiles))
        return self._with(work_of(self._config, "index", known), here)

    def _features(self, tiles: int) -> float:
        return sum(self._near.values()) / max(1, len(self._near)) * tiles

    def _with(self, work: Work, patches: Mapping[str, float]) -> Work:
        """The work with the pixels of as many dates of cells, by collection."""
        pieces, pixels_mb = self._patches(patches)
        return replace(work, pieces=pieces, pixels_mb=pixels_mb)

    def _patches(self, patches: Mapping[str, float]) -> tuple[float, float]:
        """Pieces and MB of pixels of as many dates of cells, by collection, in a sampled tile."""
        pieces = pixels = 0.0
        size_m = self._config.cells.size_m
        for collection, count in patches.items():
            for group in groups_of(collection, self._config.collections[collection].bands):
                pieces += count * len(group.bands)
                pixels += count * len(group.bands) * group.side(size_m) ** 2 * _BYTES[group.dtype]
        return pieces * self._sample.more, pixels * self._sample.more / 1e6
