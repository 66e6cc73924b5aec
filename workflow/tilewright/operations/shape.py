"""What a dataset is to hold: tiles, periods, label sets; by its config, its zones' tables and its index."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilewright.errors import TilewrightError
from tilewright.operations import places
from tilewright.operations.folders import names_of
from tilewright.rules import PROJECT, DatasetConfig, config_files

log = logging.getLogger(__name__)

# What features.parquet says of a source as the source itself does; its extent and counts are cut to the tile.
_OF_A_SOURCE = ("source", "kind", "snapshot", "rejects", "repaired", "notice")


@dataclass(frozen=True)
class Made:
    """What a tile was made with, by its zone's table, or by the index where that is not whole.

    After a run that failed in part the tables of some zones are older than those of others.

    Attributes:
        periods: that its rows tell of.
        labels: it has label sets.
        companions: it has collections that are paired with the primary.
        answers: names of the answers of APIs that its features were made of.
    """

    periods: tuple[str, ...] = ()
    labels: bool = False
    companions: bool = False
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """What is known of a dataset that was made, or was begun.

    Attributes:
        tiles: those of the index, or without one of the zones' tables.
        periods: those that it is to have; None where neither a config nor these tables tell.
        sources: names of the normalised sources that features were made of.
    """

    tiles: Mapping[str, Made] = field(default_factory=dict)
    periods: tuple[str, ...] | None = None
    sources: tuple[str, ...] = ()


def config_of(folder: Path, configfiles: Sequence[Path]) -> DatasetConfig | None:
    """The config of the dataset in a folder: of the files that are given, or of config/config.yaml where that is this dataset's.

    Paths in it are relative to the working folder, as for Snakemake. The files that it names need not be there: what was made of them
    is looked at, not they.

    Raises:
        TilewrightError: where the config that is given does not serve, or is another dataset's.
    """
    from tilewright.config.load import load_config, load_providers, merged_configs

    names = names_of(folder)
    files = config_files(configfiles)
    try:
        mapping = merged_configs(files) if files else {}
        if mapping.get("dataset") in names:
            config = load_config(mapping)
            return DatasetConfig(config, load_providers(config, PROJECT), ontologies={})
    except TilewrightError as error:
        if configfiles:
            raise
        log.warning("%s: %s; going on without a config", files[-1], error)
        return None
    if configfiles:
        raise TilewrightError(
            f"{files[-1]} is of the dataset {mapping.get('dataset')!r}, not of {names[0]!r}: give the config that made it"
        )
    return None


def shape_of(folder: Path, config: DatasetConfig | None) -> Shape:
    """What the index and the zones' tables say, those that are whole, and the config, where it is known.

    What only one of the two has is left out: it is not made yet, or no longer wanted.
    """
    index = _told(folder / places.INDEX)
    zones = [_told(path) for path in sorted((folder / "zones").glob("*.parquet"))]
    by_zone = {tile: zone for zone in zones for tile in zone.get("tiles", {})}
    summaries = {tile: zone["tiles"][tile] for tile, zone in by_zone.items()}
    tiles = {
        tile: _made(folder / places.TILES / tile, by_zone.get(tile, index), summaries.get(tile, index), config)
        for tile in index.get("tiles", by_zone)
    }
    if config is None:
        periods = sorted({period for made in tiles.values() for period in made.periods})
        return Shape(tiles, tuple(periods) if tiles else None)
    of_tiles = [summary for tile, summary in summaries.items() if tile in tiles]
    sources = _made_of(folder / "sources", config.sources, of_tiles)
    return Shape(tiles, tuple(config.periods), sources)


def _made(tile: Path, table: Mapping[str, Any], summary: Mapping[str, Any], config: DatasetConfig | None) -> Made:
    """What a tile was made with, by the metadata of a table and what of it is of the tile."""
    periods = tuple(summary.get("periods", ()))
    labels, collections = set(table.get("labels", {})), set(table.get("collections", {}))
    if config is None:
        return Made(periods, bool(labels), len(collections) > 1)
    wanted = bool(labels & set(config.label_sets))
    answers = _made_of(tile / places.ASKED, config.asked, [summary])
    return Made(periods, wanted, bool(collections & set(config.companions)), answers)


def _made_of(folder: Path, named: Mapping[str, str], summaries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Names of the tables in `folder` that features were made of, or that are there at least.

    Args:
        named: {label set: name of its table, by the config}.
        summaries: of tiles, by their zones' tables: what their features say of each label set's source.
    """
    made = set()
    for label_set, name in named.items():
        facts = [each["features"][label_set] for each in summaries if label_set in each.get("features", {})]
        if (folder / f"{name}.parquet").exists() or _is_of_now(folder, facts, named.values()):
            made.add(name)
    return tuple(sorted(made))


def _is_of_now(folder: Path, facts: Sequence[Mapping[str, Any]], wanted: Iterable[str]) -> bool:
    """Whether features were made of a table that is gone, not of one that the config named before it was edited.

    Such a one is still there, and says the same of itself as the features do. Where either could be, none is missed: the features are
    whole without it.

    Args:
        facts: what the features say of their source.
        wanted: the names that the config has now.
    """
    kept = {f"{each}.parquet" for each in wanted} | set(places.OF_A_PERIOD)  # a period may be called as the folder is
    others = [_told(path) for path in folder.glob("*.parquet") if path.name not in kept]
    known = [{key: other.get(key) for key in _OF_A_SOURCE} for other in others]
    return any({key: each.get(key) for key in _OF_A_SOURCE} not in known for each in facts)


def _told(table: Path) -> dict[str, Any]:
    """A table's own document; nothing where it is not there or damaged."""
    from tilewright.store.table import table_metadata

    try:
        return table_metadata(table)
    except TilewrightError:
        return {}
