"""TCP servers of a few lines, for what no well-behaved server does."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Handler = Callable[[socket.socket], None]


class TinyServer:
    """Calls a function with each connection, in a thread of its own; a context manager."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._handle(connection)
        except OSError:
            pass
        finally:
            connection.close()


class Freezing:
    """A proxy before a PostgreSQL on a Unix socket that can stand still, as a stopped process does.

    `swallow` makes it lose each connection on which a text is sent from then on: what was asked arrives, and
    nothing comes back.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._goes = threading.Event()
        self._goes.set()
        self._swallowed: bytes | None = None
        self.freeze, self.thaw = self._goes.clear, self._goes.set
        self.server = TinyServer(self._proxy)

    def swallow(self, text: bytes | None) -> None:
        """Lose the connections on which this text is sent; None: no more."""
        self._swallowed = text

    def _proxy(self, client: socket.socket) -> None:
        lost = threading.Event()
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self._path)
            threading.Thread(target=self._send_on, args=(client, server, lost), daemon=True).start()
            with suppress(OSError):
                while answer := server.recv(65536):
                    self._goes.wait(20)
                    if not lost.is_set():
                        client.sendall(answer)

    def _send_on(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while asked := client.recv(65536):
                self._goes.wait(20)
                if self._swallowed and self._swallowed in asked:
                    lost.set()
                server.sendall(asked)
            server.shutdown(socket.SHUT_WR)


class DroppedReply:
    """A proxy before a Redis that passes everything on, but loses one reply and the connection with it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.drop_next = False
        self.dropped = 0
        self.server = TinyServer(self._proxy)

    def _proxy(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as redis:
            threading.Thread(target=self._send_on, args=(client, redis), daemon=True).start()
            while reply := redis.recv(65536):
                if self.drop_next:
                    self.drop_next, self.dropped = False, self.dropped + 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(reply)

    @staticmethod
    def _send_on(client: socket.socket, redis: socket.socket) -> None:
        try:
            while sent := client.recv(65536):
                redis.sendall(sent)
        except OSError:
            pass
