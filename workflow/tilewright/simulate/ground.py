"""The landscape on a tile's pixels: which material where, how much asphalt and roof, texture and relief."""

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyproj
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from tilewright.config.simulated import Site
from tilewright.errors import TilewrightError
from tilewright.simulate.landscape import local_crs
from tilewright.simulate.mgrs import TILE_M, Frame
from tilewright.simulate.seeded import lattice, noise_at
from tilewright.simulate.shapes import Shape
from tilewright.simulate.spectra import texture_strength

COARSEST = 60  # metres; validity and the simulated part are whole pixels of this size, so all bands agree about them
_SAMPLES = 4  # per 10 m pixel and axis, for the shares of asphalt and roof
_NODE_M = 600  # spacing of exact transformations between UTM and the site's plane; linear between (error below 1 cm)

# rasterio silences a warning about its own scratch raster in a way that two threads undo for each other.
BURNING = threading.Lock()


def _burn(
    pairs: Iterable[tuple[BaseGeometry, int]], shape: tuple[int, int], transform: Affine, dtype: str, fill: int = 0
) -> np.ndarray:
    """Values of polygons at the pixel centres that they cover, later ones over earlier ones."""
    with BURNING:
        return rasterio.features.rasterize(pairs, shape, fill=fill, transform=transform, dtype=dtype)


@dataclass(frozen=True)
class Box:
    """The simulated part of a tile, in 60 m pixels from the tile's corner; may reach over the tile when it repeats."""

    row: int
    column: int
    rows: int
    columns: int

    def pixels(self, resolution: int) -> tuple[int, int, int, int]:
        """Row, column, rows, columns in pixels of `resolution` metres."""
        factor = COARSEST // resolution
        return self.row * factor, self.column * factor, self.rows * factor, self.columns * factor


def _to_local(site: Site, place: Frame) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(place.epsg, local_crs(site), always_xy=True)


def simulated_box(site: Site, place: Frame, dense: bool) -> Box:
    """The box of a site in a tile: around the site, cut at the tile; when `dense`, wholly inside the site, to repeat.

    Raises:
        TilewrightError: where they do not meet.
    """
    local = _to_local(site, place)
    half = site.side_m / 2
    if dense:
        east, north = local.transform(0, 0, direction="INVERSE")
        ahead = local.transform(100, 0, direction="INVERSE")
        turn = abs(math.atan2(ahead[1] - north, ahead[0] - east))
        count = int(2 * (half - COARSEST) / (math.cos(turn) + math.sin(turn))) // COARSEST - 1
        return Box(
            int((place.uly - north) // COARSEST) - count // 2,
            int((east - place.ulx) // COARSEST) - count // 2,
            count,
            count,
        )
    left, bottom, right, top = local.transform_bounds(-half, -half, half, half, direction="INVERSE")
    last = TILE_M // COARSEST
    first_row, end_row = (
        max(0, min(last, edge)) for edge in (int((place.uly - top) // COARSEST), -int((bottom - place.uly) // COARSEST))
    )
    first_column, end_column = (
        max(0, min(last, edge)) for edge in (int((left - place.ulx) // COARSEST), -int((place.ulx - right) // COARSEST))
    )
    if first_row >= end_row or first_column >= end_column:
        raise TilewrightError(f"simulate: site {site.name} does not meet tile {place.tile}: list tiles that contain it")
    return Box(first_row, first_column, end_row - first_row, end_column - first_column)


def _local_grid(
    site: Site, place: Frame, box: Box, resolution: int, edges: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Site coordinates x, y of the pixel centres (or of all pixel corners) of the box: two arrays (rows, columns)."""
    row, column, rows, columns = box.pixels(resolution)
    shift, more = (0.0, 1) if edges else (0.5, 0)
    north = place.uly - resolution * (row + shift + np.arange(rows + more))
    east = place.ulx + resolution * (column + shift + np.arange(columns + more))
    top, left = place.uly - row * resolution, place.ulx + column * resolution
    node_y = top - _NODE_M * np.arange(math.ceil(rows * resolution / _NODE_M) + 1)
    node_x = left + _NODE_M * np.arange(math.ceil(columns * resolution / _NODE_M) + 1)
    nodes = _to_local(site, place).transform(*np.meshgrid(node_x, node_y))
    v, u = (top - north) / _NODE_M, (east - left) / _NODE_M
    i, j = np.minimum(v.astype(int), len(node_y) - 2), np.minimum(u.astype(int), len(node_x) - 2)
    t, s = (v - i)[:, None], (u - j)[None, :]
    grids = []
    for node in nodes:
        lines = node[i] * (1 - t) + node[i + 1] * t
        grids.append(lines[:, j] * (1 - s) + lines[:, j + 1] * s)
    return grids[0], grids[1]


def inside_site(site: Site, place: Frame, box: Box) -> np.ndarray:
    """Which 60 m pixels of the box lie wholly inside the site: bool (rows, columns)."""
    x, y = _local_grid(site, place, box, COARSEST, edges=True)
    corner = np.maximum(abs(x), abs(y)) < site.side_m / 2
    return corner[:-1, :-1] & corner[1:, :-1] & corner[:-1, 1:] & corner[1:, 1:]


@dataclass(frozen=True)
class Cover:
    """Ground of the box at one resolution; all arrays (rows, columns), float32 but `material`."""

    material: np.ndarray  # number, uint16
    asphalt: np.ndarray  # share of the pixel
    roof: np.ndarray
    visible: np.ndarray  # brightness factor of B01 to B05
    infrared: np.ndarray  # and of the other bands
    grain: np.ndarray  # fine texture in [-1, 1]
    height: np.ndarray  # relief, about [-1, 1]


class Ground:
    """One site on one tile."""

    def __init__(self, seed: int, site: Site, place: Frame, box: Box, placed: list[Shape], background: int) -> None:
        """`placed`: the site's shapes in lon/lat, in painting order; `background`: the material where nothing is painted."""
        self._seed, self._site, self._place, self._box, self._background = seed, site, place, box, background
        self._shapes = placed
        self._covers: dict[int, Cover] = {}

    @cached_property
    def _geometries(self) -> np.ndarray:
        """All shapes in the tile's UTM zone; lines as wide as they are."""
        to_utm = pyproj.Transformer.from_crs(4326, self._place.epsg, always_xy=True)

        def project(points: np.ndarray) -> np.ndarray:
            return np.column_stack(to_utm.transform(points[:, 0], points[:, 1]))

        geometries = shapely.transform(np.array([shape.geometry for shape in self._shapes]), project)
        wide = np.array([shape.kind == "line" and shape.width > 0 for shape in self._shapes])
        widths = np.array([shape.width for shape in self._shapes])
        geometries[wide] = shapely.buffer(geometries[wide], widths[wide] / 2, cap_style="flat", quad_segs=3)
        return geometries

    def cover(self, resolution: int) -> Cover:
        """The ground at 10, 20 or 60 m; made once."""
        if resolution not in self._covers:
            self._covers[resolution] = self._make(resolution)
        return self._covers[resolution]

    def _make(self, resolution: int) -> Cover:
        material = self._materials(resolution)
        asphalt, roof = self._shares(resolution)
        x, y = (axis.astype(np.float32) for axis in _local_grid(self._site, self._place, self._box, resolution))

        def octave(name: str, scale: float) -> np.ndarray:
            return noise_at(lattice(self._seed, self._site.name, name), x, y, scale)

        grain = 0.6 * octave("grain 1", 14) + 0.4 * octave("grain 2", 37)
        height = 0.7 * octave("height 1", 5200) + 0.3 * octave("height 2", 1900)
        patchy = octave("patchy", 210)
        slope = 0.7 * octave("slope 1", 640) + 0.3 * octave("slope 2", 260)  # light and shade of small hills
        strength = texture_strength()[material]
        visible = 1 + strength * grain + 0.05 * patchy + 0.05 * slope
        infrared = 1 + 0.8 * strength * (0.6 * grain + 0.4 * octave("grain 3", 19)) - 0.05 * patchy + 0.05 * slope
        return Cover(
            material, asphalt, roof, *(a.astype(np.float32, copy=False) for a in (visible, infrared, grain, height))
        )

    def _transform(self, resolution: float, row: int, column: int) -> Affine:
        """Of an image whose first pixel is (row, column) of the box."""
        left = self._place.ulx + self._box.column * COARSEST + column * resolution
        top = self._place.uly - self._box.row * COARSEST - row * resolution
        return Affine(resolution, 0, left, 0, -resolution, top)

    def _materials(self, resolution: int) -> np.ndarray:
        _, _, rows, columns = self._box.pixels(resolution)
        chosen = [number for number, shape in enumerate(self._shapes) if shape.cover == "ground"]
        pairs = ((self._geometries[number], self._shapes[number].material) for number in chosen)
        return _burn(pairs, (rows, columns), self._transform(resolution, 0, 0), "uint16", self._background)

    def _shares(self, resolution: int) -> tuple[np.ndarray, np.ndarray]:
        """Shares of asphalt and of roof in each pixel (roofs lie over asphalt)."""
        if resolution > 10:
            fine, factor = self.cover(10), resolution // 10
            rows, columns = fine.asphalt.shape[0] // factor, fine.asphalt.shape[1] // factor
            means = [
                share.reshape(rows, factor, columns, factor).mean(axis=(1, 3), dtype=np.float32)
                for share in (fine.asphalt, fine.roof)
            ]
            return means[0], means[1]
        _, _, rows, columns = self._box.pixels(10)
        shares = np.zeros((2, rows, columns), np.float32)
        numbers = np.array([number for number, shape in enumerate(self._shapes) if shape.cover in ("asphalt", "roof")])
        geometries = self._geometries[numbers]
        tree = shapely.STRtree(geometries)
        step = 600  # rows at a time: the samples of a large site would not fit in memory
        for start in range(0, rows, step):
            height = min(step, rows - start)
            transform = self._transform(10 / _SAMPLES, start * _SAMPLES, 0)
            top, left = transform.f, transform.c
            hits = np.sort(tree.query(shapely.box(left, top - 10 * height, left + 10 * columns, top)))
            roofs = [self._shapes[numbers[hit]].cover == "roof" for hit in hits]
            pairs = sorted(zip(roofs, hits.tolist(), strict=True))
            if not pairs:
                continue
            values = ((geometries[hit], 2 if roof else 1) for roof, hit in pairs)
            burnt = _burn(values, (height * _SAMPLES, columns * _SAMPLES), transform, "uint8")
            for index in (0, 1):
                samples = (burnt == index + 1).reshape(height, _SAMPLES, columns, _SAMPLES)
                shares[index, start : start + height] = samples.sum(axis=(1, 3), dtype=np.uint8) * np.float32(
                    1 / _SAMPLES**2
                )
        return shares[0], shares[1]
