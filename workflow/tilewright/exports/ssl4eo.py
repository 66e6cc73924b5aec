"""ssl4eo-s12: a folder for each location, a folder for each season in it, a GeoTIFF for each band."""

import json
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.acceptance import period_column
from tilewright.config.bands import COLLECTION_BANDS, PRIMARY
from tilewright.config.exports import Ssl4eoOptions
from tilewright.errors import TilewrightError
from tilewright.exports.products import optical_name, radar_name
from tilewright.exports.protocol import Deviation, Record, Whole
from tilewright.exports.source import CellSource, Image, TileSource, bands_of
from tilewright.exports.ssl4eo_metadata import properties_of
from tilewright.exports.ssl4eo_values import as_bytes, stretched, sums, table
from tilewright.exports.tables import csv_bytes
from tilewright.exports.tiff import geotiff, one_environment
from tilewright.exports.writing import Writing

SIZE_M: Final = 2640  # of the published patches: 264, 132 and 44 pixels
SEASONS: Final = 4
# Folder of each collection; of radar the first that the dataset has.
_PRODUCTS: Final = {"s2c": ("s2_l1c",), "s2a": (PRIMARY,), "s1": ("s1_grd", "s1_rtc")}
_BANDS: Final = {
    "s2c": list(COLLECTION_BANDS["s2_l1c"]),
    "s2a": list(COLLECTION_BANDS[PRIMARY]),
    "s1": ["VV", "VH"],
}
_NEW: Final = 1  # status of a location in the authors' list: sampled anew, and downloaded


def band_name(band: str) -> str:
    """Earth Engine's name of a band: B1 for B01."""
    return band.replace("B0", "B") if band.startswith("B0") else band


class Ssl4eoLayout:
    """`{s1|s2c|s2a}/{7 digits}/{image}/{band}.tif` and `metadata.json`; the digits are the location's place in the draw."""

    title = "SSL4EO-S12"

    def check(self, whole: Whole) -> None:
        """As `Layout.check`: all three products with all bands, one date of each in each period."""
        dataset, periods = whole.dataset, whole.settings.periods
        index = dataset.index[dataset.index["accepted"]]
        for product, choice in _PRODUCTS.items():
            if not (collection := _collection(whole, product)):
                raise TilewrightError(
                    f"export ssl4eo-s12: has {product}, and the dataset has no {' or '.join(choice)}: add "
                    f"collections.{choice[0]} with bands [{', '.join(_BANDS[product])}] and pair: {{required: true}}"
                )
            there = bands_of(dataset).get(collection, ())
            if lacking := [band for band in _BANDS[product] if band not in there]:
                raise TilewrightError(
                    f"export ssl4eo-s12: {product} has {len(_BANDS[product])} bands, and collections.{collection}.bands lacks "
                    f"{', '.join(lacking)}: add them"
                )
            for period in periods:
                _one_date(index, collection, period)
        for collection, band in self._stretched(whole):
            if f"{collection}_{band}" not in whole.statistics["bands_train"]:
                raise TilewrightError(
                    f"export.ssl4eo.values: {_variant(whole)} needs the statistics of {collection} {band}, which statistics.json does "
                    "not have since no cell of the split train has pixels: raise split.shares.train, or take raw"
                )

    def _stretched(self, whole: Whole) -> list[tuple[str, str]]:
        """Collection and band of what is stored by its statistics. Of uint8 only radar: decibels are below 0."""
        products = {"raw": (), "uint8": ("s1",)}.get(_variant(whole), tuple(_PRODUCTS))
        return [(_collection(whole, product), band) for product in products for band in _BANDS[product]]

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """The locations' places in the draw, which name them, and of variants by statistics those."""
        figures = {f"{collection}_{band}" for collection, band in self._stretched(whole)}
        return {
            "ranks": tile.rows["accepted_rank"].tolist(),
            "statistics": {name: whole.statistics["bands_train"][name] for name in sorted(figures)},
        }

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """A record for each product of a location in a season."""
        with one_environment():
            for cell in tile.cells():
                for product in _PRODUCTS:
                    images = {image.period: image for image in cell.images(_collection(whole, product))}
                    taken: set[str] = set()
                    for period in whole.settings.periods:
                        image = images[period]
                        item = tile.item(image.scene_id)
                        name = radar_name(item) if product == "s1" else optical_name(item, tile.tile)
                        # readers know a folder by how its name begins, and take the same folder for the same season
                        folder = name if name not in taken else f"{name}_{period}"
                        taken.add(folder)
                        yield self._image(
                            whole, cell, image, product, f"{product}/{location(cell)}/{folder}", item, writing
                        )

    def _image(
        self, whole: Whole, cell: CellSource, image: Image, product: str, folder: str, item: dict[str, Any], writing: Writing
    ) -> Record:  # fmt: skip
        row, bands = cell.row, _BANDS[product]
        # one zero is a dark pixel; all bands together tell no data, each resolution by itself
        empty = _empty(image) if product != "s1" else {}
        counted = []
        for band in bands:
            pixels = image.bands[band]
            step = COLLECTION_BANDS[image.collection][band]
            valid = ~np.isnan(pixels) if product == "s1" else ~empty[step]
            counted.append(sums(pixels, valid))
            data = self._encoded(whole, image.collection, band, pixels, row, step)
            writing.put(f"{folder}/{band_name(band)}.tif", data, cell.cell_id)
        metadata = {
            "type": "Image",
            "properties": properties_of(item, folder.rpartition("/")[2], product == "s1"),
            "tilewright": self._own(whole, cell, image, item),
        }
        writing.put(
            f"{folder}/metadata.json",
            (json.dumps(metadata, indent=1, ensure_ascii=False) + "\n").encode(),
            cell.cell_id,
        )
        pixel_counts, totals, squares = (list(each) for each in zip(*counted, strict=True))
        return {
            "cell_id": cell.cell_id, "collection": image.collection, "scene_id": image.scene_id,
            "datetime": pd.Timestamp(image.time), "period": image.period,
            "split": whole.split_of(row["split"], pd.Timestamp(image.time).year), "folder": folder,
            "product": product, "location": int(row["accepted_rank"]), "lon": float(row["lon"]), "lat": float(row["lat"]),
            "pixels": pixel_counts, "sums": totals, "squares": squares,
        }  # fmt: skip

    def _encoded(self, whole: Whole, collection: str, band: str, pixels: np.ndarray, row: Any, step: int) -> bytes:
        """A band's file: uncompressed as the published ones, but for the variant that is JPEG."""
        variant = _variant(whole)
        if (collection, band) in self._stretched(whole):
            figures = whole.statistics["bands_train"][f"{collection}_{band}"]
            values = stretched(pixels, figures["mean"], figures["std"])
        else:
            values = as_bytes(pixels) if variant == "uint8" else pixels
        nodata = np.nan if values.dtype.kind == "f" else None
        compress = "jpeg" if variant == "jpeg" else None
        return geotiff(values, row["epsg"], row["ulx"], row["uly"], step, (band_name(band),), nodata, compress)

    def _own(self, whole: Whole, cell: CellSource, image: Image, item: dict[str, Any]) -> dict[str, Any]:
        """What tilewright knows of a patch, in names of its own."""
        row, about = cell.row, image.about
        told: dict[str, Any] = {
            "cell_id": cell.cell_id, "tile": str(row["tile"]), "epsg": int(row["epsg"]), "ulx": float(row["ulx"]), "uly": float(row["uly"]),
            "size_m": int(row["size_m"]), "period": image.period, "collection": image.collection, "scene_id": image.scene_id,
            "item_id": str(item["id"]), "parts": str(about.get("parts", "")), "pair_of": str(about.get("pair_of", "")),
            "nodata_fraction": float(about["nodata_fraction"]), "values": _variant(whole),
        }  # fmt: skip
        if "dn_offset" in about:
            told["dn_offset"] = int(about["dn_offset"])
            told["bad_fraction"] = round(float(about["bad_fraction"]), 6)
        stretches = {
            band_name(band): [whole.statistics["bands_train"][f"{collection}_{band}"][name] for name in ("mean", "std")]
            for collection, band in self._stretched(whole)
            if collection == image.collection
        }
        if stretches:
            told["mean_and_std"] = stretches
        return told

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """Write `checked_locations.csv` (idx, lon, lat, status; no header, as the authors') and `statistics.csv`."""
        places = records.drop_duplicates("location").sort_values("location")
        lines = [
            [one.location, f"{one.lon:.7f}", f"{one.lat:.7f}", _NEW]
            for one in places[["location", "lon", "lat"]].itertuples()
        ]
        writing.put("checked_locations.csv", csv_bytes(lines))
        products = {product: [band_name(band) for band in _BANDS[product]] for product in ("s1", "s2c", "s2a")}
        writing.put("statistics.csv", csv_bytes(table(records, products)))

    def deviations(self, whole: Whole) -> list[Deviation]:
        """As `Layout.deviations`."""
        index = whole.dataset.index[whole.dataset.index["accepted"]]
        sizes, periods, variant = sorted(set(index["size_m"])), whole.settings.periods, _variant(whole)
        found = [
            Deviation(
                "georeference", "longitude and latitude (+proj=latlong) between the corners of a buffer's box, some pixels off",
                "the pixels' own UTM grid, exact", "the published georeference misaligns bands, sensors and maps (readers that tell a file's own coordinates, as torchgeo's x and y, tell metres instead of degrees)",
            ),
            Deviation(
                "pixel values", "DN as Earth Engine had them: v1.0 without the offset of processing baseline 04.00 (scenes of 2020 and 2021), "
                "v1.1 with its +1000", "harmonised DN: 10000 is reflectance 1 for every baseline", "values of all years mean the same",
            ),
            Deviation(
                "image names", "Earth Engine's system:index", "the same rule, from what the catalog's items tell (start of the datatake, start of the "
                "datastrip, tile; a Sentinel-1 product's name); a name that two seasons of a location share gets _<period>",
                "items of catalogs have other ids, and a location must have a folder for each season",
            ),
            Deviation(
                "metadata.json", "all of Earth Engine's properties, in v1.0 without the level `properties`", "those of Tables XX and XXI that the catalog's items "
                "tell, under `properties` as the later downloader writes them, and a block `tilewright`", "nothing is made up that the source does not tell",
            ),
            Deviation(
                "ids", "with 97 gaps", "from 0 without a gap, in the order of the draw among accepted cells", "readers that count from 0 find every location",
            ),
            Deviation(
                "Sentinel-1 and Level-1C", "each chosen by itself, the latest in the window", "companions of the Level-2A scene, as collections.*.pair says",
                "the three images of a season belong together",
            ),
        ]  # fmt: skip
        if sizes != [SIZE_M]:
            found.append(
                Deviation("size", "264, 132 and 44 pixels (2640 m)", f"cells of {', '.join(map(str, sizes))} m", "cells.size_m says so")
            )  # fmt: skip
        if len(periods) != SEASONS:
            found.append(
                Deviation("seasons", "four", f"{len(periods)}: {', '.join(periods)}", "the config has these periods")
            )
        if _collection(whole, "s1") == "s1_rtc":
            found.append(
                Deviation("s1", "GRD: sigma nought on the ellipsoid", "RTC: gamma nought, terrain corrected", "the dataset has s1_rtc and no s1_grd")
            )  # fmt: skip
        quantity = str(
            whole.dataset.described.get("collections", {}).get(_collection(whole, "s1"), {}).get("quantity", "")
        )
        if quantity and not quantity.endswith("_db"):
            found.append(Deviation("s1 values", "decibels", quantity, "collections.*.quantity says so"))
        if variant != "raw":
            found.append(
                Deviation(
                    "values", "uint16 DN, float32 dB", f"{variant}: {_SAID[variant]}", "export.ssl4eo.values says so"
                )
            )
        return found


_SAID: Final = {
    "uint8": "DN / 10000 × 255, cut at 255 where the authors' code wraps round; Sentinel-1 mean ± 2 standard deviations, as theirs; without the fraction",
    "uint8_stretched": "mean ± 2 standard deviations of the band over this dataset's training cells to 0 … 255, where theirs are of 50,000 patches",
    "jpeg": "mean ± 2 standard deviations of the band over this dataset's training cells to 0 … 255, then GDAL's JPEG at quality 75 in each "
    "GeoTIFF; the authors' files and quality are not published",
}  # fmt: skip


def location(cell: CellSource) -> str:
    """A location's folder: seven digits."""
    return f"{int(cell.row['accepted_rank']):07d}"


def _variant(whole: Whole) -> str:
    options = whole.settings.options
    return options.values if isinstance(options, Ssl4eoOptions) else "raw"


def _collection(whole: Whole, product: str) -> str:
    """The collection that a product is made of; empty where the dataset has none."""
    return next((name for name in _PRODUCTS[product] if name in whole.dataset.collections), "")


def _one_date(index: pd.DataFrame, collection: str, period: str) -> None:
    column = period_column(collection, period)
    wrong = index[index[column] != 1]
    if wrong.empty:
        return
    first = wrong.iloc[0]
    raise TilewrightError(
        f"export ssl4eo-s12: has one image of each product in each season, and {len(wrong)} accepted cells, {first['cell_id']} for one, have "
        f"{int(first[column])} of {collection} in period {period}: set accept: {{complete: true}}, and scenes: 1 for each period"
    )


def _empty(image: Image) -> dict[int, np.ndarray]:
    """Where all bands of a resolution are 0, which is no data: resolution → (y, x)."""
    steps: dict[int, list[np.ndarray]] = {}
    for band, pixels in image.bands.items():
        steps.setdefault(COLLECTION_BANDS[image.collection][band], []).append(pixels == 0)
    return {step: np.logical_and.reduce(planes) for step, planes in steps.items()}


LAYOUT = Ssl4eoLayout()
