"""From one pixel grid of a cell to another, by pixel centres.

All grids of a cell share its outer corners. Output pixel i's centre is at (i + 1/2) · n_in / n_out pixels from the edge;
`nearest` takes the input pixel that it falls into (of two equally near, the one further from the corner), `bilinear`
weighs the two centres around it, and the edge pixel beyond the last one. That is
`torch.nn.functional.interpolate(…, align_corners=False)` without antialias: towards coarser grids neither averages more
than two pixels along an axis.
"""

from functools import cache
from typing import Any, Literal

import numpy as np

Resampling = Literal["bilinear", "nearest"]


@cache
def nearest_pixels(side: int, to: int) -> np.ndarray:
    """For each of `to` pixels, the one of `side` pixels that its centre falls into."""
    return (2 * np.arange(to) + 1) * side // (2 * to)


@cache
def bilinear_pixels(side: int, to: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `to` pixels: the lower and upper neighbour among `side` pixels, and the upper one's weight (float32)."""
    # centre · 2 · to, in whole numbers: which pixels take part is not for a float to decide
    twice = (2 * np.arange(to) + 1) * side - to
    twice = np.clip(twice, 0, 2 * to * (side - 1))
    lower = twice // (2 * to)
    weight = (twice - lower * 2 * to) / (2 * to)
    return lower, np.minimum(lower + 1, side - 1), weight.astype(np.float32)


def nearest(pixels: np.ndarray, to: int) -> np.ndarray:
    """(…, y, x) of square grids, at `to` pixels a side; the type stays."""
    side = pixels.shape[-1]
    if side == to:
        return pixels
    if to % side == 0:
        times = to // side
        wide = np.empty((*pixels.shape[:-1], to), pixels.dtype)
        for phase in range(times):
            wide[..., phase::times] = pixels
        return wide.repeat(times, axis=-2)
    at = nearest_pixels(side, to)
    return pixels.take(at, axis=-1).take(at, axis=-2)


def bilinear(pixels: np.ndarray, to: int) -> np.ndarray:
    """(…, y, x) of square grids, at `to` pixels a side, as float32."""
    pixels = pixels.astype(np.float32, copy=False)
    side = pixels.shape[-1]
    if side == to:
        return pixels
    if to % side == 0:
        return _finer(_finer(pixels, to // side, -1), to // side, -2)
    lower, upper, weight = bilinear_pixels(side, to)
    columns = _between(pixels.take(lower, axis=-1), pixels.take(upper, axis=-1), weight)
    return _between(columns.take(lower, axis=-2), columns.take(upper, axis=-2), weight[:, None])


def _between(low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Compute low + (high - low) · weight, in the memory of `high`."""
    high -= low
    high *= weight
    high += low
    return high


def _finer(pixels: np.ndarray, times: int, axis: int) -> np.ndarray:
    """`bilinear` along one axis, `times` as fine: the weights repeat, so slices do what indexing would at twice the cost."""
    side = pixels.shape[axis]
    shape = list(pixels.shape)
    shape[axis] = side * times
    found = np.empty(shape, np.float32)

    def along(first: int | None, last: int | None, step: int | None = None) -> Any:
        return (..., slice(first, last, step), *(slice(None),) * (-1 - axis))

    padded = np.concatenate([pixels[along(0, 1)], pixels, pixels[along(-1, None)]], axis=axis)
    change = np.diff(padded, axis=axis)
    for phase in range(times):
        centre = 2 * phase + 1 - times  # from the pixel's centre, in 1 / (2 · times) pixels
        start = 1 if centre >= 0 else 0
        weight = np.float32((centre if start else centre + 2 * times) / (2 * times))
        part = change[along(start, start + side)] * weight
        np.add(part, padded[along(start, start + side)], out=found[along(phase, None, times)])
    return found


def in_power(pixels: np.ndarray, to: int, decibel: bool) -> np.ndarray:
    """As `bilinear`, of radar: what is weighed is linear power, so that the mean of two pixels is that of their echoes.

    NaN, no data, spoils the pixels that take a part of it, and no others.

    Args:
        decibel: whether `pixels` are 10·log10 of power, rather than amplitudes.
    """
    if pixels.shape[-1] == to:
        return pixels.astype(np.float32, copy=False)
    there = ~np.isnan(pixels)
    power = np.power(10, pixels.astype(np.float32) / np.float32(10)) if decibel else np.square(pixels, dtype=np.float32)
    found = bilinear(np.where(there, power, np.float32(0)), to)
    found[~all_valid(there, to, "bilinear")] = np.nan
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(found) if decibel else np.sqrt(found), np.float32)


def all_valid(valid: np.ndarray, to: int, how: Resampling) -> np.ndarray:
    """(…, y, x) bool: where every pixel that `how` takes with a weight above zero is valid."""
    side = valid.shape[-1]
    if side == to or how == "nearest":
        return nearest(valid, to)
    lower, upper, weight = bilinear_pixels(side, to)
    upper = np.where(weight > 0, upper, lower)
    columns = valid.take(lower, axis=-1) & valid.take(upper, axis=-1)
    return np.asarray(columns.take(lower, axis=-2) & columns.take(upper, axis=-2))


def covered(valid: np.ndarray, to: int) -> np.ndarray:
    """A mask (…, y, x) on a grid of `to` pixels: where all pixels that lie in one are valid; repeated on finer grids.

    The rule by which `mask` and `group` bring the validity of SCL to the bands; by nearest centre where neither side
    divides the other.
    """
    side = valid.shape[-1]
    if side > to and side % to == 0:
        step = side // to
        return np.asarray(valid.reshape(*valid.shape[:-2], to, step, to, step).all(axis=(-3, -1)))
    return nearest(valid, to)
