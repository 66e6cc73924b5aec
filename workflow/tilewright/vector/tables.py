"""Layers of vector files, read in batches: through GDAL, or GeoParquet through Arrow (GDAL's wheels have no Parquet)."""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import shapely

from tilewright.errors import TilewrightError

_BATCH: Final = 10_000
_LAYER = "name one with labels.<set>.source.layer"


@dataclass(frozen=True)
class Rows:
    """Some features as the file has them.

    Attributes:
        fields: the fields that were asked for.
        geometry: (n,) shapely geometries, None where there is none or `broken`.
        broken: (n,) geometries that cannot be understood.
    """

    fields: dict[str, pa.Array]
    geometry: np.ndarray
    broken: np.ndarray


class Table(Protocol):
    """One layer.

    Attributes:
        crs: as the file names it (whatever pyproj takes), None where it names none.
        fields: names of the fields.
    """

    crs: Any
    fields: list[str]

    def rows(self, wanted: Sequence[str]) -> Iterator[Rows]:
        """All features in the file's order with the fields `wanted`, some thousands at once."""


def shown(path: str) -> str:
    """A path as it may be shown: without passwords, and without what follows a `?`, which may be a signature."""
    path = re.sub(r"(password)\s*=\s*('(\\.|[^'\\])*'|\S+)", r"\1=…", path, flags=re.IGNORECASE)
    return re.sub(r"://[^/\s]*@", "://", path).split("?")[0]


def open_table(path: str, layer: str | None) -> Table:
    """Open a file.

    Raises:
        TilewrightError: where it is missing, not readable, or has several layers and none is named.
    """
    name = shown(path)
    if not re.match(r"/vsi|[a-z0-9+]+://", path, re.IGNORECASE) and not Path(path).exists():
        raise TilewrightError(f"labels: {name}: no such file; put it there or mend labels.<set>.source.path")
    if Path(path).is_file() and _magic(Path(path)) == b"PAR1":
        return GeoParquet(path, layer)
    return OgrLayer(path, layer)


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def unreadable(path: str, error: Exception) -> TilewrightError:
    """Make the message for a file that is broken or of no known format."""
    return TilewrightError(
        f"labels: {shown(path)}: cannot be read ({' '.join(str(error).split()) or type(error).__name__}); it is truncated, or of a "
        "format that GDAL does not know: fetch it again or mend labels.<set>.source"
    )


def parsed(wkb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Geometries of WKB texts (None stays None), and which are broken beyond closing a ring.

    Raises:
        NotImplementedError: for curves.
    """
    geometry = shapely.from_wkb(wkb, on_invalid="fix")
    return geometry, shapely.is_missing(geometry) & np.array([each is not None for each in wkb], dtype=bool)


class OgrLayer:
    """A layer of what GDAL reads."""

    def __init__(self, path: str, layer: str | None) -> None:
        """Raises TilewrightError: see `open_table`."""
        import pyogrio

        self._path = path
        try:
            self._layer = self._chosen(layer)
            about = pyogrio.read_info(path, layer=self._layer)
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, RuntimeError, OSError) as error:
            raise unreadable(path, error) from error
        self.crs = about["crs"]
        self._fid = about["fid_column"]
        self._geometry = about["geometry_name"] or "wkb_geometry"
        self._count = int(about["features"])
        self.fields = [*map(str, about["fields"]), *([self._fid] if self._fid else [])]
        if about["driver"] == "GPKG" and Path(path).is_file():
            self._refuse_mixed(about["layer_name"])
        if about["driver"] == "ESRI Shapefile" and Path(path).is_file():
            self._refuse_cut(Path(path))

    def _chosen(self, layer: str | None) -> str:
        import pyogrio

        every = [(str(name), kind) for name, kind in pyogrio.list_layers(self._path)]
        names = [name for name, kind in every if kind is not None]
        name = shown(self._path)
        if layer is not None:
            if layer not in names:
                what = "has no geometry" if layer in [each for each, _ in every] else "does not exist"
                raise TilewrightError(f"labels: {name}: layer {layer!r} {what}; there are {', '.join(names)}")
            return layer
        if not names:
            raise TilewrightError(f"labels: {name}: has no layer with geometry; give another file")
        if len(names) > 1:
            crs = [pyogrio.read_info(self._path, layer=each)["crs"] for each in names]
            mixed = " of different CRS" if len(set(crs)) > 1 else ""
            listed = ", ".join(f"{each} ({_short(its)})" for each, its in zip(names, crs, strict=True))
            raise TilewrightError(f"labels: {name}: has {len(names)} layers{mixed}, {listed}: {_LAYER}")
        return names[0]

    def _refuse_mixed(self, layer: str) -> None:
        """GDAL takes all geometries of a GeoPackage for those of the layer's CRS; each says its own.

        Bytes 4-7 of a blob are its srs_id, in the byte order of the lowest bit of byte 3:
        http://www.geopackage.org/spec131/#gpb_format
        """
        column, table = (each.replace('"', '""') for each in (self._geometry, layer))
        with closing(sqlite3.connect(f"{Path(self._path).resolve().as_uri()}?mode=ro", uri=True)) as database:
            heads = database.execute(
                f'SELECT DISTINCT substr("{column}", 4, 5) FROM "{table}" WHERE "{column}" IS NOT NULL'
            )
            found = {int.from_bytes(head[1:5], "little" if head[0] & 1 else "big", signed=True) for (head,) in heads}
        if len(found - {0, -1}) > 1:
            raise mixed_crs(self._path, layer, found)

    def _refuse_cut(self, path: Path) -> None:
        """GDAL gives features without geometry where a .shp ends too early.

        Bytes 24-27 are the file's length in 16-bit words, big-endian: ESRI Shapefile Technical Description, page 4.
        """
        with path.open("rb") as file:
            head = file.read(28)
        length, there = 2 * int.from_bytes(head[24:28], "big"), path.stat().st_size
        if head[:4] == b"\x00\x00\x27\x0a" and there < length:
            raise unreadable(self._path, RuntimeError(f"{there} of its {length} bytes"))

    def rows(self, wanted: Sequence[str]) -> Iterator[Rows]:
        """See `Table`."""
        import pyogrio
        from pyogrio.raw import open_arrow

        columns = [each for each in wanted if each != self._fid]
        first = 0
        try:
            with open_arrow(
                self._path, layer=self._layer, columns=columns, return_fids=self._fid in wanted, force_2d=False,
                batch_size=_BATCH, use_pyarrow=True,
            ) as (_, reader):  # fmt: skip
                for batch in reader:
                    wkb = batch.column(self._geometry).to_numpy(zero_copy_only=False)
                    try:
                        geometry, broken = parsed(wkb)
                    except NotImplementedError:  # curves: this reading makes lines of them
                        geometry, broken = parsed(self._linear(first, len(wkb)))
                    first += len(wkb)
                    yield Rows({each: batch.column(each) for each in wanted}, geometry, broken)
        except (pyogrio.errors.DataSourceError, pa.ArrowException, RuntimeError, OSError, ValueError) as error:
            raise unreadable(self._path, error) from error
        if first < self._count:
            raise unreadable(self._path, RuntimeError(f"{first} of its {self._count} features"))

    def _linear(self, first: int, count: int) -> np.ndarray:
        from pyogrio.raw import read

        wkb = read(self._path, layer=self._layer, columns=[], skip_features=first, max_features=count)[2]
        return np.asarray(wkb, dtype=object)


class GeoParquet:
    """A GeoParquet file; its layers are its geometry columns. See https://geoparquet.org/releases/v1.1.0/."""

    def __init__(self, path: str, layer: str | None) -> None:
        """Raises TilewrightError: see `open_table`."""
        import pyarrow.parquet as pq

        self._path = path
        name = shown(path)
        try:
            schema = pq.read_schema(path)
            about = json.loads((schema.metadata or {}).get(b"geo", b"null"))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(path, error) from error
        if not isinstance(about, dict) or not about.get("columns"):
            raise TilewrightError(f"labels: {name}: is Parquet without geometry; write it as GeoParquet")
        columns: dict[str, Any] = about["columns"]
        # Without `crs` coordinates are longitude and latitude; null is unknown.
        crs = {each: its.get("crs", "OGC:CRS84") for each, its in columns.items()}
        if layer is None and len({json.dumps(each, sort_keys=True) for each in crs.values()}) > 1:
            listed = ", ".join(f"{each} ({_short(its)})" for each, its in crs.items())
            raise TilewrightError(f"labels: {name}: has geometry columns of different CRS, {listed}: {_LAYER}")
        self._geometry = layer or about["primary_column"]
        if self._geometry not in columns or self._geometry not in schema.names:
            raise TilewrightError(
                f"labels: {name}: has no geometry column {self._geometry!r}; there are {', '.join(columns)}"
            )
        self._encoding = str(columns[self._geometry]["encoding"]).lower()
        self.crs = crs[self._geometry]
        self.fields = [each for each in schema.names if each not in columns]

    def rows(self, wanted: Sequence[str]) -> Iterator[Rows]:
        """See `Table`."""
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(_BATCH, columns=[*wanted, self._geometry]):
                    geometry, broken = self._parsed(batch.column(self._geometry))
                    yield Rows({each: batch.column(each) for each in wanted}, geometry, broken)
        except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
            raise unreadable(self._path, error) from error

    def _parsed(self, column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        if self._encoding == "wkb":
            return parsed(column.to_numpy(zero_copy_only=False))
        import geopandas as gpd

        kind = {b"ARROW:extension:name": f"geoarrow.{self._encoding}".encode()}
        table = pa.table([column], schema=pa.schema([pa.field("geometry", column.type, metadata=kind)]))
        geometry = gpd.GeoDataFrame.from_arrow(table).geometry.to_numpy()
        return np.asarray(geometry, dtype=object), np.zeros(len(geometry), dtype=bool)


def mixed_crs(path: str, layer: str, found: set[int]) -> TilewrightError:
    """Make the message for a layer whose geometries are of several CRSs."""
    return TilewrightError(
        f"labels: {shown(path)}: layer {layer} has geometries of different CRS (SRIDs {', '.join(map(str, sorted(found)))}): "
        "transform them to one, for instance with ST_Transform"
    )


def _short(crs: Any) -> str:
    """A CRS in a few words."""
    import pyproj

    if crs is None:
        return "no CRS"
    try:
        found = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError:
        return "a CRS that PROJ does not know"
    return f"EPSG:{found.to_epsg()}" if found.to_epsg() else found.name
