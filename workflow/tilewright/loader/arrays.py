"""A store's arrays of pixels, a cell at a time: chunks by offset from the zip, decoded straight into the result.

zarr-python reads these stores as well; its own work for each chunk (paths, tasks, locks, a copy more) costs as much
again as decoding. What is kept here for each chunk is 24 bytes.
"""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zarr
from numcodecs import VLenUTF8, Zstd
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from tilewright.loader.zipped import Zipped, ZippedStore
from tilewright.store.zarrzip import decode
from tilewright.store.zipped import Entry, ZipIndex

_PLACE: Final = np.dtype([("start", "u8"), ("head", "u4"), ("size", "u8"), ("crc", "u4")])  # an Entry, packed
_NOWHERE: Final = Entry(0, 0, 0, 0)
_FRAME: Final = slice(4, 8)  # of a blosc frame: its decoded size, little-endian (c-blosc, README_CHUNK_FORMAT.rst)


@dataclass(frozen=True)
class PixelArray:
    """An array (cell, time or channel, …, y, x).

    Attributes:
        name: its path in the store.
        chunks: shape of a chunk.
        places: where each chunk is; None where the chunks are not such as `StoreWriter` makes (other codecs, another
            tool), which zarr-python reads.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: np.dtype
    attrs: dict[str, Any]
    places: np.ndarray | None

    @property
    def group(self) -> str:
        """The group that it is in."""
        return self.name.rpartition("/")[0]


class PixelStore:
    """One opened store: its attributes and its groups', and where every chunk of its arrays of pixels is. Picklable."""

    def __init__(self, zipped: Zipped) -> None:
        """Raises TilewrightError where the store is missing, damaged or not of Zarr version 3."""
        self.zipped = zipped
        nodes = _nodes(zipped)
        self.attrs: dict[str, Any] = nodes[""].get("attributes", {})
        self.arrays = {
            name: _pixel_array(name, node, zipped.index)
            for name, node in nodes.items()
            if node["node_type"] == "array" and tuple(node.get("dimension_names") or ())[-2:] == ("y", "x")
        }
        self.groups: dict[str, dict[str, Any]] = {
            name: node.get("attributes", {}) for name, node in nodes.items() if node["node_type"] == "group"
        }
        self.names = frozenset(nodes)

    def small(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Small arrays (coordinates, counts), whole and by name: asked for at once, since they lie side by side.

        Raises:
            TilewrightError: where one is missing or damaged.
        """
        index = self.zipped.index
        keys = [key for name in names for key in (f"{name}/zarr.json", *_chunk_names(index, name)) if key in index]
        data = dict(zip(keys, self.zipped.data([index[key] for key in keys]), strict=True))
        found = {}
        for name in names:
            try:
                plain = _plain(name, data)
                found[name] = _by_zarr(name, data) if plain is None else plain
            except (OSError, LookupError, RuntimeError, ValueError) as error:
                raise self.zipped.damaged(f"{name}: {error}") from error
        return found

    def read(self, row: int, names: Sequence[str], dates: Sequence[int] | None = None) -> dict[str, np.ndarray]:
        """One cell of the arrays `names`, without the dimension `cell`.

        All chunks are asked for at once; only those that hold `dates` (positions along `time`; None for all) are read.

        Raises:
            TilewrightError: where a chunk is missing, damaged or cannot be read.
        """
        plans = [_Plan(self.arrays[name], row, dates) for name in names]
        fast = [plan for plan in plans if plan.array.places is not None]
        entries = [_entry(plan.array, index, self.zipped) for plan in fast for index in plan.chunks]
        raw = iter(self.zipped.data(entries))
        found = {}
        for plan in plans:
            if plan.array.places is None:
                found[plan.array.name] = self._by_zarr(plan, row)
                continue
            for index, frame in zip(plan.chunks, raw, strict=False):
                try:
                    _decode(frame, plan.target(index))
                except (RuntimeError, ValueError) as error:
                    raise self.zipped.damaged(f"{plan.array.name}, chunk {index}: {error}") from error
            found[plan.array.name] = plan.result()
        return found

    def _by_zarr(self, plan: "_Plan", row: int) -> np.ndarray:
        try:
            array: Any = zarr.open_array(store=ZippedStore(self.zipped), path=plan.array.name, mode="r")
            return np.asarray(array.oindex[(row, np.array(plan.wanted, dtype=int))])
        except (OSError, LookupError, RuntimeError, ValueError) as error:
            raise self.zipped.damaged(f"{plan.array.name}: {error}") from error


def _chunk_names(index: ZipIndex, name: str) -> list[str]:
    """Names of an array's chunks: the one that `StoreWriter` makes of a small array, else all that there are."""
    single = [key for key in (f"{name}/c{'/0' * dims}" for dims in (1, 2, 3)) if key in index]
    return single or [key for key in index if key.startswith(f"{name}/c/")]


def _plain(name: str, data: dict[str, memoryview]) -> np.ndarray | None:
    """A small array of one chunk of numbers or strings, as xarray writes it; None for any other kind.

    zarr-python takes ten times as long for it, and a store with few cells is opened for almost every one of them.
    """
    node = json.loads(bytes(data[f"{name}/zarr.json"]))
    shape, codecs = node["shape"], [each["name"] for each in node["codecs"]]
    chunk = data.get(f"{name}/c{'/0' * len(shape)}")
    little = node["codecs"][0].get("configuration", {}).get("endian", "little") == "little"
    if chunk is None or node["chunk_grid"]["configuration"]["chunk_shape"] != shape or not little:
        return None
    if codecs == ["vlen-utf8", "zstd"]:
        return np.asarray(VLenUTF8().decode(Zstd().decode(chunk))).reshape(shape)
    if codecs == ["bytes", "zstd"] and node["data_type"] in ("int32", "int64", "float32", "float64"):
        return np.frombuffer(Zstd().decode(chunk), np.dtype(node["data_type"]).newbyteorder("<")).reshape(shape)
    return None


def _by_zarr(name: str, data: dict[str, memoryview]) -> np.ndarray:
    buffer = default_buffer_prototype().buffer
    memory = MemoryStore({key: buffer.from_bytes(bytes(each)) for key, each in data.items()})
    return np.asarray(zarr.open_array(store=memory, path=name, mode="r")[...])


class _Plan:
    """Which chunks of an array a cell's `dates` need, and where their pixels go."""

    def __init__(self, array: PixelArray, row: int, dates: Sequence[int] | None) -> None:
        self.array = array
        self.wanted = range(array.shape[1]) if dates is None or array.dims[1] != "time" else dates
        step = array.chunks[1]
        needed = sorted({at // step for at in self.wanted})
        self._place = {number: place for place, number in enumerate(needed)}
        grid = [math.ceil(size / chunk) for size, chunk in zip(array.shape[2:], array.chunks[2:], strict=True)]
        self.chunks = [
            (row, number, *rest) for number in needed for rest in itertools.product(*(range(count) for count in grid))
        ]
        trailing = [count * chunk for count, chunk in zip(grid, array.chunks[2:], strict=True)]
        self._buffer = np.empty((len(needed) * step, *trailing), array.dtype)

    def target(self, index: tuple[int, ...]) -> np.ndarray:
        """Where the pixels of a chunk go."""
        if len(self.chunks) == 1:
            return self._buffer
        corner = (self._place[index[1]], *index[2:])
        return self._buffer[
            tuple(slice(at * size, (at + 1) * size) for at, size in zip(corner, self.array.chunks[1:], strict=True))
        ]

    def result(self) -> np.ndarray:
        """The wanted dates, without the padding of chunks that reach beyond the array; without a copy where they follow."""
        step = self.array.chunks[1]
        at = [self._place[each // step] * step + each % step for each in self.wanted]
        first = at[0] if at else 0
        follow = at == list(range(first, first + len(at)))
        return self._buffer[(slice(first, first + len(at)) if follow else at, *(slice(0, size) for size in self.array.shape[2:]))]  # fmt: skip


def _decode(frame: memoryview, target: np.ndarray) -> None:
    """Decode a chunk into `target`. Raises ValueError or RuntimeError where it is not one of that many bytes."""
    size = int.from_bytes(frame[_FRAME], "little")
    if size != target.nbytes:
        raise ValueError(f"{size} bytes decoded where {target.nbytes} belong")
    if target.flags.c_contiguous:
        decode(frame, target)
        return
    apart = np.empty(target.shape, target.dtype)
    decode(frame, apart)
    target[...] = apart


def _entry(array: PixelArray, index: tuple[int, ...], zipped: Zipped) -> Entry:
    assert array.places is not None
    entry = Entry(*array.places[index].item())
    if entry == _NOWHERE:
        raise zipped.damaged(f"{array.name} lacks chunk {'/'.join(map(str, index))}")
    return entry


def _nodes(zipped: Zipped) -> dict[str, dict[str, Any]]:
    """Metadata of the groups and arrays, by path; "" is the root."""

    def document(name: str) -> dict[str, Any]:
        entry = zipped.index.get(f"{name}/zarr.json".lstrip("/"))
        if entry is None:
            raise zipped.damaged(f"no {name or 'root'}/zarr.json: not a Zarr store of version 3")
        try:
            return dict(json.loads(bytes(zipped.data([entry])[0])))
        except ValueError as error:
            raise zipped.damaged(f"{name}/zarr.json: {error}") from error

    root = document("")
    consolidated = (root.get("consolidated_metadata") or {}).get("metadata")
    if consolidated is not None:
        return {"": root, **consolidated}
    names = [name.removesuffix("/zarr.json") for name in zipped.index if name.endswith("/zarr.json")]
    return {"": root, **{name: document(name) for name in sorted(names)}}


def _pixel_array(name: str, node: dict[str, Any], index: ZipIndex) -> PixelArray:
    shape = tuple(node["shape"])
    chunks = tuple(node["chunk_grid"]["configuration"]["chunk_shape"])
    places = None
    if _as_written_here(node, chunks):
        places = _places(index, name, tuple(math.ceil(size / chunk) for size, chunk in zip(shape, chunks, strict=True)))
    dtype = np.dtype(node["data_type"]).newbyteorder("<")
    return PixelArray(name, shape, chunks, tuple(node["dimension_names"]), dtype, node.get("attributes", {}), places)


def _places(index: ZipIndex, name: str, grid: tuple[int, ...]) -> np.ndarray:
    """Where the chunk at each place of `grid` is; zeros where there is none.

    A tile has ten thousands of chunks, and its store is opened again and again where there are many tiles: no work for each
    of them but its name, one look and one row.
    """
    ends = ["/".join(map(str, rest)) for rest in np.ndindex(grid[1:])]
    names = [f"{name}/c/{row}/{end}" for row in range(grid[0]) for end in ends]
    try:
        found = [index[each] for each in names]
    except KeyError:
        found = [index.get(each, _NOWHERE) for each in names]
    return np.array(found, _PLACE).reshape(grid)


def _as_written_here(node: dict[str, Any], chunks: tuple[int, ...]) -> bool:
    """Whether the chunks are plain little-endian blosc frames of one cell each."""
    codecs = [(each["name"], each.get("configuration", {})) for each in node["codecs"]]
    return (
        [name for name, _ in codecs] == ["bytes", "blosc"]
        and codecs[0][1].get("endian", "little") == "little"
        and node["chunk_grid"]["name"] == "regular"
        and node["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
        and not node.get("storage_transformers")
        and chunks[0] == 1
        and len(chunks) >= 3
    )
