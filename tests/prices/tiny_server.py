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
    """A proxy before a PostgreSQL on a Unix socket that can stand still, as a stopped process does."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._goes = threading.Event()
        self._goes.set()
        self.freeze, self.thaw = self._goes.clear, self._goes.set
        self.server = TinyServer(self._proxy)

    def _proxy(self, client: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self._path)
            threading.Thread(target=self._send_on, args=(client, server), daemon=True).start()
            self._send_on(server, client)

    def _send_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while sent := one.recv(65536):
                self._goes.wait(20)
                other.sendall(sent)


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
