"""What a user says of how tiles are sampled."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tilewright.config.base import Model, Name


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
