"""Files of geometries that a user names under `aoi`, read whole with one clear error for each way not to serve."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tilewright.errors import TilewrightError

if TYPE_CHECKING:
    import geopandas as gpd

PARQUET: Final = (".parquet", ".geoparquet")
"""Endings of GeoParquet, which is not left to GDAL."""


def read_shapes(file: str, key: str, layer: str | None = None, layer_key: str | None = None) -> "gpd.GeoDataFrame":
    """The rows of `file` with geometries in the CRS that it names.

    Args:
        file: GeoParquet, or what GDAL reads.
        key: the config key that names it, for errors.
        layer: of a file that has several.
        layer_key: the config key that names the layer; none where there is no such key.

    Raises:
        TilewrightError: where it is missing, cannot be read, has several layers and none is named, or no geometries, or no CRS.
    """
    import geopandas as gpd

    if not Path(file).is_file():
        raise TilewrightError(f"{key}: {file} does not exist; paths are relative to where the workflow runs")
    try:
        if Path(file).suffix.lower() in PARQUET:
            table = gpd.read_parquet(file)
        else:
            layers = gpd.list_layers(file)["name"].tolist()
            if (len(layers) > 1 and layer is None) or (layer is not None and layer not in layers):
                mend = f"say which with {layer_key}" if layer_key else "give a file of one layer"
                raise TilewrightError(f"{key}: {file} has the layers {', '.join(layers)}: {mend}")
            table = gpd.read_file(file, layer=layer)
    except TilewrightError:
        raise
    except Exception as error:  # pyogrio, pyarrow and geopandas each have their own
        raise TilewrightError(
            f"{key}: {file} cannot be read ({error}); give GeoJSON, GeoPackage or GeoParquet"
        ) from error
    if not isinstance(table, gpd.GeoDataFrame):
        raise TilewrightError(f"{key}: {file} has no geometries; give GeoJSON, GeoPackage or GeoParquet")
    if table.crs is None:
        raise TilewrightError(f"{key}: {file} names no CRS; set one, such as EPSG:4326")
    return table.set_geometry(table.geometry.rename("geometry")) if table.geometry.name != "geometry" else table
