"""What a user writes: the schema, the defaults, the units and the checks of `config/config.yaml` in one place.

`config/README.md` is generated from these models (`tilewright reference`).
"""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, SCL_RESOLUTION
from tilewright.config.base import Box, Fraction, Model, Name, TileName
from tilewright.config.collections import QUANTITIES, Collection, Quantity, check_collections
from tilewright.config.label_sets import LabelSet, VectorFile
from tilewright.config.simulated import Simulate

SclClass = Annotated[int, Field(ge=0, le=11)]


class Aoi(Model):
    """The area of interest. Give exactly one key. Only cells wholly inside it are made."""

    bbox: Box | None = Field(
        None, description="west, south, east, north in degrees (EPSG:4326); west > east crosses the antimeridian"
    )
    file: str | None = Field(
        None, description="GeoJSON, GeoPackage or GeoParquet file of polygons, in any CRS it names"
    )
    tiles: list[TileName] | None = Field(None, description="MGRS tiles, each whole", min_length=1)

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(value is not None for value in (self.bbox, self.file, self.tiles)) != 1:
            raise ValueError("give exactly one of bbox, file, tiles")
        return self


class Activity(Model):
    """Human activity: cells that meet no active pixel of any raster are dropped (OpenSentinelMap §3.1)."""

    files: list[str] = Field(
        description="GeoTIFFs, such as VIIRS annual night lights; a pixel active in any of them counts", min_length=1
    )
    threshold: float = Field(0.0, description="a pixel is active where its value is above this, in the raster's unit")


class Water(Model):
    """Water: cells that the raster shows wholly as water are dropped (OpenSentinelMap §3.1)."""

    file: str = Field(description="categorical GeoTIFF, such as CCI land cover")
    values: list[int] = Field([210], description="values that mean water (210 in CCI land cover)", min_length=1)


class Cells(Model):
    """How a tile is sampled."""

    strategy: Literal["lattice"] = Field(
        "lattice", description="lattice: every cell of the zone's grid that the tile owns"
    )
    size_m: int = Field(
        1920, gt=0, le=9000, description="side of a cell in metres; a multiple of the coarsest resolution read "
        "(9000 at most: tiles share 9.8 km, and a cell must fit in one)",
    )  # fmt: skip
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="seeded share of the cells to keep")
    number: Annotated[int, Field(gt=0)] | None = Field(None, description="cells to keep in a tile, by seeded draw")
    activity: Activity | None = Field(None, description="keep only cells with human activity")
    water: Water | None = Field(None, description="drop cells that are wholly water")
    labelled_by: Name | None = Field(
        None,
        description="keep only cells that a feature of this label set (of a `vector` source) meets: those with ground truth",
    )

    @model_validator(mode="after")
    def _fraction_or_number(self) -> Self:
        if self.fraction is not None and self.number is not None:
            raise ValueError("give fraction or number, not both")
        return self


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


class Split(Model):
    """How cells are split. The same ground is never in two splits."""

    by: Literal["tile", "block"] = Field(
        "tile",
        description="tile: hash of seed and MGRS tile, as OpenSentinelMap; block: hash of seed and square block of cells",
    )
    shares: Shares = Field(Shares(), description="shares of the three splits")
    min_tiles: int = Field(
        10,
        ge=1,
        description="with fewer tiles that have cells, `tile` falls back to `block` (recorded in the index and the report)",
    )
    block_m: int = Field(9600, gt=0, description="side of a block in metres; rounded down to whole cells, at least one")


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes of degrees meet; a west that is greater than its east crosses the antimeridian."""

    def spans(box: tuple[float, ...]) -> list[tuple[float, float]]:
        return [(box[0], box[2])] if box[0] <= box[2] else [(box[0], 180.0), (-180.0, box[2])]

    across = any(a <= d and c <= b for a, b in spans(one) for c, d in spans(other))
    return across and one[1] <= other[3] and other[1] <= one[3]


class Config(Model):
    """A dataset. This is the whole of `config/config.yaml`."""

    dataset: Name = Field(description="name of the dataset: results/<dataset>/…")
    seed: int = Field(42, description="of every draw: cells, scene order, splits")
    aoi: Aoi = Field(description="area of interest")
    provider: str | dict[str, Any] = Field(
        "simulated",
        description="name of a file in config/providers, or `{like: <name>, path: items.json}` for a local catalog shaped like that provider's",
    )
    collections: dict[str, Collection] = Field(description="collections and their bands", min_length=1)
    cells: Cells = Field(Cells(), description="how tiles are sampled")
    mask: Mask = Field(Mask(), description="how clean a cell must be in a scene")
    periods: Periods = Field(description="time windows: a list, or `every: month` over a span")
    labels: dict[Name, LabelSet] = Field({}, description="label sets by name")
    split: Split = Field(Split(), description="training, validation and test split")
    simulate: Simulate | None = Field(None, description="the simulated world, for `provider: simulated`")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_collections(self.collections)
        self._check_bands()
        self._check_labels()
        names = [period.name for period in self.all_periods()]
        if not names:
            raise ValueError("periods: is empty; give at least one period")
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"periods: {', '.join(doubled)} named twice; give each its own name")
        if self.provider == "simulated" and self.simulate is None:
            raise ValueError(
                "simulate: is needed with `provider: simulated`; describe a world or name another provider"
            )
        return self

    def _check_labels(self) -> None:
        if "series" in self.labels:
            raise ValueError("labels.series: the name is taken by the imagery's columns in the index; use another")
        named = [each for name, label_set in self.labels.items() for each in label_set.by_year(name)]
        if doubled := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"labels.{doubled[0]}: is also what `years` makes of another set; rename it")
        for name, label_set in self.labels.items():
            extent = getattr(label_set.source, "extent", None)
            if isinstance(extent, tuple) and self.aoi.bbox and not _meet(extent, self.aoi.bbox):
                raise ValueError(
                    f"labels.{name}.source.extent: {list(extent)} does not meet aoi.bbox {list(self.aoi.bbox)}: write west, "
                    "south, east, north, or take another source"
                )
        wanted = self.cells.labelled_by
        if wanted is not None:
            sets = self.label_sets()
            if wanted not in sets:
                raise ValueError(
                    f"cells.labelled_by: {wanted!r} is no label set; there are {', '.join(sets) or 'none'}"
                )
            if not isinstance(sets[wanted].source, VectorFile):
                raise ValueError(
                    f"cells.labelled_by: {wanted} is of kind {sets[wanted].source.kind}; only `vector` will do"
                )

    def label_sets(self) -> dict[str, LabelSet]:
        """The label sets, those of several years expanded, by name."""
        return {
            each: made for name, labels in sorted(self.labels.items()) for each, made in labels.by_year(name).items()
        }

    def quantities(self) -> dict[str, Quantity]:
        """What the numbers of each collection are."""
        return {key: one.quantity or QUANTITIES[key][0] for key, one in sorted(self.collections.items())}

    def _check_bands(self) -> None:
        resolutions = {SCL_RESOLUTION}
        for key, collection in self.collections.items():
            known = COLLECTION_BANDS[key]
            if strange := [band for band in collection.bands if band not in known]:
                raise ValueError(
                    f"collections.{key}.bands: {strange[0]} is not a band of {key}; its bands are {', '.join(known)}"
                )
            resolutions |= {known[band] for band in collection.bands}
        if wrong := [step for step in sorted(resolutions, reverse=True) if self.cells.size_m % step]:
            step = wrong[0]
            fit = max(step, self.cells.size_m // step * step)
            raise ValueError(
                f"cells.size_m: {self.cells.size_m} m is not a multiple of the {step} m pixels that are read; use {fit}"
            )
        if self.mask.intensity is not None:
            bands = self.collections[PRIMARY].bands
            if self.mask.intensity.band not in bands:
                raise ValueError(
                    f"mask.intensity.band: {self.mask.intensity.band} is not read; use one of {', '.join(bands)}"
                )

    def all_periods(self) -> list[Period]:
        """The periods, spans expanded."""
        return self.periods.periods() if isinstance(self.periods, Span) else list(self.periods)

    def period(self, name: str) -> Period:
        """The period called `name`."""
        return next(period for period in self.all_periods() if period.name == name)
