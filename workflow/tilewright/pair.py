"""Which companion goes with a scene in a cell: a pure function of the scenes, the rule, and what is known of their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from tilewright.config.bands import RADAR
from tilewright.config.collections import Pair
from tilewright.select import MISSING, REFUSED, USED, scene_cloud

NODATA: Final = "nodata"  # the reason of a scene whose pixels lack data in the cell
# Columns of selection.parquet.
COLUMNS: Final = {
    "collection": object, "cell_id": object, "scene_id": object, "pair_of": object, "rank": np.int32, "status": object,
    "reason": object, "bad_fraction": np.float32, "nodata_fraction": np.float32,
}  # fmt: skip


@dataclass(frozen=True)
class Companions:
    """All scenes of a companion collection near a period, and what is known of them in the cells of a tile.

    Attributes:
        scenes: a row a scene, in order of time, then id: scene_id, datetime, datatake, orbit_state, refused; cloud_cover in percent,
            NaN where it is not known, which matters only where a limit is set.
        held: (cell, scene) whether the scene may show the cell; others are not tried.
        nodata: (cell, scene) share of the cell's pixels without data, NaN where they have not been read.
        broken: scene_id → why its files cannot serve.
    """

    collection: str
    pair: Pair
    scenes: pd.DataFrame
    held: np.ndarray
    nodata: np.ndarray
    broken: dict[str, str]

    @property
    def is_radar(self) -> bool:
        """Paired by time; others by datatake."""
        return self.collection in RADAR

    @property
    def none(self) -> str:
        """The words for there being no companion."""
        if not self.is_radar:
            serves = "" if self.pair.max_scene_cloud is None else " that serves"
            return f"no {self.collection} of the datatake{serves}"
        orbit = f"{self.pair.orbit} " if self.pair.orbit else ""
        days = self.pair.nearest_days
        return f"no {orbit}{self.collection} that serves within {days:g} {'day' if days == 1 else 'days'}"

    def refusals(self) -> np.ndarray:
        """(cell, scene) why a scene cannot serve a cell, under what is known; "" where it can.

        Of several reasons the first in this order is given: the scene's own, orbit, the scene's cloud cover, broken files, nodata.
        """
        reason = np.full(self.held.shape, "", object)
        cloudy = scene_cloud(self.scenes, self.pair.max_scene_cloud, self.pair.exclusive)
        for at, scene in enumerate(self.scenes.itertuples(index=False)):
            if scene.refused:
                reason[:, at] = scene.refused
            elif self.pair.orbit and scene.orbit_state != self.pair.orbit:
                reason[:, at] = "orbit"
            elif cloudy[at]:
                reason[:, at] = cloudy[at]
            elif scene.scene_id in self.broken:
                reason[:, at] = f"broken: {self.broken[scene.scene_id]}"
        reason[(reason == "") & (self.nodata > self.pair.max_nodata)] = NODATA
        return reason

    def walk(self, time: pd.Timestamp, datatake: str) -> np.ndarray:
        """Positions of the scenes within reach of a primary scene, in the order in which they are tried.

        The nearest in time first, of two as near the earlier, then by id.
        """
        away = np.abs(self._time - np.datetime64(time, "us"))
        if self.is_radar:
            near = away <= np.timedelta64(round(self.pair.nearest_days * 86_400_000_000), "us")
        else:
            near = (self._datatake == datatake) & (datatake != "")
        return np.flatnonzero(near)[np.argsort(away[near], kind="stable")]

    @cached_property
    def _time(self) -> np.ndarray:
        return self.scenes["datetime"].to_numpy("datetime64[us]")

    @cached_property
    def _datatake(self) -> np.ndarray:
        return self.scenes["datatake"].to_numpy(object)


class Asked(NamedTuple):
    """A primary scene in a cell, by their positions, whose companion is wanted.

    Attributes:
        bad_fraction: of the cell in the primary scene.
        used: whether the primary scene serves.
    """

    cell: int
    primary: int
    bad_fraction: float
    used: bool


def unpaired(primaries: pd.DataFrame, cells: int, companions: Sequence[Companions]) -> np.ndarray | None:
    """(cell, primary) the words for a companion that must be there and is not, "" where none lacks; None where none must.

    Args:
        primaries: a row a scene: datetime, datatake.
        cells: how many.
    """
    needed = [one for one in companions if one.pair.required]
    if not needed:
        return None
    found = np.full((cells, len(primaries)), "", object)
    for one in needed:
        serves = one.held & (one.refusals() == "")
        for at, primary in enumerate(primaries.itertuples(index=False)):
            lacks = ~serves[:, one.walk(primary.datetime, primary.datatake)].any(axis=1)
            found[lacks & (found[:, at] == ""), at] = one.none
    return found


def pairs(primaries: pd.DataFrame, cell_id: np.ndarray, asked: Sequence[Asked], companions: Companions) -> pd.DataFrame:
    """What was tried for each of `asked`, in their order: the columns of selection.parquet.

    The scenes within reach up to the one that serves, with status refused or used; where none serves a row with status
    missing and without scene. Of a primary scene that does not serve, only companions tried in vain. Of Level-1C, bad_fraction is the primary scene's; of radar it is not known.
    """
    reason = companions.refusals()
    names = primaries["scene_id"].to_numpy(object)
    ids = companions.scenes["scene_id"].to_numpy(object)
    walks: dict[int, list[int]] = {}
    rows: list[tuple[object, ...]] = []
    for one in asked:
        if one.primary not in walks:
            primary = primaries.iloc[one.primary]
            walks[one.primary] = companions.walk(primary["datetime"], primary["datatake"]).tolist()
        bad = np.nan if companions.is_radar else one.bad_fraction
        about = companions.collection, cell_id[one.cell]
        tried: list[tuple[object, ...]] = []
        served = False
        for at in walks[one.primary]:
            if served or not companions.held[one.cell, at]:
                continue
            why = reason[one.cell, at]
            served = not why
            status, share = USED if served else REFUSED, companions.nodata[one.cell, at]
            tried.append((*about, ids[at], names[one.primary], len(tried), status, why, bad, share))
        if one.used and not served:
            tried.append((*about, "", names[one.primary], len(tried), MISSING, companions.none, np.nan, np.nan))
        if one.used or not served:
            rows += tried
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
