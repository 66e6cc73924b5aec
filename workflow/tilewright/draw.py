"""Seeded draws: numbers that only a seed and names decide, on every machine and in any order."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def draw(*names: object) -> int:
    """A whole number in [0, 2⁶⁴) that only `names` decide (blake2b)."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest(), "big")


def unit_interval(*names: object) -> float:
    """A number in [0, 1) that only `names` decide."""
    return draw(*names) / 2**64


def lots(seed: int, names: list[str]) -> NDArray[np.uint64]:
    """Each name's lot, uniform in 0 … 2**64 - 1, from the seed and itself only: no other name moves it."""
    drawn = [hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(drawn), ">u8").astype(np.uint64)
