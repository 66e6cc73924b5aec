"""What OSM tags say about an object before any ontology is asked: does it matter for labels, is it an area."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tilewright.vector.hidden import HIDING_KEYS, LIFECYCLE

# Objects with none of these keys are never kept. The list is fixed, and broader than any one ontology, so that editing an
# ontology never reads the extract again. Left out on purpose: `boundary` (administrative outlines are no ground cover,
# and a country's is as large as the extract), `barrier`, `route`, `addr:*`, `name`, and everything only ever found
# beside one of these keys.
LABEL_KEYS: Final[tuple[str, ...]] = (
    "aeroway", "amenity", "area:highway", "building", "building:part", "craft", "golf", "harbour", "highway", "historic",
    "landcover", "landuse", "leisure", "man_made", "military", "natural", "office", "place", "power", "public_transport",
    "railway", "shop", "sport", "surface", "tourism", "water", "waterway", "wetland",
)  # fmt: skip

# Kept beside a key above, never for their own sake: what hides an object (`hidden.py`), and what tells one wood, field or basin
# from another. Names, addresses and references are let go, so that a region has a few thousand different sets of tags rather
# than one for each object. An ontology can look at LABEL_KEYS and these.
DETAIL_KEYS: Final[tuple[str, ...]] = (
    "aerodrome", "aerodrome:type", "area", "basin", "bridge", "content", "covered", "crop", "cutting", "embankment",
    "farmland", "footway", "garden:type", "generator:method", "generator:source", "grassland", "indoor", "industrial",
    "intermittent", "junction", "leaf_cycle", "leaf_type", "level", "meadow", "orchard", "plant:source", "produce",
    "reservoir_type", "residential", "salt", "seasonal", "service", "substance", "substation", "tidal", "tracktype", "trees",
    *HIDING_KEYS,
)  # fmt: skip
KEPT_KEYS: Final = frozenset(LABEL_KEYS) | frozenset(DETAIL_KEYS)


@dataclass(frozen=True)
class PolygonRule:
    """For one key: all its values mean an area, or only those listed, or all but those listed."""

    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()

    def __call__(self, value: str) -> bool:
        """Whether a closed way with this value is an area."""
        return value in self.only if self.only is not None else value not in self.never


def _only(*values: str) -> PolygonRule:
    return PolygonRule(only=frozenset(values))


def _never(*values: str) -> PolygonRule:
    return PolygonRule(never=frozenset(values))


# The overpass-turbo list of polygon features (https://wiki.openstreetmap.org/wiki/Overpass_turbo/Polygon_Features),
# as osmnx 2 has it in `osmnx.features._POLYGON_FEATURES`; a test compares the two.
POLYGON_RULES: Final[dict[str, PolygonRule]] = {
    "aeroway": _never("taxiway"),
    "amenity": PolygonRule(),
    "area": PolygonRule(),
    "area:highway": PolygonRule(),
    "barrier": _only("city_wall", "ditch", "hedge", "retaining_wall", "spikes"),
    "boundary": PolygonRule(),
    "building": PolygonRule(),
    "building:part": PolygonRule(),
    "craft": PolygonRule(),
    "golf": PolygonRule(),
    "highway": _only("elevator", "escape", "rest_area", "services"),
    "historic": PolygonRule(),
    "indoor": PolygonRule(),
    "landuse": PolygonRule(),
    "leisure": PolygonRule(),
    "man_made": _never("cutline", "embankment", "pipeline"),
    "military": PolygonRule(),
    "natural": _never("arete", "cliff", "coastline", "ridge", "tree_row"),
    "office": PolygonRule(),
    "place": PolygonRule(),
    "power": _only("generator", "plant", "substation", "transformer"),
    "public_transport": PolygonRule(),
    "railway": _only("platform", "roundhouse", "station", "turntable"),
    "ruins": PolygonRule(),
    "shop": PolygonRule(),
    "tourism": PolygonRule(),
    "waterway": _only("boatyard", "dam", "dock", "riverbank"),
}


def closed_way_is_area(tags: Mapping[str, str]) -> bool:
    """Whether a closed way is an area rather than a line that ends where it began: `area=` first, then POLYGON_RULES."""
    if tags.get("area") == "no":
        return False
    return any(key in POLYGON_RULES and POLYGON_RULES[key](value) for key, value in tags.items())


# `disused:building` says something of an object that has `building` too.
_STATES: Final = {f"{state}:{key}": key for state in LIFECYCLE for key in LABEL_KEYS}
# What `described` looks at; whoever calls it leaves the other tags out, so that equal answers share one entry of its cache.
LOOKED_AT: Final = KEPT_KEYS | frozenset(POLYGON_RULES) | frozenset(_STATES)


def document(tags: Mapping[str, str]) -> str:
    """Tags as a feature table keeps them: JSON with sorted keys."""
    return json.dumps(dict(tags), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=200_000)
def described(tags: tuple[tuple[str, str], ...]) -> tuple[str, bool]:
    """The document of those of `tags` that are kept, and whether a closed way that has `tags` is an area."""
    found = dict(tags)
    kept = {key: value for key, value in found.items() if key in KEPT_KEYS or _STATES.get(key) in found}
    return document(kept), closed_way_is_area(found)
