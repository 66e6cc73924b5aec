"""group: the patches of all periods, by cell and in time order, as one series store for the tile."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from tilewright import __version__
from tilewright.config.bands import SCL_CLASSES
from tilewright.config.settings import GroupSettings, settings_digest
from tilewright.stages.mask import on_grid
from tilewright.store import StoreReader, StoreWriter, read_table
from tilewright.store.patches import Group, groups_of, pixels_of

log = logging.getLogger(__name__)

FORMAT = "tilewright-series-1"
SCALE_FACTOR = 1e-4  # reflectance = DN × this (Sentinel-2 Products Specification Document, quantification value 10000)

_WORDS = ("scene_id", "platform", "processing_baseline")
_NUMBERS = {
    "relative_orbit": np.int32,
    "dn_offset": np.int32,
    "bad_fraction": np.float32,
    "nodata_fraction": np.float32,
}


@dataclass(frozen=True)
class _Entry:
    """One patch of a cell's series: which store, which row."""

    period: int
    patch: int


def make_group(cells: Path, patches: Sequence[Path], settings: GroupSettings, output: Path) -> None:
    """Write `series.zarr.zip`: the format is documented in ARCHITECTURE.md.

    Args:
        cells: the tile's cells; only those with a patch get a series.
        patches: one store a period, in the order of `settings.periods`.

    Raises:
        TilewrightError: where an input is damaged.
    """
    table = read_table(cells, columns=["cell_id", "epsg", "ulx", "uly", "size_m", "lon", "lat"])
    size_m = int(table["size_m"].iloc[0]) if len(table) else 0
    with ExitStack() as stack:
        stores = [stack.enter_context(StoreReader(path)) for path in patches]
        store = stack.enter_context(
            StoreWriter(output, _attrs(settings, [one.loaded("").attrs["settings_digest"] for one in stores]))
        )
        for collection, bands in settings.bands.items():
            coords = [one.loaded(collection) for one in stores]
            entries = _entries(coords)
            kept = table[table["cell_id"].isin(entries)].reset_index(drop=True)
            _write_collection(store, stores, coords, entries, kept, groups_of(collection, bands), settings, size_m)
            log.info(
                "%s: %d series of up to %d dates", collection, len(kept), max(map(len, entries.values()), default=0)
            )


def _attrs(settings: GroupSettings, of_patches: list[str]) -> dict[str, object]:
    return {
        "format": FORMAT, "tile": settings.tile, "software": f"tilewright {__version__}", "provider": settings.provider,
        "licence": settings.licence, "attribution": settings.attribution,
        "settings_digest": settings_digest(settings, *of_patches),
    }  # fmt: skip


def _entries(coords: list[xr.Dataset]) -> dict[str, list[_Entry]]:
    """Each cell's patches in time order; scenes of one instant by id, then in the order of the periods."""
    rows = [
        (str(cell), time, str(scene), period, patch)
        for period, one in enumerate(coords)
        for patch, (cell, time, scene) in enumerate(
            zip(one["cell_id"].values, one["time"].values, one["scene_id"].values, strict=True)
        )
    ]
    entries: dict[str, list[_Entry]] = {}
    for cell, _, _, period, patch in sorted(rows):
        entries.setdefault(cell, []).append(_Entry(period, patch))
    return entries


def _write_collection(
    store: StoreWriter, stores: list[StoreReader], coords: list[xr.Dataset], entries: dict[str, list[_Entry]],
    cells: pd.DataFrame, groups: list[Group], settings: GroupSettings, size_m: int,
) -> None:  # fmt: skip
    length = max(map(len, entries.values()), default=0)
    collection = groups[0].collection
    # A scene that two periods chose stands in the series twice, and counts once.
    scene = {
        cell: [str(coords[one.period]["scene_id"].values[one.patch]) for one in of] for cell, of in entries.items()
    }
    once = {cell: [at for at, name in enumerate(names) if name not in names[:at]] for cell, names in scene.items()}
    store.coords(collection, _coordinates(coords, entries, cells, length, settings.periods))
    for group in groups:
        _declare(store, group, len(cells), length, size_m)
    sums = {group.name: np.zeros((3, len(cells), len(group.bands)), np.int64) for group in groups if not group.is_scl}
    empty = {group.name: np.zeros((len(cells), length), np.int32) for group in groups if not group.is_scl}
    for row, cell in enumerate(cells["cell_id"]):
        series = {group.name: _empty_chunk(group, length, size_m) for group in groups}
        for at, entry in enumerate(entries[cell]):
            for group in groups:
                series[group.name][0, at] = pixels_of(stores[entry.period], group, entry.patch, size_m)
        classes = series[groups[-1].name][0]
        for group in groups:
            index = (row,) + (0,) * (len(series[group.name].shape) - 1)
            store.put(group.array, index, series[group.name])
            if not group.is_scl:
                sums[group.name][:, row] = _sums(series[group.name][0, once[cell]], classes[once[cell]])
                dates = len(entries[cell])
                empty[group.name][row, :dates] = (series[group.name][0, :dates] == 0).all(axis=1).sum(axis=(1, 2))
    for group in groups:
        if not group.is_scl:
            store.coords(group.name, _band_variables(group, sums[group.name], empty[group.name]))


def _empty_chunk(group: Group, length: int, size_m: int) -> np.ndarray:
    side = group.side(size_m)
    shape = (1, length, side, side) if group.is_scl else (1, length, len(group.bands), side, side)
    return np.zeros(shape, group.dtype)


def _declare(store: StoreWriter, group: Group, cells: int, length: int, size_m: int) -> None:
    """Declare the pixels' array: a chunk is one cell's whole series."""
    shape = (cells, *_empty_chunk(group, length, size_m).shape[1:])
    chunk = (1, *(max(1, size) for size in shape[1:]))
    if group.is_scl:
        attrs = {
            "long_name": "scene classification", "flag_values": list(range(len(SCL_CLASSES))),
            "flag_meanings": " ".join(SCL_CLASSES), "resolution_m": group.resolution,
        }  # fmt: skip
        store.array(group.array, shape, group.dtype, chunk, ("cell", "time", "y", "x"), attrs)
        return
    attrs = {
        "long_name": "surface reflectance", "units": "1", "scale_factor": SCALE_FACTOR, "resolution_m": group.resolution,
        "comment": "harmonised DN (no offset); no data is SCL class 0 or all bands zero, a single zero is a dark pixel",
    }  # fmt: skip
    store.array(group.array, shape, group.dtype, chunk, ("cell", "time", "band", "y", "x"), attrs)


def _sums(series: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Sums over valid pixels: those that have data by SCL and in at least one band.

    Args:
        series: (time, band, y, x) DN.
        classes: (time, y, x) SCL.

    Returns:
        (3, band) count, sum and sum of squares; exact: int64 holds the squares of 65535 for 2·10⁹ pixels.
    """
    valid = np.stack([on_grid(one != 0, series.shape[-1]) for one in classes]) & (series != 0).any(axis=1)
    picked = np.moveaxis(series, 1, 0)[:, valid].astype(np.int64)
    return np.stack([np.full(len(picked), picked.shape[1]), picked.sum(axis=1), (picked * picked).sum(axis=1)])


def _band_variables(group: Group, sums: np.ndarray, empty: np.ndarray) -> xr.Dataset:
    names = ("band_count", "band_sum", "band_sum_of_squares")
    described = "over the cell's valid pixels of all its scenes, each once, in DN"
    variables: dict[str, tuple] = {
        name: (("cell", "band"), part, {"long_name": described}) for name, part in zip(names, sums, strict=True)
    }
    variables["empty_pixels"] = (("cell", "time"), empty, {"long_name": "pixels in which every band is zero"})
    return xr.Dataset(variables, coords={"band": np.array(group.bands, object)})


def _coordinates(
    coords: list[xr.Dataset], entries: dict[str, list[_Entry]], cells: pd.DataFrame, length: int, periods: list[str]
) -> xr.Dataset:
    """What is known of each cell and each of its dates; NaT, "" and 0 where a cell has fewer dates."""
    shape = (len(cells), length)
    values: dict[str, np.ndarray] = {name: np.full(shape, "", object) for name in (*_WORDS, "period", "pair_of")}
    values |= {name: np.zeros(shape, kind) for name, kind in _NUMBERS.items()}
    values["time"] = np.full(shape, "NaT", "datetime64[us]")
    counts = np.zeros((*shape, len(SCL_CLASSES)), np.int32)
    for row, cell in enumerate(cells["cell_id"]):
        for at, entry in enumerate(entries[cell]):
            of = coords[entry.period]
            for name in (*_WORDS, *_NUMBERS, "time"):
                values[name][row, at] = of[name].values[entry.patch]
            values["period"][row, at] = periods[entry.period]
            counts[row, at] = of["scl_count"].values[entry.patch]
    variables: dict[str, tuple] = {name: (("cell", "time"), array) for name, array in values.items()}
    variables["scl_count"] = (("cell", "time", "scl_class"), counts)
    variables["scl_class"] = ("scl_class", np.array(SCL_CLASSES, object))
    variables["dates"] = ("cell", np.array([len(entries[cell]) for cell in cells["cell_id"]], np.int32))
    variables["cell_id"] = ("cell", cells["cell_id"].to_numpy(object))
    for name, kind in (
        ("epsg", np.int32),
        ("ulx", np.float64),
        ("uly", np.float64),
        ("lon", np.float64),
        ("lat", np.float64),
    ):
        variables[name] = ("cell", cells[name].to_numpy(kind))
    return xr.Dataset(coords=variables)
