"""freeze: every scene that a dataset was chosen from, as one catalog that travels (stac-geoparquet)."""

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pandas as pd

from tilewright.catalog.fields import item_time
from tilewright.catalog.local import FROZEN_ITEM, SEARCHED
from tilewright.config.bands import PRIMARY
from tilewright.config.spans import listed
from tilewright.errors import TilewrightError
from tilewright.progress import SUMMARY
from tilewright.select import USED
from tilewright.store import read_table, replacing, table_metadata

log = logging.getLogger(__name__)

CHOSEN: Final = "tilewright:chosen"
_ROW_GROUP: Final = 2_000  # items; a tile's search reads only the groups of its collection and dates

_OUTLINE: Final = "proj:geometry"  # stac-geoparquet reads it only where every item has it
_TIMES: Final = {
    "datetime",
    "start_datetime",
    "end_datetime",
    "created",
    "updated",
    "expires",
    "published",
    "unpublished",
}  # its columns of times
_EMPTY: Final = {"type": "Polygon", "coordinates": []}
_EACH: Final = "[]"  # of a place: any element of a list
_GEOMETRY: Final = ("geometry",)
_KINDS: Final = {bool: "truth", int: "number", float: "number", dict: "object", list: "list"}

Item = dict[str, Any]
Span = tuple[str, str]
"""First and last day, ISO 8601, both included."""
Place = tuple[str, ...]
"""Where a value is in an item: names of fields."""


def make_freeze(dataset: Path, output: Path) -> None:
    """Write the items of all scenes that the searches of a dataset found, of all its collections, tiles and periods.

    Not only the chosen ones (which have the property `tilewright:chosen` true): the choice rule walks through all. The file as a
    provider's `path` gives the same dataset again. Each item is there twice: as the columns that other software reads,
    and as its own JSON text, since one schema for many catalogs' items cannot keep every number and null as it was.
    Local hrefs are relative to the file. The same searches give the same bytes.

    Args:
        dataset: its folder, from where the workflow ran: local hrefs are relative to the working directory.
        output: the file, `.parquet`.

    Raises:
        TilewrightError: where the dataset is not whole, holds no scene, or an item has changed between two searches.
    """
    if output.suffix != ".parquet":
        raise TilewrightError(f"--output {output}: a frozen catalog is stac-geoparquet: let its name end in .parquet")
    items, chosen, searched = _found(dataset)
    if not items:
        raise TilewrightError(f"{dataset}: its searches found no scene: there is nothing to freeze")
    _check_files(items)
    rows = [(_moved(item, output), name in chosen) for name, item in items.items()]
    rows.sort(key=lambda row: (str(row[0].get("collection")), item_time(row[0]), str(row[0]["id"])))
    _write([_with_text(item, used) for item, used in rows], searched, output)
    log.log(
        SUMMARY, "freeze: %d scenes, %d of them chosen; %.1f MB", len(rows), len(chosen), output.stat().st_size / 1e6
    )


def _found(dataset: Path) -> tuple[dict[tuple[str, str], Item], set[tuple[str, str]], dict[str, Item]]:
    """The items by (collection, scene), which of them were chosen for any cell, and what was searched."""
    about = table_metadata(dataset / "index.parquet")
    if not {"tiles", "periods", "collections"} <= set(about):
        raise TilewrightError(f"{dataset / 'index.parquet'} is of another version: run the rule index again")
    names = ["scenes.parquet", *(["companions.parquet"] if set(about["collections"]) - {PRIMARY} else [])]
    items: dict[tuple[str, str], Item] = {}
    digests: dict[tuple[str, str], tuple[str, Path]] = {}
    chosen: set[tuple[str, str]] = set()
    spans: dict[str, dict[str, set[Span]]] = {}  # of each STAC collection and tile
    for tile, period in ((tile, period) for tile in about["tiles"] for period in about["periods"]):
        folder = dataset / "tiles" / tile / period
        selection = read_table(folder / "selection.parquet", columns=["collection", "scene_id", "status"])
        selection = selection[selection["status"] == USED]
        used = set(zip(selection["collection"], selection["scene_id"], strict=True))
        for path in (folder / name for name in names):
            search = table_metadata(path)
            for ours, stac in search.get("collections", {}).items():
                days = ((first, last) for first, last in listed(search["spans"][ours]))
                spans.setdefault(stac, {}).setdefault(tile, set()).update(days)
            for row in _rows(path):
                key = (row.collection, row.scene_id)
                known = digests.setdefault(key, (row.digest, path))
                if known[0] != row.digest:
                    raise TilewrightError(
                        f"scene {row.scene_id} of {row.collection} is not the same in {known[1]} and {path}: the catalog changed between the "
                        "searches; delete both files and run again"
                    )
                if key not in items:
                    items[key] = json.loads(row.item)
                # the parts of an acquisition are chosen with the first of them
                if not row.refused and (row.collection, row.acquisition) in used:
                    chosen.add(key)
    searched = {name: _collection(name, days) for name, days in sorted(spans.items()) if any(days.values())}
    return items, chosen, searched


def _collection(name: str, spans: dict[str, set[Span]]) -> Item:
    """What was searched of a collection, as a STAC Collection: also where nothing was found, or somebody would think that nobody had looked.

    Args:
        spans: by tile. Where cells have dates of their own, tiles are searched at days of their own.
    """
    days = {tile: [list(span) for span in sorted(each)] for tile, each in sorted(spans.items())}
    every = list(days.values())
    first, last = min(span[0] for each in every for span in each), max(span[1] for each in every for span in each)
    same = all(each == every[0] for each in every)
    return {
        "type": "Collection", "stac_version": "1.1.0", "id": name, "license": "other", "links": [],
        "description": "What the searches of one dataset found in this collection, which holds more.",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [[f"{first}T00:00:00Z", f"{last}T23:59:59Z"]]},
        },
        SEARCHED: {"tiles": list(days), "days": every[0] if same else days},
    }  # fmt: skip


def _rows(path: Path) -> Iterator[Any]:
    columns = ["collection", "scene_id", "acquisition", "refused", "digest", "item"]
    table: pd.DataFrame = read_table(path, columns=columns)
    return table.itertuples(index=False)


def _local(href: object) -> str | None:
    """The path of a local href."""
    if not isinstance(href, str):
        return None
    if href.startswith("file:"):
        return unquote(urlsplit(href).path)  # of URLs alone percents are an encoding
    return None if urlsplit(href).scheme else href


def _hrefs(item: Item) -> Iterator[tuple[dict[str, Any], str]]:
    """The assets of an item that are local files, and their paths."""
    for asset in (item.get("assets") or {}).values():
        path = _local(asset.get("href")) if isinstance(asset, dict) else None
        if path:
            yield asset, path


def _check_files(items: dict[tuple[str, str], Item]) -> None:
    """Local hrefs are of the folder in which the workflow ran: where none leads to a file, this is another one."""
    paths = [path for item in items.values() for _, path in _hrefs(item)]
    if paths and not any(Path(path).exists() for path in paths):
        raise TilewrightError(
            f"none of the {len(paths)} local files of the catalog is there, such as {paths[0]}: run freeze in the folder in which the "
            "workflow ran"
        )


def _moved(item: Item, output: Path) -> Item:
    """The item with its local hrefs relative to the output's folder."""
    moved: Item = json.loads(json.dumps(item))
    for asset, path in _hrefs(moved):
        asset["href"] = os.path.relpath(Path(path).absolute(), output.parent.absolute())
    return moved


def _with_text(item: Item, chosen: bool) -> Item:
    text = json.dumps(item, sort_keys=True, separators=(",", ":"))
    return {**item, "properties": {**item["properties"], CHOSEN: chosen, FROZEN_ITEM: text}}


def _write(items: list[Item], searched: dict[str, Item], output: Path) -> None:
    import pyarrow as pa
    from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

    batches = parse_stac_items_to_arrow(_of_one_schema([_for_columns(item) for item in items]))
    table = pa.Table.from_batches(list(batches), schema=batches.schema)
    with replacing(output) as part:
        to_parquet(table.to_reader(max_chunksize=_ROW_GROUP), part, collections=searched, compression="zstd")


def _for_columns(item: Item) -> Item:
    """The item without what stac-geoparquet's columns have no room for; its text keeps that."""
    properties = {name: value for name, value in item["properties"].items() if name != _OUTLINE}
    for name in _TIMES & set(properties):
        properties[name] = _time(properties[name])
    assets = {
        name: {field: value for field, value in asset.items() if field != _OUTLINE}
        for name, asset in (item.get("assets") or {}).items()
        if isinstance(asset, dict)
    }
    shape = _shape(item.get("geometry"))
    told = item.get("bbox")
    if not isinstance(told, list) or len(told) not in (4, 6):
        told = [0.0, 0.0, 0.0, 0.0] if shape.is_empty else list(shape.bounds)
    corners = [told[0], told[1], told[len(told) // 2], told[len(told) // 2 + 1]]
    return {
        **item, "properties": properties, "assets": assets, "bbox": [float(corner) for corner in corners],
        "geometry": _EMPTY if shape.is_empty else item["geometry"],
    }  # fmt: skip


def _shape(geometry: Any) -> Any:
    """The geometry of an item; an empty one where it has none that can be read."""
    import shapely

    try:
        return shapely.geometry.shape(geometry)
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError):
        return shapely.Polygon()


def _time(value: Any) -> str | None:
    """A time in UTC to the microsecond, as columns keep it; None for what is none."""
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).isoformat()


def _of_one_schema(items: list[Item]) -> list[Item]:
    """The items so that columns can hold them: what is of several kinds in different items (a number, text, a list) is JSON text."""
    kinds: dict[Place, set[str]] = {}
    for item in items:
        _note(item, (), kinds)
    mixed = {path for path, found in kinds.items() if len(found) > 1}
    return [_plain(item, (), mixed) for item in items]


def _note(value: Any, path: Place, kinds: dict[Place, set[str]]) -> None:
    """Add the kinds of the values at each place."""
    if value is None or path == _GEOMETRY:
        return
    kinds.setdefault(path, set()).add(_KINDS.get(type(value), "text"))
    if isinstance(value, dict):
        for name, each in value.items():
            _note(each, (*path, name), kinds)
    elif isinstance(value, list):
        for each in value:
            _note(each, (*path, _EACH), kinds)


def _plain(value: Any, path: Place, mixed: set[Place]) -> Any:
    """The value without empty objects, which Parquet cannot hold, and with text in place of mixed kinds."""
    if value is None or path == _GEOMETRY:
        return value
    if path in mixed:
        return json.dumps(value, sort_keys=True)
    if isinstance(value, dict):
        return {name: _plain(each, (*path, name), mixed) for name, each in value.items()} or None
    if isinstance(value, list):
        return [_plain(each, (*path, _EACH), mixed) for each in value]
    return value
