"""Providers: a STAC API, or a local catalog, and what must be known to read it right. Files in `config/providers/`."""

import re
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator, model_validator

from tilewright.config.bands import COLLECTION_BANDS
from tilewright.config.base import Model

Radiometry = Literal["harmonised", "earth-search-l2a", "baseline", "raster-offset", "amplitude", "power"]
Signing = Literal["planetary-computer"]

# Stands for a variable of the environment in the addresses of providers: configs are shown in reports, and logged.
VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST: Final = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def _check_secrets(address: str) -> None:
    """Raises ValueError where an address holds a password or a key itself; the message does not repeat it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ValueError("is not a URL") from None
    told, at, _ = parts.netloc.rpartition("@")
    user, colon, password = told.partition(":")
    secrets = [password if colon else user] if at else []
    secrets += [value for _, value in parse_qsl(parts.query)] or ([parts.query] if parts.query else [])
    if any(not VARIABLE.fullmatch(secret) for secret in secrets):
        raise ValueError(
            "holds a password or key, which logs and the report would show: put it into a variable of the environment, and write "
            "${NAME} in its place"
        )


class Bucket(Model):
    """An object store's bucket that imagery may be read from (hrefs such as `s3://bucket/key`)."""

    region: str | None = Field(None, description="region, where the service needs to know it")
    endpoint: str | None = Field(
        None, description="URL of a service other than AWS, such as https://eodata.dataspace.copernicus.eu"
    )
    requester_pays: bool = Field(False, description="whether you pay for the transfer; it needs your AWS credentials")
    unsigned: bool = Field(False, description="read without credentials")
    profile: str | None = Field(
        None, description="profile of your AWS credentials file with the keys of this bucket; otherwise the AWS_* variables count"
    )  # fmt: skip

    @model_validator(mode="after")
    def _sense(self) -> Self:
        if self.endpoint is not None and not (_HOST.match(self.endpoint) and "://" in self.endpoint):
            raise ValueError("endpoint: is no address: write https://<host>")
        if self.endpoint is not None and re.search(r"[@?#]", self.endpoint):
            raise ValueError("endpoint: can hold no user or key: those are read from the AWS_* variables or a profile")
        if self.unsigned and self.requester_pays:
            raise ValueError("unsigned and requester_pays contradict each other: who pays must sign; remove one")
        return self


class Access(Model):
    """Where imagery may be read, and how. An item's href that leads anywhere else makes its scene unusable."""

    hosts: list[str] = Field(
        [], description="hosts of https hrefs, exactly, with the port where it is not 443; http only where written so: http://localhost:8000"
    )  # fmt: skip
    buckets: dict[str, Bucket] = Field({}, description="buckets of s3 hrefs")
    rewrite: dict[str, str] = Field(
        {}, description="prefix of hrefs → what stands for it, for a mirror (a folder, or https:// or s3://); the longest prefix counts. What it leads to "
        "need not be under hosts or buckets. A mirror's password stands in a variable of the environment: https://me:${MIRROR_PASSWORD}@example.org/"
    )  # fmt: skip
    sign: Signing | None = Field(None, description="planetary-computer: https hrefs get a SAS token")

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        if wrong := [host for host in hosts if not _HOST.fullmatch(host)]:
            told = wrong[0].rpartition("@")[2].partition("?")[0]
            raise ValueError(f"{told!r} is no host: write it as example.org, example.org:8443 or http://localhost:8000")
        return hosts

    @field_validator("buckets")
    @classmethod
    def _names(cls, buckets: dict[str, Bucket]) -> dict[str, Bucket]:
        if wrong := [name for name in buckets if not name or "/" in name or ":" in name]:
            raise ValueError(f"{wrong[0]!r} is no bucket's name: write eodata for hrefs s3://eodata/…")
        return buckets

    @field_validator("rewrite")
    @classmethod
    def _prefixes(cls, rewrite: dict[str, str]) -> dict[str, str]:
        if "" in rewrite:
            raise ValueError("an empty prefix would rewrite everything")
        for prefix, to in rewrite.items():
            if "://" in to and not to.startswith(("https://", "http://", "s3://", "file://")):
                raise ValueError(f"what stands for {prefix} is neither a folder nor an address with https:// or s3://")
            if "://" in to and re.search(r"[?#]", to):
                raise ValueError(f"what stands for {prefix} has a query, behind which no path can follow")
            _check_secrets(to)
        return rewrite


class TileFilter(Model):
    """How the API is asked for one tile. Items are checked here in any case; without it all items that meet the tile come."""

    by: Literal["query", "cql2"] = Field(description="query: the query extension; cql2: the filter extension")
    property: str = Field("grid:code", description="the property that names the tile")
    values: list[str] = Field(
        ["MGRS-{tile}", "MGRS-{unpadded}"], min_length=1, description="spellings of the tile: {tile} is 01GBQ, {unpadded} 1GBQ"
    )  # fmt: skip

    @field_validator("values")
    @classmethod
    def _spellings(cls, values: list[str]) -> list[str]:
        for value in values:
            plain = value.replace("{tile}", "").replace("{unpadded}", "")
            if plain == value or "{" in plain or "}" in plain:
                raise ValueError(f"{value!r} spells no tile: write {{tile}} or {{unpadded}} where its name belongs")
        return values


# Properties that say the same in the catalogs that we know, in the order in which they are believed.
_TILE = ["grid:code", "mgrs:*", "s2:mgrs_tile"]
_BASELINE = ["s2:processing_baseline", "processing:version", "sentinel2:processing_baseline"]
_DATATAKE = ["s2:datatake_id", "eopf:datatake_id", "s1:datatake_id"]
_GENERATED = ["s2:generation_time", "processing:datetime", "s1:processing_datetime", "updated", "created"]


class Fields(Model):
    """Properties of an item that say what must be known of it, in the order in which they are believed."""

    tile: list[str] = Field(
        _TILE, description="the MGRS tile, in any spelling; `mgrs:*` is the mgrs extension's three properties"
    )
    cloud: list[str] = Field(["eo:cloud_cover"], description="cloud cover of the scene in percent, for the record")
    baseline: list[str] = Field(_BASELINE, description="processing baseline")
    datatake: list[str] = Field(
        _DATATAKE, description="datatake, by which parts and reprocessings of one acquisition are told"
    )
    generated: list[str] = Field(
        _GENERATED, description="when the product was made, by which reprocessings are told apart"
    )
    crs: list[str] = Field(["proj:code", "proj:epsg"], description="CRS of the pixels, at the asset or the item")


class ProviderCollection(Model):
    """How a provider holds one of our collections."""

    id: str = Field(description="the STAC collection's id")
    assets: dict[str, str] = Field(description="asset key of each band, and of SCL; never guessed from common names")
    calibration: dict[str, str] = Field(
        {}, description="asset key of each polarisation's calibration XML (Sentinel-1 GRD): without it only `quantity: dn`"
    )  # fmt: skip
    format: Literal["tiff", "jp2"] = Field("tiff", description="file format of the assets; others are not opened")
    radiometry: Radiometry = Field(
        description="what brings the pixels to what they mean. Sentinel-2, to harmonised DN: harmonised: no offset. "
        "earth-search-l2a: none where earthsearch:boa_offset_applied is true or the baseline is below 04.00, else "
        "the pixels are looked at, and where they do not tell the scene is refused. baseline: −1000 from baseline 04.00 on. "
        "raster-offset: as the asset's raster offset says, which must fit the baseline. Sentinel-1: amplitude (GRD: DN, "
        "calibrated by its XML), power (RTC: linear gamma0)"
    )
    filter: TileFilter | None = Field(
        None, description="how the API is asked for one tile; nothing: by the tile's box alone"
    )
    fields: Fields = Field(Fields(), description="properties of an item that say what must be known of it")
    duplicates: Literal["newest", "all"] = Field(
        "newest", description="newest: of several products of the same ground in one datatake the newest baseline serves (then "
        "the latest made); all: the catalog has no such duplicates, and every product is a part"
    )  # fmt: skip
    mask: Literal["scl", "paired", "pixels"] = Field(
        "scl", description="scl: the asset SCL says what a pixel shows; paired: the paired Level-2A scene's does (Level-1C); "
        "pixels: no data is told by the pixels themselves (Sentinel-1)"
    )  # fmt: skip
    rewrite: dict[str, str] = Field(
        {}, description="prefix of hrefs → what it should be, where the catalog is known to be wrong"
    )

    @field_validator("assets")
    @classmethod
    def _distinct(cls, assets: dict[str, str]) -> dict[str, str]:
        bands: dict[str, str] = {}
        for band, name in assets.items():
            if name in bands:
                raise ValueError(f"{name} cannot be {bands[name]} and {band}")
            bands[name] = band
        return assets

    @model_validator(mode="after")
    def _scl(self) -> Self:
        if self.mask == "scl" and "SCL" not in self.assets:
            raise ValueError("assets: SCL is missing, which `mask: scl` reads; add its asset key")
        return self


class Provider(Model):
    """A source of scenes."""

    kind: Literal["api", "local"] = Field(
        description="api: a STAC API. local: an ItemCollection (.json) or stac-geoparquet (.parquet)"
    )
    url: str | None = Field(
        None, description="root of the STAC API. Passwords and keys stand in variables of the environment: https://example.org/stac?key=${STAC_KEY}"
    )  # fmt: skip
    path: str | None = Field(None, description="the local catalog; relative hrefs in it are relative to it")
    page_size: int = Field(100, ge=1, le=1000, description="items asked for at a time")
    parallel: int = Field(
        4, ge=1, le=64, description="requests that all jobs of a run may have under way at the API at a time"
    )
    access: Access = Field(Access(), description="where imagery may be read, and how")
    licence: str = Field(description="licence of the imagery, as shown in stores and the report")
    attribution: str = Field(description="how to credit the imagery")
    collections: dict[str, ProviderCollection] = Field(description="our collections that it holds")

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.kind == "api" and not self.url:
            raise ValueError("url: is needed for kind api")
        if self.kind == "local" and not self.path:
            raise ValueError("path: is needed for kind local")
        if self.kind == "api" and self.url:
            if not self.url.startswith(("https://", "http://")):
                raise ValueError("url: is no address: write https://<host>/<path>")
            try:
                _check_secrets(self.url)
            except ValueError as error:
                raise ValueError(f"url: {error}") from None
        for key, held in self.collections.items():
            if key not in COLLECTION_BANDS:
                raise ValueError(f"collections.{key}: unknown; use one of {', '.join(COLLECTION_BANDS)}")
            if unknown := sorted(set(held.assets) - {*COLLECTION_BANDS[key], "SCL"}):
                raise ValueError(
                    f"collections.{key}.assets.{unknown[0]}: no band of it; use {', '.join(COLLECTION_BANDS[key])} or SCL"
                )
        return self

    @property
    def catalog(self) -> Path | None:
        """The file of a local catalog, None for an API."""
        return Path(self.path) if self.kind == "local" and self.path else None


class CollectionAccess(Model):
    """What a reader must know to open the assets of one collection; not of what they show, so no stage reruns for it."""

    access: Access
    format: Literal["tiff", "jp2"]
    local: bool = Field(description="whether files on disk may be opened: where the catalog itself is one")
    rewrite: dict[str, str] = Field({}, description="the collection's own corrections of hrefs, before the user's")
    parallel: int = Field(4, description="requests that all jobs of a run may have under way at the API at a time")
