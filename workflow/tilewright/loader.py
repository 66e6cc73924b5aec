"""Reading a dataset: `tilewright.open`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import xarray as xr

from tilewright.errors import TilewrightError
from tilewright.store import StoreReader, read_table

_OPEN_STORES = 64  # stores of tiles in use that are kept open


class Dataset:
    """A dataset's folder: the index, and each cell's series and labels, read when asked for."""

    def __init__(self, path: Path) -> None:
        """Raises TilewrightError where `path` holds no index."""
        self.path = path
        self.index: gpd.GeoDataFrame = read_table(path / "index.parquet").set_index("cell_id", drop=False)
        self._trees: dict[tuple[int, str], xr.DataTree] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For workers of a data loader: open stores stay behind."""
        return {**self.__dict__, "_trees": {}}

    def _tree(self, relative: str) -> xr.DataTree:
        """A store's tree, kept: opening reads its metadata. Kept by process: a forked one must not share a file's place."""
        key = (os.getpid(), relative)
        if key not in self._trees:
            if len(self._trees) >= _OPEN_STORES:
                self._trees.pop(next(iter(self._trees)))
            self._trees[key] = StoreReader(self.path / relative).tree(mask_and_scale=False)
        return self._trees[key]

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.index)

    def __iter__(self) -> Iterator[str]:
        """The cells' ids."""
        return iter(self.index.index)

    def split(self, name: str) -> gpd.GeoDataFrame:
        """The rows of one split: train, val or test."""
        return self.index[self.index["split"] == name]

    def tile(self, name: str) -> xr.DataTree:
        """The series of one tile, lazily, as stored (DN; multiply by `scale_factor` for reflectance)."""
        return self._tree(f"tiles/{name}/series.zarr.zip")

    def __getitem__(self, cell_id: str) -> xr.DataTree:
        """One cell: its series, cut to its own dates, with the label sets as groups `labels/<set>`.

        Arrays are lazy until used, in DN as stored.

        Raises:
            TilewrightError: for a cell that the index does not have.
        """
        if cell_id not in self.index.index:
            raise TilewrightError(f"cell {cell_id} is not in {self.path / 'index.parquet'}")
        row = self.index.loc[cell_id]
        groups: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs={"cell_id": cell_id, "split": row["split"]})}
        if row["series_row"] >= 0:
            for node in self._tree(row["series_path"]).subtree:
                part = node.to_dataset(inherit=False)
                if "cell" in part.dims:
                    cut = part.isel(cell=int(row["series_row"]))
                    groups[node.path] = cut.isel(time=slice(int(row["dates"]))) if "time" in cut.dims else cut
        if "labels_path" in row:
            for node in self._tree(row["labels_path"]).subtree:
                part = node.to_dataset(inherit=False)
                if "cell" in part.dims:
                    groups[f"/labels{node.path}"] = part.isel(cell=int(row[f"{node.name}_row"]))
        return xr.DataTree.from_dict(groups)


def open(path: str | Path) -> Dataset | xr.DataTree:
    """Open a dataset's folder (`results/<dataset>`) or one of its stores (`….zarr.zip`).

    Returns:
        A `Dataset` for a folder; for a store its lazy DataTree, decoded as its attributes say (reflectance).

    Raises:
        TilewrightError: where there is neither.
    """
    path = Path(path)
    if path.is_dir():
        return Dataset(path)
    return StoreReader(path).tree()
