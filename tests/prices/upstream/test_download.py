"""Upstream over HTTP: what is asked, of whom, how long and how much."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from local.standin.client import Standin
from prices.errors import ClaimLostError, UpstreamError, in_full
from prices.upstream import download
from prices.upstream.download import fetch
from prices.upstream.model_list import parse
from tests.support.laws import examples
from tests.support.tiny_server import TinyServer

KEY = "sk-or-a-very-secret-key"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


# What is asked, and of whom


def test_one_request_says_who_asks_and_brings_the_whole_body(standin: Standin) -> None:
    whole = fetch(standin.base_url, None)

    (request,) = standin.requests()["log"]
    assert request["path"] == "/api/v1/models"
    assert request["headers"] == {
        "user-agent": download.USER_AGENT,
        "authorization": False,
        "accept-encoding": "gzip",
    }
    assert len(parse(whole).models) > 40


def asked(answers: Iterator[bytes], seen: list[bytes]) -> TinyServer:
    def handle(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(next(answers))

    return TinyServer(handle)


def whole_answer(content: bytes, *headers: bytes) -> bytes:
    lines = [HEAD, b"Content-Length: %d\r\n" % len(content), b"Connection: close\r\n", *headers]
    return b"".join([*lines, b"\r\n", content])


def moved_to(url: str) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % url.encode()


def test_the_key_goes_into_the_header(standin: Standin) -> None:
    seen: list[bytes] = []
    with asked(repeat(whole_answer(b"{}")), seen) as server:
        fetch(f"http://127.0.0.1:{server.port}", f"Bearer {KEY}")
    assert f"Authorization: Bearer {KEY}\r\n".encode() in seen[0]


def test_the_key_follows_a_redirect_within_one_address() -> None:
    seen: list[bytes] = []
    answers = iter([moved_to("/v2/models"), whole_answer(b"{}")])
    with asked(answers, seen) as server:
        assert fetch(f"http://127.0.0.1:{server.port}", KEY) == b"{}"
    assert [KEY.encode() in request for request in seen] == [True, True]
    assert seen[1].startswith(b"GET /v2/models ")


def redirected(url: str, location: str) -> tuple[str, bool]:
    """Where a redirect leads, and whether the key goes along."""
    headers = {"Authorization": f"Bearer {KEY}"}
    target = download._redirected(requests.Session(), url, location, headers)
    return target, "Authorization" in headers


@pytest.mark.parametrize(
    ("url", "location", "keeps_the_key"),
    [
        ("https://here/models", "https://there/models", False),
        ("https://here/models", "https://here:8443/models", False),
        ("https://here/models", "https://here:443/v2", True),
        ("http://here/models", "https://here/models", True),
        ("http://here:8000/models", "https://here:8443/models", False),
        ("http://here:8000/models", "http://here:8000/v2", True),
        ("http://here/models", "http://here:80/v2", True),
    ],
)
def test_a_redirect_leads_to_https_or_within_one_address(
    url: str, location: str, keeps_the_key: bool
) -> None:
    assert redirected(url, location) == (location, keeps_the_key)


def test_the_key_does_not_come_back_after_it_was_dropped() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    session = requests.Session()
    there = download._redirected(session, "https://here/models", "https://there/models", headers)
    assert download._redirected(session, there, "https://here/models", headers) == "https://here/models"
    assert "Authorization" not in headers


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "location",
    [
        "http://download.ai/api/v1/models",
        "HTTP://download.ai/",
        "http://openrouter.ai:6379/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "ftp://openrouter.ai/",
        "file:///x",
    ],
)
def test_a_redirect_over_plain_http_to_another_address_is_refused(location: str, scheme: str) -> None:
    with pytest.raises(UpstreamError, match="redirected neither to https nor within its own address"):
        redirected(f"{scheme}://openrouter.ai/api/v1/models", location)


def test_another_port_of_this_machine_is_not_asked() -> None:
    other: list[bytes] = []
    with asked(repeat(whole_answer(b"{}")), other) as elsewhere:
        target = f"http://127.0.0.1:{elsewhere.port}/models"
        with (
            asked(repeat(moved_to(target)), []) as server,
            pytest.raises(UpstreamError, match="redirected neither"),
        ):
            fetch(f"http://127.0.0.1:{server.port}", None)
    assert other == []


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "javascript:1",
        "http://[",
        "",
        "http://",
        "https://a..b/",
        "https:///x",
        "https://x:x/",
    ],
)
def test_a_redirect_to_nowhere_is_refused_in_one_line(location: str) -> None:
    with asked(repeat(moved_to(location)), []) as server, pytest.raises(UpstreamError) as refused:
        fetch(f"http://127.0.0.1:{server.port}", None)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "fault",
    [{"status": 401}, {"reset": True}, {"redirect": 9}, {"cut": 100}, {"redirect": "ftp://x/"}],
    ids=lambda fault: next(iter(fault)),
)
def test_no_error_shows_the_key(fault: dict[str, Any], standin: Standin) -> None:
    standin.answer(fault)
    with pytest.raises(UpstreamError) as refused:
        fetch(standin.base_url, KEY)
    error: BaseException | None = refused.value
    while error is not None:
        assert KEY not in str(error) + repr(error)
        error = error.__cause__


@pytest.mark.parametrize(
    "proxy", ["http://u:{}@127.0.0.1:1", "http://u:{}@127.0.0.1:x", "http://u:{}/x@127.0.0.1:1", "u:{}@[::1"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_error_shows_the_password_of_a_proxy(
    proxy: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.format(KEY))
    with pytest.raises(UpstreamError) as refused:
        fetch(f"{scheme}://openrouter.invalid", None)
    assert KEY not in in_full(refused.value)


def test_a_host_that_cannot_be_reached_is_an_upstream_error() -> None:
    with pytest.raises(UpstreamError, match="upstream could not be read"):
        fetch("http://127.0.0.1:1/api/v1", KEY)


@pytest.mark.parametrize(
    "text", [b"two", b"-2", b"+2", b"2.0", b"0x2", b"1_0", b"2, 2", b"", b"\xb2", b"9" * 5000, b"200000000"]
)
def test_a_body_whose_length_is_no_number_of_bytes_that_may_come_is_refused(text: bytes) -> None:
    answer = HEAD + b"Content-Length: " + text + b"\r\nConnection: close\r\n\r\n{}"
    with (
        asked(repeat(answer), []) as server,
        pytest.raises(UpstreamError, match=r"Content-Length is no number|larger than 128 MiB"),
    ):
        fetch(f"http://127.0.0.1:{server.port}", None)


NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("86400", 86400),
        ("123456789", 123456789),
        ("9" * 400, download.LONGEST_RETRY_AFTER),
        ("Wed, 25 Nov 2026 13:00:00 GMT", 3600),
        ("Wed, 25 Nov 2026 13:00:00 -0000", 3600),
        ("Wed, 25 Nov 2026 13:00:00 +0100", 0),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", download.LONGEST_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 -2300", download.LONGEST_RETRY_AFTER),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 2026 23:59:59 +" + "9" * 30, 0),
        ("soon", 0),
        ("-7", 0),
        ("1.5", 0),
        ("\u0667", 0),
        ("", 0),
    ],
)
def test_a_retry_after_is_read_uncut_as_seconds_or_a_date(text: str, seconds: float) -> None:
    assert download._seconds(text, NOON) == seconds


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_a_date_without_a_zone_is_utc_wherever_we_are(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert download._seconds("Wed, 25 Nov 2026 13:00:00 -0000", NOON) == 3600
    finally:
        monkeypatch.undo()
        time.tzset()


PARTS_OF_DATES = ("Fri,", "31", "Dec", "9999", "23:59:59", "GMT", "-2300", "0", "1.1", "1e9", "(", "\\", '"')


@settings(max_examples=examples(500))
@given(st.lists(st.sampled_from(PARTS_OF_DATES), max_size=8))
def test_whatever_a_retry_after_says_is_a_number_of_seconds(words: list[str]) -> None:
    assert 0 <= download._seconds(" ".join(words), NOON) <= download.LONGEST_RETRY_AFTER


# How long, and how much


def dripping(before: bytes, ended: threading.Event) -> TinyServer:
    """A server that sends `before`, then a byte now and then until the client has gone."""

    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(before)
        connection.settimeout(0.02)
        try:
            while True:
                connection.sendall(b"x")
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    continue
        finally:
            ended.set()

    return TinyServer(handle)


DRIPS = {
    "headers": HEAD + b"X-Slow: ",
    "a body of known length": HEAD + b"Content-Length: 1000000\r\n\r\n",
    "a body of unknown length": HEAD + b"Connection: close\r\n\r\n",
}


@pytest.mark.parametrize("what", DRIPS)
def test_an_answer_that_drips_ends_at_the_deadline(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 0.3)
    with (
        dripping(DRIPS[what], threading.Event()) as server,
        pytest.raises(UpstreamError, match=r"not complete within 0\.3 s"),
    ):
        fetch(f"http://127.0.0.1:{server.port}", None)


@pytest.mark.parametrize("what", DRIPS)
def test_the_connection_of_an_answer_given_up_is_closed(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 0.3)
    ended = threading.Event()
    with dripping(DRIPS[what], ended) as server:
        with pytest.raises(UpstreamError):
            fetch(f"http://127.0.0.1:{server.port}", None)
        assert ended.wait(2), "upstream still sends: the thread and its connection live on"


def test_who_waits_is_told_how_much_has_come() -> None:
    received: list[int] = []
    go_on = threading.Event()

    def told(count: int) -> None:
        received.append(count)
        if count == 65536:
            go_on.set()

    def in_two_parts(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"Content-Length: 131072\r\n\r\n" + bytes(65536))
        go_on.wait(5)
        connection.sendall(bytes(65536))

    with TinyServer(in_two_parts) as server:
        whole = fetch(f"http://127.0.0.1:{server.port}", None, told)
    assert set(received) <= {0, 65536, 131072}
    assert 65536 in received
    assert len(whole) == 131072


def give_up(_received: int) -> None:
    raise InterruptedError


def test_who_no_longer_wants_the_body_ends_the_wait_and_the_connection() -> None:
    ended = threading.Event()
    with dripping(DRIPS["headers"], ended) as server:
        with pytest.raises(InterruptedError):
            fetch(f"http://127.0.0.1:{server.port}", None, give_up)
        assert ended.wait(2), "upstream still sends: the thread and its connection live on"


def test_a_body_that_is_whole_is_given_to_whoever_waited(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LOOK_SECONDS", 30)
    assert parse(fetch(standin.base_url, None, give_up)).models


def test_a_server_that_never_answers_times_out(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    standin.answer(hang=True)
    with pytest.raises(UpstreamError, match="did not answer in time"):
        fetch(standin.base_url, None)


@pytest.mark.parametrize("bomb", [False, True])
def test_a_body_that_grows_beyond_the_limit_is_given_up(
    bomb: bool, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1024 * 1024)
    standin.answer(size=200 * 1024 * 1024, gzip_bomb=bomb)
    received = [0]
    with pytest.raises(UpstreamError, match="larger than 1 MiB"):
        fetch(standin.base_url, None, received.append)
    assert max(received) < 2 * 1024 * 1024


def test_a_receiver_who_may_not_go_on_leaves_most_of_a_body_that_comes_slowly(standin: Standin) -> None:
    standin.answer(gate={"hold": True, "after_bytes": 6000})

    def stop(_received: int) -> None:
        raise ClaimLostError("claim lost: another has it")

    with pytest.raises(ClaimLostError):
        fetch(standin.base_url, None, stop)
    assert standin.requests()["held"] == 1
    standin.release()


def test_the_body_of_a_redirect_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 2)
    sent: list[int] = []

    def redirect(connection: socket.socket) -> None:
        connection.recv(65536)
        head = b"HTTP/1.1 302 Found\r\nLocation: ftp://nowhere/\r\nContent-Length: 67108864\r\n\r\n"
        connection.sendall(head)
        for _ in range(64):
            connection.sendall(bytes(1024 * 1024))
            sent.append(1)

    with TinyServer(redirect) as server, pytest.raises(UpstreamError):
        fetch(f"http://127.0.0.1:{server.port}", None)
    assert len(sent) < 16, "64 MiB of a redirect's body were read, limit or no limit"


def test_a_packed_body_comes_unpacked_and_a_broken_one_is_refused() -> None:
    packed = gzip.compress(b'{"data":[]}')
    encoding = b"Content-Encoding: gzip\r\n"
    answers = [
        whole_answer(packed, encoding),
        whole_answer(packed[:-12], encoding),
        whole_answer(b"no gzip", encoding),
    ]
    with asked(iter(answers), []) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert fetch(url, None) == b'{"data":[]}'
        with pytest.raises(UpstreamError):
            parse(fetch(url, None))
        with pytest.raises(UpstreamError):
            fetch(url, None)
