"""group: the patches of all periods, by cell and in time order, as one series store for the tile."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from tilewright import __version__
from tilewright.config.bands import NO_DATA, PRIMARY, RADAR, SCL_CLASSES
from tilewright.config.settings import GroupSettings, settings_digest
from tilewright.errors import TilewrightError
from tilewright.imagery.quantities import QUANTITY_WORDS
from tilewright.progress import SUMMARY, Progress
from tilewright.stages.mask import on_grid
from tilewright.store import read_table
from tilewright.store.patches import Group, groups_of
from tilewright.store.small import Small, Variable
from tilewright.store.zarrzip import StoreReader, StoreWriter, encode

log = logging.getLogger(__name__)

FORMAT = "tilewright-series-1"
SCALE_FACTOR = 1e-4  # reflectance = DN × this (Sentinel-2 Products Specification Document, quantification value 10000)

_LONG_NAMES = {
    "s2_l2a": "surface reflectance", "s2_l1c": "top-of-atmosphere reflectance", "dn": "amplitude",
    "sigma0_db": "backscatter coefficient sigma nought", "gamma0_db": "backscatter coefficient gamma nought, terrain-flattened",
}  # fmt: skip
_WORDS = ("scene_id", "parts", "pair_of", "platform", "orbit_state", "processing_baseline")
_NUMBERS = {
    "relative_orbit": np.int32,
    "dn_offset": np.int32,
    "bad_fraction": np.float32,
    "nodata_fraction": np.float32,
}  # radar has only the first and the last

_AHEAD = 2  # cells in flight for each thread: one in work, one done and waiting for its turn to be written

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class _Task:
    """What one collection's series are made of; the same for all its cells."""

    stores: Sequence[StoreReader]
    groups: Sequence[Group]
    length: int
    size_m: int
    quantity: str

    def shape(self, group: Group) -> tuple[int, ...]:
        """Of a cell's series: (time, y, x) for SCL, else (time, band, y, x)."""
        side = group.side(self.size_m)
        return (self.length, side, side) if group.is_scl else (self.length, len(group.bands), side, side)


@dataclass(frozen=True)
class _Cell:
    """One cell's series by group, encoded; for each group of bands also `_Measured`."""

    chunks: dict[str, bytes]
    measured: dict[str, "_Measured"]


@dataclass(frozen=True)
class _Measured:
    """(3, band) count, sum and sum of squares over valid pixels; (time,) pixels that have no data in any band."""

    sums: np.ndarray
    empty: np.ndarray


def make_group(
    cells: Path, patches: Sequence[Path], settings: GroupSettings, output: Path, threads: int = 1
) -> None:  # fmt: skip
    """Write `series.zarr.zip`: the format is documented in ARCHITECTURE.md.

    The companions' groups have the cells of the primary collection in the same order, and dates of their own. Held in memory: the
    tables of patches and of where their chunks lie, and a few cells for each thread. The bytes do not depend on `threads`.

    Args:
        cells: the tile's cells; only those with a patch of the primary collection get a series.
        patches: one store a period, in the order of `settings.periods`.
        threads: cells in work at a time.

    Raises:
        TilewrightError: where an input is damaged, or holds another quantity than the dataset's.
    """
    table = read_table(cells, columns=["cell_id", "epsg", "ulx", "uly", "size_m", "lon", "lat"])
    size_m = int(table["size_m"].iloc[0]) if len(table) else 0
    said = []
    with ExitStack() as stack:
        stores = [stack.enter_context(StoreReader(path)) for path in patches]
        for one in stores:
            _check_quantities(one, settings)
        store = stack.enter_context(
            StoreWriter(output, _attrs(settings, [one.small("").attrs["settings_digest"] for one in stores]))
        )
        kept = table
        for collection in (PRIMARY, *sorted(set(settings.bands) - {PRIMARY})):
            coords = [one.small(collection) for one in stores]
            entries = _entries(coords, kept["cell_id"])
            if collection == PRIMARY:
                kept = table[table["cell_id"].isin(entries["cell"])].reset_index(drop=True)
                entries = entries.assign(row=entries["cell"].map(_places(kept["cell_id"])).astype(np.int64))
            length = int(entries["at"].max()) + 1 if len(entries) else 0
            attrs = _collection_attrs(settings, collection)
            store.small(collection, _coordinates(coords, entries, kept, length, settings.periods, attrs))
            groups = groups_of(collection, settings.bands[collection])
            task = _Task(stores, groups, length, size_m, settings.quantities[collection])
            _write_collection(store, task, entries, len(kept), threads)
            said.append(f"{collection}: {len(kept)} series of up to {length} dates, {len(entries)} patches")
    log.log(SUMMARY, "group %s: %s; %.1f MB", settings.tile, "; ".join(said), output.stat().st_size / 1e6)


def _attrs(settings: GroupSettings, of_patches: list[str]) -> dict[str, object]:
    return {
        "format": FORMAT, "tile": settings.tile, "software": f"tilewright {__version__}",
        "settings_digest": settings_digest(settings, *of_patches),
    }  # fmt: skip


def _collection_attrs(settings: GroupSettings, collection: str) -> dict[str, object]:
    """What the collection's numbers are and whose imagery it is."""
    quantity = settings.quantities[collection]
    words = {"comment": QUANTITY_WORDS[quantity]} if collection in RADAR else {}
    return {"quantity": quantity, **settings.origins[collection].model_dump(), **words}


def _check_quantities(store: StoreReader, settings: GroupSettings) -> None:
    """One dataset never mixes quantities.

    Raises:
        TilewrightError: naming the store and the collection.
    """
    held = store.small("").attrs["quantities"]
    for collection, quantity in sorted(settings.quantities.items()):
        if held.get(collection) != quantity:
            raise TilewrightError(
                f"{store.path}: {collection} holds {held.get(collection, 'nothing')} and not {quantity}: run the rule crop again"
            )


def _places(cells: pd.Series) -> dict[str, int]:
    return {cell: row for row, cell in enumerate(cells)}


def _entries(coords: list[Small], cells: pd.Series) -> pd.DataFrame:
    """The patches of `cells`, in the order of the cells and, within a cell, of time.

    Scenes of one instant are ordered by id, then by period. Columns: cell, time, scene, period and patch (the place of the
    patch: which store, which row), row (of the cell in `cells`), at (place in the cell's series) and again (the scene
    stands earlier in the series: two periods chose it, or it is the companion of two scenes).
    """
    parts = [
        pd.DataFrame(
            {
                "cell": one["cell_id"].astype(object), "time": one["time"],
                "scene": one["scene_id"].astype(object), "period": period, "patch": np.arange(len(one["cell_id"])),
            }
        )
        for period, one in enumerate(coords)
    ]  # fmt: skip
    entries = pd.concat(parts, ignore_index=True)
    entries = entries[entries["cell"].isin(cells)]
    entries = entries.assign(row=entries["cell"].map(_places(cells)).astype(np.int64))
    entries = entries.sort_values(["row", "time", "scene", "period", "patch"], ignore_index=True)
    return entries.assign(
        at=entries.groupby("row").cumcount().astype(np.int64), again=entries.duplicated(["row", "scene"])
    )


def _write_collection(store: StoreWriter, task: _Task, entries: pd.DataFrame, cells: int, threads: int) -> None:
    """Declare the arrays, then write the series of `cells` cells in their order, and what was measured in them."""
    for group in task.groups:
        _declare(store, group, cells, task)
    measured = [group for group in task.groups if not group.is_scl]
    kind = np.float64 if measured[0].is_radar else np.int64
    sums = {group.name: np.zeros((3, cells, len(group.bands)), kind) for group in measured}
    empty = {group.name: np.zeros((cells, task.length), np.int32) for group in measured}
    of_cell = np.split(
        entries[["period", "patch", "again"]].to_numpy(np.int64), np.searchsorted(entries["row"], np.arange(1, cells))
    )
    progress = Progress(log, cells, "series")
    # without any date there is no chunk
    made = _in_order(lambda of: _make(task, of), of_cell[:cells] if task.length else [], threads)
    for row, cell in enumerate(made):
        for group in task.groups:
            store.put_encoded(group.array, (row,) + (0,) * len(task.shape(group)), cell.chunks[group.name])
        for name, one in cell.measured.items():
            sums[name][:, row] = one.sums
            empty[name][row, : len(one.empty)] = one.empty
        progress.step()
    for group in measured:
        store.small(group.name, _band_variables(group, sums[group.name], empty[group.name]))


def _in_order(make: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """`make` of each item, in their order, made by `threads` threads that run ahead by a few items only."""
    rest = iter(items)
    with ThreadPoolExecutor(threads, "group") as pool:
        running: deque[Future[B]] = deque(pool.submit(make, item) for item in islice(rest, _AHEAD * threads))
        try:
            while running:
                done = running.popleft().result()
                running.extend(pool.submit(make, item) for item in islice(rest, 1))
                yield done
        finally:
            for future in running:
                future.cancel()


def _make(task: _Task, of: np.ndarray) -> _Cell:
    """One cell's series: `of` has a row (period, patch, again) for each of its dates."""
    series = {}
    for group in task.groups:
        pixels = np.zeros(task.shape(group), group.dtype)
        pixels[len(of) :] = group.nothing
        for at, (period, patch, _) in enumerate(of.tolist()):
            _read(task.stores[period], group, patch, pixels[at])
        series[group.name] = pixels
    classes = next((series[group.name] for group in task.groups if group.is_scl), None)
    counted = of[:, 2] == 0
    measured = {}
    for group in task.groups:
        if group.is_radar:
            measured[group.name] = _measure_floats(series[group.name][: len(of)], counted)
        elif not group.is_scl:
            measured[group.name] = _measure(series[group.name][: len(of)], classes, counted)
    return _Cell({name: encode(pixels) for name, pixels in series.items()}, measured)


def _read(store: StoreReader, group: Group, patch: int, out: np.ndarray) -> None:
    """Read all bands of one patch into `out`: (band, y, x), or (y, x) for SCL.

    Raises:
        TilewrightError: where a chunk is missing or damaged, naming the store.
    """
    for at, plane in enumerate([out] if group.is_scl else out):
        try:
            found = store.chunk_into(group.array, group.index(patch, at), plane)
        except (OSError, RuntimeError, ValueError) as error:
            raise TilewrightError(
                f"{store.path}: {group.array} is damaged ({error}); delete the file and run again"
            ) from error
        if not found:
            raise TilewrightError(f"{store.path}: {group.array} lacks patch {patch}; delete the file and run again")


def _declare(store: StoreWriter, group: Group, cells: int, task: _Task) -> None:
    """Declare the pixels' array: a chunk is one cell's whole series."""
    series = task.shape(group)
    shape = (cells, *series)
    chunk = (1, *(max(1, size) for size in series))
    dims = ("cell", "time", "y", "x") if group.is_scl else ("cell", "time", "band", "y", "x")
    attrs: dict[str, Any]
    if group.is_scl:
        attrs = {
            "long_name": "scene classification", "flag_values": list(range(len(SCL_CLASSES))),
            "flag_meanings": " ".join(SCL_CLASSES), "resolution_m": group.resolution,
        }  # fmt: skip
    elif group.is_radar:
        attrs = {
            "long_name": _LONG_NAMES[task.quantity], "units": "1" if task.quantity == "dn" else "dB",
            "quantity": task.quantity, "resolution_m": group.resolution, "comment": "no data is NaN",
        }  # fmt: skip
    else:
        told = "SCL class 0 or " if group.collection == PRIMARY else ""
        attrs = {
            "long_name": _LONG_NAMES[group.collection], "units": "1", "scale_factor": SCALE_FACTOR, "resolution_m": group.resolution,
            "comment": f"harmonised DN (no offset); no data is {told}all bands zero, a single zero is a dark pixel",
        }  # fmt: skip
    store.array(group.array, shape, group.dtype, chunk, dims, attrs, fill_value=group.nothing)


def _measure(series: np.ndarray, classes: np.ndarray | None, counted: np.ndarray) -> _Measured:
    """Sums over valid pixels, those that have data by SCL and in at least one band, and pixels without any.

    Args:
        series: (time, band, y, x) DN.
        classes: SCL of as many dates or more, (time, y, x); None where the bands alone tell.
        counted: (time,) whether the date counts in the sums.

    Returns:
        What was measured; exact: int64 holds the squares of 65535 for 2·10⁹ pixels.
    """
    bands = series.shape[1]
    sums = np.zeros((3, bands), np.int64)
    empty = np.zeros(len(series), np.int32)
    for at, pixels in enumerate(series):
        data = np.bitwise_or.reduce(pixels, axis=0) != 0
        empty[at] = data.size - np.count_nonzero(data)
        if not counted[at]:
            continue
        if classes is not None and not (seen := classes[at] != NO_DATA).all():
            seen = on_grid(seen, data.shape[0])
            data &= seen
            pixels = pixels * seen  # zeros add nothing to the sums
        flat = pixels.reshape(bands, -1)
        sums[0] += np.count_nonzero(data)
        sums[1] += np.einsum("bi->b", flat, dtype=np.int64)
        sums[2] += np.einsum("bi,bi->b", flat, flat, dtype=np.int64)
    return _Measured(sums, empty)


def _measure_floats(series: np.ndarray, counted: np.ndarray) -> _Measured:
    """The same of (time, band, y, x) backscatter, each band over its own pixels with data; sums are of 64 bits.

    Added one date after another and within a date by numpy's pairwise sum, whose order is the same on every machine.
    """
    sums = np.zeros((3, series.shape[1]))
    empty = np.zeros(len(series), np.int32)
    for at, pixels in enumerate(series):
        seen = np.isfinite(pixels)
        empty[at] = np.count_nonzero(~seen.any(axis=0))
        if not counted[at]:
            continue
        for band, plane in enumerate(pixels):
            values = plane[seen[band]].astype(np.float64)
            sums[:, band] += values.size, np.sum(values), np.sum(values * values)
    return _Measured(sums, empty)


def _band_variables(group: Group, sums: np.ndarray, empty: np.ndarray) -> Small:
    names = ("band_count", "band_sum", "band_sum_of_squares")
    unit = "the pixels' own unit" if group.is_radar else "DN"
    described = f"over the cell's valid pixels of all its scenes, each once, in {unit}"
    nothing = "no band has data" if group.is_radar else "every band is zero"
    counts = sums[0].astype(np.int64), *sums[1:]
    variables = {
        name: Variable(("cell", "band"), part, {"long_name": described})
        for name, part in zip(names, counts, strict=True)
    }
    variables["empty_pixels"] = Variable(("cell", "time"), empty, {"long_name": f"pixels in which {nothing}"})
    return Small({"band": Variable(("band",), np.array(group.bands, object))}, variables)


def _coordinates(
    coords: list[Small], entries: pd.DataFrame, cells: pd.DataFrame, length: int, periods: list[str], attrs: dict[str, object]
) -> Small:  # fmt: skip
    """What is known of each cell and each of its dates; NaT, "" and 0 where a cell has fewer dates."""
    shape = (len(cells), length)
    numbers = {name: kind for name, kind in _NUMBERS.items() if all(name in of.coordinates for of in coords)}
    judged = all("scl_count" in of.coordinates for of in coords)
    values: dict[str, np.ndarray] = {name: np.full(shape, "", object) for name in (*_WORDS, "period")}
    values |= {name: np.zeros(shape, kind) for name, kind in numbers.items()}
    values["time"] = np.full(shape, "NaT", "datetime64[us]")
    counts = np.zeros((*shape, len(SCL_CLASSES)), np.int32)
    for period, of in enumerate(coords):
        mine = entries[entries["period"] == period]
        place, patch = (mine["row"].to_numpy(), mine["at"].to_numpy()), mine["patch"].to_numpy()
        for name in (*_WORDS, *numbers, "time"):
            values[name][place] = of[name][patch]
        values["period"][place] = periods[period]
        if judged:
            counts[place] = of["scl_count"][patch]
    variables = {name: Variable(("cell", "time"), array) for name, array in values.items()}
    if judged:
        variables["scl_count"] = Variable(("cell", "time", "scl_class"), counts)
        variables["scl_class"] = Variable(("scl_class",), np.array(SCL_CLASSES, object))
    variables["dates"] = Variable(("cell",), np.bincount(entries["row"], minlength=len(cells)).astype(np.int32))
    variables["cell_id"] = Variable(("cell",), cells["cell_id"].to_numpy(object))
    for name, kind in (
        ("epsg", np.int32),
        ("ulx", np.float64),
        ("uly", np.float64),
        ("lon", np.float64),
        ("lat", np.float64),
    ):
        variables[name] = Variable(("cell",), cells[name].to_numpy(kind))
    return Small(variables, attrs=attrs)
