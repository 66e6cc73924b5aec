"""What a reader of imagery does, and how it says that a file is broken."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from odc.geo.geobox import GeoBox

from tilewright.catalog import Asset


class BrokenAssetError(Exception):
    """Permanent evidence that an asset cannot serve: it is gone, or its bytes are corrupt when fetched again.

    Whoever reads records the scene as broken and takes the next candidate. Anything that may pass (an outage, a
    time-out) is a TilewrightError instead and fails the job: outages must not change a dataset.
    """

    def __init__(self, scene_id: str, band: str, why: str) -> None:
        super().__init__(f"{band} {why}")
        self.scene_id = scene_id
        self.why = f"{band} {why}"


class Reader(Protocol):
    """Reads pixels of many boxes from one asset."""

    version: str
    """Goes into the patch store; patches of another version are not reused."""

    def read(self, asset: Asset, boxes: Sequence[GeoBox]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (position in `boxes`, (height, width) pixels as stored) for every box, in any order.

        Pixels outside the asset are 0.

        Raises:
            BrokenAssetError: on permanent evidence.
            TilewrightError: when the source stays unreachable, naming scene, asset and the mend.
        """
        ...
