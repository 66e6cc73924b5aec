"""Runs an ASGI app on loopback, on one event loop for all of a process, and spoils its answers as faults want it."""

import asyncio
import gzip
import json
import socket
import struct
import threading
from collections import Counter
from functools import cache
from types import TracebackType
from typing import Any, Self

import uvicorn
from fault_plan import FaultPlan

Headers = list[tuple[bytes, bytes]]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="stand-ins").start()
    return loop


class AppStandIn:
    """A stand-in that starts when entered and ends when left, requests in flight included.

    Attributes:
        plan: faults by a seed.
        fails_for_s: from the first request on, the API answers 503 for so many seconds.
        latency_s: before each answer of the API.
        asked: how often each path was asked for. failed: kinds of faults dealt out.
        peak: most requests that the API had under way at a time.
    """

    plan: FaultPlan | None
    fails_for_s: float
    latency_s: float

    def app(self) -> Any:
        """The ASGI app."""
        raise NotImplementedError

    def spoilt(self, path: str, first_byte: int) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers and body that a path is to answer instead of the truth, by hand."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.peak = self._running = 0
        self._since: float | None = None
        self._inner = self.app()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._answer,
            log_level="critical",
            lifespan="off",
            interface="asgi3",
            http="h11",
            proxy_headers=False,
            access_log=False,
        )
        self._server = uvicorn.Server(config)

        async def start() -> None:
            config.load()
            self._server.lifespan = config.lifespan_class(config)
            await self._server.startup(sockets=[self._socket])

        asyncio.run_coroutine_threadsafe(start(), _loop()).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def end() -> None:
            for server in self._server.servers:
                server.close()
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            self._socket.close()

        asyncio.run_coroutine_threadsafe(end(), _loop()).result()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        path, headers = scope["path"], dict(scope["headers"])
        api = not path.startswith("/files/")
        given = await _body(receive)
        self.asked[path] += 1
        self._running += api
        self.peak = max(self.peak, self._running)
        try:
            if api:
                await asyncio.sleep(self.latency_s)
            ranged = headers.get(b"range", b"").decode()
            first_byte = int(ranged.removeprefix("bytes=").partition("-")[0] or 0) if ranged else 0
            if (by_hand := self.spoilt(path, first_byte)) is not None:
                status, told, body = by_hand
                return await _send(send, scope, status, [(n.encode(), v.encode()) for n, v in told.items()], body)
            if api and self._down():
                self.failed["outage"] += 1
                return await _send(send, scope, 503, [], b'{"message":"Service Unavailable"}')
            what = f"{scope['method']} {path}?{scope['query_string'].decode()} {ranged} {given.decode()}"
            fault = self.plan.fault(what, api) if self.plan else None
            if fault:
                self.failed[fault] += 1
            await self._told(fault, scope, given, send)
        finally:
            self._running -= api

    def _down(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        return now < self._since + self.fails_for_s

    async def _told(self, fault: str | None, scope: Any, given: bytes, send: Any) -> None:
        transport = getattr(send, "__self__", None) and send.__self__.transport
        if fault in ("reset", "stall"):
            if fault == "stall":
                await asyncio.sleep(self.plan.stall_s if self.plan else 0)
            # without lingering, closing resets
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return transport.abort()
        if fault and fault[:3].isdigit():
            after = [(b"retry-after", str(self.plan.after_s).encode())] if self.plan and fault.endswith("after") else []
            message = {"403": "Forbidden", "429": "Too Many Requests"}.get(fault[:3], "Internal server error")
            return await _send(send, scope, int(fault[:3]), after, json.dumps({"message": message}).encode())
        if fault == "whole":
            scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}
        status, headers, body = await _collected(self._inner, scope, given)
        if fault == "words":
            headers, body = [(b"content-type", b"text/html")], b"<html><h1>Maintenance</h1></html>"
        elif fault == "gzip":
            body = gzip.compress(body)
            headers = [*headers, (b"content-encoding", b"gzip")]
            body = body[: len(body) // 2] + bytes(byte ^ 0x5A for byte in body[len(body) // 2 :])
        elif fault == "length":
            body = body[: len(body) // 2]
        elif fault == "truncated":
            told = [*headers, (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": told})
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            return transport.close()  # once what was written is sent
        return await _send(send, scope, status, headers, body)


async def _body(receive: Any) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _send(send: Any, scope: Any, status: int, headers: Headers, body: bytes) -> None:
    told = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _collected(app: Any, scope: Any, given: bytes) -> tuple[int, Headers, bytes]:
    """What the app answers, its Content-Length apart."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": given, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({**scope, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}, receive, send)
    headers = [(name, value) for name, value in sent[0]["headers"] if name.lower() != b"content-length"]
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])
