"""Trying again: what may pass is given time, what is permanent is called broken, and nothing is tried for ever."""

import enum
import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import unquote, urlparse

from tilewright.catalog import Asset
from tilewright.errors import TilewrightError
from tilewright.imagery.protocol import BrokenAssetError
from tilewright.imagery.traffic import Traffic

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES: Final = 5
_SOON: Final = 3
WAIT_S = 2.0  # doubled at each try, with jitter: about half a minute in all


class Evidence(enum.Enum):
    """What a failure proves."""

    GONE = "gone"
    CORRUPT = "corrupt"  # permanent when it is seen again on bytes fetched anew
    PASSING = "passing"
    REFUSED = "refused"  # neither the file's fault nor a matter of time: somebody has to mend the configuration


class Verdict(NamedTuple):
    """A failure judged: what it proves, in words, and how long the server asks us to wait, if it does."""

    evidence: Evidence
    words: str
    wait_s: float = 0.0


class StoppedError(Exception):
    """The reader was closed while this try waited."""


def patiently(
    asset: Asset,
    work: Callable[[], T],
    judge: Callable[[Exception], Verdict],
    traffic: Traffic,
    stop: threading.Event,
    seen_corrupt: int = 0,
    where: str = "",
) -> T:
    """Run `work`, again with growing pauses while its failures may pass.

    Args:
        judge: tells what a failure proves; re-raises what it does not know.
        seen_corrupt: how often the same bytes were found corrupt before.
        where: the place in the asset, for the message.

    Raises:
        BrokenAssetError: where the asset is gone, or corrupt twice.
        TilewrightError: where the tries are used up, or would be in vain, naming scene, asset, place and the mend.
        StoppedError: when `stop` is set meanwhile.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return work()
        except Exception as error:
            evidence, words, wait_s = judge(error)
            if evidence is Evidence.REFUSED:
                raise refused_error(asset, words) from error
            if evidence is Evidence.GONE:
                raise BrokenAssetError(asset.scene_id, asset.band, f"is gone ({words})") from error
            if evidence is Evidence.CORRUPT:
                seen_corrupt += 1
                log.warning("scene %s, asset %s: %s: %s", asset.scene_id, asset.band, asset.shown, words)
                if seen_corrupt == 2:  # corrupt again on a refetch: no passing fault
                    # Which block showed it first depends on what was still to be read: that is for the log.
                    raise BrokenAssetError(asset.scene_id, asset.band, "is corrupt") from error
            if attempt == TRIES:
                mend = (
                    "mend the disk or its permissions, then run again"
                    if local_path(asset)
                    else "run again when the provider answers"
                )
                raise TilewrightError(
                    f"scene {asset.scene_id}, asset {asset.band}: {asset.shown} could not be read{where and f' {where}'} in "
                    f"{attempt} tries ({words[:300]}); "
                    f"nothing was written: {mend}"
                ) from error
            traffic.add(retries=1)
            if evidence is Evidence.CORRUPT and local_path(asset) is not None:
                continue  # a disk does not recover by waiting
            if stop.wait(max(wait_s, WAIT_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))):
                raise StoppedError from error
    raise AssertionError("unreachable: the last try returns or raises")


def soon_again(
    work: Callable[[], T], judge: Callable[[Exception], Verdict], traffic: Traffic, stop: threading.Event
) -> T:
    """Run `work`, twice more at most while its failures may pass: for one request among many of one try of `patiently`.

    GDAL begins anew when one request fails: with many requests for a try, and one in ten of them failing, five tries could all fail.

    Raises:
        Exception: the last failure, as it is.
        StoppedError: when `stop` is set meanwhile.
    """
    for attempt in range(1, _SOON + 1):
        try:
            return work()
        except Exception as error:
            evidence, _, wait_s = judge(error)
            if evidence is not Evidence.PASSING or attempt == _SOON:
                raise
            traffic.add(retries=1)
            if stop.wait(max(wait_s, WAIT_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))):
                raise StoppedError from error
    raise AssertionError("unreachable: the last try returns or raises")


def refused_error(asset: Asset, why: str) -> TilewrightError:
    """The error for an asset that is not opened, or not given to us; `why` says the mend, too."""
    return TilewrightError(
        f"scene {asset.scene_id}, asset {asset.band}: {asset.shown} is not read: {why}; nothing was written"
    )


def local_path(asset: Asset) -> Path | None:
    """The asset's path where it is a local file."""
    parts = urlparse(asset.href)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(asset.href) if parts.scheme == "" else None
