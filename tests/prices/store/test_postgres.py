"""Connections to PostgreSQL: named, and given up by this side when the server owes an answer for too long."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine, text

from prices.errors import DatabaseUnavailableError
from prices.runtime.bounds import Limits, seconds_left, within
from prices.store import postgres
from prices.store.database import make_engine, reading, writing
from tests.support.tiny_server import Freezing

SHORT = Limits(statement=0.4)


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Freezing]:
    """A wire to PostgreSQL over TCP that can be held."""
    folder = parse_qs(urlsplit(postgres_url).query)["host"][0]
    wire = Freezing(f"{folder}/.s.PGSQL.5432")
    with wire.server:
        yield wire
        wire.thaw()


@pytest.fixture
def open_engine(wire: Freezing) -> Iterator[Callable[..., Engine]]:
    """Make engines at the other end of the wire."""
    made: list[Engine] = []

    def make(**options: Any) -> Engine:
        made.append(
            make_engine(f"postgresql+psycopg://postgres@127.0.0.1:{wire.server.port}/postgres", **options)
        )
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@contextmanager
def refused_within(least: float, most: float) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        yield
    assert least <= time.monotonic() - began < most


def test_each_connection_says_what_kind_of_process_it_is_of(open_engine: Callable[..., Engine]) -> None:
    with reading(open_engine(process="worker")) as connection:
        assert connection.scalar(text("SHOW application_name")) == "pricebeat worker"


def test_tcp_finds_out_by_itself_when_the_other_machine_is_gone(open_engine: Callable[..., Engine]) -> None:
    with reading(open_engine()) as connection:
        number = connection.connection.driver_connection.pgconn.socket  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(number)) as found:

            def of_tcp(option: int) -> int:
                return found.getsockopt(socket.IPPROTO_TCP, option)

            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert (of_tcp(socket.TCP_KEEPIDLE), of_tcp(socket.TCP_KEEPINTVL)) == (10, 3)
            assert of_tcp(socket.TCP_KEEPCNT) == 3
            assert of_tcp(socket.TCP_USER_TIMEOUT) == 10_000


def test_a_server_that_falls_silent_after_it_took_a_query_is_given_up(
    open_engine: Callable[..., Engine], wire: Freezing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SILENCE_SECONDS", 0.2)
    engine = open_engine(limits=SHORT)
    with refused_within(0.6, 3), writing(engine) as connection:
        connection.execute(text("SELECT 1"))
        wire.freeze()
        connection.execute(text("SELECT 2"))
    wire.thaw()
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT 3")) == 3  # by another connection: the answers are not mixed up
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_who_asks_decides_how_long_is_waited(open_engine: Callable[..., Engine], wire: Freezing) -> None:
    engine = open_engine()
    with refused_within(0.3, 3), within(0.3), reading(engine) as connection:
        wire.freeze()
        connection.execute(text("SELECT 2"))
    assert seconds_left() > 10**9


def test_a_bound_within_another_shortens_it_and_never_extends_it() -> None:
    with within(10):
        with within(5):
            assert 4 < seconds_left() <= 5
        with within(50):
            assert 9 < seconds_left() <= 10
        assert 9 < seconds_left() <= 10


def test_the_server_itself_ends_a_statement_that_takes_too_long(open_engine: Callable[..., Engine]) -> None:
    with (
        pytest.raises(DatabaseUnavailableError, match="QueryCanceled"),
        reading(open_engine(limits=SHORT)) as to,
    ):
        to.execute(text("SELECT pg_sleep(5)"))


def test_a_statement_that_takes_its_time_is_waited_for(open_engine: Callable[..., Engine]) -> None:
    with reading(open_engine(limits=Limits(statement=1.5))) as connection:
        assert connection.scalar(text("SELECT 1 FROM pg_sleep(1.2)")) == 1


def test_of_a_connection_of_its_own_the_limits_are_set_once_and_statements_are_prepared(
    open_engine: Callable[..., Engine],
) -> None:
    engine = open_engine(limits=Limits(statement=7))
    for _time in range(6):
        with reading(engine) as connection:
            assert connection.scalar(text("SHOW statement_timeout")) == "7s"
            connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) > 0
        assert not connection.connection.driver_connection.is_lent  # type: ignore[union-attr]
