"""What became of the scenes, as tables: by period, by companion, by radiometry; duplicates and parts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tilewright.config.bands import PRIMARY
from tilewright.report.facts import Facts

_MAX_BROKEN: Final = 200


@dataclass(frozen=True)
class PeriodRow:
    """One collection in one period: counts, and refusals of (cell, scene) pairs as (reason, pairs).

    `missing`: dates of cells that have no companion.
    """

    name: str
    collection: str
    scenes: int
    used: int
    patches: int
    missing: int
    refusals: list[tuple[str, int]]
    empty_tiles: list[str]
    broken: list[str]
    more_broken: int


def periods(facts: Facts) -> list[PeriodRow]:
    """A row a period, and after it one for each companion, in the order of the statistics."""
    return [
        PeriodRow(
            period, collection, part["scenes"], part["scenes_used"], part["patches"], part["missing"], list(part["refusals"].items()),
            part["tiles_without_scenes"], part["broken"][:_MAX_BROKEN], max(0, len(part["broken"]) - _MAX_BROKEN),
        )
        for period, collection, part in _parts(facts)
    ]  # fmt: skip


def _parts(facts: Facts) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for period, part in facts.statistics["periods"].items():
        yield period, PRIMARY, part
        for name, of in part.get("companions", {}).items():
            yield period, name, of


@dataclass(frozen=True)
class RadiometryRow:
    """How many scenes of a collection were decided by one kind of evidence."""

    collection: str
    decision: str
    evidence: str
    scenes: int


def radiometry(facts: Facts) -> list[RadiometryRow]:
    """All periods together, the most scenes first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for _, collection, part in _parts(facts):
        for evidence, scenes in part["radiometry"].items():
            counts[collection, part["decisions"][evidence], evidence] += scenes
    order = list(facts.collections)
    rows = [RadiometryRow(*key, scenes) for key, scenes in counts.items()]
    return sorted(rows, key=lambda row: (order.index(row.collection), -row.scenes, row.decision, row.evidence))


@dataclass(frozen=True)
class CatalogRow:
    """What a collection's catalog held, all periods together; `refused`: scenes that could not serve at all, by reason."""

    collection: str
    scenes: int
    superseded: int
    parts: int
    refused: list[tuple[str, int]]


def catalogs(facts: Facts) -> list[CatalogRow]:
    """A row a collection."""
    rows = []
    for name in facts.collections:
        parts = [part for _, collection, part in _parts(facts) if collection == name]
        refused: Counter[str] = Counter()
        for part in parts:
            refused.update(part["refused_scenes"])
        scenes, superseded, of_parts = (sum(part[key] for part in parts) for key in ("scenes", "superseded", "parts"))
        rows.append(CatalogRow(name, scenes, superseded, of_parts, sorted(refused.items())))
    return rows
