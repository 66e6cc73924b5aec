"""The metadata of an image under Earth Engine's names (SSL4EO-S12, Tables XX and XXI), from what STAC items carry."""

from collections.abc import Callable
from typing import Any, Final

from tilewright.catalog import fields
from tilewright.exports.products import milliseconds, tile_of

Item = dict[str, Any]
# Percentages of the scene classes: Earth Engine's name, that of the s2 extension, that of the Copernicus Data Space's `statistics`.
_PERCENTAGES: Final = (
    ("CLOUDY_SHADOW_PERCENTAGE", "cloud_shadow_percentage", "cloud_shadow"),
    ("DARK_FEATURES_PERCENTAGE", "dark_features_percentage", "dark_area"),
    ("HIGH_PROBA_CLOUDS_PERCENTAGE", "high_proba_clouds_percentage", "high_proba_clouds"),
    ("MEDIUM_PROBA_CLOUDS_PERCENTAGE", "medium_proba_clouds_percentage", "medium_proba_clouds"),
    ("NODATA_PIXEL_PERCENTAGE", "nodata_pixel_percentage", "nodata"),
    ("NOT_VEGETATED_PERCENTAGE", "not_vegetated_percentage", "not_vegetated"),
    ("SATURATED_DEFECTIVE_PIXEL_PERCENTAGE", "saturated_defective_pixel_percentage", "saturated_defective"),
    ("SNOW_ICE_PERCENTAGE", "snow_ice_percentage", "snow_ice"),
    ("THIN_CIRRUS_PERCENTAGE", "thin_cirrus_percentage", "thin_cirrus"),
    ("UNCLASSIFIED_PERCENTAGE", "unclassified_percentage", "unclassified"),
    ("VEGETATION_PERCENTAGE", "vegetation_percentage", "vegetation"),
    ("WATER_PERCENTAGE", "water_percentage", "water"),
)


def _first(*names: str) -> Callable[[Item], Any]:
    return lambda item: fields.first(item["properties"], names)


def _number(*names: str) -> Callable[[Item], int | float | None]:
    """A number, whole where it is; catalogs write some as text."""
    return lambda item: _as_number(fields.first(item["properties"], names))


def _as_number(told: Any) -> int | float | None:
    found = fields.number(told)
    if found != found:  # NaN
        return None
    return int(found) if found.is_integer() else found


def _class_share(extension: str, statistic: str) -> Callable[[Item], int | float | None]:
    def told(item: Item) -> int | float | None:
        properties = item["properties"]
        statistics = properties.get("statistics")
        own = statistics.get(statistic) if isinstance(statistics, dict) else None
        return _as_number(properties.get(f"s2:{extension}", own))

    return told


def _zenith(item: Item) -> float | None:
    told = _as_number(item["properties"].get("s2:mean_solar_zenith"))
    elevation = _as_number(item["properties"].get("view:sun_elevation"))
    # 1e-9: the difference is of decimal numbers, and is to look like one
    return told if told is not None or elevation is None else round(90 - elevation, 9)


def _product(item: Item) -> str | None:
    names = [name for name in fields.product_names(item) if "_MSIL" in name]
    return names[0].removesuffix(".SAFE") if names else None


def _pass(item: Item) -> str | None:
    return fields.orbit_state_of(item).upper() or None


def _orbit(item: Item) -> int | None:
    found = fields.relative_orbit_of(item)
    return found if found >= 0 else None


def _unit(item: Item) -> str | None:
    return fields.platform_of(item)[-1:].upper() or None


def _spacecraft(item: Item) -> str | None:
    unit = _unit(item)
    return f"Sentinel-2{unit}" if unit else None


def _class_of_product(item: Item) -> str | None:
    """S or A: the second letter of the fourth word of a product's name (1SDV)."""
    words = [name.split("_") for name in fields.product_names(item) if name.startswith("S1")]
    return next((word[3][1] for word in words if len(word) > 3 and len(word[3]) == 4), None)


def _family(item: Item) -> str | None:
    told = str(item["properties"].get("constellation") or "").upper().replace(" ", "-")
    return told or None


def _resolution(item: Item) -> str | None:
    told = str(item["properties"].get("s1:resolution") or "")
    return told[:1].upper() or None


# Table XXI. Of the paper's other fields (incidence angles and irradiance of each band, quality checks, accuracies, the cloud cover of
# the whole product) no catalog's items tell anything.
_OPTICAL: Final[dict[str, Callable[[Item], Any]]] = {
    "CLOUDY_PIXEL_PERCENTAGE": _number("eo:cloud_cover"),
    "DATASTRIP_ID": _first("s2:datastrip_id", "eopf:datastrip_id"),
    "DATATAKE_IDENTIFIER": _first("s2:datatake_id", "eopf:datatake_id"),
    "DATATAKE_TYPE": _first("s2:datatake_type", "eopf:instrument_mode"),
    "DEGRADED_MSI_DATA_PERCENTAGE": _number("s2:degraded_msi_data_percentage"),
    "GENERATION_TIME": lambda item: milliseconds(fields.first(item["properties"], ("s2:generation_time", "processing:datetime"))),
    "GRANULE_ID": _first("s2:granule_id", "s2:tile_id"),
    "MEAN_SOLAR_AZIMUTH_ANGLE": _number("s2:mean_solar_azimuth", "view:sun_azimuth"),
    "MEAN_SOLAR_ZENITH_ANGLE": _zenith,
    "MGRS_TILE": tile_of,
    "PROCESSING_BASELINE": _first("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"),
    "PRODUCT_ID": _product,
    "REFLECTANCE_CONVERSION_CORRECTION": _number("s2:reflectance_conversion_factor"),
    "SENSING_ORBIT_DIRECTION": _pass,
    "SENSING_ORBIT_NUMBER": _orbit,
    "SPACECRAFT_NAME": _spacecraft,
    **{name: _class_share(extension, statistic) for name, extension, statistic in _PERCENTAGES},
}  # fmt: skip
# Table XX. No catalog's items tell facilities, software, calibration, cycles or segments.
_RADAR: Final[dict[str, Callable[[Item], Any]]] = {
    "familyName": _family,
    "platform_number": _unit,
    "nssdcIdentifier": _first("sat:platform_international_designator"),
    "instrumentMode": _first("sar:instrument_mode"),
    "orbitNumber_start": _number("sat:absolute_orbit"),
    "relativeOrbitNumber_start": _orbit,
    "orbitProperties_pass": _pass,
    "resolution": _resolution,
    "resolution_meters": _number("sar:pixel_spacing_range"),
    "instrumentConfigurationID": _number("s1:instrument_configuration_ID"),
    "missionDataTakeID": _number("s1:datatake_id"),
    "transmitterReceiverPolarisation": _first("sar:polarizations"),
    "productClass": _class_of_product,
    "productType": _first("sar:product_type"),
    "productTimelinessCategory": _first("s1:product_timeliness"),
    "sliceNumber": _number("s1:slice_number"),
    "totalSlices": _number("s1:total_slices"),
}  # fmt: skip


def properties_of(item: Item, index: str, radar: bool) -> dict[str, Any]:
    """What an item tells, under Earth Engine's names; what it does not tell is left out.

    Args:
        index: the image's name, as `system:index`.
    """
    told = {name: of(item) for name, of in (_RADAR if radar else _OPTICAL).items()}
    found = {name: value for name, value in sorted(told.items()) if value not in (None, "")}
    found["system:index"] = index
    found["system:time_start"] = milliseconds(
        item["properties"].get("start_datetime") or item["properties"]["datetime"]
    )
    if (end := milliseconds(item["properties"].get("end_datetime"))) is not None:
        found["system:time_end"] = end
    return found
