"""Which products a tile takes in a period: evenly spread in time, clear, and of much of the ground (DeepSatData, section 3).

Targets are days spread evenly over the period; each target gets one product. The cost of a product at a target is a weighted sum
of parts that are 0 for the best:

    spread    |days from the target| / days between two targets (where there is one target: half the period)
    cloud     pixels of cloud / pixels with data, of all cells
    overlap   cells that the product shows nothing of / all cells
    nodata    pixels without data / all pixels, of the cells that it shows anything of

`optimal` takes the assignment with the least sum over all targets, `greedy` does as the authors' code: target by target, the
product left that costs least there. Theirs weighs the days alone, as its weight of cloud is 0.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from tilewright.config.bands import NO_DATA
from tilewright.config.choice import Method, Weights
from tilewright.config.spans import Days


def target_days(window: Days, number: int) -> tuple[np.ndarray, float]:
    """The targets, (target,) days since 1970: from the first day to the last, in even steps; a single one is in the middle.

    Also how many days are between two of them; of a single one half the period. At least one, so that a period of one day
    divides nothing by 0.
    """
    first, last = (np.datetime64(day).astype("datetime64[D]").astype(float) for day in window)
    if number == 1:
        return np.array([(first + last) / 2]), max((last - first) / 2, 1.0)
    return np.linspace(first, last, number), max((last - first) / (number - 1), 1.0)


def product_days(times: Sequence[datetime] | np.ndarray) -> np.ndarray:
    """(product,) days since 1970, UTC: whole days, as the targets are."""
    return np.asarray(times, "datetime64[us]").astype("datetime64[D]").astype(float)


def shown(count: np.ndarray, cloud: Sequence[int]) -> dict[str, np.ndarray]:
    """What each product shows of a tile's cells: (product,) parts of the cost, from 0 to 1, that time does not decide.

    Args:
        count: (cell, product, 12) SCL pixels of each class.
        cloud: classes that count as cloud.
    """
    total, empty = count.sum(axis=-1), count[..., NO_DATA]
    met = total > empty  # (cell, product)
    filled = (total - empty).sum(axis=0)
    classes = [value for value in cloud if value != NO_DATA]
    cloudy = count[..., classes].sum(axis=(0, -1))

    def share(part: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.where(of > 0, part / np.maximum(of, 1), 1.0)

    return {
        "cloud": share(cloudy, filled),
        "overlap": 1.0 - met.sum(axis=0) / max(len(count), 1),
        "nodata": share((empty * met).sum(axis=0), (total * met).sum(axis=0)),
    }


def costs(days: np.ndarray, parts: dict[str, np.ndarray], window: Days, number: int, weights: Weights) -> np.ndarray:
    """(product, target) what each product costs at each target.

    Args:
        days: (product,) days since 1970.
        parts: as `shown` has them.
        window: the period.
        number: of targets.
    """
    targets, step = target_days(window, number)
    away = np.abs(days[:, None] - targets[None, :]) / step
    fixed = weights.cloud * parts["cloud"] + weights.overlap * parts["overlap"] + weights.nodata * parts["nodata"]
    return np.asarray(weights.spread * away + fixed[:, None])


def assigned(cost: np.ndarray, method: Method) -> np.ndarray:
    """(product,) the target that each product serves, −1 where it serves none.

    Each target gets a product as long as there are any; the earlier of two products that cost the same greedily.
    """
    target = np.full(len(cost), -1)
    if method == "greedy":
        left = cost.copy()
        for place in range(min(cost.shape)):
            best = int(np.argmin(left[:, place]))
            target[best], left[best] = place, np.inf
        return target
    from scipy.optimize import linear_sum_assignment

    products, places = linear_sum_assignment(cost)
    target[products] = places
    return target
