"""What all settings models are made of: the base class, and types that several of them use."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
TileName = Annotated[str, Field(pattern=r"^(0[1-9]|[1-5][0-9]|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Model(BaseModel):
    """Base of every settings model: unknown keys are errors, values do not change."""

    # Built at its first use: a stage uses few of the models that it imports.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _box(bbox: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = bbox
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
        raise ValueError("is west, south, east, north in degrees, within ±180 and ±90")
    if south >= north:
        raise ValueError(f"south {south} is not below north {north}: write west, south, east, north")
    if west == east:
        raise ValueError(f"west and east are both {west}: write west, south, east, north")
    return bbox


Box = Annotated[tuple[float, float, float, float], AfterValidator(_box)]


def path_safe(name: str) -> bool:
    """Whether `name` (a scene id, a tile) may become part of a path or a key: no separators, no leading dot, at most 200 characters."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", name) is not None and ".." not in name
