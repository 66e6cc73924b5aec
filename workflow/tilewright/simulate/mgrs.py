"""Where a Sentinel-2 tile lies, from its MGRS name alone.

This repeats on purpose what the library's own grid does, from the definition of MGRS (NGA.SIG.0012), so that a shared
bug cannot hide: the simulated world is the truth that the library is tested against.
"""

import math
import re
from dataclasses import dataclass

from tilewright.errors import TilewrightError

TILE_M = 109_800  # side of a tile: 10980 pixels of 10 m
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # 100 km columns, by zone modulo 3
_ROWS = "ABCDEFGHJKLMNPQRSTUV"  # 100 km rows repeat every 2000 km and start at A in odd zones, at F in even ones
# Least northing of each latitude band in whole 100 km rows, the false northing of the south included.
_LEAST_NORTHING = dict(
    zip(
        "CDEFGHJKLMNPQRSTUVWX",
        (7, 20, 28, 37, 46, 55, 64, 73, 82, 91, 0, 8, 17, 26, 35, 44, 53, 62, 70, 79),
        strict=True,
    )
)


@dataclass(frozen=True)
class Frame:
    """A tile's place: name, EPSG code of its UTM zone, upper-left corner in metres."""

    tile: str
    epsg: int
    ulx: int
    uly: int

    @property
    def zone(self) -> int:
        """UTM zone."""
        return self.epsg % 100


def frame(tile: str) -> Frame:
    """The place of `tile` (`33TTG`).

    Raises:
        TilewrightError: where `tile` is not an MGRS square's name.
    """
    match = re.fullmatch(r"(\d\d)([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])", tile)
    if match is None or not 1 <= int(match[1]) <= 60 or match[3] not in _COLUMNS[int(match[1]) % 3]:
        raise TilewrightError(f"simulate: {tile} is not the name of an MGRS square: write it like 33TTG")
    zone, band = int(match[1]), match[2]
    easting = (_COLUMNS[zone % 3].index(match[3]) + 1) * 100_000
    row = (_ROWS.index(match[4]) - (0 if zone % 2 else 5)) % 20
    while row < _LEAST_NORTHING[band]:
        row += 20
    north = band >= "N"
    top = (row + 1) * 100_000
    uly = math.ceil(top / 60) * 60 if north else 10_000_000 - (10_000_000 - top) // 60 * 60
    return Frame(tile, (32600 if north else 32700) + zone, easting // 60 * 60, uly)
