"""`/api/v1/prices`: the state of every price spelled out, amounts exact."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from local.standin.client import Standin
from prices.catalogue.attributes import Attributes
from prices.history.read import PriceInterval
from tests.support.lists import schedule
from tests.support.site import Site


@pytest.fixture(scope="module")
def filled(page_upstream: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    page_upstream.clear()
    with Site(tmp_path_factory.mktemp("prices"), page_upstream) as site:
        site.refresh()
        yield site


@pytest.fixture(scope="module")
def client(filled: Site) -> FlaskClient:
    return filled.client(PRICE_MARKUP="1.2")


def entry(client: FlaskClient, model_id: str) -> Any:
    answer = client.get(f"/api/v1/prices/{model_id}")
    assert answer.status_code == 200
    return answer.json


def test_the_list_holds_an_entry_for_every_model_in_upstreams_order(client: FlaskClient) -> None:
    told = client.get("/api/v1/prices").json
    assert (told["revision"], told["currency"]) == (1, "USD")
    assert [one["id"] for one in told["data"]] == [
        one["id"] for one in client.get("/api/v1/models").json["data"]
    ]


def test_an_entry_alone_is_the_one_of_the_list(client: FlaskClient) -> None:
    for one in client.get("/api/v1/prices").json["data"]:
        assert entry(client, one["id"]) == one


def test_free_dynamic_and_unknown_are_told_apart(client: FlaskClient) -> None:
    free = entry(client, "lumenforge/aurora-5:free")
    assert free["prices"]["prompt"]["state"] == "free"
    assert free["prices"]["prompt"]["per_token"] == "0"
    assert (free["cost_band"], free["flags"]["free"]) == ("free", True)
    router = entry(client, "openrouter/auto")
    assert router["prices"]["prompt"] == {"state": "dynamic", "unit": "token"}
    assert (router["cost_band"], router["flags"]["free"]) == ("dynamic", False)
    assert "image" not in router["prices"]
    lens = entry(client, "harbor-ai/pilot-lens")
    assert lens["prices"]["image"] == {"state": "dynamic", "unit": "image"}
    assert entry(client, "harbor-ai/pilot-minus")["prices"]["request"]["per_unit"] == "0"
    assert entry(client, "harbor-ai/not-really:free")["flags"]["free"] is False


def test_amounts_are_exact_per_token_per_million_and_retail(client: FlaskClient) -> None:
    prompt = entry(client, "tidewater/longtail-70b")["prices"]["prompt"]
    assert prompt == {
        "state": "priced",
        "unit": "token",
        "per_token": "0.00000010333333333333333",
        "per_million": "0.10333333333333333",
        "retail_per_token": "0.000000123999999999999996",
        "retail_per_million": "0.123999999999999996",
    }


def test_every_amount_is_the_list_price_times_its_factor(client: FlaskClient) -> None:
    for one in client.get("/api/v1/prices").json["data"]:
        for price in one["prices"].values():
            if price["state"] in ("dynamic", "unknown"):
                assert set(price) == {"state", "unit"}
            elif price["unit"] == "token":
                amount = Decimal(price["per_token"])
                assert Decimal(price["per_million"]) == amount * 10**6
                assert Decimal(price["retail_per_token"]) == amount * Decimal("1.2")
            else:
                assert Decimal(price["retail_per_unit"]) == Decimal(price["per_unit"]) * Decimal("1.2")


@pytest.mark.parametrize(
    "text", ["0." + "0" * 8 + "1234567890123456789012345678901", "1234567890.123456789012345678901"]
)
def test_an_amount_of_more_digits_than_decimal_keeps_by_default_stays_exact(text: str) -> None:
    from prices.formats.pricebeat import _describer
    from prices.pricing.price import Price

    told = _describer(Decimal("1.2345"))(Price.parse(text).text, "token")
    whole, _, fraction = text.partition(".")
    moved = f"{whole}{fraction[:6]}.{fraction[6:]}".lstrip("0")
    assert told["per_million"] == (f"0{moved}" if moved.startswith(".") else moved)


def test_a_model_whose_base_price_was_never_seen_is_not_called_free() -> None:
    from prices.formats.pricebeat import price_entry

    window = {"utc_start": 0, "utc_end": 1200, "prompt": "0.000001"}
    noon, seen_at = datetime(2026, 8, 6, 12, tzinfo=UTC), datetime(2026, 8, 6, 9, tzinfo=UTC)
    hidden = schedule(window, prompt="0.000001", completion="0").seen_after(None, seen_at)
    entry = price_entry(
        PriceInterval("a/b", Attributes("B", None), hidden, seen_at, None, 1), Decimal(1), noon
    )
    assert (entry["flags"]["free"], entry["cost_band"]) == (False, "unknown")
    assert (entry["prices"]["prompt"]["state"], set(entry["in_force"])) == ("unknown", {"completion"})


def test_overrides_come_with_their_conditions(client: FlaskClient) -> None:
    tiers = entry(client, "granite-bay/two-tiers")["overrides"]
    assert [tier["min_prompt_tokens"] for tier in tiers] == [32000, 256000]
    assert set(tiers[1]["prices"]) == {"prompt"}
    windows = entry(client, "deepwell/night-flash")["overrides"]
    assert [(window["utc_start"], window["utc_end"]) for window in windows] == [(30, 1630), (1630, 30)]
    assert entry(client, "deepwell/weekdays")["overrides"][0]["utc_days"][0] == "monday"


def test_an_entry_says_since_when_and_which_revision_its_price_is(client: FlaskClient) -> None:
    told = entry(client, "lumenforge/aurora-5")
    assert told["revision"] == 1
    assert told["valid_from"].endswith(("Z", "+00:00"))
    assert (told["valid_to"], told["held"]) == (None, None)


def test_a_search_gives_what_the_id_or_the_name_holds(client: FlaskClient) -> None:
    found = client.get("/api/v1/prices?q=AURORA-5:").json
    ids = [one["id"] for one in found["data"]]
    assert len(ids) >= 6
    assert all("aurora-5:" in one for one in ids)
    everything = [one["id"] for one in client.get("/api/v1/prices").json["data"]]
    assert ids == [one for one in everything if one in ids]
    assert client.get("/api/v1/prices?q=no-such-thing").json["data"] == []
    assert client.get("/api/v1/prices?q=%20").data == client.get("/api/v1/prices").data


@pytest.mark.parametrize(
    "path", ["/api/v1/prices?when=2026-01-01", "/api/v1/prices?Q=x", "/api/v1/prices/a/b?q=x"]
)
def test_a_parameter_that_a_route_does_not_know_is_refused_by_its_name(
    path: str, client: FlaskClient
) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert answer.json["detail"].startswith("unknown parameter")


@pytest.mark.parametrize("model_id", ["nobody/nothing", "%ED%A0%80", "%00", "a" * 3000])
def test_a_model_that_is_not_there_is_a_problem(model_id: str, client: FlaskClient) -> None:
    answer = client.get(f"/api/v1/prices/{model_id}")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.json["status"] == 404
    assert answer.json["detail"].startswith("there is no model")
