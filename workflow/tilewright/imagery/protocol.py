"""What a reader of imagery does, and how it says that a file is broken."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np

from tilewright.catalog import Asset
from tilewright.grid import Boxes
from tilewright.imagery.traffic import Traffic

T = TypeVar("T")

Quantity = Literal["pixels", "dn", "sigma0", "gamma0"]


class BrokenAssetError(Exception):
    """Permanent evidence that an asset cannot serve: it is gone, or its bytes are corrupt when fetched again.

    Whoever reads records the scene as broken and takes the next candidate. Anything that may pass (an outage, a
    time-out) is a TilewrightError instead and fails the job: outages must not change a dataset.
    """

    def __init__(self, scene_id: str, band: str, why: str) -> None:
        super().__init__(f"{band} {why}")
        self.scene_id = scene_id
        self.why = f"{band} {why}"


@dataclass(frozen=True)
class Ask:
    """What is wanted of one asset.

    Attributes:
        boxes: pixel grids, all of one CRS, resolution and size.
        dtype: type of the pixels returned. A file whose numbers do not fit into it is broken: casting would turn
            reflectances into zeros without a word.
        quantity: pixels: as stored, 0 outside the asset. Sentinel-1 (dtype float32) is had as linear power, NaN where there is no
            data; see `tilewright.imagery.radar`. dn: DN² of a GRD. sigma0: DN² / A² of a GRD, A from the calibration
            document that the asset names. gamma0: as an RTC stores it.
    """

    asset: Asset
    boxes: Boxes
    dtype: np.dtype
    quantity: Quantity = "pixels"


class Reader(Protocol):
    """Reads pixels of many boxes from many assets."""

    version: str
    """Goes into the patch store; patches of another version are not reused."""
    traffic: Traffic
    """What has been fetched and decoded so far."""

    def read(self, asks: Iterable[Ask], finish: Callable[[int, int, np.ndarray], T]) -> Iterator[tuple[int, int, T]]:
        """Yield (place in `asks`, place in its `boxes`, what `finish` made) once for every box of every ask.

        Asks are taken as they are needed and answered in their order, the boxes of an ask in any. `finish` gets both places
        and the (height, width) pixels of the quantity asked for, its own to keep; it is called in several threads.

        Raises:
            BrokenAssetError: on permanent evidence, after everything that was asked before that asset was yielded.
            TilewrightError: when the source stays unreachable, naming scene, asset, place and the mend.
        """
        ...
