"""Seeded draws: numbers that only a seed and names decide, on every machine and in any order."""

import hashlib


def draw(*names: object) -> int:
    """A whole number in [0, 2⁶⁴) that only `names` decide (blake2b)."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest(), "big")


def unit_interval(*names: object) -> float:
    """A number in [0, 1) that only `names` decide."""
    return draw(*names) / 2**64
