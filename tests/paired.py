"""A dataset written by hand with companions: Sentinel-1 and Level-1C beside Level-2A, some dates without, two on one scene."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr

from handmade import small_of
from tilewright.store import read_table, write_table
from tilewright.store.zarrzip import StoreWriter

SIZE_M = 240
TILE = "32TNT"
# period and day of each date of Level-2A, by cell; a scene that two periods chose is there twice
DATES = (
    (("a", 3), ("a", 9), ("b", 9), ("b", 20)),
    (("a", 3), ("b", 20)),
    (),
    (("a", 5),),
)
# for each date of Level-2A: days from it to its companion (None: none) and the companion's direction
RADAR = (
    ((-2.5, "ascending"), (1.25, "descending"), (1.25, "descending"), (None, "")),
    ((None, ""), (-4.0, "ascending")),
    (),
    ((None, ""),),
)
OPTICAL = ((True, True, True, False), (False, True), (), (False,))
BANDS = {
    "s2_l2a": {"r10m": ("B02", "B03", "B04"), "r20m": ("B11",)},
    "s2_l1c": {"r10m": ("B02",), "r60m": ("B10",)},
    "s1_grd": {"r10m": ("VV", "VH")},
}
NUMBER = {"s2_l2a": 1, "s2_l1c": 2, "s1_grd": 3}
STEP = {"r10m": 10, "r20m": 20, "r60m": 60, "scl": 20}
ROWS = [cell for cell, dates in enumerate(DATES) if dates]
WORDS = {"s1_grd": "sigma0_db", "s2_l2a": "dn", "s2_l1c": "dn"}
NO_ECHO = (slice(None), slice(0, 3), slice(0, 2))  # of the first cell's first radar date: no data in both bands


def cell_id(cell: int) -> str:
    return f"{TILE}-{cell}"


def moment(day: float) -> np.datetime64:
    return np.datetime64("2020-03-01T10:00:00", "us") + np.timedelta64(int(day * 86_400_000_000), "us")


def scene(day: int) -> str:
    return f"S2A_32TNT_202003{day:02}_0_L2A"


def entries(cell: int, collection: str) -> list[dict[str, Any]]:
    """The dates of a cell's series in its own order, with the place of the Level-2A date that each is of."""
    found = []
    for at, (period, day) in enumerate(DATES[cell]):
        away, state = 0.0, ""
        if collection == "s1_grd":
            if RADAR[cell][at][0] is None:
                continue
            away, state = RADAR[cell][at]
        elif collection == "s2_l1c" and not OPTICAL[cell][at]:
            continue
        name = scene(day) if collection == "s2_l2a" else f"{collection}-{day + away}"
        pair = "" if collection == "s2_l2a" else scene(day)
        found.append({"time": moment(day + away), "period": period, "scene_id": name, "pair_of": pair, "orbit_state": state, "of": at})  # fmt: skip
    # as `group` sorts: by time, scene, period
    return sorted(found, key=lambda each: (each["time"], each["scene_id"], each["period"]))


def pixels(cell: int, collection: str, group: str, of: int) -> np.ndarray:
    """(band, y, x) of the companion, or the scene itself, of the Level-2A date `of` of a cell."""
    side = SIZE_M // STEP[group]
    if group == "scl":
        return ((np.indices((side, side)).sum(axis=0) + cell + of) % 3 + 4).astype("uint8")
    band, y, x = np.indices((len(BANDS[collection][group]), side, side))
    values = 1000 * NUMBER[collection] + 97 * cell + 331 * of + 53 * band + 7 * y + x
    if collection != "s1_grd":
        return values.astype("uint16")
    decibel = (-values / 256).astype("float32")
    if (cell, of) == (0, 0):
        decibel[NO_ECHO] = np.nan
        decibel[1, 5, 7] = np.nan  # one band
    return decibel


def write(folder: Path, wrong_pair: bool = False) -> Path:
    """The dataset in `folder`; `wrong_pair`: a companion names a scene that the cell does not have."""
    origin = {"provider": "here", "licence": "free", "attribution": "Us"}
    with StoreWriter(folder / "tiles" / TILE / "series.zarr.zip", {"format": "tilewright-series-1", "tile": TILE, "software": "s"}) as store:  # fmt: skip
        for collection, groups in BANDS.items():
            about = {**origin, "quantity": WORDS[collection]}
            _write_collection(store, collection, groups, about, wrong_pair)
    rows: list[dict[str, Any]] = []
    for cell, dates in enumerate(DATES):
        times = [moment(day) for _, day in dates]
        rows.append(
            {
                "cell_id": cell_id(cell), "tile": TILE, "epsg": 32632, "ulx": 6e5 + cell * SIZE_M, "uly": 5.2e6, "size_m": SIZE_M,
                "lon": 9.0 + cell / 100, "lat": 47.0, "series_path": f"tiles/{TILE}/series.zarr.zip", "series_row": ROWS.index(cell) if dates else -1,
                "dates": len(dates), "first_date": min(times, default=None), "last_date": max(times, default=None),
                **{f"{name}_dates": len(entries(cell, name)) for name in ("s2_l1c", "s1_grd")}, "split": "train",
            }
        )  # fmt: skip
    table = gpd.GeoDataFrame(rows, geometry=[shapely.box(9, 47, 9.01, 47.01)] * len(rows), crs=4326)
    write_table(table, folder / "index.parquet", {"format": "tilewright-index-1"})
    return folder


def accept(folder: Path) -> None:
    """Add what exports ask of a finished dataset: every cell is accepted, in the order of the rows."""
    table = read_table(folder / "index.parquet")
    ranks = np.arange(len(table))
    table = table.assign(accepted=True, accepted_rank=ranks, grid=0, sample=-1, col=1, row=1)
    described = {"format": "tilewright-index-1", "collections": {name: {"quantity": WORDS[name]} for name in BANDS}}
    write_table(table, folder / "index.parquet", described)
    (folder / "statistics.json").write_text("{}")


def _write_collection(
    store: StoreWriter, collection: str, groups: dict[str, tuple[str, ...]], about: dict[str, Any], wrong_pair: bool
) -> None:
    own = [entries(cell, collection) for cell in ROWS]
    length = max(map(len, own))
    shape = (len(ROWS), length)
    time, dates = np.full(shape, "NaT", "datetime64[us]"), np.array([len(each) for each in own], np.int32)
    words = {name: np.full(shape, "", object) for name in ("period", "scene_id", "pair_of", "orbit_state")}
    for row, each in enumerate(own):
        for at, entry in enumerate(each):
            time[row, at] = entry["time"]
            for name, array in words.items():
                array[row, at] = entry[name]
    if wrong_pair and collection == "s1_grd":
        words["pair_of"][0, 1] = scene(3)[:-1]
    coords: dict[str, Any] = {name: (("cell", "time"), array) for name, array in words.items()}
    coords |= {"time": (("cell", "time"), time), "dates": ("cell", dates), "cell_id": ("cell", np.array([cell_id(cell) for cell in ROWS], object))}  # fmt: skip
    store.small(collection, small_of(xr.Dataset(coords=coords, attrs=about)))
    for group in (*groups, *(["scl"] if collection == "s2_l2a" else [])):
        radar, step = collection == "s1_grd", STEP[group]
        kind = "float32" if radar else "uint8" if group == "scl" else "uint16"
        array = f"{collection}/{group}/{'backscatter' if radar else 'scl' if group == 'scl' else 'reflectance'}"
        side = SIZE_M // step
        inner = (side, side) if group == "scl" else (len(groups[group]), side, side)
        attrs = {"resolution_m": step} | (
            {"units": "dB"} if radar else {} if group == "scl" else {"scale_factor": 1e-4}
        )
        dims = ("cell", "time", *(() if group == "scl" else ("band",)), "y", "x")
        store.array(array, (len(ROWS), length, *inner), kind, (1, length, *inner), dims, attrs)
        if group != "scl":
            store.small(f"{collection}/{group}", small_of(xr.Dataset(coords={"band": np.array(groups[group], object)})))
        for row, cell in enumerate(ROWS):
            series = np.full((1, length, *inner), np.nan if radar else 0, kind)
            for at, entry in enumerate(own[row]):
                series[0, at] = pixels(cell, collection, group, entry["of"])
            store.put(array, (row,) + (0,) * (1 + len(inner)), series)
