"""The dataset folder that rslearn's own commands then fill: config.json and a point in the middle of every cell."""

import json
import sys
from pathlib import Path

from rasterio.warp import transform


def main() -> None:
    told = json.loads(Path(sys.argv[1]).read_text())
    out = Path(told["out"])
    out.mkdir(parents=True)
    fine = [band for band, step in told["bands"].items() if step == 10]
    coarse = [band for band, step in told["bands"].items() if step == 20 and band != "SCL"]
    band_sets = [{"dtype": "uint16", "bands": fine}, {"dtype": "uint16", "bands": coarse, "zoom_offset": -1}]
    if "SCL" in told["bands"]:
        band_sets.append({"dtype": "uint8", "bands": ["SCL"], "zoom_offset": -1})
    source = {
        "class_path": "rslearn_source.Sentinel2", "ingest": False, "init_args": {"sort_by": "datetime"},
        "query_config": {"space_mode": "INTERSECTS", "max_matches": 99},
    }  # fmt: skip
    layer = {"type": "raster", "band_sets": band_sets, "data_source": source}
    (out / "config.json").write_text(json.dumps({"layers": {"sentinel2": layer}}))
    # It cuts the middle down to whole pixels: 3 m towards the north-east keep rounding errors from moving a window.
    half = told["cell_m"] / 2
    xs, ys = [x + half + 3 for x, _ in told["cells"]], [y - half + 3 for _, y in told["cells"]]
    lon, lat = transform(f"EPSG:{told['epsg']}", "EPSG:4326", xs, ys)
    points = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": point}} for point in zip(lon, lat, strict=True)
    ]  # fmt: skip
    (out / "points.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": points}))


if __name__ == "__main__":
    main()
