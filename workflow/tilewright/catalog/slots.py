"""How many requests a host gets at a time, over all processes that run in one working directory.

A slot is a file that a request has locked while it is under way. The kernel frees the locks of a process that is killed, so
that no slot is ever lost.
"""

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FOLDER: Final = Path(".tilewright/slots")  # in the working directory, which all jobs of a run share
_POLL_S: Final = 0.02


@contextmanager
def slot(host: str, count: int, folder: Path = FOLDER) -> Iterator[None]:
    """Hold one of `count` slots of `host`, waiting for it as long as it takes.

    Where the working directory's file system has no locks, the limit is not kept, and a warning says so once.

    Args:
        host: host and port.
        count: of all processes together; the largest number counts where they differ.
        folder: of the locks.
    """
    place = folder / re.sub(r"[^\w.-]", "_", host)
    with ExitStack() as stack:
        try:
            stack.callback(os.close, _locked(place, count))
        except OSError as error:
            _unlimited(str(place), error.strerror or str(error))
        yield


def _locked(place: Path, count: int) -> int:
    """The handle of a slot's file that is locked."""
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as waiting:

        def opened(name: str) -> int:
            handle = os.open(place / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            waiting.callback(os.close, handle)
            return handle

        # One waits for a slot to become free; the others wait for that one, in the kernel, which wakes them in the order
        # in which they came. So nobody starves, and hundreds of jobs do not keep the disk busy by looking.
        fcntl.flock(opened("gate"), fcntl.LOCK_EX)
        handles = [opened(str(number)) for number in range(count)]
        while True:
            for handle in handles:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                return os.dup(handle)  # the same lock, which closing the other handle does not free
            time.sleep(_POLL_S)


@cache
def _unlimited(place: str, why: str) -> None:
    log.warning("%s cannot be locked (%s): jobs that run side by side do not keep to provider.parallel", place, why)
