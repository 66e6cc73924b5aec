"""What a scene is published as: one item as a rule; two halves, or an old and a new processing, where the settings ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tilewright.config.simulated import Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.seeded import digest

OFFSET = 1000  # added to DN from baseline 04.00 on (Sentinel-2 Products Specification, RADIO_ADD_OFFSET = -1000)
OFFSET_SINCE = "04.00"
OLD_ERROR = 500  # DN by which the pixels of a superseded product are wrong
OLD_CLASS = 7  # what a superseded product's SCL says everywhere: unclassified
HALF_OVERLAP = 4  # pixels of 60 m that both halves of a scene show, measured down a column

Level = Literal["L2A", "L1C"]


@dataclass(frozen=True)
class Product:
    """One Sentinel-2 item of a scene.

    `part`: 0 the northern half, 1 the southern one, None the whole scene. `superseded`: a newer processing exists.
    `raw`: OFFSET is in the stored DN. `flagged`: boa_offset_applied, of Level-2A.
    """

    id: str
    scene: SimScene
    level: Level
    processing_baseline: str
    part: int | None = None
    superseded: bool = False
    newer: bool = False
    raw: bool = False
    flagged: bool = True

    @property
    def datatake(self) -> str:
        """With this product's baseline."""
        return f"{self.scene.datatake.rpartition('_N')[0]}_N{self.processing_baseline}"

    @property
    def sequence(self) -> str:
        """The number in the id."""
        return self.id.split("_")[-2]


def item_id(scene: SimScene, sequence: int, level: Level) -> str:
    """Such as S2A_33TTG_20190702_0_L2A."""
    return f"{scene.id.removesuffix('_0_L2A')}_{sequence}_{level}"


def _chosen(wanted: float | list[str], key: str, settings: Simulate, scenes: Sequence[SimScene]) -> set[str]:
    """Ids of the scenes that a setting names, or that its share falls on (never on those cut by a swath's edge)."""
    if isinstance(wanted, list):
        if unknown := sorted(set(wanted) - {scene.id for scene in scenes}):
            raise TilewrightError(f"simulate.{key}: no scene is called {unknown[0]}; they are such as {scenes[0].id}")
        return set(wanted)
    return {
        scene.id
        for scene in scenes
        if scene.weather != "swath" and digest(settings.seed, scene.id, key) % 1000 < round(1000 * wanted)
    }


def _radiometry(settings: Simulate, scene: SimScene, baseline: str) -> tuple[bool, bool]:
    """Whether Level-2A pixels are raw, and what the flag says."""
    if baseline < OFFSET_SINCE:
        return False, True
    kind = settings.radiometry
    if kind == "mixed":
        kind = ("harmonised", "raw", "unsaid")[digest(settings.seed, scene.tile, scene.datetime.date(), "offset") % 3]
    return kind == "raw", kind == "harmonised"


def _newer(baseline: str) -> str:
    return "05.00" if baseline < "05.00" else "05.12"


def products(settings: Simulate, scenes: Sequence[SimScene]) -> tuple[Product, ...]:
    """All Sentinel-2 items: each scene's Level-2A (by sequence), then its Level-1C where there is that sensor.

    Raises:
        TilewrightError: for scenes that do not exist or cannot be cut, and for watermarks that an offset would spoil.
    """
    halves = _chosen(settings.halves, "halves", settings, scenes)
    twice = _chosen(settings.reprocessed, "reprocessed", settings, scenes)
    both = halves & twice
    if both and isinstance(settings.halves, list) and isinstance(settings.reprocessed, list):
        raise TilewrightError(f"simulate: {min(both)} is in halves and in reprocessed: leave it out of one of them")
    if isinstance(settings.reprocessed, list):
        halves -= both
    else:
        twice -= both
    made: list[Product] = []
    for scene in scenes:
        if scene.id in halves and scene.weather == "swath" and not settings.watermark:
            raise TilewrightError(f"simulate.halves: {scene.id} is cut by the swath's edge; choose another scene")
        first = scene.processing_baseline
        raw, flagged = _radiometry(settings, scene, first)
        levels: list[tuple[Level, bool, bool]] = [("L2A", raw, flagged)]
        if "s2_l1c" in settings.sensors:
            levels.append(("L1C", first >= OFFSET_SINCE, True))
        for level, is_raw, flag in levels:
            if scene.id in halves:
                made += [
                    Product(item_id(scene, part, level), scene, level, first, part=part, raw=is_raw, flagged=flag)
                    for part in (0, 1)
                ]
            elif scene.id in twice and level == "L2A":
                late = _newer(first)
                late_raw, late_flag = _radiometry(settings, scene, late)
                made += [
                    Product(item_id(scene, 0, level), scene, level, first, superseded=True, raw=is_raw, flagged=flag),
                    Product(item_id(scene, 1, level), scene, level, late, newer=True, raw=late_raw, flagged=late_flag),
                ]
            else:
                made.append(Product(item_id(scene, 0, level), scene, level, first, raw=is_raw, flagged=flag))
    if settings.watermark and (spoilt := [product.id for product in made if product.raw]):
        raise TilewrightError(
            f"simulate: {spoilt[0]} would be stored with the offset of baseline 04.00, which a watermark cannot carry: "
            "choose earlier years, no s2_l1c, or radiometry harmonised"
        )
    return tuple(made)
