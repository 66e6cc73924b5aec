"""webdataset: tar shards of samples that webdataset's own loader decodes by its default handlers."""

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import pandas as pd

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR, SCL_RESOLUTION
from tilewright.config.exports import WebdatasetOptions
from tilewright.exports.npz import npy_head
from tilewright.exports.protocol import Deviation, Record, Whole
from tilewright.exports.source import CellSource, Image, TileSource, once
from tilewright.exports.writing import Growing, Writing

_BLOCK: Final = tarfile.BLOCKSIZE
_MB: Final = 1_000_000

Member = tuple[str, bytes, bytes | memoryview]
"""Its name; its bytes in two parts, so that pixels are not copied."""


class WebdatasetLayout:
    """`{split}/{tile}-{number}.tar`, and for each split `{split}.json`, a list of its shards as the package wids reads it.

    A sample's key is its cell's id. Its members: `{collection}_{r10m}.npy` (time, band, y, x) as stored, `scl.npy` (time, y, x),
    `labels_{set}.npy` (channel, y, x) and `labels_{set}_{array}.npy`, `json`.
    """

    title = "tilewright's series as WebDataset shards"

    def check(self, whole: Whole) -> None:
        """Every dataset can be laid out so."""

    def shared(self, whole: Whole, tile: TileSource) -> Any:
        """What label sets are, and what numbers of each collection mean: samples tell it."""
        return [_described(whole), whole.dataset.described.get("labels", {})]

    def write(self, whole: Whole, tile: TileSource, writing: Writing) -> Iterable[Record]:
        """A record for each cell, in the order in which they were accepted."""
        options = whole.settings.options
        most = (options if isinstance(options, WebdatasetOptions) else WebdatasetOptions()).shard_mb * _MB
        # a tile may have cells of several splits: each split has a shard of its own open
        shards: dict[str, _Shards] = {}
        with ExitStack() as stack:
            for cell in tile.cells():
                split = str(cell.row["split"] or "none")
                if split not in shards:
                    shards[split] = stack.enter_context(_Shards(writing, f"{split}/{tile.tile}", most))
                images = {name: once(cell.images(name)) for name in whole.dataset.collections}
                shard, place = shards[split].add(_members(whole, cell, images))
                yield {
                    "cell_id": cell.cell_id, "split": cell.row["split"], "shard": shard, "place": place, "dates": len(images[PRIMARY]),
                }  # fmt: skip

    def finish(self, whole: Whole, records: pd.DataFrame, writing: Writing) -> None:
        """For each split the list of its shards with the number of samples in each."""
        for split in sorted(set(records["split"])):
            name = str(split or "none")
            counts = records[records["split"] == split].groupby("shard", sort=True).size()
            document = {
                "__kind__": "wids-shard-index-v1", "wids_version": 1, "name": f"{whole.settings.dataset}-{name}",
                "shardlist": [{"url": shard, "nsamples": int(count)} for shard, count in counts.items()],
            }  # fmt: skip
            writing.put(f"{name}.json", (json.dumps(document, indent=1) + "\n").encode())

    def deviations(self, whole: Whole) -> list[Deviation]:
        """The layout is our own."""
        return []


class _Shards:
    """The shards of one split of a tile, one after another; all of them are whole when the block ends."""

    def __init__(self, writing: Writing, stem: str, most: int) -> None:
        self._writing, self._stem, self._most = writing, stem, most
        self._number, self._count = -1, 0
        self._file: Growing | None = None
        self._stack = ExitStack()

    def __enter__(self) -> "_Shards":
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self._end()
        finally:
            self._stack.close()

    def add(self, members: list[Member]) -> tuple[str, int]:
        """Append a sample, in a new shard where it does not fit; the shard, and how many samples are before it there."""
        size = sum(_BLOCK + _padded(len(head) + len(data)) for _, head, data in members)
        if self._file is None or (self._count and self._file.bytes + size > self._most):
            self._end()
            self._number, self._count = self._number + 1, 0
            self._file = self._stack.enter_context(self._writing.opened(self._path))
        for name, head, data in members:
            for part in _entry(name, head, data):
                self._file.write(part)
        self._count += 1
        return self._path, self._count - 1

    @property
    def _path(self) -> str:
        return f"{self._stem}-{self._number:05}.tar"

    def _end(self) -> None:
        if self._file is not None:
            end = self._file.bytes + 2 * _BLOCK
            self._file.write(bytes(2 * _BLOCK + -end % tarfile.RECORDSIZE))
        self._stack.close()


def _padded(size: int) -> int:
    return size + -size % _BLOCK


def _entry(name: str, head: bytes, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """A file in a tar: of nobody and no time, so that the same samples make the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(head) + len(data)
    yield info.tobuf(tarfile.USTAR_FORMAT) + head
    yield data
    yield bytes(-info.size % _BLOCK)


def _members(whole: Whole, cell: CellSource, images: Mapping[str, list[Image]]) -> list[Member]:
    """A sample's files, sorted by name. Readers end the key at the first dot."""
    found: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {}
    for collection, series in images.items():
        groups: dict[str, Any] = {}
        steps = COLLECTION_BANDS[collection]
        for step in sorted({steps[band] for band in series[0].bands} if series else ()):
            bands = [band for band in series[0].bands if steps[band] == step]
            found[f"{collection}_r{step}m"] = np.stack([[image.bands[band] for band in bands] for image in series])
            groups[f"r{step}m"] = {"bands": bands, "resolution_m": step}
        if series and series[0].scl is not None:
            found["scl"] = np.stack([image.scl for image in series if image.scl is not None])
        about[collection] = {**_described(whole)[collection], **_about(series), "groups": groups}
    labels: dict[str, Any] = {}
    for label_set in whole.dataset.label_sets:
        if cell.row[f"{label_set}_row"] < 0:
            continue
        told = whole.dataset.described.get("labels", {}).get(label_set, {})
        labels[label_set] = {key: told.get(key) for key in ("resolution_m", "year", "licence")} | {
            "classes": _classes(told)
        }
        for name, array in cell.all_labels(label_set).items():
            main = name in ("labels", "layer")
            found[f"labels_{label_set}" if main else f"labels_{label_set}_{name}"] = array
    key = cell.cell_id.replace(".", "_")
    files: list[Member] = [(f"{key}.json", _json(cell, about, labels), b"")]
    for name, array in found.items():
        pixels = np.ascontiguousarray(array)
        files.append((f"{key}.{name}.npy", npy_head(pixels), pixels.reshape(-1).data.cast("B")))
    return sorted(files, key=lambda member: member[0])


def _json(cell: CellSource, collections: dict[str, Any], labels: dict[str, Any]) -> bytes:
    row = cell.row
    outline = [[float(x), float(y)] for x, y in row["geometry"].exterior.coords]
    document = {
        "cell_id": cell.cell_id, "tile": cell.tile.tile, "split": row["split"], "epsg": int(row["epsg"]), "ulx": int(row["ulx"]),
        "uly": int(row["uly"]), "size_m": int(row["size_m"]), "lon": float(row["lon"]), "lat": float(row["lat"]),
        "footprint": {"type": "Polygon", "coordinates": [outline]}, "scl_resolution_m": SCL_RESOLUTION, "collections": collections, "labels": labels,
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _about(images: list[Image]) -> dict[str, Any]:
    """What is told of a collection's dates, in their order."""
    return {
        "time": [f"{pd.Timestamp(image.time):%Y-%m-%dT%H:%M:%S.%f}Z" for image in images],
        "period": [image.period for image in images], "scene": [image.scene_id for image in images],
        "pair_of": [str(image.about["pair_of"]) for image in images],
    }  # fmt: skip


def _described(whole: Whole) -> dict[str, dict[str, Any]]:
    """What the numbers of each collection are."""
    known = whole.dataset.described.get("collections", {})
    return {
        name: {
            "quantity": known.get(name, {}).get("quantity", "dn"), "scale_factor": 1.0 if name in RADAR else 1e-4,
            "no_data": "NaN" if name in RADAR else "0 in all bands of a group",
        }
        for name in (PRIMARY, *(name for name in whole.dataset.collections if name != PRIMARY))
    }  # fmt: skip


def _classes(told: dict[str, Any]) -> dict[str, dict[str, int]]:
    """{channel: {class: value}} of a label set; empty of a layer."""
    ontology = told.get("ontology") or {"channels": [], "categories": []}
    return {
        str(channel["name"]): {
            str(each["name"]): int(each["value"])
            for each in ontology["categories"]
            if each["channel"] == channel["name"]
        }
        for channel in ontology["channels"]
    }


LAYOUT = WebdatasetLayout()
