"""deepsatdata: a pickle for each cell and year, with its whole series and ground truth, and the lists that training reads.

Tarasiou and Zafeiriou, DeepSatData (2021), as readers of its output take it (DeepSatModels). Written from a description of the format.
Pickles are written and never read.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.bands import COLLECTION_BANDS, NONE, PRIMARY
from tilewright.errors import TilewrightError
from tilewright.exports.pickles import pickled
from tilewright.exports.protocol import Deviation, Record, Whole
from tilewright.exports.source import CellSource, Image, TileSource, bands_of
from tilewright.exports.writing import Writing
from tilewright.grid import tile as tile_named

log = logging.getLogger(__name__)

# training reads two lists; the third keeps the test cells out of the choice of a model
LISTS: Final = {"train": "train_paths.csv", "val": "eval_paths.csv", "test": "test_paths.csv"}
COLUMNS: Final = ("sample_path", "Year", "N", "W", "dy", "dx", "dt", "label_win_i", "label_win_j", "status", "crs")
_PARCELS: Final = ("instance", "parcel_coverage", "distance", "claims")
_EXACT: Final = 1 << 24  # whole numbers up to here are exact in 32 bits
_PIXEL_M: Final = 10


class DeepSatDataLayout:
    """`{year}/{N}_{W}_{year}.pickle`, `saved_timeseries_data_info.csv`, `paths/{train,eval,test}_paths.csv`."""

    title = "DeepSatData (Tarasiou and Zafeiriou 2021)"

    def check(self, whole: Whole) -> None:
        """A label set with one channel, or no labels at all; no two cells at one place.

        Raises:
            TilewrightError: naming the key and the mend.
        """
        index = whole.dataset.index
        accepted = index[index["accepted"]]
        if (twice := accepted[accepted.duplicated(["epsg", "ulx", "uly"], keep=False)]).size:
            raise TilewrightError(
                f"cells.strategy: the layout deepsatdata names windows by their corner, and {len(twice)} accepted cells share theirs (such as "
                f"{', '.join(twice['cell_id'].iloc[:2])}): samples must not lie at one place"
            )
        if (accepted["series_row"] < 0).all():
            raise TilewrightError(
                "mask: the layout deepsatdata is of series, and no accepted cell has an image: see the report for what was refused"
            )
        name, known = whole.settings.label_set, whole.dataset.described.get("labels", {})
        if name is None:
            if known:
                raise TilewrightError(
                    f"export.labels: the layout deepsatdata has one layer of labels: say of which set; there are {', '.join(known)}"
                )
            return
        about = known.get(name, {})
        channels = [str(each["name"]) for each in (about.get("ontology") or {"channels": []})["channels"]]
        if len(channels) != 1:
            raise TilewrightError(
                f"export.labels: the layout deepsatdata has one layer of labels, and set {name} has {len(channels)} channels"
                f"{' (' + ', '.join(channels) + ')' if channels else ''}: name a set with one, such as one of parcels"
            )
        if (accepted[f"{name}_labelled"].fillna(0) == 0).all():
            raise TilewrightError(
                f"labels.{name}: no accepted cell has ground truth, and the layout deepsatdata leaves out windows without: check the source and aoi"
            )

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """Whether the dataset lies in several zones, whose windows then have a folder for each; the classes."""
        index = whole.dataset.index
        return [index.loc[index["accepted"], "epsg"].nunique() > 1, _classes(whole)]

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """A record for each pickle. Cells without ground truth or imagery have none."""
        zones, classes = self.shared(whole, tile)
        collection = _collection(whole)
        left: Counter[str] = Counter()
        for cell in tile.cells():
            truth = _ground_truth(cell, whole.settings.label_set, 0 in classes) if classes else {}
            if classes and not truth["labels"].any():
                left["no labels"] += 1
                continue
            by_year: dict[int, dict[int, Image]] = {}
            for image in cell.images(collection):
                time = pd.Timestamp(image.time)
                by_year.setdefault(time.year, {}).setdefault(time.dayofyear, image)
            if not by_year:
                left["no image"] += 1
            for year, series in sorted(by_year.items()):
                split = whole.split_of(cell.row["split"], year)
                record = _record(cell, split, year, len(series), f"{cell.row['epsg']}/" if zones else "")
                document = {**_images(series), "year": np.int32(year), **truth}
                writing.put(record["sample_path"], pickled(document), cell.cell_id)
                yield record
        if left:
            told = ", ".join(f"{count} {reason}" for reason, count in sorted(left.items()))
            log.info("tile %s: cells left out: %s", tile.tile, told)

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """saved_timeseries_data_info.csv, and a list of relative paths, without a header, for each split."""
        records = records if len(records) else pd.DataFrame(columns=[*COLUMNS, "split"])
        table = records[list(COLUMNS)].to_csv(index=False, lineterminator="\n")
        writing.put("saved_timeseries_data_info.csv", table.encode())
        for split, name in LISTS.items():
            paths = records.loc[records["split"] == split, "sample_path"]
            writing.put(f"paths/{name}", "".join(f"{path}\n" for path in paths).encode())

    def deviations(self, whole: Whole) -> list[Deviation]:
        """What is not as the original makes it, of this dataset."""
        collection, index = _collection(whole), whole.dataset.index
        found = [
            Deviation("windows", "a grid of the samples' polygons, rounded to the products' pixels", "the config's cells, on the 60 m grid that the "
                      "tiles of a zone share", "windows fit the pixels of all bands exactly"),
            Deviation("offset", "DN as the products have them", "the offset of processing baseline 04.00 and later is taken away", "series that span it mean "
                      "the same throughout"),
            Deviation("keys", "labels, ids, masks, ratios, distances; in the released dataset full_ass and part_ass instead of masks", "both: full_ass is masks == 2, "
                      "part_ass masks == 1", "readers of either kind find theirs"),
            Deviation("lists", "train_paths.csv and eval_paths.csv", "train and val, and the split test in test_paths.csv", "models are not chosen by the test cells"),
            Deviation("label_win_i, label_win_j", "place of the window in the raster of labels", "row and column of its first pixel of 10 m from the "
                      "tile's upper-left corner", "there is no raster of labels as a whole"),
            Deviation("pickles", "as numpy pickles arrays", "protocol 4, with names that every numpy has", "they are read by numpy 1 and 2"),
        ]  # fmt: skip
        if collection == PRIMARY:
            found.append(
                Deviation(
                    "level",
                    "Level-1C, 13 bands",
                    "Level-2A, 12 bands: there is no B10",
                    "the dataset has no collection s2_l1c",
                )
            )
        held = bands_of(whole.dataset).get(collection, ())
        if missing := [band for band in COLLECTION_BANDS[collection] if band not in held]:
            found.append(Deviation("bands", "all", f"without {', '.join(missing)}", "the config does not read them"))
        if index.loc[index["accepted"], "epsg"].nunique() > 1:
            found.append(
                Deviation(
                    "folders",
                    "{year}",
                    "{EPSG code}/{year}",
                    "the original is of one tile; windows of two UTM zones may have the same coordinates",
                )
            )
        name = whole.settings.label_set
        if name is None:
            found.append(
                Deviation(
                    "labels",
                    "of polygons",
                    "none",
                    "the dataset has no label set; as the original's mode without labels",
                )
            )
            return found
        found.append(
            Deviation(
                "masks",
                "cells of the raster are counted from each polygon's own corner; conflicts depend on the number of processes",
                "claims of parcels of different classes on each pixel, exactly",
                "the original's defects",
            )
        )
        found.append(
            Deviation(
                "ids",
                "float32",
                f"float32, float64 in windows with an id of {_EXACT} or more",
                "float32 does not hold such ids",
            )
        )
        if not _has_parcels(whole, name):
            found.append(
                Deviation(
                    "ids, ratios, distances",
                    "of polygons",
                    "left out; masks are 0",
                    f"label set {name} is not of parcels",
                )
            )
        return found


def _collection(whole: Whole) -> str:
    """Level-1C, as the original, where the dataset has it."""
    return "s2_l1c" if "s2_l1c" in whole.dataset.collections else PRIMARY


def _classes(whole: Whole) -> list[int]:
    """Values of the label set's classes; none without labels."""
    name = whole.settings.label_set
    if name is None:
        return []
    return sorted(int(each["value"]) for each in whole.dataset.described["labels"][name]["ontology"]["categories"])


def _has_parcels(whole: Whole, label_set: str) -> bool:
    return f"{label_set}_claimed_wholly" in whole.dataset.index


def _images(series: dict[int, Image]) -> dict[str, np.ndarray]:
    """Bands (T, y, x) uint16 in their own pixels, in the mission's order, and days of the year (T,), in order."""
    days = sorted(series)
    bands = {band: np.stack([series[day].bands[band] for day in days]) for band in series[days[0]].bands}
    return {**bands, "doy": np.array(days, np.int64)}


def _ground_truth(cell: CellSource, label_set: str | None, shift: bool) -> dict[str, np.ndarray]:
    """Arrays (y, x) of ground truth: 0 is background, and classes are one higher where one of them is 0."""
    assert label_set is not None
    path = str(cell.row["labels_path"])
    there = [name for name in _PARCELS if name in cell.tile.dataset.reader.label_layout(path, label_set)]
    held = cell.labels(label_set, ["labels", *there])
    labels = held["labels"][0]
    known = labels < NONE
    found = {"labels": np.where(known, labels + np.float32(shift), 0).astype(np.float32)}
    if "instance" in held:
        ids = held["instance"]
        found["ids"] = ids.astype(np.float64 if ids.max(initial=0) >= _EXACT else np.float32)
    masks = held.get("claims", np.zeros_like(labels))
    found["masks"] = masks.astype(np.float32)
    if "parcel_coverage" in held:
        found["ratios"] = held["parcel_coverage"].astype(np.float32)
    if "distance" in held:
        found["distances"] = np.nan_to_num(held["distance"]).astype(np.float32)
    return found | {"full_ass": (masks == 2).astype(np.float32), "part_ass": (masks == 1).astype(np.float32)}


def _record(cell: CellSource, split: str, year: int, dates: int, folder: str) -> Record:
    row, corner = cell.row, tile_named(cell.tile.tile)
    north, west, side = int(row["uly"]), int(row["ulx"]), int(row["size_m"]) // _PIXEL_M
    return {
        "cell_id": cell.cell_id, "split": split, "sample_path": f"{folder}{year}/{north}_{west}_{year}.pickle", "Year": year,
        "N": north, "W": west, "dy": side, "dx": side, "dt": dates, "label_win_i": (corner.uly - north) // _PIXEL_M, "label_win_j": (west - corner.ulx) // _PIXEL_M,
        "status": "ok", "crs": int(row["epsg"]),
    }  # fmt: skip


LAYOUT = DeepSatDataLayout()
