"""What a call cost: each unit at the price that upstream documents for it, and nothing invented."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from prices.errors import UsageError
from prices.pricing.cost import EXTRAS, FALL_BACKS, Cost, cost_of
from prices.pricing.price import DIMENSIONS, PriceState
from prices.pricing.schedule import PriceSchedule

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
ONE = Decimal(1)
BASE = {"prompt": "0.000003", "completion": "0.000015"}


def cost(usage: dict[str, Any], markup: Decimal = ONE, at: datetime = NOON, **pricing: Any) -> Cost:
    return cost_of(usage, PriceSchedule.parse(BASE | pricing), at, markup)


def priced(found: Cost) -> dict[str, tuple[int, str | None, str | None]]:
    """Quantity, whose price was taken, and the amount, by dimension."""
    lines = found.to_builtins()["lines"]
    return {line["dimension"]: (line["quantity"], line["priced_as"], line["amount"]) for line in lines}


def in_prompt(tokens: int = 100, **details: Any) -> dict[str, Any]:
    return {"prompt_tokens": tokens, "prompt_tokens_details": details}


def in_completion(tokens: int = 100, **details: Any) -> dict[str, Any]:
    return {"completion_tokens": tokens, "completion_tokens_details": details}


# What each unit costs


def test_prompt_and_completion_tokens_cost_their_own_prices() -> None:
    found = cost({"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200})
    assert priced(found) == {
        "prompt": (1000, "prompt", "0.003"),
        "completion": (200, "completion", "0.003"),
    }
    assert found.total == Decimal("0.006")


@pytest.mark.parametrize(
    ("usage", "dimension"),
    [
        (in_prompt(cached_tokens=100), "input_cache_read"),
        (in_prompt(cache_write_tokens=100), "input_cache_write"),
        (
            in_prompt(cache_write_tokens=100) | {"cache_creation": {"ephemeral_1h_input_tokens": 100}},
            "input_cache_write_1h",
        ),
        (in_prompt(audio_tokens=100), "audio"),
        (in_prompt(image_tokens=100), "image_token"),
        (
            in_prompt(audio_tokens=100, cached_tokens=100, cached_tokens_details={"audio_tokens": 100}),
            "input_audio_cache",
        ),
        (in_completion(reasoning_tokens=100), "internal_reasoning"),
        (in_completion(audio_tokens=100), "audio_output"),
        (in_completion(image_tokens=100), "image_output"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_part_costs_its_own_price_or_else_that_of_what_it_is_part_of(
    usage: dict[str, Any], dimension: str
) -> None:
    whole = FALL_BACKS[dimension][-1]
    assert priced(cost(usage, **{dimension: "0.00005"})) == {dimension: (100, dimension, "0.005")}
    if dimension not in EXTRAS:
        assert priced(cost(usage, **{dimension: "0"})) == {dimension: (100, dimension, "0")}
    as_whole = {"prompt": "0.0003", "completion": "0.0015"}[whole]
    assert priced(cost(usage)) == {dimension: (100, whole, as_whole)}


def test_writes_kept_for_an_hour_cost_as_other_writes_where_they_are_not_priced_apart() -> None:
    usage = in_prompt() | {"cache_creation": {"ephemeral_1h_input_tokens": 100}}
    found = cost(usage, input_cache_write="0.00000375")
    assert priced(found) == {"input_cache_write_1h": (100, "input_cache_write", "0.000375")}


def test_cached_audio_costs_as_cached_tokens_or_else_as_audio() -> None:
    usage = in_prompt(audio_tokens=100, cached_tokens=100, cached_tokens_details={"audio_tokens": 100})
    cached = cost(usage, audio="0.00001", input_cache_read="0.000001")
    assert priced(cached) == {"input_audio_cache": (100, "input_cache_read", "0.0001")}
    assert priced(cost(usage, audio="0.00001")) == {"input_audio_cache": (100, "audio", "0.001")}


def test_every_fall_back_leads_from_a_known_dimension_to_its_side() -> None:
    assert set(FALL_BACKS) < DIMENSIONS
    assert {chain[-1] for chain in FALL_BACKS.values()} == {"prompt", "completion"}


def test_web_searches_images_and_requests_are_counted_on_their_own() -> None:
    usage = {"images": 2, "server_tool_use": {"web_search_requests": 3}, "requests": 4}
    found = cost(usage, image="0.001238", web_search="0.01", request="0.005")
    assert priced(found) == {
        "image": (2, "image", "0.002476"),
        "web_search": (3, "web_search", "0.03"),
        "request": (4, "request", "0.02"),
    }
    assert [line["unit"] for line in found.to_builtins()["lines"]] == ["image", "search", "request"]


def test_a_call_is_billed_one_request_where_requests_have_a_price() -> None:
    assert priced(cost({"prompt_tokens": 0}, request="0.005")) == {"request": (1, "request", "0.005")}


@pytest.mark.parametrize("requests", [None, 1, 7])
def test_requests_add_nothing_where_upstream_prices_none(requests: int | None) -> None:
    found = cost({"prompt_tokens": 100, "requests": requests})
    assert priced(found) == {"prompt": (100, "prompt", "0.0003")}


def test_what_upstream_says_it_charged_changes_nothing() -> None:
    usage = {"prompt_tokens": 100, "cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}
    assert cost(usage) == cost({"prompt_tokens": 100})


def test_the_bill_of_a_cached_claude_call_is_as_documented() -> None:
    """https://openrouter.ai/docs/guides/best-practices/prompt-caching: writes 1.25 times, reads 0.1 times."""
    usage = in_prompt(10_400, cached_tokens=10_000, cache_write_tokens=300) | {"completion_tokens": 60}
    found = cost(usage, input_cache_read="0.0000003", input_cache_write="0.00000375")
    assert found.total == Decimal("0.000003") * (100 + 1000 + 375) + Decimal("0.000015") * 60


# Free, dynamic, unknown


def test_free_is_an_amount_of_zero() -> None:
    found = cost({"prompt_tokens": 100, "completion_tokens": 100}, prompt="0", completion="-0")
    assert (found.total, found.retail_total, found.in_state(PriceState.FREE)) == (
        0,
        0,
        ["prompt", "completion"],
    )


@pytest.mark.parametrize("dimension", sorted(FALL_BACKS))
def test_a_dynamic_price_of_a_part_is_dynamic_and_does_not_fall_back(dimension: str) -> None:
    usage = (
        in_prompt(
            audio_tokens=50, image_tokens=10, cached_tokens=20, cached_tokens_details={"audio_tokens": 5}
        )
        | {"cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3}}
        | in_completion(reasoning_tokens=5, audio_tokens=6, image_tokens=7)
    )
    own = dict.fromkeys(FALL_BACKS, "0.000001")
    found = cost(usage, **own | {dimension: "-1"})
    whole = cost(usage, **own)
    assert found.in_state(PriceState.DYNAMIC) == [dimension]
    assert (found.total, found.retail_total) == (None, None)
    assert found.known_total == whole.known_total - Decimal("0.000001") * whole_quantity(whole, dimension)


def whole_quantity(found: Cost, dimension: str) -> int:
    return next(line.quantity for line in found.lines if line.dimension == dimension)


def test_reasoning_at_no_price_of_its_own_is_charged_as_the_output_that_it_is() -> None:
    found = cost(in_completion(reasoning_tokens=40), internal_reasoning="0")
    assert priced(found)["internal_reasoning"][:2] == (40, "completion")
    assert found.total == cost(in_completion(reasoning_tokens=40)).total


def test_a_part_without_a_price_is_dynamic_where_its_whole_is() -> None:
    found = cost(in_prompt(cached_tokens=40), prompt="-1")
    assert found.in_state(PriceState.DYNAMIC) == ["prompt", "input_cache_read"]
    assert priced(found)["input_cache_read"] == (40, "prompt", None)


def test_a_dynamic_price_that_is_not_used_does_not_matter() -> None:
    found = cost({"prompt_tokens": 100}, completion="-1", web_search="-1")
    assert (found.total, found.in_state(PriceState.DYNAMIC)) == (Decimal("0.0003"), [])


@pytest.mark.parametrize(
    ("usage", "dimension"),
    [({"server_tool_use": {"web_search_requests": 1}}, "web_search"), ({"images": 1}, "image")],
    ids=["web search", "image"],
)
def test_what_has_no_price_and_no_whole_is_unknown_and_never_zero(
    usage: dict[str, Any], dimension: str
) -> None:
    found = cost(usage | {"prompt_tokens": 100})
    assert found.in_state(PriceState.UNKNOWN) == [dimension]
    assert (found.total, found.retail_total, found.known_total) == (None, None, Decimal("0.0003"))
    assert priced(found)[dimension] == (1, None, None)


@pytest.mark.parametrize("dimension", ["prompt", "input_cache_read", "request"])
def test_a_price_that_hangs_on_a_condition_we_cannot_read_is_unknown(dimension: str) -> None:
    holidays = {"utc_days": ["holiday"], dimension: "0.000001"}
    found = cost(in_prompt(cached_tokens=40), overrides=[holidays])
    expected = {"prompt": ["prompt", "input_cache_read"]}.get(dimension, [dimension])
    assert found.in_state(PriceState.UNKNOWN) == expected
    assert found.total is None


# Tiers, windows, markup, discount


def test_the_tier_goes_by_the_whole_prompt_and_is_told() -> None:
    tier = {"min_prompt_tokens": 200_000, "prompt": "0.000006", "input_cache_read": "0.0000006"}
    usage = in_prompt(200_001, cached_tokens=200_000)
    found = cost(usage, input_cache_read="0.0000003", overrides=[tier])
    assert priced(found) == {
        "prompt": (1, "prompt", "0.000006"),
        "input_cache_read": (200_000, "input_cache_read", "0.12"),
    }
    assert found.to_builtins()["tier"] == {"min_prompt_tokens": 200_000}
    assert cost(in_prompt(200_000), overrides=[tier]).to_builtins()["tier"] is None


def test_the_window_of_the_hour_is_used_and_told() -> None:
    night = {"utc_start": 1630, "utc_end": 30, "prompt": "0.000001"}
    by_night = cost({"prompt_tokens": 1000}, at=datetime(2026, 8, 6, 23, tzinfo=UTC), overrides=[night])
    by_day = cost({"prompt_tokens": 1000}, overrides=[night])
    assert (by_night.total, by_day.total) == (Decimal("0.001"), Decimal("0.003"))
    assert by_night.to_builtins()["window"] == {"utc_start": 1630, "utc_end": 30}
    assert by_day.to_builtins()["window"] is None


def test_a_window_of_certain_weekdays_is_told_with_them() -> None:
    thursdays = {"utc_days": ["thursday"], "utc_start": 1000, "prompt": "0.000001"}
    thursday, friday = (
        cost({"prompt_tokens": 1000}, at=datetime(2026, 8, day, 12, tzinfo=UTC), overrides=[thursdays])
        for day in (6, 7)
    )
    assert (thursday.total, friday.total) == (Decimal("0.001"), Decimal("0.003"))
    assert thursday.to_builtins()["window"] == {"utc_start": 1000, "utc_end": 2400, "utc_days": ("thursday",)}


def test_the_markup_makes_a_retail_total_beside_the_list_total() -> None:
    found = cost({"prompt_tokens": 1000}, markup=Decimal("1.175"))
    assert (found.total, found.retail_total) == (Decimal("0.003"), Decimal("0.003525"))


def test_a_discount_is_not_taken_off_again() -> None:
    schedule = PriceSchedule.parse(BASE | {"discount": Decimal("0.9")})
    assert cost_of({"prompt_tokens": 1000}, schedule, NOON, ONE).total == Decimal("0.003")


# As JSON


def test_a_cost_is_given_whole_with_exact_texts() -> None:
    usage = in_prompt(12, cached_tokens=2) | {"server_tool_use": {"web_search_requests": 1}}
    found = cost(usage, markup=Decimal("1.50"), prompt="1e-7", web_search="-1")
    assert found.to_builtins() == {
        "currency": "USD",
        "total": None,
        "known_total": "0.0000012",
        "dynamic": ["web_search"],
        "unknown": [],
        "markup": "1.5",
        "retail_total": None,
        "tier": None,
        "window": None,
        "lines": [
            {
                "dimension": "prompt",
                "quantity": 10,
                "unit": "token",
                "state": "priced",
                "priced_as": "prompt",
                "unit_price": "0.0000001",
                "amount": "0.000001",
            },
            {
                "dimension": "input_cache_read",
                "quantity": 2,
                "unit": "token",
                "state": "priced",
                "priced_as": "prompt",
                "unit_price": "0.0000001",
                "amount": "0.0000002",
            },
            {
                "dimension": "web_search",
                "quantity": 1,
                "unit": "search",
                "state": "dynamic",
                "priced_as": "web_search",
                "unit_price": None,
                "amount": None,
            },
        ],
    }
    assert msgspec.json.decode(msgspec.json.encode(found.to_builtins())) == found.to_builtins()


def test_no_digit_is_lost_where_tiny_and_huge_amounts_meet() -> None:
    found = cost(
        {"prompt_tokens": 10**12, "completion_tokens": 1},
        markup=Decimal("1.000000000000000000000000000001"),
        prompt="9" * 39,
        completion="0." + "0" * 38 + "7",
    )
    assert found.to_builtins()["total"] == "9" * 39 + "0" * 12 + "." + "0" * 38 + "7"
    retail = found.to_builtins()["retail_total"]
    assert Fraction(retail) == Fraction(found.to_builtins()["total"]) * (1 + Fraction(1, 10**30))
    assert set(retail) <= set("0123456789.")


def test_a_usage_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^usage\.prompt_tokens_details\.cached_tokens: 101 is more than"):
        cost(in_prompt(cached_tokens=101))
