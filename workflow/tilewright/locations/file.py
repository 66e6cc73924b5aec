"""The file of locations: one table for the whole dataset, of which each tile takes its own rows."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from tilewright.errors import TilewrightError
from tilewright.store import read_columns, table_metadata, write_table
from tilewright.store.geoparquet import with_geometry


def write_locations(table: dict[str, np.ndarray], output: Path, metadata: dict[str, Any]) -> None:
    """Write the table as GeoParquet, with a digest of each tile's rows in its metadata.

    Args:
        table: a value for each location, in the order of the draw: sample, lon, lat (degrees), city, tile (empty where no
            tile holds its cell), reason (why none does).
        output: the file.
        metadata: what else is to be said of the whole.
    """
    points = np.asarray(shapely.points(table["lon"], table["lat"]), dtype=object)
    plain = pa.Table.from_arrays([pa.array(values) for values in table.values()], names=list(table))
    write_table(with_geometry(plain, points), output, {**metadata, "tiles": _digests(table)})


def tiles_of(locations: Path) -> dict[str, str]:
    """{tile: digest of its locations} of a file of locations, sorted.

    Raises:
        TilewrightError: a file that is missing or was not written by `write_locations`.
    """
    metadata = table_metadata(locations)
    if "tiles" not in metadata:
        raise TilewrightError(f"{locations} is no file of locations: delete it and run again")
    return dict(sorted(metadata["tiles"].items()))


def locations_of(locations: Path, tile: str) -> dict[str, np.ndarray]:
    """Of those of one tile, in the order of the draw: sample, lon, lat, city.

    Raises:
        TilewrightError: a file that is missing or not whole.
    """
    columns = read_columns(locations, ("sample", "lon", "lat", "city", "tile"))
    mine = np.flatnonzero(columns.pop("tile") == tile)
    order = mine[np.argsort(columns["sample"][mine], kind="stable")]
    return {name: values[order] for name, values in columns.items()}


def _digests(table: dict[str, np.ndarray]) -> dict[str, str]:
    """Of what the cells of each tile are made of; locations without a tile are left out."""
    tiles = np.asarray(table["tile"], dtype=str)
    held = np.flatnonzero(tiles != "")
    held = held[np.lexsort((table["sample"][held], tiles[held]))]
    # whole numbers below 2⁵³ stay themselves
    numbers = np.column_stack([np.asarray(table[name], "<f8")[held] for name in ("sample", "lon", "lat")])
    cities = table["city"][held].tolist()
    names, starts = np.unique(tiles[held], return_index=True)
    digests = {}
    for name, start, end in zip(names.tolist(), starts, [*starts[1:], len(held)], strict=True):
        rows = numbers[start:end].tobytes() + "\n".join(cities[start:end]).encode()
        digests[name] = hashlib.blake2b(rows, digest_size=8).hexdigest()
    return digests
