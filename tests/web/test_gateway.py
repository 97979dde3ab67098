"""Requests with a body, in a real event loop without a server: how many at once, and what fails."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from web import gateway
from web.gateway import Gateway


class Scope:
    """A POST of eleven bytes."""

    http_version, server, client, scheme = "1.1", "127.0.0.1:80", "127.0.0.1:4000", "http"
    method, path, query_string = "POST", "/x", ""

    def __init__(self) -> None:
        self.headers: Any = {"content-length": "11", "content-type": "text/plain", "x-twice": "one"}


class Exchange:
    """A client that sends its body when `may_send` is set, and keeps what it is sent."""

    def __init__(self, may_send: asyncio.Event | None = None) -> None:
        self._may_send = may_send
        self.answered = threading.Event()
        self.status, self.body = 0, b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._may_send:
            await self._may_send.wait()
        yield b"hello "
        yield b"world"

    def response_bytes(self, status: int, _headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.body = status, body
        self.answered.set()


def echo(environ: dict[str, Any], start: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start("200 OK", [])
    return [environ["HTTP_X_TWICE"].encode(), b" ", environ["CONTENT_LENGTH"].encode(), b" ", body]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    runner.join()
    loop.close()


def gate(loop: asyncio.AbstractEventLoop, application: Any = echo) -> Gateway:
    made = Gateway(application)
    made.use(loop)
    return made


def test_a_thread_is_handed_the_whole_body(loop: asyncio.AbstractEventLoop) -> None:
    exchange = Exchange()
    gate(loop).answer(Scope(), exchange)
    assert exchange.answered.wait(5)
    assert (exchange.status, exchange.body) == (200, b"one 11 hello world")


def test_a_body_too_many_at_once_is_refused_and_the_others_are_answered(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "MAX_AT_ONCE", 3)
    may_send, refused, made = asyncio.Event(), Exchange(), gate(loop, refusing)
    waiting = [Exchange(may_send) for _ in range(3)]
    for exchange in (*waiting, refused):
        made.answer(Scope(), exchange)
    assert refused.answered.wait(5)
    assert (refused.status, refused.body) == (503, b"too many requests with a body at once")
    loop.call_soon_threadsafe(may_send.set)
    assert all(exchange.answered.wait(5) and exchange.status == 200 for exchange in waiting)
    later = Exchange()
    made.answer(Scope(), later)
    assert later.answered.wait(5)
    assert later.status == 200


def refusing(environ: dict[str, Any], start: Any) -> list[bytes]:
    """Answer as Flask does where reading the body raises."""
    try:
        return echo(environ, start)
    except gateway.HTTPException as reason:
        start(f"{reason.code} x", [])
        return [(reason.description or "").encode()]


def test_an_application_that_fails_is_a_500_and_not_a_silence(loop: asyncio.AbstractEventLoop) -> None:
    def fail(_environ: dict[str, Any], _start: Any) -> list[bytes]:
        raise ZeroDivisionError

    exchange = Exchange()
    gate(loop, fail).answer(Scope(), exchange)
    assert exchange.answered.wait(5)
    assert (exchange.status, exchange.body) == (500, b"")


def test_no_more_threads_answer_requests_with_a_body_than_there_may_be(
    loop: asyncio.AbstractEventLoop,
) -> None:
    at_once, most, lock, go_on = 0, 0, threading.Lock(), threading.Event()

    def slow(environ: dict[str, Any], start: Any) -> list[bytes]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            if at_once == gateway.THREADS:
                go_on.set()
        go_on.wait(5)
        with lock:
            at_once -= 1
        return echo(environ, start)

    made, exchanges = gate(loop, slow), [Exchange() for _ in range(20)]
    for exchange in exchanges:
        made.answer(Scope(), exchange)
    assert all(exchange.answered.wait(5) for exchange in exchanges)
    assert most == gateway.THREADS
