"""pyrosm on a whole .osm.pbf: custom criteria with the keys that tilewright keeps, ways and relations (nodes with tags are left out).

python pyrosm_features.py <file.osm.pbf> <key> …
"""

import json
import sys

import pyrosm


def main() -> None:
    path, keys = sys.argv[1], sys.argv[2:]
    found = pyrosm.OSM(path).get_data_by_custom_criteria(
        custom_filter=dict.fromkeys(keys, True), osm_keys_to_keep=keys, filter_type="keep", keep_nodes=False
    )
    kinds = found.geom_type.str.replace("Multi", "").value_counts()
    lines = int(kinds.get("LineString", 0) + kinds.get("LinearRing", 0))
    print(json.dumps({"Polygon": int(kinds.get("Polygon", 0)), "LineString": lines}))


if __name__ == "__main__":
    main()
