"""A raster of classes, or of numbers, onto the cells' pixels: each pixel by itself, so that it does not matter which are asked for.

A pixel of the cells is looked up in the raster at its centre (nearest, bilinear, cubic), or at n × n points spread evenly over
it (majority, average, min, max). n follows from the sizes of the two pixels at the cell's centre: one where the raster's
are no smaller, else two to each of the raster's, and one to each where that would be more than sixteen.
A point on the edge of two of the raster's pixels is in the right or lower one.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from tilewright.config.bands import NONE, UNLABELED
from tilewright.config.label_sets import RasterFile
from tilewright.errors import TilewrightError
from tilewright.vector.ontology import Ontology
from tilewright.vector.places import Places, Points
from tilewright.vector.tables import shown

# Points looked up at once, which bounds memory.
_POINTS: Final = 2**20
# Neighbouring cells share blocks of the file.
_CACHE_MB: Final = 256
_DOUBLED: Final = 8  # up to so many of the raster's pixels along a side each gets two points
_MOST: Final = 64
_SHOWN: Final = 20


@dataclass(frozen=True)
class RasterCell:
    """What the raster says of one cell.

    Attributes:
        pixels: with an ontology uint8 (channel, y, x), UNLABELED where not `covered`; without float32 (1, y, x), NaN where
            not `covered`.
        covered: bool (y, x): where the raster has ground and data; with n × n points, at half of them or more.
    """

    pixels: np.ndarray
    covered: np.ndarray


@dataclass(frozen=True)
class _Window:
    """A part of the raster: its first row and column, its pixels, and which of them have data."""

    row: int
    column: int
    values: np.ndarray
    valid: NDArray[np.bool_]

    def at(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, NDArray[np.bool_]]:
        """Pixels at rows and columns of the raster, and which are there; any number for those that are not."""
        y, x = row - self.row, column - self.column
        inside = (y >= 0) & (y < self.values.shape[0]) & (x >= 0) & (x < self.values.shape[1])
        if not self.values.size:
            return np.zeros(row.shape, self.values.dtype), inside
        y, x = np.where(inside, y, 0), np.where(inside, x, 0)
        return self.values[y, x], inside & self.valid[y, x]


class RasterLabels:
    """One raster on the pixels of cells of one UTM zone.

    Attributes:
        unknown: {"value=7": pixels of the cells in which it is} of values that no rule knows, once all cells were made.
    """

    def __init__(
        self,
        source: RasterFile,
        ontology: Ontology | None,
        epsg: int,
        step: float,
        unknown: Literal["error", "unlabeled"],
    ) -> None:
        """`step`: metres of the cells' pixels. Without an ontology the raster is a layer of numbers.

        Values that no rule knows are unlabeled, with `unknown` "error" an error once all cells were made.
        """
        self._source, self._epsg, self._step = source, epsg, step
        self._strict = unknown == "error"
        self._name = shown(source.path)
        self._table = None if ontology is None else ontology.pixel_table()
        self._channels = 0 if ontology is None else len(ontology.channels)
        precedence = {} if ontology is None else {each.value: each.precedence for each in ontology.categories}
        # Of two labels that cover as much of a pixel the first of these wins.
        self._order = [*sorted(precedence, key=lambda value: (-precedence[value], value)), NONE, UNLABELED]
        self._seen: Counter[Any] = Counter()

    @property
    def unknown(self) -> dict[str, int]:
        """See the class."""
        return {f"value={_plain(value)}": count for value, count in sorted(self._seen.items())}

    def cells(self, ulx: np.ndarray, uly: np.ndarray, size_m: int) -> Iterator[tuple[int, RasterCell]]:
        """(position in `ulx`, what the raster says) of each cell once: by rows from north to south.

        Nearest and bilinear as usual; bilinear takes of the four pixels those with data, and needs the one under the centre;
        cubic (Keys, a = -1/2) is bilinear where one of its sixteen has no data. Neither smooths a raster that is finer than
        the cells' pixels: average does. Majority is, channel by channel, the label with the most points, no data and no label
        being such as others are; of equals the higher precedence, then the lower value. Without an ontology it is the
        value, of equals the lowest.

        Args:
            ulx: (cell,) left edges, metres in the UTM zone.
            uly: (cell,) upper edges.
            size_m: sides, whole multiples of the step.

        Raises:
            TilewrightError: where the file is missing or damaged, has no such band, no CRS or no place, or holds values that
                no rule knows.
        """
        self._seen.clear()
        side = round(size_m / self._step)
        with self._opened() as file:
            places = self._places(file)
            for at in np.lexsort((ulx, -np.asarray(uly))):
                yield int(at), self._cell(file, places, float(ulx[at]), float(uly[at]), side)
        if self._seen and self._strict:
            listed = ", ".join(
                f"{what.removeprefix('value=')} ({count})" for what, count in list(self.unknown.items())[:_SHOWN]
            )
            more = f" and {len(self._seen) - _SHOWN} more" if len(self._seen) > _SHOWN else ""
            raise TilewrightError(
                f"labels: {self._name}: the ontology has no rule for the values {listed}{more} (pixels of the cells in brackets): add "
                "rules, name the value of no data in labels.<set>.source.nodata, or leave them unlabeled with "
                "labels.<set>.unknown: unlabeled"
            )

    def _opened(self) -> Any:
        import rasterio

        path, band = self._source.path, self._source.band
        if not path.startswith("/vsi") and "://" not in path and not Path(path).exists():
            self._refuse("no such file; put it there or mend labels.<set>.source.path")
        try:
            file = rasterio.open(path)
        except rasterio.errors.RasterioError as error:
            raise self._unreadable(error) from error
        if band > file.count:
            what = (
                f"has {file.count} band{'s' * (file.count != 1)}, no {band}"
                if file.count
                else "has subdatasets, no bands"
            )
            self._refuse(f"{what}: mend labels.<set>.source.band or path")
        kind = np.dtype(file.dtypes[band - 1])
        if kind.kind not in "uif":
            self._refuse(f"band {band} is of {kind}: give a raster of real numbers")
        nodata = self._source.nodata
        if nodata is not None and kind.kind != "f" and not _holds(kind, nodata):
            self._refuse(f"labels.<set>.source.nodata: {nodata:g} cannot be in a band of {kind}")
        return file

    def _places(self, file: Any) -> Places:
        if file.crs is None:
            self._refuse("names no CRS; set it with gdal_edit.py -a_srs")
        if file.transform.is_identity:
            self._refuse("does not say where its pixels are; set that with gdal_edit.py -a_ullr")
        try:
            return Places(self._epsg, self._step, file.crs.to_wkt(), file.transform)
        except ValueError as error:
            self._refuse(f"its CRS has no place on the earth ({error}); set another with gdal_edit.py -a_srs")

    def _refuse(self, why: str) -> NoReturn:
        raise TilewrightError(f"labels: {self._name}: {why}")

    def _unreadable(self, error: Exception) -> TilewrightError:
        words = " ".join(shown(str(each)) for each in (error, error.__cause__) if each is not None)
        return TilewrightError(
            f"labels: {self._name}: cannot be read ({words}); fetch it again or mend labels.<set>.source"
        )

    def _cell(self, file: Any, places: Places, ulx: float, uly: float, side: int) -> RasterCell:
        column, row = round(ulx / self._step), round(-uly / self._step)
        several = self._source.resampling in ("majority", "average", "min", "max")
        n = self._points(places, column + side / 2, row + side / 2) if several else 1
        pixels = np.full((max(1, self._channels), side, side), UNLABELED, np.uint8)
        if self._table is None:
            pixels = np.full((1, side, side), np.nan, np.float32)
        covered = np.zeros((side, side), bool)
        rows = max(1, _POINTS // (side * n * n))
        for first in range(0, side, rows):
            part = slice(first, min(side, first + rows))
            points = places.points(column, row + part.start, side, part.stop - part.start, n)
            window = self._read(file, points)
            made, covered[part] = self._numbers(window, points) if self._table is None else self._labels(window, points)
            pixels[:, part] = made
        return RasterCell(pixels, covered)

    def _points(self, places: Places, column: float, row: float) -> int:
        """How many points along a side of a pixel there are, by how many of the raster's pixels it spans at this place."""
        spans = places.spans(column, row)
        if not np.isfinite(spans) or spans <= 1 + 1e-6:
            return 1
        per = 2 if spans <= _DOUBLED else 1
        return min(_MOST, int(np.ceil(per * spans - 1e-6)))

    def _read(self, file: Any, points: Points) -> _Window:
        """The part of the raster that points are in, and two pixels more on each side for interpolation."""
        import rasterio
        from rasterio.windows import Window

        band, kind = self._source.band, np.dtype(file.dtypes[self._source.band - 1])
        rows, columns = points.bounds(2, file.height, file.width)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return _Window(0, 0, np.empty((0, 0), kind), np.empty((0, 0), bool))
        window = Window.from_slices(rows, columns)
        try:
            with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB):
                values = file.read(band, window=window)
                if self._source.nodata is None:
                    valid = file.read_masks(band, window=window) != 0
                else:
                    valid = values != np.array(self._source.nodata).astype(kind)
        except rasterio.errors.RasterioError as error:
            raise self._unreadable(error) from error
        return _Window(rows.start, columns.start, values, valid & ~np.isnan(values) if kind.kind == "f" else valid)

    def _labels(self, window: _Window, points: Points) -> tuple[np.ndarray, NDArray[np.bool_]]:
        """Labels (channel, y, x) of the points' pixels, and which are covered."""
        assert self._table is not None
        values, valid = window.at(*points.pixels())  # (y, x, point)
        known = np.array(list(self._table))
        place = np.minimum(np.searchsorted(known, values), len(known) - 1)
        found = valid & (known[place] == values)
        strange = valid & ~found
        if strange.any():
            for value in np.unique(values[strange]).tolist():
                self._seen[value] += int((strange & (values == value)).any(axis=-1).sum())
        tables = np.array(list(self._table.values()), np.uint8)
        made = []
        for channel in range(self._channels):
            labels = np.where(found, tables[place, channel], np.uint8(UNLABELED))
            made.append(_most(labels, self._order))
        covered = _half(valid)
        pixels = np.stack(made)
        pixels[:, ~covered] = UNLABELED
        return pixels, covered

    def _numbers(self, window: _Window, points: Points) -> tuple[np.ndarray, NDArray[np.bool_]]:
        """Numbers float32 (1, y, x) of the points' pixels, and which are covered."""
        how = self._source.resampling
        values, valid = window.at(*points.pixels())
        covered = _half(valid)
        numbers = values.astype(np.float64)
        if how in ("bilinear", "cubic"):
            made = _bilinear(window, points, numbers[..., 0])
            if how == "cubic":
                smooth, whole = _cubic(window, points)
                made = np.where(whole, smooth, made)
        elif how == "majority":
            made = _commonest(numbers, valid)
        elif how == "average":
            made = np.where(valid, numbers, 0).sum(axis=-1) / np.maximum(valid.sum(axis=-1), 1)
        elif how == "min":
            made = np.where(valid, numbers, np.inf).min(axis=-1)
        elif how == "max":
            made = np.where(valid, numbers, -np.inf).max(axis=-1)
        else:
            made = numbers[..., 0]
        return np.where(covered, made, np.nan).astype(np.float32)[None], covered


def _half(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return 2 * valid.sum(axis=-1) >= valid.shape[-1]


def _most(labels: np.ndarray, order: list[int]) -> np.ndarray:
    """Of (y, x, point) the label that is there most often, of equals the first in `order`."""
    made = labels[..., 0].copy()
    mixed = (labels != labels[..., :1]).any(axis=-1)
    if mixed.any():
        some = labels[mixed]
        best = np.zeros(len(some), np.int64)
        chosen = made[mixed]
        for label in order:
            count = (some == label).sum(axis=-1)
            chosen = np.where(count > best, np.uint8(label), chosen)
            best = np.maximum(count, best)
        made[mixed] = chosen
    return made


def _commonest(numbers: np.ndarray, valid: NDArray[np.bool_]) -> np.ndarray:
    """Of (y, x, point) the number that is there most often, of equals the lowest; NaN where none is."""
    ranked = np.sort(np.where(valid, numbers, np.nan), axis=-1)  # those that are not there come last
    place = np.arange(ranked.shape[-1])
    begins = np.ones(ranked.shape, bool)
    begins[..., 1:] = ranked[..., 1:] != ranked[..., :-1]
    run = place - np.maximum.accumulate(np.where(begins, place, 0), axis=-1)
    longest = np.where(np.isnan(ranked), -1, run).argmax(axis=-1)
    return np.take_along_axis(ranked, longest[..., None], axis=-1)[..., 0]


def _around(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the raster's pixel whose centre is above and left of each point, and how far the point is from there."""
    row, column = points.row[..., 0] - 0.5, points.column[..., 0] - 0.5
    above, left = np.floor(row), np.floor(column)
    return points.whole(above), points.whole(left), row - above, column - left


def _bilinear(window: _Window, points: Points, nearest: np.ndarray) -> np.ndarray:
    above, left, down, right = _around(points)
    total, weight = np.zeros(above.shape), np.zeros(above.shape)
    for y, part_y in ((0, 1 - down), (1, down)):
        for x, part_x in ((0, 1 - right), (1, right)):
            values, valid = window.at(above + y, left + x)
            part = np.where(valid, part_y * part_x, 0.0)
            total += part * np.where(valid, values, 0).astype(np.float64)
            weight += part
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), nearest)


def _keys(distance: np.ndarray) -> np.ndarray:
    """Weight of a pixel at a distance of up to two pixels (Keys 1981, a = -1/2)."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _cubic(window: _Window, points: Points) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Interpolated numbers, and where all sixteen pixels have data."""
    above, left, down, right = _around(points)
    total, whole = np.zeros(above.shape), np.ones(above.shape, bool)
    for y in (-1, 0, 1, 2):
        for x in (-1, 0, 1, 2):
            values, valid = window.at(above + y, left + x)
            total += _keys(np.abs(down - y)) * _keys(np.abs(right - x)) * np.where(valid, values, 0).astype(np.float64)
            whole &= valid
    return total, whole


def _holds(kind: np.dtype[Any], value: float) -> bool:
    return value.is_integer() and bool(np.iinfo(kind).min <= value <= np.iinfo(kind).max)


def _plain(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
