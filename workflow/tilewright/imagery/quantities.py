"""What the numbers of Sentinel-1 patches are, in the words that stores carry.

How far heights displace the ground: by height / tan(incidence angle), of 30 to 46 degrees in IW mode (Sentinel-1 Product Specification).
"""

from typing import Final

_EARTH_ENGINE: Final = "Earth Engine's COPERNICUS/S1_GRD"
_GRD: Final = (
    "Placed by the product's own ground control points, which carry the relief only as coarsely as they lie (every 10 to 20 km): no "
    "terrain model is used: ground lies off its place by 1 to 1.7 times what it rises above or falls below the heights between these "
    "points, in high mountains more than a kilometre, and slopes facing the sensor are brighter. The product's "
    "own orbit; neither thermal noise nor border noise is removed. Resampled bilinearly in linear power. "
)
QUANTITY_WORDS: Final[dict[str, str]] = {
    "dn": "Square root of the mean power of a Sentinel-1 GRD's digital numbers: amplitude, uncalibrated. "
    + _GRD
    + f"{_EARTH_ENGINE} is calibrated to sigma nought in dB: not to be compared with this.",
    "sigma0_db": "Sigma nought of a Sentinel-1 GRD on the ellipsoid, 10 log10 of the calibrated power, in dB. "
    + _GRD
    + f"Not the same as {_EARTH_ENGINE}, which is sigma nought, too, but with a restituted or precise orbit file, border and thermal "
    "noise removed, and placed by range-Doppler terrain correction with SRTM (30 m; ASTER beyond 60° N).",
    "gamma0_db": "Gamma nought of a radiometrically terrain-corrected Sentinel-1 product (RTC), 10 log10 of its linear power, in dB. "
    "Terrain correction, its terrain model and noise removal are the product's; power of 0 and below, which noise removal may leave, is "
    f"no data here. Not the same as {_EARTH_ENGINE}, which is sigma nought and placed by a terrain model, but not flattened by it.",
}
