"""The STAC collection of an export, and what its assets are."""

import re
from collections.abc import Iterable
from typing import Any, Final

import pandas as pd

from tilewright.collection import collection_document
from tilewright.config.bands import COLLECTION_BANDS, NONE, PRIMARY, RADAR, SCL_CLASSES, SCL_RESOLUTION, UNLABELED
from tilewright.exports.card import accepted_rows, place_credits
from tilewright.exports.protocol import Layout, Whole
from tilewright.exports.samples import SAMPLES
from tilewright.exports.source import bands_of

COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
PARQUET: Final = "application/vnd.apache.parquet"
EXTENSIONS: Final = {
    name: f"https://stac-extensions.github.io/{name}/v{version}/schema.json"
    for name, version in
    {"projection": "2.0.0", "eo": "1.1.0", "raster": "1.1.0", "classification": "2.0.0", "sat": "1.0.0"}.items()
}  # fmt: skip
CATALOGS, ITEMS = "catalogs", "items"  # folders of a tile's catalog and of its items as one table

# Common names by the eo extension, and nominal central wavelengths in µm (ESA, Sentinel-2 User Handbook, table of the MSI's bands).
_OPTICAL: Final = {
    "B01": ("coastal", 0.443), "B02": ("blue", 0.490), "B03": ("green", 0.560), "B04": ("red", 0.665), "B05": ("rededge", 0.705),
    "B06": ("rededge", 0.740), "B07": ("rededge", 0.783), "B08": ("nir", 0.842), "B8A": ("nir08", 0.865), "B09": ("nir09", 0.945),
    "B10": ("cirrus", 1.375), "B11": ("swir16", 1.610), "B12": ("swir22", 2.190),
}  # fmt: skip
_SCALE: Final = 1e-4  # reflectance = DN × this (Sentinel-2 Products Specification Document, quantification value 10000)


def export_collection(whole: Whole, layout: Layout, records: pd.DataFrame, files: pd.DataFrame) -> dict[str, Any]:
    """The export as a STAC 1.1 collection.

    Where the layout has written items, the collection leads to them by a catalog for each tile and, since there may be millions,
    by tables of them (stac-geoparquet), too.

    Args:
        records: those of all samples.
        files: the tiles' files: path, bytes, crc32, cell_id.
    """
    rows, identifier = accepted_rows(whole), collection_id(whole)
    told = f"{layout.title}: {len(rows)} cells, {len(records)} samples, made by tilewright."
    document = collection_document(
        rows, identifier, f"{layout.title}: {whole.settings.dataset}", told, whole.dataset.described
    )
    document["description"] = " ".join([document["description"], *place_credits(whole)])
    bands = bands_of(whole.dataset)
    catalogs = sorted(path for path in files["path"] if path.startswith(f"{CATALOGS}/"))
    extensions = ["projection", "eo"]
    document["summaries"]["eo:bands"] = [
        optical(band)
        for band in dict.fromkeys(band for name, own in bands.items() if name not in RADAR for band in own)
    ]
    document["links"] = [
        {"rel": "root", "href": "./collection.json", "type": "application/json"},
        {"rel": "license", "href": "./README.md", "type": "text/markdown", "title": "Data card, with licences"},
        *({"rel": "child", "href": f"./{path}", "type": "application/json"} for path in catalogs),
    ]
    document["assets"] = {
        "card": {"href": "./README.md", "type": "text/markdown", "roles": ["overview"], "title": "Data card"},
        "croissant": {"href": "./croissant.json", "type": "application/ld+json", "roles": ["metadata"], "title": "Croissant metadata"},
        "samples": {"href": f"./{SAMPLES}", "type": PARQUET, "roles": ["data"], "title": "A row a sample"},
    }  # fmt: skip
    if catalogs:
        extensions += ["raster", "classification"]
        document["assets"]["items"] = {
            "href": f"./{ITEMS}/", "type": PARQUET, "roles": ["stac-items"], "title": "The items as stac-geoparquet, tile by tile",
        }  # fmt: skip
        document["item_assets"] = _item_assets(whole, bands)
    document["stac_extensions"] = [EXTENSIONS[name] for name in extensions]
    return document


def collection_id(whole: Whole) -> str:
    """The collection's id."""
    return f"{whole.settings.dataset}-{whole.settings.layout}"


def optical(band: str) -> dict[str, Any]:
    """A Sentinel-2 band for `eo:bands`."""
    common, centre = _OPTICAL[band]
    return {"name": band, "common_name": common, "center_wavelength": centre}


def image_asset(whole: Whole, collection: str, step: int, bands: Iterable[str]) -> dict[str, Any]:
    """What a file of some bands of one resolution is, without its place."""
    names = list(bands)
    if collection in RADAR:
        quantity = str(whole.dataset.described.get("collections", {}).get(collection, {}).get("quantity", ""))
        unit = {"unit": "dB"} if quantity.endswith("_db") else {}
        pixels = {"data_type": "float32", "nodata": "nan", **unit, "spatial_resolution": step}
        return {
            "type": COG, "roles": ["data"], "title": f"{collection}, {step} m: {', '.join(names)}",
            "raster:bands": [{"description": name, **pixels} for name in names],
        }  # fmt: skip
    pixels = {"data_type": "uint16", "scale": _SCALE, "offset": 0, "spatial_resolution": step}
    return {
        "type": COG, "roles": ["data", "reflectance"], "title": f"{collection}, {step} m: {', '.join(names)}",
        "eo:bands": [optical(name) for name in names], "raster:bands": [pixels for _ in names],
    }  # fmt: skip


def scl_asset() -> dict[str, Any]:
    """What a file of scene classes is."""
    classes = [
        {"value": value, "name": name, **({"nodata": True} if value == 0 else {})}
        for value, name in enumerate(SCL_CLASSES)
    ]
    band = {"data_type": "uint8", "nodata": 0, "spatial_resolution": SCL_RESOLUTION, "classification:classes": classes}
    return {"type": COG, "roles": ["data", "data-mask"], "title": "Scene classification", "raster:bands": [band]}


def label_asset(about: dict[str, Any], label_set: str, array: str) -> dict[str, Any]:
    """What a file of an array of a label set is.

    Args:
        about: what the index says of the set.
        array: `labels`, `layer`, `instance`, … (ARCHITECTURE.md).
    """
    title = f"Labels {label_set}" if array == "labels" else f"{array} of {label_set}"
    asset: dict[str, Any] = {
        "type": COG,
        "roles": ["labels" if array in ("labels", "layer") else "metadata"],
        "title": title,
    }
    ontology = about.get("ontology")
    if array == "labels" and ontology:
        asset["raster:bands"] = [
            {
                "data_type": "uint8", "nodata": UNLABELED, "spatial_resolution": about["resolution_m"], "description": str(channel["name"]),
                "classification:classes": _classes(ontology, str(channel["name"])),
            }
            for channel in ontology["channels"]
        ]  # fmt: skip
    elif array == "layer":
        asset["raster:bands"] = [{"data_type": "float32", "nodata": "nan", "spatial_resolution": about["resolution_m"]}]
    return asset


def _classes(ontology: dict[str, Any], channel: str) -> list[dict[str, Any]]:
    """The classes of one channel, with the values that are none, as the classification extension spells them."""
    found = []
    for each in ontology["categories"]:
        if each["channel"] == channel:
            one = {"value": int(each["value"]), "name": re.sub(r"[^0-9A-Za-z_-]", "_", str(each["name"]))}
            if each.get("title"):
                one["title"] = str(each["title"])
            if re.fullmatch(r"#[0-9A-Fa-f]{6}", str(each.get("colour") or "")):
                one["color_hint"] = str(each["colour"])[1:]
            found.append(one)
    found.append({"value": NONE, "name": "none", "description": "none of the channel's classes"})
    return [*found, {"value": UNLABELED, "name": "unlabeled", "description": "not known", "nodata": True}]


def _item_assets(whole: Whole, bands: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The assets that items have, by the keys that they have there."""
    found = {}
    for collection, held in bands.items():
        for step in sorted({COLLECTION_BANDS[collection][band] for band in held}):
            of_step = [band for band in held if COLLECTION_BANDS[collection][band] == step]
            found[f"{collection}_r{step}m"] = image_asset(whole, collection, step, of_step)
    found[f"{PRIMARY}_scl"] = scl_asset()
    for name, about in sorted(whole.dataset.described.get("labels", {}).items()):
        found[f"labels_{name}"] = label_asset(about, name, "labels" if about.get("ontology") else "layer")
    return found
