"""GeoParquet 1.1: geometry in EPSG:4326 as WKB with a column of boxes, and the document that tells readers of both."""

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
BBOX: Final = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in CORNERS])
_GEOJSON_NAMES: Final = {
    "POINT": "Point", "LINESTRING": "LineString", "POLYGON": "Polygon", "MULTIPOINT": "MultiPoint",
    "MULTILINESTRING": "MultiLineString", "MULTIPOLYGON": "MultiPolygon",
}  # fmt: skip
# WGS 84, as EPSG:4326 is written in PROJJSON. Not asked of PROJ: by what a process did before, it tells the datum in one way or another.
_CRS: Final = {
    "type": "GeographicCRS",
    "name": "WGS 84",
    "datum": {
        "type": "GeodeticReferenceFrame",
        "name": "World Geodetic System 1984",
        "ellipsoid": {"name": "WGS 84", "semi_major_axis": 6378137, "inverse_flattening": 298.257223563},
    },
    "coordinate_system": {
        "subtype": "ellipsoidal",
        "axis": [
            {"name": "Geodetic latitude", "abbreviation": "Lat", "direction": "north", "unit": "degree"},
            {"name": "Geodetic longitude", "abbreviation": "Lon", "direction": "east", "unit": "degree"},
        ],
    },
    "id": {"authority": "EPSG", "code": 4326},
}


def boxes(bounds: NDArray[np.float64]) -> pa.StructArray:
    """(row, 4) bounds as the column that readers cut by."""
    return pa.StructArray.from_arrays([pa.array(bounds[:, at]) for at in range(4)], fields=list(BBOX))


def document(bounds: NDArray[np.float64], geometry_type: NDArray[np.integer[Any]]) -> str:
    """The metadata `geo` of a file with the columns `geometry` and `bbox`.

    Args:
        bounds: (row, 4) degrees.
        geometry_type: (row,) shapely's numbers of types.
    """
    types = sorted(shapely.GeometryType(int(each)).name for each in np.unique(geometry_type))
    column: dict[str, Any] = {
        "encoding": "WKB", "crs": _CRS, "geometry_types": [_GEOJSON_NAMES[name] for name in types],
        "covering": {"bbox": {name: ["bbox", name] for name in CORNERS}},
    }  # fmt: skip
    if len(bounds):
        column["bbox"] = [*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist()]
    return json.dumps(
        {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}, sort_keys=True
    )


def with_geometry(table: pa.Table, geometry: NDArray[np.object_], at: int | None = None) -> pa.Table:
    """The table with the columns geometry (at a place of its own, else after the others) and bbox, and GeoParquet's metadata."""
    bounds = shapely.bounds(geometry).reshape(-1, 4)
    wkb = pa.array(shapely.to_wkb(geometry, output_dimension=2), pa.binary())
    place = table.num_columns if at is None else at
    table = table.add_column(place, "geometry", wkb).append_column(pa.field("bbox", BBOX), boxes(bounds))
    return table.replace_schema_metadata({"geo": document(bounds, shapely.get_type_id(geometry))})
