"""Zarr v3 stores in one stored zip: one pass, streaming, byte for byte reproducible, chunks copied without decoding.

zarr-python writes all metadata and the small coordinate arrays (into memory); only the chunks of the big arrays are
encoded here, one zip entry each, because `zarr.storage.ZipStore` stamps entries with the clock and cannot take over
compressed bytes from another store.
"""

import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import xarray as xr
import zarr
from numcodecs.blosc import Blosc
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from tilewright.errors import TilewrightError
from tilewright.store.atomic import replacing

# Bitshuffle groups the idle high bits of 12-bit reflectances; zstd level 1 then packs them as well as higher levels do
# at a fraction of the time (shared measurements: blosc-zstd bitshuffle 309 MB against zstd 394 MB for the same patches).
_LEVEL = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can carry: the clock must not be in the bytes
_TIME_ENCODING = {"units": "microseconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "int64"}


def encode(data: np.ndarray) -> bytes:
    """A chunk as the stores' arrays of that type keep it."""
    shuffle = Blosc.BITSHUFFLE if data.dtype.itemsize > 1 else Blosc.SHUFFLE
    return bytes(Blosc(cname="zstd", clevel=_LEVEL, shuffle=shuffle).encode(data))


def _chunk_key(array: str, index: tuple[int, ...]) -> str:
    return "/".join([array, "c", *map(str, index)])


class StoreWriter:
    """Writes one store. Use as a context manager: the file appears, whole, when the block ends well.

    Call `array` for each big array, `put`/`put_encoded` its chunks in a fixed order, and `coords` for each group's
    small variables; groups are created as needed.
    """

    def __init__(self, path: str | Path, attrs: dict[str, Any]) -> None:
        """`attrs`: JSON-able attributes of the root group."""
        self._path = Path(path)
        self._memory = MemoryStore()
        self._stack = ExitStack()
        zarr.create_group(self._memory, attributes=attrs)
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def __enter__(self) -> Self:
        part = self._stack.enter_context(replacing(self._path))
        self._zip = self._stack.enter_context(zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with warnings.catch_warnings():
                    # Readers that do not know consolidated metadata ignore it; it saves a look-up for each array.
                    warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
                    zarr.consolidate_metadata(self._memory)
                for key, value in sorted(self._memory._store_dict.items()):
                    self._entry(key, value.to_bytes())
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)

    def _entry(self, key: str, data: bytes) -> None:
        info = zipfile.ZipInfo(key, date_time=_EPOCH)
        info.external_attr = 0o644 << 16
        self._zip.writestr(info, data)

    def array(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        chunks: tuple[int, ...],
        dims: tuple[str, ...],
        attrs: dict[str, Any] | None = None,
        fill_value: int = 0,
    ) -> None:
        """Declare array `name` ("group/sub/name"). Chunks that are never put read as `fill_value`."""
        item = np.dtype(dtype).itemsize
        shuffle: Literal["bitshuffle", "shuffle"] = "bitshuffle" if item > 1 else "shuffle"
        self._arrays[name] = zarr.create_array(
            self._memory,
            name=name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            dimension_names=dims,
            fill_value=fill_value,
            attributes=attrs or {},
            compressors=[BloscCodec(typesize=item, cname="zstd", clevel=_LEVEL, shuffle=shuffle)],
        )

    def put(self, name: str, index: tuple[int, ...], data: np.ndarray) -> None:
        """Encode and write the chunk at `index` (in chunks); `data` has the array's full chunk shape."""
        array = self._arrays[name]
        if data.shape != array.chunks or data.dtype != array.dtype:
            raise ValueError(f"{name}: chunk {data.shape} {data.dtype} is not {array.chunks} {array.dtype}")
        self.put_encoded(name, index, encode(np.ascontiguousarray(data)))

    def put_encoded(self, name: str, index: tuple[int, ...], data: bytes) -> None:
        """Write a chunk already encoded by an array of the same type and chunk shape (see `StoreReader.encoded`)."""
        self._entry(_chunk_key(name, index), bytes(data))

    def coords(self, group: str, dataset: xr.Dataset) -> None:
        """Write the small variables and coordinates of `group` ("" is the root) in one chunk each."""
        encoding: dict[str, Any] = {}
        for key, variable in dataset.variables.items():
            encoding[str(key)] = {"chunks": tuple(max(1, size) for size in variable.shape)} if variable.ndim else {}
            if variable.dtype.kind == "M":
                encoding[str(key)] |= _TIME_ENCODING
        dataset.to_zarr(
            self._memory, group=group or None, mode="a", zarr_format=3, consolidated=False, encoding=encoding
        )


class StoreReader:
    """Reads a store that `StoreWriter` wrote: its tree through xarray, its chunks as the encoded bytes they are."""

    def __init__(self, path: str | Path) -> None:
        """Raises TilewrightError naming the file when it is missing or not a whole zip."""
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except FileNotFoundError as error:
            raise TilewrightError(f"{path} is missing: run the rule that makes it") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise TilewrightError(f"{path} is not a whole store ({error}): delete it and run again") from error
        self._names = set(self._zip.namelist())
        self._codec = Blosc()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def tree(self, **options: Any) -> xr.DataTree:
        """The whole store, lazily; `options` go to `xarray.open_datatree`."""
        store: Any = zarr.storage.ZipStore(self.path, mode="r")
        return xr.open_datatree(store, engine="zarr", **options)

    def group(self, name: str, **options: Any) -> xr.Dataset:
        """One group of the store, lazily."""
        return xr.open_zarr(zarr.storage.ZipStore(self.path, mode="r"), group=name, chunks=None, **options)

    def loaded(self, name: str, variables: list[str] | None = None) -> xr.Dataset:
        """The small variables of one group (`variables`, or the coordinates), in memory.

        Raises:
            TilewrightError: naming the store where it is damaged.
        """
        try:
            group = self.group(name)
            return (group[variables] if variables else group).load()
        except (zipfile.BadZipFile, OSError, LookupError, RuntimeError, ValueError) as error:
            raise TilewrightError(
                f"{self.path}: group {name or '/'} is damaged ({error}); delete the file and run again"
            ) from error

    def groups(self) -> Iterator[str]:
        """Names of all groups below the root, in order."""
        root = zarr.open_group(zarr.storage.ZipStore(self.path, mode="r"), mode="r")
        yield from sorted(name for name, node in root.members(max_depth=None) if isinstance(node, zarr.Group))

    def encoded(self, array: str, index: tuple[int, ...]) -> bytes | None:
        """The chunk's encoded bytes, checked against the zip's CRC; None where no chunk was written."""
        key = _chunk_key(array, index)
        return self._zip.read(key) if key in self._names else None

    def chunk(self, array: str, index: tuple[int, ...], shape: Iterable[int], dtype: str) -> np.ndarray | None:
        """The decoded chunk as `shape` and `dtype`; None where no chunk was written."""
        data = self.encoded(array, index)
        return None if data is None else np.frombuffer(self._codec.decode(data), dtype).reshape(tuple(shape))
