"""Byte ranges over http and https: connections kept, silence noticed, and no redirect to another host.

urllib3 and not obstore: obstore 0.12 follows a redirect to any host, cannot be told not to, and takes the session token of S3
along. What it costs beside obstore, on benchmarks/imagery.py's work (419 MB, 222 requests; medians, two busy cores, loopback): no CPU (2.2
beside 2.1 seconds, over TLS 2.4 beside 2.5); over TLS, where nothing else slows the reading down to 150 MB/s, a quarter more time.
"""

import logging
import os
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import unquote, urljoin
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Url, make_headers, parse_url

import tilewright

# A stall is noticed by silence, not by the length of a whole answer, which a slow line may need.
SILENCE_S = 20.0
_CONNECT_S: Final = 20.0
_CONNECTIONS: Final = 16  # kept a host: as many as fetch at a time
_HOPS: Final = 5
_WORDS: Final = 4096  # bytes of an error's document that are looked at
_MOST_WAIT_S: Final = 60.0  # however long a server asks us to wait
# What requests, curl and AWS's tools take certificates from, besides OpenSSL's own SSL_CERT_FILE and SSL_CERT_DIR.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")

# urllib3 notes each request with its query, which may be a signature.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class WrongBytesError(Exception):
    """An answer that is not the range asked for, or that is of another file than the header was of."""


class PageError(WrongBytesError):
    """Words (HTML, XML, JSON) where a raster should be."""


class NoRangesError(WrongBytesError):
    """An answer with the whole file, or with a page, to a request for a part."""


class DetourError(Exception):
    """A redirect that is not followed."""


class AnswerError(Exception):
    """An answer that is none of what was asked for.

    Attributes:
        status: of HTTP.
        code: what an object store calls it (NoSuchKey, BlobNotFound); empty where it says nothing.
        region: where S3 says that the bucket is.
        wait_s: how long the server asks us to wait, bounded.
    """

    def __init__(self, status: int, code: str = "", region: str = "", wait_s: float = 0.0) -> None:
        super().__init__(f"{status}{code and f' {code}'}")
        self.status = status
        self.code = code
        self.region = region
        self.wait_s = wait_s


@dataclass(frozen=True)
class Answer:
    """Bytes of a file, and what tells the file from another.

    Attributes:
        whole: size of the file.
        tag, date: ETag and time of its last change; empty where unknown.
        page: whether the answer says of itself that it is HTML.
    """

    bytes: memoryview
    whole: int
    tag: str
    date: str
    page: bool = False

    def same_file(self, other: "Answer") -> bool:
        """Whether two answers are of the same file: by size and tag, or by date where a server gives no tags.

        Machines behind one mirror that tag the same file differently make a reading fail; to trust the date beside another
        tag would let a file pass that was replaced within a second.
        """
        by = (self.tag, other.tag) if self.tag and other.tag else (self.date, other.date)
        return self.whole == other.whole and by[0] == by[1]


class Client:
    """Asks servers for bytes; one for all threads, each of which blocks until its answer is there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._proxies: dict[tuple[str, str], str] = {}

    def range(self, url: str, start: int, size: int) -> Answer:
        """Up to `size` bytes from `start`, as many as the file has.

        Raises:
            AnswerError: for a status other than 206.
            NoRangesError, WrongBytesError: for bytes that are not those asked for.
            DetourError: for a redirect to another host.
            HTTPError, OSError: where there was no answer, or half of one; see `words_of`.
        """
        with self._asked("GET", url, {"Range": f"bytes={start}-{start + size - 1}"}) as answer:
            if answer.status == 200:
                raise NoRangesError("the server ignores Range requests: use a mirror that serves byte ranges")
            if answer.status != 206:
                raise _error(answer)
            told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", "").strip())
            if told is None:
                raise WrongBytesError("the answer does not say which bytes it brings")
            first, last, whole = (int(each) for each in told.groups())
            if first != start or last != min(start + size, whole) - 1:
                raise WrongBytesError(f"bytes {first} to {last} came instead of {start} to {start + size - 1}")
            _as_stored(answer)
            wanted = last - first + 1
            length = answer.headers.get("Content-Length", str(wanted))
            if length != str(wanted):
                raise WrongBytesError(f"{length} bytes came instead of {wanted}")
            found = answer.read(wanted, decode_content=False)
            if len(found) != wanted:
                raise WrongBytesError(f"{len(found)} bytes came instead of {wanted}")
            tag = answer.headers.get("ETag", "").removeprefix("W/").strip('"').removesuffix("-gzip")
            page = answer.headers.get("Content-Type", "").startswith("text/html")
            return Answer(memoryview(found), whole, tag, answer.headers.get("Last-Modified", ""), page)

    def whole(self, url: str, most: int, headers: Mapping[str, str] | None = None) -> bytes:
        """All of a small file.

        Raises:
            ValueError: where it has more than `most` bytes.
            AnswerError, …: as for `range`; PageError for a page of HTML.
        """
        with self._asked("GET", url, headers or {}) as answer:
            if answer.status != 200:
                raise _error(answer)
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                raise PageError("a page came instead of the file")
            _as_stored(answer)
            found = bytearray()
            while len(found) <= most and (part := answer.read(most + 1 - len(found), decode_content=False)):
                found += part
            if len(found) > most:
                raise ValueError(f"the file has more than {most} bytes")
            return bytes(found)

    def length(self, url: str) -> int | None:
        """How long the file is; None where the server does not say."""
        try:
            with self._asked("HEAD", url, {}) as answer:
                told = answer.headers.get("Content-Length", "")
                return int(told) if answer.status == 200 and told.isdigit() else None
        except (HTTPError, OSError, DetourError):
            return None

    @contextmanager
    def _asked(self, method: str, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer, after redirects within the host; its connection is kept where the answer is read to its end."""
        answer = self._after_hops(method, url, headers)
        try:
            yield answer
        finally:
            # what was not read would have to be read before the connection serves again, however much it is
            if answer.length_remaining == 0:
                answer.drain_conn()  # also of no bytes: http.client takes an answer that nobody read for one under way
                answer.release_conn()
            else:
                answer.close()

    def _after_hops(self, method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        for _ in range(_HOPS + 1):
            place = address(url)
            answer = self._pool(place).urlopen(
                method, url, redirect=False, retries=False, preload_content=False, decode_content=False,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=SILENCE_S), headers=_headers(place, headers),
            )  # fmt: skip
            target = answer.get_redirect_location()
            if not target:
                return answer
            answer.close()
            try:
                following = parse_url(urljoin(url, target))
            except ValueError:
                raise DetourError("the server redirects to what is no address") from None
            if _origin(following) != _origin(place) or following.auth:
                raise DetourError(f"the server redirects to another host, {following.host}, which is not followed")
            url = following.url
        raise DetourError(f"the server redirects more than {_HOPS} times")

    def _pool(self, place: Url) -> urllib3.PoolManager:
        """Connections to a host, through the proxy that the environment names for it."""
        to = (place.scheme or "", place.host or "")
        with self._lock:
            if to not in self._proxies:  # which some systems take their time to tell
                known = getproxies()
                self._proxies[to] = "" if proxy_bypass(to[1]) else known.get(to[0], known.get("all", ""))
            proxy = self._proxies[to]
            if proxy not in self._pools:
                self._pools[proxy] = _manager(proxy)
            return self._pools[proxy]


def _manager(proxy: str) -> urllib3.PoolManager:
    options: Any = {"maxsize": _CONNECTIONS, "num_pools": 32, "ssl_context": _tls()}
    if not proxy:
        return urllib3.PoolManager(**options)
    auth = parse_url(proxy).auth
    headers = make_headers(proxy_basic_auth=unquote(auth)) if auth else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


@cache
def _tls() -> ssl.SSLContext:
    """The system's certificates, else certifi's, and those that the environment names."""
    context = ssl.create_default_context()
    bundles = [found for name in _BUNDLES if (found := os.environ.get(name))]
    if not context.cert_store_stats()["x509_ca"]:
        import certifi

        bundles.append(certifi.where())
    for bundle in bundles:
        if os.path.isdir(bundle):  # noqa: PTH112 (whichever of the two the variable names)
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    return context


def address(url: str) -> Url:
    """The parts of a URL of http or https.

    Raises:
        ValueError: where it is none.
    """
    found = parse_url(url)
    if found.scheme not in ("http", "https") or not found.host:
        raise ValueError("is no address of http or https")
    return found


def _origin(url: Url) -> tuple[str | None, str | None, int | None]:
    return url.scheme, url.host, url.port or {"https": 443, "http": 80}.get(url.scheme or "")


def _headers(place: Url, more: Mapping[str, str]) -> dict[str, str]:
    found = {"User-Agent": f"tilewright/{tilewright.__version__}", "Accept-Encoding": "identity", **more}
    if place.auth:  # of a user's own mirror; no catalog's href may hold one
        found |= make_headers(basic_auth=unquote(place.auth))
    return found


def _as_stored(answer: urllib3.BaseHTTPResponse) -> None:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise WrongBytesError("the server compresses the file on its way, so that its bytes cannot be counted")


def _error(answer: urllib3.BaseHTTPResponse) -> AnswerError:
    """What an answer without the bytes says, by S3's and Azure's habits."""
    words = answer.read(_WORDS, decode_content=False).decode("ascii", "replace")
    code = answer.headers.get("x-ms-error-code", "") or _between(words, "Code")
    region = answer.headers.get("x-amz-bucket-region", "") or _between(words, "Region")
    wait = answer.headers.get("Retry-After", "")
    return AnswerError(
        answer.status, re.sub(r"[^A-Za-z0-9.]", "", code)[:60], re.sub(r"[^a-z0-9-]", "", region)[:30],
        min(float(wait), _MOST_WAIT_S) if wait.isdigit() else 0.0,
    )  # fmt: skip


def _between(words: str, tag: str) -> str:
    found = re.search(rf"<{tag}>([^<]*)</{tag}>", words)
    return found[1] if found else ""


def words_of(error: Exception) -> str:
    """What went wrong on the way, in words that hold no query, user or password."""
    if isinstance(error, ReadTimeoutError):
        return f"the server was silent for {SILENCE_S:g} s"
    if isinstance(error, NameResolutionError):
        return "the host's name is unknown"
    if isinstance(error, NewConnectionError):
        return f"no connection ({_cause(error)})"
    if isinstance(error, ConnectTimeoutError):  # of which the one before is a kind
        return f"no connection within {_CONNECT_S:g} s"
    if isinstance(error, SSLError):
        return f"no safe connection ({_cause(error)})"
    if isinstance(error, ProtocolError):
        return f"the answer ended before its end ({_cause(error)})"
    return _masked(str(error)) or type(error).__name__


def _cause(error: Exception) -> str:
    reason = error.__cause__ or error.__context__ or error
    return _masked(str(reason)) or type(reason).__name__


def _masked(text: str) -> str:
    """On one line, without what a URL may hide."""
    return " ".join(re.sub(r"(://)[^/@\s]+@|\?\S+", r"\1", text).split())[:200]
