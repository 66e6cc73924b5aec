"""The tiles: MGRS squares as Sentinel-2 cuts them, 109.8 km wide, each in one UTM zone, on a 60 m grid.

A tile's place follows from its name; the table (`s2_tiles.csv.gz`, beside this module) says which names exist and
which hold land. Names and footprints: the Sentinel-2 tiling grid that ESA publishes.
"""

import gzip
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilewright.errors import TilewrightError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

SIDE_M = 109_800
"""Side of a tile in metres: the MGRS square's 100 km and about 9.8 km to the east and the south."""

SQUARE_M = 100_000
"""Side of an MGRS square in metres."""

EQUATOR_SOUTH_M = 10_000_000
"""Northing of the equator in the southern UTM zones (the false northing)."""

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_NAME = re.compile(r"(0[1-9]|[1-5][0-9]|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]")


@dataclass(frozen=True)
class Tile:
    """One tile; coordinates in metres in its own UTM zone."""

    name: str
    epsg: int
    ulx: int
    uly: int
    land: bool

    @property
    def zone(self) -> str:
        """UTM zone and hemisphere, such as `32N`."""
        return f"{self.epsg % 100:02}{'N' if self.epsg // 100 == 326 else 'S'}"

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """West, south, east, north edge of the tile."""
        return self.ulx, self.uly - SIDE_M, self.ulx + SIDE_M, self.uly

    @property
    def square(self) -> tuple[int, int, int, int]:
        """West, south, east, north edge of the MGRS square that the tile is named after."""
        west = -(-self.ulx // SQUARE_M) * SQUARE_M
        north = self.uly // SQUARE_M * SQUARE_M
        return west, north - SQUARE_M, west + SQUARE_M, north

    def geobox(self, resolution: int) -> "GeoBox":
        """The whole tile's pixel grid at `resolution` metres."""
        from tilewright.grid.pixels import cell_geobox

        return cell_geobox(self.epsg, self.ulx, self.uly, SIDE_M, resolution)


@dataclass(frozen=True, eq=False)
class TileTable:
    """All tiles as arrays of one length, sorted by name; `ulx`, `uly` in metres in each tile's own zone."""

    name: NDArray[np.str_]
    epsg: NDArray[np.int64]
    ulx: NDArray[np.int64]
    uly: NDArray[np.int64]
    land: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.name)

    def __getitem__(self, index: int) -> Tile:
        return Tile(
            str(self.name[index]),
            int(self.epsg[index]),
            int(self.ulx[index]),
            int(self.uly[index]),
            bool(self.land[index]),
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "TileTable":
        """The tiles at `rows` (a mask or positions)."""
        return TileTable(self.name[rows], self.epsg[rows], self.ulx[rows], self.uly[rows], self.land[rows])

    @cached_property
    def by_zone(self) -> dict[int, NDArray[np.intp]]:
        """EPSG code → positions of its tiles."""
        order = np.argsort(self.epsg, kind="stable")
        codes, starts = np.unique(self.epsg[order], return_index=True)
        return {int(code): part for code, part in zip(codes, np.split(order, starts[1:]), strict=True)}


def _squares(names: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """EPSG codes and lower-left corners (metres) of the MGRS squares called `names`; -1 where a letter does not fit.

    Row letters repeat every 2,000 km; the square meant is the one nearest to the middle of the latitude band, which
    is unambiguous because a band is 8° (the last one 12°) high and tiles reach at most 4 squares beyond theirs.
    """
    letters = names.astype("U5").view("U1").reshape(-1, 5)
    zone = letters[:, 0].astype(np.int64) * 10 + letters[:, 1].astype(np.int64)

    def place(alphabet: str, letter: NDArray[np.str_]) -> NDArray[np.int64]:
        table = np.full(128, -1, np.int64)
        table[[ord(each) for each in alphabet]] = np.arange(len(alphabet))
        return table[letter.view(np.uint32).astype(np.int64)]

    band, column, row = (np.ascontiguousarray(letters[:, at]) for at in (2, 3, 4))
    columns = np.stack([place(alphabet, column) for alphabet in _COLUMNS])[(zone - 1) % 3, np.arange(len(zone))]
    middle = np.round((place(_BANDS, band) * 8 - 76) * 1.11).astype(np.int64)  # 111 km in a degree, in squares
    north = middle >= 0
    middle += np.where(north, 0, EQUATOR_SOUTH_M // SQUARE_M)
    wanted = place(_ROWS, row) - np.where(zone % 2 == 0, 5, 0)
    rows = middle - 10 + (wanted - middle + 10) % 20
    easting = np.where(columns < 0, -1, (columns + 1) * SQUARE_M)
    return np.where(north, 32600, 32700) + zone, easting, rows * SQUARE_M


def _origins(
    epsg: NDArray[np.int64], easting: NDArray[np.int64], northing: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...]:
    """Upper-left corners of the tiles of the squares whose lower-left corners are given: whole 60 m from the equator."""
    top = northing + SQUARE_M
    south = EQUATOR_SOUTH_M - (EQUATOR_SOUTH_M - top) // 60 * 60
    return easting // 60 * 60, np.where(epsg // 100 == 327, south, -(-top // 60) * 60)


@lru_cache(maxsize=1)
def tiles() -> TileTable:
    """All 56,686 tiles, sorted by name."""
    text = gzip.decompress(Path(__file__).with_name("s2_tiles.csv.gz").read_bytes()).decode("ascii")
    pairs = []
    for line in text.splitlines()[1:]:
        zone, land, sea = line.split(",")
        pairs += [(zone + square, True) for square in land.split()] + [(zone + square, False) for square in sea.split()]
    pairs.sort()
    names = np.array([name for name, _ in pairs])
    epsg, easting, northing = _squares(names)
    ulx, uly = _origins(epsg, easting, northing)
    return TileTable(names, epsg, ulx, uly, np.array([land for _, land in pairs]))


@lru_cache(maxsize=1)
def land_tiles() -> TileTable:
    """The 20,430 tiles that hold land, sorted by name."""
    return tiles().take(tiles().land)


def tile(name: str) -> Tile:
    """The tile called `name`.

    Raises:
        TilewrightError: where `name` is not shaped as a tile's name, or no tile has it (naming tiles near it).
    """
    table = tiles()
    at = int(np.searchsorted(table.name, name))
    if at < len(table) and table.name[at] == name:
        return table[at]
    if not _NAME.fullmatch(name):
        raise TilewrightError(f"tile {name!r} is not a tile's name: write zone, band and square, as in 32TNT")
    raise TilewrightError(f"tile {name} is not a Sentinel-2 tile; near it are {', '.join(_near(name))}")


def _near(name: str, count: int = 4) -> list[str]:
    """Names of the tiles nearest to where `name` would be; those of its grid zone where its letters fit no square."""
    table = tiles()
    epsg, easting, northing = (int(value[0]) for value in _squares(np.array([name])))
    rows = table.by_zone[epsg]
    if easting < 0:
        same = rows[np.char.startswith(table.name[rows], name[:3])]
        return [str(each) for each in table.name[same if len(same) else rows][:count]]
    far = np.hypot(table.ulx[rows] - easting, table.uly[rows] - SQUARE_M - northing)
    return [str(each) for each in table.name[rows[np.argsort(far, kind="stable")[:count]]]]
