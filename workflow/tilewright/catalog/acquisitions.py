"""Acquisitions: the products of one pass of a satellite over one place, taken as one image.

A datatake may reach a catalog in parts (a strip cut in two, a radar's slices), and each part may have been processed
more than once. Parts are mosaicked; of products that show the same ground the newest serves.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Literal

import shapely
from shapely.geometry.base import BaseGeometry

from tilewright.catalog.assets import Asset
from tilewright.catalog.scene import SUPERSEDED, Scene, scene_asset

# A product of whose ground newer ones of its datatake show this much is a duplicate. True parts of one pass share a
# seam, or, of radar slices, a few per cent; reprocessings share all but a ragged edge. It is the older product's ground
# that counts: a small newer one must not put a large older one out of use.
_SAME: Final = 0.5


@dataclass(frozen=True)
class Acquisition:
    """One image of one pass: scenes of one collection and datatake, in order of time, then id.

    Attributes:
        parts: at least one; none is refused.
    """

    parts: tuple[Scene, ...]

    @property
    def collection(self) -> str:
        """Our name of the collection."""
        return self.parts[0].collection

    @property
    def scene_id(self) -> str:
        """The first part's, which names the acquisition."""
        return self.parts[0].scene_id

    @property
    def datetime(self) -> datetime:
        """The first part's, UTC without zone."""
        return self.parts[0].datetime

    @property
    def platform(self) -> str:
        """Such as sentinel-2a."""
        return self.parts[0].platform

    @property
    def relative_orbit(self) -> int:
        """−1 where it is not known."""
        return self.parts[0].relative_orbit

    @property
    def orbit_state(self) -> str:
        """ascending, descending, or empty."""
        return self.parts[0].orbit_state

    @property
    def processing_baseline(self) -> str:
        """The parts' baselines, joined by + where they differ."""
        return "+".join(dict.fromkeys(part.processing_baseline for part in self.parts))

    @property
    def datatake(self) -> str:
        """Without its baseline."""
        return self.parts[0].datatake

    @property
    def radiometry(self) -> str:
        """The parts' evidence, joined where it differs."""
        return "; ".join(dict.fromkeys(part.radiometry for part in self.parts))

    @property
    def digest(self) -> str:
        """Of what decides the pixels of all parts."""
        if len(self.parts) == 1:
            return self.parts[0].digest
        told = "/".join(f"{part.scene_id} {part.digest}" for part in self.parts)
        return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()

    @cached_property
    def footprint(self) -> BaseGeometry:
        """All parts' outlines in EPSG:4326, cut at the antimeridian."""
        return shapely.union_all([outline_of(part) for part in self.parts])

    def assets(self, band: str) -> tuple[Asset, ...]:
        """The band's assets, of the parts that list it, in their order."""
        return tuple(asset for part in self.parts if (asset := scene_asset(part, band)) is not None)


def acquisitions(scenes: Sequence[Scene]) -> list[Acquisition]:
    """The acquisitions of the scenes that are not refused, by time, then id.

    Args:
        scenes: of one collection, with their `acquisition` filled in (`grouped`), in any order.
    """
    parts: dict[str, list[Scene]] = defaultdict(list)
    for scene in sorted(scenes, key=_place):
        if not scene.refused:
            parts[scene.acquisition].append(scene)
    return sorted((Acquisition(tuple(each)) for each in parts.values()), key=lambda one: _place(one.parts[0]))


def grouped(scenes: Sequence[Scene], duplicates: Literal["newest", "all"] = "newest") -> list[Scene]:
    """The scenes by time, then id, with `acquisition` filled in and duplicates refused, whatever order they come in.

    Of several products of the same ground in one datatake all but the newest are refused as superseded. The newest is
    that of the highest baseline, then that made last, then that with the last id. A product that is refused for
    another reason supersedes nothing: an older one that can serve does.

    Args:
        scenes: of one collection and one tile.
        duplicates: all: every product is a part.
    """
    passes: dict[str, list[Scene]] = defaultdict(list)
    for scene in scenes:
        if not scene.refused:
            passes[scene.datatake].append(scene)
    told: dict[str, Scene] = {}
    for same in passes.values():
        instead = _superseded(same) if duplicates == "newest" and len(same) > 1 else {}
        name = min((scene for scene in same if scene.scene_id not in instead), key=_place).scene_id
        for scene in same:
            refused = f"{SUPERSEDED}{instead[scene.scene_id]}" if scene.scene_id in instead else ""
            told[scene.scene_id] = dataclasses.replace(scene, acquisition=name, refused=refused)
    return sorted((told.get(scene.scene_id, scene) for scene in scenes), key=_place)


def outline_of(scene: Scene) -> BaseGeometry:
    """A scene's footprint in EPSG:4326, cut at the antimeridian; an empty one where it is not known."""
    return shapely.from_wkt(scene.footprint or "POLYGON EMPTY")


def _superseded(scenes: Sequence[Scene]) -> dict[str, str]:
    """Scenes of one datatake whose ground others show better: id → the id of that which shows the most of it."""
    newest_first = sorted(scenes, key=lambda scene: (scene.processing_baseline, scene.generated, scene.scene_id))[::-1]
    kept: list[tuple[Scene, BaseGeometry]] = []
    instead: dict[str, str] = {}
    for scene in newest_first:
        outline = outline_of(scene)
        shown = shapely.union_all([other for _, other in kept])
        if kept and _share(outline, shown) >= _SAME:
            instead[scene.scene_id] = max(kept, key=lambda one: _share(outline, one[1]))[0].scene_id
        else:
            kept.append((scene, outline))
    return instead


def _share(outline: BaseGeometry, other: BaseGeometry) -> float:
    """How much of the outline the other covers; all where one of them is not known, as such products are whole."""
    if outline.is_empty or other.is_empty:
        return 1.0
    return float(outline.intersection(other).area / outline.area)


def _place(scene: Scene) -> tuple[datetime, str]:
    return scene.datetime, scene.scene_id
