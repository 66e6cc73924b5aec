"""What the stores of Level-1C and Sentinel-1 must say, worked out apart from the library: from the generator alone.

As in `truth`, each check takes a finished dataset and raises AssertionError with what is wrong.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from tilewright.simulate import RadarScene, World, decode_watermark
from truth import Case

PIXEL_M = 10
_LEAST_GAIN = 2500.0  # below every entry of the simulated calibration tables: what a step of DN is worth
_BLOCK = 32  # pixels: a shift is looked for in blocks of this side, since the relief's is another everywhere


def _wide(missing: np.ndarray) -> np.ndarray:
    """Marked pixels and all within two of them."""
    grown = np.pad(missing, 2)
    return np.logical_or.reduce(
        [grown[i : i + missing.shape[0], j : j + missing.shape[1]] for i in range(5) for j in range(5)]
    )


def truth_db(
    world: World, scene_id: str, band: str, ulx: float, uly: float, shape: tuple[int, int], epsg: int
) -> np.ndarray:
    """Backscatter in dB at the centres of a window of 10 m pixels: (rows, columns), NaN where the datatake has no data."""
    east = ulx + PIXEL_M * (np.arange(shape[1]) + 0.5)
    north = uly - PIXEL_M * (np.arange(shape[0]) + 0.5)
    x, y = np.meshgrid(east, north)
    return 10 * np.log10(world.radar.backscatter(scene_id, "VV" if band == "VV" else "VH", x, y, epsg))


def shifts(stored: np.ndarray, truth: np.ndarray) -> list[tuple[float, float]]:
    """By how many pixels (x, y) blocks of `stored` lie off `truth` (both dB): least squares on the truth's slopes."""
    down, right = np.gradient(truth)
    found = []
    for top in range(0, truth.shape[0] - _BLOCK + 1, _BLOCK):
        for left in range(0, truth.shape[1] - _BLOCK + 1, _BLOCK):
            part = np.s_[top : top + _BLOCK, left : left + _BLOCK]
            known = np.isfinite(stored[part] + down[part] + right[part])
            if known.mean() < 0.5:
                continue
            slopes = np.column_stack([right[part][known], down[part][known]])
            answer = np.linalg.lstsq(slopes, (truth - stored)[part][known], rcond=None)[0]
            found.append((float(answer[0]), float(answer[1])))
    return found


def check_backscatter(stored: np.ndarray, truth: np.ndarray, ellipsoid: bool, what: str) -> None:
    """Stored dB are the truth's: no data where it has none, at most half a pixel off its place, and its level.

    Args:
        stored: (rows, columns) dB, NaN for no data.
        truth: the same pixels by the generator.
        ellipsoid: DN of radar geometry calibrated and warped (sigma0), or read from its own grid (gamma0).
        what: named in errors.
    """
    known = np.isfinite(stored)
    edge = _wide(np.isnan(truth))
    assert (known | edge).all(), f"{what}: {(~known & ~edge).sum()} pixels are missing where the generator has data"
    sure = ~_wide(~np.isnan(truth))
    assert not (known & sure).any(), f"{what}: {(known & sure).sum()} pixels are there where the generator has none"
    off = shifts(np.where(edge, np.nan, stored), truth)
    worst = max((math.hypot(*each) for each in off), default=0.0)
    assert worst < 0.5, f"{what}: up to {worst:.2f} pixels off its place"
    inner = known & ~edge
    error = np.abs(stored - truth)[inner]
    down, right = np.gradient(np.where(np.isnan(truth), 0.0, truth))
    # Along the slope: half a pixel, or three quarters and a little where a slice's last pixel serves beyond its centre. Then the
    # curve between two pixels that are averaged, and what rounding the file took away.
    rounding = 20 * np.log10(1 + 0.5 / (_LEAST_GAIN * np.power(10.0, truth / 20))) if ellipsoid else 0.003
    allowed = (0.85 * np.hypot(down, right) + 0.04 + rounding)[inner]
    assert (error <= allowed).all(), (
        f"{what}: off by up to {(error - allowed).max():.3f} dB more than interpolation explains"
    )
    if len(error):
        assert np.median(error) < 0.05, f"{what}: off by {np.median(error):.3f} dB on the whole"


def _dates(tree: Any, collection: str) -> list[tuple[int, str, tuple[str, str]]]:
    """(place, scene id, (period, id of the primary's scene)) of what a cell's series of a companion holds."""
    if collection not in tree.children:
        return []
    node = tree[collection]
    ids, periods, pairs = (node[name].values for name in ("scene_id", "period", "pair_of"))
    return [(at, str(ids[at]), (str(periods[at]), str(pairs[at]))) for at in range(len(ids)) if str(ids[at])]


def _primaries(tree: Any) -> list[tuple[str, str]]:
    """(period, scene id) of a cell's Level-2A dates."""
    node = tree["s2_l2a"]
    return [(str(a), str(b)) for a, b in zip(node["period"].values, node["scene_id"].values, strict=True)]


def check_l1c(case: Case) -> None:
    """Every Level-2A date of a cell has the Level-1C of its own datatake, whose pixels are the generator's (or its marks)."""
    seen = 0
    for row, tree in case.cells():
        found = _dates(tree, "s2_l1c")
        assert sorted(pair for *_, pair in found) == sorted(_primaries(tree)), (
            f"{row['cell_id']}: Level-1C is paired with {found}"
        )
        for at, scene_id, (_, pair) in found:
            scene = case.world.scene(scene_id)
            assert scene_id.endswith("_L1C") and scene is case.world.scene(pair), (
                f"{row['cell_id']}: {scene_id} for {pair}"
            )
            for name, group in tree["s2_l1c"].children.items():
                step = int(name.removeprefix("r").removesuffix("m"))
                side = row["size_m"] // step
                for b, band in enumerate(group["band"].values):
                    pixels = group["reflectance"].values[at, b]
                    what = f"{row['cell_id']} {scene_id} {band}"
                    if case.world.settings.watermark:
                        mark = decode_watermark(pixels)
                        place = (int((scene.uly - row["uly"]) / step), int((row["ulx"] - scene.ulx) / step))
                        claimed = (scene.number, str(band), *place, "L1C")
                        told = (mark.scene, mark.band, mark.row, mark.column, mark.level)
                        assert told == claimed, f"{what}: pixels say {told}, the store says {claimed}"
                    truth = case.world.l1c_window(scene_id, str(band), row["ulx"], row["uly"], side, side)
                    wrong = int((pixels != truth).sum())
                    assert not wrong, f"{what}: {wrong} of {truth.size} pixels differ"
                    seen += 1
    assert seen, "no Level-1C"


def nearest(case: Case, collection: str, row: pd.Series, primary: str) -> list[RadarScene | None]:
    """The datatakes that may serve a cell for a scene, by their first slices: the nearest in time that covers it.

    One whose data ends within three pixels of the cell's edge may be taken or not; then the next is an answer, too.
    """
    pair = {"nearest_days": 3, "orbit": None, **case.config["collections"][collection].get("pair", {})}
    assert not pair.get("max_nodata"), "the truth is worked out for cells without missing pixels"
    time = case.world.scene(primary).datetime
    side, rim = row["size_m"] // PIXEL_M + 6, 3 * PIXEL_M
    found: list[RadarScene | None] = []
    for scene in sorted(
        case.world.radar.scenes(), key=lambda each: (abs(each.datetime - time), each.datetime, each.id)
    ):
        days = abs((scene.datetime - time).total_seconds()) / 86_400
        if scene.slice_number > 1 or days > pair["nearest_days"] or pair["orbit"] not in (None, scene.direction):
            continue
        around = truth_db(
            case.world, scene.id, "VV", row["ulx"] - rim, row["uly"] + rim, (side, side), int(row["epsg"])
        )
        if np.isfinite(around[6:-6, 6:-6]).all():
            found.append(scene)
        if np.isfinite(around).all():
            return found
    return [*found, None]


def check_radar(case: Case) -> None:
    """Radar stores: the nearest datatake in its window and orbit for each Level-2A date, in its place, with its level."""
    kept = [name for name in ("s1_grd", "s1_rtc") if name in case.config["collections"]]
    seen = 0
    for row, tree in case.cells():
        side = row["size_m"] // PIXEL_M
        for collection in kept:
            found = {pair: (at, scene_id) for at, scene_id, pair in _dates(tree, collection)}
            for period, primary in _primaries(tree):
                told = found.pop((period, primary), None)
                wanted = nearest(case, collection, row, primary)
                where = f"{row['cell_id']} {collection} for {primary}"
                rule = [None if each is None else each.id for each in wanted]
                if told is None:
                    assert None in wanted, f"{where}: has none, the rule gives {rule[0]}"
                    continue
                (at, scene_id), node = told, tree[collection]
                scene = case.world.radar.scene(scene_id)
                takes = [(each.platform, each.datatake) for each in wanted if each is not None]
                assert (scene.platform, scene.datatake) in takes, f"{where}: has {scene_id}, the rule gives {rule}"
                assert scene_id.endswith("_rtc") == (collection == "s1_rtc"), f"{where}: has {scene_id}"
                state = str(node["orbit_state"].values[at])
                assert state == scene.direction, f"{where}: orbit_state says {state}, it is {scene.direction}"
                for b, band in enumerate(node["r10m"]["band"].values):
                    stored = node["r10m"]["backscatter"].values[at, b]
                    place = (row["ulx"], row["uly"], (side, side), int(row["epsg"]))
                    truth = truth_db(case.world, scene_id, str(band), *place)
                    check_backscatter(stored, truth, collection == "s1_grd", f"{where}: {scene_id} {band}")
                    seen += 1
            assert not found, f"{row['cell_id']} {collection}: holds {found}, which no Level-2A date is paired with"
    assert seen, "no radar"
