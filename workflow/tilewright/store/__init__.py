"""The room of files that are whole or absent: atomic replacement, GeoParquet tables, Zarr stores in one zip (`zarrzip`)."""

from tilewright.store.atomic import replacing, replacing_tree
from tilewright.store.table import read_columns, read_table, table_metadata, write_table

__all__ = ["read_columns", "read_table", "replacing", "replacing_tree", "table_metadata", "write_table"]
