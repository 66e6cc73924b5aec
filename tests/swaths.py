"""Sentinel-1 GRD files of a known geometry, and calibration documents: for tests of what reads them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from pyproj import Geod, Transformer
from rasterio.control import GroundControlPoint
from rasterio.windows import Window

from tilewright.catalog import Asset
from tilewright.grid import Boxes
from tilewright.imagery import Ask, Traffic
from tilewright.imagery.radar import RadarReader
from tilewright.imagery.source import Stores

GEOD = Geod(ellps="WGS84")
POWER = np.dtype("float32")


@dataclass(frozen=True)
class Swath:
    """The geometry of a scene, as exact as geodesics: lines along a track, samples to its right, every 10 m.

    Attributes:
        lon, lat, heading: of the track's start, degrees.
        relief: metres of height at a row and column; a sample lies so much farther as its height makes it seem nearer.
    """

    lon: float = 9.0
    lat: float = 46.5
    heading: float = -12.0
    rows: int = 16_700
    columns: int = 25_500
    relief: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def place(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of places in the image; 0.5 is the centre of the first pixel."""
        row, column = (of.astype(np.float64) for of in np.broadcast_arrays(row, column))
        flat = row.ravel(), column.ravel()
        full = [np.full(row.size, of) for of in (self.lon, self.lat, self.heading)]
        lon, lat, back = GEOD.fwd(*full, flat[0] * 10)
        away = flat[1] * 10
        if self.relief is not None:
            away = away + self.relief(*flat) / np.tan(np.radians(30 + 16 * flat[1] / self.columns))
        lon, lat, _ = GEOD.fwd(lon, lat, back + 180 + 90, away)
        return lon.reshape(row.shape), lat.reshape(row.shape)

    def points(self, first: int = 0, rows: int | None = None) -> list[GroundControlPoint]:
        """10 × 21 points as the product has them: at centres of pixels, counted from 0; of the slice from line `first` on."""
        last = (rows or self.rows) - 1
        down, across = np.meshgrid(
            np.round(np.linspace(0, last, 10)), np.round(np.linspace(0, self.columns - 1, 21)), indexing="ij"
        )
        lon, lat = self.place(down + first + 0.5, across + 0.5)
        return [
            GroundControlPoint(row=row, col=column, x=x, y=y, z=5.0)
            for row, column, x, y in zip(down.flat, across.flat, lon.flat, lat.flat, strict=True)
        ]


Paint = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # row, column, x, y → DN


def write_grd(
    path: Path, swath: Swath, epsg: int, patches: Sequence[tuple[int, int, int, int]], paint: Paint,
    first: int = 0, rows: int | None = None, point: bool = False, **options: object,
) -> Path:  # fmt: skip
    """A GRD as the product has it, empty but for `patches` (row, column, rows, columns of the whole swath)."""
    to = Transformer.from_crs(4326, epsg, always_xy=True)
    shape = {"width": swath.columns, "height": rows or swath.rows, "count": 1, "dtype": "uint16"}
    packed = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "SPARSE_OK": True, **options}
    placed = {"gcps": swath.points(first, rows), "crs": "EPSG:4326"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **placed, **packed) as file:
        if point:
            file.update_tags(AREA_OR_POINT="Point")
        for top, left, height, width in patches:
            top, height = max(top, first), min(top + height, first + shape["height"]) - max(top, first)
            row, column = np.meshgrid(np.arange(top, top + height), np.arange(left, left + width), indexing="ij")
            x, y = to.transform(*swath.place(row + 0.5, column + 0.5))
            found = np.rint(paint(row, column, x, y)).astype(np.uint16)
            file.write(found, 1, window=Window(left, top - first, width, height))
    return path


def boxes_at(swath: Swath, epsg: int, places: Sequence[tuple[int, int]], side: int = 64) -> Boxes:
    """Boxes on the 10 m grid about places (row, column) of the image."""
    row, column = np.array(places, np.float64).T
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(*swath.place(row, column))
    return Boxes(epsg, 10, side, np.round(x / 10 - side / 2) * 10, np.round(y / 10 + side / 2) * 10)


def ask(
    path: Path | str, boxes: Boxes, quantity: str = "dn", band: str = "VV", calibration: Path | str | None = None
) -> Ask:
    asset = Asset("S1A", "s1_grd", band, str(path), None, None, None, str(calibration or ""))
    return Ask(asset, boxes, POWER, quantity)  # type: ignore[arg-type]


def centres(boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """(n, side, side) x and y of the pixels' centres."""
    step = (np.arange(boxes.side) + 0.5) * boxes.resolution
    shape = (len(boxes), boxes.side, boxes.side)
    x = np.broadcast_to((boxes.ulx[:, None] + step)[:, None, :], shape)
    return x, np.broadcast_to((boxes.uly[:, None] - step)[:, :, None], shape)


def by_gdal(asked: Ask) -> np.ndarray:
    """The same through GDAL, for files that the block reader does not know."""
    traffic = Traffic()
    stores = Stores(traffic)
    found = dict(RadarReader(asked, traffic, 1, threading.Event(), None, ("GTiff",), stores).boxes())
    return np.array([found[at] for at in range(len(asked.boxes))])


VECTOR = """<calibrationVector><azimuthTime>2020-01-01T00:00:00.000000</azimuthTime><line>{line}</line>
<pixel count="{count}">{pixels}</pixel><sigmaNought count="{count}">{values}</sigmaNought>
<betaNought count="{count}">{values}</betaNought></calibrationVector>"""


def document(lines: Sequence[int], pixels: Sequence[int], values: np.ndarray, polarisation: str = "VV") -> str:
    vectors = [
        VECTOR.format(
            line=line,
            count=len(pixels),
            pixels=" ".join(map(str, pixels)),
            values=" ".join(f"{one:.6e}" for one in row),
        )
        for line, row in zip(lines, values, strict=True)
    ]
    return (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<calibration><adsHeader><polarisation>{polarisation}'
        f'</polarisation></adsHeader><calibrationVectorList count="{len(lines)}">{"".join(vectors)}'
        "</calibrationVectorList></calibration>"
    )
