"""What a stage says that it has cost, in the last line of its log."""

import os
import re
import subprocess
import sys

WORK = """
import sys, time
from tilewright.progress import used
if sys.argv[1] == "much":
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    begun = time.process_time()
    while time.process_time() < begun + 1:
        pass
print(used())
"""


def told(what: str) -> tuple[float, int]:
    """CPU seconds and MB of a process, by its own account."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, what], stdout=subprocess.PIPE, text=True, check=True, env=os.environ
    )
    found = re.fullmatch(r"([\d.]+) CPU s, at most (\d+) MB\n", done.stdout)
    assert found is not None, done.stdout
    return float(found[1]), int(found[2])


def test_seconds_and_memory_are_the_process_s_own():
    # whoever began them holds more than either
    here = bytearray(600_000_000)
    here[::4096] = b"x" * len(here[::4096])
    (little_s, little_mb), (much_s, much_mb) = told("little"), told("much")
    assert 0.9 <= much_s - little_s <= 2
    assert 290 <= much_mb - little_mb <= 320 and little_mb < 300
