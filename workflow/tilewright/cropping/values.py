"""From what a source holds to the numbers of patches: harmonised DN, dB, amplitude."""

from typing import Final

import numpy as np

from tilewright.config.collections import Quantity
from tilewright.imagery import Prepared
from tilewright.imagery import Quantity as Wanted

# What a reader is asked for, for each quantity of radar.
POWER: Final[dict[Quantity, Wanted]] = {"dn": "dn", "sigma0_db": "sigma0", "gamma0_db": "gamma0"}


def harmonised(stored: np.ndarray, offset: int) -> Prepared:
    """Pixels in harmonised DN, flagged where they were clipped.

    Where an offset applies, stored 0 is no data and stays 0; every other pixel is valid and clips at 1, so that a dark
    pixel never turns into no data.
    """
    if offset == 0:
        return Prepared(stored, None)
    moved = stored.astype(np.int32) + offset
    pixels = np.where(stored > 0, np.maximum(moved, 1), 0).astype(stored.dtype)
    return Prepared(pixels, (stored > 0) & (moved < 1))


def from_power(power: np.ndarray, quantity: Quantity) -> np.ndarray:
    """Linear power as float32 dB, or as amplitude where the quantity is dn; NaN stays NaN, and power of 0 or less, which has no dB, is NaN.

    The logarithm is taken in 64 bits: single-precision ones differ in the last place between processors.
    """
    if quantity == "dn":
        return np.sqrt(power, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(power, dtype=np.float64)
    return np.where(np.isfinite(level), level, np.nan).astype(np.float32)
