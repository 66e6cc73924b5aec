"""The leaf values that the cells stage uses: nothing else of the config moves its output."""

import datetime
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from tilewright.config.area import Aoi
from tilewright.config.base import Model
from tilewright.config.cells import Activity, Grids, Reference, Strategy, Water


class Sample(Model):
    """One of the tile's places, with its cell's upper-left corner (metres in the tile's UTM zone)."""

    sample: int = Field(description="row in the user's file, from 0, or place in the draw of locations")
    ulx: int
    uly: int
    id: str | None = None
    label: str | None = None
    date: datetime.date | None = None


class CellsSettings(Model):
    """Settings of `tilewright cells`; the fields mean what they mean under `cells` in the config."""

    seed: int = Field(42, description="of the draw")
    strategy: Strategy = Field("lattice", description="how a tile is sampled")
    size_m: int = Field(1920, gt=0, le=9000, description="side of a cell in metres")
    stride_m: int | None = Field(
        None, gt=0, description="lattice: metres from one cell to the next; size_m if not given"
    )
    grids: Grids | None = Field(None, description="of strategy grids")
    reference: Reference | None = Field(None, description="what cells' reference dates are drawn from")
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
    samples: list[Sample] | None = Field(None, description="the tile's own of the user's places")
    samples_of: Aoi | None = Field(None, description="instead of too many to hand over: where the user's places are")
    samples_digest: str | None = Field(None, description="of the tile's own that the file then gives")
    locations_digest: str | None = Field(None, description="of the tile's own of the locations around cities")


def clip_digest(clip: str) -> str:
    """A short name of a clip's text."""
    return hashlib.blake2b(clip.encode(), digest_size=16).hexdigest()


def samples_digest(samples: Sequence[Sample]) -> str:
    """A short name of a tile's places and all that is said of them."""
    return clip_digest(samples_text(samples))


def samples_text(samples: Sequence[Sample]) -> str:
    """A tile's places as text."""
    return json.dumps([sample.model_dump(mode="json") for sample in samples])
