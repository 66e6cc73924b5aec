"""The leaf values that the cells stage uses: nothing else of the config moves its output."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from tilewright.config.base import Model
from tilewright.config.cells import Activity, Water


class CellsSettings(Model):
    """Settings of `tilewright cells`; the fields mean what they mean under `cells` in the config."""

    seed: int = Field(42, description="of the draw")
    strategy: Literal["lattice"] = Field("lattice", description="how a tile is sampled")
    size_m: int = Field(1920, gt=0, le=9000, description="side of a cell in metres")
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="seeded share of the cells to keep")
    number: Annotated[int, Field(gt=0)] | None = Field(None, description="cells to keep, by seeded draw")
    activity: Activity | None = Field(None, description="keep only cells with human activity")
    water: Water | None = Field(None, description="drop cells that are wholly water")
    labelled_by: str | None = Field(None, description="label set whose features cells must meet")
    clip: str | None = Field(
        None, description="WKT (EPSG:4326) of the AOI within the tile; none where the tile is wholly inside"
    )
    clip_file: str | None = Field(None, description="instead of a clip too long to hand over: the AOI's file")
    clip_digest: str | None = Field(None, description="of the clip that the file then gives")


def clip_digest(clip: str) -> str:
    """A short name of a clip's text."""
    return hashlib.blake2b(clip.encode(), digest_size=16).hexdigest()
