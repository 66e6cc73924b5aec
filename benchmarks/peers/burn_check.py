"""Whether tilewright and rasterio burn the same shapes alike: pixels that differ, over the whole tile and in the finished labels.

How many areas cover each pixel's centre is counted by both; of what is touched, the union. Where one category is burned without
dilation and wins over all in its channel (buildings), the store's own pixels are compared too.
"""

import json
import sys
from pathlib import Path

import numpy as np
import zarr
from burn_job import BurnJob, job
from rasterio.enums import MergeAlg
from rasterio.features import rasterize

from tilewright.vector.scan import Shapes, Spans, centre_spans, touched_spans

ROWS = 1098  # a band of rows: what is counted at a time


def counted(of: BurnJob, spans: Spans, first: int, rows: int) -> np.ndarray:
    """Shapes at each pixel of some rows of the tile: int32 (rows, side)."""
    left, side = round(of.ulx / of.step), of.side
    row = spans.row - first
    start, stop = np.clip(spans.start - left, 0, side), np.clip(spans.stop - left, 0, side)
    cells = rows * (side + 1)
    change = np.bincount(row * (side + 1) + start, minlength=cells) - np.bincount(
        row * (side + 1) + stop, minlength=cells
    )
    return change.reshape(rows, side + 1).cumsum(axis=1)[:, :side].astype(np.int32)


def differing(of: BurnJob, kind: str, touched: bool) -> dict[str, int]:
    """Pixels of the tile that the two burn otherwise; and pixels that rasterio burns at all."""
    geometry = of.table.geometry.to_numpy()[(of.table["kind"] == kind).to_numpy()]
    add = MergeAlg.replace if touched else MergeAlg.add  # all touched, added, GDAL counts some pixels of a shape twice
    theirs = rasterize(
        ((shape, 1) for shape in geometry),
        (of.side, of.side),
        transform=of.place,
        all_touched=touched,
        dtype="int32",
        merge_alg=add,
    )
    shapes, top, wrong = Shapes(geometry), round(-of.uly / of.step), 0
    for row in range(0, of.side, ROWS):
        rows = min(ROWS, of.side - row)
        spans = (touched_spans if touched else centre_spans)(shapes, of.step, top + row, top + row + rows)
        ours = counted(of, spans, top + row, rows)
        part = theirs[row : row + rows]
        wrong += int((((ours > 0) != (part > 0)) if touched else (ours != part)).sum())
    return {"burned": int((theirs > 0).sum()), "differ": wrong}


def in_store(of: BurnJob, labels: Path, name: str) -> dict[str, int]:
    """The category `name` in the finished labels beside rasterio's burn of its shapes, all touched: pixels of all cells."""
    own = [any(category.name == name for category in categories) for categories in of.table["category"]]
    category = next(one for one in of.ontology.categories if one.name == name)
    at = [channel.name for channel in of.ontology.channels].index(category.channel)
    theirs = rasterize(
        ((shape, 1) for shape in of.table.geometry.to_numpy()[own]), (of.side, of.side), transform=of.place, dtype="uint8",
        all_touched=category.burn == "touched",
    )  # fmt: skip
    found = {"burned": 0, "differ": 0}
    with zarr.storage.ZipStore(labels, mode="r") as store:
        group = zarr.open_group(store, mode="r")["osm"]
        for cell, (ulx, uly) in enumerate(zip(group["ulx"][:].tolist(), group["uly"][:].tolist(), strict=True)):
            ours = group["labels"][cell, at] == category.value
            row, column = round((of.uly - uly) / of.step), round((ulx - of.ulx) / of.step)
            part = theirs[row : row + len(ours), column : column + len(ours)] > 0
            found["burned"] += int(part.sum())
            found["differ"] += int((ours != part).sum())
    return found


def main() -> None:
    of = job()
    found = {
        "areas by centre (how many cover it)": differing(of, "area", False), "areas touched": differing(of, "area", True),
        "lines touched": differing(of, "line", True),
        "buildings in labels.zarr.zip": in_store(of, Path(sys.argv[2]), "building"),
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
