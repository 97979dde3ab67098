"""A fetch that is given up ends at whatever stage it is: nobody receives beside a successor."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from prices.upstream.download import fetch
from tests.support.tiny_server import TinyServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class GivenUpError(Exception):
    """Whoever waited for the body no longer wants it."""


def give_up_when(at_stage: threading.Event) -> Callable[[int], None]:
    def look(_received: int) -> None:
        if at_stage.is_set():
            raise GivenUpError

    return look


def wait_for_the_fetching_thread() -> None:
    for thread in threading.enumerate():
        if thread.name == "background":
            thread.join(10)
            assert not thread.is_alive()


def accepted(listener: socket.socket) -> socket.socket | None:
    """Give the next connection, None where none comes in time."""
    try:
        return listener.accept()[0]
    except TimeoutError:
        return None


def test_a_fetch_given_up_while_its_name_is_looked_up_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, go_on, seen = threading.Event(), threading.Event(), list[bytes]()
    look_up = socket.getaddrinfo

    def slowly(host: Any, *args: Any, **kwargs: Any) -> Any:
        looked_up.set()
        go_on.wait(10)
        return look_up("127.0.0.1", *args, **kwargs)

    def answer(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(ANSWER)

    with TinyServer(answer) as server:
        monkeypatch.setattr(socket, "getaddrinfo", slowly)  # no real resolver hangs when it is told to
        with pytest.raises(GivenUpError):
            fetch(f"http://upstream.invalid:{server.port}", None, give_up_when(looked_up))
        go_on.set()
        wait_for_the_fetching_thread()
        monkeypatch.undo()
    assert b"".join(seen) == b""


def test_a_fetch_given_up_before_its_connection_stands_asks_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = socket.create_connection(address)  # fills the queue: the next connection has to wait
        tried = threading.Event()
        timer = threading.Timer(0.3, tried.set)
        timer.start()
        with pytest.raises(GivenUpError):
            fetch(f"http://127.0.0.1:{address[1]}", None, give_up_when(tried))
        timer.join()

        seen: list[bytes] = []
        listener.settimeout(2)  # Linux asks again after one second
        waiting.close()
        while connection := accepted(listener):
            with connection:
                connection.settimeout(5)
                seen.append(connection.recv(65536))
                if seen[-1]:
                    connection.sendall(ANSWER)
        wait_for_the_fetching_thread()
    assert b"".join(seen) == b""
    assert len(seen) > 1, "the connection was never made, so nothing was shown"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_fetch_given_up_while_it_waits_closes_its_connection(scheme: str) -> None:
    """In https it waits within the handshake, which is as far as a silent server lets it come."""
    asked, closed = threading.Event(), threading.Event()

    def be_silent(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        while connection.recv(65536):
            pass
        closed.set()

    with TinyServer(be_silent) as server:
        began = time.monotonic()
        with pytest.raises(GivenUpError):
            fetch(f"{scheme}://127.0.0.1:{server.port}", None, give_up_when(asked))
        assert closed.wait(2), "the connection is still open"
        wait_for_the_fetching_thread()
        assert time.monotonic() - began < 4


def test_a_fetch_given_up_between_two_addresses_asks_the_second_nothing() -> None:
    asked, closed, seen = threading.Event(), threading.Event(), list[bytes]()

    def answer(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))

    with TinyServer(answer) as second:

        def redirect(connection: socket.socket) -> None:
            connection.recv(65536)
            asked.set()
            closed.wait(5)
            location = b"Location: http://127.0.0.1:%d/\r\n" % second.port
            connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location + b"\r\n")

        with TinyServer(redirect) as first:
            with pytest.raises(GivenUpError):
                fetch(f"http://127.0.0.1:{first.port}", None, give_up_when(asked))
            closed.set()
            wait_for_the_fetching_thread()
    assert seen == []
