"""The pixels of a sample: which bands come from where, their values, and which of them hold data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.config.bands import COLLECTION_BANDS
from tilewright.errors import TilewrightError
from tilewright.loader.resample import Resampling, all_valid, bilinear, covered, in_power, nearest
from tilewright.loader.series import Layout, OpenStore

SCL = "scl"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Part:
    """A group that a sample takes bands of: `take` are their positions in it, `put` in the image on one grid."""

    group: str
    layout: Layout
    take: np.ndarray
    put: np.ndarray

    def picked(self, stored: np.ndarray) -> np.ndarray:
        """(time, band, y, x): the bands asked for, without a copy where they are all and in their order."""
        whole = self.take.tolist() == list(range(len(self.layout.bands)))
        return stored if whole else stored[:, self.take]


@dataclass(frozen=True)
class Imaged:
    """A collection of a sample.

    Attributes:
        bands: by group, in the order of the image's band axis; on one grid all under "image".
        scl: whether the store has its scene classification.
    """

    collection: str
    parts: tuple[Part, ...]
    bands: dict[str, tuple[str, ...]]
    scl: bool

    @property
    def radar(self) -> bool:
        """Whether the values are backscatter, NaN where there is no data."""
        return self.parts[0].layout.radar

    @property
    def groups(self) -> list[str]:
        """The groups to read."""
        return [*(part.group for part in self.parts), *([SCL] if self.scl else [])]

    @property
    def layouts(self) -> dict[str, Layout]:
        """What each group must hold in every store."""
        return {part.group: part.layout for part in self.parts}

    @property
    def nothing(self) -> float:
        """What stands where there is no scene."""
        return float("nan") if self.radar else 0

    def images(self, stored: Arrays, scale: bool) -> Arrays:
        """(time, band, y, x) by group, each on its own grid."""
        return {part.group: _scaled(part, part.picked(stored[part.group]), scale) for part in self.parts}

    def image(self, stored: Arrays, side: int, how: Resampling, scale: bool) -> np.ndarray:
        """(time, band, y, x) on one grid: resampled as stored, so that halves and quarters of DN are exact, and then scaled."""
        first = stored[self.parts[0].group]
        linear = how == "bilinear"
        count = sum(len(part.take) for part in self.parts)
        kind = np.float32 if linear or scale else first.dtype
        image = np.empty((len(first), count, side, side), kind)
        for part in self.parts:
            picked = part.picked(stored[part.group])
            if linear and part.layout.radar:
                onto = in_power(picked, side, decibel=part.layout.quantity != "dn")
            else:
                onto = bilinear(picked, side) if linear else nearest(picked, side)
            for band, place in enumerate(part.put):
                if scale and not part.layout.radar:
                    np.multiply(onto[:, band], np.float32(part.layout.scale_factor), out=image[:, place])
                else:
                    image[:, place] = onto[:, band]
        return image

    def valid(self, stored: Arrays) -> Arrays:
        """(time, y, x) bool by group: which pixels hold data.

        Of reflectance: not all stored bands are zero and, where there is one, the scene classification is not "no data". Of
        radar: no band asked for is NaN.
        """
        if self.radar:
            return {part.group: ~np.isnan(part.picked(stored[part.group])).any(axis=1) for part in self.parts}
        found = {part.group: np.asarray(stored[part.group].any(axis=1)) for part in self.parts}
        if self.scl and not (seen := stored[SCL] != 0).all():
            for mask in found.values():
                mask &= covered(seen, mask.shape[-1])
        return found

    def valid_on(self, stored: Arrays, side: int, how: Resampling) -> np.ndarray:
        """(time, y, x) bool on one grid: where all pixels that the image's are made of hold data."""
        return np.asarray(np.logical_and.reduce([all_valid(mask, side, how) for mask in self.valid(stored).values()]))


def _scaled(part: Part, picked: np.ndarray, scale: bool) -> np.ndarray:
    if not scale or part.layout.radar:
        return picked
    return np.multiply(picked, np.float32(part.layout.scale_factor), dtype=np.float32)


def imaged(opened: OpenStore, collection: str, bands: Sequence[str] | None, one_grid: bool, argument: str) -> Imaged:
    """Which bands come from where, by one store; every other store is checked against it when it is read.

    Args:
        argument: that names the bands, for messages.

    Raises:
        TilewrightError: for a collection or band that the store does not have.
    """
    stored = {
        group.partition("/")[2]: names for group, names in opened.bands.items() if group.startswith(f"{collection}/")
    }
    if not stored:
        known = sorted({group.partition("/")[0] for group in opened.bands})
        raise TilewrightError(f"collection: no {collection!r} in this dataset; it has {', '.join(known)}")
    there = {band for names in stored.values() for band in names}
    order = [band for band in COLLECTION_BANDS.get(collection, sorted(there)) if band in there]
    wanted = order if bands is None else list(bands)
    for band in wanted:
        if band not in there:
            raise TilewrightError(f"{argument}: no band {band!r} in this dataset; it has {', '.join(order)}")
    parts, bands_of = [], {}
    for group, names in stored.items():
        mine = [band for band in wanted if band in names]
        layout = opened.layout(f"{collection}/{group}")
        if not mine or layout is None:
            continue
        take, put = np.array([names.index(band) for band in mine]), np.array([wanted.index(band) for band in mine])
        parts.append(Part(group, layout, take, put))
        bands_of[group] = tuple(mine)
    scl = opened.array(f"{collection}/{SCL}") is not None
    return Imaged(collection, tuple(parts), {"image": tuple(wanted)} if one_grid else bands_of, scl)
