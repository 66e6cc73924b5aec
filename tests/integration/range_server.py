"""Files over HTTP Range on loopback, with faults put in by hand, path by path, down to the bytes of a body.

The STAC stand-in answers a fault with a status and a body; here an answer may also lie about its length or its range, end
or stall half way, be of other bytes than the file's, or come by a detour.
"""

import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from standin import StandIn

PAGE = b"<!DOCTYPE html><html><body>We will be back soon.</body></html>"


@dataclass
class Fault:
    """What is wrong with the answers for a path.

    Attributes:
        kind: one of
            status (`code`), page (200 and HTML), page206 (HTML as if it were the range), whole (200 and all bytes),
            short, long (a count that is not the range's, told truthfully), cut (fewer bytes than told, then the end),
            elsewhere (Content-Range of other bytes), reset (before the answer), amid (reset half way),
            stall (half way, for `seconds`), drip (all of it, slowly), corrupt (bytes flipped), empty (no bytes at all),
            redirect (to `to`, else to the same path under /moved), changed (another ETag and other bytes).
        times: how many answers it spoils.
        beyond: spares requests that end before this byte, so that a file opens and then cannot be read.
        flip: bytes of the file that are corrupt, for `corrupt`.
        code: the status; of a redirect too, where it is given.
    """

    kind: str
    code: int = 0
    times: int = 10**9
    beyond: int = 0
    flip: range = range(0)
    seconds: float = 0.0
    to: str = ""


@dataclass
class RangeServer(StandIn):
    """A server of the files in `folder`, each by the path of its name.

    Attributes:
        faults: path → what is wrong with it; the first that still applies is the answer.
        asked: how often each path was asked for; ranges: (path, first byte, last byte) of every request with a range.
        targets: request lines' targets as they came.
    """

    folder: Path
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return Handler

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def put(self, path: str, *faults: Fault) -> None:
        """Make `faults` the faults of `path`."""
        self.faults[path] = list(faults)

    def spoilt(self, path: str, first: int, last: int) -> Fault | None:
        """Count a request for bytes `first` to `last`; the fault that it meets."""
        with self.lock:
            self.asked[path] += 1
            self.ranges.append((path, first, last))
            for fault in self.faults.get(path, []):
                touched = not fault.flip or (first < fault.flip.stop and last >= fault.flip.start)
                if fault.times > 0 and last >= fault.beyond and touched:
                    fault.times -= 1
                    return fault
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers one connection; a subclass may look at a request first."""

    stand_in: RangeServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: pytest shows what fails."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.stand_in.targets.append(self.path)
        path = unquote(urlsplit(self.path).path)
        moved = path.startswith("/moved/")
        file = self.stand_in.folder / (path.removeprefix("/moved") if moved else path).lstrip("/")
        if not file.is_file():
            self.stand_in.asked[path] += 1
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        data = file.read_bytes()
        ranged = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(ranged[1]) if ranged else 0
        last = min(int(ranged[2] or len(data)) if ranged else len(data), len(data) - 1)
        if self.command == "HEAD":  # faults are of bodies
            empty = any(fault.kind == "empty" for fault in self.stand_in.faults.get(path, []))
            self._send(200, b"" if empty else data, etag='"one"')
            return
        fault = None if moved else self.stand_in.spoilt(path, first, last)
        if fault is None:
            self._range(data, first, last, ranged is not None)
        else:
            spoil: Callable[[Fault, bytes, int, int], None] = getattr(self, f"_{fault.kind}")
            spoil(fault, data, first, last)

    def _range(self, data: bytes, first: int, last: int, ranged: bool = True, tag: str = '"one"') -> None:
        if ranged and first >= len(data):
            self._send(416, b"", content_range=f"bytes */{len(data)}")
        elif ranged:
            told = f"bytes {first}-{last}/{len(data)}"
            self._send(206, data[first : last + 1], content_range=told, etag=tag)
        else:
            self._send(200, data, etag=tag)

    def _send(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        """An answer; one that tells more bytes than it has ends the connection after them."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
        if length is not None and length > len(body):
            self.close_connection = True

    # -- faults ------------------------------------------------------------------------------------------------------

    def _status(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._send(fault.code, b'{"message":"no"}')

    def _page(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._send(200, PAGE, content_type="text/html")

    def _page206(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        size = last - first + 1
        body = (PAGE * (size // len(PAGE) + 1))[:size]
        self._send(206, body, content_range=f"bytes {first}-{last}/{len(data)}", content_type="text/html", etag='"one"')

    def _whole(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._send(200, data)

    def _short(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._send(206, data[first:last], content_range=f"bytes {first}-{last}/{len(data)}")

    def _long(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._send(206, data[first : last + 1] + b"more", content_range=f"bytes {first}-{last}/{len(data)}")

    def _cut(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        size = last - first + 1
        body, told = data[first : first + size // 2], {"content_range": f"bytes {first}-{last}/{len(data)}"}
        ranged = "Range" in self.headers
        self._send(206 if ranged else 200, body, length=size, **(told if ranged else {}))

    def _elsewhere(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        told = f"bytes {first + 1}-{last + 1}/{len(data)}"
        self._send(206, data[first : last + 1], content_range=told)

    def _reset(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        # closed without the farewell: the client sees "connection reset by peer"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _amid(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._cut(fault, data, first, last)
        self._reset(fault, data, first, last)

    def _stall(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._cut(fault, data, first, last)
        self.stand_in.over.wait(fault.seconds)

    def _drip(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        size = last - first + 1
        self._send(206, b"", length=size, content_range=f"bytes {first}-{last}/{len(data)}", etag='"one"')
        step = max(1, size // 8)
        for at in range(first, last + 1, step):
            time.sleep(fault.seconds / 8)
            self.wfile.write(data[at : min(at + step, last + 1)])
        self.close_connection = False

    def _corrupt(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        spoilt = bytearray(data)
        for at in fault.flip:
            spoilt[at] ^= 0xA5
        self._range(bytes(spoilt), first, last, "Range" in self.headers)

    def _empty(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._send(200, b"")

    def _redirect(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._send(fault.code or 302, b"", location=fault.to or f"{self.stand_in.url}/moved{self.path}")

    def _changed(self, fault: Fault, data: bytes, first: int, last: int) -> None:
        self._range(data[:100] + bytes(len(data) - 100), first, last, tag='"two"')
