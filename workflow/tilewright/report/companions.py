"""Pictures of companions: under each date of Level-2A what is paired with it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tilewright.report.drawing import Frame, png, with_holes
from tilewright.report.facts import Facts

TRUE_COLOUR: Final = ("B04", "B03", "B02")
# Two polarisations as red, green and the difference of both (their ratio, in dB) as blue: a common false colour of radar.
_CO_CROSS: Final = (("VV", "VH"), ("HH", "HV"))
_DAY: Final = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Shown:
    """Which bands of a collection are drawn: three as red, green and blue, two as false colour of radar, one as grey."""

    collection: str
    resolution_m: int
    bands: tuple[str, ...]
    radar: bool


@dataclass(frozen=True)
class Companion:
    """A companion of one date of a cell.

    Attributes:
        channels: (1 or 3, y, x), NaN where there is no data.
        counted: (y, x) bool, the pixels by which colours are chosen: clouds and snow would leave the ground black.
        note: how far it is from its date, and its direction.
    """

    channels: np.ndarray
    counted: np.ndarray
    note: str


Companions = dict[str, list[Companion | None]]
"""By collection, for each date that is shown; None: it has none."""


def shown_of(facts: Facts, collection: str) -> Shown | None:
    """What is drawn of a companion collection."""
    groups = facts.bands_of(collection)
    wanted = _CO_CROSS if groups and groups[0].radar else (TRUE_COLOUR,)
    for names in wanted:
        for each in groups:
            if set(names) <= set(each.names):
                return Shown(collection, each.resolution_m, names, each.radar)
    return Shown(collection, groups[0].resolution_m, groups[0].names[:1], groups[0].radar) if groups else None


def read_companions(facts: Facts, cell_id: str, picked: np.ndarray, clear: np.ndarray, side: int) -> Companions:
    """The companions of a cell's dates `picked`, by position; pictures of more than `side` pixels show every n-th.

    Args:
        clear: (time, y, x) bool, where Level-2A shows neither cloud nor snow on these dates.
    """
    found: Companions = {}
    times = facts.dataset.series(cell_id).time
    for name in facts.companions:
        shown = shown_of(facts, name)
        if shown is None:
            continue
        series = facts.dataset.series(cell_id, name)
        place = {int(primary): at for at, primary in enumerate(series.primary)}
        states = facts.dataset[cell_id][name].to_dataset().get("orbit_state")
        names = next(each.names for each in facts.bands_of(name) if each.resolution_m == shown.resolution_m)
        own = [names.index(band) for band in shown.bands]
        found[name] = []
        for number, date in enumerate(map(int, picked)):
            at = place.get(date)
            if at is None:
                found[name].append(None)
                continue
            away = pd.Timedelta(int(series.time[at] - times[date]), "us")
            state = "" if states is None else str(states.values[at])
            pixels = series.arrays[f"r{shown.resolution_m}m"][at][own]
            step = -(-pixels.shape[-1] // side)
            channels = _channels(pixels[:, ::step, ::step], shown)
            counted = np.ones(channels.shape[1:], bool)
            if not shown.radar and clear[number].shape == counted.shape and clear[number].any():
                counted = clear[number]
            found[name].append(Companion(channels, counted, _note(away, state)))
    return found


def _channels(pixels: np.ndarray, shown: Shown) -> np.ndarray:
    values = pixels.astype(float)
    if not shown.radar:
        values[:, (pixels == 0).all(axis=0)] = np.nan
    if len(values) == 2:
        return np.stack([values[0], values[1], values[0] - values[1]])
    return values


def _note(away: pd.Timedelta, state: str) -> str:
    """How far from the date of Level-2A, and from which side: +1.3 days, ascending."""
    days = away / _DAY
    far = "same time" if abs(days) < 1 / 24 else f"{days:+.1f} days" if abs(days) >= 0.95 else f"{24 * days:+.0f} hours"
    return ", ".join(each for each in (far.replace("-", "\u2212"), state) if each)


def ranges(cells: list[Companions], collection: str) -> list[tuple[float, float]]:
    """What is black and what is white in each channel: the medians of the pictures' 2nd and 98th percentiles, of pixels that count."""
    there = [one.channels[:, one.counted] for each in cells for one in each.get(collection, []) if one is not None]
    return [_range([one[channel] for one in there]) for channel in range(len(there[0]))] if there else []


def _range(pictures: list[np.ndarray]) -> tuple[float, float]:
    limits = [np.percentile(seen, [2, 98]) for one in pictures if len(seen := one[~np.isnan(one)])]
    if not limits:
        return 0.0, 1.0
    low, high = (float(each) for each in np.median(limits, axis=0))
    return low, max(high, low + 1e-3)


def strip(
    of: list[Companion | None], limits: list[tuple[float, float]], dates: list[pd.Timestamp], name: str
) -> list[Frame]:
    """A row of pictures, one under each date."""
    frames = []
    for companion, date in zip(of, dates, strict=True):
        if companion is None:
            frames.append(Frame(name, f"no {name} for {date:%Y-%m-%d}", ""))
            continue
        low, high = (np.array([each[end] for each in limits])[:, None, None] for end in (0, 1))
        colour = np.moveaxis(np.clip((companion.channels - low) / (high - low), 0, 1), 0, -1)
        holes = np.isnan(colour).any(axis=-1)
        pixels = np.rint(255 * np.broadcast_to(np.nan_to_num(colour), (*holes.shape, 3))).astype("uint8")
        frames.append(Frame(name, companion.note, png(with_holes(pixels, holes))))
    return frames


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "\u2212")


def caption(shown: Shown, limits: list[tuple[float, float]], unit: str) -> str:
    """How a collection's pixels became colours."""
    if not limits:
        return f" {shown.collection}: no date shown has any."
    if len(shown.bands) == 2:
        co, cross = shown.bands
        told = zip(("red", "green", "blue"), (co, cross, f"{co} \u2212 {cross}"), limits, strict=True)
        ends = "; ".join(f"{channel} {band} {_number(low)} to {_number(high)}" for channel, band, (low, high) in told)
        return f" {shown.collection} in false colour, {unit}: {ends}."
    if shown.radar:
        ends = f"{_number(limits[0][0])} (black) to {_number(limits[0][1])} {unit} (white)"
        return f" {shown.collection}: {shown.bands[0]} in grey, {ends}."
    what = "true colour" if shown.bands == TRUE_COLOUR else f"{shown.bands[0]} in grey"
    low, high = min(each[0] for each in limits), max(each[1] for each in limits)
    return f" {shown.collection}: {what}, reflectance {low / 1e4:.3f} to {high / 1e4:.3f}, each band by its own percentiles of clear pixels."
