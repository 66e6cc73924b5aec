"""A dataset's folder or address: the index, and each cell's series and labels, read when asked for."""

import io
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import xarray as xr

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY
from tilewright.errors import TilewrightError
from tilewright.loader.files import absolute, files_of, is_url
from tilewright.loader.labels import families
from tilewright.loader.rows import is_by_year, of_split
from tilewright.loader.series import MEMORY_MB, Series, SeriesReader, check_cell
from tilewright.loader.zipped import Zipped, ZippedStore
from tilewright.store import read_table, table_metadata

_OPEN_TREES = 64  # stores of tiles in use that are kept open


class Dataset:
    """A dataset: the index, and each cell's series and labels, read when asked for. Picklable.

    Attributes:
        index: a row a cell, by its id, which is also the column `cell_id`.
        described: the index's metadata: collections with their provider and licence, label sets with their ontologies, split; empty where another
            program wrote the index anew.
    """

    def __init__(self, path: str | Path, memory_mb: float = MEMORY_MB) -> None:
        """Read the index.

        Args:
            path: the dataset's folder, or its URL (https, s3, …).
            memory_mb: how much the stores that are open may take in each process: 1.4 MB for a tile of 3,249 cells and 24
                dates, 0.3 MB for its labels, 0.03 MB for one of few cells. Reading cells of more tiles than that at random
                opens stores again and again, at up to 0.1 s each.

        Raises:
            TilewrightError: where `path` holds no index.
        """
        self.url = str(path).rstrip("/") if is_url(path) else None
        self.path = Path(path) if self.url else absolute(path)
        self.files = files_of(self.url or self.path)
        self.memory_mb = memory_mb
        # without a name: a column and an index of one name are ambiguous to pandas
        table, self.described = self._index()
        self.index: gpd.GeoDataFrame = table.set_index("cell_id", drop=False).rename_axis(None)
        self._trees: OrderedDict[str, xr.DataTree] = OrderedDict()

    def _index(self) -> tuple[gpd.GeoDataFrame, dict[str, Any]]:
        if not self.files.remote:
            if not (self.path / "index.parquet").is_file():
                raise TilewrightError(
                    f"{self.path} is no dataset folder or store: {self.path / 'index.parquet'} is missing: "
                    "check the path, or run the rule that makes it"
                )
            return read_table(self.path / "index.parquet"), _metadata(self.path / "index.parquet")
        data = self.files.whole("index.parquet")
        try:
            return gpd.read_parquet(io.BytesIO(data)), _metadata(io.BytesIO(data))
        except (pa.ArrowInvalid, ValueError, OSError) as error:
            raise TilewrightError(f"{self.files.name('index.parquet')} is no index of a dataset ({error})") from error

    def __repr__(self) -> str:
        """Where it is and how large."""
        return f"Dataset({self.url or str(self.path)!r}: {len(self)} cells in {self.index['tile'].nunique()} tiles)"

    def __getstate__(self) -> dict[str, Any]:
        """For workers of a data loader: open stores stay behind."""
        return {**self.__dict__, "_trees": OrderedDict()}

    @cached_property
    def reader(self) -> SeriesReader:
        """Cells as numpy arrays, fast."""
        return SeriesReader(self.files, self.memory_mb)

    @property
    def collections(self) -> tuple[str, ...]:
        """Names of the collections: s2_l2a, and those whose scenes are paired with its."""
        return (PRIMARY, *(key for key in COLLECTION_BANDS if f"{key}_dates" in self.index))

    @cached_property
    def bands(self) -> dict[str, tuple[str, ...]]:
        """The bands of each group of the series (`s2_l2a/r10m`), which are the same in all tiles."""
        known: dict[str, Any] = self.described.get("collections", {})
        if all("bands" in about for about in known.values()) and known:
            return {
                f"{name}/{group}": tuple(bands)
                for name, about in known.items()
                for group, bands in about["bands"].items()
            }
        # another program wrote the index anew, or an earlier version: a store has to be asked
        return dict(self.reader.store(f"tiles/{self.index['tile'].iloc[0]}/series.zarr.zip").bands) if len(self) else {}

    @property
    def label_sets(self) -> tuple[str, ...]:
        """Names of the label sets."""
        known = set(self.index.columns)
        return tuple(
            name.removesuffix("_row") for name in self.index
            if name.endswith("_row") and f"{name.removesuffix('_row')}_coverage" in known
        )  # fmt: skip

    @property
    def label_families(self) -> dict[str, dict[int, str]]:
        """{family: {year: label set}} of the label sets that the config gives one of for each of several years."""
        return families(
            {name: about for name, about in self.described.get("labels", {}).items() if name in self.label_sets}
        )

    def _tree(self, relative: str) -> xr.DataTree:
        """A store's tree, kept: opening reads its metadata."""
        if relative not in self._trees:
            self._trees[relative] = tree_of(Zipped(self.files, relative), mask_and_scale=False)
            while len(self._trees) > _OPEN_TREES:
                self._trees.popitem(last=False)
        return self._trees[relative]

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.index)

    def __iter__(self) -> Iterator[str]:
        """The cells' ids."""
        return iter(self.index.index)

    def split(self, name: str) -> gpd.GeoDataFrame:
        """The rows of one split: train, val or test; of splits by year the cells with dates of its years (`years`).

        Raises TilewrightError where no cell is in it.
        """
        return of_split(self.index, name)

    def years(self, split: str | None) -> list[int] | None:
        """The years whose dates are of a split by year; None where splits are cells, with all their dates.

        Raises:
            TilewrightError: where the index is by year and does not say which years are whose.
        """
        if split is None or not is_by_year(self.index):
            return None
        years = (self.described.get("split", {}).get("years") or {}).get(split)
        if years is None:
            raise TilewrightError(
                f"split: {self.files.name('index.parquet')} is split by year, but does not say which years are of {split!r}: "
                "another program wrote it anew, or no year is; run the rule index again"
            )
        return [int(year) for year in years]

    def tile(self, name: str) -> xr.DataTree:
        """The series of one tile, lazily, as stored (DN; multiply by `scale_factor` for reflectance; backscatter in dB)."""
        return self._tree(f"tiles/{name}/series.zarr.zip")

    def _row(self, cell_id: str) -> Any:
        if not isinstance(cell_id, str):
            example = f", as {self.index.index[0]!r}" if len(self) else ""
            raise TilewrightError(f"{cell_id!r} is no cell: give a cell's id{example}")
        if cell_id not in self.index.index:
            raise TilewrightError(f"cell {cell_id} is not in {self.files.name('index.parquet')}")
        return self.index.loc[cell_id]

    def series(self, cell_id: str, collection: str = PRIMARY) -> Series:
        """One cell's series of a collection as numpy arrays, as stored: many times faster than through xarray.

        A collection other than s2_l2a has its own dates; `Series.primary` says of which date of s2_l2a each is the companion.
        There may be none.

        Raises:
            TilewrightError: for a cell that the index does not have, or that has no imagery, or an unknown collection.
        """
        row = self._row(cell_id)
        if row["series_row"] < 0:
            raise TilewrightError(f"cell {cell_id} has no imagery: no scene passed the mask")
        return self.reader.read(row["series_path"], collection, int(row["series_row"]), cell_id)

    def __getitem__(self, cell_id: str) -> xr.DataTree:
        """One cell: its series, cut to its own dates, with the label sets, all their arrays, as groups `labels/<set>`.

        Each collection has a group of its own with its own dates; `pair_of` says which scene of s2_l2a each date is the companion
        of. Arrays are lazy until used, as stored (DN; backscatter of radar in dB). A cell without imagery has labels only, and the attribute `imagery`
        that says so.

        Raises:
            TilewrightError: for a cell that the index does not have, or that is elsewhere in the stores than it says.
        """
        row = self._row(cell_id)
        root = xr.Dataset(attrs={"cell_id": cell_id, "split": row["split"]})
        groups: dict[str, xr.Dataset] = {"/": root}
        if row["series_row"] >= 0:
            dates: dict[str, int] = {}  # of each collection, whose own group comes before those below it
            for node in self._tree(row["series_path"]).subtree:
                part = node.to_dataset(inherit=False)
                if "cell" in part.dims:
                    cut = self._cut(part, row["series_path"], int(row["series_row"]), cell_id)
                    if "dates" in cut:
                        dates[node.path] = int(cut["dates"])
                    own = dates.get("/" + node.path.split("/")[1], int(row["dates"]))
                    groups[node.path] = cut.isel(time=slice(own)) if "time" in cut.dims else cut
        else:
            root.attrs["imagery"] = "none: no scene passed the mask"
        if "labels_path" in row:
            for node in self._tree(row["labels_path"]).subtree:
                part = node.to_dataset(inherit=False)
                if "cell" in part.dims and (at := int(row.get(f"{node.name}_row", -1))) >= 0:
                    groups[f"/labels{node.path}"] = self._cut(part, row["labels_path"], at, cell_id)
        return xr.DataTree.from_dict(groups)

    def _cut(self, part: xr.Dataset, path: str, row: int, cell_id: str) -> xr.Dataset:
        """One cell of a group, whose id, where the group has ids, must be `cell_id`."""
        if "cell_id" in part.variables:
            check_cell(self.files.name(path), np.asarray(part["cell_id"]), row, cell_id)
        return part.isel(cell=row)


def _metadata(index: Path | io.BytesIO) -> dict[str, Any]:
    try:
        return table_metadata(index)  # type: ignore[arg-type]  # what is like a file will do
    except TilewrightError:
        return {}


def tree_of(zipped: Zipped, **options: Any) -> xr.DataTree:
    """The whole store, lazily; `options` go to `xarray.open_datatree`.

    Raises:
        TilewrightError: where it is missing, cannot be read, or is no store.
    """
    store: Any = ZippedStore(zipped)
    try:
        return xr.open_datatree(store, engine="zarr", **options)
    except (OSError, LookupError, ValueError) as error:
        raise zipped.damaged(error) from error


def open(path: str | Path, memory_mb: float = MEMORY_MB) -> Dataset | xr.DataTree:
    """Open a dataset (`results/<dataset>`, or its URL) or one of its stores (`….zarr.zip`).

    `memory_mb` is of a `Dataset`: what its open stores may take.

    Returns:
        A `Dataset` for a folder; for a store its lazy DataTree, decoded as its attributes say (reflectance).

    Raises:
        TilewrightError: where there is neither.
    """
    if is_url(path):
        folder, _, name = str(path).rpartition("/")
        return tree_of(Zipped(files_of(folder), name)) if name.endswith(".zip") else Dataset(path, memory_mb)
    local = absolute(path)
    if not local.exists():
        raise TilewrightError(f"{local} is no dataset folder or store: nothing is there; check the path")
    return Dataset(local, memory_mb) if local.is_dir() else tree_of(Zipped(files_of(local.parent), local.name))
