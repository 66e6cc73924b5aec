"""The toy cluster that these tests submit to."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from toy_slurm import ToySlurm, lacking


@pytest.fixture(scope="module")
def slurm() -> Iterator[ToySlurm]:
    """A cluster of two nodes, each of 8 CPUs and 64 GB as it claims, for the tests of one file."""
    reason = lacking()
    if reason:
        pytest.skip(reason)
    # not in pytest's folder: the sockets' paths would be too long
    folder = Path(tempfile.mkdtemp(prefix="toy-slurm-"))
    cluster = ToySlurm(folder).up()
    try:
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)
