"""One STAC API, asked patiently and with few requests at a time: whole answers or one error, from its own host only.

The requests are pystac-client's; sending them is ours, because urllib3's retries wait for as long as a server's Retry-After
says, cannot take a slot for each try, know nothing of bodies that are cut short, and log URLs with the keys in them.
"""

import json
import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit, urlunsplit

import requests
import urllib3
from pystac.link import Link
from pystac_client.stac_api_io import StacApiIO

from tilewright import __version__
from tilewright.catalog.hrefs import told_by_environment
from tilewright.catalog.slots import slot

log = logging.getLogger(__name__)

_JITTER: Final = 0.25
# What may pass. Earth Search answers {"message": "Forbidden"} with 403 where it throttles (Element84/earth-search#19).
_PASSING: Final = (403, 408, 425, 429)
_THROTTLED: Final = (403, 429)
_TOO_LARGE: Final = 413
_REDIRECTS: Final = 3
_LARGEST: Final = 512 * 2**20  # bytes of an answer; a page of 1000 items has some 100 MB
_PIECE: Final = 2**18
# Failures after which a small request tells a server that is down from one that is asked too much.
_SMALL_AFTER: Final = 3


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for. The defaults ride out at least `least_s` seconds, one and a half minutes.

    Attributes:
        tries: of one request.
        wait_s: seconds before the second try; doubled at each further one up to `longest_s`, with jitter.
        asked_s: the longest time, in seconds, that a server's Retry-After is heeded.
        connect_s: seconds that connecting may take.
        silence_s: seconds that a server may be silent.
        answer_s: seconds that a whole answer may take.
        sleep: waits as many seconds.
    """

    tries: int = 9
    wait_s: float = 1.0
    longest_s: float = 30.0
    asked_s: float = 120.0
    connect_s: float = 15.0
    silence_s: float = 60.0
    answer_s: float = 120.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int) -> float:
        """Seconds to wait after try `attempt` (from 1), without jitter."""
        return min(self.wait_s * 2 ** (attempt - 1), self.longest_s)

    @property
    def least_s(self) -> float:
        """Seconds from the first try to the last where each fails at once: outages shorter than this lose nothing."""
        return (1 - _JITTER) * sum(self.wait(attempt) for attempt in range(1, self.tries))


PATIENCE = Patience()


class ApiError(Exception):
    """No whole answer, in words that may be shown, and the mend; the status where a refusal was the answer."""

    def __init__(self, words: str, mend: str = "run again later, or mend the provider's url", status: int = 0) -> None:
        super().__init__(words)
        self.mend = mend
        self.status = status


class TooMuchError(ApiError):
    """The server answers, but not this request: it asks for too much."""


class _PassingError(Exception):
    """A failure that may pass: in words; the status, 0 where there is none; how long the server says it takes."""

    def __init__(self, words: str, status: int = 0, after_s: float = 0.0) -> None:
        super().__init__(words)
        self.status = status
        self.after_s = after_s


def shown(url: str) -> str:
    """A URL as messages may show it: without user, password and query, which may be keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Api(StacApiIO):
    """How pystac-client reaches one API.

    Attributes:
        root: the API's URL, without user, password and query: they go with every request.
        small: a request (method, URL, parameters) that the server must answer if it is up at all; None: there is none.
    """

    def __init__(self, url: str, parallel: int, patience: Patience | None = None) -> None:
        """Prepare; nothing is asked yet.

        Args:
            url: root of the API, perhaps with user and password, or a key in the query, as variables of the environment.
            parallel: requests that all processes may have under way at the host.
            patience: PATIENCE where None.

        Raises:
            ApiError: where `url` is no address, or names a variable that is not set.
        """
        super().__init__(max_retries=None)
        try:
            parts = urlsplit(told_by_environment(url))
        except LookupError as error:
            raise ApiError(str(error.args[0]), "set it") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ApiError(f"{shown(url)} is no address", "write the provider's url as https://<host>/<path>")
        self._scheme, self._host, self._name = parts.scheme, parts.netloc.rpartition("@")[2], parts.hostname
        self._key = parse_qsl(parts.query)
        if parts.username is not None:
            self.session.auth = (unquote(parts.username), unquote(parts.password or ""))
        secrets = [parts.username, parts.password, *(value for _, value in self._key)]
        secrets += [unquote(part) for part in secrets if part]
        self._hidden = sorted({part for part in secrets if part}, key=len, reverse=True)
        self.session.headers["User-Agent"] = f"tilewright/{__version__}"
        self.root = urlunsplit((parts.scheme, self._host, parts.path, "", ""))
        self.small: tuple[str, str, dict[str, Any]] | None = None
        self._parallel, self._patience = parallel, patience or PATIENCE

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The whole answer, a STAC document, as text. pystac-client calls this for everything.

        Raises:
            TooMuchError: where the server answers `small`, but not this.
            ApiError: where it does not answer in all tries, or refuses for good.
        """
        method = (method or "GET").upper()
        for attempt in range(1, self._patience.tries + 1):
            try:
                return self._answer(method, href, headers or {}, parameters or {})
            except _PassingError as failure:
                self.session.close()  # what is left of a spoilt answer must not begin the next one
                last = attempt == self._patience.tries
                if failure.status == _TOO_LARGE:
                    raise (TooMuchError if self.small else ApiError)(str(failure)) from None
                doubtful = failure.status not in _THROTTLED and (last or attempt == _SMALL_AFTER)
                if doubtful and self._answers_small():
                    raise TooMuchError(str(failure)) from None
                if last:
                    raise ApiError(f"no answer in {attempt} tries, the last: {failure}") from None
                wait = self._patience.wait(attempt) * random.uniform(1 - _JITTER, 1 + _JITTER)
                wait = max(wait, min(failure.after_s, self._patience.asked_s))
                log.warning("%s: %s; trying again in %.1f s", self._host, failure, wait)
            self._patience.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """As pystac-client's, but that no address is ever taken for a file's."""
        if isinstance(source, Link):
            return super().read_text(source, *args, **kwargs)
        return self.request(str(source), *args, **kwargs)

    def _answers_small(self) -> bool:
        if self.small is None:
            return False
        method, url, parameters = self.small
        try:
            self._answer(method, url, {}, parameters)
        except (_PassingError, ApiError):
            return False
        return True

    def _answer(self, method: str, href: str, headers: dict[str, str], parameters: dict[str, Any]) -> str:
        """One try."""
        url = self._own(href)
        for _ in range(_REDIRECTS + 1):
            with slot(self._host, self._parallel):
                response, body = self._sent(method, url, headers, parameters)
            if not response.is_redirect:
                return self._document(response, body)
            if method != "GET" and response.status_code not in (307, 308):
                break  # would become a GET, which asks for something else
            url = self._own(urljoin(url, response.headers["Location"]))
        raise ApiError(f"it redirects {method} {shown(url)} with {response.status_code}", "mend the provider's url")

    def _own(self, href: str) -> str:
        """A URL of this API, by our scheme and port: behind a proxy, APIs write links with the inner ones."""
        parts = urlsplit(urljoin(self.root, href))
        if parts.hostname != self._name:
            raise ApiError(
                f"its links lead to another host, {parts.hostname}",
                "give the API's own URL as the provider's url, not a mirror's",
            )
        return urlunsplit((self._scheme, self._host, parts.path, parts.query, ""))

    def _sent(
        self, method: str, url: str, headers: dict[str, str], parameters: dict[str, Any]
    ) -> tuple[requests.Response, bytes]:
        patience = self._patience
        end = time.monotonic() + patience.answer_s
        given = dict(parse_qsl(urlsplit(url).query))
        query: dict[str, Any] = {name: value for name, value in self._key if name not in given}
        told: dict[str, Any] = {"json": parameters} if method == "POST" else {}
        if method != "POST":
            query |= parameters
        body = bytearray()
        try:
            response = self.session.request(
                method, url, params=query, headers=headers, stream=True, allow_redirects=False,
                timeout=(patience.connect_s, patience.silence_s), **told,
            )  # fmt: skip
            with response:
                # not .content, whose time-out begins anew with every byte
                while piece := response.raw.read1(_PIECE, decode_content=True):
                    body += piece
                    if len(body) > _LARGEST:
                        raise _PassingError("the answer is larger than 512 MB", _TOO_LARGE)
                    if time.monotonic() > end:
                        raise _PassingError(f"no whole answer in {patience.answer_s:.0f} s")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:  # their texts hold the URL
            raise _PassingError(_cause(error)) from None
        return response, bytes(body)

    def _document(self, response: requests.Response, body: bytes) -> str:
        status = response.status_code
        text = body.decode("utf-8", errors="replace")
        if status in _PASSING or status == _TOO_LARGE or status >= 500:
            raise _PassingError(f"HTTP {status}: {self._quoted(text)}", status, _seconds(response.headers))
        if not 200 <= status < 300:
            mend = "mend the provider (url, filter, collection's id)"
            raise ApiError(f"HTTP {status}: {self._quoted(text)}", mend, status)
        try:
            document = json.loads(text)
        except ValueError:
            raise _PassingError(f"no JSON: {self._quoted(text) or 'nothing at all'}") from None
        if not isinstance(document, dict) or not {"features", "stac_version"} & set(document):
            raise _PassingError(f"no STAC document: {self._quoted(text)}")
        return text

    def _quoted(self, text: str) -> str:
        """The beginning of what a server says, without mark-up and without our keys."""
        for hidden in self._hidden:
            text = text.replace(hidden, "…")
        return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text[:10_000], flags=re.DOTALL).split())[:200]


def _seconds(headers: Any) -> float:
    """What a Retry-After asks for, as a number of seconds or as a date; 0 where there is none."""
    asked = str(headers.get("Retry-After", "")).strip()
    if asked.isdigit():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return 0.0


def _cause(error: BaseException) -> str:
    """What kept a request from being answered, without its URL: requests hides it several errors deep."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    named = type(error).__name__
    if "Timeout" in named:
        return "time is out"
    return "the body cannot be decoded" if "Decod" in named else "the connection broke"
