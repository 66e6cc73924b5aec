"""Which labels make a part of a sample: single sets, and families of yearly sets joined by the year of each date."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tilewright.config.bands import UNLABELED
from tilewright.errors import TilewrightError

MAIN: Final = ("labels", "layer")  # what a label set is about: classes, or a static layer's numbers
# What stands where no set is of a date's year, and in padding. `ignore`: masks of small regions, 1 where to ignore.
_FILLS: Final = {"labels": UNLABELED, "ignore": 1}

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class LabelPart:
    """A label set of a sample, or a family.

    Attributes:
        name: as the sample has it.
        sets: the set; of a family one for each year.
        years: of a family the year of each set; None for a single set, which serves every date.
    """

    name: str
    sets: tuple[str, ...]
    years: tuple[int, ...] | None


def families(labels: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[int, str]]:
    """{family: {year: label set}} of the sets that an index describes; a set by its own name is no family."""
    found: dict[str, dict[int, str]] = {}
    for name, about in sorted(labels.items()):
        family, year = about.get("family"), about.get("year")
        if family is not None and family != name and family not in labels and year is not None:
            found.setdefault(str(family), {})[int(year)] = name
    return {family: dict(sorted(years.items())) for family, years in found.items()}


def label_parts(
    names: Sequence[str] | None, known: Sequence[str], by_year: Mapping[str, Mapping[int, str]]
) -> tuple[LabelPart, ...]:
    """Those called `names`; all sets, each by itself, where that is None.

    Raises:
        TilewrightError: for a name that is neither a set nor a family.
    """
    parts = []
    for name in known if names is None else names:
        if name in known:
            parts.append(LabelPart(name, (name,), None))
        elif name in by_year:
            years = by_year[name]
            parts.append(LabelPart(name, tuple(years.values()), tuple(years)))
        else:
            there = ", ".join(known) or "none"
            joined = f", and {', '.join(by_year)} by year" if by_year else ""
            raise TilewrightError(f"labels: no label set {name!r} in this dataset; it has {there}{joined}")
    return tuple(parts)


def joined(part: LabelPart, time: np.ndarray, read: Callable[[str], Arrays], empty: Callable[[], Arrays]) -> tuple[Arrays, np.ndarray]:  # fmt: skip
    """The arrays of a family with a first axis `time`, and for which dates (time,) bool there is a set of their year.

    Args:
        part: a family.
        time: (time,) int64 microseconds since 1970-01-01 UTC.
        read: the arrays of one set; asked for years that dates are of only.
        empty: arrays of the same names, shapes and types, whatever their values.
    """
    assert part.years is not None
    of = time.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970
    there = np.isin(of, part.years)
    sets = {year: read(name) for year, name in zip(part.years, part.sets, strict=True) if year in of}
    found = {}
    for name, like in (next(iter(sets.values())) if sets else empty()).items():
        array = found[name] = np.full((len(time), *like.shape), fill_of(name, like.dtype.kind == "f"), like.dtype)
        for year, arrays in sets.items():
            array[of == year] = arrays[name]
    return found, there


def fill_of(name: str, is_float: bool) -> float:
    """What an array of labels holds where there are none."""
    return float("nan") if is_float and name != "parcel_coverage" else _FILLS.get(name, 0)
