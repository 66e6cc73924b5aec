"""What a STAC item means: tile, orbit, datatake, assets on their grids, and the offset that harmonises its pixels."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from tilewright.catalog.radiometry import dn_offset
from tilewright.config.base import path_safe
from tilewright.config.provider import ProviderCollection

# The simulator's items carry a digest of their world here: another world has other pixels under the same ids.
WORLD = "tilewright:world"


@dataclass(frozen=True)
class Asset:
    """One raster of a scene.

    Attributes:
        band: our name of the band (B02, SCL).
        href: path or URL.
        epsg: CRS of the pixel grid.
        transform: a, b, c, d, e, f of the affine transform, metres.
        shape: rows, columns.
    """

    scene_id: str
    band: str
    href: str
    epsg: int
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]

    @property
    def resolution(self) -> float:
        """Pixel size in metres."""
        return self.transform[0]

    @property
    def shown(self) -> str:
        """The href as messages may show it: without user, password and query, which may be a signature."""
        parts = urlsplit(self.href)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else self.href


@dataclass(frozen=True)
class Scene:
    """One STAC item as a row of `scenes.parquet`.

    Attributes:
        dn_offset: to add to the pixels of reflectance bands to harmonise them (0 or −1000).
        radiometry: the evidence for that offset.
        refused: why the scene cannot serve at all; empty where it can.
        assets: JSON text, band → href, epsg, transform, shape.
        digest: of what decides the scene's pixels; a patch is reused only for the same digest.
        item: the raw item as JSON text.
    """

    collection: str
    scene_id: str
    datetime: datetime
    platform: str
    relative_orbit: int
    processing_baseline: str
    datatake: str
    cloud_cover: float
    dn_offset: int
    radiometry: str
    refused: str
    assets: str
    digest: str
    item: str


def item_tile(item: dict[str, Any]) -> str | None:
    """The MGRS tile of an item, zone padded (01GBQ), from grid:code, mgrs:* or s2:mgrs_tile; None where it has none."""
    properties = item["properties"]
    code = str(properties.get("grid:code") or "")
    if code.startswith("MGRS-"):
        return code.removeprefix("MGRS-").zfill(5)
    if "mgrs:utm_zone" in properties:
        parts = (properties["mgrs:utm_zone"], properties["mgrs:latitude_band"], properties["mgrs:grid_square"])
        return "".join(map(str, parts)).zfill(5)
    tile = properties.get("s2:mgrs_tile")
    return str(tile).zfill(5) if tile else None


def read_scene(key: str, item: dict[str, Any], collection: ProviderCollection) -> Scene:
    """Read one raw item of our collection `key`. What cannot be read is a refusal with its reason, never an error."""
    from tilewright.catalog.find import item_time

    properties = item["properties"]
    product = str(properties.get("s2:product_uri") or properties.get("earthsearch:product_uri") or item["id"])
    baseline = str(properties.get("s2:processing_baseline") or properties.get("processing:version") or "")
    offset, evidence = dn_offset(collection.radiometry, properties, baseline)
    assets = {
        band: found for band, name in sorted(collection.assets.items()) if (found := _asset(item, name)) is not None
    }
    if not path_safe(item["id"]):
        refused = "id is not safe to use in paths"
    elif offset is None:
        refused = f"offset unresolved: {evidence}"
    else:
        refused = "" if assets else "item lists none of the collection's assets"
    document = json.dumps(assets, sort_keys=True, separators=(",", ":"))
    return Scene(
        collection=key, scene_id=item["id"], datetime=item_time(item).replace(tzinfo=None),
        platform=str(properties.get("platform", "")).lower(), relative_orbit=_relative_orbit(properties, product),
        processing_baseline=baseline, datatake=_datatake(properties, item["id"]),
        cloud_cover=_number(properties.get("eo:cloud_cover")), dn_offset=offset or 0, radiometry=evidence,
        refused=refused, assets=document,
        digest=_digest(item, baseline, offset, assets),
        item=json.dumps(item, sort_keys=True, separators=(",", ":"), default=str),
    )  # fmt: skip


def _digest(item: dict[str, Any], baseline: str, offset: int | None, assets: dict[str, dict[str, Any]]) -> str:
    """Of all that tells one content of a scene from another: when it was made, checksums, grids, local files' sizes.

    Not of where the files are: a catalog may move, and hrefs be signed anew.
    """
    properties = item["properties"]
    made = [_stamp(properties.get(name)) for name in ("created", "updated", "s2:generation_time")]
    grids = {
        band: [asset["epsg"], asset["transform"], asset["shape"], _size(asset["href"])]
        for band, asset in assets.items()
    }
    sums = {name: [asset.get("file:checksum"), asset.get("file:size")] for name, asset in item["assets"].items()}
    text = json.dumps([item["id"], made, baseline, offset, grids, sums, properties.get(WORLD)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _stamp(value: object) -> str:
    """A time stamp in one spelling, whatever the catalog's."""
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC).isoformat()
    except ValueError:
        return str(value)


def _size(href: str) -> int | None:
    """Bytes of a local file, None where there is none or it is not local."""
    path = Path(href.removeprefix("file://"))
    return path.stat().st_size if path.is_file() else None


def scene_table(scenes: Sequence[Scene]) -> pd.DataFrame:
    """Scenes as the rows of `scenes.parquet`, typed also where there are none."""
    columns = [field.name for field in dataclasses.fields(Scene)]
    table = pd.DataFrame([dataclasses.astuple(scene) for scene in scenes], columns=columns)
    kinds = {"datetime": "datetime64[us]", "relative_orbit": "int32", "dn_offset": "int32", "cloud_cover": "float64"}
    return table.astype(kinds)


def scenes_of(table: pd.DataFrame) -> list[Scene]:
    """The rows of `scenes.parquet` as scenes, in their order."""
    columns = [field.name for field in dataclasses.fields(Scene)]
    return [Scene(*row) for row in table[columns].itertuples(index=False, name=None)]


def scene_asset(scene: Scene, band: str) -> Asset | None:
    """The asset of `band` of a scene; None where the item has no such asset, or no grid for it."""
    found = json.loads(scene.assets).get(band)
    if found is None:
        return None
    return Asset(
        scene_id=scene.scene_id, band=band, href=found["href"], epsg=found["epsg"], transform=tuple(found["transform"]),
        shape=tuple(found["shape"]),
    )  # fmt: skip


def _asset(item: dict[str, Any], name: str) -> dict[str, Any] | None:
    """href, CRS and pixel grid of an asset; None where the item does not list it or does not place it."""
    asset = item.get("assets", {}).get(name)
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str) or not _opens_safely(asset["href"]):
        return None
    properties = item["properties"]
    code = asset.get("proj:code") or properties.get("proj:code")
    epsg = asset.get("proj:epsg") or properties.get("proj:epsg") or (code and str(code).removeprefix("EPSG:"))
    try:
        transform = [float(value) for value in asset["proj:transform"][:6]]
        rows, columns = (int(value) for value in asset["proj:shape"])
        placed = {"href": asset["href"], "epsg": int(epsg), "transform": transform, "shape": [rows, columns]}
    except (KeyError, TypeError, ValueError):
        return None
    upright = len(transform) == 6 and all(map(math.isfinite, transform)) and transform[0] > 0 > transform[4]
    return placed if upright and rows > 0 and columns > 0 else None


def _opens_safely(href: str) -> bool:
    """Whether an href names a file: not a document that GDAL would interpret, nor one of its virtual file systems."""
    return bool(href) and not href.lstrip().startswith(("<", "{", "/vsi")) and "\n" not in href


def _number(value: Any) -> float:
    """A number, NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _relative_orbit(properties: dict[str, Any], product: str) -> int:
    """From sat:relative_orbit, or _R079_ in the product's name; −1 where neither says."""
    if str(properties.get("sat:relative_orbit", "")).isdigit():
        return int(properties["sat:relative_orbit"])
    found = re.search(r"_R(\d{3})_", product)
    return int(found[1]) if found else -1


def _datatake(properties: dict[str, Any], scene_id: str) -> str:
    """The datatake without its baseline (GS2A_20230815T095031_042547): reprocessings of one acquisition share it."""
    name = str(properties.get("s2:datatake_id") or properties.get("eopf:datatake_id") or scene_id)
    return re.sub(r"_N\d\d\.\d\d$", "", name)
