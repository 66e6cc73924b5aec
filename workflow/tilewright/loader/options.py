"""What a sample holds: options that are checked once, so that no worker fails of them later."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilewright.config.bands import PRIMARY
from tilewright.errors import TilewrightError
from tilewright.loader.resample import Resampling
from tilewright.loader.times import SAMPLINGS, SEASONS, Sampling, Season


@dataclass(frozen=True)
class SampleOptions:
    """What a sample holds.

    Attributes:
        collection: whose series, on its own dates.
        bands: its bands by name, in the order wanted; None for all.
        collections: instead of these two, several collections on the dates of s2_l2a, each with its bands (None for all):
            {"s2_l2a": ["B04", "B03", "B02"], "s1_grd": ["VV", "VH"]}.
        complete: with several collections only dates of which every one of them has a scene; cells with fewer than
            `min_dates` such dates are left out.
        labels: label sets; None for all. The name of a family (a set of several `years` in the config) gives, for each date,
            the labels of its year.
        label_arrays: further arrays of these sets that a sample holds where a set has them: instance, parcel_coverage,
            distance, claims, claims_same, targets (parcels), ignore (regions).
        scale: reflectance as float32 (DN × scale_factor), or DN as stored (uint16; float32 where bilinear resampling, which
            has fractions of DN, puts them on one grid). Radar is as stored (float32) either way.
        resolution_m: one grid for all bands, masks and labels; None leaves each at its own.
        resampling: of bands onto that grid (radar in linear power, whatever it is stored as); masks, SCL and labels are always resampled by nearest centre.
        dates: how many; fewer are padded. None for all that a cell has, so that samples differ in length. Where a cell's
            whole series is one chunk, as the workflow writes it, all of it is unpacked however few are asked for.
        sampling: which dates, where a cell has more: the first, the last, evenly spaced by position, or random (of seed,
            epoch and cell); season_pair: two dates of different seasons in random order (as SSL4EO-S12's
            RandomSeasonContrast, but never the same season twice).
        season: what season_pair tells apart: quarters of the year (December to February, …), periods of the config, or
            dates (any two different ones). Cells with one such season are left out.
        min_dates: cells with fewer are left out.
        seed: of random and season_pair.
    """

    collection: str = PRIMARY
    bands: Sequence[str] | None = None
    collections: Mapping[str, Sequence[str] | None] | None = None
    complete: bool = False
    labels: Sequence[str] | None = None
    label_arrays: Sequence[str] = ()
    scale: bool = True
    resolution_m: int | None = None
    resampling: Resampling = "bilinear"
    dates: int | None = None
    sampling: Sampling = "first"
    season: Season = "quarter"
    min_dates: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises TilewrightError naming the argument that is wrong."""
        for name, known in (("resampling", ("bilinear", "nearest")), ("sampling", SAMPLINGS), ("season", SEASONS)):
            if getattr(self, name) not in known:
                raise TilewrightError(f"{name}: {getattr(self, name)!r} is none of {', '.join(known)}")
        for name in ("dates", "resolution_m", "min_dates"):
            value = getattr(self, name)
            if value is None and name != "min_dates":
                continue
            if (whole := _whole(value)) is None or whole < 1:
                raise TilewrightError(f"{name}: {value!r} is not a whole number above 0")
            object.__setattr__(self, name, whole)
        for name in ("bands", "labels", "label_arrays"):
            value = getattr(self, name)
            _check_names(name, value)
        self._check_collections()
        if (seed := _whole(self.seed)) is None:
            raise TilewrightError(f"seed: {self.seed!r} is not a whole number")
        object.__setattr__(self, "seed", seed)
        if self.sampling == "season_pair" and self.dates not in (None, 2):
            raise TilewrightError(f"dates: a season_pair has 2 dates, not {self.dates}; leave dates out")

    def _check_collections(self) -> None:
        if self.collections is None:
            if self.complete:
                raise TilewrightError("complete: is of several collections; give them as collections")
            if self.bands is not None and not self.bands:
                raise TilewrightError("bands: the list is empty; leave it out for all bands")
            return
        if not isinstance(self.collections, Mapping) or not all(isinstance(each, str) for each in self.collections):
            raise TilewrightError(
                f"collections: {self.collections!r} is not a mapping of collections to lists of bands"
            )
        if self.bands is not None or self.collection != PRIMARY:
            raise TilewrightError("collections: says which collections and bands; leave collection and bands out")
        if PRIMARY not in self.collections:
            raise TilewrightError(
                f"collections: {PRIMARY} is missing, on whose dates the others are; for one collection alone use collection"
            )
        for name, bands in self.collections.items():
            _check_names(f"collections.{name}", bands)
            if bands is not None and not bands:
                raise TilewrightError(f"collections.{name}: the list is empty; give None for all bands")

    @property
    def wanted(self) -> dict[str, Sequence[str] | None]:
        """{collection: bands}; the first is the one on whose dates the sample is."""
        if self.collections is None:
            return {self.collection: self.bands}
        return {PRIMARY: self.collections[PRIMARY], **self.collections}

    @property
    def length(self) -> int | None:
        """Dates of every sample; None where they differ."""
        return 2 if self.sampling == "season_pair" else self.dates


def _check_names(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, str) or not isinstance(value, Sequence) or len(set(value)) < len(value):
        raise TilewrightError(f"{name}: {value!r} is not a list of different names")


def _whole(value: object) -> int | None:
    """A whole number of Python's or numpy's as an int; None for anything else."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None
