"""What a STAC item says of the product that it was made of, for layouts that name files after products."""

import re
from datetime import UTC, datetime
from typing import Any, Final

from tilewright.catalog import fields

# When the datatake began: in a product's name after its level, in a datatake's id after the satellite.
_DATATAKE: Final = re.compile(r"(?:MSIL[12][AC]|^GS2[A-D])_(\d{8}T\d{6})_")
# When the datastrip began: S2B_OPER_MSI_L2A_DS_2BPS_20250731T143919_S20250731T131905_N05.11
_DATASTRIP: Final = re.compile(r"_S(\d{8}T\d{6})(?:_|$)")
_TILE: Final = re.compile(r"_T(\d\d[A-Z]{3})_")
# S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8, also without the checksum; what catalogs append is left out
_RADAR: Final = re.compile(
    r"S1[A-D]_IW_GRD[HM]_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}(?:_[0-9A-F]{4}(?![0-9A-Za-z]))?"
)
_SPELLED: Final = "%Y%m%dT%H%M%S"


def datatake_start(item: dict[str, Any]) -> datetime:
    """When the datatake of a Sentinel-2 item began (UTC, without zone), as names of products tell it; else the item's own time."""
    told = [str(item["properties"].get(name, "")) for name in ("s2:datatake_id", "eopf:datatake_id")]
    for name in (*fields.product_names(item), *told):
        if found := _DATATAKE.search(name):
            return datetime.strptime(found[1], _SPELLED)
    return fields.item_time(item).replace(tzinfo=None)


def optical_name(item: dict[str, Any], tile: str) -> str:
    """A Sentinel-2 image's name in Earth Engine: start of the datatake, start of the datastrip, tile.

    Where an item does not tell its datastrip, the time of generation stands in its place, as Earth Engine has it for products of
    2015 and 2016, and where it does not tell that either, the item's own time: names are of one shape whatever a catalog says.

    Args:
        tile: where the item names none.
    """
    told = [str(item["properties"].get(name, "")) for name in ("s2:datastrip_id", "eopf:datastrip_id")]
    strips = [found[1] for name in told if (found := _DATASTRIP.search(name))]
    strip = strips[0] if strips else _generated(item).strftime(_SPELLED)
    return f"{datatake_start(item):{_SPELLED}}_{strip}_T{tile_of(item) or tile}"


def tile_of(item: dict[str, Any]) -> str | None:
    """The tile of a Sentinel-2 item, by what it tells or its product's name."""
    named = [found[1] for name in fields.product_names(item) if (found := _TILE.search(name))]
    return fields.item_tile(item) or next(iter(named), None)


def radar_name(item: dict[str, Any]) -> str:
    """The name of a Sentinel-1 GRD product, as Earth Engine takes it; what was made of it (RTC) has its name, too.

    Items that do not tell it get a name of its shape from their platform and times: all that are read are of IW mode.
    """
    for name in fields.product_names(item):
        if found := _RADAR.match(name):
            return found[0]
    start = fields.item_time(item)
    properties = item["properties"]
    times = [_time(properties.get(name)) or start for name in ("start_datetime", "end_datetime")]
    unit = fields.platform_of(item)[-1:].upper()
    return f"S1{unit if unit in 'ABCD' and unit else 'X'}_IW_GRDH_1SDV_{times[0]:{_SPELLED}}_{times[1]:{_SPELLED}}"


def _generated(item: dict[str, Any]) -> datetime:
    told = fields.first(item["properties"], ("s2:generation_time", "processing:datetime"))
    return _time(told) or fields.item_time(item)


def _time(told: object) -> datetime | None:
    """A time of a catalog in UTC; None where it is none."""
    try:
        time = told if isinstance(told, datetime) else datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def milliseconds(told: object) -> int | None:
    """A time as Earth Engine has it: milliseconds since 1970; None where it is none."""
    time = _time(told)
    return None if time is None else round(time.timestamp() * 1000)
