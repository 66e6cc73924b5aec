"""Which acquisitions there will be, where no catalog is asked: an estimate from the satellites' orbits.

Swaths are laid over a tile as strips from north to south, one for each orbit that comes near, so far apart as orbits are at its
latitude; where they lie and on which days is drawn with the tile's name. How cloudy they are is drawn, too.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import numpy as np
import shapely

from tilewright.catalog import Scene
from tilewright.config.bands import RADAR
from tilewright.config.spans import Days
from tilewright.draw import draw, unit_interval
from tilewright.grid import SIDE_M, Tile
from tilewright.grid.zones import to_degrees

_EARTH_M: Final = 40_075_017  # the equator's length, WGS84


@dataclass(frozen=True)
class Mission:
    """A pair of satellites on one orbit.

    Attributes:
        cycle_days, orbits: of the repeat cycle of one satellite.
        swath_m: width of what it sees.
        since: first day of the first; of two, the second's.
        until: last day of the second; None where it still flies.
        part_m: length of a product along the orbit; None: products are tiles.
        inclination: degrees.
    """

    cycle_days: int
    orbits: int
    swath_m: float
    since: tuple[date, date]
    until: date | None
    part_m: float | None
    inclination: float


# Sentinel-2 User Handbook: 10 days, 143 orbits, 290 km; regular acquisitions of A from July 2015, of B from July 2017. Sentinel-1 User
# Handbook: 12 days, 175 orbits, 250 km, slices of 25 s (some 170 km); A from October 2014, B from September 2016 to 23 December 2021.
SENTINEL_2: Final = Mission(10, 143, 290e3, (date(2015, 7, 1), date(2017, 7, 1)), None, None, 98.62)
SENTINEL_1: Final = Mission(12, 175, 250e3, (date(2014, 10, 1), date(2016, 9, 26)), date(2021, 12, 23), 170e3, 98.18)
# Of the ground: most land is imaged by one of the two directions at each pass, Europe by both (Sentinel-1 observation scenario).
_BOTH: Final = (-12.0, 35.0, 42.0, 72.0)  # west, south, east, north of where both are planned
# Share of cloud over land, on the mean of day and night (King et al. 2013, IEEE TGRS 51(7), 3826-3852: 55 %), and how it is spread
# over scenes: most are nearly clear or nearly overcast, as a beta distribution of this sum of parameters has it.
CLOUD: Final = 0.55
_U_SHAPE: Final = 0.9


def spacing_m(mission: Mission, lat: float) -> float:
    """Metres from one orbit to the next, across them, at a latitude (degrees)."""
    # Where the orbit's own turning point is near, tracks run east and are many; beyond it there are none.
    ratio = math.cos(math.radians(mission.inclination)) / math.cos(math.radians(min(abs(lat), 80.0)))
    heading = math.sqrt(max(0.05, 1 - ratio**2))
    return _EARTH_M / mission.orbits * math.cos(math.radians(min(abs(lat), 80.0))) * heading


def acquisitions_of(collection: str, tile: Tile, spans: Sequence[Days], seed: int) -> list[Scene]:
    """Scenes of a collection over a tile in some days, by time; Level-1C's are of the datatakes of Level-2A's.

    Args:
        spans: first and last days.
        seed: of the draws.
    """
    mission = SENTINEL_1 if collection in RADAR else SENTINEL_2
    found = [
        scene
        for first, last in spans
        for orbit, strip, direction in _strips(mission, tile, seed, collection)
        for day, letter in _days(mission, seed, tile.name, orbit, direction, first, last)
        for scene in _scenes(mission, collection, tile, seed, orbit, strip, direction, day, letter)
    ]
    return sorted(found, key=lambda scene: (scene.datetime, scene.scene_id))


def _strips(mission: Mission, tile: Tile, seed: int, collection: str) -> Iterator[tuple[int, tuple[float, float], str]]:
    """Orbits that show any of the tile: number, eastings of the swath's edges in the tile's zone, direction."""
    lon, lat = _centre(tile)
    middle = tile.ulx + SIDE_M / 2
    west, south, east, north = _BOTH
    both = collection in RADAR and west <= lon <= east and south <= lat <= north
    for number, direction in enumerate(["descending", "ascending"][: 2 if both else 1]):
        step = spacing_m(mission, lat)
        phase = unit_interval(seed, "orbit", tile.name, collection in RADAR, direction) * step
        reach = math.ceil((mission.swath_m + SIDE_M) / 2 / step) + 1
        for at in range(-reach, reach + 1):
            edge = middle + phase + at * step - mission.swath_m / 2
            if edge < tile.ulx + SIDE_M and edge + mission.swath_m > tile.ulx:
                yield 1000 * number + at, (edge, edge + mission.swath_m), direction


def _days(
    mission: Mission, seed: int, tile: str, orbit: int, direction: str, first: date, last: date
) -> Iterator[tuple[date, str]]:
    """Days on which the orbit is flown, and the satellite's letter: half a cycle apart with two satellites."""
    half = mission.cycle_days // 2
    # neighbouring orbits are flown three days apart, or so (Sentinel-2: 3, Sentinel-1: 5)
    phase = draw(seed, "day", tile, direction, mission.orbits) + orbit * (3 if mission.part_m is None else 5)
    turn = -(-(first.toordinal() - phase % half) // half)
    while (day := date.fromordinal(turn * half + phase % half)) <= last:
        second = turn % 2 == 1
        flown = day >= mission.since[second] and not (second and mission.until and day > mission.until)
        if flown:
            yield day, "AB"[second]
        turn += 1


def _scenes(
    mission: Mission, collection: str, tile: Tile, seed: int, orbit: int, strip: tuple[float, float], direction: str, day: date, letter: str
) -> Iterator[Scene]:  # fmt: skip
    datatake = f"{letter}-{direction}-{orbit}-{day}"
    taken = datetime.combine(day, time(10, 30), UTC) + timedelta(minutes=orbit % 1000)
    bottom, top = tile.uly - SIDE_M, float(tile.uly)
    rows = [(bottom - 10_000.0, top + 10_000.0)]
    if mission.part_m is not None:  # slices begin anywhere
        begin = bottom - unit_interval(seed, "slice", tile.name, datatake) * mission.part_m
        count = math.ceil((top - begin) / mission.part_m)
        rows = [(begin + at * mission.part_m, begin + (at + 1) * mission.part_m) for at in range(count)]
    for part, (low, high) in enumerate(rows):
        outline = _degrees(tile, (strip[0], low, strip[1], high))
        yield Scene(
            collection=collection, scene_id=f"{collection}-{tile.name}-{datatake}-{part}",
            datetime=(taken + timedelta(seconds=25 * part)).replace(tzinfo=None), platform=letter, relative_orbit=orbit,
            orbit_state=direction, processing_baseline="", datatake=datatake, generated="",
            acquisition=f"{collection}-{tile.name}-{datatake}-0", cloud_cover=100 * cloud_of(seed, tile.name, datatake),
            dn_offset=0, radiometry="", refused="", footprint=shapely.to_wkt(outline), assets="{}", digest="", item="{}",
        )  # fmt: skip


def cloud_of(seed: int, tile: str, datatake: str) -> float:
    """Share of cloud of an acquisition, drawn: the same for all collections."""
    generator = np.random.Generator(np.random.Philox(key=draw(seed, "cloud", tile, datatake)))
    return float(generator.beta(CLOUD * _U_SHAPE, (1 - CLOUD) * _U_SHAPE))


def _centre(tile: Tile) -> tuple[float, float]:
    lon, lat = to_degrees(tile.epsg).transform(tile.ulx + SIDE_M / 2, tile.uly - SIDE_M / 2)
    return float(lon), float(lat)


def _degrees(tile: Tile, box: tuple[float, float, float, float]) -> shapely.Geometry:
    """A box of the tile's zone in EPSG:4326."""

    def turned(points: np.ndarray) -> np.ndarray:
        return np.column_stack(to_degrees(tile.epsg).transform(points[:, 0], points[:, 1]))

    return shapely.transform(shapely.segmentize(shapely.box(*box), 50_000), turned)
