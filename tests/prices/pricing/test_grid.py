"""The grid: every cell is what a cost would use, and what cannot be read has none."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.pricing.grid import DAY, MAX_ANSWERS, MONDAY, hours, length, price_grid
from prices.pricing.rates import _holds, rates_at
from tests.support.formats import NIGHT, OFFICE, TIER
from tests.support.lists import schedule

clocks = st.integers(0, 23).flatmap(lambda hour: st.sampled_from((0, 30)).map(lambda m: hour * 100 + m))
conditions = st.fixed_dictionaries(
    {},
    optional={
        "min_prompt_tokens": st.sampled_from((0, 1, 32000, 200000)),
        "utc_start": clocks,
        "utc_end": clocks | st.just(2400),
        "utc_days": st.lists(st.sampled_from(("monday", "friday", "sunday")), min_size=1, max_size=2),
    },
)
entries = st.lists(
    st.tuples(conditions, st.sampled_from(("prompt", "completion", "web_search")), st.integers(0, 5)).map(
        lambda parts: parts[0] | {parts[1]: f"0.00000{parts[2]}1"}
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=100)
@given(entries, st.integers(0, 7 * DAY - 1), st.sampled_from((1, 32000, 32001, 200000, 200001, 10**6)))
def test_each_cell_is_what_a_cost_uses(overrides: list[Any], minute: int, tokens: int) -> None:
    priced = schedule(*overrides)
    grid = price_grid(priced)
    assert grid is not None
    rates = rates_at(priced, MONDAY + timedelta(minutes=minute), tokens)
    day, clock = divmod(minute, DAY)
    (steps,) = [
        steps for steps, slots in grid.groups if any(d == day and s <= clock < e for d, s, e in slots)
    ]
    cell = steps[sum(tokens > size for size in grid.thresholds) - 1]
    assert {name: cell[name] for name in rates.prices} == {
        name: price.amount for name, price in rates.prices.items()
    }
    assert all(grid.most[name] >= amount for name, amount in cell.items())
    assert sum(length(slots) for _, slots in grid.groups) == 7 * DAY


@pytest.mark.parametrize(
    ("overrides", "base"),
    [
        ([], {"prompt": "-1", "completion": "-1"}),
        ([], {"image": "-1"}),
        ([TIER | {"prompt": "-1"}], {}),
        ([NIGHT | {"completion": "-1"}], {}),
        ([{"weather": "rain", "prompt": "0.1"}], {}),
        ([{"utc_days": ["caturday"], "prompt": "0.1"}], {}),
        ([{"utc_start": "noon", "prompt": "0.1"}], {}),
        ([{"utc_days": ["mon"], "utc_start": 900, "utc_end": 1700, "prompt": "0.1"}], {}),
        ([{"utc_days": [], "utc_start": 900, "utc_end": 1700, "prompt": "0.1"}], {}),
        ([{"utc_days": "monday", "utc_start": 900, "utc_end": 1700, "prompt": "0.1"}], {}),
        ([{"utc_days": ["tuesday"], "utc_start": "9am", "prompt": "0.1"}], {}),
        ([{"utc_start": 900, "utc_end": 2500, "prompt": "0.1"}], {}),
    ],
)
def test_what_is_dynamic_or_unknown_at_any_time_has_no_grid(
    overrides: list[dict[str, Any]], base: dict[str, str]
) -> None:
    assert price_grid(schedule(*overrides, **base)) is None


@pytest.mark.parametrize("number", [3, 10, 20, 100, 300])
@pytest.mark.parametrize("days", [{}, {"utc_days": ["monday"]}])
def test_a_hostile_schedule_asks_a_bounded_number_of_times(
    days: dict[str, Any], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(*arguments: Any) -> bool | None:
        asked.append(arguments)
        return _holds(*arguments)

    monkeypatch.setattr("prices.pricing.rates._holds", counted)
    entries = [
        days | {"utc_start": n % 23 * 100, "utc_end": 2400, "min_prompt_tokens": n + 1, "prompt": "0.1"}
        for n in range(number)
    ]
    made = price_grid(schedule(*entries)) is not None
    assert len(asked) <= MAX_ANSWERS
    assert made == bool(asked) == (number < (10 if days else 20))


def test_more_sizes_and_hours_than_any_price_list_has_are_a_grid() -> None:
    entries = [
        OFFICE | {"min_prompt_tokens": size, "utc_start": start}
        for size in (32000, 128000, 200000)
        for start in (900, 1100, 1300, 1500)
    ]
    grid = price_grid(schedule(*entries, prompt="0.000001"))
    assert grid is not None
    assert grid.thresholds == (0, 32000)


def test_a_base_that_a_window_has_hidden_has_no_grid() -> None:
    whole = schedule(NIGHT, prompt="0.000001", completion="0.000004")
    assert price_grid(whole.seen_after(None, MONDAY)) is None
    assert price_grid(whole.seen_after(None, MONDAY + timedelta(hours=12))) is not None


@pytest.mark.parametrize("size", [10**30, Decimal("1e400000"), -5, 0])
def test_a_size_that_no_prompt_crosses_is_no_tier(size: Any) -> None:
    grid = price_grid(schedule(TIER | {"min_prompt_tokens": size}))
    assert grid is not None
    assert grid.thresholds == (0,)


def test_what_a_window_prices_alone_costs_otherwise_what_it_falls_back_to() -> None:
    grid = price_grid(schedule({"utc_start": 0, "utc_end": 600, "input_cache_read": "0.0000001"}))
    assert grid is not None
    cells = [steps[0]["input_cache_read"] for steps, _ in grid.groups]
    assert cells == [Decimal("0.000002"), Decimal("0.0000001")]


def test_reasoning_for_nothing_says_nothing_beside_the_completion() -> None:
    grid = price_grid(schedule(internal_reasoning="0"))
    assert grid is not None
    assert "internal_reasoning" not in grid.most


@pytest.mark.parametrize(("end", "shown"), [(960, "10:00"), (975, "10:00"), (2360, "00:00")])
def test_a_clock_beyond_the_hour_is_the_next_hour(end: int, shown: str) -> None:
    grid = price_grid(schedule({"utc_start": 800, "utc_end": end, "prompt": "0.1"}))
    assert grid is not None
    (window,) = [slots for steps, slots in grid.groups if steps[0]["prompt"] == Decimal("0.1")]
    assert hours([(start, to) for day, start, to in window if day == 0], wrap=True) == [("08:00", shown)]


def test_hours_are_joined_and_a_day_ends_at_midnight() -> None:
    parts = [(0, 30), (990, 1200), (1200, 1440)]
    assert hours(parts, wrap=True) == [("16:30", "00:30")]
    assert hours(parts, wrap=False) == [("00:00", "00:30"), ("16:30", "00:00")]
    assert hours([(0, 1440)], wrap=True) == [("00:00", "00:00")]


def test_weekdays_hold_on_their_days_alone() -> None:
    grid = price_grid(schedule(OFFICE))
    assert grid is not None
    (_, office) = grid.groups[1]
    assert sorted(office) == [(day, 540, 1020) for day in range(5)]
