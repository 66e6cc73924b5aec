"""How series are best packed, cut and laid out: time to write and read them, and their size.

    python benchmarks/stores.py [--quick] [--real FOLDER ...]

Series of 192 x 192 pixels, all dates and 10 m bands of a cell, are cut from the benchmarks' dense world, from tilewright's
simulated world and, with --real, from scenes of a folder (FOLDER/<scene>/<band>.tif, all on one grid). Four tables:

1. packings of one series: MB of pixels a CPU second, size, and MB/s where storage gives a reader 100 or 1000 MB/s;
2. threads: how packing and unpacking scale;
3. what a chunk holds: one cell's series, one date of it, four cells;
4. layouts: the one zip, zarr-python's stores, shards, GeoTIFFs; every one gives back the same pixels (a CRC).

Files are read from warm pages. MB are of pixels (unpacked), unless it says size.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import zarr

import world
from measure import Section, interleaved, section
from packings import medians, packings, threads
from series import SIDE, dense, raw_mb, real, simulated
from table import keep, show
from tilewright.store.zarrzip import KEPT, PASSING, Packing, StoreReader, StoreWriter, encode

# -- chunks -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """Cells and dates in a chunk."""

    cells: int
    dates: int

    def write(self, path: Path, series: list[np.ndarray], packing: Packing = KEPT) -> None:
        dates, bands = series[0].shape[:2]
        chunk = (self.cells, self.dates, bands, SIDE, SIDE)
        with StoreWriter(path, {}) as store:
            store.array("pixels", (len(series), dates, bands, SIDE, SIDE), "uint16", chunk, ("cell", "time", "band", "y", "x"), packing=packing)  # fmt: skip
            for row in range(0, len(series), self.cells):
                together = np.stack(series[row : row + self.cells])
                for date in range(0, dates, self.dates):
                    data = np.zeros(chunk, np.uint16)
                    data[: len(together)] = together[:, date : date + self.dates]
                    store.put("pixels", (row // self.cells, date // self.dates, 0, 0, 0), data)

    def read(self, store: StoreReader, cell: int, dates: range, shape: tuple[int, ...]) -> np.ndarray:
        """Those dates of a cell, from all chunks that hold them."""
        chunk = (self.cells, self.dates, *shape[1:])
        found = []
        for date in sorted({date // self.dates for date in dates}):
            pixels = store.chunk("pixels", (cell // self.cells, date, 0, 0, 0), chunk, "uint16")
            assert pixels is not None
            found.append(pixels[cell % self.cells])
        return np.concatenate(found)[dates.start % self.dates :][: len(dates)]


def chunks(series: list[np.ndarray], folder: Path, seconds: float, repeats: int) -> list[dict[str, Any]]:
    dates = len(series[0])
    cuts = {
        "one cell's series": Cut(1, dates),
        "one date of a cell": Cut(1, 1),
        "the series of 4 cells": Cut(4, dates),
    }

    def run(name: str) -> dict[str, float]:
        path = folder / f"{name}.zarr.zip"
        with section() as written:
            cuts[name].write(path, series)
        with StoreReader(path) as store:

            def read(cell: int, of: range) -> np.ndarray:
                return cuts[name].read(store, cell, of, series[0].shape)

            for cell, truth in enumerate(series):  # warms the pages up too
                assert np.array_equal(read(cell, range(dates)), truth)
            whole = each(lambda cell: read(cell, range(dates)), len(series), seconds)
            single = each(lambda cell: read(cell, range(cell % dates, cell % dates + 1)), len(series), seconds)
        by_zarr = each(open_zarr(path, dates), len(series), seconds)
        row = {
            "write MB/s (CPU)": raw_mb(series) / written.cpu_s,
            "size %": 100 * path.stat().st_size / 1e6 / raw_mb(series),
            "random series/s": 1 / whole.wall_s, "a series, CPU ms": whole.cpu_s * 1e3,
            "one date of it, CPU ms": single.cpu_s * 1e3, "a series by zarr-python, CPU ms": by_zarr.cpu_s * 1e3,
        }  # fmt: skip
        path.unlink()
        return row

    return [
        {"a chunk holds": name, **medians(runs)}
        for name, runs in interleaved({name: partial(run, name) for name in cuts}, repeats).items()
    ]


def each(read: Callable[[int], Any], cells: int, seconds: float) -> Section:
    """Seconds of wall clock and CPU for one random cell, by whole rounds over all cells."""
    order = np.random.default_rng(1).permutation(cells).tolist()
    done, begun = 0, time.perf_counter()
    with section() as spent:
        while time.perf_counter() - begun < seconds or done % cells:
            read(order[done % cells])
            done += 1
    return Section(spent.wall_s / done, spent.cpu_s / done)


# -- layouts ------------------------------------------------------------------------------------------------------------

Write = Callable[[Path, list[np.ndarray]], None]
Open = Callable[[Path, int], Callable[[int], np.ndarray]]


def write_ours(path: Path, series: list[np.ndarray], packing: Packing = KEPT) -> None:
    Cut(1, len(series[0])).write(path, series, packing)


def write_ours_threaded(path: Path, series: list[np.ndarray]) -> None:
    """As the stage `group` writes: packed by two threads, written in order."""
    with StoreWriter(path, {}) as store, ThreadPoolExecutor(2) as pool:
        store.array("pixels", (len(series), *series[0].shape), "uint16", (1, *series[0].shape), ("cell", "time", "band", "y", "x"))  # fmt: skip
        for row, data in enumerate(pool.map(encode, series)):
            store.put_encoded("pixels", (row, 0, 0, 0, 0), data)


def open_ours(path: Path, dates: int) -> Callable[[int], np.ndarray]:
    store = StoreReader(path)
    shape = store.group("")["pixels"].shape[1:]

    def read(cell: int) -> np.ndarray:
        pixels = store.chunk("pixels", (cell, 0, 0, 0, 0), shape, "uint16")
        assert pixels is not None
        return pixels

    return read


def write_zarr(path: Path, series: list[np.ndarray], kind: str, ours: bool, shard: int = 0) -> None:
    """By zarr-python: a directory or a zip; our packing or its default; cells in a shard."""
    store: Any = zarr.storage.ZipStore(path, mode="w") if kind == "zip" else zarr.storage.LocalStore(path)
    options: dict[str, Any] = {"compressors": [KEPT.codec(2)]} if ours else {}
    if shard:
        options["shards"] = (shard, *series[0].shape)
    array = zarr.create_group(store).create_array(
        "pixels", shape=(len(series), *series[0].shape), dtype="uint16", chunks=(1, *series[0].shape), **options
    )
    step = shard or 1
    for row in range(0, len(series), step):
        array[row : row + step] = np.stack(series[row : row + step])
    store.close()


def open_zarr(path: Path, dates: int) -> Callable[[int], np.ndarray]:
    store: Any = zarr.storage.ZipStore(path, mode="r") if path.is_file() else zarr.storage.LocalStore(path)
    array: Any = zarr.open_group(store, mode="r")["pixels"]
    return lambda cell: array[cell]


def write_tiffs(path: Path, series: list[np.ndarray], per_date: bool) -> None:
    """GeoTIFFs with DEFLATE and predictor 2: a file a date (a patch), or a file a cell with all dates as bands."""
    path.mkdir()
    place = rasterio.Affine(10, 0, world.ULX, 0, -10, world.ULY)
    for row, one in enumerate(series):
        files = {f"{row}_{date}.tif": bands for date, bands in enumerate(one)} if per_date else {f"{row}.tif": one.reshape(-1, SIDE, SIDE)}  # fmt: skip
        for name, bands in files.items():
            with rasterio.open(
                path / name, "w", driver="GTiff", dtype="uint16", count=len(bands), height=SIDE, width=SIDE,
                crs=world.EPSG, transform=place, compress="deflate", predictor=2,
            ) as file:  # fmt: skip
                file.write(bands)


def open_tiffs(path: Path, dates: int) -> Callable[[int], np.ndarray]:
    def pixels(name: str) -> np.ndarray:
        with rasterio.open(path / name) as file:
            return file.read()

    if (path / "0_0.tif").exists():
        return lambda cell: np.stack([pixels(f"{cell}_{date}.tif") for date in range(dates)])
    return lambda cell: pixels(f"{cell}.tif").reshape(dates, -1, SIDE, SIDE)


def by_zarr(kind: str, ours: bool, shard: int = 0) -> Write:
    return lambda path, series: write_zarr(path, series, kind, ours, shard)


LAYOUTS: dict[str, tuple[Write, Open]] = {
    "one zip, tilewright (pread)": (write_ours, open_ours),
    "one zip, tilewright (pread), lz4": (partial(write_ours, packing=PASSING), open_ours),
    "one zip, tilewright, 2 threads pack": (write_ours_threaded, open_ours),
    "one zip, tilewright, read by zarr-python": (write_ours, open_zarr),
    "one zip, zarr-python, our packing": (by_zarr("zip", True), open_zarr),
    "directory, zarr-python, our packing": (by_zarr("directory", True), open_zarr),
    "directory, zarr-python's default packing": (by_zarr("directory", False), open_zarr),
    "directory, shards of 64 cells, our packing": (by_zarr("directory", True, 64), open_zarr),
    "GeoTIFF a patch": (lambda path, series: write_tiffs(path, series, True), open_tiffs),
    "GeoTIFF a cell": (lambda path, series: write_tiffs(path, series, False), open_tiffs),
}


def layouts(series: list[np.ndarray], folder: Path, seconds: float, repeats: int) -> list[dict[str, Any]]:
    mb, dates = raw_mb(series), len(series[0])
    truth = crc(iter(series))

    def run(name: str) -> dict[str, float]:
        write, opened = LAYOUTS[name]
        path = folder / ("store.zarr.zip" if "zip" in name else "store")
        with section() as written:
            write(path, series)
        files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
        read = opened(path, dates)
        if crc(read(cell) for cell in range(len(series))) != truth:  # warms the pages up too
            raise SystemExit(f"{name}: other pixels came back")
        with section() as whole:
            for cell in range(len(series)):
                read(cell)
        spent = each(read, len(series), seconds)
        row = {
            "write MB/s": mb / written.wall_s, "write MB/s (CPU)": mb / written.cpu_s, "files": len(files),
            "size MB": sum(one.stat().st_size for one in files) / 1e6,
            "random series/s": 1 / spent.wall_s, "a series, CPU ms": spent.cpu_s * 1e3, "whole in s": whole.wall_s,
        }  # fmt: skip
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return row

    found = interleaved({name: partial(run, name) for name in LAYOUTS}, repeats, partial(print, file=sys.stderr))  # fmt: skip
    return [{"layout": name, **medians(runs)} for name, runs in found.items()]


def crc(series: Iterator[np.ndarray]) -> int:
    found = 0
    for one in series:
        found = zlib.crc32(one.tobytes(), found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small slice, seconds; its figures mean little")
    parser.add_argument("--real", type=Path, nargs="*", default=[], metavar="FOLDER", help="folders of scenes")
    given = parser.parse_args()
    quick, repeats = given.quick, 1 if given.quick else 3
    warnings.filterwarnings("ignore", category=UserWarning)
    sources = {"the dense world": dense(quick, 16), "the simulated world": simulated(1 if quick else 16)}
    for number, folder in enumerate(given.real, 1):
        # by number: names of folders on this machine are nobody's business
        sources[f"real scenes {number}"] = real(folder, 2 if quick else 16)
    kept: dict[str, Any] = {"packings": {}}
    for name, series in sources.items():
        rows = kept["packings"][name] = packings(series, quick, repeats)
        dates, bands = series[0].shape[:2]
        show(
            f"Packings: {len(series)} series of {dates} dates x {bands} bands, {name}",
            rows,
            "MB of pixels a CPU second; read: packed bytes at that speed, then unpacked by one core",
        )
    series = dense(quick, 16 if quick else 256)
    kept["threads"] = threads(series, repeats)
    show(f"Threads: {len(series)} series, {raw_mb(series):.0f} MB, wall clock", kept["threads"])
    with tempfile.TemporaryDirectory(prefix="tilewright-stores-") as folder:
        seconds = 0.1 if quick else 3
        kept["chunks"] = chunks(series, Path(folder), seconds, repeats)
        show(f"Chunks: {len(series)} series, {raw_mb(series):.0f} MB, one zip, one reading thread", kept["chunks"])
        kept["layouts"] = layouts(series, Path(folder), seconds, repeats)
        show(f"Layouts: {len(series)} series, {raw_mb(series):.0f} MB, one reading thread", kept["layouts"])
    if not quick:
        print(f"kept in {keep('stores', kept).relative_to(Path(__file__).parent.parent)}")


if __name__ == "__main__":
    main()
