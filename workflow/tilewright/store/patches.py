"""The patch store: what crop writes and group reads, one chunk for each (patch, band) so that chunks can be reused.

<collection>                 coordinates of the patches (dimension `patch`)
s2_*/r10m                    reflectance (patch, band, y, x) uint16, harmonised DN; zeros, clipped (patch, band)
s2_*/r20m, r60m              likewise
s2_l2a/scl                   scl (patch, y, x) uint8
s1_*/r10m                    backscatter (patch, band, y, x) float32, dB or amplitude, NaN no data; zeros counts no data
s1_*/empty, s2_l1c/empty     cell_id, digest, nodata_fraction: what was read and not kept, as it lacks data in the cell
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR, SCL_RESOLUTION
from tilewright.errors import TilewrightError
from tilewright.store.small import Small
from tilewright.store.zarrzip import StoreReader

SCL = "SCL"
EMPTY = ("cell_id", "digest", "nodata_fraction")  # of what was read and not kept


@dataclass(frozen=True)
class Group:
    """One array of a patch or series store: the bands of a collection that share a resolution, or its SCL."""

    collection: str
    resolution: int
    bands: tuple[str, ...]

    @property
    def is_scl(self) -> bool:
        """Whether this is the scene classification."""
        return self.bands == (SCL,)

    @property
    def is_radar(self) -> bool:
        """Whether this is radar backscatter."""
        return self.collection in RADAR

    @property
    def name(self) -> str:
        """Path of the group in a store."""
        return f"{self.collection}/scl" if self.is_scl else f"{self.collection}/r{self.resolution}m"

    @property
    def variable(self) -> str:
        """Name of the pixels' array in the group."""
        return "scl" if self.is_scl else "backscatter" if self.is_radar else "reflectance"

    @property
    def array(self) -> str:
        """Path of the pixels' array in a store."""
        return f"{self.name}/{self.variable}"

    @property
    def dtype(self) -> str:
        """Type of the pixels."""
        return "uint8" if self.is_scl else "float32" if self.is_radar else "uint16"

    @property
    def nothing(self) -> float:
        """What pixels are that were never there."""
        return np.nan if self.is_radar else 0

    def side(self, size_m: int) -> int:
        """Pixels along a cell's side."""
        return size_m // self.resolution

    def index(self, patch: int, band: int) -> tuple[int, ...]:
        """Chunk index of one band of one patch in a patch store."""
        return (patch, 0, 0) if self.is_scl else (patch, band, 0, 0)

    def chunk_shape(self, size_m: int) -> tuple[int, ...]:
        """Shape of such a chunk."""
        side = self.side(size_m)
        return (1, side, side) if self.is_scl else (1, 1, side, side)


@dataclass(frozen=True)
class Layer:
    """One band of a group.

    Attributes:
        place: the band's place in the group.
    """

    group: Group
    place: int

    @property
    def band(self) -> str:
        """Name of the band."""
        return self.group.bands[self.place]


def groups_of(collection: str, bands: list[str]) -> list[Group]:
    """The groups of a collection, finest resolution first, the primary's SCL last; `bands` in the mission's order."""
    resolution = COLLECTION_BANDS[collection]
    steps = sorted({resolution[band] for band in bands})
    found = [Group(collection, step, tuple(band for band in bands if resolution[band] == step)) for step in steps]
    return [*found, Group(collection, SCL_RESOLUTION, (SCL,))] if collection == PRIMARY else found


def layers_of(collection: str, bands: list[str]) -> list[Layer]:
    """Every band with its group, in the order of the store."""
    return [Layer(group, at) for group in groups_of(collection, bands) for at in range(len(group.bands))]


def empty_of(collection: str) -> str:
    """Path of the group that says what was read of a companion and not kept."""
    return f"{collection}/empty"


def kept_as(digest: str, place: str) -> str:
    """What a cell's pixels of an acquisition are kept as, in the coordinate `digest`: they serve again only under the same name.

    Args:
        digest: of the acquisition.
        place: where the cell lies; "" where its id says so.
    """
    return f"{digest}@{place}" if place else digest


@dataclass(frozen=True)
class Kept:
    """One band of one patch as an earlier run encoded it, with what was counted in it."""

    data: bytes
    zeros: int
    clipped: int


class PreviousPatches:
    """What an earlier run of crop left in place: encoded pixels by (collection, cell, what they were kept as, band)."""

    def __init__(
        self, path: Path, made_by: str, size_m: int, quantities: Mapping[str, str], bands: Mapping[str, list[str]]
    ) -> None:
        """Empty where there is no such store, or one made by other code, of another cell size, or damaged.

        Of a collection whose numbers were another quantity nothing is taken, and what was empty only where its bands were `bands`.
        """
        self._rows: dict[tuple[str, str, str], int] = {}
        self._bands: dict[str, tuple[Group, int]] = {}
        self._counts: dict[str, Small] = {}
        self._empty: dict[tuple[str, str, str], float] = {}
        self.store: StoreReader | None = None
        if not path.exists():
            return
        try:
            store = StoreReader(path)
            root = store.small("")
            if root.attrs.get("made_by") != made_by or root.attrs.get("size_m") != size_m:
                return
            for collection, kept in root.attrs["bands"].items():
                if root.attrs["quantities"][collection] != quantities.get(collection):
                    continue
                coords = store.small(collection)
                for row, key in enumerate(zip(coords["cell_id"], coords["digest"], strict=True)):
                    self._rows[(collection, *map(str, key))] = row
                if collection != PRIMARY and kept == bands.get(collection):
                    empty = store.small(empty_of(collection))
                    for cell, digest, share in zip(*(empty[name] for name in EMPTY), strict=True):
                        self._empty[collection, str(cell), str(digest)] = float(share)
                for group in groups_of(collection, kept):
                    for at, band in enumerate(group.bands):
                        self._bands[f"{collection}/{band}"] = (group, at)
                    if not group.is_scl:
                        self._counts[group.name] = store.small(group.name, ["zeros", "clipped"])
            self.store = store
        except (TilewrightError, LookupError, AttributeError, TypeError, ValueError, OSError):
            # A damaged earlier output has nothing to reuse; this run replaces it.
            self._rows.clear()
            self._empty.clear()

    def empty(self, collection: str, cell_id: str, kept: str) -> float:
        """The share without data of what was read and not kept for its want of data; NaN where nothing is known."""
        return self._empty.get((collection, cell_id, kept), np.nan)

    def get(self, collection: str, cell_id: str, kept: str, band: str) -> Kept | None:
        """The kept pixels, or None where they must be read."""
        import zipfile

        row = self._rows.get((collection, cell_id, kept))
        place = self._bands.get(f"{collection}/{band}")
        if self.store is None or row is None or place is None:
            return None
        group, at = place
        try:
            data = self.store.encoded(group.array, group.index(row, at))
        except (zipfile.BadZipFile, OSError):
            return None  # this chunk is damaged: read it again
        if data is None:
            return None
        if group.is_scl:
            return Kept(data, 0, 0)
        counts = self._counts[group.name]
        return Kept(data, int(counts["zeros"][row, at]), int(counts["clipped"][row, at]))
