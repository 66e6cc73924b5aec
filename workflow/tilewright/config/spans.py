"""Spans of days: what a search asks a catalog for, and which scenes may serve."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

Days = tuple[date, date]
"""First and last day (UTC), both included."""

_DAY = timedelta(days=1)


def joined(spans: Iterable[Days]) -> list[Days]:
    """The same days as spans that neither meet nor follow each other at once, in time order."""
    found: list[Days] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + _DAY:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def widened(spans: Iterable[Days], days: int) -> list[Days]:
    """All days that are at most so many days away from a day of `spans`."""
    return joined((first - days * _DAY, last + days * _DAY) for first, last in spans)


def listed(told: Any) -> Any:
    """Spans as files tell them, as a list: a single one stands there without a list around it, as [first, last]."""
    single = isinstance(told, Sequence) and len(told) == 2 and not any(isinstance(part, list | tuple) for part in told)
    return [told] if single else told


def _told(spans: Sequence[Days]) -> list[Any]:
    days = [[str(first), str(last)] for first, last in spans]
    return days[0] if len(days) == 1 else days


Spans = Annotated[list[Days], BeforeValidator(listed), PlainSerializer(_told)]
"""Spans of days; one alone is told as [first, last], which is what most searches have."""


def words(spans: Sequence[Days]) -> str:
    """For messages: 2020-12-06 to 2021-01-05, 2021-12-06 to 2022-01-05."""
    return ", ".join(f"{first} to {last}" for first, last in spans)
