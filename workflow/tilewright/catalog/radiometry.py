"""Which offset brings a scene's pixels to harmonised DN, and the evidence for it.

Since processing baseline 04.00 (25 January 2022) Level-2A DN carry +1000. Providers differ in whether they have taken it
off again and in what their metadata say about it.
"""

from typing import Any, Final

from tilewright.config.provider import Radiometry

BASELINE_WITH_OFFSET: Final = "04.00"
OFFSET: Final = -1000


def dn_offset(rule: Radiometry, properties: dict[str, Any], baseline: str) -> tuple[int | None, str]:
    """The offset to add (0 or −1000), None where it cannot be told, and the evidence in words.

    Under `earth-search-l2a` the flag earthsearch:boa_offset_applied is trusted when true, and raster:bands' offset
    never is: the service's items give −0.1 for pixels that it has already corrected.
    """
    if rule == "harmonised":
        return 0, "provider harmonises its pixels"
    if not baseline:
        return None, "the item names no processing baseline"
    before = baseline < BASELINE_WITH_OFFSET
    if rule == "baseline":
        return (0 if before else OFFSET), f"baseline {baseline}"
    if properties.get("earthsearch:boa_offset_applied") is True:
        return 0, f"boa_offset_applied is true, baseline {baseline}"
    if before:
        return 0, f"baseline {baseline} has no offset"
    return None, f"boa_offset_applied is not true at baseline {baseline}"
