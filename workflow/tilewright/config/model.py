"""What a user writes: the schema, the defaults, the units and the checks of `config/config.yaml`.

`config/README.md` is generated from this model and those of its parts (`tilewright reference`).
"""

from typing import Any, Self

from pydantic import Field, model_validator

from tilewright.config.acceptance import Accept, Attributes
from tilewright.config.area import Aoi
from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, SCL_RESOLUTION
from tilewright.config.base import Model, Name
from tilewright.config.cells import Cells
from tilewright.config.choice import Mask, Period, check_limits
from tilewright.config.collections import QUANTITIES, Collection, Quantity, check_collections
from tilewright.config.exports import Export
from tilewright.config.label_sets import LabelSet, VectorFile
from tilewright.config.seasons import Periods, check_references, periods_of
from tilewright.config.simulated import Simulate
from tilewright.config.splits import Split


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
    periods: Periods = Field(
        description="time windows: a list, `every: month` over a span, or `seasons: ssl4eo-s12` and `seasons: seasonet`"
    )
    labels: dict[Name, LabelSet] = Field({}, description="label sets by name")
    accept: Accept = Field(Accept(), description="which cells are of the dataset")
    attributes: Attributes | None = Field(None, description="what a vector map says of the cells")
    split: Split = Field(Split(), description="training, validation and test split")
    export: Export | None = Field(None, description="the dataset in layouts of others")
    simulate: Simulate | None = Field(None, description="the simulated world, for `provider: simulated`")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_collections(self.collections)
        self.cells.check_aoi(self.aoi)
        self._check_bands()
        self._check_labels()
        self._check_export()
        names = [period.name for period in self.all_periods()]
        if not names:
            raise ValueError("periods: is empty; give at least one period")
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"periods: {', '.join(doubled)} named twice; give each its own name")
        check_limits(self.mask, self.all_periods())
        shifted, own = self.cells.reference, self.aoi.own
        check_references(self.periods, shifted.date if shifted else None, own is not None and own[1].date is not None)
        self.cells.check_reference(any(period.reference is not None for period in self.all_periods()))
        self.accept.check(names)
        self._check_split()
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

    def _check_export(self) -> None:
        if self.export is None:
            return
        sets = self.label_sets()
        if self.export.labels is not None and self.export.labels not in sets:
            raise ValueError(
                f"export.labels: {self.export.labels!r} is no label set; there are {', '.join(sets) or 'none'}"
            )

    def _check_split(self) -> None:
        if self.split.by != "stratified":
            return
        sets = {name: each for name, each in self.label_sets().items() if each.ontology is not None}
        wanted = self.split.label_set
        if wanted is None and len(sets) != 1:
            raise ValueError(
                f"split.label_set: say whose classes are the strata; label sets with classes: {', '.join(sets) or 'none'}"
            )
        if wanted is not None and wanted not in sets:
            raise ValueError(
                f"split.label_set: {wanted!r} is no label set with classes; there are {', '.join(sets) or 'none'}"
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
        self.cells.check_pixels(resolutions)
        if self.mask.intensity is not None:
            bands = self.collections[PRIMARY].bands
            if self.mask.intensity.band not in bands:
                raise ValueError(
                    f"mask.intensity.band: {self.mask.intensity.band} is not read; use one of {', '.join(bands)}"
                )

    def all_periods(self) -> list[Period]:
        """The periods, spans and seasons expanded."""
        return periods_of(self.periods)

    def period(self, name: str) -> Period:
        """The period called `name`."""
        return next(period for period in self.all_periods() if period.name == name)
