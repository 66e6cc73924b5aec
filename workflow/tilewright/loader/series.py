"""The series of a cell as numpy arrays, fast: what a training loop reads."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tilewright.errors import TilewrightError
from tilewright.loader.arrays import PixelArray, PixelStore
from tilewright.loader.coordinates import Coordinates, coordinate_names, coordinates_of, words_of
from tilewright.loader.files import Files
from tilewright.loader.labels import MAIN
from tilewright.loader.zipped import Zipped

# MB of opened stores that each process keeps. A store of 3,249 cells and 24 dates takes 1.4 MB and about 0.1 s to open
# again, its labels 0.3 MB; that of a tile with few cells, of which there may be thousands, 30 kB.
MEMORY_MB: Final = 256
_OF_A_STORE: Final = 30_000  # bytes of metadata, whatever the number of cells
_BACKSCATTER: Final = "backscatter"  # name of the pixels' array of radar


@dataclass(frozen=True)
class Series:
    """One cell of one collection.

    Attributes:
        arrays: by group, as stored: r10m, r20m, r60m (time, band, y, x) uint16 DN, of radar float32 (NaN: no data) in what
            `OpenStore.layout` says; scl (time, y, x) uint8.
        time: (time,) int64 microseconds since 1970-01-01, UTC.
        period: (time,) names.
        primary: (time,) which date of s2_l2a, by position in its series, each date is the companion of; of s2_l2a itself
            its own positions.
    """

    arrays: dict[str, np.ndarray]
    time: np.ndarray
    period: np.ndarray
    primary: np.ndarray


@dataclass(frozen=True)
class Layout:
    """What the values of a group are.

    Attributes:
        scale_factor: what stored values are multiplied by for reflectance; 1 of radar.
        quantity: dn, sigma0_db, gamma0_db.
        radar: whether the values are backscatter, NaN where there is no data, rather than reflectance, 0 there.
    """

    bands: tuple[str, ...]
    resolution_m: int
    scale_factor: float
    quantity: str = "dn"
    radar: bool = False


@dataclass(frozen=True)
class OpenStore:
    """A store with the coordinates of its collections and what its groups hold.

    Attributes:
        bands: by group (s2_l2a/r10m, …).
        labeled: the cells of each label set.
        weight: bytes that it takes in memory, about.
    """

    pixels: PixelStore
    coordinates: dict[str, Coordinates]
    bands: dict[str, tuple[str, ...]]
    labeled: dict[str, np.ndarray]
    weight: int

    def layout(self, group: str) -> Layout | None:
        """That of a group; None where the store has no such group, or one without bands."""
        array = self.array(group)
        if array is None or group not in self.bands:
            return None
        about = self.pixels.groups.get(group.partition("/")[0], {})
        return Layout(
            self.bands[group], array.attrs["resolution_m"], float(array.attrs.get("scale_factor", 1)),
            str(about.get("quantity", "dn")), array.name.endswith(f"/{_BACKSCATTER}"),
        )  # fmt: skip

    def array(self, group: str) -> PixelArray | None:
        """The array of pixels in a group."""
        return next((each for each in self.pixels.arrays.values() if each.group == group), None)


class SeriesReader:
    """Reads cells of the stores below a dataset's root; keeps the stores in use open. Picklable, also for other machines."""

    def __init__(self, files: Files, memory_mb: float = MEMORY_MB) -> None:
        """`memory_mb`: how much the opened stores may take; the latest used are kept."""
        self.files = files
        self._most = memory_mb * 1e6
        self._open: OrderedDict[str, OpenStore] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Workers open what they need: the stores that they read differ."""
        return {"files": self.files, "_most": self._most, "_open": OrderedDict()}

    def store(self, path: str) -> OpenStore:
        """An opened store.

        Raises:
            TilewrightError: where it is missing, damaged or cannot be read.
        """
        found = self._open.get(path)
        if found is not None:
            with suppress(KeyError):  # another thread has just pushed it out
                self._open.move_to_end(path)
            return found
        found = self._open[path] = _opened(Zipped(self.files, path))
        weight = sum(each.weight for each in list(self._open.values()))
        while weight > self._most and len(self._open) > 1:
            weight -= self._open.popitem(last=False)[1].weight
        return found

    def coordinates(self, path: str, collection: str, row: int, cell_id: str) -> Coordinates:
        """The coordinates of a collection in a store, in which `cell_id` must be at `row`.

        Raises:
            TilewrightError: where it is not: index and store are of different runs.
        """
        return self._coordinates(self.store(path), path, collection, row, cell_id)

    def _coordinates(self, opened: OpenStore, path: str, collection: str, row: int, cell_id: str) -> Coordinates:
        known = opened.coordinates
        if collection not in known:
            raise TilewrightError(f"{self.files.name(path)} has no collection {collection}; it has {', '.join(known)}")
        check_cell(self.files.name(path), known[collection].cell_id, row, cell_id)
        return known[collection]

    def read(
        self, path: str, collection: str, row: int, cell_id: str, groups: Sequence[str] | None = None, dates: Sequence[int] | None = None,
        layouts: Mapping[str, Layout] | None = None,
    ) -> Series:  # fmt: skip
        """A cell's series.

        Args:
            path: the store, relative to the root, and `row` the cell in it, as the index has them.
            groups: those to read (r10m, scl, …); None for all.
            dates: positions in time order; None for all that the cell has.
            layouts: what groups must hold, where that is known of another store.

        Raises:
            TilewrightError: where the store is missing, damaged, of another run, has no such group, or another layout.
        """
        opened = self.store(path)
        coordinates = self._coordinates(opened, path, collection, row, cell_id)
        for group, layout in (layouts or {}).items():
            found = opened.layout(f"{collection}/{group}")
            if found != layout:
                raise _other_run(self.files.name(path), f"has {_said(found)} in {group}, where {_said(layout)} belong")
        arrays = {
            each.group.removeprefix(f"{collection}/"): each
            for each in opened.pixels.arrays.values()
            if each.group.startswith(f"{collection}/")
        }
        lacking = sorted(set(groups or ()) - set(arrays))
        if lacking:
            raise TilewrightError(
                f"{self.files.name(path)} has no {collection}/{lacking[0]}; it has {', '.join(arrays)}"
            )
        chosen = arrays if groups is None else {name: arrays[name] for name in groups}
        wanted = list(range(coordinates.dates[row])) if dates is None else dates
        pixels = opened.pixels.read(row, [each.name for each in chosen.values()], wanted)
        primary = np.arange(coordinates.time.shape[1])
        if coordinates.partner is not None:
            there = np.flatnonzero(coordinates.partner[row] >= 0)
            primary[coordinates.partner[row, there]] = there
        at = np.asarray(wanted, np.int64)
        return Series(
            {name: pixels[each.name] for name, each in chosen.items()},
            coordinates.time[row, at],
            coordinates.periods[coordinates.period[row, at]],
            primary[at],
        )

    def labels(self, path: str, label_set: str, row: int, cell_id: str) -> np.ndarray:
        """A cell's labels (channel, y, x) uint8, or static layer (1, y, x) float32; `cell_id` must be at `row`.

        Raises:
            TilewrightError: where the store is missing, damaged, of another run than the index, or lacks the set.
        """
        name = next(each for each in MAIN if each in self.label_layout(path, label_set))
        found = self.label_arrays(path, label_set, row, cell_id, [name])[name]
        return found if found.ndim == 3 else found[None]

    def label_arrays(
        self, path: str, label_set: str, row: int, cell_id: str, names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Arrays of a label set by name (see `label_layout`), one cell of each; `cell_id` must be at `row`.

        Raises:
            TilewrightError: as `labels`, and where the set lacks an array.
        """
        layout = self.label_layout(path, label_set)
        for name in names:
            if name not in layout:
                raise _other_run(self.files.name(path), f"has no array {name} of labels {label_set}")
        opened = self.store(path)
        check_cell(self.files.name(path), opened.labeled[label_set], row, cell_id)
        pixels = opened.pixels.read(row, [layout[name].name for name in names])
        return {name: pixels[layout[name].name] for name in names}

    def label_layout(self, path: str, label_set: str) -> dict[str, PixelArray]:
        """The arrays of a label set, by name: labels or layer; instance, claims, ignore, … where the set has them.

        Raises:
            TilewrightError: where the store is missing, damaged, of another run than the index, or lacks the set.
        """
        opened = self.store(path)
        if label_set not in opened.labeled:
            raise _other_run(self.files.name(path), f"has no labels {label_set}")
        return {name.rpartition("/")[2]: each for name, each in opened.pixels.arrays.items() if each.group == label_set}


def check_cell(store: str, cells: np.ndarray, row: int, cell_id: str) -> None:
    """Raises TilewrightError unless `cell_id` is at `row` of a store's `cells`."""
    if not 0 <= row < len(cells) or cells[row] != cell_id:
        raise _other_run(store, f"has another cell than {cell_id} at row {row}")


def _other_run(store: str, what: str) -> TilewrightError:
    return TilewrightError(f"{store} {what}: index.parquet is of another run; run the rule index again")


def _said(layout: Layout | None) -> str:
    if layout is None:
        return "nothing"
    values = layout.quantity if layout.radar else f"× {layout.scale_factor:g}"
    return f"{', '.join(layout.bands)} of {layout.resolution_m} m {values}"


def _opened(zipped: Zipped) -> OpenStore:
    pixels = PixelStore(zipped)
    groups = [each.group for each in pixels.arrays.values()]
    collections = [
        name for name in dict.fromkeys(group.partition("/")[0] for group in groups) if f"{name}/time" in pixels.names
    ]
    banded = [group for group in groups if f"{group}/band" in pixels.names]
    sets = [
        group
        for group in dict.fromkeys(groups)
        if any(f"{group}/{name}" in pixels.arrays for name in MAIN) and f"{group}/cell_id" in pixels.names
    ]
    small = pixels.small(
        coordinate_names(pixels, collections)
        + [f"{group}/band" for group in banded]
        + [f"{name}/cell_id" for name in sets]
    )
    coordinates = coordinates_of(pixels, collections, small)
    bands = {group: tuple(map(str, small[f"{group}/band"])) for group in banded}
    if all(each.places is not None for each in pixels.arrays.values()):
        zipped.forget()  # all that is still to be read has its place kept
    labeled = {name: words_of(small[f"{name}/cell_id"]) for name in sets}
    kept = [*labeled.values(), *(each.places for each in pixels.arrays.values() if each.places is not None)]
    for each in coordinates.values():
        kept += each.arrays
    return OpenStore(pixels, coordinates, bands, labeled, _OF_A_STORE + sum(each.nbytes for each in kept))
