"""From what a source holds to the numbers of patches: harmonised DN, dB, amplitude."""

import math
from typing import Final

import numpy as np

from tilewright.config.collections import Quantity
from tilewright.imagery import Prepared
from tilewright.imagery import Quantity as Wanted

# What a reader is asked for, for each quantity of radar.
POWER: Final[dict[Quantity, Wanted]] = {"dn": "dn", "sigma0_db": "sigma0", "gamma0_db": "gamma0"}
_TERMS: Final = 11  # of atanh's series; the next is below 1e-18 of the sum


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
    """Linear power as float32 dB, or as amplitude where the quantity is dn; NaN stays NaN, and power of 0 or less, which has no dB, is NaN."""
    if quantity == "dn":
        return np.sqrt(power, dtype=np.float32)
    known = np.isfinite(power) & (power > 0)
    return np.where(known, 10 * log10(np.where(known, power, 1)), np.nan).astype(np.float32)


def log10(values: np.ndarray) -> np.ndarray:
    """The decimal logarithm of finite numbers above 0, in float64, with the same bits on every processor.

    numpy's own is another with AVX-512 than without, by a last place: a pixel of some tiles would then differ even as float32. This
    one adds, multiplies and divides only, which IEEE 754 rounds in one way: with values = m · 2^k, √½ ≤ m < √2, and
    s = (m − 1) / (m + 1), the natural logarithm of m is 2 (s + s³/3 + s⁵/5 + …).
    """
    part, power = np.frexp(values.astype(np.float64))
    low = part < math.sqrt(0.5)
    part += part * low
    share = part - 1
    part += 1
    share /= part
    square = np.multiply(share, share, out=part)
    series = square * (1 / (2 * _TERMS - 1))
    for term in range(2 * _TERMS - 3, 1, -2):
        series += 1 / term
        series *= square
    series += 1
    series *= share
    series *= 2 / math.log(10)
    series += (power - low) * math.log10(2)
    return series
