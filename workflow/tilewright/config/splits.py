"""What a user says of training, validation and test splits, and of the audit for ground or time that two of them share."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tilewright.config.base import Fraction, Model, Name
from tilewright.config.split_names import NAMES


class Shares(Model):
    """Shares of the splits; they sum to 1."""

    train: Fraction = 0.8
    val: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test is {self.train + self.val + self.test:g}, not 1")
        return self

    @property
    def wanted(self) -> dict[str, float]:
        """Those above 0, by name."""
        shares = {"train": self.train, "val": self.val, "test": self.test}
        return {name: share for name, share in shares.items() if share > 0}


class Years(Model):
    """Which years' dates are of which split."""

    train: list[int] = Field([], description="years (UTC) of training")
    val: list[int] = Field([], description="years of validation")
    test: list[int] = Field([], description="years of test")

    @model_validator(mode="after")
    def _once(self) -> Self:
        years = [*self.train, *self.val, *self.test]
        if not years:
            raise ValueError("names no year; write train: [2018, 2019], val: [2020], test: [2021]")
        if doubled := sorted({year for year in years if years.count(year) > 1}):
            raise ValueError(f"{doubled[0]} stands twice; a year is of one split")
        return self

    def by_split(self) -> dict[str, list[int]]:
        """{split: its years, ascending}, of splits that have any."""
        of = {"train": self.train, "val": self.val, "test": self.test}
        return {name: sorted(years) for name, years in of.items() if years}


class SplitFile(Model):
    """A table of one's own that says something of each cell."""

    path: str = Field(description="CSV or Parquet file with a header")
    id: str = Field("cell_id", description="its column of ids")
    of: Literal["cell_id", "sample_id"] = Field("cell_id", description="column of the index that has these ids")


class SplitColumn(Model):
    """A column whose values say the split."""

    name: str = Field(description="column of the index (of `attributes`, sample_label, …), or of `file`")
    file: SplitFile | None = Field(
        None, description="a table of one's own that has the column; the index where left out"
    )
    train: list[str | int] = Field([], description="values that mean train")
    val: list[str | int] = Field([], description="values that mean val")
    test: list[str | int] = Field([], description="values that mean test")

    @model_validator(mode="after")
    def _once(self) -> Self:
        values = [str(value) for value in (*self.train, *self.val, *self.test)]
        if doubled := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"{doubled[0]!r} stands twice; a value is of one split")
        return self

    def split_of(self) -> dict[str, str]:
        """{value as text: split}; the splits' own names where no value is given."""
        of = {"train": self.train, "val": self.val, "test": self.test}
        named = {str(value): name for name, values in of.items() for value in values}
        return named or {name: name for name in NAMES}


class Audit(Model):
    """The leakage audit: after the split, two splits may share neither ground nor, of splits by year, time."""

    mode: Literal["fail", "report"] = Field(
        "fail",
        description="fail: the run ends with an error; report: what was found is only told (statistics.json, index, report)",
    )
    distance_m: float = Field(
        0.0,
        ge=0,
        description="ground of two splits must be this far apart (metres of the UTM grid); 0: they may touch, not overlap",
    )
    gap_days: int = Field(
        0, ge=0, description="of `by: year`: dates of two splits on one ground must be more than so many days apart"
    )


class Split(Model):
    """How cells are split. What two splits share is looked for by `audit`."""

    by: Literal["tile", "block", "stratified", "year", "column"] = Field(
        "tile",
        description="tile: hash of seed and MGRS tile, as OpenSentinelMap; block: hash of seed and square block of ground; stratified: "
        "each class of a label set has its share in each split (SeasoNet); year: the dates of some years, of every cell; column: a "
        "column's values",
    )
    shares: Shares = Field(Shares(), description="shares of the three splits, by tile, block and stratified")
    min_tiles: int = Field(
        10,
        ge=1,
        description="with fewer tiles that have cells, `tile` falls back to `block` (recorded in the index and the report)",
    )
    block_m: int = Field(9600, gt=0, description="side of a block in metres; rounded down to whole cells, at least one")
    buffer_m: float | None = Field(
        None,
        ge=0,
        description="cells nearer than this to ground of a smaller split are dropped from the larger one (0: those that overlap it). "
        "Where left out: 0 for splits by block, no cell is dropped for the others",
    )
    label_set: Name | None = Field(
        None, description="of stratified: the label set whose classes are the strata; the only one where left out"
    )
    unit: Literal["location", "block"] = Field(
        "location",
        description="of stratified: location: each cell by itself, as SeasoNet was published (cells of two grids that overlap then share "
        "ground: see audit.mode); block: whole blocks, and no ground is shared",
    )
    years: Years | None = Field(None, description="of year: which years are of which split")
    column: SplitColumn | None = Field(None, description="of column: which values are of which split")
    audit: Audit = Field(Audit(), description="what is looked for after the split")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key, by in (("years", "year"), ("column", "column")):
            if self.by == by and getattr(self, key) is None:
                raise ValueError(f"{key}: is missing; `by: {by}` needs it")
        of: dict[str, tuple[Any, ...]] = {
            "years": ("year",), "column": ("column",), "label_set": ("stratified",), "unit": ("stratified",),
            "buffer_m": ("tile", "block", "stratified", "column"),
        }  # fmt: skip
        for key, strategies in of.items():
            if getattr(self, key) != type(self).model_fields[key].default and self.by not in strategies:
                raise ValueError(f"{key}: is of `by: {' or '.join(strategies)}`, and by is {self.by}; leave it out")
        if self.audit.gap_days and self.by != "year":
            raise ValueError(f"audit.gap_days: is of `by: year`, and by is {self.by}; leave it out")
        if self.audit.distance_m and self.by == "year":
            raise ValueError("audit.distance_m: splits by year have the same ground on purpose; use audit.gap_days")
        return self

    @property
    def by_block(self) -> bool:
        """Whether whole blocks are split."""
        return self.by == "block" or (self.by == "stratified" and self.unit == "block")
