"""When which satellite looks at a tile, and what kind of day it is."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from tilewright.config.simulated import Simulate, Site
from tilewright.simulate.mgrs import Frame, frame
from tilewright.simulate.seeded import digest, generator

# clear; cumulus: partly cloudy with shadows and some cirrus; overcast; swath: clear, cut by the edge of the swath;
# snow: clear, part of the ground white; hazy: bright all over, and SCL does not notice.
Weather = Literal["clear", "cumulus", "overcast", "swath", "snow", "hazy"]
# With few scenes a year the first of these are kept.
_YEAR: tuple[Weather, ...] = ("clear", "cumulus", "snow", "clear", "overcast", "swath", "hazy")
_MORE: tuple[Weather, ...] = (
    "clear",
    "clear",
    "cumulus",
    "clear",
    "overcast",
    "clear",
    "cumulus",
    "clear",
    "swath",
    "snow",
)
_CYCLE_DAYS, _CYCLE_ORBITS = 10, 143  # Sentinel-2's repeat cycle; its twin follows after half of it
_EPOCH = date(2015, 7, 1)


@dataclass(frozen=True)
class SimScene:
    """One acquisition of one tile; `number` is its place in `World.scenes()`, (ulx, uly) the tile's corner in metres."""

    number: int
    id: str
    site: str
    tile: str
    datetime: datetime
    platform: str
    relative_orbit: int
    absolute_orbit: int
    datatake: str
    processing_baseline: str
    epsg: int
    ulx: int
    uly: int
    weather: Weather

    @property
    def day_of_year(self) -> int:
        """1 to 366."""
        return self.datetime.timetuple().tm_yday


def _baseline(day: date) -> str:
    """The processing baseline in force on a day (Sentinel-2 Products Specification, history of baselines, in part)."""
    changes = (("2.07", date(2015, 1, 1)), ("2.11", date(2018, 11, 6)), ("2.14", date(2020, 2, 4)), ("4.00", date(2022, 1, 25)),
               ("5.09", date(2022, 12, 6)), ("5.10", date(2023, 12, 13)), ("5.11", date(2024, 7, 23)))  # fmt: skip
    return "0" + [name for name, since in changes if day >= since or since.year == 2015][-1]


def _days(orbit: int, year: int) -> list[tuple[date, str]]:
    """Every pass of `orbit` in a year, and its platform: five days apart, S2A and S2B in turn."""
    offset = orbit * _CYCLE_DAYS // _CYCLE_ORBITS
    step = _CYCLE_DAYS // 2
    first = date(year, 1, 1)
    since = (first - _EPOCH).days - offset
    turn = -(-since // step)
    days = []
    while (day := _EPOCH + timedelta(days=offset + turn * step)).year == year:
        days.append((day, "AB"[turn % 2]))
        turn += 1
    return days


def _weather(settings: Simulate, tile: str, days: list[date], southern: bool) -> list[Weather]:
    """The weather of each scene of a year: every kind at least once when there are seven, snow in winter."""
    if settings.watermark:
        return ["clear"] * len(days)
    wanted = [*_YEAR, *(_MORE[number % len(_MORE)] for number in range(len(days)))][: len(days)]
    midwinter = 196 if southern else 15

    def from_winter(index: int) -> int:
        distance = abs(days[index].timetuple().tm_yday - midwinter)
        return min(distance, 365 - distance)

    by_cold = sorted(range(len(days)), key=from_winter)
    snowy = by_cold[: wanted.count("snow")]
    rest = [weather for weather in wanted if weather != "snow"]
    shuffled = iter(generator(settings.seed, tile, days[0].year, "weather").permutation(len(rest)))
    return ["snow" if index in snowy else rest[int(next(shuffled))] for index in range(len(days))]


def _scenes(settings: Simulate, site: Site, place: Frame, first: int) -> list[SimScene]:
    orbit = 1 + digest(settings.seed, place.tile, "orbit") % _CYCLE_ORBITS
    made: list[SimScene] = []
    for year in sorted(set(settings.years)):
        passes = _days(orbit, year)
        count = min(settings.scenes_per_year, len(passes))
        chosen = [passes[int((index + 0.5) * len(passes) / count)] for index in range(count)]
        weather = _weather(settings, place.tile, [day for day, _ in chosen], site.lat < 0)
        for (day, letter), kind in zip(chosen, weather, strict=True):
            # 10:30 local solar time at the descending node, in UTC; milliseconds to keep parsers honest.
            second = int(((10.5 - site.lon / 15) % 24) * 3600) + digest(place.tile, day) % 60
            taken = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
            taken += timedelta(milliseconds=int(digest(settings.seed, place.tile, day, "ms") % 1000))
            absolute = (day - _EPOCH).days // _CYCLE_DAYS * _CYCLE_ORBITS + orbit
            baseline = _baseline(day)
            sensed = f"{taken - timedelta(seconds=240):%Y%m%dT%H%M%S}"
            made.append(
                SimScene(
                    number=first + len(made), id=f"S2{letter}_{place.zone}{place.tile[2:]}_{day:%Y%m%d}_0_L2A", site=site.name,
                    tile=place.tile, datetime=taken, platform=f"sentinel-2{letter.lower()}", relative_orbit=orbit,
                    absolute_orbit=absolute, datatake=f"GS2{letter}_{sensed}_{absolute:06}_N{baseline}",
                    processing_baseline=baseline, epsg=place.epsg, ulx=place.ulx, uly=place.uly, weather=kind,
                )
            )  # fmt: skip
    return made


def schedule(settings: Simulate) -> tuple[SimScene, ...]:
    """All scenes: by site, tile (as listed), then time."""
    scenes: list[SimScene] = []
    for site in settings.sites:
        for tile in site.tiles:
            scenes += _scenes(settings, site, frame(tile), len(scenes))
    return tuple(scenes)
