"""Which offset brings a scene's pixels to harmonised DN, and the evidence for it.

Since processing baseline 04.00 (25 January 2022; and in all of Collection 1, baseline 05.00 and later, whenever it was
taken) Sentinel-2's DN carry +1000. Providers differ in whether they have taken it off again, and in what their metadata
say about it. Sentinel-1 has no such offset.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from tilewright.config.provider import Radiometry

BASELINE_WITH_OFFSET: Final = "04.00"
PLACEHOLDER: Final = "99.99"  # N9999: products made outside ESA's processing, of any version
OFFSET: Final = -1000
SCALE: Final = 1e-4  # reflectance of one DN, in all baselines
RASTER_OFFSET: Final = -0.1  # OFFSET in reflectance, as the raster extension gives it
# Earth Search v1, and v0 with the mirrors of it
FLAGS: Final = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
# Earth Search's second set of assets: ESA's own files, which nobody harmonised, whatever the flag of their item says
TWINS: Final = "-jp2"


@dataclass(frozen=True)
class Decision:
    """What to add to the pixels.

    Attributes:
        offset: 0 or −1000; None where it cannot be told from what the catalog says.
        evidence: for it, in words; why it cannot be told where it cannot.
        look: whether looking at the pixels can settle what the catalog does not.
    """

    offset: int | None
    evidence: str
    look: bool = False


def decide(
    rule: Radiometry, properties: Mapping[str, Any], baseline: str, assets: Mapping[str, Mapping[str, Any]]
) -> Decision:
    """The offset for a scene's reflectance bands, all of them alike, by the provider's rule.

    Args:
        properties: of the item.
        baseline: such as 05.11; empty where nothing names it.
        assets: the item's assets that are reflectance bands of ours, by the item's own keys.
    """
    if rule == "harmonised":
        return Decision(0, "the provider harmonises its pixels")
    if rule in ("amplitude", "power"):
        return Decision(0, f"radar {rule} has no offset")
    if rule == "baseline":
        return by_baseline(baseline)
    if rule == "raster-offset":
        return _by_raster_offset(baseline, assets)
    return _by_earth_search(properties, baseline, assets)


def by_baseline(baseline: str) -> Decision:
    """For pixels as ESA made them."""
    if not baseline:
        return Decision(None, "the item names no processing baseline")
    if baseline == PLACEHOLDER:
        return Decision(None, f"baseline {baseline} stands for products of any version")
    if baseline < BASELINE_WITH_OFFSET:
        return Decision(0, f"baseline {baseline} has no offset")
    return Decision(OFFSET, f"baseline {baseline} has offset {OFFSET}")


def _by_raster_offset(baseline: str, assets: Mapping[str, Mapping[str, Any]]) -> Decision:
    """As the raster offset says, if it is one of the two that exist, and the baseline's."""
    made = by_baseline(baseline)
    if made.offset is None:
        return made
    told = {name: raster_field(asset, "offset", 0.0) for name, asset in sorted(assets.items())}
    scales = {name: raster_field(asset, "scale", SCALE) for name, asset in sorted(assets.items())}
    for name, scale in scales.items():
        if scale is None or abs(scale - SCALE) > 1e-9:
            return Decision(None, f"asset {name} has scale {scale} instead of {SCALE:g}")
    fitting = RASTER_OFFSET if made.offset else 0.0
    for name, offset in told.items():
        if offset is None or abs(offset - fitting) > 1e-9:
            said = "is no number" if offset is None else f"is {offset:g}"
            return Decision(None, f"the raster offset of {name} {said}, but baseline {baseline} has {fitting:g}")
    return Decision(made.offset, f"raster offset {fitting:g}, as baseline {baseline} has")


def _by_earth_search(properties: Mapping[str, Any], baseline: str, assets: Mapping[str, Mapping[str, Any]]) -> Decision:
    """Earth Search's sentinel-2-l2a, whose metadata contradict each other.

    boa_offset_applied is believed where it is true; false, it has been seen on harmonised pixels
    (Element84/earth-search issues 66 and 71) and on raw ones (66). The raster offset is −0.1 on pixels that have been
    corrected (9), and on scenes that never had an offset: it tells nothing.
    """
    twins = [name for name in sorted(assets) if name.endswith(TWINS)]
    if twins and len(twins) == len(assets):
        made = by_baseline(baseline)
        return Decision(made.offset, f"ESA's own files (such as {twins[0]}): {made.evidence}")
    if twins and by_baseline(baseline).offset != 0:
        return Decision(None, f"{twins[0]} is ESA's own file, others are the provider's: take all of one kind")
    flag = next((properties[name] for name in FLAGS if properties.get(name) is not None), None)
    if flag is True:
        stale = any(raster_field(asset, "offset", 0.0) for asset in assets.values())
        note = ", the raster offset is not believed" if stale else ""
        return Decision(0, f"boa_offset_applied is true, baseline {baseline or 'unknown'}{note}")
    made = by_baseline(baseline)
    if made.offset != OFFSET:
        return made
    told = "false" if flag is False else "not told"
    return Decision(None, f"boa_offset_applied is {told} at baseline {baseline}", look=True)


def raster_field(asset: Mapping[str, Any], name: str, missing: float) -> float | None:
    """`scale` or `offset` of an asset's first band; `missing` where it is not told, None where it is no number.

    Raster 1.x has it in raster:bands, raster 2 flattened to the asset, or to its `bands` (STAC 1.1).
    """
    levels: list[tuple[Any, str]] = [(asset, f"raster:{name}")]
    for key, field in (("bands", f"raster:{name}"), ("raster:bands", name)):
        bands = asset.get(key)
        if isinstance(bands, list) and bands:
            levels.append((bands[0], field))
    told = [level[field] for level, field in levels if isinstance(level, Mapping) and level.get(field) is not None]
    if not told:
        return missing
    try:
        numbers = {float(value) for value in told}
    except (TypeError, ValueError):
        return None
    return numbers.pop() if len(numbers) == 1 else None


class Witness(NamedTuple):
    """A scene class that is dark in some band: its pixels tell whether +1000 is in them.

    Attributes:
        scl: number of the class.
        band: in which it is dark.
        raw: lower quartiles, from and below, that raw pixels of the class have and harmonised ones do not; None where
            the class never proves that pixels are raw.
    """

    name: str
    scl: int
    band: str
    raw: tuple[int, int] | None


# Measured on the five real scenes of August 2023 (32TNT, baseline 05.09, harmonised by Earth Search): the lower quartile
# of vegetation in B04 is 191 to 293 DN and its first percentile 119 to 164, so raw, with 1000 more, 1191 to 1293 and
# 1119 to 1164. That leaves 407 below HARMONISED_BELOW, 141 above the window's lower end, 707 below its upper end, and
# 219 above RAW_FLOOR. Water and snow were not to be had in B12; their windows follow from what they reflect at 2.2 um:
# water 0 to 0.01 (in sun glint more, so the window ends early), snow 0.02 to 0.2, so that bright harmonised snow looks
# as dark raw snow does: it may say that pixels are harmonised, never that they are raw. (The simulator's lower
# quartiles: vegetation 302 to 953 where it can be seen, water 5 to 10, snow 1000.)
WITNESSES: Final = (
    Witness("vegetation", 4, "B04", (1050, 2000)),
    Witness("water", 6, "B12", (950, 1100)),
    Witness("snow", 11, "B12", None),
)
HARMONISED_BELOW: Final = 700  # the lower quartile; raw DN are below 900 only where reflectance is below -0.01
RAW_FLOOR: Final = 900  # the first percentile of raw pixels: among harmonised ones, however hazy, some are darker
_DARKEST: Final = 0.1  # percent: some hundred pixels of those that are looked at
ENOUGH: Final = 500  # pixels of a class, without which it is not heard


def judge(seen: Mapping[str, np.ndarray]) -> Decision:
    """What the pixels say: harmonised (0), raw (−1000), or nothing that can be relied on.

    Args:
        seen: witness's name → (n,) DN of its class in its band, without empty pixels.
    """
    words, verdicts = [], set()
    for witness in WITNESSES:
        pixels = seen.get(witness.name, np.zeros(0))
        if pixels.size < ENOUGH:
            continue
        # "lower" picks a value that is there, so that no interpolation can round differently elsewhere
        floor, quartile = (int(value) for value in np.percentile(pixels, [1, 25], method="lower"))
        found = f"lower quartile {quartile}, first percentile {floor} of {pixels.size} pixels"
        words.append(f"{witness.name} in {witness.band}: {found}")
        if quartile < HARMONISED_BELOW:
            verdicts.add(0)
        elif witness.raw and witness.raw[0] <= quartile < witness.raw[1] and floor >= RAW_FLOOR:
            verdicts.add(OFFSET)
    told = "; ".join(words) or f"no class of {', '.join(each.name for each in WITNESSES)} has {ENOUGH} pixels"
    if len(verdicts) == 1:
        offset = verdicts.pop()
        return Decision(offset, f"{'raw' if offset else 'harmonised'} by its pixels ({told})")
    return Decision(None, f"its pixels {'contradict each other' if verdicts else 'do not tell'} ({told})")


def confirmed(made: Decision, band: str, pixels: np.ndarray) -> Decision:
    """That a scene is raw, unless any part of it is darker than raw pixels are.

    Args:
        pixels: DN of `band` all over the scene, of any class, 0 where there are none.
    """
    seen = pixels[pixels > 0]
    if not seen.size:
        return made
    darkest = int(np.percentile(seen, _DARKEST, method="lower"))
    told = f"{made.evidence.removesuffix(')')}; darkest {_DARKEST:g} % of all in {band}: {darkest})"
    if darkest >= RAW_FLOOR:
        return Decision(made.offset, told)
    return Decision(None, told.replace("raw by its pixels", "its pixels contradict each other", 1))
