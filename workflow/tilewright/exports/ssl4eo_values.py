"""What SSL4EO-S12's variants store: DN and decibels as they are, or bytes; and the sums that its tables are made of."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

FULL_SCALE: Final = 10_000  # DN of reflectance 1, which the authors' uint8 makes 255
SPREAD: Final = 2  # standard deviations on either side of the mean that the authors' stretched bytes show

Figures = Mapping[str, Mapping[str, float]]
"""Mean and standard deviation of each band, by <collection>_<band>."""


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Reflectance as the authors train with it: DN / 10000 × 255 without its fraction, uint8.

    The authors' conversion wraps round where reflectance is above 1; here it is cut at 255.
    """
    return np.clip(pixels.astype(np.float64) / FULL_SCALE * 255, 0, 255).astype(np.uint8)


def stretched(pixels: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Mean ± 2 standard deviations as 0 … 255 without its fraction, uint8, as the authors' code and compressed release.

    NaN (no data) and all pixels of a band without spread are 0.
    """
    if std <= 0:
        return np.zeros(pixels.shape, np.uint8)
    low, high = mean - SPREAD * std, mean + SPREAD * std
    scaled = (pixels.astype(np.float64) - low) / (high - low) * 255
    return np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255).astype(np.uint8)


def sums(pixels: np.ndarray, valid: np.ndarray) -> tuple[int, float, float]:
    """Number, sum and sum of squares of the pixels with data: exact for DN, in float64 for decibels."""
    values = pixels[valid].astype(np.int64 if pixels.dtype.kind == "u" else np.float64)
    return int(values.size), float(values.sum()), float((values * values).sum())


def table(records: pd.DataFrame, products: Mapping[str, list[str]]) -> list[list[Any]]:
    """Rows of the paper's Tables XII and XIII: product, mean or std, then a column for each band, empty where a product has none.

    Means and standard deviations (population) are over the pixels with data of all patches.

    Args:
        records: with lists `pixels`, `sums` and `squares` along the product's bands.
        products: the bands of each product.
    """
    bands = list(dict.fromkeys(band for of in products.values() for band in of))
    rows: list[list[Any]] = [["product", "statistic", *bands]]
    for product, own in products.items():
        mine = records[records["product"] == product]
        figures = {band: _figures(mine, place) for place, band in enumerate(own)}
        for at, statistic in enumerate(("mean", "std")):
            told = {band: f"{found[at]:.4f}" for band, found in figures.items() if found}
            rows.append([product, statistic, *(told.get(band, "") for band in bands)])
    return rows


def _figures(records: pd.DataFrame, place: int) -> tuple[float, float] | None:
    count, total, squares = (math.fsum(each[place] for each in records[name]) for name in ("pixels", "sums", "squares"))
    if not count:
        return None
    mean = total / count
    return mean, max(squares / count - mean * mean, 0.0) ** 0.5
