"""Features to label arrays: what each pixel of a cell is, in every channel.

Per pixel and channel: the positive category of the highest precedence, else NONE, else UNLABELED. NONE needs explicit
evidence, which only areas give: a `none` rule of the channel, or an area of a category that the channel's `implies_none`
names, undilated, shrunk by a pixel, and only where nothing contradicts it: no other category wins in its own channel (a
village drawn over a wood is no evidence that the village has no buildings) and no rule that says `implies_none: false`
applies (a farmyard in a meadow). Lines, points and empty ground are never evidence.
"""

import json
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import binary_erosion, distance_transform_edt

from tilewright.vector.ontology import NONE, UNLABELED, Category, Ontology, Rule, Tags

# The projection is exact to a millimetre within this many degrees of the zone's meridian; what lies beyond is cut off.
_REACH_DEG: Final = 30.0
# Geometries with more vertices than this are cut to the window before they are handed, vertex by vertex, to GDAL.
_LARGE: Final = 2_000
_EIGHT: Final = np.ones((3, 3), dtype=bool)


def project(geometry: np.ndarray, epsg: int) -> np.ndarray:
    """Lon/lat geometries in the UTM zone `epsg`, vertex by vertex: an edge is straight between its projected ends.

    Longitudes are taken on the side of the antimeridian that is nearer to the zone.
    """
    crs = pyproj.CRS.from_epsg(epsg)
    zone = crs.utm_zone
    if zone is None:
        raise ValueError(f"EPSG:{epsg} is no UTM zone")
    meridian = int(zone[:-1]) * 6 - 183
    transformer = pyproj.Transformer.from_crs(4326, crs, always_xy=True)

    def wrapped(lonlat: np.ndarray) -> np.ndarray:
        return np.column_stack([(lonlat[:, 0] - meridian + 180) % 360 + meridian - 180, lonlat[:, 1]])

    near = shapely.transform(geometry, wrapped)
    west, _, east, _ = shapely.bounds(near).T
    far = (west < meridian - _REACH_DEG) | (east > meridian + _REACH_DEG)
    if far.any():
        near[far] = shapely.clip_by_rect(near[far], meridian - _REACH_DEG, -85, meridian + _REACH_DEG, 85)
    return shapely.transform(near, lambda lonlat: np.column_stack(transformer.transform(lonlat[:, 0], lonlat[:, 1])))


class Burner:
    """Burns one label set's features, in one UTM zone, into cells."""

    def __init__(self, ontology: Ontology, features: gpd.GeoDataFrame, epsg: int, resolution_m: int) -> None:
        """`features`: columns kind, tags, geometry (EPSG:4326) as `read_pbf` makes them. Their order does not matter."""
        self._ontology = ontology
        self._resolution = resolution_m
        self._channels = [channel.name for channel in ontology.channels]
        self._rules: list[tuple[Category, Rule]] = list(ontology.rules())
        self._nones: list[tuple[int, Tags]] = [
            (at, rule) for at, channel in enumerate(ontology.channels) for rule in channel.none
        ]
        matches_of = lru_cache(maxsize=100_000)(self._matches)  # most objects of an extract share a few sets of tags
        matches = [matches_of(tags, kind) for tags, kind in zip(features["tags"], features["kind"], strict=True)]
        used = np.flatnonzero([bool(match) for match in matches])
        self._matched = [matches[at] for at in used]
        self._kinds = features["kind"].to_numpy(dtype=object)[used]
        self._geometry = project(features.geometry.to_numpy()[used], epsg)
        self._tree = shapely.STRtree(self._geometry)
        # A pixel is decided by what lies within the largest dilation of it, and of its neighbours for the shrinking.
        self._pad = math.ceil(ontology.max_dilate_m() / resolution_m) + 1

    def _matches(self, document: str, kind: str) -> tuple[int, ...]:
        """Numbers of the rules that an object fits: category rules first, then none rules."""
        tags = json.loads(document)
        fits = [at for at, (_, rule) in enumerate(self._rules) if kind in rule.kinds and rule.fits(tags)]
        if kind == "area":
            fits += [len(self._rules) + at for at, (_, rule) in enumerate(self._nones) if rule.fits(tags)]
        return tuple(fits)

    def cell(self, ulx: float, uly: float, size_m: int) -> np.ndarray:
        """Burn the cell whose upper-left corner is (ulx, uly): uint8 (channel, y, x), side `size_m`/resolution.

        The array depends on the features near the cell alone.
        """
        step, pad = self._resolution, self._pad
        side = size_m // step + 2 * pad
        left, top = ulx - pad * step, uly + pad * step
        window = (left, top - side * step, left + side * step, top)
        by_rule: dict[int, list[int]] = {}
        for index in sorted(self._tree.query(shapely.box(*window))):
            for number in self._matched[index]:
                by_rule.setdefault(number, []).append(index)

        positive: dict[str, np.ndarray] = {}
        areas: dict[str, np.ndarray] = {}
        doubtful = np.zeros((side, side), dtype=bool)
        none = np.zeros((len(self._channels), side, side), dtype=bool)
        for number, indices in sorted(by_rule.items()):
            if number >= len(self._rules):
                none[self._nones[number - len(self._rules)][0]] |= self._areas(indices, False, window, side)
                continue
            category, rule = self._rules[number]
            mask = self._mask(indices, category.burn == "touched", window, side)
            reached = self._dilated(mask, rule.dilate_m)
            _merge(positive, category.name, reached)
            if not rule.implies_none:
                doubtful |= reached
            elif any(category.name in channel.implies_none for channel in self._ontology.channels):
                _merge(areas, category.name, self._areas(indices, False, window, side))

        labels = self._positives(positive, side)
        none |= self._implied(areas, labels, doubtful)
        labels[none & (labels == UNLABELED)] = NONE
        return np.ascontiguousarray(labels[:, pad:-pad, pad:-pad])

    def _positives(self, masks: dict[str, np.ndarray], side: int) -> np.ndarray:
        labels = np.full((len(self._channels), side, side), UNLABELED, dtype=np.uint8)
        for category in sorted(self._ontology.categories, key=lambda category: category.precedence):
            if category.name in masks:
                labels[self._channels.index(category.channel)][masks[category.name]] = category.value
        return labels

    def _implied(self, areas: dict[str, np.ndarray], labels: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
        """Where each channel is known to be none because of an area in another channel."""
        known = np.zeros(labels.shape, dtype=bool)
        for at, channel in enumerate(self._ontology.channels):
            implying = [category for category in self._ontology.categories if category.name in channel.implies_none]
            for category in implying:
                if category.name in areas:
                    own = labels[self._channels.index(category.channel)]
                    agreeing = [other.value for other in implying if other.channel == category.channel]
                    known[at] |= areas[category.name] & np.isin(own, agreeing)
            if known[at].any():
                known[at] = binary_erosion(known[at] & ~doubtful, _EIGHT)
        return known

    def _dilated(self, mask: np.ndarray, dilate_m: float) -> np.ndarray:
        if dilate_m == 0 or not mask.any():
            return mask
        return distance_transform_edt(~mask, sampling=self._resolution) <= dilate_m

    def _mask(self, indices: Sequence[int], touched: bool, window: tuple[float, ...], side: int) -> np.ndarray:
        """Pixels that features burn: areas by centre or touch, lines by touch, points the pixel they fall in."""
        mask = self._areas([index for index in indices if self._kinds[index] == "area"], touched, window, side)
        mask |= self._burned([index for index in indices if self._kinds[index] == "line"], True, window, side)
        points = shapely.get_coordinates(self._geometry[[index for index in indices if self._kinds[index] == "point"]])
        if len(points):
            column = np.floor((points[:, 0] - window[0]) / self._resolution).astype(int)
            row = np.floor((window[3] - points[:, 1]) / self._resolution).astype(int)
            inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
            mask[row[inside], column[inside]] = True
        return mask

    def _areas(self, indices: Sequence[int], touched: bool, window: tuple[float, ...], side: int) -> np.ndarray:
        return self._burned([index for index in indices if self._kinds[index] == "area"], touched, window, side)

    def _burned(self, indices: Sequence[int], touched: bool, window: tuple[float, ...], side: int) -> np.ndarray:
        shapes = list(self._cut(indices, window))
        if not shapes:
            return np.zeros((side, side), dtype=bool)
        transform = Affine(self._resolution, 0, window[0], 0, -self._resolution, window[3])
        return rasterize(shapes, (side, side), transform=transform, all_touched=touched, dtype="uint8").astype(bool)

    def _cut(self, indices: Sequence[int], window: tuple[float, ...]) -> Iterable[shapely.Geometry]:
        for index in indices:
            geometry = self._geometry[index]
            if shapely.get_num_coordinates(geometry) > _LARGE:
                margin = self._resolution  # so that the cut's own edge burns nothing inside the window
                geometry = shapely.clip_by_rect(
                    geometry, window[0] - margin, window[1] - margin, window[2] + margin, window[3] + margin
                )
            if not geometry.is_empty:
                yield geometry


def _merge(masks: dict[str, np.ndarray], name: str, mask: np.ndarray) -> None:
    masks[name] = masks[name] | mask if name in masks else mask
