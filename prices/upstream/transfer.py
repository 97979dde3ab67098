"""The connections of one fetch, which another thread can end at whatever stage they are."""

import contextlib
import socket
import threading
from typing import Any

import requests
from requests.adapters import HTTPAdapter


class Transfer:
    """What a fetch shares with the thread that does it: the connections, and how many bytes have come."""

    def __init__(self) -> None:
        self.received = 0
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._ended = False

    def note(self, connection: socket.socket) -> socket.socket:
        """Note a connection that has just been made, and give it back.

        Raises ConnectionAbortedError, and closes it, where the transfer has ended meanwhile.
        """
        with self._lock:
            if self._ended:
                connection.close()
                raise ConnectionAbortedError("the fetch was given up")
            self._connections.append(connection.dup())  # TLS takes the connection's own number away
        return connection

    def end(self) -> None:
        """Close all connections, and refuse those to come. A thread that waits on one is woken."""
        with self._lock:
            self._ended = True
            for connection in self._connections:
                with connection, contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._connections.clear()


class OneHop(requests.Session):
    """Follows no redirect, nor looks at one: requests would read its whole body first, without limit.

    Its connections are those of a transfer.
    """

    def __init__(self, transfer: Transfer) -> None:
        super().__init__()
        self.auth = _no_more_headers  # else requests takes a password from ~/.netrc
        adapter = _NotingAdapter(transfer)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find none."""


def _no_more_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _NotingAdapter(HTTPAdapter):
    """Notes its connections as soon as they are made, before anything is sent over them."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Give a pool whose connections are noted when they are made."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not issubclass(pool.ConnectionCls, _Noted):
            pool.ConnectionCls = type("Noted", (_Noted, pool.ConnectionCls), {"transfer": self._transfer})
        return pool


class _Noted:
    """Comes before a class of urllib3's connections, http or https."""

    transfer: Transfer

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]  # urllib3's, between DNS and TLS
        return self.transfer.note(made)
