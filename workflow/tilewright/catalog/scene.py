"""What a STAC item means: tile, orbit, datatake, assets on their grids, and the offset that harmonises its pixels."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tilewright.catalog import fields as read
from tilewright.catalog.assets import Asset, href_of, local_size, placed, shown
from tilewright.catalog.hrefs import refusal, rewritten
from tilewright.catalog.outline import footprint_of
from tilewright.catalog.radiometry import Decision, decide
from tilewright.config.bands import RADAR
from tilewright.config.base import path_safe
from tilewright.config.provider import Access, CollectionAccess, ProviderCollection

if TYPE_CHECKING:
    import pandas as pd

# The simulator's items carry a digest of their world here: another world has other pixels under the same ids.
WORLD: Final = "tilewright:world"
AMBIGUOUS: Final = "to be looked at: "  # how the radiometry of a scene begins whose pixels may settle it
# how the evidence of a scene begins whose files cannot be read to settle it
UNSEEN: Final = "its pixels cannot be looked at: "
SUPERSEDED: Final = "superseded by "  # how the refusal of a product begins whose ground another product shows better
# Sentinel-1 modes other than interferometric wide swath have pixels of other sizes than the 10 m that we make.
_RADAR_MODE: Final = "IW"


@dataclass(frozen=True)
class Scene:
    """One STAC item as a row of `scenes.parquet` or `companions.parquet`.

    Attributes:
        datetime: UTC, without zone.
        orbit_state: ascending, descending, or empty where the item does not say.
        processing_baseline: such as 05.11; empty where nothing says.
        datatake: without its baseline; the same for all parts and reprocessings of one pass.
        generated: when the product was made, ISO 8601.
        acquisition: scene_id of the first part of the acquisition that the scene is of; empty where it is refused for
            any other reason than that another product supersedes it.
        dn_offset: to add to the pixels of reflectance bands to harmonise them (0 or −1000).
        radiometry: the evidence for that offset.
        refused: why the scene cannot serve at all; empty where it can.
        footprint: outline of the data, WKT in EPSG:4326, cut at the antimeridian; empty where the item has none.
        assets: JSON text, band → href, epsg, transform, shape, calibration; none where an href may not be opened.
        digest: of what decides the scene's pixels; a patch is reused only for the same digest.
        item: the raw item as JSON text, hrefs without passwords and signatures.
    """

    collection: str
    scene_id: str
    datetime: datetime
    platform: str
    relative_orbit: int
    orbit_state: str
    processing_baseline: str
    datatake: str
    generated: str
    acquisition: str
    cloud_cover: float
    dn_offset: int
    radiometry: str
    refused: str
    footprint: str
    assets: str
    digest: str
    item: str


_KINDS: Final = {
    "datetime": pa.timestamp("us"),
    "relative_orbit": pa.int32(),
    "dn_offset": pa.int32(),
    "cloud_cover": pa.float64(),
}
_SCHEMA: Final = pa.schema([(field.name, _KINDS.get(field.name, pa.string())) for field in dataclasses.fields(Scene)])


def read_scene(key: str, item: dict[str, Any], collection: ProviderCollection, access: Access, local: bool) -> Scene:
    """Read one raw item of our collection `key`. What cannot be read is a refusal with its reason, never an error.

    Args:
        item: with an id and a time that can be read (as `find_items` gives them).
        collection: how the provider holds `key`.
        access: where the provider's imagery may be read.
        local: whether local paths may be read: where the catalog itself is a local file.
    """
    properties, scene_id = item["properties"], str(item["id"])
    item = {**item, "assets": item.get("assets") if isinstance(item.get("assets"), dict) else {}}
    opened = CollectionAccess(access=access, format=collection.format, local=local, rewrite=collection.rewrite)
    baseline = read.baseline_of(item, collection.fields)
    listed = {band: name for band, name in sorted(collection.assets.items()) if href_of(item, name) is not None}
    reflectance = {name: item["assets"][name] for band, name in listed.items() if band != "SCL"}
    decision = decide(collection.radiometry, properties, baseline, reflectance)
    assets = {band: found for band, name in listed.items() if (found := _asset(key, item, name, band, collection))}
    outline, no_outline = footprint_of(item)
    not_opened = _href_refusal(assets, opened)
    if not_opened:
        assets = {}
    refused = (
        ("" if path_safe(scene_id) else "id is not safe to use in paths")
        or not_opened
        or ("" if assets else "item lists none of the collection's assets with a usable grid")
        or (no_outline if key in RADAR else "")
        or _mode_refusal(key, properties)
        or ("" if decision.offset is not None else f"offset unresolved: {decision.evidence}")
    )
    return Scene(
        collection=key, scene_id=scene_id, datetime=read.item_time(item).replace(tzinfo=None),
        platform=read.platform_of(item), relative_orbit=read.relative_orbit_of(item),
        orbit_state=read.orbit_state_of(item), processing_baseline=baseline,
        datatake=read.datatake_of(item, collection.fields), generated=read.generated_of(item, collection.fields),
        acquisition="" if refused else scene_id,
        cloud_cover=read.number(read.first(properties, collection.fields.cloud)), dn_offset=decision.offset or 0,
        radiometry=(AMBIGUOUS if decision.look else "") + decision.evidence, refused=refused, footprint=outline,
        assets=_text(assets), digest=_digest(item, baseline, decision.offset, assets, collection), item=_text(_unsigned(item)),
    )  # fmt: skip


def to_look_at(scene: Scene) -> bool:
    """Whether the scene's pixels must be looked at to tell its offset: nothing else is wrong with it."""
    return scene.radiometry.startswith(AMBIGUOUS) and scene.refused.startswith("offset unresolved")


def settled(scene: Scene, decision: Decision) -> Scene:
    """The scene with what its pixels say."""
    if decision.offset is None:
        return dataclasses.replace(
            scene, radiometry=decision.evidence, refused=f"offset unresolved: {decision.evidence}"
        )
    digest = hashlib.blake2b(f"{scene.digest} {decision.offset}".encode(), digest_size=8).hexdigest()
    return dataclasses.replace(
        scene, dn_offset=decision.offset, radiometry=decision.evidence, refused="", acquisition=scene.scene_id,
        digest=digest,
    )  # fmt: skip


def _asset(
    key: str, item: dict[str, Any], name: str, band: str, collection: ProviderCollection
) -> dict[str, Any] | None:
    """Where an asset is: href and pixel grid; None where the item does not place it.

    Radar is placed by its files alone: a GRD product's projection fields are made up from its box (Element84's and
    Planetary Computer's alike), and of RTC products they have been wrong after reprocessing.
    """
    found: dict[str, Any] = {"href": href_of(item, name), "epsg": None, "transform": None, "shape": None}
    if key in RADAR:
        found["calibration"] = href_of(item, collection.calibration.get(band, "")) or ""
        return found
    grid = placed(item, name, collection.fields)
    if grid is None:
        return None
    found["epsg"], found["transform"], found["shape"] = grid[0], list(grid[1]), list(grid[2])
    return found


def _href_refusal(assets: Mapping[str, Mapping[str, Any]], access: CollectionAccess) -> str:
    """Why an href of the scene may not be opened; empty where all may."""
    for band, asset in assets.items():
        if why := refusal(rewritten(asset["href"], access.rewrite), access):
            return f"href of {band}: {why}"
        calibration = asset.get("calibration")
        if calibration and (why := refusal(rewritten(calibration, access.rewrite), access, document=True)):
            return f"href of {band}'s calibration: {why}"
    return ""


def _mode_refusal(key: str, properties: Mapping[str, Any]) -> str:
    mode = properties.get("sar:instrument_mode")
    if key in RADAR and mode not in (None, _RADAR_MODE):
        return f"mode {str(mode)[:20]} has other pixels than {_RADAR_MODE}'s of 10 m"
    return ""


def _digest(
    item: dict[str, Any], baseline: str, offset: int | None, assets: dict[str, dict[str, Any]], collection: ProviderCollection
) -> str:  # fmt: skip
    """Of all that tells one content of a scene from another: when it was made, checksums, grids, local files' sizes.

    Also of which asset is which band: a provider's file may be corrected. Not of where the files are: a catalog may
    move, and hrefs be signed anew.
    """
    properties = item["properties"]
    made = [read.stamp(properties.get(name)) for name in ("created", "updated", "s2:generation_time")]
    grids = {
        band: [collection.assets[band], asset["epsg"], asset["transform"], asset["shape"], local_size(asset["href"])]
        + ([collection.calibration[band], local_size(asset["calibration"])] if asset.get("calibration") else [])
        for band, asset in assets.items()
    }
    sums = {
        name: [asset.get("file:checksum"), asset.get("file:size")]
        for name, asset in item["assets"].items()
        if isinstance(asset, dict)
    }
    return hashlib.blake2b(
        json.dumps([item["id"], made, baseline, offset, grids, sums, properties.get(WORLD)], sort_keys=True).encode(),
        digest_size=8,
    ).hexdigest()


def _unsigned(item: dict[str, Any]) -> dict[str, Any]:
    """The item with hrefs as messages may show them: a frozen catalog travels, passwords and signatures must not."""

    def clean(told: Any) -> Any:
        named = isinstance(told, dict) and isinstance(told.get("href"), str)
        return {**told, "href": shown(told["href"])} if named else told

    links = item.get("links")
    assets = {name: clean(asset) for name, asset in item["assets"].items()}
    return {**item, "assets": assets, "links": [clean(link) for link in links] if isinstance(links, list) else []}


def _text(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)


def scene_table(scenes: Sequence[Scene]) -> pa.Table:
    """Scenes as the rows of `scenes.parquet`, typed also where there are none."""
    columns = [
        pa.array([_storable(getattr(scene, field.name)) for scene in scenes], field.type, from_pandas=True)
        for field in _SCHEMA
    ]  # from_pandas: a cloud cover that is not known is null
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _storable(value: Any) -> Any:
    """A text as files can hold it: JSON may have halves of characters, which UTF-8 has not."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def scenes_of(table: "pd.DataFrame") -> list[Scene]:
    """The rows of `scenes.parquet` as scenes, in their order."""
    columns = [field.name for field in dataclasses.fields(Scene)]
    return [Scene(*row) for row in table[columns].itertuples(index=False, name=None)]


def scene_asset(scene: Scene, band: str) -> Asset | None:
    """The asset of `band` of a scene; None where the item has no such asset, or no grid for it."""
    found = json.loads(scene.assets).get(band)
    if found is None:
        return None
    return Asset(
        scene_id=scene.scene_id, collection=scene.collection, band=band, href=found["href"], epsg=found["epsg"],
        transform=tuple(found["transform"]) if found["transform"] else None,
        shape=tuple(found["shape"]) if found["shape"] else None, calibration=found.get("calibration", ""),
    )  # fmt: skip
