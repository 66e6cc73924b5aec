"""stackstac, lazily, the rectangle around all cells in one compute; patches are cut from it afterwards."""

from job import Arrays, Job, run
from lazy import window
from stackstac_lazy import cubes


def read(job: Job) -> Arrays:
    """One array a band."""
    return window(job, cubes(job))


if __name__ == "__main__":
    run(read)
