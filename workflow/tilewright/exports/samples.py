"""samples.parquet: a row for each sample of an export, the same for every layout, so that programs need not read the layout's own lists."""

import io
from typing import Final

import numpy as np
import pandas as pd

from tilewright.exports.protocol import Whole

SAMPLES: Final = "samples.parquet"
# What columns are that layouts share; a layout's own columns are told by their names.
MEANINGS: Final = {
    "cell_id": "Id of the cell, as in the dataset's index", "tile": "MGRS tile that owns the cell", "split": "train, val or test; empty: in none; by_year: each date in the split of its year",
    "epsg": "EPSG code of the cell's UTM zone", "ulx": "Easting of the cell's upper-left corner in metres",
    "uly": "Northing of the cell's upper-left corner in metres", "size_m": "Side of the cell in metres", "lon": "Longitude of the cell's centre",
    "lat": "Latitude of the cell's centre", "collection": "Collection of the imagery", "scene_id": "STAC item that the pixels are of",
    "datetime": "When the scene was taken (UTC)", "period": "Period that chose the scene", "periods": "Periods that chose the scene, with commas",
    "folder": "Folder of the sample's files in the export", "stem": "How the paths of the sample's files begin",
    "platform": "Satellite", "relative_orbit": "Relative orbit number", "orbit_state": "ascending or descending",
    "pair_of": "Scene of s2_l2a that it is the companion of", "bad_fraction": "Share of bad pixels", "nodata_fraction": "Share of pixels without data",
}  # fmt: skip
_OF_THE_CELL: Final = ("tile", "split", "epsg", "ulx", "uly", "size_m", "lon", "lat")


def samples_table(whole: Whole, records: pd.DataFrame) -> pd.DataFrame:
    """The records' plain columns, led by what the index says of each sample's cell; in the records' order.

    Columns of lists, which layouts keep for figures of their own, are left out.
    """
    known = [name for name in records if not _holds_lists(records[name])]
    if "cell_id" not in records:
        return records[known].copy()
    of_cells = whole.dataset.index[list(_OF_THE_CELL)].reindex(records["cell_id"])
    led = {"cell_id": records["cell_id"].to_numpy()} | {name: of_cells[name].to_numpy() for name in _OF_THE_CELL}
    if "split" in records:  # of a split by year that of the sample's year, which the cell does not tell
        led["split"] = records["split"].to_numpy()
    return pd.DataFrame(led | {name: records[name].to_numpy() for name in known if name not in led})


def _holds_lists(column: pd.Series) -> bool:
    return column.dtype == object and bool(column.map(lambda value: isinstance(value, (list, dict, np.ndarray))).any())


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """The same bytes for the same table."""
    file = io.BytesIO()
    table.to_parquet(file, index=False, compression="zstd")
    return file.getvalue()
