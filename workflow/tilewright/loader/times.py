"""Which dates of a series make a sample: pure functions of what a cell has, a seed, an epoch and the cell's name."""

from typing import Final, Literal, get_args

import numpy as np

from tilewright.draw import draw

Sampling = Literal["first", "last", "even", "random", "season_pair"]
Season = Literal["date", "period", "quarter"]
SAMPLINGS: Final = get_args(Sampling)
SEASONS: Final = get_args(Season)
NO_TIME: Final = int(np.iinfo(np.int64).min)  # numpy's NaT: what pads the times of a sample


def choose(count: int, number: int | None, how: Sampling, *names: object) -> np.ndarray:
    """Positions of `number` of `count` dates, ascending; all where there are no more than that.

    `even` spreads them over positions, ends included (the middle one where `number` is 1); `random` draws without
    replacement by (`names`), each set of dates as likely as any other.
    """
    if number is None or count <= number:
        return np.arange(count)
    if how == "first":
        return np.arange(number)
    if how == "last":
        return np.arange(count - number, count)
    if how == "even":
        if number == 1:
            return np.array([(count - 1) // 2])
        # whole-number rounding (halves down): no float decides which date it is
        return (2 * np.arange(number) * (count - 1) + number - 2) // (2 * (number - 1))
    ranks = [draw(*names, position) for position in range(count)]
    return np.sort(np.argsort(ranks, kind="stable")[:number])


def season_pair(season: np.ndarray, *names: object) -> np.ndarray:
    """Positions of two dates of different seasons, in random order: two views of one place.

    Two different seasons are drawn, each pair as likely as any other, then a date of each: as RandomSeasonContrast of
    SSL4EO-S12 (whose cells have one date a season), but never the same season twice. `season`: the season of each date; at least two must differ.
    """
    seasons = np.unique(season)
    first = draw(*names, "first") % len(seasons)
    second = draw(*names, "second") % (len(seasons) - 1)
    pair = (first, second + (second >= first))
    found = []
    for view, number in enumerate(pair):
        of = np.flatnonzero(season == seasons[number])
        found.append(of[draw(*names, "date", view) % len(of)])
    return np.array(found)


def seasons_of(time: np.ndarray, period: np.ndarray, season: Season) -> np.ndarray:
    """The season of each date: itself, its period, or its quarter of the year (December to February, …).

    A scene that two periods chose is in a series twice: one date.
    """
    if season == "date":
        return np.unique(time, return_inverse=True)[1]
    if season == "period":
        return np.unique(period, return_inverse=True)[1]
    month = time.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12  # 0 is January
    return (month + 1) % 12 // 3


def iso_times(time: object) -> list[str]:
    """Times of a sample (a tensor or an array) as ISO 8601 in UTC, to the second; "" for padding."""
    micro = np.asarray(time, dtype=np.int64).ravel()
    return [
        "" if value == NO_TIME else f"{np.datetime64(int(value), 'us').astype('datetime64[s]')}Z" for value in micro
    ]
