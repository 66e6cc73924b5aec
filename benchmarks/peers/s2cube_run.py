"""s2cube on the job's cells and bands: plan, search, create, fetch; everything on a 10 m grid, in one HDF5 file.

Its best case here: sites are the cells themselves, given in UTM, so that its grids are ours; cells that touch are one group,
which it reads as one window a band and date. It wants at least one unlabelled window (with none it fails with h5py 3.16),
which lies inside the cells so that nothing more is read.
"""

import json
import sys
from pathlib import Path

from s2cube import cube, stac
from s2cube.config import Config


def main() -> None:
    told = json.loads(Path(sys.argv[1]).read_text())
    out = Path(told["out"])
    out.mkdir(parents=True)
    side = told["cell_m"]
    features = []
    for at, (x, y) in enumerate(told["cells"]):
        ring = [[x, y - side], [x + side, y - side], [x + side, y], [x, y], [x, y - side]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": {"id": f"c{at:04}"}, "geometry": shape})
    sites = out / "sites.geojson"
    sites.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    crs = f"EPSG:{told['epsg']}"
    stac.PRESETS["local"] = stac.Preset("local", f"{told['stac']}/search", "sentinel-2-l2a", told["keys"], signer=None)
    config = Config.from_dict(
        {
            "name": "bench", "start": told["start"], "end": told["end"], "source": "local", "crs": crs, "output": "cube.h5",
            "bands": [band for band in told["bands"] if band != "SCL"],
            "unlabeled": {"n": 1, "win_px": 64, "buffer_m": -2.0 * side},
            "sites": {"path": str(sites), "id_field": "id", "crs": crs},
        },
        base_dir=out,
    )  # fmt: skip
    plan = cube.plan(config)
    items = stac.search(plan.bbox_lonlat, config.start, config.end, config.source)
    path = cube.create(config, plan, stac.group_by_date(items, told["epsg"]))
    written = cube.fetch(path)
    if len(written) != len(told["items"]):
        raise SystemExit(f"s2cube wrote {len(written)} of {len(told['items'])} dates")


if __name__ == "__main__":
    main()
