"""Maps of the simulated world that the recipes ask for: land cover, parcels, region types, night lights, water, cities, samples.

    python benchmarks/recipes_maps.py CONFIG.yaml [OVERLAY.yaml …] --directory FOLDER

Writes into FOLDER/maps what the configs name there; the world is that of their key `simulate`. Each map is of the world's own
features (the same landscape that its pixels show), so that labels and imagery agree.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import rasterio
import rasterio.features
import shapely
import yaml
from affine import Affine

from tilewright.config.simulated import Simulate
from tilewright.simulate import World
from tilewright.simulate.ground import BURNING
from tilewright.simulate.landscape import local_crs
from tilewright.simulate.osm import Feature

MAPS: Final = "maps"
LANDCOVER, REGIONS, PARCELS = "landcover.gpkg", "regions.gpkg", "parcels.gpkg"
LIGHTS, WATER = "lights.tif", "water.tif"
CITIES, SAMPLES = "cities.csv", "samples.csv"

# CORINE codes of tags, first match first; roads are widened to the areas that the map shows.
_CLC: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    ("natural", ("water",), "512"), ("natural", ("wetland",), "411"), ("natural", ("wood",), "311"), ("landuse", ("forest",), "313"),
    ("natural", ("scrub",), "324"), ("landuse", ("grass",), "321"), ("landuse", ("farmland",), "211"), ("landuse", ("meadow",), "231"),
    ("landuse", ("vineyard",), "221"), ("landuse", ("orchard",), "222"), ("landuse", ("quarry",), "131"),
    ("landuse", ("residential",), "112"), ("landuse", ("industrial", "commercial", "retail"), "121"), ("leisure", ("park", "pitch"), "141"),
)  # fmt: skip
_ROADS: Final = ("motorway", "trunk", "primary", "secondary")
_ROAD_M: Final = 25.0
_WILD: Final = "333"  # sparsely vegetated: ground that no feature covers
# Crops of the parcels, in EuroCrops' words: what the world's tags tell, and for plain farmland one of several by its id.
_CROPS: Final = {
    "meadow": "pasture_meadow_grassland_grass",
    "vineyard": "vineyards_wine_vine_rebland_grapes",
    "orchard": "orchards_fruits",
}
_ARABLE: Final = ("grain_maize_corn_popcorn", "winter_rapeseed_rape", "sugar_beet", "winter_barley")
_SHIFTED: Final = 11  # one parcel of so many was measured 15 m off, and claims ground of its neighbours


def land_cover(world: World, path: Path) -> None:
    """CLC18 over the whole sites, each place with one code; EPSG:25832, as BKG's map."""
    features = [
        (code, each.geometry)
        for each in world.features()
        if each.kind == "area" and (code := _clc(each.tags)) is not None
    ]
    roads = [each.geometry for each in world.features() if each.kind == "line" and each.tags.get("highway") in _ROADS]
    road = gpd.GeoSeries(roads, crs=4326).to_crs(25832).buffer(_ROAD_M / 2).union_all()
    areas = gpd.GeoDataFrame(
        {"CLC18": [code for code, _ in features]}, geometry=[area for _, area in features], crs=4326
    ).to_crs(25832)
    areas["geometry"] = _apart(areas.geometry.buffer(0).difference(road))
    ground = gpd.GeoSeries(_hulls(world), crs=4326).to_crs(25832).union_all()
    rest = ground.difference(shapely.union_all([road, areas.union_all()]))
    more = gpd.GeoDataFrame({"CLC18": ["122", _WILD]}, geometry=[road.intersection(ground), rest], crs=25832)
    whole = pd.concat([areas, more], ignore_index=True).explode(ignore_index=True)
    whole[(whole.geom_type == "Polygon") & (whole.area > 1)].to_file(path, layer="clc5", driver="GPKG")


def _apart(areas: gpd.GeoSeries) -> np.ndarray:
    """The areas without what smaller ones take of them: a park in a town is a park."""
    order = np.argsort(areas.area.to_numpy(), kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    shapes = areas.to_numpy()
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    left = shapes.copy()
    for place in range(len(shapes)):
        over = other[(one == place) & (rank[other] < rank[place])]
        if len(over):
            left[place] = left[place].difference(shapely.union_all(shapes[over]))
    return left


def _hulls(world: World) -> list[shapely.Geometry]:
    """The ground of each site, in degrees."""
    boxes = []
    for site in world.settings.sites:
        half = site.side_m / 2
        corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
        to_degrees = pyproj.Transformer.from_crs(local_crs(site), 4326, always_xy=True)
        boxes.append(shapely.Polygon([to_degrees.transform(*corner) for corner in corners]))
    return boxes


def _clc(tags: dict[str, str]) -> str | None:
    """The code of a feature; rivers are not lakes."""
    if tags.get("water") == "river":
        return "511"
    return next((code for key, values, code in _CLC if tags.get(key) in values), None)


def region_types(world: World, path: Path) -> None:
    """Region types as GE250 has them (SLRAUM, RTYP3, KTYP4): the west of each site is urban, its east rural."""
    boxes = []
    for hull in _hulls(world):
        west, south, east, north = hull.buffer(0.05).bounds
        middle = (west + east) / 2
        boxes += [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    half = len(boxes) // 2
    told = {"SLRAUM": [1, 2] * half, "RTYP3": [1, 3] * half, "KTYP4": [1, 4] * half}
    gpd.GeoDataFrame(told, geometry=boxes, crs=4326).to_crs(25832).to_file(path, layer="ge250", driver="GPKG")


def parcels(world: World, path: Path) -> None:
    """Fields with crops and ids; EPSG:2154, as France's land register. Some are measured 15 m off, as in the field."""
    rows = [(each, crop) for each in world.features() if each.kind == "area" and (crop := _crop(each)) is not None]
    frame = gpd.GeoDataFrame(
        {"ID_PARCEL": range(1, len(rows) + 1), "EC_hcat_n": [crop for _, crop in rows]},
        geometry=[each.geometry for each, _ in rows], crs=4326,
    ).to_crs(2154)  # fmt: skip
    off = frame["ID_PARCEL"] % _SHIFTED == 0
    frame.loc[off, "geometry"] = frame.loc[off, "geometry"].translate(15, 15)
    frame.to_file(path, layer="parcels", driver="GPKG")


def _crop(each: Feature) -> str | None:
    use = each.tags.get("landuse", "")
    if use == "farmland":
        return "winter_common_soft_wheat" if each.tags.get("crop") == "wheat" else _ARABLE[each.id % len(_ARABLE)]
    return _CROPS.get(use)


def lights(world: World, path: Path) -> None:
    """Night lights in the grid of VIIRS's annual composites (15 arc seconds): buildings in each pixel."""
    houses = shapely.get_coordinates(
        shapely.centroid(
            [each.geometry for each in world.features() if "building" in each.tags and each.tags["building"] != "farm"]
        )
    )
    transform, shape = _grid(world, 15 / 3600)
    columns, rows = ~transform * houses.T
    counts = np.zeros(shape, "float32")
    np.add.at(counts, (rows.astype(int), columns.astype(int)), 1)
    _raster(path, counts, transform)


def water(world: World, path: Path) -> None:
    """Land cover in the grid of CCI's (10 arc seconds): 210 where a pixel's centre is water, 10 elsewhere."""
    transform, shape = _grid(world, 10 / 3600)
    lakes = [each.geometry for each in world.features() if each.kind == "area" and each.tags.get("natural") == "water"]
    with BURNING:
        values = rasterio.features.rasterize(
            ((lake, 210) for lake in lakes), shape, fill=10, transform=transform, dtype="uint8"
        )
    _raster(path, values, transform)


def _grid(world: World, step: float) -> tuple[Affine, tuple[int, int]]:
    """A north-up grid of degrees around the world, on whole steps."""
    west, south, east, north = world.extent
    left, top = np.floor(west / step) * step, np.ceil(north / step) * step
    shape = int(np.ceil((top - south) / step)) + 1, int(np.ceil((east - left) / step)) + 1
    return Affine(step, 0, left, 0, -step, top), shape


def _raster(path: Path, values: np.ndarray, transform: Affine) -> None:
    profile = {
        "driver": "GTiff",
        "height": values.shape[0],
        "width": values.shape[1],
        "count": 1,
        "dtype": values.dtype,
        "crs": "EPSG:4326",
    }
    with rasterio.open(path, "w", transform=transform, **profile) as file:
        file.write(values, 1)


def cities(world: World, path: Path) -> None:
    """The sites as cities, with the columns of simplemaps' table."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["city", "lat", "lng", "country", "population"])
        for number, site in enumerate(world.settings.sites):
            writer.writerow([site.name.title(), site.lat, site.lon, "Simulated", 100_000 - number])


def samples(world: World, path: Path, number: int = 24) -> None:
    """Fields with the day of a visit and the crop that stood there, from all over the world."""
    fields = [(each, crop) for each in world.features() if each.kind == "area" and (crop := _crop(each)) is not None]
    years = sorted(world.settings.years)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lon", "lat", "date", "label"])
        for place, at in enumerate(np.linspace(0, len(fields) - 1, min(number, len(fields))).astype(int)):
            each, crop = fields[at]
            point = each.geometry.representative_point()
            day = date(years[place % len(years)], 4, 1) + timedelta(days=17 * place % 180)
            writer.writerow([f"field-{each.id}", f"{point.x:.7f}", f"{point.y:.7f}", day, crop])


MAKERS: Final[dict[str, Callable[[World, Path], None]]] = {
    LANDCOVER: land_cover, REGIONS: region_types, PARCELS: parcels, LIGHTS: lights, WATER: water, CITIES: cities, SAMPLES: samples,
}  # fmt: skip


def named(config: Any) -> set[str]:
    """The maps of ours that a config names anywhere."""
    if isinstance(config, dict):
        return {name for value in config.values() for name in named(value)}
    if isinstance(config, list):
        return {name for value in config for name in named(value)}
    path = Path(config) if isinstance(config, str) else Path()
    return {path.name} if path.parent.name == MAPS and path.name in MAKERS else set()


def make_maps(configs: list[dict[str, Any]], directory: Path) -> list[Path]:
    """Write the maps that the configs name into `directory`/maps.

    Args:
        configs: as they are given to Snakemake, in that order; the last one with `simulate` says which world.
    """
    settings = next(each["simulate"] for each in reversed(configs) if "simulate" in each)
    world = World(Simulate.model_validate(settings))
    folder = directory / MAPS
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in sorted({name for each in configs for name in named(each)}):
        (folder / name).unlink(missing_ok=True)
        MAKERS[name](world, folder / name)
        made.append(folder / name)
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the maps of the simulated world that recipes ask for.")
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--directory", required=True, type=Path)
    told = parser.parse_args()
    for one in make_maps([yaml.safe_load(path.read_text()) for path in told.configs], told.directory):
        print(one)
