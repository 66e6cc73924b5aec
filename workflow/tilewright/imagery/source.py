"""Bytes of assets by range, wherever they are: local files, https, and buckets."""

import dataclasses
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from tilewright.catalog import Asset
from tilewright.config.provider import Bucket, CollectionAccess
from tilewright.imagery.access import RefusedError, drivers, opened_at
from tilewright.imagery.buckets import EXPIRED, S3Object, Signer, refused
from tilewright.imagery.client import (
    Answer,
    AnswerError,
    Client,
    DetourError,
    NoRangesError,
    PageError,
    WrongBytesError,
    address,
    words_of,
)
from tilewright.imagery.patience import Evidence, Verdict, local_path, patiently, refused_error
from tilewright.imagery.protocol import BrokenAssetError
from tilewright.imagery.tokens import TokenError, Tokens
from tilewright.imagery.traffic import Traffic

T = TypeVar("T")

# Of a 404: the place is missing as a whole, or is hidden from who has no right to it; of the file it says nothing.
_NO_PLACE: Final = ("NoSuchBucket", "ContainerNotFound", "ResourceNotFound", "AccountNotFound")


class EmptyFileError(Exception):
    """A file of no bytes."""


class File(Protocol):
    """Where bytes come from; safe for many threads."""

    def range(self, start: int, size: int) -> Answer:
        """Up to `size` bytes from `start`; what it raises, `judge_of` knows."""
        ...

    def length(self) -> int | None:
        """How long the file is; None where nobody says."""
        ...

    def whole(self, most: int) -> bytes:
        """All of a small file; ValueError where it has more than `most` bytes."""
        ...


class LocalFile:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def range(self, start: int, size: int) -> Answer:
        """See `File`."""
        handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            about = os.fstat(handle)
            found = os.pread(handle, size, start)
            while found and len(found) < min(size, about.st_size - start):  # network disks give large reads in parts
                part = os.pread(handle, size - len(found), start + len(found))
                found = found + part if part else b""
        finally:
            os.close(handle)
        tag = f"{about.st_ino}-{about.st_mtime_ns}"
        return Answer(memoryview(found), about.st_size, tag, "")

    def length(self) -> int | None:
        """See `File`."""
        return self._path.stat().st_size

    def whole(self, most: int) -> bytes:
        """See `File`."""
        with self._path.open("rb") as file:
            found = file.read(most + 1)
        if len(found) > most:
            raise ValueError(f"the file has more than {most} bytes")
        return found


class Place(Protocol):
    """What knows the URL of a remote file, signed anew where it has to be."""

    def url(self) -> str:
        """A URL that serves now."""
        ...

    def refused(self, error: AnswerError) -> RefusedError | None:
        """What an answer means that repeating does not change; None for others. Forgets signatures that the server refuses."""
        ...


class RemoteFile:
    """A file on a server."""

    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place

    def range(self, start: int, size: int) -> Answer:
        """See `File`."""
        return self._asked(lambda: self._client.range(self._place.url(), start, size))

    def length(self) -> int | None:
        """See `File`."""
        return self._client.length(self._place.url())

    def whole(self, most: int) -> bytes:
        """See `File`."""
        return self._asked(lambda: self._client.whole(self._place.url(), most))

    def _asked(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except AnswerError as error:
            if refusal := self._place.refused(error):
                raise refusal from error
            raise


class _Url:
    """A URL of http or https, with a SAS token where the provider has them."""

    def __init__(self, url: str, tokens: Tokens | None) -> None:
        self._url = url
        self._tokens = tokens

    def url(self) -> str:
        return self._tokens.signed(self._url) if self._tokens else self._url

    def refused(self, error: AnswerError) -> RefusedError | None:
        if self._tokens and error.status in (401, 403):
            self._tokens.forget(self._url)
        return None


class _Object:
    """An object of a bucket."""

    def __init__(self, of: S3Object, signer: Signer) -> None:
        self._of = of
        self._signer = signer

    def url(self) -> str:
        return self._signer.url(self._of)

    def refused(self, error: AnswerError) -> RefusedError | None:
        if error.code in EXPIRED:
            self._signer.forget(self._of)
        return refused(error, self._of)


class Source:
    """Byte ranges of one asset."""

    def __init__(self, file: File, traffic: Traffic, counted: str = "bytes_fetched") -> None:
        """`counted`: the count of `traffic` that the bytes go to."""
        self._file = file
        self._traffic = traffic
        self._counted = counted
        self._seen: Answer | None = None

    def anew(self, counted: str = "bytes_fetched") -> "Source":
        """The same asset with nothing remembered of it."""
        return Source(self._file, self._traffic, counted)

    def get(self, start: int, size: int) -> memoryview:
        """`size` bytes from `start`.

        Raises:
            WrongBytesError: where the answer has another length, or the file is not the one that `head` saw.
            Exception: what `File` raises; `judge_of` knows.
        """
        answer = self._asked(start, size)
        if len(answer.bytes) != size:
            raise WrongBytesError(f"{len(answer.bytes)} bytes came instead of {size}")
        if answer.page:
            raise PageError("a page came instead of bytes of the file")
        if self._seen and not answer.same_file(self._seen):
            raise WrongBytesError("the file changed while it was read")
        return answer.bytes

    def head(self, size: int) -> tuple[memoryview, int]:
        """Up to `size` bytes from the start, and how long the file is.

        Raises:
            EmptyFileError, WrongBytesError, Exception: as for `get`.
        """
        try:
            answer = self._asked(0, size)
        except (NoRangesError, AnswerError) as error:
            # of a file without bytes there is no range: servers say 200, 416 or worse
            if (isinstance(error, NoRangesError) or error.status == 416) and self._length() == 0:
                raise EmptyFileError from error
            raise
        if not answer.whole:
            raise EmptyFileError
        if len(answer.bytes) != min(size, answer.whole):
            raise WrongBytesError(f"{len(answer.bytes)} bytes came instead of {min(size, answer.whole)}")
        if bytes(answer.bytes[:64]).lstrip()[:1] in (b"<", b"{"):
            raise PageError(f"words came instead of a raster: {bytes(answer.bytes[:40])!r}")
        self._seen = answer
        return answer.bytes, answer.whole

    def _asked(self, start: int, size: int) -> Answer:
        self._traffic.add(requests=1)
        answer = self._file.range(start, size)
        self._traffic.add(**{self._counted: len(answer.bytes)})
        return answer

    def _length(self) -> int | None:
        self._traffic.add(requests=1)
        return self._file.length()


class Stores:
    """Opens assets; connections, keys and tokens are shared between them, and between threads."""

    def __init__(self, traffic: Traffic, access: Mapping[str, CollectionAccess] | None = None) -> None:
        """`access`: how each collection's assets are opened; None where the caller vouches for its assets."""
        self._traffic = traffic
        self._access = access
        self._client = Client()
        self._signer = Signer()
        self._tokens: dict[str, Tokens] = {}
        self._lock = threading.Lock()

    def access(self, asset: Asset) -> CollectionAccess | None:
        """How the asset's collection is opened.

        Raises:
            RefusedError: where nobody says.
        """
        if self._access is None:
            return None
        if asset.collection not in self._access:
            raise RefusedError(f"nothing says how collection {asset.collection} is opened")
        return self._access[asset.collection]

    def drivers(self, asset: Asset) -> tuple[str, ...]:
        """GDAL's drivers that may open the asset."""
        return drivers(self.access(asset))

    def opened(self, asset: Asset) -> Asset:
        """The asset at the address where it is opened.

        Raises:
            RefusedError: where its address is none of those configured.
        """
        return dataclasses.replace(asset, href=opened_at(asset.href, self.access(asset)))

    def source(self, asset: Asset) -> Source:
        """The bytes of an asset that is as `opened` gives it.

        Raises:
            ValueError: where its address is none.
        """
        return Source(self._file(asset), self._traffic)

    def document(
        self, asset: Asset, href: str, most_bytes: int, stop: threading.Event, parse: Callable[[bytes], T]
    ) -> T:
        """What `parse` makes of a small file that belongs to an asset, such as its calibration.

        Args:
            href: as the catalog has it; it is opened under the same rules as the asset.
            parse: raises ValueError where the bytes are not what they should be.

        Raises:
            BrokenAssetError, TilewrightError, StoppedError: as for pixels; see `patiently`.
        """
        try:
            of = dataclasses.replace(asset, href=opened_at(href, self.access(asset), document=True))
            file = self._file(of)
        except RefusedError as error:
            raise refused_error(dataclasses.replace(asset, href=href), str(error)) from error
        except ValueError as error:
            raise BrokenAssetError(asset.scene_id, asset.band, "has a document of no usable address") from error

        def read() -> T:
            self._traffic.add(requests=1)
            try:
                found = file.whole(most_bytes)
                self._traffic.add(bytes_fetched=len(found))
                return parse(found)
            except ValueError as error:
                raise CorruptDocumentError(f"{error}") from error

        return patiently(of, read, judge_of(of), self._traffic, stop)

    def _file(self, asset: Asset) -> File:
        path = local_path(asset)
        if path is not None:
            if path.absolute().parts[1:2] and path.absolute().parts[1].startswith("vsi"):
                raise ValueError("is a virtual file system of GDAL's")
            return LocalFile(path)
        parts = urlsplit(asset.href)
        if parts.scheme == "s3":
            bucket, _, key = asset.href.partition("://")[2].partition("/")
            if not bucket or not key.strip("/"):
                raise ValueError("is no object of a bucket")
            access = self.access(asset)
            settings = access.access.buckets.get(bucket, Bucket()) if access else Bucket()
            return RemoteFile(self._client, _Object(S3Object(bucket, key, settings, asset.collection), self._signer))
        address(asset.href)
        return RemoteFile(self._client, _Url(asset.href, self._tokens_for(asset)))

    def _tokens_for(self, asset: Asset) -> Tokens | None:
        access = self.access(asset)
        if access is None or access.access.sign != "planetary-computer":
            return None
        with self._lock:
            if asset.collection not in self._tokens:
                self._tokens[asset.collection] = Tokens(self._client, access.parallel)
            return self._tokens[asset.collection]


class CorruptDocumentError(Exception):
    """A document that is not what it should be."""


def judge_of(asset: Asset) -> Callable[[Exception], Verdict]:
    """Tells what a failure to read `asset` proves."""
    local = local_path(asset) is not None

    def judge(error: Exception) -> Verdict:
        if isinstance(error, RefusedError):
            return Verdict(Evidence.REFUSED, str(error))
        if isinstance(error, EmptyFileError):
            return Verdict(Evidence.CORRUPT, "the file is empty")
        if isinstance(error, CorruptDocumentError) or (isinstance(error, PageError) and local):
            return Verdict(Evidence.CORRUPT, str(error))
        if isinstance(error, (WrongBytesError, DetourError)):
            return Verdict(Evidence.PASSING, str(error))
        if isinstance(error, TokenError):
            # whom the service does not know, or what it has not, it will not know a minute later
            final = error.status in (400, 401, 404)
            return Verdict(Evidence.REFUSED if final else Evidence.PASSING, str(error), error.wait_s)
        if isinstance(error, AnswerError):
            gone = error.status in (404, 410) and error.code not in _NO_PLACE
            mend = ": renew AWS_SESSION_TOKEN, or the keys of AWS_PROFILE" if error.code in EXPIRED else ""
            return Verdict(Evidence.GONE if gone else Evidence.PASSING, f"{error}{mend}", error.wait_s)
        if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)) and local:
            # a folder that is missing as a whole may be a disk that is not mounted, but the stages see to that
            return Verdict(Evidence.GONE, "no such file")
        if isinstance(error, OSError) and local:
            return Verdict(Evidence.PASSING, error.strerror or str(error))
        if isinstance(error, (HTTPError, OSError)):
            return Verdict(Evidence.PASSING, words_of(error))
        raise error

    return judge
