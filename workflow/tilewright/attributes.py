"""Attributes: what a vector map of areas says of each cell, by where the cell's centre lies."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import shapely

from tilewright.config.acceptance import Attributes
from tilewright.errors import TilewrightError
from tilewright.grid.vector_files import PARQUET, read_shapes

log = logging.getLogger(__name__)

_LATER: Final = ("complete", "accepted", "accepted_rank", "split")
"""Columns that the index gets after these; a map's own would be lost under them."""


def attributes_of(rows: pd.DataFrame, asked: Attributes) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The map's columns for each cell, and how many cells it says nothing of (`outside`) or several things (`ambiguous`).

    The centres are projected from the cells' own grid into the map's CRS, so that the map's edges stay the straight lines that they
    are there. Of areas that share a centre the first in the file counts. A cell in no area has no value (null), which is counted
    and told; it is no error, as a map of land ends at the sea.

    Args:
        rows: the index, with columns epsg, ulx, uly, size_m.
        asked: file and columns.

    Raises:
        TilewrightError: for a file that cannot be read, or without CRS, area or a column; or a column that the index has already.
    """
    areas = _areas(asked, list(rows.columns))
    tree = shapely.STRtree(areas.geometry.to_numpy())
    points = _centres(rows, areas.crs)
    cell, area = tree.query(points, predicate="intersects")
    order = np.lexsort([area, cell])
    cell, area = cell[order], area[order]
    first = np.r_[True, cell[1:] != cell[:-1]] if len(cell) else np.zeros(0, bool)
    at = np.full(len(rows), -1)
    at[cell[first]] = area[first]
    found = {name: _taken(areas[name], at, rows.index) for name in asked.columns}
    outside, ambiguous = int((at < 0).sum()), len(np.unique(cell[~first]))
    if outside:
        log.warning("attributes: %d of %d cells have their centre in no area of %s: they have no value of %s", outside, len(rows), asked.path, ", ".join(asked.columns))  # fmt: skip
    if ambiguous:
        log.warning("attributes: %d cells have their centre in several areas of %s: the first in the file counts", ambiguous, asked.path)  # fmt: skip
    return pd.DataFrame(found, index=rows.index), {"outside": outside, "ambiguous": ambiguous}


def _areas(asked: Attributes, taken: Sequence[str]) -> gpd.GeoDataFrame:
    """The map's polygons with the columns."""
    for name in asked.columns:
        if name in taken or name in _LATER or name.startswith("split_dates_"):
            raise TilewrightError(
                f"attributes.columns: the index has a column {name!r} already; rename it in {asked.path}"
            )
    path = Path(asked.path)
    table = _of_parquet(asked) if path.suffix.lower() in PARQUET else _of_gdal(path, asked)
    areas = table[table.geometry.notna() & table.geom_type.isin(["Polygon", "MultiPolygon"])]
    if areas.empty:
        raise TilewrightError(f"attributes.path: {path} holds no polygon")
    return areas.reset_index(drop=True)


def _of_parquet(asked: Attributes) -> gpd.GeoDataFrame:
    """GeoParquet, which GDAL reads only where it was built so."""
    if asked.layer is not None:
        raise TilewrightError(f"attributes.layer: {asked.path} is GeoParquet, which has no layers: leave it out")
    table = read_shapes(asked.path, "attributes.path")
    _require(asked, [str(name) for name in table.columns if name != "geometry"])
    return table[[*asked.columns, "geometry"]]


def _require(asked: Attributes, known: Sequence[str]) -> None:
    if missing := [name for name in asked.columns if name not in known]:
        raise TilewrightError(
            f"attributes.columns: {asked.path} has no column {missing[0]!r}; it has {', '.join(known)}"
        )


def _of_gdal(path: Path, asked: Attributes) -> gpd.GeoDataFrame:
    """A file that GDAL reads."""
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if asked.layer is None and len(layers) > 1:
            raise TilewrightError(
                f"attributes.layer: {path} has several layers; say which: {', '.join(sorted(layers))}"
            )
        if asked.layer is not None and asked.layer not in layers:
            raise TilewrightError(
                f"attributes.layer: {path} has no layer {asked.layer!r}; it has {', '.join(sorted(layers))}"
            )
        _require(asked, list(pyogrio.read_info(path, layer=asked.layer)["fields"]))
        table = pyogrio.read_dataframe(path, layer=asked.layer, columns=asked.columns)
    except (OSError, ValueError, pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise TilewrightError(f"attributes.path: {path} cannot be read as a vector map ({error})") from error
    if not isinstance(table, gpd.GeoDataFrame):
        raise TilewrightError(f"attributes.path: {path} has no geometries")
    if table.crs is None:
        raise TilewrightError(f"attributes.path: {path} names no CRS; set it with ogr2ogr -a_srs")
    return table


def _centres(rows: pd.DataFrame, crs: Any) -> np.ndarray:
    """(row,) the cells' centres as points in `crs`.

    Raises:
        TilewrightError: where the map's CRS has no place for a cell.
    """
    half = rows["size_m"].to_numpy(float) / 2
    x, y = rows["ulx"].to_numpy(float) + half, rows["uly"].to_numpy(float) - half
    epsg = rows["epsg"].to_numpy()
    for each in np.unique(epsg):
        mine = epsg == each
        change = pyproj.Transformer.from_crs(int(each), crs, always_xy=True)
        x[mine], y[mine] = change.transform(x[mine], y[mine])
    if not (np.isfinite(x) & np.isfinite(y)).all():
        raise TilewrightError(
            f"attributes.path: its CRS {crs.name} has no place for some cells: transform the map to EPSG:4326"
        )
    return np.asarray(shapely.points(x, y))


def _taken(column: pd.Series, at: np.ndarray, index: pd.Index) -> pd.Series:
    """The values at `at`, null for −1; whole numbers stay whole, text stays text."""
    kinds = {"i": "Int64", "u": "UInt64", "O": "string", "b": "boolean"}
    kind = kinds.get(column.dtype.kind)
    values = column.astype(kind) if kind else column
    return values.reindex(at).set_axis(index)
