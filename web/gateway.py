"""WSGI over granian's RSGI worker: a thread answers a request whose body has arrived, and waits for none.

Under granian's WSGI interface a view reads the body from the connection, and nothing can end that read: four
clients that sent half a body took a worker's four threads for as long as they stayed. The RSGI interface
reads bodies in an event loop, where `request_bodies` bounds them. A request without a body is answered by the
thread that granian gives it, as under the WSGI interface. Decision 0017 weighs the alternatives.
"""

import asyncio
import io
import logging
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from werkzeug.exceptions import HTTPException, ServiceUnavailable

from prices.runtime.logs import log
from web.environ import Scope, environ_of
from web.request_bodies import MAX_AT_ONCE, Refused, read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS: Final = 4
"""How many threads answer requests that came with a body, beside those that answer the others."""

LINGER_SECONDS: Final = 0.5
"""How long a connection whose body was not read is held after its answer, for the client to read that.

It is closed when nobody holds its exchange. One that is let go before the answer is written stays open (seen
with granian 2.8.7).
"""
WITHOUT_BODY: Final = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods whose body has no meaning (RFC 9110, section 9.3.1): it is not read."""

access_log = logging.getLogger("granian.access")


class Exchange(Protocol):
    """How a request's body comes in and its answer leaves (RSGI's HTTP protocol); of any thread."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send the whole answer, without waiting for the client to read it."""


class Gateway:
    """Answers requests by a WSGI application; granian hands each of its threads a request at a time."""

    def __init__(self, application: "WSGIApplication", *, access_log: bool = False) -> None:
        self._application = application
        self._access_log = access_log
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="body")
        self._bodies = 0
        self._reading: set[asyncio.Task[None]] = set()

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read bodies in the worker's event loop."""
        self._loop = loop

    def answer(self, scope: Scope, exchange: Exchange) -> None:
        """Answer a request at once, or as soon as its body is there."""
        headers = scope.headers
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            self._respond(scope, exchange, io.BytesIO(), 0)
        elif scope.method in WITHOUT_BODY:
            self._respond(scope, exchange, io.BytesIO(), 0)
            self._loop.call_soon_threadsafe(self._linger, exchange)
        else:
            self._loop.call_soon_threadsafe(self._receive, scope, exchange)

    def _receive(self, scope: Scope, exchange: Exchange) -> None:
        task = self._loop.create_task(self._read_and_respond(scope, exchange))
        self._reading.add(task)  # the loop itself holds a task weakly
        task.add_done_callback(self._reading.discard)

    async def _read_and_respond(self, scope: Scope, exchange: Exchange) -> None:
        self._bodies += 1
        try:
            body, length = await self._body(scope, exchange)
            await self._loop.run_in_executor(self._threads, self._respond, scope, exchange, body, length)
            if isinstance(body, Refused):
                self._linger(exchange)
        finally:
            self._bodies -= 1

    def _linger(self, exchange: Exchange) -> None:
        """Hold a connection whose body was not read for a moment; it is closed when nobody holds it."""
        self._loop.call_later(LINGER_SECONDS, _let_go, exchange)

    async def _body(self, scope: Scope, exchange: Exchange) -> tuple[io.IOBase, int | None]:
        announced = scope.headers.get("content-length")
        try:
            if self._bodies > MAX_AT_ONCE:
                raise ServiceUnavailable("too many requests with a body at once", retry_after=1)
            body = await read_body(exchange, None if announced is None else int(announced))
        except HTTPException as reason:
            return Refused(_alone(reason)), None
        return io.BytesIO(body), len(body)

    def _respond(self, scope: Scope, exchange: Exchange, body: io.IOBase, length: int | None) -> None:
        began = time.perf_counter()
        started = _Started()
        try:
            chunks = self._application(environ_of(scope, body, length), started)
            answer = _whole(chunks)
        except Exception as error:  # noqa: BLE001 - granian lets a thread's error pass unseen
            log.error("A request failed before it reached the application", exc_info=error)
            started, answer = _Started(), b""
        if isinstance(body, Refused):
            started.headers.append(("Connection", "close"))
        exchange.response_bytes(started.status, started.headers, answer)
        if self._access_log:
            _log_access(scope, started.status, time.perf_counter() - began)


def _let_go(_exchange: Exchange) -> None:
    """Have held an exchange until now."""


def _alone(reason: HTTPException) -> HTTPException:
    """Take off an error what holds the frames that it came through, and with them the connection."""
    reason.__traceback__ = reason.__context__ = reason.__cause__ = None
    return reason


class _Started:
    """WSGI's `start_response`, and what it was called with."""

    __slots__ = ("headers", "status")

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], *_error: object) -> Any:
        self.status, self.headers = int(status[:3]), headers


def _whole(chunks: Iterable[bytes]) -> bytes:
    """Give an answer's body in one piece: who reads it slowly then holds no thread."""
    try:
        return b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    """Log a line; what a client may put into a path is written as it came, with its %XX."""
    path = quote(scope.path, safe="/:@!$&'()*+,;=-._~")
    access_log.info("%s %s %d %.3f ms", scope.method, path, status, 1000 * seconds)
