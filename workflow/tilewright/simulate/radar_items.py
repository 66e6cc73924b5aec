"""Sentinel-1 products as STAC items: as Earth Search gives its sentinel-1-grd, and Planetary Computer its sentinel-1-rtc."""

import datetime
from typing import Any, Final

import numpy as np
from shapely.geometry import Polygon, mapping

from tilewright.simulate.radar import POLARISATIONS, Radar
from tilewright.simulate.radar_files import RTC_M, RTC_NODATA, outline_points, rtc_grid
from tilewright.simulate.radar_schedule import RadarScene
from tilewright.simulate.radar_world import RTC

GRD_ASSETS: Final[dict[str, str]] = {
    "schema-calibration-vh": "calibration-iw-vh.xml", "schema-calibration-vv": "calibration-iw-vv.xml", "vh": "iw-vh.tiff",
    "vv": "iw-vv.tiff",
}  # fmt: skip
RTC_ASSETS: Final[dict[str, str]] = {"vh": "iw-vh.rtc.tiff", "vv": "iw-vv.rtc.tiff"}
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_DESIGNATORS: Final = {"a": "2014-016A", "b": "2016-025A"}


def _stamp(time: datetime.datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"


def footprint(radar: Radar, scene: RadarScene) -> Polygon:
    """Outline of a product's data in EPSG:4326."""
    lon, lat = radar.away(*outline_points(radar, scene), 4326)
    return Polygon(np.round(np.column_stack([lon, lat]), 7))


def _radar(scene: RadarScene) -> dict[str, Any]:
    """What both catalogs say of a product."""
    return {
        "sar:frequency_band": "C", "sar:center_frequency": 5.405, "sar:observation_direction": "right",
        "sar:instrument_mode": "IW", "sar:polarizations": list(POLARISATIONS), "sar:product_type": "GRD",
        "sar:resolution_range": 20, "sar:resolution_azimuth": 22, "sar:pixel_spacing_range": 10,
        "sar:pixel_spacing_azimuth": 10, "sar:looks_range": 5, "sar:looks_azimuth": 1, "sar:looks_equivalent_number": 4.4,
        "sat:platform_international_designator": _DESIGNATORS[scene.platform[-1]], "sat:orbit_state": scene.direction,
        "sat:absolute_orbit": scene.absolute_orbit, "sat:relative_orbit": scene.relative_orbit,
    }  # fmt: skip


def _product(scene: RadarScene) -> dict[str, Any]:
    return {
        "s1:instrument_configuration_ID": "7", "s1:datatake_id": str(scene.datatake), "s1:product_timeliness": "Fast-24h",
        "s1:processing_level": "1", "s1:resolution": "high", "s1:orbit_source": "RESORB",
        "s1:slice_number": str(scene.slice_number), "s1:total_slices": str(scene.total_slices),
    }  # fmt: skip


def _item(scene_id: str, collection: str, outline: Polygon, extensions: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in extensions],
        "id": scene_id,
        "geometry": mapping(outline),
        "bbox": [round(edge, 7) for edge in outline.bounds],
        "properties": {},
        "links": [],
        "assets": {},
        "collection": collection,
    }


def grd_item(radar: Radar, scene: RadarScene, left_out: set[str], world: str) -> dict[str, Any]:
    """The item of the amplitude product; `left_out`: keys of assets that it does not list; `world`: the world's digest."""
    outline = footprint(radar, scene)
    found = _item(
        scene.id, "sentinel-1-grd", outline,
        ("projection/v1.1.0", "storage/v1.0.0", "sat/v1.0.0", "processing/v1.1.0", "sar/v1.0.0", "raster/v1.1.0"),
    )  # fmt: skip
    west, south, east, north = found["bbox"]
    taken = _stamp(scene.datetime)
    found["properties"] = {
        **_radar(scene),
        # As in the real items, these are the box and the size and no grid that the pixels lie on.
        "proj:epsg": 4326,
        "proj:bbox": found["bbox"],
        "proj:shape": [scene.lines, scene.pixels],
        "proj:transform": [(east - west) / scene.pixels, 0, west, 0, -(north - south) / scene.lines, north],
        "proj:centroid": {"lat": round(outline.centroid.y, 5), "lon": round(outline.centroid.x, 5)},
        "platform": scene.platform,
        "constellation": "sentinel-1",
        "start_datetime": _stamp(scene.start),
        "end_datetime": _stamp(scene.end),
        **_product(scene),
        "s1:shape": [scene.lines, scene.pixels],
        "s1:product_identifier": f"{scene.id}_{scene.datatake * 40503 % 65536:04X}",
        "s1:processing_datetime": _stamp(scene.end + datetime.timedelta(hours=3)),
        "storage:platform": "AWS",
        "storage:region": "eu-central-1",
        "storage:requester_pays": False,
        "datetime": taken,
        "created": taken,
        "tilewright:world": world,
        "updated": taken,
    }
    for key, name in GRD_ASSETS.items():
        asset: dict[str, Any] = {"href": f"{scene.id}/{name}"}
        if name.endswith(".xml"):
            asset |= {
                "type": "application/xml",
                "title": f"{key[-2:].upper()} Calibration Schema",
                "roles": ["metadata"],
            }
        else:
            asset |= {
                "type": _COG, "title": f"{key.upper()} Data", "raster:bands": [{"nodata": 0, "data_type": "uint16"}], "roles": ["data"],
            }  # fmt: skip
        if key not in left_out:
            found["assets"][key] = asset
    return found


def rtc_item(radar: Radar, scene: RadarScene, left_out: set[str], world: str) -> dict[str, Any]:
    """The item of the terrain-corrected product; see `grd_item`."""
    outline = footprint(radar, scene)
    found = _item(
        scene.id + RTC, "sentinel-1-rtc", outline, ("sar/v1.0.0", "sat/v1.0.0", "projection/v1.0.0", "raster/v1.0.0")
    )
    left, top, columns, rows = rtc_grid(radar, scene)
    found["properties"] = {
        "datetime": _stamp(scene.datetime),
        "platform": scene.platform.upper(),
        "constellation": "Sentinel-1",
        "start_datetime": _stamp(scene.start),
        "end_datetime": _stamp(scene.end),
        **_radar(scene),
        **_product(scene),
        "proj:epsg": radar.epsg,
        "proj:bbox": [left, top - rows * RTC_M, left + columns * RTC_M, top],
        "proj:shape": [rows, columns],
        "proj:transform": [RTC_M, 0, left, 0, -RTC_M, top, 0, 0, 1],
        "tilewright:world": world,
    }
    for key, name in RTC_ASSETS.items():
        if key not in left_out:
            found["assets"][key] = {
                "href": f"{scene.id}{RTC}/{name}",
                "type": _COG,
                "title": f"{key.upper()}: terrain-corrected gamma naught",
                "raster:bands": [{"nodata": RTC_NODATA, "data_type": "float32", "spatial_resolution": RTC_M}],
                "roles": ["data"],
            }
    return found
