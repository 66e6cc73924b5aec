"""Writes the package's list of Sentinel-2 tiles from a CSV that has at least the columns `tile` and `land`.

    python resources/make_s2_tiles.py tiles.csv workflow/tilewright/grid/s2_tiles.csv.gz

Only names and land flags are kept: a name and the tiling formula give the place (`tilewright.grid.mgrs`).
"""

import csv
import gzip
import sys
from pathlib import Path


def compact(rows: list[tuple[str, bool]]) -> str:
    """CSV text with one line for each grid zone (`32T`): its land squares and its sea squares, sorted."""
    zones: dict[str, tuple[list[str], list[str]]] = {}
    for name, land in sorted(rows):
        zones.setdefault(name[:3], ([], []))[0 if land else 1].append(name[3:])
    lines = [f"{zone},{' '.join(land)},{' '.join(sea)}" for zone, (land, sea) in sorted(zones.items())]
    return "\n".join(["zone,land,sea", *lines, ""])


def main(source: str, target: str) -> None:
    """Read `source`, write `target`: the same bytes for the same rows."""
    with Path(source).open(newline="") as handle:
        rows = [(row["tile"], row["land"] in ("True", "1")) for row in csv.DictReader(handle)]
    Path(target).write_bytes(gzip.compress(compact(rows).encode(), 9, mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
