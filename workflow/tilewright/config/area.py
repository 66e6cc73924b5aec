"""What a user says of the area of interest."""

from typing import Self

from pydantic import Field, model_validator

from tilewright.config.base import Box, Model, TileName


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
