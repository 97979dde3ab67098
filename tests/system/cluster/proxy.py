"""A TCP proxy between a process and a store: it passes bytes on, or fails in the ways that networks do."""

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ssl import SSLContext
from typing import Any, Self

from local.ports import HOST
from tests.support.ports import free_port
from tests.system.cluster.trap import Trap, WatchedConnection

PIECE = 64 * 1024
"""How many bytes are under way in one direction of a connection, apart from the system's own buffers."""

Address = tuple[str, int] | str
"""Where a server listens: host and port, or the path of a Unix socket."""


class Proxy:
    """Passes bytes between whoever connects to its port and a server; a context manager.

    Its methods may be called from any thread; each has done its work when it returns. With `tls` it speaks
    TLS to whoever connects, and to the server none.
    """

    def __init__(self, target: Address, *, tls: SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._trap: Trap | None = None
        self._links: dict[asyncio.Task[Any], list[StreamWriter]] = {}
        self._watched: dict[asyncio.Task[Any], WatchedConnection] = {}
        self.port = free_port()

    def __enter__(self) -> Self:
        self._thread.start()
        self.pass_on()
        return self

    def __exit__(self, *_error: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pass_on(self) -> None:
        """Pass everything on, also what has waited while the proxy hung."""
        self._do(self._listen(flows=True))

    def hang(self) -> None:
        """Accept every connection, and pass nothing on, on the open ones neither."""
        self._do(self._listen(flows=False))

    def refuse(self) -> None:
        """Cut every connection and refuse new ones."""
        self._do(self._stop_listening())

    def cut(self) -> None:
        """Cut every connection that is open."""
        self._do(self._cut())

    def lose(self) -> None:
        """Lose every connection that is open, without telling either end; new ones pass."""

        async def lose() -> None:
            for watched in self._watched.values():
                watched.lose()

        self._do(lose())

    def retarget(self, target: Address) -> None:
        """Cut every connection; new ones go to another server."""

        async def turn() -> None:
            self._target = target
            await self._cut()

        self._do(turn())

    def set_trap(self, trap: Trap | None) -> None:
        """Catch with this trap from now on, and with no earlier one."""
        self._trap = trap

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, *, flows: bool) -> None:
        if flows:
            self._flows.set()
        else:
            self._flows.clear()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, HOST, self.port, limit=PIECE, ssl=self._tls
            )

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        ends = self._links[link] = [writer]
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer, ends)
        finally:
            del self._links[link]
            self._watched.pop(link, None)
            for end in ends:
                end.transport.abort()

    async def _join(self, reader: StreamReader, writer: StreamWriter, ends: list[StreamWriter]) -> None:
        await self._flows.wait()
        if isinstance(self._target, str):
            server_reader, server_writer = await asyncio.open_unix_connection(self._target, limit=PIECE)
        else:
            server_reader, server_writer = await asyncio.open_connection(*self._target, limit=PIECE)
        ends.append(server_writer)
        link = asyncio.current_task()
        assert link is not None
        watched = self._watched[link] = WatchedConnection(lambda: self._trap)
        ways = [
            asyncio.create_task(self._pump(reader, server_writer, watched.to_server)),
            asyncio.create_task(self._pump(server_reader, writer, watched.to_client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if watched.is_lost:
                await asyncio.wait(ways)  # that one end has gone, the other never hears
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self, reader: StreamReader, writer: StreamWriter, judge: Callable[[bytes], bytes | None]
    ) -> None:
        while piece := await reader.read(PIECE):
            await self._flows.wait()
            passed = judge(piece)
            if passed is None:
                return
            writer.write(passed)
            await writer.drain()
