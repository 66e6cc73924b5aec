"""Exports: what each layout costs beside reading the same series and encoding the same arrays with the bare library.

    python benchmarks/exports.py [--quick]

One tile of a simulated place (`benchmarks/data/exports`, made at the first run in two minutes): 96 x 96 pixels, a date in each of four
seasons, Level-2A, Level-1C and Sentinel-1, two sets of labels, so that every layout takes it. The rows of a layout:

*bare*: a loop over the cells that reads each series as users do (`Dataset.series`), gives the arrays to rasterio, numpy, pickle or tarfile with
the same options, and writes the files, without waiting for the disk. *tilewright*: the stage export_tile, with its index, check,
digest, names, metadata, records and files that are on the disk when it ends. *again*: the same when nothing has changed.
"""

from __future__ import annotations

import argparse
import io
import pickle
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import geopandas as gpd
import imagecodecs
import numpy as np
import rasterio
import shapely

import measure
import table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness import write_aoi  # noqa: E402
from inprocess import build  # noqa: E402  the stages in this process
from tilewright.config.bands import S2_L1C, S2_L2A  # noqa: E402
from tilewright.config.exports import LAYOUTS  # noqa: E402
from tilewright.config.settings import ExportSettings, parsed  # noqa: E402
from tilewright.config.simulated import Simulate, Site  # noqa: E402
from tilewright.exports import make_export_tile  # noqa: E402
from tilewright.loader.dataset import Dataset  # noqa: E402
from tilewright.rules import DatasetConfig  # noqa: E402
from tilewright.simulate import make_world  # noqa: E402

TILE = "33TTG"
SIDE_M = 960
SEASONS = {"spring": (1, 3), "summer": (4, 6), "fall": (7, 9), "winter": (10, 12)}
LABELS = {"opensentinelmap": "osm", "seasonet": "clc", "deepsatdata": "clc"}
Files = Iterator[bytes]


def config_of(folder: Path, reach: float) -> dict[str, Any]:
    """A dataset that every layout takes; `reach`: half the side of its area, degrees."""
    box = (12.05 - reach, 42.0 - reach, 12.05 + reach, 42.0 + reach)
    halves = [shapely.box(11, 41, 12.05, 43), shapely.box(12.05, 41, 13, 43)]
    gpd.GeoDataFrame({"CLC18": ["211", "312"]}, geometry=halves, crs=4326).to_file(folder / "cover.gpkg")
    cover = {"kind": "vector", "path": str(folder / "cover.gpkg"), "attributes": ["CLC18"], "licence": "CC0-1.0"}
    return {
        "dataset": "exports", "seed": 42, "provider": {"like": "simulated", "path": str(folder / "world/catalog.json")},
        "aoi": {"file": write_aoi(folder / "aoi.geojson", box)}, "cells": {"strategy": "grids", "size_m": SIDE_M, "grids": {"offsets_m": [0]}},
        "collections": {
            "s2_l2a": {"bands": list(S2_L2A)}, "s2_l1c": {"bands": list(S2_L1C), "pair": {"required": True}},
            "s1_grd": {"bands": ["VV", "VH"], "pair": {"nearest_days": 15, "required": True}},
        },
        "mask": {"max_bad": 1.0},
        "periods": [
            {"name": name, "start": f"2019-{first:02}-01", "end": f"2019-{last:02}-28", "scenes": 1} for name, (first, last) in SEASONS.items()
        ],
        "accept": {"complete": True},
        "labels": {
            "osm": {"source": {"kind": "pbf", "path": str(folder / "world/world.osm.pbf")}, "ontology": "opensentinelmap"},
            "clc": {"source": cover, "ontology": "seasonet-clc"},
        },
    }  # fmt: skip


def made(folder: Path, quick: bool) -> tuple[dict[str, Any], Path]:
    """The config, and the dataset's folder, which is made where it is not there."""
    side, reach = (3500, 0.012) if quick else (12_000, 0.055)
    folder.mkdir(parents=True, exist_ok=True)
    config, results = config_of(folder, reach), folder / "results/exports"
    if not (results / "index.parquet").is_file():
        site = Site(name="lazio", lon=12.05, lat=42.0, side_m=side, tiles=[TILE])
        make_world(Simulate(seed=7, sites=[site], years=[2019], scenes_per_year=4, sensors=["s2_l1c", "s1_grd"]), folder / "world")  # fmt: skip
        build(config, folder)
    return config, results


def tif(pixels: np.ndarray, row: Any, **profile: Any) -> bytes:
    stack = pixels if pixels.ndim == 3 else pixels[None]
    bands, height, width = stack.shape
    where = rasterio.transform.from_origin(row["ulx"], row["uly"], SIDE_M / width, SIDE_M / width)
    with rasterio.MemoryFile() as memory:
        with memory.open(driver=profile.pop("driver", "GTiff"), dtype=stack.dtype, count=bands, height=height, width=width, crs=row["epsg"],
                         transform=where, **profile) as image:  # fmt: skip
            image.write(stack)
        return bytes(memory.getbuffer())


def ssl4eo(dataset: Dataset, row: Any, labels: dict[str, np.ndarray]) -> Files:
    for collection in ("s1_grd", "s2_l1c", "s2_l2a"):
        arrays = dataset.series(row["cell_id"], collection).arrays
        yield from (tif(band, row) for key, array in arrays.items() if key != "scl" for date in array for band in date)


def seasonet(dataset: Dataset, row: Any, labels: dict[str, np.ndarray]) -> Files:
    options: dict[str, Any] = {"compress": "deflate"}
    arrays = dataset.series(row["cell_id"]).arrays
    for ten, twenty, sixty, scl in zip(*(arrays[key] for key in ("r10m", "r20m", "r60m", "scl")), strict=True):
        yield from (tif(each, row, predictor=2, **options) for each in (ten[:3], ten[3], twenty, sixty))
        yield from (tif(each, row, **options) for each in (labels["clc"][0], np.isin(scl, (8, 9)).astype("uint8"), (scl == 11).astype("uint8")))  # fmt: skip


def opensentinelmap(dataset: Dataset, row: Any, labels: dict[str, np.ndarray]) -> Files:
    arrays = dataset.series(row["cell_id"]).arrays
    for date in range(len(arrays["scl"])):
        file = io.BytesIO()
        bands = {
            key: np.moveaxis(arrays[key][date], 0, -1).astype(np.float32) / 10_000 for key in ("r10m", "r20m", "r60m")
        }
        np.savez_compressed(file, scl=arrays["scl"][date], **bands)
        yield file.getvalue()
    yield bytes(imagecodecs.png_encode(np.ascontiguousarray(np.moveaxis(labels["osm"], 0, -1)), level=6))


def deepsatdata(dataset: Dataset, row: Any, labels: dict[str, np.ndarray]) -> Files:
    arrays = dataset.series(row["cell_id"], "s2_l1c").arrays
    bands = {f"{key}{at}": array[:, at].copy() for key, array in arrays.items() for at in range(array.shape[1])}
    truth = labels["clc"][0].astype(np.float32)
    yield pickle.dumps({**bands, **{key: truth.copy() for key in ("labels", "masks", "full_ass", "part_ass")}})


def geotiff(dataset: Dataset, row: Any, labels: dict[str, np.ndarray]) -> Files:
    options: dict[str, Any] = {"driver": "COG", "compress": "deflate", "blocksize": 96}
    for collection in ("s2_l2a", "s2_l1c", "s1_grd"):
        for array in dataset.series(row["cell_id"], collection).arrays.values():
            kind = "NO" if array.dtype == np.uint8 else "FLOATING_POINT" if array.dtype.kind == "f" else "STANDARD"
            yield from (tif(date, row, predictor=kind, level=6 if kind == "NO" else 1, **options) for date in array)
    yield from (tif(each, row, **options) for each in labels.values())


def webdataset(dataset: Dataset, row: Any, labels: dict[str, np.ndarray]) -> Files:
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as tar:
        series = (dataset.series(row["cell_id"], name).arrays.values() for name in ("s2_l2a", "s2_l1c", "s1_grd"))
        for at, array in enumerate([*(each for group in series for each in group), *labels.values()]):
            file = io.BytesIO()
            np.save(file, array)
            info = tarfile.TarInfo(f"{row['cell_id']}.{at}.npy")
            info.size = file.tell()
            file.seek(0)
            tar.addfile(info, file)
    yield shard.getvalue()


BARE: dict[str, Callable[[Dataset, Any, dict[str, np.ndarray]], Files]] = {
    "ssl4eo-s12": ssl4eo, "seasonet": seasonet, "opensentinelmap": opensentinelmap, "deepsatdata": deepsatdata, "geotiff": geotiff,
    "webdataset": webdataset,
}  # fmt: skip


def bare(layout: str, results: Path, out: Path) -> measure.Section:
    """The loop that one writes by hand."""
    out.mkdir(parents=True)
    number = count()
    with measure.section() as spent, rasterio.Env():
        dataset = Dataset(results)
        for _, row in dataset.index[dataset.index["accepted"]].iterrows():
            labels = {
                name: dataset.reader.label_arrays(row["labels_path"], name, int(row[f"{name}_row"]), row["cell_id"], ("labels",))["labels"]
                for name in ("osm", "clc")
            }  # fmt: skip
            for data in BARE[layout](dataset, row, labels):
                (out / str(next(number))).write_bytes(data)
    return spent


def ours(layout: str, results: Path, out: Path, settings: ExportSettings) -> measure.Section:
    """The stage."""
    (out / "tables").mkdir(parents=True, exist_ok=True)
    files, records = out / "tables/files.parquet", out / "tables/records.parquet"
    with measure.section() as spent:
        make_export_tile(results, TILE, settings, out / layout, files, records)
    return spent


def rows_of(layout: str, config: dict[str, Any], results: Path, folder: Path, repeats: int) -> list[dict[str, object]]:
    """The least of the runs, one of each in turn."""
    told = {**config, "export": {"layout": layout, "labels": LABELS.get(layout)}}
    settings = parsed(ExportSettings, DatasetConfig.load(told, ROOT).settings("export_tile", layout=layout))
    cells = int(Dataset(results).index["accepted"].sum())
    place = {name: folder / f"{layout}-{name}" for name in ("bare", "tilewright")}
    found: dict[str, list[measure.Section]] = {"bare": [], "tilewright": [], "again": []}
    for _ in range(repeats):
        for path in place.values():
            shutil.rmtree(path, ignore_errors=True)
        found["bare"].append(bare(layout, results, place["bare"]))
        found["tilewright"].append(ours(layout, results, place["tilewright"], settings))
        found["again"].append(ours(layout, results, place["tilewright"], settings))
    rows: list[dict[str, object]] = []
    for name, runs in found.items():
        files = [
            path
            for path in place.get(name, folder / "none").rglob("*")
            if path.is_file() and path.parent.name != "tables"
        ]
        rows.append(
            {
                "layout": layout, "": name, "CPU ms a cell": min(run.cpu_s for run in runs) / cells * 1e3,
                "wall ms a cell": min(run.wall_s for run in runs) / cells * 1e3, "files": len(files) or None,
                "MB": sum(path.stat().st_size for path in files) / measure.MB or None,
            }
        )  # fmt: skip
    for path in place.values():
        shutil.rmtree(path)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few cells, once; its figures mean nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as quick_data, tempfile.TemporaryDirectory() as out:
        data = Path(quick_data) if args.quick else Path(__file__).parent / "data/exports"
        config, results = made(data, args.quick)
        rows = [
            row for layout in LAYOUTS for row in rows_of(layout, config, results, Path(out), 1 if args.quick else 3)
        ]
        cells = int(Dataset(results).index["accepted"].sum())
    table.show(f"Exporting {cells} cells of {SIDE_M} m, four dates", rows)
    table.keep("exports-quick" if args.quick else "exports", {"cells": cells, "rows": rows})


if __name__ == "__main__":
    main()
