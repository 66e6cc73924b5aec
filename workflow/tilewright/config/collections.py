"""What a user says of each collection: its bands, what its numbers are, and how its scenes are paired with Level-2A's."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR
from tilewright.config.base import Fraction, Model


class Pair(Model):
    """How a scene of a companion collection is found for each chosen Level-2A scene of a cell."""

    nearest_days: float = Field(
        3, gt=0, le=60, description="Sentinel-1: the nearest in time, at most this many days (up to 60) before or after (Level-1C: always the same datatake)"
    )  # fmt: skip
    orbit: Literal["ascending", "descending"] | None = Field(
        None, description="Sentinel-1: only scenes of this direction"
    )
    max_nodata: Fraction = Field(0.0, description="largest share of the cell without data")
    max_scene_cloud: Fraction | None = Field(
        None, exclude_if=lambda limit: limit is None,
        description="Level-1C: largest cloud cover of the whole scene as the catalog says (0.1: 10 %); a scene of which it does not say is refused",
    )  # fmt: skip
    exclusive: bool = Field(
        False, exclude_if=lambda told: told is False,
        description="Level-1C: max_scene_cloud is refused itself: less than, not at most",
    )  # fmt: skip
    required: bool = Field(
        False, description="refuse a Level-2A scene for a cell that has no companion here; otherwise the companion is missing there"
    )  # fmt: skip


Quantity = Literal["dn", "sigma0_db", "gamma0_db"]
# What each collection can be had as; the first is what it is without a word.
QUANTITIES: Final[dict[str, tuple[Quantity, ...]]] = {
    "s2_l2a": ("dn",), "s2_l1c": ("dn",), "s1_grd": ("sigma0_db", "dn"), "s1_rtc": ("gamma0_db",),
}  # fmt: skip


class Collection(Model):
    """Which bands of a collection become patches."""

    bands: list[str] = Field(
        description="band names as the mission names them (B02, B8A, …; VV, VH, HH, HV)", min_length=1
    )
    provider: str | dict[str, Any] | None = Field(
        None, description="another provider for this collection, as the dataset's `provider`"
    )
    pair: Pair = Field(Pair(), description="collections other than s2_l2a: how they are paired with its scenes")
    quantity: Quantity | None = Field(
        None, description="what the numbers are. s2_*: dn, harmonised (reflectance × 10000). s1_grd: sigma0_db (default: calibrated, on the ellipsoid, "
        "no terrain correction) or dn (amplitude). s1_rtc: gamma0_db"
    )  # fmt: skip

    @field_validator("bands")
    @classmethod
    def _distinct(cls, bands: list[str]) -> list[str]:
        if doubled := sorted({band for band in bands if bands.count(band) > 1}):
            raise ValueError(f"{', '.join(doubled)} given twice")
        return bands


def check_collections(collections: Mapping[str, Collection]) -> None:
    """Raises ValueError for collections that cannot be made together."""
    if unknown := sorted(set(collections) - set(COLLECTION_BANDS)):
        raise ValueError(f"collections.{unknown[0]}: unknown; use one of {', '.join(COLLECTION_BANDS)}")
    if PRIMARY not in collections:
        raise ValueError(
            f"collections.{PRIMARY}: is missing; the choice rule judges its scenes, and the other collections are paired with them"
        )
    for key, collection in collections.items():
        if collection.quantity is not None and collection.quantity not in QUANTITIES[key]:
            raise ValueError(
                f"collections.{key}.quantity: {collection.quantity} is not to be had; use {' or '.join(QUANTITIES[key])}"
            )
        said = collection.pair.model_fields_set
        if key == PRIMARY:
            wrong, how = said, "the others are paired with it"
        elif key in RADAR:
            wrong, how = said & {"max_scene_cloud", "exclusive"}, "clouds do not hide the ground from radar"
        else:
            wrong, how = said & {"nearest_days", "orbit"}, "it is paired by its datatake"
        if wrong:
            raise ValueError(f"collections.{key}.pair.{min(wrong)}: says nothing here, as {how}; remove it")
