"""Agricultural parcels that contradict each other, from a seed: a Voronoi mosaic, some of it grown over its neighbours, some doubled.

    python benchmarks/label_parcels.py <folder> <count>       parcels.parquet and ontology.yaml

As in facts of real declarations: 5 % of the parcels are buffered by 8 m, 1 % stand twice, moved by up to 1 m, half of these under
another crop. 1.98 ha each, as 20,000 on 20 x 20 km.
"""

from __future__ import annotations

import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import shapely
import yaml

EPSG, ULX, ULY = 32632, 600_000, 5_280_000
CLASSES = 12
PARCEL_M2 = 20_000


def side_m(count: int) -> int:
    """Side of the square of `count` parcels, in whole kilometres."""
    return max(1, round((count * PARCEL_M2) ** 0.5 / 1000)) * 1000


def parcels(count: int, seed: int = 7) -> gpd.GeoDataFrame:
    """About 1.01 * `count` parcels in UTM: source_id from 1, crop 0..11, geometry; the square's upper-left corner is (ULX, ULY)."""
    rng = np.random.default_rng(seed)
    side = side_m(count)
    square = shapely.box(ULX, ULY - side, ULX + side, ULY)
    points = np.array([ULX, ULY - side]) + rng.uniform(0, side, (count, 2))
    whole = np.array(list(shapely.voronoi_polygons(shapely.multipoints(points), extend_to=square).geoms))
    whole = shapely.intersection(whole, square)
    crop = rng.integers(0, CLASSES, count)
    grown = rng.choice(count, round(count * 0.05), replace=False)
    whole[grown] = shapely.buffer(whole[grown], 8)
    twice = rng.choice(count, round(count * 0.01), replace=False)
    moves = rng.uniform(-1, 1, (len(twice), 2))
    again = [shapely.transform(one, lambda xy, by=by: xy + by) for one, by in zip(whole[twice], moves, strict=True)]
    crops = np.concatenate([crop, np.where(rng.random(len(twice)) < 0.5, crop[twice], (crop[twice] + 1) % CLASSES)])
    table = gpd.GeoDataFrame(
        {"source_id": np.arange(1, len(crops) + 1), "crop": crops}, geometry=[*whole, *again], crs=EPSG
    )
    return table[~table.geometry.is_empty]


def features(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The parcels as the stage `labels` gets them: source_id, kind, tags, geometry in EPSG:4326."""
    to_lonlat = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True)
    geometry = shapely.transform(
        table.geometry.to_numpy(), lambda xy: np.column_stack(to_lonlat.transform(xy[:, 0], xy[:, 1]))
    )
    tags = [f'{{"crop":"{crop}"}}' for crop in table["crop"]]
    return gpd.GeoDataFrame(
        {"source_id": table["source_id"].to_numpy(), "kind": "area", "tags": tags}, geometry=geometry, crs=4326
    )


def ontology() -> dict[str, object]:
    """A category for each crop."""
    categories = [
        {
            "name": f"crop{crop}", "channel": "crops", "value": crop, "precedence": crop, "colour": f"#{20 * crop:02x}8040",
            "burn": "coverage", "rules": [{"attributes": {"crop": str(crop)}}],
        }
        for crop in range(CLASSES)
    ]  # fmt: skip
    return {"name": "crops", "version": 1, "channels": [{"name": "crops"}], "categories": categories}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ontology.yaml").write_text(yaml.safe_dump(ontology(), sort_keys=False))
    features(parcels(int(sys.argv[2]))).to_parquet(folder / "parcels.parquet")
