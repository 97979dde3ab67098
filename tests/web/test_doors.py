"""Requests as attackers write them: each door gives the right status, and nothing besides."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from tests.support.past import USED
from tests.support.site import Site
from tests.web.wire import Reply, Wire
from web.request_checks import MAX_TARGET
from web.routes import ROUTES

READ = [path.replace("<model:model_id>", USED) for method, path, _view in ROUTES if method == "GET"]
READ += ["/", "/static/prices.css"]
WRITE = [path for method, path, _view in ROUTES if method == "POST"]
NOWHERE = [
    "/nothing",
    "/api",
    "/api/v1",
    "/api/v1/models/x",
    "/static",
    "/static/",
    "/static/x",
    "/%00",
    "/..",
    "*",
]
METHODS = [
    "GET",
    "HEAD",
    "OPTIONS",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "TRACE",
    "PROPFIND",
    "get",
    "Head",
    "x" * 200,
]
EVIL = "evil.example"
FORWARDED = (
    "X-Forwarded-Host",
    "X-Forwarded-Prefix",
    "X-Forwarded-For",
    "X-Forwarded-Server",
    "X-Host",
    "Forwarded",
)
CHANGING = ("date", "x-price-age", "etag", "content-length", "content-encoding")
"""Headers that may differ between two moments, for bodies that tell the time."""


@pytest.fixture(scope="module")
def site(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("doors"), page_upstream) as site:
        site.refresh()
        yield site


@pytest.fixture(scope="module")
def client(site: Site) -> FlaskClient:
    return site.client()


@pytest.fixture(scope="module")
def wire(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with Wire(site, tmp_path_factory.mktemp("wire"), LOG_FORMAT="json") as wire:
        yield wire
        logged = wire.end()
        assert '"level": "error"' not in logged, logged


def allowed(reply: Reply) -> set[str]:
    return {one.strip() for one in reply.headers["allow"].split(",")}


# Methods


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_answered_allowed_or_refused_with_those_that_are(
    path: str, method: str, wire: Wire
) -> None:
    reply = wire.send(path, method)
    if method in ("GET", "HEAD"):
        assert reply.status in (200, 503)
        return
    assert reply.status == (200 if method == "OPTIONS" else 405)
    assert allowed(reply) == {"GET", "HEAD", "OPTIONS"}
    if method == "OPTIONS":
        assert reply.body == b""


@pytest.mark.parametrize("path", WRITE)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_asked_with_a_body_takes_post_and_says_so(path: str, method: str, wire: Wire) -> None:
    reply = wire.send(path, method)
    assert reply.status == {"OPTIONS": 200, "POST": 400}.get(method, 405)
    if method != "POST":
        assert allowed(reply) == {"POST", "OPTIONS"}


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_there_is_not_there_for_any_method(path: str, method: str, wire: Wire) -> None:
    reply = wire.send(path, method)
    assert reply.status == 404
    assert "allow" not in reply.headers


@pytest.mark.parametrize("authority", [f"{EVIL}:443", "127.0.0.1:6379"])
def test_nobody_is_connected_to_anything(authority: str, wire: Wire) -> None:
    assert wire.send(authority, "CONNECT").status in (400, 404, 405)


@pytest.mark.parametrize(
    "path", [*READ, *NOWHERE[:-1], *WRITE, "/api/v1/models?limit=5", "/api/v1/prices?revision=1"]
)
@pytest.mark.parametrize("accepted", ["identity", "gzip, br"])
def test_head_is_get_without_a_body(path: str, accepted: str, wire: Wire) -> None:
    got, head = (wire.send(path, method, f"Accept-Encoding: {accepted}") for method in ("GET", "HEAD"))
    moving = CHANGING if path in ("/", "/health", "/readyz", "/metrics") else CHANGING[:2]
    assert (head.status, head.body) == (got.status, b"")
    assert set(head.headers) == set(got.headers)
    assert {name: text for name, text in head.headers.items() if name not in moving} == {
        name: text for name, text in got.headers.items() if name not in moving
    }
    assert int(got.headers["content-length"]) == len(got.body)


# Hosts


@pytest.mark.parametrize(
    "path",
    [
        *READ,
        *WRITE,
        *NOWHERE,
        "//api//v1//models",
        "/api/v1/models/",
        "/api/v1//models",
        "//",
        "/./",
        f"//{EVIL}/",
        "/static//prices.css",
    ],
)
@pytest.mark.parametrize("host", [EVIL, f"{EVIL}:80@x", f"user@{EVIL}", "", '"<>', EVIL * 50])
def test_no_answer_is_built_from_the_host_that_a_client_names(path: str, host: str, wire: Wire) -> None:
    claims = [f"{name}: host={EVIL}" if name == "Forwarded" else f"{name}: {EVIL}" for name in FORWARDED]
    reply = wire.send(
        path, "GET", f"Host: {host}", *claims, "X-Forwarded-Proto: https", "X-Original-URL: /health"
    )
    assert not 300 <= reply.status < 400
    assert "location" not in reply.headers
    assert EVIL not in str(reply.headers)
    if EVIL not in path:
        assert EVIL.encode() not in reply.body


@pytest.mark.parametrize(
    "path",
    ["//api//v1//models", "/api/v1//models", "/api//v1/models?limit=1", "/static//prices.css"],
)
def test_a_path_with_slashes_too_many_is_another_path(path: str, wire: Wire) -> None:
    assert wire.send(path).status == 404


def test_an_address_that_names_a_host_is_answered_by_its_path(wire: Wire) -> None:
    reply = wire.send(f"http://{EVIL}/healthz")
    assert (reply.status, reply.body) == (200, b'{"status":"alive"}')


# Targets


@pytest.mark.parametrize("path", [*READ, *WRITE, "/nothing"])
def test_path_and_query_have_a_bound(path: str, wire: Wire) -> None:
    method = "POST" if path in WRITE else "GET"
    assert wire.send(f"{path}?x={'x' * (MAX_TARGET - len(path) - 2)}", method).status in (200, 400, 404, 503)
    for longer in (
        f"{path}?x={'x' * (MAX_TARGET - len(path) - 1)}",
        f"{path}?{'a=b&' * 15_000}",
        f"/{'x' * 60_000}",
    ):
        reply = wire.send(longer, method)
        assert reply.status == 414
        assert len(reply.body) < 300
    assert wire.send(f"/{'x' * 100_000}").status == 414


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/models?limit=1&limit=2",
        "/api/v1/models?offset=0&offset=0",
        "/api/v1/prices?q=a&q=b",
        "/api/v1/prices?revision=1&revision=1",
        "/api/v1/prices?at=2026-08-06T12:44:00Z&at=x",
        "/api/v1/changes?kind=all&kind=added",
        "/api/v1/changes?model=a&model=b",
        "/?q=a&q=b",
        "/?sort=name&sort=prompt",
        "/?page=1&page=2",
    ],
)
def test_a_parameter_given_twice_is_refused_by_its_name(path: str, wire: Wire) -> None:
    reply = wire.send(path)
    name = path.partition("?")[2].partition("=")[0]
    assert reply.status == 400
    assert f"{name} is given 2 times".encode() in reply.body


ODD_TEXTS = [
    "%00",
    "a%00b",
    "%FF",
    "%C0%AF",
    "%ED%A0%80",
    "%E2%80%AE",
    "%1b%5b31m",
    "%0d%0aX: y",
    "..",
    "%2e%2e%2f",
    "a%2F%2F",
    "%",
    "%zz",
    "\\\\x",
    "~",
    "'%22--",
    "{{7*7}}",
    "%25s%25n",
    "+",
]


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_odd_texts_anywhere_are_errors_of_the_client_or_found_nowhere(odd: str, wire: Wire) -> None:
    odd = odd.replace(" ", "%20")
    for path in (
        f"/{odd}",
        f"/api/v1/model/{odd}",
        f"/api/v1/prices/{odd}",
        f"/api/v1/prices/{odd}/history",
        f"/api/v1/prices/{odd}?revision=1",
        f"/static/{odd}",
        f"/api/v1/models?limit={odd}",
        f"/api/v1/prices?at={odd}",
        f"/api/v1/changes?kind={odd}",
        f"/?sort={odd}",
        f"/api/v1/prices?{odd}",
    ):
        reply = wire.send(path)
        assert reply.status in (400, 404), path
        assert "x" not in reply.headers
        assert b"\x1b" not in reply.body
    for path in (f"/api/v1/prices?q={odd}", f"/api/v1/changes?model={odd}", f"/?q={odd}"):
        assert wire.send(path).status == 200, path


# Headers


UNWANTED = [
    ("Range: bytes=0-1",),
    ("Range: bytes=-1",),
    ("Range: bytes=9-1,0-,-5",),
    (f"Range: bytes={'0-1,' * 2000}0-1",),
    ("Range: x",),
    ("If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",),
    ('If-Range: "x"', "Range: bytes=0-0"),
    ("Accept: application/xml",),
    ("Content-Type: text/\x00",),
    (f"Cookie: session={'x' * 4000}",),
    ("X-HTTP-Method-Override: DELETE",),
    ("Connection: upgrade", "Upgrade: websocket"),
    ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    ("Transfer-Encoding: chunked",),
    ("Expect: 100-continue",),
    ("Authorization: Basic Og==",),
    ("Accept-Encoding: gzip;q=1e400, br;q=-1, zstd;q=nan",),
    (f"Accept-Language: {'x,' * 3000}",),
]


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("headers", UNWANTED, ids=lambda headers: headers[0][:30])
def test_no_header_makes_an_answer_partial_or_another(
    path: str, headers: tuple[str, ...], wire: Wire
) -> None:
    usual, reply = wire.send(path), wire.send(path, "GET", *headers)
    assert reply.status in (usual.status, 400)
    assert "content-range" not in reply.headers
    assert "set-cookie" not in reply.headers
