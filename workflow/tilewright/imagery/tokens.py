"""Signatures for Planetary Computer's blobs: a SAS token for each container, renewed before it ends.

Settings, and what a token is, are the planetary-computer package's: its variables PC_SDK_SAS_URL and PC_SDK_SUBSCRIPTION_KEY
hold here too. The request is ours: the package's waits without a time-out, and for as long as a server tells it to.
"""

import json
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tilewright.catalog.slots import slot
from tilewright.imagery.client import AnswerError, Client, WrongBytesError, address

if TYPE_CHECKING:
    from planetary_computer.sas import SASToken

_BLOBS: Final = ".blob.core.windows.net"
_OPEN: Final = "ai4edatasetspublicassets.blob.core.windows.net"  # the package does not sign for it either
_MARGIN_S: Final = 120.0  # a request set off with a token must end before the token does
_MOST: Final = 65536


class TokenError(Exception):
    """There is no token.

    Attributes:
        status: of the answer; 0 where it was none that holds a token.
        wait_s: how long the server asks us to wait.
    """

    def __init__(self, words: str, status: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(words)
        self.status = status
        self.wait_s = wait_s


class Tokens:
    """Tokens by container, for all threads: one asks, the others wait for the same token."""

    def __init__(self, client: Client, parallel: int) -> None:
        """`parallel`: requests that all jobs may have under way at the service at a time."""
        self._client = client
        self._parallel = parallel
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._known: dict[str, SASToken] = {}

    def signed(self, url: str) -> str:
        """`url` with a token, as it is where it is no blob's or has a query of its own.

        Raises:
            TokenError: where the service gives none.
            HTTPError, OSError, DetourError: where it does not answer.
        """
        container = _container(url)
        if not container:
            return url
        with self._lock:
            own = self._locks[container]
        with own:
            token = self._known.get(container)
            if token is None or token.ttl() < _MARGIN_S:
                token = self._known[container] = self._asked(container)
        return token.sign(url).href

    def forget(self, url: str) -> None:
        """Ask for another token for the container of `url`, as the server refuses the one it had."""
        self._known.pop(_container(url), None)

    def _asked(self, container: str) -> "SASToken":
        from planetary_computer.sas import SASToken
        from planetary_computer.settings import Settings

        settings = Settings.get()
        url = f"{str(settings.sas_url).rstrip('/')}/{container}"
        headers = {"Ocp-Apim-Subscription-Key": settings.subscription_key} if settings.subscription_key else {}
        place = address(url)
        shown = f"{place.scheme}://{place.netloc}{place.path}"
        try:
            with slot(place.host or "", self._parallel):
                found = self._client.whole(url, _MOST, headers)
            return SASToken(**json.loads(found))
        except AnswerError as error:
            raise TokenError(f"{shown} gives no token: {error}", error.status, error.wait_s) from error
        except (WrongBytesError, ValueError, TypeError):  # pydantic's errors are ValueErrors, and hold the token
            raise TokenError(f"{shown} answers with something else than a token") from None


def _container(url: str) -> str:
    """Account and container of a blob that needs a token; empty for any other address."""
    place = address(url)
    if not (place.host or "").endswith(_BLOBS) or place.host == _OPEN or place.query:
        return ""
    account, container = (place.host or "").split(".")[0], (place.path or "").lstrip("/").split("/")[0]
    return f"{account}/{container}" if container else ""
