"""Seasons as two published datasets have them, written out as periods; and all forms that `periods` may have."""

from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from tilewright.config.choice import CellOrder, Choice, MaskOverride, Period, Reference, Span, Window
from tilewright.config.spans import Days

# Month and day of the equinoxes and solstices that SSL4EO-S12 names (paper, step 4 of the workflow).
_ANCHORS: Final = {"spring": (3, 20), "summer": (6, 21), "fall": (9, 22), "winter": (12, 21)}
# SeasoNet (paper, section 3): less than 1 % snow and 5 % cloud; in winter less than 10 % of both.
_SEASONET: Final = {
    name: MaskOverride(max_snow=0.01, max_cloud=0.05, exclusive=True) for name in ("spring", "summer", "fall")
}
_SEASONET["winter"] = MaskOverride(max_snow=0.1, max_cloud=0.1, exclusive=True)
# Its snow set has at least 10 % snow, and no limit of cloud: a classifier, which was not published, was trained for a high recall of
# clouds. Instead of it: whatever SCL has that may be cloud over snow counts as cloud (shadow, unclassified, both clouds, cirrus), and the
# limit is that of the snowless seasons.
_SNOW_SET: Final = MaskOverride(
    min_snow=0.1, max_snow=1.0, cloud=[3, 7, 8, 9, 10], max_cloud=0.05, exclusive=False
)  # fmt: skip


class Seasons(Choice):
    """What both have in common."""

    scenes: int = Field(1, ge=1, description="scenes wanted for each cell in each season, from different datatakes")
    order: CellOrder = Field(description="as in a period")

    def _period(self, name: str, mask: MaskOverride, **window: Any) -> Period:
        return Period(name=name, scenes=self.scenes, order=self.order, mask=mask, **window)


class Ssl4eoS12(Seasons):
    """Periods spring, summer, fall, winter as SSL4EO-S12 has them, in one of three ways (docs/recipes.md).

    The published images follow `released`: the four windows of a location are shifted by one draw of up to a year, so that names of
    seasons are those of the unshifted ones.
    """

    seasons: Literal["ssl4eo-s12"] = Field(description="whose seasons")
    rule: Literal["paper", "released", "buffer2y"] = Field(
        "paper", description="paper: around 20 Mar, 21 Jun, 22 Sep, 21 Dec of the year, where that does not serve of the year before. buffer2y (the authors' code "
        "of 2023): the same or 365 days earlier, the most recent. released (their code of 2022): around 21 Dec of the year before, 20 Mar, 21 Jun, "
        "22 Sep, all four shifted by `cells.reference`",
    )  # fmt: skip
    days: int = Field(15, ge=0, le=180, description="days before and after each of the dates, included")
    year: int = Field(2021, ge=2016, le=2100, description="year of the dates")
    order: CellOrder = Field("latest", description="as in a period; the authors take the most recent")

    def first_anchor(self) -> date:
        """The date that `cells.reference` shifts for `rule: released`: the first of the four."""
        return date(self.year - 1, *_ANCHORS["winter"])

    def periods(self) -> list[Period]:
        """The four periods."""
        if self.rule == "released":
            return [self._period(name, self.mask, reference=self._reference(name)) for name in _ANCHORS]
        return [self._fixed(name) for name in _ANCHORS]

    def _fixed(self, name: str) -> Period:
        anchor = date(self.year, *_ANCHORS[name])
        before = date(self.year - 1, *_ANCHORS[name]) if self.rule == "paper" else anchor - timedelta(days=365)
        start, end = _around(anchor, self.days)
        earlier = _around(before, self.days)
        return self._period(name, self.mask, start=start, end=end, fallback=[Window(start=earlier[0], end=earlier[1])])

    def _reference(self, name: str) -> Reference:
        first = self.first_anchor()
        anchor = first if name == "winter" else date(self.year, *_ANCHORS[name])
        away = (anchor - first).days
        return Reference(from_days=away - self.days, to_days=away + self.days)


class Seasonet(Seasons):
    """Periods spring, summer, fall, winter and snow as SeasoNet has them, with the paper's limits of snow and cloud.

    The paper's are meteorological seasons "with an added gap of one month between them", which can be read in two ways.
    """

    seasons: Literal["seasonet"] = Field(description="whose seasons")
    reading: Literal["months", "trimmed"] = Field(
        "months", description="months: without each season's first month (April and May, …), from April to February as the paper says; trimmed: without half a "
        "month at each end (16 March to 15 May, …)",
    )  # fmt: skip
    year: int = Field(
        2018, ge=2016, le=2100, description="year of spring, summer and fall; winter ends in the next one"
    )
    order: CellOrder = Field(
        "clearest", description="as in a period; the paper does not say which of several images serves"
    )
    mask: MaskOverride = Field(
        MaskOverride(), description="limits that differ from the paper's in the four seasons (less than 1 % snow, 5 % cloud; winter 10 % of both)"
    )  # fmt: skip
    snow: MaskOverride = Field(
        MaskOverride(), description="limits that differ in the snow set (at least 10 % snow; at most 5 % of SCL 3, 7, 8, 9, 10, in place of the paper's classifier of "
        "clouds, which was not published)",
    )  # fmt: skip

    def periods(self) -> list[Period]:
        """The four seasons, then snow, which is of any day from the beginning of the first to the end of the last."""
        windows = self._windows()
        made = [
            self._period(name, self.mask.over(_SEASONET[name]), start=start, end=end)
            for name, (start, end) in windows.items()
        ]
        first, last = windows["spring"][0], windows["winter"][1]
        return [*made, self._period("snow", self.snow.over(_SNOW_SET), start=first, end=last)]

    def _windows(self) -> dict[str, Days]:
        year = self.year
        if self.reading == "trimmed":
            return {
                "spring": (date(year, 3, 16), date(year, 5, 15)), "summer": (date(year, 6, 16), date(year, 8, 15)),
                "fall": (date(year, 9, 16), date(year, 11, 15)), "winter": (date(year, 12, 16), date(year + 1, 2, 15)),
            }  # fmt: skip
        return {
            "spring": (date(year, 4, 1), date(year, 5, 31)), "summer": (date(year, 7, 1), date(year, 8, 31)),
            "fall": (date(year, 10, 1), date(year, 11, 30)),
            "winter": (date(year + 1, 1, 1), date(year + 1, 3, 1) - timedelta(days=1)),
        }  # fmt: skip


def _around(day: date, days: int) -> Days:
    return day - timedelta(days=days), day + timedelta(days=days)


SEASONS: Final = ("ssl4eo-s12", "seasonet")
"""Whose seasons there are."""
FORMS: Final = ("list", "span", *SEASONS)
"""How pydantic names the form of `periods` that it took."""


def _form(value: Any) -> str:
    """What the user meant to write, so that errors are about that: a mapping with seasons, another mapping (a span), a list."""
    if isinstance(value, dict) and "seasons" in value:
        return str(value["seasons"])
    if isinstance(value, Seasons):
        return "ssl4eo-s12" if isinstance(value, Ssl4eoS12) else "seasonet"
    return "span" if isinstance(value, dict | Span) else "list"


Periods = Annotated[
    Annotated[list[Period], Tag("list")]
    | Annotated[Span, Tag("span")]
    | Annotated[Ssl4eoS12, Tag("ssl4eo-s12")]
    | Annotated[Seasonet, Tag("seasonet")],
    Discriminator(_form),
]


def periods_of(told: Periods) -> list[Period]:
    """The periods, spans and seasons written out."""
    return list(told) if isinstance(told, list) else told.periods()


def check_references(told: Periods, shifted: date | None, sampled: bool) -> None:
    """Raises ValueError for windows around reference dates that cells do not have.

    Args:
        shifted: the date that `cells.reference` shifts, where there is one.
        sampled: whether samples bring dates of their own.
    """
    if isinstance(told, Ssl4eoS12) and told.rule == "released":
        first = told.first_anchor()
        if shifted != first:
            raise ValueError(
                f"periods.rule: released needs each location's shift: give cells.reference: {{date: {first}, shift_days: 365}}"
            )
    for period in periods_of(told):
        if period.reference is not None and shifted is None and not sampled:
            raise ValueError(
                f"periods: {period.name}: has reference, but cells have no reference date: give cells.reference, or `date` under "
                "aoi.points or aoi.polygons"
            )
