"""GDAL's OSM driver through pyogrio on a whole .osm.pbf: the layers `lines` and `multipolygons` as tables of Arrow.

Its defaults decide what is an area and which tags become columns; the rest are text in `other_tags`.

    python gdal_features.py <file.osm.pbf>
"""

import json
import sys

import pyogrio


def main() -> None:
    found = {}
    for kind, layer in (("Polygon", "multipolygons"), ("LineString", "lines")):
        found[kind] = len(pyogrio.read_dataframe(sys.argv[1], layer=layer, use_arrow=True))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
