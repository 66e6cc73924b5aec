"""What a user says of training, validation and test splits."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tilewright.config.base import Fraction, Model


class Shares(Model):
    """Shares of the splits; they sum to 1."""

    train: Fraction = 0.8
    val: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test is {self.train + self.val + self.test:g}, not 1")
        return self


class Split(Model):
    """How cells are split. The same ground is never in two splits."""

    by: Literal["tile", "block"] = Field(
        "tile",
        description="tile: hash of seed and MGRS tile, as OpenSentinelMap; block: hash of seed and square block of cells",
    )
    shares: Shares = Field(Shares(), description="shares of the three splits")
    min_tiles: int = Field(
        10,
        ge=1,
        description="with fewer tiles that have cells, `tile` falls back to `block` (recorded in the index and the report)",
    )
    block_m: int = Field(9600, gt=0, description="side of a block in metres; rounded down to whole cells, at least one")
