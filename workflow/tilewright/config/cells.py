"""What a user says of how tiles are sampled."""

import datetime
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tilewright.config.area import Aoi
from tilewright.config.base import Model, Name

Strategy = Literal["lattice", "grids", "samples"]


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


class Grids(Model):
    """Lattices anchored at each tile's own upper-left corner (SeasoNet's two grids)."""

    offsets_m: list[int] = Field(
        [0, 600], min_length=1,
        description="metres that each lattice is shifted to the east and to the south; they are numbered 1, 2, …",
    )  # fmt: skip
    overlaps: Literal["drop", "keep"] = Field(
        "drop",
        description="cells of one lattice that overlap a cell of a neighbouring tile's: drop those of the tile later by name; "
        "keep: every cell that the tile owns",
    )


class Reference(Model):
    """A reference date for each cell: `date` minus a seeded shift of 0 … shift_days - 1 days.

    With 2020-12-21 and 365 the rule by which SSL4EO-S12's published data were collected: all of a location's windows are
    shifted by one and the same number of days.
    """

    date: datetime.date = Field(description="the latest reference date there is (UTC)")
    shift_days: int = Field(365, ge=1, le=3660, description="how many days the shift is drawn from; 1 is no shift")


class Cells(Model):
    """How a tile is sampled."""

    strategy: Strategy = Field(
        "lattice", description="lattice: every cell of the zone's grid that the tile owns; grids: lattices from the tile's corner, "
        "shifted; samples: a cell around each place of aoi.cities, aoi.points or aoi.polygons",
    )  # fmt: skip
    size_m: int = Field(
        1920, gt=0, le=9000, description="side of a cell in metres; a multiple of the coarsest resolution read "
        "(9000 at most: tiles share 9.8 km, and a cell must fit in one)",
    )  # fmt: skip
    stride_m: Annotated[int, Field(gt=0, le=100_000)] | None = Field(
        None,
        description="lattice: metres from one cell to the next; size_m if not given. Less makes cells overlap, more leaves gaps; a "
        "multiple of the coarsest resolution read",
    )
    grids: Grids | None = Field(None, description="of strategy grids; SeasoNet's two if not given")
    reference: Reference | None = Field(None, description="gives cells a reference date each, for periods around it")
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="seeded share of the cells to keep")
    number: Annotated[int, Field(gt=0)] | None = Field(
        None, description="cells to keep in a tile, by seeded draw; of samples the first ones"
    )
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

    @model_validator(mode="after")
    def _of_the_strategy(self) -> Self:
        if self.stride_m is not None and self.strategy != "lattice":
            raise ValueError(f"stride_m is of strategy lattice, and strategy is {self.strategy}: leave one of them out")
        if self.grids is not None and self.strategy != "grids":
            raise ValueError(f"grids are of strategy grids, and strategy is {self.strategy}: leave one of them out")
        offsets = self.lattices.offsets_m
        if wrong := [each for each in offsets if not 0 <= each < self.size_m] if self.strategy == "grids" else []:
            raise ValueError(f"grids.offsets_m: {wrong[0]} is not from 0 to below size_m {self.size_m}")
        if len(set(offsets)) != len(offsets):
            raise ValueError("grids.offsets_m: names an offset twice, which would make every cell twice; drop one")
        return self

    @property
    def lattices(self) -> Grids:
        """Of strategy grids: the lattices, filled with the defaults."""
        return self.grids or Grids()

    def check_aoi(self, aoi: Aoi) -> None:
        """Raises ValueError, naming keys and mend, where strategy or reference and the area of interest contradict each other."""
        if self.strategy == "samples" and aoi.places is None:
            raise ValueError(
                "cells.strategy: samples makes cells around places: give aoi.cities, aoi.points or aoi.polygons, or take "
                "strategy lattice"
            )
        if self.strategy != "samples" and aoi.places is not None:
            raise ValueError(
                f"aoi.{aoi.places}: names places, which strategy {self.strategy} does not look at: set cells.strategy: samples"
            )
        if self.reference is not None and aoi.own is not None and aoi.own[1].date is not None:
            raise ValueError(
                f"cells.reference: aoi.{aoi.own[0]}.date gives each sample its own date already: leave one of them out"
            )

    def check_reference(self, used: bool) -> None:
        """Raises ValueError where cells get reference dates that no period is around."""
        if self.reference is not None and not used:
            raise ValueError(
                "cells.reference: no period is around it: give a period `reference` instead of start and end, or leave it out"
            )

    def check_pixels(self, resolutions: Iterable[int]) -> None:
        """Raises ValueError, with the nearest fit, where cells would not lie on whole pixels of one of `resolutions` (metres)."""
        steps = {"size_m": [self.size_m]}
        if self.stride_m is not None:
            steps["stride_m"] = [self.stride_m]
        if self.strategy == "grids":
            steps["grids.offsets_m"] = self.lattices.offsets_m
        for step in sorted(resolutions, reverse=True):
            for key, values in steps.items():
                if wrong := [each for each in values if each % step]:
                    fit = max(step, wrong[0] // step * step)
                    raise ValueError(
                        f"cells.{key}: {wrong[0]} m is not a multiple of the {step} m pixels that are read; use {fit}"
                    )
