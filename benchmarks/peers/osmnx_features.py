"""osmnx on a whole .osm file: `features_from_xml` with the keys that tilewright keeps. It reads no .pbf.

python osmnx_features.py <file.osm> <key> …
"""

import json
import sys

import osmnx


def main() -> None:
    path, keys = sys.argv[1], sys.argv[2:]
    found = osmnx.features_from_xml(path, tags=dict.fromkeys(keys, True))
    kinds = found.geom_type.str.replace("Multi", "").value_counts()
    print(json.dumps({"Polygon": int(kinds.get("Polygon", 0)), "LineString": int(kinds.get("LineString", 0))}))


if __name__ == "__main__":
    main()
