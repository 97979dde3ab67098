"""Price schedules: read strictly, compared by what they mean, and never moved by the clock."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.errors import PriceError
from prices.price import Price, PriceState
from prices.schedule import PriceSchedule
from tests.prices.json_values import JSON_VALUES


def schedule(*overrides: dict[str, Any], **base: Any) -> PriceSchedule:
    pricing: dict[str, Any] = {"prompt": "0.000002", "completion": "0.000008"} | base
    return PriceSchedule.parse(pricing | ({"overrides": list(overrides)} if overrides else {}))


def test_an_absent_dimension_is_unknown_and_null_is_absent() -> None:
    parsed = schedule(request=None, image="0", web_search="-1")
    assert set(parsed.base) == {"prompt", "completion", "image", "web_search"}
    assert parsed.base["image"].state is PriceState.FREE
    assert parsed.base["web_search"].state is PriceState.DYNAMIC


@pytest.mark.parametrize("required", ["prompt", "completion"])
@pytest.mark.parametrize("value", [None, True, [], {}, "NaN"], ids=str)
def test_a_schedule_without_a_required_price_is_refused_by_its_name(required: str, value: object) -> None:
    with pytest.raises(PriceError, match=rf"pricing\.{required}"):
        schedule(**{required: value})


@pytest.mark.parametrize(
    "extra",
    [
        {"discount": 0.25},
        {"discount": Decimal("-0.5")},
        {"tiers": [1]},
        {"batch": {"prompt": "1"}},
        {"beta": True},
    ],
    ids=str,
)
def test_a_field_of_an_unknown_kind_within_pricing_is_passed_over(extra: dict[str, Any]) -> None:
    assert schedule(**extra) == schedule()


@pytest.mark.parametrize(
    "extra", [{"currency": "USD"}, {"note": ""}, {"savings": "-5"}, {"trend": -2}], ids=str
)
def test_a_new_field_that_is_no_price_does_not_cost_us_the_model(extra: dict[str, Any]) -> None:
    assert schedule(**extra).base["prompt"] == Price("0.000002")


def test_a_condition_that_is_not_known_is_kept_and_counts_as_meaning() -> None:
    weekdays = schedule({"utc_days": ["monday"], "prompt": "0.000001"})
    assert dict(weekdays.overrides[0].conditions) == {"utc_days": ["monday"]}
    assert weekdays.meaning != schedule({"utc_days": ["sunday"], "prompt": "0.000001"}).meaning


def test_a_condition_whose_value_is_a_word_does_not_cost_us_the_model() -> None:
    parsed = schedule({"service_tier": "flex", "prompt": "0.000001"})
    assert dict(parsed.overrides[0].conditions) == {"service_tier": "flex"}


def test_a_price_that_an_override_gives_as_a_number_is_a_price() -> None:
    parsed = schedule({"min_prompt_tokens": 1000, "prompt": Decimal("0.000001")})
    assert dict(parsed.overrides[0].prices) == {"prompt": Price("0.000001")}


@pytest.mark.parametrize("overrides", [{"prompt": "1"}, "x", 5, [1], [None], ["x"]], ids=str)
def test_overrides_of_another_shape_are_refused(overrides: object) -> None:
    with pytest.raises(PriceError, match=r"pricing\.overrides"):
        PriceSchedule.parse({"prompt": "1", "completion": "1", "overrides": overrides})


NIGHT = {"utc_start": 1630, "utc_end": 30, "prompt": "0.0000002"}
DAY = {"utc_start": 30, "utc_end": 1630, "prompt": "0.0000004"}


def test_a_window_that_comes_into_force_is_no_change() -> None:
    by_night = schedule(DAY, NIGHT, prompt="0.0000002")
    by_day = schedule(DAY, NIGHT, prompt="0.0000004")
    assert by_night.seen_after(by_day, datetime(2026, 8, 6, 20, tzinfo=UTC)).meaning == by_day.meaning
    assert by_day.seen_after(by_night, datetime(2026, 8, 6, 12, tzinfo=UTC)).meaning == by_night.meaning


def test_outside_every_window_the_base_is_what_upstream_says() -> None:
    before, after = (schedule(NIGHT, prompt=prompt) for prompt in ("0.0000004", "0.0000005"))
    assert after.seen_after(before, datetime(2026, 8, 6, 12, tzinfo=UTC)) == after


def test_a_window_hides_only_the_prices_that_it_sets() -> None:
    before = schedule(NIGHT, prompt="0.0000004", completion="0.000001")
    after = schedule(NIGHT, prompt="0.0000002", completion="0.000002")
    seen = after.seen_after(before, datetime(2026, 8, 6, 20, tzinfo=UTC))
    assert {name: price.text for name, price in seen.base.items()} == {
        "prompt": "0.0000004",
        "completion": "0.000002",
    }


def test_a_change_of_what_no_window_sets_is_one() -> None:
    assert schedule(DAY, completion="0.000009").meaning != schedule(DAY).meaning


def test_a_change_within_a_window_or_of_its_hours_is_one() -> None:
    assert schedule(DAY | {"prompt": "0.1"}).meaning != schedule(DAY).meaning
    assert schedule(DAY | {"utc_end": 1700}).meaning != schedule(DAY).meaning


def test_the_base_price_under_a_tier_counts() -> None:
    tier = {"min_prompt_tokens": 32000, "prompt": "0.000003"}
    assert schedule(tier, prompt="0.000001").meaning != schedule(tier).meaning


def test_later_entries_win_so_their_order_is_meaning() -> None:
    one, other = {"min_prompt_tokens": 1, "prompt": "1"}, {"min_prompt_tokens": 1, "prompt": "2"}
    assert schedule(one, other).meaning != schedule(other, one).meaning


def test_the_same_amount_in_another_spelling_is_the_same_price() -> None:
    assert schedule(prompt="0.0000020").meaning == schedule(prompt="2e-6").meaning


def test_a_dimension_that_appears_is_a_change_also_where_it_is_free() -> None:
    assert schedule(request="0").meaning != schedule().meaning


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["min_prompt_tokens", "utc_days", "weight", "tier"]), JSON_VALUES, max_size=3
    )
)
def test_a_schedule_that_is_stored_and_read_again_means_the_same(conditions: dict[str, Any]) -> None:
    try:
        parsed = schedule({**conditions, "prompt": "0.000001"})
    except PriceError:
        return
    assert PriceSchedule.from_json(parsed.to_json()).meaning == parsed.meaning


def test_one_schedule_has_one_text_whatever_the_order_of_its_keys() -> None:
    assert schedule(image="1", audio="2").to_json() == schedule(audio="2", image="1").to_json()
    assert msgspec.json.decode(schedule(image="1").to_json()) == {
        "completion": "0.000008",
        "image": "1",
        "prompt": "0.000002",
    }
