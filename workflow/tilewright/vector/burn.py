"""Features to label arrays: what each pixel of a cell is, in every channel.

Per pixel and channel: the positive category of the highest precedence, else NONE, else UNLABELED.

A category's pixels are those that its features burn: areas by the category's rule (`centre`, `touched`, or `coverage`: the
pixel is the one feature's that covers most of it, by the higher precedence where two cover the same), lines and points all
that they touch (see `scan` for exact contacts). A dilation adds, as `disk`, all pixels whose centre is within the distance
of the centre of a burned one; as `buffer`, what the buffer around the object burns by the category's rule. The pixels are
burned as the categories that it implies, too, at their precedence.

NONE needs explicit evidence, which only areas give, undilated and by centre: a `none` rule of the channel, or an area of a
rule that implies none of it, shrunk by a pixel, and only where nothing contradicts it: what wins in the area's own channel
is a category that implies the same (a village drawn over a wood is no evidence that the village has no buildings), and no
rule is there that leaves this channel out though its category implies none of it (a farmyard in a meadow). And no pixel is
NONE that is nearer than the channel's guard distance to a positive one. Lines, points and empty ground are never evidence.

Cells are burned in groups of near ones. Pixels have absolute numbers, and around each group lies a margin as wide as
anything reaches: so a cell's array depends on the features near it alone, not on its group.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from tilewright.config.bands import NONE, UNLABELED
from tilewright.vector.canvas import Canvas, dilated, groups, shrunk
from tilewright.vector.ontology import Category, Matcher, Ontology, Rule
from tilewright.vector.project import project
from tilewright.vector.scan import Shapes, Spans, centre_spans, coverage, edge_spans

# Straight pieces of a quarter circle in exact buffers: they miss the circle by half a percent of the distance.
_QUAD_SEGS: Final = 8


@dataclass(frozen=True, order=True)
class _Stroke:
    """Pixels that are painted together: of a category, dilated by a disk of `disk_m`, undoing evidence in `doubts`."""

    category: int
    disk_m: float
    doubts: tuple[int, ...]


@dataclass(frozen=True, order=True)
class _Evidence:
    """Areas in which the channels `none` are known to be none: where a category of the channel `own` wins that says so."""

    own: int
    none: tuple[int, ...]


@dataclass(frozen=True, order=True)
class _Explicit:
    """Areas of a none rule of a channel."""

    channel: int


_Use = _Stroke | _Evidence | _Explicit


@dataclass(frozen=True)
class _Tasks:
    """What to do with a feature's pixels: by those whose centre it covers, and by those that its edges run through."""

    centre: tuple[_Use, ...] = ()
    edges: tuple[_Use, ...] = ()
    covers: tuple[int, ...] = ()  # categories that burn by coverage


class _Layer:
    """Features of one dimension, those with the same tasks one after the other."""

    def __init__(self, geometry: np.ndarray, tasks: Sequence[_Tasks], number: np.ndarray) -> None:
        """`number`: (feature,) of each one's tasks."""
        kept = np.flatnonzero(~shapely.is_empty(geometry))
        kept = kept[np.argsort(number[kept], kind="stable")]
        self.tasks, self.number = tasks, number[kept]
        self.shapes = Shapes(geometry[kept])
        self._tree = shapely.STRtree(geometry[kept])
        self._first = np.searchsorted(self.number, np.arange(len(tasks) + 1))

    def near(self, window: shapely.Geometry) -> np.ndarray:
        """Ascending numbers of the features whose bounding box meets `window`."""
        return np.sort(self._tree.query(window))

    def having(self, features: np.ndarray, what: str) -> np.ndarray:
        """Those features that have such tasks."""
        has = np.array([bool(getattr(each, what)) for each in self.tasks], dtype=bool)
        return features[has[self.number[features]]] if len(features) else features

    def deal(self, spans: Spans, what: str, into: dict[_Use, list[Spans]]) -> None:
        """Add each feature's spans to the uses that its tasks name."""
        bounds = np.searchsorted(spans.feature, self._first)
        for at, tasks in enumerate(self.tasks):
            if bounds[at] < bounds[at + 1]:
                for use in getattr(tasks, what):
                    into.setdefault(use, []).append(spans[bounds[at] : bounds[at + 1]])


class Burner:
    """Burns one label set's features, in one UTM zone, into cells."""

    def __init__(self, ontology: Ontology, features: gpd.GeoDataFrame, epsg: int, step: float) -> None:
        """Look up the rules that the features fit, and project those that fit any.

        Args:
            ontology: of tags or attributes.
            features: columns kind, tags, geometry (EPSG:4326), in any order.
            epsg: a UTM zone, that of the cells.
            step: metres, side of a pixel; one that binary numbers hold exactly.

        Raises:
            TilewrightError: for geometries that are no place on earth.
        """
        self._ontology, self._step = ontology, step
        self._channel = {channel.name: at for at, channel in enumerate(ontology.channels)}
        self._matcher = Matcher(ontology)
        self._numbers = {category.name: at for at, category in enumerate(ontology.categories)}
        self._by_precedence = sorted(ontology.categories, key=lambda category: category.precedence)
        # category → those whose pixels are burned as it: itself and what implies it
        self._givers = {each.name: [each.name] for each in ontology.categories}
        for giver in ontology.categories:
            for each in ontology.implied(giver):
                self._givers[each.name].append(giver.name)
        self._layers = self._read(features, epsg)
        disks = [rule.dilate_m for _, rule in self._matcher.rules if self._mode(rule) == "disk"]
        guards = [channel.guard_m for channel in ontology.channels]
        # What decides a pixel: what is dilated onto it, or onto what it is guarded from; and its neighbours for the shrinking.
        self._pad = math.ceil(max(disks, default=0) / step) + max(1, math.ceil(max(guards) / step))

    def _mode(self, rule: Rule) -> str | None:
        """How a rule is dilated: None, disk or buffer."""
        mode = rule.dilate or self._ontology.dilate
        if not rule.dilate_m:
            return None
        return mode if mode != "auto" else "buffer" if rule.dilate_m < 2 * self._step else "disk"

    def _read(self, features: gpd.GeoDataFrame, epsg: int) -> list[_Layer]:
        documents, texts = pd.factorize(features["tags"])
        kinds, kind_names = pd.factorize(features["kind"])
        pairs, pair = np.unique(documents.astype(np.int64) * max(len(kind_names), 1) + kinds, return_inverse=True)
        fits: dict[tuple[str, tuple[int, ...]], int] = {}
        number = np.empty(len(pairs), dtype=np.int64)
        for at, key in enumerate(pairs.tolist()):
            document, kind = divmod(key, len(kind_names))
            matches = self._matcher.of(str(texts[document]), str(kind_names[kind]))
            number[at] = fits.setdefault((str(kind_names[kind]), matches), len(fits)) if matches else -1
        number = number[pair]
        used = np.flatnonzero(number >= 0)
        number, geometry = number[used], project(features.geometry.to_numpy()[used], epsg)
        # geometry and tasks of areas, lines, points; buffers are areas of their own
        parts: list[list[tuple[np.ndarray, _Tasks]]] = [[], [], []]
        for (kind, matches), at in fits.items():
            mine = geometry[number == at]
            tasks, buffers = self._tasks(kind, matches)
            parts[("area", "line", "point").index(kind)].append((mine, tasks))
            for distance, of_buffer in buffers:
                parts[0].append((shapely.buffer(mine, distance, quad_segs=_QUAD_SEGS), of_buffer))
        layers = []
        for several in parts:
            if several:
                numbers = np.repeat(np.arange(len(several)), [len(part) for part, _ in several])
                layers.append(_Layer(np.concatenate([part for part, _ in several]), [t for _, t in several], numbers))
        return layers

    def _tasks(self, kind: str, matches: tuple[int, ...]) -> tuple[_Tasks, list[tuple[float, _Tasks]]]:
        """What features that fit the rules `matches` are for, and what their buffers (metres) are for."""
        centre: list[_Use] = []
        edges: list[_Use] = []
        covers: list[int] = []
        buffers: list[tuple[float, _Tasks]] = []
        for number in matches:
            if number >= len(self._matcher.rules):
                centre.append(_Explicit(self._matcher.nones[number - len(self._matcher.rules)][0]))
                continue
            category, rule = self._matcher.rules[number]
            none = tuple(self._channel[name] for name in category.evidence(rule))
            if none and kind == "area":
                centre.append(_Evidence(self._channel[category.channel], none))
            mode = self._mode(rule)
            doubts = tuple(self._channel[name] for name in category.doubts(rule))
            stroke = _Stroke(self._numbers[category.name], rule.dilate_m if mode == "disk" else 0, doubts)
            if mode == "buffer":
                buffers.append((rule.dilate_m, _Tasks((stroke,), (stroke,) if category.burn == "touched" else ())))
            if kind != "area":
                edges.append(stroke)
                continue
            if category.burn == "coverage":
                covers.append(stroke.category)
            if category.burn != "coverage" or doubts:
                centre.append(stroke)
            if category.burn == "touched":
                edges.append(stroke)
        return _Tasks(tuple(dict.fromkeys(centre)), tuple(dict.fromkeys(edges)), tuple(dict.fromkeys(covers))), buffers

    def cell(self, ulx: float, uly: float, size_m: int) -> np.ndarray:
        """Burn one cell; see `cells`."""
        return next(self.cells(np.array([ulx]), np.array([uly]), size_m))[1]

    def cells(self, ulx: np.ndarray, uly: np.ndarray, size_m: int) -> Iterator[tuple[int, np.ndarray]]:
        """Burn cells of `size_m` metres whose upper-left corners are (ulx, uly), (cell,) metres.

        Yields:
            (position of the cell in `ulx`, labels uint8 (channel, y, x) of side size_m / step), each cell once, near ones
            together. The array depends on the features near the cell alone.

        Raises:
            ValueError: for cells that are not on the grid of pixels.
        """
        columns, rows, side = np.asarray(ulx) / self._step, np.asarray(uly) / -self._step, size_m / self._step
        if (columns % 1).any() or (rows % 1).any() or side % 1:
            raise ValueError(f"cells of {size_m} m are not on a grid of {self._step} m")
        column, row, side, pad = columns.astype(np.int64), rows.astype(np.int64), int(side), self._pad
        for group in groups(row, column, side, pad):
            top, left = int(row[group].min()) - pad, int(column[group].min()) - pad
            canvas = Canvas(
                top, left, int(row[group].max()) + side + pad - top, int(column[group].max()) + side + pad - left
            )
            labels = self._burn(canvas)
            for at in group.tolist():
                y, x = int(row[at]) - top, int(column[at]) - left
                yield at, labels[:, y : y + side, x : x + side].copy()

    def _burn(self, canvas: Canvas) -> np.ndarray:
        uses: dict[_Use, list[Spans]] = {}
        labels = np.full((len(self._channel), canvas.height, canvas.width), UNLABELED, dtype=np.uint8)
        step, last = self._step, canvas.row + canvas.height
        window = shapely.box(
            canvas.column * step, -last * step, (canvas.column + canvas.width) * step, -canvas.row * step
        )
        for layer in self._layers:
            features = layer.near(window)
            edges = edge_spans(layer.shapes, step, canvas.row, last, layer.having(features, "edges"))
            layer.deal(edges, "edges", uses)
            if layer.shapes.dimension == 2:
                centre = centre_spans(layer.shapes, step, canvas.row, last, layer.having(features, "centre"))
                layer.deal(centre, "centre", uses)
                self._share_out(labels, canvas, layer, layer.having(features, "covers"))
        doubtful = self._paint(labels, canvas, uses)
        self._none(labels, canvas, uses, doubtful)
        return labels

    def _share_out(self, labels: np.ndarray, canvas: Canvas, layer: _Layer, features: np.ndarray) -> None:
        """Paint the channels that burn by coverage: each pixel is of the feature that covers most of it."""
        if not len(features):
            return
        found = coverage(layer.shapes, self._step, canvas.row, canvas.row + canvas.height, features)
        for name, channel in self._channel.items():
            # the category in this channel, of the highest precedence, that each group of features is of
            mine = [self._category_in(name, tasks.covers) for tasks in layer.tasks]
            value = np.array([each.value if each else -1 for each in mine])[layer.number]
            rank = np.array([each.precedence if each else 0 for each in mine])[layer.number]
            row, column = found.row - canvas.row, found.column - canvas.column
            part = np.flatnonzero((value[found.feature] >= 0) & (column >= 0) & (column < canvas.width))
            pixel = row[part].astype(np.int64) * canvas.width + column[part]
            order = np.lexsort((rank[found.feature[part]], found.share[part], pixel))
            best = order[np.r_[np.diff(pixel[order]) != 0, True]] if len(order) else order
            labels[channel].reshape(-1)[pixel[best]] = value[found.feature[part[best]]]
            for category in self._by_precedence:
                canvas.draw(
                    labels[channel], [found.whole[value[found.whole.feature] == category.value]], category.value
                )

    def _category_in(self, channel: str, numbers: Sequence[int]) -> Category | None:
        """Of these categories, that of `channel` with the highest precedence."""
        mine = [each for each in map(self._ontology.categories.__getitem__, numbers) if each.channel == channel]
        return max(mine, key=lambda category: category.precedence, default=None)

    def _paint(self, labels: np.ndarray, canvas: Canvas, uses: dict[_Use, list[Spans]]) -> np.ndarray:
        """Paint all strokes by precedence; returns where evidence is undone, bool (channel, y, x)."""
        categories = self._ontology.categories
        doubtful = np.zeros(labels.shape, dtype=bool)
        strokes = {use: spans for use, spans in uses.items() if isinstance(use, _Stroke)}
        disks = {}
        for stroke in sorted(strokes):
            if stroke.disk_m:
                disks[stroke] = dilated(canvas.drawn(strokes[stroke]), stroke.disk_m / self._step)
            for channel in stroke.doubts:
                if stroke in disks:
                    doubtful[channel] |= disks[stroke]
                else:
                    canvas.draw(doubtful[channel], strokes[stroke])
        # Channels that burn by coverage are settled: what wins there is burned as what it implies.
        won = {
            category.name: labels[self._channel[category.channel]] == category.value
            for category in categories if category.burn == "coverage" and category.implies
        }  # fmt: skip
        for category in self._by_precedence:
            if category.burn == "coverage":
                continue
            own = labels[self._channel[category.channel]]
            for giver in self._givers[category.name]:
                if giver in won:
                    np.putmask(own, won[giver], category.value)
                    continue
                for stroke in (each for each in sorted(strokes) if categories[each.category].name == giver):
                    if stroke in disks:
                        np.putmask(own, disks[stroke], category.value)
                    else:
                        canvas.draw(own, strokes[stroke], category.value)
        return doubtful

    def _none(self, labels: np.ndarray, canvas: Canvas, uses: dict[_Use, list[Spans]], doubtful: np.ndarray) -> None:
        """Write NONE where it is known."""
        evidence = {use: canvas.drawn(spans) for use, spans in uses.items() if isinstance(use, _Evidence)}
        for name, channel in self._channel.items():
            known = canvas.blank()
            for own in self._channel.values():
                masks = [mask for use, mask in evidence.items() if use.own == own and channel in use.none]
                if masks:
                    agrees = np.zeros(256, dtype=bool)
                    agrees[[each.value for each in self._ontology.categories
                            if self._channel[each.channel] == own and name in each.implies_none]] = True  # fmt: skip
                    known |= np.logical_or.reduce(masks) & agrees[labels[own]]
            if known.any():
                known = shrunk(known & ~doubtful[channel])
            canvas.draw(known, uses.get(_Explicit(channel), []))
            if known.any():
                known &= labels[channel] == UNLABELED
                known &= ~dilated(labels[channel] < NONE, self._ontology.channels[channel].guard_m / self._step)
                np.putmask(labels[channel], known, NONE)
