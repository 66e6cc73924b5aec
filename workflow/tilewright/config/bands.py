"""The sensors' bands and scene classes (names, ground resolutions, meanings), and the labels' reserved values.

Sources: Sentinel-2 Products Specification Document (bands, resolutions), Level-2A Algorithm Overview (the 12 classes of
the scene classification layer, SCL), Sentinel-1 Product Specification (GRD high resolution: pixels of 10 m).
"""

from typing import Final

# Ground resolution in metres of each Level-2A band.
S2_L2A: Final[dict[str, int]] = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10, "B8A": 20, "B09": 60,
    "B11": 20, "B12": 20,
}  # fmt: skip
# Level-1C has the cirrus band, too.
S2_L1C: Final[dict[str, int]] = {
    band: 60 if band == "B10" else S2_L2A[band]
    for band in ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
}
# Polarisations; all are made on the cells' grid of 10 m.
S1: Final[dict[str, int]] = {"VV": 10, "VH": 10, "HH": 10, "HV": 10}
COLLECTION_BANDS: Final[dict[str, dict[str, int]]] = {"s2_l2a": S2_L2A, "s2_l1c": S2_L1C, "s1_grd": S1, "s1_rtc": S1}

PRIMARY: Final = "s2_l2a"  # the collection whose scenes the choice rule judges, by their SCL
RADAR: Final[tuple[str, ...]] = ("s1_grd", "s1_rtc")  # placed and cut by their own pixels, not by tiles

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
