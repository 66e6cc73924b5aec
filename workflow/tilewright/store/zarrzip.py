"""Zarr v3 stores in one stored zip: one pass, streaming, byte for byte reproducible, chunks copied without decoding.

zarr-python writes all metadata and the small coordinate arrays (into memory); only the chunks of the big arrays are
encoded here, one zip entry each, because `zarr.storage.ZipStore` stamps entries with the clock and cannot take over
compressed bytes from another store.
"""

import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import imagecodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.storage import MemoryStore

from tilewright.errors import TilewrightError
from tilewright.store.atomic import replacing
from tilewright.store.small import Small, read_small, write_small
from tilewright.store.zipped import DamagedZipError, LocalFile, StoredZipWriter, ZipIndex

if TYPE_CHECKING:
    import xarray as xr

_BLOCK = 1 << 19  # bytes that blosc packs at a time
_codecs: Any = imagecodecs  # its types admit less than it takes: any buffer


@dataclass(frozen=True)
class Packing:
    """How blosc packs chunks: bits of a kind together (bitshuffle) for numbers of several bytes, then `compressor`.

    The idle high bits of 12-bit reflectances vanish that way. Blocks are of half a megabyte: in those that blosc would
    choose at level 1 (8 to 32 kB) packing and unpacking take much longer, and the result is larger. Figures:
    `python benchmarks/stores.py`.
    """

    compressor: Literal["zstd", "lz4"]
    level: int

    @staticmethod
    def shuffle(itemsize: int) -> Literal["bitshuffle", "shuffle"]:
        """The order of the bits of numbers of `itemsize` bytes; "shuffle" of single bytes leaves them as they are."""
        return "bitshuffle" if itemsize > 1 else "shuffle"

    def codec(self, itemsize: int) -> BloscCodec:
        """As zarr-python and the array's metadata have it."""
        return BloscCodec(
            typesize=itemsize,
            cname=self.compressor,
            clevel=self.level,
            shuffle=self.shuffle(itemsize),
            blocksize=_BLOCK,
        )


KEPT: Final = Packing("zstd", 1)  # of stores that are kept and copied: small
PASSING: Final = Packing("lz4", 1)  # of stores that the next stage reads once: twice as fast, a little larger


def encode(data: np.ndarray, packing: Packing = KEPT) -> bytes:
    """A chunk as an array of that type and packing keeps it; may be called in several threads at a time.

    With one thread of its own: blosc's threads put the blocks of a chunk in the order in which they are done, so that the
    same pixels would give other bytes each time.
    """
    return _codecs.blosc_encode(
        np.ascontiguousarray(data), level=packing.level, compressor=packing.compressor,
        shuffle=packing.shuffle(data.itemsize), typesize=data.itemsize, blocksize=_BLOCK, numthreads=1,
    )  # fmt: skip


def decode(data: bytes | memoryview, out: np.ndarray) -> None:
    """Decode what `encode` made into `out` (C order).

    Raises:
        RuntimeError, ValueError: where the bytes are no such chunk.
    """
    flat = out.reshape(-1).view(np.uint8)
    if _codecs.blosc_decode(data, numthreads=1, out=flat).nbytes != out.nbytes:
        raise ValueError(f"a chunk does not hold {out.shape} {out.dtype}")


def _chunk_key(array: str, index: tuple[int, ...]) -> str:
    return "/".join([array, "c", *map(str, index)])


class StoreWriter:
    """Writes one store. Use as a context manager: the file appears, whole, when the block ends well.

    Call `array` for each big array, `put`/`put_encoded` its chunks in a fixed order, and `small` for each group's
    small variables; groups are created as needed.
    """

    def __init__(self, path: str | Path, attrs: dict[str, Any]) -> None:
        """`attrs`: JSON-able attributes of the root group."""
        self._path = Path(path)
        self._memory = MemoryStore()
        zarr.create_group(self._memory, attributes=attrs)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._packing: dict[str, Packing] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._zip = stack.enter_context(StoredZipWriter(stack.enter_context(replacing(self._path))))
            self._stack = stack.pop_all()
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
                    self._zip.entry(key, value.to_bytes())
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)

    def array(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        chunks: tuple[int, ...],
        dims: tuple[str, ...],
        attrs: dict[str, Any] | None = None,
        fill_value: float = 0,
        packing: Packing = KEPT,
    ) -> None:
        """Declare array `name` ("group/sub/name"). Chunks that are never put read as `fill_value`."""
        self._packing[name] = packing
        self._arrays[name] = zarr.create_array(
            self._memory,
            name=name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            dimension_names=dims,
            fill_value=fill_value,
            attributes=attrs or {},
            compressors=[packing.codec(np.dtype(dtype).itemsize)],
        )

    def put(self, name: str, index: tuple[int, ...], data: np.ndarray) -> None:
        """Encode and write the chunk at `index` (in chunks); `data` has the array's full chunk shape."""
        array = self._arrays[name]
        if data.shape != array.chunks or data.dtype != array.dtype:
            raise ValueError(f"{name}: chunk {data.shape} {data.dtype} is not {array.chunks} {array.dtype}")
        self.put_encoded(name, index, encode(data, self._packing[name]))

    def put_encoded(self, name: str, index: tuple[int, ...], data: bytes) -> None:
        """Write a chunk already encoded by an array of the same type and chunk shape (see `StoreReader.encoded`)."""
        self._zip.entry(_chunk_key(name, index), data)

    def small(self, group: str, variables: Small) -> None:
        """Write the small variables and coordinates of `group` ("" is the root) in one chunk each."""
        write_small(self._memory, group, variables)


class _Buffers(Mapping[str, Buffer]):
    """A zip's entries as zarr's memory store holds them, each read when it is asked for."""

    def __init__(self, index: ZipIndex, file: LocalFile) -> None:
        self._index, self._file = index, file

    def __getitem__(self, key: str) -> Buffer:
        return default_buffer_prototype().buffer.from_bytes(bytes(self._index[key].data(self._file)))

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


class StoreReader:
    """Reads a store that `StoreWriter` wrote: its tree through xarray, its chunks as the encoded bytes they are.

    Many threads may read at a time. Damage is noticed: what is read is checked against the zip's CRC-32.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises TilewrightError naming the file when it is missing or not a whole zip."""
        self.path = Path(path)
        try:
            self._file = LocalFile(self.path)
            self._index = ZipIndex.read(self._file.size, self._file)
        except FileNotFoundError as error:
            raise TilewrightError(f"{path} is missing: run the rule that makes it") from error
        except (OSError, DamagedZipError) as error:
            raise TilewrightError(f"{path} is not a whole store ({error}): delete it and run again") from error
        entries: Any = _Buffers(self._index, self._file)
        self._store = MemoryStore(entries, read_only=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def tree(self, **options: Any) -> "xr.DataTree":
        """The whole store, lazily, also after the reader is closed or in another process; `options` go to xarray."""
        import xarray as xr

        store: Any = zarr.storage.ZipStore(self.path, mode="r")
        return xr.open_datatree(store, engine="zarr", **options)

    def small(self, name: str, variables: list[str] | None = None) -> Small:
        """The small variables of one group: `variables` with their coordinates, or all that are there.

        Raises:
            TilewrightError: naming the store where it is damaged.
        """
        try:
            return read_small(self._store, name, variables)
        except (zipfile.BadZipFile, OSError, LookupError, RuntimeError, ValueError) as error:
            raise TilewrightError(
                f"{self.path}: group {name or '/'} is damaged ({error}); delete the file and run again"
            ) from error

    def groups(self) -> Iterator[str]:
        """Names of all groups below the root, in order."""
        root = zarr.open_group(self._store, mode="r")
        yield from sorted(name for name, node in root.members(max_depth=None) if isinstance(node, zarr.Group))

    def encoded(self, array: str, index: tuple[int, ...]) -> bytes | None:
        """The chunk's encoded bytes; None where no chunk was written.

        Raises:
            DamagedZipError: where they are not those that were written.
        """
        found = self._chunk(array, index)
        return None if found is None else bytes(found)

    def chunk(self, array: str, index: tuple[int, ...], shape: Iterable[int], dtype: str) -> np.ndarray | None:
        """The decoded chunk as `shape` and `dtype`; None where no chunk was written."""
        found = np.empty(tuple(shape), dtype)
        return found if self.chunk_into(array, index, found) else None

    def chunk_into(self, array: str, index: tuple[int, ...], out: np.ndarray) -> bool:
        """Decode the chunk into `out` (C order); False, and nothing done, where no chunk was written.

        Raises:
            DamagedZipError, RuntimeError, ValueError: where it is damaged or of another size.
        """
        found = self._chunk(array, index)
        if found is None:
            return False
        decode(found, out)
        return True

    def _chunk(self, array: str, index: tuple[int, ...]) -> memoryview | None:
        key = _chunk_key(array, index)
        return self._index[key].data(self._file) if key in self._index else None
