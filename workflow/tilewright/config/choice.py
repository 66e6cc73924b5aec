"""What a user says of which scenes serve: how clean a cell must be, which periods there are, and how each chooses."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from tilewright.config.bands import CLOUD, SNOW
from tilewright.config.base import Fraction, Model, Name
from tilewright.config.spans import Days, joined, words

SclClass = Annotated[int, Field(ge=0, le=11)]
_FURTHEST: Final = 3660  # days, ten years: further off a reference date is a slip


class Intensity(Model):
    """Refuse brightly saturated scenes that SCL misses (OpenSentinelMap §3.2; the paper gives no threshold)."""

    band: str = Field("B02", description="band whose brightness is looked at")
    percentile: float = Field(5.0, ge=0, le=100, description="percentile over the cell's valid pixels")
    max_dn: int = Field(
        5000, gt=0, description="refuse the scene where that percentile is above this, in DN (10000 = reflectance 1)"
    )


class Mask(Model):
    """How clean a cell must be in a scene. Fractions are of the cell's SCL pixels."""

    bad: list[SclClass] = Field([0, 1, 3, 8, 9], description="SCL classes that count as bad")
    max_bad: Fraction = Field(0.25, description="largest share of bad pixels")
    max_nodata: Fraction = Field(
        0.0, description="largest share of class 0 (no data); 0 is full coverage; always of all pixels"
    )
    cloud: list[SclClass] = Field(
        list(CLOUD), min_length=1, exclude_if=lambda classes: classes == list(CLOUD),
        description="SCL classes that max_cloud counts as cloud; shadow (3) and cirrus (10) are not among them by default",
    )  # fmt: skip
    max_cloud: Fraction | None = Field(None, description="largest share of cloud (the classes under `cloud`)")
    max_scene_cloud: Fraction | None = Field(
        None, exclude_if=lambda limit: limit is None,
        description="largest cloud cover of the whole scene as the catalog says (0.1: 10 %); a scene of which it does not say is refused",
    )  # fmt: skip
    max_shadow: Fraction | None = Field(None, description="largest share of cloud shadow (class 3)")
    min_snow: Fraction | None = Field(None, description="smallest share of snow (class 11)")
    max_snow: Fraction | None = Field(None, description="largest share of snow (class 11)")
    denominator: Literal["all", "valid"] = Field(
        "all", description="pixels that the shares of bad, cloud, shadow and snow are of: all, or those not class 0 "
        "(class 0 is then not counted as bad either)",
    )  # fmt: skip
    exclusive: bool = Field(
        False, exclude_if=lambda told: told is False,
        description="max_cloud, max_scene_cloud, max_shadow and max_snow are refused themselves: less than, not at most",
    )  # fmt: skip
    intensity: Intensity | None = Field(None, description="minimum-intensity filter; off when absent")

    @field_validator("bad", "cloud")
    @classmethod
    def _once(cls, classes: list[int]) -> list[int]:
        return sorted(set(classes))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if why := contradiction(self):
            raise ValueError(why)
        return self


def contradiction(limits: Mask) -> str:
    """Why no scene can obey the limits whatever it shows; "" where one can."""
    if limits.exclusive:
        for name in ("max_cloud", "max_scene_cloud", "max_shadow", "max_snow"):
            if getattr(limits, name) == 0:
                return f"{name} is 0 and exclusive: nothing is less than 0; raise it, or set exclusive to false"
    if limits.min_snow is None:
        return ""
    least = limits.min_snow
    white = set(SNOW)
    tops = [
        ("max_snow", limits.max_snow, limits.exclusive, True),
        ("max_cloud", limits.max_cloud, limits.exclusive, white <= set(limits.cloud)),
        ("max_bad", limits.max_bad, False, white <= set(limits.bad)),
    ]
    for name, most, exclusive, counted in tops:
        if counted and most is not None and (least >= most if exclusive else least > most):
            told = f"min_snow {least} is {'not below' if exclusive else 'above'} {name} {most}"
            return f"{told}{'' if name == 'max_snow' else ', which counts snow'}: no scene can serve"
    return ""


class MaskOverride(Model):
    """Mask limits that differ in one period; what is absent is as under `mask`."""

    bad: list[SclClass] | None = None
    max_bad: Fraction | None = None
    max_nodata: Fraction | None = None
    cloud: list[SclClass] | None = Field(None, min_length=1)
    max_cloud: Fraction | None = None
    max_scene_cloud: Fraction | None = None
    max_shadow: Fraction | None = None
    min_snow: Fraction | None = None
    max_snow: Fraction | None = None
    denominator: Literal["all", "valid"] | None = None
    exclusive: bool | None = None

    @field_validator("bad", "cloud")
    @classmethod
    def _once(cls, classes: list[int] | None) -> list[int] | None:
        return None if classes is None else sorted(set(classes))

    def over(self, other: "MaskOverride") -> "MaskOverride":
        """What is said here, and for the rest what `other` says."""
        return other.model_copy(update=self.model_dump(exclude_none=True))


CellOrder = Literal["shuffled_by_month", "clearest", "latest"]
Order = Literal[CellOrder, "spread"]
Method = Literal["optimal", "greedy"]


class Weights(Model):
    """What choosing products for a tile goes by (`order: spread`); the products with the least weighted sum are taken.

    Each part is a number from 0, the best, to 1 (`spread` more, for what lies further off). All of them are of the tile's cells, by
    what the mask counted.
    """

    cloud: float = Field(1, ge=0, description="of the share of cloud (`mask.cloud`) among the pixels with data")
    overlap: float = Field(1, ge=0, description="of the share of cells that the product shows nothing of")
    nodata: float = Field(
        1, ge=0, description="of the share of pixels without data in the cells that it shows anything of"
    )
    spread: float = Field(
        1, ge=0, description="of the distance in time from the target day, in steps between two targets; targets are spread evenly over the period"
    )  # fmt: skip

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any((self.cloud, self.overlap, self.nodata, self.spread)):
            raise ValueError("all are 0: nothing would tell one product from another; raise one of them")
        return self


class Choice(Model):
    """The choice rule: how many scenes of a cell in a period, how clean."""

    scenes: int = Field(2, ge=1, description="scenes wanted for each cell, from different datatakes")
    mask: MaskOverride = Field(MaskOverride(), description="mask limits that differ in this period")


class Ordered(Choice):
    """The choice rule, with the order in which scenes are tried."""

    order: Order = Field(
        "shuffled_by_month", description="shuffled_by_month: months in seeded order, one scene of each in turn (OpenSentinelMap); "
        "clearest: least bad first; latest: newest first; spread: products are chosen once for the tile, evenly in time (DeepSatData): "
        "cells take those of them that serve",
    )  # fmt: skip
    weights: Weights | None = Field(None, description="what `order: spread` goes by; all 1 when absent")
    method: Method | None = Field(
        None, description="how `order: spread` chooses. optimal (default): the least sum over all targets; greedy: target by target, the best product left "
        "(DeepSatData)",
    )  # fmt: skip

    @model_validator(mode="after")
    def _of_spread(self) -> Self:
        for name in ("weights", "method"):
            if self.order != "spread" and getattr(self, name) is not None:
                raise ValueError(f"{name}: says nothing with `order: {self.order}`; remove it, or use `order: spread`")
        return self


class Reference(Model):
    """Days around each cell's reference date, both included."""

    from_days: int = Field(
        ge=-_FURTHEST, le=_FURTHEST, description="first day, counted from the date; negative: before it"
    )
    to_days: int = Field(ge=-_FURTHEST, le=_FURTHEST, description="last day, counted from the date, included")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to_days < self.from_days:
            raise ValueError(f"to_days {self.to_days} is before from_days {self.from_days}: swap them")
        return self


def _check_days(start: date, end: date, about: str = "") -> None:
    """Raises ValueError for days that are not in order; `about` begins the message."""
    if end < start:
        raise ValueError(f"{about}end {end} is before start {start}: swap them")


class Window(Model):
    """Days in which scenes may serve that do not in the period's own."""

    start: date = Field(description="first day (UTC)")
    end: date = Field(description="last day (UTC), included")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _check_days(self.start, self.end)
        return self


class Period(Ordered):
    """A named time window with its choice rule: from `start` to `end`, or around each cell's own date (`reference`)."""

    name: Name = Field(description="becomes a folder name")
    start: date | None = Field(None, description="first day (UTC)")
    end: date | None = Field(None, description="last day (UTC), included")
    reference: Reference | None = Field(
        None, description="instead of start and end: days around each cell's reference date (`cells.reference`, or the date of a sample)"
    )  # fmt: skip
    fallback: list[Window] = Field(
        [], description="further windows; the scenes of each are tried, in this order, where those before it do not give a cell enough"
    )  # fmt: skip

    @model_validator(mode="after")
    def _window(self) -> Self:
        about = f"period {self.name}"
        if self.reference is not None:
            if self.start is not None or self.end is not None:
                raise ValueError(f"{about}: has reference and start or end; give one of the two ways")
            if self.fallback:
                raise ValueError(f"{about}: fallback needs start and end; widen reference instead")
            if self.order == "spread":
                raise ValueError(
                    f"{about}: `order: spread` chooses for a whole tile: give start and end, not reference"
                )
            return self
        if self.start is None or self.end is None:
            lacking = [name for name in ("start", "end") if getattr(self, name) is None]
            told = "is missing" if len(lacking) == 1 else "are missing"
            raise ValueError(f"{about}: {' and '.join(lacking)} {told}; give start and end, or reference")
        _check_days(self.start, self.end, f"{about}: ")
        if self.fallback and self.order == "spread":
            raise ValueError(f"{about}: `order: spread` has no fallback: remove it, or use another order")
        for one, two in combinations(self.days(), 2):
            if one[0] <= two[1] and two[0] <= one[1]:
                raise ValueError(f"{about}: the windows {words([one])} and {words([two])} overlap: cut one of them")
        return self

    def days(self) -> list[Days]:
        """The period's own window and the fallbacks, in the order in which they are tried; none of a reference window."""
        if self.start is None or self.end is None:
            return []
        return [(self.start, self.end), *((window.start, window.end) for window in self.fallback)]

    def spans(self, references: Sequence[Days]) -> list[Days]:
        """All days of which a scene may serve a cell of a tile.

        Args:
            references: the days among which the reference dates of the tile's cells are.
        """
        if self.reference is None:
            return joined(self.days())
        before, after = (timedelta(days=days) for days in (self.reference.from_days, self.reference.to_days))
        return joined((first + before, last + after) for first, last in references)


def limits(mask: Mask, period: Choice) -> Mask:
    """The mask limits of one period: the config's, with what the period says otherwise."""
    return mask.model_copy(update=period.mask.model_dump(exclude_none=True))


def check_limits(mask: Mask, periods: Sequence[Period]) -> None:
    """Raises ValueError for a period whose limits, put together, no scene can obey."""
    for period in periods:
        if why := contradiction(limits(mask, period)):
            raise ValueError(f"periods: {period.name}: its limits and those under mask together: {why}")


class Span(Ordered):
    """Periods cut from a span of time, named 2019-01 (month), 2019-q1 (quarter) or 2019 (year)."""

    every: Literal["month", "quarter", "year"] = Field(description="length of each period")
    start: date = Field(description="first day (UTC)")
    end: date = Field(description="last day (UTC), included")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _check_days(self.start, self.end)
        return self

    def periods(self) -> list[Period]:
        """The periods in time order; the first and the last are cut to the span."""
        months = {"month": 1, "quarter": 3, "year": 12}[self.every]
        year, month = self.start.year, (self.start.month - 1) // months * months + 1
        made = []
        while (first := date(year, month, 1)) <= self.end:
            year, month = (year, month + months) if month + months <= 12 else (year + 1, month + months - 12)
            last = date.fromordinal(date(year, month, 1).toordinal() - 1)
            quarter = f"{first.year}-q{(first.month + 2) // 3}"
            name = {"month": f"{first.year}-{first.month:02}", "quarter": quarter, "year": str(first.year)}[self.every]
            made.append(
                Period(
                    name=name, start=max(first, self.start), end=min(last, self.end),
                    scenes=self.scenes, order=self.order, weights=self.weights, method=self.method, mask=self.mask,
                )
            )  # fmt: skip
        return made
