"""Sentinel-2's bands and scene classes (names, ground resolutions, meanings), and the labels' reserved values.

Sources: Sentinel-2 Products Specification Document (bands, resolutions), Level-2A Algorithm Overview (the 12 classes of
the scene classification layer, SCL).
"""

from typing import Final

# Ground resolution in metres of each Level-2A band.
S2_L2A: Final[dict[str, int]] = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10, "B8A": 20, "B09": 60,
    "B11": 20, "B12": 20,
}  # fmt: skip
COLLECTION_BANDS: Final[dict[str, dict[str, int]]] = {"s2_l2a": S2_L2A}

SCL_RESOLUTION: Final = 20
SCL_CLASSES: Final[tuple[str, ...]] = (
    "no_data", "saturated_or_defective", "dark_area", "cloud_shadow", "vegetation", "not_vegetated", "water",
    "unclassified", "cloud_medium", "cloud_high", "thin_cirrus", "snow_ice",
)  # fmt: skip
NO_DATA: Final = 0
CLOUD: Final[tuple[int, ...]] = (8, 9)  # shadow (3) and cirrus (10) are counted apart
SHADOW: Final[tuple[int, ...]] = (3,)
SNOW: Final[tuple[int, ...]] = (11,)

# Label values that are no class. As in the published OpenSentinelMap labels (OlmoEarth's reading of them).
NONE: Final = 254  # known to be none of the channel's classes
UNLABELED: Final = 255  # unknown
