"""What a user says of the area of interest, or of the places that cells are made around."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tilewright.config.base import Box, Model, TileName
from tilewright.config.cities import Cities

CSV = (".csv", ".txt")
"""Endings of files that are read as comma-separated values; all others go to GDAL."""


class Columns(Model):
    """What a file of places says of each."""

    path: str = Field(description="the file")
    layer: str | None = Field(None, description="layer, of a file that has several")
    id: str | None = Field(
        None, description="column of unique names; without one the row's number, from 0, is the name"
    )
    date: str | None = Field(
        None,
        description="column of days, as 2019-07-01 or a date of the file's own type; an empty one is a place without a date",
    )
    label: str | None = Field(None, description="column that becomes `sample_label` in the index")


class Points(Columns):
    """Places of your own: a cell around each point."""

    path: str = Field(description="CSV with columns of longitude and latitude, or any vector file of points with a CRS")
    lon: str | None = Field(
        None, description="column of longitudes in degrees (EPSG:4326) of a CSV; `lon` if not given"
    )
    lat: str | None = Field(None, description="column of latitudes in degrees of a CSV; `lat` if not given")

    @model_validator(mode="after")
    def _columns_of_csv(self) -> Self:
        if Path(self.path).suffix.lower() not in CSV and (self.lon or self.lat):
            raise ValueError(
                "lon and lat are columns of a CSV; a vector file's points are its geometry: leave them out"
            )
        return self


class Polygons(Columns):
    """Places of your own: a cell around each polygon's centroid, or around a point inside it where its centroid is not."""

    path: str = Field(description="any vector file of polygons with a CRS")


class Aoi(Model):
    """The area of interest. Give exactly one key.

    Of an area (bbox, file, tiles, land) only cells wholly inside are made; cities, points and polygons are places with a cell
    around each, and go with `cells.strategy: samples`.
    """

    bbox: Box | None = Field(
        None, description="west, south, east, north in degrees (EPSG:4326); west > east crosses the antimeridian"
    )
    file: str | None = Field(
        None, description="GeoJSON, GeoPackage or GeoParquet file of polygons, in any CRS it names"
    )
    tiles: list[TileName] | None = Field(None, description="MGRS tiles, each whole", min_length=1)
    land: Literal[True] | None = Field(None, description="true: all 20,430 tiles that hold land, each whole")
    cities: Cities | None = Field(None, description="random places around cities")
    points: Points | None = Field(None, description="places of your own, one cell around each point")
    polygons: Polygons | None = Field(None, description="places of your own, one cell around each polygon's middle")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        keys = list(type(self).model_fields)
        if sum(getattr(self, key) is not None for key in keys) != 1:
            raise ValueError(f"give exactly one of {', '.join(keys)}")
        return self

    @property
    def places(self) -> str | None:
        """The key of the places that cells are made around; none for an area."""
        return next((key for key in ("cities", "points", "polygons") if getattr(self, key) is not None), None)

    @property
    def own(self) -> tuple[str, Points | Polygons] | None:
        """The key and the file of the user's own places."""
        if self.points is not None:
            return "points", self.points
        return None if self.polygons is None else ("polygons", self.polygons)
