"""`python -m tilewright` is `tilewright`."""

import gc
import logging
import os
import sys

from tilewright.cli import main


def run() -> None:
    """Run one stage and leave at once.

    Everything that matters is closed and fsynced by then. The interpreter's own way out would let the native thread
    pools of GDAL, Arrow and Blosc race with the unloading of their libraries, which on rare occasions aborts a process
    whose work is done ("terminate called without an active exception").
    """
    # A stage is short and makes few cycles; looking for them while it imports its libraries is a seventh of its start.
    gc.set_threshold(100_000, 20, 20)
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
