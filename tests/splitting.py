"""Tables of cells for tests of splits: what the index's rows have of places, made without the library's grid."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import shapely

from tilewright.config.settings import IndexSettings
from tilewright.config.splits import Split

SIZE_M = 1920


def asked(size_m: int = SIZE_M, seed: int = 42, **split: Any) -> IndexSettings:
    return IndexSettings(dataset="d", seed=seed, size_m=size_m, split=Split(**split))


def cells(epsg: Any, ulx: Any, uly: Any, size_m: int = SIZE_M, tile: Any = "32TNT") -> pd.DataFrame:
    """Rows of cells with these corners, in metres of their zones."""
    table = pd.DataFrame({"epsg": epsg, "ulx": ulx, "uly": uly})
    table["size_m"], table["tile"] = size_m, tile
    table["cell_id"] = [f"c{at:06}" for at in range(len(table))]
    table["lon"], table["lat"] = 0.0, 0.0
    for zone, mine in table.groupby("epsg"):
        lon, lat = to_degrees(int(zone)).transform(
            mine["ulx"].to_numpy() + size_m / 2, mine["uly"].to_numpy() - size_m / 2
        )
        table.loc[mine.index, "lon"], table.loc[mine.index, "lat"] = np.round(lon, 7), np.round(lat, 7)
    return table


@cache
def to_degrees(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)


def squares(tiles: int, side: int = 12, step_m: int = SIZE_M, size_m: int = SIZE_M) -> pd.DataFrame:
    """`tiles` squares of side × side cells in one zone, side by side, a cell every `step_m`."""
    column, row = (each.ravel() for each in np.meshgrid(np.arange(side * tiles), np.arange(side)))
    tile = [f"32T{chr(65 + at // 20 % 26)}{chr(65 + at % 20)}" for at in column // side]
    return cells(32632, 160 * SIZE_M + column * step_m, 2600 * SIZE_M - row * step_m, size_m, tile)


def shared(rows: pd.DataFrame, one: int, other: int) -> tuple[float, float]:
    """(metres apart, square metres shared) of two cells, drawn in an equal-area map around the table's first, each edge in 16 pieces."""
    middle = f"+lat_0={rows['lat'].iloc[0]} +lon_0={rows['lon'].iloc[0]}"
    shapes = []
    for at in (one, other):
        cell = rows.iloc[at]
        along = np.linspace(0, 1, 17)[:-1] * cell["size_m"]
        x = np.concatenate([along, np.full(16, cell["size_m"]), cell["size_m"] - along, np.zeros(16)]) + cell["ulx"]
        y = cell["uly"] - np.concatenate([np.zeros(16), along, np.full(16, cell["size_m"]), cell["size_m"] - along])
        shapes.append(shapely.Polygon(np.transpose(_to(int(cell["epsg"]), middle).transform(x, y))))
    return shapes[0].distance(shapes[1]), shapes[0].intersection(shapes[1]).area


@cache
def _to(epsg: int, middle: str) -> pyproj.Transformer:
    plane = pyproj.CRS.from_proj4(f"+proj=laea {middle} +datum=WGS84 +units=m")
    return pyproj.Transformer.from_crs(epsg, plane, always_xy=True)
