"""Which scene serves which cell: a pure function of what the mask counted and of the choice rule."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from tilewright.config.bands import NO_DATA, SCL_CLASSES, SHADOW, SNOW
from tilewright.config.choice import Mask, Method, Order, Weights
from tilewright.config.spans import Days
from tilewright.draw import draw
from tilewright.spread import assigned, costs, product_days, shown
from tilewright.windows import NO_WINDOW

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
        scenes: a row a scene, in time order: scene_id, datetime, datatake, refused; cloud_cover in percent, NaN where it is not known,
            which matters only where a limit is set.
        count: (cell, scene, 12) SCL pixels of each class.
        brightness: (cell, scene) percentile in DN, NaN where not measured.
        broken: scene_id → why its files cannot serve.
        window: (cell, scene) number of the window that the scene is of, 0 the first (`windows_of`); None where all are of one.
    """

    cell_id: np.ndarray
    scenes: pd.DataFrame
    count: np.ndarray
    brightness: np.ndarray
    broken: dict[str, str]
    window: np.ndarray | None = None


@dataclass(frozen=True)
class Spread:
    """How products are chosen for a tile, with `order: spread`: over which days, by what."""

    window: Days
    weights: Weights
    method: Method


@dataclass(frozen=True)
class Rule:
    """The choice rule of a period in a tile; `spread` with that order."""

    tile: str
    period: str
    seed: int
    scenes: int
    order: Order
    limits: Mask
    spread: Spread | None = None


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

    def share(classes: list[int] | tuple[int, ...]) -> np.ndarray:
        part = count[..., [value for value in classes if not (valid and value == NO_DATA)]].sum(axis=-1)
        return np.where(base > 0, part / np.maximum(base, 1), 1.0)

    return {
        "nodata": np.where(total > 0, nodata / np.maximum(total, 1), 1.0),
        "bad": share(limits.bad), "cloud": share(limits.cloud), "shadow": share(SHADOW), "snow": share(SNOW),
    }  # fmt: skip


def scene_cloud(scenes: pd.DataFrame, most: float | None, exclusive: bool) -> list[str]:
    """(scene,) why a scene's own cloud cover, as the catalog says, refuses it; "" where it does not.

    Args:
        scenes: cloud_cover in percent, NaN where it is not known.
        most: largest share, 0…1; None: no limit.
        exclusive: whether the limit itself is refused.
    """
    if most is None:
        return [""] * len(scenes)
    share = scenes["cloud_cover"].to_numpy(float) / 100
    over = share >= most if exclusive else share > most
    return np.where(np.isnan(share), "scene cloud unknown", np.where(over, "scene cloud", "")).tolist()


def shuffled_by_month(scenes: pd.DataFrame, rule: Rule, window: np.ndarray | None = None) -> np.ndarray:
    """The walk of OpenSentinelMap (§3.2): scenes binned by calendar month, shuffled with the seed.

    Months come in shuffled order and give one scene each in turn, so that cloudless months do not crowd out the others.
    The paper leaves open how the bins are walked; taking turns is our reading. The order is one for a tile, which the
    authors process in one go; it depends on seed, tile, period and the scenes' ids only. Scenes refused at search, such as
    superseded products, take no turn and come last, as do those of no window.

    Args:
        window: (scene,) number of the window that each scene is of: each is walked by itself, one after the other.

    Returns:
        (scene,) positions in `scenes`, in walking order.
    """
    window = np.zeros(len(scenes), int) if window is None else window
    refused = (scenes["refused"].to_numpy(object) != "") | (window < 0)
    month = pd.to_datetime(scenes["datetime"]).dt.strftime("%Y-%m").to_numpy()
    drawn = np.array([draw(rule.seed, rule.tile, rule.period, scene) for scene in scenes["scene_id"]], dtype=np.uint64)
    months = sorted(set(month), key=lambda name: draw(rule.seed, rule.tile, rule.period, "month", name))
    place = {name: at for at, name in enumerate(months)}
    turn = np.zeros(len(scenes), int)
    for number in np.unique(window):
        for name in months:
            inside = np.flatnonzero((month == name) & (window == number) & ~refused)
            turn[inside[np.argsort(drawn[inside], kind="stable")]] = np.arange(len(inside))
    places = np.array([place[name] for name in month], int)
    return np.lexsort((scenes["scene_id"].to_numpy(str), places, turn, window, refused))


def walking_order(candidates: Candidates, rule: Rule, taken: np.ndarray | None = None) -> np.ndarray:
    """(cell, scene): positions of the scenes in the order in which each cell tries them.

    Scenes of a later window come after all of the earlier ones, those of no window last.

    Args:
        taken: (scene,) whether the tile takes the product; with order spread.
    """
    window = candidates.window
    if rule.order == "shuffled_by_month" and window is not None:
        kinds, of = np.unique(window, axis=0, return_inverse=True)
        walks = [shuffled_by_month(candidates.scenes, rule, kind) for kind in kinds]
        return np.array(walks, int).reshape(len(kinds), -1)[of.ravel()]
    order = _within_windows(candidates, rule, taken)
    if window is None:
        return order
    late = np.where(window < 0, np.iinfo(window.dtype).max, window)
    last = np.argsort(np.take_along_axis(late, order, axis=1), axis=1, kind="stable")
    return np.take_along_axis(order, last, axis=1)


def _within_windows(candidates: Candidates, rule: Rule, taken: np.ndarray | None) -> np.ndarray:
    """The same, as if all scenes were of one window."""
    scenes = candidates.scenes
    cells = len(candidates.cell_id)
    if rule.order == "shuffled_by_month":
        return np.tile(shuffled_by_month(scenes, rule), (cells, 1))
    if rule.order == "latest":
        return np.tile(np.arange(len(scenes))[::-1], (cells, 1))
    if taken is not None:  # those that are taken, then the others, both in time order
        return np.tile(np.argsort(~taken, kind="stable"), (cells, 1))
    # clearest: least bad or empty first, of all pixels: a scene that shows little must not win by showing little cloud.
    # Ties in time order, which is the scenes' own.
    spoiled = candidates.count[..., sorted({NO_DATA, *rule.limits.bad})].sum(axis=-1)
    return np.argsort(spoiled / np.maximum(candidates.count.sum(axis=-1), 1), axis=1, kind="stable")


def refusals(
    candidates: Candidates, rule: Rule, unpaired: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(cell, scene) reasons, "" where the scene is admissible for the cell; and the shares they come from.

    Of several reasons the first in this order is given: the scene's own, outside the cell's window, broken files, the scene's
    cloud cover, nodata, bad, cloud, shadow, snow, intensity, no companion (`unpaired`, see `select`).
    """
    limits = rule.limits
    part = shares(candidates.count, limits)
    reason = np.full(part["bad"].shape, "", dtype=object)

    def refuse(where: np.ndarray, name: str) -> None:
        reason[where & (reason == "")] = name

    over = np.greater_equal if limits.exclusive else np.greater
    window = np.zeros(reason.shape, int) if candidates.window is None else candidates.window
    cloudy = scene_cloud(candidates.scenes, limits.max_scene_cloud, limits.exclusive)
    for at, scene in enumerate(candidates.scenes.itertuples(index=False)):
        broken = candidates.broken.get(scene.scene_id)
        reason[:, at] = scene.refused or (f"broken: {broken}" if broken else cloudy[at])
        if not scene.refused:
            for number, why in NO_WINDOW.items():
                reason[window[:, at] == number, at] = why
    refuse(part["nodata"] > limits.max_nodata, "nodata")
    refuse(part["bad"] > limits.max_bad, "bad")
    if limits.max_cloud is not None:
        refuse(over(part["cloud"], limits.max_cloud), "cloud")
    if limits.max_shadow is not None:
        refuse(over(part["shadow"], limits.max_shadow), "shadow")
    if limits.min_snow is not None:
        refuse(part["snow"] < limits.min_snow, "too little snow")
    if limits.max_snow is not None:
        refuse(over(part["snow"], limits.max_snow), "snow")
    if limits.intensity is not None:
        refuse(~(candidates.brightness <= limits.intensity.max_dn), "intensity")
    if unpaired is not None:
        np.copyto(reason, unpaired, where=reason == "")
    return reason, part


def products(candidates: Candidates, rule: Rule, spread: Spread, reason: np.ndarray) -> np.ndarray:
    """(scene,) whether the tile takes each product: at most `rule.scenes`, chosen once for all cells (`tilewright.spread`).

    Only of products that serve a cell: one that all cells refuse would leave a gap in time that another could fill.

    Args:
        reason: (cell, scene) why a scene cannot serve a cell, "" where it can.
    """
    serving = np.flatnonzero((reason == "").any(axis=0))
    days = product_days(candidates.scenes["datetime"].to_numpy()[serving])
    parts = shown(candidates.count[:, serving], rule.limits.cloud)
    target = assigned(costs(days, parts, spread.window, rule.scenes, spread.weights), spread.method)
    taken = np.zeros(len(candidates.scenes), bool)
    taken[serving[target >= 0]] = True
    return taken


def select(candidates: Candidates, rule: Rule, unpaired: np.ndarray | None = None) -> pd.DataFrame:
    """Walk each cell's scenes and take the first admissible ones of different datatakes.

    With order spread a cell takes all of the tile's products that are admissible for it.

    Args:
        unpaired: (cell, scene) text, which companion that must be there is not; "" where none lacks.

    Returns:
        A row for each (cell, scene), by cell and walking order: cell_id, scene_id, rank (place in the walk),
        status (used, refused, unneeded), reason, bad_fraction, nodata_fraction (0…1, NaN where the scene could not be
        counted).
    """
    reason, part = refusals(candidates, rule, unpaired)
    taken = None if rule.spread is None else products(candidates, rule, rule.spread, reason)
    order = walking_order(candidates, rule, taken)
    scene_id = candidates.scenes["scene_id"].to_numpy(object)
    datatake = candidates.scenes["datatake"].to_numpy(object)
    status = np.full(reason.shape, REFUSED, dtype=object)
    rank = np.empty(reason.shape, np.int32)
    for cell, walk in enumerate(order):
        has: set[str] = set()
        rank[cell, walk] = np.arange(len(walk))
        for at in walk:
            if reason[cell, at]:
                continue
            if len(has) == rule.scenes or (taken is not None and not taken[at]):
                status[cell, at] = UNNEEDED
            elif datatake[at] in has:
                reason[cell, at] = "datatake already used"
            else:
                status[cell, at] = USED
                has.add(datatake[at])
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
