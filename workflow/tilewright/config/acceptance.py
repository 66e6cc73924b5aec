"""What a user says of which cells are of the dataset, and of what a vector map tells about them."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from tilewright.config.base import Model, Name


class Accept(Model):
    """Which cells are of the dataset. The others stay in the index, in no split, with the numbers of dates that they have."""

    complete: bool = Field(
        False,
        description="only cells that have a date in each of `periods`, and for each of these dates a scene of every companion collection",
    )
    periods: list[Name] | None = Field(
        None,
        description="the periods that `complete`, and the index's column of that name, look at; all where left out",
        min_length=1,
    )
    number: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="only the first so many of them, in the order of the draw: of `sample` where cells are around samples, else of each "
        "cell's own lot",
    )

    @model_validator(mode="after")
    def _different(self) -> Self:
        if self.periods is not None and len(set(self.periods)) < len(self.periods):
            raise ValueError("periods: names a period twice; write each once")
        return self

    def check(self, periods: Sequence[str]) -> None:
        """Raises ValueError where a period is none of `periods`."""
        for name in self.periods or ():
            if name not in periods:
                raise ValueError(f"accept.periods: {name!r} is no period; there are {', '.join(periods)}")


class Attributes(Model):
    """Columns of a vector map of areas, told of each cell by where its centre lies (SeasoNet: region types of GE250)."""

    path: str = Field(description="file of polygons that names its CRS (GeoPackage, Shapefile, GeoJSON, GeoParquet)")
    columns: list[str] = Field(description="its columns that the index takes over, under their own names", min_length=1)
    layer: str | None = Field(None, description="layer of the file; needed where it has several")

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns: names a column twice; write each once")
        return self
