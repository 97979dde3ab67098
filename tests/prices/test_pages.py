"""A list in pages is one list: put together exactly, or refused."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.download import fetch
from prices.errors import UpstreamError
from prices.openrouter import parse
from prices.outcome import RefreshFailedError
from prices.pages import MAX_PAGES, Pages
from prices.refresh import refresh_prices
from prices.services import Services
from tests.openrouter_standin.client import Standin
from tests.prices.json_values import JSON_VALUES
from tests.prices.lists import body, model

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


@settings(deadline=None, max_examples=200)
@given(st.lists(JSON_VALUES, max_size=3), JSON_VALUES)
def test_whatever_pages_hold_they_are_put_together_or_refused(rows: list[Any], link: object) -> None:
    second = json.dumps({"data": rows, "links": {"next": link}}, default=str).encode()
    pages = Pages()
    assert pages.add(BASE, page("one", link="?offset=1")) == f"{BASE}?offset=1"
    with contextlib.suppress(UpstreamError):
        pages.add(f"{BASE}?offset=1", second)
        assert len(json.loads(pages.whole())["data"]) == 1 + len(rows)


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
