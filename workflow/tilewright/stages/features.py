"""The stage `features`: the vector labels around a tile's cells, normalised.

cells.parquet, extract  →  features.parquet

The table keeps every object that could matter to some ontology, whole: an object is taken by its bounding box, so that a
wood around a cell survives although none of its vertices is near.
"""

from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj

from tilewright.config.label_settings import FeaturesSettings
from tilewright.config.model import LabelSource
from tilewright.store import read_table, write_table
from tilewright.vector.ontology import MAX_DILATE_M
from tilewright.vector.osm import COLUMNS, Box, Extract

# Features this far outside the cells can still reach them by dilation.
MARGIN_M: Final = MAX_DILATE_M
# Parallels and meridians bend in UTM: the outline is followed at this many points a side, and the degrees below added,
# which exceed what a side bends by between two of them (a tile is 110 km: 0.3 m).
_POINTS: Final = 65
_SLACK_DEG: Final = 1e-4


def cells_boxes(cells: pd.DataFrame) -> list[Box]:
    """Longitude/latitude boxes (two across the antimeridian) around all cells and MARGIN_M more.

    Args:
        cells: columns epsg, ulx, uly, size_m (metres, upper-left corner).
    """
    west, east, south, north = np.inf, -np.inf, np.inf, -np.inf
    middle: float | None = None  # longitudes are counted from here, so that ±180 is no border
    for epsg in sorted(set(cells["epsg"].astype(int).tolist())):
        group = cells[cells["epsg"] == epsg]
        left, right = group["ulx"].min() - MARGIN_M, (group["ulx"] + group["size_m"]).max() + MARGIN_M
        bottom, top = (group["uly"] - group["size_m"]).min() - MARGIN_M, group["uly"].max() + MARGIN_M
        across, up = np.linspace(left, right, _POINTS), np.linspace(bottom, top, _POINTS)
        x = np.concatenate([across, across, np.full(_POINTS, left), np.full(_POINTS, right)])
        y = np.concatenate([np.full(_POINTS, bottom), np.full(_POINTS, top), up, up])
        lon, lat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
        middle = float(lon[0]) if middle is None else middle
        lon = (lon - middle + 180) % 360 + middle - 180
        west, east = min(west, lon.min()), max(east, lon.max())
        south, north = min(south, lat.min()), max(north, lat.max())
    if middle is None:
        return []
    return _split(west - _SLACK_DEG, south - _SLACK_DEG, east + _SLACK_DEG, north + _SLACK_DEG)


def _split(west: float, south: float, east: float, north: float) -> list[Box]:
    if west < -180:
        return [(west + 360, south, 180.0, north), (-180.0, south, east, north)]
    if east > 180:
        return [(west, south, 180.0, north), (-180.0, south, east - 360, north)]
    return [(west, south, east, north)]


def read_source(source: LabelSource, boxes: list[Box]) -> Extract:
    """Read the objects of one source that meet `boxes`.

    Raises:
        TilewrightError: where the file is missing, broken or of another kind.
    """
    if source.kind == "pbf":
        from tilewright.vector.osm import read_pbf

        return read_pbf(source.path, boxes)
    from tilewright.vector.osm_xml import read_osm_xml

    return read_osm_xml(source.path, boxes)


def make_features(cells: Path, settings: FeaturesSettings, output: Path) -> None:
    """Write `output` (GeoParquet, EPSG:4326): a row per label set and object, sorted by label_set, osm_type, osm_id.

    Columns: label_set, osm_type (node, way, relation), osm_id, kind (area, line, point), tags (JSON, sorted keys),
    geometry. The table's metadata says per label set: source, snapshot, extent, counts, rejects, repaired.

    Raises:
        TilewrightError: where `cells` or a source is missing, broken or of another kind.
    """
    table = read_table(cells)
    boxes = cells_boxes(table)
    frames: list[gpd.GeoDataFrame] = []
    about: dict[str, dict[str, Any]] = {}
    read: dict[tuple[str, str], Extract] = {}  # two label sets may differ in ontology alone
    for name, source in sorted(settings.sources.items()):
        key = (source.kind, source.path)
        if boxes and key not in read:
            read[key] = read_source(source, boxes)
        extract = read.get(key)
        extent = source.extent or (extract.box if extract else None)
        about[name] = {
            "source": Path(source.path).name,
            "kind": source.kind,
            "snapshot": extract.snapshot if extract else None,
            "extent": list(extent) if extent else None,
            "counts": {
                kind: int((extract.features["kind"] == kind).sum()) if extract else 0
                for kind in ("area", "line", "point")
            },
            "rejects": extract.rejects if extract else {},
            "repaired": extract.repaired if extract else 0,
        }
        if extract:
            frames.append(extract.features.assign(label_set=name))
    empty = gpd.GeoDataFrame({"label_set": [], **{column: [] for column in COLUMNS}}, geometry=[], crs="EPSG:4326")
    features = pd.concat(frames, ignore_index=True) if frames else empty
    features = features.astype({"label_set": str, "osm_type": str, "osm_id": "int64", "kind": str, "tags": str})
    metadata: dict[str, Any] = {"margin_m": MARGIN_M, "label_sets": about}
    if not boxes:
        metadata["reason"] = "the tile has no cells, so the sources were not read"
    write_table(features[["label_set", *COLUMNS, "geometry"]], output, metadata)
