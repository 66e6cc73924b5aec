"""What a dataset is to hold: tiles, periods, label sets, exports; by its config, or by its index alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig

ROOT: Final = Path(__file__).resolve().parents[3]
"""The project's folder: where the Snakefile, config/providers and config/ontologies are."""
DEFAULT_CONFIG: Final = Path("config/config.yaml")
INDEX: Final = "index.parquet"


@dataclass(frozen=True)
class Shape:
    """What is known of a dataset that was made, or was begun.

    Attributes:
        tiles: those of its index; none where there is no index yet.
        indexed: the periods of its index.
        periods: those that it is to have; None where neither a config nor an index tells.
        labels: the index has label sets.
        companions: the index has collections that are paired with the primary.
        sources: names of what the index's label sets are read from, once for all tiles.
        answers: names of those that are asked for by tile.
    """

    tiles: frozenset[str] = frozenset()
    indexed: tuple[str, ...] = ()
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
    files = list(configfiles) or [path for path in (DEFAULT_CONFIG, ROOT / DEFAULT_CONFIG) if path.is_file()][:1]
    mapping = merged_configs(files) if files else {}
    if mapping.get("dataset") == dataset:
        return DatasetConfig.load(mapping, ROOT)
    if configfiles:
        raise TilewrightError(
            f"{files[-1]} is of the dataset {mapping.get('dataset')!r}, not of {dataset!r}: give the config that made it"
        )
    return None


def shape_of(folder: Path, config: DatasetConfig | None) -> Shape:
    """What the index says, where there is a whole one, and the config, where it is known.

    What only one of the two has is left out: it is not made yet, or no longer wanted.
    """
    from tilewright.store.table import table_metadata

    try:
        told = table_metadata(folder / INDEX)
    except TilewrightError:
        told = {}
    labels, collections = set(told.get("labels", {})), set(told.get("collections", {}))
    shape = Shape(
        tiles=frozenset(told.get("tiles", ())), indexed=tuple(told.get("periods", ())), periods=tuple(told["periods"]) if told else None,
        labels=bool(labels), companions=len(collections) > 1,
    )  # fmt: skip
    if config is None:
        return shape
    return replace(
        shape,
        periods=tuple(config.periods),
        labels=bool(labels & set(config.label_sets)),
        companions=bool(collections & set(config.companions)),
        sources=tuple(sorted({source for name, source in config.sources.items() if name in labels})),
        answers=tuple(sorted({source for name, source in config.asked.items() if name in labels})),
    )
