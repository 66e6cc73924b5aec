"""How far a stage is, in its log; and the one line that its user sees at the end."""

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

SUMMARY: Final = 25  # between INFO, which is for the log file, and WARNING: shown on the console as well
_EVERY_S: Final = 10.0

logging.addLevelName(SUMMARY, "SUMMARY")


class Progress:
    """Says at most every ten seconds how much of `total` is done, how fast, and how long the rest will take."""

    def __init__(self, log: logging.Logger, total: int, what: str) -> None:
        """`what`: the things counted, in the plural."""
        self._log = log
        self._total = total
        self._what = what
        self._done = 0
        self._begun = self._said = time.monotonic()

    def step(self, count: int = 1, also: Callable[[], str] | None = None) -> None:
        """Count `count` more; what `also` returns is added when something is said."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= _EVERY_S:
            self._said = now
            rate = self._done / (now - self._begun)
            left = (self._total - self._done) / rate
            self._log.info(
                "%d of %d %s, %.0f/s, %.0f s left%s",
                self._done,
                self._total,
                self._what,
                rate,
                left,
                f"; {also()}" if also else "",
            )


def used() -> str:
    """What this process has cost so far: CPU seconds with those of its children, and the most memory that it held.

    Snakemake's `benchmark:` would tell it of every rule, at a quarter of all that Snakemake costs, from looks now and then.
    """
    times = os.times()
    cpu_s = times.user + times.system + times.children_user + times.children_system
    return f"{cpu_s:.1f} CPU s, at most {most_mb():.0f} MB"


def most_mb() -> float:
    """The most memory that this process has held, in MB of 10⁶ bytes."""
    # Not getrusage's where there is another: it begins with the peak of the process that forked this one.
    with suppress(OSError), open("/proc/self/status") as lines:
        # some sandboxes have the file, but not the line
        if peak := next((line for line in lines if line.startswith("VmHWM")), None):
            return int(peak.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
