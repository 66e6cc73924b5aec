"""geotiff: a COG for each date and resolution, labels beside them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR
from tilewright.exports.protocol import Deviation, Record, Whole
from tilewright.exports.source import CellSource, Image, TileSource
from tilewright.exports.tiff import geotiff
from tilewright.exports.writing import Writing


class GeotiffLayout:
    """`{split}/{tile}/{cell}/{collection}_{time}_{resolution}m.tif`, `…_scl.tif`, `labels_{set}.tif`."""

    title = "tilewright's patches as cloud-optimized GeoTIFFs with STAC items"

    def check(self, whole: Whole) -> None:
        """Every dataset can be laid out so."""

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """Nothing: a tile's files are of the tile."""
        return None

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """A record for each date of a cell in a collection."""
        for cell in tile.cells():
            folder = f"{cell.row['split'] or 'all'}/{tile.tile}/{cell.cell_id}"
            for collection in whole.dataset.collections:
                for image in cell.images(collection):
                    yield self._image(cell, image, folder, writing)

    def _image(self, cell: CellSource, image: Image, folder: str, writing: Writing) -> Record:
        row, stem = cell.row, f"{image.collection}_{pd.Timestamp(image.time):%Y%m%dT%H%M%S}"
        record: Record = {
            "cell_id": cell.cell_id, "collection": image.collection, "scene_id": image.scene_id,
            "datetime": pd.Timestamp(image.time), "period": image.period, "split": row["split"], "folder": folder, "stem": stem,
        }  # fmt: skip
        resolutions = sorted({COLLECTION_BANDS[image.collection][band] for band in image.bands})
        for step in resolutions:
            bands = {
                band: pixels for band, pixels in image.bands.items() if COLLECTION_BANDS[image.collection][band] == step
            }
            nodata = np.nan if image.collection in RADAR else None
            data = geotiff(
                np.stack(list(bands.values())), row["epsg"], row["ulx"], row["uly"], step, tuple(bands), nodata, cloud_optimized=True
            )  # fmt: skip
            writing.put(f"{folder}/{stem}_{step}m.tif", data, cell.cell_id)
        if image.collection == PRIMARY and image.scl is not None:
            data = geotiff(image.scl, row["epsg"], row["ulx"], row["uly"], 20, ("SCL",), cloud_optimized=True)
            writing.put(f"{folder}/{stem}_scl.tif", data, cell.cell_id)
        return record

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """Nothing but the documents of every export."""

    def deviations(self, whole: Whole) -> list[Deviation]:
        """The layout is our own."""
        return []


LAYOUT = GeotiffLayout()
