"""Parquet tables with a small JSON document about the whole table, the same bytes for the same rows."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tilewright.errors import TilewrightError
from tilewright.store.atomic import replacing
from tilewright.store.geoparquet import with_geometry
from tilewright.store.seal import BLANK, KEY, seal

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"tilewright"


def write_table(
    table: "pa.Table | pd.DataFrame", path: str | Path, metadata: dict[str, Any], row_group: int = 20_000
) -> None:
    """Write `table` as (Geo)Parquet; `metadata` (JSON-able) is kept in the file and read by `table_metadata`.

    A GeoDataFrame becomes GeoParquet 1.1 with a covering bbox, so that readers can cut it by area, as does an Arrow table
    with `geoparquet.with_geometry`. The bytes depend on the rows, the metadata and the library versions only.
    """
    arrow = table if isinstance(table, pa.Table) else _arrow(table)
    document = json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode()
    kept = {key: value for key, value in (arrow.schema.metadata or {}).items() if key != b"pandas"}
    arrow = arrow.replace_schema_metadata({**kept, _KEY: document})
    with parquet_writer(path, arrow.schema) as writer:
        writer.write_table(arrow, row_group_size=row_group)


def _arrow(table: "pd.DataFrame") -> pa.Table:
    """A frame, or a GeoDataFrame in EPSG:4326, as an Arrow table."""
    import geopandas as gpd

    if not isinstance(table, gpd.GeoDataFrame):
        return pa.Table.from_pandas(table, preserve_index=False)
    assert table.crs.to_epsg() == 4326
    plain = pa.Table.from_pandas(table.drop(columns="geometry"), preserve_index=False)
    return with_geometry(plain, table.geometry.to_numpy(), table.columns.get_loc("geometry"))


@contextmanager
def parquet_writer(path: str | Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file, whole and sealed when the block ends well; `options` go to pyarrow."""
    with replacing(path) as part:
        with pq.ParquetWriter(part, schema, compression="zstd", **options) as writer:
            yield writer
            writer.add_key_value_metadata({KEY: BLANK})
        seal(part)


def read_table(path: str | Path, **options: Any) -> "pd.DataFrame":
    """Read what `write_table` wrote: a GeoDataFrame where the file has geometry, else a DataFrame.

    Args:
        options: handed to geopandas or pandas: `columns`, and `bbox` for GeoParquet.

    Raises:
        TilewrightError: naming the file when it is missing or not whole.
    """
    import geopandas as gpd
    import pandas as pd

    with _told(path):
        geometry_too = "columns" not in options or "geometry" in options["columns"]
        if geometry_too and b"geo" in (pq.read_schema(path).metadata or {}):
            return gpd.read_parquet(path, **options)
        return pd.read_parquet(path, **options)


def read_columns(path: str | Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Some columns of what `write_table` wrote, for stages that need no pandas: its import takes half a second.

    Raises:
        TilewrightError: as `read_table`.
    """
    with _told(path), pq.ParquetFile(path) as file:
        table = file.read(list(columns))
    return {name: table[name].to_numpy() for name in columns}


def table_metadata(path: str | Path) -> dict[str, Any]:
    """The JSON document that `write_table` stored with the table."""
    with _told(path):
        metadata = pq.read_schema(path).metadata or {}
    if _KEY not in metadata:
        raise TilewrightError(f"{path} was not written by tilewright: delete it and run again")
    return json.loads(metadata[_KEY])


@contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """Errors of reading a table as users see them.

    Raises:
        TilewrightError: naming the file when it is missing or not whole.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise TilewrightError(f"{path} is missing: run the rule that makes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise TilewrightError(f"{path} cannot be read ({error}): delete it and run again") from error
