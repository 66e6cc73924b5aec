"""Which scenes and companions serve, under what is known of them; and what can be said before any pixel is read."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from tilewright.catalog import Acquisition, Scene, acquisitions
from tilewright.config.bands import PRIMARY, RADAR, SCL_CLASSES
from tilewright.config.choice import Reference
from tilewright.config.collections import Pair
from tilewright.config.spans import Days
from tilewright.cropping.footprints import held_by
from tilewright.errors import TilewrightError
from tilewright.pair import COLUMNS, NODATA, Asked, Companions, pairs, unpaired
from tilewright.select import COUNT_COLUMNS, REFUSED, USED, Candidates, Rule, select
from tilewright.windows import windows_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a search found of one collection.

    Attributes:
        acquisitions: what can serve, by time, then id.
        rows: a row for each of them and for each scene refused at search, by time, then id: scene_id, datetime, datatake, orbit_state,
            refused, cloud_cover (percent; of several parts the cloudiest, NaN where one is not known).
        footprints: of the rows, of radar only; None where unknown.
    """

    acquisitions: list[Acquisition]
    rows: pd.DataFrame
    footprints: list[BaseGeometry | None]

    @classmethod
    def of(cls, scenes: Sequence[Scene], bands: Sequence[str] = ()) -> "Found":
        """Args: `bands`: what an acquisition must list to serve at all."""
        serving = acquisitions([scene for scene in scenes if not scene.refused])
        rows = [_row(one, unlisted(one, bands), one.parts) for one in serving]
        rows += [_row(scene, scene.refused, (scene,)) for scene in scenes if scene.refused]
        rows.sort(key=lambda row: row[1:2] + row[:1])
        columns = ["scene_id", "datetime", "datatake", "orbit_state", "refused", "cloud_cover"]
        table = pd.DataFrame([row[:6] for row in rows], columns=columns)
        kinds = {"datetime": "datetime64[us]", "cloud_cover": "float64"}
        return cls(serving, table.astype(kinds), [_footprint(row[6]) for row in rows])


def _row(one: Acquisition | Scene, refused: str, parts: Sequence[Scene]) -> tuple[Any, ...]:
    """What `Found.rows` says of it, and its parts."""
    cloud = float(np.max([part.cloud_cover for part in parts]))  # NaN where one is
    return one.scene_id, one.datetime, one.datatake, one.orbit_state, refused, cloud, parts


def _footprint(parts: Sequence[Scene]) -> BaseGeometry | None:
    known = [part.footprint for part in parts if part.footprint and part.collection in RADAR]
    return shapely.union_all(shapely.from_wkt(known)) if known else None


def unlisted(acquisition: Acquisition, bands: Sequence[str]) -> str:
    """Why an acquisition cannot serve for want of an asset of a part; "" where every part lists every band."""
    parts = len(acquisition.parts)
    return next((f"{band} is not listed by the item" for band in bands if len(acquisition.assets(band)) < parts), "")


def check_bands(collection: str, found: Found, bands: Sequence[str]) -> None:
    """Bands that no scene lists are a mistake in the asset names, not many broken scenes.

    Not so of radar, whose polarisations depend on the place: there it is only said.

    Raises:
        TilewrightError: naming the band.
    """
    for band in bands if found.acquisitions else []:
        if not any(one.assets(band) for one in found.acquisitions):
            what = f"none of {len(found.acquisitions)} scenes lists a usable asset for {band}"
            if collection in RADAR:
                log.warning("%s: %s: its patches will be missing here", collection, what)
                continue
            raise TilewrightError(f"{what}: mend the provider's asset names, or leave the band out")


def candidates(
    cells: pd.DataFrame, found: Found, masks: pd.DataFrame, windows: Sequence[Days] = (), reference: Reference | None = None
) -> Candidates:  # fmt: skip
    """Line the masks up as (cell, scene) arrays; a scene refused at search has no counts, nor one outside a cell's days.

    Args:
        windows: the period's, in turn, where scenes of some come after those of others.
        reference: days around each cell's reference_date, a column of `cells`.
    """
    shape = (len(cells), len(found.rows))
    count = np.zeros((*shape, len(SCL_CLASSES)), np.int32)  # by far the largest array here
    brightness = np.full(shape, np.nan, np.float32)
    broken: dict[str, str] = {}
    place = {scene: at for at, scene in enumerate(found.rows["scene_id"])}
    row = {cell: at for at, cell in enumerate(cells["cell_id"])}
    for scene, part in masks.groupby("scene_id", sort=False):
        at = place[str(scene)]
        rows = part["cell_id"].map(row).to_numpy()
        count[rows, at] = part[COUNT_COLUMNS].to_numpy()
        brightness[rows, at] = part["brightness"].to_numpy()
        if why := str(part["broken"].iloc[0]):
            broken[str(scene)] = why
    window = None
    if windows or reference is not None:
        dates = None if reference is None else cells["reference_date"].to_numpy("datetime64[us]")
        window = windows_of(found.rows["datetime"].to_numpy("datetime64[us]"), windows, reference, dates, len(cells))
    return Candidates(cells["cell_id"].to_numpy(object), found.rows, count, brightness, broken, window)


def companions(collection: str, pair: Pair, cells: pd.DataFrame, found: Found) -> Companions:
    """A collection's companions before anything of them is read."""
    shape = (len(cells), len(found.rows))
    held = np.ones(shape, bool)  # of one datatake and tile with a scene that shows the cell
    if collection in RADAR:
        held = held_by(found.footprints, cells, pair.max_nodata)
    return Companions(collection, pair, found.rows, held, np.full(shape, np.nan), {})


@dataclass(frozen=True)
class Choice:
    """The choice of scenes and companions; it changes as their files prove broken or empty.

    Attributes:
        companions: by collection, in the order of the store.
    """

    candidates: Candidates
    rule: Rule
    companions: Mapping[str, Companions]

    def made(self) -> pd.DataFrame:
        """The rows of selection.parquet: those of the primary collection, then the companions' by collection, cell and pair."""
        known, others = self.candidates, list(self.companions.values())
        lacking = unpaired(known.scenes, len(known.cell_id), others)
        chosen = select(known, self.rule, lacking).assign(collection=PRIMARY, pair_of="")[list(COLUMNS)]
        if not others:
            return chosen
        vain = {one.none for one in others if one.pair.required}
        told = chosen[(chosen["status"] == USED) | chosen["reason"].isin(vain)]
        cell = {name: at for at, name in enumerate(known.cell_id)}
        scene = {name: at for at, name in enumerate(known.scenes["scene_id"])}
        asked = [
            Asked(cell[row.cell_id], scene[row.scene_id], row.bad_fraction, row.status == USED)
            for row in told.itertuples(index=False)
        ]
        found = [pairs(known.scenes, known.cell_id, asked, one) for one in others]
        return pd.concat([chosen, *(each for each in found if len(each))], ignore_index=True)

    def broke(self, collection: str, scene_id: str, why: str) -> None:
        """Files of a scene cannot serve."""
        self._broken(collection)[scene_id] = why

    def broken(self) -> list[tuple[str, str]]:
        """What is known to be broken: collection, scene."""
        return [(collection, scene) for collection in (PRIMARY, *self.companions) for scene in self._broken(collection)]

    def learn(self, collection: str, scene_id: str, cells: np.ndarray, nodata: np.ndarray) -> bool:
        """The share without data of `cells` (positions) in a companion is now known; whether that refuses it for any."""
        known = self.companions[collection]
        at = int(np.flatnonzero(known.scenes["scene_id"] == scene_id)[0])
        known.nodata[cells, at] = nodata
        return bool((nodata > known.pair.max_nodata).any())

    def empty(self, collection: str, chosen: pd.DataFrame) -> pd.DataFrame:
        """What was refused for want of data in the cell, each once: cell_id, scene_id, nodata_fraction (in 64 bits)."""
        known = self.companions[collection]
        mine = chosen["collection"] == collection
        told = chosen[mine & (chosen["status"] == REFUSED) & (chosen["reason"] == NODATA)]
        told = told[["cell_id", "scene_id"]].drop_duplicates()
        at = [
            pd.Index(names).get_indexer(told[column])
            for names, column in ((self.candidates.cell_id, "cell_id"), (known.scenes["scene_id"], "scene_id"))
        ]
        return told.assign(nodata_fraction=known.nodata[at[0], at[1]])

    def check_source(self, used: pd.DataFrame) -> None:
        """A scene may break; where nothing serves and most are broken, the source is not what the catalog says.

        Args:
            used: the rows of what serves.

        Raises:
            TilewrightError: naming a broken scene.
        """
        served = set(used["collection"])
        for collection in (PRIMARY, *self.companions):
            broken = self._broken(collection)
            if collection == PRIMARY:
                among, what = int((self.candidates.scenes["refused"] == "").sum()), "no scene serves"
            else:  # most never come near a chosen scene: those that were read count
                read = int((~np.isnan(self.companions[collection].nodata)).any(axis=0).sum())
                among, what = len(broken) + read, f"no scene of {collection} serves"
            if collection not in served and len(broken) > 1 and 2 * len(broken) >= among:
                scene, why = sorted(broken.items())[0]
                raise TilewrightError(
                    f"{what} and {len(broken)} of {among} are broken, such as {scene} ({why}): mend the catalog or its files, "
                    "then run again"
                )

    def _broken(self, collection: str) -> dict[str, str]:
        return self.candidates.broken if collection == PRIMARY else self.companions[collection].broken
