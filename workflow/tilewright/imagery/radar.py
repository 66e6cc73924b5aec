"""Sentinel-1 onto the cells' grid, in linear power.

GRD: numbers (amplitude) in the order in which the sensor saw them, placed by ground control points alone. What an item says of their
projection is made up, and not used. RTC: gamma nought in some UTM zone; on the cells' grid its pixels are taken as they are, else warped.

No data (NaN): outside the image; 0 of a GRD; of an RTC what its file calls so, what is not finite, and all that is not above 0, among it
the −32768 of Planetary Computer and Digital Earth Africa: power is above 0, and what noise removal leaves below has no logarithm.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from odc.geo.geobox import GeoBox

from tilewright.imagery.calibration import MOST_BYTES, Calibration
from tilewright.imagery.gdal import GdalReader
from tilewright.imagery.layout import Layout
from tilewright.imagery.protocol import Ask, BrokenAssetError
from tilewright.imagery.source import Source, Stores
from tilewright.imagery.traffic import Traffic
from tilewright.imagery.warp import GridPlacement, Placement, PointPlacement, UnplacedError, lay

_DEGREES: Final = 4326


@dataclass(frozen=True)
class Raster:
    """What the header of a file says.

    Attributes:
        points: (n, 4) row, column, longitude, latitude of ground control points in EPSG:4326, where they place it; else None.
        grid: CRS, transform and shape; without CRS where the file does not say them.
    """

    dtype: np.dtype
    grid: GeoBox
    points: np.ndarray | None
    nodata: float | None

    @classmethod
    def of(cls, layout: Layout) -> "Raster":
        """What the block reader found."""
        return cls(layout.dtype, layout.grid, layout.points, layout.nodata)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.grid.shape[0]), int(self.grid.shape[1])


@dataclass(frozen=True)
class Way:
    """How the boxes of an ask are had from windows of a raster.

    Attributes:
        rows, columns: (n,) first pixel of each box's window.
        side: pixels along a window's side.
        made: from a box's place and its window, as stored and 0 outside, its (side, side) float32 linear power.
    """

    rows: np.ndarray
    columns: np.ndarray
    side: int
    made: Callable[[int, np.ndarray], np.ndarray]


def way(ask: Ask, raster: Raster, stores: Stores, stop: threading.Event) -> Way:
    """How `ask`, of a radar quantity, is had from its asset's file.

    Raises:
        BrokenAssetError: where the file, or its calibration, is not what such a quantity is made of.
        TilewrightError: when the calibration stays unreachable.
    """
    asset, wanted = ask.asset, np.dtype("float32" if ask.quantity == "gamma0" else "uint16")
    if raster.dtype != wanted:
        raise BrokenAssetError(asset.scene_id, asset.band, f"holds {raster.dtype} instead of {wanted}")
    if ask.quantity == "gamma0":
        return _gamma0_way(ask, raster)
    points = raster.points
    if points is None:
        raise BrokenAssetError(asset.scene_id, asset.band, "has no ground control points in longitude and latitude")
    calibration = _calibration(ask, raster, stores, stop) if ask.quantity == "sigma0" else None

    def to_power(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
        power = np.square(pixels, dtype=np.float64)
        power[pixels == 0] = np.nan
        return power if calibration is None else power / np.square(calibration.at(row, column, *pixels.shape))

    return _warped(ask, raster, lambda: PointPlacement(points, ask.boxes.epsg), to_power)


def gamma0(pixels: np.ndarray, nodata: float | None) -> np.ndarray:
    """float32 power of an RTC's pixels, NaN where they are no data; see the module."""
    valid = np.isfinite(pixels) & (pixels > 0)
    if nodata is not None:
        valid &= pixels != np.float32(nodata)
    return np.where(valid, pixels, np.float32(np.nan))


def _gamma0_way(ask: Ask, raster: Raster) -> Way:
    crs = raster.grid.crs
    if crs is None:
        raise BrokenAssetError(ask.asset.scene_id, ask.asset.band, "does not say where its pixels are")
    windows = ask.boxes.windows_in(raster.grid)
    if windows is not None:
        return Way(*windows, ask.boxes.side, lambda _, pixels: gamma0(pixels, raster.nodata))

    def to_power(pixels: np.ndarray, _row: int, _column: int) -> np.ndarray:
        return gamma0(pixels, raster.nodata).astype(np.float64)

    wkt = crs.to_wkt()
    return _warped(ask, raster, lambda: GridPlacement(raster.grid.affine, wkt, ask.boxes.epsg), to_power)


def _warped(
    ask: Ask, raster: Raster, placed: Callable[[], Placement], to_power: Callable[[np.ndarray, int, int], np.ndarray]
) -> Way:
    try:
        warp = lay(ask.boxes, raster.shape, placed())
    except UnplacedError as error:
        raise BrokenAssetError(ask.asset.scene_id, ask.asset.band, str(error)) from error

    def made(box: int, pixels: np.ndarray) -> np.ndarray:
        if not pixels.any():  # outside, or all no data
            return np.full((ask.boxes.side, ask.boxes.side), np.nan, np.float32)
        return warp.box(box, to_power(pixels, int(warp.rows[box]), int(warp.columns[box])))

    return Way(warp.rows, warp.columns, warp.side, made)


def _calibration(ask: Ask, raster: Raster, stores: Stores, stop: threading.Event) -> Calibration:
    """The asset's calibration, fetched and found to be of its image."""
    asset = ask.asset
    if not asset.calibration:
        raise BrokenAssetError(asset.scene_id, asset.band, "has no calibration document, which sigma nought needs")

    def parsed(document: bytes) -> Calibration:
        found = Calibration.read(document, asset.band)
        found.check(raster.shape)
        return found

    return stores.document(asset, asset.calibration, MOST_BYTES, stop, parsed)


class RadarReader(GdalReader):
    """Reads one ask of a radar quantity through GDAL: what the block reader does not know."""

    def __init__(
        self, ask: Ask, traffic: Traffic, threads: int, stop: threading.Event, source: Source | None,
        drivers: tuple[str, ...], stores: Stores,
    ) -> None:  # fmt: skip
        """As for a `GdalReader`; `stores` brings the calibration."""
        super().__init__(ask, traffic, threads, stop, source, drivers)
        self._stores = stores

    def boxes(self) -> Iterator[tuple[int, np.ndarray]]:
        """(place, (side, side) float32 linear power) of every box, in any order.

        Raises:
            BrokenAssetError, TilewrightError: see `Reader.read`.
        """
        if not len(self._ask.boxes):
            return
        try:
            raster = self._patiently(self._raster)
            how = way(self._ask, raster, self._stores, self._stop)
            for box, pixels in self._by_blocks(raster.shape, (how.rows, how.columns), how.side, raster.dtype):
                yield box, how.made(box, pixels)
        finally:
            self._close()

    def _raster(self) -> Raster:
        file, asset = self._opened(), self._ask.asset
        if file.count != 1:
            raise BrokenAssetError(asset.scene_id, asset.band, f"holds {file.count} bands instead of 1")
        found, crs = file.gcps
        points = None
        if found and crs is not None and crs.to_epsg() == _DEGREES:
            points = np.array([(point.row, point.col, point.x, point.y) for point in found], np.float64)
        placed = file.crs is not None and not file.transform.is_identity
        grid = GeoBox(file.shape, file.transform, file.crs.to_wkt() if placed else None)
        return Raster(np.dtype(file.dtypes[0]), grid, points, file.nodata)
