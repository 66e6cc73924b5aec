"""Ways to pack a series into bytes: time and size, and how they scale with threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import imagecodecs
import numcodecs
import numpy as np

from measure import interleaved, median, section
from series import raw_mb
from tilewright.store.zarrzip import KEPT, PASSING, encode
from tilewright.store.zarrzip import decode as decode_into

Pack = Callable[[np.ndarray], Any]  # to bytes of some kind
Unpack = Callable[[Any], Any]


def blosc(compressor: str, level: int, shuffle: str, block: int = 0) -> tuple[Pack, Unpack]:
    """With one thread; `block` 0 leaves the size of the blocks to blosc."""
    codec: Any = imagecodecs
    return (
        lambda a: codec.blosc_encode(
            a, level=level, compressor=compressor, typesize=2, blocksize=block, shuffle=shuffle, numthreads=1
        ),
        lambda e: codec.blosc_decode(e, numthreads=1),
    )


def zstd(level: int) -> tuple[Pack, Unpack]:
    return lambda a: imagecodecs.zstd_encode(a.tobytes(), level=level), imagecodecs.zstd_decode


def gzip(level: int) -> tuple[Pack, Unpack]:
    codec = numcodecs.GZip(level)
    return codec.encode, codec.decode


def delta(inner: tuple[Pack, Unpack], along_time: bool = False) -> tuple[Pack, Unpack]:
    """numcodecs' delta filter (zarr's `numcodecs.delta`) before `inner`; along time after a transposition."""
    codec, (pack, unpack) = numcodecs.Delta(dtype="<u2"), inner

    def packed(series: np.ndarray) -> bytes:
        return pack(codec.encode(np.moveaxis(series, 0, -1).copy() if along_time else series))

    return packed, lambda e: codec.decode(np.frombuffer(unpack(e), "<u2"))


def last_time(inner: tuple[Pack, Unpack]) -> tuple[Pack, Unpack]:
    """Without a filter, the dates of a pixel side by side."""
    pack, unpack = inner
    return lambda a: pack(np.moveaxis(a, 0, -1).copy()), unpack


def decoded(shape: tuple[int, ...]) -> Unpack:
    """As StoreReader unpacks: into an array."""

    def unpack(data: bytes) -> np.ndarray:
        out = np.empty(shape, np.uint16)
        decode_into(data, out)
        return out

    return unpack


K = 1 << 10
PACKINGS: dict[str, tuple[Pack, Unpack]] = {
    "zstd 1": zstd(1),
    "zstd 3": zstd(3),
    "gzip 1": gzip(1),
    "delta x + zstd 1": delta(zstd(1)),
    "blosc-zstd 1 bitshuffle": blosc("zstd", 1, "bitshuffle"),
    "blosc-zstd 3 bitshuffle": blosc("zstd", 3, "bitshuffle"),
    "blosc-zstd 5 bitshuffle": blosc("zstd", 5, "bitshuffle"),
    "blosc-zstd 1 shuffle": blosc("zstd", 1, "shuffle"),
    "blosc-zstd 3 shuffle": blosc("zstd", 3, "shuffle"),
    "blosc-zstd 5 shuffle": blosc("zstd", 5, "shuffle"),
    "blosc-zstd 1 bitshuffle, 128 kB blocks": blosc("zstd", 1, "bitshuffle", 128 * K),
    "blosc-zstd 1 bitshuffle, 256 kB blocks": blosc("zstd", 1, "bitshuffle", 256 * K),
    "blosc-zstd 1 bitshuffle, 512 kB blocks": blosc("zstd", 1, "bitshuffle", 512 * K),
    "blosc-zstd 1 bitshuffle, 1 MB blocks": blosc("zstd", 1, "bitshuffle", 1024 * K),
    "blosc-zstd 3 bitshuffle, 512 kB blocks": blosc("zstd", 3, "bitshuffle", 512 * K),
    "blosc-zstd 1 shuffle, 512 kB blocks": blosc("zstd", 1, "shuffle", 512 * K),
    "blosc-lz4 1 bitshuffle, 512 kB blocks": blosc("lz4", 1, "bitshuffle", 512 * K),
    "blosc-lz4 5 bitshuffle, 512 kB blocks": blosc("lz4", 5, "bitshuffle", 512 * K),
    "blosc-lz4 5 shuffle": blosc("lz4", 5, "shuffle"),
    "delta x + blosc-zstd 1 shuffle": delta(blosc("zstd", 1, "shuffle")),
    "delta x + blosc-zstd 1 bitshuffle, 512 kB blocks": delta(blosc("zstd", 1, "bitshuffle", 512 * K)),
    "delta time + blosc-zstd 1 shuffle": delta(blosc("zstd", 1, "shuffle"), along_time=True),
    "delta time + blosc-zstd 1 bitshuffle, 512 kB blocks": delta(blosc("zstd", 1, "bitshuffle", 512 * K), True),
    "time last, blosc-zstd 1 bitshuffle, 512 kB blocks": last_time(blosc("zstd", 1, "bitshuffle", 512 * K)),
}
QUICK = ("zstd 1", "blosc-zstd 1 bitshuffle", "blosc-lz4 1 bitshuffle, 512 kB blocks", "delta x + zstd 1")
OURS, PASSED = "tilewright, series", "tilewright, patches on their way"


def pack_and_unpack(series: list[np.ndarray], pack: Pack, unpack: Unpack) -> tuple[float, float, int]:
    """CPU seconds to pack and to unpack, and the bytes between."""
    with section() as packing:
        packed = [pack(one) for one in series]
    with section() as unpacking:
        for data in packed:
            unpack(data)
    return packing.cpu_s, unpacking.cpu_s, sum(map(len, packed))


def packings(series: list[np.ndarray], quick: bool, repeats: int) -> list[dict[str, Any]]:
    chosen = {name: of for name, of in PACKINGS.items() if not quick or name in QUICK}
    chosen[OURS] = (encode, decoded(series[0].shape))
    chosen[PASSED] = (lambda a: encode(a, PASSING), decoded(series[0].shape))
    jobs: dict[str, Callable[[], Any]] = {name: partial(pack_and_unpack, series, *of) for name, of in chosen.items()}
    mb, rows = raw_mb(series), []
    for name, runs in interleaved(jobs, repeats).items():
        packing, unpacking = (median([run[at] for run in runs]) for at in (0, 1))
        size = runs[0][2] / 1e6
        row = {"packing": name, "pack MB/s": mb / packing, "unpack MB/s": mb / unpacking, "size %": 100 * size / mb}
        for speed in (100, 1000):
            row[f"read at {speed} MB/s"] = mb / (size / speed + unpacking)
        rows.append(row)
    return rows


def threads(series: list[np.ndarray], repeats: int) -> list[dict[str, Any]]:
    """Packing and unpacking in one and in two threads of Python, each blosc with one thread."""
    codec = numcodecs.Blosc(KEPT.compressor, KEPT.level, numcodecs.Blosc.BITSHUFFLE, KEPT.codec(2).blocksize)
    ways: dict[str, tuple[Pack, Unpack]] = {
        "imagecodecs": (encode, decoded(series[0].shape)),
        "numcodecs": (codec.encode, codec.decode),
    }

    mb = raw_mb(series)

    def run(of: tuple[Pack, Unpack], workers: int) -> dict[str, float]:
        with ThreadPoolExecutor(workers) as pool:
            with section() as packing:
                packed = list(pool.map(of[0], series))
            with section() as unpacking:
                for _ in pool.map(of[1], packed):
                    pass
        return {
            "pack MB/s": mb / packing.wall_s, "pack MB/s (CPU)": mb / packing.cpu_s,
            "unpack MB/s": mb / unpacking.wall_s, "unpack MB/s (CPU)": mb / unpacking.cpu_s,
        }  # fmt: skip

    jobs: dict[str, Callable[[], Any]] = {
        f"{name}, {count} threads": partial(run, of, count) for name, of in ways.items() for count in (1, 2)
    }
    return [{"with": name, **medians(runs)} for name, runs in interleaved(jobs, repeats).items()]


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: median([run[key] for run in runs]) for key in runs[0]}
