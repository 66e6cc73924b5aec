"""What a rule asks of a scheduler for a job: its cost with a margin, more at each attempt."""

import math
from typing import Final

from tilewright.costs.models import job_cost
from tilewright.costs.work import Work

# Of the measured models: so much more is asked.
MARGIN: Final = 1.5
# Jobs run inside a Snakemake of their own on a cluster, whose memory counts, too (facts of issue 7: 135 to 210 MB).
SNAKEMAKE_MB: Final = 210
LEAST_MB: Final = 500
LEAST_MIN: Final = 10


def asked(stage: str, work: Work, attempt: int = 1) -> dict[str, int]:
    """`mem_mb`, `runtime` (minutes) and `disk_mb` that a job of `stage` asks for; memory and time double with each attempt.

    Raises:
        TilewrightError: for a stage without a model.
    """
    cost, more = job_cost(stage, work), 2 ** (attempt - 1)
    return {
        "mem_mb": more * max(LEAST_MB, _whole(cost.mem_mb * MARGIN + SNAKEMAKE_MB, 100)),
        "runtime": more * max(LEAST_MIN, _whole(cost.cpu_s * MARGIN / 60, 5)),
        "disk_mb": max(100, _whole(cost.disk_mb * MARGIN, 100)),
    }


def _whole(value: float, step: int) -> int:
    """`value` rounded up to whole steps: figures that a small edit does not move."""
    return math.ceil(value / step) * step
