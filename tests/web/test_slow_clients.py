"""Clients that are slow, silent or greedy hold nobody else up, on a real web process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from local.ports import HOST
from local.standin.client import Standin
from tests.support.site import Site
from tests.web.wire import Wire, read_reply
from web import request_bodies, server

HALF_BODY = b"POST /api/v1/cost HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
HALF_CHUNK = b"POST /api/v1/cost HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"
HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x"
GREEDY = b"GET /api/v1/models HTTP/1.1\r\nHost: x\r\n\r\n" * 20
SLACK = 5.0


@pytest.fixture(scope="module")
def wire(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    page_upstream.clear()
    folder = tmp_path_factory.mktemp("slow")
    with Site(folder, page_upstream) as site:
        site.refresh()
        with Wire(site, folder) as wire:
            yield wire


class Crowd(ExitStack):
    """Connections that stay open until the block ends."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire = wire

    def join(self, count: int, words: bytes = b"") -> list[socket.socket]:
        joined = []
        for _ in range(count):
            connection = self.enter_context(socket.create_connection((HOST, self.wire.port), timeout=20))
            connection.sendall(words)
            joined.append(connection)
        return joined


def slowest(wire: Wire, seconds: float) -> float:
    """Ask for health and the list over new connections for a while; tell how long the slowest answer took."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        for path in ("/healthz", "/api/v1/models"):
            began = time.monotonic()
            assert wire.send(path, "GET", "Accept-Encoding: gzip").status == 200
            longest = max(longest, time.monotonic() - began)
    return longest


def test_half_bodies_half_heads_and_idle_connections_hold_nobody_up(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        crowd.join(32, HALF_BODY)
        crowd.join(32, HALF_CHUNK)
        crowd.join(64, HALF_HEAD)
        crowd.join(200)
        assert slowest(wire, 3) < 1


def test_clients_that_do_not_read_what_they_ask_for_hold_nobody_up(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        crowd.join(64, GREEDY)
        assert slowest(wire, 2) < 1


def test_far_more_idle_connections_than_threads_keep_nobody_out(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        crowd.join(1500)
        assert slowest(wire, 2) < 1


def test_a_body_that_does_not_come_is_answered_and_its_connection_closed(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        waiting = [*crowd.join(1, HALF_BODY), *crowd.join(1, HALF_CHUNK)]
        trickling = crowd.join(1, HALF_BODY)[0]
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.2):
                try:
                    trickling.sendall(b" ")
                except OSError:
                    return

        sender = threading.Thread(target=trickle)
        sender.start()
        began = time.monotonic()
        try:
            replies = [read_reply(connection) for connection in (*waiting, trickling)]
        finally:
            stop.set()
            sender.join()
        took = time.monotonic() - began
    assert [reply.status for reply in replies] == [408] * 3
    assert all(reply.headers["content-type"] == "application/problem+json" for reply in replies)
    assert took < request_bodies.MAX_SECONDS + SLACK


def test_a_head_that_does_not_come_and_a_connection_without_one_are_closed(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        (half,), (idle,) = crowd.join(1, HALF_HEAD), crowd.join(1)
        (kept,) = crowd.join(1, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        for connection in (half, idle, kept):
            while connection.recv(65536):
                pass
        assert time.monotonic() - began < server.HEAD_SECONDS + SLACK


@pytest.mark.parametrize("length", [request_bodies.MAX_BYTES + 1, 512 * 1024, 2**40])
def test_a_body_that_is_too_long_is_refused_though_it_never_ends(length: int, wire: Wire) -> None:
    with Crowd(wire) as crowd:
        head = b"POST /api/v1/cost HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
        (connection,) = crowd.join(1, head)
        try:
            for _ in range(min(length, 2**20) // 65536 + 1):
                connection.sendall(b" " * min(65536, length))
        except OSError:
            pass  # it was closed already
        assert read_reply(connection).status == 413


def test_a_body_that_nobody_asks_for_is_not_waited_for(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        (connection,) = crowd.join(1, b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        began = time.monotonic()
        assert read_reply(connection).status == 200
        assert time.monotonic() - began < SLACK


def test_a_body_that_ends_early_is_no_request(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        (connection,) = crowd.join(1, HALF_BODY)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)  # whether or not an answer comes, the connection ends
    assert wire.send("/healthz").status == 200


def test_a_client_that_waits_to_be_asked_for_its_body_is(wire: Wire) -> None:
    body = b'{"model":"nobody/nothing","usage":{}}'
    with Crowd(wire) as crowd:
        head = b"POST /api/v1/cost HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        (connection,) = crowd.join(1, head % len(body))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_a_head_is_bounded(wire: Wire) -> None:
    assert wire.send("/healthz", "GET", "X-Long: " + "x" * 2 * server.MAX_HEAD).status == 431
    assert wire.send("/healthz", "GET", *(f"X-{number}: 1" for number in range(200))).status == 431


def test_http_2_without_tls_is_not_spoken(wire: Wire) -> None:
    with Crowd(wire) as crowd:
        (connection,) = crowd.join(1, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        answer = connection.recv(65536)
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer


def test_slow_clients_leave_nothing_behind(wire: Wire) -> None:
    def crowd_comes_and_goes() -> None:
        with Crowd(wire) as crowd:
            crowd.join(200, HALF_BODY)
            crowd.join(200, HALF_HEAD)
            assert wire.send("/healthz").status == 200

    crowd_comes_and_goes()
    _settle(wire)
    before = (wire.threads(), wire.resident_kib())
    for _ in range(3):
        crowd_comes_and_goes()
    _settle(wire)
    assert wire.threads() <= before[0]
    assert wire.resident_kib() < before[1] + 16 * 1024


def _settle(wire: Wire) -> None:
    """Wait until only a few sockets are open."""
    deadline = time.monotonic() + 20
    while wire.sockets() > 20:
        assert time.monotonic() < deadline, f"{wire.sockets()} sockets are open"
        time.sleep(0.1)
