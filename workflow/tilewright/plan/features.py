"""How many features the label sources have, in all and around a tile's cells: judged by the size of their files, where they are files."""

import math
from functools import cache
from pathlib import Path
from typing import Final

import pandas as pd
import shapely

from tilewright.config.label_files import files, parts
from tilewright.config.label_sets import LabelSet, OsmFile, Overpass, VectorFile
from tilewright.costs.sources import ROW_MB, UNSIZED_FEATURES, is_unsized, size_mb
from tilewright.grid.boxes import cells_boxes
from tilewright.rules import DatasetConfig
from tilewright.vector.ontology import MARGIN_M

UNSIZED: Final = "assumed: a database or an address does not tell its size before it is read"

# Features that are kept, a MB of the file. PBF and XML: of Liechtenstein's extract of 2013. Geodatabases are packed: polygons of 10 to 20
# corners with one number take 150 to 215 bytes (OpenFileGDB), and parcels have more fields.
_A_MB: Final = {".pbf": 14_000, ".osm": 1_000, ".gdb": 3_000}
_A_MB_OF_ROWS: Final = 1 / ROW_MB
# Of the simulated world, a km² (the demo's site of 20 km).
_SIMULATED: Final = 40


def source_mb(labels: LabelSet) -> float:
    """MB of a label set's source: of its files, 0 where they are not there (yet); of a database what it is taken for."""
    if is_unsized(labels):
        return UNSIZED_FEATURES * ROW_MB
    return size_mb(part for key, path in files(labels) if key == "source.path" for part in parts(path))


def features_in(labels: LabelSet, dataset: DatasetConfig) -> float:
    """Features of a set's whole source; 0 of an API's, which has no file, and of a raster."""
    source = labels.source
    if not isinstance(source, OsmFile | VectorFile):
        return 0.0
    if is_unsized(labels):
        return UNSIZED_FEATURES
    world = dataset.config.simulate
    if world is not None and dataset.is_simulated(Path(source.path)):
        return sum((site.side_m / 1000) ** 2 for site in world.sites) * _SIMULATED
    return source_mb(labels) * _A_MB.get(Path(source.path).suffix.lower(), _A_MB_OF_ROWS)


def features_near(dataset: DatasetConfig, cells: pd.DataFrame, most: float) -> float:
    """Features of all label sets around a tile's cells: each source's, by the share of its extent where the file's header tells one.

    Args:
        most: what a whole tile of mapped country has, all sets together; nothing is known of an API's answer but that.
    """
    return min(most, sum(_near(each, dataset, cells) for each in dataset.sets.values()))


def _near(labels: LabelSet, dataset: DatasetConfig, cells: pd.DataFrame) -> float:
    if isinstance(labels.source, Overpass):
        return math.inf
    extent = _extent(labels)
    if extent is None:
        return features_in(labels, dataset)
    ground = shapely.union_all([shapely.box(*box) for box in cells_boxes(cells, MARGIN_M)])
    return features_in(labels, dataset) * shapely.area(shapely.intersection(ground, extent)) / shapely.area(extent)


def _extent(labels: LabelSet) -> shapely.Polygon | None:
    """The box in the header of an OpenStreetMap extract."""
    source = labels.source
    return _box_of(source.path) if isinstance(source, OsmFile) and Path(source.path).is_file() else None


@cache
def _box_of(path: str) -> shapely.Polygon | None:
    import osmium

    with osmium.io.Reader(path, osmium.osm.NOTHING) as reader:
        box = reader.header().box()
    if not box.valid():
        return None
    return shapely.box(box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat)
