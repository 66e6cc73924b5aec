"""What a dataset is to hold: tiles, periods, label sets; by its config, its zones' tables and its index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tilewright.errors import TilewrightError
from tilewright.rules import PROJECT, DatasetConfig, config_files

INDEX: Final = "index.parquet"


@dataclass(frozen=True)
class Shape:
    """What is known of a dataset that was made, or was begun.

    Attributes:
        tiles: {tile that a zone's table, or the index, was made with: its periods there}.
        periods: those that it is to have; None where neither a config nor these tables tell.
        labels: these tables have label sets.
        companions: they have collections that are paired with the primary.
        sources: names of what their label sets are read from, once for all tiles.
        answers: names of those that are asked for by tile.
    """

    tiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    periods: tuple[str, ...] | None = None
    labels: bool = False
    companions: bool = False
    sources: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def folder_of(given: Path) -> Path:
    """The dataset's folder. Raises TilewrightError where it is none."""
    if not given.is_dir():
        raise TilewrightError(f"{given} is no folder: give a dataset's, such as results/demo")
    if not any((given / name).exists() for name in ("tiles", "zones", INDEX)):
        raise TilewrightError(
            f"{given} is no dataset: neither tiles nor an index are in it; give one's folder, such as results/demo"
        )
    return given


def is_locked(folder: Path) -> bool:
    """Whether a run is at work on the dataset, or was killed."""
    locks = folder.absolute().parents[1] / ".snakemake" / "locks"
    return locks.is_dir() and any(locks.iterdir())


def config_of(folder: Path, configfiles: Sequence[Path]) -> DatasetConfig | None:
    """The config of the dataset in a folder: of the files that are given, or of config/config.yaml where that is this dataset's.

    Paths in it are relative to the working folder, as for Snakemake.

    Raises:
        TilewrightError: where the config that is given does not serve, or is another dataset's.
    """
    from tilewright.config.load import merged_configs

    dataset = folder.absolute().name
    files = config_files(configfiles)
    mapping = merged_configs(files) if files else {}
    if mapping.get("dataset") == dataset:
        return DatasetConfig.load(mapping, PROJECT)
    if configfiles:
        raise TilewrightError(
            f"{files[-1]} is of the dataset {mapping.get('dataset')!r}, not of {dataset!r}: give the config that made it"
        )
    return None


def shape_of(folder: Path, config: DatasetConfig | None) -> Shape:
    """What the index and the zones' tables say, those that are whole, and the config, where it is known.

    What only one of the two has is left out: it is not made yet, or no longer wanted.
    """
    index = _told(folder / INDEX)
    zones = [_told(path) for path in sorted((folder / "zones").glob("*.parquet"))]
    by_zone = {tile: tuple(each["periods"]) for told in zones for tile, each in told.get("tiles", {}).items()}
    tiles = {tile: by_zone.get(tile, tuple(index.get("periods", ()))) for tile in index.get("tiles", by_zone)}
    labels = {name for told in (index, *zones) for name in told.get("labels", {})}
    collections = {name for told in (index, *zones) for name in told.get("collections", {})}
    if config is None:
        periods = sorted({period for own in tiles.values() for period in own})
        return Shape(tiles, tuple(periods) if tiles else None, bool(labels), len(collections) > 1)
    return Shape(
        tiles,
        tuple(config.periods),
        bool(labels & set(config.label_sets)),
        bool(collections & set(config.companions)),
        tuple(sorted({source for name, source in config.sources.items() if name in labels})),
        tuple(sorted({source for name, source in config.asked.items() if name in labels})),
    )


def _told(table: Path) -> dict[str, Any]:
    """A table's own document; nothing where it is not there or damaged."""
    from tilewright.store.table import table_metadata

    try:
        return table_metadata(table)
    except TilewrightError:
        return {}
