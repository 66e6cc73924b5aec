"""The floor under burning: rasterio on shapes that are in memory, projected and sorted by precedence, into one array of the tile.

Areas by pixel centres, lines all touched, each shape once: no channels, no dilation, no `none`, no reading, no writing. Beside it
the same with the categories' own burn rule (buildings: all touched).
"""

import json
import time

from burn_job import BurnJob, job
from rasterio.features import rasterize


def burned(of: BurnJob, kind: str, touched: bool | None) -> tuple[float, int]:
    """CPU seconds of burning all shapes of a kind, by one rule or (None) by that of their category; and how many there are."""
    table = of.table[of.table["kind"] == kind]
    highest = [max(categories, key=lambda one: one.precedence) for categories in table["category"]]
    order = sorted(range(len(table)), key=lambda at: highest[at].precedence)
    geometry = table.geometry.to_numpy()
    shapes = {
        rule: [
            (geometry[at], highest[at].value + 1)
            for at in order
            if touched is not None or (highest[at].burn == "touched") is rule
        ]
        for rule in ([touched] if touched is not None else [False, True])
    }
    out, spent = None, 0.0
    for rule, some in shapes.items():
        if some:
            begun = time.process_time()
            # `out` is filled, and a dtype beside it is refused
            kept = {"out": out} if out is not None else {"dtype": "uint8"}
            out = rasterize(some, (of.side, of.side), transform=of.place, all_touched=bool(rule), **kept)
            spent += time.process_time() - begun
    return spent, len(table)


def main() -> None:
    of = job()
    rasterize([(of.table.geometry.iloc[0], 1)], (8, 8))  # what the first call sets up is not burning
    centre, areas = burned(of, "area", False)
    lines, count = burned(of, "line", True)
    ruled, _ = burned(of, "area", None)
    print(json.dumps({"areas": areas, "lines": count, "centre_s": centre, "lines_s": lines, "ruled_s": ruled}))


if __name__ == "__main__":
    main()
