"""How bodies leave: packed or plain, validated, aged, and strict towards browsers."""

import gzip
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import brotli
import pytest
import zstandard
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from local.standin.client import Standin
from prices.published.packing import pack
from tests.support.laws import examples
from tests.support.site import Site
from web import bodies, published, responses

LISTS = ["/api/v1/models", "/api/v1/models?limit=50", "/api/v1/prices", "/api/v1/prices?q=aurora"]
ENCODINGS = ["identity", "gzip", "br", "zstd"]
PACKED = pack(b"a body of some length " * 100)
SMALL = ["/api/v1/prices/nope-is-not-here", "/healthz"]


@pytest.fixture(scope="module")
def filled(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("responses"), page_upstream) as site:
        site.refresh()
        yield site


@pytest.fixture(scope="module")
def client(filled: Site) -> FlaskClient:
    return filled.client()


def get(client: FlaskClient, path: str, **headers: str):
    return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def unpacked(answer: TestResponse) -> bytes:
    encoding = answer.headers.get("Content-Encoding", "identity")
    unpack: dict[str, Callable[[bytes], bytes]] = {
        "identity": bytes,
        "gzip": gzip.decompress,
        "br": brotli.decompress,
        "zstd": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
    }
    return unpack[encoding](answer.data)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("accepted", "published", "made"),
    [
        ("gzip", "gzip", "gzip"), ("GZIP", "gzip", "gzip"), ("gzip;q=0.5, identity", "gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br", "gzip"), ("gzip, zstd", "zstd", "gzip"), ("*", "br", "gzip"),
        ("br;q=0.2, gzip;q=1", "gzip", "gzip"), ("br;q=1, gzip;q=0.2", "br", "gzip"),
        ("zstd;q=0.9, br;q=0.1", "zstd", None), ("br", "br", None), ("*, gzip;q=0", "br", None),
        ("*, br;q=0", "zstd", "gzip"), ("gzip;q=0", None, None), ("gzip;q=0.000", None, None),
        ("identity", None, None), ("", None, None), ("*;q=0", None, None), (";;;,q=", None, None),
        ("deflate", None, None),
    ],
)  # fmt: skip
def test_a_list_is_packed_as_the_client_takes_it_best(
    path: str, accepted: str, published: str | None, made: str | None, client: FlaskClient
) -> None:
    answer = get(client, path, Accept_Encoding=accepted)
    assert answer.headers.get("Content-Encoding") == (made if "?" in path else published)
    assert unpacked(answer) == get(client, path).data
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/prices"])
def test_published_bodies_are_sent_before_flask_is_asked(
    path: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.application, "full_dispatch_request", lambda: pytest.fail("Flask was asked"))
    assert get(client, path, Accept_Encoding="br").status_code == 200
    with pytest.raises(pytest.fail.Exception):
        get(client, f"{path}?limit=1")


def test_every_answer_has_the_strict_headers(client: FlaskClient) -> None:
    paths = ["/api/v1/models", "/api/v1/prices?q=aurora", "/", "/healthz", "/nothing"]
    strict = [
        {name: get(client, path).headers[name] for name in responses.SECURITY_HEADERS} for path in paths
    ]
    assert strict == [responses.SECURITY_HEADERS] * len(paths)


@pytest.mark.parametrize("path", LISTS)
def test_the_packed_and_the_plain_body_have_validators_of_their_own(path: str, client: FlaskClient) -> None:
    plain, packed = get(client, path), get(client, path, Accept_Encoding="gzip")
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for etag in (plain.headers["ETag"], packed.headers["ETag"]):
        assert etag.startswith('"')
        assert etag.endswith('"')


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("accepted", ["identity", "gzip", "br", "zstd"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '{} , W/"other"', "*"])
def test_a_body_that_the_client_has_is_not_sent_again(
    path: str, accepted: str, form: str, client: FlaskClient
) -> None:
    first = get(client, path, Accept_Encoding=accepted)
    again = get(client, path, Accept_Encoding=accepted, If_None_Match=form.format(first.headers["ETag"]))
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    for name in ("Cache-Control", "Vary", "X-Price-Revision"):
        assert again.headers[name] == first.headers[name]
    assert "Content-Encoding" not in again.headers


@pytest.mark.parametrize("known", ['"other"', 'W/"other"', "garbage", '"', ",,,", "W/", '""', "x" * 5000])
def test_a_validator_of_something_else_gets_the_body(known: str, client: FlaskClient) -> None:
    assert get(client, "/api/v1/models", If_None_Match=known).status_code == 200


@pytest.mark.parametrize("path", [*LISTS, "/api/v1/models?unused=1", "/static/prices.css"])
def test_a_body_had_in_another_encoding_is_sent_again_with_the_validator_of_its_own(
    path: str, client: FlaskClient
) -> None:
    got = {accepted: get(client, path, Accept_Encoding=accepted) for accepted in ENCODINGS}
    for had, first in got.items():
        for asked, other in got.items():
            again = get(client, path, Accept_Encoding=asked, If_None_Match=first.headers["ETag"])
            same = first.headers["ETag"] == other.headers["ETag"]
            assert again.status_code == (304 if same else 200), (had, asked)
            assert again.headers["ETag"] == other.headers["ETag"]
            assert same == (first.data == other.data)


def test_a_validator_names_the_bytes_that_are_sent_wherever_they_are_made(filled: Site) -> None:
    """The list by the layer before Flask, by Flask, and where it does not change with what it is asked."""
    client, seen = filled.client(), {}
    for path in (
        *LISTS,
        "/api/v1/models?x=1",
        "/api/v1/prices?q=",
        "/api/v1/prices?revision=1",
        "/static/prices.css",
    ):
        for accepted in ENCODINGS:
            answer = get(client, path, Accept_Encoding=accepted)
            assert seen.setdefault(answer.headers["ETag"], answer.data) == answer.data, (path, accepted)
    assert len(seen) > 12


def test_the_whole_list_is_the_published_body_whatever_else_is_asked(client: FlaskClient) -> None:
    for path in ("/api/v1/models", "/api/v1/prices"):
        query = "unused=1" if path.endswith("models") else "q="
        for accepted in ENCODINGS:
            one, other = (get(client, at, Accept_Encoding=accepted) for at in (path, f"{path}?{query}"))
            assert one.data == other.data
            assert one.headers["ETag"] == other.headers["ETag"]


PIECES = ["gzip", "br", "zstd", "identity", "*", ",", ";", "q=", "=", "0", "1", "0.5", '"', "\\", " ", "W/"]
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(accepted=HOSTILE, known=HOSTILE | st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_header_makes_an_answer_other_than_the_list_or_not_modified(accepted: str, known: str) -> None:
    encoding = bodies.best_encoding(accepted, PACKED.encodings)
    sent = bodies.represent(PACKED, encoding, "text/plain")
    answer = bodies.answer(sent, (), known)
    assert answer.status in ("200 OK", "304 Not Modified")
    assert answer.content == (b"" if answer.status.startswith("304") else PACKED.encoded(encoding))


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/models?limit=50"])
def test_what_a_long_list_of_encodings_or_validators_costs_is_bounded(path: str, filled: Site) -> None:
    client = filled.client()
    etag = get(client, path).headers["ETag"]
    many = f"{','.join(['zstd;q=0.1'] * 20_000)}, gzip"
    assert "Content-Encoding" not in get(client, path, Accept_Encoding=many).headers
    most = '"x",' * ((bodies.MAX_IF_NONE_MATCH - len(etag)) // 4) + etag
    assert get(client, path, If_None_Match=most).status_code == 304
    assert get(client, path, If_None_Match='"x",' * 100_000 + etag).status_code == 200


def test_the_answers_kept_for_a_second_hold_nothing_long(filled: Site) -> None:
    client = filled.client()
    layer = client.application.wsgi_app
    for number in range(published.MAX_ANSWERS + 10):
        get(client, "/api/v1/models", Accept_Encoding=f"x{number}", If_None_Match="y" * 100_000)
        assert len(layer._moment.answers) <= published.MAX_ANSWERS
        assert max(len(text) for key in layer._moment.answers for text in key) <= bodies.MAX_IF_NONE_MATCH


def test_another_path_or_content_has_another_validator(client: FlaskClient) -> None:
    etags = [get(client, path).headers["ETag"] for path in LISTS]
    assert len(set(etags)) == len(etags)


def test_every_instance_gives_the_same_validator(client: FlaskClient, filled: Site) -> None:
    other = filled.client()
    for path in LISTS:
        assert get(client, path).headers["ETag"] == get(other, path).headers["ETag"]


def test_another_markup_has_another_validator(client: FlaskClient, filled: Site) -> None:
    other = filled.client(PRICE_MARKUP="2")
    assert get(client, "/api/v1/prices").headers["ETag"] != get(other, "/api/v1/prices").headers["ETag"]


@pytest.mark.parametrize("path", [*LISTS, *SMALL])
def test_head_is_get_without_the_body(path: str, client: FlaskClient) -> None:
    got, head = (
        get(client, path, Accept_Encoding="gzip"),
        client.head(path, headers={"Accept-Encoding": "gzip"}),
    )
    assert (head.status_code, head.data) == (got.status_code, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Content-Encoding"):
        assert head.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_says_its_revision_and_age_and_how_long_it_may_be_kept(path: str, client: FlaskClient) -> None:
    headers = get(client, path).headers
    assert headers["X-Price-Revision"] == "1"
    assert 0 <= int(headers["X-Price-Age"]) < 120
    assert headers["Cache-Control"] == "public, max-age=60"


def test_an_unchanged_list_grows_older(client: FlaskClient) -> None:
    def age() -> int:
        return int(get(client, "/api/v1/models").headers["X-Price-Age"])

    first, until = age(), time.monotonic() + 20
    while age() == first:
        assert time.monotonic() < until, "the age stands still"
        time.sleep(0.05)
    assert age() > first


def test_an_empty_catalogue_is_not_to_be_kept(site: Site) -> None:
    headers = get(site.client(), "/api/v1/models").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Price-Revision"] == "0"
    assert "X-Price-Age" not in headers


def test_prices_of_a_time_well_ahead_have_no_age_and_may_be_kept_as_ever(site: Site) -> None:
    site.refresh()
    site.confirm_ahead(timedelta(days=3))
    client = site.client()
    for path in (*LISTS, f"{LISTS[0]}?q=aurora"):
        headers = get(client, path).headers
        assert "X-Price-Age" not in headers
        assert headers["Cache-Control"] == "public, max-age=60"


@pytest.mark.parametrize("path", [*LISTS, *SMALL, "/", "/readyz", "/health", "/static/prices.js"])
def test_every_answer_keeps_a_browser_strict(path: str, client: FlaskClient) -> None:
    with get(client, path) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Set-Cookie" not in headers


def test_a_small_body_is_sent_as_it_is(site: Site) -> None:
    answer = get(site.client(), "/api/v1/prices?q=nothing-like-this", Accept_Encoding="gzip")
    assert "Content-Encoding" not in answer.headers
    assert answer.json == {"revision": 0, "currency": "USD", "data": []}


def test_packed_bodies_are_kept_for_many_askers_within_a_bound() -> None:
    bodies._pack_once.cache_clear()
    for number in range(200):
        content = number.to_bytes(2, "big") * (bodies.MAX_KEPT // 2)
        assert gzip.decompress(bodies.MadeBody(content).encoded("gzip")) == content
    assert bodies._pack_once.cache_info().currsize == 128
    bodies.MadeBody(b"x" * (bodies.MAX_KEPT + 1)).encoded("gzip")
    assert bodies._pack_once.cache_info().misses == 200
