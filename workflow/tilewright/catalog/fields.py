"""What the properties of a STAC item say, whichever catalog's words they are in."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tilewright.config.provider import Fields

# Where the name of the product that an item was made of stands; it says in its own way what some catalogs leave out.
_PRODUCT: Final = (
    "s2:product_uri",
    "earthsearch:product_uri",
    "sentinel:product_id",
    "s1:product_identifier",
    "s2:tile_id",
    "s2:datatake_id",
    "title",
)
_TILE: Final = re.compile(r"(?:^|MGRS-|_T|^T)(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?:$|[_.])")
# S2A_MSIL2A_20230815T095031_N0509_R079_T33TWM_20230815T155057, also without the baseline
_S2: Final = re.compile(r"(S2[A-D])_MSIL[12][AC]_(\d{8}T\d{6})_(?:N(\d{4})_)?R(\d{3})_T\w{5}_(\d{8}T\d{6})")
# GS2A_20230815T095031_042547_N05.09: the absolute orbit says nothing that the start does not
_STARTED: Final = re.compile(r"(GS2[A-D]_\d{8}T\d{6})_\d{6}(?:_|$)")
# S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13_6FF8, also without the checksum
_S1: Final = re.compile(r"(S1[A-D])_(\w\w)_\w{4}_\w{4}_(\d{8}T\d{6})_\d{8}T\d{6}_(\d{6})_([0-9A-F]{6})")


def first(properties: dict[str, Any], names: Sequence[str]) -> Any:
    """The first of `names` that the properties tell; None where they tell none."""
    return next((value for name in names if (value := properties.get(name)) not in (None, "")), None)


def item_time(item: dict[str, Any]) -> datetime:
    """An item's time in UTC: `datetime`, else `start_datetime`.

    Raises:
        KeyError, ValueError: where it has none that can be read.
    """
    properties = item["properties"]
    stamp = properties.get("datetime") or properties["start_datetime"]
    time = stamp if isinstance(stamp, datetime) else datetime.fromisoformat(str(stamp))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def item_tile(item: dict[str, Any], fields: Fields | None = None) -> str | None:
    """The MGRS tile of an item, zone padded (01GBQ), by the first of the fields that names one; None where none does.

    Read are MGRS-7HFE, MGRS-07HFE, 07HFE, T07HFE, a product's name with _T07HFE_, and, for a field `mgrs:*` (or
    another prefix), that extension's utm_zone, latitude_band and grid_square.
    """
    properties = item["properties"]
    for name in (fields or Fields()).tile:
        if name.endswith(":*"):
            prefix = name.removesuffix("*")
            parts = [properties.get(prefix + part) for part in ("utm_zone", "latitude_band", "grid_square")]
            told = "".join(map(str, parts)) if None not in parts else ""
        else:
            told = str(properties.get(name) or "")
        if found := _TILE.search(told):
            return found[1].zfill(5)
    return None


def product_names(item: dict[str, Any]) -> list[str]:
    """Names of the product that an item was made of, and the item's own."""
    told = [str(item["properties"][name]) for name in _PRODUCT if item["properties"].get(name)]
    return [*told, str(item["id"])]


def baseline_of(item: dict[str, Any], fields: Fields) -> str:
    """The processing baseline as 05.11, from the fields or _N0511_ in a product's name; empty where none says."""
    told = first(item["properties"], fields.baseline)
    text = f"{told:05.2f}" if isinstance(told, float) else str(told or "")
    if found := re.fullmatch(r"N?(\d{1,2})\.?(\d{2})", text):
        return f"{found[1]:>02}.{found[2]}"
    for name in product_names(item):
        if found := re.search(r"_N(\d{2})\.?(\d{2})(?=[_.]|$)", name):
            return f"{found[1]}.{found[2]}"
    return ""


def platform_of(item: dict[str, Any]) -> str:
    """Such as sentinel-2a; empty where neither the item nor its product's name says."""
    if told := item["properties"].get("platform"):
        return str(told).lower().replace(" ", "-").replace("_", "-")
    found = _named(item, re.compile(r"\bS([12])([A-D])_"))
    return f"sentinel-{found[1]}{found[2].lower()}" if found else ""


def relative_orbit_of(item: dict[str, Any]) -> int:
    """From sat:relative_orbit, or _R079_ in the product's name; −1 where neither says."""
    told = number(item["properties"].get("sat:relative_orbit"))
    if 0 < told < 1000:  # Sentinel-1 has 175 of them
        return int(told)
    found = _named(item, re.compile(r"_R(\d{3})(?=_)"))
    return int(found[1]) if found else -1


def orbit_state_of(item: dict[str, Any]) -> str:
    """Either ascending or descending, empty where the item does not say."""
    told = str(item["properties"].get("sat:orbit_state", "")).lower()
    return told if told in ("ascending", "descending") else ""


def datatake_of(item: dict[str, Any], fields: Fields) -> str:
    """The datatake without its baseline: all parts and reprocessings of one pass share it.

    Sentinel-2: GS2A_20230815T095031, satellite and start, which products' names tell, too: a provider that tells only those
    has the same datatakes as another. Sentinel-1: S1A_049F13. Items of which nothing tells are datatakes of their own.
    """
    if radar := _named(item, _S1):
        return f"{radar[1]}_{radar[5]}"
    told = str(first(item["properties"], fields.datatake) or "")
    if told.isdigit():
        return f"{platform_of(item).replace('sentinel-', 'S').upper()}_{int(told):06X}"
    if started := _STARTED.match(told):
        return started[1]
    if told:
        return re.sub(r"_N\d\d\.\d\d$", "", told)
    optical = _named(item, _S2)
    return f"G{optical[1]}_{optical[2]}" if optical else str(item["id"])


def generated_of(item: dict[str, Any], fields: Fields) -> str:
    """When the product was made, in one spelling (UTC, ISO 8601); empty where nothing tells."""
    told = first(item["properties"], fields.generated)
    if told is None and (optical := _named(item, _S2)):
        told = optical[5]
    return stamp(told)


def epsg_of(told: Any) -> int | None:
    """The number of a CRS given as 32632, "32632" or "EPSG:32632"; None for all else."""
    found = re.fullmatch(r"(?:EPSG:)?(\d{4,5})(?:\.0)?", str(told).strip(), re.IGNORECASE)
    return int(found[1]) if found else None


def number(value: Any) -> float:
    """A number, NaN where it is none."""
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        return math.nan


def stamp(value: object) -> str:
    """A time in one spelling, whatever the catalog's; other words as they are, nothing for nothing."""
    if value is None:
        return ""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).isoformat()


def _named(item: dict[str, Any], pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The first of the product's names that has the pattern in it."""
    return next((found for name in product_names(item) if (found := pattern.search(name))), None)
