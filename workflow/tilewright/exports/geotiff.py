"""geotiff: a COG for each date and resolution, labels beside them, and STAC items."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.bands import COLLECTION_BANDS, RADAR, SCL_RESOLUTION
from tilewright.exports.protocol import Deviation, Record, Whole
from tilewright.exports.source import CellSource, Image, TileSource, once
from tilewright.exports.stac_items import write_items
from tilewright.exports.tiff import geotiff, one_environment
from tilewright.exports.writing import Writing

# Arrays that have values between classes, and NaN where there is nothing; those of classes have 255 there.
_LABELS_NODATA: Final = {"layer": np.nan, "distance": np.nan, "targets": np.nan, "labels": 255, "instance": 0}


class GeotiffLayout:
    """`{split}/{tile}/{cell}/{collection}_{time}_{resolution}m.tif`, `…_scl.tif`, `labels_{set}.tif`, `labels_{set}_{array}.tif`.

    The item of a scene is `….json` beside them; `catalogs/{tile}.json` leads to a tile's items, and `items/{tile}-{number}.parquet` hold them.
    """

    title = "tilewright's patches as cloud-optimized GeoTIFFs with STAC items"

    def check(self, whole: Whole) -> None:
        """Every dataset can be laid out so."""

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """What label sets are, and what numbers of each collection mean: names of bands and items tell it."""
        return [whole.dataset.described.get("collections", {}), whole.dataset.described.get("labels", {})]

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """A record, and an item, for each scene of a cell in a collection."""
        records: list[Record] = []
        with one_environment():
            for cell in tile.cells():
                records += self._cell(whole, cell, writing)
        write_items(whole, tile.tile, records, writing)
        return records

    def _cell(self, whole: Whole, cell: CellSource, writing: Writing) -> Iterator[Record]:
        folder = f"{cell.row['split'] or 'none'}/{cell.tile.tile}/{cell.cell_id}"
        labels = {"labels": ",".join(self._labels(whole, cell, folder, writing))}
        for collection in whole.dataset.collections:
            images = cell.images(collection)
            single = once(images)
            for image, stem in zip(single, stems(single), strict=True):
                periods = dict.fromkeys(each.period for each in images if each.scene_id == image.scene_id)
                yield self._image(whole, cell, image, f"{folder}/{stem}", periods, writing) | labels

    def _image(
        self, whole: Whole, cell: CellSource, image: Image, stem: str, periods: Iterable[str], writing: Writing
    ) -> Record:
        row, steps = cell.row, COLLECTION_BANDS[image.collection]
        grid = int(row["epsg"]), float(row["ulx"]), float(row["uly"])
        resolutions = sorted({steps[band] for band in image.bands})
        for step in resolutions:
            bands = {band: pixels for band, pixels in image.bands.items() if steps[band] == step}
            nodata = np.nan if image.collection in RADAR else None
            data = geotiff(np.stack(list(bands.values())), *grid, step, tuple(bands), nodata, cloud_optimized=True)
            writing.put(f"{stem}_{step}m.tif", data, cell.cell_id)
        if image.scl is not None:
            data = geotiff(image.scl, *grid, SCL_RESOLUTION, ("SCL",), cloud_optimized=True)
            writing.put(f"{stem}_scl.tif", data, cell.cell_id)
        about = image.about
        return {
            "cell_id": cell.cell_id, "tile": cell.tile.tile, "split": whole.split_of(row["split"], pd.Timestamp(image.time).year), "collection": image.collection,
            "scene_id": image.scene_id, "datetime": pd.Timestamp(image.time), "periods": ",".join(periods), "stem": stem,
            "bands": ",".join(image.bands), "resolutions": ",".join(map(str, resolutions)), "scl": image.scl is not None,
            "epsg": grid[0], "ulx": grid[1], "uly": grid[2], "size_m": int(row["size_m"]), "lon": float(row["lon"]), "lat": float(row["lat"]),
            "platform": str(about.get("platform", "")), "relative_orbit": int(about.get("relative_orbit", -1)),
            "orbit_state": str(about.get("orbit_state", "")), "pair_of": str(about.get("pair_of", "")),
            "bad_fraction": float(about.get("bad_fraction", np.nan)), "nodata_fraction": float(about.get("nodata_fraction", np.nan)),
        }  # fmt: skip

    def _labels(self, whole: Whole, cell: CellSource, folder: str, writing: Writing) -> Iterator[str]:
        """Write every array of every label set; the names of the files in the cell's folder."""
        row = cell.row
        for label_set in whole.dataset.label_sets:
            if row[f"{label_set}_row"] < 0:
                continue
            channels = _band_names(whole, label_set)
            for name, array in cell.all_labels(label_set).items():
                bands = array.reshape(-1, *array.shape[-2:])
                file = f"labels_{label_set}.tif" if name in ("labels", "layer") else f"labels_{label_set}_{name}.tif"
                names = tuple(channels) if name == "labels" else ()
                data = geotiff(
                    bands, int(row["epsg"]), float(row["ulx"]), float(row["uly"]), int(row["size_m"]) / array.shape[-1], names,
                    _LABELS_NODATA.get(name), cloud_optimized=True,
                )  # fmt: skip
                writing.put(f"{folder}/{file}", data, cell.cell_id)
                yield file

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """Nothing but the documents of every export: items are the tiles'."""

    def deviations(self, whole: Whole) -> list[Deviation]:
        """The layout is our own."""
        return []


def stems(images: list[Image]) -> list[str]:
    """How the files of a cell's scenes of one collection begin: collection and time, with a number where two are of one second."""
    found: list[str] = []
    for image in images:
        name = f"{image.collection}_{pd.Timestamp(image.time):%Y%m%dT%H%M%S}"
        alike = sum(each == name or each.startswith(f"{name}-") for each in found)
        found.append(f"{name}-{alike + 1}" if alike else name)
    return found


def _band_names(whole: Whole, label_set: str) -> list[str]:
    ontology = whole.dataset.described.get("labels", {}).get(label_set, {}).get("ontology")
    return [str(each["name"]) for each in ontology["channels"]] if ontology else []


LAYOUT = GeotiffLayout()
