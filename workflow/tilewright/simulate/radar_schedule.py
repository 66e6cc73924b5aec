"""When Sentinel-1 looks at a site, and what each of its products covers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from tilewright.config.simulated import Simulate, Site
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.seeded import digest

Direction = Literal["ascending", "descending"]
_CYCLE_DAYS, _CYCLE_ORBITS = 12, 175  # Sentinel-1's repeat cycle; its twin follows after half of it
_EPOCH = date(2014, 4, 3)
_LAST_OF_B = date(2021, 12, 23)  # Sentinel-1B failed
_GAP = 6  # one pass of so many did not happen
SLICE_SECONDS = 25
SLICE_OVERLAP = 12  # lines that two slices of a datatake share
_HOURS: Final[dict[Direction, float]] = {"ascending": 18.0, "descending": 6.0}  # local solar time
# (relative orbit = (absolute - this) mod 175 + 1, Sentinel-1 mission guide)
_ORBIT_SHIFT = {"A": 73, "B": 27}


@dataclass(frozen=True)
class RadarScene:
    """One product: a slice of a datatake, as amplitude (GRD) and as gamma0 (RTC, id + "_rtc").

    `first_line`, `lines` and `pixels` cut it out of the pass's frame (`Geometry`).
    """

    id: str
    site: str
    direction: Direction
    platform: str
    start: datetime
    end: datetime
    absolute_orbit: int
    relative_orbit: int
    datatake: int
    slice_number: int
    total_slices: int
    first_line: int
    lines: int
    pixels: int

    @property
    def datetime(self) -> datetime:
        """The middle."""
        return self.start + (self.end - self.start) / 2


def _passes(site: Site, direction: Direction, seed: int, dates: Sequence[date]) -> list[tuple[date, str]]:
    """The pass nearest to each date (3 days away at most), without those that did not happen; platform letters."""
    step = _CYCLE_DAYS // 2
    phase = digest(seed, site.name, direction, "phase") % step
    found = set()
    for day in dates:
        turn = round(((day - _EPOCH).days - phase) / step)
        passed = _EPOCH + timedelta(days=turn * step + phase)
        letter = "AB"[turn % 2]
        lost = letter == "B" and passed > _LAST_OF_B
        if not lost and digest(seed, site.name, direction, passed, "gap") % _GAP:
            found.add((passed, letter))
    return sorted(found)


def _cuts(
    seed: int, site: Site, direction: Direction, day: date, lines: int, pixels: int
) -> tuple[list[tuple[int, int]], int]:
    """First line and lines of each slice, and pixels a line, of a pass: every third has two slices, every fifth is cut in range."""
    turn = digest(seed, site.name, direction, day, "cut")
    slices = [(0, lines)]
    if turn % 3 == 0:
        border = round(lines * (0.35 + 0.3 * (turn // 15 % 1000) / 1000))
        slices = [(0, border + SLICE_OVERLAP // 2), (border - SLICE_OVERLAP // 2, lines - border + SLICE_OVERLAP // 2)]
    share = 0.55 + 0.25 * (turn // 15_000 % 1000) / 1000 if turn // 3 % 5 == 0 else 1.0
    return slices, math.ceil(share * pixels)


def radar_schedule(
    settings: Simulate, site: Site, scenes: Sequence[SimScene], frames: dict[Direction, tuple[int, int]]
) -> tuple[RadarScene, ...]:
    """All products over a site, by time: passes every six days, in both directions, those near the optical scenes only.

    `frames`: lines and pixels of a whole pass over the site.
    """
    dates = sorted({scene.datetime.date() for scene in scenes if scene.site == site.name})
    made: list[RadarScene] = []
    for direction, hour in _HOURS.items():
        relative = 1 + digest(settings.seed, site.name, direction, "orbit") % _CYCLE_ORBITS
        for day, letter in _passes(site, direction, settings.seed, dates):
            cycle = (day - _EPOCH).days // _CYCLE_DAYS
            absolute = (cycle + 1) * _CYCLE_ORBITS + relative - 1 + _ORBIT_SHIFT[letter]
            second = int(((hour - site.lon / 15) % 24) * 3600) + digest(site.name, day, direction) % 300
            taken = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
            taken += timedelta(microseconds=int(digest(settings.seed, site.name, day, "us") % 1_000_000))
            slices, pixels = _cuts(settings.seed, site, direction, day, *frames[direction])
            datatake = absolute * 8 + (direction == "descending")
            for number, (first, lines) in enumerate(slices):
                start = taken + timedelta(seconds=number * SLICE_SECONDS)
                end = start + timedelta(seconds=SLICE_SECONDS)
                made.append(
                    RadarScene(
                        id=f"S1{letter}_IW_GRDH_1SDV_{start:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}_{absolute:06}_{datatake:06X}",
                        site=site.name, direction=direction, platform=f"sentinel-1{letter.lower()}", start=start, end=end,
                        absolute_orbit=absolute, relative_orbit=relative, datatake=datatake, slice_number=number + 1,
                        total_slices=len(slices), first_line=first, lines=lines, pixels=pixels,
                    )
                )  # fmt: skip
    return tuple(sorted(made, key=lambda scene: (scene.start, scene.id)))
