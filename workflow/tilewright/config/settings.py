"""What each stage is told: only the leaf values that it uses, so that an edit reruns only the stages it concerns.

A rule passes them as one JSON text in `params`, which Snakemake compares with the last run's, and the stage's command
line takes the same text as `--settings`.
"""

import hashlib
import json
from datetime import date
from typing import Final, Literal, TypeVar

from pydantic import Field

from tilewright.config.bands import COLLECTION_BANDS
from tilewright.config.base import Model
from tilewright.config.model import Config, Mask, Order, Period, Shares
from tilewright.config.provider import Provider, ProviderCollection
from tilewright.errors import TilewrightError

# Raised by hand when a stage's meaning changes; tests/unit/test_versions.py compares each with a hash of the stage's
# modules, so that a change cannot be forgotten. Snakemake sees them in `params`.
STAGE_VERSIONS: Final[dict[str, int]] = {
    "simulate": 1, "cells": 1, "search": 1, "mask": 2, "crop": 2, "source": 1, "ask": 1, "features": 2, "labels": 3, "group": 2, "zone": 2,
    "index": 2, "legend": 1, "report": 2,
}  # fmt: skip

S = TypeVar("S", bound=Model)


class SearchSettings(Model):
    """Settings of the search stage."""

    tile: str
    start: date
    end: date
    provider: Provider


class MaskSettings(Model):
    """Settings of the mask stage: no thresholds, so that their edits never count SCL again."""

    tile: str
    intensity_band: str | None = None
    intensity_percentile: float | None = None


class CropSettings(Model):
    """Settings of the crop stage."""

    tile: str
    period: str
    seed: int
    scenes: int
    order: Order
    limits: Mask
    bands: dict[str, list[str]] = Field(description="collection → bands")


class GroupSettings(Model):
    """Settings of the group stage."""

    tile: str
    periods: list[str]
    bands: dict[str, list[str]]
    provider: str
    licence: str
    attribution: str


class IndexSettings(Model):
    """Settings of the index stage: how the cells are split."""

    dataset: str
    seed: int
    by: Literal["tile", "block"]
    shares: Shares
    min_tiles: int
    block_m: int
    size_m: int


def text(settings: Model) -> str:
    """Settings as one line of JSON with sorted keys, the same for the same values."""
    return json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def parsed(model: type[S], document: str) -> S:
    """The inverse of `text`.

    Raises:
        TilewrightError: where `document` is not such JSON.
    """
    try:
        return model.model_validate_json(document)
    except ValueError as error:
        raise TilewrightError(f"--settings: {' '.join(str(error).split())}") from None


def settings_digest(*parts: Model | str) -> str:
    """A short name of settings, and of digests of others."""
    told = "/".join(part if isinstance(part, str) else text(part) for part in parts)
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def search_settings(config: Config, provider: Provider, tile: str, period: str) -> SearchSettings:
    """For one tile and period: the span and how to ask; no bands, so that one more band does not search again."""
    window = config.period(period)
    held: dict[str, ProviderCollection] = {key: provider.collections[key] for key in sorted(config.collections)}
    # what only describes the imagery is not of the search: rewording it must not ask the catalog again
    asked = provider.model_copy(update={"collections": held, "licence": "", "attribution": ""})
    return SearchSettings(tile=tile, start=window.start, end=window.end, provider=asked)


def mask_settings(config: Config, tile: str) -> MaskSettings:
    """For one tile: what to count."""
    intensity = config.mask.intensity
    if intensity is None:
        return MaskSettings(tile=tile)
    return MaskSettings(tile=tile, intensity_band=intensity.band, intensity_percentile=intensity.percentile)


def limits(mask: Mask, period: Period) -> Mask:
    """The mask limits of one period: the config's, with what the period says otherwise."""
    return mask.model_copy(update=period.mask.model_dump(exclude_none=True))


def crop_settings(config: Config, tile: str, period: str) -> CropSettings:
    """For one tile and period: the choice rule and the bands."""
    window = config.period(period)
    return CropSettings(
        tile=tile, period=period, seed=config.seed, scenes=window.scenes, order=window.order,
        limits=limits(config.mask, window), bands=ordered_bands(config),
    )  # fmt: skip


def ordered_bands(config: Config) -> dict[str, list[str]]:
    """The bands of each collection in the mission's order, so that writing them in another order changes nothing."""
    return {
        key: [band for band in COLLECTION_BANDS[key] if band in collection.bands]
        for key, collection in sorted(config.collections.items())
    }


def group_settings(config: Config, provider: Provider, tile: str) -> GroupSettings:
    """For one tile: which periods and bands make its series, and whose imagery it is."""
    name = config.provider if isinstance(config.provider, str) else str(config.provider.get("like", "local"))
    return GroupSettings(
        tile=tile, periods=[period.name for period in config.all_periods()], bands=ordered_bands(config), provider=name,
        licence=provider.licence, attribution=provider.attribution,
    )  # fmt: skip


def index_settings(config: Config) -> IndexSettings:
    """For the whole dataset: the split."""
    return IndexSettings(
        dataset=config.dataset, seed=config.seed, by=config.split.by, shares=config.split.shares,
        min_tiles=config.split.min_tiles, block_m=config.split.block_m, size_m=config.cells.size_m,
    )  # fmt: skip
