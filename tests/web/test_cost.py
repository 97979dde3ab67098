"""`POST /api/v1/cost`: exact, by the price of now or of any time, and strict about what it is asked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from prices.runtime.settings import Settings
from prices.services import Services
from tests.support.ledger import fill
from tests.support.lists import body, model
from tests.support.past import instant
from tests.support.site import Site
from web.request_bodies import MAX_BYTES

MODEL = "granite-bay/two-tiers"
NO_REVISION = "revision must be a whole number from 1 to 999999999"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}


@pytest.fixture(scope="module")
def priced(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("cost"), page_upstream) as site:
        site.refresh()
        page_upstream.answer(patch={MODEL: {"pricing.prompt": "0.000003"}})
        site.refresh(force=True)
        yield site
        page_upstream.clear()


@pytest.fixture(scope="module")
def client(priced: Site) -> FlaskClient:
    return priced.client(PRICE_MARKUP="1.1")


def cost(client: FlaskClient, status: int = 200, **question: Any) -> Any:
    answer = client.post("/api/v1/cost", json=question)
    assert answer.status_code == status, answer.text
    return answer.json


def test_a_call_is_priced_exactly_by_the_price_of_now(client: FlaskClient) -> None:
    told = cost(client, model=MODEL, usage=USAGE)
    # 600 x 0.000003 + 400 x 0.0000002 + 10 x 0.000008
    assert (told["total"], told["retail_total"]) == ("0.00196", "0.002156")
    assert [(line["dimension"], line["quantity"], line["amount"]) for line in told["lines"]] == [
        ("prompt", 600, "0.0018"),
        ("input_cache_read", 400, "0.00008"),
        ("completion", 10, "0.00008"),
    ]
    assert (told["model"], told["revision"], told["tier"], told["currency"]) == (MODEL, 2, None, "USD")


def test_a_longer_prompt_is_priced_by_its_tier(client: FlaskClient) -> None:
    told = cost(client, model=MODEL, usage={"prompt_tokens": 40_000})
    assert told["tier"] == {"min_prompt_tokens": 32000}


def test_a_revision_or_a_time_is_priced_by_what_was_in_force(client: FlaskClient) -> None:
    before = cost(client, model=MODEL, usage=USAGE, revision=1)
    assert (before["total"], before["revision"]) == ("0.00136", 1)
    valid_from = client.get(f"/api/v1/prices/{MODEL}/history").json["data"][0]["valid_from"]
    assert cost(client, model=MODEL, usage=USAGE, at=valid_from)["total"] == "0.00136"
    assert cost(client, model=MODEL, usage=USAGE, revision=2, at=valid_from)["total"] == "0.00136"


def test_what_has_no_price_is_named_and_never_counted_as_nothing(client: FlaskClient) -> None:
    told = cost(client, model="openrouter/auto", usage=USAGE)
    assert told["total"] is None
    assert told["retail_total"] is None
    assert (told["known_total"], told["dynamic"]) == ("0", ["prompt", "input_cache_read", "completion"])


def test_a_question_is_answered_from_memory_when_the_stores_are_gone(
    priced: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = priced.client()
    client.get("/api/v1/prices")
    monkeypatch.setattr("web.questions.reading", None)
    monkeypatch.setattr("prices.published.make.reading", None)
    assert cost(client, model=MODEL, usage=USAGE)["total"] == "0.00196"


@pytest.mark.parametrize(
    ("status", "question", "detail"),
    [
        (400, {"usage": USAGE}, "model must be the id of a model, like openai/gpt-4o"),
        (400, {"model": 7, "usage": USAGE}, "model must be the id of a model, like openai/gpt-4o"),
        (400, {"model": MODEL}, "usage: must be an object"),
        (400, {"model": MODEL, "usage": {}}, "usage: counts nothing that has a price"),
        (
            400,
            {"model": MODEL, "usage": {"prompt_tokens": 1.5}},
            "usage.prompt_tokens: must be a whole number from 0 to 1000000000000",
        ),
        (
            400,
            {"model": MODEL, "usage": USAGE, "at": "yesterday"},
            "at must be a time in ISO 8601 with its zone, like 2026-08-06T12:44:00Z",
        ),
        (
            400,
            {"model": MODEL, "usage": USAGE, "at": 1},
            "at must be a time in ISO 8601 with its zone, like 2026-08-06T12:44:00Z",
        ),
        (
            400,
            {"model": MODEL, "usage": USAGE, "at": "2999-01-01T00:00:00Z"},
            "at lies in the future: what a price will be is not known",
        ),
        (400, {"model": MODEL, "usage": USAGE, "revision": 0}, NO_REVISION),
        (
            400,
            {"model": MODEL, "usage": USAGE, "revision": True},
            NO_REVISION,
        ),
        (
            404,
            {"model": MODEL, "usage": USAGE, "revision": 99},
            "revision 99 is not there yet, the newest is 2",
        ),
        (
            404,
            {"model": "a/b", "usage": USAGE},
            "there is no model 'a/b' now; give `at` for one that was there once",
        ),
        (404, {"model": "a/b", "usage": USAGE, "revision": 1}, "'a/b' was not listed then"),
        (
            400,
            {"model": MODEL, "usage": USAGE, "markup": "2"},
            "unknown field 'markup': a question has model, usage, at, revision",
        ),
    ],
)
def test_what_cannot_be_asked_is_named(
    status: int, question: dict[str, Any], detail: str, client: FlaskClient
) -> None:
    assert cost(client, status, **question)["detail"] == detail


@pytest.mark.parametrize(
    ("status", "body"), [(400, b"{"), (400, b"[]"), (400, b"\xff"), (400, b"[" * 5000), (413, b" " * 70_000)]
)
def test_a_body_that_is_no_question_is_a_problem(status: int, body: bytes, client: FlaskClient) -> None:
    answer = client.post("/api/v1/cost", data=body)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.json["status"] == status


def test_an_answer_is_no_ones_to_keep(client: FlaskClient) -> None:
    answer = client.post("/api/v1/cost", json={"model": MODEL, "usage": USAGE})
    assert (answer.headers["Cache-Control"], answer.headers["X-Price-Revision"]) == ("no-store", "2")


def test_a_past_cost_is_priced_by_the_hour_of_its_time_and_not_by_the_present_one(site: Site) -> None:
    services = Services.make(Settings.from_env(site.env))
    now = datetime.now(UTC)
    hour = (now.hour + 12) % 24
    window = {"utc_start": hour * 100, "utc_end": hour * 100 + 59, "prompt": "7"}
    row = model("a/one", prompt="1", pricing={"overrides": [window]})
    fill(services.engine, row, at=now - timedelta(hours=20))
    services.engine.dispose()
    client, usage = site.client(), {"prompt_tokens": 1}
    within = instant((now - timedelta(hours=12)).replace(minute=30))
    outside = instant(now - timedelta(hours=6))
    assert cost(client, model="a/one", usage=usage, at=within)["total"] == "7"
    assert cost(client, model="a/one", usage=usage, at=outside)["total"] == "1"


ODD_CONDITIONS: list[dict[str, Any]] = [
    {"min_prompt_tokens": 200000.0},
    {"min_prompt_tokens": 1e3},
    {"min_prompt_tokens": 500.5},
    {"min_prompt_tokens": "200"},
    {"utc_start": 0.0, "utc_end": 2400.0},
    {"prices": {"prompt": "5"}},
    {"prices_": [1]},
    {"prices": 1, "min_prompt_tokens": 10},
    {"weights": [0.1, {"a": 1.50}]},
]


def test_a_call_costs_the_same_now_and_at_the_revision_of_now_whatever_the_conditions(
    site: Site, page_upstream: Standin
) -> None:
    rows = [
        model(f"odd/{place}", pricing={"overrides": [odd | {"prompt": "0.000009"}]})
        for place, odd in enumerate(ODD_CONDITIONS)
    ]
    page_upstream.answer(body=body(*rows).decode())
    assert site.refresh().models == len(ODD_CONDITIONS)
    client = site.client()
    for place in range(len(ODD_CONDITIONS)):
        for tokens in (10, 700, 200_000, 200_001):
            asked = {"model": f"odd/{place}", "usage": {"prompt_tokens": tokens, "completion_tokens": 1}}
            now, then = cost(client, **asked), cost(client, **asked, revision=1)
            assert {name: now[name] for name in now if name != "at"} == {
                name: then[name] for name in then if name != "at"
            }
    assert cost(client, model="odd/0", usage={"prompt_tokens": 200_001})["total"] == "1.800009"
    assert cost(client, model="odd/5", usage={"prompt_tokens": 10})["total"] is None
    assert len(client.get("/api/v1/prices?q=odd").json["data"]) == len(ODD_CONDITIONS)
    for path in ("/", "/?q=odd", "/?sort=prompt", "/metrics", "/api/v1/models?limit=3"):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize(("length", "is_taken"), [(MAX_BYTES, True), (MAX_BYTES + 1, False)])
def test_a_question_may_be_as_long_as_a_body_may(length: int, is_taken: bool, client: FlaskClient) -> None:
    question = b'{"model":"nobody/nothing","usage":{}}'.ljust(length)
    answer = client.post("/api/v1/cost", data=question)
    assert answer.status_code == (404 if is_taken else 413)
