"""Which scene serves which cell: a pure function of what the mask counted and of the choice rule."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tilewright.config.bands import CLOUD, NO_DATA, SCL_CLASSES, SHADOW, SNOW
from tilewright.config.choice import Mask, Order
from tilewright.draw import draw

# What a row of selection.parquet can say of a (cell, scene).
USED: Final = "used"
REFUSED: Final = "refused"
UNNEEDED: Final = "unneeded"
MISSING: Final = "missing"  # of a companion: there is none

COUNT_COLUMNS: Final = [f"scl_{value:02}" for value in range(len(SCL_CLASSES))]  # of masks.parquet


@dataclass(frozen=True)
class Candidates:
    """All scenes of a period for all cells of a tile: acquisitions, whose parts serve as one, and what was refused at search.

    Attributes:
        cell_id: (cell,).
        scenes: a row a scene, in time order: scene_id, datetime, datatake, refused.
        count: (cell, scene, 12) SCL pixels of each class.
        brightness: (cell, scene) percentile in DN, NaN where not measured.
        broken: scene_id → why its files cannot serve.
    """

    cell_id: np.ndarray
    scenes: pd.DataFrame
    count: np.ndarray
    brightness: np.ndarray
    broken: dict[str, str]


@dataclass(frozen=True)
class Rule:
    """The choice rule of a period in a tile."""

    tile: str
    period: str
    seed: int
    scenes: int
    order: Order
    limits: Mask


def shares(count: np.ndarray, limits: Mask) -> dict[str, np.ndarray]:
    """Shares of the cell by what was counted.

    Args:
        count: (…, 12) pixels of each SCL class.
        limits: says which classes are bad and which pixels the shares are of.

    Returns:
        nodata (of all pixels, always), bad, cloud, shadow, snow: (…,) in 0…1. Where the denominator is the valid pixels
        and there are none, the others are 1: nothing is known to be good.
    """
    total = count.sum(axis=-1)
    nodata = count[..., NO_DATA]
    valid = limits.denominator == "valid"
    base = total - nodata if valid else total
    bad = [value for value in limits.bad if not (valid and value == NO_DATA)]

    def share(classes: list[int] | tuple[int, ...]) -> np.ndarray:
        part = count[..., list(classes)].sum(axis=-1)
        return np.where(base > 0, part / np.maximum(base, 1), 1.0)

    return {
        "nodata": np.where(total > 0, nodata / np.maximum(total, 1), 1.0),
        "bad": share(bad), "cloud": share(CLOUD), "shadow": share(SHADOW), "snow": share(SNOW),
    }  # fmt: skip


def shuffled_by_month(scenes: pd.DataFrame, rule: Rule) -> np.ndarray:
    """The walk of OpenSentinelMap (§3.2): scenes binned by calendar month, shuffled with the seed.

    Months come in shuffled order and give one scene each in turn, so that cloudless months do not crowd out the others.
    The paper leaves open how the bins are walked; taking turns is our reading. The order is one for a tile, which the
    authors process in one go; it depends on seed, tile, period and the scenes' ids only. Scenes refused at search, such as
    superseded products, take no turn and come last.

    Returns:
        (scene,) positions in `scenes`, in walking order.
    """
    refused = scenes["refused"].to_numpy(object) != ""
    month = pd.to_datetime(scenes["datetime"]).dt.strftime("%Y-%m").to_numpy()
    drawn = np.array([draw(rule.seed, rule.tile, rule.period, scene) for scene in scenes["scene_id"]], dtype=np.uint64)
    months = sorted(set(month), key=lambda name: draw(rule.seed, rule.tile, rule.period, "month", name))
    place = {name: at for at, name in enumerate(months)}
    turn = np.zeros(len(scenes), int)
    for name in months:
        inside = np.flatnonzero((month == name) & ~refused)
        turn[inside[np.argsort(drawn[inside], kind="stable")]] = np.arange(len(inside))
    return np.lexsort((scenes["scene_id"].to_numpy(str), np.array([place[name] for name in month], int), turn, refused))


def walking_order(candidates: Candidates, rule: Rule) -> np.ndarray:
    """(cell, scene): positions of the scenes in the order in which each cell tries them."""
    scenes = candidates.scenes
    cells = len(candidates.cell_id)
    if rule.order == "shuffled_by_month":
        return np.tile(shuffled_by_month(scenes, rule), (cells, 1))
    if rule.order == "latest":
        return np.tile(np.arange(len(scenes))[::-1], (cells, 1))
    # clearest: least bad or empty first, of all pixels: a scene that shows little must not win by showing little cloud.
    # Ties in time order, which is the scenes' own.
    spoiled = candidates.count[..., sorted({NO_DATA, *rule.limits.bad})].sum(axis=-1)
    return np.argsort(spoiled / np.maximum(candidates.count.sum(axis=-1), 1), axis=1, kind="stable")


def refusals(
    candidates: Candidates, rule: Rule, unpaired: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(cell, scene) reasons, "" where the scene is admissible for the cell; and the shares they come from.

    Of several reasons the first in this order is given: the scene's own, broken files, nodata, bad, cloud, shadow,
    snow, intensity, no companion (`unpaired`, see `select`).
    """
    limits = rule.limits
    part = shares(candidates.count, limits)
    reason = np.full(part["bad"].shape, "", dtype=object)

    def refuse(where: np.ndarray, name: str) -> None:
        reason[where & (reason == "")] = name

    for at, scene in enumerate(candidates.scenes.itertuples(index=False)):
        why = scene.refused or candidates.broken.get(scene.scene_id, "")
        if why:
            reason[:, at] = why if scene.refused else f"broken: {why}"
    refuse(part["nodata"] > limits.max_nodata, "nodata")
    refuse(part["bad"] > limits.max_bad, "bad")
    if limits.max_cloud is not None:
        refuse(part["cloud"] > limits.max_cloud, "cloud")
    if limits.max_shadow is not None:
        refuse(part["shadow"] > limits.max_shadow, "shadow")
    if limits.min_snow is not None:
        refuse(part["snow"] < limits.min_snow, "too little snow")
    if limits.max_snow is not None:
        refuse(part["snow"] > limits.max_snow, "snow")
    if limits.intensity is not None:
        refuse(~(candidates.brightness <= limits.intensity.max_dn), "intensity")
    if unpaired is not None:
        np.copyto(reason, unpaired, where=reason == "")
    return reason, part


def select(candidates: Candidates, rule: Rule, unpaired: np.ndarray | None = None) -> pd.DataFrame:
    """Walk each cell's scenes and take the first admissible ones of different datatakes.

    Args:
        unpaired: (cell, scene) text, which companion that must be there is not; "" where none lacks.

    Returns:
        A row for each (cell, scene), by cell and walking order: cell_id, scene_id, rank (place in the walk),
        status (used, refused, unneeded), reason, bad_fraction, nodata_fraction (0…1, NaN where the scene could not be
        counted).
    """
    reason, part = refusals(candidates, rule, unpaired)
    order = walking_order(candidates, rule)
    scene_id = candidates.scenes["scene_id"].to_numpy(object)
    datatake = candidates.scenes["datatake"].to_numpy(object)
    status = np.full(reason.shape, REFUSED, dtype=object)
    rank = np.empty(reason.shape, np.int32)
    for cell, walk in enumerate(order):
        taken: set[str] = set()
        rank[cell, walk] = np.arange(len(walk))
        for at in walk:
            if reason[cell, at]:
                continue
            if len(taken) == rule.scenes:
                status[cell, at] = UNNEEDED
            elif datatake[at] in taken:
                reason[cell, at] = "datatake already used"
            else:
                status[cell, at] = USED
                taken.add(datatake[at])
    counted = candidates.count.sum(axis=-1) > 0
    rows = np.repeat(np.arange(len(order)), order.shape[1])
    columns = order.ravel()
    return pd.DataFrame(
        {
            "cell_id": candidates.cell_id[rows].astype(object),
            "scene_id": scene_id[columns],
            "rank": rank[rows, columns],
            "status": status[rows, columns],
            "reason": reason[rows, columns],
            "bad_fraction": np.where(counted, part["bad"], np.nan)[rows, columns].astype("float32"),
            "nodata_fraction": np.where(counted, part["nodata"], np.nan)[rows, columns].astype("float32"),
        }
    )
