"""Small rasters on disk, assets and boxes over them, and what their pixels truly are: for tests of the readers."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tifffile
from rasterio.transform import Affine

from tilewright.catalog import Asset
from tilewright.grid import Boxes
from tilewright.imagery import Ask, ImageryReader, Traffic
from tilewright.imagery.gdal import GdalReader
from tilewright.imagery.stack import stacked

EPSG = 32635


@dataclass(frozen=True)
class Grid:
    """A pixel grid: shape, pixel size in metres, and the outer corner of its first pixel."""

    rows: int
    cols: int
    step: int = 10
    left: float = 500_000
    top: float = 7_000_000
    epsg: int = EPSG

    @property
    def transform(self) -> Affine:
        return Affine(self.step, 0, self.left, 0, -self.step, self.top)

    def boxes(self, rows: Sequence[int], cols: Sequence[int], side: int) -> Boxes:
        """Boxes whose first pixels are (`rows`, `cols`) of this grid."""
        ulx = self.left + self.step * np.asarray(cols, np.float64)
        uly = self.top - self.step * np.asarray(rows, np.float64)
        return Boxes(self.epsg, self.step, side, ulx, uly)

    def asset(self, href: Path | str, band: str = "B02", scene: str = "scene", collection: str = "s2_l2a") -> Asset:
        return Asset(scene, collection, band, str(href), self.epsg, tuple(self.transform)[:6], (self.rows, self.cols))


def noise(grid: Grid, dtype: str, seed: int = 0) -> np.ndarray:
    """Pixels of any value of `dtype`, half of them in runs so that they compress, few of them 0."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        found = rng.normal(0, 1e4, (grid.rows, grid.cols)).astype(dtype)
    else:
        info = np.iinfo(dtype)
        found = rng.integers(info.min, info.max, (grid.rows, grid.cols), dtype, endpoint=True)
    found[:, : grid.cols // 2] = found[:, :1]
    return found


def write_gdal(path: Path, pixels: np.ndarray, grid: Grid, **options: Any) -> Path:
    """A GeoTIFF (or what `driver` says) by GDAL."""
    given: dict[str, Any] = {"driver": "GTiff", "crs": grid.epsg, "transform": grid.transform, **options}
    bands = pixels if pixels.ndim == 3 else pixels[None]
    with rasterio.open(
        path, "w", width=grid.cols, height=grid.rows, count=len(bands), dtype=pixels.dtype.name, **given
    ) as file:
        file.write(bands)
    return path


def write_tifffile(path: Path, pixels: np.ndarray, grid: Grid, point: bool = False, **options: Any) -> Path:
    """A GeoTIFF by tifffile: other habits than GDAL's, such as the header's place and the order of the tags."""
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 2 if point else 1, 3072, 0, 1, grid.epsg)
    tags = [
        (33550, "d", 3, (float(grid.step), float(grid.step), 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, grid.left, grid.top, 0.0), True),
        (34735, "H", len(keys), keys, True),
    ]
    byteorder = options.pop("byteorder", "<")
    with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=options.pop("bigtiff", False)) as file:
        file.write(
            pixels, photometric="minisblack", extratags=tags, metadata=None, software=False, contiguous=False, **options
        )
    return path


def cut(pixels: np.ndarray, rows: Sequence[int], cols: Sequence[int], side: int) -> np.ndarray:
    """(n, side, side) windows of `pixels`, 0 beyond its edges: slow and plain."""
    found = np.zeros((len(rows), side, side), pixels.dtype)
    for at, (row, col) in enumerate(zip(rows, cols, strict=True)):
        part = pixels[max(row, 0) : max(row + side, 0), max(col, 0) : max(col + side, 0)]
        top, left = max(-row, 0), max(-col, 0)
        found[at, top : top + part.shape[0], left : left + part.shape[1]] = part
    return found


def as_gdal_sees(path: Path) -> np.ndarray:
    """The whole first band."""
    with rasterio.open(path) as file:
        return file.read(1)


def by_reader(ask: Ask, reader: ImageryReader | None = None, threads: int = 1) -> tuple[np.ndarray, Traffic]:
    """(n, side, side) pixels by the stages' reader, and its traffic."""
    reader = reader or ImageryReader(threads)
    found: dict[int, np.ndarray] = {}
    for at, box, pixels in reader.read([ask], lambda _ask, _box, pixels: pixels):
        assert at == 0 and box not in found, "each box once"
        found[box] = pixels
    return _piled(ask, found), reader.traffic


def by_gdal(ask: Ask, threads: int = 1) -> np.ndarray:
    """The same by the GDAL reader alone."""
    return _piled(ask, dict(GdalReader(ask, Traffic(), threads, threading.Event()).boxes()))


def by_stack(ask: Ask) -> np.ndarray:
    """The same by stackstac, whatever the grid."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        return _piled(ask, dict(enumerate(stacked(ask, np.arange(len(ask.boxes)), 1))))


def _piled(ask: Ask, found: dict[int, np.ndarray]) -> np.ndarray:
    assert sorted(found) == list(range(len(ask.boxes)))
    assert all(piece.dtype == ask.dtype and piece.shape == (ask.boxes.side,) * 2 for piece in found.values())
    return np.array([found[at] for at in range(len(found))], ask.dtype).reshape(-1, ask.boxes.side, ask.boxes.side)
