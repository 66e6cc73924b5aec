"""Bytes of assets by range: local files, https and object stores through obstore."""

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, GenericError, NotSupportedError
from obstore.store import HTTPStore, LocalStore, S3Store

from tilewright.catalog import Asset
from tilewright.imagery.patience import Evidence, Verdict, local_path
from tilewright.imagery.traffic import Traffic

_SCHEMES: Final = ("", "file", "http", "https", "s3")
# A stall is noticed by silence, not by the length of a whole answer, which a slow line may need. We retry, and count.
_CLIENT: Final[Any] = {"timeout": "300s", "read_timeout": "20s", "connect_timeout": "20s"}
_CLIENTS: Final = 32
_NO_RETRIES: Final[Any] = {"max_retries": 0, "retry_timeout": timedelta(seconds=0)}


class WrongBytesError(Exception):
    """An answer that is not the range asked for, or that is of another file than the header was of."""


class PageError(WrongBytesError):
    """Words (HTML, XML, JSON) where a raster should be."""


class EmptyFileError(Exception):
    """A file of no bytes."""


class Stores:
    """One obstore client for each server and signature, so that connections are shared; thread-safe.

    Only the last few are kept: where each asset is signed on its own, each has a client of its own.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, ...], Any] = OrderedDict()

    def source(self, asset: Asset) -> "Source | None":
        """Where the asset's bytes are; None where GDAL must open it: another scheme, a name that the client cannot send."""
        if (path := local_path(asset)) is not None:
            name = str(path.resolve())
            return Source(self._client("file"), name.lstrip("/"), self._traffic) if _sendable(name) else None
        parts = urlsplit(asset.href)
        if parts.scheme not in _SCHEMES or not _plain(parts.path):
            return None
        # The query (a signature) belongs to the client's URL; the path is percent-encoded again by the client.
        return Source(
            self._client(parts.scheme, parts.netloc, parts.query), unquote(parts.path).lstrip("/"), self._traffic
        )

    def _client(self, scheme: str, host: str = "", query: str = "") -> Any:
        key = (scheme, host, query)
        with self._lock:
            if key not in self._known:
                if scheme == "file":
                    self._known[key] = LocalStore("/")
                elif scheme == "s3":
                    # options given here hide the environment's, by which a store without TLS is allowed
                    of_s3: Any = {**_CLIENT, "allow_http": _set("AWS_ALLOW_HTTP")}
                    unsigned: Any = (
                        {"skip_signature": True} if _set("AWS_NO_SIGN_REQUEST") else {}
                    )  # GDAL's name for it
                    self._known[key] = S3Store(host, client_options=of_s3, retry_config=_NO_RETRIES, **unsigned)
                else:
                    url = f"{scheme}://{host}/" + (f"?{query}" if query else "")
                    options: Any = {**_CLIENT, "allow_http": scheme == "http"}
                    self._known[key] = HTTPStore.from_url(url, client_options=options, retry_config=_NO_RETRIES)
                if len(self._known) > _CLIENTS:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]


def _set(name: str) -> bool:
    """Whether a variable of the environment says yes."""
    return os.environ.get(name, "").lower() in ("yes", "true", "1", "on")


class Source:
    """Byte ranges of one asset."""

    def __init__(self, client: Any, path: str, traffic: Traffic, counted: str = "bytes_fetched") -> None:
        """`counted`: the count of `traffic` that the bytes go to."""
        self._counted = counted
        self._client = client
        self._path = path
        self._traffic = traffic
        self._seen: Any = None

    def anew(self, counted: str = "bytes_fetched") -> "Source":
        """The same asset with nothing remembered of it."""
        return Source(self._client, self._path, self._traffic, counted)

    def get(self, start: int, size: int) -> memoryview:
        """`size` bytes from `start`.

        Raises:
            WrongBytesError: where the answer has another length, or the file is not the one that `head` saw.
            Exception: what obstore raises; `judge` knows.
        """
        self._traffic.add(requests=1)
        answer = obstore.get(self._client, self._path, options={"range": (start, start + size)})
        found = memoryview(answer.bytes())
        self._traffic.add(**{self._counted: len(found)})
        if len(found) != size:
            raise WrongBytesError(f"{len(found)} bytes came instead of {size}")
        if answer.attributes.get("Content-Type", "").startswith("text/html"):
            raise PageError("a page came instead of bytes of the file")
        if self._seen and not _same(self._seen, answer.meta):
            raise WrongBytesError("the file changed while it was read")
        return found

    def head(self, size: int) -> tuple[memoryview, int]:
        """Up to `size` bytes from the start, and how long the file is.

        Raises:
            EmptyFileError, WrongBytesError, Exception: as for `get`.
        """
        self._traffic.add(requests=1)
        try:
            answer = obstore.get(self._client, self._path, options={"range": (0, size)})
        except (NotSupportedError, GenericError) as error:
            # of a file without bytes there is no range: servers say 200, 416 or worse
            if re.search(r"not supported by|code: 416|StartTooLarge", str(error)) and self._length() == 0:
                raise EmptyFileError from error
            raise
        found = memoryview(answer.bytes())
        self._traffic.add(**{self._counted: len(found)})
        whole = int(answer.meta["size"])
        if len(found) != min(size, whole):
            raise WrongBytesError(f"{len(found)} bytes came instead of {min(size, whole)}")
        if bytes(found[:64]).lstrip()[:1] in (b"<", b"{"):
            raise PageError(f"words came instead of a raster: {bytes(found[:40])!r}")
        self._seen = answer.meta
        return found, whole

    def _length(self) -> int | None:
        """How long the file is; None where the server does not say."""
        self._traffic.add(requests=1)
        try:
            return int(obstore.head(self._client, self._path)["size"])
        except (BaseError, OSError):
            return None


def _same(one: Any, other: Any) -> bool:
    """Whether two answers are of the same file: by size and tag, or by date where a server gives no tags.

    Machines behind one mirror that tag the same file differently make a reading fail; to trust the date beside another tag
    would let a file pass that was replaced within a second.
    """
    tags = [str(meta["e_tag"] or "").removeprefix("W/").strip('"').removesuffix("-gzip") for meta in (one, other)]
    by = tags if all(tags) else [one["last_modified"], other["last_modified"]]
    return bool(one["size"] == other["size"] and by[0] == by[1])


def _plain(path: str) -> bool:
    """Whether the client asks for exactly that path of a URL.

    It refuses empty and dotted parts and control characters, drops a last slash, and takes an encoded slash or plus, which
    object stores tell from plain ones, for a plain one.
    """
    parts = unquote(path).split("/")[1:]
    odd = re.search(r"%2f|%2b", path, re.IGNORECASE) or re.search(r"[\x00-\x1f\x7f]", unquote(path))
    return not odd and bool(parts) and not {"", ".", ".."} & set(parts)


def _sendable(name: str) -> bool:
    """Whether obstore opens a local file of that name: it keeps names that end in # and digits for itself."""
    return re.search(r"[\x00-\x1f\x7f]|#[0-9]+$", name) is None


def judge_of(asset: Asset) -> Callable[[Exception], Verdict]:
    """Tells what a failure of obstore proves about `asset`."""
    local = local_path(asset)

    def judge(error: Exception) -> Verdict:
        words = _words(error)
        if isinstance(error, EmptyFileError):
            return Verdict(Evidence.CORRUPT, "the file is empty")
        if isinstance(error, PageError) and local:
            return Verdict(Evidence.CORRUPT, words)
        if isinstance(error, WrongBytesError):
            return Verdict(Evidence.PASSING, words)
        if isinstance(error, NotSupportedError):  # also a page with status 200, which may pass
            return Verdict(Evidence.PASSING, "the server ignores Range requests: use a mirror that serves byte ranges")
        if isinstance(error, FileNotFoundError):
            # a folder that is missing as a whole may be a disk that is not mounted, but the stages see to that
            return Verdict(Evidence.GONE, "no such file" if local else "404")
        if not isinstance(error, (BaseError, OSError)):
            raise error
        if "status code: 410" in words:
            return Verdict(Evidence.GONE, "410")
        return Verdict(Evidence.PASSING, words)

    return judge


def _words(error: Exception) -> str:
    """An error's message on one line, without what obstore adds for its own developers."""
    text = re.sub(r"Error performing \w+ \S+ in \S+ - ", "", str(error).split("Debug source:")[0])
    found = re.search(r"kind: (Timeout|Connect|Interrupted|Request|Decode)", str(error))
    text = re.sub(r"(://)[^/@\s]+@|\?\S+", r"\1", text)  # users, passwords and queries, which may be signatures
    return " ".join(text.split()) + (f" ({found[1].lower()})" if found else "")
