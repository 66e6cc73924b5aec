"""One Overpass API, asked politely and for so long: whole answers or one clear error, never a part of an answer."""

import json
import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from tilewright import __version__
from tilewright.errors import TilewrightError

log = logging.getLogger(__name__)

# The first version whose `is_in` knows every closed way (https://dev.overpass-api.de/blog/way_based_areas.html).
_KNOWS_WAYS: Final = (0, 7, 57)
_POLL_S: Final = 5.0  # between looks at /status while all slots are at work
_BUSY: Final = ("too busy", "rate_limited", "dispatcher")  # remarks that say nothing about the query
_SECRET: Final = 8  # letters from which a part of the URL's path may be a key


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        tries: of one query.
        wait_s: seconds before the second try; doubled at each further one, with jitter: five minutes in all.
        slot_s: the longest time, in seconds, that the server may ask to wait before one try.
        grace_s: seconds beyond the query's own timeout that the server may be silent, and that connecting may take.
        sleep: waits as many seconds.
    """

    tries: int = 6
    wait_s: float = 10.0
    slot_s: float = 600.0
    grace_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep


class _PassingError(Exception):
    """A failure that may pass: in words, and how long the server says it takes."""

    def __init__(self, words: str, after_s: float = 0.0) -> None:
        super().__init__(words)
        self.after_s = after_s


def host(url: str) -> str:
    """The server of `url`, all of it that may be shown: name, password, path and query may hold a key."""
    return urlsplit(url).netloc.rpartition("@")[2] or "(no host)"


class Api:
    """One Overpass API: sends queries, gives whole answers or an error."""

    def __init__(self, url: str, timeout_s: int, patience: Patience) -> None:
        import requests

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise TilewrightError(
                "labels: Overpass: labels.<set>.source.url is no address (https://<server>/api): mend it"
            )
        self._shown = host(url)
        secrets = [parts.username, parts.password, *(value for _, value in parse_qsl(parts.query))]
        secrets += [part for part in parts.path.split("/") if len(part) >= _SECRET and part != "interpreter"]
        self._hidden = sorted({part for part in secrets if part}, key=len, reverse=True)
        root = parts.path.rstrip("/").removesuffix("/interpreter")
        self._query_url, self._status_url = (
            urlunsplit(parts._replace(path=f"{root}/{end}", fragment="")) for end in ("interpreter", "status")
        )
        self._timeout_s = timeout_s
        self._patience = patience
        # One connection, kept: a name may stand for several servers, each with slots of its own.
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"tilewright/{__version__}"

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def ask(self, query: str) -> dict[str, Any]:
        """The whole answer to `query`.

        Raises:
            TilewrightError: where there is none after all tries, or only a part of it.
        """
        for attempt in range(1, self._patience.tries + 1):
            try:
                self._await_slot()
                return self._answer(query)
            except _PassingError as failure:
                wait = self._patience.wait_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                wait = max(wait, failure.after_s)
                if attempt == self._patience.tries or failure.after_s > self._patience.slot_s:
                    raise self._error(
                        f"no answer in {attempt} {'try' if attempt == 1 else 'tries'} ({failure})",
                        "run again when the server answers, or name another in labels.<set>.source.url; an extract "
                        "(kind: pbf) needs none",
                    ) from None
                log.warning("Overpass at %s: %s; trying again in %.0f s", self._shown, failure, wait)
            self._patience.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    def _error(self, what: str, mend: str) -> TilewrightError:
        return TilewrightError(f"labels: Overpass at {self._shown}: {what}; nothing was written: {mend}")

    def _quoted(self, text: str) -> str:
        """The beginning of what a server says, without mark-up and without what the URL hides."""
        for hidden in self._hidden:
            text = text.replace(hidden, "…")
        return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL).split())[:300]

    def _await_slot(self) -> None:
        waited = 0.0
        while (pause := self._pause()) > 0:
            if waited + pause > self._patience.slot_s:
                raise self._error(
                    f"gives this address no slot for {pause:.0f} s more, after {waited:.0f} s of waiting",
                    "run again later and with fewer jobs at a time, or use an extract (kind: pbf)",
                )
            self._patience.sleep(pause)
            waited += pause

    def _pause(self) -> float:
        """Seconds until the server has a slot for us, as its /status tells; 0 where it does not tell."""
        import requests

        try:
            response = self._session.get(self._status_url, timeout=self._patience.grace_s, allow_redirects=False)
        except requests.RequestException:  # the query will show whether the server is there
            return 0.0
        limit = re.search(r"^Rate limit: (\d+)", response.text, re.MULTILINE)
        if response.status_code != 200 or limit is None or int(limit[1]) == 0:
            return 0.0
        free = re.search(r"^(\d+) slots? available now", response.text, re.MULTILINE)
        if free and int(free[1]) > 0:
            return 0.0
        after = re.findall(r"^Slot available after: .*?, in (-?\d+) seconds", response.text, re.MULTILINE)
        return max(1.0, min(map(float, after))) if after else _POLL_S

    def _answer(self, query: str) -> dict[str, Any]:
        import requests

        grace = self._patience.grace_s
        try:
            response = self._session.post(
                self._query_url, data={"data": query}, timeout=(grace, self._timeout_s + grace), allow_redirects=False
            )
        except requests.RequestException as error:  # its text holds the URL
            raise _PassingError(_cause(error)) from None
        status = response.status_code
        if status in (408, 429) or status >= 500:
            asked = response.headers.get("Retry-After", "")
            raise _PassingError(
                f"HTTP {status}: {self._quoted(response.text)}", float(asked) if asked.isdigit() else 0.0
            )
        if status != 200:
            where = f", pointing to {host(response.headers['Location'])}" if "Location" in response.headers else ""
            raise self._error(
                f"HTTP {status}{where}: {self._quoted(response.text)}",
                "mend labels.<set>.source (url, the address without /interpreter; date)",
            )
        try:
            document = json.loads(response.content)
        except ValueError:
            raise _PassingError(f"no JSON: {self._quoted(response.text) or 'nothing at all'}") from None
        if not isinstance(document, dict):
            raise _PassingError("JSON, but no Overpass answer")
        if remark := document.get("remark"):
            words = f"a partial answer: {self._quoted(str(remark))}"
            if any(busy in str(remark).lower() for busy in _BUSY):
                raise _PassingError(words)
            raise self._error(words, "raise labels.<set>.source.timeout_s, or use an extract (kind: pbf)")
        if not isinstance(document.get("elements"), list):
            raise _PassingError("JSON, but no Overpass answer")
        version = re.match(r"Overpass API (\d+)\.(\d+)\.(\d+)", str(document.get("generator")))
        if version and tuple(map(int, version.groups())) < _KNOWS_WAYS:
            raise self._error(
                f"version {version[0][13:]} cannot tell which closed ways lie around a place",
                "name a server of version 0.7.57 or later in labels.<set>.source.url",
            )
        return document


def _cause(error: BaseException) -> str:
    """What kept a request from being answered, without its URL: requests hides it several errors deep."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return "time is out" if "Timeout" in type(error).__name__ else "the connection broke"
