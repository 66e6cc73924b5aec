"""opensentinelmap: an npz for each cell and scene, label images of three channels, and the lists beside them.

Johnson, Treible and Crispell, OpenSentinelMap (EarthVision 2022), as its readers take it: TerraTorch's `OpenSentinelMap` and OlmoEarth's.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import imagecodecs
import numpy as np
import pandas as pd

from tilewright.config.bands import NONE, S2_L2A, UNLABELED
from tilewright.config.split_names import BY_YEAR
from tilewright.errors import TilewrightError
from tilewright.exports.cellnumbers import cell_numbers, outside, step_of
from tilewright.exports.npz import npz
from tilewright.exports.protocol import Deviation, Record, Whole
from tilewright.exports.source import CellSource, Image, TileSource, bands_of, once
from tilewright.exports.writing import Writing

# keys of an npz and their bands, in order (README of the published dataset)
GROUPS: Final = {
    "gsd_10": ("B02", "B03", "B04", "B08"),
    "gsd_20": ("B05", "B06", "B07", "B8A", "B11", "B12"),
    "gsd_60": ("B01", "B09"),
}
# Our ontology's channels, in the order of the label image, and what they are called in osm_categories.json.
CHANNELS: Final = {"land_use": "OSM_land_use", "water_and_roads": "OSM_water_and_roads", "buildings": "buildings"}
SPLITS: Final = {"train": "training", "val": "validation", "test": "testing"}
SIZE_M: Final = 1920
# The paper takes pairs of scenes, and TerraTorch draws two of a cell's files: one alone is an error to it.
LEAST_SCENES: Final = 2
_LABEL_M: Final = 10
_DN: Final = np.float32(10_000)
_PNG_LEVEL: Final = 6
COLUMNS: Final = ("cell_id", "MGRS_tile", "min_lon", "max_lon", "min_lat", "max_lat", "split")


class OpenSentinelMapLayout:
    """`osm_sentinel_imagery/{tile}/{cell}/{scene}.npz`, `osm_label_images_v10/{tile}/{cell}.png`, `spatial_cell_info.csv`, `osm_categories.json`."""

    title = "OpenSentinelMap (Johnson, Treible, Crispell 2022)"

    def check(self, whole: Whole) -> None:
        """All 12 bands, the label set's three channels at 10 m, two scenes in some cell, and a number of its own for each cell.

        Raises:
            TilewrightError: naming the key and the mend.
        """
        index = whole.dataset.index
        accepted = index[index["accepted"]]
        if (accepted["series_row"] < 0).all():
            raise TilewrightError(
                "mask: the layout opensentinelmap is of images, and no accepted cell has one: see the report for what was refused"
            )
        if missing := [band for band in S2_L2A if band not in bands_of(whole.dataset).get("s2_l2a", ())]:
            raise TilewrightError(
                f"collections.s2_l2a.bands: the layout opensentinelmap has all 12 bands, and {', '.join(missing)} are not read: add them"
            )
        about = _label_set(whole)
        channels = [str(each["name"]) for each in (about.get("ontology") or {"channels": []})["channels"]]
        if channels != list(CHANNELS):
            raise TilewrightError(
                f"export.labels: the layout opensentinelmap has the channels {', '.join(CHANNELS)}, and label set {whole.settings.label_set} has "
                f"{', '.join(channels) or 'none'}: name a set made with the ontology opensentinelmap"
            )
        if about.get("resolution_m") != _LABEL_M:
            raise TilewrightError(
                f"labels.{whole.settings.label_set}.resolution_m: the label images of the layout opensentinelmap have pixels of 10 m, not of "
                f"{about.get('resolution_m')} m: name a set of 10 m with export.labels"
            )
        if (accepted["dates"] < LEAST_SCENES).all():
            raise TilewrightError(
                "periods: the layout opensentinelmap needs two scenes of a cell, and no accepted cell has as many: add periods, "
                "raise `scenes`, or loosen `mask`"
            )
        if (accepted["split"] == BY_YEAR).any():
            raise TilewrightError(
                "split.by: the layout opensentinelmap has one split for each cell, and cells of splits by year are in all of them: use `by: tile`"
            )
        if (strange := accepted[outside(*_places(accepted), step_of(index))]).size:
            raise TilewrightError(
                f"aoi: the layout opensentinelmap numbers cells within their UTM zone, and {len(strange)} accepted cells (such as "
                f"{strange['cell_id'].iloc[0]}) lie in a tile of the next zone, since no tile of their own contains them: leave these places out, or "
                "take the layout geotiff or webdataset"
            )
        numbers = _numbers(whole, accepted)
        if (twice := accepted[numbers.duplicated(keep=False)]).size:
            raise TilewrightError(
                f"cells.strategy: the layout opensentinelmap numbers cells by their place, and {len(twice)} accepted cells share theirs (such as "
                f"{', '.join(twice['cell_id'].iloc[:2])}): samples must not lie at one place"
            )

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """The lattice by which cells are numbered."""
        return step_of(whole.dataset.index)

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """A record for each cell; cells of fewer than two scenes are in the list alone."""
        numbers, square = _numbers(whole, tile.rows), tile.tile.lstrip("0")
        assert whole.settings.label_set is not None
        for cell in tile.cells():
            number = int(numbers[cell.cell_id])
            images = once(cell.images())
            if len(images) >= LEAST_SCENES:
                for image in images:
                    path = f"osm_sentinel_imagery/{square}/{number}/{stem(image)}.npz"
                    writing.put(path, npz(arrays(image)), cell.cell_id)
                labels = cell.labels(whole.settings.label_set)["labels"]
                png: Any = imagecodecs.png_encode(np.ascontiguousarray(np.moveaxis(labels, 0, -1)), level=_PNG_LEVEL)
                writing.put(f"osm_label_images_v10/{square}/{number}.png", bytes(png), cell.cell_id)
            yield _record(cell, number, square, len(images))

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """spatial_cell_info.csv, a row for each accepted cell, by its number; osm_categories.json."""
        rows = records.rename(columns={"number": "cell_id", "cell_id": "cell"}).sort_values("cell_id")
        rows["split"] = rows["split"].map(lambda name: SPLITS.get(name, name))
        table = rows[list(COLUMNS)].to_csv(index=False, lineterminator="\n", float_format="%.7f")
        writing.put("spatial_cell_info.csv", table.encode())
        document = categories(_label_set(whole)["ontology"])
        writing.put("osm_categories.json", (json.dumps(document, indent=1) + "\n").encode())

    def deviations(self, whole: Whole) -> list[Deviation]:
        """What is not as published, of this dataset."""
        index = whole.dataset.index
        accepted = index[index["accepted"]]
        found = [
            Deviation("cells", "axis-aligned in the tile's UTM zone, at offsets that follow no rule that we know", "those of the config, on the 60 m grid that "
                      "all tiles of a zone share", "neighbouring cells then neither overlap nor leave seams, and their pixels are not resampled"),
            Deviation("cell ids", "one counter of cells in bands of latitude (82543044 in 43QEU, 119316571 in 52UCG)", "a counter of our own, from west to "
                      f"east, then south to north, from the cell's zone, column and row in squares of {step_of(index)} m", "their rounding is not recoverable; ours "
                      "do not depend on the AOI"),
            Deviation("labels", "tags, dilations and the rule for `none` of osm_categories.json, version 10", "channels, values and precedences as published, tags and "
                      "dilations as the ontology marks them known or ours", "the published file is in no public store that we could reach"),
            Deviation("osm_categories.json", "the published file", "made from the ontology in its shape (channels, labels, value, precedence, tags), with our "
                      "rules beside them", "the same"),
            Deviation("names of scenes", "ids of Earth Search v0", "ids of the provider's items, with the date before them where they do not tell it", "the files then "
                      "name the scenes that were read"),
            Deviation("pixels", "DN / 10000 of Earth Search v0, which had no offset to take away", "harmonised DN / 10000: the offset of processing baseline 04.00 and "
                      "later is taken away", "products of all baselines mean the same"),
            Deviation("cells of fewer than two scenes", "152,632 rows for 137,045 label images: not every cell of the list has files", "such cells are in "
                      "spatial_cell_info.csv, without files", "the paper takes scenes in pairs, and readers draw two of a cell"),
        ]  # fmt: skip
        if sizes := sorted(set(accepted["size_m"].astype(int)) - {SIZE_M}):
            side = ", ".join(f"{size} m" for size in sizes)
            found.append(
                Deviation("size", "cells of 1920 m, 192 pixels of 10 m", f"cells of {side}", "the config says so")
            )
        how = str(whole.dataset.described.get("split", {}).get("by", "tile"))
        if how != "tile":
            found.append(
                Deviation("split", "by tile, 80/10/10", f"by {how}", "the config says so, or there are too few tiles")
            )
        return found


def arrays(image: Image) -> dict[str, np.ndarray]:
    """What an npz holds: bands (y, x, band) float32 of DN / 10000, values above 1 kept; scl (y, x) uint8; bad_percent, a fraction."""
    made = {
        key: np.stack([image.bands[band] for band in bands], axis=-1).astype(np.float32) / _DN
        for key, bands in GROUPS.items()
    }
    assert image.scl is not None
    return made | {"scl": image.scl, "bad_percent": np.array(image.about["bad_fraction"], np.float64)}


def stem(image: Image) -> str:
    """The scene's id, in which readers take the first eight digits for its date; before it the date where that would be another."""
    day = f"{pd.Timestamp(image.time):%Y%m%d}"
    told = re.search(r"\d{8}", image.scene_id)
    return image.scene_id if told and told[0] == day else f"{day}_{image.scene_id}"


def categories(ontology: dict[str, Any]) -> dict[str, Any]:
    """osm_categories.json: channels with their labels by name, each with value, precedence and tags, and our rules beside them."""
    channels = []
    for ours, theirs in CHANNELS.items():
        labels: dict[str, Any] = {}
        for each in ontology["categories"]:
            if each["channel"] != ours:
                continue
            tags: dict[str, list[str]] = {}
            for rule in each["rules"]:
                for key, values in (rule["tags"] or {}).items():
                    tags[key] = list(dict.fromkeys([*tags.get(key, []), *values]))
            labels[each["name"]] = {
                "value": each["value"], "precedence": each["precedence"], "tags": tags,
                "rules": [{key: value for key, value in rule.items() if value not in (None, {}, [])} for rule in each["rules"]],
            }  # fmt: skip
        # no precedence: they are where no category is
        labels |= {"none": {"value": NONE, "precedence": -1, "tags": {}}}
        labels |= {"unlabeled": {"value": UNLABELED, "precedence": -1, "tags": {}}}
        channels.append({"name": theirs, "labels": labels})
    return {"name": ontology["name"], "version": ontology["version"], "channels": channels}


def _record(cell: CellSource, number: int, square: str, images: int) -> Record:
    west, south, east, north = cell.row["geometry"].bounds
    return {
        "cell_id": cell.cell_id, "number": number, "MGRS_tile": square, "split": cell.row["split"], "images": images,
        "min_lon": west, "max_lon": east, "min_lat": south, "max_lat": north,
    }  # fmt: skip


def _label_set(whole: Whole) -> dict[str, Any]:
    name, known = whole.settings.label_set, whole.dataset.described.get("labels", {})
    if name is None:
        raise TilewrightError(
            f"export.labels: say which label set the layout opensentinelmap takes; there are {', '.join(known) or 'none: add one under labels'}"
        )
    about: dict[str, Any] = known.get(name, {})
    return about


def _numbers(whole: Whole, rows: pd.DataFrame) -> "pd.Series[int]":
    return pd.Series(cell_numbers(*_places(rows), step_of(whole.dataset.index)), index=rows.index)


def _places(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Zones and upper-left corners."""
    return rows["epsg"].to_numpy(), rows["ulx"].to_numpy(), rows["uly"].to_numpy()


LAYOUT = OpenSentinelMapLayout()
