"""seasonet: a folder for each season and grid, in it a folder for each patch with its bands by resolution, labels and masks."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.acceptance import period_column
from tilewright.config.bands import CLOUD, COLLECTION_BANDS, PRIMARY, SCL_RESOLUTION, SNOW
from tilewright.errors import TilewrightError
from tilewright.exports.products import datatake_start
from tilewright.exports.protocol import Deviation, Record, Whole
from tilewright.exports.source import CellSource, Image, TileSource, bands_of
from tilewright.exports.tables import csv_bytes
from tilewright.exports.tiff import geotiff, one_environment
from tilewright.exports.writing import Writing
from tilewright.grid import pixel_centres

SEASONS: Final = ("spring", "summer", "fall", "winter", "snow")
SIZE_M: Final = 1200  # 120, 60 and 20 pixels
CLASSES: Final = 33
ONTOLOGY: Final = "seasonet_clc"
# Bands of each file, in their order.
BAND_FILES: Final = {
    "10m_RGB": ("B04", "B03", "B02"),
    "10m_IR": ("B08",),
    "20m": ("B05", "B06", "B07", "B8A", "B11", "B12"),
    "60m": ("B01", "B09"),
}
_MASKS: Final = ("easy", "medium")  # hard counts every region: there is no file of it
_REGIONS: Final = ("SLRAUM", "RTYP3", "KTYP4")
_META: Final = (
    "Index", "Season", "Grid", "Latitude", "Longitude", "Satellite", "Year", "Month", "Day", "Hour", "Minute", "Second", "Clouds", "Snow",
    "Classes", *_REGIONS, "Path",
)  # fmt: skip
_SPLITS: Final = ("train", "val", "test")
_LABEL_M: Final = 10


class SeasonetLayout:
    """`{season}/grid{1|2}/{name}/{name}_{10m_RGB|10m_IR|20m|60m|labels|…}.tif`, `meta.csv`, `splits/{train|val|test}.csv`."""

    title = "SeasoNet"

    def check(self, whole: Whole) -> None:
        """As `Layout.check`: two grids, the seasons' names, one date of each, all bands, CORINE's 33 classes of 10 m."""
        dataset = whole.dataset
        index = dataset.index[dataset.index["accepted"]]
        if strange := [name for name in whole.settings.periods if name not in SEASONS]:
            raise TilewrightError(
                f"export seasonet: periods: has {', '.join(strange)}, and its sets are {', '.join(SEASONS)}: name the periods so, or take "
                "periods: {seasons: seasonet}"
            )
        numbers = sorted(set(index["grid"].astype(int)))
        if not set(numbers) <= {1, 2}:
            raise TilewrightError(
                f"export seasonet: has grids 1 and 2, and cells are of grid {numbers[-1] if numbers[-1] > 2 else numbers[0]}: set "
                "cells.strategy: grids, with at most two offsets_m"
            )
        for period in whole.settings.periods:
            column = period_column(PRIMARY, period)
            if len(twice := index[index[column] > 1]):
                raise TilewrightError(
                    f"export seasonet: has one image of a patch in each season, and {twice.iloc[0]['cell_id']} has "
                    f"{int(twice.iloc[0][column])} in {period}: set scenes: 1 for that period"
                )
        if (index["series_row"] < 0).all():
            raise TilewrightError("export seasonet: no accepted cell has an image: see the report for what was refused")
        there = bands_of(dataset)[PRIMARY]
        if lacking := [band for bands in BAND_FILES.values() for band in bands if band not in there]:
            raise TilewrightError(
                f"export seasonet: has 12 bands, and collections.s2_l2a.bands lacks {', '.join(lacking)}: add them"
            )
        self._check_labels(whole)

    def _check_labels(self, whole: Whole) -> None:
        name = whole.settings.label_set
        if name is None:
            raise TilewrightError(
                "export seasonet: has labels, and the dataset has none or several sets: add labels.clc with "
                "ontology: seasonet-clc, or say in export.labels which set to take"
            )
        about = whole.dataset.described["labels"][name]
        ontology = about["ontology"]
        values = [int(each["value"]) for each in ontology["categories"]] if ontology else []
        if (
            not ontology
            or len(ontology["channels"]) != 1
            or not values
            or not 1 <= min(values) <= max(values) <= CLASSES
        ):
            raise TilewrightError(
                f"export seasonet: has one map of CORINE's classes 1 to {CLASSES}, and labels.{name} has another: take ontology: seasonet-clc"
            )
        if float(about["resolution_m"]) != _LABEL_M:
            raise TilewrightError(
                f"export seasonet: has labels of {_LABEL_M} m, and labels.{name}.resolution_m is {about['resolution_m']:g}: set it to {_LABEL_M}"
            )

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """Nothing: a tile's files are of the tile."""
        return None

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """A record for each image of a patch."""
        levels = _levels(whole, tile)
        with one_environment():
            for cell in tile.cells():
                images = {image.period: image for image in cell.images()}
                if not images:
                    continue
                labels, masks = _labels(whole, cell, levels)
                for season in (name for name in SEASONS if name in images):
                    yield self._image(
                        whole, cell, images[season], tile.item(images[season].scene_id), labels, masks, writing
                    )

    def _image(
        self, whole: Whole, cell: CellSource, image: Image, item: dict[str, Any], labels: np.ndarray, masks: dict[str, np.ndarray],
        writing: Writing,
    ) -> Record:  # fmt: skip
        row, grid = cell.row, int(cell.row["grid"])
        latitude, longitude = place(row)
        start = datatake_start(item)
        name = f"{row['tile']}_{start:%Y%m%dT%H%M%S}_{latitude}_{longitude}".replace(".", "_")
        folder = f"{image.period}/grid{grid}/{name}"

        def put(what: str, pixels: np.ndarray, step: int, names: tuple[str, ...] = ()) -> None:
            data = geotiff(pixels, row["epsg"], row["ulx"], row["uly"], step, names)
            writing.put(f"{folder}/{name}_{what}.tif", data, cell.cell_id)

        for what, bands in BAND_FILES.items():
            put(what, np.stack([image.bands[band] for band in bands]), COLLECTION_BANDS[PRIMARY][bands[0]], bands)
        put("labels", labels, _LABEL_M)
        for level, keep in masks.items():
            put(f"mask_{level}", keep, _LABEL_M)
        assert image.scl is not None  # of s2_l2a there always is one
        shares = {}
        for what, classes in (("clouds", CLOUD), ("snow", SNOW)):
            there = np.isin(image.scl, classes).astype(np.uint8)
            put(what, there, SCL_RESOLUTION)
            shares[what] = float(there.mean())
        return {
            "cell_id": cell.cell_id, "collection": PRIMARY, "scene_id": image.scene_id, "datetime": pd.Timestamp(image.time),
            "period": image.period, "split": whole.split_of(row["split"], pd.Timestamp(image.time).year), "folder": folder, "grid": grid, "latitude": latitude,
            "longitude": longitude, "satellite": str(image.about["platform"])[-1:].upper(), "start": pd.Timestamp(start),
            "clouds": shares["clouds"], "snow": shares["snow"],
            "classes": ",".join(str(value) for value in np.unique(labels) if value), **{key: _word(row.get(key)) for key in _REGIONS},
        }  # fmt: skip

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """Write meta.csv, the splits, the list of the locations with all four seasons, and the folders of seasons without images."""
        order = records["period"].map(SEASONS.index)
        rows = records.assign(order=order).sort_values(["order", "grid", "folder"], ignore_index=True)
        lines = [
            [
                at, one.period.capitalize(), one.grid, one.latitude, one.longitude, one.satellite,
                *f"{one.start:%Y,%m,%d,%H,%M,%S}".split(","), f"{one.clouds:.6g}", f"{one.snow:.6g}", one.classes,
                *(getattr(one, key) for key in _REGIONS), one.folder,
            ]
            for at, one in enumerate(rows.itertuples())
        ]  # fmt: skip
        writing.put("meta.csv", csv_bytes([_META, *lines]))
        for split in _SPLITS:
            writing.put(f"splits/{split}.csv", csv_bytes([at] for at in np.flatnonzero(rows["split"] == split)))
        whole_year = rows[rows["order"] < len(SEASONS) - 1].groupby("cell_id")["period"].nunique() == len(SEASONS) - 1
        full = rows["cell_id"].map(whole_year).fillna(False).astype(bool)
        writing.put("splits/full_seasons.csv", csv_bytes([at] for at in np.flatnonzero(full)))
        for season in SEASONS:
            if season not in set(rows["period"]):
                # readers ask whether the folder is there, and folders are only made for files
                writing.put(f"{season}/.gitkeep", b"")

    def deviations(self, whole: Whole) -> list[Deviation]:
        """As `Layout.deviations`."""
        dataset, name = whole.dataset, whole.settings.label_set
        index = dataset.index[dataset.index["accepted"]]
        about = dataset.described["labels"][name] if name else {}
        source = str(about.get("licence") or "a source without a stated licence")
        found = [
            Deviation(
                "seasons' dates and choice of image", "unpublished but for the paper's sentence", "periods of the config; see the choice rule there",
                "the authors' dates, and which of several images they took, are not known",
            ),
            Deviation(
                "labels", "LBM-DE2018", f"label set {name} ({source})", "LBM-DE2018 has been revised since, and its first edition is not published",
            ),
            Deviation(
                "label 0", "none in the published maps", "0 where no class is known", "the classes are 1 to 33; readers that subtract 1 see 255",
            ),
            Deviation(
                "clouds and snow", "percentages of an unpublished source, and a classifier for the snow set",
                "shares (0 to 1) of the patch's pixels of the scene classification: clouds classes 8 and 9, snow class 11; likewise _clouds.tif and "
                "_snow.tif (20 m; 1: there)", "every limit can be counted again from the files; the unit of the original columns is not documented",
            ),
            Deviation(
                "_clouds, _snow, _mask_easy, _mask_medium", "known from one user's code only; never seen", "written under these names; masks are above 0 where "
                "a pixel counts", "the published files' content could not be verified",
            ),
            Deviation(
                "overlaps of tiles", "evidently deduplicated, by an unknown rule", "each cell is one tile's; cells of one grid do not overlap",
                "the rule is not published",
            ),
            Deviation(
                "splits/full_seasons.csv", "none", "rows of meta.csv of locations with an image in each of the four seasons", "the paper counts them",
            ),
            Deviation(
                "pixel values", "DN as ESA had them in 2018 and 2019", "harmonised DN: 10000 is reflectance 1 for every baseline", "other years have other "
                "offsets; for baselines before 04.00 the numbers are the same",
            ),
        ]  # fmt: skip
        if missing := [season for season in SEASONS if season not in whole.settings.periods]:
            found.append(
                Deviation("sets", "five", f"{', '.join(missing)} is not there: empty folders", "the config has no such period")
            )  # fmt: skip
        sizes = sorted(set(index["size_m"]))
        if sizes != [SIZE_M]:
            found.append(
                Deviation("size", "120, 60 and 20 pixels (1200 m)", f"cells of {', '.join(map(str, sizes))} m", "cells.size_m says so")
            )  # fmt: skip
        if about and about["ontology"]["name"] != ONTOLOGY:
            found.append(
                Deviation("classes", "CORINE's, 1 to 33", f"those of ontology {about['ontology']['name']}", "labels.*.ontology says so")
            )  # fmt: skip
        if lacking := [key for key in _REGIONS if key not in index]:
            found.append(
                Deviation("region types", "of GE250", f"{', '.join(lacking)} are empty", "the config gives no map of them under attributes")
            )  # fmt: skip
        return found


def place(row: Any) -> tuple[str, str]:
    """Latitude and longitude of a patch as its name has them, with six decimals: of the centre of pixel (60, 60) of 120.

    That is half a pixel east and south of the patch's own centre, as the published names show; it is of the location alone, so
    that all seasons have the same text.
    """
    middle = int(row["size_m"]) // (2 * _LABEL_M)
    lon, lat = pixel_centres(int(row["epsg"]), np.array([row["ulx"]]), np.array([row["uly"]]), middle, middle, _LABEL_M)
    return f"{float(lat[0]):.6f}", f"{float(lon[0]):.6f}"


def _levels(whole: Whole, tile: TileSource) -> dict[str, int]:
    """Place of each level that has a file among the label store's levels; none where the labels were made without regions."""
    levels = tile.label_levels(str(whole.settings.label_set))
    return {level: levels.index(level) for level in _MASKS if level in levels}


def _labels(whole: Whole, cell: CellSource, levels: dict[str, int]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Class ids (y, x) uint8, 0 where none is known, and for each level 1 where a pixel counts."""
    names = ("labels", "ignore") if levels else ("labels",)
    arrays = cell.labels(str(whole.settings.label_set), names)
    values = arrays["labels"][0]
    masks = {level: (arrays["ignore"][at, 0] == 0).astype(np.uint8) for level, at in levels.items()}
    return np.where(values <= CLASSES, values, 0).astype(np.uint8), masks


def _word(value: Any) -> str:
    """A region type as text: whole numbers without a fraction, nothing where there is none."""
    if value is None or pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


LAYOUT = SeasonetLayout()
