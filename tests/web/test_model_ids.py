"""Whatever upstream calls a model, it can be asked for by that id, on every route that takes one."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from tests.support.lists import model
from tests.support.past import get
from tests.support.site import Site

ODD = [
    "/leading/slash", "//two", "trailing/slash/", "in//side", "/", "only/history", "history", "/history",
    "both/of", "both/of/history", "both/of/history/history", "a/../b", ".", "a/b?x=1&y", "a/b#c", "a%2Fb",
    "é/ü:free",
]  # fmt: skip
AMBIGUOUS = {"both/of/history", "both/of/history/history"}
"""Ids whose path names the history of another model; with a revision it is theirs."""


@pytest.fixture(scope="module")
def client(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("ids"), page_upstream) as site:
        page_upstream.answer(append=[model(odd, f"0.00000{place + 1}") for place, odd in enumerate(ODD)])
        site.refresh()
        page_upstream.clear()
        yield site.client()


def path(model_id: str, *, encoded: bool) -> str:
    return quote(model_id, safe="" if encoded else "/")


@pytest.fixture(params=[True, False], ids=["encoded slashes", "plain slashes"])
def encoded(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("model_id", ODD)
def test_its_document_as_upstream_sent_it(model_id: str, encoded: bool, client: FlaskClient) -> None:
    assert get(client, f"/api/v1/model/{path(model_id, encoded=encoded)}")["data"]["id"] == model_id


@pytest.mark.parametrize("model_id", ODD)
def test_its_price_now_and_at_a_revision(model_id: str, encoded: bool, client: FlaskClient) -> None:
    address = f"/api/v1/prices/{path(model_id, encoded=encoded)}"
    (listed,) = (one for one in get(client, "/api/v1/prices")["data"] if one["id"] == model_id)
    assert get(client, address, revision=1) == listed
    if model_id not in AMBIGUOUS:
        assert get(client, address) == listed


@pytest.mark.parametrize("model_id", ODD)
def test_its_history(model_id: str, encoded: bool, client: FlaskClient) -> None:
    told = get(client, f"/api/v1/prices/{path(model_id, encoded=encoded)}/history")
    assert (told["id"], len(told["data"])) == (model_id, 1)


@pytest.mark.parametrize("model_id", ODD)
def test_what_a_call_to_it_cost(model_id: str, client: FlaskClient) -> None:
    for more in ({}, {"revision": 1}):
        asked = {"model": model_id, "usage": {"prompt_tokens": 1}} | more
        assert client.post("/api/v1/cost", json=asked).json["model"] == model_id


def test_a_path_that_names_neither_a_model_nor_a_history_says_so(client: FlaskClient) -> None:
    answer = client.get("/api/v1/prices/no/body/history")
    assert (answer.status_code, answer.json["detail"]) == (404, "there never was a model 'no/body'")
    answer = client.get("/api/v1/prices/both/of/history?x=1")
    assert answer.status_code == 400
