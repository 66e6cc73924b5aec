"""What a dataset is to hold: tiles, periods, label sets, exports; by its config, or by its index alone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tilewright.errors import TilewrightError

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


def config_at(path: Path | None, dataset: str) -> dict[str, Any] | None:
    """The mapping of a config file: the one that is given, or config/config.yaml where that is the dataset's; None without.

    Raises:
        TilewrightError: where the file that is given is not there, no YAML, or another dataset's.
    """
    import yaml

    place = path or DEFAULT_CONFIG
    if not place.is_file():
        if path is not None:
            raise TilewrightError(f"{path}: no such file; --configfile is the one that snakemake was given")
        return None
    try:
        mapping = yaml.safe_load(place.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TilewrightError(f"{place} is no YAML: {error}") from error
    named = mapping.get("dataset") if isinstance(mapping, dict) else None
    if named == dataset:
        return dict(mapping)
    if path is not None:
        raise TilewrightError(f"{path} is of the dataset {named!r}, not of {dataset!r}: give the config that made it")
    return None


def shape_of(folder: Path, config: dict[str, Any] | None) -> Shape:
    """What the index says, where there is a whole one, and the config, where it is known.

    What only one of the two has is left out: it is not made yet, or no longer wanted.
    """
    from tilewright.config.label_files import source_name
    from tilewright.config.label_sets import OsmFile, Overpass, RasterFile, VectorFile
    from tilewright.config.load import load_config
    from tilewright.config.settings import companions_of
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
    asked = load_config(config)
    sources = {name: each.source for name, each in asked.label_sets().items() if name in labels}
    names = {
        name: source_name(asked.label_sets()[name]) for name in sources if not isinstance(sources[name], RasterFile)
    }
    return replace(
        shape,
        periods=tuple(period.name for period in asked.all_periods()),
        labels=bool(labels & set(asked.label_sets())),
        companions=bool(collections & set(companions_of(asked))),
        sources=tuple(
            sorted({names[name] for name, each in sources.items() if isinstance(each, OsmFile | VectorFile)})
        ),
        answers=tuple(sorted({names[name] for name, each in sources.items() if isinstance(each, Overpass)})),
    )
