"""The series of a cell as numpy arrays, fast: what a training loop reads."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tilewright.errors import TilewrightError
from tilewright.loader.arrays import PixelArray, PixelStore
from tilewright.loader.files import Files
from tilewright.loader.zipped import Zipped

# How many cells of opened stores are kept, each store counting as 100 more: about 150 MB in each process. A store of 3,249
# cells and 24 dates takes 1.4 MB and 0.1 s to open; that of a tile with few cells, of which there may be thousands, 30 kB.
_KEPT_CELLS: Final = 300_000
_OF_A_STORE: Final = 100


@dataclass(frozen=True)
class Series:
    """One cell of one collection.

    Attributes:
        arrays: by group, in DN as stored: r10m, r20m, r60m (time, band, y, x) uint16; scl (time, y, x) uint8.
        time: (time,) int64 microseconds since 1970-01-01, UTC.
        period: (time,) names.
    """

    arrays: dict[str, np.ndarray]
    time: np.ndarray
    period: np.ndarray


@dataclass(frozen=True)
class Coordinates:
    """What a collection's group says of all its cells: `time` as in `Series`; `period` as numbers into `periods`."""

    cell_id: np.ndarray
    dates: np.ndarray
    time: np.ndarray
    period: np.ndarray
    periods: np.ndarray


@dataclass(frozen=True)
class OpenStore:
    """A store with the coordinates of its collections and the bands of its groups; `weight`: see `_KEPT_CELLS`."""

    pixels: PixelStore
    coordinates: dict[str, Coordinates]
    bands: dict[str, tuple[str, ...]]
    weight: int

    def array(self, group: str) -> PixelArray | None:
        """The array of pixels in a group."""
        return next((each for each in self.pixels.arrays.values() if each.group == group), None)


class SeriesReader:
    """Reads cells of the stores below a dataset's root; keeps the stores in use open. Picklable, also for other machines."""

    def __init__(self, files: Files, cells: int = _KEPT_CELLS) -> None:
        """`cells`: of how many the opened stores are kept, the latest used; each store counts as 100 more."""
        self.files = files
        self._most = cells
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
        known = self.store(path).coordinates
        if collection not in known:
            raise TilewrightError(f"{self.files.name(path)} has no collection {collection}; it has {', '.join(known)}")
        cells = known[collection].cell_id
        if row >= len(cells) or cells[row] != cell_id:
            raise TilewrightError(
                f"{self.files.name(path)} has another cell than {cell_id} at row {row}: index.parquet is of another run; "
                "run the rule index again"
            )
        return known[collection]

    def read(
        self, path: str, collection: str, row: int, cell_id: str, groups: Sequence[str] | None = None, dates: Sequence[int] | None = None
    ) -> Series:  # fmt: skip
        """A cell's series.

        Args:
            path: the store, relative to the root, and `row` the cell in it, as the index has them.
            groups: those to read (r10m, scl, …); None for all.
            dates: positions in time order; None for all that the cell has.

        Raises:
            TilewrightError: where the store is missing, damaged, of another run, or has no such group.
        """
        coordinates = self.coordinates(path, collection, row, cell_id)
        opened = self.store(path)
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
        return Series(
            {name: pixels[each.name] for name, each in chosen.items()},
            coordinates.time[row, wanted],
            coordinates.periods[coordinates.period[row, wanted]],
        )

    def labels(self, path: str, label_set: str, row: int) -> np.ndarray:
        """A cell's labels (channel, y, x) uint8.

        Raises:
            TilewrightError: where the store is missing, damaged or lacks the set.
        """
        pixels = self.store(path).pixels
        name = f"{label_set}/labels"
        if name not in pixels.arrays or row >= pixels.arrays[name].shape[0]:
            raise TilewrightError(
                f"{self.files.name(path)} has no labels {label_set} of row {row}: run the rule index again"
            )
        return pixels.read(row, [name])[name]


def _opened(zipped: Zipped) -> OpenStore:
    pixels = PixelStore(zipped)
    groups = [each.group for each in pixels.arrays.values()]
    collections = [
        name for name in dict.fromkeys(group.partition("/")[0] for group in groups) if f"{name}/time" in pixels.names
    ]
    banded = [group for group in groups if f"{group}/band" in pixels.names]
    small = pixels.small(
        [f"{name}/{each}" for name in collections for each in ("cell_id", "dates", "time", "period")]
        + [f"{group}/band" for group in banded]
    )
    coordinates = {}
    for name in collections:
        period = _words(small[f"{name}/period"])
        periods, number = np.unique(period, return_inverse=True)
        coordinates[name] = Coordinates(
            cell_id=_words(small[f"{name}/cell_id"]),
            dates=small[f"{name}/dates"],
            time=small[f"{name}/time"].astype(np.int64),
            period=number.reshape(period.shape).astype(np.int16),
            periods=periods,
        )
    bands = {group: tuple(map(str, small[f"{group}/band"])) for group in banded}
    if all(each.places is not None for each in pixels.arrays.values()):
        zipped.forget()  # all that is still to be read has its place kept
    weight = _OF_A_STORE + max((each.shape[0] for each in pixels.arrays.values()), default=0)
    return OpenStore(pixels, coordinates, bands, weight)


def _words(array: np.ndarray) -> np.ndarray:
    """Strings in one block of memory: single objects would be counted, and so copied, in each forked worker."""
    return array.astype(object).astype(str)
