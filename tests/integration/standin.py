"""A stand-in server on loopback: it starts when entered and ends when left, requests in flight included."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class StandIn:
    """What the stand-ins share.

    Attributes:
        lock: for what the handlers count.
        over: set when the server ends, for handlers that stall.
    """

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """The class that answers; its instances find this server as `stand_in`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.lock = threading.Lock()
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (self.handler(),), {"stand_in": self}))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"
