"""The rasters of a STAC item: where they are, and on which pixel grids."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tilewright.catalog.fields import epsg_of
from tilewright.config.provider import Fields

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Asset:
    """One raster of a scene.

    Attributes:
        collection: our name of the collection (s2_l2a).
        band: our name of the band (B02, SCL, VV).
        href: path or URL as the catalog has it; rewriting and signing happen when it is opened.
        epsg: CRS of the pixel grid.
        transform: a, b, c, d, e, f of the affine transform, metres.
        shape: rows, columns. epsg, transform and shape are None where the file itself must say where it is (radar).
        calibration: href of the band's calibration XML (Sentinel-1 GRD), empty where there is none.
    """

    scene_id: str
    collection: str
    band: str
    href: str
    epsg: int | None
    transform: Transform | None
    shape: tuple[int, int] | None
    calibration: str = ""

    @property
    def shown(self) -> str:
        """The href as messages may show it: without user, password and query, which may be a signature."""
        return shown(self.href)


def shown(href: str) -> str:
    """A URL without user, password, query and fragment; a path as it is."""
    try:
        parts = urlsplit(href)
    except ValueError:  # a netloc that is none, such as https://[
        return href.split("?")[0].rpartition("@")[2]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else href


def href_of(item: Mapping[str, Any], name: str) -> str | None:
    """The href of the asset called `name`; None where the item does not list it."""
    asset = item["assets"].get(name)
    href = asset.get("href") if isinstance(asset, dict) else None
    return href if isinstance(href, str) else None


def placed(item: Mapping[str, Any], name: str, fields: Fields) -> tuple[int, Transform, tuple[int, int]] | None:
    """CRS, transform and shape of an asset; None where the item does not place it on an upright grid in a known CRS.

    The asset's own fields come before the item's (which hold for every asset that has none of its own). A transform has
    6 or 9 numbers; where it is missing, proj:bbox and proj:shape give it.
    """
    asset, properties = item["assets"][name], item["properties"]
    for told in (asset, {**properties, **{key: value for key, value in asset.items() if value is not None}}):
        epsg = next(
            (found for level in (asset, properties) for field in fields.crs if (found := epsg_of(level.get(field)))),
            None,
        )
        grid = _grid(told)
        if epsg is not None and grid is not None:
            return epsg, *grid
    return None


def _grid(told: Mapping[str, Any]) -> tuple[Transform, tuple[int, int]] | None:
    """Transform and shape from one level of an item; None where they are missing or make no upright grid."""
    try:
        rows, columns = (int(value) for value in told["proj:shape"])
        if told.get("proj:transform") is not None:
            numbers = [float(value) for value in told["proj:transform"]]
            if len(numbers) not in (6, 9) or (len(numbers) == 9 and numbers[6:] != [0, 0, 1]):
                return None
        else:
            west, south, east, north = (float(value) for value in told["proj:bbox"])
            numbers = [(east - west) / columns, 0.0, west, 0.0, (south - north) / rows, north]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    a, b, c, d, e, f = numbers[:6]
    upright = all(map(math.isfinite, numbers)) and a > 0 > e and b == d == 0 and rows > 0 and columns > 0
    return ((a, b, c, d, e, f), (rows, columns)) if upright else None


def local_size(href: str) -> int | None:
    """Bytes of a local file, None where there is none or it is not local."""
    if "://" in href and not href.startswith("file://"):
        return None
    path = Path(unquote(urlsplit(href).path) if href.startswith("file://") else href)
    return path.stat().st_size if path.is_file() else None
