"""A small .osm file for each of some cells, as an API or `osmium extract` gives it: ways with a vertex in the cell's box, relations
that have such a way, and whatever these consist of. What encloses a box without a vertex inside is not found: that is how it is.

    python label_cut.py <job.json>        cells, epsg, cell_m, margin_m, pbf, files
"""

import json
import sys
from pathlib import Path

import numpy as np
import osmium
from pyproj import Transformer


def main() -> None:
    told = json.loads(Path(sys.argv[1]).read_text())
    to_lonlat = Transformer.from_crs(told["epsg"], 4326, always_xy=True).transform
    boxes = []
    for ulx, uly in told["cells"]:
        size, margin = told["cell_m"], told["margin_m"]
        x = np.array([ulx - margin, ulx + size + margin] * 2)
        y = np.array([uly + margin, uly + margin, uly - size - margin, uly - size - margin])
        lon, lat = to_lonlat(x, y)
        boxes.append((lon.min(), lat.min(), lon.max(), lat.max()))

    places = np.array([(node.id, node.lon, node.lat) for node in osmium.FileProcessor(told["pbf"], osmium.osm.NODE)])
    ways = {way.id: [node.ref for node in way.nodes] for way in osmium.FileProcessor(told["pbf"], osmium.osm.WAY)}
    relations = {
        relation.id: [member.ref for member in relation.members if member.type == "w"]
        for relation in osmium.FileProcessor(told["pbf"], osmium.osm.RELATION)
    }
    wanted: dict[tuple[str, int], list[int]] = {}  # object -> cells
    for cell, (west, south, east, north) in enumerate(boxes):
        lon, lat = places[:, 1], places[:, 2]
        inside = set(places[(lon >= west) & (lon <= east) & (lat >= south) & (lat <= north), 0].astype(int).tolist())
        own = {way for way, nodes in ways.items() if not inside.isdisjoint(nodes)}
        around = {relation for relation, members in relations.items() if not own.isdisjoint(members)}
        own |= {way for relation in around for way in relations[relation] if way in ways}
        inside |= {node for way in own for node in ways[way]}
        for kind, ids in (("n", inside), ("w", own), ("r", around)):
            for one in ids:
                wanted.setdefault((kind, one), []).append(cell)
    writers = [osmium.SimpleWriter(path) for path in told["files"]]
    for item in osmium.FileProcessor(told["pbf"]):
        for cell in wanted.get((item.type_str(), item.id), ()):
            writers[cell].add(item)
    for writer in writers:
        writer.close()


if __name__ == "__main__":
    main()
