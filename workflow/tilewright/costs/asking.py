"""What a rule asks of a scheduler for a job: its cost with a margin, more at each attempt."""

import math
from typing import Final

from tilewright.costs.models import job_cost
from tilewright.costs.work import Work

# So much more than the models say: they are within a quarter of what was measured (docs/resources.md), and other data differ.
MARGIN: Final = 1.5
# On a cluster a job runs inside a Snakemake of its own, whose memory counts, too: 135 to 210 MB (measured with 9.27).
SNAKEMAKE_MB: Final = 210
LEAST_MB: Final = 500  # below that Snakemake alone may not fit
LEAST_MIN: Final = 10  # starting Python from a slow shared disk, a server that makes a job wait
# CPU seconds are asked for as if a node were this much slower than where they were measured, and by one thread alone.
_SLOWER: Final = 2.0
_WIRE_MB_S: Final = 5.0  # of one job, where many share a line
# Threads that a stage makes use of. Of mask and crop a second one fetches and unpacks while the first writes.
THREADS: Final[dict[str, int]] = {"simulate": 2, "mask": 2, "crop": 2, "group": 2}


def asked(stage: str, work: Work, attempt: int = 1) -> dict[str, int]:
    """`mem_mb`, `runtime` (minutes), `disk_mb` and `threads` that a job of `stage` asks for; memory and time double at each attempt.

    Raises:
        TilewrightError: for a stage without a model.
    """
    cost, more = job_cost(stage, work), 2 ** (attempt - 1)
    seconds = cost.cpu_s * _SLOWER + cost.wire_mb / _WIRE_MB_S
    return {
        "mem_mb": more * max(LEAST_MB, _whole(cost.mem_mb * MARGIN + SNAKEMAKE_MB, 100)),
        "runtime": more * max(LEAST_MIN, _whole(seconds * MARGIN / 60, 5)),
        "disk_mb": max(100, _whole(cost.disk_mb * MARGIN, 100)),
        "threads": THREADS.get(stage, 1),
    }


def _whole(value: float, step: int) -> int:
    """`value` rounded up to whole steps: figures that a small edit does not move."""
    return math.ceil(value / step) * step
