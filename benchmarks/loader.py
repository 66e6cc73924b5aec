"""Random series per second: tilewright's loader beside other ways to keep and read the same pixels.

    python benchmarks/loader.py [--quick]

Every reader is a process of its own that reads cells of one dataset in the same random order: two bands at 10 m, two at
20 m and SCL, three dates. The pages of all files are warm. All readers' arrays must have the same CRC.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DATES, SIZE_M, TILE, BATCH, CHECKED = 3, 1920, "32TNT", 32, 100
GROUPS = {"r10m": (("B04", "B08"), 10), "r20m": (("B8A", "B11"), 20), "scl": ((), 20)}
Read = Callable[[int], "dict[str, Any]"]


def pixels(cell: int) -> dict[str, Any]:
    """The truth: 12-bit reflectances, smooth ground with texture, about as compressible as real ones of vegetated ground (1.6)."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([7, cell])
    made = {}
    for name, (bands, step) in GROUPS.items():
        side = SIZE_M // step
        if not bands:
            classes = gaussian_filter(rng.standard_normal((DATES, side, side)), (0, 6, 6))
            made[name] = np.digitize(classes, [-0.1, -0.03, 0.02, 0.08]).astype("uint8") + 4
            continue
        ground = gaussian_filter(rng.standard_normal((1, len(bands), side, side)), (0, 0, 9, 9)) * 12000 + 1800
        texture = rng.standard_normal((DATES, len(bands), side, side)) * 90
        made[name] = np.clip(ground + texture, 1, 4095).astype("uint16")
    return made


# writers: one function a layout, all of the same pixels ---------------------------------------------------------------


def write_tilewright(folder: Path, cells: int) -> None:
    """A dataset of one tile: series store and index, by tilewright's own writers."""
    import geopandas as gpd
    import numpy as np
    import shapely

    from tilewright.store import write_table
    from tilewright.store.small import Small, Variable
    from tilewright.store.zarrzip import StoreWriter

    ids = np.array([f"{TILE}-{row}" for row in range(cells)], object)
    words = np.full((cells, DATES), "year", object)
    time_of = np.array(["2021-03-01T10:20:00", "2021-06-04T10:20:00", "2021-09-12T10:20:00"], "datetime64[us]")
    numbers = {"dates": np.full(cells, DATES, np.int32)}
    coordinates = {
        "cell_id": Variable(("cell",), ids), "period": Variable(("cell", "time"), words),
        "time": Variable(("cell", "time"), np.broadcast_to(time_of, (cells, DATES)).copy()), "dates": Variable(("cell",), numbers["dates"]),
    }  # fmt: skip
    path = f"tiles/{TILE}/series.zarr.zip"
    with StoreWriter(folder / path, {"format": "tilewright-series-1"}) as store:
        store.small("s2_l2a", Small(coordinates))
        for name, (bands, step) in GROUPS.items():
            side = SIZE_M // step
            shape = (DATES, len(bands), side, side) if bands else (DATES, side, side)
            dims = ("cell", "time", *(("band",) if bands else ()), "y", "x")
            array = f"s2_l2a/{name}/{'reflectance' if bands else 'scl'}"
            attrs = {"resolution_m": step, **({"scale_factor": 1e-4} if bands else {})}
            store.array(array, (cells, *shape), "uint16" if bands else "uint8", (1, *shape), dims, attrs)
            if bands:
                store.small(f"s2_l2a/{name}", Small({"band": Variable(("band",), np.array(bands, object))}))
        for row in range(cells):
            for name, data in pixels(row).items():
                array = f"s2_l2a/{name}/{'scl' if name == 'scl' else 'reflectance'}"
                store.put(array, (row,) + (0,) * data.ndim, data[None])
    nothing = [shapely.box(9, 47, 9.1, 47.1)] * cells
    table = gpd.GeoDataFrame(
        {
            "cell_id": ids, "tile": TILE, "epsg": 32632, "ulx": 6e5, "uly": 5.2e6, "size_m": SIZE_M, "lon": 9.0, "lat": 47.0,
            "series_path": path, "series_row": np.arange(cells), "dates": DATES, "split": "train",
        },
        geometry=nothing, crs=4326,
    )  # fmt: skip
    write_table(table, folder / "index.parquet", {})


def write_zarr(folder: Path, cells: int, chunks: str) -> None:
    """zarr-python's defaults in a directory: its own codec, and a series a chunk or its own chunks."""
    import zarr

    root = zarr.create_group(folder)
    arrays: dict[str, Any] = {}
    for row in range(cells):
        for name, data in pixels(row).items():
            if name not in arrays:
                of = (1, *data.shape) if chunks == "series" else "auto"
                arrays[name] = root.create_array(name, shape=(cells, *data.shape), dtype=data.dtype, chunks=of)
                # zarr's own chunks hold parts of many cells: filled in one go
                whole = [] if of == "auto" else None
                arrays[name] = (arrays[name], whole)
            array, whole = arrays[name]
            if whole is None:
                array[row] = data
            else:
                whole.append(data)
    import numpy as np

    for array, whole in arrays.values():
        if whole is not None:
            array[...] = np.stack(whole)


def write_tiffs(folder: Path, cells: int, per_date: bool) -> None:
    """GeoTIFFs: a file a patch and grid, or a file a cell and grid with all dates as bands; DEFLATE, predictor 2."""
    import rasterio

    folder.mkdir(parents=True)
    for row in range(cells):
        for name, data in pixels(row).items():
            planes = data.reshape(DATES, -1, *data.shape[-2:])
            step = GROUPS[name][1]
            profile = {
                "driver": "GTiff", "dtype": data.dtype, "height": data.shape[-2], "width": data.shape[-1], "crs": "EPSG:32632",
                "transform": rasterio.Affine(step, 0, 6e5, 0, -step, 5.2e6), "compress": "deflate", "predictor": 2, "zlevel": 6,
            }  # fmt: skip
            files = {f"{row}_{name}_{date}.tif": planes[date] for date in range(DATES)}
            if not per_date:
                files = {f"{row}_{name}.tif": planes.reshape(-1, *planes.shape[2:])}
            for file, bands in files.items():
                with rasterio.open(folder / file, "w", count=len(bands), **profile) as to:
                    to.write(bands)


LAYOUTS: dict[str, Callable[[Path, int], None]] = {
    "tilewright": write_tilewright,
    "zarr-series": partial(write_zarr, chunks="series"),
    "zarr-auto": partial(write_zarr, chunks="auto"),
    "tiff-dates": partial(write_tiffs, per_date=True),
    "tiff-cells": partial(write_tiffs, per_date=False),
}

# readers: a cell's number -> its arrays -------------------------------------------------------------------------------


def read_tilewright(data: Path) -> Read:
    import tilewright

    dataset: Any = tilewright.open(data / "tilewright")
    reader, path, ids = dataset.reader, f"tiles/{TILE}/series.zarr.zip", dataset.index["cell_id"].tolist()
    return lambda row: reader.read(path, "s2_l2a", row, ids[row]).arrays


def read_torch(data: Path, **options: Any) -> Read:
    from tilewright.torch import SeriesDataset

    samples = SeriesDataset(data / "tilewright", **options)

    def read(row: int) -> dict[str, Any]:
        sample = samples[row]
        return {**sample["image"], "scl": sample["scl"]}

    return read


def read_zip_by_zarr(data: Path) -> Read:
    import zarr

    root = zarr.open_group(
        zarr.storage.ZipStore(data / "tilewright/tiles" / TILE / "series.zarr.zip", mode="r"), mode="r"
    )
    arrays: Any = {name: root[f"s2_l2a/{name}/{'scl' if name == 'scl' else 'reflectance'}"] for name in GROUPS}
    return lambda row: {name: array[row] for name, array in arrays.items()}


def read_xarray(data: Path) -> Read:
    import xarray as xr
    import zarr

    store: Any = zarr.storage.ZipStore(data / "tilewright/tiles" / TILE / "series.zarr.zip", mode="r")
    tree = xr.open_datatree(store, engine="zarr", mask_and_scale=False)
    arrays = {name: tree[f"s2_l2a/{name}/{'scl' if name == 'scl' else 'reflectance'}"] for name in GROUPS}
    return lambda row: {name: array.isel(cell=row).values for name, array in arrays.items()}


def read_zarr(data: Path, layout: str) -> Read:
    import zarr

    root = zarr.open_group(data / layout, mode="r")
    arrays: Any = {name: root[name] for name in GROUPS}
    return lambda row: {name: array[row] for name, array in arrays.items()}


def read_tiffs(data: Path, layout: str) -> Read:
    import numpy as np
    import rasterio

    def opened(file: str) -> Any:
        with rasterio.open(data / layout / file) as source:
            return source.read()

    def read(row: int) -> dict[str, Any]:
        found = {}
        for name, (bands, step) in GROUPS.items():
            side = SIZE_M // step
            if layout == "tiff-dates":
                planes = np.stack([opened(f"{row}_{name}_{date}.tif") for date in range(DATES)])
            else:
                planes = opened(f"{row}_{name}.tif")
            found[name] = planes.reshape((DATES, len(bands), side, side) if bands else (DATES, side, side))
        return found

    return read


READERS: dict[str, Callable[[Path], Read]] = {
    "tilewright, arrays": read_tilewright,
    "tilewright.torch, DN": partial(read_torch, scale=False),
    "tilewright.torch, reflectance": read_torch,
    "zarr-python, the same zip": read_zip_by_zarr,
    "xarray, the same zip": read_xarray,
    "zarr-python's default codec, a series a chunk, directory": partial(read_zarr, layout="zarr-series"),
    "zarr-python's default codec and chunks, directory": partial(read_zarr, layout="zarr-auto"),
    "GeoTIFF a patch": partial(read_tiffs, layout="tiff-dates"),
    "GeoTIFF a cell, dates as bands": partial(read_tiffs, layout="tiff-cells"),
}
FAST, PER_PATCH = "tilewright, arrays", "GeoTIFF a patch"
ZARR = ("zarr-python's default codec, a series a chunk, directory", "zarr-python's default codec and chunks, directory")
NO_CRC = "tilewright.torch, reflectance"  # float32: other bytes by design


def order_of(cells: int) -> list[int]:
    import numpy as np

    return [int(row) for row in np.random.default_rng(1).permutation(cells)]


def time_reader(name: str, data: Path, cells: int, seconds: float) -> dict[str, Any]:
    """CRC of the arrays of every n-th cell, then random cells for `seconds`."""
    import numpy as np

    from measure import section

    read = READERS[name](data)
    crc = 0
    for row in range(0, cells, -(-cells // CHECKED)):
        for _, array in sorted(read(row).items()):
            crc = zlib.crc32(np.ascontiguousarray(np.asarray(array)), crc)
    order = order_of(cells)
    done = 0
    with section() as spent:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            read(order[done % cells])
            done += 1
    return {"series_per_s": done / spent.wall_s, "cpu_ms": spent.cpu_s / done * 1e3, "crc": crc}


def time_workers(workers: int, data: Path, seconds: float) -> dict[str, Any]:
    """Epochs of a DataLoader of float32 samples, the first (start of workers) left out; CPU of both sides."""
    import psutil
    import torch
    from torch.utils.data import DataLoader

    from tilewright.torch import SeriesDataset

    def cpu() -> tuple[float, float]:
        return time.process_time(), sum(sum(each.cpu_times()[:2]) for each in psutil.Process().children())

    torch.set_num_threads(1)
    samples = SeriesDataset(data / "tilewright")
    loader: Any = DataLoader(samples, BATCH, shuffle=True, num_workers=workers, persistent_workers=True)
    for _ in loader:
        pass
    done, begun, before = 0, time.perf_counter(), cpu()
    while time.perf_counter() - begun < seconds:
        done += sum(len(batch["valid"]) for batch in loader)
    wall, after = time.perf_counter() - begun, cpu()
    main_ms, worker_ms = ((end - start) / done * 1e3 for start, end in zip(before, after, strict=True))
    return {"series_per_s": done / wall, "cpu_ms": main_ms + worker_ms, "main_ms": main_ms, "worker_ms": worker_ms}


def written(name: str, data: Path, cells: int) -> dict[str, Any]:
    """Write one layout; how large it is and how long it took, pixels included."""
    begun = time.perf_counter()
    LAYOUTS[name](data / name, cells)
    spent = time.perf_counter() - begun
    sizes = [path.stat().st_size for path in (data / name).rglob("*") if path.is_file()]
    raw = sum(array.nbytes for array in pixels(0).values()) * cells
    return {
        "layout": name,
        "files": len(sizes),
        "MB": sum(sizes) / 1e6,
        "packed": raw / sum(sizes),
        "written in s": spent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small slice, seconds; its figures mean little")
    parser.add_argument("--cells", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--data", type=Path, help="keep the files here (used again where they are)")
    parser.add_argument("--write", choices=LAYOUTS, help=argparse.SUPPRESS)
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cells = given.cells or (40 if given.quick else 800)
    seconds = given.seconds or (0.2 if given.quick else 4)
    warnings.filterwarnings("ignore", category=UserWarning)
    if given.write:
        print(json.dumps(written(given.write, given.data, cells)))
    elif given.reader:
        print(json.dumps(time_reader(given.reader, given.data, cells, seconds)))
    elif given.workers is not None:
        print(json.dumps(time_workers(given.workers, given.data, seconds)))
    else:
        data = given.data or Path(tempfile.mkdtemp(prefix="tilewright-loader-"))
        try:
            compare(data, cells, seconds, given.repeats or (1 if given.quick else 3), given.quick)
        finally:
            if given.data is None:
                shutil.rmtree(data)


def child(*arguments: str) -> dict[str, Any]:
    """This script as a process of its own, with its peak memory."""
    from measure import run

    measured = run([sys.executable, __file__, *arguments])
    return {**measured.document, "peak_mb": measured.peak_mb}


def compare(data: Path, cells: int, seconds: float, repeats: int, quick: bool) -> None:
    from measure import interleaved, median
    from table import Check, keep, show, verdicts

    common = ["--data", str(data), "--cells", str(cells), "--seconds", str(seconds)]
    kept = data / f"written-{cells}.json"
    if not kept.exists():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        kept.write_text(json.dumps([child("--write", name, *common) for name in LAYOUTS]))
    layouts = json.loads(kept.read_text())
    show(f"{cells} cells, {DATES} dates, 2 x 10 m + 2 x 20 m + SCL", [{k: v for k, v in each.items() if k != "peak_mb"} for each in layouts])  # fmt: skip
    for path in data.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass
    with_torch = find_spec("torch") is not None
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        name: partial(child, "--reader", name, *common) for name in READERS if with_torch or "torch" not in name
    }
    counts = ((1, 2) if quick else (1, 2, 4)) if with_torch else ()
    loaders = {f"DataLoader, {count} workers": partial(child, "--workers", str(count), *common) for count in counts}
    runs = interleaved({**jobs, **loaders}, repeats, lambda text: print(text, file=sys.stderr))
    crcs = {name: {run["crc"] for run in runs[name]} for name in jobs if name != NO_CRC}
    equal = len(set.union(*crcs.values())) == 1

    def middle(name: str, key: str) -> float | None:
        return median([run[key] for run in runs[name]]) if key in runs[name][0] else None

    speed = {name: median([run["series_per_s"] for run in each]) for name, each in runs.items()}
    default = max(speed[each] for each in ZARR)
    rows = [
        {
            "reader": name, "series/s": speed[name], "CPU ms": middle(name, "cpu_ms"), "of it main": middle(name, "main_ms"),
            "peak MB": middle(name, "peak_mb"), "x GeoTIFF a patch": speed[name] / speed[PER_PATCH], "x zarr default": speed[name] / default,
        }
        for name in runs
    ]  # fmt: skip
    told = f"Arrays equal (CRC of {min(cells, CHECKED)} cells): {'yes' if equal else 'NO'}."
    if not with_torch:
        told += " PyTorch is not installed: its rows are left out (pip install torch)."
    show(f"Random series, one process; then DataLoaders of float32 samples, {BATCH} a batch", rows, told)
    one, two = (speed.get(f"DataLoader, {count} workers") for count in (1, 2))
    checks = [
        Check("times GeoTIFF a patch", speed[FAST] / speed[PER_PATCH], 8, True),
        Check("times zarr-python's default (the faster of both chunkings)", speed[FAST] / default, 2, True),
        Check("2 workers over 1", two / one if one and two else None, 1.7, True),
    ]  # fmt: skip
    verdicts("Targets", checks)
    if not quick:
        keep("loader", {"layouts": layouts, "rows": rows, "runs": runs, "equal": equal}, checks)
    if not equal:
        sys.exit(f"the readers' arrays differ: {crcs}")


if __name__ == "__main__":
    main()
