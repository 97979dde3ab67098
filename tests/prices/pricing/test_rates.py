"""Which prices hold for a request: by its size, by its hour, and never by a guess."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.pricing.rates import Rates, rates_at
from prices.pricing.schedule import PriceSchedule
from tests.support.laws import examples

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
TIER = {"min_prompt_tokens": 200_000, "prompt": "4", "completion": "18"}
NIGHT = {"utc_start": 1630, "utc_end": 30, "prompt": "1"}


def rates(
    *overrides: dict[str, Any], at: datetime = NOON, prompt_tokens: int = 0, requests: int = 1
) -> Rates:
    pricing = {"prompt": "2", "completion": "12", "overrides": list(overrides)}
    return rates_at(PriceSchedule.parse(pricing), at, prompt_tokens, requests)


def prompt(found: Rates) -> str:
    return "unknown" if "prompt" in found.undecided else found.prices["prompt"].text


@pytest.mark.parametrize(
    ("prompt_tokens", "price", "tier"), [(199_999, "2", None), (200_000, "2", None), (200_001, "4", 200_000)]
)
def test_a_tier_holds_for_prompts_strictly_above_its_size(
    prompt_tokens: int, price: str, tier: int | None
) -> None:
    found = rates(TIER, prompt_tokens=prompt_tokens)
    assert (prompt(found), found.tier) == (price, tier)


def test_what_a_tier_does_not_name_is_the_bases() -> None:
    found = rates({"min_prompt_tokens": 10, "prompt": "4"}, prompt_tokens=11)
    assert found.prices["completion"].text == "12"


def test_an_override_may_price_what_the_base_does_not() -> None:
    found = rates({"min_prompt_tokens": 10, "input_cache_read": "1"}, prompt_tokens=11)
    assert found.prices["input_cache_read"].text == "1"


def test_among_the_overrides_that_hold_the_later_one_wins_price_by_price() -> None:
    small, large = (
        {"min_prompt_tokens": 10, "prompt": "3", "completion": "13"},
        {"min_prompt_tokens": 20, "prompt": "4"},
    )
    found = rates(small, large, prompt_tokens=21)
    assert (prompt(found), found.prices["completion"].text, found.tier) == ("4", "13", 20)
    assert rates(small, large, prompt_tokens=20).tier == 10
    assert prompt(rates(large, small, prompt_tokens=21)) == "3"


@pytest.mark.parametrize(
    ("clock", "price"),
    [((16, 29), "2"), ((16, 30), "1"), ((23, 59), "1"), ((0, 0), "1"), ((0, 29), "1"), ((0, 30), "2")],
)
def test_a_window_holds_from_its_start_to_before_its_end_also_past_midnight(
    clock: tuple[int, int], price: str
) -> None:
    found = rates(NIGHT, at=datetime(2026, 8, 6, *clock, 59, tzinfo=UTC))
    assert prompt(found) == price
    assert found.window == ((1630, 30, ()) if price == "1" else None)


def test_the_hours_are_utc_whatever_zone_the_time_is_told_in() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert prompt(rates(NIGHT, at=datetime(2026, 8, 7, 2, tzinfo=tokyo))) == "1"
    assert prompt(rates(NIGHT, at=datetime(2026, 8, 6, 20, tzinfo=tokyo))) == "2"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        rates(at=datetime(2026, 8, 6, 12))  # noqa: DTZ001


def test_a_window_with_one_bound_reaches_to_midnight() -> None:
    assert rates({"utc_start": 1100, "prompt": "1"}).window == (1100, 2400, ())
    assert rates({"utc_end": 1300, "prompt": "1"}).window == (0, 1300, ())


def test_an_override_with_several_conditions_holds_where_all_of_them_do() -> None:
    both = NIGHT | {"min_prompt_tokens": 10}
    evening = NOON + timedelta(hours=6)
    assert prompt(rates(both, at=evening, prompt_tokens=11)) == "1"
    assert prompt(rates(both, at=evening, prompt_tokens=10)) == "2"
    assert prompt(rates(both, at=NOON, prompt_tokens=11)) == "2"


def test_conditions_with_a_decimal_point_are_the_same_conditions() -> None:
    found = rates(
        {"min_prompt_tokens": Decimal("10.0"), "utc_start": Decimal("400.0"), "prompt": "1"}, prompt_tokens=11
    )
    assert (prompt(found), found.tier, found.window) == ("1", 10, (400, 2400, ()))


# Days of the week; 6 August 2026 is a Thursday


def on(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 8, day, hour, minute, tzinfo=UTC)


def test_weekdays_without_hours_scope_the_whole_utc_day() -> None:
    thursdays = {"utc_days": ["thursday"], "prompt": "1"}
    assert [prompt(rates(thursdays, at=at)) for at in (on(5, 23, 59), on(6, 0), on(6, 23, 59), on(7, 0))] == [
        "2",
        "1",
        "1",
        "2",
    ]
    assert rates(thursdays).window == (0, 2400, ("thursday",))


def test_weekdays_scope_a_window_at_the_instant_of_the_request_also_past_midnight() -> None:
    night = NIGHT | {"utc_days": ["thursday", "saturday"]}
    assert prompt(rates(night, at=on(6, 0))) == "1"  # Thursday's own small hours, in a window that wraps
    assert prompt(rates(night, at=on(6, 12))) == "2"
    assert prompt(rates(night, at=on(6, 23))) == "1"
    assert (
        prompt(rates(night, at=on(7, 0))) == "2"
    )  # Friday's small hours, though the window began on Thursday
    assert prompt(rates(night, at=on(8, 17))) == "1"


def test_the_weekday_is_that_of_utc_whatever_zone_the_time_is_told_in() -> None:
    thursdays, tokyo = {"utc_days": ["thursday"], "prompt": "1"}, timezone(timedelta(hours=9))
    assert prompt(rates(thursdays, at=datetime(2026, 8, 7, 8, tzinfo=tokyo))) == "1"
    assert prompt(rates(thursdays, at=datetime(2026, 8, 6, 8, tzinfo=tokyo))) == "2"


def test_a_window_that_ends_at_midnight_as_zero_holds_until_the_day_ends() -> None:
    afternoon = {"utc_start": 1200, "utc_end": 0, "prompt": "1"}
    assert (prompt(rates(afternoon, at=on(6, 23, 59))), prompt(rates(afternoon, at=on(6, 0)))) == ("1", "2")
    assert rates(afternoon).window == (1200, 0, ())


def test_the_window_told_is_that_of_one_override() -> None:
    opening, closing = {"utc_start": 600, "prompt": "1"}, {"utc_end": 1800, "completion": "9"}
    assert rates(opening, closing).window == (0, 1800, ())


# What cannot be told


@pytest.mark.parametrize(
    "condition",
    [
        {"utc_days": ["holiday"]},
        {"utc_days": ["thursday", 4]},
        {"utc_days": "thursday"},
        {"utc_days": []},
        {"utc_days": ["Thursday"]},
        {"service_tier": "flex"},
        {"min_completion_tokens": 1},
        {"min_prompt_tokens": "many"},
        {"min_prompt_tokens": True},
        {"utc_start": "0400"},
        {"utc_start": -1},
        {"utc_end": 2401},
        {"utc_end": Decimal("400.5")},
    ],
    ids=str,
)
def test_a_price_behind_a_condition_that_we_cannot_read_is_unknown(condition: dict[str, Any]) -> None:
    found = rates(condition | {"prompt": "1"}, prompt_tokens=11)
    assert found.undecided == {"prompt"}
    assert found.applied == ()


def test_a_condition_that_we_cannot_read_does_not_matter_where_another_fails_or_the_price_is_the_same() -> (
    None
):
    assert rates(NIGHT | {"utc_days": ["holiday"]}).undecided == frozenset()
    assert rates(TIER | {"utc_days": ["holiday"]}).undecided == frozenset()
    assert rates({"utc_days": ["holiday"], "prompt": "2"}).undecided == frozenset()


def test_a_later_override_that_holds_settles_what_an_earlier_one_left_open() -> None:
    open_ended, tier = {"utc_days": ["holiday"], "prompt": "1"}, {"min_prompt_tokens": 10, "prompt": "4"}
    assert prompt(rates(open_ended, tier, prompt_tokens=11)) == "4"
    assert prompt(rates(tier, open_ended, prompt_tokens=11)) == "unknown"


def test_the_size_of_each_of_several_prompts_is_not_told_by_their_sum() -> None:
    assert prompt(rates(TIER, prompt_tokens=200_001, requests=2)) == "unknown"
    assert prompt(rates(TIER, prompt_tokens=200_000, requests=2)) == "2"


# Laws


@settings(max_examples=examples(100))
@given(st.lists(st.integers(0, 50), max_size=5), st.integers(0, 60), st.integers(0, 60))
def test_a_larger_prompt_meets_every_tier_that_a_smaller_one_meets(
    sizes: list[int], one: int, other: int
) -> None:
    tiers = [{"min_prompt_tokens": size, "prompt": str(size + 3)} for size in sizes]
    small, large = (rates(*tiers, prompt_tokens=tokens).applied for tokens in sorted((one, other)))
    assert [entry for entry in large if entry in small] == list(small)
    assert [dict(entry.conditions)["min_prompt_tokens"] for entry in large] == [
        size for size in sizes if size < max(one, other)
    ]


@settings(max_examples=examples(100))
@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_two_windows_that_meet_end_to_end_cover_each_minute_once(start: int, end: int, minute: int) -> None:
    first, second = (hour // 60 * 100 + hour % 60 for hour in (start, end))
    at = datetime(2026, 8, 6, tzinfo=UTC) + timedelta(minutes=minute)
    windows = [{"utc_start": first, "utc_end": second}, {"utc_start": second, "utc_end": first}]
    held = [rates(window | {"prompt": "1"}, at=at).applied for window in windows]
    assert sum(map(len, held)) == (0 if first == second else 1)
