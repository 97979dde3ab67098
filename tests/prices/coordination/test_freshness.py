"""The one rule for "fresh" and "due"."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from prices.coordination.freshness import (
    CLOCK_SLACK,
    age_of,
    answer_within,
    fresh_for,
    fresh_left,
    is_fresh,
    next_due,
    next_send,
)

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


def test_an_age_is_zero_for_a_time_a_little_ahead_and_unknown_for_one_well_ahead() -> None:
    assert age_of(None, NOON) is None
    assert age_of(NOON, NOON + HOURS) == HOURS
    assert age_of(NOON + CLOCK_SLACK, NOON) == timedelta(0)
    assert age_of(NOON + CLOCK_SLACK + timedelta(microseconds=1), NOON) is None


def test_a_refresh_on_the_tick_is_due_again_on_the_next() -> None:
    on_tick, soon_after = NOON, NOON + timedelta(seconds=4)
    ticks = tick_every(HOURS)
    assert next_due(soon_after, HOURS, ticks) == next_due(on_tick, HOURS, ticks) == NOON + HOURS


def test_a_first_refresh_just_before_a_tick_is_not_repeated_on_it() -> None:
    just_before = NOON - timedelta(minutes=10)
    assert next_due(just_before, HOURS, tick_every(HOURS)) == just_before + HOURS


@given(TIMES, INTERVALS, INTERVALS)
def test_a_refresh_is_due_when_the_prices_are_stale_and_at_most_an_interval_later(
    refreshed: datetime, interval: timedelta, step: timedelta
) -> None:
    due = next_due(refreshed, interval, tick_every(step))
    assert refreshed + fresh_for(interval) <= due <= refreshed + interval
    assert not is_fresh(refreshed, due, interval)


LEASE = timedelta(seconds=60)
MINUTE = timedelta(minutes=1)


def send_at(refreshed: datetime | None = None, **known: datetime | None) -> datetime | None:
    """When to send with ticks every three hours."""
    return next_send(
        refreshed,
        started_at=known.get("started"),
        again_at=known.get("again"),
        sent_at=known.get("sent"),
        interval=HOURS,
        lease=LEASE,
        tick_after=tick_every(HOURS),
    )


def test_before_anything_was_tried_a_message_is_sent_at_once() -> None:
    assert send_at() is None


def test_a_message_that_a_run_answered_is_not_sent_again() -> None:
    later = NOON + 20 * MINUTE
    assert send_at(sent=NOON, started=NOON + MINUTE, again=later) == later
    assert send_at(NOON + MINUTE, sent=NOON, started=NOON, again=NOON + LEASE) == NOON + HOURS


def test_a_message_that_no_run_answered_is_sent_again_after_two_leases() -> None:
    assert send_at(sent=NOON) == NOON + 2 * LEASE
    before = NOON - 2 * HOURS
    assert send_at(before, sent=NOON, started=before, again=before + LEASE) == NOON + 2 * LEASE


def test_a_refresh_that_failed_when_it_was_due_is_tried_again_when_its_wait_is_over() -> None:
    again = NOON + 10 * MINUTE
    assert send_at(started=NOON, again=again, sent=NOON) == again
    assert send_at(NOON - HOURS, started=NOON, again=again, sent=NOON) == again
    before_the_tick = NOON - 10 * MINUTE
    assert send_at(NOON - HOURS, started=before_the_tick, again=NOON - MINUTE) == NOON - MINUTE


def test_a_wait_of_hours_is_longer_than_until_the_next_tick() -> None:
    again = NOON + 2 * HOURS
    assert send_at(NOON - HOURS, started=NOON, again=again) == again


def test_a_forced_run_that_failed_or_died_on_fresh_prices_is_not_tried_again() -> None:
    refreshed, again = NOON - HOURS / 2, NOON + LEASE
    on_tick = send_at(refreshed)
    assert send_at(refreshed, started=NOON, again=again) == on_tick
    assert send_at(refreshed, started=NOON, again=NOON + 2 * HOURS) == NOON + 2 * HOURS


def test_a_run_that_leaves_the_prices_stale_as_a_replay_does_is_followed_after_a_lease() -> None:
    assert send_at(NOON - 100 * HOURS, started=NOON, again=NOON + LEASE) == NOON + LEASE


def test_the_heir_of_a_dead_run_is_sent_for_once_and_then_as_any_message() -> None:
    dead = NOON + LEASE
    assert send_at(started=NOON, again=dead, sent=dead) == dead + 2 * LEASE


@given(MAYBE, MAYBE, MAYBE, INTERVALS, INTERVALS, INTERVALS, INTERVALS)
def test_a_message_is_sent_neither_before_another_may_begin_nor_while_prices_are_fresh(
    refreshed: datetime | None,
    started: datetime | None,
    sent: datetime | None,
    wait: timedelta,
    interval: timedelta,
    lease: timedelta,
    step: timedelta,
) -> None:
    again = None if started is None else started + wait
    due = next_send(
        refreshed,
        started_at=started,
        again_at=again,
        sent_at=sent,
        interval=interval,
        lease=lease,
        tick_after=tick_every(step),
    )
    assert (due is None) == (refreshed is None and started is None and sent is None)
    if due is None:
        return
    reasons = [
        None if refreshed is None else next_due(refreshed, interval, tick_every(step)),
        None if refreshed is None else refreshed + fresh_for(interval),
        again,
        None if sent is None else sent + answer_within(lease),
    ]
    assert due in reasons
    assert again is None or due >= again
    if refreshed is not None:
        assert not is_fresh(refreshed, max(due, refreshed), interval)


@given(TIMES, TIMES, INTERVALS, INTERVALS)
def test_prices_are_fresh_for_exactly_what_is_left(
    refreshed: datetime, now: datetime, interval: timedelta, later: timedelta
) -> None:
    left = fresh_left(refreshed, now, interval)
    assert timedelta(0) <= left <= fresh_for(interval)
    assert (left > timedelta(0)) == is_fresh(refreshed, now, interval)
    if left and refreshed <= now:
        assert not is_fresh(refreshed, now + left, interval)
        assert is_fresh(refreshed, now + left - timedelta(microseconds=1), interval)


def test_prices_that_were_never_refreshed_have_nothing_left() -> None:
    assert fresh_left(None, NOON, HOURS) == timedelta(0)
