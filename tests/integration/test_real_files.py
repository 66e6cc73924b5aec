"""The real scenes around Vaduz as files, read apart from the library; and that they hold what the tests are about."""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

BANDS = ("B02", "B03", "B04", "B08")
BAD = (0, 1, 3, 8, 9)
CLOUDY = "S2B_32TNT_20230810_0_L2A"
# The imagery's square in EPSG:32632, metres.
LEFT, TOP, RIGHT, BOTTOM = 534960, 5226000, 543960, 5217000


@dataclass(frozen=True)
class Truth:
    """The scenes' files, read directly."""

    folder: Path

    def __hash__(self) -> int:
        return hash(self.folder)

    @cache  # noqa: B019 (lives as long as the module's fixtures)
    def items(self) -> list[dict[str, Any]]:
        """The STAC items in time order."""
        return sorted(
            json.loads((self.folder / "items.json").read_text())["features"],
            key=lambda item: item["properties"]["datetime"],
        )

    @property
    def scenes(self) -> list[str]:
        return [item["id"] for item in self.items()]

    @cache  # noqa: B019
    def _file(self, scene: str, band: str) -> rasterio.DatasetReader:
        return rasterio.open(self.folder / scene / f"{band}.tif")

    def window(self, scene: str, band: str, ulx: float, uly: float, size_m: int) -> np.ndarray:
        """A square of one file; 0 outside of it."""
        file = self._file(scene, band)
        step = file.transform.a
        column, row = (ulx - file.transform.c) / step, (file.transform.f - uly) / step
        assert column == int(column) and row == int(row), f"{band}: {ulx}, {uly} is not on its pixel grid"
        column, row, side = int(column), int(row), int(size_m // step)
        first, last = max(row, 0), min(row + side, file.height)
        left, right = max(column, 0), min(column + side, file.width)
        pixels = np.zeros((side, side), file.dtypes[0])
        if first < last and left < right:
            held = file.read(1, window=Window(left, first, right - left, last - first))
            pixels[first - row : last - row, left - column : right - column] = held
        return pixels

    def scl(self, scene: str, row: Any) -> np.ndarray:
        return self.window(scene, "SCL", row.ulx, row.uly, row.size_m)


def brute_force(
    truth: Truth, settings: dict[str, Any], period: dict[str, Any], cell: Any, walk: list[str] | None
) -> list[tuple[str, str, str]]:
    """The choice rule with the mask `settings` read literally for one cell: (scene, status, reason) in walking order (`walk` where it is drawn)."""
    mask = {
        "max_nodata": 0.0,
        "denominator": "all",
        "max_cloud": 1.0,
        **settings,
        **period.get("mask", {}),
    }
    scenes, reason, bad, spoiled = [], {}, {}, {}
    for item in truth.items():
        if not str(period["start"]) <= item["properties"]["datetime"][:10] <= str(period["end"]):
            continue
        scenes.append(scene := item["id"])
        classes = truth.scl(scene, cell)
        judged = classes[classes != 0] if mask["denominator"] == "valid" else classes
        bad[scene] = np.isin(judged, BAD).mean() if judged.size else 1.0
        spoiled[scene] = np.isin(classes, [0, *BAD]).mean()  # bad or empty, of all pixels
        cloud = np.isin(judged, (8, 9)).mean() if judged.size else 1.0
        reason[scene] = "cloud" if cloud > mask["max_cloud"] else ""
        if "intensity" in mask and not brightness(truth, scene, cell) <= mask["intensity"]["max_dn"]:
            reason[scene] = "intensity"
        if bad[scene] > mask["max_bad"]:
            reason[scene] = "bad"
        if (classes == 0).mean() > mask["max_nodata"]:
            reason[scene] = "nodata"
    if period.get("order") == "clearest":
        walk = sorted(scenes, key=lambda scene: (spoiled[scene], scenes.index(scene)))
    elif period.get("order") == "latest":
        walk = scenes[::-1]
    assert walk is not None and sorted(walk) == sorted(scenes)
    outcome, used = [], 0
    for scene in walk:  # five scenes of five datatakes: none is in another's way
        status = "refused" if reason[scene] else "used" if used < period["scenes"] else "unneeded"
        used += status == "used"
        outcome.append((scene, status, reason[scene]))
    return outcome


def brightness(truth: Truth, scene: str, cell: Any) -> float:
    """5th percentile (a value that is there, rounded down) of B02 where SCL has data; NaN where it has none."""
    valid = truth.scl(scene, cell).repeat(2, 0).repeat(2, 1) != 0
    ordered = np.sort(truth.window(scene, "B02", cell.ulx, cell.uly, cell.size_m)[valid])
    return float(ordered[math.floor(0.05 * (len(ordered) - 1))]) if len(ordered) else math.nan


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> Truth:
    return Truth(shared_data / "real/vaduz-32TNT")


def test_the_items_hold_the_trap_of_the_double_offset(truth: Truth) -> None:
    assert len(truth.items()) == 5
    for item in truth.items():
        assert item["properties"]["earthsearch:boa_offset_applied"] is True
        assert all(
            item["assets"][name]["raster:bands"][0]["offset"] == -0.1 for name in ("blue", "green", "red", "nir")
        )


def test_one_scene_is_under_cloud(truth: Truth) -> None:
    cloud = {item["id"]: item["properties"]["eo:cloud_cover"] for item in truth.items()}
    assert max(cloud, key=lambda scene: cloud[scene]) == CLOUDY and cloud[CLOUDY] == pytest.approx(70.6, abs=0.1)
    classes = truth.window(CLOUDY, "SCL", LEFT, TOP, RIGHT - LEFT)
    assert np.isin(classes, BAD).mean() == pytest.approx(0.775, abs=0.001)


def test_there_are_dark_pixels_and_pixels_where_scl_has_no_data(truth: Truth) -> None:
    for scene in truth.scenes:
        valid = truth.window(scene, "SCL", LEFT, TOP, RIGHT - LEFT).repeat(2, 0).repeat(2, 1) != 0
        stack = np.stack([truth.window(scene, band, LEFT, TOP, RIGHT - LEFT) for band in BANDS])
        zero = stack == 0
        assert (zero.any(axis=0) & ~zero.all(axis=0) & valid).any() and (stack[:, ~valid] > 0).any()
