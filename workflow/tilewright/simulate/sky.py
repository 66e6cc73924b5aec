"""Clouds, their shadows, cirrus and haze over one scene, and what SCL makes of them."""

import math
from dataclasses import dataclass

import numpy as np

from tilewright.simulate.ground import Box
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.seeded import generator, lattice, noise_at

RESOLUTION = 20  # metres: the grid of SCL, so that classes and clouds agree exactly


@dataclass(frozen=True)
class Sky:
    """What is between the ground and the satellite; float32 (rows, columns)."""

    opacity: np.ndarray  # of clouds, 0 to 1
    brightness: np.ndarray  # of clouds, factor
    light: np.ndarray  # on the ground, factor: below 1 in shadow
    cirrus: np.ndarray  # thickness, 0 to 1

    def at(self, resolution: int) -> "Sky":
        """The same sky on pixels of 10, 20 or 60 m."""
        arrays = (self.opacity, self.brightness, self.light, self.cirrus)
        if resolution == 10:
            return Sky(*(np.repeat(np.repeat(array, 2, axis=0), 2, axis=1) for array in arrays))
        if resolution == 60:
            rows, columns = self.opacity.shape[0] // 3, self.opacity.shape[1] // 3
            return Sky(*(array.reshape(rows, 3, columns, 3).mean(axis=(1, 3), dtype=np.float32) for array in arrays))
        return self


def sun(scene: SimScene, lat: float) -> tuple[float, float]:
    """Azimuth (from north, clockwise) and elevation of the sun in degrees, roughly, at half past ten."""
    declination = -23.44 * math.cos(2 * math.pi * (scene.day_of_year + 10) / 365)
    hour = math.radians(-22.5)
    phi, delta = math.radians(lat), math.radians(declination)
    elevation = math.asin(math.sin(phi) * math.sin(delta) + math.cos(phi) * math.cos(delta) * math.cos(hour))
    azimuth = math.atan2(
        -math.cos(delta) * math.sin(hour),
        math.cos(phi) * math.sin(delta) - math.sin(phi) * math.cos(delta) * math.cos(hour),
    )
    return math.degrees(azimuth) % 360, max(5.0, math.degrees(elevation))


def _noise(
    seed: int, scene: SimScene, name: str, y: np.ndarray, x: np.ndarray, scales: tuple[float, ...]
) -> np.ndarray:
    total = np.zeros((len(y), len(x)), np.float32)
    weight = np.float32(1)
    for number, scale in enumerate(scales):
        table = lattice(seed, scene.id, name, number)
        total += weight * noise_at(table, (x - 173 * number)[None, :], (y + 311 * number)[:, None], scale)
        weight *= np.float32(0.55)
    return total


def sky_over(seed: int, scene: SimScene, lat: float, box: Box) -> Sky | None:
    """The sky of a scene over the box at 20 m; None where it is clear."""
    if scene.weather in ("clear", "swath", "snow"):
        return None
    row, column, rows, columns = box.pixels(RESOLUTION)
    azimuth, elevation = sun(scene, lat)
    away = 1100 / math.tan(math.radians(max(elevation, 25))) / RESOLUTION  # pixels from a cloud's base to its shadow
    down, right = round(away * math.cos(math.radians(azimuth))), -round(away * math.sin(math.radians(azimuth)))
    margin = max(abs(down), abs(right)) + 1
    y = RESOLUTION * (row + np.arange(-margin, rows + margin)).astype(float)
    x = RESOLUTION * (column + np.arange(-margin, columns + margin)).astype(float)
    inner = (slice(margin, margin + rows), slice(margin, margin + columns))
    rng = generator(seed, scene.id, "sky")
    one = np.ones((rows, columns), np.float32)
    fine = _noise(seed, scene, "fine", y, x, (420, 190, 90))
    if scene.weather == "hazy":
        thick = _noise(seed, scene, "haze", y, x, (5200, 1900))[inner]
        opacity = np.clip(0.92 + 0.06 * thick, 0.85, 0.99)
        brightness = np.clip(1.12 + 0.2 * thick + 0.08 * fine[inner], 0.86, 1.9)
        return Sky(opacity.astype(np.float32), brightness.astype(np.float32), one, 0 * one)
    mass = _noise(seed, scene, "mass", y, x, (2300, 1000, 460) if scene.weather == "cumulus" else (7000, 3000, 1100))
    mass += np.float32(0.28) * fine
    cover = float(rng.uniform(0.12, 0.30)) if scene.weather == "cumulus" else 0.97
    threshold = float(np.quantile(mass[::3, ::3], 1 - cover))
    softness = 0.22 if scene.weather == "cumulus" else 0.35
    opacity = np.clip((mass - np.float32(threshold)) / np.float32(softness), 0, 1)
    if scene.weather == "overcast":
        opacity = np.clip(opacity + np.float32(0.35), 0, 1)
    shadow = opacity[margin - down : margin - down + rows, margin - right : margin - right + columns]
    light = 1 - np.float32(0.58) * shadow
    brightness = np.clip(
        np.float32(0.72) + np.float32(0.3) * (mass[inner] - np.float32(threshold)) + np.float32(0.1) * fine[inner],
        0.4,
        1.15,
    )
    veil = _noise(seed, scene, "veil", y / 3, x, (2600, 1000))[inner]
    cirrus = np.clip((veil - np.float32(0.62)) * 2, 0, 1)
    return Sky(*(np.ascontiguousarray(a, dtype=np.float32) for a in (opacity[inner], brightness, light, cirrus)))


def classify(scene: SimScene, sky: Sky | None, ground: np.ndarray) -> np.ndarray:
    """SCL from the classes of the ground (uint8, 20 m) and the sky; haze goes unnoticed, as thin bright cloud does at times."""
    if sky is None or scene.weather == "hazy":
        return ground
    classes = ground.copy()
    classes[sky.light < 0.72] = 3
    classes[sky.cirrus > 0.25] = 10
    classes[sky.opacity > 0.06] = 7
    classes[sky.opacity > 0.18] = 8
    classes[sky.opacity > 0.62] = 9
    return classes
