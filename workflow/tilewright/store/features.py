"""Feature tables: GeoParquet 1.1 with a covering bbox, of a whole source in Hilbert order, or of a tile in order of identity.

A source's rows lie on the Hilbert curve, so that the rows of a place are in few row groups and a tile is a bbox read.
"""

import json
import mmap
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from tilewright.config.label_sets import Kind
from tilewright.errors import TilewrightError
from tilewright.grid.boxes import Box
from tilewright.store.batch import Batch
from tilewright.store.geoparquet import BBOX, CORNERS, document
from tilewright.store.geoparquet import boxes as box_column
from tilewright.store.hilbert import hilbert
from tilewright.store.table import parquet_writer, table_metadata

FORMAT: Final = "tilewright-features-1"
SOURCE_TYPES: Final = ("node", "relation", "row", "sea", "way")  # in the order of texts, so that numbers sort alike
KINDS: Final = get_args(Kind)
ROW_GROUP: Final = 20_000

_SCHEMA: Final = pa.schema(
    [
        pa.field("source_type", pa.string()), pa.field("source_id", pa.int64()), pa.field("kind", pa.string()),
        pa.field("tags", pa.string()), pa.field("geometry", pa.binary()), pa.field("bbox", BBOX),
    ]
)  # fmt: skip
_SPOOLED: Final = pa.schema([("tags", pa.string()), ("geometry", pa.binary())])


class FeatureWriter:
    """Writes the features of a source, whole or not at all.

    Geometry goes to a scratch file beside the output as it comes; in memory are 70 bytes for each feature. The bytes written
    depend on the features and the metadata, not on how they came in batches.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._parts: list[_Part] = []
        self._scratch: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = tempfile.TemporaryFile(dir=self._path.parent)
        self._sink = pa.ipc.new_file(self._scratch, _SPOOLED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._scratch is not None
        self._scratch.close()

    def add(self, batch: Batch) -> None:
        """Take some features."""
        if not len(batch.source_id):
            return
        bounds = shapely.bounds(batch.geometry)
        part = _Part(
            hilbert=hilbert(bounds),
            source_type=_codes(batch.source_type, SOURCE_TYPES),
            source_id=np.asarray(batch.source_id, dtype=np.int64),
            kind=_codes(batch.kind, KINDS),
            bounds=bounds,
            geometry_type=np.asarray(shapely.get_type_id(batch.geometry), dtype=np.int8),
        )
        order = part.order()
        self._parts.append(part.taken(order))
        tags = pa.array(batch.tags, pa.string()).take(pa.array(order))
        wkb = pa.array(shapely.to_wkb(batch.geometry[order], output_dimension=2), pa.binary())
        self._sink.write_batch(pa.record_batch([tags, wkb], schema=_SPOOLED))

    def finish(self, metadata: Mapping[str, Any]) -> None:
        """Write the file; `metadata` is what `table_metadata` reads.

        Raises:
            TilewrightError: where a feature came twice, or the disk is full.
        """
        assert self._scratch is not None
        self._sink.close()
        self._scratch.flush()
        sizes = [len(part.kind) for part in self._parts]
        rows = _Part.joined(self._parts)
        part_of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        row_of = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes] or [np.empty(0, np.int32)])
        self._refuse_twins(rows)
        order = rows.order()
        schema = _with_metadata(_SCHEMA, rows.bounds, rows.geometry_type, metadata)
        with _writer(self._path, schema) as writer, _Spooled(self._scratch) as spooled:
            for start in range(0, len(order), ROW_GROUP):
                at = order[start : start + ROW_GROUP]
                group = rows.taken(at).table(*spooled.take(part_of[at], row_of[at]), schema)
                writer.write_table(group, row_group_size=ROW_GROUP)
                del group  # before the next is gathered

    def _refuse_twins(self, rows: "_Part") -> None:
        order = np.lexsort((rows.kind, rows.source_id, rows.source_type))
        same = np.ones(max(len(order) - 1, 0), dtype=bool)
        for values in (rows.kind, rows.source_id, rows.source_type):
            same &= values[order][1:] == values[order][:-1]
        if same.any():
            twin = order[1:][same][0]
            name = f"{SOURCE_TYPES[rows.source_type[twin]]} {rows.source_id[twin]}"
            raise TilewrightError(
                f"labels: {self._path.name}: {name} is in its source twice, as in extracts that were joined; merge them so that "
                "each object is there once (osmium merge), or name a field with unique numbers as source.id"
            )


class _Part:
    """What is kept in memory of some features: a row each."""

    def __init__(self, **columns: np.ndarray) -> None:
        self._columns = columns
        self.hilbert, self.bounds = columns["hilbert"], columns["bounds"]
        self.source_type, self.source_id = columns["source_type"], columns["source_id"]
        self.kind, self.geometry_type = columns["kind"], columns["geometry_type"]

    @classmethod
    def joined(cls, parts: Sequence["_Part"]) -> "_Part":
        """One after the other."""
        none = cls(
            hilbert=np.empty(0, np.uint32), source_type=np.empty(0, np.int8), source_id=np.empty(0, np.int64),
            kind=np.empty(0, np.int8), bounds=np.empty((0, 4)), geometry_type=np.empty(0, np.int8),
        )  # fmt: skip
        every = [none, *parts]
        return cls(**{name: np.concatenate([part._columns[name] for part in every]) for name in none._columns})

    def taken(self, rows: np.ndarray) -> "_Part":
        return _Part(**{name: values[rows] for name, values in self._columns.items()})

    def order(self) -> np.ndarray:
        """Along the Hilbert curve, then by identity."""
        return np.lexsort((self.kind, self.source_id, self.source_type, self.hilbert))

    def table(self, tags: pa.Array, geometry: pa.Array, schema: pa.Schema) -> pa.Table:
        columns = [
            pa.array(SOURCE_TYPES).take(pa.array(self.source_type)), pa.array(self.source_id),
            pa.array(KINDS).take(pa.array(self.kind)), tags, geometry, box_column(self.bounds),
        ]  # fmt: skip
        return pa.Table.from_arrays(columns, schema=schema)


class _Spooled:
    """Reads what was spooled: its pages are let go after each piece, so that they do not count as memory held."""

    def __init__(self, file: IO[bytes]) -> None:
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._reader = pa.ipc.open_file(pa.py_buffer(self._map))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        del self._reader

    def take(self, part: np.ndarray, row: np.ndarray) -> tuple[pa.Array, pa.Array]:
        """Tags and WKB of rows, each given by its batch and its place there."""
        order = np.lexsort((row, part))
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        starts = np.flatnonzero(np.diff(part[order], prepend=-1))
        pieces = []
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            rows = order[start:end]
            pieces.append(self._reader.get_batch(int(part[rows[0]])).take(pa.array(row[rows])))
        joined = pa.Table.from_batches(pieces).combine_chunks()
        del pieces
        found = joined.take(pa.array(back)).combine_chunks()
        self._map.madvise(mmap.MADV_DONTNEED)
        return found["tags"].chunk(0), found["geometry"].chunk(0)


def read_arrow(path: str | Path, boxes: Sequence[Box]) -> pa.Table:
    """Those features of a source's table whose bounding box meets one of `boxes` (degrees), sorted by type and id.

    Columns source_type, source_id, kind, tags, geometry (WKB, EPSG:4326), bbox.

    Raises:
        TilewrightError: where the table is missing, damaged or of another version.
    """
    if table_metadata(path).get("format") != FORMAT:
        raise TilewrightError(f"{path} is of another version: delete it and run again")
    if not boxes:
        return _SCHEMA.empty_table()
    xmin, ymin, xmax, ymax = (pc.field("bbox", name) for name in CORNERS)
    near = None
    for west, south, east, north in boxes:
        meets = (xmin <= east) & (xmax >= west) & (ymin <= north) & (ymax >= south)
        near = meets if near is None else near | meets
    try:
        table = pq.read_table(path, filters=near, schema=_SCHEMA)
    except (pa.ArrowInvalid, OSError) as error:
        raise TilewrightError(f"{path} cannot be read ({error}): delete it and run again") from error
    return table.replace_schema_metadata(None).sort_by(
        [(name, "ascending") for name in ("source_type", "source_id", "kind")]
    )


def write_arrow(tables: Mapping[str, pa.Table], path: str | Path, metadata: Mapping[str, Any]) -> None:
    """Write a tile's features: tables as of `read_arrow` by label set, which becomes the first column."""
    schema = _SCHEMA.insert(0, pa.field("label_set", pa.string()))
    sets = []
    for name, table in sorted(tables.items()):
        sets.append(table.add_column(0, schema.field(0), pa.repeat(name, len(table)).cast(pa.string())).cast(schema))
    whole = pa.concat_tables([schema.empty_table(), *sets])
    bounds = np.column_stack([pc.struct_field(whole["bbox"], name).to_numpy() for name in CORNERS])
    geometry_type = shapely.get_type_id(shapely.from_wkb(whole["geometry"].to_numpy()))
    schema = _with_metadata(schema, bounds, geometry_type, metadata)
    with _writer(path, schema) as writer:
        writer.write_table(whole.cast(schema), row_group_size=ROW_GROUP)


def _codes(texts: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Places of `texts` in `known`."""
    found = pc.index_in(pa.array(texts, pa.string()), pa.array(known, pa.string()))
    return found.to_numpy(zero_copy_only=False).astype(np.int8)


def _writer(path: str | Path, schema: pa.Schema) -> AbstractContextManager[pq.ParquetWriter]:
    texts = [name for name in ("label_set", "source_type", "kind", "tags") if name in schema.names]
    return parquet_writer(path, schema, use_dictionary=texts)


def _with_metadata(
    schema: pa.Schema, bounds: np.ndarray, geometry_type: np.ndarray, metadata: Mapping[str, Any]
) -> pa.Schema:
    """GeoParquet's document and ours."""
    ours = {**metadata, "format": FORMAT}
    return schema.with_metadata(
        {"geo": document(bounds, geometry_type), "tilewright": json.dumps(ours, sort_keys=True)}
    )
