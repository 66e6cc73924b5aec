"""The file of locations: one table for the whole dataset, of which each tile takes its own rows."""

import hashlib
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from tilewright.errors import TilewrightError
from tilewright.store import read_table, table_metadata, write_table


def write_locations(table: pd.DataFrame, output: Path, metadata: dict[str, Any]) -> None:
    """Write the table as GeoParquet, with a digest of each tile's rows in its metadata.

    Args:
        table: a row a location, in the order of the draw: sample, lon, lat (degrees), city, tile (empty where no tile holds
            its cell), reason (why none does).
        output: the file.
        metadata: what else is to be said of the whole.
    """
    points = shapely.points(table["lon"].to_numpy(), table["lat"].to_numpy())
    frame = gpd.GeoDataFrame(table, geometry=points, crs="EPSG:4326")
    write_table(frame, output, {**metadata, "tiles": _digests(table)})


def tiles_of(locations: Path) -> dict[str, str]:
    """{tile: digest of its locations} of a file of locations, sorted.

    Raises:
        TilewrightError: a file that is missing or was not written by `write_locations`.
    """
    metadata = table_metadata(locations)
    if "tiles" not in metadata:
        raise TilewrightError(f"{locations} is no file of locations: delete it and run again")
    return dict(sorted(metadata["tiles"].items()))


def locations_of(locations: Path, tile: str) -> pd.DataFrame:
    """The rows of one tile, in the order of the draw: sample, lon, lat, city.

    Raises:
        TilewrightError: a file that is missing or not whole.
    """
    columns = ["sample", "lon", "lat", "city"]
    found = read_table(locations, columns=columns, filters=[("tile", "==", tile)])
    return found.sort_values("sample", ignore_index=True)[columns]


def _digests(table: pd.DataFrame) -> dict[str, str]:
    """Of what the cells of each tile are made of; locations without a tile are left out."""
    held = table[table["tile"] != ""].sort_values(["tile", "sample"])
    numbers = held[["sample", "lon", "lat"]].to_numpy(dtype="<f8")  # whole numbers below 2⁵³ stay themselves
    cities = held["city"].tolist()
    names, starts = np.unique(held["tile"].to_numpy(dtype=str), return_index=True)
    digests = {}
    for name, start, end in zip(names.tolist(), starts, [*starts[1:], len(held)], strict=True):
        rows = numbers[start:end].tobytes() + "\n".join(cities[start:end]).encode()
        digests[name] = hashlib.blake2b(rows, digest_size=8).hexdigest()
    return digests
