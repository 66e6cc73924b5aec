"""The leaf values that the locations stage uses."""

from tilewright.config.base import Model
from tilewright.config.cities import Cities


class LocationsSettings(Model):
    """Settings of `tilewright locations`."""

    seed: int
    size_m: int
    cities: Cities
