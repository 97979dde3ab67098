"""The proxy between processes and stores fails in the ways that it is told to, and in no other."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from local.ports import HOST
from tests.system.cluster.nodes import wait_until
from tests.system.cluster.proxy import PIECE, Proxy
from tests.system.cluster.trap import Fate, Trap


class Parrot:
    """A server that says `name` and then repeats what it hears; it keeps what it heard."""

    def __init__(self, name: bytes = b"") -> None:
        self.heard = b""
        self.talks = 0
        self._name = name
        self._listener = socket.create_server((HOST, 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _client = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        self.talks += 1
        with connection:
            connection.sendall(self._name)
            while heard := connection.recv(PIECE):
                self.heard += heard
                connection.sendall(heard)
        self.talks -= 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def parrot() -> Iterator[Parrot]:
    server = Parrot()
    yield server
    server.close()


@pytest.fixture
def proxy(parrot: Parrot) -> Iterator[Proxy]:
    with Proxy(parrot.address) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as connection:
        assert ask(connection, b"are you there?") == b"are you there?"
        yield connection


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection((HOST, proxy.port), timeout=5)
    connection.settimeout(5)
    return connection


def ask(connection: socket.socket, text: bytes) -> bytes:
    """Say something and hear the whole echo, or nothing when the connection is cut."""
    connection.sendall(text)
    heard = b""
    while len(heard) < len(text) and (more := hear(connection)):
        heard += more
    return heard


def hear(connection: socket.socket) -> bytes:
    try:
        return connection.recv(PIECE)
    except ConnectionResetError:
        return b""


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(5)
    return False


def test_it_passes_on_whatever_is_said(client: socket.socket) -> None:
    text = bytes(range(256)) * 2000
    speaker = threading.Thread(target=client.sendall, args=[text])
    speaker.start()
    heard = b""
    while len(heard) < len(text):
        heard += client.recv(PIECE)
    speaker.join()
    assert heard == text


def test_it_refuses_new_connections_and_cuts_open_ones_until_it_passes_on_again(
    client: socket.socket, proxy: Proxy
) -> None:
    proxy.refuse()
    assert hear(client) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    port = proxy.port

    proxy.pass_on()

    assert proxy.port == port
    with connect(proxy) as again:
        assert ask(again, b"hello") == b"hello"


def test_while_it_hangs_it_accepts_and_says_nothing_and_later_passes_on_what_was_said(
    client: socket.socket, proxy: Proxy, parrot: Parrot
) -> None:
    proxy.hang()
    with connect(proxy) as newcomer:
        for connection in (client, newcomer):
            connection.sendall(b"anybody?")
            assert is_silent(connection)
        assert b"anybody?" not in parrot.heard

        proxy.pass_on()

        assert hear(client) == b"anybody?"
        assert hear(newcomer) == b"anybody?"


def test_while_it_hangs_it_takes_no_more_than_buffers_hold(client: socket.socket, proxy: Proxy) -> None:
    proxy.hang()
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.sendall(bytes(32 * 1024 * 1024))


def test_it_cuts_what_is_open_and_accepts_anew(client: socket.socket, proxy: Proxy) -> None:
    proxy.cut()
    assert hear(client) == b""
    with connect(proxy) as again:
        assert ask(again, b"hello") == b"hello"


def test_after_a_retarget_new_connections_go_to_another_server(client: socket.socket, proxy: Proxy) -> None:
    other = Parrot(b"other")
    proxy.retarget(other.address)
    assert hear(client) == b""
    with connect(proxy) as again:
        assert hear(again) == b"other"
    other.close()


def test_a_server_that_is_gone_looks_like_a_cut_connection(proxy: Proxy) -> None:
    with socket.create_server((HOST, 0)) as closed:
        address = closed.getsockname()
    proxy.retarget(address)
    with connect(proxy) as connection:
        assert hear(connection) == b""


@pytest.mark.parametrize(
    ("fate", "arrives", "is_cut"),
    [(Fate.CUT, False, True), (Fate.CUT_REPLY, True, True), (Fate.SWALLOW_REPLY, True, False)],
)
def test_a_trap_decides_what_becomes_of_a_request_and_its_reply(
    fate: Fate, arrives: bool, is_cut: bool, client: socket.socket, proxy: Proxy, parrot: Parrot
) -> None:
    trap = Trap(fate, b"take", b"lock")
    proxy.set_trap(trap)
    with connect(proxy) as bystander:
        assert ask(client, b"the lock, take it") == b"the lock, take it"
        assert ask(bystander, b"or lock it") == b"or lock it"
        assert not trap.has_caught

        client.sendall(b"a lo")  # in two pieces
        assert hear(client) == b"a lo"
        client.sendall(b"ck")

        if is_cut:
            assert hear(client) == b""
        else:
            assert is_silent(client)
        assert trap.has_caught
        if arrives:
            wait_until(lambda: parrot.heard.endswith(b"ck"), "the request arrives", within=5)
        else:
            assert not parrot.heard.endswith(b"ck")
        assert ask(bystander, b"take the lock") == b"take the lock"


def test_a_trap_that_was_taken_away_catches_nothing(client: socket.socket, proxy: Proxy) -> None:
    trap = Trap(Fate.CUT, b"lock")
    proxy.set_trap(trap)
    assert ask(client, b"lo") == b"lo"
    proxy.set_trap(None)
    assert ask(client, b"ck") == b"ck"
    assert not trap.has_caught


def test_it_lets_nothing_behind_when_it_ends(parrot: Parrot) -> None:
    before = threading.active_count()
    with Proxy(parrot.address) as proxy, connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"
        proxy.hang()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_a_connection_that_is_lost_passes_nothing_on_either_way_and_stays_open_at_both_ends(
    client: socket.socket, proxy: Proxy, parrot: Parrot
) -> None:
    proxy.lose()
    client.sendall(b"where are you?")
    assert is_silent(client)
    assert parrot.heard == b"are you there?"
    with connect(proxy) as another:
        assert ask(another, b"and you?") == b"and you?"
    wait_until(lambda: parrot.talks == 1, "the other end is told of a connection that was closed", within=5)
    client.close()
    with connect(proxy) as another:
        assert ask(another, b"still here?") == b"still here?"
        assert parrot.talks == 2
