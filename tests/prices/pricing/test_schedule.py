"""Price schedules: read strictly, kept as one text, and told apart from what a window hides."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.catalogue.changes import price_changes
from prices.errors import PriceError
from prices.pricing import schedule as kept
from prices.pricing.price import Price, PriceState
from prices.pricing.rates import rates_at
from prices.pricing.schedule import PriceSchedule
from tests.support.json_values import JSON_VALUES
from tests.support.laws import examples
from tests.support.lists import schedule


def texts(prices: Any) -> dict[str, str]:
    return {name: price.text for name, price in prices.items()}


# How a schedule is read


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
        {"unseen": "0.1"},
        {"x" * 65: "0.1"},
        {"a\x00b": "0.1"},
        {"two\nlines": "0.1"},
    ],
    ids=lambda extra: ascii(extra)[:30],
)
def test_a_field_of_an_unknown_kind_within_pricing_is_passed_over(extra: dict[str, Any]) -> None:
    assert schedule(**extra) == schedule()


@pytest.mark.parametrize(
    "extra", [{"currency": "USD"}, {"note": ""}, {"savings": "-5"}, {"trend": -2}], ids=str
)
def test_a_new_field_that_is_no_price_does_not_cost_us_the_model(extra: dict[str, Any]) -> None:
    assert schedule(**extra).base["prompt"] == Price("0.000002")


def test_a_new_field_that_is_a_price_is_a_dimension() -> None:
    assert schedule(per_daydream="0.0125").base["per_daydream"] == Price("0.0125")


def test_a_condition_that_is_not_known_is_kept() -> None:
    weekdays = schedule({"utc_days": ["monday"], "prompt": "0.000001"})
    assert dict(weekdays.overrides[0].conditions) == {"utc_days": ["monday"]}


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


# What a list tells of a schedule while a window may be open


NIGHT = {"utc_start": 1630, "utc_end": 30, "prompt": "0.0000002"}
DAY = {"utc_start": 30, "utc_end": 1630, "prompt": "0.0000004"}


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 8, 6, hour, minute, tzinfo=UTC)


def test_a_base_price_that_a_window_hides_at_first_sight_is_unseen() -> None:
    seen = schedule(NIGHT, prompt="0.0000002").seen_after(None, at(20))
    assert (set(seen.base), seen.unseen) == ({"completion"}, {"prompt"})


def test_a_base_price_that_was_known_still_holds_while_a_window_hides_it() -> None:
    known = schedule(NIGHT, prompt="0.0000009")
    assert schedule(NIGHT, prompt="0.0000002").seen_after(known, at(20)) == known


def test_an_unseen_base_price_stays_unseen_until_it_shows() -> None:
    first = schedule(NIGHT, prompt="0.0000002").seen_after(None, at(20))
    again = schedule(NIGHT, prompt="0.0000002").seen_after(first, at(23))
    assert again == first
    learned = schedule(NIGHT, prompt="0.0000009").seen_after(again, at(2))
    assert (learned.base["prompt"].text, learned.unseen) == ("0.0000009", frozenset())


def test_with_windows_around_the_whole_day_the_base_price_never_shows() -> None:
    for hour in range(24):
        shown = "0.0000004" if 30 <= hour * 100 < 1630 else "0.0000002"
        assert schedule(DAY, NIGHT, prompt=shown).seen_after(None, at(hour)).unseen == {"prompt"}


def test_another_price_than_the_open_windows_is_the_base() -> None:
    listed = schedule(NIGHT, prompt="0.0000003")
    assert listed.seen_after(schedule(NIGHT), at(20)) == listed


def test_outside_every_window_the_base_is_what_upstream_says() -> None:
    before, after = (schedule(NIGHT, prompt=prompt) for prompt in ("0.0000004", "0.0000002"))
    assert after.seen_after(before, at(12)) == after


@pytest.mark.parametrize(("minute", "is_known"), [(31, False), (32, True)])
def test_a_list_may_show_a_window_for_an_hour_and_two_minutes_after_its_end(
    minute: int, is_known: bool
) -> None:
    late = schedule(NIGHT, prompt="0.0000002").seen_after(None, at(1, minute))
    assert ("prompt" in late.base) == is_known


def test_a_window_whose_hours_have_a_decimal_point_is_the_same_window() -> None:
    night = NIGHT | {"utc_start": Decimal("1630.0"), "utc_end": Decimal("30.0")}
    before, after = (schedule(night, prompt=prompt) for prompt in ("0.0000004", "0.0000005"))
    assert after.seen_after(before, datetime(2026, 8, 6, 12, tzinfo=UTC)) == after


def test_null_in_an_override_is_absent_and_makes_a_tier_no_window() -> None:
    tier = {"min_prompt_tokens": 32000, "prompt": "0.000003"}
    with_nulls = schedule(tier | {"utc_start": None, "utc_end": None, "completion": None})
    assert with_nulls == schedule(tier)
    assert not with_nulls.overrides[0].is_window


def test_a_window_hides_only_the_prices_that_it_sets() -> None:
    before = schedule(NIGHT, prompt="0.0000004", completion="0.000001")
    after = schedule(NIGHT, prompt="0.0000002", completion="0.000002")
    seen = after.seen_after(before, at(20))
    assert texts(seen.base) == {"prompt": "0.0000004", "completion": "0.000002"}


def test_a_tier_hides_nothing() -> None:
    tiered = schedule({"min_prompt_tokens": 1000, "prompt": "0.000002"})
    assert tiered.seen_after(None, at(12)) == tiered


# What is in force at a time


@pytest.mark.parametrize(
    ("hour", "minute", "prompt"),
    [
        *((0, 0, "0.0000002"), (0, 29, "0.0000002"), (0, 30, "0.0000004"), (16, 29, "0.0000004")),
        *((16, 30, "0.0000002"), (23, 59, "0.0000002")),
    ],
)
def test_a_window_is_in_force_from_its_start_until_before_its_end_also_past_midnight(
    hour: int, minute: int, prompt: str
) -> None:
    assert rates_at(schedule(DAY, NIGHT, prompt="9"), at(hour, minute), 0).known["prompt"].text == prompt


def test_outside_every_window_the_base_is_in_force_or_unknown() -> None:
    known, unseen = schedule(NIGHT), schedule(NIGHT, prompt="0.0000002").seen_after(None, at(20))
    assert texts(rates_at(known, at(12), 0).known) == {"completion": "0.000008", "prompt": "0.000002"}
    assert texts(rates_at(unseen, at(12), 0).known) == {"completion": "0.000008"}
    assert rates_at(unseen, at(20), 0).known["prompt"].text == "0.0000002"


def test_of_windows_that_overlap_the_later_wins_for_the_prices_that_it_names() -> None:
    one = {"utc_start": 0, "utc_end": 2400, "prompt": "1", "completion": "1"}
    other = {"utc_start": 1200, "utc_end": 1300, "prompt": "2"}
    assert texts(rates_at(schedule(one, other), at(12), 0).known) == {"completion": "1", "prompt": "2"}
    assert texts(rates_at(schedule(other, one), at(12), 0).known) == {"completion": "1", "prompt": "1"}


def test_a_tier_is_not_in_force_for_a_short_prompt_also_within_its_window() -> None:
    tier = {"utc_start": 0, "utc_end": 2400, "min_prompt_tokens": 1000, "prompt": "9"}
    assert rates_at(schedule(tier), at(12), 0).known == schedule().base


@pytest.mark.parametrize(
    "condition",
    [{"utc_days": ["holiday"]}, {"utc_start": "9 am"}, {"service_tier": "flex"}],
    ids=str,
)
def test_where_a_condition_that_cannot_be_read_decides_the_price_is_unknown(
    condition: dict[str, Any],
) -> None:
    moot = {"completion": "0.000008"}  # the same either way
    undecided = schedule({"utc_start": 1200, "utc_end": 1500, "prompt": "1"} | moot | condition)
    assert texts(rates_at(undecided, at(13), 0).known) == moot
    window_is_known = "utc_days" in condition or "service_tier" in condition
    assert ("prompt" in rates_at(undecided, at(16), 0).known) == window_is_known
    decided = schedule(
        {"utc_start": 1200, "utc_end": 1500, "prompt": "1"} | condition, {"utc_start": 1200, "prompt": "2"}
    )
    assert rates_at(decided, at(13), 0).known["prompt"].text == "2"


# The text in which a schedule is kept


def read_back(parsed: PriceSchedule) -> PriceSchedule:
    """What another process reads, which keeps nothing yet."""
    text = parsed.to_json()
    kept._kept.clear()
    return PriceSchedule.from_json(text)


@settings(max_examples=examples(60))
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
    assert price_changes(parsed, read_back(parsed)) == ()


def test_what_was_not_seen_is_stored_as_not_seen() -> None:
    unseen = schedule(DAY, NIGHT, prompt="0.0000002").seen_after(None, at(20))
    assert read_back(unseen) == unseen


def test_a_schedule_of_which_nothing_was_seen_can_be_stored() -> None:
    whole = {"utc_start": 0, "utc_end": 2400, "prompt": "0.000002", "completion": "0.000008"}
    hidden = schedule(whole).seen_after(None, at(12))
    assert (dict(hidden.base), read_back(hidden)) == ({}, hidden)


def test_what_is_kept_of_a_written_schedule_is_what_another_process_reads() -> None:
    for parsed in (schedule(image="1", audio="0.50"), schedule({"rule": {"b": 1, "a": 2}, "prompt": "1"})):
        here = PriceSchedule.from_json(parsed.to_json())
        there = read_back(parsed)
        assert here == there
        assert msgspec.json.encode([here.base, here.overrides]) == msgspec.json.encode(
            [there.base, there.overrides]
        )


def test_a_name_that_no_dimension_has_is_a_condition_of_its_override() -> None:
    odd = schedule({"a\0b": "0.5", "x" * 65: "0.5", "prompt": "1"})
    (entry,) = odd.overrides
    assert [name for name, _price in entry.prices] == ["prompt"]
    assert read_back(odd) == odd


def test_one_schedule_has_one_text_whatever_the_order_of_its_keys() -> None:
    assert schedule(image="1", audio="2").to_json() == schedule(audio="2", image="1").to_json()
    assert msgspec.json.decode(schedule(image="1").to_json()) == {
        "completion": "0.000008",
        "image": "1",
        "prompt": "0.000002",
    }


# What is kept and what is recognised


def test_the_price_of_a_window_is_recognised_by_its_amount_and_not_by_its_text() -> None:
    shown = schedule({"utc_start": 900, "utc_end": 1700, "prompt": "0.0000030"}, prompt="0.000003")
    assert shown.seen_after(None, at(12)).unseen == {"prompt"}


def test_the_schedules_that_are_kept_by_their_text_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MAX_KEPT", 5)
    kept._kept.clear()
    for number in range(30):
        PriceSchedule.from_json(f'{{"completion":"1","prompt":"{number}"}}')
        assert len(kept._kept) <= 5
