"""A cell as a training sample: a dict of numpy arrays, by options that are checked once."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tilewright.config.bands import PRIMARY
from tilewright.errors import TilewrightError
from tilewright.loader.coordinates import Coordinates
from tilewright.loader.dataset import Dataset
from tilewright.loader.image import SCL, Imaged, imaged
from tilewright.loader.labels import MAIN, fill_of, joined, label_parts
from tilewright.loader.options import SampleOptions
from tilewright.loader.resample import nearest
from tilewright.loader.rows import chosen_rows, dates_column, rows_of
from tilewright.loader.series import Series
from tilewright.loader.times import NO_TIME, choose, season_pair, seasons_of

__all__ = ["SampleOptions", "SampleReader"]

log = logging.getLogger(__name__)

_THREE_QUARTERS = 273 * 86_400_000_000  # microseconds: the shortest three in a row, between a quarter and its like


class SampleReader:
    """Samples of a dataset by position. Picklable; the same sample for the same position and epoch in any process.

    Attributes:
        options: what a sample holds.
        rows: its cells.
        label_sets: the label sets and families in a sample.
    """

    def __init__(
        self, dataset: Dataset | str | Path, options: SampleOptions, *, split: str | None = None, rows: object = None
    ) -> None:
        """`split` or `rows` choose cells, all accepted ones without them; cells without imagery are left out.

        Of a split by year a cell has the dates of the split's years, and with them their companions.

        Raises:
            TilewrightError: naming the argument that is wrong, or what of the dataset cannot be read.
        """
        dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
        for name in options.wanted:
            if name not in dataset.collections:
                argument = "collection" if options.collections is None else "collections"
                raise TilewrightError(
                    f"{argument}: no {name!r} in this dataset; it has {', '.join(dataset.collections)}"
                )
        pair, main = options.sampling == "season_pair", next(iter(options.wanted))
        least = max(options.min_dates, 2 if pair else 1)
        table = chosen_rows(dataset.index, split, rows, least, main)
        self._years = dataset.years(split)
        years_of = None if self._years is None else split
        if pair and main == PRIMARY and self._years is None:
            table = table[table["first_date"] < table["last_date"]]  # one scene that two periods chose is no pair
            if table.empty:
                raise TilewrightError("sampling: a season_pair needs cells with two dates, and none is left")
        self.options = options
        self.reader = dataset.reader
        self._labels = label_parts(options.labels, dataset.label_sets, dataset.label_families)
        self.label_sets = tuple(part.name for part in self._labels)
        sets = sorted({name for part in self._labels for name in part.sets})
        for name in sets:
            if (table[f"{name}_row"] < 0).any():
                cell = table.loc[table[f"{name}_row"] < 0, "cell_id"].iloc[0]
                raise TilewrightError(f"labels: cell {cell} has no labels {name}; leave such cells out by rows")
        if options.complete:
            table = _with_companions(table, list(options.wanted)[1:], least, years_of)
        self.rows = rows_of(table, sets, dates_column(main, years_of))
        self._arrays_of = self._label_arrays()
        self._imaged = self._layouts()
        if options.complete and len(options.wanted) > 2:
            self._leave_out(
                [len(self._candidates(at)) >= least for at in range(len(self))],
                f"fewer than {least} complete dates",
                f"complete: no cell has {least} dates of which every collection has a scene: lower min_dates",
            )
        # of all dates of s2_l2a the index tells whether two differ
        if pair and (options.season != "date" or options.complete or main != PRIMARY or self._years is not None):
            spans = [table[name].to_numpy("datetime64[us]").astype(np.int64) for name in ("first_date", "last_date")]
            ends = dict(zip(table["cell_id"], zip(*spans, strict=True), strict=True))
            self._leave_out(
                [self._two_seasons(at, *ends[str(self.rows.cell_id[at])]) for at in range(len(self))],
                f"dates of one {options.season} only",
                f"season: no cell has dates of two {options.season}s"
                + ("; use season='date'" if options.season != "date" else ""),
            )

    def _leave_out(self, kept: list[bool], why: str, nothing: str) -> None:
        """Keep some rows, and say `why` of the others; `nothing`: the error where none is kept."""
        if not any(kept):
            raise TilewrightError(nothing)
        if not all(kept):
            log.warning("%d of %d cells have %s and are left out", kept.count(False), len(kept), why)
            self.rows = self.rows.kept(np.array(kept))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def bands(self) -> dict[str, Any]:
        """By group (r10m, …), in the order of the image's band axis; on one grid all under "image".

        With several collections by collection, and for each of them so.
        """
        if self.options.collections is None:
            return dict(self._imaged[0].bands)
        return {each.collection: dict(each.bands) for each in self._imaged}

    def _layouts(self) -> list[Imaged]:
        """Which bands come from where, by the first cell's store; each other store is checked when it is read."""
        opened = self.reader.store(self.rows.word("series_path", 0))
        step = self.options.resolution_m
        found = [
            imaged(opened, name, bands, step is not None, "bands" if self.options.collections is None else f"collections.{name}")
            for name, bands in self.options.wanted.items()
        ]  # fmt: skip
        size_m = self.rows.number("size_m", 0)
        if step is not None and size_m % step:
            raise TilewrightError(f"resolution_m: cells of {size_m} m are not whole pixels of {step} m")
        return found

    def _label_arrays(self) -> dict[str, tuple[str, ...]]:
        """Which further arrays each part of the labels has, by the first cell's store."""
        wanted = self.options.label_arrays
        if not wanted:
            return {}
        path = self.rows.word("labels_path", 0) if self._labels else ""
        there = {part.name: self.reader.label_layout(path, part.sets[0]) for part in self._labels}
        known = sorted({name for layout in there.values() for name in layout} - set(MAIN))
        for name in wanted:
            if name not in known:
                raise TilewrightError(
                    f"label_arrays: none of the label sets {', '.join(there) or '(none)'} has {name!r}; they have "
                    f"{', '.join(known) or 'labels only'}"
                )
        return {part: tuple(name for name in wanted if name in layout) for part, layout in there.items()}

    def _coordinates(self, position: int, collection: str) -> tuple[int, Coordinates]:
        """The cell's row in its store, and what that says of the dates of a collection."""
        path, row = self.rows.word("series_path", position), self.rows.number("series_row", position)
        return row, self.reader.coordinates(path, collection, row, str(self.rows.cell_id[position]))

    def _candidates(self, position: int) -> np.ndarray:
        """Positions of the dates that may be chosen: all of the split's years, or those of which every collection has a scene."""
        row, of = self._coordinates(position, self._imaged[0].collection)
        there = np.ones(int(of.dates[row]), bool)
        if self._years is not None:
            there &= np.isin(self._years_of_dates(position), self._years)
        for each in self._imaged[1:] if self.options.complete else ():
            there &= self._partner(position, each.collection)[: len(there)] >= 0
        return np.flatnonzero(there)

    def _years_of_dates(self, position: int) -> np.ndarray:
        """(date,) year (UTC) of each date of the first collection; of a companion that of the primary's date that it belongs to."""
        collection = self._imaged[0].collection
        row, of = self._coordinates(position, collection)
        time = of.time[row, : int(of.dates[row])]
        if collection != PRIMARY:
            partner = self._partner(position, collection)
            own = np.flatnonzero(partner >= 0)
            time = time.copy()
            time[partner[own]] = self._coordinates(position, PRIMARY)[1].time[row, own]
        return np.asarray(time.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970)

    def _partner(self, position: int, collection: str) -> np.ndarray:
        """(date of s2_l2a,) place of its companion, −1 where there is none."""
        row, of = self._coordinates(position, collection)
        assert of.partner is not None  # of every collection but the first
        return np.asarray(of.partner[row])

    def _seasons(self, position: int, dates: np.ndarray) -> np.ndarray:
        row, of = self._coordinates(position, self._imaged[0].collection)
        return seasons_of(of.time[row, dates], of.period[row, dates], self.options.season)

    def _two_seasons(self, position: int, first: int, last: int) -> bool:
        """Whether the dates from `first` to `last` are of two seasons; opens the store only where they do not tell."""
        plain = not self.options.complete and self._imaged[0].collection == PRIMARY and self._years is None
        if self.options.season == "quarter" and plain:
            ends = np.array([first, last])
            if len(np.unique(seasons_of(ends, ends, "quarter"))) > 1:
                return True
            if self.rows.number("dates", position) == 2 or last - first < _THREE_QUARTERS:
                return False
        return len(np.unique(self._seasons(position, self._candidates(position)))) > 1

    def dates(self, position: int, epoch: int = 0) -> np.ndarray:
        """Positions, in time order, of the dates of a sample."""
        options, candidates = self.options, self._candidates(position)
        names = (options.seed, options.sampling, epoch, str(self.rows.cell_id[position]))
        if options.sampling == "season_pair":
            return candidates[season_pair(self._seasons(position, candidates), *names)]
        return candidates[choose(len(candidates), options.dates, options.sampling, *names)]

    def sample(self, position: int, epoch: int = 0) -> dict[str, Any]:
        """The sample at `position`.

        Returns:
            image: (time, band, y, x) by group r10m, r20m, r60m, or one array on one grid; of radar float32 as stored, NaN where
            there is no data;
            pixel_valid: (time, y, x) bool likewise: SCL is not "no data", and not all stored bands are zero; of radar: no
            band asked for is NaN;
            scl: (time, y, x) uint8, of s2_l2a; time: (time,) int64 microseconds since 1970-01-01 UTC, NaT's number in padding;
            valid: (time,) bool, False in padding; labels: (channel, y, x) uint8 by set, or (1, y, x) float32 of a static
            layer; cell: id, tile, split, epsg, ulx, uly, lon, lat, size_m;
            orbit, of radar: (time,) int8, 1 ascending, −1 descending, 0 where that is not known;
            with `collections` image, pixel_valid, time and orbit are by collection, all on the dates of s2_l2a: a companion
            stands at the date that it is paired with; present: (time,) bool by collection, False where a date has no companion (and
            in padding), whose pixels are then 0, of radar NaN, and not valid;
            with `label_arrays` label_arrays: those of each set by name, without the axis cell;
            with families label_valid: (time,) bool by family: whether there are labels of the date's year. Their labels and
            arrays have a first axis time; without labels of the year and in padding they are UNLABELED, NaN where numbers
            are measured, 1 (ignored) in `ignore`, else 0.

        Raises:
            TilewrightError: where a store cannot be read, is damaged, or is of another run than the index.
        """
        options = self.options
        chosen = self.dates(position, epoch)
        length = len(chosen) if options.length is None else options.length
        step = options.resolution_m
        side = None if step is None else self.rows.number("size_m", position) // step
        of: dict[str, dict[str, Any]] = {}
        scl = None
        for each in self._imaged:
            at = chosen if not of else self._partner(position, each.collection)[chosen]
            series = self._read(position, each, at[at >= 0])
            of[each.collection] = self._collection(position, each, series, at, length, side)
            scl = series.arrays.get(SCL) if scl is None else scl
            if len(of) == 1:
                time = series.time
        if options.collections is None:
            found = dict(of[options.collection])
        else:
            names = ("image", "pixel_valid", "time", "present", "orbit")
            found = {name: {key: part[name] for key, part in of.items() if name in part} for name in names}
        if options.collections is None:
            found.pop("present")
        elif not found["orbit"]:
            found.pop("orbit")
        if scl is not None:
            found["scl"] = _padded(scl if side is None else nearest(scl, side), length)
        found["valid"] = np.arange(length) < len(chosen)
        self._add_labels(found, position, side, time, length)
        found["cell"] = self.rows.cell(position)
        return found

    def _read(self, position: int, of: Imaged, dates: np.ndarray) -> Series:
        return self.reader.read(
            self.rows.word("series_path", position), of.collection, self.rows.number("series_row", position),
            str(self.rows.cell_id[position]), of.groups, dates.tolist(), of.layouts,
        )  # fmt: skip

    def _collection(
        self, position: int, of: Imaged, series: Series, at: np.ndarray, length: int, side: int | None
    ) -> dict[str, Any]:
        """A collection's part of a sample; `at`: the place in its series of each date, −1 where it has no scene."""
        options = self.options
        there = np.flatnonzero(at >= 0)

        def placed(array: np.ndarray, fill: float = 0) -> np.ndarray:
            return _placed(array, there, length, fill)

        part: dict[str, Any] = {}
        if side is None:
            images, valid = of.images(series.arrays, options.scale), of.valid(series.arrays)
            part["image"] = {name: placed(image, of.nothing) for name, image in images.items()}
            part["pixel_valid"] = {name: placed(mask) for name, mask in valid.items()}
        else:
            part["image"] = placed(of.image(series.arrays, side, options.resampling, options.scale), of.nothing)
            part["pixel_valid"] = placed(of.valid_on(series.arrays, side, options.resampling))
        part["time"] = placed(series.time, NO_TIME)
        part["present"] = placed(np.ones(len(there), bool))
        if of.radar:
            row, coordinates = self._coordinates(position, of.collection)
            orbit = coordinates.orbit
            known = np.zeros(len(there), np.int8) if orbit is None else orbit[row, at[there]]
            part["orbit"] = placed(known)
        return part

    def _add_labels(
        self, found: dict[str, Any], position: int, side: int | None, time: np.ndarray, length: int
    ) -> None:
        labels: dict[str, Any] = {}
        others: dict[str, Any] = {}
        valid: dict[str, Any] = {}
        for part in self._labels:
            read = partial(self._set_arrays, part.name, position=position, side=side)
            if part.years is None:
                arrays = read(part.name)
            else:
                arrays, there = joined(part, time, read, partial(read, part.sets[0]))
                arrays = {
                    name: _padded(each, length, fill_of(name, each.dtype.kind == "f")) for name, each in arrays.items()
                }
                valid[part.name] = _padded(there, length)
            labels[part.name] = arrays.pop(next(name for name in MAIN if name in arrays))
            others[part.name] = arrays
        found["labels"] = labels
        if self.options.label_arrays:
            found["label_arrays"] = {name: arrays for name, arrays in others.items() if arrays}
        if valid:
            found["label_valid"] = valid

    def _set_arrays(self, part: str, label_set: str, position: int, side: int | None) -> dict[str, np.ndarray]:
        """The arrays of one set for one cell: its labels (channel, y, x) and those further ones that `part` has."""
        rows = self.rows
        path, row = rows.word("labels_path", position), rows.number(f"{label_set}_row", position)
        main = next(name for name in MAIN if name in self.reader.label_layout(path, label_set))
        names = [main, *self._arrays_of.get(part, ())]
        arrays = self.reader.label_arrays(path, label_set, row, str(rows.cell_id[position]), names)
        if main == "layer":
            arrays[main] = arrays[main][None]
        return arrays if side is None else {name: nearest(each, side) for name, each in arrays.items()}


def _padded(array: np.ndarray, length: int, fill: float = 0) -> np.ndarray:
    """The first axis filled up to `length`."""
    if len(array) == length:
        return array
    padded = np.full((length, *array.shape[1:]), fill, array.dtype)
    padded[: len(array)] = array
    return padded


def _placed(array: np.ndarray, at: np.ndarray, length: int, fill: float) -> np.ndarray:
    """The rows of `array` at the places `at` of a first axis of `length`, `fill` elsewhere; without a copy where all follow."""
    if len(at) == length and len(array) == length:
        return array
    placed = np.full((length, *array.shape[1:]), fill, array.dtype)
    placed[at] = array
    return placed


def _with_companions(table: pd.DataFrame, companions: list[str], least: int, years_of: str | None) -> pd.DataFrame:
    """The rows whose cells have enough dates of each companion; of one companion these are exactly the complete dates.

    Raises:
        TilewrightError: where none is left.
    """
    counts = table[[dates_column(name, years_of) for name in companions]]
    enough = table[(counts >= least).all(axis=1)]
    if enough.empty:
        raise TilewrightError(f"complete: none of {len(table)} cells has {least} dates of {' and '.join(companions)} or more: lower min_dates")  # fmt: skip
    if fewer := len(table) - len(enough):
        log.warning("%d of %d cells have fewer than %d dates of %s and are left out", fewer, len(table), least, " and ".join(companions))  # fmt: skip
    return enough
