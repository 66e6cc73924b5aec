"""The burning core: which pixels a shape covers, touches or covers in part, by scan lines over all edges at once.

Pixels have absolute numbers: column = floor(x / step), row = floor(-y / step), so rows count southwards from the equator
(or from the false origin of southern zones). Every number is worked out from an edge's own ends, never from cut ones, and
never from other shapes: what is found for a pixel does not depend on the rows that are asked for.

Exact contacts, in pixels (x to the right, y down):

- `centre_spans`: a centre on an edge belongs to the shape left of it or below it (columns x0 < centre <= x1, rows
  y0 <= centre < y1). Shapes that share an edge neither both nor neither take a pixel. GDAL does the same but for centres
  exactly on a horizontal edge, which it may burn for both shapes.
- `touched_spans` of areas: the pixels of which the open square meets the area's inside, deeper than 1e-9. An edge along
  the border between two pixels does not touch the one that it has its back to. GDAL agrees but for edges that are parallel
  to the axes and within a hundredth of a pixel of such a border (its EPSILON_INTERSECT_FRACTION).
- `touched_spans` of lines and points: the pixels in which a point of the line lies, upper and left side included. GDAL
  differs where a line passes within some thousandths of a pixel of a corner.

Coordinates are doubles: contacts nearer than their rounding may fall either way, but the same way every time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Shares of a pixel are summed as whole numbers, of this part of a pixel, so that the order of summing cannot matter …
_UNIT_BITS: Final = 40
# … and given in whole multiples of 2**-30 (1e-9): equal shares compare as equal.
_SHARE_BITS: Final = 30
_ROUND: Final = _UNIT_BITS - _SHARE_BITS
# An area that reaches less far than this into a pixel does not touch it: shares below it are 0, too.
_DEPTH: Final = 2.0**-_SHARE_BITS
# Spans at least this long are filled one after the other; below, all pixels at once are cheaper.
_LONG: Final = 24


@dataclass(frozen=True)
class Spans:
    """Runs of pixels in rows: start <= column < stop. Sorted by feature.

    Attributes:
        feature: (n,) int32 number of the shape in its `Shapes`.
        row, start, stop: (n,) int32 absolute pixel numbers.
    """

    feature: NDArray[np.int32]
    row: NDArray[np.int32]
    start: NDArray[np.int32]
    stop: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.feature)

    def __getitem__(self, part: slice | np.ndarray) -> "Spans":
        return Spans(self.feature[part], self.row[part], self.start[part], self.stop[part])


@dataclass(frozen=True)
class Coverage:
    """Shares of pixels that areas cover: pixels covered in part, and runs of pixels covered wholly.

    Attributes:
        feature, row, column: (n,) int32, sorted in this order; each such pixel once.
        share: (n,) float64, 0 < share < 1, a multiple of 2**-30.
        whole: pixels covered wholly, sorted by (feature, row, start), disjoint.
    """

    feature: NDArray[np.int32]
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    share: Floats
    whole: Spans


class Shapes:
    """Coordinates of many geometries, flat: made once, scanned band by band.

    Attributes:
        dimension: 2 areas, 1 lines, 0 points.
        x, y: (vertex,) metres.
        edge: (edge,) vertex that each edge begins at (it ends at the next); of points the point itself.
        first_edge: (feature + 1,) where each feature's edges begin.
        top, bottom: (feature,) largest and smallest y, metres; NaN for empty geometries.
    """

    def __init__(self, geometry: np.ndarray) -> None:
        """`geometry`: (feature,) valid (Multi)Polygons, or (Multi)LineStrings, or (Multi)Points, in metres.

        Raises:
            ValueError: for a mixture of them, missing ones, or coordinates that are not finite.
        """
        geometry = np.asarray(geometry, dtype=object)
        count = len(geometry)
        if not count:
            geometry = np.array([shapely.MultiPolygon()], dtype=object)
        kind, coordinates, offsets = shapely.to_ragged_array(geometry, include_z=False)
        if not np.isfinite(coordinates).all():
            raise ValueError("geometries have coordinates that are not finite")
        self.x, self.y = np.ascontiguousarray(coordinates[:, 0]), np.ascontiguousarray(coordinates[:, 1])
        self.dimension = {"POINT": 0, "LINESTRING": 1, "POLYGON": 2}[kind.name.removeprefix("MULTI")]
        self._parts = np.asarray(offsets[0], dtype=np.int64) if offsets else np.arange(len(self.x) + 1)
        # feature → parts (rings, lines, points) → vertices
        parts_of = np.arange(len(geometry) + 1)
        self._shell = np.zeros(len(self._parts) - 1, dtype=bool)
        if self.dimension == 2:
            self._shell[offsets[1][:-1][np.diff(offsets[1]) > 0]] = True
        for level in offsets[:0:-1] if self.dimension else offsets[::-1]:
            parts_of = np.asarray(level, dtype=np.int64)[parts_of]
        if self.dimension:
            ends = np.ones(len(self.x), dtype=bool)
            ends[self._parts[1:][np.diff(self._parts) > 0] - 1] = False
            self.edge = np.flatnonzero(ends)
            vertices_of = self._parts[parts_of]
        else:
            self.edge, vertices_of = np.arange(len(self.x)), parts_of
        self.first_edge = np.searchsorted(self.edge, vertices_of)[: count + 1]
        bounds = shapely.bounds(geometry)[:count]
        self.bottom, self.top = bounds[:, 1], bounds[:, 3]
        self._sign: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.top)

    def edges(self, step: float, first_row: int, last_row: int, features: np.ndarray | None) -> tuple[Ints, Ints]:
        """(feature, edge) of every edge that may meet rows first_row <= row < last_row, in the order of features."""
        upper, lower = -first_row * step, -last_row * step
        if features is None:
            features = np.arange(len(self))
        features = features[(self.bottom[features] <= upper) & (self.top[features] >= lower)]
        begin = self.first_edge[features]
        which, edges = _ranges(begin, self.first_edge[features + 1] - begin)
        edges = self.edge[edges]
        after = edges + 1 if self.dimension else edges
        y0, y1 = self.y[edges], self.y[after]
        near = (np.minimum(y0, y1) <= upper) & (np.maximum(y0, y1) >= lower)
        return features[which[near]].astype(np.int64), edges[near]

    def sign(self, edges: Ints) -> NDArray[np.int8]:
        """For each edge 1 where its area lies to the right of it, seen on pixels, when it runs downwards, else -1."""
        if self._sign is None:
            ring = np.repeat(np.arange(len(self._parts) - 1), np.diff(self._parts))
            x, y = self.x - self.x[self._parts[ring]], self.y - self.y[self._parts[ring]]
            cross = np.zeros(len(x))
            cross[self.edge] = x[self.edge] * y[self.edge + 1] - x[self.edge + 1] * y[self.edge]
            area = np.bincount(ring, cross, minlength=len(self._parts) - 1)
            # anticlockwise on a map: the inside of a shell is on the left, that is to the east of what runs south
            self._sign = (np.sign(area) * np.where(self._shell, 1, -1)).astype(np.int8)[ring]
        return self._sign[edges]


def centre_spans(
    shapes: Shapes, step: float, first_row: int, last_row: int, features: np.ndarray | None = None
) -> Spans:
    """Find the pixels whose centre areas cover, in rows first_row <= row < last_row.

    Args:
        shapes: areas.
        step: pixel size in metres.
        first_row: first row that is asked for.
        last_row: the row after the last.
        features: numbers of the shapes that are asked for, ascending; default: all.

    Returns:
        Spans sorted by (feature, row, start), disjoint.
    """
    feature, edges = shapes.edges(step, first_row, last_row, features)
    u0, v0, u1, v1 = _ends(shapes, edges, step)
    first, last = np.ceil(v0 - 0.5), np.ceil(v1 - 0.5)
    which, row = _rows(first, last, first_row, last_row)
    u, v = u0[which], v0[which]
    column = np.floor(u + (row + 0.5 - v) * ((u1[which] - u) / (v1[which] - v)) + 0.5).astype(np.int64)
    feature, row, column = _sorted(feature[which], row, column)
    # A closed ring crosses a line an even number of times: pairs are what lies between.
    spans = _spans(feature[::2], row[::2], column[::2], column[1::2])
    return spans[spans.stop > spans.start]


def edge_spans(shapes: Shapes, step: float, first_row: int, last_row: int, features: np.ndarray | None = None) -> Spans:
    """Find the pixels that edges run through: of lines and points all that they touch, of areas all but the inner ones.

    Arguments as of `centre_spans`. Returns spans in the order of features; those of one feature overlap.
    """
    feature, edges = shapes.edges(step, first_row, last_row, features)
    u0, v0, u1, v1 = _ends(shapes, edges, step)
    if shapes.dimension == 2:
        first, last = np.floor(v0 + _DEPTH), np.ceil(v1 - _DEPTH)
    else:
        first, last = np.floor(v0), np.floor(v1) + 1
    which, row = _rows(first, last, first_row, last_row)
    u0, v0, u1, v1 = u0[which], v0[which], u1[which], v1[which]
    entry, leave = _within_rows(u0, v0, u1, v1, row)
    left, right = np.minimum(entry, leave), np.maximum(entry, leave)
    if shapes.dimension == 2:
        start, stop = np.floor(left + _DEPTH), np.ceil(right - _DEPTH)
    else:
        # A line that runs to the right and leaves the row comes near to its last x but is not there.
        open_end = (leave > entry) & (v1 >= row + 1)
        start = np.floor(left)
        stop = np.where(open_end, np.maximum(np.ceil(right), start + 1), np.floor(right) + 1)
    spans = _spans(feature[which], row, start, stop)
    return spans[spans.stop > spans.start] if shapes.dimension == 2 else spans


def touched_spans(
    shapes: Shapes, step: float, first_row: int, last_row: int, features: np.ndarray | None = None
) -> Spans:
    """Find every pixel that areas, lines or points touch.

    Arguments as of `centre_spans`. Returns spans sorted by (feature, row, start), disjoint.
    """
    found = edge_spans(shapes, step, first_row, last_row, features)
    if shapes.dimension < 2:
        return united(found)
    return united(found, centre_spans(shapes, step, first_row, last_row, features))


def united(*several: Spans) -> Spans:
    """Join spans that overlap or meet, feature by feature: sorted by (feature, row, start), disjoint."""
    feature, row, start, stop = (
        np.concatenate([getattr(spans, name) for spans in several]).astype(np.int64)
        for name in ("feature", "row", "start", "stop")
    )
    if not len(feature):
        return _spans(feature, row, start, stop)
    feature, row, start, length = _sorted(feature, row, start, stop - start)
    stop = start + length
    # The furthest stop so far within each row of each feature: rows are set apart by more than any stop.
    line = np.cumsum(np.r_[0, (np.diff(feature) != 0) | (np.diff(row) != 0)])
    apart = int(stop.max() - start.min()) + 1
    reached = np.maximum.accumulate(line * apart + (stop - start.min()))
    begins = np.flatnonzero(np.r_[True, (line * apart + (start - start.min()))[1:] > reached[:-1]])
    ends = np.r_[begins[1:], len(line)] - 1
    return _spans(feature[begins], row[begins], start[begins], reached[ends] - line[ends] * apart + start.min())


def coverage(
    shapes: Shapes, step: float, first_row: int, last_row: int, features: np.ndarray | None = None
) -> Coverage:
    """Work out which share of each pixel each area covers, exactly, by the signed area beside its edges.

    Arguments as of `centre_spans`. Parts of a geometry that overlap (which valid ones do not) count once at most.
    """
    feature, edges = shapes.edges(step, first_row, last_row, features)
    sign = shapes.sign(edges) * np.where(shapes.y[edges + 1] < shapes.y[edges], 1, -1)
    u0, v0, u1, v1 = _ends(shapes, edges, step)
    which, row = _rows(np.floor(v0), np.ceil(v1), first_row, last_row)
    which, row = which[v1[which] > v0[which]], row[v1[which] > v0[which]]
    u0, v0, u1, v1 = u0[which], v0[which], u1[which], v1[which]
    entry, leave = _within_rows(u0, v0, u1, v1, row)
    # Heights within the row, in whole units, at the left and at the right end of each edge's part.
    high, low = (np.rint(np.ldexp(np.clip(v - row, 0, 1), _UNIT_BITS)) for v in (v0, v1))
    swap = leave < entry
    left, right = np.where(swap, leave, entry), np.where(swap, entry, leave)
    at_left, at_right = np.where(swap, low, high), np.where(swap, high, low)
    begin = np.floor(left)
    columns = np.maximum(np.ceil(right) - begin, 1).astype(np.int64)
    piece, column = _ranges(begin.astype(np.int64), columns)
    left, right, at_left, at_right = left[piece], right[piece], at_left[piece], at_right[piece]
    x0, x1 = np.maximum(left, column), np.minimum(right, column + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (at_right - at_left) / (right - left)
        y0 = np.where(x0 > left, np.rint(at_left + (x0 - left) * slope), at_left)
        y1 = np.where(x1 < right, np.rint(at_left + (x1 - left) * slope), at_right)
    side = sign[which][piece]
    height = np.abs(y1 - y0)
    beside = np.rint(height * (column + 1 - (x0 + x1) / 2)).astype(np.int64) * side
    return _shares(feature[which][piece], row[piece], column, beside, height.astype(np.int64) * side)


def _shares(feature: Ints, row: Ints, column: Ints, beside: Ints, height: Ints) -> Coverage:
    """Sum the pieces of edges: `beside` is what each adds to its own pixel, `height` to all pixels right of it."""
    order = _order(feature, row, column)
    feature, row, column, beside, height = (each[order] for each in (feature, row, column, beside, height))
    if not len(feature):
        nothing = np.zeros(0, dtype=np.int32)
        return Coverage(nothing, nothing, nothing, np.zeros(0), Spans(nothing, nothing, nothing, nothing))
    new_row = np.r_[True, (np.diff(feature) != 0) | (np.diff(row) != 0)]
    pixel = np.flatnonzero(new_row | np.r_[True, np.diff(column) != 0])
    beside, height = np.add.reduceat(beside, pixel), np.add.reduceat(height, pixel)
    feature, row, column, new_row = feature[pixel], row[pixel], column[pixel], new_row[pixel]
    # Rings are closed and the heights whole numbers: what a row adds up to is 0, exactly, and the next begins from there.
    before = np.cumsum(height) - height
    own = _rounded(before + beside)
    # Between two such pixels of a row lie pixels without an edge, all covered alike.
    follows = np.r_[~new_row[1:], False]
    gap = np.where(follows, np.r_[column[1:], 0] - column - 1, 0)
    run = _rounded(before + height) * (gap > 0)
    full = 1 << _SHARE_BITS
    partly = (run > 0) & (run < full)
    which, inner = _ranges(column[partly] + 1, gap[partly])
    some = (own > 0) & (own < full)
    shares = np.r_[own[some], run[partly][which]]
    features, rows = np.r_[feature[some], feature[partly][which]], np.r_[row[some], row[partly][which]]
    columns = np.r_[column[some], inner]
    order = _order(features, rows, columns)
    inside, between = own == full, run == full
    whole = united(
        _spans(feature[inside], row[inside], column[inside], column[inside] + 1),
        _spans(feature[between], row[between], column[between] + 1, (column + 1 + gap)[between]),
    )
    features, rows, columns = (each[order].astype(np.int32) for each in (features, rows, columns))
    return Coverage(features, rows, columns, shares[order] / float(full), whole)


def fill(canvas: np.ndarray, spans: Spans, first_row: int, first_column: int, value: int | bool = True) -> None:
    """Write `value` into the pixels of `canvas` (y, x; C order) that spans name; its first pixel is that of the numbers."""
    height, width = canvas.shape
    row = spans.row - np.int32(first_row)
    start, stop = np.maximum(spans.start - first_column, 0), np.minimum(spans.stop - first_column, width)
    kept = (row >= 0) & (row < height) & (start < stop)
    if not kept.all():
        row, start, stop = row[kept], start[kept], stop[kept]
    begin, length = row.astype(np.int64) * width + start, stop - start
    flat = canvas.reshape(-1)  # a view: canvases are whole arrays
    long = length >= _LONG
    for one, other in zip(begin[long].tolist(), (begin + length)[long].tolist(), strict=True):
        flat[one:other] = value
    _, at = _ranges(begin[~long], length[~long])
    flat[at] = value


def _ends(shapes: Shapes, edges: Ints, step: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Both ends of edges in pixels, (x, y) of the upper one first: the same numbers whichever way an edge runs."""
    after = edges + 1 if shapes.dimension else edges
    y0, y1 = shapes.y[edges], shapes.y[after]
    down = y0 >= y1
    upper, lower = np.where(down, edges, after), np.where(down, after, edges)
    return shapes.x[upper] / step, shapes.y[upper] / -step, shapes.x[lower] / step, shapes.y[lower] / -step


def _within_rows(u0: Floats, v0: Floats, u1: Floats, v1: Floats, row: Ints) -> tuple[Floats, Floats]:
    """Where an edge enters and where it leaves a row, x in pixels: at the row's borders, or its own ends."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (u1 - u0) / (v1 - v0)
        entry = np.where(v0 >= row, u0, u0 + (row - v0) * slope)
        leave = np.where(v1 <= row + 1, u1, u0 + (row + 1 - v0) * slope)
    # Rounding must not carry a nearly vertical edge beyond its own ends.
    left, right = np.minimum(u0, u1), np.maximum(u0, u1)
    return np.clip(entry, left, right), np.clip(leave, left, right)


def _rows(first: Floats, last: Floats, first_row: int, last_row: int) -> tuple[Ints, Ints]:
    """(edge, row) for rows first <= row < last that are asked for."""
    begin = np.maximum(first, first_row).astype(np.int64)
    return _ranges(begin, np.minimum(last, last_row).astype(np.int64) - begin)


def _ranges(begin: Ints, count: Ints) -> tuple[Ints, Ints]:
    """For each begin its position and begin, begin + 1, …, as many as `count` says; none where that is negative."""
    count = np.maximum(count, 0)
    which = np.repeat(np.arange(len(begin)), count)
    return which, np.arange(len(which)) + np.repeat(begin - (np.cumsum(count) - count), count)


def _packed(columns: tuple[Ints, ...]) -> tuple[Ints, list[tuple[int, int]]] | None:
    """All columns in one whole number that sorts as they do, with (lowest, bits) of each; None where 63 bits are too few."""
    if not len(columns[0]):
        return None
    layout = [(int(each.min()), int(each.max()) - int(each.min())) for each in columns]
    layout = [(low, span.bit_length()) for low, span in layout]
    if sum(bits for _, bits in layout) > 63:
        return None
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for each, (low, bits) in zip(columns, layout, strict=True):
        key = (key << bits) | (each - low)
    return key, layout


def _sorted(*columns: Ints) -> tuple[Ints, ...]:
    """Sort rows of numbers by the first column, then by the second, and so on."""
    packed = _packed(columns)
    if packed is None:
        order = np.lexsort(columns[::-1])
        return tuple(each[order] for each in columns)
    key, layout = packed
    key.sort()
    unpacked = []
    for low, bits in layout[::-1]:
        unpacked.append((key & ((1 << bits) - 1)) + low)
        key >>= bits
    return tuple(unpacked[::-1])


def _order(*columns: Ints) -> Ints:
    """Places of rows of numbers, sorted as by `_sorted`."""
    packed = _packed(columns)
    return np.lexsort(columns[::-1]) if packed is None else np.argsort(packed[0], kind="stable")


def _rounded(units: Ints) -> Ints:
    return np.clip((units + (1 << (_ROUND - 1))) >> _ROUND, 0, 1 << _SHARE_BITS)


def _spans(feature: np.ndarray, row: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Spans:
    return Spans(*(each.astype(np.int32) for each in (feature, row, start, stop)))
