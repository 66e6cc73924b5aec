"""Faults planted one at a time in the library; each must be noticed by a truth check.

The end of the test run prints which check noticed which fault.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import truth
from conftest import NORTH_BOX, WATERMARKS, WORLD, config_of
from harness import ROOT, write_aoi
from inprocess import build
from tilewright.catalog import Acquisition, radiometry
from tilewright.config.simulated import Simulate
from tilewright.cropping import filling
from tilewright.cropping.filling import Filling
from tilewright.imagery import ImageryReader
from tilewright.imagery.scatter import Patches
from tilewright.simulate import World
from tilewright.stages import crop, group, index, mask
from tilewright.store.small import Small, Variable
from tilewright.vector.burn import Burner

Patch = pytest.MonkeyPatch


class RawReader(ImageryReader):
    """Pixels as a provider has them who does not harmonise: 1000 on top of every valid one."""

    version = "raw"

    def read(self, asks: Any, finish: Any) -> Any:
        bands: list[str] = []

        def noted() -> Iterator[Any]:
            for ask in asks:
                bands.append(ask.asset.band)
                yield ask

        def raw(ask: int, box: int, pixels: np.ndarray) -> Any:
            if bands[ask] != "SCL":
                pixels = np.where(pixels > 0, pixels + np.uint16(1000), pixels)
            return finish(ask, box, pixels)

        return super().read(noted(), raw)


def half_a_pixel(patch: Patch) -> None:
    """Every box is read from half a pixel further south-east (as when corners are taken for centres)."""
    from tilewright.grid import Boxes

    whole = mask.boxes

    def shifted(cells: Any, resolution: int) -> Any:
        of = whole(cells, resolution)
        return Boxes(of.epsg, of.resolution, of.side, of.ulx + resolution / 2, of.uly - resolution / 2)

    for stage in (mask, crop):
        patch.setattr(stage, "boxes", shifted)


def swapped_bands(patch: Patch) -> None:
    """B03 and B04 are read from each other's asset."""
    other = {"B03": "B04", "B04": "B03"}
    real = Acquisition.assets
    patch.setattr(Acquisition, "assets", lambda self, band: real(self, other.get(band, band)))


def doubled_offset(patch: Patch) -> None:
    """raster:bands' −0.1 is taken off pixels that are harmonised already."""
    from tilewright.catalog import scene

    patch.setattr(scene, "decide", lambda *_: radiometry.Decision(-1000, "raster:bands"))


def missing_offset(patch: Patch) -> None:
    """Raw DN are taken for harmonised ones."""
    patch.setattr(radiometry, "OFFSET", 0)


def swapped_dates(patch: Patch) -> None:
    """The first two dates of a cell change places in the coordinates."""
    real = group._coordinates

    def swapped(*of: Any) -> Any:
        made = real(*of)
        time = made["time"].copy()
        time[:, [0, 1]] = time[:, [1, 0]]
        return Small({**made.coordinates, "time": Variable(("cell", "time"), time)})

    patch.setattr(group, "_coordinates", swapped)


def _burned_otherwise(patch: Patch, change: Callable[[np.ndarray], np.ndarray]) -> None:
    real = Burner.cells

    def cells(self: Any, *of: Any) -> Any:
        for at, burned in real(self, *of):
            yield at, np.ascontiguousarray(change(burned))

    patch.setattr(Burner, "cells", cells)


def labels_upside_down(patch: Patch) -> None:
    """Labels are flipped in y."""
    _burned_otherwise(patch, lambda burned: burned[:, ::-1])


def labels_x_for_y(patch: Patch) -> None:
    """x and y of the labels are exchanged."""
    _burned_otherwise(patch, lambda burned: burned.swapaxes(1, 2))


def pixels_x_for_y(patch: Patch) -> None:
    """x and y of the patches are exchanged."""
    real = filling.encode
    patch.setattr(filling, "encode", lambda data, packing: real(np.ascontiguousarray(data.T), packing))


def leaked_cell(patch: Patch) -> None:
    """One cell sits in another split than the rest of its tile."""
    real = index.split

    def leaky(rows: Any, settings: Any) -> Any:
        names, outcome = real(rows, settings)
        names = names.copy()
        names[0] = "test" if names[0] == "train" else "train"
        return names, outcome

    patch.setattr(index, "split", leaky)


def scl_off_by_one(patch: Patch) -> None:
    """SCL classes are one too high wherever they are read."""
    real = Patches.put

    def shifted(self: Any, at: int, pixels: np.ndarray, *of: Any) -> Any:
        return real(self, at, np.minimum(pixels + 1, 11).astype("u1") if pixels.dtype == "u1" else pixels, *of)

    patch.setattr(Patches, "put", shifted)


def scl_off_by_one_when_counted(patch: Patch) -> None:
    """SCL classes are counted one too high, though the patches are right."""

    class Shifted:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def bincount(self, values: Any, minlength: int) -> np.ndarray:
            return np.roll(np.bincount(values, minlength=minlength), 1)

    patch.setattr(mask, "np", Shifted())


def another_scenes_pixels(patch: Patch) -> None:
    """A scene's bands come from another scene of the tile."""
    real = Filling._mosaic
    seen: dict[str, Acquisition] = {}

    def confused(self: Any, one: Acquisition, layer: Any, cells: np.ndarray) -> Any:
        return real(self, seen.setdefault(layer.band, one), layer, cells)

    patch.setattr(Filling, "_mosaic", confused)


MUTATIONS: tuple[Callable[[Patch], None], ...] = (
    half_a_pixel, swapped_bands, doubled_offset, missing_offset, swapped_dates, labels_upside_down, labels_x_for_y,
    pixels_x_for_y, leaked_cell, scl_off_by_one, scl_off_by_one_when_counted, another_scenes_pixels,
)  # fmt: skip


class Remembered(World):
    """A world that works out what it holds once: no fault is in it, so all of them are judged by the same truth."""

    def __init__(self, settings: Simulate) -> None:
        super().__init__(settings)
        self.window, self.scl = cache(self.window), cache(self.scl)


@dataclass(frozen=True)
class Worlds:
    """The files of a landscape and of a watermarked world, and what is in them."""

    plain: Path
    marks: Path
    in_plain: World
    in_marks: World


@pytest.fixture(scope="module")
def worlds(world: Path, watermarks: Path) -> Iterator[Worlds]:
    """Both worlds; while they live, label pixels of the same ground are rasterised slowly but once."""
    known: dict[tuple[Any, ...], np.ndarray] = {}
    slow_labels = truth.slow_labels

    def remembered(features: Any, ontology: Any, row: Any, slack: float = 0.0) -> np.ndarray:
        key = (row["epsg"], row["ulx"], row["uly"], row["size_m"], slack, *[geometry.wkb for *_, geometry in features])
        if key not in known:
            known[key] = slow_labels(features, ontology, row, slack)
        return known[key]

    with Patch.context() as patch:
        patch.setattr(truth, "slow_labels", remembered)
        yield Worlds(world, watermarks, Remembered(WORLD), Remembered(WATERMARKS))


def cases(folder: Path, worlds: Worlds, raw: bool) -> list[tuple[truth.Case, Any]]:
    """A landscape and a watermarked world, each with its checks; `raw`: also the landscape with the offset still in."""
    aoi = write_aoi(folder / "aoi.geojson", (NORTH_BOX[0], 41.985, 12.0, 42.015))
    landscape = config_of(worlds.plain, aoi)
    by_tile = {"by": "tile", "min_tiles": 1}
    watermarked = {**config_of(worlds.marks, aoi), "mask": {"max_bad": 0.25}, "split": by_tile}
    found = [
        (truth.Case(build(landscape, folder / "plain"), landscape, worlds.in_plain), truth.LANDSCAPE_CHECKS),
        (truth.Case(build(watermarked, folder / "marks"), watermarked, worlds.in_marks), truth.WATERMARK_CHECKS),
    ]
    if raw:
        unharmonised = {**landscape, "provider": as_raw(worlds.plain, folder / "raw.json")}
        results = build(unharmonised, folder / "raw", RawReader())
        found.append((truth.Case(results, landscape, worlds.in_plain), truth.LANDSCAPE_CHECKS))
    return found


def as_raw(world: Path, catalog: Path) -> dict[str, Any]:
    """A provider that leaves the offset in, as its baseline 05.00 says; the rule is the baseline's."""
    document = json.loads((world / "catalog.json").read_text())
    for item in document["features"]:
        item["properties"]["s2:processing_baseline"] = "05.00"
        for asset in item["assets"].values():
            asset["href"] = str(world / asset["href"])
    catalog.write_text(json.dumps(document))
    known = yaml.safe_load((ROOT / "config/providers/earth-search.yaml").read_text())["collections"]["s2_l2a"]
    return {"like": "simulated", "path": str(catalog), "collections": {"s2_l2a": {**known, "radiometry": "baseline"}}}


def noticed(found: list[tuple[truth.Case, Any]]) -> list[str]:
    """Names of the checks that fail."""
    failed = []
    for case, checks in found:
        for check in checks:
            try:
                check(case)
            except Exception as error:
                failed.append(f"{case.results.parts[-3]}: {check.__name__} ({str(error).splitlines()[0][:90]})")
    return failed


def test_without_a_fault_every_check_passes(tmp_path: Path, worlds: Worlds):
    assert not noticed(cases(tmp_path, worlds, raw=True))


@pytest.mark.parametrize("fault", MUTATIONS, ids=lambda fault: fault.__name__)
def test_fault_is_noticed(fault, tmp_path: Path, worlds: Worlds, monkeypatch: Patch, record_property):
    with monkeypatch.context() as patch:
        fault(patch)
        try:
            built = cases(tmp_path, worlds, raw=fault is missing_offset)
        except Exception as error:
            pytest.fail(f"the fault broke the build instead of the data: {error!r}")
    checks = noticed(built)
    record_property("noticed", checks)
    assert checks, f"nobody noticed: {fault.__doc__}"
