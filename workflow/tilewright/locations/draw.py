"""The draw: a city by even chance, then a place around it by a Gaussian. Candidate n is of the seed and n alone.

SSL4EO-S12 §III, steps 1 and 2. The numbers are those of a counter-based generator (Philox), a block of it for each
candidate: however many are drawn, the first of them are the same.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyproj
from numpy.typing import NDArray

from tilewright.draw import draw
from tilewright.grid.cells import DEGREE_DIGITS
from tilewright.locations.table import CityTable

SPHERE_KM: Final = 6371.0
"""Radius of the authors' sphere (facts of SSL4EO-S12's code: 50 km are 0.4496°)."""

KM_PER_DEGREE: Final = math.pi / 180 * SPHERE_KM
"""Kilometres in a degree of latitude on that sphere: 111.19."""

_WORDS: Final = 4  # 64-bit words of a block of Philox: one candidate uses three of them


@dataclass(frozen=True, eq=False)
class Candidates:
    """Drawn locations in the order of the draw: arrays of one length.

    `lon`, `lat`: degrees (EPSG:4326), rounded to 1e-7° (1 cm), lon in [-180, 180); `city`: row in the table of cities.
    """

    city: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.lon)


def candidates(
    cities: CityTable, number: int, seed: int, sigma_km: float, spread: Literal["metres", "degrees"]
) -> Candidates:
    """Draw `number` locations.

    Args:
        cities: each is as likely as any other.
        number: how many.
        seed: of the draw.
        sigma_km: standard deviation along each of two axes.
        spread: `metres`: along geodesics from the city, so that the spread is the same everywhere; `degrees`: the authors',
            the same number of degrees of longitude and of latitude.
    """
    words = np.random.Philox(key=draw(seed, "locations")).random_raw(_WORDS * number).reshape(number, _WORDS)
    which, along, around = (words[:, :3] >> np.uint64(11)).T * 2.0**-53  # uniform in [0, 1)
    city = np.floor(which * len(cities)).astype(np.int64)
    # A Gaussian in polar form (Box and Muller 1958): distance by Rayleigh, direction even.
    distance = sigma_km * np.sqrt(-2 * np.log1p(-along))
    lon, lat = cities.lon[city], cities.lat[city]
    if spread == "metres":
        lon, lat, _ = pyproj.Geod(ellps="WGS84").fwd(lon, lat, 360 * around, 1000 * distance)
    else:
        lon = lon + distance * np.sin(2 * math.pi * around) / KM_PER_DEGREE
        lat = lat + distance * np.cos(2 * math.pi * around) / KM_PER_DEGREE
        over = np.abs(lat) > 90  # beyond the pole: down again on the other side
        lat = np.where(over, np.copysign(180, lat) - lat, lat)
        lon = np.where(over, lon + 180, lon)
    lon = np.round((lon + 180) % 360 - 180, DEGREE_DIGITS)
    return Candidates(city, np.where(lon >= 180, -180.0, lon), np.round(lat, DEGREE_DIGITS))
