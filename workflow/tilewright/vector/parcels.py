"""Agricultural parcels onto pixels, with marks where the map contradicts itself (DeepSatData, section 4.1).

A pixel belongs to the parcel that covers most of it, however little that is; of two that cover the same the lower
`source_id` has it. `ParcelArrays` says what each array holds. Every number comes from exact shares of the pixels of one
absolute grid, and of each pixel from the parcels that reach it alone: other cells, the order of the features and the
number of processes change nothing.

What differs from DeepSatData, and why:

- There a pixel is marked 1 if a parcel of another class claimed part of it *before*, and 2 if one held all of it *before*:
  the order of the parcels decides. Here 1 and 2 are the two cases that the paper names, "partly or fully claimed by two
  or more polygons": 2 where two or more parcels of different classes each hold the whole pixel, which only wrong
  geometry explains, and 1 where two or more of different classes claim some of it, which every shared border does.
- Claims of parcels of one class were dropped within a process and marked between processes: here they have their own array.
- Shares were measured on a grid that began at each polygon's own corner: here on the cells' grid.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

import geopandas as gpd
import numpy as np
import shapely

from tilewright.config.bands import NONE, UNLABELED
from tilewright.errors import TilewrightError
from tilewright.vector.canvas import groups
from tilewright.vector.edges import Edges
from tilewright.vector.ontology import Matcher, Ontology
from tilewright.vector.project import project
from tilewright.vector.scan import Shapes, coverage

# Shares are counted in 2^-24 of a pixel (6 mm² of 10 m pixels). Projecting there and back moves a corner by some 1e-9 m, of
# pixels of 0.5 m a share of some 1e-8: equal shares still compare equal, and a parcel that ends at a pixel's edge does not
# claim the next. Coarser counting would lose the tips of parcels: what they claim goes with the square of their size.
_SHARE: Final = 2**24
# Pixels that are worked out at once, about 150 bytes each: whole rows of a group of cells.
_STRIP_PIXELS: Final = 2**20
_IDS: Final = 2**32
# Classes from here on are attributes that no rule knows; those below are pixel values.
_UNKNOWN: Final = 256


@dataclass(frozen=True)
class ParcelArrays:
    """What is known of each pixel of a cell.

    Attributes:
        labels: uint8 (1, y, x), class of the pixel's parcel, UNLABELED where no parcel is or its class is unknown.
        instance: uint32 (y, x), `source_id` of the pixel's parcel; 0 where none is.
        coverage: float32 (y, x), share of the pixel that its parcel covers; 0 where none is.
        distance: float32 (y, x), metres from the pixel's centre to the nearest edge of its parcel, holes' edges too,
            whether the centre is inside or not; NaN where no parcel is, and everywhere if distances are not wanted.
        claims: uint8 (y, x), 2 where two or more parcels of different classes each hold the whole pixel, else 1 where two
            or more of different classes cover some of it, else 0.
        claims_same: uint8 (y, x), the same for parcels of one class.
        values: float32 (value, y, x), numbers of the pixel's parcel; NaN where no parcel is or it has no such number.
    """

    labels: np.ndarray
    instance: np.ndarray
    coverage: np.ndarray
    distance: np.ndarray
    claims: np.ndarray
    claims_same: np.ndarray
    values: np.ndarray

    def cut(self, rows: slice, columns: slice) -> "ParcelArrays":
        """Copies of some of the pixels."""
        return ParcelArrays(**{each.name: getattr(self, each.name)[..., rows, columns].copy() for each in fields(self)})


def _stacked(strips: Sequence[ParcelArrays]) -> ParcelArrays:
    """One above the other."""
    every = {each.name: [getattr(strip, each.name) for strip in strips] for each in fields(ParcelArrays)}
    return ParcelArrays(**{name: np.concatenate(arrays, axis=-2) for name, arrays in every.items()})


@dataclass(frozen=True)
class _Claims:
    """Claims of parcels on pixels, sorted by parcel: int32 arrays of one length."""

    parcel: np.ndarray
    pixel: np.ndarray  # row * width + column in a window
    share: np.ndarray  # in 1/_SHARE, above 0

    def take(self, which: np.ndarray) -> "_Claims":
        return _Claims(self.parcel[which], self.pixel[which], self.share[which])


class ParcelBurner:
    """Burns one label set's parcels, in one UTM zone, into cells.

    A parcel whose class no rule knows, or that is to be `unlabeled`, has its pixels like any other: they are UNLABELED, and
    what else claims them is marked, each such set of attributes being a class of its own. So which parcel a pixel is of,
    and all that follows from geometry, does not change with the ontology. A parcel that only a none rule fits is NONE
    throughout its pixels: its edge is known, so there is no guard ring.

    Attributes:
        ignored: number of lines and points among the features, which are no parcels.
    """

    ignored: int

    def __init__(
        self, ontology: Ontology, features: gpd.GeoDataFrame, epsg: int, step: float, values: Sequence[str] = (),
        distances: bool = True,
    ) -> None:  # fmt: skip
        """Project the parcels and look up their classes.

        Args:
            ontology: of one channel, without dilations and touched pixels. What fits several rules is of the category of
                the highest precedence; what fits a none rule only is NONE.
            features: columns source_id, kind, tags, geometry (EPSG:4326), in any order.
            epsg: a UTM zone, that of the cells.
            step: metres, side of a pixel.
            values: names in `tags` of numbers to burn.
            distances: whether `ParcelArrays.distance` is wanted.

        Raises:
            TilewrightError: for an ontology that parcels cannot follow, ids that are not unique numbers from 1 to
                2^32 - 1, and values that are no numbers.
        """
        _check(ontology)
        areas = features[features["kind"] == "area"].sort_values("source_id", kind="stable")
        self.ignored = len(features) - len(areas)
        ids = areas["source_id"].to_numpy(dtype=np.int64)
        documents = areas["tags"].astype(object).tolist()
        _check_ids(ids)
        self._step, self._distances = step, distances
        self._class = _classes(ontology, documents)
        # One row more than there are parcels, the last for pixels without one.
        self._ids = np.append(ids, 0).astype(np.uint32)
        self._values = _numbers(values, documents, ids)
        self._geometry = project(areas.geometry.to_numpy(), epsg)
        self._shapes = Shapes(self._geometry)
        self._tree = shapely.STRtree(self._geometry)

    def cells(self, ulx: np.ndarray, uly: np.ndarray, size_m: int) -> Iterator[tuple[int, ParcelArrays]]:
        """Burn the cells whose upper-left corners are (ulx, uly), multiples of the pixel's side; each cell once.

        Yields the cell's position in `ulx` with its arrays, in the order of the groups in which neighbours are burned.
        """
        side = round(size_m / self._step)
        column = np.floor(np.asarray(ulx) / self._step).astype(np.int64)
        row = np.floor(-np.asarray(uly) / self._step).astype(np.int64)
        for group in groups(row, column, side, 0):
            top, left = int(row[group].min()), int(column[group].min())
            bottom, right = int(row[group].max()) + side, int(column[group].max()) + side
            high = max(1, _STRIP_PIXELS // (right - left))
            strips = [self._window(at, left, min(high, bottom - at), right - left) for at in range(top, bottom, high)]
            whole = _stacked(strips)
            for cell in group.tolist():
                y, x = int(row[cell]) - top, int(column[cell]) - left
                yield cell, whole.cut(slice(y, y + side), slice(x, x + side))

    def _window(self, top: int, left: int, height: int, width: int) -> ParcelArrays:
        """The arrays for a window of the grid, in pixels."""
        claims = self._claims(top, left, height, width)
        size, none = height * width, len(self._geometry)
        winner = np.full(size, none, dtype=np.int32)
        share = np.zeros(size, dtype=np.int32)
        different, same = np.zeros(size, dtype=np.uint8), np.zeros(size, dtype=np.uint8)

        alone = np.bincount(claims.pixel, minlength=size)[claims.pixel] == 1
        shared = claims.take(~alone)
        order = np.lexsort((-shared.share, shared.pixel))  # stable: of equal shares the lowest id stays first
        best = order[_firsts(shared.pixel[order])]
        for some in (claims.take(alone), shared.take(best)):
            winner[some.pixel], share[some.pixel] = some.parcel, some.share
        _mark(shared, self._class, different, same, 1)
        _mark(shared.take(shared.share == _SHARE), self._class, different, same, 2)

        shape = (height, width)
        codes = np.append(self._class, UNLABELED)
        labels = np.where(codes < _UNKNOWN, codes, UNLABELED).astype(np.uint8)
        distance = np.full(size, np.nan, dtype=np.float32)
        if self._distances:
            won = claims.take(winner[claims.pixel] == claims.parcel)
            distance[won.pixel] = self._distances_of(won, top, left, width)
        return ParcelArrays(
            labels=labels[winner].reshape(1, *shape),
            instance=self._ids[winner].reshape(shape),
            coverage=(share / _SHARE).astype(np.float32).reshape(shape),
            distance=distance.reshape(shape),
            claims=different.reshape(shape),
            claims_same=same.reshape(shape),
            values=self._values[:, winner].reshape(len(self._values), *shape),
        )

    def _claims(self, top: int, left: int, height: int, width: int) -> _Claims:
        """All claims on a window's pixels."""
        step = self._step
        box = shapely.box(left * step, -(top + height) * step, (left + width) * step, -top * step)
        found = coverage(self._shapes, step, top, top + height, np.sort(self._tree.query(box)))
        spans = found.whole
        # A pixel that is covered in part is a span of one.
        parcel = np.concatenate([found.feature, spans.feature])
        row = np.concatenate([found.row, spans.row]) - top
        start = np.concatenate([found.column, spans.start]) - left
        stop = np.concatenate([found.column + 1, spans.stop]) - left
        share = np.concatenate([np.rint(found.share * _SHARE), np.full(len(spans), _SHARE)]).astype(np.int32)
        start, stop = start.clip(min=0), stop.clip(max=width)
        kept = np.flatnonzero((stop > start) & (share > 0))
        order = kept[np.argsort(parcel[kept], kind="stable")]
        length = (stop - start)[order]
        ends = np.cumsum(length, dtype=np.int32)
        first = row[order] * np.int32(width) + start[order]
        count = int(ends[-1]) if len(ends) else 0
        pixel = np.repeat(first - (ends - length), length) + np.arange(count, dtype=np.int32)
        return _Claims(np.repeat(parcel[order], length), pixel, np.repeat(share[order], length))

    def _distances_of(self, won: _Claims, top: int, left: int, width: int) -> np.ndarray:
        """Metres from the centre of each claim's pixel to the nearest edge of its parcel."""
        bounds = np.append(np.flatnonzero(_firsts(won.parcel)), len(won.parcel))
        edges = Edges(self._geometry[won.parcel[bounds[:-1]]])
        x = (left + won.pixel % width + 0.5) * self._step
        y = -(top + won.pixel // width + 0.5) * self._step
        distance = np.empty(len(x))
        for number, (begin, end) in enumerate(pairwise(bounds.tolist())):
            distance[begin:end] = edges.distance(number, x[begin:end], y[begin:end])
        return distance


def _check(ontology: Ontology) -> None:
    if len(ontology.channels) != 1:
        raise TilewrightError(
            f"ontology {ontology.name}: has {len(ontology.channels)} channels, parcels need one: a pixel is of one parcel"
        )
    for category in ontology.categories:
        if category.burn == "touched":
            raise TilewrightError(
                f"ontology {ontology.name}: category {category.name}: burn: touched is not for parcels, whose pixels are those "
                "that they cover most of: write burn: coverage"
            )
    if ontology.max_dilate_m() > 0:
        raise TilewrightError(f"ontology {ontology.name}: dilate_m is not for parcels: leave it out")


def _check_ids(ids: np.ndarray) -> None:
    """`ids` ascend."""
    if len(ids) and (ids[0] < 1 or ids[-1] >= _IDS):
        wrong = ids[0] if ids[0] < 1 else ids[-1]
        raise TilewrightError(
            f"parcel {wrong}: ids of parcels are from 1 to {_IDS - 1}: name another field as source.id, or leave it out"
        )
    if (ids[1:] == ids[:-1]).any():
        twice = ids[1:][ids[1:] == ids[:-1]][0]
        raise TilewrightError(
            f"parcel {twice}: two parcels have this id: name a field without repeats as source.id, or leave it out"
        )


def _classes(ontology: Ontology, documents: Sequence[str]) -> np.ndarray:
    """Class of each parcel, int64: a category's value, NONE, or a number from _UNKNOWN on."""
    matcher, keys = Matcher(ontology), sorted(ontology.keys())
    unknown: dict[tuple[str | None, ...], int] = {}
    classes = np.empty(len(documents), dtype=np.int64)
    for at, document in enumerate(documents):
        fits = matcher.of(document, "area")
        categories = [matcher.rules[number][0] for number in fits if number < len(matcher.rules)]
        if categories:
            classes[at] = max(categories, key=lambda category: category.precedence).value
        elif fits:
            classes[at] = NONE
        else:
            tags = json.loads(document)
            classes[at] = unknown.setdefault(tuple(tags.get(key) for key in keys), _UNKNOWN + len(unknown))
    return classes


def _numbers(names: Sequence[str], documents: Sequence[str], ids: np.ndarray) -> np.ndarray:
    """Regression targets: float32 (value, parcel + 1), NaN where a parcel has none and in the last place."""
    numbers = np.full((len(names), len(documents) + 1), np.nan, dtype=np.float32)
    if not names:
        return numbers
    for at, document in enumerate(documents):
        tags = json.loads(document)
        for place, name in enumerate(names):
            if name not in tags:
                continue
            try:
                numbers[place, at] = float(tags[name])
            except ValueError:
                raise TilewrightError(
                    f"parcel {ids[at]}: {name} is {tags[name]!r}, no number: correct it or take {name} out of source.values"
                ) from None
    return numbers


def _firsts(values: np.ndarray) -> np.ndarray:
    """Where a new value begins."""
    first = np.ones(len(values), dtype=bool)
    first[1:] = values[1:] != values[:-1]
    return first


def _mark(claims: _Claims, classes: np.ndarray, different: np.ndarray, same: np.ndarray, mark: int) -> None:
    """Mark the pixels that two or more of `claims` are for, by whether the classes of two differ and agree."""
    kind = classes[claims.parcel]
    order = np.lexsort((kind, claims.pixel))
    pixel, kind = claims.pixel[order], kind[order]
    twice, equal = pixel[1:] == pixel[:-1], kind[1:] == kind[:-1]
    different[pixel[1:][twice & ~equal]] = mark
    same[pixel[1:][twice & equal]] = mark
