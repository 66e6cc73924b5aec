"""Parquet tables with a small JSON document about the whole table, the same bytes for the same rows."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tilewright.errors import TilewrightError
from tilewright.store.atomic import replacing
from tilewright.store.seal import BLANK, KEY, seal

_KEY = b"tilewright"


def write_table(table: pd.DataFrame, path: str | Path, metadata: dict[str, Any], row_group: int = 20_000) -> None:
    """Write `table` as (Geo)Parquet; `metadata` (JSON-able) is kept in the file and read by `table_metadata`.

    A GeoDataFrame becomes GeoParquet 1.1 with a covering bbox, so that readers can cut it by area.
    The bytes depend on the rows, the metadata and the library versions only.
    """
    if isinstance(table, gpd.GeoDataFrame):
        # geopandas writes GeoParquet's own metadata, but takes none of ours: it is added on the way through memory.
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False, write_covering_bbox=True)
        arrow = pq.read_table(buffer)
    else:
        arrow = pa.Table.from_pandas(table, preserve_index=False)
    document = json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode()
    kept = {key: value for key, value in (arrow.schema.metadata or {}).items() if key != b"pandas"}
    arrow = arrow.replace_schema_metadata({**kept, _KEY: document})
    with parquet_writer(path, arrow.schema) as writer:
        writer.write_table(arrow, row_group_size=row_group)


@contextmanager
def parquet_writer(path: str | Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file, whole and sealed when the block ends well; `options` go to pyarrow."""
    with replacing(path) as part:
        with pq.ParquetWriter(part, schema, compression="zstd", **options) as writer:
            yield writer
            writer.add_key_value_metadata({KEY: BLANK})
        seal(part)


def read_table(path: str | Path, **options: Any) -> pd.DataFrame:
    """Read what `write_table` wrote: a GeoDataFrame where the file has geometry, else a DataFrame.

    Args:
        options: handed to geopandas or pandas: `columns`, and `bbox` for GeoParquet.

    Raises:
        TilewrightError: naming the file when it is missing or not whole.
    """
    try:
        with_geometry = "columns" not in options or "geometry" in options["columns"]
        if with_geometry and b"geo" in (pq.read_schema(path).metadata or {}):
            return gpd.read_parquet(path, **options)
        return pd.read_parquet(path, **options)
    except FileNotFoundError as error:
        raise TilewrightError(f"{path} is missing: run the rule that makes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise TilewrightError(f"{path} cannot be read ({error}): delete it and run again") from error


def table_metadata(path: str | Path) -> dict[str, Any]:
    """The JSON document that `write_table` stored with the table."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError as error:
        raise TilewrightError(f"{path} is missing: run the rule that makes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise TilewrightError(f"{path} cannot be read ({error}): delete it and run again") from error
    if _KEY not in metadata:
        raise TilewrightError(f"{path} was not written by tilewright: delete it and run again")
    return json.loads(metadata[_KEY])
