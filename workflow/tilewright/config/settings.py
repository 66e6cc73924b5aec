"""What each stage is told: only the leaf values that it uses, so that an edit reruns only the stages it concerns.

A rule passes them as one JSON text in `params`, which Snakemake compares with the last run's, and the stage's command
line takes the same text as `--settings`.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import Field, TypeAdapter

from tilewright.config.acceptance import Accept, Attributes
from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR
from tilewright.config.base import Model
from tilewright.config.choice import Mask, Method, Order, Reference, Weights, limits
from tilewright.config.collections import Pair, Quantity
from tilewright.config.exports import LayoutName, Ssl4eoOptions, WebdatasetOptions
from tilewright.config.model import Config
from tilewright.config.provider import Bucket, CollectionAccess, Provider
from tilewright.config.spans import Days, Spans, widened
from tilewright.config.splits import Split
from tilewright.errors import TilewrightError

# Raised by hand when a stage's meaning changes; tests/unit/test_versions.py compares each with a hash of the stage's
# modules, so that a change cannot be forgotten. Snakemake sees them in `params`.
STAGE_VERSIONS: Final[dict[str, int]] = {
    "simulate": 1, "locations": 1, "cells": 2, "search": 2, "mask": 3, "crop": 3, "source": 1, "ask": 1, "features": 2, "labels": 3, "group": 3, "zone": 4,
    "index": 4, "legend": 1, "report": 4, "export_tile": 1, "export": 1,
}  # fmt: skip

ANY_TILE: Final = "00AAA"
"""Stands for the tile's name in settings that all tiles share: no tile has it, and inside a string of JSON the quotes would be escaped."""

S = TypeVar("S", bound=Model)


def absent(value: object) -> bool:
    """Whether a value says nothing: it is left out of the text, which stays that of before there was such a value."""
    return value is None or value == []


class SearchSettings(Model):
    """Settings of the search stage."""

    tile: str
    spans: dict[str, Spans] = Field(description="collection → spans of days: first and last (UTC), both included")
    providers: dict[str, Provider] = Field(description="collection → whom to ask, with that collection only")


class MaskSettings(Model):
    """Settings of the mask stage: no thresholds, so that their edits never count SCL again."""

    tile: str
    intensity_band: str | None = None
    intensity_percentile: float | None = None
    reference: Reference | None = Field(
        None, exclude_if=absent, description="days around each cell's reference date that are counted; all without it"
    )


class CropSettings(Model):
    """Settings of the crop stage."""

    tile: str
    period: str
    seed: int
    scenes: int
    order: Order
    limits: Mask
    bands: dict[str, list[str]] = Field(description="collection → bands")
    companions: dict[str, Pair] = Field({}, description="collection → how its scenes are paired with the primary's")
    quantities: dict[str, Quantity] = Field(description="collection → what its numbers are")
    windows: list[Days] = Field(
        [], exclude_if=absent, description="where some scenes come after others (fallback) or are spread: the period's windows in turn"
    )  # fmt: skip
    reference: Reference | None = Field(None, exclude_if=absent, description="days around each cell's reference date")
    weights: Weights | None = Field(None, exclude_if=absent, description="of order spread")
    method: Method | None = Field(None, exclude_if=absent, description="of order spread")


class Origin(Model):
    """Whose imagery a collection is."""

    provider: str
    licence: str
    attribution: str


class GroupSettings(Model):
    """Settings of the group stage."""

    tile: str
    periods: list[str]
    bands: dict[str, list[str]]
    quantities: dict[str, Quantity]
    origins: dict[str, Origin] = Field(description="collection → whose imagery it is")


class ExportSettings(Model):
    """Settings of the stages export_tile and export."""

    dataset: str
    layout: LayoutName
    periods: list[str]
    label_set: str | None = Field(description="set of labels that a layout with one set takes")
    options: Ssl4eoOptions | WebdatasetOptions | None = Field(None, description="of the layout")


class IndexSettings(Model):
    """Settings of the index stage: which cells are of the dataset, what a map says of them, and how they are split."""

    dataset: str
    seed: int
    size_m: int
    accept: Accept = Accept()
    attributes: Attributes | None = None
    split: Split = Split()


def text(settings: Model) -> str:
    """Settings as one line of JSON with sorted keys, the same for the same values."""
    return json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def with_tile(document: str, tile: str) -> str:
    """Settings of any tile as those of one."""
    return document.replace(f'"tile":"{ANY_TILE}"', f'"tile":"{tile}"')


def parsed(model: type[S], document: str, tile: str = "") -> S:
    """The inverse of `text`; `tile` takes the place of `ANY_TILE`.

    Raises:
        TilewrightError: where `document` is not such JSON.
    """
    try:
        return model.model_validate_json(with_tile(document, tile) if tile else document)
    except ValueError as error:
        raise TilewrightError(f"--settings: {' '.join(str(error).split())}") from None


def parsed_access(document: str) -> dict[str, CollectionAccess]:
    """How each collection's files are opened, from `--access`.

    Raises:
        TilewrightError: where `document` is not such JSON.
    """
    try:
        return TypeAdapter(dict[str, CollectionAccess]).validate_json(document)
    except ValueError as error:
        raise TilewrightError(f"--access: {' '.join(str(error).split())}") from None


def settings_digest(*parts: Model | str) -> str:
    """A short name of settings, and of digests of others."""
    told = "/".join(part if isinstance(part, str) else text(part) for part in parts)
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def companions_of(config: Config) -> dict[str, Pair]:
    """How the scenes of each collection but the primary are paired with the primary's."""
    return {key: config.collections[key].pair for key in sorted(config.collections) if key != PRIMARY}


def search_settings(
    config: Config, providers: Mapping[str, Provider], tile: str, period: str, keys: Sequence[str],
    references: Sequence[Days] = (),
) -> SearchSettings:  # fmt: skip
    """For one tile and period: the spans and how to ask; no bands, so that one more band does not search again.

    Args:
        providers: by collection.
        keys: the collections to search for.
        references: the days among which the reference dates of the tile's cells are; of a period around them.
    """
    window = config.period(period).spans(references)
    spans, asked = {}, {}
    for key in sorted(keys):
        provider = providers[key]
        spans[key] = widened(window, math.ceil(config.collections[key].pair.nearest_days)) if key in RADAR else window
        # What only describes the imagery is not of the search: rewording it must not ask the catalog again. Nor is how the files are
        # opened, but for where they may be.
        access = provider.access.model_copy(
            update={
                "rewrite": {},
                "sign": None,
                "buckets": {name: Bucket() for name in sorted(provider.access.buckets)},
            }
        )
        held = {key: provider.collections[key]}
        asked[key] = provider.model_copy(
            update={"collections": held, "licence": "", "attribution": "", "access": access, "parallel": 1}
        )
    return SearchSettings(tile=tile, spans=spans, providers=asked)


def access_settings(providers: Mapping[str, Provider]) -> dict[str, CollectionAccess]:
    """How the assets of each collection are opened."""
    return {
        key: CollectionAccess(
            access=provider.access, format=provider.collections[key].format, local=provider.kind == "local",
            rewrite=provider.collections[key].rewrite, parallel=provider.parallel,
        )
        for key, provider in sorted(providers.items())
    }  # fmt: skip


def mask_settings(config: Config, tile: str, period: str) -> MaskSettings:
    """For one tile and period: what to count."""
    intensity, reference = config.mask.intensity, config.period(period).reference
    if intensity is None:
        return MaskSettings(tile=tile, reference=reference)
    return MaskSettings(
        tile=tile, intensity_band=intensity.band, intensity_percentile=intensity.percentile, reference=reference
    )


def crop_settings(config: Config, tile: str, period: str) -> CropSettings:
    """For one tile and period: the choice rule and the bands."""
    window = config.period(period)
    spread = window.order == "spread"
    return CropSettings(
        tile=tile, period=period, seed=config.seed, scenes=window.scenes, order=window.order,
        limits=limits(config.mask, window), bands=ordered_bands(config), companions=companions_of(config),
        quantities=config.quantities(), windows=window.days() if window.fallback or spread else [],
        reference=window.reference, weights=(window.weights or Weights()) if spread else None,
        method=(window.method or "optimal") if spread else None,
    )  # fmt: skip


def ordered_bands(config: Config) -> dict[str, list[str]]:
    """The bands of each collection in the mission's order, so that writing them in another order changes nothing."""
    return {
        key: [band for band in COLLECTION_BANDS[key] if band in collection.bands]
        for key, collection in sorted(config.collections.items())
    }


def group_settings(config: Config, providers: Mapping[str, Provider], tile: str) -> GroupSettings:
    """For one tile: which periods and bands make its series, and whose imagery it is."""
    origins = {
        key: Origin(
            provider=provider_name(config.collections[key].provider or config.provider), licence=provider.licence,
            attribution=provider.attribution,
        )
        for key, provider in sorted(providers.items())
    }  # fmt: skip
    return GroupSettings(
        tile=tile, periods=[period.name for period in config.all_periods()], bands=ordered_bands(config),
        quantities=config.quantities(), origins=origins,
    )  # fmt: skip


def provider_name(provider: str | dict[str, Any]) -> str:
    """A provider's name, or whom a catalog of one's own is like."""
    return provider if isinstance(provider, str) else str(provider.get("like", "local"))


def index_settings(config: Config) -> IndexSettings:
    """For the whole dataset: acceptance, attributes, the split (with its label set's name written out)."""
    split = config.split
    if split.by == "stratified" and split.label_set is None:
        named = next(name for name, each in config.label_sets().items() if each.ontology is not None)
        split = split.model_copy(update={"label_set": named})
    return IndexSettings(
        dataset=config.dataset, seed=config.seed, size_m=config.cells.size_m, accept=config.accept,
        attributes=config.attributes, split=split,
    )  # fmt: skip


def export_settings(config: Config, layout: str) -> ExportSettings:
    """For one layout."""
    export = config.export
    if export is None or layout not in export.layout:
        raise TilewrightError(f"export.layout: does not name {layout}; add it")
    options = {"ssl4eo-s12": export.ssl4eo, "webdataset": export.webdataset}.get(layout)
    sets = list(config.label_sets())
    return ExportSettings(
        dataset=config.dataset, layout=export.layout[export.layout.index(layout)], periods=[period.name for period in config.all_periods()],
        label_set=export.labels or (sets[0] if len(sets) == 1 else None), options=options,
    )  # fmt: skip
