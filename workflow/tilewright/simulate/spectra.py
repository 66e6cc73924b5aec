"""What the ground reflects: spectra of pure materials, and how crops and woods change in a year.

Reflectances are typical values of Sentinel-2 Level-2A surface reflectance, rounded from spectral libraries (USGS
splib07, ECOSTRESS) to what fields, woods and towns of the mid latitudes show; they need to be plausible, not exact.
"""

import math
from typing import Final

import numpy as np

from tilewright.simulate.seeded import generator

BANDS: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
RESOLUTION: Final[dict[str, int]] = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10, "B8A": 20, "B09": 60,
    "B11": 20, "B12": 20,
}  # fmt: skip
VARIANTS: Final = 64  # appearances of each material: another sowing date, vigour, soil

_PURE: Final[dict[str, tuple[float, ...]]] = {
    #             B01   B02   B03   B04   B05   B06   B07   B08   B8A   B09   B11   B12
    "loam":      (.050, .065, .092, .125, .147, .165, .175, .190, .200, .205, .275, .235),
    "clay":      (.080, .108, .150, .198, .222, .238, .248, .268, .278, .282, .365, .322),
    "crop":      (.018, .024, .062, .028, .090, .330, .430, .460, .480, .480, .200, .090),
    "grass":     (.025, .034, .072, .045, .110, .280, .340, .370, .390, .390, .220, .115),
    "dry":       (.065, .088, .140, .190, .220, .242, .262, .292, .310, .312, .345, .262),
    "flower":    (.030, .048, .165, .150, .205, .360, .430, .470, .490, .490, .220, .110),
    "leaf":      (.016, .020, .043, .023, .072, .285, .385, .405, .425, .425, .175, .072),
    "bare_wood": (.030, .038, .052, .063, .088, .128, .148, .165, .178, .180, .170, .112),
    "needle":    (.014, .017, .031, .020, .048, .148, .188, .208, .220, .220, .090, .040),
    "lake":      (.034, .033, .030, .017, .013, .008, .007, .006, .004, .004, .0010, .0006),
    "river":     (.046, .055, .070, .056, .046, .028, .025, .020, .016, .014, .0025, .0016),
    "asphalt":   (.072, .084, .096, .105, .110, .115, .120, .126, .130, .132, .148, .138),
    "tiles":     (.055, .070, .105, .190, .212, .225, .235, .252, .262, .262, .290, .258),
    "concrete":  (.150, .175, .205, .230, .238, .245, .250, .258, .265, .265, .290, .270),
    "foil":      (.420, .480, .510, .530, .535, .540, .545, .550, .550, .550, .500, .460),
    "stone":     (.200, .255, .320, .370, .385, .395, .405, .425, .435, .435, .490, .450),
    "gravel":    (.085, .100, .122, .140, .147, .154, .160, .170, .178, .180, .215, .200),
    "snow":      (.840, .870, .865, .850, .840, .825, .815, .800, .775, .720, .120, .100),
    "cloud":     (.880, .860, .850, .850, .850, .850, .850, .850, .840, .700, .560, .430),
    "cirrus":    (.055, .050, .046, .042, .040, .038, .036, .034, .033, .030, .012, .008),
}  # fmt: skip
PURE: Final[dict[str, np.ndarray]] = {name: np.array(values) for name, values in _PURE.items()}

MATERIALS: Final = (
    "rough", "wheat", "maize", "rape", "beet", "meadow", "fallow", "vines", "orchard", "leafwood", "needlewood", "heath",
    "lake", "river", "garden", "yard", "works", "pit", "park", "rails", "graves", "foil", "wetland",
)  # fmt: skip
WATER: Final = ("lake", "river")
WOOD: Final = ("leafwood", "needlewood")
# Share by which texture changes the brightness of a material, pixel by pixel.
_TEXTURE: Final = {
    "leafwood": 0.26, "needlewood": 0.24, "garden": 0.20, "orchard": 0.16, "heath": 0.16, "rough": 0.12, "park": 0.16,
    "works": 0.14, "yard": 0.14, "pit": 0.22, "vines": 0.10, "lake": 0.03, "river": 0.05, "rails": 0.12, "graves": 0.18,
}  # fmt: skip

# Growth of a crop: days of the year (north) when it is half green and half ripe, how fast, green cover in winter.
_CROPS: Final = {
    "wheat": (75, 163, 10, 0.22), "maize": (158, 262, 9, 0.0), "rape": (68, 168, 10, 0.42), "beet": (142, 296, 12, 0.0),
}  # fmt: skip


def material(kind: str, variant: int) -> int:
    """Number of a material in the tables of `Spectra`; any `variant` is taken modulo their count."""
    return MATERIALS.index(kind) * VARIANTS + variant % VARIANTS


def material_flags(kinds: tuple[str, ...]) -> np.ndarray:
    """Whether each material is one of `kinds`: bool, one a material number."""
    return np.repeat(np.isin(MATERIALS, kinds), VARIANTS)


def texture_strength() -> np.ndarray:
    """Texture amplitude of each material number, float32."""
    return np.repeat([_TEXTURE.get(kind, 0.03) for kind in MATERIALS], VARIANTS).astype(np.float32)


def _logistic(days: float, pace: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, days / pace))))


def _season(day: float, peak: float) -> float:
    """0 to 1 through the year, 1 at day `peak`."""
    return 0.5 + 0.5 * math.cos(2 * math.pi * (day - peak) / 365)


def _mix(**shares: float) -> np.ndarray:
    return sum((share * PURE[name] for name, share in shares.items()), np.zeros(len(BANDS)))


def _crop(kind: str, day: float, vigour: float, soil: np.ndarray) -> np.ndarray:
    rise, ripe, pace, winter = _CROPS[kind]
    green = _logistic(day - rise, pace) * (1 - _logistic(day - ripe, pace * 0.7)) * 0.95
    if winter:
        green = max(green, winter * (_logistic(day - 310, 12) + 1 - _logistic(day - rise, 18)))
    dry = _logistic(day - ripe + 2, 5) * (1 - _logistic(day - ripe - 45, 9)) * 0.9
    flower = 0.8 * math.exp(-(((day - 118) / 11) ** 2)) if kind == "rape" else 0.0
    green = min(1.0, green * vigour)
    leaf = (1 - flower) * PURE["crop"] + flower * PURE["flower"]
    return green * leaf + (1 - green) * (dry * PURE["dry"] + (1 - dry) * soil)


def _reflectance(kind: str, day: float, shift: float, vigour: float, soil: np.ndarray, tint: float) -> np.ndarray:
    """Reflectance (12 bands) of one variant of `kind` on a day of the northern year."""
    own = (day + shift) % 365
    summer = _season(day, 190)
    if kind in _CROPS:
        return _crop(kind, own, vigour, soil)
    if kind == "meadow":
        mown = sum(0.35 * math.exp(-max(0.0, own - cut) / 14) for cut in (150, 215) if own >= cut)
        green = (0.55 + 0.4 * _season(own, 135)) * vigour * (1 - mown)
        return green * PURE["grass"] + (1 - green) * (0.6 * PURE["dry"] + 0.4 * soil)
    if kind in ("fallow", "rough", "heath", "wetland"):
        green = {"fallow": 0.25, "rough": 0.45, "heath": 0.4, "wetland": 0.6}[kind] + 0.25 * _season(own, 130)
        return tint * (green * PURE["grass"] + (1 - green) * (0.5 * PURE["dry"] + 0.5 * PURE["loam"]))
    if kind == "vines":
        green = 0.12 + 0.38 * _season(own, 200) * vigour
        return green * PURE["leaf"] + (1 - green) * soil
    if kind == "orchard":
        green = 0.15 + 0.45 * _logistic(own - 105, 8) * (1 - _logistic(own - 300, 10))
        return green * PURE["leaf"] + (1 - green) * (0.6 * PURE["grass"] + 0.4 * soil)
    if kind == "leafwood":
        green = _logistic(own - 108, 6) * (1 - _logistic(own - 298, 7))
        autumn = 0.35 * math.exp(-(((own - 292) / 12) ** 2))
        return tint * (green * PURE["leaf"] + (1 - green) * PURE["bare_wood"] + autumn * _mix(dry=0.6, leaf=-0.3))
    if kind == "needlewood":
        return tint * (0.85 + 0.15 * summer) * PURE["needle"]
    if kind == "lake":
        return tint * PURE["lake"]
    if kind == "river":
        murk = 0.5 + 0.5 * _season(own, 60)  # spring floods are brown
        return tint * (murk * PURE["river"] + (1 - murk) * PURE["lake"])
    if kind in ("garden", "park", "graves"):
        trees, sealed = {"garden": (0.3, 0.22), "park": (0.35, 0.03), "graves": (0.3, 0.3)}[kind]
        leaves = 0.25 + 0.75 * _logistic(own - 105, 8) * (1 - _logistic(own - 300, 10))
        crown = leaves * PURE["leaf"] + (1 - leaves) * PURE["bare_wood"]
        lawn = _mix(grass=0.5 + 0.3 * _season(own, 130), dry=0.3, loam=0.1)
        return tint * (trees * crown + (1 - trees - sealed) * lawn + sealed * PURE["concrete"])
    fixed = {
        "yard": _mix(gravel=0.5, grass=0.3, loam=0.2), "works": _mix(concrete=0.45, asphalt=0.45, grass=0.1),
        "pit": _mix(stone=0.85, clay=0.15), "rails": _mix(gravel=0.8, dry=0.15), "foil": PURE["foil"],
    }  # fmt: skip
    return tint * fixed[kind]


class Spectra:
    """Reflectance tables of one site: the variants are drawn once, a date is looked up often."""

    def __init__(self, seed: int, site: str, southern: bool) -> None:
        """`southern`: the year is shifted by half."""
        rng = generator(seed, site, "spectra")
        self._days = rng.normal(0, 9, (len(MATERIALS), VARIANTS))
        self._vigour = rng.uniform(0.72, 1.0, (len(MATERIALS), VARIANTS))
        self._clay = rng.uniform(0, 1, (len(MATERIALS), VARIANTS))
        self._wet = rng.uniform(0.8, 1.2, (len(MATERIALS), VARIANTS))
        self._tint = rng.uniform(0.85, 1.15, (len(MATERIALS), VARIANTS))
        self._shift = 182.5 if southern else 0.0

    def table(self, day_of_year: float) -> np.ndarray:
        """Reflectance of every material on a day: (materials, 12) float64."""
        day = (day_of_year + self._shift) % 365
        rows = []
        for index, kind in enumerate(MATERIALS):
            for variant in range(VARIANTS):
                clay = self._clay[index, variant]
                soil = self._wet[index, variant] * _mix(clay=clay, loam=1 - clay)
                rows.append(
                    _reflectance(
                        kind,
                        day,
                        self._days[index, variant],
                        self._vigour[index, variant],
                        soil,
                        self._tint[index, variant],
                    )
                )
        return np.array(rows)

    def winter(self, day_of_year: float) -> float:
        """1 in the middle of January (July in the south), 0 half a year later."""
        return _season((day_of_year + self._shift) % 365, 15)
