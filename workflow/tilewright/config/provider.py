"""Providers: a STAC API, or a local catalog, and what must be known to read it right. Files in `config/providers/`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tilewright.config.base import Model

Radiometry = Literal["harmonised", "earth-search-l2a", "baseline"]


class ProviderCollection(Model):
    """How a provider holds one of our collections."""

    id: str = Field(description="the STAC collection's id")
    assets: dict[str, str] = Field(description="asset key of each band, and of SCL; never guessed from common names")
    radiometry: Radiometry = Field(
        description="which offset brings the pixels to harmonised DN. harmonised: none. earth-search-l2a: none where "
        "earthsearch:boa_offset_applied is true or the baseline is below 04.00, else unresolved and the scene is refused. "
        "baseline: −1000 from baseline 04.00 on"
    )


class Provider(Model):
    """A source of scenes."""

    kind: Literal["api", "local"] = Field(
        description="api: a STAC API. local: an ItemCollection (.json) or stac-geoparquet (.parquet)"
    )
    url: str | None = Field(None, description="root of the STAC API")
    path: str | None = Field(None, description="the local catalog; relative hrefs in it are relative to it")
    tile_query: bool = Field(
        False,
        description="whether the API may be asked for one tile by `query` on grid:code (items are checked here in any case)",
    )
    page_size: int = Field(100, ge=1, le=1000, description="items asked for at a time")
    licence: str = Field(description="licence of the imagery, as shown in stores and the report")
    attribution: str = Field(description="how to credit the imagery")
    collections: dict[str, ProviderCollection] = Field(description="our collections that it holds")

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.kind == "api" and not self.url:
            raise ValueError("url: is needed for kind api")
        if self.kind == "local" and not self.path:
            raise ValueError("path: is needed for kind local")
        return self

    @property
    def catalog(self) -> Path | None:
        """The file of a local catalog, None for an API."""
        return Path(self.path) if self.kind == "local" and self.path else None
