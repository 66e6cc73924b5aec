"""What Sentinel-1 sees of a site: the geometry of its passes and an analytic backscatter; exact truth, without files.

Everything is a function of the site's own plane (metres east and north of its centre), smooth enough that reading it
from pixels of 10 m by bilinear interpolation is off by hundredths of a decibel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, Literal

import numpy as np
import pyproj
import rasterio.features
import shapely
from affine import Affine
from scipy.ndimage import map_coordinates

from tilewright.config.simulated import Simulate, Site
from tilewright.simulate.ground import BURNING
from tilewright.simulate.landscape import local_crs
from tilewright.simulate.radar_schedule import Direction, RadarScene, radar_schedule
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.seeded import digest
from tilewright.simulate.shapes import Shape
from tilewright.simulate.spectra import MATERIALS, VARIANTS

POLARISATIONS: Final = ("VV", "VH")
Polarisation = Literal["VV", "VH"]
LINE_M, PIXEL_M = 9.87, 10.13  # spacing; the product's nominal one is 10 by 10
_HEADING: Final[dict[Direction, float]] = {"ascending": 348.0, "descending": 192.0}  # degrees from north, clockwise
_LAYOVER = 1.2  # metres that a point is displaced towards the sensor for each metre of height (1 / tan 40 degrees)
_MEAN_HEIGHT = 200.0
_KNOT_M = 100.0  # spacing of the landscape's smooth surface
_BORDER_NOISE = 4  # pixels of 0 at the near edge, and as many more at the far end of it
# Gamma0 in dB of VV and VH; anything else is open ground.
_OPEN: Final = (-11.5, -18.0)
_KINDS: Final[dict[str, tuple[float, float]]] = {
    "lake": (-20.0, -26.0), "river": (-19.0, -25.5), "leafwood": (-8.5, -14.0), "needlewood": (-9.0, -14.5),
    "garden": (-6.5, -13.5), "yard": (-5.5, -13.0), "works": (-4.5, -12.0), "pit": (-12.5, -20.0), "meadow": (-12.5, -19.0),
    "wetland": (-10.0, -17.5), "vines": (-10.0, -16.0), "orchard": (-9.5, -15.5),
}  # fmt: skip


@dataclass(frozen=True)
class Geometry:
    """The frame of one direction's passes over a site: lines along the flight, pixels to its right; centres at whole numbers."""

    direction: Direction
    side_m: float
    phases: tuple[float, float]

    @cached_property
    def _axes(self) -> tuple[float, float, float, float]:
        """Unit vectors of line (x, y) and pixel (x, y)."""
        heading = math.radians(_HEADING[self.direction])
        return math.sin(heading), math.cos(heading), math.cos(heading), -math.sin(heading)

    @property
    def _reach(self) -> float:
        ax, ay, *_ = self._axes
        return self.side_m / 2 * (abs(ax) + abs(ay)) + 200

    @property
    def lines(self) -> int:
        """Lines of the whole frame."""
        return math.ceil(2 * self._reach / LINE_M)

    @property
    def pixels(self) -> int:
        """Pixels of each line of the whole frame."""
        return math.ceil(2 * self._reach / PIXEL_M)

    def height(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Metres above the ellipsoid at points of the site's plane."""
        return _MEAN_HEIGHT + self._relief(x, y)

    def _relief(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        long = max(4200.0, 0.7 * self.side_m)
        first = np.sin((0.8 * x + 0.6 * y) * (2 * math.pi / long) + self.phases[0])
        second = np.sin((-0.5 * x + 0.87 * y) * (2 * math.pi / (0.8 * long)) + self.phases[1])
        return 28 * first + 16 * second

    def radar(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Line and pixel of points of the site's plane."""
        ax, ay, rx, ry = self._axes
        along = ax * x + ay * y
        across = rx * x + ry * y - _LAYOVER * self._relief(x, y)
        return (along + self._reach) / LINE_M, (across + self._reach) / PIXEL_M

    def ground(self, line: np.ndarray, pixel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The point of the site's plane that is seen at (line, pixel): the inverse of `radar`, to a micrometre."""
        ax, ay, rx, ry = self._axes
        along, across = line * LINE_M - self._reach, pixel * PIXEL_M - self._reach
        true = across
        for _ in range(12):  # the relief's slope is below 0.15: each step gains a digit
            true = across + _LAYOVER * self._relief(along * ax + true * rx, along * ay + true * ry)
        return along * ax + true * rx, along * ay + true * ry

    def incidence(self, pixel: np.ndarray) -> np.ndarray:
        """Angle on the ellipsoid in radians: 33 degrees at the near edge, 44 at the far one."""
        return np.radians(33 + 11 * pixel / self.pixels)


class Radar:
    """Sentinel-1 over one site."""

    def __init__(self, settings: Simulate, site: Site, placed: Sequence[Shape], scenes: Sequence[SimScene]) -> None:
        """`placed`: the site's shapes in lon/lat, in painting order; `scenes`: the optical ones."""
        self._seed, self.site, self._placed = settings.seed, site, placed
        phases = tuple(digest(settings.seed, site.name, "relief", k) % 1000 / 1000 * 2 * math.pi for k in (0, 1))
        self.geometries: dict[Direction, Geometry] = {
            direction: Geometry(direction, float(site.side_m), (phases[0], phases[1])) for direction in _HEADING
        }
        frames = {direction: (each.lines, each.pixels) for direction, each in self.geometries.items()}
        wanted = {"s1_grd", "s1_rtc"} & set(settings.sensors)
        self.scenes = radar_schedule(settings, site, scenes, frames) if wanted else ()
        self._from = lru_cache(maxsize=16)(
            lambda epsg: pyproj.Transformer.from_crs(epsg, local_crs(site), always_xy=True)
        )

    @property
    def epsg(self) -> int:
        """UTM zone of the site's centre: that of its terrain-corrected products."""
        zone = int((self.site.lon + 180) // 6) % 60 + 1
        return (32600 if self.site.lat >= 0 else 32700) + zone

    def plane(self, x: np.ndarray, y: np.ndarray, epsg: int) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of a CRS on the site's plane."""
        return self._from(epsg).transform(x, y)

    def away(self, x: np.ndarray, y: np.ndarray, epsg: int) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `plane`."""
        return self._from(epsg).transform(x, y, direction="INVERSE")

    def geolocation(self, scene: RadarScene, line: np.ndarray, pixel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude that a product's pixels show; centres at whole numbers, from its first line on."""
        x, y = self.geometries[scene.direction].ground(
            np.asarray(line) + float(scene.first_line), np.asarray(pixel) + 0.0
        )
        return self.away(x, y, 4326)

    # -- backscatter --------------------------------------------------------------------------------------------

    @cached_property
    def _surface(self) -> np.ndarray:
        """Gamma0 of the landscape at knots: (2, rows, columns) dB, from the upper left; half a knot is a cell's centre."""
        side = float(self.site.side_m)
        count = math.ceil(side / _KNOT_M) + 6
        corner = count * _KNOT_M / 2
        shapes = [shape for shape in self._placed if shape.kind == "area" and shape.cover == "ground"]
        to_plane = self._from(4326)
        there = shapely.transform(
            np.array([shape.geometry for shape in shapes]),
            lambda points: np.column_stack(to_plane.transform(points[:, 0], points[:, 1])),
        )
        kinds = [MATERIALS.index(kind) + 1 for kind in (MATERIALS[shape.material // VARIANTS] for shape in shapes)]
        with BURNING:
            burnt = rasterio.features.rasterize(
                zip(there, kinds, strict=True), (count, count), transform=Affine(_KNOT_M, 0, -corner, 0, -_KNOT_M, corner), dtype="uint8"
            )  # fmt: skip
        tables = np.array([_OPEN, *(_KINDS.get(kind, _OPEN) for kind in MATERIALS)])
        return np.moveaxis(tables[burnt], -1, 0)

    def _land(self, polarisation: Polarisation, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The landscape's gamma0 in dB: a uniform cubic B-spline over the knots, the nearest ones' beyond the site."""
        knots = self._surface[POLARISATIONS.index(polarisation)]
        half = len(knots) / 2 - 0.5
        # Without the prefilter the spline smooths the knots instead of passing through them: nothing is sharper than they are apart.
        return map_coordinates(
            knots, [half - y / _KNOT_M, half + x / _KNOT_M], order=3, mode="nearest", prefilter=False
        )

    def gamma0(self, scene: RadarScene, polarisation: Polarisation, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Linear gamma0 at points of the site's plane, whether the scene shows them or not."""
        cross = polarisation == "VH"
        level = self._land(polarisation, x, y)
        waves = ((310.0, 0.9, 0.4), (470.0, 0.7, -0.8), (830.0, 0.6, 1.9))  # length in m, dB, direction
        for number, (length, strength, turn) in enumerate(waves):
            phase = digest(self._seed, self.site.name, "wave", number, polarisation) % 1000 / 1000 * 2 * math.pi
            turn += 0.7 * cross
            level += strength * np.sin((math.cos(turn) * x + math.sin(turn) * y) * (2 * math.pi / length) + phase)
        day = 2 * math.pi * scene.start.timetuple().tm_yday / 365
        level += 0.8 * np.sin(day + x / 2500) * (1.5 if cross else 1.0)
        level += 0.6 if scene.direction == "ascending" else -0.6
        level += digest(self._seed, scene.datatake, scene.platform, "moisture") % 1000 / 1000 - 0.5
        return np.power(10.0, level / 10)

    def sigma0(self, scene: RadarScene, polarisation: Polarisation, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Linear sigma0 on the ellipsoid at points of the site's plane: gamma0 times the cosine of the incidence angle."""
        geometry = self.geometries[scene.direction]
        return self.gamma0(scene, polarisation, x, y) * np.cos(geometry.incidence(geometry.radar(x, y)[1]))

    def seen(self, scene: RadarScene, line: np.ndarray, pixel: np.ndarray) -> np.ndarray:
        """Whether the scene has data at lines and pixels of the pass's frame (also between centres): bool."""
        inside = (line >= scene.first_line - 0.5) & (line <= scene.first_line + scene.lines - 0.5)
        return inside & (pixel >= self.near_edge(scene, line)) & (pixel <= self.far_edge(scene))

    def near_edge(self, scene: RadarScene, line: np.ndarray) -> np.ndarray:
        """The pixel where data begins in lines of the pass's frame: before it is border noise, set to 0, and it leans."""
        return _BORDER_NOISE * (1 + line / self.geometries[scene.direction].lines) - 0.5

    def far_edge(self, scene: RadarScene) -> float:
        """The pixel where data ends in every line."""
        return scene.pixels - _BORDER_NOISE - 0.5
