"""What a dataset of the simulated world must say, worked out apart from the library: from the generator and from words.

Each check takes a finished dataset's folder and raises AssertionError with what is wrong. The mutation tests plant
faults and see which checks notice.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import shapely
import yaml

import tilewright
from tilewright.simulate import World, decode_watermark
from tilewright.store import table_metadata

RESOLUTION = {"B01": 60, "B09": 60, "SCL": 20} | dict.fromkeys(["B02", "B03", "B04", "B08"], 10)
RESOLUTION |= dict.fromkeys(["B05", "B06", "B07", "B8A", "B11", "B12"], 20)
ONTOLOGY = Path(__file__).resolve().parents[1] / "config/ontologies/opensentinelmap.yaml"


@dataclass(frozen=True)
class Case:
    """A finished dataset and the world that it was made of."""

    results: Path
    config: dict[str, Any]
    world: World

    def dataset(self) -> Any:
        return tilewright.open(self.results)

    def cells(self) -> list[tuple[pd.Series, Any]]:
        """(index row, tree) of every cell with imagery."""
        dataset = self.dataset()
        return [(row, dataset[row["cell_id"]]) for _, row in dataset.index.iterrows() if row["dates"] > 0]


def imagery(tree: Any) -> list[tuple[int, str, str, np.ndarray, int]]:
    """(date, scene id, band, pixels, resolution) of everything in a cell's series; SCL as a band."""
    found = []
    scenes = [str(each) for each in tree["s2_l2a"]["scene_id"].values]
    for name, node in tree["s2_l2a"].children.items():
        if name == "scl":
            found += [(at, scene, "SCL", node["scl"].values[at], 20) for at, scene in enumerate(scenes)]
            continue
        step = int(name.removeprefix("r").removesuffix("m"))
        pixels = node["reflectance"].values
        for at, scene in enumerate(scenes):
            found += [(at, scene, str(band), pixels[at, b], step) for b, band in enumerate(node["band"].values)]
    return found


def check_watermarks(case: Case) -> None:
    """Every patch decodes to the scene, band and place that its coordinates claim."""
    seen = 0
    for row, tree in case.cells():
        for _, scene_id, band, pixels, step in imagery(tree):
            if band == "SCL":
                continue
            scene = case.world.scene(scene_id)
            mark = decode_watermark(pixels)
            claimed = (
                scene.number,
                band,
                int((scene.uly - row["uly"]) / step),
                int((row["ulx"] - scene.ulx) / step),
                "L2A",
            )
            told = (mark.scene, mark.band, mark.row, mark.column, mark.level)
            assert told == claimed, f"{row['cell_id']} {scene_id} {band}: pixels say {told}, the store says {claimed}"
            seen += 1
    assert seen


def check_reflectance(case: Case) -> None:
    """Reflectance equals the generator's within 1 DN."""
    for row, tree in case.cells():
        for _, scene, band, pixels, step in imagery(tree):
            if band != "SCL":
                side = row["size_m"] // step
                truth = case.world.window(scene, band, row["ulx"], row["uly"], side, side)
                worst = np.abs(pixels.astype(int) - truth).max()
                assert worst <= 1, f"{row['cell_id']} {scene} {band}: off by up to {worst} DN"


def check_scl(case: Case) -> None:
    """SCL patches and their counts equal the generator's."""
    for row, tree in case.cells():
        side = row["size_m"] // 20
        for at, scene, band, pixels, _ in imagery(tree):
            if band == "SCL":
                truth = case.world.scl(scene, row["ulx"], row["uly"], side, side)
                assert (pixels == truth).all(), f"{row['cell_id']} {scene}: SCL differs"
                counted = tree["s2_l2a"]["scl_count"].values[at]
                assert (counted == np.bincount(truth.ravel(), minlength=12)).all(), (
                    f"{row['cell_id']} {scene}: counts differ"
                )


def check_dates(case: Case) -> None:
    """Times are the scenes' own, in order, inside their periods."""
    periods = {each["name"]: each for each in case.config["periods"]}
    for row, tree in case.cells():
        time = tree["s2_l2a"]["time"].values
        assert (np.diff(time) >= np.timedelta64(0)).all(), f"{row['cell_id']}: times out of order"
        for at, scene in enumerate(tree["s2_l2a"]["scene_id"].values):
            own = np.datetime64(case.world.scene(str(scene)).datetime.replace(tzinfo=None), "us")
            assert time[at] == own, f"{row['cell_id']} {scene}: time {time[at]} is not the scene's {own}"
            period = periods[str(tree["s2_l2a"]["period"].values[at])]
            assert (
                np.datetime64(str(period["start"])) <= own < np.datetime64(str(period["end"])) + np.timedelta64(1, "D")
            )


def check_selection(case: Case) -> None:
    """Each cell has the scenes that its period's rule gives when all is counted from the generator's pixels."""
    mask = {"bad": [0, 1, 3, 8, 9], "max_bad": 0.25, "max_nodata": 0.0, **case.config["mask"]}
    by_cell = {row["cell_id"]: (row, tree) for row, tree in case.cells()}
    dataset = case.dataset()
    for _, row in dataset.index.iterrows():
        for period in case.config["periods"]:
            found = []
            if row["cell_id"] in by_cell:
                node = by_cell[row["cell_id"]][1]["s2_l2a"]
                of_period = np.array([str(each) == period["name"] for each in node["period"].values])
                found = sorted(case.world.scene(str(each)).id for each in node["scene_id"].values[of_period])
            wanted = sorted(brute_force_choice(case, row, period, mask))
            assert found == wanted, f"{row['cell_id']} in {period['name']}: has {found}, the rule gives {wanted}"


def brute_force_choice(case: Case, row: pd.Series, period: dict[str, Any], mask: dict[str, Any]) -> list[str]:
    """The rule read literally for one cell; for the shuffled order the selection's own walk is replayed.

    Scenes are named by their ids in `World.scenes()`, whichever of their items serves. That the pixels of one with a
    doubtful offset did not tell is taken from the selection, but only where the world has such scenes.
    """
    chosen = pd.read_parquet(case.results / "tiles" / row["tile"] / period["name"] / "selection.parquet")
    if "collection" in chosen:
        chosen = chosen[chosen["collection"] == "s2_l2a"]
    reason = chosen["reason"].fillna("").astype(str)
    unresolved, superseded = reason.str.contains("offset unresolved"), reason.str.contains("superseded by")
    doubted = {case.world.scene(name).id for name in chosen["scene_id"][unresolved]}
    chosen = chosen[~unresolved & ~superseded]
    doubted -= {case.world.scene(name).id for name in chosen["scene_id"].unique()}
    doubtful = {product.scene.id for product in case.world.products() if product.level == "L2A" and not product.flagged}
    assert doubted <= doubtful, f"{doubted - doubtful} are refused for offsets that are plain"
    start, end = (pd.Timestamp(str(period[key])) for key in ("start", "end"))
    scenes = [
        scene for scene in case.world.scenes()
        if scene.id not in doubted and scene.tile == row["tile"] and start <= pd.Timestamp(scene.datetime.replace(tzinfo=None)) < end + pd.Timedelta(days=1)
    ]  # fmt: skip
    side = row["size_m"] // 20
    good = {}
    for scene in scenes:
        classes = case.world.scl(scene.id, row["ulx"], row["uly"], side, side)
        bad = np.isin(classes, mask["bad"]).mean()
        if (classes == 0).mean() > mask["max_nodata"] or bad > mask["max_bad"]:
            continue
        intensity = mask.get("intensity")
        if intensity:
            step = RESOLUTION[intensity["band"]]
            pixels = case.world.window(
                scene.id, intensity["band"], row["ulx"], row["uly"], row["size_m"] // step, row["size_m"] // step
            )
            ordered = np.sort(pixels[(classes != 0).repeat(20 // step, 0).repeat(20 // step, 1)])
            if ordered[math.floor(intensity["percentile"] / 100 * (len(ordered) - 1))] > intensity["max_dn"]:
                continue
        good[scene.id] = (bad, scene.datetime)
    if period.get("order") == "clearest":
        return sorted(good, key=lambda name: good[name])[: period["scenes"]]
    walk = [
        case.world.scene(name).id
        for name in chosen[chosen["cell_id"] == row["cell_id"]].sort_values("rank")["scene_id"]
    ]
    return [scene for scene in walk if scene in good][: period["scenes"]]


def check_labels(case: Case, most: int = 6) -> None:
    """Labels equal a slow rasterisation of the generating shapes, on the `most` cells with the most features."""
    ontology = yaml.safe_load(ONTOLOGY.read_text())
    dataset = case.dataset()
    features = [(feature.tags, feature.kind, feature.geometry) for feature in case.world.features()]
    tree = shapely.STRtree([geometry for *_, geometry in features])
    crowd = {row["cell_id"]: len(tree.query(row["geometry"])) for _, row in dataset.index.iterrows()}
    for cell in sorted(crowd, key=lambda name: (-crowd[name], name))[:most]:
        row = dataset.index.loc[cell]
        near = [features[at] for at in sorted(tree.query(row["geometry"].buffer(0.002)))]
        labels = dataset[cell]["labels/osm"]["labels"].values
        # GDAL takes a pixel as touched up to a hundredth of a pixel away: where only that decides, either is right
        wrong = labels != slow_labels(near, ontology, row)
        if wrong.any():
            for slack in (-0.1, 0.1):
                wrong &= labels != slow_labels(near, ontology, row, slack)
        assert not wrong.any(), f"{cell}: {wrong.sum()} label pixels differ from the slow rasterisation"


def slow_labels(
    features: list[tuple[dict[str, str], str, Any]], ontology: dict[str, Any], row: pd.Series, slack: float = 0.0
) -> np.ndarray:
    """(channel, y, x) by the ontology's words: point in polygon, square (larger by `slack` metres) meets line, shifted disks."""
    pad, step = 6, 10
    wide = row["size_m"] // step + 2 * pad
    x = row["ulx"] + (np.arange(wide) - pad + 0.5) * step
    y = row["uly"] - (np.arange(wide) - pad + 0.5) * step
    xx, yy = np.meshgrid(x, y)
    half = 5 + slack
    squares = shapely.box(xx - half, yy - half, xx + half, yy + half)
    to_utm = pyproj.Transformer.from_crs(4326, int(row["epsg"]), always_xy=True)
    channels = [each["name"] for each in ontology["channels"]]
    labels, rank = np.full((len(channels), wide, wide), 255), np.full((len(channels), wide, wide), -1)
    evidence: dict[tuple[str, str], np.ndarray] = {}
    doubtful = {name: np.zeros((wide, wide), bool) for name in channels}
    none = {name: np.zeros((wide, wide), bool) for name in channels}
    for tags, kind, lonlat in features:
        geometry = shapely.transform(lonlat, lambda xy: np.column_stack(to_utm.transform(xy[:, 0], xy[:, 1])))
        inside = shapely.contains_xy(geometry, xx, yy) if kind == "area" else None
        met = None
        for category in ontology["categories"]:
            at = channels.index(category["channel"])
            for rule in category["rules"]:
                if kind not in rule.get("kinds", ["area"]) or not fits(tags, rule):
                    continue
                if kind == "area" and category.get("burn", "centre") == "centre":
                    burned = inside
                else:
                    met = shapely.intersects(squares, geometry) if met is None else met
                    burned = met
                burned = disk(burned, rule.get("dilate_m", 0) / step)
                wins = burned & (rank[at] < category["precedence"])
                labels[at][wins], rank[at][wins] = category["value"], category["precedence"]
                implied = rule.get("implies_none", category.get("implies_none", []))
                for name in set(category.get("implies_none", [])) - set(implied):
                    doubtful[name] |= burned
                for name in implied if kind == "area" else []:
                    key = (category["name"], name)
                    evidence[key] = evidence.get(key, np.zeros((wide, wide), bool)) | inside
        for channel in ontology["channels"]:
            if kind == "area" and any(fits(tags, rule) for rule in channel.get("none", [])):
                none[channel["name"]] |= inside
    value = {each["name"]: each["value"] for each in ontology["categories"]}
    home = {each["name"]: channels.index(each["channel"]) for each in ontology["categories"]}
    for at, channel in enumerate(ontology["channels"]):
        known = np.zeros((wide, wide), bool)
        implying = [each for each in ontology["categories"] if implies(each, channel["name"])]
        for category in implying:
            own = home[category["name"]]
            agreeing = [value[each["name"]] for each in implying if home[each["name"]] == own]
            shown = evidence.get((category["name"], channel["name"]), np.zeros((wide, wide), bool))
            known |= shown & np.isin(labels[own], agreeing)
        known &= ~doubtful[channel["name"]]
        whole = known.copy()
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                whole &= np.roll(known, (down, right), (0, 1))
        near = disk(labels[at] < 254, channel.get("guard_m", 10) / step)
        labels[at][(labels[at] == 255) & (none[channel["name"]] | whole) & ~near] = 254
    return labels[:, pad:-pad, pad:-pad]


def implies(category: dict[str, Any], channel: str) -> bool:
    """Whether a category, or a rule of it, says that the channel has nothing where it is."""
    return any(channel in rule.get("implies_none", category.get("implies_none", [])) for rule in category["rules"])


def fits(tags: dict[str, str], rule: dict[str, Any]) -> bool:
    """Whether any of a rule's tags is there and none of those that it excludes."""
    if any(tags.get(key) in values for key, values in rule.get("exclude", {}).items()):
        return False
    return any(
        key in tags and (tags[key] in values or ("*" in values and tags[key] != "no"))
        for key, values in rule["tags"].items()
    )


def disk(mask: np.ndarray, radius: float) -> np.ndarray:
    """Pixels whose centre is within `radius` pixels of a marked one's."""
    grown = mask.copy()
    reach = int(radius)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down * down + right * right <= radius * radius + 1e-9:
                grown |= np.roll(mask, (down, right), (0, 1))
    return grown


def check_splits(case: Case) -> None:
    """No ground is in two splits: cells do not overlap, and no tile or block is cut."""
    rows = case.dataset().index
    made = table_metadata(case.results / "index.parquet")["split"]
    if made["by"] == "tile":
        unit = [rows["tile"]]
    else:
        step = made["block_m"] // int(rows["size_m"].iloc[0])
        unit = [rows["epsg"], rows["col"] // step, rows["row"] // step]
        assert set(rows["split"]) == {"train", "val", "test"}, "a split is empty"
    cut = int((rows.groupby(unit)["split"].nunique() > 1).sum())
    assert not cut, f"{cut} {made['by']}s of ground are in two splits"


LANDSCAPE_CHECKS: tuple[Callable[[Case], None], ...] = (
    check_reflectance, check_scl, check_dates, check_selection, check_labels, check_splits,
)  # fmt: skip
WATERMARK_CHECKS: tuple[Callable[[Case], None], ...] = (check_watermarks, check_dates, check_splits)
