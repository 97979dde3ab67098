"""Many clients at once, each on a connection of its own that it keeps, as long as they are told to ask."""

import asyncio
import hashlib
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from local.ports import HOST

ANSWER_SECONDS = 10.0


@dataclass
class Seen:
    """What the clients saw: how often each was answered, statuses, the bodies of each revision, and failures.

    A failure is told with when it was.
    """

    answers: list[int]
    statuses: Counter[int] = field(default_factory=Counter)
    bodies: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    failures: list[tuple[float, str]] = field(default_factory=list)

    @property
    def revisions(self) -> set[str]:
        """The revisions that were served."""
        return {revision for _path, revision in self.bodies}


class Crowd(threading.Thread):
    """So many clients, each asking for the published bodies in turn, about `every` seconds apart.

    A kept connection that the server has closed before a request is opened again, as HTTP clients do
    (RFC 9112, section 9.3.1). Everything else that is no answer is a failure.
    """

    PATHS = ("/api/v1/models", "/api/v1/prices")

    def __init__(self, port: int, clients: int, every: float) -> None:
        super().__init__(name="crowd")
        self._port, self._clients, self._every = port, clients, every
        self._enough = threading.Event()
        self.seen = Seen([0] * clients)

    def run(self) -> None:
        """Ask until told that it is enough."""
        asyncio.run(self._all())

    def stop(self) -> Seen:
        """Let every client finish; give what they saw."""
        self._enough.set()
        self.join()
        return self.seen

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for number in range(self._clients):
                clients.create_task(self._client(number))

    async def _client(self, number: int) -> None:
        await asyncio.sleep(self._every * number / self._clients)
        client = _Client(self._port)
        while not self._enough.is_set():
            path = self.PATHS[number % len(self.PATHS)]
            began = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status, headers, body = await client.get(path)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.seen.failures.append((time.monotonic(), f"{type(error).__name__}: {error}"))
                client.close()
            else:
                self.seen.statuses[status] += 1
                self.seen.answers[number] += 1
                if status == 200:
                    told = hashlib.sha256(body).hexdigest() + headers["etag"]
                    self.seen.bodies[path, headers["x-price-revision"]].add(told)
            await asyncio.sleep(max(0.0, began + self._every - time.monotonic()))
        client.close()


class _Client:
    """One kept connection. Every second time it asks with the validator that it knows."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._etag = ""

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Ask for a path. Raises OSError, EOFError or ValueError where what comes is no whole answer."""
        if self._streams:
            try:
                return await self._ask(path)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise
                self.close()
        self._streams = await asyncio.open_connection(HOST, self._port)
        return await self._ask(path)

    async def _ask(self, path: str) -> tuple[int, dict[str, str], bytes]:
        assert self._streams
        reader, writer = self._streams
        known = f"If-None-Match: {self._etag}\r\n" if self._etag else ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n{known}\r\n".encode())
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split(" ", 2)[1])
        lines = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", 0)) if status != 304 else 0)
        self._etag = "" if self._etag else headers.get("etag", "")
        if headers.get("connection") == "close":
            self.close()
        return status, headers, body
