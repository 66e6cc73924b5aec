"""A tile's accepted cells, as layouts take them: images by collection and date, scene classes, labels, and the scenes' items."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY
from tilewright.loader.dataset import Dataset
from tilewright.loader.series import Series
from tilewright.store import read_table
from tilewright.store.zarrzip import StoreReader


@dataclass(frozen=True)
class Image:
    """One date of one cell in one collection.

    Attributes:
        time: UTC, datetime64[us].
        primary: of a companion, the place in the cell's series of s2_l2a of the date that it belongs to; of s2_l2a its own.
        bands: band → (y, x) as stored: uint16 harmonised DN (0 in all bands: no data), of radar float32 (NaN: no data).
        scl: (y, x) uint8 scene classes of 20 m; None of companions.
        about: what the store says of the date: scene_id, parts, pair_of, platform, orbit_state, relative_orbit,
            processing_baseline, nodata_fraction; of Sentinel-2 dn_offset, bad_fraction, scl_count (12,).
    """

    collection: str
    scene_id: str
    time: np.datetime64
    period: str
    primary: int
    bands: dict[str, np.ndarray]
    scl: np.ndarray | None
    about: dict[str, Any]


@dataclass(frozen=True)
class CellSource:
    """One accepted cell.

    Attributes:
        row: its row of the index.
    """

    tile: "TileSource"
    row: Any

    @property
    def cell_id(self) -> str:
        """Its id."""
        return str(self.row["cell_id"])

    def images(self, collection: str = PRIMARY) -> list[Image]:
        """Its dates of a collection, in time order; a scene that two periods chose is there for each."""
        return self.tile.images(self.row, collection)

    def labels(self, label_set: str, names: Sequence[str] = ("labels",)) -> dict[str, np.ndarray]:
        """Arrays of a label set: labels (channel, y, x) uint8, instance, ignore, … (ARCHITECTURE.md); a layer is `layer`."""
        reader = self.tile.dataset.reader
        path, row = str(self.row["labels_path"]), int(self.row[f"{label_set}_row"])
        return reader.label_arrays(path, label_set, row, self.cell_id, names)

    def all_labels(self, label_set: str) -> dict[str, np.ndarray]:
        """Every array that a label set has, by name."""
        return self.labels(
            label_set, tuple(self.tile.dataset.reader.label_layout(str(self.row["labels_path"]), label_set))
        )


def once(images: Iterable[Image]) -> list[Image]:
    """Each scene once, in the same order: one that two periods chose, or that serves two dates, has the same pixels both times."""
    found: dict[str, Image] = {}
    for image in images:
        found.setdefault(image.scene_id, image)
    return list(found.values())


def bands_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """The bands of each collection, in the mission's order; of none where no accepted cell has imagery."""
    if not (dataset.index["accepted"] & (dataset.index["series_row"] >= 0)).any():
        return {}
    held = {(group.partition("/")[0], band) for group, bands in dataset.bands.items() for band in bands}
    return {
        collection: tuple(band for band in COLLECTION_BANDS[collection] if (collection, band) in held)
        for collection in dataset.collections
    }


@dataclass(frozen=True, eq=False)
class TileSource:
    """The accepted cells of one tile, in the order in which they were accepted."""

    dataset: Dataset
    tile: str
    rows: gpd.GeoDataFrame
    periods: Sequence[str]
    _coordinates: dict[str, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, dataset: Dataset, tile: str, periods: Sequence[str]) -> "TileSource":
        """Args: `periods`: in the config's order."""
        index = dataset.index
        rows = index[(index["tile"] == tile) & index["accepted"]].sort_values("accepted_rank")
        return cls(dataset, tile, rows, periods)

    @property
    def folder(self) -> Path:
        """Where the stages wrote the tile."""
        return self.dataset.path / "tiles" / self.tile

    def __len__(self) -> int:
        """How many cells."""
        return len(self.rows)

    def cells(self) -> Iterator[CellSource]:
        """One after another; pixels are read when asked for."""
        for _, row in self.rows.iterrows():
            yield CellSource(self, row)

    def images(self, row: Any, collection: str) -> list[Image]:
        """As `CellSource.images`; none where the cell has no imagery."""
        if row["series_row"] < 0:
            return []
        series = self.dataset.series(str(row["cell_id"]), collection)
        bands = self.dataset.reader.store(str(row["series_path"])).bands
        coords, at = self._coords(collection), int(row["series_row"])
        return [
            self._image(collection, series, date, {name: values[at, date] for name, values in coords.items()}, bands)
            for date in range(len(series.time))
        ]

    def _image(
        self, collection: str, series: Series, date: int, about: dict[str, Any], bands: dict[str, tuple[str, ...]]
    ) -> Image:
        planes = {
            band: pixels[date, place]
            for group, pixels in series.arrays.items()
            if f"{collection}/{group}" in bands
            for place, band in enumerate(bands[f"{collection}/{group}"])
        }
        ordered = {band: planes[band] for band in COLLECTION_BANDS[collection] if band in planes}
        scl = series.arrays["scl"][date] if "scl" in series.arrays else None
        return Image(
            collection, str(about["scene_id"]), np.datetime64(int(series.time[date]), "us"), str(series.period[date]),
            int(series.primary[date]), ordered, scl, about,
        )  # fmt: skip

    def _coords(self, collection: str) -> dict[str, np.ndarray]:
        """What the store says of each date of each cell: (cell, time, …) by name."""
        if collection not in self._coordinates:
            with StoreReader(self.folder / "series.zarr.zip") as store:
                small = store.small(collection)
            self._coordinates[collection] = {
                name: variable.values
                for name, variable in {**small.coordinates, **small.data}.items()
                if variable.dims[:2] == ("cell", "time")
            }
        return self._coordinates[collection]

    def label_levels(self, label_set: str) -> list[str]:
        """Names of the levels of a label set's `ignore`, in their order; none where it was made without regions."""
        with StoreReader(self.folder / "labels.zarr.zip") as store:
            known = store.small(label_set).coordinates
        return list(map(str, known["level"].values)) if "level" in known else []

    @cached_property
    def scenes(self) -> pd.DataFrame:
        """What the searches found: a row a scene by scene_id (columns of `tilewright.catalog.Scene`), of all collections and periods."""
        folders = [self.folder / period for period in self.periods]
        paths = [path for folder in folders for path in (folder / "scenes.parquet", folder / "companions.parquet")]
        tables = [read_table(path) for path in paths if path.is_file()]
        return pd.concat(tables, ignore_index=True).drop_duplicates("scene_id").set_index("scene_id")

    def item(self, scene_id: str) -> dict[str, Any]:
        """The raw STAC item of a scene, as the catalog gave it (hrefs without passwords and signatures)."""
        document: dict[str, Any] = json.loads(str(self.scenes.at[scene_id, "item"]))
        return document
