"""STAC items of an export: one for each scene of a cell, a catalog of a tile's items, and the items as one table."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from tilewright.collection import STAC_VERSION
from tilewright.config.bands import COLLECTION_BANDS, RADAR, SCL_RESOLUTION
from tilewright.exports.protocol import Record, Whole
from tilewright.exports.stac import (
    CATALOGS,
    EXTENSIONS,
    ITEMS,
    collection_id,
    image_asset,
    label_asset,
    scl_asset,
)  # fmt: skip
from tilewright.exports.writing import Writing

_CONSTELLATIONS: Final = {"s1": ("sentinel-1", "c-sar"), "s2": ("sentinel-2", "msi")}
_DECIMALS: Final = 7  # of degrees: a centimetre
_TOGETHER: Final = 4096  # items in one table, which are held in memory until it is written: 200 MB


def write_items(whole: Whole, tile: str, records: Sequence[Record], writing: Writing) -> None:
    """Write the items of a tile beside their files, `catalogs/{tile}.json` and `items/{tile}-{number}.parquet` (stac-geoparquet).

    Args:
        records: a record for each item, as the layout geotiff makes them.
    """
    if not records:
        return
    for number, start in enumerate(range(0, len(records), _TOGETHER)):
        items = []
        for record in records[start : start + _TOGETHER]:
            items.append((_path(record), item_of(whole, record)))
            writing.put(_path(record), _json(items[-1][1]), str(record["cell_id"]))
        writing.put(f"{ITEMS}/{tile}-{number:05}.parquet", _table(items))
    writing.put(f"{CATALOGS}/{tile}.json", _json(_catalog(whole, tile, [_path(record) for record in records])))


def _path(record: Record) -> str:
    return f"{record['stem']}.json"


def item_of(whole: Whole, record: Record) -> dict[str, Any]:
    """The item of one scene of a cell; its file is `{stem}.json`, beside those of its assets."""
    collection = str(record["collection"])
    constellation, instrument = _CONSTELLATIONS[collection[:2]]
    name = str(record["stem"]).rpartition("/")[2]
    geometry = whole.dataset.index.at[record["cell_id"], "geometry"]
    properties: dict[str, Any] = {
        "datetime": f"{pd.Timestamp(record['datetime']).isoformat(timespec='microseconds')}Z",
        "constellation": constellation, "instruments": [instrument], "gsd": min(map(int, str(record["resolutions"]).split(","))),
        "proj:code": f"EPSG:{record['epsg']}",
        "proj:bbox": [
            record["ulx"], record["uly"] - record["size_m"], record["ulx"] + record["size_m"], record["uly"],
        ],
        **{f"tilewright:{key}": record[key] for key in ("cell_id", "tile", "split", "collection", "scene_id", "periods")},
    }  # fmt: skip
    if record["platform"]:
        properties["platform"] = str(record["platform"]).lower()
    orbit = _orbit(record)
    for key in ("bad_fraction", "nodata_fraction"):
        if not pd.isna(record[key]):
            properties[f"tilewright:{key}"] = round(float(record[key]), 6)
    if record["pair_of"]:
        properties["tilewright:pair_of"] = record["pair_of"]
    up = "../" * str(record["stem"]).count("/")
    extensions = [
        "projection",
        "raster",
        "classification",
        *([] if collection in RADAR else ["eo"]),
        *(["sat"] if orbit else []),
    ]
    return {
        "type": "Feature", "stac_version": STAC_VERSION, "stac_extensions": [EXTENSIONS[each] for each in extensions],
        "id": f"{record['cell_id']}_{name}", "collection": collection_id(whole), "geometry": _lists(shapely.geometry.mapping(geometry)),
        "bbox": _bbox(geometry), "properties": properties | orbit,
        "assets": _assets(whole, record, name),
        "links": [
            {"rel": "root", "href": f"{up}collection.json", "type": "application/json"},
            {"rel": "collection", "href": f"{up}collection.json", "type": "application/json"},
            {"rel": "parent", "href": f"{up}{CATALOGS}/{record['tile']}.json", "type": "application/json"},
        ],
    }  # fmt: skip


def _orbit(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if int(record["relative_orbit"]) > 0:
        found["sat:relative_orbit"] = int(record["relative_orbit"])
    if record["orbit_state"] in ("ascending", "descending"):
        found["sat:orbit_state"] = record["orbit_state"]
    return found


def _assets(whole: Whole, record: Record, name: str) -> dict[str, Any]:
    """Its files, relative to the item's."""
    collection, bands = str(record["collection"]), str(record["bands"]).split(",")
    steps = COLLECTION_BANDS[collection]
    found = {}
    for step in map(int, str(record["resolutions"]).split(",")):
        of_step = [band for band in bands if steps[band] == step]
        asset = image_asset(whole, collection, step, of_step)
        found[f"{collection}_r{step}m"] = _placed(record, f"{name}_{step}m.tif", step) | asset
    if record["scl"]:
        found[f"{collection}_scl"] = _placed(record, f"{name}_scl.tif", SCL_RESOLUTION) | scl_asset()
    sets = whole.dataset.described.get("labels", {})
    for file in filter(None, str(record["labels"]).split(",")):
        key = file.removesuffix(".tif")
        label_set, array = _label_array(key.removeprefix("labels_"), sets)
        about = sets[label_set]
        found[key] = _placed(record, file, float(about["resolution_m"])) | label_asset(about, label_set, array)
    return found


def _label_array(name: str, sets: dict[str, Any]) -> tuple[str, str]:
    """The set and the array of the file labels_{name}.tif; of sets whose names begin alike the longest."""
    label_set = max((each for each in sets if name == each or name.startswith(f"{each}_")), key=len)
    array = name.removeprefix(label_set).removeprefix("_")
    return label_set, array or ("labels" if sets[label_set].get("ontology") else "layer")


def _placed(record: Record, file: str, step: float) -> dict[str, Any]:
    side = round(record["size_m"] / step)
    return {
        "href": f"./{file}", "proj:shape": [side, side],
        "proj:transform": [step, 0, record["ulx"], 0, -step, record["uly"]],
    }  # fmt: skip


def _catalog(whole: Whole, tile: str, paths: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "Catalog", "stac_version": STAC_VERSION, "id": f"{collection_id(whole)}-{tile}", "description": f"The items of tile {tile}",
        "links": [
            {"rel": "root", "href": "../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            *({"rel": "item", "href": f"../{path}", "type": "application/geo+json"} for path in paths),
        ],
    }  # fmt: skip


def _table(items: Sequence[tuple[str, dict[str, Any]]]) -> bytes:
    """The items as stac-geoparquet, hrefs of assets relative to the table."""
    from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet  # takes a second

    moved = []
    for path, item in items:
        folder = path.rpartition("/")[0]
        assets = {
            key: asset | {"href": f"../{folder}/{asset['href'].removeprefix('./')}"} for key, asset in item["assets"].items()
        }  # fmt: skip
        links = [link | {"href": "../" + link["href"].lstrip("./")} for link in item["links"]]
        moved.append(item | {"assets": assets, "links": links})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "items.parquet"
        to_parquet(parse_stac_items_to_arrow(moved), file, compression="zstd")
        return file.read_bytes()


def _bbox(geometry: BaseGeometry) -> list[float]:
    """West, south, east, north; west > east of a footprint that is cut at the antimeridian."""
    west, south, east, north = geometry.bounds
    if east - west > 180:
        parts = [part.bounds for part in shapely.get_parts(geometry)]
        west, east = min(part[0] for part in parts if part[0] > 0), max(part[2] for part in parts if part[2] <= 0)
    return [round(value, _DECIMALS) for value in (west, south, east, north)]


def _lists(value: Any) -> Any:
    """Coordinates as JSON has them."""
    if isinstance(value, dict):
        return {key: _lists(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_lists(each) for each in value]
    return round(value, _DECIMALS) if isinstance(value, float) else value


def _json(document: object) -> bytes:
    """On one line: with indents Python's encoder takes five times as long, and there may be millions."""
    return (json.dumps(document, ensure_ascii=False) + "\n").encode()
