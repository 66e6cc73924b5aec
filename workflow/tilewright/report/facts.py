"""What the page is about: the dataset's index, its statistics, and what its stores say of themselves."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY
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
        bands: what the first tile's series hold, the primary's first.
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


def read_facts(folder: Path) -> Facts:
    """Read a dataset's folder.

    Raises:
        TilewrightError: where index or statistics are missing or not of one dataset.
    """
    dataset = Dataset(folder)
    described = table_metadata(folder / "index.parquet")
    path = folder / "statistics.json"
    try:
        statistics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TilewrightError(f"{path} is missing: run the rule that makes it") from None
    except ValueError as error:
        raise TilewrightError(f"{path} cannot be read ({error}): delete it and run again") from None
    if statistics.get("cells", {}).get("index") != len(dataset):
        raise TilewrightError(f"{path} is not of {folder / 'index.parquet'}: delete both and run again")
    columns = [name for name in ("series_path", "labels_path") if name in dataset.index]
    stores = sorted({str(path) for name in columns for path in dataset.index[name].unique()})
    size = (folder / "index.parquet").stat().st_size + sum(
        (folder / each).stat().st_size for each in stores if (folder / each).is_file()
    )
    return Facts(dataset, described, statistics, _bands(dataset), size)


def _bands(dataset: Dataset) -> tuple[Bands, ...]:
    """The bands of the first tile's series, which are those of all tiles."""
    found = []
    for node in dataset.tile(str(dataset.index["tile"].iloc[0])).subtree:
        for variable in ("reflectance", "backscatter"):
            if variable in node.data_vars:
                names, step = tuple(map(str, np.asarray(node["band"]))), int(node[variable].attrs["resolution_m"])
                found.append(Bands(node.path.split("/")[1], step, names, variable == "backscatter"))
    return tuple(sorted(found, key=lambda each: (each.collection != PRIMARY, each.collection, each.resolution_m)))
