"""A smaller copy of a large extract, made by osmium-tool where it is installed: the objects that labels may need, no others.

It spares no time: osmium-tool reads the file three times (measured on half a million ways, nearly all of them of use: 4 s of
processor time, and the rest took as long as without). What it spares is memory: pyosmium holds 16 bytes for each node of the
file that it reads, and of a large one the nodes of addresses, borders and routes are left out here.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tilewright.errors import TilewrightError
from tilewright.vector.tags import LABEL_KEYS

LARGE: Final = 1 << 30  # bytes; from here on it is the memory that counts (some 100 million nodes)


@contextmanager
def prefiltered(path: Path, scratch: Path | None) -> Iterator[Path]:
    """Yield a file with at least the objects of `path` (.osm.pbf) that have a label key, those they refer to, and multipolygons.

    That is `path` itself where it is small, there is no folder `scratch` for a copy, or no osmium-tool.

    Raises:
        TilewrightError: where osmium-tool cannot read `path` or write the copy, with what it says.
    """
    tool = shutil.which("osmium")
    if scratch is None or tool is None or path.stat().st_size < LARGE:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=".prefilter-", dir=scratch) as folder:
        copy = Path(folder) / "filtered.osm.pbf"
        command = [
            tool, "tags-filter", "--no-progress", "--input-format=pbf", "--output-format=pbf,pbf_compression=none",
            f"--output={copy}", str(path), *(f"nwr/{key}" for key in LABEL_KEYS), "r/type=multipolygon",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TilewrightError(
                f"labels: {path}: cannot be read as pbf, or its filtered copy not be written beside {scratch} "
                f"({' '.join(done.stderr.split()) or f'osmium ended with {done.returncode}'}); fetch the extract again, or free space"
            )
        yield copy
