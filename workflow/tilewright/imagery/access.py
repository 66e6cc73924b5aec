"""Where an asset is opened, and as what: an item's hrefs are written by others, so only what is configured is opened.

Search refuses scenes by the same judgement; here it is made again beside the opening itself.
"""

from collections.abc import Mapping
from typing import Final

from tilewright.catalog.hrefs import refusal, rewritten, told_by_environment
from tilewright.config.provider import CollectionAccess

# GDAL would open a document that names other files (VRT, WMS, …) wherever a file's first bytes say that it is one.
_DRIVERS: Final[Mapping[str, tuple[str, ...]]] = {"tiff": ("GTiff",), "jp2": ("JP2OpenJPEG",)}


class RefusedError(Exception):
    """What is not opened, or not given, however often it is tried: the message says why, and the mend."""


def opened_at(href: str, access: CollectionAccess | None, document: bool = False) -> str:
    """Where `href` leads: corrected for its collection, judged, then rewritten as the user wants.

    Args:
        access: of the href's collection; None where the caller vouches for the href.
        document: whether a calibration XML is meant rather than a raster.

    Raises:
        RefusedError: where it leads to nothing that is configured, or a password of the mirror is not set.
    """
    if access is None:
        return href
    corrected = rewritten(href, access.rewrite)
    if why := refusal(corrected, access, document):
        raise RefusedError(f"its address {why}: only what the provider's `access` lists is opened")
    try:
        mirrors = {prefix: told_by_environment(to) for prefix, to in access.access.rewrite.items()}
    except LookupError as error:
        raise RefusedError(str(error.args[0])) from None
    return rewritten(corrected, mirrors)


def drivers(access: CollectionAccess | None) -> tuple[str, ...]:
    """The drivers that GDAL may open a collection's rasters with."""
    return _DRIVERS[access.format] if access else tuple(each for known in _DRIVERS.values() for each in known)
