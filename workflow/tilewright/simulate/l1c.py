"""Level-1C of a simulated scene: what the atmosphere makes of Level-2A, by whole numbers, so that the truth is exact."""

from typing import Final

import numpy as np

from tilewright.simulate.spectra import BANDS, RESOLUTION

L1C_BANDS: Final = (*BANDS[:10], "B10", *BANDS[10:])
L1C_RESOLUTION: Final[dict[str, int]] = {**RESOLUTION, "B10": 60}
CIRRUS_SOURCE: Final = "B09"  # there is no B10 in Level-2A: the little that it sees follows the water vapour band
# Path radiance in DN, and transmittance in 1/1024: bluer bands see more of the air. Plausible, not physical.
_AIR: Final[dict[str, tuple[int, int]]] = {
    "B01": (1180, 730), "B02": (890, 795), "B03": (560, 850), "B04": (340, 900), "B05": (270, 905), "B06": (210, 925),
    "B07": (180, 935), "B08": (150, 930), "B8A": (120, 950), "B09": (60, 410), "B10": (9, 21), "B11": (24, 965),
    "B12": (11, 945),
}  # fmt: skip


def top_of_atmosphere(band: str, surface: np.ndarray) -> np.ndarray:
    """DN of Level-1C (reflectance x 10000, no offset) from Level-2A's of the same pixels (B10: from B09's).

    path + surface * transmittance // 1024, at least 1; any shape, uint16.
    """
    path, through = _AIR[band]
    return (path + (surface.astype(np.uint32) * through >> 10)).astype(np.uint16)
