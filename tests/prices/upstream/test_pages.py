"""A list in pages is one list: put together exactly, or refused."""

import contextlib
import gzip
import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.standin.client import Standin
from prices.errors import ClaimLostError, UpstreamError
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.services import Services
from prices.upstream import download
from prices.upstream import pages as pages_module
from prices.upstream.download import fetch
from prices.upstream.model_list import parse
from prices.upstream.pages import MAX_PAGES, Pages
from tests.prices.upstream.test_model_list import RECORDED
from tests.support.json_values import JSON_VALUES
from tests.support.laws import examples
from tests.support.lists import body, model

BASE = "https://up.example/api/v1/models"


def page(*names: str, link: Any, total: Any = None, **more: Any) -> bytes:
    rest = {"links": {"next": link, "self": "x"}, **more}
    rest |= {} if total is None else {"total_count": total}
    return body(*(model(f"a/{name}") for name in names), **rest)


def read(*bodies: bytes) -> bytes:
    pages, address = Pages(), BASE
    for one in bodies:
        assert address is not None
        address = pages.add(address, one)  # type: ignore[assignment]
    assert address is None
    return pages.whole()


def test_pages_are_one_list_in_upstreams_order_and_envelope() -> None:
    whole = read(
        page("one", "two", link="/api/v1/models?offset=2", total=3, note={"kept": 1.50}),
        page("three", link=None, total=3, note="of the second page"),
    )
    listed = parse(whole)
    assert [row.id for row in listed.models] == ["a/one", "a/two", "a/three"]
    assert listed.envelope == {"links": {"next": None, "self": "x"}, "note": {"kept": 1.5}, "total_count": 3}
    assert whole == read(
        page("one", link="?offset=1", total=3, note={"kept": 1.50}),
        page("two", link="?offset=2", total=3),
        page("three", link=None, total=3),
    )


@pytest.mark.parametrize(
    "recording", RECORDED[-3:] or [None], ids=lambda path: path.name[:10] if path else ""
)
@pytest.mark.parametrize("size", [3, 50, 300])
def test_a_recorded_list_cut_into_pages_is_the_list(recording: Any, size: int) -> None:
    """Without recordings beside the repository, a made-up list stands for them."""
    made_up = body(*(model(f"a/{number}") for number in range(340)), total_count=340, links={"next": None})
    whole = gzip.decompress(recording.read_bytes()) if recording else made_up
    rows = json.loads(whole)["data"]
    starts = range(0, len(rows), size)
    pages = [
        body(
            *rows[start : start + size],
            total_count=len(rows),
            links={"next": None if start == starts[-1] else f"?offset={start + size}"},
        )
        for start in starts
    ]
    together = parse(read(*pages))
    assert [row.id for row in together.models] == [row["id"] for row in rows]
    assert [json.loads(row.document) for row in together.models] == rows


@pytest.mark.parametrize("link", [None, "absent"])
def test_a_list_of_one_page_stays_byte_for_byte_as_it_came(link: str | None) -> None:
    one = b' {"data" : [ %b ] }' % json.dumps(model("a/b")).encode() if link else page("one", link=None)
    assert read(one) is one


@pytest.mark.parametrize(
    "no_list", [b"", b"<html>", b"[]", b'{"data":{}, "links":{"next":"x"}}', b'"next":"']
)
def test_what_is_no_list_is_left_to_the_reader(no_list: bytes) -> None:
    assert read(no_list) is no_list


REFUSED: dict[str, tuple[Any, str]] = {
    "another host": ("https://evil.example/api/v1/models?offset=1", "another address"),
    "another port": ("https://up.example:8443/api/v1/models?offset=1", "another address"),
    "another scheme": ("http://up.example/api/v1/models?offset=1", "another address"),
    "credentials": ("https://u:p@up.example/api/v1/models?offset=1", "another address"),
    "no scheme": ("//evil.example/x", "another address"),
    "a file": ("file:///etc/passwd", "another address"),
    "no address": ("https://[", "no address"),
    "a port that is none": ("https://up.example:x/", "no address"),
    "a number": (7, "no text"),
    "itself": (BASE, "lead back"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_link_that_leads_astray_fails_the_fetch(case: str) -> None:
    link, reason = REFUSED[case]
    first = page("one", link="?offset=1")
    with pytest.raises(UpstreamError, match=reason):
        read(first, page("two", link=link), page("three", link=None))


def test_pages_that_go_round_or_never_end_are_refused() -> None:
    with pytest.raises(UpstreamError, match="lead back"):
        read(page("one", link="?offset=1"), page("two", link="?offset=2"), page("three", link="?offset=1"))
    with pytest.raises(UpstreamError, match=f"more than {MAX_PAGES} pages"):
        read(*(page(str(number), link=f"?offset={number}") for number in range(MAX_PAGES + 2)))
    with pytest.raises(UpstreamError, match="without models"):
        read(page("one", link="?offset=1"), page(link="?offset=2"), page("three", link=None))


@pytest.mark.parametrize("second", [b"<html>", b"[]", b'{"data":7}', b'{"data":null}', b'{"data":[1'])
def test_a_later_page_that_is_no_list_is_named(second: bytes) -> None:
    with pytest.raises(UpstreamError, match="page 2 is no price list"):
        read(page("one", link="?offset=1"), second)


@pytest.mark.parametrize("total", [1, 3, "2", 2.5])
def test_a_total_that_does_not_add_up_is_refused(total: object) -> None:
    with pytest.raises(UpstreamError, match="hold 2 models, and its total is"):
        read(page("one", link="?offset=1", total=total), page("two", link=None, total=total))


@settings(max_examples=examples(200))
@given(st.lists(JSON_VALUES, max_size=3), JSON_VALUES)
def test_whatever_pages_hold_they_are_put_together_or_refused(rows: list[Any], link: object) -> None:
    second = json.dumps({"data": rows, "links": {"next": link}}, default=str).encode()
    pages = Pages()
    assert pages.add(BASE, page("one", link="?offset=1")) == f"{BASE}?offset=1"
    with contextlib.suppress(UpstreamError):
        pages.add(f"{BASE}?offset=1", second)
        assert len(json.loads(pages.whole())["data"]) == 1 + len(rows)


@pytest.mark.parametrize("second", [("two", "one"), ("one",)])
def test_a_model_that_stands_on_two_pages_fails_the_fetch(second: tuple[str, ...]) -> None:
    """A page that comes again under another address, or a list that moved on between two pages."""
    with pytest.raises(UpstreamError, match="hold a model twice"):
        read(page("one", link="?offset=1"), page(*second, link=None))


def test_a_model_that_stands_twice_on_one_page_is_a_row_to_skip() -> None:
    listed = parse(read(page("one", "one", link="?offset=2"), page("two", link=None)))
    assert [row.id for row in listed.models] == ["a/one", "a/two"]
    assert [row.id for row in listed.skipped] == ["a/one"]


@pytest.mark.parametrize("link", [None, ""])
def test_without_a_total_the_last_page_ends_the_list(link: str | None) -> None:
    pages = page("one", link="?offset=1", total_count=None), page("two", link=link)
    assert len(parse(read(*pages)).models) == 2


# Followed


def test_upstreams_pages_are_one_body(standin: Standin) -> None:
    whole = fetch(standin.base_url, None)
    standin.forget()
    standin.answer(page_size=25)
    received: list[int] = []
    paged = fetch(standin.base_url, "Bearer key", received.append)
    assert json.loads(paged) == json.loads(whole)
    seen = standin.requests()["log"]
    assert [entry["path"] for entry in seen] == [
        "/api/v1/models",
        "/api/v1/models?offset=25&limit=25",
        "/api/v1/models?offset=50&limit=25",
    ]
    assert all(entry["headers"]["authorization"] for entry in seen)
    assert received == sorted(received)


FOLLOWED = {
    "a path": "/api/v1/models?offset=30&limit=30",
    "a query": "?offset=30&limit=30",
    "a name": "models?offset=30&limit=30",
    "a whole address": "{base}/models?offset=30&limit=30",
    "without a scheme": "{address}/models?offset=30&limit=30",
}


@pytest.mark.parametrize("kind", FOLLOWED)
def test_a_link_to_the_next_page_may_be_relative(kind: str, standin: Standin) -> None:
    whole = fetch(standin.base_url, None)
    address = standin.base_url.removeprefix("http:")
    link = FOLLOWED[kind].format(base=standin.base_url, address=address)
    standin.answer({"page_size": 30, "envelope": {"links": {"next": link}}, "times": 1})
    assert json.loads(fetch(standin.base_url, None)) == json.loads(whole)


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:1/api/v1/models",
        "https://127.0.0.1:{port}/api/v1/models",
        "//openrouter.ai/api/v1/models",
        "http://127.0.0.1:{port}@evil.example/",
        "file:///etc/passwd",
        "http://[",
        "http://127.0.0.1:x/",
    ],
)
def test_a_next_page_at_another_address_is_refused(link: str, standin: Standin) -> None:
    port = standin.base_url.split(":")[2].partition("/")[0]
    standin.answer(page_size=30, envelope={"links": {"next": link.format(port=port)}})
    with pytest.raises(UpstreamError, match=r"another address|no address"):
        fetch(standin.base_url, "Bearer key")
    assert standin.requests()["received"] == 1


@pytest.mark.parametrize("link", ["/api/v1/models", "?limit=30", "#"])
def test_pages_that_lead_round_in_a_circle_end_the_fetch(link: str, standin: Standin) -> None:
    standin.answer(page_size=30, envelope={"links": {"next": link}})
    with pytest.raises(UpstreamError, match=r"lead back|hold a model twice"):
        fetch(standin.base_url, None)
    assert standin.requests()["received"] <= 2


def test_pages_without_end_end_the_fetch(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "MAX_PAGES", 5)
    endless = [
        {"body_json": {"data": [model(f"a/{number}")], "links": {"next": f"?page_size={number}"}}, "times": 1}
        for number in range(9)
    ]
    standin.answer(*endless)
    with pytest.raises(UpstreamError, match="more than 5 pages"):
        fetch(standin.base_url, None)
    assert standin.requests()["received"] == 5


def test_the_bound_of_bytes_is_that_of_all_pages_together(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(fetch(standin.base_url, None))
    monkeypatch.setattr(download, "MAX_BYTES", size * 2 // 3)
    standin.answer(page_size=30)
    with pytest.raises(UpstreamError, match="larger than"):
        fetch(standin.base_url, None)


def test_the_time_of_a_fetch_is_that_of_all_pages_together(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 1.0)
    standin.answer(page_size=5, delay=0.4)
    with pytest.raises(UpstreamError, match="not complete within 1 s"):
        fetch(standin.base_url, None)
    assert standin.requests()["received"] <= 3


def test_a_fetch_given_up_between_its_pages_asks_for_no_more(standin: Standin) -> None:
    standin.answer({"page_size": 20, "times": 1}, {"gate": {"hold": True}, "times": 1})

    def stop_at_the_second(_received: int) -> None:
        if standin.requests()["held"]:
            raise ClaimLostError("claim lost: another has it")

    with pytest.raises(ClaimLostError):
        fetch(standin.base_url, None, stop_at_the_second)
    standin.release()
    for thread in threading.enumerate():
        if thread.name == "background":
            thread.join(5)
    assert standin.requests()["received"] == 2


# Through the whole of it


def test_a_list_in_pages_is_one_fetch_one_stash_and_one_digest(services: Services, standin: Standin) -> None:
    whole = parse(fetch(standin.base_url, None))
    standin.answer(page_size=20)
    done = refresh_prices(services, worker="test")
    assert done.models == len(whole.models) > 40
    again = refresh_prices(services, worker="test", force=True)
    assert (again.revision, again.changes) == (1, 0)


def test_a_page_that_fails_fails_the_run_and_nothing_of_the_others_is_kept(
    services: Services, standin: Standin
) -> None:
    standin.answer({"page_size": 20, "times": 1}, {"status": 503, "times": 1})
    with pytest.raises(RefreshFailedError, match="503"):
        refresh_prices(services, worker="test")
    standin.answer(page_size=20)
    assert refresh_prices(services, worker="test", force=True).outcome == "refreshed"
