"""A cell as a training sample: a dict of numpy arrays, by options that are checked once."""

import logging
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.config.bands import COLLECTION_BANDS, NO_DATA
from tilewright.errors import TilewrightError
from tilewright.loader.dataset import Dataset
from tilewright.loader.labels import MAIN, fill_of, joined, label_parts
from tilewright.loader.resample import Resampling, all_valid, bilinear, covered, nearest
from tilewright.loader.rows import chosen_rows, rows_of
from tilewright.loader.series import Layout
from tilewright.loader.times import NO_TIME, SAMPLINGS, SEASONS, Sampling, Season, choose, season_pair, seasons_of

log = logging.getLogger(__name__)

_SCL = "scl"
_THREE_QUARTERS = 273 * 86_400_000_000  # microseconds: the shortest three in a row, between a quarter and its like


@dataclass(frozen=True)
class SampleOptions:
    """What a sample holds.

    Attributes:
        collection: whose series.
        bands: names, in the order wanted; None for all.
        labels: label sets; None for all. The name of a family (a set of several `years` in the config) gives, for each date,
            the labels of its year.
        label_arrays: further arrays of these sets that a sample holds where a set has them: instance, parcel_coverage,
            distance, claims, claims_same, targets (parcels), ignore (regions).
        scale: reflectance as float32 (DN × scale_factor), or DN as stored (uint16; float32 where bilinear resampling, which
            has fractions of DN, puts them on one grid).
        resolution_m: one grid for all bands, masks and labels; None leaves each at its own.
        resampling: of bands onto that grid; masks, SCL and labels are always resampled by nearest centre.
        dates: how many; fewer are padded. None for all that a cell has, so that samples differ in length. Where a cell's
            whole series is one chunk, as the workflow writes it, all of it is unpacked however few are asked for.
        sampling: which dates, where a cell has more: the first, the last, evenly spaced by position, or random (of seed,
            epoch and cell); season_pair: two dates of different seasons in random order (as SSL4EO-S12's
            RandomSeasonContrast, but never the same season twice).
        season: what season_pair tells apart: quarters of the year (December to February, …), periods of the config, or
            dates (any two different ones). Cells with one such season are left out.
        min_dates: cells with fewer are left out.
        seed: of random and season_pair.
    """

    collection: str = "s2_l2a"
    bands: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    label_arrays: Sequence[str] = ()
    scale: bool = True
    resolution_m: int | None = None
    resampling: Resampling = "bilinear"
    dates: int | None = None
    sampling: Sampling = "first"
    season: Season = "quarter"
    min_dates: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises TilewrightError naming the argument that is wrong."""
        for name, known in (("resampling", ("bilinear", "nearest")), ("sampling", SAMPLINGS), ("season", SEASONS)):
            if getattr(self, name) not in known:
                raise TilewrightError(f"{name}: {getattr(self, name)!r} is none of {', '.join(known)}")
        for name in ("dates", "resolution_m", "min_dates"):
            value = getattr(self, name)
            if value is None and name != "min_dates":
                continue
            if (whole := _whole(value)) is None or whole < 1:
                raise TilewrightError(f"{name}: {value!r} is not a whole number above 0")
            object.__setattr__(self, name, whole)
        for name in ("bands", "labels", "label_arrays"):
            value = getattr(self, name)
            if isinstance(value, str) or (value is not None and len(set(value)) < len(value)):
                raise TilewrightError(f"{name}: {value!r} is not a list of different names")
        if self.bands is not None and not self.bands:
            raise TilewrightError("bands: the list is empty; leave it out for all bands")
        if (seed := _whole(self.seed)) is None:
            raise TilewrightError(f"seed: {self.seed!r} is not a whole number")
        object.__setattr__(self, "seed", seed)
        if self.sampling == "season_pair" and self.dates not in (None, 2):
            raise TilewrightError(f"dates: a season_pair has 2 dates, not {self.dates}; leave dates out")

    @property
    def length(self) -> int | None:
        """Dates of every sample; None where they differ."""
        return 2 if self.sampling == "season_pair" else self.dates


@dataclass(frozen=True)
class _Part:
    """A group that a sample takes bands of: `take` are their positions in it, `put` in the image on one grid."""

    group: str
    layout: Layout
    take: np.ndarray
    put: np.ndarray
    whole: bool


class SampleReader:
    """Samples of a dataset by position. Picklable; the same sample for the same position and epoch in any process.

    Attributes:
        options: what a sample holds.
        rows: its cells.
        bands: by group (r10m, …), in the order of the image's band axis; on one grid all under "image".
        label_sets: the label sets and families in a sample.
    """

    def __init__(
        self, dataset: Dataset | str | Path, options: SampleOptions, *, split: str | None = None, rows: object = None
    ) -> None:
        """`split` or `rows` choose cells; cells without imagery are left out.

        Raises:
            TilewrightError: naming the argument that is wrong, or what of the dataset cannot be read.
        """
        dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
        pair = options.sampling == "season_pair"
        table = chosen_rows(dataset.index, split, rows, max(options.min_dates, 2 if pair else 1))
        if pair:
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
        self.rows = rows_of(table, sets)
        self._arrays_of = self._label_arrays()
        self._parts, self.bands = self._layout()
        if pair and options.season != "date":
            spans = [table[name].to_numpy("datetime64[us]").astype(np.int64) for name in ("first_date", "last_date")]
            self.rows = self.rows.kept(np.array([self._two_seasons(at, *ends) for at, ends in enumerate(zip(*spans, strict=True))]))  # fmt: skip
            if not len(self.rows):
                raise TilewrightError(f"season: no cell has dates of two {options.season}s; use season='date'")
            if len(self.rows) < len(table):
                log.warning("%d of %d cells have dates of one %s only and are left out", len(table) - len(self.rows), len(table), options.season)  # fmt: skip

    def __len__(self) -> int:
        return len(self.rows)

    def _layout(self) -> tuple[list[_Part], dict[str, tuple[str, ...]]]:
        """Which bands come from where, by the first cell's store; each other store is checked when it is read."""
        opened = self.reader.store(self.rows.word("series_path", 0))
        collection, step = self.options.collection, self.options.resolution_m
        stored = {
            group.partition("/")[2]: bands
            for group, bands in opened.bands.items()
            if group.startswith(f"{collection}/")
        }
        if not stored:
            known = sorted({group.partition("/")[0] for group in opened.bands})
            raise TilewrightError(f"collection: no {collection!r} in this dataset; it has {', '.join(known)}")
        there = {band for bands in stored.values() for band in bands}
        order = [band for band in COLLECTION_BANDS.get(collection, sorted(there)) if band in there]
        wanted = order if self.options.bands is None else list(self.options.bands)
        for band in wanted:
            if band not in there:
                raise TilewrightError(f"bands: no band {band!r} in this dataset; it has {', '.join(order)}")
        size_m = self.rows.number("size_m", 0)
        if step is not None and size_m % step:
            raise TilewrightError(f"resolution_m: cells of {size_m} m are not whole pixels of {step} m")
        parts, bands_of = [], {}
        for group, bands in stored.items():
            mine = [band for band in wanted if band in bands]
            layout = opened.layout(f"{collection}/{group}")
            if not mine or layout is None:
                continue
            take, put = np.array([bands.index(band) for band in mine]), np.array([wanted.index(band) for band in mine])
            whole = take.tolist() == list(range(len(bands)))
            parts.append(_Part(group, layout, take, put, whole))
            bands_of[group] = tuple(mine)
        return parts, bands_of if step is None else {"image": tuple(wanted)}

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

    def _times(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Time and period of each of the cell's dates."""
        rows, collection = self.rows, self.options.collection
        path, row = rows.word("series_path", position), rows.number("series_row", position)
        of = self.reader.coordinates(path, collection, row, str(rows.cell_id[position]))
        dates = slice(0, int(of.dates[row]))
        return of.time[row, dates], of.period[row, dates]

    def _two_seasons(self, position: int, first: int, last: int) -> bool:
        """Whether the dates from `first` to `last` are of two seasons; opens the store only where they do not tell."""
        if self.options.season == "quarter":
            ends = np.array([first, last])
            if len(np.unique(seasons_of(ends, ends, "quarter"))) > 1:
                return True
            if self.rows.number("dates", position) == 2 or last - first < _THREE_QUARTERS:
                return False
        return len(np.unique(seasons_of(*self._times(position), self.options.season))) > 1

    def dates(self, position: int, epoch: int = 0) -> np.ndarray:
        """Positions, in time order, of the dates of a sample."""
        options, cell = self.options, str(self.rows.cell_id[position])
        time, period = self._times(position)
        names = (options.seed, options.sampling, epoch, cell)
        if options.sampling == "season_pair":
            return season_pair(seasons_of(time, period, options.season), *names)
        return choose(len(time), options.dates, options.sampling, *names)

    def sample(self, position: int, epoch: int = 0) -> dict[str, Any]:
        """The sample at `position`.

        Returns:
            image: (time, band, y, x) by group r10m, r20m, r60m, or one array on one grid;
            pixel_valid: (time, y, x) bool likewise: SCL is not "no data", and not all stored bands are zero;
            scl: (time, y, x) uint8; time: (time,) int64 microseconds since 1970-01-01 UTC, NaT's number in padding;
            valid: (time,) bool, False in padding; labels: (channel, y, x) uint8 by set, or (1, y, x) float32 of a static
            layer; cell: id, tile, split, epsg, ulx, uly, lon, lat, size_m;
            with `label_arrays` label_arrays: those of each set by name, without the axis cell;
            with families label_valid: (time,) bool by family: whether there are labels of the date's year. Their labels and
            arrays have a first axis time; without labels of the year and in padding they are UNLABELED, NaN where numbers
            are measured, 1 (ignored) in `ignore`, else 0.

        Raises:
            TilewrightError: where a store cannot be read, is damaged, or is of another run than the index.
        """
        rows, options = self.rows, self.options
        chosen = self.dates(position, epoch)
        groups = [*(part.group for part in self._parts), _SCL]
        series = self.reader.read(
            rows.word("series_path", position), options.collection, rows.number("series_row", position),
            str(rows.cell_id[position]), groups, chosen.tolist(), {part.group: part.layout for part in self._parts},
        )  # fmt: skip
        scl = series.arrays[_SCL]
        length = len(chosen) if options.length is None else options.length
        step = options.resolution_m
        side = None if step is None else rows.number("size_m", position) // step
        seen = scl != NO_DATA
        valid = {part.group: np.asarray(series.arrays[part.group].any(axis=1)) for part in self._parts}
        if not seen.all():
            for mask in valid.values():
                mask &= covered(seen, mask.shape[-1])
        found: dict[str, Any] = {}
        if side is None:
            images = {part.group: self._scaled(part, series.arrays[part.group]) for part in self._parts}
            found["image"] = {name: _padded(image, length) for name, image in images.items()}
            found["pixel_valid"] = {name: _padded(mask, length) for name, mask in valid.items()}
        else:
            found["image"] = _padded(self._on_one_grid(series.arrays, side), length)
            masks = [all_valid(mask, side, options.resampling) for mask in valid.values()]
            found["pixel_valid"] = _padded(np.asarray(np.logical_and.reduce(masks)), length)
            scl = nearest(scl, side)
        found["scl"] = _padded(scl, length)
        found["time"] = _padded(series.time, length, NO_TIME)
        found["valid"] = np.arange(length) < len(chosen)
        self._add_labels(found, position, side, series.time, length)
        found["cell"] = rows.cell(position)
        return found

    def _scaled(self, part: _Part, stored: np.ndarray) -> np.ndarray:
        picked = stored if part.whole else stored[:, part.take]
        return (
            np.multiply(picked, np.float32(part.layout.scale_factor), dtype=np.float32)
            if self.options.scale
            else picked
        )

    def _on_one_grid(self, arrays: dict[str, np.ndarray], side: int) -> np.ndarray:
        """(time, band, y, x): resampled in DN, so that halves and quarters are exact, and then scaled."""
        linear = self.options.resampling == "bilinear"
        count = sum(len(part.take) for part in self._parts)
        first = arrays[self._parts[0].group]
        image = np.empty((len(first), count, side, side), np.float32 if linear or self.options.scale else first.dtype)
        for part in self._parts:
            stored = arrays[part.group]
            picked = stored if part.whole else stored[:, part.take]
            onto = bilinear(picked, side) if linear else nearest(picked, side)
            for band, place in enumerate(part.put):
                if self.options.scale:
                    np.multiply(onto[:, band], np.float32(part.layout.scale_factor), out=image[:, place])
                else:
                    image[:, place] = onto[:, band]
        return image

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


def _whole(value: object) -> int | None:
    """A whole number of Python's or numpy's as an int; None for anything else."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _padded(array: np.ndarray, length: int, fill: float = 0) -> np.ndarray:
    """The first axis filled up to `length`."""
    if len(array) == length:
        return array
    padded = np.full((length, *array.shape[1:]), fill, array.dtype)
    padded[: len(array)] = array
    return padded
