"""Faults of servers, dealt out by a seed: which request fails, and how, is the same at every run."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

STATUSES: Final = ("403", "429", "429 after", "500", "502", "503")
# reset: the connection is reset. stall: nothing comes, then a reset. truncated: half of the body, then the connection closes.
# length: Content-Length, and the body, are half of what they should be.
BROKEN: Final = ("reset", "stall", "truncated", "length")
ON_API: Final = (
    *STATUSES,
    *BROKEN,
    "gzip",
    "words",
)  # gzip: spoilt compression. words: a page for people, with status 200
ON_FILES: Final = (*STATUSES, *BROKEN, "whole")  # whole: the whole file, with status 200, for a Range


@dataclass
class FaultPlan:
    """Which requests fail.

    Attributes:
        share: of the requests that fail.
        on_api, on_files: kinds of faults.
        longest: at most so many faults in a row for the same request, however unlucky.
        stall_s: seconds that a stalled connection stays open.
        after_s: seconds that a Retry-After asks for.
    """

    seed: int
    share: float = 0.1
    on_api: tuple[str, ...] = ON_API
    on_files: tuple[str, ...] = ON_FILES
    longest: int = 3
    stall_s: float = 1.0
    after_s: int = 1
    _times: Counter[str] = field(default_factory=Counter)
    _running: Counter[str] = field(default_factory=Counter)

    def fault(self, request: str, api: bool) -> str | None:
        """The kind of fault that `request` meets this time; None for the true answer."""
        number = self._times[request]
        self._times[request] += 1
        digest = hashlib.blake2b(f"{self.seed}/{request}/{number}".encode(), digest_size=8).digest()
        kinds = self.on_api if api else self.on_files
        if not kinds or int.from_bytes(digest[:4]) / 2**32 >= self.share or self._running[request] >= self.longest:
            self._running[request] = 0
            return None
        self._running[request] += 1
        return kinds[int.from_bytes(digest[4:]) % len(kinds)]
