"""Randomness from names only, and smooth noise made from it."""

import hashlib

import numpy as np

_TABLE = 256  # side of the periodic lattice that noise interpolates


def digest(*names: object) -> int:
    """A 64-bit number that depends on `names` alone (not on the interpreter's hash seed)."""
    return int.from_bytes(hashlib.blake2b("|".join(map(str, names)).encode(), digest_size=8).digest(), "big")


def generator(*names: object) -> np.random.Generator:
    """A generator seeded from `names`."""
    return np.random.Generator(np.random.PCG64(digest(*names)))


def lattice(*names: object) -> np.ndarray:
    """A periodic lattice of values in [-1, 1): (256, 256) float32."""
    return generator("lattice", *names).uniform(-1, 1, (_TABLE, _TABLE)).astype(np.float32)


def _cell(position: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lattice index, the next one, and the smoothed fraction between them."""
    whole = np.floor(position)
    t = position - whole
    index = whole.astype(np.int32)
    index &= _TABLE - 1
    return index, (index + 1) & (_TABLE - 1), t * t * (3 - 2 * t)


def noise_at(table: np.ndarray, x: np.ndarray, y: np.ndarray, scale: float) -> np.ndarray:
    """Smooth noise in [-1, 1) at points `x`, `y`, with features of about `scale` (same unit); float32."""
    # Turned by an arbitrary angle, so that the lattice is parallel neither to pixels nor to roads.
    x, y = x.astype(np.float32), y.astype(np.float32)
    unit = np.float32(scale)
    row, row_next, t = _cell((np.float32(0.8) * y - np.float32(0.6) * x) / unit)
    column, column_next, s = _cell((np.float32(0.6) * y + np.float32(0.8) * x) / unit)
    flat = table.ravel()
    row *= _TABLE
    row_next *= _TABLE
    low = flat[row + column]
    low += (flat[row + column_next] - low) * s
    high = flat[row_next + column]
    high += (flat[row_next + column_next] - high) * s
    return low + (high - low) * t
