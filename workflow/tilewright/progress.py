"""How far a stage is, in its log; and the one line that its user sees at the end."""

import logging
import time
from collections.abc import Callable
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
