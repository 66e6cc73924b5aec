"""OpenStreetMap objects that no picture from above can show: under ground, gone, or not built yet.

Tags as the OpenStreetMap wiki describes them (Key:tunnel, Key:layer, Key:location, Key:parking, Lifecycle prefix).
"""

from collections.abc import Mapping
from typing import Final

# States in which an object is written down although it is not in use: as a value (railway=abandoned), as a key of its own
# (disused=yes), and as a prefix (demolished:building=yes). Ruins are left out: they can be seen.
LIFECYCLE: Final = (
    "proposed", "planned", "construction", "disused", "abandoned", "demolished", "dismantled", "razed", "removed",
    "destroyed", "was",
)  # fmt: skip
HIDING_KEYS: Final = ("tunnel", "culvert", "layer", "location", "parking", *LIFECYCLE[:-1])
"""Keys that `visible` looks at beside those that say what an object is, and beside `<lifecycle>:<key>`."""

# An unused building still stands, and the meadow around it must not say that no building is there.
_UNUSED: Final = frozenset({"disused", "abandoned"})
_STANDING: Final = frozenset({"building", "building:part"})
# What covers the ground has a negative layer where something is drawn above it, mostly bridges: of the waterways with a layer
# below 0 in Liechtenstein (2013), 30.6 km are said to be nothing but that, 2.7 km to be in a tunnel, culvert or pipe too.
_COVER: Final = frozenset({"waterway", "water", "natural", "wetland", "landuse", "landcover"})
# A building site is what the ground is now, whatever is being built.
_SITE: Final = ("landuse", "construction")


def visible(tags: Mapping[str, str]) -> Mapping[str, str]:
    """The tags that say what can be seen; none for an object that is under ground, gone, or not built yet.

    Hidden as a whole: tunnel (any value but no: culverts and building passages too), culvert=yes, location=underground,
    parking=underground. With layer below 0, all tags but those of water and ground cover. With <lifecycle>=yes, all tags
    but landuse=construction and buildings that are disused or abandoned; so too single tags whose value is a lifecycle state
    (highway=proposed), or that the object has once more with a lifecycle prefix and the same value or yes
    (`razed:railway=rail` beside `railway=rail`; beside `railway=tram` it tells of the past).
    """
    if (
        tags.get("tunnel", "no") != "no"
        or tags.get("culvert", "no") != "no"
        or tags.get("location") == "underground"
        or tags.get("parking") == "underground"
    ):
        return {}
    states = {state for state in LIFECYCLE if tags.get(state) == "yes"}
    for key, value in tags.items():
        prefix, _, rest = key.partition(":")
        if prefix in LIFECYCLE and rest in tags and value in ("yes", tags[rest]):
            states.add(key)
    below = _below_ground(tags.get("layer", "0"))
    hidden = {key for key, value in tags.items() if _is_hidden(key, value, states) or (below and key not in _COVER)}
    return {key: value for key, value in tags.items() if key not in hidden} if hidden else tags


def _is_hidden(key: str, value: str, states: set[str]) -> bool:
    """Whether one tag does not count, where `states` are the lifecycle keys, bare or with a prefix, that apply."""
    own = {state for state in LIFECYCLE if state in states or f"{state}:{key}" in states}
    if value in LIFECYCLE:
        own.add(value)
    if key in _STANDING:
        own -= _UNUSED
    if (key, value) == _SITE:
        own.discard("construction")
    return bool(own)


def _below_ground(layer: str) -> bool:
    try:
        return max(float(part) for part in layer.split(";")) < 0
    except ValueError:  # no number: nothing is known
        return False
