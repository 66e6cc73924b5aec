"""A cell at a time, as download scripts do: osmnx's features around the cell, projected, burned by rasterio, one array a cell.

    python osmnx_cells.py <job.json>

Every cell has a small .osm file, cut before (label_cut.py), which stands for the API's answer: the server's work and the network
cost nothing here. The ontology's tags, values, precedences, burn rules and dilations (by buffering) are used, `none` is not made.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import osmnx
import pandas as pd
import shapely
import zarr
from osmnx._errors import InsufficientResponseError
from rasterio.features import rasterize
from rasterio.transform import from_origin

from tilewright.vector.ontology import NONE, UNLABELED, Matcher
from tilewright.vector.ontology_file import load_ontology


def main() -> None:
    told = json.loads(Path(sys.argv[1]).read_text())
    ontology = load_ontology(Path(told["ontology"]))
    matcher = Matcher(ontology)
    channels = [channel.name for channel in ontology.channels]
    begun = time.process_time()
    side = round(told["cell_m"] / told["step"])
    made = np.full((len(told["cells"]), len(channels), side, side), UNLABELED, np.uint8)
    for cell, ((ulx, uly), path) in enumerate(zip(told["cells"], told["files"], strict=True)):
        try:
            found = osmnx.features_from_xml(path, tags=dict.fromkeys(told["keys"], True)).to_crs(told["epsg"])
        except InsufficientResponseError:  # nothing there
            continue
        columns = [column for column in found.columns if column != "geometry"]
        shapes = []  # (precedence, channel, all touched, geometry, value)
        for row, geometry in zip(found[columns].to_dict("records"), found.geometry, strict=True):
            tags = json.dumps({key: str(value) for key, value in row.items() if not pd.isna(value)}, sort_keys=True)
            kind = {"Polygon": "area", "LineString": "line", "Point": "point"}[geometry.geom_type.replace("Multi", "")]
            for number in matcher.of(tags, kind):
                if number < len(matcher.rules):
                    category, rule = matcher.rules[number]
                    grown = shapely.buffer(geometry, rule.dilate_m) if rule.dilate_m else geometry
                    touched = kind != "area" or category.burn == "touched"
                    shapes.append(
                        (category.precedence, channels.index(category.channel), touched, grown, category.value)
                    )
        shapes.sort(key=lambda one: one[0])
        place = from_origin(ulx, uly, told["step"], told["step"])
        for _, channel, touched, geometry, value in shapes:
            rasterize([(geometry, value)], (side, side), transform=place, all_touched=touched, out=made[cell, channel])
    spent = time.process_time() - begun
    print(json.dumps({"cells": len(made), "cpu_s": spent, "apart": apart(made, told["cells"], Path(told["labels"]))}))


def apart(made: np.ndarray, cells: list[list[int]], labels: Path) -> float:
    """Share of the pixels with a class, by this or by tilewright, where the two differ."""
    different = known = 0
    with zarr.storage.ZipStore(labels, mode="r") as store:
        group = zarr.open_group(store, mode="r")["osm"]
        places = list(zip(group["ulx"][:].tolist(), group["uly"][:].tolist(), strict=True))
        for theirs, cell in zip(made, cells, strict=True):
            ours = group["labels"][places.index(tuple(cell))]
            either = (ours < NONE) | (theirs < NONE)
            known += int(either.sum())
            different += int((either & (ours != theirs)).sum())
    return different / max(1, known)


if __name__ == "__main__":
    main()
