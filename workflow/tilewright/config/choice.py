"""What a user says of which scenes serve: how clean a cell must be, which periods there are, and how each chooses."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from tilewright.config.base import Fraction, Model, Name

SclClass = Annotated[int, Field(ge=0, le=11)]


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
    max_cloud: Fraction | None = Field(
        None, description="largest share of cloud (classes 8, 9; shadow and cirrus not counted)"
    )
    max_shadow: Fraction | None = Field(None, description="largest share of cloud shadow (class 3)")
    min_snow: Fraction | None = Field(None, description="smallest share of snow (class 11)")
    max_snow: Fraction | None = Field(None, description="largest share of snow (class 11)")
    denominator: Literal["all", "valid"] = Field(
        "all", description="pixels that the shares of bad, cloud, shadow and snow are of: all, or those not class 0 "
        "(class 0 is then not counted as bad either)",
    )  # fmt: skip
    intensity: Intensity | None = Field(None, description="minimum-intensity filter; off when absent")

    @field_validator("bad")
    @classmethod
    def _once(cls, bad: list[int]) -> list[int]:
        return sorted(set(bad))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_snow is not None and self.max_snow is not None and self.min_snow > self.max_snow:
            raise ValueError(f"min_snow {self.min_snow} is above max_snow {self.max_snow}: no scene can serve")
        return self


class MaskOverride(Model):
    """Mask limits that differ in one period; what is absent is as under `mask`."""

    bad: list[SclClass] | None = None
    max_bad: Fraction | None = None
    max_nodata: Fraction | None = None
    max_cloud: Fraction | None = None
    max_shadow: Fraction | None = None
    min_snow: Fraction | None = None
    max_snow: Fraction | None = None
    denominator: Literal["all", "valid"] | None = None


Order = Literal["shuffled_by_month", "clearest", "latest"]


class Choice(Model):
    """The choice rule: how many scenes of a cell in a period, tried in which order."""

    scenes: int = Field(2, ge=1, description="scenes wanted for each cell, from different datatakes")
    order: Order = Field(
        "shuffled_by_month", description="shuffled_by_month: months in seeded order, one scene of each in turn (OpenSentinelMap); "
        "clearest: least bad first; latest: newest first",
    )  # fmt: skip
    mask: MaskOverride = Field(MaskOverride(), description="mask limits that differ in this period")


class Period(Choice):
    """A named time window with its choice rule."""

    name: Name = Field(description="becomes a folder name")
    start: date = Field(description="first day (UTC)")
    end: date = Field(description="last day (UTC), included")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"period {self.name}: end {self.end} is before start {self.start}: swap them")
        return self


class Span(Choice):
    """Periods cut from a span of time, named 2019-01 (month), 2019-q1 (quarter) or 2019 (year)."""

    every: Literal["month", "quarter", "year"] = Field(description="length of each period")
    start: date = Field(description="first day (UTC)")
    end: date = Field(description="last day (UTC), included")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}: swap them")
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
                    scenes=self.scenes, order=self.order, mask=self.mask,
                )
            )  # fmt: skip
        return made


# A mapping means a span, anything else a list: the error is then about what the user meant to write.
Periods = Annotated[
    Annotated[list[Period], Tag("list")] | Annotated[Span, Tag("span")],
    Discriminator(lambda value: "span" if isinstance(value, dict | Span) else "list"),
]
