"""Bytes of a dataset's files by range, from a disk or from a server.

Everything here may be pickled and used after a fork: open files are read by position (`os.pread`), so that processes
share them, and a server's client belongs to the process that made it.
"""

import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from tilewright.errors import TilewrightError

SCHEMES: Final = ("s3", "https", "http", "gs", "az")
_OPEN_FILES: Final = 64  # kept open; more would meet the limit of 256 or 1024 files that systems set for a process
# A silent line is given up sooner than a slow one. Together at most about two minutes for each request.
_CLIENT: Final = {"timeout": "120s", "read_timeout": "20s", "connect_timeout": "20s"}
_RETRIES: Final = {"max_retries": 5, "retry_timeout": timedelta(seconds=120)}

Place = tuple[int, int]
"""(first byte, number of bytes)."""


class Files(Protocol):
    """The files below a dataset's root. Paths are relative to it; every failure is a TilewrightError that names the file."""

    remote: bool

    def name(self, path: str) -> str:
        """The file as messages name it."""

    def size(self, path: str) -> int:
        """Bytes of the file."""

    def sizes(self, paths: Iterable[str]) -> dict[str, int]:
        """Bytes of those of `paths` that are there."""

    def whole(self, path: str) -> bytes:
        """All of the file."""

    def ranges(self, path: str, places: Sequence[Place]) -> list[bytes]:
        """The bytes at `places`; fewer where the file ends."""


def is_url(path: str | Path) -> bool:
    """Whether `path` names something on a server."""
    return isinstance(path, str) and "://" in path


def absolute(path: str | Path) -> Path:
    """The path wherever the process goes later, `~` taken for the home folder."""
    return Path(path).expanduser().absolute()


def files_of(root: str | Path) -> Files:
    """The files below `root`: a folder, or a URL.

    Raises:
        TilewrightError: for a URL of a scheme that is not read.
    """
    if not is_url(root):
        return LocalFiles(absolute(root))
    if urlsplit(str(root)).scheme not in SCHEMES:
        raise TilewrightError(
            f"{root}: cannot read {urlsplit(str(root)).scheme}://; use {', '.join(SCHEMES)} or a path"
        )
    return RemoteFiles(str(root))


class _Descriptor:
    """An open file, closed when nobody uses it any more: a thread may still read what another has pushed out."""

    __slots__ = ("number",)

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class LocalFiles:
    """Files in a folder."""

    remote = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: OrderedDict[str, _Descriptor] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def name(self, path: str) -> str:
        """The file as messages name it."""
        return str(self.root / path)

    def _descriptor(self, path: str) -> _Descriptor:
        found = self._open.get(path)
        if found is None:
            found = self._open[path] = _Descriptor(self.root / path)
            while len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        return found

    def size(self, path: str) -> int:
        """Bytes of the file."""
        try:
            return os.fstat(self._descriptor(path).number).st_size
        except OSError as error:
            raise self._failed(path, error) from error

    def sizes(self, paths: Iterable[str]) -> dict[str, int]:
        """Bytes of those of `paths` that are there."""
        return {path: (self.root / path).stat().st_size for path in paths if (self.root / path).is_file()}

    def whole(self, path: str) -> bytes:
        """All of the file."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise self._failed(path, error) from error

    def ranges(self, path: str, places: Sequence[Place]) -> list[bytes]:
        """The bytes at `places`; fewer where the file ends."""
        try:
            file = self._descriptor(path)
            return [os.pread(file.number, length, start) for start, length in places]
        except OSError as error:
            raise self._failed(path, error) from error

    def _failed(self, path: str, error: OSError) -> TilewrightError:
        if isinstance(error, FileNotFoundError):
            return TilewrightError(f"{self.name(path)} is missing: run the rule that makes it")
        return TilewrightError(f"{self.name(path)} cannot be read ({error.strerror})")


_runtime: int | None = None
"""The process in which obstore's threads run; they do not outlive a fork, and requests of the child would wait for ever."""


class RemoteFiles:
    """Files below a URL, through obstore. Keys and region are taken from the environment (AWS_REGION, AWS_…)."""

    remote = True

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._client: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_client": None}

    def name(self, path: str) -> str:
        """The file as messages name it."""
        return f"{self.root}/{path}"

    def _store(self) -> Any:
        global _runtime
        if _runtime not in (None, os.getpid()):
            raise TilewrightError(
                f"{self.root}: a forked process cannot read from a server: start workers anew, "
                'DataLoader(…, multiprocessing_context="spawn")'
            )
        if self._client is None:
            from obstore.store import from_url

            _runtime = os.getpid()
            # options given here hide the environment's, by which an object store without TLS is allowed
            open_line = self.root.startswith("http://") or os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
            plain: Any = {**_CLIENT, "allow_http": open_line}
            retries: Any = _RETRIES
            try:
                self._client = from_url(self.root, client_options=plain, retry_config=retries)
            except Exception as error:
                raise self._failed("", error) from error
        return self._client

    def size(self, path: str) -> int:
        """Bytes of the file."""
        store = self._store()
        try:
            return int(store.head(path)["size"])
        except Exception as error:
            raise self._failed(path, error) from error

    def sizes(self, paths: Iterable[str]) -> dict[str, int]:
        """Bytes of those of `paths` that are there: one request for each thousand files below the root, not one for each path."""
        wanted = set(paths)
        try:
            found = {str(each["path"]): int(each["size"]) for some in self._store().list() for each in some}
        except Exception as error:
            raise self._failed("", error) from error
        return {path: size for path, size in found.items() if path in wanted}

    def whole(self, path: str) -> bytes:
        """All of the file."""
        store = self._store()
        try:
            return bytes(store.get(path).bytes())
        except Exception as error:
            raise self._failed(path, error) from error

    def ranges(self, path: str, places: Sequence[Place]) -> list[bytes]:
        """The bytes at `places`, neighbours in one request; fewer where the file ends."""
        store = self._store()
        starts, lengths = [start for start, _ in places], [length for _, length in places]
        try:
            return [bytes(each) for each in store.get_ranges(path, starts=starts, lengths=lengths)]
        except Exception as error:
            raise self._failed(path, error) from error

    def _failed(self, path: str, error: Exception) -> TilewrightError:
        """One line about a failure of obstore, whose own messages go on with what its developers need."""
        from obstore.exceptions import BaseError, NotSupportedError

        if not isinstance(error, (BaseError, OSError, ValueError)):
            raise error
        if isinstance(error, FileNotFoundError):
            return TilewrightError(f"{self.name(path)} is not there (404): check the address")
        if isinstance(error, NotSupportedError) and "Range" in str(error):
            return TilewrightError(
                f"{self.name(path)} cannot be read: this server does not answer range requests; use one that does, or "
                "download the dataset"
            )
        words = " ".join(str(error).split("Debug source:")[0].split())
        return TilewrightError(
            f"{self.name(path).rstrip('/')} cannot be read ({words[:300]}): check the address and the access rights, "
            "or try again when the server answers"
        )
