"""What the page is about: the dataset's index, its statistics, and what its stores say of themselves."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR
from tilewright.config.split_names import BY_YEAR, NAMES, NO_SPLIT
from tilewright.errors import TilewrightError
from tilewright.loader import Dataset
from tilewright.loader.rows import accepted_of
from tilewright.store import table_metadata


@dataclass(frozen=True)
class Bands:
    """The bands of one resolution of one collection; `radar`: backscatter rather than reflectance."""

    collection: str
    resolution_m: int
    names: tuple[str, ...]
    radar: bool = False


@dataclass(frozen=True)
class Facts:
    """A dataset as the report reads it.

    Attributes:
        dataset: index and stores.
        described: the index's metadata: collections with provider and licence, label sets with their ontologies, split.
        statistics: `statistics.json`.
        bands: what the series hold, the primary's first.
        size_bytes: of the index and the stores that it names.
    """

    dataset: Dataset
    described: dict[str, Any]
    statistics: dict[str, Any]
    bands: tuple[Bands, ...]
    size_bytes: int

    @property
    def name(self) -> str:
        """The dataset's name."""
        return str(self.described["dataset"])

    @cached_property
    def index(self) -> gpd.GeoDataFrame:
        """One row a cell of the dataset: those that are accepted."""
        return accepted_of(self.dataset.index)

    @property
    def labels(self) -> dict[str, Any]:
        """What is known of each label set, by name."""
        return self.described.get("labels", {})

    @property
    def collections(self) -> dict[str, dict[str, str]]:
        """What is known of each collection: quantity, provider, licence, attribution; in the order of `COLLECTION_BANDS`."""
        known = self.described["collections"]
        return {name: known[name] for name in COLLECTION_BANDS if name in known}

    @property
    def companions(self) -> list[str]:
        """The collections whose scenes are paired with the primary's."""
        return [name for name in self.collections if name != PRIMARY]

    def bands_of(self, collection: str) -> list[Bands]:
        """A collection's bands, finest resolution first."""
        return [each for each in self.bands if each.collection == collection]

    @property
    def splits(self) -> list[str]:
        """What the column `split` says of accepted cells: the splits that have any, "" where some are in none."""
        there = set(self.index["split"])
        return [name for name in (*NAMES, BY_YEAR, NO_SPLIT) if name in there]

    @cached_property
    def size_m(self) -> int:
        """Side of a cell."""
        return int(self.index["size_m"].iloc[0])


def read_facts(place: str | Path) -> Facts:
    """Read a dataset's folder, or its URL.

    Raises:
        TilewrightError: where index or statistics are missing or not of one dataset.
    """
    dataset = Dataset(place)
    described = dataset.described or table_metadata(dataset.path / "index.parquet")
    files = dataset.files
    name = files.name("statistics.json")
    try:
        statistics = json.loads(files.whole("statistics.json"))
    except ValueError as error:
        raise TilewrightError(f"{name} cannot be read ({error}): delete it and run again") from None
    if statistics.get("cells", {}).get("index") != len(dataset):
        raise TilewrightError(f"{name} is not of {files.name('index.parquet')}: delete both and run again")
    columns = [name for name in ("series_path", "labels_path") if name in dataset.index]
    stores = {str(path) for name in columns for path in dataset.index[name].unique()}
    size = sum(files.sizes({"index.parquet", *stores}).values())
    return Facts(dataset, described, statistics, _bands(dataset), size)


def _bands(dataset: Dataset) -> tuple[Bands, ...]:
    """The bands of each collection, the primary's first, the finest resolution (its group's name: r10m) first."""
    found = []
    for group, names in dataset.bands.items():
        collection, _, step = group.partition("/r")
        found.append(Bands(collection, int(step.removesuffix("m")), names, collection in RADAR))
    return tuple(sorted(found, key=lambda each: (each.collection != PRIMARY, each.collection, each.resolution_m)))
