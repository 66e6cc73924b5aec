"""The room of files that are whole or absent: atomic replacement, GeoParquet tables, Zarr stores in one zip."""

from tilewright.store.atomic import replacing, replacing_tree
from tilewright.store.table import read_table, table_metadata, write_table
from tilewright.store.zarrzip import StoreReader, StoreWriter

__all__ = ["StoreReader", "StoreWriter", "read_table", "replacing", "replacing_tree", "table_metadata", "write_table"]
