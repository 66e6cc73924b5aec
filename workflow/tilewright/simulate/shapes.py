"""The objects of a landscape, and the plane geometry that makes them; metres east and north of the site's centre."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

Kind = Literal["area", "line", "point"]
Cover = Literal["ground", "asphalt", "roof"]


@dataclass(frozen=True)
class Shape:
    """One object: what OSM says of it (`tags`; None: not mapped) and how it looks (`material`, `cover`; None: invisible).

    `ground` shapes paint over earlier ones pixel by pixel; `asphalt` and `roof` shapes cover a share of a pixel.
    `width` in metres is that of a line.
    """

    kind: Kind
    geometry: BaseGeometry
    tags: dict[str, str] | None
    cover: Cover | None = None
    material: int = 0
    width: float = 0.0


def polygons(geometry: BaseGeometry, least_m2: float) -> list[Polygon]:
    """The polygons of `geometry` of at least `least_m2`."""
    return [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon" and part.area >= least_m2]


def blob(rng: np.random.Generator, x: float, y: float, radius: float, rough: float = 0.3, points: int = 56) -> Polygon:
    """A rounded irregular outline of mean radius `radius`."""
    angle = np.linspace(0, 2 * math.pi, points, endpoint=False)
    reach = np.ones(points)
    for wave in range(2, 9):
        reach += rough / wave * rng.normal() * np.cos(wave * angle + rng.uniform(0, 2 * math.pi))
    reach = radius * np.clip(reach, 0.4, 1.8)
    return Polygon(np.column_stack([x + reach * np.cos(angle), y + reach * np.sin(angle)]))


def rectangle(x: float, y: float, along: float, across: float, angle: float) -> Polygon:
    """A rectangle with centre (x, y), its side `along` in direction `angle` (radians from east)."""
    c, s = math.cos(angle), math.sin(angle)
    corners = [(-along / 2, -across / 2), (along / 2, -across / 2), (along / 2, across / 2), (-along / 2, across / 2)]
    return Polygon([(x + c * u - s * v, y + s * u + c * v) for u, v in corners])


def rectangles(x: np.ndarray, y: np.ndarray, along: np.ndarray, across: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """As `rectangle` for arrays of n: an object array of n polygons."""
    u = np.stack([-along, along, along, -along], axis=1) / 2
    v = np.stack([-across, -across, across, across], axis=1) / 2
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    rings = np.stack([x[:, None] + c * u - s * v, y[:, None] + s * u + c * v], axis=2)
    return np.asarray(shapely.polygons(rings), dtype=object)


def winding(
    rng: np.random.Generator,
    start: tuple[float, float],
    end: tuple[float, float],
    swing: float,
    step: float,
    wave: float,
) -> LineString:
    """A line from `start` to `end` that swings up to about `swing` metres aside, in bends of about `wave` metres."""
    a, b = np.array(start), np.array(end)
    length = float(np.hypot(*(b - a)))
    t = np.linspace(0, 1, max(3, int(length / step)))
    aside = np.zeros_like(t)
    for part in range(1, 5):
        aside += (
            rng.normal(0, 1) / part * np.sin(2 * math.pi * t * length / wave * part / 2 + rng.uniform(0, 2 * math.pi))
        )
    aside *= swing / 2 * np.minimum(1, 8 * np.minimum(t, 1 - t))
    normal = np.array([a[1] - b[1], b[0] - a[0]]) / length
    return LineString(a + t[:, None] * (b - a) + aside[:, None] * normal)


def split(ring: np.ndarray, point: np.ndarray, normal: np.ndarray) -> list[np.ndarray]:
    """The two parts of a convex ring (n, 2) on either side of the line through `point` square to `normal`."""
    side = (ring - point) @ normal
    parts: list[list[np.ndarray]] = [[], []]
    for here, there, s, t in zip(ring, np.roll(ring, -1, axis=0), side, np.roll(side, -1), strict=True):
        parts[0 if s >= 0 else 1].append(here)
        if (s >= 0) != (t >= 0):
            cut = here + (there - here) * (s / (s - t))
            parts[0].append(cut)
            parts[1].append(cut)
    return [np.array(part) for part in parts if len(part) >= 3]
