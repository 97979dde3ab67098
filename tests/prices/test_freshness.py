"""The one rule for "fresh" and "due"."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from prices.freshness import fresh_for, is_fresh, next_due

NOON = datetime(2026, 8, 6, 12, tzinfo=UTC)
HOURS = timedelta(hours=3)
TIMES = st.timedeltas(timedelta(0), timedelta(days=365)).map(lambda later: NOON + later)
INTERVALS = st.timedeltas(timedelta(minutes=1), timedelta(days=31))
MAYBE = st.none() | TIMES


def tick_every(step: timedelta, start: datetime = datetime(2025, 12, 1, tzinfo=UTC)):
    return lambda at: start + ((at - start) // step + 1) * step


def test_prices_are_fresh_for_nine_tenths_of_the_interval() -> None:
    assert fresh_for(HOURS) == timedelta(minutes=162)
    assert is_fresh(NOON, NOON, HOURS)
    assert is_fresh(NOON, NOON + timedelta(minutes=161, seconds=59), HOURS)
    assert not is_fresh(NOON, NOON + timedelta(minutes=162), HOURS)


def test_prices_that_were_never_refreshed_are_not_fresh() -> None:
    assert not is_fresh(None, NOON, HOURS)


def test_a_clock_that_was_set_back_a_little_keeps_prices_fresh_and_far_does_not() -> None:
    assert is_fresh(NOON + timedelta(minutes=5), NOON, HOURS)
    assert not is_fresh(NOON + timedelta(days=365), NOON, HOURS)


def test_a_refresh_on_the_tick_is_due_again_on_the_next() -> None:
    on_tick, soon_after = NOON, NOON + timedelta(seconds=4)
    ticks = tick_every(HOURS)
    assert next_due(soon_after, on_tick, HOURS, ticks) == NOON + HOURS


def test_a_first_refresh_just_before_a_tick_is_not_repeated_on_it() -> None:
    just_before = NOON - timedelta(minutes=10)
    assert next_due(just_before, just_before, HOURS, tick_every(HOURS)) == just_before + HOURS


def test_after_a_failed_first_attempt_the_next_tick_is_due() -> None:
    assert next_due(None, NOON + timedelta(minutes=1), HOURS, tick_every(HOURS)) == NOON + HOURS


def test_a_failed_attempt_on_stale_prices_is_made_good_on_the_next_tick() -> None:
    refreshed, failed = NOON - 5 * HOURS, NOON + timedelta(seconds=1)
    assert next_due(refreshed, failed, HOURS, tick_every(HOURS)) == NOON + HOURS


@settings(deadline=None)
@given(MAYBE, MAYBE, INTERVALS, INTERVALS)
def test_due_is_at_once_only_when_nothing_was_ever_tried(
    refreshed: datetime | None, attempted: datetime | None, interval: timedelta, step: timedelta
) -> None:
    due = next_due(refreshed, attempted, interval, tick_every(step))
    assert (due is None) == (refreshed is None and attempted is None)


@settings(deadline=None)
@given(TIMES, MAYBE, INTERVALS, INTERVALS)
def test_a_refresh_is_never_due_while_the_prices_are_fresh(
    refreshed: datetime, attempted: datetime | None, interval: timedelta, step: timedelta
) -> None:
    due = next_due(refreshed, attempted, interval, tick_every(step))
    assert due is not None
    assert due >= refreshed + fresh_for(interval)
    assert not is_fresh(refreshed, due, interval)


@settings(deadline=None)
@given(MAYBE, TIMES, INTERVALS, INTERVALS)
def test_a_refresh_is_due_after_the_last_attempt_and_at_most_an_interval_later(
    refreshed: datetime | None, attempted: datetime, interval: timedelta, step: timedelta
) -> None:
    due = next_due(refreshed, attempted, interval, tick_every(step))
    last = max(at for at in (refreshed, attempted) if at is not None)
    assert due is not None
    assert last < due <= last + interval
