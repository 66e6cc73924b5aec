"""How long a run takes: its jobs in the order that the rules allow, on so many cores, over such a connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tilewright.plan.price import Bill

# Snakemake itself, on one core beside the jobs: CPU seconds to start, and for a job (greedy scheduler, runs of 4,000 jobs: 10 to 15 ms).
START_S: Final = 3.0
A_JOB_S: Final = 0.015

_BEFORE: Final = ("simulate", "locations")
_OF_TILES: Final = (
    "source", "cells", "ask", "features", "labels", "search", "search_companions", "mask", "crop", "group"
)  # fmt: skip
_CHAIN: Final = ("cells", "search", "mask", "crop", "group")
_LABELS: Final = ("cells", "source", "ask", "features", "labels")


@dataclass(frozen=True)
class Wall:
    """How long a run takes, in seconds.

    Attributes:
        cores: that it has.
        mbit: Mbit/s of the connection; None: it was taken for no limit.
        total_s: all of it.
        chain_s: what remains with endless cores: the longest chain of jobs that wait for each other.
        wire_s: to fetch everything over the connection; 0 without.
        own_s: CPU seconds of Snakemake itself.
    """

    cores: int
    mbit: float | None
    total_s: float
    chain_s: float
    wire_s: float
    own_s: float


def wall_of(bills: Mapping[str, Bill], cores: int, mbit: float | None) -> Wall:
    """A list schedule's length: what all wait for, then the tiles side by side, then what waits for all of them.

    A job keeps a core busy for its CPU seconds; where the connection is slower than that, cores wait.
    """

    def longest(*rules: str) -> float:
        return sum(bills[rule].longest_s for rule in rules if rule in bills)

    def side_by_side(*rules: str) -> float:
        told = [bills[rule] for rule in rules if rule in bills]
        return max([sum(bill.cpu_s for bill in told) / cores, *(bill.longest_s for bill in told)])

    before = START_S + longest(*_BEFORE)
    chain = max(longest(*_CHAIN), longest(*_LABELS))
    wire_s = sum(bill.wire_mb for bill in bills.values()) * 8 / mbit if mbit else 0.0
    dispatch_s = A_JOB_S * sum(bill.jobs for bill in bills.values())
    tiles = max(side_by_side(*_OF_TILES), chain, wire_s, dispatch_s)
    exports = side_by_side("export_tile") + longest("export") if "export" in bills else 0.0
    after = side_by_side("zone") + longest("index") + max(longest("report"), exports)
    endless = before + chain + longest("zone", "index") + max(longest("report"), longest("export_tile", "export"))
    return Wall(cores, mbit, before + tiles + after, endless, wire_s, START_S + dispatch_s)
