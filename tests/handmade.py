"""A dataset written by hand, whose every value is known by a formula: short series, cells without imagery, no data, two label sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr

from tilewright.store import write_table
from tilewright.store.small import Small, Variable
from tilewright.store.zarrzip import StoreWriter

SIZE_M = 240
TILES = ("32TNT", "32TNU")
DATES = (4, 1, 0, 3, 2)  # of each cell of a tile
LONGEST = max(DATES)
BANDS = {"r10m": ("B02", "B03", "B08"), "r20m": ("B05", "B11"), "r60m": ("B09",)}
STEP = {"r10m": 10, "r20m": 20, "r60m": 60, "scl": 20}
LABELS = {"osm": (3, 10), "fine": (1, 5)}  # channels, resolution
DAYS = ("2021-01-15", "2021-02-20", "2021-07-04", "2021-12-31")
PERIODS = ("cold", "cold", "warm", "cold")
SPLITS = ("train", "train", "train", "val", "test")


def cell_id(tile: int, cell: int) -> str:
    return f"{TILES[tile]}-{cell}"


def dn(tile: int, cell: int, group: str) -> np.ndarray:
    """(time, band, y, x) uint16 of the cell's own dates; the first cell of each tile has no data in three ways."""
    side, bands = SIZE_M // STEP[group], len(BANDS[group])
    shape = (DATES[cell], bands, side, side)
    where = np.indices(shape)
    weights = np.array([613, 101, 37, 1]).reshape(-1, 1, 1, 1, 1)
    values = 1 + (tile * 4001 + cell * 797 + STEP[group] * 89 + (where * weights).sum(axis=0)) % 9000
    if cell == 0:
        values[0, :, 1, 2] = 0  # every band: no data
        values[0, 0, 2, 1] = 0  # one band: a dark pixel (at 60 m the only band, so no data)
    return values.astype("uint16")


def scl(tile: int, cell: int) -> np.ndarray:
    """(time, y, x) uint8; class 0 in the corner of the first cell's second date."""
    side = SIZE_M // 20
    values = 4 + (np.indices((DATES[cell], side, side)).sum(axis=0) + tile + cell) % 3
    if cell == 0:
        values[1, :3, :1] = 0
    return values.astype("uint8")


def labels(tile: int, cell: int, name: str) -> np.ndarray:
    channels, step = LABELS[name]
    side = SIZE_M // step
    return ((np.indices((channels, side, side)).sum(axis=0) * 3 + 5 * cell + tile) % 256).astype("uint8")


def series_row(cell: int) -> int:
    """Cells without imagery are not in the store."""
    return sum(dates > 0 for dates in DATES[:cell]) if DATES[cell] else -1


def times(cell: int) -> np.ndarray:
    days = np.array(DAYS[: DATES[cell]], "datetime64[us]")
    return days + np.timedelta64(37_000 + cell, "s") + np.timedelta64(123_456, "us")


def write(folder: Path, **chunks: tuple[int, ...]) -> Path:
    """The dataset in `folder`; `chunks` by group where they are not a cell's whole series."""
    for tile in range(len(TILES)):
        write_series(folder / "tiles" / TILES[tile] / "series.zarr.zip", tile, chunks)
        write_labels(folder / "tiles" / TILES[tile] / "labels.zarr.zip", tile)
    rows: list[dict[str, Any]] = []
    for tile, name in enumerate(TILES):
        for cell, dates in enumerate(DATES):
            rows.append(
                {
                    "cell_id": cell_id(tile, cell), "tile": name, "epsg": 32632, "ulx": 6e5 + cell * SIZE_M, "uly": 5.2e6 + tile,
                    "size_m": SIZE_M, "lon": 9.0 + cell / 8, "lat": 47.0 + tile, "series_path": f"tiles/{name}/series.zarr.zip",
                    "series_row": series_row(cell), "dates": dates, "first_date": times(cell).min() if dates else None,
                    "last_date": times(cell).max() if dates else None, "labels_path": f"tiles/{name}/labels.zarr.zip",
                    "osm_row": cell, "osm_coverage": 1.0, "fine_row": cell, "fine_coverage": 1.0, "split": SPLITS[cell],
                }
            )  # fmt: skip
    table = gpd.GeoDataFrame(rows, geometry=[shapely.box(9, 47, 9.01, 47.01)] * len(rows), crs=4326)
    write_table(table, folder / "index.parquet", {"format": "tilewright-index-1"})
    return folder


def small_of(dataset: xr.Dataset) -> Small:
    """An xarray Dataset as stores take it."""

    def variables(of: Any) -> dict[str, Variable]:
        return {str(name): Variable(tuple(map(str, one.dims)), one.values, one.attrs) for name, one in of.items()}

    return Small(variables(dataset.coords), variables(dataset.data_vars), dataset.attrs)


def write_series(
    path: Path,
    tile: int,
    chunks: dict[str, tuple[int, ...]],
    bands: dict[str, tuple[str, ...]] = BANDS,
    scale: float = 1e-4,
) -> None:
    """`bands` and `scale`: other names and another factor of the same pixels, as a store of another run has."""
    cells = [cell for cell, dates in enumerate(DATES) if dates]
    time = np.full((len(cells), LONGEST), "NaT", "datetime64[us]")
    period = np.full((len(cells), LONGEST), "", object)
    for row, cell in enumerate(cells):
        time[row, : DATES[cell]] = times(cell)
        period[row, : DATES[cell]] = PERIODS[: DATES[cell]]
    coordinates: dict[str, tuple] = {
        "cell_id": ("cell", np.array([cell_id(tile, cell) for cell in cells], object)), "time": (("cell", "time"), time),
        "period": (("cell", "time"), period), "dates": ("cell", np.array([DATES[cell] for cell in cells], np.int32)),
    }  # fmt: skip
    with StoreWriter(path, {"format": "tilewright-series-1"}) as store:
        store.small("s2_l2a", small_of(xr.Dataset(coords=coordinates)))
        for group, step in STEP.items():
            array = f"s2_l2a/{group}/{'scl' if group == 'scl' else 'reflectance'}"
            side = SIZE_M // step
            shape = (LONGEST, side, side) if group == "scl" else (LONGEST, len(BANDS[group]), side, side)
            chunk = chunks.get(group, shape)
            dims = ("cell", "time", *(() if group == "scl" else ("band",)), "y", "x")
            attrs: dict[str, Any] = {"resolution_m": step} | ({} if group == "scl" else {"scale_factor": scale})
            kind = "uint8" if group == "scl" else "uint16"
            store.array(array, (len(cells), *shape), kind, (1, *chunk), dims, attrs)
            if group != "scl":
                store.small(f"s2_l2a/{group}", small_of(xr.Dataset(coords={"band": np.array(bands[group], object)})))
            for row, cell in enumerate(cells):
                grid = [-(-size // part) for size, part in zip(shape, chunk, strict=True)]
                padded = np.zeros([count * part for count, part in zip(grid, chunk, strict=True)], kind)
                own = scl(tile, cell) if group == "scl" else dn(tile, cell, group)
                padded[tuple(slice(0, size) for size in own.shape)] = own
                for at in np.ndindex(*grid):
                    part = tuple(slice(i * size, (i + 1) * size) for i, size in zip(at, chunk, strict=True))
                    store.put(array, (row, *at), np.ascontiguousarray(padded[part][None]))


def write_labels(path: Path, tile: int, order: Sequence[int] = range(len(DATES))) -> None:
    """`order`: the cell of each row."""
    with StoreWriter(path, {"format": "tilewright-labels-1"}) as store:
        for name, (channels, step) in LABELS.items():
            side = SIZE_M // step
            shape = (len(DATES), channels, side, side)
            dims = ("cell", "channel", "y", "x")
            store.array(f"{name}/labels", shape, "uint8", (1, *shape[1:]), dims, {"resolution_m": step}, fill_value=255)
            for row, cell in enumerate(order):
                store.put(f"{name}/labels", (row, 0, 0, 0), labels(tile, cell, name)[None])
            ids = np.array([cell_id(tile, cell) for cell in order], object)
            store.small(name, small_of(xr.Dataset(coords={"cell_id": ("cell", ids)})))
