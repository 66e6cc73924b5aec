"""Scenes as STAC items of the shape that Earth Search v1 gives its sentinel-2-l2a and sentinel-2-l1c collections."""

import hashlib
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pyproj
import shapely
from shapely.geometry import Polygon, mapping
from shapely.geometry.base import BaseGeometry

from tilewright.config.simulated import Simulate
from tilewright.simulate.ground import COARSEST
from tilewright.simulate.l1c import L1C_RESOLUTION
from tilewright.simulate.landscape import local_crs
from tilewright.simulate.mgrs import TILE_M
from tilewright.simulate.products import OFFSET_SINCE, Product
from tilewright.simulate.sky import sun
from tilewright.simulate.world import SCL_RESOLUTION, World

# Asset key: file, common name, centre and width of the band in micrometres (Earth Search's items).
BAND_ASSETS: Final[dict[str, tuple[str, str, float, float]]] = {
    "coastal": ("B01", "coastal", 0.443, 0.027), "blue": ("B02", "blue", 0.49, 0.098), "green": ("B03", "green", 0.56, 0.045),
    "red": ("B04", "red", 0.665, 0.038), "rededge1": ("B05", "rededge", 0.704, 0.019),
    "rededge2": ("B06", "rededge", 0.74, 0.018), "rededge3": ("B07", "rededge", 0.783, 0.028),
    "nir": ("B08", "nir", 0.842, 0.145), "nir08": ("B8A", "nir08", 0.865, 0.033), "nir09": ("B09", "nir09", 0.945, 0.026),
    "swir16": ("B11", "swir16", 1.61, 0.143), "swir22": ("B12", "swir22", 2.19, 0.242),
}  # fmt: skip
ASSET_FILES: Final[dict[str, str]] = {**{key: band[0] for key, band in BAND_ASSETS.items()}, "scl": "SCL"}
_CIRRUS = ("B10", "cirrus", 1.3735, 0.075)
L1C_FILES: Final[dict[str, str]] = {"cirrus": "B10", **{key: band[0] for key, band in BAND_ASSETS.items()}}
# Settings that came later: left out of the world's digest where they are not used, so that worlds without them are the same.
_LATER: Final = ("sensors", "halves", "reprocessed", "radiometry")
_EXTENSIONS = (
    "grid/v1.1.0",
    "mgrs/v1.0.0",
    "processing/v1.1.0",
    "projection/v1.1.0",
    "sentinel-2/v1.0.0",
    "raster/v1.1.0",
    "view/v1.0.0",
    "eo/v1.1.0",
)
_PERCENTAGES: Final[dict[str, int]] = {
    "saturated_defective_pixel": 1, "dark_features": 2, "cloud_shadow": 3, "vegetation": 4, "not_vegetated": 5,
    "water": 6, "unclassified": 7, "medium_proba_clouds": 8, "high_proba_clouds": 9, "thin_cirrus": 10, "snow_ice": 11,
}  # fmt: skip


def files(product: Product) -> dict[str, str]:
    """Asset key: file, without its ending."""
    return ASSET_FILES if product.level == "L2A" else L1C_FILES


def footprint(world: World, product: Product) -> BaseGeometry:
    """Outline of the valid data in EPSG:4326."""
    scene = product.scene
    site, box = world.site(scene.tile), world.box(scene.tile)
    area: BaseGeometry = shapely.box(scene.ulx, scene.uly - TILE_M, scene.ulx + TILE_M, scene.uly)
    if not world.settings.dense:
        half = site.side_m / 2
        to_utm = pyproj.Transformer.from_crs(local_crs(site), scene.epsg, always_xy=True)
        corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
        area = area.intersection(Polygon([to_utm.transform(*corner) for corner in corners]))
    for a, b, c in world.product_edges(product):
        # The half plane a*x + b*y < c, as a strip that reaches far beyond the tile on its data side.
        normal, along = np.array([a, b]) / np.hypot(a, b), np.array([-b, a]) / np.hypot(a, b)
        foot = normal * c / np.hypot(a, b)
        far = 40 * max(box.columns, TILE_M // COARSEST)
        strip = [
            foot + far * along,
            foot - far * along,
            foot - far * along - far * normal,
            foot + far * along - far * normal,
        ]
        area = area.intersection(Polygon([(scene.ulx + COARSEST * x, scene.uly - COARSEST * y) for x, y in strip]))
    to_degrees = pyproj.Transformer.from_crs(scene.epsg, 4326, always_xy=True)

    def degrees(points: np.ndarray) -> np.ndarray:
        return np.round(np.column_stack(to_degrees.transform(points[:, 0], points[:, 1])), 9)

    # Straight edges in UTM are curved in degrees: points every few kilometres keep them together.
    return shapely.transform(shapely.segmentize(area, 10_000), degrees)


def _asset(product: Product, key: str) -> dict[str, Any]:
    scene, name = product.scene, files(product)[key]
    resolution = L1C_RESOLUTION.get(name, SCL_RESOLUTION)
    ending, kind = ("tif", "image/tiff; application=geotiff; profile=cloud-optimized")
    if product.level == "L1C":
        ending, kind = "jp2", "image/jp2"
    asset: dict[str, Any] = {"href": f"{product.id}/{name}.{ending}", "type": kind}
    raster: dict[str, Any] = {
        "nodata": 0,
        "data_type": "uint8" if key == "scl" else "uint16",
        "spatial_resolution": resolution,
    }
    if key == "scl":
        asset["title"] = "Scene classification map (SCL)"
    else:
        _, common, centre, width = _CIRRUS if key == "cirrus" else BAND_ASSETS[key]
        asset["title"] = f"{key} - {resolution}m"
        asset["eo:bands"] = [
            {"name": name, "common_name": common, "center_wavelength": centre, "full_width_half_max": width}
        ]
        # As in the real items: Level-2A's offset is listed although `earthsearch:boa_offset_applied` says it is in the pixels.
        told = product.level == "L2A" or product.processing_baseline >= OFFSET_SINCE
        raster |= {"scale": 0.0001, "offset": -0.1 if told else 0}
    side = TILE_M // resolution
    asset |= {
        "gsd": resolution,
        "proj:shape": [side, side],
        "proj:transform": [resolution, 0, scene.ulx, 0, -resolution, scene.uly],
        "raster:bands": [raster],
        "roles": ["data"] if key == "scl" else ["data", "reflectance"],
    }
    return asset


def world_digest(settings: Simulate) -> str:
    """A short name of the world that the settings describe."""
    unused = {key for key in _LATER if getattr(settings, key) == Simulate.model_fields[key].default}
    return hashlib.blake2b(settings.model_dump_json(exclude=unused).encode(), digest_size=8).hexdigest()


def _properties(world: World, product: Product, counts: np.ndarray, outline: BaseGeometry) -> dict[str, Any]:
    scene, level = product.scene, product.level
    # The second half of a datatake begins seconds later; a newer processing is made years later.
    time = scene.datetime + timedelta(seconds=6 if product.part == 1 else 0)
    generated = scene.datetime + timedelta(days=1400 if product.newer else 0)
    taken = f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"
    made = f"{generated:%Y%m%d}T153000"
    unit, baseline = scene.platform[-1].upper(), product.processing_baseline
    sensed = scene.datatake.split("_")[1]
    zone, letter, square = scene.epsg % 100, scene.tile[2], scene.tile[3:]
    valid = max(1, int(counts[1:].sum()))
    azimuth, elevation = sun(scene, world.site(scene.tile).lat)
    centre = outline.centroid

    def share(*classes: int) -> float:
        return round(100 * int(sum(counts[number] for number in classes)) / valid, 6)

    side = TILE_M // SCL_RESOLUTION
    classes = {
        "s2:nodata_pixel_percentage": round(100 * (1 - valid / side**2), 6),
        **{f"s2:{name}_percentage": share(number) for name, number in _PERCENTAGES.items()},
    }
    return {
        "created": taken,
        "platform": scene.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": share(8, 9, 10) if level == "L2A" else share(9, 10),
        "proj:epsg": scene.epsg,
        "proj:centroid": {"lat": round(centre.y, 5), "lon": round(centre.x, 5)},
        "mgrs:utm_zone": zone,
        "mgrs:latitude_band": letter,
        "mgrs:grid_square": square,
        "grid:code": f"MGRS-{zone}{letter}{square}",
        "view:sun_azimuth": round(azimuth, 6),
        "view:sun_elevation": round(elevation, 6),
        "s2:tile_id": f"S2{unit}_OPER_MSI_{level}_TL_SIMU_{made}_A{scene.absolute_orbit:06}_T{scene.tile}_N{baseline}",
        "s2:degraded_msi_data_percentage": 0,
        **(classes if level == "L2A" else {}),
        "s2:product_type": "S2MSI2A" if level == "L2A" else "S2MSI1C",
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"S2{unit}_MSI{level}_{sensed}_N{baseline.replace('.', '')}_R{scene.relative_orbit:03}_T{scene.tile}_{made}.SAFE",
        "s2:generation_time": f"{generated:%Y-%m-%d}T15:30:00.000000Z",
        "s2:datatake_id": product.datatake,
        "s2:datatake_type": "INS-NOBS",
        "s2:datastrip_id": f"S2{unit}_OPER_MSI_{level}_DS_SIMU_{made}_S{sensed}_N{baseline}",
        "s2:reflectance_conversion_factor": round(
            1 + 0.0334 * float(np.cos(2 * np.pi * (scene.day_of_year - 3) / 365)), 12
        ),
        "datetime": taken,
        "s2:sequence": product.sequence,
        # another world has other pixels under the same ids: readers that keep pixels can tell
        "tilewright:world": world_digest(world.settings),
        "earthsearch:payload_id": f"simulated/{hashlib.blake2b(product.id.encode(), digest_size=16).hexdigest()}",
        **({"earthsearch:boa_offset_applied": product.flagged} if level == "L2A" else {}),
        "updated": taken,
    }


def item(world: World, product: Product, counts: np.ndarray) -> dict[str, Any]:
    """The STAC item of a product; hrefs are relative to the catalog.

    `counts`: pixels of each SCL class in the simulated part, class 0 to 11.
    """
    outline = footprint(world, product)
    left_out = {
        broken.asset for broken in world.settings.broken if broken.scene == product.id and broken.how == "no_asset"
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in _EXTENSIONS],
        "id": product.id,
        "geometry": mapping(outline),
        "bbox": [round(edge, 6) for edge in outline.bounds],
        "properties": _properties(world, product, counts, outline),
        "links": [],
        "assets": {key: _asset(product, key) for key in files(product) if key not in left_out},
        "collection": f"sentinel-2-{product.level.lower()}",
    }
