"""How the images lie in their files, and what reading some cells of one takes: internal blocks, each fetched and unpacked once."""

import math
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import shapely

from tilewright.catalog import Acquisition, Asset
from tilewright.catalog.assets import Transform
from tilewright.config.bands import COLLECTION_BANDS, RADAR, SCL_RESOLUTION
from tilewright.config.provider import CollectionAccess
from tilewright.errors import TilewrightError
from tilewright.grid import SIDE_M, Boxes, Tile
from tilewright.imagery.access import RefusedError
from tilewright.imagery.blocks import open_layout
from tilewright.imagery.layout import HEAD_BYTES, Layout
from tilewright.imagery.patience import local_path
from tilewright.imagery.protocol import Ask, BrokenAssetError
from tilewright.imagery.scatter import lay
from tilewright.imagery.source import Stores
from tilewright.imagery.traffic import Traffic

# Element84's COGs have blocks of 1024 pixels, of 256 at 60 m (their pipeline's settings, gdalinfo of scenes of 2023 and 2026); Planetary
# Computer's have 512. JPEG 2000 of Sentinel-2 has tiles of 1024 (PSD, 4.9.2), Sentinel-1's COGs blocks of 512.
_BLOCK: Final = {10: 1024, 20: 1024, 60: 256}
_RADAR_BLOCK: Final = 512
# Packed bytes a pixel. Of reflectances the mean over the real scenes around Vaduz and in the Sahara (1.3 to 1.75), of SCL likewise (0.02 to
# 0.27). Of Level-1C: its 13 bands have 673 million pixels and 600 to 800 MB (Sentinel-2 User Handbook). Of radar assumed: 16 bits of speckle hardly pack.
_PACKED: Final = {"SCL": 0.11, "s2_l2a": 1.5, "s2_l1c": 1.0, "s1_grd": 1.6, "s1_rtc": 3.2}
# The simulated world packs better (demo: see tests/workflow/test_plan.py).
_PACKED_SIMULATED: Final = {"SCL": 0.01, "s2_l2a": 1.2, "s2_l1c": 1.0, "s1_grd": 1.5, "s1_rtc": 3.0}
# Headers of local files take 1 ms of CPU each, those of servers a request: of each band and tile that is looked at so many are asked for.
_MOST_HEADERS: Final = 5000
_REMOTE_HEADERS: Final = 2
# Windows of radar images, whose lines run across the cells' by this share of a cell's side (orbits lie 8° to 15° off the meridian).
TURNED: Final = 1.3


class Taken(NamedTuple):
    """What reading takes.

    Attributes:
        mb: of pixels that are unpacked.
        wire_mb: that are fetched.
        files: that are opened.
    """

    mb: float = 0.0
    wire_mb: float = 0.0
    files: float = 0.0

    def plus(self, other: "Taken", times: float = 1.0) -> "Taken":
        """Both together, the other so many times."""
        return Taken(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Raster:
    """One band's image of an acquisition.

    Attributes:
        left, top: its corner, metres in the tile's zone.
        step: metres a pixel.
        shape: rows, columns.
        block: rows, columns.
        itemsize: bytes of a pixel.
        packed: (blocks,) bytes of each; NaN where unknown.
        head: bytes fetched besides.
    """

    left: float
    top: float
    step: float
    shape: tuple[int, int]
    block: tuple[int, int]
    itemsize: int
    packed: np.ndarray
    head: int = HEAD_BYTES

    @property
    def geometry(self) -> "Geometry":
        """How its blocks lie."""
        return Geometry(self.left, self.top, self.step, self.shape, self.block)

    def taken(self, squares: "Squares") -> Taken:
        """What reading some squares takes."""
        packed = self.packed[squares.blocks(self.geometry)]
        unpacked = np.count_nonzero(packed) * self.block[0] * self.block[1] * self.itemsize
        return Taken(unpacked / 1e6, float(packed.sum() + self.head) / 1e6, 1.0)


class Geometry(NamedTuple):
    """How the blocks of a raster lie; as of `Raster`."""

    left: float
    top: float
    step: float
    shape: tuple[int, int]
    block: tuple[int, int]


class Squares:
    """Squares of ground, and which blocks they touch."""

    def __init__(self, left: np.ndarray, top: np.ndarray, side_m: float) -> None:
        """Args: upper-left corners, (n,) metres; `side_m` metres."""
        self._left, self._top, self._side_m = left, top, side_m
        self._found: dict[Geometry, np.ndarray] = {}

    def blocks(self, of: Geometry) -> np.ndarray:
        """Numbers of the blocks, ascending."""
        if of not in self._found:
            rows = np.floor((of.top - self._top) / of.step).astype(np.int64)
            columns = np.floor((self._left - of.left) / of.step).astype(np.int64)
            self._found[of] = lay(rows, columns, math.ceil(self._side_m / of.step), of.shape, of.block).blocks
        return self._found[of]


class Files:
    """What is known of the files: headers that were read, and what is typical."""

    def __init__(
        self, access: Mapping[str, CollectionAccess], remote: bool, simulated: Mapping[str, shapely.Polygon]
    ) -> None:
        """Make ready; nothing is opened yet.

        Args:
            access: how the assets of each collection are opened.
            remote: whether headers may be asked of servers; of local files they always are.
            simulated: tile → its ground that has data, where the world is simulated.
        """
        self.headers = 0
        self.failed = ""
        self._access = access
        self._remote = remote
        self._simulated = simulated
        self._stores = Stores(Traffic(), access)
        # by collection and band, then by the grid of the file's tile (None: radar, which is on none)
        self._seen: dict[tuple[str, str], dict[Transform | None, list[Layout]]] = defaultdict(lambda: defaultdict(list))
        self._known: dict[str, Layout | None] = {}

    def words(self) -> str:
        """What the sizes of blocks rest on."""
        failed = f"; others cannot be read ({self.failed})" if self.failed else ""
        if not self.headers:
            return f"typical sizes of blocks{failed}"
        return f"sizes of blocks from the headers of {self.headers} files{failed}"

    def taken(self, one: Acquisition, band: str, tile: Tile, squares: Squares) -> Taken:
        """What reading a band of an acquisition takes."""
        found = Taken()
        for asset in one.assets(band) or (None,):
            found = found.plus(self._raster(one.collection, band, asset, tile).taken(squares))
        return found

    def _raster(self, collection: str, band: str, asset: Asset | None, tile: Tile) -> Raster:
        usual = typical(collection, band, tile, self._simulated.get(tile.name))
        layout = None if asset is None else self._layout(asset)
        if layout is not None and asset is not None and asset.transform is not None:
            step, _, west, _, _, north = asset.transform
            rows, columns = layout.grid.shape
            return Raster(
                west, north, step, (rows, columns), layout.block, layout.dtype.itemsize, layout.counts.astype(float),
                min(HEAD_BYTES, int((layout.offsets + layout.counts).max(initial=0))),
            )  # fmt: skip
        return usual if asset is None else self._like_others(usual, collection, band, asset)

    def _like_others(self, usual: Raster, collection: str, band: str, asset: Asset) -> Raster:
        """A file that was not opened, as those of its band that were: best of its own tile, block by block."""
        seen = self._seen[collection, band]
        every = [layout for layouts in seen.values() for layout in layouts]
        if not every:
            return usual
        same = seen.get(asset.transform, []) if asset.transform is not None else []
        alike = [each for each in same if each.block == same[0].block and len(each.counts) == len(same[0].counts)]
        if alike and asset.transform is not None:
            step, _, west, _, _, north = asset.transform
            rows, columns = alike[0].grid.shape
            packed = np.mean([each.counts for each in alike], axis=0)
            return Raster(west, north, step, (rows, columns), alike[0].block, alike[0].dtype.itemsize, packed)
        # of another tile, or a radar image: laid over this one
        counts, block = np.concatenate([each.counts for each in every]), every[0].block
        blocks = -(-usual.shape[0] // block[0]) * -(-usual.shape[1] // block[1])
        packed = np.full(blocks, counts[counts > 0].mean() if counts.any() else 0.0)
        return replace(usual, block=block, packed=packed)

    def _layout(self, asset: Asset) -> Layout | None:
        """The file's layout, where its header may be read, and is a TIFF's."""
        key = (asset.collection, asset.band)
        if asset.href in self._known:
            return self._known[asset.href]
        try:
            opened = self._stores.opened(asset)
            local = local_path(opened)
            asks = self._remote and len(self._seen[key][asset.transform]) < _REMOTE_HEADERS
            if self._access[asset.collection].format != "tiff" or (local is None and not asks):
                return None
            if self.headers >= _MOST_HEADERS or (local is not None and not local.is_file()):
                return None
            boxes = Boxes(0, 1, 1, np.empty(0), np.empty(0))
            ask, stop = Ask(opened, boxes, np.dtype("uint16")), threading.Event()
            layout = open_layout(ask, self._stores.source(opened), Traffic(), stop)
        except (BrokenAssetError, RefusedError, TilewrightError, ValueError) as error:
            self.failed, self._remote = self.failed or str(error), False
            return None
        self._known[asset.href] = layout
        if layout is not None:
            self.headers += 1
            self._seen[key][asset.transform].append(layout)
        return layout


def typical(collection: str, band: str, tile: Tile, simulated: shapely.Polygon | None) -> Raster:
    """What is known without opening a file.

    Args:
        simulated: the ground that has data, where the world is simulated.
    """
    radar = collection in RADAR
    step = SCL_RESOLUTION if band == "SCL" else COLLECTION_BANDS[collection][band]
    side, block = SIDE_M // step, _RADAR_BLOCK if radar else _BLOCK[step]
    key = "SCL" if band == "SCL" else collection
    a_pixel = (_PACKED if simulated is None else _PACKED_SIMULATED)[key]
    across = -(-side // block)
    edge = np.arange(across) * block * step
    data = (
        shapely.box(0, 0, SIDE_M, SIDE_M)
        if simulated is None
        else shapely.transform(
            simulated, lambda points: np.column_stack([points[:, 0] - tile.ulx, tile.uly - points[:, 1]])
        )
    )
    west, north, east, south = data.bounds
    wide = np.clip(np.minimum(edge + block * step, east) - np.maximum(edge, west), 0, None)
    high = np.clip(np.minimum(edge + block * step, south) - np.maximum(edge, north), 0, None)
    packed = np.outer(high, wide).ravel() / step**2 * a_pixel
    itemsize = 1 if band == "SCL" else 4 if collection == "s1_rtc" else 2
    return Raster(tile.ulx, tile.uly, step, (side, side), (block, block), itemsize, packed)
